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
	shownRollbacks = 8

	shownMitigations = 3
)

// compose makes the message of a delivery from the incident as it is now.
func compose(d incident.Delivery, view incident.View, ends []incident.Standing, now time.Time) Message {
	m := Message{
		ID: d.ID, Kind: d.Kind, Key: d.Key, EndsKey: d.EndsKey, Ends: ends,
		Round: d.Round, Step: d.Step, Causes: d.Causes, Severity: d.Severity,
		StartedAt: d.StartedAt, CreatedAt: d.CreatedAt, SentAt: now,
		Title: view.Headline, Resent: d.Attempt > 1, Incident: view,
	}
	switch d.Kind {
	case incident.DeliverPage:
		m.Text = pageText(view, why(d, view), now)
	case incident.DeliverEnd:
		m.Text = endText(view, now)
	default:
		m.Text = noticeText(view, inWords(d), now)
	}
	if m.Resent {
		m.Text += "\nSent again: an earlier attempt may have reached you already.\n"
	}
	return m
}

// why tells the one who is called what for.
func why(d incident.Delivery, view incident.View) string {
	reasons := inWords(d)
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
func inWords(d incident.Delivery) string {
	words := make([]string, 0, len(d.Causes))
	for _, cause := range d.Causes {
		switch cause {
		case incident.CauseOpened:
			words = append(words, "opened at "+string(d.Severity))
		case incident.CauseRaised:
			words = append(words, "raised to "+string(d.Severity))
		case incident.CauseRelapsed:
			words = append(words, "relapsed: the trigger fires again")
		case incident.CauseUnverified:
			words = append(words, "unverified: no verified recovery within the runbook's timeout")
		case incident.CauseBlind:
			words = append(words, "blind: it can't be seen whether users are harmed")
		case incident.CauseUnacknowledged:
			words = append(words, "given back: nobody has it now")
		default: // a cause of a later release
			words = append(words, cause)
		}
	}
	return strings.Join(words, "; ")
}

// pageText is what follows a page's first line; the checklist is left out once there is nothing to do. Reason is empty where nobody is called by it.
func pageText(view incident.View, reason string, now time.Time) string {
	var t text
	t.line("Impact", view.Impact)
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
	t.list("Check first", "1", triage(view), shownTriage)
	t.list("Buy time first, if it helps", "", mitigations(view), shownMitigations)
	t.list("Roll back, in this order", "1", rollbacks(view), shownRollbacks)
	t.list("Recovered when all of these hold", "", bands(view), 3)
	t.heading("Acknowledge")
	t.item("  ", plain.Command(view, "ack"))
	t.look(view)
	return t.String()
}

// endText tells everybody who was called how it ended.
func endText(view incident.View, now time.Time) string {
	var t text
	t.line("Now", present(view, now))
	t.line("Impact", view.Impact)
	if view.ImpactStartedAt != nil && view.ImpactEndedAt != nil {
		t.line("Lasted", fmt.Sprintf("%s, from %s to %s", span(view.ImpactEndedAt.Sub(*view.ImpactStartedAt)),
			incident.Clock(*view.ImpactStartedAt, now), incident.Clock(*view.ImpactEndedAt, now)))
	}
	t.line("Opened", opened(view, now))
	t.line("Taken", taken(view, now))
	t.line("Owner", view.Owner)
	if open(view) {
		t.line("Note", "the call that this message ends is over, but the incident has been opened again since")
	} else if len(view.Postmortem.Questions) > 0 && view.State != incident.Dismissed {
		t.list("The postmortem will ask", "", view.Postmortem.Questions, len(view.Postmortem.Questions))
	}
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

func open(view incident.View) bool {
	switch view.State {
	case incident.ResolvedState, incident.Closed, incident.Dismissed:
		return false
	default:
		return true
	}
}

// present says where the incident stands and who has it: a message that comes late must not lie.
func present(view incident.View, now time.Time) string {
	var said []string
	switch {
	case view.State == incident.Dismissed:
		said = append(said, "dismissed; nothing to do")
	case view.ResolvedAt != nil:
		said = append(said, fmt.Sprintf("resolved at %s; nothing to do", incident.Clock(*view.ResolvedAt, now)))
	case view.HoldSince != nil:
		said = append(said, fmt.Sprintf("recovering: in band since %s, being verified", incident.Clock(*view.HoldSince, now)))
	}
	if open(view) {
		said = append(said, whoHasIt(view, now))
	}
	if view.Unverified && open(view) {
		said = append(said, "recovery unverified")
	}
	return strings.Join(said, "; ")
}

// whoHasIt tells who took it and, where it calls again, that this call is not answered yet.
func whoHasIt(view incident.View, now time.Time) string {
	has := ""
	if view.AcknowledgedBy != "" {
		has = view.AcknowledgedBy + " has it"
		if view.TakenAt != nil {
			has += " since " + incident.Clock(*view.TakenAt, now)
		}
	}
	switch {
	case has != "" && !view.Calling:
		return has
	case has != "":
		has += "; this new call is not acknowledged"
	default:
		has = "nobody has acknowledged"
	}
	if view.Calling && view.NextCallAt != nil {
		has += "; next call at " + incident.Clock(*view.NextCallAt, now)
	}
	return has
}

// since tells when it began, and how long nobody knew.
func since(view incident.View, now time.Time) string {
	if view.ImpactStartedAt == nil {
		return opened(view, now)
	}
	began := "impact began " + incident.Clock(*view.ImpactStartedAt, now)
	if view.OpenedAt == nil {
		return began
	}
	return fmt.Sprintf("%s, opened %s later at %s", began, span(view.OpenedAt.Sub(*view.ImpactStartedAt)),
		incident.Clock(*view.OpenedAt, now))
}

func opened(view incident.View, now time.Time) string {
	if view.OpenedAt == nil {
		return ""
	}
	return incident.Clock(*view.OpenedAt, now)
}

func taken(view incident.View, now time.Time) string {
	if view.AcknowledgedAt == nil {
		return "nobody acknowledged it"
	}
	first := incident.Clock(*view.AcknowledgedAt, now)
	if view.OpenedAt != nil {
		first += fmt.Sprintf(", %s after it opened", span(view.AcknowledgedAt.Sub(*view.OpenedAt)))
	}
	switch {
	case view.AcknowledgedBy == "":
		return "given back; first acknowledged " + first
	case view.TakenAt != nil && !view.TakenAt.Equal(*view.AcknowledgedAt):
		return fmt.Sprintf("by %s since %s; first acknowledged %s", view.AcknowledgedBy, incident.Clock(*view.TakenAt, now), first)
	}
	return fmt.Sprintf("by %s at %s", view.AcknowledgedBy, first)
}
