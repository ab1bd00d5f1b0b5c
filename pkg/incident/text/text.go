// Package text is how an incident reads in plain text: in a terminal, behind the link of a page, in a message. It is
// made of the one view of the record alone, at most 80 columns wide, and nothing in it can steer a terminal.
package text

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const (
	// Width is the columns of a terminal that nobody has widened.
	Width      = 80
	labelWidth = 11 // columns of the left column
)

// Incident is an incident for a person at 3 a.m.: what is wrong first, then who has it, then what to do.
func Incident(view incident.View, now time.Time) string {
	p := &page{now: now}
	p.head(view)
	p.segments(view)
	p.recovery(view)
	p.changed(view)
	p.checklist(view.Triage)
	p.mitigations(view.Mitigations)
	p.rollbacks(view.Rollbacks)
	p.actions(view.Actions)
	p.timeline(view.Timeline)
	p.next(view)
	return p.text.String()
}

// page collects lines of at most Width columns.
type page struct {
	text strings.Builder
	now  time.Time
}

// paragraph writes a text that goes on below itself, after a head that is written once.
func (p *page) paragraph(head, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	for i, line := range wrapWords(Clean(text), Width-utf8.RuneCountInString(head)) {
		if i > 0 {
			head = indent
		}
		p.text.WriteString(strings.TrimRight(head+line, " ") + "\n")
	}
}

// fact writes a line of the head; nothing for an empty text.
func (p *page) fact(label, text string) {
	if text != "" {
		p.paragraph(fmt.Sprintf("%-*s", labelWidth, label), text)
	}
}

func (p *page) section(title string) { p.text.WriteString("\n" + title + "\n") }

func (p *page) head(view incident.View) {
	p.paragraph("", fmt.Sprintf("%s %s %s: %s%s", name(view), view.Severity, view.State, flagged(view), titleOf(view)))
	if view.Headline != "" {
		p.text.WriteString("\n")
		p.paragraph("", view.Headline)
	}
	p.text.WriteString("\n")
	p.fact("State", p.state(view))
	p.fact("Dismissed", p.dismissed(view))
	p.fact("Severity", fmt.Sprintf("%s: %s", view.Severity, p.rule(view)))
	p.fact("Owner", view.Owner)
	p.fact("Taken by", p.taken(view))
	p.fact("Called", p.called(view))
	p.fact("Silenced", strings.Join(view.Silenced, ", "))
	p.fact("Updates", p.update(view))
	p.fact("Blind", p.blind(view))
	p.fact("Group", labelText(view.Group))
	p.fact("Impact", view.Impact)
	p.fact("Traffic", Traffic(view))
	p.fact("Times", p.times(view))
	p.fact("Runbook", view.Runbook)
	p.fact("Joined by", joined(view))
	p.fact("Follows", view.Follows)
	p.fact("Id", view.ID)
	p.fact("Link", view.URL)
}

// rule says why the incident has its severity.
func (p *page) rule(view incident.View) string {
	switch {
	case view.PinnedUntil != nil:
		return "lowered by a person until " + When(view.PinnedUntil, p.now)
	case view.Class == incident.Drill:
		return "of the drill"
	case view.Class == incident.Self:
		return "a trouble of the daemon's own"
	case view.Rule == "":
		return "no rule of the rubric holds; the runbook's default"
	}
	return view.Rule
}

func (p *page) dismissed(view incident.View) string {
	d := view.Dismissal
	if d == nil {
		return ""
	}
	said := When(view.DismissedAt, p.now) + " by " + d.By + ": " + strings.ReplaceAll(d.Reason, "_", " ")
	if d.DuplicateOf != "" {
		said += " of " + d.DuplicateOf
	}
	if d.Text != "" {
		said += ", " + d.Text
	}
	return said
}

// joined names the findings beside the incident's own.
func joined(view incident.View) string {
	var all []string
	for _, f := range view.Findings[min(1, len(view.Findings)):] {
		said := fmt.Sprintf("%s (%s, owner %s)", f.Title, f.Runbook, f.Owner)
		if f.Cleared {
			said += ", trigger clear"
		}
		all = append(all, said)
	}
	return strings.Join(all, "; ")
}

// update says when those who wait for news hear next.
func (p *page) update(view incident.View) string {
	switch {
	case view.Overdue && view.NextUpdateAt != nil:
		return "OVERDUE; rings again " + When(view.NextUpdateAt, p.now)
	case view.Overdue:
		return "OVERDUE"
	case view.NextUpdateAt != nil:
		return "next one due " + When(view.NextUpdateAt, p.now)
	}
	return ""
}

