package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Acknowledge takes the incident and stops whoever is being called. Another person's acknowledge is the hand-over.
type Acknowledge struct {
	By       string
	Via      string // api, command, link, or the kind of receiver
	Round    int    // that it answers; an older one is noted, and the present one rings on; 0: the present one
	Receiver string // through which it came: its service knows already
	Resolved bool   // the person resolved it at the receiver's service; here it is still watched
}

// Unacknowledge gives the incident back: people are called again.
type Unacknowledge struct{ By, Via string }

// Note adds a person's words to the timeline, whatever the state.
type Note struct{ By, Text string }

// AnswerItem answers an item of the checklist; the last answer counts.
type AnswerItem struct {
	By     string
	N      int    // of the item, from 1
	Answer string // one of the item's words, or CantTell; any words, such as "done", where the item has none
	Text   string
}

// CantTell is an answer that every item of the checklist takes.
const CantTell = "can't tell"

// PostUpdate is what is told to those who wait for news.
type PostUpdate struct {
	By       string
	Audience string    // Internal or Customer; empty: Internal
	Text     string    // as it is told
	Next     time.Time // when the next one is due; zero: after the time that the severity asks for
}

// longestPromise is how far ahead the next update may be promised.
const longestPromise = 24 * time.Hour

// Actor implements Command.
func (c Acknowledge) Actor() string { return c.By }

// Actor implements Command.
func (c Unacknowledge) Actor() string { return c.By }

// Actor implements Command.
func (c Note) Actor() string { return c.By }

// Actor implements Command.
func (c AnswerItem) Actor() string { return c.By }

// Actor implements Command.
func (c PostUpdate) Actor() string { return c.By }

func (Acknowledge) called() string   { return "acknowledge" }
func (Unacknowledge) called() string { return "unacknowledge" }
func (Note) called() string          { return "note" }
func (AnswerItem) called() string    { return "answer" }
func (PostUpdate) called() string    { return "update" }

func (c Acknowledge) run(d *decision) error {
	r := d.record
	present := r.presentRound()
	round := c.Round
	if round == 0 {
		round = present
	}
	if round < 0 || round > present {
		return &Refusal{fmt.Sprintf("%s has no round %d", r, round), fmt.Sprintf("the present one is %d", present)}
	}
	mine := r.Acknowledged != nil && r.Acknowledged.By == c.By
	left := round == present && (r.calling() || len(r.Owed) > 0 || len(r.Held) > 0)
	if mine && !left && !c.Resolved {
		return nil
	}
	body := Acknowledged{Round: round, Via: c.Via, Receiver: c.Receiver, Resolved: c.Resolved}
	if r.Acknowledged != nil && !mine {
		body.From = r.Acknowledged.By
	}
	d.add(body, "")
	return nil
}

func (c Unacknowledge) run(d *decision) error {
	if d.record.Acknowledged == nil {
		return nil
	}
	d.add(Unacknowledged{Via: c.Via}, "")
	d.call()
	return nil
}

// call rings for what a person's command owes, in the daemon's name.
func (d *decision) call() {
	d.actor = Daemon
	d.page()
}

func (c Note) run(d *decision) error {
	if err := someText(c.Text, "a note has no text", "write what should be remembered"); err != nil {
		return err
	}
	d.add(Noted{Text: c.Text}, "")
	return nil
}

func (c AnswerItem) run(d *decision) error {
	items := d.record.checklist()
	if c.N < 1 || c.N > len(items) {
		return &Refusal{fmt.Sprintf("the checklist has no item %d", c.N), fmt.Sprintf("its items are 1 to %d", len(items))}
	}
	item := items[c.N-1]
	answer := strings.TrimSpace(c.Answer)
	if words := slices.Concat(item.Decide, []string{CantTell}); len(item.Decide) > 0 {
		at := slices.IndexFunc(words, func(word string) bool { return strings.EqualFold(word, answer) })
		if at < 0 {
			return &Refusal{fmt.Sprintf("%q is no answer to %q", c.Answer, item.Title), "one of: " + strings.Join(words, ", ")}
		}
		answer = words[at]
	}
	if err := someText(answer, fmt.Sprintf("%q is not answered", item.Title), `say what came of it, such as "done"`); err != nil {
		return err
	}
	if last, ok := d.record.Triage[c.N]; ok && last.Answer == answer && last.Text == c.Text {
		return nil
	}
	d.add(TriageAnswered{N: c.N, Answer: answer, Text: c.Text}, "")
	return nil
}

func (c PostUpdate) run(d *decision) error {
	r := d.record
	if c.Audience == "" {
		c.Audience = Internal
	}
	if c.Audience != Internal && c.Audience != Customer {
		return &Refusal{fmt.Sprintf("%q is no audience", c.Audience), Internal + " or " + Customer}
	}
	if err := someText(c.Text, "an update has no text", "say what is known, what is done, and what comes next"); err != nil {
		return err
	}
	body := UpdatePosted{Audience: c.Audience, Text: c.Text}
	switch {
	case !r.Open() && !c.Next.IsZero():
		return &Refusal{fmt.Sprintf("%s is over: no further update is due", r), "leave the time of the next one out"}
	case !r.Open():
	case c.Next.IsZero():
		body.NextUpdateAt = r.nextUpdate(r.Severity, d.t)
	case !c.Next.After(d.t) || c.Next.Sub(d.t) > longestPromise:
		return &Refusal{fmt.Sprintf("the next update can't be due at %s", c.Next.UTC().Format(time.RFC3339)), "within the next 24 hours"}
	default:
		body.NextUpdateAt = c.Next.UTC()
	}
	d.add(body, "")
	return nil
}
