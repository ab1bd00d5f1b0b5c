package notify

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/changes"
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
		Suspects: []changes.Suspect{{Rank: 1, Reason: "29 min before impact; was prompt-v6", Change: changes.Change{
			Artifact: "prompt", From: "prompt-v6", To: "prompt-v7", By: "deploy pipeline"}}},
		Unchanged: []string{"no code deploy, no weights deploy in 24 h"},
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
	tests := map[string]func() (incident.Delivery, incident.Briefing){
		"page opened": func() (incident.Delivery, incident.Briefing) {
			return page(1, 0, incident.CauseOpened), incident.Briefing{View: refusals(t)}
		},
		"page escalated and resent": func() (incident.Delivery, incident.Briefing) {
			d, view := page(1, 1), refusals(t)
			d.CreatedAt, d.Attempt, d.Seq, d.Causes = clockAt(t, "14:25:00"), 2, 5, []string{incident.CauseOpened}
			view.Timeline = []incident.TimelineEntry{
				{Seq: 2, Kind: "paged", At: clockAt(t, "14:10:00")}, {Seq: 5, Kind: "paged", At: clockAt(t, "14:25:00")},
			}
			next := clockAt(t, "14:40:00")
			view.Called, view.NextCallAt = []string{"ml-platform-oncall", "ml-platform-lead"}, &next
			return d, incident.Briefing{View: view}
		},
		"page again from the top": func() (incident.Delivery, incident.Briefing) {
			d, view := page(2, 0, incident.CauseUnacknowledged), refusals(t)
			d.Seq, view.Round = 9, 2
			view.Timeline = []incident.TimelineEntry{
				{Seq: 2, Kind: "paged", At: clockAt(t, "14:00:00")}, {Seq: 5, Kind: "paged", At: clockAt(t, "14:10:00")},
				{Seq: 7, Kind: "noted", At: clockAt(t, "14:12:00")}, {Seq: 9, Kind: "paged", At: clockAt(t, "14:25:30")},
			}
			return d, incident.Briefing{View: view}
		},
		"page raised while somebody has it": func() (incident.Delivery, incident.Briefing) {
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
			return d, incident.Briefing{View: view}
		},
		"page relapsed, unverified and blind": func() (incident.Delivery, incident.Briefing) {
			d, view := page(3, 1, incident.CauseRelapsed, incident.CauseRaised, incident.CauseUnverified, incident.CauseBlind), refusals(t)
			view.Severity, view.Rule, view.Round, view.Unverified, view.Blind = runbook.Sev1, "refusal_rate above 30% and blast_radius above 50%", 3, true, true
			d.Severity, d.Seq = runbook.Sev1, 8
			view.Timeline = []incident.TimelineEntry{ // an older round is no call of this one
				{Seq: 2, Kind: "paged", At: clockAt(t, "14:00:00")}, {Seq: 8, Kind: "paged", At: clockAt(t, "14:10:00")},
			}
			view.Headline = strings.Replace(view.Headline, "SEV2", "SEV1", 1)
			view.Unknown = []string{"deflection_rate above 38%: no data since 14:20:15"}
			return d, incident.Briefing{View: view}
		},
		"page that comes after the end": func() (incident.Delivery, incident.Briefing) {
			return page(1, 0, incident.CauseOpened), incident.Briefing{View: resolved(t)}
		},
		"end resolved": func() (incident.Delivery, incident.Briefing) {
			d := page(1, 0)
			d.Kind = incident.DeliverEnd
			return d, incident.Briefing{View: resolved(t)}
		},
		"end of an incident that is open again": func() (incident.Delivery, incident.Briefing) {
			d, view := page(1, 0), refusals(t)
			d.Kind = incident.DeliverEnd
			return d, incident.Briefing{View: view}
		},
		"notice": func() (incident.Delivery, incident.Briefing) {
			d, view := page(1, 0, incident.CauseOpened), resolved(t)
			d.Kind = incident.DeliverNotice
			return d, incident.Briefing{View: view}
		},
		"page joined, reopened and overdue": func() (incident.Delivery, incident.Briefing) {
			d, view := page(4, 0, incident.CauseReopened, incident.CauseJoined, incident.CauseOverdue), refusals(t)
			view.Findings = []incident.FindingView{
				{Runbook: "good-users-refused", Title: "The safety layer refuses good users", Owner: "ml-platform-oncall"},
				{Runbook: "retrieval-empty", Title: "Retrieval finds nothing", Owner: "search-oncall"},
			}
			return d, incident.Briefing{View: view}
		},
		"page of a drill": func() (incident.Delivery, incident.Briefing) {
			return page(1, 0, incident.CauseOpened), incident.Briefing{View: drill(refusals(t))}
		},
		"page of the daemon itself": func() (incident.Delivery, incident.Briefing) {
			d := page(3, 1, incident.CauseOpened)
			d.Seq = 5
			view := trouble(t)
			view.Timeline = []incident.TimelineEntry{
				{Seq: 2, Kind: "paged", At: clockAt(t, "14:10:00")}, {Seq: 5, Kind: "paged", At: clockAt(t, "14:25:00")},
			}
			return d, incident.Briefing{View: view}
		},
		"end of the daemon's own trouble": func() (incident.Delivery, incident.Briefing) {
			d, view := page(3, 0), trouble(t)
			d.Kind = incident.DeliverEnd
			over := clockAt(t, "14:24:30")
			view.State, view.Calling, view.NextCallAt, view.ResolvedAt = incident.ClosedState, false, nil, &over
			view.Headline = "OVER irdaemon is blind, from 14:10 UTC to 14:24 UTC · irdaemon · owner ml-platform-oncall · " + view.URL
			return d, incident.Briefing{View: view}
		},
		"end dismissed": func() (incident.Delivery, incident.Briefing) {
			d, view := page(1, 0), refusals(t)
			d.Kind = incident.DeliverEnd
			at := clockAt(t, "14:20:00")
			view.State, view.Calling, view.NextCallAt, view.DismissedAt = incident.DismissedState, false, nil, &at
			view.Dismissal = &incident.DismissalView{By: "alice", Reason: incident.FalseAlarm, Text: "a load test sent these"}
			view.Headline = "DISMISSED SEV2 The safety layer refuses good users: a false alarm, a load test sent these (alice) · support-bot · owner ml-platform-oncall · " + view.URL
			return d, incident.Briefing{View: view}
		},
		"end of a call whose severity pages nobody any more": func() (incident.Delivery, incident.Briefing) {
			d, view := page(1, 0), refusals(t)
			d.Kind, d.Seq = incident.DeliverEnd, 7
			view.Severity, view.Calling, view.NextCallAt = runbook.Sev4, false, nil
			view.Headline = strings.Replace(view.Headline, "SEV2", "SEV4", 1)
			view.Timeline = []incident.TimelineEntry{{Seq: 7, Kind: "severity_set", Actor: "alice", At: clockAt(t, "14:20:00"),
				Text: "lowered from SEV2 to SEV4 until 14:50 UTC: two users only; until then only a rubric worse than SEV2 raises it"}}
			return d, incident.Briefing{View: view}
		},
		"acknowledge": func() (incident.Delivery, incident.Briefing) {
			d := page(1, 0)
			d.Kind = incident.DeliverAcknowledge
			return d, incident.Briefing{View: held(t, refusals(t)), Receipt: "r1", Thread: "r1",
				Happened: []incident.TimelineEntry{{Kind: "acknowledged", Actor: "alice", Text: "took the incident"}}}
		},
		"acknowledge of a call that an update answered": func() (incident.Delivery, incident.Briefing) {
			d, view := page(2, 0), refusals(t)
			d.Kind, view.Calling, view.NextCallAt = incident.DeliverAcknowledge, false, nil
			return d, incident.Briefing{View: view, Happened: []incident.TimelineEntry{
				{Kind: "update_posted", Actor: "bob", Text: "internal update: the prompt is rolled back, we watch it (next 14:55 UTC)"}}}
		},
		"progress": func() (incident.Delivery, incident.Briefing) {
			d, view := page(1, 0), held(t, refusals(t))
			d.Kind, view.Class = incident.DeliverProgress, incident.Drill
			since := clockAt(t, "14:25:45")
			view.HoldSince, view.State = &since, incident.Verifying
			return d, incident.Briefing{View: drill(view), Happened: []incident.TimelineEntry{
				{Kind: "effect_measured", Actor: incident.Daemon, Text: "effect of support prompt: refusals fell from 19% to 5%"},
				{Kind: "hold_started", Actor: incident.Daemon, Text: "key, safety and business are in band: recovery must hold for 15m"}}}
		},
		"notice of an update that falls due": func() (incident.Delivery, incident.Briefing) {
			d := page(0, 0)
			d.Kind, d.Reminds = incident.DeliverNotice, clockAt(t, "14:31:00")
			return d, incident.Briefing{View: held(t, refusals(t))}
		},
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			d, briefing := make()
			now := clockAt(t, "14:26:00")
			if at := briefing.View.ResolvedAt; at != nil && briefing.View.Class == incident.Real {
				now = at.Add(12 * time.Hour)
			}
			reads(t, name, compose(d, briefing, nil, now))
		})
	}
}