// state tells how far a hold has come, and why one that is over lasts on.
func (p *page) state(view incident.View) string {
	text := string(view.State)
	if view.HoldSince != nil {
		text += ", all bands held since " + When(view.HoldSince, p.now)
		if view.HoldElapsedSeconds != nil {
			elapsed, hold := seconds(*view.HoldElapsedSeconds), seconds(view.HoldSeconds)
			text += fmt.Sprintf(": %s of %s", triggers.FormatDuration(elapsed), triggers.FormatDuration(hold))
			if unproven := missing(view); elapsed >= hold && unproven != "" {
				text += "; the hold lasts on until the counts prove it: " + unproven
			}
		}
	}
	if view.Unverified {
		text += "; UNVERIFIED: no verified recovery within the runbook's timeout"
	}
	return text
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// missing says what the counts lack to prove the bands.
func missing(view incident.View) string {
	var lacks []string
	for _, band := range view.Recovery {
		if band.Missing != "" {
			lacks = append(lacks, band.Band+": "+band.Missing)
		}
	}
	return strings.Join(lacks, "; ")
}

// taken says who has it, since when, and who had it first.
func (p *page) taken(view incident.View) string {
	switch by := view.AcknowledgedBy; {
	case view.AcknowledgedAt == nil && !Open(view):
		return "nobody acknowledged it"
	case view.AcknowledgedAt == nil:
		return "nobody yet"
	case by == "":
		return "nobody any more; first acknowledged " + When(view.AcknowledgedAt, p.now)
	case view.TakenAt == nil || view.TakenAt.Equal(*view.AcknowledgedAt):
		return by + ", since " + When(view.AcknowledgedAt, p.now)
	default:
		return fmt.Sprintf("%s, since %s; first acknowledged %s", by, When(view.TakenAt, p.now), incident.Clock(*view.AcknowledgedAt, p.now))
	}
}

func (p *page) called(view incident.View) string {
	text := strings.Join(view.Called, ", ")
	if view.Round > 1 {
		text += fmt.Sprintf(" (round %d)", view.Round)
	}
	if view.Calling {
		text = "CALLING " + text
		if view.NotDelivered {
			text += "; NOT DELIVERED: no receiver has taken the call yet"
		}
		if view.AcknowledgedBy != "" {
			text += "; this new call is not acknowledged"
		}
		if view.NextCallAt != nil {
			text += "; next call " + When(view.NextCallAt, p.now)
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

// Traffic is the blast radius in words; empty where it is not known.
func Traffic(view incident.View) string {
	if view.BlastRadius == nil {
		return ""
	}
	return triggers.FormatValue(triggers.Ratio, *view.BlastRadius) + " in segments that breach now"
}

// times are the instants that detection and recovery are measured by.
func (p *page) times(view incident.View) string {
	var parts []string
	for _, instant := range []struct {
		name string
		at   *time.Time
	}{
		{"impact", view.ImpactStartedAt}, {"breach", view.BreachBegan}, {"opened", view.OpenedAt}, {"reopened", view.ReopenedAt}, {"paged", view.PagedAt},
		{"acknowledged", view.AcknowledgedAt}, {"mitigated", view.MitigatedAt}, {"impact ended", view.ImpactEndedAt},
		{"resolved", view.ResolvedAt}, {"dismissed", view.DismissedAt}, {"closed", view.ClosedAt},
	} {
		if instant.at != nil {
			parts = append(parts, instant.name+" "+incident.Clock(*instant.at, p.now))
		}
	}
	return strings.Join(parts, ", ")
}

func (p *page) segments(view incident.View) {
	if len(view.Segments) == 0 {
		return
	}
	p.section("Breached")
	for _, s := range view.Segments {
		p.paragraph("  ", fmt.Sprintf("%s: %s; since %s", s.Condition, Value(s), When(&s.Since, p.now)))
		if labels := labelText(s.Labels); labels != "" {
			p.paragraph("    ", labels)
		}
		if s.Evidence != "" {
			p.paragraph("    ", Clean(s.Evidence))
		}
	}
}

// Value gives a segment's value now beside the one when it fired; before the first look since, the latter alone.
func Value(s incident.SegmentView) string {
	switch s.NowText {
	case "":
		return s.Text + " when it fired"
	case s.Text:
		return "now " + s.NowText
	}
	return fmt.Sprintf("now %s, %s when it fired", s.NowText, s.Text)
}

func (p *page) recovery(view incident.View) {
	if len(view.Recovery) == 0 {
		return
	}
	p.section("Over when all of these hold")
	for _, band := range view.Recovery {
		of := ""
		if band.Runbook != "" {
			of = band.Runbook + ": "
		}
		p.paragraph(fmt.Sprintf("  %-10s", Clean(band.Band)), of+Band(band))
	}
}

// Band gives a band's target, and how it stands.
func Band(band incident.BandView) string {
	if band.None != "" {
		return "not measured: " + band.None
	}
	stands := map[string]string{"held": "in band", "missed": "OUT OF BAND", "unknown": "can't be seen", "empty": "no traffic to judge"}[band.State]
	if stands == "" {
		return band.Target
	}
	if band.Text != "" {
		stands = "now " + band.Text + ", " + stands
	}
	return band.Target + ": " + stands
}

// changed tells what changed before impact, and what did not.
func (p *page) changed(view incident.View) {
	if len(view.Suspects)+len(view.Unchanged) == 0 {
		return
	}
	p.section("Changed before impact")
	for _, s := range view.Suspects {
		p.paragraph(fmt.Sprintf("  %2d  ", s.Rank), Suspect(s))
	}
	if len(view.Suspects) == 0 {
		p.paragraph("   -  ", "nothing that is on record")
	}
	for _, said := range view.Unchanged {
		p.paragraph("   -  ", said)
	}
}

// Changed gives what changed before impact, the first suspect first, then what did not change and what is not known;
// nothing where nothing is said.
func Changed(view incident.View) []string {
	var all []string
	for _, s := range view.Suspects {
		all = append(all, Suspect(s))
	}
	return append(all, view.Unchanged...)
}

// Suspect gives a change before impact, and why it stands where it stands. It claims no cause.
func Suspect(s changes.Suspect) string {
	said := s.Change.Artifact
	switch {
	case s.Change.From != "" && s.Change.To != "":
		said += " " + s.Change.From + " → " + s.Change.To
	case s.Change.To != "":
		said += " → " + s.Change.To
	}
	if s.Change.By != "" {
		said += " by " + s.Change.By
	}
	return said + ": " + s.Reason
}

func (p *page) checklist(items []incident.TriageView) {
	if len(items) == 0 {
		return
	}
	p.section("Checklist")
	for _, item := range items {
		p.paragraph(fmt.Sprintf("  %2d  ", item.N), Check(item))
		switch {
		case item.FoundError != "":
			p.paragraph("      ", "no evidence: "+item.FoundError)
		case item.FoundAt != nil:
			p.paragraph("      ", fmt.Sprintf("%s: %s", incident.Clock(*item.FoundAt, p.now), item.Found))
		}
		if item.AnsweredAt != nil {
			said := strings.Trim(item.Answer+", "+item.AnswerText, ", ")
			p.paragraph("      ", fmt.Sprintf("→ %s (%s, %s)", said, item.AnsweredBy, incident.Clock(*item.AnsweredAt, p.now)))
		}
	}
}

// Checklist is the checklist alone, with what was found for each item and how it was answered.
func Checklist(view incident.View, now time.Time) string {
	p := &page{now: now}
	p.checklist(view.Triage)
	if len(view.Triage) == 0 {
		return "the runbook's checklist is empty\n"
	}
	return strings.TrimPrefix(p.text.String(), "\n")
}

// actions tells what was done so far, and what came of it.
func (p *page) actions(all []incident.ActionView) {
	if len(all) == 0 {
		return
	}
	p.section("Done so far")
	for _, a := range all {
		p.paragraph("   -  ", Action(a, p.now))
	}
}

// Action tells how far a rollback or a mitigation has come.
func Action(a incident.ActionView, now time.Time) string {
	said := a.Title
	if a.From != "" {
		said += " from " + a.From
	}
	if a.To != "" {
		said += " to " + a.To
	}
	said += ": " + a.State
	for _, at := range []*time.Time{a.FailedAt, a.EffectiveAt, a.DoneAt, a.StartedAt, a.RequestedAt} {
		if at != nil {
			said += " " + incident.Clock(*at, now)
			break
		}
	}
	for _, more := range []string{a.How, a.Why, a.Cause, a.By} {
		if more != "" {
			said += ", " + more
		}
	}
	if a.Effect != nil {
		said += "; " + a.Effect.Verdict
	}
	return said
}

// Check gives an item of the checklist: what to decide, by what, and the answers that there are.
func Check(item incident.TriageView) string {
	text := item.Check
	if len(item.Decide) > 0 {
		text += " (" + strings.Join(item.Decide, " / ") + " / can't tell)"
	}
	if item.Evidence != "" {
		text += " [look at " + item.Evidence + "]"
	}
	return text
}

func (p *page) mitigations(all []incident.MitigationView) {
	if len(all) == 0 {
		return
	}
	p.section("Buy time first, if it helps")
	for _, m := range all {
		p.paragraph("   -  ", Mitigation(m))
	}
}

// Mitigation gives what buys time, how, and until when the models that it falls back to are approved.
func Mitigation(m incident.MitigationView) string {
	said := fmt.Sprintf("%s (%s): %s", m.Title, m.Kind, strings.TrimSpace(m.Do))
	var approved []string
	for _, a := range m.Approved {
		switch {
		case a.Expired:
			approved = append(approved, a.Model+" EXPIRED "+a.Until)
		case a.Until != "":
			approved = append(approved, a.Model+" until "+a.Until)
		default:
			approved = append(approved, a.Model)
		}
	}
	if len(approved) > 0 {
		said += " [approved: " + strings.Join(approved, ", ") + "]"
	}
	return said
}

func (p *page) rollbacks(steps []incident.RollbackView) {
	if len(steps) == 0 {
		return
	}
	p.section("Roll back, in this order")
	for i, step := range steps {
		p.paragraph(fmt.Sprintf("  %2d  ", i+1), Rollback(step))
	}
}

// Rollback gives a step by its own name and, where that is another one, its artifact, how it is done, and what came of it.
func Rollback(step incident.RollbackView) string {
	name := step.Name
	switch name {
	case "", step.Artifact:
		name = step.Artifact
	default:
		name += " (" + step.Artifact + ")"
	}
	if step.From != "" && step.To != "" {
		name += " " + step.From + " → " + step.To
	}
	said := name + ": " + strings.TrimSpace(step.Do)
	if step.State != "" {
		said += " [" + strings.TrimSuffix(step.State+": "+step.Effect, ": ") + "]"
	}
	if step.Next {
		said += " [next]"
	}
	return said
}

func (p *page) timeline(entries []incident.TimelineEntry) {
	if len(entries) == 0 {
		return
	}
	p.section("Timeline")
	widest := 0
	for _, entry := range entries {
		widest = max(widest, len(incident.Clock(entry.At, p.now)))
	}
	for _, entry := range entries {
		text := entry.Text
		if entry.Actor != "" && entry.Actor != incident.Daemon {
			text = entry.Actor + ": " + text
		}
		p.paragraph(fmt.Sprintf("  %-*s  ", widest, incident.Clock(entry.At, p.now)), text)
	}
}

// next says what a person can do about it from here.
func (p *page) next(view incident.View) {
	p.section("Next")
	if view.State == incident.ResolvedState || view.State == incident.DismissedState {
		p.command(Command(view, "reopen"), " --reason …", "if it is not over after all")
	}
	if Open(view) && (view.Calling || view.AcknowledgedBy == "") {
		p.command(Command(view, "ack"), "", "take it: nobody else is called any more")
	}
	if Open(view) && view.Class != incident.Self {
		if len(view.Triage) > 0 {
			p.command(Command(view, "triage"), " N ANSWER", "answer an item of the checklist")
		}
		if len(view.Rollbacks) > 0 {
			p.command(Command(view, "rollback"), " STEP", "run a step, or say that you did it")
		}
		p.command(Command(view, "mitigated"), " TEXT…", "say what you did that should help")
		p.command(Command(view, "update"), " TEXT…", "tell those who wait for news")
	}
	p.command(Command(view, "note"), " TEXT…", "say what you find, for whoever looks next")
}

// command writes a command and what it does, on the next line where both don't fit on one.
func (p *page) command(command, arguments, does string) {
	const column = 30
	line := fmt.Sprintf("  %-*s  ", column, Clean(command+arguments))
	if utf8.RuneCountInString(line+does) <= Width {
		p.text.WriteString(line + does + "\n")
		return
	}
	p.text.WriteString(strings.TrimRight(line, " ") + "\n")
	p.paragraph("      ", does)
}

// defaultURL is where the commands ask unless they are told otherwise.
const defaultURL = "http://127.0.0.1:9847"

// Command is a command about the incident as a person types it, with --url where the daemon isn't where the commands
// look by themselves.
func Command(view incident.View, name string) string {
	command := fmt.Sprintf("irdaemon %s %s", name, view.Ref())
	daemon := strings.TrimSuffix(view.URL, "/incidents/"+view.Ref())
	if daemon == "" || daemon == defaultURL {
		return command
	}
	return command + " --url " + daemon
}

// Open tells whether the incident is neither resolved, closed nor dismissed.
func Open(view incident.View) bool {
	switch view.State {
	case incident.ResolvedState, incident.ClosedState, incident.DismissedState:
		return false
	}
	return true
}
