package notify

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	plain "github.com/irdaemon/irdaemon/pkg/incident/text"
)

// How much of a list a message shows; the page has the rest.
const (
	shownSegments  = 5
	shownTriage    = 5
	shownChanges   = 5
	shownRollbacks = 8

	shownMitigations = 3
)

// practice begins the title and the text of whatever a drill sends.
const practice = "DRILL"

// compose makes the message of a delivery from what is true now.
func compose(d incident.Delivery, b incident.Briefing, ends []incident.Standing, now time.Time) Message {
	view := b.View
	m := Message{
		ID: d.ID, Kind: d.Kind, Key: d.Key, EndsKey: d.EndsKey, Ends: ends,
		Round: d.Round, Step: d.Step, Causes: d.Causes, Severity: d.Severity,
		StartedAt: d.StartedAt, CreatedAt: d.CreatedAt, SentAt: now,
		Title: view.Headline, Resent: d.Attempt > 1, Incident: view,
		Thread: b.Thread, Receipt: b.Receipt, Drill: view.Class == incident.Drill,
	}
	switch d.Kind {
	case incident.DeliverPage:
		m.Text = pageText(view, why(d, view), now)
	case incident.DeliverEnd:
		if open(view) {
			m.Title = "CALL OVER " + m.Title
		}
		m.Text = endText(view, callOver(d, view), now)
	case incident.DeliverAcknowledge:
		who, news := answered(b)
		m.Title, m.Text = before(who, m.Title), newsText(view, news, now)
	case incident.DeliverProgress:
		m.Text = newsText(view, sayings(b.Happened), now)
	default:
		m.Text = noticeText(view, inWords(d, view), now)
		if !d.Reminds.IsZero() {
			due := "an update on " + nameOf(d, view) + " is due " + incident.Clock(d.Reminds, now)
			m.Title, m.Text = before(due, m.Title), reminderText(view, due, now)
		}
	}
	return m.finished()
}

// finished marks practice and repetition, and keeps the title to one line.
func (m Message) finished() Message {
	m.Title = strings.Join(strings.Fields(plain.Clean(m.Title)), " ")
	if m.Drill {
		m.Title = practice + " " + strings.Replace(m.Title, practice+" ", "", 1)
		m.Text = practice + "   this is practice, nothing is broken\n" + m.Text
	}
	if m.Resent {
		m.Text += "\nSent again: an earlier attempt may have reached you already.\n"
	}
	return m
}

// before puts what is new before the first line.
func before(news, title string) string { return news + ": " + title }

// why tells the one who is called what for.
func why(d incident.Delivery, view incident.View) string {
	reasons := inWords(d, view)
	waited, again := calledBefore(d, view)
	if !again {
		return reasons
	}
	unanswered := "nobody acknowledged for " + span(waited)
	if view.AcknowledgedBy != "" {
		unanswered = "this call was not acknowledged for " + span(waited)
	}
	switch {
	case d.Step == 0:
		unanswered += ": called again from the top"
	case d.Round == view.Round && len(view.Called) > 1:
		unanswered += ": escalated to " + strings.Join(view.Called[1:], ", ")
	default:
		unanswered += ": escalated"
	}
	return strings.TrimPrefix(reasons+"; "+unanswered, "; ")
}

// calledBefore tells whether the round had called somebody before this call of it, and how long it has been calling.
func calledBefore(d incident.Delivery, view incident.View) (waited time.Duration, again bool) {
	paged := incident.Paged{}.Kind()
	for _, entry := range view.Timeline {
		switch {
		case entry.Kind != paged || entry.At.Before(d.StartedAt):
		case entry.Seq < d.Seq:
			again = true
		case entry.Seq == d.Seq:
			waited = entry.At.Sub(d.StartedAt)
		}
	}
	return waited, again
}

// inWords gives the causes of a round in the words of people.
func inWords(d incident.Delivery, view incident.View) string {
	words := make([]string, 0, len(d.Causes))
	for _, cause := range d.Causes {
		switch cause {
		case incident.CauseOpened:
			if view.Class != incident.Self { // its first line says all there is
				words = append(words, "opened at "+string(d.Severity))
			}
		case incident.CauseJoined:
			words = append(words, joined(view))
		case incident.CauseRaised:
			words = append(words, "raised to "+string(d.Severity))
		case incident.CauseRelapsed:
			words = append(words, "relapsed: the trigger fires again")
		case incident.CauseReopened:
			words = append(words, "reopened: it was not over after all")
		case incident.CauseUnverified:
			words = append(words, "unverified: no verified recovery within the runbook's timeout")
		case incident.CauseBlind:
			words = append(words, "blind: it can't be seen whether users are harmed")
		case incident.CauseOverdue:
			words = append(words, "overdue: nobody has posted the update that was due; to post it: "+plain.Command(view, "update")+" TEXT…")
		case incident.CauseUnacknowledged:
			words = append(words, "given back: nobody has it now")
		default: // a cause of a later release
			words = append(words, cause)
		}
	}
	return strings.Join(words, "; ")
}

