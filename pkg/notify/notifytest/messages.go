package notifytest

import (
	"fmt"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Page is a page of the first round.
func Page() notify.Message {
	opened := time.Date(2026, 11, 23, 14, 10, 0, 0, time.UTC)
	return notify.Message{
		ID: "b0f3c61f5d2e", Kind: incident.DeliverPage, Key: "irdaemon/production/3f1c9a0d5b7e2a44/1", Round: 1,
		Causes: []string{incident.CauseOpened}, Severity: runbook.Sev2,
		StartedAt: opened, CreatedAt: opened, SentAt: opened.Add(time.Second),
		Title: "SEV2 The safety layer refuses good users", Text: "Impact  refusal rate is 19.1%\n",
		Incident: incident.View{
			ID: "3f1c9a0d5b7e2a44", Number: 42, Runbook: "good-users-refused", Title: "The safety layer refuses good users",
			Service: "support-bot", Group: map[string]string{"service": "support-bot", "tier": "paid", "owner": "clash", "empty": ""},
			Severity: runbook.Sev2, State: incident.Triggered, Owner: "ml-platform-oncall",
			URL: "http://irdaemon.example/incidents/42", OpenedAt: &opened,
		},
	}
}

// Escalation is a later call of the same round, when the incident's severity and state have changed.
func Escalation() notify.Message {
	m := Page()
	m.ID, m.Step, m.Causes, m.SentAt = "c14d2a0b9e77", 1, nil, m.SentAt.Add(15*time.Minute)
	m.Incident.Severity, m.Incident.State = runbook.Sev1, incident.Verifying
	return m
}

// NextRound is the page of a second round, which ends the first one.
func NextRound() notify.Message {
	first := Page()
	m := Escalation()
	m.ID, m.Round, m.Severity, m.StartedAt = "d25e3b1caf88", 2, runbook.Sev1, m.SentAt
	m.Key, m.EndsKey = "irdaemon/production/3f1c9a0d5b7e2a44/2", first.Key
	m.Ends = []incident.Standing{{View: m.Incident, Round: 1, Key: first.Key, Severity: first.Severity, StartedAt: first.StartedAt}}
	return m
}

// End is the end of the first round.
func End() notify.Message {
	m := Escalation()
	m.ID, m.Kind, m.SentAt = "e36f4c2db099", incident.DeliverEnd, m.SentAt.Add(time.Hour)
	m.Incident.State = incident.ResolvedState
	return m
}

// Acknowledge tells that somebody has the first round.
func Acknowledge() notify.Message {
	m := Escalation()
	m.ID, m.Kind, m.SentAt = "a47a5d3ec1aa", incident.DeliverAcknowledge, m.SentAt.Add(time.Minute)
	m.Title, m.Text = "alice has it: "+m.Title, "News    alice has it: nobody else is called any more\n"
	m.Incident.AcknowledgedBy, m.Incident.AcknowledgedAt, m.Incident.TakenAt = "alice", &m.SentAt, &m.SentAt
	return m
}

// Progress tells what happened since.
func Progress() notify.Message {
	m := Acknowledge()
	m.ID, m.Kind, m.SentAt = "f58b6e4fd2bb", incident.DeliverProgress, m.SentAt.Add(time.Minute)
	m.Title, m.Text = Page().Title, "News    alice: began: support prompt\nNow     alice has it\n"
	return m
}

// Notice is for who need not act.
func Notice() notify.Message {
	m := Progress()
	m.ID, m.Kind, m.Key, m.Round = "169c7f50e3cc", incident.DeliverNotice, "", 0
	m.Title, m.Text = "an update on #42 is due 14:49 UTC: "+Page().Title, "Why     an update on #42 is due 14:49 UTC\n"
	return m
}

// Hostile is what somebody may write into a label or a name to steer what shows it: a terminal, a chat, a mail, a page.
const Hostile = "<!channel> <@U1> *x* `y` &amp; <script>alert(1)</script>\r\nBcc: a@example.org\r\n\r\n.\r\n\x1b[2J\x00\u202e \xff \U0001f525 {{.}} %s"

// Digest is a storm's one message: 500 incidents, of which it has the first 50, and none of their texts can be trusted.
func Digest() notify.Message {
	m := Page()
	m.ID, m.Key, m.SentAt = "27ad8061f4dd", "irdaemon/production/digest/chat/1795442400", m.SentAt.Add(time.Minute)
	m.Digested = 500
	for i := range 50 {
		view := m.Incident
		view.ID, view.Number = fmt.Sprintf("%016x", i), int64(42+i)
		view.URL = fmt.Sprintf("http://irdaemon.example/incidents/%d", view.Number)
		view.Title = Hostile + strings.Repeat(" long", 400)
		view.Headline = "SEV2 " + view.Title
		view.Group = map[string]string{"tenant": Hostile, Hostile: "x"}
		view.Owner, view.Impact = Hostile, Hostile
		m.Digest = append(m.Digest, view)
	}
	m.Incident = m.Digest[0]
	m.Title = "500 incidents call at once, the worst: " + strings.Join(strings.Fields(m.Incident.Headline), " ")
	m.Text = "Why     a storm\n\nThe worst first\n  1. " + m.Incident.Headline + "\n"
	return m
}

// DigestEnd is the end of the storm's message.
func DigestEnd() notify.Message {
	m := Digest()
	m.ID, m.Kind, m.SentAt = "38be917205ee", incident.DeliverEnd, m.SentAt.Add(time.Hour)
	for i := range m.Digest {
		m.Digest[i].State = incident.ResolvedState
	}
	m.Incident = m.Digest[0]
	m.Title = "OVER the storm of 14:10 UTC: none of its incidents is open any more"
	m.Text = "Now     none of its incidents is open any more; nothing to do\n"
	return m
}

// Carried are messages of all kinds that a receiver carries, as they are and with hostile texts.
func Carried(receiver notify.Receiver) []notify.Message {
	all := []notify.Message{Page(), Escalation(), NextRound(), End()}
	carries := receiver.Carries()
	if carries.Acknowledgements {
		all = append(all, Acknowledge())
	}
	if carries.Progress {
		all = append(all, Progress())
	}
	if carries.Notices {
		all = append(all, Notice())
	}
	for _, m := range all {
		all = append(all, hostile(m))
	}
	if _, keeps := receiver.(notify.Keeper); !keeps {
		all = append(all, Digest(), DigestEnd())
	}
	return all
}

// hostile puts what can't be trusted wherever people or other systems may have written it.
func hostile(m notify.Message) notify.Message {
	m.Title, m.Text = strings.Join(strings.Fields(Hostile), " "), "News    "+Hostile+"\n"
	m.Causes = []string{Hostile}
	v := &m.Incident
	v.Title, v.Headline, v.Impact, v.Rule, v.Owner, v.Service, v.AcknowledgedBy = Hostile, Hostile, Hostile, Hostile, Hostile, Hostile, Hostile
	v.Group = map[string]string{"tenant": Hostile}
	v.Unknown = []string{Hostile}
	v.Segments = []incident.SegmentView{{Condition: Hostile, Signal: Hostile, Labels: map[string]string{"tenant": Hostile}, Text: Hostile}}
	v.Triage = []incident.TriageView{{N: 1, Check: Hostile, Evidence: Hostile}}
	v.Mitigations = []incident.MitigationView{{Title: Hostile, Kind: Hostile, Do: Hostile}}
	v.Rollbacks = []incident.RollbackView{{Artifact: Hostile, Name: Hostile, Do: Hostile}}
	v.Recovery = []incident.BandView{{Band: "key", Target: Hostile}}
	v.Timeline = []incident.TimelineEntry{{Seq: 1, At: m.SentAt, Kind: "noted", Actor: Hostile, Text: Hostile}}
	return m
}
