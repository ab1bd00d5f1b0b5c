package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// actedRunbook is refusedRunbook with two steps to roll back and the example's updates. With seen the steps have
// conditions by which their taking effect is seen on traffic.
func actedRunbook(seen bool) *runbook.Snapshot {
	s := refusedRunbook()
	s.Runbook.Recovery.Key.Clause.Condition.AtLeast = 0.8
	s.Runbook.Communication = runbook.Communication{
		FirstUpdate: map[runbook.Severity]time.Duration{runbook.Sev2: 10 * time.Minute},
		UpdateEvery: map[runbook.Severity]time.Duration{runbook.Sev2: 30 * time.Minute},
	}
	effective := &triggers.Clause{Condition: &triggers.Condition{Signal: "refusal_rate", Comparison: triggers.Above, Limit: 0.99}}
	s.Runbook.Rollback = []runbook.Step{{Artifact: "prompt", Effective: effective, Settle: 5 * time.Minute}, {Artifact: "retrieval_index", Settle: 5 * time.Minute}}
	if seen {
		s.Runbook.Rollback[1].Effective = effective
	}
	return s
}

// lived plays the worked example with its people and actions, up to a time. The daemon is away between gone and back.
func lived(t *testing.T, truth truth, s *runbook.Snapshot, gone, back, until string) *world {
	w := newWorld(t, clockTime("13:58"), truth)
	w.snapshot = s
	effective := map[string]time.Time{"prompt": clockTime("14:21"), "index": clockTime("14:31")}
	w.actions = func(r *Record, t time.Time) map[string]ActionObservation {
		seen := map[string]ActionObservation{}
		for _, a := range r.Actions {
			o := ActionObservation{Effective: triggers.No}
			if !t.Before(effective[a.ID]) {
				o.Effective = triggers.Yes
			}
			if due := r.EffectDue(&a); !due.IsZero() && !t.Before(due) {
				refused, deflected := rates(t)
				o.Effect = &Effect{Verdict: EffectHelped, Metrics: []EffectMetric{
					{Band: "key", After: &triggers.Value{V: refused}}, {Band: "business", After: &triggers.Value{V: deflected}},
				}}
			}
			seen[a.ID] = o
		}
		return seen
	}
	type told struct {
		at, who string
		bodies  []Body
	}
	update := func(next string) UpdatePosted { return UpdatePosted{Audience: Internal, NextUpdateAt: clockTime(next)} }
	last := clockTime("14:05")
	advance := func(to time.Time) {
		if gone != "" && last.Before(clockTime(back)) && !to.Before(clockTime(back)) {
			w.live(last, clockTime(gone))
			w.walk(clockTime(gone), clockTime(back))
			last = clockTime(back)
		}
		w.live(last, to)
		last = to
	}
	for _, happens := range []told{
		{"14:12:24", "alice", []Body{Acknowledged{Round: 1, Via: "api"}}},
		{"14:17:40", "alice", []Body{ActionRequested{Action: "prompt", Step: "prompt", From: "v7", To: "v6", Settle: 5 * time.Minute}}},
		{"14:18:00", Daemon, []Body{ActionStarted{Action: "prompt", Attempt: 1}}},
		{"14:18:02", Daemon, []Body{ActionDone{Action: "prompt", How: DoneSent}}},
		{"14:19:00", "alice", []Body{update("14:49")}},
		{"14:29:00", "alice", []Body{ActionDone{Action: "index", Step: "retrieval_index", How: DoneByHand, Settle: 5 * time.Minute}}},
		{"14:39:00", "alice", []Body{update("15:15"), UpdatePosted{Audience: Customer, Text: "We are on it.", NextUpdateAt: clockTime("15:15")}}},
	} {
		at := clockTime(happens.at)
		tick := at.Truncate(interval)
		if tick.After(last) {
			advance(tick)
		}
		w.happen(happens.at, happens.who, happens.bodies...)
	}
	advance(clockTime(until))
	return w
}

func TestTheWorkedExampleIsLived(t *testing.T) {
	w := lived(t, workedExampleAt, actedRunbook(true), "", "", "15:20")
	sameLines(t, w.timeline(), []string{
		"14:10:00 opened", "14:10:00 paged", "14:11:45 breach_joined", "14:12:24 acknowledged", "14:17:40 action_requested",
		"14:18:00 action_started", "14:18:02 action_done", "14:19:00 update_posted", "14:21:00 action_effective",
		"14:26:00 effect_measured", "14:29:00 action_done", "14:31:00 action_effective", "14:36:00 effect_measured",
		"14:36:00 hold_started", "14:39:00 update_posted", "14:39:00 update_posted", "14:41:15 trigger_cleared", "14:51:00 resolved",
	})
	r := w.record()
	if got := r.ImpactEndedAt.Format(time.TimeOnly); got != "14:36:00" {
		t.Errorf("impact ended %s, want 14:36:00", got)
	}
	if got := r.MitigatedAt.Format(time.TimeOnly); got != "14:41:15" {
		t.Errorf("mitigated %s, want 14:41:15", got)
	}
	for i, want := range [][2]float64{{0.08, 0.36}, {0.05, 0.41}} {
		metrics := r.Actions[i].Effect.Metrics
		if key, business := metrics[0].After.V, metrics[1].After.V; !near(key, want[0]) || !near(business, want[1]) {
			t.Errorf("effect of %s: %.3f and %.3f, want %v", r.Actions[i].ID, key, business, want)
		}
	}
	if len(r.Updates) != 3 || r.Updates[2].Audience != Customer {
		t.Errorf("updates %+v, want the last of three for customers", r.Updates)
	}
}

