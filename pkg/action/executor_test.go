package action

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// The real desk and the real store are ones that an executor can work with.
var (
	_ Desk    = (*incident.Desk)(nil)
	_ Records = (*incident.MemoryStore)(nil)
)

// pointers is a service that holds which versions are live: GET reads one, PUT and POST set one.
type pointers struct {
	*httptest.Server
	mutex sync.Mutex
	live  map[string]string
	sent  []string // what came to set one, in order: "PUT prompt v6"
	keys  []string // idempotency keys of those

	// onSet says how a request to set is met; false: it was answered. nil: it is set and answered with 200.
	onSet func(w http.ResponseWriter, set func()) bool
	// onGet is asked before a look is answered; false: it was answered.
	onGet func(w http.ResponseWriter) bool
}

func newPointers(t *testing.T) *pointers {
	t.Helper()
	p := &pointers{live: map[string]string{"prompt": "v7", "index": "kb-7", "weights": "w-2", "pipeline": "p-2"}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *pointers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/labels/")
	if r.Method == http.MethodGet {
		if p.onGet != nil && !p.onGet(w) {
			return
		}
		p.mutex.Lock()
		defer p.mutex.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"version": p.live[name]})
		return
	}
	text, _ := io.ReadAll(r.Body)
	var body struct{ Version string }
	_ = json.Unmarshal(text, &body)
	p.mutex.Lock()
	p.sent = append(p.sent, r.Method+" "+name+" "+body.Version)
	p.keys = append(p.keys, r.Header.Get("Idempotency-Key"))
	p.mutex.Unlock()
	set := func() { p.set(name, body.Version) }
	if p.onSet == nil || p.onSet(w, set) {
		set()
	}
}

func (p *pointers) set(name, version string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.live[name] = version
}

func (p *pointers) is(name string) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.live[name]
}

func (p *pointers) requests() []string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return slices.Clone(p.sent)
}

// cut ends the connection without an answer.
func cut(w http.ResponseWriter) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = connection.Close()
	}
}

// book is a runbook whose four steps set pointers; pipeline is one that may never be sent twice.
func book() *runbook.Snapshot {
	step := func(name, approval, method, semantics string) runbook.Step {
		return runbook.Step{Artifact: name, Name: name, Do: "Set it back.", Approval: approval, Action: &runbook.Action{
			Connector: "prompts", Method: method, Path: "/labels/" + name, Semantics: semantics,
			Body:    map[string]any{"version": "{{ .Previous }}"},
			Confirm: &runbook.Confirm{Method: "GET", Path: "/labels/" + name, Expect: map[string]any{"version": "{{ .Previous }}"}},
		}}
	}
	byHand := runbook.Step{Artifact: "code", Name: "code", Do: "Deploy the one before.", Approval: runbook.ApprovalOwner}
	index := step("index", runbook.ApprovalOwner, "PUT", runbook.SemanticsSet)
	index.Touches = map[string][]string{"tier": {"paid"}}
	fallback := step("router", "", "PUT", runbook.SemanticsSet).Action
	fallback.Body, fallback.Confirm = map[string]any{"version": "fallback"}, nil
	return &runbook.Snapshot{Runbook: runbook.Runbook{
		Name: "refused", Title: "Refused", Owner: "oncall", Service: "support-bot", Severity: runbook.Rubric{Default: runbook.Sev2},
		Rollback: []runbook.Step{
			step("prompt", runbook.ApprovalOwner, "PUT", runbook.SemanticsSet), index,
			step("weights", runbook.ApprovalTwoPerson, "PUT", runbook.SemanticsSet), step("pipeline", runbook.ApprovalOwner, "POST", runbook.SemanticsCreate),
			byHand,
		},
		Mitigate: []runbook.Mitigation{{Title: "Fall back", Kind: "fallback", Do: "Route.", Action: fallback,
			Approved: []runbook.Approval{{Model: "small", Until: time.Now().AddDate(0, -1, 0)}}}},
	}}
}

// stage is an incident in a store, a desk and an executor over it, and the service that its actions set.
type stage struct {
	t        *testing.T
	service  *pointers
	store    *incident.MemoryStore
	desk     *incident.Desk
	executor *Executor
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
	mode     string
	modeLock sync.Mutex
	ids      []string
	now      func() time.Time
}