// drill makes practice of an incident.
func drill(view incident.View) incident.View {
	view.Class, view.Headline = incident.Drill, "DRILL "+view.Headline
	return view
}

// held is an incident that alice has.
func held(t *testing.T, view incident.View) incident.View {
	at := clockAt(t, "14:12:24")
	view.State, view.Calling, view.NextCallAt = incident.AcknowledgedState, false, nil
	view.AcknowledgedBy, view.AcknowledgedAt, view.TakenAt = "alice", &at, &at
	return view
}

// trouble is one of the daemon's own.
func trouble(t *testing.T) incident.View {
	opened, next := clockAt(t, "14:10:00"), clockAt(t, "14:40:00")
	const url = "http://127.0.0.1:9847/incidents/9d2b11c07ae45f60"
	return incident.View{
		ID: "9d2b11c07ae45f60", Number: -3, Runbook: "self/blind", Title: "irdaemon is blind", Service: "irdaemon",
		Class: incident.Self, Severity: runbook.Sev2, Rule: "Prometheus gives no answer: connection refused, for 2m",
		State: incident.Triggered, Owner: "ml-platform-oncall", Calling: true, Round: 3, NextCallAt: &next,
		Called: []string{"ml-platform-oncall", "ml-platform-lead"}, Impact: "its trigger fires", OpenedAt: &opened, URL: url,
		Headline: "irdaemon is blind since 14:10 UTC: Prometheus gives no answer: connection refused, for 2m · irdaemon · owner ml-platform-oncall · " + url,
	}
}

