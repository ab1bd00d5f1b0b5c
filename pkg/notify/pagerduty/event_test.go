package pagerduty_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/notifytest"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// sent gives the one event that a message makes.
func sent(t *testing.T, m notify.Message) request {
	t.Helper()
	s := &service{}
	if result := deliver(t, with(s, file(t, newKey)), m); result.Outcome != notify.Delivered || result.Detail != "" {
		t.Fatalf("%+v", result)
	}
	if len(s.events) != 1 {
		t.Fatalf("%d events", len(s.events))
	}
	return s.events[0]
}

// full is a page with everything in it.
func full() notify.Message {
	m := notifytest.Page()
	began := time.Date(2026, 11, 23, 13, 59, 15, 0, time.UTC)
	m.Step, m.AcknowledgeURL = 1, "http://irdaemon.example/a/signed"
	m.Incident.ImpactStartedAt, m.Incident.Rule, m.Incident.Impact = &began, "refusal_rate above 15%", "Refusal rate 19.1% (limit 8%)"
	m.Incident.Triage = []incident.TriageView{{N: 1, Check: "Is user harm active now?", Decide: []string{"yes", "no"}}}
	m.Incident.Mitigations = []incident.MitigationView{{Title: "Route to people", Kind: "traffic", Do: "Send the tier to the support desk"}}
	m.Incident.Rollbacks = []incident.RollbackView{{Artifact: "prompt", Name: "support prompt", Do: "Set the label back"}}
	return m
}

func TestAPageTellsTheIncident(t *testing.T) {
	e := sent(t, full())
	p := e.Payload
	for what, pair := range map[string][2]string{
		"dedup key": {e.DedupKey, "irdaemon/production/3f1c9a0d5b7e2a44/1"},
		"summary":   {p.Summary, "SEV2 The safety layer refuses good users"},
		"source":    {p.Source, "production"},
		"severity":  {p.Severity, "error"},
		"timestamp": {p.Timestamp.Format(time.RFC3339), "2026-11-23T14:10:00Z"},
		"component": {p.Component, "support-bot"},
		"group":     {p.Group, "owner=clash, service=support-bot, tier=paid"},
		"class":     {p.Class, "good-users-refused"},
		"client":    {e.Client + " " + e.ClientURL, "irdaemon http://irdaemon.example/incidents/42"},
		"links":     {fmt.Sprint(e.Links), "[{http://irdaemon.example/incidents/42 Incident 42} {http://irdaemon.example/a/signed Acknowledge}]"},
		"details": {fmt.Sprint(p.Details), "map[acknowledge:irdaemon ack 42 --url http://irdaemon.example impact:Refusal rate 19.1% (limit 8%) " +
			"mitigations:[Route to people (traffic): Send the tier to the support desk] owner:ml-platform-oncall " +
			"rollback:[support prompt (prompt): Set the label back] rule:refusal_rate above 15% severity:sev2 " +
			"since:2026-11-23 13:59:15 UTC state:triggered triage:[Is user harm active now? (yes / no / can't tell)] why:opened, escalated]"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
		}
	}
}

func TestEachSeverityHasItsOwnAtPagerDuty(t *testing.T) {
	for severity, want := range map[runbook.Severity]string{
		runbook.Sev1: "critical", runbook.Sev2: "error", runbook.Sev3: "warning", runbook.Sev4: "info", "": "error",
	} {
		m := notifytest.Page()
		m.Severity = severity
		if got := sent(t, m).Payload.Severity; got != want {
			t.Errorf("%q: %s, want %s", severity, got, want)
		}
	}
}

func TestAStormsPageListsItsIncidents(t *testing.T) {
	m := full()
	other := m.Incident
	m.Incident.Headline, other.Title = "SEV2 The safety layer refuses good users: 19.1%", "Another one"
	m.Digest, m.Digested, m.Drill = []incident.View{m.Incident, other}, 7, true
	details := sent(t, m).Payload.Details
	if got, want := fmt.Sprint(details["digest"]), "[SEV2 The safety layer refuses good users: 19.1% Another one]"; got != want || details["digested"] != 7.0 {
		t.Errorf("%s of %v, want %s of 7", got, details["digested"], want)
	}
	if details["drill"] != "this is practice" {
		t.Errorf("drill: %v", details["drill"])
	}
}

func TestAPageThatSaysNextToNothingIsTaken(t *testing.T) {
	e := sent(t, notify.Message{Kind: incident.DeliverPage, Key: "irdaemon/production/self/blind/1"})
	if e.Payload.Summary != "Incident 0" || e.Payload.Timestamp != nil || e.ClientURL != "" || len(e.Links) != 0 {
		t.Errorf("%+v, %+v", e, e.Payload)
	}
}

