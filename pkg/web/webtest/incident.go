package webtest

import (
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Day is the day of the worked example.
var Day = time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)

// At gives a time of that day, such as 14:10:00.
func At(clock string) time.Time {
	of, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		panic(err) // a test's own constant
	}
	return Day.Add(time.Duration(of.Hour())*time.Hour + time.Duration(of.Minute())*time.Minute + time.Duration(of.Second())*time.Second)
}

func at(clock string) *time.Time {
	t := At(clock)
	return &t
}

// Refusals is the worked example at 14:12: opened, paged, nobody has it yet.
func Refusals() incident.View {
	return incident.View{
		ID: "5f0c2a9be1d34788", Number: 42, Runbook: "good-users-refused",
		Title: "The safety layer refuses good users", Service: "support-bot", Group: map[string]string{"service": "support-bot"},
		Branch: "safety-false-positives", Severity: runbook.Sev2, Rule: "refusal_rate above 15%", State: incident.Triggered,
		Owner:    "ml-platform-oncall",
		Impact:   "Refusal rate is 19.0% (limit 8%) in tier=paid.",
		Headline: "sev2 The safety layer refuses good users: refusal rate 19.0% (limit 8%) on support-bot since 13:59 UTC. Owner: ml-platform-oncall. http://127.0.0.1:9847/incidents/42",
		URL:      "http://127.0.0.1:9847/incidents/42",
		Segments: []incident.SegmentView{
			{Condition: "refusal_rate above 8% for 10m", Signal: "refusal_rate", Labels: map[string]string{"service": "support-bot", "tier": "paid"},
				Value: 0.19, Text: "19.0%", Limit: 0.08, Since: At("14:00:00")},
			{Condition: "deflection_rate below 31.5% for 10m", Signal: "deflection_rate", Labels: map[string]string{"service": "support-bot"},
				Value: 0.25, Text: "25.0%", Limit: 0.315, Since: At("14:01:45")},
		},
		Recovery: []incident.BandView{
			{Band: "key", Target: "refusal_rate below 6%"},
			{Band: "safety", None: "nobody labels unsafe answers yet; the weekly sample of 200 chats is read by hand"},
			{Band: "business", Target: "deflection_rate above 38%"},
		},
		Triage: []incident.TriageView{
			{N: 1, Check: "Confirm the alert is real on paid English traffic"},
			{N: 2, Check: "Decide whether user harm is active now", Decide: []string{"yes", "no"}},
		},
		Mitigations: []incident.MitigationView{
			{Title: "Route paid traffic to the approved fallback model", Kind: "fallback", Do: "Set the router policy to fallback-approved."},
		},
		Rollbacks: []incident.RollbackView{
			{Artifact: "prompt", Name: "support prompt", Do: "Set the live prompt label back to the version before the last change, and tell the prompt's owner.\n",
				From: "prompt-v7", To: "prompt-v6", Approval: runbook.ApprovalOwner, Runs: true, Next: true},
			{Artifact: "retrieval_index", Name: "retrieval_index", Do: "Point the alias kb-live at the index before.", Approval: runbook.ApprovalOwner},
		},
		Postmortem: incident.PostmortemView{Questions: []string{"Which rollback path was missing?"}},
		Timeline: []incident.TimelineEntry{
			{Seq: 1, At: At("14:10:00"), RecordedAt: At("14:10:00"), Kind: "opened", Actor: incident.Daemon, Text: "opened at sev2: refusal rate 19.0%, limit 8%"},
			{Seq: 2, At: At("14:10:00"), RecordedAt: At("14:10:00"), Kind: "paged", Actor: incident.Daemon, Text: "called ml-platform-oncall by pagerduty-ml and slack-incidents; ml-platform-lead is next, at 14:25"},
			{Seq: 3, At: At("14:11:45"), RecordedAt: At("14:11:45"), Kind: "breach_joined", Actor: incident.Daemon, Text: "deflection rate 25.0%, limit 31.5%"},
		},
		Calling: true, Round: 1, Called: []string{"ml-platform-oncall"}, NextCallAt: at("14:25:00"),
		ImpactStartedAt: at("13:59:15"), BreachBegan: at("14:00:00"), OpenedAt: at("14:10:00"), DetectedAt: at("14:10:00"), PagedAt: at("14:10:01"),
	}
}

// Costs is an incident that was resolved the day before.
func Costs() incident.View {
	resolved, opened, taken := Day.Add(-90*time.Minute), Day.Add(-3*time.Hour), Day.Add(-170*time.Minute)
	return incident.View{
		ID: "0aa1c7d2b5f64e90", Number: 41, Runbook: "cost-spike", Title: "Token spend runs away from its usual hour of the day and of the week",
		Group: map[string]string{}, Branch: "cost-spike", Severity: runbook.Sev3, State: incident.ResolvedState, Owner: "ml-platform-oncall",
		Impact: "Token spend is 410 USD an hour (limit 250).", Headline: "sev3 Token spend runs away: 410 USD an hour (limit 250).",
		Recovery: []incident.BandView{{Band: "key", Target: "token_spend below 200"}},
		Timeline: []incident.TimelineEntry{
			{Seq: 1, At: opened, RecordedAt: opened, Kind: "opened", Actor: incident.Daemon, Text: "opened at sev3"},
			{Seq: 2, At: resolved, RecordedAt: resolved, Kind: "resolved", Actor: incident.Daemon, Text: "user impact stopped, verified over 15m"},
		},
		OpenedAt: &opened, AcknowledgedAt: &taken, AcknowledgedBy: "bob", ResolvedAt: &resolved,
	}
}

// Blind is an incident that cannot be judged at the moment.
func Blind() incident.View {
	view := Refusals()
	view.ID, view.Number, view.Severity, view.Rule, view.State = "77aa00bb11cc22dd", 43, runbook.Sev1, "", incident.Verifying
	view.Title, view.Service, view.Runbook = "Answers are slow", "search", "slow-answers"
	view.Group, view.URL = map[string]string{"service": "search"}, "http://127.0.0.1:9847/incidents/43"
	view.Headline = "sev1 Answers are slow: refusal rate 19.0% (limit 8%) on search since 13:59 UTC. Owner: ml-platform-oncall. " + view.URL
	view.Calling, view.NextCallAt, view.Blind, view.Unverified = false, nil, true, true
	view.Unknown = []string{"p95_latency above 5s", "safety"}
	view.Round, view.Called = 3, []string{"ml-platform-oncall", "ml-platform-lead"}
	view.AcknowledgedAt, view.AcknowledgedBy, view.HoldSince = at("14:12:24"), "alice", at("14:11:30")
	return view
}
