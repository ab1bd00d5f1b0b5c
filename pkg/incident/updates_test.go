package incident

import (
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestWhenUpdatesAreDue(t *testing.T) {
	written := func(first, every time.Duration) runbook.Communication {
		return runbook.Communication{
			FirstUpdate: map[runbook.Severity]time.Duration{runbook.Sev2: first},
			UpdateEvery: map[runbook.Severity]time.Duration{runbook.Sev2: every},
		}
	}
	var defaults runbook.Communication
	for _, test := range []struct {
		name          string
		communication runbook.Communication
		severity      runbook.Severity
		at            string
		first, next   string
	}{
		{"sev1", defaults, runbook.Sev1, "14:10", "14:15", "14:30"},
		{"sev1 after two hours", defaults, runbook.Sev1, "16:10", "16:15", "17:10"},
		{"sev2", defaults, runbook.Sev2, "14:10", "14:20", "14:40"},
		{"sev3", defaults, runbook.Sev3, "14:10", "14:40", "16:10"},
		{"sev4", defaults, runbook.Sev4, "14:10", "", ""},
		{"the first not later than every", written(time.Hour, 20*time.Minute), runbook.Sev2, "14:10", "14:30", "14:30"},
		{"no first, but every", written(0, 20*time.Minute), runbook.Sev2, "14:10", "14:30", "14:30"},
		{"a first and no more", written(10*time.Minute, 0), runbook.Sev2, "14:10", "14:20", ""},
		{"none", written(0, 0), runbook.Sev2, "14:10", "", ""},
	} {
		r := home(firingOf(refusedRunbook(), test.severity))
		r.Findings[0].Snapshot.Runbook.Communication = test.communication
		say := func(at time.Time) string {
			if at.IsZero() {
				return ""
			}
			return at.Format("15:04")
		}
		if got := say(r.firstUpdate(test.severity, clockTime(test.at))); got != test.first {
			t.Errorf("%s: first %s, want %s", test.name, got, test.first)
		}
		if got := say(r.nextUpdate(test.severity, clockTime(test.at))); got != test.next {
			t.Errorf("%s: next %s, want %s", test.name, got, test.next)
		}
	}
}

func TestWhatMovesTheNextUpdate(t *testing.T) {
	fires := FindingObservation{Trigger: triggers.Fires, Severity: runbook.Sev3}
	worse := fires
	worse.Severity = runbook.Sev1
	for _, test := range []struct {
		name   string
		due    string // before; empty: none
		happen func(d *decision)
		want   string
	}{
		{"a relapse", "15:00", func(d *decision) { cleared(d.record); d.trigger("good-users-refused", fires) }, "14:50"},
		{"a raise brings it forward", "15:00", func(d *decision) { d.severity(Observation{Findings: []FindingObservation{worse}}) }, "14:25"},
		{"a raise puts nothing off", "14:21", func(d *decision) { d.severity(Observation{Findings: []FindingObservation{worse}}) }, "14:21"},
		{"a raise from where none is due", "", func(d *decision) { d.severity(Observation{Findings: []FindingObservation{worse}}) }, "14:25"},
		{"overdue", "14:20", func(d *decision) { d.overdue() }, "16:20"},
		{"not overdue yet", "14:20:15", func(d *decision) { d.overdue() }, "14:20"},
		{"none is due", "", func(d *decision) { d.overdue() }, ""},
		{"a reopening", "", func(d *decision) { d.reopen(firingOf(defaultUpdates(), runbook.Sev2)) }, "14:30"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := home(firingOf(defaultUpdates(), runbook.Sev3))
			r.NextUpdateAt = time.Time{}
			if test.due != "" {
				r.NextUpdateAt = clockTime(test.due)
			}
			d := newDecision(r, testPolicy(), clockTime("14:20"))
			test.happen(d)
			got := ""
			if next := d.record.NextUpdateAt; !next.IsZero() {
				got = next.Format("15:04")
			}
			if got != test.want {
				t.Errorf("due %q, want %q", got, test.want)
			}
		})
	}
	t.Run("an opening", func(t *testing.T) {
		if due := home(firingOf(defaultUpdates(), runbook.Sev2)).NextUpdateAt; !due.Equal(clockTime("14:20")) {
			t.Errorf("due %s, want 14:20", due)
		}
	})
	t.Run("a lower severity keeps what was promised, unless it asks for none", func(t *testing.T) {
		r := home(firingOf(defaultUpdates(), runbook.Sev2))
		if due := r.updateWhenLowered(runbook.Sev3, clockTime("14:15")); !due.Equal(clockTime("14:20")) {
			t.Errorf("sev3: due %s, want 14:20", due)
		}
		if due := r.updateWhenLowered(runbook.Sev4, clockTime("14:15")); !due.IsZero() {
			t.Errorf("sev4: due %s, want none", due)
		}
	})
}

// defaultUpdates is refusedRunbook with the updates of a runbook that says nothing of them.
func defaultUpdates() *runbook.Snapshot {
	s := refusedRunbook()
	s.Runbook.Communication = runbook.Communication{}
	return s
}
