package incident

import (
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestMisses(t *testing.T) {
	for _, test := range []struct {
		atLeast        float64
		hold, interval time.Duration
		want           int
	}{
		{0.8, 15 * time.Minute, 15 * time.Second, 12}, // plain floats give 11
		{1, 15 * time.Minute, 15 * time.Second, 0},
		{0.9, 15 * time.Minute, 15 * time.Second, 6},
		{0.79, 15 * time.Minute, 15 * time.Second, 12},
		{0.7, time.Minute, 15 * time.Second, 1},
		{0.95, 15 * time.Minute, time.Minute, 0},
	} {
		if got := misses(test.atLeast, test.hold, test.interval); got != test.want {
			t.Errorf("misses(%v, %s, %s) = %d, want %d", test.atLeast, test.hold, test.interval, got, test.want)
		}
	}
}

func TestAtLeastIsTheStrictestOfABand(t *testing.T) {
	condition := func(atLeast float64) triggers.Clause {
		return triggers.Clause{Condition: &triggers.Condition{AtLeast: atLeast}}
	}
	for _, test := range []struct {
		name  string
		all   []triggers.Clause
		usual float64
		want  float64
	}{
		{"not written", []triggers.Clause{condition(0)}, 1, 1},
		{"not written, of many events", []triggers.Clause{condition(0)}, 0.8, 0.8},
		{"written", []triggers.Clause{condition(0.8)}, 1, 0.8},
		{"written, of many events", []triggers.Clause{condition(1)}, 0.8, 1},
		{"written twice", []triggers.Clause{condition(0.8), condition(0.9)}, 1, 0.9},
		{"written twice, the other way round", []triggers.Clause{condition(0.9), condition(0.8)}, 1, 0.9},
		{"written on one of two", []triggers.Clause{condition(0.8), condition(0)}, 1, 1},
	} {
		if got := atLeast(runbook.Band{Clause: &triggers.Clause{All: test.all}}, test.usual); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if got := atLeast(runbook.Band{None: "nothing measures it"}, 1); got != 1 {
		t.Errorf("none: %v, want 1", got)
	}
}

func TestLookBackIsTheLongestRangeOfTheBands(t *testing.T) {
	s := refusedRunbook()
	if got := LookBack(s); got != 5*time.Minute {
		t.Errorf("look-back %s, want 5m", got)
	}
	s.Runbook.Recovery.Business.Clause.Condition.Range = 12 * time.Minute
	s.Runbook.Recovery.Safety = runbook.Band{None: "nothing measures it"}
	if got := LookBack(s); got != 12*time.Minute {
		t.Errorf("look-back %s, want 12m", got)
	}
}

func TestHoldForFollowsThePeak(t *testing.T) {
	r, _ := opening(testPolicy(), runbook.Sev3)
	r.Findings[0].Snapshot.Runbook.Recovery.Hold = 0
	if got := r.HoldFor(); got != 15*time.Minute {
		t.Errorf("sev3: %s, want 15m", got)
	}
	apply(r, Event{Seq: 9, At: clockTime("14:20"), Body: SeverityRaised{From: runbook.Sev3, To: runbook.Sev1}})
	if got := r.HoldFor(); got != 30*time.Minute {
		t.Errorf("raised to sev1: %s, want 30m", got)
	}
}

func TestTimeout(t *testing.T) {
	missed := func(o *FindingObservation) { o.Bands[1] = BandObservation{State: BandMissed} }
	w := newWorld(t, clockTime("13:58"), workedExampleWith("14:40", "23:00", missed))
	w.live(clockTime("14:09"), clockTime("14:12"))
	w.command(Acknowledge{By: "alice"})
	w.live(clockTime("14:12"), clockTime("16:40"))
	sameLines(t, w.timeline("hold_started", "hold_broken", "unverified", "paged", "resolved"), []string{
		"14:10:00 paged", "14:34:30 hold_started", "14:40:00 hold_broken", "16:34:30 unverified", "16:34:30 paged",
	})
	if round := w.record().Round; round.Reached != 1 || len(round.Receivers) != 2 {
		t.Errorf("round %+v, want the owner and the next role", round)
	}
}
