package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

const (
	textWidth  = 80 // columns of a terminal that nobody has widened
	labelWidth = 11 // columns of the left column of show
)

// incidentTable lists incidents, a line each.
func incidentTable(views []incident.View, now time.Time) string {
	rows := [][]string{{"ID", "SEV", "STATE", "AGE", "TITLE"}}
	for _, view := range views {
		rows = append(rows, []string{
			fmt.Sprintf("#%d", view.Number), string(view.Severity), string(view.State), age(view.OpenedAt, now),
			flagged(view) + clean(titleOf(view)),
		})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var table strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row[:len(row)-1] {
			fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
		}
		line.WriteString(row[len(row)-1])
		table.WriteString(cut(line.String(), textWidth) + "\n")
	}
	return table.String()
}

// titleOf names what is wrong and where.
func titleOf(view incident.View) string {
	if view.Service == "" {
		return view.Title
	}
	return view.Title + " (" + view.Service + ")"
}

// flagged gives what a person must see before the title.
func flagged(view incident.View) string {
	var flags []string
	for _, flag := range []struct {
		name string
		set  bool
	}{{"calling", view.Calling}, {"blind", view.Blind}, {"unverified", view.Unverified}} {
		if flag.set {
			flags = append(flags, flag.name)
		}
	}
	if len(flags) == 0 {
		return ""
	}
	return "[" + strings.Join(flags, ", ") + "] "
}

// acknowledgedText tells who has it now and what to look at next.
func acknowledgedText(view incident.View) string {
	return fmt.Sprintf("%s has #%d %s\nirdaemon incidents show %d says what to check and what to roll back\n",
		clean(view.AcknowledgedBy), view.Number, clean(view.Title), view.Number)
}

// incidentText is an incident for a person at 3 a.m.: what is wrong first, then who has it, then what to do.
func incidentText(view incident.View, now time.Time) string {
	p := &page{now: now}
	p.head(view)
	p.segments(view.Segments)
	p.recovery(view)
	p.checklist(view.Triage)
	p.rollbacks(view.Rollbacks)
	p.timeline(view.Timeline)
	p.next(view)
	return p.text.String()
}

// page collects lines of at most textWidth columns.
type page struct {
	text strings.Builder
	now  time.Time
}

// paragraph writes a text that goes on below itself, after a head that is written once.
func (p *page) paragraph(head, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	for i, line := range wrapWords(text, textWidth-utf8.RuneCountInString(head)) {
		if i > 0 {
			head = indent
		}
		p.text.WriteString(strings.TrimRight(head+line, " ") + "\n")
	}
}

// fact writes a line of the head; nothing for an empty text.
func (p *page) fact(label, text string) {
	if text != "" {
		p.paragraph(fmt.Sprintf("%-*s", labelWidth, label), clean(text))
	}
}

func (p *page) section(title string) { p.text.WriteString("\n" + title + "\n") }

func (p *page) head(view incident.View) {
	p.paragraph("", clean(fmt.Sprintf("#%d %s %s: %s", view.Number, view.Severity, view.State, titleOf(view))))
	if view.Headline != "" {
		p.text.WriteString("\n")
		p.paragraph("", clean(view.Headline))
	}
	p.text.WriteString("\n")
	p.fact("State", p.state(view))
	p.fact("Severity", strings.TrimSuffix(fmt.Sprintf("%s: %s", view.Severity, ruleOf(view)), ": "))
	p.fact("Owner", view.Owner)
	p.fact("Taken by", p.taken(view))
	p.fact("Called", p.called(view))
	p.fact("Blind", p.blind(view))
	p.fact("Group", labelText(view.Group))
	p.fact("Impact", view.Impact)
	p.fact("Times", p.times(view))
	p.fact("Runbook", view.Runbook)
	p.fact("Follows", view.Follows)
	p.fact("Id", view.ID)
	p.fact("Link", view.URL)
}

func ruleOf(view incident.View) string {
	if view.Rule == "" {
		return "no rule of the rubric holds; the runbook's default"
	}
	return view.Rule
}

func (p *page) state(view incident.View) string {
	text := string(view.State)
	if view.HoldSince != nil {
		text += ", all bands held since " + when(view.HoldSince, p.now)
	}
	if view.Unverified {
		text += "; UNVERIFIED: no verified recovery within the runbook's timeout"
	}
	return text
}

// taken says who has it now. The time is that of the first acknowledgement, which stays when it is handed over.
func (p *page) taken(view incident.View) string {
	by := view.AcknowledgedBy
	switch {
	case view.AcknowledgedAt == nil:
		return "nobody yet"
	case by == "":
		by = "nobody any more"
	}
	return by + "; first acknowledged " + when(view.AcknowledgedAt, p.now)
}

func (p *page) called(view incident.View) string {
	text := strings.Join(view.Called, ", ")
	if view.Round > 1 {
		text += fmt.Sprintf(" (round %d)", view.Round)
	}
	if view.Calling {
		text = "CALLING " + text
		if view.NextCallAt != nil {
			text += "; next call " + when(view.NextCallAt, p.now)
		}
	}
	return strings.TrimSpace(text)
}

func (p *page) blind(view incident.View) string {
	if !view.Blind {
		return ""
	}
	return "YES: cannot judge " + strings.Join(view.Unknown, "; ")
}

