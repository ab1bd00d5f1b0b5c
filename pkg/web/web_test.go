package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

// fixture is the handler over a Desk with three incidents, and what its tests turn.
type fixture struct {
	handler  http.Handler
	desk     *webtest.Desk
	registry *prometheus.Registry
	logs     *observer.ObservedLogs
	reasons  []string
	reload   error

	atNextStart []string
	receivers   *webtest.Receivers
	planner     *webtest.Planner
	log         *incident.Desk // of changes
	config      web.Config
}

func newFixture(t *testing.T, views ...incident.View) *fixture {
	t.Helper()
	if len(views) == 0 {
		views = []incident.View{webtest.Blind(), webtest.Refusals(), webtest.Costs()}
	}
	core, logs := observer.New(zap.DebugLevel)
	f := &fixture{
		desk:     webtest.NewDesk(func() time.Time { return webtest.At("14:12:24") }, views...),
		registry: prometheus.NewPedanticRegistry(), logs: logs, receivers: &webtest.Receivers{},
	}
	f.planner, f.log = &webtest.Planner{}, webtest.NewChanges(f.desk.Now)
	f.config = offerAll(t, f.desk, f.receivers, web.Config{
		Planner: f.planner, Changes: f.log,
		Desk: f.desk, Overview: overview{}, Registry: f.registry, Log: zap.New(core), Version: "1.2.3",
		ExternalURL: "https://incidents.example.com/",
		Ready:       func() []string { return f.reasons },
		Reload:      func(context.Context) ([]string, error) { return f.atNextStart, f.reload },
		Now:         func() time.Time { return webtest.At("14:12:24") },
	})
	f.handler = web.New(f.config)
	return f
}

// offerAll adds what a daemon may leave out. The event streams end at once.
func offerAll(t *testing.T, desk *webtest.Desk, receivers *webtest.Receivers, config web.Config) web.Config {
	config.Evidence = func(context.Context, string) error { return nil }
	stopping := make(chan struct{})
	close(stopping)
	config.Silences, config.Receivers, config.Drill = desk, receivers, desk.Drill
	config.Feed, config.Stopping = incident.NewMemoryStore(), stopping
	config.Backup = &web.Backup{Folder: t.TempDir(), Copy: func(_ context.Context, file string) error {
		return os.WriteFile(file, []byte("SQLite format 3"), 0o600)
	}}
	return config
}

// overview is a runbook with a group that fires and one that is blind, and a signal whose source is away.
type overview struct{}

func (overview) Runbooks() []web.RunbookStatus {
	return []web.RunbookStatus{{Name: "good-users-refused", Title: "The safety layer refuses good users", Owner: "ml-platform-oncall", GroupBy: []string{"service"},
		Groups: []web.GroupStatus{
			{Group: map[string]string{"service": "support-bot"}, State: "fires", Incident: "5f0c2a9be1d34788"},
			{Group: map[string]string{"service": "search"}, State: "unknown",
				Unknown: []web.UnknownWindow{{What: "refusal_rate above 8% for 10m", Since: webtest.At("14:00:00")}}},
		}}}
}

func (overview) Signals() []web.SignalStatus {
	success, since := webtest.At("14:00:00"), webtest.At("14:00:15")
	return []web.SignalStatus{{Name: "refusal_rate", Title: "Refusal rate", Unit: "ratio", Segments: 2,
		Query: web.QueryHealth{LastSuccess: &success, Error: "503 from prometheus", Since: &since}}}
}

// call sends a request with a JSON body, if any; headers come in pairs.
func (f *fixture) call(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	recorder := httptest.NewRecorder()
	f.handler.ServeHTTP(recorder, request)
	return recorder
}

func decode[T any](t *testing.T, answer *httptest.ResponseRecorder) T {
	t.Helper()
	var to T
	if err := json.Unmarshal(answer.Body.Bytes(), &to); err != nil {
		t.Fatalf("answer %d is not JSON: %v\n%s", answer.Code, err, answer.Body)
	}
	return to
}

