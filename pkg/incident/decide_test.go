package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// tell decides ticks one after another, an interval apart, and gives "kind" or "kind segments" of what they found.
func tell(r *Record, p Policy, walking bool, ticks ...FindingObservation) (*Record, []string) {
	var lines []string
	at := r.LastTick
	for _, o := range ticks {
		at = at.Add(interval)
		events := Decide(r, Observation{Findings: []FindingObservation{o}}, p, at, walking)
		for _, e := range events {
			line := e.Body.Kind()
			var breaches []Breach
			switch b := e.Body.(type) {
			case BreachJoined:
				breaches = b.Breaches
			case Relapsed:
				breaches = b.Breaches
			case SeverityRaised:
				line += fmt.Sprintf(" %s %s", b.From, b.To)
			case Paged:
				line += " " + strings.Join(b.Causes, " ")
			}
			for _, b := range breaches {
				line += " " + b.Segment.Get("tier")
			}
			lines = append(lines, line)
		}
		r = add(r, events)
	}
	return r, lines
}

func firing(tiers ...string) FindingObservation {
	o := FindingObservation{Trigger: triggers.Fires, Severity: runbook.Sev2, Bands: [3]BandObservation{{State: BandMissed}, {State: BandHeld}, {State: BandHeld}}}
	for _, tier := range tiers {
		o.Breaches = append(o.Breaches, Breach{Condition: "refused", Segment: labels.FromStrings("tier", tier)})
	}
	return o
}

func with(o FindingObservation, change func(*FindingObservation)) FindingObservation {
	change(&o)
	return o
}

func TestWhatATickFinds(t *testing.T) {
	clear := with(firing(), func(o *FindingObservation) { o.Trigger = triggers.Clear })
	elevated := with(firing(), func(o *FindingObservation) { o.Trigger = triggers.Elevated })
	unknown := with(firing(), func(o *FindingObservation) { o.Trigger = triggers.StateUnknown })
	sev := func(s runbook.Severity) FindingObservation {
		return with(firing("paid"), func(o *FindingObservation) { o.Severity = s })
	}
	for _, test := range []struct {
		name  string
		ticks []FindingObservation
		want  []string
	}{
		{"a segment joins once between two clears", []FindingObservation{
			firing("paid"), firing("paid", "free"), firing("free"), firing("paid"),
			clear, firing("free"), firing("free", "paid"), firing("paid")},
			[]string{"breach_joined paid", "breach_joined free", "trigger_cleared", "relapsed free", "paged relapsed", "breach_joined paid"}},
		{"elevated and unknown say nothing", []FindingObservation{elevated, unknown, elevated}, nil},
		{"clear is told once", []FindingObservation{clear, elevated, clear}, []string{"trigger_cleared"}},
		{"fires after elevated is no relapse", []FindingObservation{elevated, firing()}, nil},
		{"fires after clear and unknown is a relapse", []FindingObservation{clear, unknown, firing()},
			[]string{"trigger_cleared", "relapsed", "paged relapsed"}},
		{"a raise goes straight to the rule's severity", []FindingObservation{sev(runbook.Sev1), sev(runbook.Sev1)},
			[]string{"breach_joined paid", "severity_raised sev2 sev1", "paged raised"}},
		{"severity never falls by itself", []FindingObservation{sev(runbook.Sev1), sev(runbook.Sev4), sev(runbook.Sev2), sev("")},
			[]string{"breach_joined paid", "severity_raised sev2 sev1", "paged raised"}},
		{"a relapse that is worse is one round", []FindingObservation{clear, sev(runbook.Sev1)},
			[]string{"trigger_cleared", "relapsed paid", "severity_raised sev2 sev1", "paged relapsed raised"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := opening(testPolicy(), runbook.Sev2)
			_, got := tell(r, testPolicy(), false, test.ticks...)
			sameLines(t, got, test.want)
		})
	}
}

