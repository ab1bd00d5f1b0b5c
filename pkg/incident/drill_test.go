package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// drilled is a world in which a drill of the worked example's runbook has just opened, at 13:58.
func drilled(t *testing.T) (*world, View) {
	t.Helper()
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	w.snapshot = commandedRunbook()
	w.snapshot.Runbook.Trigger = triggers.Clause{Any: []triggers.Clause{
		{Condition: &triggers.Condition{Signal: "refusal_rate", Comparison: triggers.Above, Limit: 0.08, For: 10 * time.Minute, Unit: triggers.Ratio}},
		{Condition: &triggers.Condition{Signal: "deflection_rate", Comparison: triggers.Falls, Limit: 0.25, For: 10 * time.Minute, Unit: triggers.Ratio,
			Baseline: &triggers.Baseline{Last: 24 * time.Hour}}},
	}}
	v, err := w.desk.Drill(t.Context(), w.snapshot, groupOfBot, runbook.Sev2, "alice")
	if err != nil {
		t.Fatal(err)
	}
	return w, v
}

func TestADrillsFirstUpdateIsDueNoLaterThanUpdatesAreAnyway(t *testing.T) {
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	s := commandedRunbook()
	s.Runbook.Communication = runbook.Communication{
		FirstUpdate: map[runbook.Severity]time.Duration{runbook.Sev2: 30 * time.Minute},
		UpdateEvery: map[runbook.Severity]time.Duration{runbook.Sev2: 5 * time.Minute},
	}
	if _, err := w.desk.Drill(t.Context(), s, groupOfBot, runbook.Sev2, "alice"); err != nil {
		t.Fatal(err)
	}
	if due := w.record().NextUpdateAt; !due.Equal(clockTime("14:03")) {
		t.Errorf("due %s, want 14:03", due)
	}
}

func TestADrillIsAnIncidentFromEndToEnd(t *testing.T) {
	w, v := drilled(t)
	if v.Number != 1 || v.Class != Drill || len(v.Segments) != 2 || v.Severity != runbook.Sev2 || !v.Calling {
		t.Errorf("view %+v", v)
	}
	for _, s := range v.Segments {
		if !strings.Contains(s.Condition, s.Signal) || s.Value != s.Limit {
			t.Errorf("made up: %+v", s)
		}
	}
	w.live(clockTime("13:58"), clockTime("14:05"))
	w.now = clockTime("14:05:10")
	w.command(RolledBack{By: "alice", Step: "router"})
	w.live(clockTime("14:05"), clockTime("14:40"))
	sameLines(t, w.timeline("opened", "paged", "acknowledged", "action_done", "action_effective", "trigger_cleared", "hold_started", "resolved"), []string{
		"13:58:00 opened", "13:58:00 paged", "14:05:10 acknowledged", "14:05:10 action_done", "14:05:15 trigger_cleared",
		"14:05:15 action_effective", "14:08:00 paged", "14:10:15 hold_started", "14:12:15 resolved",
	})
}

func TestADrillStandsInNoIncidentsWay(t *testing.T) {
	w, _ := drilled(t)
	w.live(clockTime("14:09:45"), clockTime("14:10"))
	records, _, err := w.store.List(t.Context(), Filter{})
	if err != nil || len(records) != 2 || records[0].Class != Real || len(records[0].Findings) != 1 || len(records[1].Findings) != 1 {
		t.Fatalf("records %+v, %v; want the drill and an incident of the same finding", records, err)
	}
	open, err := w.desk.Open(t.Context())
	if err != nil || len(open) != 1 || open[0].Class != Real {
		t.Errorf("open %v, %v; want the incident alone", open, err)
	}
}

func TestThereIsOneDrillOfARunbookAtATime(t *testing.T) {
	w, _ := drilled(t)
	_, err := w.desk.Drill(t.Context(), w.snapshot, groupNamed(7), runbook.Sev2, "bob")
	mustRefuse(t, err, "a drill of good-users-refused is open: #1")
	w.command(Dismiss{By: "alice", Reason: Test})
	w.now = w.now.Add(time.Second)
	if _, err := w.desk.Drill(t.Context(), w.snapshot, groupOfBot, "", "bob"); err != nil {
		t.Errorf("after the first one's end: %v", err)
	}
}

func TestADrillOfTheDaemonGoneAwayIsStillOne(t *testing.T) {
	w, _ := drilled(t)
	w.restart()
	w.live(clockTime("13:58"), clockTime("14:00"))
	if kinds := w.timeline(); slices.ContainsFunc(kinds, func(line string) bool { return !strings.HasSuffix(line, "opened") && !strings.HasSuffix(line, "paged") }) {
		t.Errorf("timeline %v", kinds)
	}
}
