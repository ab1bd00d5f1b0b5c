package notify

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// clockAt is a time on the day of the worked example.
func clockAt(t *testing.T, hms string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateTime, "2026-11-23 "+hms)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// refusals is the worked example's incident as it stands right after opening.
func refusals(t *testing.T) incident.View {
	at := func(hms string) *time.Time { c := clockAt(t, hms); return &c }
	return incident.View{
		ID: "3f1c9a0d5b7e2a44", Number: 42, Runbook: "good-users-refused", Title: "The safety layer refuses good users",
		Service: "support-bot", Group: map[string]string{"service": "support-bot", "tier": "paid"},
		Branch: "safety-false-positives", Severity: runbook.Sev2, Rule: "refusal_rate above 15%",
		State: incident.Triggered, Owner: "ml-platform-oncall", Calling: true, Round: 1,
		Called: []string{"ml-platform-oncall"}, NextCallAt: at("14:25:00"),
		Impact:   "Refusal rate 19.1% (limit 8%) for tier paid and deflection rate 25.3% (limit 31.5%)",
		Headline: "SEV2 The safety layer refuses good users: Refusal rate 19.1% (limit 8%) since 13:59:15 UTC · support-bot · owner ml-platform-oncall · http://127.0.0.1:9847/incidents/42",
		URL:      "http://127.0.0.1:9847/incidents/42",
		Segments: []incident.SegmentView{
			{Condition: "refusal_rate above 8%", Signal: "refusal_rate", Labels: map[string]string{"tier": "paid", "service": "support-bot"}, Value: 0.191, Text: "19.1%", Limit: 0.08, Since: clockAt(t, "14:00:00")},
			{Condition: "deflection_rate below 31.5%", Signal: "deflection_rate", Labels: map[string]string{"service": "support-bot"}, Value: 0.253, Text: "25.3%", Limit: 0.315, Since: clockAt(t, "14:01:45")},
		},
		Triage: []incident.TriageView{
			{N: 1, Check: "Confirm the alert is real on paid English traffic"},
			{N: 2, Check: "Inspect the blast radius"},
			{N: 3, Check: "Check recent changes"},
			{N: 4, Check: "Check the provider's status"},
			{N: 5, Check: "Decide whether user harm is active now", Decide: []string{"yes", "no"}},
			{N: 6, Check: "Inspect blocked intents"},
			{N: 7, Check: "Compare prompt versions on shadow requests"},
		},
		Rollbacks: []incident.RollbackView{
			{Artifact: "prompt", Name: "support prompt", Do: "Set the live prompt label of the support bot back to <previous version>, in the prompt registry.\n"},
			{Artifact: "retrieval_index", Name: "retrieval_index", Do: "Point the alias kb-live from <current version> to <previous version>."},
		},
		Recovery: []incident.BandView{
			{Band: "key", Target: "refusal_rate below 6%"},
			{Band: "safety", None: "unsafe answers are judged by hand, weekly"},
			{Band: "business", Target: "deflection_rate above 38%"},
		},
		Postmortem: incident.PostmortemView{Questions: []string{
			"Which rollback path was missing?",
			"Which signal would have told us five minutes earlier, and why was nobody looking at it at that time?",
		}},
		ImpactStartedAt: at("13:59:15"), BreachBegan: at("14:00:00"), OpenedAt: at("14:10:00"), DetectedAt: at("14:10:02"),
	}
}

func resolved(t *testing.T) incident.View {
	at := func(hms string) *time.Time { c := clockAt(t, hms); return &c }
	view := refusals(t)
	view.State, view.Calling, view.NextCallAt = incident.ResolvedState, false, nil
	view.AcknowledgedBy, view.AcknowledgedAt = "alice", at("14:12:24")
	view.ImpactEndedAt, view.ResolvedAt, view.MitigatedAt = at("14:36:00"), at("14:51:00"), at("14:41:15")
	view.Headline = "RESOLVED SEV2 The safety layer refuses good users: impact lasted 36m45s, from 13:59:15 UTC to 14:36 UTC, recovery verified for 15m · support-bot · owner ml-platform-oncall · http://127.0.0.1:9847/incidents/42"
	return view
}

