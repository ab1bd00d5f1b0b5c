package slack

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/notify"
)

// How much of a list a message shows, and how many characters of each item. Together with the facts it stays below
// 9000 characters, for Slack refuses a message of which the sum of all blocks is too long.
const (
	shownSegments    = 5
	shownTriage      = 5
	shownMitigations = 3
	shownRollbacks   = 8
	shownChanges     = 5
	shownBands       = 3
	shownDigest      = 20

	itemRunes = 180
	factRunes = 300
	longRunes = 600
)

// What a button does.
const (
	actionAcknowledge = "acknowledge" // heard by Hear
	actionLink        = "acknowledge_link"
	actionOpen        = "open"
)

// whole is a message that says all there is to know now. What the delivery is about is a part of it where it is posted,
// not where it brings up to date what was posted before.
func (r *Receiver) whole(m notify.Message, anew bool) content {
	now, view := m.SentAt, m.Incident
	c := content{Text: r.notification(m, m.Title), bare: bare(m)}
	if len(m.Digest) > 0 {
		c.Blocks = append([]block{header(drilled(m, m.Title))}, digest(m)...)
		return r.finish(c, m)
	}
	c.Blocks = []block{header(drilled(m, heading(m)))}
	var f facts
	if !text.Open(view) {
		f.add("Now", standing(view, now), factRunes)
	}
	if view.Class == incident.Self {
		f.add("Wrong", view.Rule, longRunes)
	}
	f.add("Impact", view.Impact, longRunes)
	if m.Kind == incident.DeliverPage || (anew && m.Kind != incident.DeliverEnd) {
		f.add(label(m.Kind), news(m), longRunes)
	}
	if text.Open(view) && view.Class != incident.Self {
		f.add("Rule", fmt.Sprintf("%s, %s", view.Severity, cmp.Or(view.Rule, "the runbook's default")), factRunes)
	}
	if text.Open(view) {
		f.add("Since", since(view, now), factRunes)
		f.add("Now", standing(view, now), factRunes)
	} else {
		f.add("Lasted", lasted(view, now), factRunes)
		f.add("Taken", taken(view, now), factRunes)
	}
	f.add("Owner", view.Owner, itemRunes)
	f.add("Where", strings.Trim(view.Service+", "+view.GroupWords(), ", "), factRunes)
	f.add("Unseen", strings.Join(view.Unknown, "; "), factRunes)
	c.Blocks = append(c.Blocks, f.blocks()...)
	if text.Open(view) && m.Kind != incident.DeliverNotice { // which asks for nothing to be done
		c.Blocks = append(c.Blocks, todo(view)...)
	}
	return r.finish(c, m)
}

// todo is what people can do: look, buy time, roll back, and how they know that it is over.
func todo(view incident.View) []block {
	var breached, checks, mitigations, rollbacks, bands []string
	for _, s := range view.Segments {
		breached = append(breached, segment(s))
	}
	for _, item := range view.Triage {
		checks = append(checks, item.Check)
	}
	for _, m := range view.Mitigations {
		mitigations = append(mitigations, text.Mitigation(m))
	}
	for _, step := range view.Rollbacks {
		rollbacks = append(rollbacks, text.Rollback(step))
	}
	for _, band := range view.Recovery {
		bands = append(bands, band.Band+": "+text.Band(band))
	}
	var blocks []block
	if len(breached) > 1 { // the impact tells of one
		blocks = append(blocks, list("Breached", "bullet", breached, shownSegments, itemRunes)...)
	}
	blocks = append(blocks, list("Changed before impact", "bullet", text.Changed(view), shownChanges, itemRunes)...)
	blocks = append(blocks, list("Check first", "ordered", checks, shownTriage, itemRunes)...)
	blocks = append(blocks, list("Buy time first, if it helps", "bullet", mitigations, shownMitigations, itemRunes)...)
	blocks = append(blocks, list("Roll back, in this order", "ordered", rollbacks, shownRollbacks, itemRunes)...)
	return append(blocks, list("Recovered when all of these hold", "bullet", bands, shownBands, itemRunes)...)
}

// digest lists the incidents that a storm put into one message.
func digest(m notify.Message) []block {
	var items []richSection
	for _, view := range m.Digest[:min(shownDigest, len(m.Digest))] {
		link := richText{Type: "text", Text: name(view)}
		if to := address(view.URL); to != "" {
			link.Type, link.URL = "link", to
		}
		said := cmp.Or(strings.TrimSuffix(view.Headline, " · "+view.URL), string(view.Severity)+" "+view.Title)
		items = append(items, section(link, words("  "+oneLine(said, itemRunes))))
	}
	return titled("The worst first", "bullet", items, max(m.Digested, len(m.Digest))-len(items))
}

func andMore(n int) string { return fmt.Sprintf("and %d more", n) }