func (s *stage) setMode(mode string) {
	s.modeLock.Lock()
	defer s.modeLock.Unlock()
	s.mode = mode
}

func (s *stage) modeNow() string {
	s.modeLock.Lock()
	defer s.modeLock.Unlock()
	return s.mode
}

// setUp opens an incident a group, and makes the executor, which does not run yet.
func setUp(t *testing.T, groups ...string) *stage {
	t.Helper()
	s := &stage{t: t, service: newPointers(t), store: incident.NewMemoryStore(), mode: incident.ActionsEnabled, now: time.Now}
	log := func(artifact, from, to string) changes.Change {
		return changes.Change{ID: artifact, Artifact: artifact, Service: "support-bot", From: from, To: to, At: time.Now().Add(-30 * time.Minute), Source: changes.Reported}
	}
	if err := s.store.PutChanges(t.Context(), []changes.Change{log("prompt", "v6", "v7"), log("index", "kb-6", "kb-7")}); err != nil {
		t.Fatal(err)
	}
	s.restart(nil)
	if len(groups) == 0 {
		groups = []string{"de"}
	}
	tick, snapshot := incident.Tick{T: time.Now().UTC().Truncate(time.Second)}, book()
	for _, group := range groups {
		began := tick.T.Add(-10 * time.Minute)
		tick.Firings = append(tick.Firings, incident.Firing{
			Snapshot: snapshot, Hash: snapshot.Hash(), Group: labels.FromStrings("region", group), Service: "support-bot",
			Severity: runbook.Sev2, BreachBegan: began, ImpactStartedAt: began,
		})
	}
	if err := s.desk.Tick(t.Context(), tick); err != nil {
		t.Fatal(err)
	}
	open, err := s.desk.Open(t.Context())
	if err != nil || len(open) != len(groups) {
		t.Fatal(len(open), err)
	}
	for _, r := range open {
		s.ids = append(s.ids, r.ID)
	}
	return s
}

// restart makes a new desk and a new executor over the same store, as a process that begins does. mortal, if not nil,
// stands between the executor and what it works with.
func (s *stage) restart(m *mortal) {
	s.t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	s.logs, s.registry = logs, prometheus.NewRegistry()
	file := s.t.TempDir() + "/token"
	write(s.t, file, token)
	connectors, err := NewConnectors(Connector{Name: "prompts", URL: s.service.URL, BearerTokenFile: file,
		Allow: []string{"GET /labels/*", "PUT /labels/*", "POST /labels/*"}})
	if err != nil {
		s.t.Fatal(err)
	}
	var executor *Executor
	s.desk = incident.NewDesk(incident.Config{
		Store: s.store, Now: func() time.Time { return s.now() }, Log: zap.NewNop(),
		Policy: func() incident.Policy {
			return incident.Policy{
				Instance: "test", Interval: 15 * time.Second, BlindAfter: 5 * time.Minute, Actions: incident.ActionsEnabled,
				Severities: map[runbook.Severity]incident.SeverityPolicy{}, Roles: map[string]incident.Role{},
				Changes: incident.ChangePolicy{Since: 24 * time.Hour},
			}
		},
		OnEvents: func(r *incident.Record, events []incident.Event) { executor.Happened(r, events) },
	})
	config := ExecutorConfig{
		Desk: s.desk, Records: s.store, Connectors: func() Connectors { return connectors }, Mode: s.modeNow,
		Now: func() time.Time { return s.now() }, Log: zap.New(core), Registry: s.registry,
	}
	if m != nil {
		m.desk, m.records, m.mode = s.desk, s.store, s.modeNow
		config.Desk, config.Records, config.Mode = m, m, m.Mode
	}
	executor = NewExecutor(config)
	executor.pace = pace{
		attempt: 300 * time.Millisecond, repeatWithin: 2 * time.Second, confirmEvery: 5 * time.Millisecond, confirmFor: 60 * time.Millisecond,
		lookEvery: 20 * time.Millisecond, lookFor: time.Hour, tellAgain: 10 * time.Millisecond, approvalGood: 15 * time.Minute,
	}
	s.executor = executor
}

