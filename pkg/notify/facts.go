package notify

import (
	"fmt"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	plain "github.com/irdaemon/irdaemon/pkg/incident/text"
)

func open(view incident.View) bool { return plain.Open(view) }

// present says where the incident stands and who has it: a message that comes late must not lie.
func present(view incident.View, now time.Time) string {
	var said []string
	switch {
	case view.State == incident.DismissedState:
		said = append(said, dismissed(view, now)+"; nothing to do")
	case view.Class == incident.Self && view.ResolvedAt != nil:
		said = append(said, fmt.Sprintf("over since %s; nothing to do", incident.Clock(*view.ResolvedAt, now)))
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

// dismissed tells who found that it was no incident, and why.
func dismissed(view incident.View, now time.Time) string {
	said := "dismissed"
	if view.DismissedAt != nil {
		said += " at " + incident.Clock(*view.DismissedAt, now)
	}
	d := view.Dismissal
	if d == nil {
		return said
	}
	if d.By != "" {
		said += " by " + d.By
	}
	said += ", " + strings.ReplaceAll(d.Reason, "_", " ")
	if d.DuplicateOf != "" {
		said += " of " + d.DuplicateOf
	}
	if d.Text != "" {
		said += ": " + d.Text
	}
	return said
}

// lasted gives a span of time with its two ends; nothing where one isn't known.
func lasted(from, to *time.Time, now time.Time) string {
	if from == nil || to == nil {
		return ""
	}
	return fmt.Sprintf("%s, from %s to %s", span(to.Sub(*from)), incident.Clock(*from, now), incident.Clock(*to, now))
}

// answered says that nobody is called any more, in a few words, and how that came.
func answered(b incident.Briefing) (short string, news []string) {
	view, said := b.View, sayings(b.Happened)
	switch {
	case view.Calling:
		return "a call was answered", said
	case view.AcknowledgedBy != "":
		return view.AcknowledgedBy + " has it", []string{view.AcknowledgedBy + " has it: nobody else is called any more"}
	default:
		return "nobody is called any more", said
	}
}

// sayings are events as people tell them, with who did it where somebody did.
func sayings(happened []incident.TimelineEntry) []string {
	var said []string
	for _, entry := range happened {
		words := entry.Text
		if entry.Actor != "" && entry.Actor != incident.Daemon {
			words = entry.Actor + ": " + words
		}
		said = append(said, words)
	}
	return said
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