// TestPins plays what the rubric says, tick by tick from 14:10:15, under a pin until 14:11 that a person set when the
// severity was sev2.
func TestPins(t *testing.T) {
	sev := func(s runbook.Severity) FindingObservation {
		return with(firing(), func(o *FindingObservation) { o.Severity = s })
	}
	pinned := Pin{Until: clockTime("14:11"), Floor: runbook.Sev2}
	for _, test := range []struct {
		name  string
		ticks []FindingObservation
		want  []string
	}{
		{"the severity before raises nothing", []FindingObservation{sev(runbook.Sev2), sev(runbook.Sev3)}, nil},
		{"a worse one ends the pin", []FindingObservation{sev(runbook.Sev1), sev(runbook.Sev1), sev(runbook.Sev1), sev(runbook.Sev1)},
			[]string{"severity_raised sev4 sev1", "paged raised"}},
		{"the rubric counts again in the very tick in which it expires", []FindingObservation{sev(runbook.Sev2), sev(runbook.Sev2), sev(runbook.Sev2), sev(runbook.Sev2)},
			[]string{"pin_expired", "severity_raised sev4 sev2", "paged raised"}},
		{"if it isn't worse then, the severity stays", []FindingObservation{sev(runbook.Sev2), sev(runbook.Sev2), sev(runbook.Sev2), sev(runbook.Sev4), sev("")},
			[]string{"pin_expired"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := opening(testPolicy(), runbook.Sev2)
			r.Severity, r.Pin, r.Acknowledged = runbook.Sev4, &pinned, &Acknowledgement{By: "alice"}
			r.stopCalling()
			r, got := tell(r, testPolicy(), false, test.ticks...)
			sameLines(t, got, test.want)
			if r.Peak.Worse(r.Severity) != (r.Severity == runbook.Sev4) {
				t.Errorf("severity %s, peak %s", r.Severity, r.Peak)
			}
		})
	}
}

func TestMitigatedIsWhenTheTriggerWasClear(t *testing.T) {
	clear := with(firing(), func(o *FindingObservation) { o.Trigger = triggers.Clear })
	r, _ := opening(testPolicy(), runbook.Sev2)
	r, _ = tell(r, testPolicy(), false, clear)
	if !r.MitigatedAt.Equal(clockTime("14:10:15")) {
		t.Errorf("mitigated %s, want 14:10:15", r.MitigatedAt)
	}
	if r, _ = tell(r, testPolicy(), false, firing()); !r.MitigatedAt.IsZero() {
		t.Errorf("mitigated %s after a relapse", r.MitigatedAt)
	}
}

func TestCausesOfAWalkAreOneRoundAtItsEnd(t *testing.T) {
	p := testPolicy()
	clear := with(firing(), func(o *FindingObservation) { o.Trigger = triggers.Clear })
	worse := with(firing(), func(o *FindingObservation) { o.Severity = runbook.Sev1 })
	unseen := func(since string) FindingObservation {
		return FindingObservation{Unknown: []Missing{{What: "key", Since: clockTime(since)}}}
	}
	r, _ := opening(p, runbook.Sev2)
	walked, lines := tell(r, p, true, clear, firing(), worse, unseen("14:00"))
	sameLines(t, lines, []string{"trigger_cleared", "relapsed", "severity_raised sev2 sev1", "went_blind"})
	_, lines = tell(walked, p, false, unseen("14:00"))
	sameLines(t, lines, []string{"paged relapsed raised blind"})

	t.Run("blindness that is over by then wakes nobody", func(t *testing.T) {
		events, err := DecideCommand(r, Acknowledge{By: "alice"}, p, clockTime("14:10:05"), "seed")
		if err != nil {
			t.Fatal(err)
		}
		_, lines := tell(add(r, events), p, true, unseen("14:00"), firing())
		sameLines(t, lines, []string{"went_blind", "sight_back"})
		walked, _ := tell(add(r, events), p, true, unseen("14:00"), firing())
		_, lines = tell(walked, p, false, firing())
		sameLines(t, lines, nil)
	})
}

func TestBlindness(t *testing.T) {
	p := testPolicy()
	unseen := func(since ...string) FindingObservation {
		o := FindingObservation{Trigger: triggers.Clear, Bands: [3]BandObservation{{State: BandUnknown}, {State: BandHeld}, {State: BandNone}}}
		for i, s := range since {
			o.Unknown = append(o.Unknown, Missing{What: fmt.Sprint("band ", i), Since: clockTime(s)})
		}
		return o
	}
	seen := with(unseen(), func(o *FindingObservation) { o.Bands[0].State = BandHeld })
	for _, test := range []struct {
		name string
		o    FindingObservation
		want []string
	}{
		{"not for long enough", unseen("14:05:30"), nil},
		{"for blind_after", unseen("14:05:15"), []string{"went_blind"}},
		{"only what has been unknown for so long", unseen("14:09", "14:00"), []string{"went_blind"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := opening(p, runbook.Sev2)
			r.Findings[0].Cleared = true
			r, got := tell(r, p, false, test.o)
			sameLines(t, got, test.want)
			if r.Blind != nil && test.name == "only what has been unknown for so long" && fmt.Sprint(r.Blind.Conditions) != "[band 1]" {
				t.Errorf("blind for %v, want band 1 alone", r.Blind.Conditions)
			}
			_, got = tell(r, p, false, test.o, test.o, seen, seen)
			back := []string{"sight_back", "hold_started"}
			for _, line := range got {
				if line != back[0] && line != back[1] && line != "went_blind" {
					t.Errorf("%s after %v", line, test.want)
				}
			}
		})
	}
}