func near(a, b float64) bool { return a-b < 1e-9 && b-a < 1e-9 }

func TestStatesOfTheWorkedExample(t *testing.T) {
	for _, test := range []struct {
		until string
		state State
		due   string
	}{
		{"14:12:15", Triggered, "14:20:00"},
		{"14:12:30", AcknowledgedState, "14:20:00"},
		{"14:18:15", Mitigating, "14:20:00"},
		{"14:20:00", Mitigating, "14:49:00"},
		{"14:35:45", Mitigating, "14:49:00"},
		{"14:36:00", Verifying, "14:49:00"},
		{"14:40:00", Verifying, "15:15:00"},
		{"14:51:00", ResolvedState, "00:00:00"},
	} {
		w := newWorldUntil(t, test.until)
		r := w.record()
		if due := r.NextUpdateAt.Format(time.TimeOnly); r.State() != test.state || due != test.due {
			t.Errorf("at %s: %s, update due %s; want %s, %s", test.until, r.State(), due, test.state, test.due)
		}
	}
}

// newWorldUntil is the lived example cut off at a time: what is told later never happened.
func newWorldUntil(t *testing.T, until string) *world {
	w := lived(t, workedExampleAt, actedRunbook(true), "", "", "15:00")
	events, err := w.store.Events(t.Context(), w.record().ID, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	events = slices.DeleteFunc(events, func(e Event) bool { return e.At.After(clockTime(until)) })
	cut := newWorld(t, w.began, w.truth)
	err = cut.store.Commit(t.Context(), Commit{Changes: []Change{{Record: Fold(events), Events: events}}})
	if err != nil {
		t.Fatal(err)
	}
	return cut
}

func TestTheLivedExampleIfSomethingElseHappens(t *testing.T) {
	unseen := func(o *FindingObservation) {
		o.Bands[2] = BandObservation{}
		o.Unknown = []Missing{{What: "deflection_rate above 38%"}}
	}
	missed := func(o *FindingObservation) { o.Bands[0] = BandObservation{State: BandMissed} }
	elevated := func(o *FindingObservation) { o.Trigger = triggers.Elevated }
	low := func(o *FindingObservation) { o.Low = true }
	unproven := func(o *FindingObservation) { o.Bands[0].Unproven = "2 of 50: about 12 more" }
	strict := actedRunbook(true)
	strict.Runbook.Recovery.Key.Clause.Condition.AtLeast = 1
	const began, cleared = "14:36:00 hold_started", "14:41:15 trigger_cleared"
	for _, test := range []struct {
		name       string
		truth      truth
		snapshot   *runbook.Snapshot
		gone, back string
		want       []string // from the hold on, without updates
	}{
		{"deflection unknown for 16 ticks", workedExampleWith("14:40:15", "14:44:00", unseen), nil, "", "",
			[]string{began, cleared, "14:55:00 resolved"}},
		{"unknown for longer than the hold", workedExampleWith("14:40:15", "14:56:00", unseen), nil, "", "", []string{
			began, cleared, "14:45:15 went_blind", "14:45:15 paged", "14:55:15 hold_broken", "14:56:15 hold_started",
			"14:56:15 sight_back", "15:00:15 paged", "15:11:15 resolved"}},
		{"unknown at the last tick alone", workedExampleWith("14:51:00", "14:51:00", unseen), nil, "", "",
			[]string{began, cleared, "14:51:15 resolved"}},
		{"a miss that may be", workedExampleWith("14:45:00", "14:45:00", missed), nil, "", "",
			[]string{began, cleared, "14:51:00 resolved"}},
		{"a miss that may not be", workedExampleWith("14:45:00", "14:45:00", missed), strict, "", "",
			[]string{began, cleared, "14:45:00 hold_broken", "14:45:15 hold_started", "15:00:15 resolved"}},
		{"the trigger elevated until 14:52:45", workedExampleWith("14:41:15", "14:52:45", elevated), nil, "", "",
			[]string{began, "14:53:00 trigger_cleared", "14:53:00 resolved"}},
		{"counts that prove nothing yet let the hold last on", workedExampleWith("14:50:00", "14:53:00", unproven), nil, "", "",
			[]string{began, cleared, "14:53:15 resolved"}},
		{"the daemon gone within the hold", workedExampleAt, nil, "14:40", "14:47", []string{began, cleared, "14:51:00 resolved"}},
		{"the daemon gone beyond the end", workedExampleAt, nil, "14:40", "15:05", []string{began, cleared, "14:51:00 resolved"}},
		{"the index step without a condition", workedExampleAt, actedRunbook(false), "", "",
			[]string{"14:34:30 hold_started", cleared, "14:49:30 resolved"}},
		{"little traffic for four minutes pauses the hold", workedExampleWith("14:40:15", "14:44:00", low), nil, "", "",
			[]string{began, cleared, "14:55:00 resolved"}},
		{"little traffic at the last tick puts the end off", workedExampleWith("14:51:00", "14:51:00", low), nil, "", "",
			[]string{began, cleared, "14:51:15 resolved"}},
		{"little traffic at an end that was put off already", func(t time.Time) FindingObservation {
			o := workedExampleWith("14:41:15", "14:52:45", elevated)(t)
			o.Low = t.Equal(clockTime("14:53"))
			return o
		}, nil, "", "", []string{began, "14:53:00 trigger_cleared", "14:53:15 resolved"}},
		{"little traffic for longer than the hold breaks it blind", workedExampleWith("14:40:15", "15:00:00", low), nil, "", "",
			[]string{began, cleared, "14:55:15 hold_broken", "14:55:30 hold_started", "15:15:00 resolved"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.snapshot == nil {
				test.snapshot = actedRunbook(true)
			}
			w := lived(t, test.truth, test.snapshot, test.gone, test.back, "15:15")
			lines := w.timeline("hold_started", "hold_broken", "trigger_cleared", "went_blind", "sight_back", "paged", "resolved")
			from := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "hold_started") })
			sameLines(t, lines[max(from, 0):], test.want)
			holds := w.timeline("hold_started")
			if r := w.record(); r.ImpactEndedAt.Format(time.TimeOnly)+" hold_started" != holds[len(holds)-1] {
				t.Errorf("impact ended %s, holds %v", r.ImpactEndedAt, holds)
			}
		})
	}
}