// run has the executor run until the returned function is called, which waits for its end.
func (s *stage) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	executor := s.executor
	go func() {
		defer close(ended)
		_ = executor.Run(ctx)
	}()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-ended }) }
	s.t.Cleanup(stop)
	return stop
}

// ask prepares a step of an incident and asks for what was shown.
func (s *stage) ask(incidentID, by, step, to string) error {
	s.t.Helper()
	p, err := s.executor.Prepare(s.t.Context(), incidentID, step, to)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = s.desk.Command(s.t.Context(), incidentID, incident.Request{By: by, Step: p.Step, From: p.From, To: p.To, Digest: p.Digest}, incident.Idempotency{})
	return err
}

func (s *stage) mustAsk(step, to string) {
	s.t.Helper()
	if err := s.ask(s.ids[0], "alice", step, to); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) actions(id string) []incident.Action {
	s.t.Helper()
	r, err := s.store.Load(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Actions
}

// standing says what became of an action.
func standing(a incident.Action) string {
	switch {
	case a.Requested():
		return "requested"
	case !a.FailedAt.IsZero():
		return a.Why
	case !a.DoneAt.IsZero():
		return a.How
	}
	return "in flight"
}

// await waits until the last action of an incident has come to something, and gives it.
func (s *stage) await(id string, want ...string) incident.Action {
	s.t.Helper()
	end := time.Now().Add(5 * time.Second)
	for {
		all := s.actions(id)
		if n := len(all); n > 0 && slices.Contains(want, standing(all[n-1])) {
			return all[n-1]
		}
		if time.Now().After(end) {
			s.t.Fatalf("%+v, want %v", all, want)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// sweeps lets a few sweeps pass.
func (s *stage) sweeps() { time.Sleep(5 * s.executor.pace.lookEvery) }

func TestWhatWasApprovedIsSentAndConfirmed(t *testing.T) {
	s := setUp(t)
	stop := s.run()
	s.mustAsk("prompt", "")
	a := s.await(s.ids[0], incident.DoneSent)
	if a.From != "v7" || a.To != "v6" || a.Attempt != 1 || s.service.is("prompt") != "v6" || s.service.is("index") != "kb-7" {
		t.Errorf("%+v", a)
	}
	s.mustAsk("index", "kb-5")
	s.await(s.ids[0], incident.DoneSent)
	if got := s.service.requests(); !slices.Equal(got, []string{"PUT prompt v6", "PUT index kb-5"}) {
		t.Error(got)
	}
	stop()
	if got := testutil.ToFloat64(s.executor.metrics.actions.WithLabelValues("prompts", "sent")); got != 2 {
		t.Errorf("counted %v", got)
	}
	var said []string
	for _, entry := range s.logs.All() {
		said = append(said, entry.Message)
		if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, token) {
			t.Errorf("the log has the secret: %s", text)
		}
	}
	if want := []string{"action begins", "action answered", "action over"}; len(said) < 3 || !slices.Equal(said[:3], want) {
		t.Errorf("logged %v", said)
	}
	if problems, err := testutil.GatherAndLint(s.registry); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

// TestWhatTheServiceDoes meets one request with each thing that a service may do.
func TestWhatTheServiceDoes(t *testing.T) {
	answer := func(status int) func(http.ResponseWriter, func()) bool {
		return func(w http.ResponseWriter, _ func()) bool { w.WriteHeader(status); return false }
	}
	for _, test := range []struct {
		name   string
		step   string
		onSet  func(http.ResponseWriter, func()) bool
		want   string // of the action
		cause  string // has this in it
		sent   int
		acted  bool
		finals string // later; empty: the same
	}{
		{"one that takes it", "prompt", nil, incident.DoneSent, "", 1, true, ""},
		{"one that refuses", "prompt", answer(403), incident.FailedRefused, "403 Forbidden", 1, false, ""},
		{"one that redirects", "prompt", func(w http.ResponseWriter, set func()) bool {
			w.Header().Set("Location", "/labels/index")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return false
		}, incident.FailedRefused, "redirects are not followed", 1, false, ""},
		{"one that fails in between", "prompt", answer(502), incident.FailedUnanswered, "502 Bad Gateway", 1, true, ""},
		{"one that says yes and changes nothing", "prompt", answer(200), incident.FailedUnanswered, `live is still {"version":"v7"}`, 1, true, ""},
		{"one that is slow and does it", "prompt", func(w http.ResponseWriter, set func()) bool {
			set()
			time.Sleep(400 * time.Millisecond)
			return false
		}, incident.DoneSent, "", 1, true, ""},
		{"one that is slow and doesn't", "prompt", func(w http.ResponseWriter, set func()) bool {
			time.Sleep(400 * time.Millisecond)
			return false
		}, incident.FailedUnanswered, "no answer in time", 1, true, ""},
		{"one that cuts the connection", "prompt", func(w http.ResponseWriter, _ func()) bool { cut(w); return false },
			incident.FailedUnanswered, "cut", 1, true, ""},
		{"one that cuts the connection and does it later", "prompt", func(w http.ResponseWriter, set func()) bool {
			time.AfterFunc(100*time.Millisecond, set)
			cut(w)
			return false
		}, incident.FailedUnanswered, "cut", 1, true, incident.DoneSent},
		{"one that cuts the connection of what may not be repeated", "pipeline", func(w http.ResponseWriter, _ func()) bool { cut(w); return false },
			incident.FailedUnanswered, "cut", 1, true, ""},
		{"one that says when to come back", "prompt", func() func(http.ResponseWriter, func()) bool {
			n := 0
			return func(w http.ResponseWriter, _ func()) bool {
				if n++; n == 1 {
					w.Header().Set("Retry-After", "0.01")
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return n > 1
			}
		}(), incident.DoneSent, "", 2, true, ""},
		{"one that says so of what may not be repeated", "pipeline", func(w http.ResponseWriter, _ func()) bool {
			w.Header().Set("Retry-After", "0.01")
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		}, incident.FailedUnanswered, "503", 1, true, ""},
		{"one that did it before it said so", "prompt", func(w http.ResponseWriter, set func()) bool {
			set()
			w.Header().Set("Retry-After", "0.01")
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		}, incident.DoneSent, "", 1, true, ""},
		{"one that wants to be left alone for long", "prompt", func(w http.ResponseWriter, _ func()) bool {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusServiceUnavailable)
			return false
		}, incident.FailedUnanswered, "503", 1, true, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setUp(t)
			s.service.onSet = test.onSet
			s.run()
			s.mustAsk(test.step, "before")
			a := s.await(s.ids[0], test.want)
			if !strings.Contains(a.Cause, test.cause) || test.cause == "" && a.Cause != "" {
				t.Errorf("cause %q, want %q", a.Cause, test.cause)
			}
			s.sweeps()
			if test.finals != "" {
				a = s.await(s.ids[0], test.finals)
			}
			if got := s.service.requests(); len(got) != test.sent || a.Acted != test.acted {
				t.Errorf("sent %v, acted %v", got, a.Acted)
			}
			if keys := s.service.keys; !strings.HasSuffix(keys[0], s.ids[0]+"-1-1") || len(keys) > 1 && keys[1] == keys[0] {
				t.Errorf("keys of the attempts: %v", keys)
			}
		})
	}
}

func TestNothingIsSentWhenItIsNotWhatWasApproved(t *testing.T) {
	for _, test := range []struct {
		name  string
		step  string
		to    string
		since func(s *stage) // after the request, before the executor runs
		want  string
		cause string
	}{
		{"set already", "prompt", "v7", func(*stage) {}, incident.DoneSeen, ""},
		{"somebody set it meanwhile", "prompt", "v6", func(s *stage) { s.service.set("prompt", "v6") }, incident.DoneSeen, ""},
		{"somebody set another version meanwhile", "prompt", "v6", func(s *stage) { s.service.set("prompt", "v8") },
			incident.FailedRefused, `live is now {"version":"v8"}`},
		{"the live version can't be read any more", "prompt", "v6", func(s *stage) {
			s.service.onGet = func(w http.ResponseWriter) bool { w.WriteHeader(500); return false }
		}, incident.FailedRefused, "can't be compared"},
		{"the settings don't allow it any more", "prompt", "v6", func(s *stage) {
			s.executor.config.Connectors = func() Connectors { return Connectors{} }
		}, incident.FailedRefused, "unknown connector"},
		{"the connector leads elsewhere", "prompt", "v6", func(s *stage) {
			other := newPointers(s.t)
			s.executor.config.Connectors = func() Connectors {
				return Connectors{"prompts": {Name: "prompts", URL: other.URL, Allow: []string{"GET /labels/*", "PUT /labels/*"}}}
			}
			s.t.Cleanup(func() {
				if len(other.requests()) > 0 {
					s.t.Errorf("it was sent there: %v", other.requests())
				}
			})
		}, incident.FailedRefused, "changed since it was approved"},
		{"the kill switch", "prompt", "v6", func(s *stage) { s.setMode(incident.ActionsOff) }, incident.FailedDryRun, "actions: off"},
		{"it was approved long ago", "prompt", "v6", func(s *stage) {
			s.now = func() time.Time { return time.Now().Add(16 * time.Minute) }
		}, incident.FailedExpired, "16m"},
		{"a person did something meanwhile", "prompt", "v6", func(s *stage) {
			_, err := s.desk.Command(s.t.Context(), s.ids[0], incident.RolledBack{By: "bob", Step: "code"}, incident.Idempotency{})
			if err != nil {
				s.t.Fatal(err)
			}
		}, incident.DoneSent, ""}, // effective at once, so nothing is in the way
		{"nobody else approved", "weights", "w-1", func(*stage) {}, "requested", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := setUp(t)
			s.mustAsk(test.step, test.to)
			test.since(s)
			s.run()
			var a incident.Action
			end := time.Now().Add(5 * time.Second)
			for standing(a) != test.want || a.RequestedBy == "" {
				a = s.actions(s.ids[0])[0]
				if time.Now().After(end) {
					t.Fatalf("%+v", a)
				}
			}
			s.sweeps()
			sent := s.service.requests()
			if !strings.Contains(a.Cause, test.cause) || test.cause == "" && a.Cause != "" || (len(sent) > 0) != (test.want == incident.DoneSent) {
				t.Errorf("%+v, sent %v", a, sent)
			}
			if begun := !a.StartedAt.IsZero(); begun != (test.want == incident.DoneSent) {
				t.Errorf("begun: %v", begun)
			}
			if a.Acted != (test.want == incident.DoneSeen || test.want == incident.DoneSent) {
				t.Errorf("acted: %v", a.Acted)
			}
		})
	}
}

func TestTheKillSwitchIsAskedRightBeforeEachRequest(t *testing.T) {
	s := setUp(t)
	s.service.onSet = func(w http.ResponseWriter, _ func()) bool {
		s.setMode(incident.ActionsOff)
		w.Header().Set("Retry-After", "0.01")
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	}
	s.run()
	s.mustAsk("prompt", "v6")
	if a := s.await(s.ids[0], incident.FailedUnanswered); a.Cause != "the settings have actions: off" || len(s.service.requests()) != 1 {
		t.Errorf("%+v, %v", a, s.service.requests())
	}
}

func TestNothingIsSentForAnIncidentThatIsOver(t *testing.T) {
	s := setUp(t)
	s.mustAsk("prompt", "v6")
	_, err := s.desk.Command(t.Context(), s.ids[0], incident.Dismiss{By: "bob", Reason: "false_alarm", Text: "no"}, incident.Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	s.run()
	s.executor.ask(s.ids[0], true)
	s.sweeps()
	if got := s.service.requests(); len(got) != 0 {
		t.Error(got)
	}
	var refusal *incident.Refusal
	if _, err := s.executor.Prepare(t.Context(), s.ids[0], "prompt", ""); !asRefusal(err, &refusal) || !strings.Contains(err.Error(), "is over") {
		t.Error(err)
	}
}

func asRefusal(err error, into **incident.Refusal) bool {
	refusal, ok := err.(*incident.Refusal) //nolint:errorlint // what a caller gets
	*into = refusal
	return ok
}

func TestItEndsBetweenItsApprovalAndItsIntent(t *testing.T) {
	s := setUp(t)
	s.mustAsk("prompt", "v6")
	s.service.onGet = func(http.ResponseWriter) bool { // the look right before the intent
		_, _ = s.desk.Command(context.Background(), s.ids[0], incident.Dismiss{By: "bob", Reason: "false_alarm", Text: "no"}, incident.Idempotency{})
		return true
	}
	s.run()
	s.sweeps()
	if got := s.service.requests(); len(got) != 0 {
		t.Error(got)
	}
}

func TestTwoPeopleAtOnceAreOneAction(t *testing.T) {
	s := setUp(t)
	s.run()
	var group sync.WaitGroup
	refused := make(chan error, 2)
	p, err := s.executor.Prepare(t.Context(), s.ids[0], "prompt", "v6")
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{"alice", "bob"} {
		group.Go(func() {
			_, err := s.desk.Command(context.Background(), s.ids[0], incident.Request{By: by, Step: p.Step, From: p.From, To: p.To, Digest: p.Digest}, incident.Idempotency{})
			if err != nil {
				refused <- err
			}
		})
	}
	group.Wait()
	s.await(s.ids[0], incident.DoneSent)
	s.sweeps()
	// The second one is refused while the first is under way; once that is over it finds the version set.
	if got := s.service.requests(); len(got) != 1 || len(refused)+len(s.actions(s.ids[0])) != 2 {
		t.Errorf("sent %v, refused %d, actions %+v", got, len(refused), s.actions(s.ids[0]))
	}
}

func TestTwoPeopleApprove(t *testing.T) {
	s := setUp(t)
	s.run()
	s.mustAsk("weights", "w-1")
	s.sweeps()
	if got := s.service.requests(); len(got) != 0 {
		t.Fatalf("one person was enough: %v", got)
	}
	a := s.actions(s.ids[0])[0]
	if _, err := s.desk.Command(t.Context(), s.ids[0], incident.Approve{By: "bob", Action: a.ID, Digest: a.Digest}, incident.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	s.await(s.ids[0], incident.DoneSent)
}

func TestIncidentsDoNotWaitForEachOther(t *testing.T) {
	s := setUp(t, "de", "fr")
	slow := make(chan struct{})
	s.service.onSet = func(http.ResponseWriter, func()) bool {
		<-slow
		return true
	}
	s.executor.pace.attempt = 5 * time.Second
	s.run()
	for _, id := range s.ids {
		if err := s.ask(id, "alice", "pipeline", "p-"+id); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(2 * time.Second); len(s.service.requests()) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("one waits for the other")
			break
		}
	}
	close(slow)
	for _, id := range s.ids {
		s.await(id, incident.DoneSent, incident.FailedUnanswered) // the last one to be set wins the pointer
	}
}

func TestAStopWaitsForTheAnswerOfWhatIsBeingSent(t *testing.T) {
	s := setUp(t)
	sending := make(chan struct{})
	s.service.onSet = func(_ http.ResponseWriter, set func()) bool {
		close(sending)
		time.Sleep(100 * time.Millisecond)
		return true
	}
	stop := s.run()
	s.mustAsk("prompt", "v6")
	<-sending
	stop()
	if a := s.actions(s.ids[0])[0]; standing(a) != incident.DoneSent {
		t.Errorf("%+v", a)
	}
	if got := s.service.requests(); len(got) != 1 {
		t.Error(got)
	}
}

func TestALaterAttemptTakesTheYesFromAnEarlierOne(t *testing.T) {
	s := setUp(t)
	first := true
	s.service.onSet = func(w http.ResponseWriter, _ func()) bool {
		if first {
			first = false
			cut(w)
			return false
		}
		return true
	}
	s.run()
	s.mustAsk("prompt", "v6")
	s.await(s.ids[0], incident.FailedUnanswered)
	s.mustAsk("prompt", "v6")
	s.await(s.ids[0], incident.DoneSent)
	s.sweeps()
	if all := s.actions(s.ids[0]); len(all) != 2 || standing(all[0]) != incident.FailedUnanswered {
		t.Errorf("%+v", all)
	}
}

func TestWhatNobodyApprovesNeedsTheVersionThatIsToBeReplaced(t *testing.T) {
	for live, want := range map[string]string{"v7": incident.DoneSent, "v9": incident.FailedRefused} {
		s := setUp(t)
		s.service.set("prompt", live)
		s.executor.config.Records = alone{s.store}
		_, err := s.desk.Command(t.Context(), s.ids[0], incident.Request{By: incident.Daemon, Step: "prompt", From: "v7", To: "v6"}, incident.Idempotency{})
		if err != nil {
			t.Fatal(err)
		}
		s.run()
		if a := s.await(s.ids[0], incident.DoneSent, incident.FailedRefused); standing(a) != want {
			t.Errorf("live is %s: %+v", live, a)
		}
	}
}

func TestWhatNobodyApprovesIsNotSentBlindly(t *testing.T) {
	spoiled := func(spoil func(*runbook.Action)) func(*stage) {
		return func(s *stage) {
			s.executor.config.Records = alone{spoiling{s.store, spoil}}
		}
	}
	for name, test := range map[string]struct {
		from  string
		spoil func(*stage)
		want  string
	}{
		"the version to be replaced is not known": {"", nil, "the version that it replaces is not known"},
		"nothing reads what is live":              {"v7", spoiled(func(a *runbook.Action) { a.Confirm = nil }), "nothing reads the live version"},
		"what reads it is no GET":                 {"v7", spoiled(func(a *runbook.Action) { a.Confirm.Method = "POST" }), "nothing reads the live version"},
		"it may not be repeated":                  {"v7", spoiled(func(a *runbook.Action) { a.Semantics = runbook.SemanticsCreate }), "it starts something"},
		"nothing is seen": {"v7", func(s *stage) {
			s.executor.config.Records = alone{s.store}
			s.service.onGet = func(w http.ResponseWriter) bool {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, "{}")
				return false
			}
		}, "live is {}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := setUp(t)
			s.executor.config.Records = alone{s.store}
			if test.spoil != nil {
				test.spoil(s)
			}
			_, err := s.desk.Command(t.Context(), s.ids[0], incident.Request{By: incident.Daemon, Step: "prompt", From: test.from, To: "evil"}, incident.Idempotency{})
			if err != nil {
				t.Fatal(err)
			}
			s.run()
			a := s.await(s.ids[0], incident.DoneSent, incident.FailedRefused, incident.FailedUnanswered)
			if standing(a) != incident.FailedRefused || !strings.Contains(a.Cause, test.want) || len(s.service.requests()) != 0 {
				t.Errorf("%+v, sent %v", a, s.service.requests())
			}
		})
	}
}

// spoiling gives records whose first step has another action.
type spoiling struct {
	Records
	spoil func(*runbook.Action)
}

func (s spoiling) Load(ctx context.Context, ref string) (*incident.Record, error) {
	r, err := s.Records.Load(ctx, ref)
	if err == nil {
		other := book()
		s.spoil(other.Runbook.Rollback[0].Action)
		r.Findings[0].Snapshot = other
	}
	return r, err
}

// alone gives records whose actions need no approval.
type alone struct{ Records }

func (a alone) Load(ctx context.Context, ref string) (*incident.Record, error) {
	r, err := a.Records.Load(ctx, ref)
	if err == nil {
		for i := range r.Actions {
			r.Actions[i].Approval = runbook.ApprovalNone
		}
	}
	return r, err
}

func TestAStartFindsWhatWasAskedForBefore(t *testing.T) {
	s := setUp(t)
	s.mustAsk("prompt", "v6")
	s.restart(nil)
	s.executor.pace.lookEvery = time.Hour
	s.run()
	s.await(s.ids[0], incident.DoneSent)
}

func TestAnAttemptThatWasBegunElsewhereIsNotSent(t *testing.T) {
	s := setUp(t)
	s.mustAsk("prompt", "v6")
	elsewhere := incident.NewDesk(incident.Config{
		Store: s.store, Now: time.Now, Log: zap.NewNop(), Policy: func() incident.Policy { return incident.Policy{Actions: incident.ActionsEnabled} },
	})
	s.service.onGet = func(http.ResponseWriter) bool { // the look right before the intent
		_ = elsewhere.Action(context.Background(), s.ids[0], incident.ActionOutcome{Action: "1", What: incident.ActionBegan, Attempt: 1})
		return true
	}
	s.run()
	s.await(s.ids[0], incident.FailedUnanswered)
	if got := s.service.requests(); len(got) != 0 {
		t.Error(got)
	}
}

func TestTheKillSwitchStopsWhatIsBegun(t *testing.T) {
	s := setUp(t)
	asked := 0
	s.executor.config.Mode = func() string {
		if asked++; asked > 2 { // once by Prepare, once before the intent
			return incident.ActionsOff
		}
		return incident.ActionsEnabled
	}
	s.mustAsk("prompt", "v6")
	s.run()
	a := s.await(s.ids[0], incident.FailedDryRun)
	if got := s.service.requests(); len(got) != 0 || a.StartedAt.IsZero() || a.Acted {
		t.Errorf("%+v, sent %v", a, got)
	}
}

func TestWhatNeverLeftIsRefused(t *testing.T) {
	s := setUp(t)
	p, err := s.executor.PrepareMitigation(t.Context(), s.ids[0], "Fall back")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.desk.Command(t.Context(), s.ids[0], incident.Request{By: "alice", Mitigate: p.Mitigate, Digest: p.Digest}, incident.Idempotency{}); err != nil {
		t.Fatal(err)
	}
	s.service.Close()
	s.executor.pace.repeatWithin = time.Second // less than the wait after it
	s.run()
	if a := s.await(s.ids[0], incident.FailedRefused); a.Cause != "nothing was sent: connection refused" || a.Acted || a.Attempt != 1 {
		t.Errorf("%+v", a)
	}
}

func TestWhatIsPreparedIsShownWhole(t *testing.T) {
	s := setUp(t)
	half := 0.5
	s.executor.config.Touches = func(_ context.Context, _ *incident.Record, labels map[string][]string) *float64 {
		if slices.Equal(labels["tier"], []string{"paid"}) {
			return &half
		}
		return nil
	}
	prepare := func(step, to string) Prepared {
		p, err := s.executor.Prepare(t.Context(), s.ids[0], step, to)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := prepare("prompt", "")
	if p.From != "v7" || p.To != "v6" || p.Observed != `{"version":"v7"}` || p.Already || len(p.Digest) != 64 || p.Approval != "owner" ||
		len(p.Warnings) != 0 || !strings.Contains(p.Request, "PUT "+s.service.URL+"/labels/prompt") || strings.Contains(p.Request, token) {
		t.Errorf("%+v", p)
	}
	if p.Touches != nil || *prepare("index", "").Touches != half {
		t.Errorf("touches %v", p.Touches)
	}
	if p := prepare("code", "c-1"); p.Request != "" || p.Digest != "" || p.To != "c-1" {
		t.Errorf("the runbook has no action for it: %+v", p)
	}
	if n := len(s.service.requests()); n != 0 {
		t.Errorf("%d requests changed something", n)
	}
	mitigation, err := s.executor.PrepareMitigation(t.Context(), s.ids[0], "Fall back")
	if err != nil {
		t.Fatal(err)
	}
	s.setMode(incident.ActionsDryRun)
	warned := map[string]Prepared{
		"is not the version before the last change": prepare("prompt", "v5"),
		"is the version that runs":                  prepare("prompt", "v7"),
		"nothing is sent: the settings have":        prepare("index", ""),
		"the approval of small was over on":         mitigation,
		"nothing reads back":                        mitigation,
	}
	s.service.onGet = func(w http.ResponseWriter) bool { w.WriteHeader(500); return false }
	warned["the live version can't be read"] = prepare("index", "")
	for words, p := range warned {
		if !strings.Contains(strings.Join(p.Warnings, "\n"), words) {
			t.Errorf("%q is not among %q", words, p.Warnings)
		}
	}
	for name, test := range map[string]struct{ step, to, want string }{
		"an unknown artifact":         {"prmpt", "v6", "its steps: prompt, index, weights, pipeline, code"},
		"no version is known":         {"pipeline", "", "name the version to go back to"},
		"a version that can't be one": {"prompt", "..", "no version"},
	} {
		var refusal *incident.Refusal
		if _, err := s.executor.Prepare(t.Context(), s.ids[0], test.step, test.to); !asRefusal(err, &refusal) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
