package incident

import (
	"fmt"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// kindsAt lists events as "14:20:00 kind", with why an action failed.
func kindsAt(events []Event) []string {
	var lines []string
	for _, e := range events {
		line := e.At.Format(time.TimeOnly) + " " + e.Body.Kind()
		if failed, ok := e.Body.(ActionFailed); ok {
			line += " " + failed.Why
		}
		lines = append(lines, line)
	}
	return lines
}

// play decides every tick up to a time; seen says what each saw of the action "one".
func play(r *Record, until string, seen func(t time.Time) ActionObservation) (*Record, []Event) {
	var all []Event
	held := FindingObservation{Trigger: triggers.Clear, Bands: [3]BandObservation{{State: BandHeld}, {State: BandHeld}, {State: BandHeld}}}
	for t := clockTime("14:10:15"); !t.After(clockTime(until)); t = t.Add(interval) {
		o := Observation{Findings: []FindingObservation{held}, Actions: map[string]ActionObservation{"one": seen(t)}}
		if r.Hold != nil {
			o.Hold = Progress{Since: r.Hold.Since, Through: t.Add(-interval), Elapsed: t.Sub(r.Hold.Since) - interval}
		}
		events := Decide(r, o, testPolicy(), t, true)
		r, all = add(r, events), append(all, events...)
	}
	return r, all
}

func TestWhatBecomesOfAnAction(t *testing.T) {
	yes := func(from string) func(time.Time) ActionObservation {
		return func(t time.Time) ActionObservation {
			o := ActionObservation{Effective: triggers.No}
			if !t.Before(clockTime(from)) {
				o.Effective = triggers.Yes
			}
			return o
		}
	}
	never := yes("23:00")
	effect := func(t time.Time) ActionObservation {
		o := yes("14:21")(t)
		if !t.Before(clockTime("14:26:30")) { // not looked at before
			o.Effect = &Effect{Verdict: EffectHelped}
		}
		return o
	}
	asked := ActionRequested{Action: "one", Step: "prompt", Approval: runbook.ApprovalTwoPerson}
	started, done := at("14:18", ActionStarted{Action: "one", Attempt: 1}), at("14:18:02", ActionDone{Action: "one", How: DoneSent})
	byAlice := func(d *decision) { d.actor = "alice"; d.addAt(clockTime("14:11"), asked, "") }
	approvedBy := func(who string) func(*decision) {
		return func(d *decision) { d.actor = who; d.addAt(clockTime("14:12"), ActionApproved{Action: "one"}, who) }
	}
	const clear = "14:10:15 trigger_cleared"
	for _, test := range []struct {
		name  string
		since []func(*decision)
		seen  func(time.Time) ActionObservation
		until string
		want  []string
	}{
		{"a request that nobody else approves expires", []func(*decision){byAlice}, never, "14:27",
			[]string{clear, "14:10:15 hold_started", "14:25:15 resolved"}},
		{"what was started is waited for", []func(*decision){byAlice, started}, never, "14:40", []string{clear}},
		{"once done it has ten minutes to show on traffic", []func(*decision){byAlice, started, done}, never, "14:28:15",
			[]string{clear, "14:28:15 action_failed ineffective", "14:28:15 hold_started"}},
		{"it takes effect", []func(*decision){byAlice, started, done}, yes("14:21"), "14:26",
			[]string{clear, "14:21:00 action_effective", "14:26:00 hold_started"}},
		{"it takes effect before its answer is in", []func(*decision){byAlice, started}, yes("14:21"), "14:26",
			[]string{clear, "14:21:00 action_effective", "14:26:00 hold_started"}},
		{"it takes effect in the tick that would call it ineffective", []func(*decision){byAlice, started, done}, yes("14:28:15"), "14:28:30",
			[]string{clear, "14:28:15 action_effective"}},
		{"an effect that comes late counts from then", []func(*decision){byAlice, started, done}, yes("14:30"), "14:35",
			[]string{clear, "14:28:15 action_failed ineffective", "14:28:15 hold_started", "14:30:00 action_effective", "14:35:00 hold_started"}},
		{"what is seen before it began says nothing", []func(*decision){byAlice, started}, yes("14:00"), "14:18",
			[]string{clear, "14:18:00 action_effective"}},
		{"its effect is read once, when somebody looks", []func(*decision){byAlice, started, done}, effect, "14:30",
			[]string{clear, "14:21:00 action_effective", "14:26:00 hold_started", "14:26:30 effect_measured"}},
		{"done without a condition is effective when it was done", []func(*decision){at("14:18:02", ActionDone{Action: "one", How: DoneByHand, Step: "retrieval_index"})},
			never, "14:23:15", []string{clear, "14:18:02 action_effective", "14:23:15 hold_started"}},
		{"what failed for good is over", []func(*decision){byAlice, started, at("14:19", ActionFailed{Action: "one", Why: FailedRefused})}, yes("14:20"), "14:19",
			[]string{clear, "14:19:00 hold_started"}},
		{"what nobody answered is not judged", []func(*decision){byAlice, started, at("14:19", ActionFailed{Action: "one", Why: FailedUnanswered})}, yes("14:20"), "14:33",
			[]string{clear, "14:19:00 hold_started"}},
		{"a second person's approval keeps the request", []func(*decision){byAlice, approvedBy("bob")}, never, "14:25:15",
			[]string{clear, "14:10:15 hold_started", "14:25:15 resolved"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := home(Firing{Snapshot: actedRunbook(false), Hash: "hash", Group: groupOfBot, Service: "support-bot", Severity: runbook.Sev2}, test.since...)
			r.NextUpdateAt = clockTime("20:00")
			_, events := play(r, test.until, test.seen)
			sameLines(t, kindsAt(events), test.want)
		})
	}
}

func TestARequestExpires(t *testing.T) {
	approved := func(who string) *Record {
		return home(firingOf(refusedRunbook(), runbook.Sev2), func(d *decision) {
			d.actor = "alice"
			d.addAt(clockTime("14:11"), ActionRequested{Action: "one", Approval: runbook.ApprovalTwoPerson}, "")
			if d.actor = who; who != "" {
				d.addAt(clockTime("14:12"), ActionApproved{Action: "one"}, "")
			}
		})
	}
	unseen := Observation{Findings: []FindingObservation{{Trigger: triggers.Fires}}}
	for _, test := range []struct{ name, by, t, want string }{
		{"not yet", "", "14:25:45", "[]"},
		{"after fifteen minutes", "", "14:26", "[14:26:00 action_failed expired]"},
		{"though the one who asked approved it", "alice", "14:26", "[14:26:00 action_failed expired]"},
		{"not what another one approved", "bob", "14:26", "[]"},
	} {
		if got := fmt.Sprint(kindsAt(Decide(approved(test.by), unseen, testPolicy(), clockTime(test.t), true))); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestAnEffectIsReadAfterTheEnd ends an incident before the effect of what was done could be read.
func TestAnEffectIsReadAfterTheEnd(t *testing.T) {
	w := lived(t, workedExampleAt, actedRunbook(true), "", "", "14:39:15")
	w.happen("14:39:20", "alice", ActionDone{Action: "slow", Step: "gone", How: DoneByHand, Settle: 10 * time.Minute},
		Dismissed{Reason: Test, Severity: runbook.Sev2})
	measuring, err := w.desk.Measuring(t.Context(), clockTime("14:40"))
	if err != nil || len(measuring) != 1 {
		t.Fatalf("%d incidents to be measured, %v; want one", len(measuring), err)
	}
	for _, test := range []struct{ at, want string }{{"14:49:15", "[]"}, {"14:49:30", "[14:49:30 effect_measured]"}, {"14:49:45", "[14:49:30 effect_measured]"}} {
		w.now = clockTime(test.at)
		tick := Tick{T: w.now, Observations: map[string]Observation{measuring[0].ID: {
			Actions: map[string]ActionObservation{"slow": {Effect: &Effect{Verdict: EffectNone}}},
		}}}
		if err := w.desk.Tick(t.Context(), tick); err != nil {
			t.Fatal(err)
		}
		events, _ := w.store.Events(t.Context(), measuring[0].ID, measuring[0].Version, 0)
		if got := fmt.Sprint(kindsAt(events)); got != test.want {
			t.Errorf("at %s: %s, want %s", test.at, got, test.want)
		}
	}
}

func TestWhatIsInFlightAtTheEndIsWaitedForNoLonger(t *testing.T) {
	end := at("14:20", Dismissed{Reason: FalseAlarm, Severity: runbook.Sev2})
	for name, before := range map[string]func(*decision){
		"asked for": at("14:12", ActionRequested{Action: "one"}),
		"started":   at("14:12", ActionStarted{Action: "one"}),
		"done":      at("14:12", ActionDone{Action: "one"}),
	} {
		r := home(firingOf(refusedRunbook(), runbook.Sev2), at("14:11", ActionRequested{Action: "one"}), before, end)
		if a := r.Actions[0]; a.Requested() || a.InFlight() || a.Why != FailedEnded {
			t.Errorf("%s: %+v", name, a)
		}
		d := newDecision(r, testPolicy(), clockTime("14:21"))
		d.add(ActionDone{Action: "one", How: DoneSent}, "")
		if a := d.record.Actions[0]; a.InFlight() || a.DoneAt.IsZero() || d.record.Hold != nil {
			t.Errorf("%s, and an answer after the end: %+v", name, a)
		}
	}
}
