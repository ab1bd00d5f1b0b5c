package action

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

func TestWhatWasNeverAnsweredIsToldBeforeItIsStartedAgain(t *testing.T) {
	s := setUp(t)
	s.service.onSet = func(w http.ResponseWriter, _ func()) bool { cut(w); return false }
	s.run()
	for _, step := range []string{"pipeline", "prompt"} {
		s.mustAsk(step, "v1")
		s.await(s.ids[0], incident.FailedUnanswered)
	}
	warnings := func(step string) string {
		p, err := s.executor.Prepare(t.Context(), s.ids[0], step, "v1")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(p.Warnings, "; ")
	}
	if got := warnings("pipeline"); !strings.Contains(got, "action 1 was sent at ") || !strings.Contains(got, " and never answered; this would start it again") {
		t.Errorf("warnings %q", got)
	}
	if got := warnings("prompt"); strings.Contains(got, "never answered") {
		t.Errorf("what may be repeated is warned of: %q", got)
	}
}

// TestTheStepOfALaterFindingIsItsOwn has two findings with a step named prompt. The later one's artifact changed, so that
// it comes first in the plan.
func TestTheStepOfALaterFindingIsItsOwn(t *testing.T) {
	s := setUp(t)
	other := book()
	other.Runbook.Name = "unsafe"
	other.Runbook.Rollback = slices.Clone(other.Runbook.Rollback[:1])
	step := &other.Runbook.Rollback[0]
	step.Service, step.Approval = "gateway", runbook.ApprovalTwoPerson
	step.Action.Path, step.Action.Confirm.Path = "/labels/weights", "/labels/weights"
	early := changes.Change{ID: "g", Artifact: "prompt", Service: "gateway", From: "g-6", To: "g-7", At: time.Now().Add(-20 * time.Minute), Source: changes.Reported}
	if err := s.store.PutChanges(t.Context(), []changes.Change{early}); err != nil {
		t.Fatal(err)
	}
	tick := incident.Tick{T: time.Now().UTC().Truncate(time.Second).Add(time.Second)}
	tick.Firings = []incident.Firing{{
		Snapshot: other, Hash: other.Hash(), Group: labels.FromStrings("region", "de"), Service: "support-bot", Severity: runbook.Sev2,
		BreachBegan: tick.T.Add(-time.Minute), ImpactStartedAt: tick.T.Add(-time.Minute),
	}}
	if err := s.desk.Tick(t.Context(), tick); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ approval, path string }{
		"prompt":          {runbook.ApprovalOwner, "/labels/prompt"},
		"prompt (unsafe)": {runbook.ApprovalTwoPerson, "/labels/weights"},
	} {
		p, err := s.executor.Prepare(context.Background(), s.ids[0], name, "v1")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Step != name || p.Approval != want.approval || !strings.Contains(p.Request, want.path+"\n") {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