func TestAnIncidentThatIsOverOffersNoCommandToAcknowledge(t *testing.T) {
	m := full()
	m.Incident.State = incident.ResolvedState
	if details := sent(t, m).Payload.Details; details["acknowledge"] != nil || details["state"] != "resolved" {
		t.Errorf("%v", details)
	}
}

func TestTextsOfOthersDoNoHarm(t *testing.T) {
	hostile := "\"},{\"event_action\":\"resolve\"} <script>alert('x')</script> \\ \x00\x1b[31m\u202e\r\nsecond line \xff"
	m := full()
	m.Title, m.Incident.Impact, m.Incident.Service = hostile, hostile, hostile
	m.Incident.Triage[0].Check = hostile
	e := sent(t, m)
	const seen = "\"},{\"event_action\":\"resolve\"} <script>alert('x')</script> \\ "
	if want := seen + "[31m second line \ufffd"; e.Payload.Summary != want || e.Payload.Component != want {
		t.Errorf("summary %q, component %q; want %q", e.Payload.Summary, e.Payload.Component, want)
	}
	if want := seen + "\ufffd\ufffd[31m\ufffd\ufffd\nsecond line \ufffd"; e.Payload.Details["impact"] != want {
		t.Errorf("impact %q, want %q", e.Payload.Details["impact"], want)
	}
	if e.Action != "trigger" {
		t.Errorf("action %s", e.Action)
	}
}

func TestWhatIsTooLongIsCutBetweenCharacters(t *testing.T) {
	long := strings.Repeat("aé漢🙂", 60_000) // 600 kB
	m := full()
	m.Key = long
	m.Title, m.Severity, m.Causes = long, runbook.Sev1, []string{long}
	m.AcknowledgeURL = "http://irdaemon.example/" + long
	view := &m.Incident
	view.Service, view.Runbook, view.Group, view.Impact, view.Rule, view.Owner = long, long, map[string]string{"tier": long}, long, long, long
	view.URL = "http://irdaemon.example/" + long
	e := sent(t, m)
	if len(e.DedupKey) != 64 {
		t.Errorf("dedup key %q", e.DedupKey)
	}
	for what, text := range map[string]string{
		"summary": e.Payload.Summary, "component": e.Payload.Component, "impact": e.Payload.Details["impact"].(string),
	} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, utf8.RuneError) || !strings.HasSuffix(text, "…") {
			t.Errorf("%s is cut badly: … %q", what, text[len(text)-20:])
		}
	}
	if size := len(e.Payload.Summary); size > 1024 || size < 1020 {
		t.Errorf("a summary of %d bytes", size)
	}
	if e.ClientURL != "" || len(e.Links) != 0 {
		t.Error("half an address is none")
	}
}

func TestAKeyOfTheLimitIsKeptAndALongerOneIsTheSameForAllOfItsRound(t *testing.T) {
	for length, want := range map[int]int{255: 255, 256: 64} {
		page, over := notifytest.Page(), notifytest.End()
		page.Key = strings.Repeat("k", length)
		over.Key = page.Key
		if got, end := sent(t, page).DedupKey, sent(t, over).DedupKey; len(got) != want || got != end {
			t.Errorf("%d: %q, and %q at the end", length, got, end)
		}
	}
}

func TestAPageThatIsTooLongGoesWithoutItsLongestLists(t *testing.T) {
	const mark = "too long for PagerDuty, see the incident's page: "
	for name, test := range map[string]struct {
		triage, rollback, digest int // bytes
		leftOut                  any
	}{
		"one list":             {600_000, 10, 0, mark + "triage"},
		"just not all of them": {200_000, 300_000, 100_000, mark + "rollback"},
		"nearly everything":    {600_000, 700_000, 800_000, mark + "digest, rollback, triage"},
		"nothing, if it fits":  {200_000, 200_000, 100_000, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := full()
			m.Incident.Triage[0].Check = strings.Repeat("t", test.triage)
			m.Incident.Rollbacks[0].Do = strings.Repeat("<", test.rollback)
			m.Digest = []incident.View{{Headline: strings.Repeat("d", test.digest)}}
			details := sent(t, m).Payload.Details
			if details["left_out"] != test.leftOut {
				t.Errorf("left out: %v, want %v", details["left_out"], test.leftOut)
			}
			if details["impact"] != m.Incident.Impact || details["mitigations"] == nil {
				t.Errorf("more was left out than needed: %v", details)
			}
		})
	}
}