func TestEveryErrorIsAProblemThatSaysWhatIsAllowed(t *testing.T) {
	const ack, notes = "/api/v1/incidents/42/acknowledge", "/api/v1/incidents/42/notes"
	for _, test := range []struct {
		name, method, target, body string
		headers                    []string
		status                     int
		says                       []string // parts of the document
	}{
		{"an unknown path", "GET", "/api/v2/incidents", "", nil, 404, []string{`/api/v2/incidents`, "/api/v1/openapi.json"}},
		{"a page that there is not", "GET", "/runbooks", "", nil, 404, []string{"/api/v1/openapi.json"}},
		{"a method that a path has not", "DELETE", "/api/v1/incidents/42", "", nil, 405, []string{"DELETE", `"allowed":["GET","HEAD"]`}},
		{"a read of what can only be written", "GET", ack, "", nil, 405, []string{`"allowed":["POST"]`}},
		{"OPTIONS", "OPTIONS", "/api/v1/incidents", "", nil, 405, []string{`"allowed":["GET","HEAD"]`}},
		{"a write to the metrics", "POST", "/metrics", "{}", nil, 405, []string{`"allowed":["GET","HEAD"]`}},
		{"a reload by GET", "GET", "/-/reload", "", nil, 405, []string{`"allowed":["POST"]`}},

		{"an unknown incident", "GET", "/api/v1/incidents/99", "", nil, 404, []string{`no incident \"99\"`, "such as 42"}},
		{"an unknown incident with markup in its name", "GET", "/api/v1/incidents/%3Cb%3E%1b", "", nil, 404, []string{"<b>\uFFFD"}},
		{"an incident's name without end", "GET", "/api/v1/incidents/" + strings.Repeat("9", 65), "", nil, 422, []string{"path.id", "64"}},
		{"an unknown state", "GET", "/api/v1/incidents?state=opne", "", nil, 422, []string{"query.state", "open", "resolved"}},
		{"an unknown severity", "GET", "/api/v1/incidents?severity=1", "", nil, 422, []string{"query.severity", "sev4"}},
		{"a limit of nothing", "GET", "/api/v1/incidents?limit=0", "", nil, 422, []string{"query.limit"}},
		{"a limit beyond the largest", "GET", "/api/v1/incidents?limit=201", "", nil, 422, []string{"query.limit", "200"}},
		{"a limit that is no number", "GET", "/api/v1/incidents?limit=all", "", nil, 422, []string{"query.limit"}},
		{"a page after nothing that there is", "GET", "/api/v1/incidents?after=x'--", "", nil, 422, []string{"query.after", "the next of the page before"}},
		{"a misspelt filter", "GET", "/api/v1/incidents?stat=open", "", nil, 422, []string{"query.stat"}},

		{"an acknowledgement of an unknown incident", "POST", "/api/v1/incidents/99/acknowledge", `{"by":"alice"}`, nil, 404, []string{"99"}},
		{"an acknowledgement of an incident that is over", "POST", "/api/v1/incidents/41/acknowledge", `{"by":"alice"}`, nil, 409, []string{"#41 is resolved since", `"allowed":["notes are still taken"]`}},
		{"an acknowledgement without a body", "POST", ack, "", []string{"Content-Type", "application/json"}, 400, []string{"body"}},
		{"an acknowledgement by nobody", "POST", ack, `{}`, nil, 422, []string{"body", "by"}},
		{"an acknowledgement by an empty name", "POST", ack, `{"by":""}`, nil, 422, []string{"body.by"}},
		{"an acknowledgement in the daemon's own name", "POST", ack, `{"by":"IRdaemon"}`, nil, 422, []string{"body.by", "the daemon's own name"}},
		{"an acknowledgement by a blank name", "POST", ack, `{"by":"  "}`, nil, 422, []string{"body.by"}},
		{"an acknowledgement by a name with a line feed", "POST", ack, `{"by":"a\nb"}`, nil, 422, []string{"body.by", "control"}},
		{"an acknowledgement by a name that turns text around", "POST", ack, `{"by":"a\u202eb"}`, nil, 422, []string{"body.by"}},
		{"an acknowledgement by a name of 101 characters", "POST", ack, `{"by":"` + strings.Repeat("ü", 101) + `"}`, nil, 422, []string{"body.by", "100"}},
		{"a name that is a number", "POST", ack, `{"by":7}`, nil, 422, []string{"body.by", "string"}},
		{"a key that there is not", "POST", ack, `{"by":"alice","via":"x"}`, nil, 422, []string{"body.via"}},
		{"a list", "POST", ack, `[]`, nil, 422, []string{"body", "object"}},
		{"half a JSON document", "POST", ack, `{"by":"al`, nil, 400, []string{"body"}},
		{"two JSON documents", "POST", ack, `{"by":"alice"}{}`, nil, 400, []string{"body"}},
		{"a form", "POST", ack, `by=alice`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, []string{"x-www-form-urlencoded", "application/json"}},
		{"plain text, which a form of another site can send", "POST", ack, `{"by":"alice"}`, []string{"Content-Type", "text/plain"}, 415, []string{"application/json"}},
		{"a body that does not say what it is", "POST", ack, `{"by":"alice"}`, []string{"Content-Type", ""}, 415, []string{"application/json"}},
		{"a body beyond 64 KiB", "POST", notes, `{"by":"alice","text":"` + strings.Repeat("x", 64<<10) + `"}`, nil, 413, []string{"65536"}},
		{"an idempotency key with a line feed in it", "POST", ack, `{"by":"alice"}`, []string{"Idempotency-Key", "a\tb"}, 422, []string{"Idempotency-Key"}},
		{"an idempotency key without end", "POST", ack, `{"by":"alice"}`, []string{"Idempotency-Key", strings.Repeat("k", 201)}, 422, []string{"Idempotency-Key", "200"}},

		{"a note without a text", "POST", notes, `{"by":"alice"}`, nil, 422, []string{"text"}},
		{"an empty note", "POST", notes, `{"by":"alice","text":""}`, nil, 422, []string{"body.text"}},
		{"a blank note", "POST", notes, `{"by":"alice","text":" \n "}`, nil, 422, []string{"body.text", "blank"}},
		{"a note by nobody", "POST", notes, `{"text":"x"}`, nil, 422, []string{"by"}},
		{"a note with a terminal's escape in it", "POST", notes, `{"by":"alice","text":"\u001b[2J"}`, nil, 422, []string{"body.text", "control"}},
		{"a note of more than 10 kB", "POST", notes, `{"by":"alice","text":"` + strings.Repeat("x", 10_001) + `"}`, nil, 422, []string{"body.text", "10000"}},
		{"a note of more than 10 kB in fewer characters", "POST", notes, `{"by":"alice","text":"` + strings.Repeat("ü", 5_001) + `"}`, nil, 422, []string{"body.text", "10000 bytes"}},

		{"a write from a page of another site", "POST", ack, `{"by":"alice"}`, []string{"Sec-Fetch-Site", "cross-site"}, 403, []string{"another site"}},
		{"a write from another site through an old browser", "POST", ack, `{"by":"alice"}`, []string{"Origin", "https://evil.example"}, 403, []string{"another site"}},
		{"a reload from a page of another site", "POST", "/-/reload", "", []string{"Sec-Fetch-Site", "same-site"}, 403, []string{"another site"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			answer := f.call(test.method, test.target, test.body, test.headers...)
			if answer.Code != test.status {
				t.Errorf("status %d, want %d", answer.Code, test.status)
			}
			if kind := answer.Header().Get("Content-Type"); kind != "application/problem+json" {
				t.Errorf("Content-Type %q", kind)
			}
			problem := decode[web.Problem](t, answer)
			if problem.Status != test.status || problem.Title != http.StatusText(test.status) || problem.Detail == "" {
				t.Errorf("problem %+v", problem)
			}
			for _, part := range test.says {
				if !strings.Contains(answer.Body.String(), part) {
					t.Errorf("the problem does not say %s:\n%s", part, answer.Body)
				}
			}
			if test.status == http.StatusMethodNotAllowed && answer.Header().Get("Allow") != strings.Join(problem.Allowed, ", ") {
				t.Errorf("Allow %q beside %q", answer.Header().Get("Allow"), problem.Allowed)
			}
			view, err := f.desk.View(t.Context(), "42")
			if err != nil || len(view.Timeline) != 3 {
				t.Errorf("something was written: %v, %v", view.Timeline, err)
			}
		})
	}
}

