package slack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/slack"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

func TestTheButtonThatAcknowledges(t *testing.T) {
	const link = "http://irdaemon.example/acknowledge/signed"
	signed := func(c *slack.Config) { c.SigningSecretFile = "secret" }
	tests := map[string]struct {
		config func(*slack.Config)
		change func(*notify.Message)
		want   string
	}{
		"a bot that hears has one that is heard":      {signed, nil, "[Acknowledge = " + key + "1]"},
		"it has it even where there is a link":        {signed, func(m *notify.Message) { m.AcknowledgeURL = link }, "[Acknowledge = " + key + "1]"},
		"without a key that fits it is a link":        {signed, func(m *notify.Message) { m.Key, m.AcknowledgeURL = strings.Repeat("k", 2001), link }, "[Acknowledge ↗ " + link + "]"},
		"a bot that does not hear has a link":         {nil, func(m *notify.Message) { m.AcknowledgeURL = link }, "[Acknowledge ↗ " + link + "]"},
		"a bot that does not hear, and no link":       {nil, nil, ""},
		"an address that is none is no link":          {nil, func(m *notify.Message) { m.AcknowledgeURL = "javascript:alert(1)" }, ""},
		"nobody is asked once somebody has it":        {signed, func(m *notify.Message) { m.Incident.AcknowledgedBy, m.Incident.Calling = "alice", false }, ""},
		"somebody is asked again when it calls again": {signed, func(m *notify.Message) { m.Incident.AcknowledgedBy = "alice" }, "[Acknowledge = " + key + "1]"},
		"nobody is asked about what is over":          {signed, func(m *notify.Message) { m.Incident.State = incident.ResolvedState }, ""},
		"nobody is asked about what was dismissed":    {signed, func(m *notify.Message) { m.Incident.State = incident.DismissedState }, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t)
			config := slack.Config{TokenFile: file(t, token), Channel: "#incidents", APIURL: "http://slack.test/api", Transport: w}
			if test.config != nil {
				test.config(&config)
			}
			m := story()[opens].message
			if test.change != nil {
				test.change(&m)
			}
			if result := slack.New(config).Deliver(t.Context(), m); result.Outcome != notify.Delivered {
				t.Fatalf("%+v", result)
			}
			read := w.channels[0].String()
			if test.want == "" && strings.Contains(read, "[Acknowledge") || !strings.Contains(read, test.want) || !strings.Contains(read, "[Open incident ↗ "+page+"]") {
				t.Errorf("want %q in\n%s", test.want, read)
			}
		})
	}
}

func TestANoticeLeavesTheFirstMessageAsItIs(t *testing.T) {
	w := newWorkspace(t)
	l := newTeller(t, w)
	l.tell(story()[opens].message)
	m := story()[opens].message // it calls still
	m.Kind, m.Key, m.Text = incident.DeliverNotice, "", "Why     an update is due at 14:20\n"
	l.tell(m)
	first, line := w.channels[0].messages[0], w.channels[0].messages[1]
	if first.edited || !strings.Contains(first.String(), "[Acknowledge = ") {
		t.Errorf("a notice took the button away:\n%s", first)
	}
	if line.text != "an update is due at 14:20" || line.thread != first.ts || line.broadcast {
		t.Errorf("%+v", line)
	}
}

func TestAWebhookGetsEachMessageWhole(t *testing.T) {
	var bodies []demand
	hook := func(r *http.Request) (*http.Response, error) {
		var d demand
		if err := json.NewDecoder(r.Body).Decode(&d); err != nil {
			t.Error(err)
		}
		if err := d.check(); err != nil {
			t.Error(err)
		}
		bodies = append(bodies, d)
		return respond(r, http.StatusOK, "", "ok"), nil
	}
	receiver := slack.New(slack.Config{WebhookURLFile: file(t, "https://hooks.slack.test/services/a"), SigningSecretFile: "unused", Transport: roundTripper(hook)})
	var read strings.Builder
	for _, i := range []int{opens, escalates, isDue, ends} {
		s := story()[i]
		s.message.AcknowledgeURL = "http://irdaemon.example/acknowledge/signed"
		if result := receiver.Deliver(t.Context(), s.message); result.Outcome != notify.Delivered || result.Receipt != "" {
			t.Fatalf("%+v", result)
		}
		last := bodies[len(bodies)-1]
		fmt.Fprintf(&read, "══ %s ══\n%s\n%s\n", s.name, unescape(last.Text), &message{text: last.Text, blocks: last.Blocks})
	}
	golden(t, "webhook", read.String())
}

// hostile is what somebody may write into a label, a runbook or a name.
const hostile = "<!channel> <@U123> <https://evil.example|click> & \"quotes\" 'and' `ticks` *bold* _it_ ~no~ \\ </b><script>\r\n> quote\n```\n:fire: \u202e\x00\x1b[31m\xff é"