// times are the instants that detection and recovery are measured by.
func (p *page) times(view incident.View) string {
	var parts []string
	for _, instant := range []struct {
		name string
		at   *time.Time
	}{
		{"impact", view.ImpactStartedAt}, {"breach", view.BreachBegan}, {"opened", view.OpenedAt}, {"paged", view.PagedAt},
		{"acknowledged", view.AcknowledgedAt}, {"mitigated", view.MitigatedAt}, {"impact ended", view.ImpactEndedAt},
		{"resolved", view.ResolvedAt}, {"closed", view.ClosedAt},
	} {
		if instant.at != nil {
			parts = append(parts, instant.name+" "+clock(*instant.at, p.now))
		}
	}
	return strings.Join(parts, ", ")
}

func (p *page) segments(segments []incident.SegmentView) {
	if len(segments) == 0 {
		return
	}
	p.section("Breached")
	for _, segment := range segments {
		text := clean(fmt.Sprintf("%s: %s since %s", segment.Condition, segment.Text, when(&segment.Since, p.now)))
		p.paragraph("  ", text)
		if labels := labelText(segment.Labels); labels != "" {
			p.paragraph("    ", clean(labels))
		}
	}
}

func (p *page) recovery(view incident.View) {
	if len(view.Recovery) == 0 {
		return
	}
	p.section("Over when all of these hold")
	for _, band := range view.Recovery {
		target := band.Target
		if band.None != "" {
			target = "not measured: " + band.None
		}
		p.paragraph(fmt.Sprintf("  %-10s", clean(band.Band)), clean(target))
	}
}

func (p *page) checklist(items []incident.TriageView) {
	if len(items) == 0 {
		return
	}
	p.section("Checklist")
	for _, item := range items {
		text := item.Check
		if len(item.Decide) > 0 {
			text += " (" + strings.Join(item.Decide, " / ") + " / can't tell)"
		}
		p.paragraph(fmt.Sprintf("  %2d  ", item.N), clean(text))
	}
}

func (p *page) rollbacks(steps []incident.RollbackView) {
	if len(steps) == 0 {
		return
	}
	p.section("Roll back, in this order")
	for i, step := range steps {
		p.paragraph(fmt.Sprintf("  %2d  ", i+1), clean(nameOf(step)+": "+strings.TrimSpace(step.Do)))
	}
}

// nameOf names a step by its own name and, where that is another one, its artifact.
func nameOf(step incident.RollbackView) string {
	if step.Name == "" || step.Name == step.Artifact {
		return step.Artifact
	}
	return step.Name + " (" + step.Artifact + ")"
}

func (p *page) timeline(entries []incident.TimelineEntry) {
	if len(entries) == 0 {
		return
	}
	p.section("Timeline")
	for _, entry := range entries {
		head := fmt.Sprintf("  %s  ", clock(entry.At, p.now))
		text := entry.Text
		if entry.Actor != "" && entry.Actor != incident.Daemon {
			text = entry.Actor + ": " + text
		}
		p.paragraph(head, clean(text))
	}
}

// next says what a person can do about it from here.
func (p *page) next(view incident.View) {
	switch view.State {
	case incident.ResolvedState, incident.Closed, incident.Dismissed:
		return
	}
	p.section("Next")
	if view.AcknowledgedBy == "" {
		fmt.Fprintf(&p.text, "  irdaemon ack %-12d take it: nobody else is called any more\n", view.Number)
	}
	fmt.Fprintf(&p.text, "  irdaemon note %-11s say what you find, for whoever looks next\n", fmt.Sprintf("%d TEXT…", view.Number))
}

// when gives an instant as people read it: 14:10 UTC (12m ago).
func when(at *time.Time, now time.Time) string {
	if at == nil || at.IsZero() {
		return "-"
	}
	distance := now.Sub(*at)
	if distance < 0 {
		return fmt.Sprintf("%s (in %s)", clock(*at, now), about(-distance))
	}
	return fmt.Sprintf("%s (%s ago)", clock(*at, now), about(distance))
}

// age gives how long ago a time was.
func age(at *time.Time, now time.Time) string {
	if at == nil || at.IsZero() {
		return "-"
	}
	return about(max(0, now.Sub(*at)))
}

// clock gives the time of day, with the date where it is another day's.
func clock(at, now time.Time) string {
	at, now = at.UTC(), now.UTC()
	switch {
	case at.Format(time.DateOnly) == now.Format(time.DateOnly):
		return at.Format("15:04 UTC")
	case at.Year() == now.Year():
		return at.Format("Jan 2 15:04 UTC")
	}
	return at.Format("2006-01-02 15:04 UTC")
}

// about gives a duration in its two largest units at most.
func about(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func labelText(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, name+"="+labels[name])
	}
	return strings.Join(parts, ", ")
}

// clean keeps what other people and other systems wrote from steering the terminal: line feeds and tabs stay, any
// other character that cannot be seen is shown as one that can.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// cut shortens a line that does not fit.
func cut(line string, width int) string {
	line = strings.NewReplacer("\n", " ", "\t", " ").Replace(line)
	if runes := []rune(line); len(runes) > width {
		return strings.TrimRight(string(runes[:width-1]), " ") + "…"
	}
	return line
}

// wrapWords breaks a text between words into lines of at most width characters. A line feed starts a new line. A
// word longer than a line gets one of its own, whole: it may be a link.
func wrapWords(text string, width int) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		lines = append(lines, line)
	}
	return lines
}