func TestWhatTheDeskCannotDoIsToldWithoutItsInsides(t *testing.T) {
	for _, test := range []struct {
		name   string
		err    error
		status int
		logged bool
	}{
		{"another replica leads", incident.ErrFenced, 503, false},
		{"somebody else was faster", incident.ErrConflict, 409, false},
		{"the disk is full", errors.New("write /var/lib/secret/path: no space left"), 500, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.desk.Fail(test.err)
			for _, answer := range []*httptest.ResponseRecorder{
				f.call("GET", "/api/v1/incidents", ""),
				f.call("GET", "/api/v1/incidents/42", ""),
				f.call("POST", "/api/v1/incidents/42/notes", `{"by":"alice","text":"x"}`),
			} {
				if answer.Code != test.status || strings.Contains(answer.Body.String(), "secret") {
					t.Errorf("answer %d: %s", answer.Code, answer.Body)
				}
				decode[web.Problem](t, answer)
			}
			if logged := f.logs.FilterLevelExact(zap.ErrorLevel).Len() > 0; logged != test.logged {
				t.Errorf("logged as an error: %t", logged)
			}
		})
	}
}

func TestIncidentsAreListedAndFiltered(t *testing.T) {
	for _, test := range []struct {
		name, query string
		want        []int64
		next        string
	}{
		{"all, newest first", "", []int64{43, 42, 41}, ""},
		{"all, said", "?state=all", []int64{43, 42, 41}, ""},
		{"open ones", "?state=open", []int64{43, 42}, ""},
		{"resolved ones", "?state=resolved", []int64{41}, ""},
		{"of a runbook", "?runbook=cost-spike", []int64{41}, ""},
		{"of a severity", "?severity=sev1", []int64{43}, ""},
		{"of everything at once", "?state=open&severity=sev2&runbook=good-users-refused", []int64{42}, ""},
		{"none", "?runbook=nobody", []int64{}, ""},
		{"a first page", "?limit=2", []int64{43, 42}, "42"},
		{"the page after it", "?limit=2&after=42", []int64{41}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := newFixture(t).call("GET", "/api/v1/incidents"+test.query, "")
			list := decode[web.IncidentList](t, answer)
			numbers := []int64{}
			for _, view := range list.Incidents {
				numbers = append(numbers, view.Number)
			}
			if answer.Code != 200 || !slices.Equal(numbers, test.want) || list.Next != test.next {
				t.Errorf("%d: %v, next %q; want %v, next %q", answer.Code, numbers, list.Next, test.want, test.next)
			}
			if strings.Contains(answer.Body.String(), ":null") {
				t.Errorf("a list is null: %s", answer.Body)
			}
		})
	}
}