// joined names the finding that joined last.
func joined(view incident.View) string {
	if len(view.Findings) < 2 {
		return "joined by another trigger"
	}
	last := view.Findings[len(view.Findings)-1]
	return fmt.Sprintf("joined by %s: its owner %s is called too", cmp.Or(last.Title, last.Runbook), last.Owner)
}

// pageText is what follows a page's first line; the checklist is left out once there is nothing to do. Reason is empty where nobody is called by it.
func pageText(view incident.View, reason string, now time.Time) string {
	if view.Class == incident.Self {
		return selfText(view, reason, now)
	}
	var t text
	t.line("Impact", view.Impact)
	t.line("Traffic", plain.Traffic(view))
	t.line("Why", reason)
	t.line("Rule", string(view.Severity)+", "+cmp.Or(view.Rule, "the runbook's default"))
	t.line("Since", since(view, now))
	t.line("Now", present(view, now))
	t.line("Owner", view.Owner)
	t.line("Unseen", strings.Join(view.Unknown, "; "))
	if !open(view) {
		t.look(view)
		return t.String()
	}
	if len(view.Segments) > 1 {
		t.list("Breached", "", segments(view), shownSegments)
	}
	t.list("Changed before impact", "", plain.Changed(view), shownChanges)
	t.list("Check first", "1", triage(view), shownTriage)
	t.list("Buy time first, if it helps", "", mitigations(view), shownMitigations)
	t.list("Roll back, in this order", "1", rollbacks(view), shownRollbacks)
	t.list("Recovered when all of these hold", "", bands(view), 3)
	t.acknowledge(view)
	t.look(view)
	return t.String()
}

// selfText tells of a trouble of the daemon's own: there is no runbook to go by, so it says where to look.
func selfText(view incident.View, reason string, now time.Time) string {
	var t text
	t.line("Wrong", view.Rule)
	t.line("Since", opened(view, now))
	t.line("Why", reason)
	t.line("Now", present(view, now))
	t.line("Owner", view.Owner)
	if open(view) {
		t.lookAtDaemon(strings.TrimSuffix(view.URL, "/incidents/"+view.Ref()))
		t.acknowledge(view)
	}
	t.look(view)
	return t.String()
}

// lookAtDaemon says where the daemon itself tells what is wrong with it.
func (t *text) lookAtDaemon(address string) {
	t.list("Look at irdaemon itself", "", []string{
		address + "/-/ready: what is wrong now",
		"its log: lines of level error, then warn",
		address + "/metrics: irdaemon_trouble by kind, irdaemon_outbox_rows",
	}, 3)
}

// endText tells everybody who was called how it ended. Note says what the call's end means where the incident goes on.
func endText(view incident.View, note string, now time.Time) string {
	var t text
	t.line("Note", note)
	t.line("Now", present(view, now))
	if view.Class == incident.Self {
		t.line("Wrong", view.Rule)
		t.line("Lasted", lasted(view.OpenedAt, view.ResolvedAt, now))
	} else {
		t.line("Impact", view.Impact)
		t.line("Lasted", lasted(view.ImpactStartedAt, view.ImpactEndedAt, now))
		t.line("Opened", opened(view, now))
	}
	t.line("Taken", taken(view, now))
	t.line("Owner", view.Owner)
	if !open(view) && view.State != incident.DismissedState {
		t.list("The postmortem will ask", "", view.Postmortem.Questions, len(view.Postmortem.Questions))
	}
	t.look(view)
	return t.String()
}

// callOver says why a call ends while the incident is open; empty: it isn't.
func callOver(d incident.Delivery, view incident.View) string {
	if !open(view) {
		return ""
	}
	for _, entry := range view.Timeline {
		if entry.Seq == d.Seq && entry.Kind == (incident.SeveritySet{}).Kind() {
			return "nobody is called for it any more; " + entry.Actor + ": " + entry.Text
		}
	}
	return "the call that this message ends is over, but the incident has been opened again since"
}

// newsText is for who follows an incident: what is new, then how it stands.
func newsText(view incident.View, news []string, now time.Time) string {
	var t text
	for i, said := range news {
		label := "News"
		if i > 0 {
			label = ""
		}
		t.line(label, said)
	}
	t.line("Now", present(view, now))
	t.line("Impact", view.Impact)
	t.line("Since", since(view, now))
	t.line("Owner", view.Owner)
	t.line("Unseen", strings.Join(view.Unknown, "; "))
	t.look(view)
	return t.String()
}

// noticeText is for who should know, and need not act.
func noticeText(view incident.View, reason string, now time.Time) string {
	var t text
	t.line("Impact", view.Impact)
	t.line("Why", reason)
	t.line("Since", since(view, now))
	t.line("Now", present(view, now))
	t.line("Owner", view.Owner)
	t.look(view)
	return t.String()
}

// reminderText is for the owner of an update that falls due.
func reminderText(view incident.View, due string, now time.Time) string {
	var t text
	t.line("Why", due+"; if it isn't posted by then, somebody is called")
	t.line("Impact", view.Impact)
	t.line("Now", present(view, now))
	t.line("Owner", view.Owner)
	t.heading("Post it")
	t.item("  ", plain.Command(view, "update")+" TEXT…")
	t.look(view)
	return t.String()
}