func TestMessagesReadWell(t *testing.T) {
	page := func(round, step int, causes ...string) incident.Delivery {
		return incident.Delivery{
			ID: "d1", Kind: incident.DeliverPage, Round: round, Step: step, Causes: causes, Severity: runbook.Sev2,
			StartedAt: clockAt(t, "14:10:00"), CreatedAt: clockAt(t, "14:10:00"), Attempt: 1,
		}
	}
	tests := map[string]func() (incident.Delivery, incident.View){
		"page opened": func() (incident.Delivery, incident.View) {
			return page(1, 0, incident.CauseOpened), refusals(t)
		},
		"page escalated and resent": func() (incident.Delivery, incident.View) {
			d, view := page(1, 1), refusals(t)
			d.CreatedAt, d.Attempt, d.Seq, d.Causes = clockAt(t, "14:25:00"), 2, 5, []string{incident.CauseOpened}
			view.Timeline = []incident.TimelineEntry{
				{Seq: 2, Kind: "paged", At: clockAt(t, "14:10:00")}, {Seq: 5, Kind: "paged", At: clockAt(t, "14:25:00")},
			}
			next := clockAt(t, "14:40:00")
			view.Called, view.NextCallAt = []string{"ml-platform-oncall", "ml-platform-lead"}, &next
			return d, view
		},
		"page again from the top": func() (incident.Delivery, incident.View) {
			d, view := page(2, 0, incident.CauseUnacknowledged), refusals(t)
			d.Seq, view.Round = 9, 2
			view.Timeline = []incident.TimelineEntry{
				{Seq: 2, Kind: "paged", At: clockAt(t, "14:00:00")}, {Seq: 5, Kind: "paged", At: clockAt(t, "14:10:00")},
				{Seq: 7, Kind: "noted", At: clockAt(t, "14:12:00")}, {Seq: 9, Kind: "paged", At: clockAt(t, "14:25:30")},
			}
			return d, view
		},
		"page raised while somebody has it": func() (incident.Delivery, incident.View) {
			d, view := page(2, 0, incident.CauseRaised), refusals(t)
			seen, deflected, yes, no := 0.48, 0.41, true, false
			view.AcknowledgedBy, view.Round, view.URL = "zoe", 2, "https://irdaemon.example.org/incidents/42"
			taken := clockAt(t, "14:12:24")
			view.AcknowledgedAt, view.TakenAt = &taken, &taken
			view.Segments[0].Now, view.Segments[0].NowText, view.Segments[0].Breaching = &seen, "48%", &yes
			view.Segments[1].Now, view.Segments[1].NowText, view.Segments[1].Breaching = &deflected, "41%", &no
			view.Recovery[0].State, view.Recovery[0].Value, view.Recovery[0].Text = "missed", &seen, "48%"
			view.Recovery[2].State, view.Recovery[2].Text = "held", "41%"
			view.Triage = []incident.TriageView{{N: 1, Check: "Inspect the blast radius", Evidence: "refusal_rate by tier, language"}}
			view.Mitigations = []incident.MitigationView{{Title: "Route paid traffic to the fallback", Kind: "fallback", Do: "Set the router policy to fallback-approved."}}
			return d, view
		},
		"page relapsed, unverified and blind": func() (incident.Delivery, incident.View) {
			d, view := page(3, 1, incident.CauseRelapsed, incident.CauseRaised, incident.CauseUnverified, incident.CauseBlind), refusals(t)
			view.Severity, view.Rule, view.Round, view.Unverified, view.Blind = runbook.Sev1, "refusal_rate above 30% and blast_radius above 50%", 3, true, true
			d.Severity, d.Seq = runbook.Sev1, 8
			view.Timeline = []incident.TimelineEntry{ // an older round is no call of this one
				{Seq: 2, Kind: "paged", At: clockAt(t, "14:00:00")}, {Seq: 8, Kind: "paged", At: clockAt(t, "14:10:00")},
			}
			view.Headline = strings.Replace(view.Headline, "SEV2", "SEV1", 1)
			view.Unknown = []string{"deflection_rate above 38%: no data since 14:20:15"}
			return d, view
		},
		"page that comes after the end": func() (incident.Delivery, incident.View) {
			return page(1, 0, incident.CauseOpened), resolved(t)
		},
		"end resolved": func() (incident.Delivery, incident.View) {
			d := page(1, 0)
			d.Kind = incident.DeliverEnd
			return d, resolved(t)
		},
		"end of an incident that is open again": func() (incident.Delivery, incident.View) {
			d, view := page(1, 0), refusals(t)
			d.Kind = incident.DeliverEnd
			return d, view
		},
		"notice": func() (incident.Delivery, incident.View) {
			d, view := page(1, 0, incident.CauseOpened), resolved(t)
			d.Kind = incident.DeliverNotice
			return d, view
		},
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			d, view := make()
			now := clockAt(t, "14:26:00")
			if view.ResolvedAt != nil {
				now = view.ResolvedAt.Add(12 * time.Hour)
			}
			m := compose(d, view, nil, now)
			got := m.Title + "\n\n" + m.Text
			for _, line := range strings.Split(m.Text, "\n") {
				if utf8.RuneCountInString(line) > 80 {
					t.Errorf("wider than 80 columns: %q", line)
				}
				if line != strings.TrimRight(line, " ") {
					t.Errorf("ends in a blank: %q", line)
				}
			}
			compareGolden(t, name, got)
		})
	}
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", strings.NewReplacer(" ", "-", ",", "").Replace(name)+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (-update rewrites it):\n%s", file, got)
	}
}

func TestASpanLeavesOutUnitsThatAreNought(t *testing.T) {
	for d, want := range map[time.Duration]string{
		15 * time.Minute: "15m", 90 * time.Minute: "1h30m", time.Hour: "1h", 2*time.Minute + 24*time.Second: "2m24s",
		10 * time.Second: "10s", 0: "0s", time.Hour + 5*time.Second: "1h0m5s", 20 * time.Hour: "20h",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%d) = %q, want %q", d, got, want)
		}
	}
}