func TestAnIncidentIsFoundByIdAndNumber(t *testing.T) {
	for _, ref := range []string{"42", "%2342", "5f0c2a9be1d34788"} {
		answer := newFixture(t).call("GET", "/api/v1/incidents/"+ref, "")
		view := decode[incident.View](t, answer)
		if answer.Code != 200 || view.Number != 42 || len(view.Timeline) != 3 {
			t.Errorf("%s: %d %+v", ref, answer.Code, view)
		}
		if kind := answer.Header().Get("Content-Type"); kind != "application/json" {
			t.Errorf("Content-Type %q", kind)
		}
	}
}

func TestAnAcknowledgementStopsTheCalling(t *testing.T) {
	f := newFixture(t)
	answer := f.call("POST", "/api/v1/incidents/42/acknowledge", `{"by":"alice"}`)
	view := decode[incident.View](t, answer)
	if answer.Code != 200 || view.State != incident.AcknowledgedState || view.AcknowledgedBy != "alice" || view.Calling {
		t.Fatalf("%d: %s", answer.Code, answer.Body)
	}
	if last := view.Timeline[len(view.Timeline)-1]; last.Actor != "alice" || last.Kind != "acknowledged" {
		t.Errorf("timeline ends with %+v", last)
	}
}

func TestMarkupInANoteComesBackAsData(t *testing.T) {
	f := newFixture(t)
	const text = `<script>alert(1)</script> & "quotes" — ü` + "\n\tsecond line"
	body, err := json.Marshal(map[string]string{"by": "alice", "text": text})
	if err != nil {
		t.Fatal(err)
	}
	f.call("POST", "/api/v1/incidents/42/notes", string(body))
	answer := f.call("GET", "/api/v1/incidents/42", "")
	timeline := decode[incident.View](t, answer).Timeline
	if last := timeline[len(timeline)-1]; last.Text != text || last.Actor != "alice" {
		t.Errorf("noted %+v", last)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cache-Control": "no-store",
	} {
		if got := answer.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestAWriteWithTheSameKeyIsDoneOnce(t *testing.T) {
	f := newFixture(t)
	const notes, body = "/api/v1/incidents/42/notes", `{"by":"alice","text":"seen"}`
	first := f.call("POST", notes, body, "Idempotency-Key", "k1")
	second := f.call("POST", notes, body, "Idempotency-Key", "k1")
	spaced := f.call("POST", "/api/v1/incidents/%2342/notes", `{ "text": "seen", "by": "alice" }`, "Idempotency-Key", "k1")
	if first.Code != 200 || first.Body.String() != second.Body.String() || first.Body.String() != spaced.Body.String() {
		t.Errorf("answers differ:\n%s\n%s\n%s", first.Body, second.Body, spaced.Body)
	}
	for name, other := range map[string]*httptest.ResponseRecorder{
		"another text":     f.call("POST", notes, `{"by":"alice","text":"seen again"}`, "Idempotency-Key", "k1"),
		"another incident": f.call("POST", "/api/v1/incidents/43/notes", body, "Idempotency-Key", "k1"),
		"another command":  f.call("POST", "/api/v1/incidents/42/acknowledge", `{"by":"alice"}`, "Idempotency-Key", "k1"),
	} {
		if problem := decode[web.Problem](t, other); other.Code != 422 || !strings.Contains(problem.Detail, "Idempotency-Key") {
			t.Errorf("%s: %d %s", name, other.Code, other.Body)
		}
	}
	f.call("POST", notes, body, "Idempotency-Key", "k2")
	f.call("POST", notes, body)
	f.call("POST", notes, body)
	view, err := f.desk.View(t.Context(), "42")
	if err != nil || len(view.Timeline) != 3+1+1+2 {
		t.Errorf("%d entries, %v", len(view.Timeline), err)
	}
}

func TestRunbooksAndSignalsTellWhatIsBlind(t *testing.T) {
	f := newFixture(t)
	runbooks := f.call("GET", "/api/v1/runbooks", "").Body.String()
	for _, part := range []string{`"state":"fires"`, `"state":"unknown"`, `"since":"2026-11-03T14:00:00Z"`, `"what":"refusal_rate above 8% for 10m"`} {
		if !strings.Contains(runbooks, part) {
			t.Errorf("runbooks do not say %s:\n%s", part, runbooks)
		}
	}
	signals := f.call("GET", "/api/v1/signals", "").Body.String()
	for _, part := range []string{`"error":"503 from prometheus"`, `"last_success":"2026-11-03T14:00:00Z"`, `"segments":2`} {
		if !strings.Contains(signals, part) {
			t.Errorf("signals do not say %s:\n%s", part, signals)
		}
	}
}

func TestTheOpenAPIDocumentDescribesEveryRoute(t *testing.T) {
	answer := newFixture(t).call("GET", "/api/v1/openapi.json", "")
	document := decode[map[string]any](t, answer)
	if document["openapi"] != "3.1.0" || document["info"].(map[string]any)["version"] != "1.2.3" {
		t.Errorf("openapi %v, info %v", document["openapi"], document["info"])
	}
	paths := document["paths"].(map[string]any)
	described := 0
	for path, methods := range paths {
		for method, operation := range methods.(map[string]any) {
			described++
			describes(t, method+" "+path, operation.(map[string]any))
		}
	}
	if want := 29; described != want {
		t.Errorf("%d operations, want %d", described, want)
	}
	resolveReferences(t, document, document)
}

// describes checks that an operation says what it is for, who may ask for it, what it takes, and every way in which it is
// answered.
func describes(t *testing.T, name string, operation map[string]any) {
	if operation["summary"] == "" || operation["operationId"] == "" || operation["security"] == nil {
		t.Errorf("%s: says too little: %v", name, operation)
	}
	responses := operation["responses"].(map[string]any)
	answer, ok := responses["200"].(map[string]any)
	if !ok || len(answer["content"].(map[string]any)) == 0 {
		t.Errorf("%s: its answer is not described", name)
	}
	wanted := []string{"429", "500", "422"}
	if !strings.HasSuffix(name, "/inbound") {
		wanted = append(wanted, "401", "403")
	}
	if strings.HasPrefix(name, "post ") {
		wanted = append(wanted, "413", "400")
		if operation["requestBody"] == nil {
			t.Errorf("%s: what it takes is not described", name)
		}
	}
	if strings.Contains(name, "{") {
		wanted = append(wanted, "404")
		if operation["parameters"] == nil {
			t.Errorf("%s: its path is not described", name)
		}
	}
	for _, status := range wanted {
		problem, ok := responses[status].(map[string]any)
		if !ok || problem["content"].(map[string]any)["application/problem+json"] == nil {
			t.Errorf("%s: %s is not described as a problem", name, status)
		}
	}
}

// resolveReferences checks that everything that the document refers to is in it.
func resolveReferences(t *testing.T, document map[string]any, part any) {
	switch part := part.(type) {
	case map[string]any:
		for key, value := range part {
			if reference, ok := value.(string); ok && key == "$ref" {
				lookUp(t, document, reference)
			}
			resolveReferences(t, document, value)
		}
	case []any:
		for _, value := range part {
			resolveReferences(t, document, value)
		}
	}
}

func lookUp(t *testing.T, document map[string]any, reference string) {
	var at any = document
	for _, step := range strings.Split(strings.TrimPrefix(reference, "#/"), "/") {
		next, ok := at.(map[string]any)[step]
		if !ok {
			t.Errorf("%s is not in the document", reference)
			return
		}
		at = next
	}
}