// finish adds the buttons and the small print.
func (r *Receiver) finish(c content, m notify.Message) content {
	if buttons := r.buttons(m); len(buttons) > 0 {
		c.Blocks = append(c.Blocks, block{Type: "actions", Elements: buttons})
	}
	var said []string
	if len(m.Digest) == 0 {
		said = append(said, name(m.Incident))
		if acknowledgeable(m) {
			said = append(said, "in a terminal: "+text.Command(m.Incident, "ack"))
		}
	}
	if m.Resent {
		said = append(said, "sent again: an earlier attempt may have reached you already")
	}
	if len(said) > 0 {
		c.Blocks = append(c.Blocks, small(strings.Join(said, " · "), factRunes))
	}
	return c
}

// buttons are one to acknowledge, while that is asked for, and one that leads to the incident.
func (r *Receiver) buttons(m notify.Message) []any {
	var buttons []any
	if acknowledgeable(m) {
		take := button{Type: "button", Text: plain("Acknowledge", headerRunes), Style: "primary"}
		switch {
		case r.bot() && r.config.SigningSecretFile != "" && m.Key != "" && len([]rune(m.Key)) <= valueRunes:
			take.ActionID, take.Value = actionAcknowledge, m.Key
			buttons = append(buttons, take)
		case address(m.AcknowledgeURL) != "":
			take.ActionID, take.URL = actionLink, m.AcknowledgeURL
			buttons = append(buttons, take)
		}
	}
	if link := address(m.Incident.URL); link != "" {
		said := "Open incident"
		if len(m.Digest) > 0 {
			said = "Open the worst"
		}
		buttons = append(buttons, button{Type: "button", Text: plain(said, headerRunes), ActionID: actionOpen, URL: link})
	}
	return buttons
}

// acknowledgeable tells whether somebody is asked to take it.
func acknowledgeable(m notify.Message) bool {
	if m.Kind == incident.DeliverEnd || m.Kind == incident.DeliverNotice || !text.Open(m.Incident) {
		return false
	}
	return m.Incident.Calling || m.Incident.AcknowledgedBy == ""
}

// line is what a thread is told. Where it is the thread of a storm, it says which incident it is about.
func (r *Receiver) line(m notify.Message, named bool) content {
	title := strings.TrimSuffix(m.Title, " · "+m.Incident.URL)
	said := news(m)
	switch {
	case m.Kind == incident.DeliverPage:
		said = title
	case m.Kind == incident.DeliverEnd && text.Open(m.Incident):
		said = cmp.Or(said, "the call is over; the incident is not")
	case m.Kind == incident.DeliverEnd, said == "":
		said = title
	}
	if named && (m.Kind != incident.DeliverEnd || text.Open(m.Incident)) {
		said = name(m.Incident) + " " + strings.TrimPrefix(heading(m), "DRILL ") + ": " + said
	}
	said = drilled(m, said)
	if m.Resent && m.Kind != incident.DeliverPage {
		said += " (sent again)"
	}
	var f facts
	if m.Kind == incident.DeliverPage {
		f = facts{bold(oneLine(said, longRunes))}
		f.add(label(m.Kind), news(m), longRunes)
		return r.finish(content{Text: r.notification(m, said), Blocks: f.blocks(), bare: bare(m)}, m)
	}
	f = facts{words(oneLine(said, 2*longRunes))}
	return content{Text: escape(oneLine(said, 2*longRunes), textRunes), Blocks: f.blocks(), bare: escape(said, textRunes)}
}

// notification is the one line that a phone shows of it.
func (r *Receiver) notification(m notify.Message, said string) string {
	said = oneLine(drilled(m, said), textRunes/2)
	if m.Resent {
		said += " (sent again)"
	}
	return escape(said, textRunes)
}

// bare is the message without any layout, should Slack not take the one that it has.
func bare(m notify.Message) string {
	said := text.Clean(drilled(m, m.Title) + "\n\n" + m.Text)
	for i, view := range m.Digest[:min(shownDigest, len(m.Digest))] {
		said += fmt.Sprintf("\n%d. %s %s", i+1, name(view), oneLine(cmp.Or(view.Headline, view.Title), itemRunes))
	}
	if more := max(m.Digested, len(m.Digest)) - shownDigest; more > 0 && len(m.Digest) > 0 {
		said += "\n" + andMore(more)
	}
	if link := address(m.AcknowledgeURL); link != "" && acknowledgeable(m) {
		said = "Acknowledge: " + link + "\n" + said
	}
	return escape(said, textRunes)
}

// drilled marks practice as what it is.
func drilled(m notify.Message, said string) string {
	if m.Drill && !strings.HasPrefix(said, "DRILL") {
		return "DRILL " + said
	}
	return said
}

// heading is the beginning of the headline: the severity, or how it ended, and what is broken.
func heading(m notify.Message) string {
	headline := cmp.Or(m.Incident.Headline, m.Title)
	before, _, found := strings.Cut(headline, m.Incident.Title)
	if !found || m.Incident.Title == "" {
		return cmp.Or(headline, "Incident "+name(m.Incident))
	}
	return before + m.Incident.Title
}

func label(kind string) string {
	if kind == incident.DeliverPage || kind == incident.DeliverNotice {
		return "Why"
	}
	return "News"
}

func at(t *time.Time, now time.Time) string { return incident.Clock(*t, now) }