func TestTheLivedExampleIsRecordedWhenTheDaemonIsBack(t *testing.T) {
	for back, want := range map[string]string{"14:47": "14:51:00", "15:05": "15:05:00"} {
		w := lived(t, workedExampleAt, actedRunbook(true), "14:40", back, "15:10")
		events, _ := w.store.Events(t.Context(), w.record().ID, 0, 0)
		if got := events[len(events)-1].RecordedAt.Format(time.TimeOnly); got != want {
			t.Errorf("back at %s: resolved recorded at %s, want %s", back, got, want)
		}
	}
}

func TestTheWorkedExampleIfNobodyActs(t *testing.T) {
	t.Run("nobody acknowledges: the lead, then the owner again", func(t *testing.T) {
		w := newWorld(t, clockTime("13:58"), workedExampleAt)
		w.live(clockTime("14:09"), clockTime("14:40"))
		sameLines(t, w.timeline("paged"), []string{"14:10:00 paged", "14:25:00 paged", "14:40:00 paged"})
	})
	t.Run("nobody posts an update: overdue, and a round", func(t *testing.T) {
		w := newWorld(t, clockTime("13:58"), workedExampleAt)
		w.snapshot = actedRunbook(true)
		w.live(clockTime("14:09"), clockTime("14:12:15"))
		w.happen("14:12:24", "alice", Acknowledged{Round: 1})
		w.live(clockTime("14:12:15"), clockTime("14:19"))
		w.happen("14:19", "alice", UpdatePosted{Audience: Internal, NextUpdateAt: clockTime("14:49")})
		w.live(clockTime("14:19"), clockTime("14:49"))
		sameLines(t, w.timeline("paged", "update_overdue"), []string{"14:10:00 paged", "14:49:00 update_overdue", "14:49:00 paged"})
		r := w.record()
		if due := r.NextUpdateAt.Format(time.TimeOnly); due != "15:19:00" || !r.OverdueSince.Equal(clockTime("14:49")) {
			t.Errorf("next update due %s, overdue since %s; want 15:19:00 and 14:49:00", due, r.OverdueSince)
		}
		w.happen("14:50", "alice", UpdatePosted{Audience: Internal, NextUpdateAt: clockTime("15:20")})
		if r := w.record(); r.Round.Calling || !r.OverdueSince.IsZero() {
			t.Errorf("an update was posted, and the round for it goes on: %+v", r.Round)
		}
	})
}
