package incident

import (
	"fmt"
	"strings"
	"time"
)

// Command is what a person asks of an incident: Acknowledge, Unacknowledge or Note.
type Command interface {
	// Actor is who asks.
	Actor() string
	// run decides the command on an incident; it changes nothing where nothing is left to do.
	run(d *decision) error
}

// Acknowledge takes the incident and stops whoever is being called. Another person's acknowledge is the hand-over.
type Acknowledge struct {
	By  string
	Via string // api, command
}

// Unacknowledge gives the incident back: people are called again.
type Unacknowledge struct{ By string }

// Note adds a person's words to the timeline, whatever the state.
type Note struct{ By, Text string }

// Actor implements Command.
func (c Acknowledge) Actor() string { return c.By }

// Actor implements Command.
func (c Unacknowledge) Actor() string { return c.By }

// Actor implements Command.
func (c Note) Actor() string { return c.By }

// Refusal says why a command can't be done in the incident's state, and what can.
type Refusal struct {
	Reason  string
	Allowed string
}

// Error gives both in one sentence.
func (r *Refusal) Error() string { return r.Reason + "; " + r.Allowed }

// DecideCommand returns the events that a command adds to an incident, none where it changes nothing, or a *Refusal.
// It is pure; seed tells the command from every other one, and makes the ids of its events.
func DecideCommand(r *Record, c Command, p Policy, now time.Time, seed string) ([]Event, error) {
	if strings.TrimSpace(c.Actor()) == "" {
		return nil, &Refusal{Reason: "nobody is named", Allowed: "a command says who gives it"}
	}
	d := newDecision(r, p, now)
	d.actor, d.seed = c.Actor(), seed
	if err := c.run(d); err != nil {
		return nil, err
	}
	return d.events, nil
}

func (c Acknowledge) run(d *decision) error {
	r := d.record
	if err := needsOpen(r); err != nil {
		return err
	}
	calling := r.Round != nil && r.Round.Calling
	if r.Acknowledged != nil && r.Acknowledged.By == c.By && !calling && len(r.Owed) == 0 {
		return nil
	}
	body := Acknowledged{Round: r.presentRound(), Via: c.Via}
	if r.Acknowledged != nil && r.Acknowledged.By != c.By {
		body.From = r.Acknowledged.By
	}
	d.add(body, "")
	return nil
}

func (c Unacknowledge) run(d *decision) error {
	if err := needsOpen(d.record); err != nil {
		return err
	}
	if d.record.Acknowledged == nil {
		return nil
	}
	d.add(Unacknowledged{}, "")
	d.actor = Daemon
	d.page()
	return nil
}

func (c Note) run(d *decision) error {
	if strings.TrimSpace(c.Text) == "" {
		return &Refusal{Reason: "a note has no text", Allowed: "write what should be remembered"}
	}
	d.add(Noted{Text: c.Text}, "")
	return nil
}

func needsOpen(r *Record) error {
	if r.Open() {
		return nil
	}
	state := r.State()
	since := map[State]time.Time{ResolvedState: r.ResolvedAt, Closed: r.ClosedAt, Dismissed: r.DismissedAt}[state]
	return &Refusal{
		Reason:  fmt.Sprintf("%s is %s since %s", r, state, since.UTC().Format("2006-01-02 15:04 UTC")),
		Allowed: "notes are still taken",
	}
}
