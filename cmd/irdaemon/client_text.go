package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
)

// sentence is a line for the terminal: what others wrote in it cannot steer it, and it is cut where it does not fit.
func sentence(format string, arguments ...any) string {
	return cut(oneLine(text.Clean(fmt.Sprintf(format, arguments...))), text.Width) + "\n"
}

// ahead gives a time to come. What was asked to be in 30m is told so, although the answer took a moment.
func ahead(at *time.Time, now time.Time) string { return text.When(at, now.Truncate(time.Second)) }

// acknowledgedText tells who has it now, who had it until then, and what to look at next.
func acknowledgedText(view incident.View, now time.Time, hint bool) string {
	has := fmt.Sprintf("%s has %s now", view.AcknowledgedBy, named(view))
	if before := holderBefore(view); before != nil {
		has += fmt.Sprintf("; %s had it since %s", before.Actor, incident.Clock(before.At, now))
	}
	told := sentence("%s: %s", has, view.Title)
	if hint {
		told += sentence("irdaemon incidents show %s says what to check and what to roll back", view.Ref())
	}
	return told
}

// holderBefore gives the acknowledgement of whoever had the incident until the present one took it; nil: nobody had.
func holderBefore(view incident.View) *incident.TimelineEntry {
	var before, now *incident.TimelineEntry
	for i := range view.Timeline {
		switch entry := &view.Timeline[i]; entry.Kind {
		case incident.Acknowledged{}.Kind():
			if now == nil || now.Actor != entry.Actor {
				before, now = now, entry
			}
		case incident.Unacknowledged{}.Kind():
			before, now = nil, nil
		}
	}
	if now == nil || now.Actor != view.AcknowledgedBy {
		return nil
	}
	return before
}

func unacknowledgedText(view incident.View) string {
	return sentence("nobody has %s now: %s", named(view), view.Title) + sentence("%s", calledText(view))
}

// calledText says who is called for an incident, and why nobody is.
func calledText(view incident.View) string {
	switch {
	case view.Calling && len(view.Called) > 0:
		return "calling " + strings.Join(view.Called, ", ")
	case view.Calling:
		return "calling its owner, " + view.Owner
	case len(view.Silenced) > 0:
		return "a silence holds the call back"
	case view.AcknowledgedBy != "":
		return view.AcknowledgedBy + " has it"
	}
	return fmt.Sprintf("nobody is called: %s doesn't page", view.Severity)
}

// answeredText says what an item's answer is now, and which item is next.
func answeredText(view incident.View, n int) string {
	answer, next := "", ""
	for _, item := range view.Triage {
		switch {
		case item.N == n:
			answer = item.Answer
		case item.AnsweredAt == nil && next == "":
			next = sentence("next: %d  %s", item.N, item.Check)
		}
	}
	if next == "" {
		next = sentence("every item of the checklist is answered")
	}
	return sentence("%s, item %d: %s", named(view), n, answer) + next
}

func updatedText(view incident.View, audience string, now time.Time) string {
	told := sentence("posted on %s, %s: %s", named(view), audience, view.Title)
	if view.NextUpdateAt == nil {
		return told + sentence("no further update is due")
	}
	return told + sentence("the next update is due %s", ahead(view.NextUpdateAt, now))
}

// mitigatedText tells what was taken down as done, and that recovery is watched.
func mitigatedText(view incident.View, now time.Time) string {
	told := sentence("%s is %s, and %s has it: %s", named(view), view.State, view.AcknowledgedBy, view.Title)
	if len(view.Actions) > 0 {
		last := view.Actions[len(view.Actions)-1]
		if done := last.DoneAt; done != nil {
			told += sentence("done %s: %s", text.When(done, now), last.Title+suffix(": ", versionsOf(last.From, last.To, "")))
		}
	}
	return told
}

func severityText(view incident.View, now time.Time) string {
	told := sentence("%s is %s now: %s", named(view), view.Severity, view.Title)
	if view.PinnedUntil != nil {
		return told + sentence("lowered until %s; then the rubric counts again", ahead(view.PinnedUntil, now))
	}
	return told + sentence("%s", calledText(view))
}

// dismissedAs says what an incident was that was none.
var dismissedAs = map[string]string{
	incident.FalseAlarm: "a false alarm", incident.Duplicate: "a duplicate", incident.Expected: "expected", incident.Test: "a test",
}

// dismissedText says what an incident was instead; of is how the person named the one that it is a duplicate of.
func dismissedText(view incident.View, reason, of string) string {
	as := dismissedAs[reason]
	if _, err := strconv.Atoi(of); err == nil {
		of = "#" + of
	}
	if of != "" {
		as += " of " + of
	}
	return sentence("%s is dismissed as %s: %s", named(view), as, view.Title) +
		sentence("irdaemon reopen %s --reason TEXT takes it back, within an hour", view.Ref())
}

func reopenedText(view incident.View) string {
	return sentence("%s is open again, %s: %s", named(view), view.Severity, view.Title) + sentence("%s", calledText(view))
}

// groupText gives the labels of a group: tier=paid, language=en.
func groupText(group map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(group)) {
		parts = append(parts, name+"="+group[name])
	}
	return strings.Join(parts, ", ")
}

// column is a column of a table.
type column struct {
	name   string
	widest int // characters; what is longer is cut; 0: the last one, which takes what is left
}

// table writes rows in columns that fit the terminal, cells cut where they don't.
func table(columns []column, rows [][]string) string {
	last := len(columns) - 1
	head := make([]string, len(columns))
	for i, column := range columns {
		head[i] = column.name
	}
	cells := append([][]string{head}, rows...)
	widths := make([]int, len(columns))
	for _, row := range cells {
		for i := range row {
			row[i] = oneLine(text.Clean(row[i]))
			if i < last {
				row[i] = cut(row[i], columns[i].widest)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	var written strings.Builder
	for _, row := range cells {
		line := ""
		for i, cell := range row[:last] {
			line += fmt.Sprintf("%-*s  ", widths[i], cell)
		}
		written.WriteString(cut(strings.TrimRight(line+row[last], " "), text.Width) + "\n")
	}
	return written.String()
}