func TestNothingFromOutsideIsMarkup(t *testing.T) {
	view := broken()
	view.Title, view.Service, view.Owner, view.Impact, view.Rule = hostile, hostile, hostile, hostile, hostile
	view.Headline = "SEV2 " + hostile + ": " + hostile + " · " + page
	view.Group = map[string]string{"tier": hostile, hostile: "x"}
	view.Unknown, view.Called, view.AcknowledgedBy = []string{hostile}, []string{hostile}, hostile
	for i := range view.Segments {
		view.Segments[i].Condition, view.Segments[i].Labels = hostile, map[string]string{hostile: hostile}
	}
	view.Triage[0].Check, view.Mitigations[0].Title, view.Rollbacks[0].Do, view.Recovery[0].Target = hostile, hostile, hostile, hostile
	w := newWorkspace(t) // which finds fault with what is not escaped, and with any rich text that isn't a text or our link
	l := newTeller(t, w)
	for _, kind := range []string{incident.DeliverPage, incident.DeliverAcknowledge, incident.DeliverProgress, incident.DeliverNotice, incident.DeliverEnd} {
		if kind == incident.DeliverEnd {
			view.State = incident.ResolvedState
		}
		if result := l.tell(told(kind, 1, "14:30:00", view, hostile+"\nWhy     "+hostile)); result.Outcome != notify.Delivered {
			t.Errorf("%s: %+v", kind, result)
		}
		if kind == incident.DeliverPage {
			golden(t, "hostile", w.channels[0].messages[0].String())
		}
	}
	for _, m := range w.channels[0].messages {
		read := m.String()
		if !strings.Contains(read, "<!channel>") || strings.ContainsAny(read, "\x00\x1b\r\u202e") {
			t.Errorf("not as it was written:\n%s", read)
		}
		encoded, err := json.Marshal(m.blocks)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(encoded), `"url":"https://evil`) || strings.Contains(string(encoded), "mrkdwn") {
			t.Errorf("%s", encoded)
		}
	}
}

func TestTheLongestMessageKeepsToTheLimits(t *testing.T) {
	long := strings.Repeat("<&> 𝔊ä", 2000)
	view := broken()
	view.Title, view.Service, view.Owner, view.Impact, view.Rule, view.Headline = long, long, long, long, long, long
	view.Unknown = []string{long, long}
	view.AcknowledgedBy, view.AcknowledgedAt = long, clock("14:20:00")
	for range 50 {
		view.Segments = append(view.Segments, incident.SegmentView{Condition: long, Text: long})
		view.Triage = append(view.Triage, incident.TriageView{Check: long})
		view.Mitigations = append(view.Mitigations, incident.MitigationView{Title: long, Do: long})
		view.Rollbacks = append(view.Rollbacks, incident.RollbackView{Artifact: long, Do: long})
		view.Recovery = append(view.Recovery, incident.BandView{Band: long, Target: long})
	}
	w := newWorkspace(t) // which finds fault with what is too long
	l := newTeller(t, w)
	for _, kind := range []string{incident.DeliverPage, incident.DeliverAcknowledge, incident.DeliverProgress, incident.DeliverNotice, incident.DeliverEnd} {
		m := told(kind, 1, "14:30:00", view, "Why     "+long)
		m.Resent = true
		if result := l.tell(m); result.Outcome != notify.Delivered || result.Detail != "" {
			t.Errorf("%s: %+v", kind, result)
		}
	}
	read := w.channels[0].messages[0].String()
	for _, more := range []string{"and 47 more", "and 48 more", "and 44 more", "and 49 more"} {
		if !strings.Contains(read, more) {
			t.Errorf("%q is missing from\n%s", more, read)
		}
	}
	l.tell(told(incident.DeliverPage, 1, "14:30:00", view, ""))
	w.faults = []fault{{}, {status: 200, body: `{"ok":false,"error":"invalid_blocks"}`}}
	if result := l.tell(told(incident.DeliverPage, 1, "14:30:00", view, long)); result.Outcome != notify.Delivered {
		t.Errorf("in plain text: %+v", result)
	}
}

// storm is the one page of many incidents.
func storm(n int) notify.Message {
	m := story()[opens].message
	m.Key, m.Title = "irdaemon/production/storm/1", fmt.Sprintf("SEV2 %d incidents opened within 15m · owner ml-platform-oncall", n)
	m.Digested = n
	for i := range n {
		view := broken()
		view.Number, view.Severity = int64(100+i), runbook.Sev2
		view.URL = fmt.Sprintf("http://irdaemon.example/incidents/%d", view.Number)
		view.Headline = fmt.Sprintf("SEV2 Group %d <!here>: Refusal rate 19.1%% (limit 8%%) · support-bot · %s", i, view.URL)
		m.Digest = append(m.Digest, view)
	}
	m.Incident = m.Digest[0]
	return m
}

