package incident

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const interval = 15 * time.Second

// clockTime is a time of the worked example's day, from 15:04:05 or 15:04.
func clockTime(s string) time.Time {
	if strings.Count(s, ":") == 1 {
		s += ":00"
	}
	at, err := time.Parse(time.TimeOnly, s)
	if err != nil {
		panic(err)
	}
	return time.Date(2025, 2, 17, at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
}

// truth is what can be known of the world at a tick.
type truth func(t time.Time) FindingObservation

// world runs a Desk over a truth, tick by tick, with a clock of its own.
type world struct {
	t        tester
	store    *MemoryStore
	desk     *Desk
	snapshot *runbook.Snapshot
	policy   Policy
	truth    truth
	began    time.Time // before it nothing was unknown
	now      time.Time
	told     func(*Record, []Event)
	inForce  []*runbook.Snapshot
	actions  func(r *Record, t time.Time) map[string]ActionObservation // nil: none is looked at
}

// placed gives the events of a firing's home, where no incident is open.
func placed(f Firing, ended []*Record, p Policy, t time.Time) []Event {
	var past []*decision
	for _, r := range ended {
		past = append(past, newDecision(r, p, t))
	}
	d := place(f, nil, past, p, t)
	if d == nil {
		return nil
	}
	d.page()
	return d.events
}

// tester is what testing.T and rapid.T share.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

func newWorld(t tester, began time.Time, truth truth) *world {
	w := &world{t: t, store: NewMemoryStore(), snapshot: refusedRunbook(), policy: testPolicy(), truth: truth, began: began, now: began}
	w.restart()
	return w
}

// restart is a kill: what the Desk knew is gone, what the store has stays.
func (w *world) restart() {
	w.desk = NewDesk(Config{
		Store: w.store, Policy: func() Policy { return w.policy }, Now: func() time.Time { return w.now }, Log: zap.NewNop(),
		InForce: func(name string) *runbook.Snapshot {
			for _, s := range w.inForce {
				if s.Runbook.Name == name {
					return s
				}
			}
			return nil
		},
		OnEvents: func(r *Record, events []Event) {
			if w.told != nil {
				w.told(r, events)
			}
		},
	})
}

var groupOfBot = labels.FromStrings("service", "support-bot")

// noUpdates is for stories that are not about updates.
func noUpdates() runbook.Communication {
	none := map[runbook.Severity]time.Duration{runbook.Sev1: 0, runbook.Sev2: 0, runbook.Sev3: 0, runbook.Sev4: 0}
	return runbook.Communication{FirstUpdate: none, UpdateEvery: none}
}

// refusedRunbook is the worked example's: hold 15m, look-back 5m.
func refusedRunbook() *runbook.Snapshot {
	condition := func(signal string, comparison triggers.Comparison, limit float64) *triggers.Clause {
		return &triggers.Clause{Condition: &triggers.Condition{Signal: signal, Comparison: comparison, Limit: limit, Unit: triggers.Ratio}}
	}
	signal := func(name string) *triggers.Signal {
		return &triggers.Signal{Name: name, Unit: triggers.Ratio, Range: 5 * time.Minute, Numerator: "a", Denominator: "b"}
	}
	return &runbook.Snapshot{
		Runbook: runbook.Runbook{
			Name: "good-users-refused", Title: "The safety layer refuses good users", Service: "support-bot",
			Branch: "safety-false-positives", Owner: "oncall", ReopenWithin: 4 * time.Hour,
			Communication: noUpdates(),
			Recovery: runbook.Recovery{
				Hold: 15 * time.Minute, Timeout: 2 * time.Hour,
				Key:      runbook.Band{Clause: condition("refusal_rate", triggers.Below, 0.06)},
				Safety:   runbook.Band{Clause: condition("unsafe_answer_rate", triggers.Below, 0.001)},
				Business: runbook.Band{Clause: condition("deflection_rate", triggers.Above, 0.38)},
			},
		},
		Signals: map[string]*triggers.Signal{
			"refusal_rate": signal("refusal_rate"), "unsafe_answer_rate": signal("unsafe_answer_rate"),
			"deflection_rate": signal("deflection_rate"),
		},
	}
}

func testPolicy() Policy {
	return Policy{
		Instance: "test", ExternalURL: "http://irdaemon.example", Interval: interval, BlindAfter: 5 * time.Minute,
		Severities: map[runbook.Severity]SeverityPolicy{
			runbook.Sev1: {Page: true, AcknowledgeWithin: 5 * time.Minute},
			runbook.Sev2: {Page: true, AcknowledgeWithin: 15 * time.Minute},
			runbook.Sev3: {Page: true, AcknowledgeWithin: time.Hour},
			runbook.Sev4: {},
		},
		Roles: map[string]Role{
			"oncall": {Page: []string{"pager-oncall"}, EscalateTo: []string{"lead"}},
			"lead":   {Page: []string{"pager-lead"}},
		},
	}
}

// tick evaluates t, late if the clock is ahead of it.
func (w *world) tick(t time.Time, walking bool) {
	w.t.Helper()
	if w.now.Before(t) {
		w.now = t
	}
	open, err := w.desk.Open(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	key := FindingKey(w.snapshot.Runbook.Name, groupOfBot)
	tick := Tick{T: t, Walking: walking, Observations: map[string]Observation{}, Clear: map[string]bool{key: w.truth(t).Trigger == triggers.Clear}}
	for _, r := range open {
		tick.Observations[r.ID] = w.observe(r, t)
	}
	if now := w.truth(t); now.Trigger == triggers.Fires {
		tick.Firings = []Firing{{
			Snapshot: w.snapshot, Hash: "hash", Group: groupOfBot, Service: "support-bot",
			Severity: now.Severity, Rule: now.Rule, Breaches: now.Breaches,
		}}
	}
	if err := w.desk.Tick(w.t.Context(), tick); err != nil {
		w.t.Fatalf("tick %s: %v", t, err)
	}
}

// observe looks at the truth of a tick, of what has been unknown on end, and of the hold's ticks before.
func (w *world) observe(r *Record, t time.Time) Observation {
	now := w.truth(t)
	for i := range now.Unknown {
		since := t
		for before := t.Add(-interval); !before.Before(w.began); before = before.Add(-interval) {
			same := func(m Missing) bool { return m.What == now.Unknown[i].What }
			if !slices.ContainsFunc(w.truth(before).Unknown, same) {
				break
			}
			since = before
		}
		now.Unknown[i].Since = since
	}
	o := Observation{Findings: []FindingObservation{now}}
	if w.actions != nil {
		o.Actions = w.actions(r, t)
	}
	if r.Hold != nil {
		o.Hold = Progress{Since: r.Hold.Since, Through: r.Hold.Since}
		for tick := r.Hold.Since.Add(interval); tick.Before(t); tick = tick.Add(interval) {
			o.Hold = o.Hold.Add(tick, interval, []FindingObservation{w.truth(tick)})
		}
	}
	return o
}

// live evaluates every tick after one time up to another, with the clock's call on each.
func (w *world) live(after, to time.Time) {
	w.t.Helper()
	for t := after.Add(interval); !t.After(to); t = t.Add(interval) {
		w.tick(t, false)
		if err := w.desk.Clock(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// walk evaluates the ticks after one time up to another that were missed while the daemon was away.
func (w *world) walk(after, to time.Time) {
	w.t.Helper()
	w.now = to
	w.restart()
	for t := after.Add(interval); !t.After(to); t = t.Add(interval) {
		w.tick(t, t.Before(to))
	}
}

// send tells of every due row that its receiver accepted it.
func (w *world) send() {
	w.t.Helper()
	for _, row := range w.store.Rows() {
		if row.State == RowDue {
			if err := w.desk.Delivered(w.t.Context(), row.Delivery, "ok"); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func (w *world) command(c Command) {
	w.t.Helper()
	if _, err := w.desk.Command(w.t.Context(), "#1", c, Idempotency{}); err != nil {
		w.t.Fatalf("%T: %v", c, err)
	}
}

// happen adds what people and actions do to the first incident, as it is told to the Desk at a time.
func (w *world) happen(at, actor string, bodies ...Body) {
	w.t.Helper()
	w.now = clockTime(at)
	err := w.desk.decide(w.t.Context(), func() (Commit, error) {
		r := w.record()
		d := newDecision(r, w.policy, w.now)
		d.actor, d.seed = actor, fmt.Sprintf("%s %T", at, bodies[0])
		for _, body := range bodies {
			d.add(body, "")
			if done, ok := body.(ActionDone); ok {
				d.effectiveOnceDone(d.record.action(done.Action))
			}
		}
		return Commit{Changes: []Change{change(r, d.events, w.policy, w.now)}}, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) record() *Record {
	w.t.Helper()
	r, err := w.store.Load(w.t.Context(), "#1")
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// timeline is every event of the first incident but receipts, as "15:04:05 kind".
func (w *world) timeline(kinds ...string) []string {
	w.t.Helper()
	events, err := w.store.Events(w.t.Context(), w.record().ID, 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var lines []string
	for _, e := range events {
		kind := e.Body.Kind()
		if len(kinds) == 0 && kind == "page_delivered" || len(kinds) > 0 && !slices.Contains(kinds, kind) {
			continue
		}
		lines = append(lines, e.At.Format(time.TimeOnly)+" "+kind)
	}
	return lines
}

func sameLines(t tester, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// phase is a time of constant rates, from its beginning on.
type phase struct {
	from               string
	refused, deflected float64
}

var workedExample = []phase{{"00:00", 0.04, 0.42}, {"13:58:30", 0.19, 0.25}, {"14:21", 0.08, 0.36}, {"14:31", 0.05, 0.41}}

// rates gives the point at t: the means of (t-5m, t].
var rates = remembered(func(t time.Time) (refused, deflected float64) {
	for at := t.Add(-5*time.Minute + interval); !at.After(t); at = at.Add(interval) {
		var now phase
		for _, p := range workedExample {
			if clockTime(p.from).Before(at) {
				now = p
			}
		}
		refused += now.refused / 20
		deflected += now.deflected / 20
	}
	return refused, deflected
})

// remembered asks once for each time.
func remembered(ask func(time.Time) (float64, float64)) func(time.Time) (float64, float64) {
	type answer struct{ refused, deflected float64 }
	answers := map[time.Time]answer{}
	return func(t time.Time) (float64, float64) {
		if _, ok := answers[t]; !ok {
			refused, deflected := ask(t)
			answers[t] = answer{refused, deflected}
		}
		return answers[t].refused, answers[t].deflected
	}
}

// workedExampleAt plays the text's windows: `any` of refusals above 8% for 10m and deflection below 31.5% for 10m.
func workedExampleAt(t time.Time) FindingObservation {
	const window = 10 * time.Minute
	refused, deflected := rates(t)
	o := FindingObservation{Trigger: triggers.Clear, Severity: runbook.Sev3}
	if refused >= 0.15 {
		o.Severity, o.Rule = runbook.Sev2, "refusal_rate above 15%"
	}
	for _, c := range []struct {
		signal, title string
		limit         float64
		breaches      func(refused, deflected float64) bool
		value         float64
	}{
		{"refusal_rate", "Refusal rate", 0.08, func(refused, _ float64) bool { return refused >= 0.08-1e-9 }, refused},
		{"deflection_rate", "Deflection rate", 0.315, func(_, deflected float64) bool { return deflected <= 0.315+1e-9 }, deflected},
	} {
		breaching := c.breaches(rates(t))
		run, since := t, time.Duration(0)
		for since = 0; since < 3*window && c.breaches(rates(run)) == breaching; since += interval {
			run = run.Add(-interval)
		}
		since -= interval
		switch {
		case breaching && since >= window:
			o.Trigger = triggers.Fires
			o.Breaches = append(o.Breaches, Breach{
				Condition: c.signal, Signal: c.signal, Title: c.title, Segment: groupOfBot, Limit: c.limit, Unit: triggers.Ratio,
				Value: triggers.Value{V: c.value}, BreachBegan: run.Add(interval), ImpactBegan: clockTime("13:59:15"),
			})
		case (breaching || since < window) && o.Trigger == triggers.Clear:
			o.Trigger = triggers.Elevated
		}
	}
	held := map[bool]BandState{true: BandHeld, false: BandMissed}
	o.Bands = [3]BandObservation{
		{State: held[refused <= 0.06+1e-9], Value: &triggers.Value{V: refused}},
		{State: BandHeld},
		{State: held[deflected >= 0.38-1e-9], Value: &triggers.Value{V: deflected}},
	}
	return o
}

// workedExampleWith changes what is true between two ticks, both included.
func workedExampleWith(from, to string, change func(*FindingObservation)) truth {
	return func(t time.Time) FindingObservation {
		o := workedExampleAt(t)
		if !t.Before(clockTime(from)) && !t.After(clockTime(to)) {
			change(&o)
		}
		return o
	}
}

func TestTheWorkedExampleIsTicked(t *testing.T) {
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	w.live(clockTime("14:05"), clockTime("14:12:15"))
	w.send()
	w.now = clockTime("14:12:24")
	w.command(Acknowledge{By: "alice", Via: "api"})
	w.live(clockTime("14:12:15"), clockTime("15:00"))
	w.send()

	sameLines(t, w.timeline(), []string{
		"14:10:00 opened", "14:10:00 paged", "14:11:45 breach_joined", "14:12:24 acknowledged",
		"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:49:30 resolved",
	})
	r := w.record()
	for _, test := range []struct {
		name string
		got  time.Time
		want string
	}{
		{"impact started", r.ImpactStartedAt, "13:59:15"},
		{"breach began", r.BreachBegan, "14:00:00"},
		{"opened", r.OpenedAt, "14:10:00"},
		{"detected", r.DetectedAt, "14:10:00"},
		{"paged", r.PagedAt, "14:12:15"},
		{"acknowledged", r.AcknowledgedAt, "14:12:24"},
		{"mitigated", r.MitigatedAt, "14:41:15"},
		{"impact ended", r.ImpactEndedAt, "14:34:30"},
		{"resolved", r.ResolvedAt, "14:49:30"},
	} {
		if got := test.got.Format(time.TimeOnly); got != test.want {
			t.Errorf("%s at %s, want %s", test.name, got, test.want)
		}
	}
	if r.Severity != runbook.Sev2 || r.State() != ResolvedState {
		t.Errorf("severity %s, state %s", r.Severity, r.State())
	}
	var rows []string
	for _, row := range w.store.Rows() {
		rows = append(rows, fmt.Sprintf("%s %s %s", row.Kind, row.Receiver, row.State))
	}
	sameLines(t, rows, []string{"page pager-oncall sent", "end pager-oncall sent"})
}

func TestTheWorkedExampleIfSomethingElseHappens(t *testing.T) {
	unseen := func(o *FindingObservation) {
		o.Bands[2] = BandObservation{}
		o.Unknown = []Missing{{What: "deflection_rate above 38%"}}
	}
	missed := func(o *FindingObservation) {
		o.Bands[0] = BandObservation{State: BandMissed, Value: &triggers.Value{V: 0.061}}
	}
	elevated := func(o *FindingObservation) { o.Trigger = triggers.Elevated }
	fires := func(o *FindingObservation) { o.Trigger = triggers.Fires }
	empty := func(band int) func(o *FindingObservation) {
		return func(o *FindingObservation) { o.Bands[band] = BandObservation{State: BandEmpty} }
	}
	for _, test := range []struct {
		name    string
		truth   truth
		atLeast float64
		want    []string // from the hold on
	}{
		{"unknown for 4 minutes pauses the hold", workedExampleWith("14:40:15", "14:44:00", unseen), 0,
			[]string{"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:53:30 resolved"}},
		{"unknown for longer than the hold breaks it", workedExampleWith("14:40:15", "14:56:00", unseen), 0, []string{
			"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:45:15 went_blind", "14:45:15 paged", "14:55:15 hold_broken",
			"14:56:15 hold_started", "14:56:15 sight_back", "15:00:15 paged", "15:11:15 resolved"}},
		{"unknown at the last tick alone puts the end off by one", workedExampleWith("14:49:30", "14:49:30", unseen), 0,
			[]string{"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:49:45 resolved"}},
		{"a miss that may be changes nothing", workedExampleWith("14:45:00", "14:45:00", missed), 0.8,
			[]string{"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:49:30 resolved"}},
		{"a miss at the last tick puts the end off by one", workedExampleWith("14:49:30", "14:49:30", missed), 0.8,
			[]string{"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:49:45 resolved"}},
		{"twelve misses may be", workedExampleWith("14:42:00", "14:44:45", missed), 0.8,
			[]string{"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:49:30 resolved"}},
		{"the thirteenth breaks the hold", workedExampleWith("14:42:00", "14:45:00", missed), 0.8, []string{
			"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:45:00 hold_broken", "14:45:15 hold_started", "15:00:15 resolved"}},
		{"a miss that may not be breaks the hold", workedExampleWith("14:45:00", "14:45:00", missed), 0, []string{
			"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:45:00 hold_broken", "14:45:15 hold_started", "15:00:15 resolved"}},
		{"an elevated trigger puts the end off", workedExampleWith("14:41:15", "14:52:45", elevated), 0,
			[]string{"14:34:30 hold_started", "14:53:00 trigger_cleared", "14:53:00 resolved"}},
		{"a trigger that fires before it was clear breaks the hold", workedExampleWith("14:37:00", "14:37:15", fires), 0, []string{
			"14:34:30 hold_started", "14:37:00 hold_broken", "14:37:30 hold_started", "14:41:15 trigger_cleared", "14:52:30 resolved"}},
		{"a trigger that fires after it was clear is a relapse", workedExampleWith("14:45:00", "14:45:15", fires), 0, []string{
			"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:45:00 relapsed", "14:45:00 paged", "14:45:30 trigger_cleared",
			"14:45:30 hold_started", "15:00:00 paged", "15:00:30 resolved"}},
		{"an empty safety band is no obstacle", workedExampleWith("14:34:30", "14:49:30", empty(1)), 0,
			[]string{"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:49:30 resolved"}},
		{"an empty key starts nothing", workedExampleWith("14:34:30", "14:34:30", empty(0)), 0,
			[]string{"14:34:45 hold_started", "14:41:15 trigger_cleared", "14:49:45 resolved"}},
		{"an empty key ends nothing, but the clock goes on", workedExampleWith("14:40:00", "14:49:30", empty(0)), 0,
			[]string{"14:34:30 hold_started", "14:41:15 trigger_cleared", "14:49:45 resolved"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, clockTime("13:58"), test.truth)
			w.snapshot.Runbook.Recovery.Key.Clause.Condition.AtLeast = test.atLeast
			w.live(clockTime("14:09"), clockTime("14:12:15"))
			w.command(Acknowledge{By: "alice"})
			w.live(clockTime("14:12:15"), clockTime("15:15"))
			got := w.timeline()
			sameLines(t, got[min(4, len(got)):], test.want)
			if last := w.record(); !strings.HasSuffix(test.want[0], last.ImpactEndedAt.Format(time.TimeOnly)) {
				holds := w.timeline("hold_started")
				if ended := last.ImpactEndedAt.Format(time.TimeOnly) + " hold_started"; ended != holds[len(holds)-1] {
					t.Errorf("impact ended %s, want %s", ended, holds[len(holds)-1])
				}
			}
		})
	}
}

func TestTheWorkedExampleWithTheDaemonAway(t *testing.T) {
	for _, test := range []struct{ name, gone, back, recorded string }{
		{"within the hold", "14:40", "14:47", "14:49:30"},
		{"beyond the end", "14:40", "15:05", "15:05:00"},
		{"from before the breach", "13:59", "14:38", "14:49:30"},
		{"for all of it", "13:59", "15:05", "15:05:00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, clockTime("13:58"), workedExampleAt)
			w.live(clockTime("13:58"), clockTime(test.gone))
			w.walk(clockTime(test.gone), clockTime(test.back))
			w.live(clockTime(test.back), clockTime("15:15"))
			sameLines(t, w.timeline("opened", "breach_joined", "hold_started", "trigger_cleared", "resolved"), []string{
				"14:10:00 opened", "14:11:45 breach_joined", "14:34:30 hold_started", "14:41:15 trigger_cleared", "14:49:30 resolved",
			})
			events, _ := w.store.Events(t.Context(), w.record().ID, 0, 0)
			if got := events[len(events)-1].RecordedAt.Format(time.TimeOnly); got != test.recorded {
				t.Errorf("resolved recorded at %s, want %s", got, test.recorded)
			}
		})
	}
}

func TestAnIncidentThatOpensWhileTheDaemonIsAway(t *testing.T) {
	t.Run("is paged once, when the walk is over, if it is still open", func(t *testing.T) {
		w := newWorld(t, clockTime("13:58"), workedExampleAt)
		w.walk(clockTime("13:59"), clockTime("14:20"))
		sameLines(t, w.timeline(), []string{"14:10:00 opened", "14:11:45 breach_joined", "14:20:00 paged"})
		r := w.record()
		if got := r.DetectedAt.Format(time.TimeOnly); got != "14:20:00" {
			t.Errorf("detected at %s, want 14:20:00", got)
		}
	})
	t.Run("is told as a notice, if it has ended", func(t *testing.T) {
		w := newWorld(t, clockTime("13:58"), workedExampleAt)
		w.walk(clockTime("13:59"), clockTime("15:05"))
		rows := w.store.Rows()
		if len(rows) != 1 || rows[0].Kind != DeliverNotice || rows[0].Receiver != "pager-oncall" {
			t.Errorf("rows %+v, want one notice to pager-oncall", rows)
		}
	})
	t.Run("is not paged by the clock during the walk", func(t *testing.T) {
		w := newWorld(t, clockTime("13:58"), workedExampleAt)
		w.now = clockTime("14:20")
		w.tick(clockTime("14:10"), true)
		if err := w.desk.Clock(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.restart()
		if err := w.desk.Clock(t.Context()); err != nil {
			t.Fatal(err)
		}
		sameLines(t, w.timeline(), []string{"14:10:00 opened"})
	})
}
