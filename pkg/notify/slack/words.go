package slack

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/notify"
)

// standing says where the incident stands and who has it.
func standing(view incident.View, now time.Time) string {
	var said []string
	switch {
	case view.State == incident.DismissedState:
		return "dismissed; nothing to do"
	case !text.Open(view) && view.ResolvedAt != nil:
		return fmt.Sprintf("resolved at %s; nothing to do", at(view.ResolvedAt, now))
	case !text.Open(view):
		return "resolved; nothing to do"
	case view.HoldSince != nil:
		said = append(said, fmt.Sprintf("recovering: in band since %s, being verified", at(view.HoldSince, now)))
	case view.State == incident.Mitigating:
		said = append(said, "mitigating")
	}
	said = append(said, whoHasIt(view, now))
	if view.Unverified {
		said = append(said, "recovery unverified")
	}
	if view.Blind {
		said = append(said, "blind: it can't be seen whether users are harmed")
	}
	return strings.Join(said, "; ")
}

func whoHasIt(view incident.View, now time.Time) string {
	has := "nobody has acknowledged"
	if view.AcknowledgedBy != "" {
		has = view.AcknowledgedBy + " has it"
		if view.TakenAt != nil {
			has += " since " + at(view.TakenAt, now)
		}
		if view.Calling {
			has += "; this new call is not acknowledged"
		}
	}
	if view.Calling && view.NextCallAt != nil {
		has += "; next call at " + at(view.NextCallAt, now)
	}
	return has
}

// since tells when it began, and when it was found.
func since(view incident.View, now time.Time) string {
	var said []string
	if view.ImpactStartedAt != nil {
		said = append(said, "impact began "+at(view.ImpactStartedAt, now))
	}
	if view.OpenedAt != nil {
		said = append(said, "opened "+at(view.OpenedAt, now))
	}
	return strings.Join(said, ", ")
}

func lasted(view incident.View, now time.Time) string {
	if view.ImpactStartedAt == nil || view.ImpactEndedAt == nil {
		return ""
	}
	return fmt.Sprintf("from %s to %s", at(view.ImpactStartedAt, now), at(view.ImpactEndedAt, now))
}

func taken(view incident.View, now time.Time) string {
	switch {
	case view.AcknowledgedAt == nil:
		return "nobody acknowledged it"
	case view.AcknowledgedBy == "":
		return "given back; first acknowledged " + at(view.AcknowledgedAt, now)
	}
	return fmt.Sprintf("by %s, first acknowledged %s", view.AcknowledgedBy, at(view.AcknowledgedAt, now))
}

// segment gives what breached where.
func segment(s incident.SegmentView) string {
	labels := (&incident.View{Group: s.Labels}).GroupWords()
	return strings.Trim(s.Condition+", "+labels, ", ") + ": " + text.Value(s)
}

// labelled is a line of a message's text that begins with a label, padded with spaces.
var labelled = regexp.MustCompile(`^(\S{1,7}) {2,}`)

// news is what a message has to tell beside how things stand: why it calls, what is new, what its end means.
func news(m notify.Message) string {
	lines := strings.Split(m.Text, "\n")
	first := ""
	for i, line := range lines {
		parts := labelled.FindStringSubmatch(line)
		switch {
		case parts != nil && slices.Contains([]string{"Why", "News", "Note"}, parts[1]):
			return unwrapped(lines[i:])
		case first == "" && parts == nil && strings.TrimSpace(line) != "":
			first = unwrapped(lines[i:])
		}
	}
	if m.Kind == incident.DeliverPage || m.Kind == incident.DeliverEnd { // their titles tell it
		return ""
	}
	return first
}

// unwrapped joins the lines of a text, without its label. They are wrapped at 80 columns: one that had room in the line
// before is news of its own.
func unwrapped(lines []string) string {
	const columns = 80
	said := labelled.ReplaceAllString(lines[0], "")
	for i, line := range lines[1:] {
		if strings.TrimSpace(line) == "" || labelled.MatchString(line) {
			break
		}
		word := strings.Fields(line)[0]
		if utf8.RuneCountInString(lines[i])+1+utf8.RuneCountInString(word) <= columns {
			said += ";"
		}
		said += " " + strings.TrimSpace(line)
	}
	return said
}

// name is how people name the incident.
func name(view incident.View) string {
	if view.Number > 0 {
		return fmt.Sprintf("#%d", view.Number)
	}
	return cmp.Or(view.ID, "incident")
}
