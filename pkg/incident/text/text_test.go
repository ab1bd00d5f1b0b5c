package text_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func now() time.Time { return webtest.At("14:12:24") }

// golden compares a text with a file; -update rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
	for line := range strings.Lines(got) {
		line = strings.TrimSuffix(line, "\n")
		if width := utf8.RuneCountInString(line); width > text.Width {
			t.Errorf("%s: %d columns: %s", name, width, line)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// verifying is an incident in whose hold the counts do not prove the key band yet.
func verifying() incident.View {
	view := webtest.Refusals()
	view.State, view.Calling, view.NextCallAt = incident.Verifying, false, nil
	view.SeenAt, view.BlastRadius = ptr(webtest.At("14:12:15")), ptr(0.125)
	view.HoldSince, view.HoldSeconds, view.HoldElapsedSeconds = ptr(webtest.At("13:56:30")), 900, ptr(945.0)
	view.AcknowledgedBy, view.AcknowledgedAt, view.TakenAt = "yan", ptr(webtest.At("14:10:30")), ptr(webtest.At("14:11:05"))
	view.MitigatedAt = ptr(webtest.At("14:05:00"))
	view.Segments[0].Now, view.Segments[0].NowText, view.Segments[0].Breaching = ptr(0.05), "5%", ptr(false)
	view.Segments[1].NowText, view.Segments[1].Breaching = "unknown", ptr(false)
	view.Recovery[0].State, view.Recovery[0].Value, view.Recovery[0].Text = "held", ptr(0.05), "5%"
	view.Recovery[0].Missing = "4 of 62 are out of band: about 20 more good ones rule out 11%"
	view.Recovery[1].State, view.Recovery[2].State = "none", "unknown"
	view.Triage[0].Evidence = "refusal_rate of language en, tier paid"
	view.Mitigations = []incident.MitigationView{{Title: "Route paid traffic to the fallback", Kind: "fallback", Do: "Set the router policy to fallback-approved.\n"}}
	return view
}

func TestAnIncidentReadsWell(t *testing.T) {
	golden(t, "verifying", text.Incident(verifying(), now()))

	again := webtest.Refusals()
	again.AcknowledgedBy, again.AcknowledgedAt, again.TakenAt = "zoe", ptr(webtest.At("14:11:05")), ptr(webtest.At("14:11:05"))
	again.Round, again.NotDelivered, again.Called = 2, true, []string{"ml-platform-oncall", "ml-platform-lead"}
	again.Group = map[string]string{"service": "support-bot", "tier": "paid"}
	again.URL = "https://irdaemon.example.org/incidents/42"
	golden(t, "called-again", text.Incident(again, now()))

	golden(t, "lived", text.Incident(lived(), now()))

	dismissed := lived()
	dismissed.State, dismissed.DismissedAt = incident.DismissedState, ptr(webtest.At("14:12:20"))
	dismissed.Dismissal = &incident.DismissalView{By: "alice", Reason: incident.FalseAlarm, Text: "the evaluation job asked for harm"}
	golden(t, "dismissed", text.Incident(dismissed, now()))
}

// lived is an incident in which much has happened.
func lived() incident.View {
	view := verifying()
	view.Class, view.State, view.HoldSince, view.HoldElapsedSeconds = incident.Drill, incident.Mitigating, nil, nil
	view.Findings = []incident.FindingView{
		{Runbook: "good-users-refused", Title: view.Title, Owner: view.Owner},
		{Runbook: "slow-answers", Title: "Answers are slow", Owner: "search-oncall", Cleared: true},
	}
	view.Triage[0].Answer, view.Triage[0].AnsweredBy, view.Triage[0].AnsweredAt = "done", "alice", ptr(webtest.At("14:11:30"))
	view.Triage[1].Answer, view.Triage[1].AnswerText = "yes", "paid users in English"
	view.Triage[1].AnsweredBy, view.Triage[1].AnsweredAt = "alice", ptr(webtest.At("14:12:00"))
	view.Actions = []incident.ActionView{
		{Title: "support prompt", From: "prompt-v7", To: "prompt-v6", State: "effective", How: "by hand", By: "alice",
			DoneAt: ptr(webtest.At("14:11:00")), EffectiveAt: ptr(webtest.At("14:12:00")), Effect: &incident.Effect{Verdict: incident.EffectHelped}},
		{Title: "retrieval index", To: "kb-2025-02-08", State: "failed", Why: "refused", Cause: "403", FailedAt: ptr(webtest.At("14:12:10"))},
	}
	view.Recovery = append(view.Recovery, incident.BandView{Band: "key", Runbook: "slow-answers", Target: "p95_latency below 4s", State: "held", Text: "2.1s"})
	view.Suspects = []changes.Suspect{{Rank: 1, Reason: "29 min before impact; was prompt-v6",
		Change: changes.Change{Artifact: "prompt", From: "prompt-v6", To: "prompt-v7", By: "bob", At: webtest.At("13:30:00")}}}
	view.Unchanged = []string{"no code deploy, no weights deploy in 24 h", "unknown: nothing reports router_policy"}
	view.Triage[0].Found, view.Triage[0].FoundAt = "paid English 19% of 2,140 (before impact 4%)", ptr(webtest.At("14:10:03"))
	view.Triage[1].FoundError, view.Triage[1].FoundAt = "no answer in time", ptr(webtest.At("14:10:10"))
	view.Rollbacks[0].From, view.Rollbacks[0].To, view.Rollbacks[0].State = "prompt-v7", "prompt-v6", "effective"
	view.Rollbacks[0].Effect = "refusal rate 19% → 8%, needed below 6%: helped, not enough"
	view.Rollbacks[0].Next, view.Rollbacks[1].Next = false, true
	view.PinnedUntil, view.NextUpdateAt, view.Overdue = ptr(webtest.At("14:40:00")), ptr(webtest.At("14:49:00")), true
	view.Silenced = []string{"raised"}
	return view
}

func TestAListReadsWell(t *testing.T) {
	undelivered, taken := webtest.Refusals(), webtest.Blind()
	undelivered.NotDelivered = true
	undelivered.Title, undelivered.Group = "Answers are slow", map[string]string{"service": "support-bot", "tier": "paid"}
	golden(t, "list", text.Table([]incident.View{taken, undelivered, webtest.Costs()}, now()))
	wide := webtest.Blind()
	wide.Number, wide.AcknowledgedBy, wide.State, wide.OpenedAt = 1234567890123456, "annabella-marguerita", incident.AcknowledgedState, ptr(now().Add(-7000*time.Hour))
	golden(t, "list-too-wide", text.Table([]incident.View{wide}, now()))
}

func TestWhoHasAnIncident(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(*incident.View)
		want string
	}{
		{"taken", func(v *incident.View) {}, "alice, since 14:12:24 UTC (0s ago)"},
		{"handed over", func(v *incident.View) {
			v.AcknowledgedBy, v.AcknowledgedAt, v.TakenAt = "bob", ptr(webtest.At("14:10:05")), ptr(webtest.At("14:12:00"))
		}, "bob, since 14:12 UTC (24s ago); first acknowledged 14:10:05 UTC"},
		{"given back", func(v *incident.View) { v.AcknowledgedBy = "" }, "nobody any more; first acknowledged 14:12:24 UTC (0s ago)"},
		{"new", func(v *incident.View) { v.AcknowledgedAt = nil }, "nobody yet"},
		{"over", func(v *incident.View) { v.AcknowledgedAt, v.State = nil, incident.ResolvedState }, "nobody acknowledged it"},
	} {
		view := webtest.Blind()
		test.make(&view)
		if shown := text.Incident(view, now()); !strings.Contains(shown, "Taken by   "+test.want+"\n") {
			t.Errorf("%s: want %q in\n%s", test.name, test.want, shown)
		}
	}
}

func TestAckIsOfferedWheneverSomebodyIsCalled(t *testing.T) {
	for _, test := range []struct {
		name    string
		calling bool
		by      string
		want    bool
	}{
		{"nobody has it", true, "", true},
		{"it calls again although somebody has it", true, "zoe", true},
		{"somebody has it", false, "zoe", false},
		{"nobody is called and nobody has it", false, "", true},
	} {
		view := webtest.Refusals()
		view.Calling, view.AcknowledgedBy = test.calling, test.by
		if got := strings.Contains(text.Incident(view, now()), "irdaemon ack 42"); got != test.want {
			t.Errorf("%s: ack offered %t", test.name, got)
		}
	}
}

func TestNothingThatOthersWroteSteersTheTerminal(t *testing.T) {
	view := lived()
	const evil = "\x1b[2J\x07\u202e"
	view.Title, view.Headline, view.Owner, view.Rule, view.AcknowledgedBy = evil, evil, evil, evil, evil
	view.Service, view.Impact, view.URL, view.Follows, view.ID = evil, evil, evil, evil, evil
	view.Group = map[string]string{"service": evil, evil: evil}
	view.Segments[0].Labels = map[string]string{evil: evil}
	view.Segments[0].Condition, view.Recovery[0].Target, view.Recovery[0].Missing, view.Recovery[1].None = evil, evil, evil, evil
	view.Triage[1].Decide[0], view.Triage[0].Check, view.Triage[0].Evidence = evil, evil, evil
	view.Rollbacks[0].Do, view.Rollbacks[0].Name = evil, evil
	view.Mitigations[0].Title, view.Mitigations[0].Do = evil, evil
	view.Timeline[0].Text, view.Timeline[1].Actor, view.Called[0] = evil, evil, evil
	view.Blind, view.Unknown = true, []string{evil}
	view.Actions[0].Title, view.Actions[0].From, view.Actions[1].Cause, view.Triage[1].AnswerText = evil, evil, evil, evil
	view.Suspects[0].Change.Artifact, view.Suspects[0].Change.By, view.Suspects[0].Reason, view.Unchanged[0] = evil, evil, evil, evil
	view.Triage[0].Found, view.Triage[1].FoundError, view.Rollbacks[0].Effect, view.Rollbacks[0].To = evil, evil, evil, evil
	view.Findings[1].Title, view.Silenced[0], view.Recovery[3].Runbook = evil, evil, evil
	view.Dismissal = &incident.DismissalView{By: evil, Reason: evil, Text: evil}
	for name, shown := range map[string]string{
		"show": text.Incident(view, now()), "list": text.Table([]incident.View{view}, now()),
	} {
		if strings.ContainsAny(shown, evil[:1]+"\x07\u202e") || !utf8.ValidString(shown) {
			t.Errorf("%s: %q", name, shown)
		}
	}
}

func TestTimesAsPeopleReadThem(t *testing.T) {
	for _, test := range []struct {
		now, at, want string
	}{
		{"2026-11-03T14:22:30Z", "2026-11-03T14:10:00Z", "14:10 UTC (12m ago)"},
		{"2026-11-03T14:22:30Z", "2026-11-03T14:10:05Z", "14:10:05 UTC (12m ago)"},
		{"2026-11-03T14:10:05Z", "2026-11-03T14:10:00Z", "14:10 UTC (5s ago)"},
		{"2026-11-03T14:10:00Z", "2026-11-03T14:25:00Z", "14:25 UTC (in 15m)"},
		{"2026-11-03T16:15:00Z", "2026-11-03T14:10:00Z", "14:10 UTC (2h05m ago)"},
		{"2026-11-03T00:05:00Z", "2026-11-02T23:50:00Z", "2026-11-02 23:50 UTC (15m ago)"},
		{"2026-11-03T14:10:00+02:00", "2026-11-03T14:00:00+02:00", "12:00 UTC (10m ago)"},
		{"2026-11-03T14:10:00Z", "2026-10-01T14:10:00Z", "2026-10-01 14:10 UTC (33d ago)"},
	} {
		at, now := parse(t, test.at), parse(t, test.now)
		if got := text.When(&at, now); got != test.want {
			t.Errorf("%s at %s: %q, want %q", test.at, test.now, got, test.want)
		}
	}
	if got := text.When(nil, now()); got != "-" {
		t.Errorf("nothing: %q", got)
	}
}

func parse(t *testing.T, stamp string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestAMitigationSaysUntilWhenItsModelsAreApproved(t *testing.T) {
	m := incident.MitigationView{Title: "Fall back", Kind: "fallback", Do: "Route to the fallback.\n"}
	if got, want := text.Mitigation(m), "Fall back (fallback): Route to the fallback."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	m.Approved = []incident.ApprovalView{{Model: "support-3.1-small", Until: "2027-03-01"}, {Model: "support-2", Until: "2026-01-31", Expired: true}}
	want := "Fall back (fallback): Route to the fallback. [approved: support-3.1-small until 2027-03-01, support-2 EXPIRED 2026-01-31]"
	if got := text.Mitigation(m); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