// many are rows of a storm.
func many(t *testing.T, kind string, n int) []told {
	var all []told
	for i := range n {
		view := refusals(t)
		view.ID, view.Number = fmt.Sprint("id", i), int64(42+i)
		view.URL = fmt.Sprintf("http://127.0.0.1:9847/incidents/%d", view.Number)
		view.Group = map[string]string{"service": "support-bot", "provider": fmt.Sprint("p", i)}
		view.Headline = fmt.Sprintf("SEV%d The safety layer refuses good users: Refusal rate 19.1%% (limit 8%%) since 13:59 UTC · support-bot · provider p%d · owner ml-platform-oncall · %s",
			2+i/15, i, view.URL)
		view.Severity = runbook.Severity(fmt.Sprint("sev", 2+i/15))
		if i == 1 {
			view = held(t, view)
		}
		if i%9 == 5 {
			view.Runbook, view.Owner = "answers-too-slow", "search-oncall"
		}
		row := incident.Delivery{ID: fmt.Sprint(i), Kind: kind, Severity: view.Severity, Round: 1, StartedAt: clockAt(t, "14:10:00"), Attempt: 1}
		all = append(all, told{row, incident.Briefing{View: view, Receipt: "r1"}})
	}
	return all
}

func TestMessagesOfAStormReadWell(t *testing.T) {
	now := clockAt(t, "14:26:00")
	key := fmt.Sprintf("irdaemon/test/digest/chat/%d", clockAt(t, "14:10:07").Unix())
	views := func(all []told) (views []incident.View) {
		for _, one := range all {
			views = append(views, one.View)
		}
		return views
	}
	notices := many(t, incident.DeliverNotice, 7)
	for i := range notices {
		notices[i].row.Reminds = clockAt(t, "14:31:00")
	}
	pages, ends, taken := many(t, incident.DeliverPage, 25), many(t, incident.DeliverEnd, 3), many(t, incident.DeliverAcknowledge, 2)
	for i := range ends {
		ends[i].View = resolved(t)
		ends[i].View.Number = int64(42 + i)
	}
	taken[0].View = held(t, taken[0].View)
	reads(t, "digest of pages", composeDigest(key, pages, now))
	reads(t, "digest of notices", composeDigest(key, notices, now))
	reads(t, "digest that is over", composeDigestOver(key, ends, views(ends), now))
	reads(t, "digest that somebody has", composeDigestOver(key, taken, views(taken), now))
}

// What other people and systems wrote stands in messages, and steers nothing.
func TestHostileTextsStayText(t *testing.T) {
	const hostile = "a\x1b[2Jb\r\nBcc: x\u202ec"
	view := refusals(t)
	view.Headline, view.Impact, view.Title, view.Owner = hostile, hostile, hostile, hostile
	view.Triage[0].Check, view.Segments[0].Labels["tier"], view.Rollbacks[0].Do = hostile, hostile, hostile
	d := incident.Delivery{Kind: incident.DeliverPage, Causes: []string{hostile}}
	for _, m := range []Message{
		compose(d, incident.Briefing{View: view}, nil, clockAt(t, "14:26:00")),
		composeDigest("key/1", []told{{d, incident.Briefing{View: view}}, {d, incident.Briefing{View: view}}}, clockAt(t, "14:26:00")),
	} {
		if strings.ContainsAny(m.Title, "\x1b\r\n\u202e") || strings.ContainsAny(m.Text, "\x1b\r\u202e") {
			t.Errorf("%q\n%q", m.Title, m.Text)
		}
	}
}

// reads compares a message with its golden file, and looks at its shape.
func reads(t *testing.T, name string, m Message) {
	t.Helper()
	for _, line := range strings.Split(m.Text, "\n") {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("wider than 80 columns: %q", line)
		}
		if line != strings.TrimRight(line, " ") {
			t.Errorf("ends in a blank: %q", line)
		}
	}
	compareGolden(t, name, m.Title+"\n\n"+m.Text)
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(name)+".golden")
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