func TestAStormOfFiveHundredIncidentsIsOneMessage(t *testing.T) {
	w := newWorkspace(t)
	l := newTeller(t, w)
	result := l.tell(storm(500))
	if result.Outcome != notify.Delivered || result.Receipt != "C0INCIDENTS/1763800001.000100/digest" {
		t.Fatalf("%+v", result)
	}
	read := w.channels[0].messages[0].String()
	if strings.Count(read, "  • ") != 20 || !strings.Contains(read, "and 480 more") || !strings.Contains(read, "[Acknowledge = irdaemon/production/storm/1]") {
		t.Errorf("%s", read)
	}
	cut := storm(500)
	cut.Digest = cut.Digest[:30] // the list may be cut before it comes here
	if l.tell(cut); !strings.Contains(w.channels[0].messages[0].String(), "and 480 more") {
		t.Errorf("%s", w.channels[0].messages[0])
	}
}

func TestAnIncidentOfAStormDoesNotWriteOverItsMessage(t *testing.T) {
	w := newWorkspace(t)
	l := newTeller(t, w)
	l.tell(storm(500))
	before := w.channels[0].messages[0].String()
	for _, i := range []int{isTaken, rollsBack, ends} {
		if result := l.tell(story()[i].message); result.Outcome != notify.Delivered {
			t.Errorf("%+v", result)
		}
	}
	if after := w.channels[0].messages[0].String(); after != before {
		t.Errorf("the storm's message reads:\n%s", after)
	}
	lines := w.channels[0].messages[1:]
	for i, want := range []string{"#42 SEV2 The safety layer refuses good users: alice acknowledged", "#42 SEV2 The safety layer refuses good users: alice rolled back", "RESOLVED SEV2 The safety layer refuses good users: impact"} {
		if !strings.HasPrefix(lines[i].text, want) || lines[i].thread == "" {
			t.Errorf("%s; want %s", lines[i].text, want)
		}
	}
	result := l.tell(story()[relapses].message)
	if result.Receipt != "C0INCIDENTS/1763800005.000100" || w.channels[0].messages[4].thread != "" {
		t.Errorf("a later round of one of them is not called by a message of its own: %+v", result)
	}
	l.tell(story()[isTakenAgain].message)
	if read := w.channels[0].messages[4].String(); !strings.Contains(read, "bob has it") {
		t.Errorf("%s", read)
	}
	over := storm(500)
	over.Kind = incident.DeliverEnd
	l.tell(over)
	if strings.Contains(w.channels[0].messages[0].String(), "[Acknowledge") {
		t.Error("the storm's message still asks to acknowledge when it is over")
	}
}

func TestADrillBeginsWithThatWord(t *testing.T) {
	for _, title := range []string{"SEV2 The safety layer refuses good users", "DRILL SEV2 The safety layer refuses good users"} {
		w := newWorkspace(t)
		l := newTeller(t, w)
		for _, i := range []int{opens, escalates, ends} {
			m := story()[i].message
			m.Drill, m.Title, m.Incident.Headline = true, title, title
			l.tell(m)
		}
		m := story()[holds].message
		m.Drill, m.Text = true, "DRILL   this is practice, nothing is broken\n"+m.Text
		l.tell(m)
		if line := w.channels[0].messages[3].text; line != "DRILL all bands held: being verified for 15m" {
			t.Error(line)
		}
		w.channels[0].messages = w.channels[0].messages[:3]
		for _, m := range w.channels[0].messages {
			if !strings.HasPrefix(m.text, "DRILL SEV2") || !strings.HasPrefix(strings.TrimLeft(m.String(), "▌* "), "DRILL SEV2") {
				t.Errorf("%s\n%s", m.text, m)
			}
		}
	}
}

func TestATroubleOfTheDaemonsOwn(t *testing.T) {
	w := newWorkspace(t)
	m := story()[opens].message
	m.Incident = incident.View{
		ID: "5e1f", Class: incident.Self, Title: "Nothing can be seen", Rule: "every query has failed for 5m: connection refused",
		Headline: "Nothing can be seen since 14:10 UTC: every query has failed", Calling: true, State: incident.Triggered, Severity: runbook.Sev1,
	}
	newTeller(t, w).tell(m)
	read := w.channels[0].String()
	if !strings.Contains(read, "▌ Nothing can be seen\n*Wrong*  every query has failed for 5m") || strings.Contains(read, "*Rule*") || strings.Contains(read, "Open incident") {
		t.Errorf("%s", read)
	}
}