func TestProgressOfSeveralFindings(t *testing.T) {
	bands := func(states ...BandState) FindingObservation {
		var o FindingObservation
		for i, state := range states {
			o.Bands[i].State = state
		}
		return o
	}
	held := bands(BandHeld, BandHeld, BandHeld)
	for _, test := range []struct {
		name            string
		findings        []FindingObservation
		elapsed, paused time.Duration
		missed          [3]int
	}{
		{"all held", []FindingObservation{held, held}, interval, 0, [3]int{}},
		{"one missed is a miss", []FindingObservation{held, bands(BandHeld, BandMissed, BandHeld)}, interval, 0, [3]int{0, 1, 0}},
		{"both missed is one miss", []FindingObservation{bands(BandMissed, BandHeld, BandHeld), bands(BandMissed, BandHeld, BandHeld)}, interval, 0, [3]int{1, 0, 0}},
		{"unknown pauses", []FindingObservation{held, bands(BandHeld, BandUnknown, BandHeld)}, 0, interval, [3]int{}},
		{"a miss comes before what is unknown", []FindingObservation{bands(BandMissed, BandUnknown, BandHeld)}, interval, 0, [3]int{1, 0, 0}},
		{"empty and none let the clock go on", []FindingObservation{bands(BandEmpty, BandNone, BandEmpty)}, interval, 0, [3]int{}},
		{"nothing looked at is unknown", nil, 0, interval, [3]int{}},
	} {
		got := Progress{Since: clockTime("14:36")}.Add(clockTime("14:36:15"), interval, test.findings)
		want := Progress{Since: clockTime("14:36"), Through: clockTime("14:36:15"), Elapsed: test.elapsed, Paused: test.paused, Missed: test.missed}
		if got != want {
			t.Errorf("%s: %+v, want %+v", test.name, got, want)
		}
	}
}

func TestAnEventOfALaterReleaseChangesNothingButTheVersion(t *testing.T) {
	r, _ := opening(testPolicy(), runbook.Sev2)
	before := r.clone()
	apply(r, Event{Seq: r.Version + 1, At: clockTime("14:20"), Body: Unknown{Name: "sang", Raw: json.RawMessage(`{}`)}})
	before.Version++
	if got, want := recordJSON(t, r), recordJSON(t, before); got != want {
		t.Errorf("record\n %s\nwant\n %s", got, want)
	}
}

// failing is a store whose commits fail.
type failing struct {
	*MemoryStore
	err error
}

func (s failing) Commit(context.Context, Commit) error { return s.err }

func TestWhatTheStoreRefusesIsNotDecidedAgain(t *testing.T) {
	w := opened(t)
	config := w.desk.config
	config.Store = failing{w.store, fmt.Errorf("commit: %w", ErrFenced)}
	w.desk = NewDesk(config)
	_, err := w.desk.Command(t.Context(), "#1", Note{By: "alice", Text: "looking"}, Idempotency{})
	if !errors.Is(err, ErrFenced) {
		t.Errorf("%v, want ErrFenced", err)
	}
	if !strings.Contains(err.Error(), "commit") {
		t.Errorf("%v doesn't say what was being done", err)
	}
}

func TestThatNobodyHearsIsLoggedAsAnError(t *testing.T) {
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	core, logs := observer.New(zap.ErrorLevel)
	config := w.desk.config
	config.Log = zap.New(core)
	w.desk = NewDesk(config)
	w.policy.Roles = nil
	w.live(clockTime("14:09"), clockTime("14:40"))
	if logs.Len() != 1 || logs.All()[0].ContextMap()["incident"] != int64(1) {
		t.Errorf("logged %+v, want one error of incident 1", logs.All())
	}
}
