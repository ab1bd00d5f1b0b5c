//go:build e2e

package e2e_test

import (
	"fmt"
	"testing"
	"time"
)

// TestTwoRunbooksOfOneServiceAreOneIncidentAndItsRelapseToo lets a second runbook find, moments after the first, what is
// broken in the same service; lets all of it heal; and breaks it again within reopen_within.
func TestTwoRunbooksOfOneServiceAreOneIncidentAndItsRelapseToo(t *testing.T) {
	t.Parallel()
	s := quickScale
	s.hold = 3 * time.Second
	desk := startWebhookReceiver(t)
	r := startRailway(t, s, func(r *railway) {
		r.other.alone = true
		r.other.roles = `
  llm-oncall: {page: [oncall-hook], escalate_to: [llm-lead]}
  llm-lead: {page: [lead-hook]}
  support-desk: {page: [desk-hook]}`
		r.other.receivers = fmt.Sprintf("  desk-hook: {webhook: {url: %q, signing_secret_file: secrets/desk}}", desk.server.URL)
		r.other.files = map[string]string{
			"secrets/desk": desk.secret,
			"runbooks/deflection.yaml": r.ownedBy("support-desk", r.runbook("deflection-collapse", "The bot hands everybody to a person", "other",
				"{signal: deflection_rate, below: 20%, for: 4s, clears: {above: 30%}}")),
		}
	})
	r.bot.behave("support-bot", behaviour{refused: 0.30, deflected: 0.05, slow: 0.01})
	first := r.oncall.waitFor(t, "incident.page", r.firesWithin())
	id := first.Data.Incident.ID
	joined := desk.waitFor(t, "incident.page", r.firesWithin())
	if joined.Data.Incident.ID != id || joined.Data.Round != 2 || joined.Data.EndsKey != "" && joined.Data.EndsKey != first.Data.DedupKey {
		t.Errorf("the second owner is called for %s in round %d, want %s in round 2", joined.Data.Incident.ID, joined.Data.Round, id)
	}
	r.pageOfRound(2) // everybody's key is the one of the round that calls
	both, err := r.daemon.incident(id)
	if err != nil || len(both.Findings) != 2 || both.Owner != "llm-oncall" || len(both.times("finding_joined")) != 1 {
		t.Errorf("the incident has findings %v and the owner %s (%v), want two and llm-oncall:\n%s", both.Findings, both.Owner, err, both.story())
	}
	if err := r.daemon.hasIncidents(1); err != nil {
		t.Error(err)
	}
	r.daemon.acknowledge(id, "alice")

	r.heal()
	r.daemon.waitForState(id, "resolved", r.resolvesWithin()+signalRange)
	desk.waitFor(t, "incident.resolved", 5*time.Second)
	r.waitForEnds(1)

	r.breach()
	again := r.pageOfRound(3)
	if again.Data.Incident.ID != id || again.Data.Incident.Number != first.Data.Incident.Number || again.Data.Reasons[0] != "reopened" {
		t.Errorf("what is broken again is #%d for %v, want #%d reopened", again.Data.Incident.Number, again.Data.Reasons, first.Data.Incident.Number)
	}
	reopened, err := r.daemon.incident(id)
	if err != nil || reopened.AcknowledgedBy != "" || !reopened.Calling || reopened.State != "triggered" || !reopened.ResolvedAt.IsZero() {
		t.Errorf("reopened: %s, taken by %q, calling %t (%v)", reopened.State, reopened.AcknowledgedBy, reopened.Calling, err)
	}
	if err := r.daemon.hasIncidents(1); err != nil {
		t.Error(err)
	}
}
