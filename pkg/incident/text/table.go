package text

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

const (
	widestName = 12 // columns of who has it
	leastTitle = 34 // columns that a title needs to be told from others
)

// Table lists incidents, a line each. Who has each stands there where it leaves the titles room enough.
func Table(views []incident.View, now time.Time) string {
	rows := [][]string{{"ID", "SEV", "STATE", "AGE", "TAKEN BY", "TITLE"}}
	taken := false
	for _, view := range views {
		by := "-"
		if view.AcknowledgedBy != "" {
			by, taken = cut(Clean(view.AcknowledgedBy), widestName), true
		}
		rows = append(rows, []string{
			name(view), string(view.Severity), string(view.State), age(view.OpenedAt, now), by,
			flagged(view) + Clean(titleOf(view)),
		})
	}
	widths, left := make([]int, len(rows[0])), Width
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	last := len(widths) - 1
	for _, width := range widths[:last] {
		left -= width + 2
	}
	showTaken := taken && left >= leastTitle
	var table strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row[:last] {
			if i != last-1 || showTaken {
				fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
			}
		}
		line.WriteString(row[last])
		table.WriteString(cut(line.String(), Width) + "\n")
	}
	return table.String()
}

// name is how people name an incident: #42, or the id of what has no number.
func name(view incident.View) string {
	if view.Number > 0 {
		return "#" + view.Ref()
	}
	return Clean(view.Ref())
}

// titleOf names what is wrong and where.
func titleOf(view incident.View) string {
	var where []string
	for _, words := range []string{view.Service, view.GroupWords()} {
		if words != "" {
			where = append(where, words)
		}
	}
	if len(where) == 0 {
		return view.Title
	}
	return view.Title + " (" + strings.Join(where, ", ") + ")"
}

// flagged gives what a person must see before the title.
func flagged(view incident.View) string {
	var flags []string
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"DRILL", view.Class == incident.Drill}, {"calling", view.Calling && !view.NotDelivered}, {"not delivered", view.NotDelivered},
		{"blind", view.Blind}, {"unverified", view.Unverified}, {"update overdue", view.Overdue}, {"silenced", len(view.Silenced) > 0},
	} {
		if flag.set {
			flags = append(flags, flag.name)
		}
	}
	if len(flags) == 0 {
		return ""
	}
	return "[" + strings.Join(flags, ", ") + "] "
}
