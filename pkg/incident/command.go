package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Command is what a person, or a receiver in a person's name, asks of an incident. The types of the files command_*.go
// are all there are; what is taken in which state is one table, takenIn.
type Command interface {
	// Actor is who asks.
	Actor() string
	// called is the command's name for people.
	called() string
	// run decides the command on an incident whose state takes it; it changes nothing where nothing is left to do.
	run(d *decision) error
}

// Refusal says why something can't be done as things stand, and what can.
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
		return nil, &Refusal{"nobody is named", "a command says who gives it"}
	}
	if err := taken(r, c); err != nil {
		return nil, err
	}
	d := newDecision(r, p, now)
	d.actor, d.seed = c.Actor(), seed
	if err := c.run(d); err != nil {
		return nil, err
	}
	return d.events, nil
}

// chapter is what counts of a state for what is taken.
type chapter string

const (
	inOpen      chapter = "open"
	inResolved  chapter = chapter(ResolvedState)
	inClosed    chapter = chapter(ClosedState)
	inDismissed chapter = chapter(DismissedState)
)

// chapter gives that of the record, and since when it has been in it.
func (r *Record) chapter() (chapter, time.Time) {
	switch r.State() {
	case ResolvedState:
		return inResolved, r.ResolvedAt
	case ClosedState:
		return inClosed, r.ClosedAt
	case DismissedState:
		return inDismissed, r.DismissedAt
	default:
		return inOpen, r.openSince()
	}
}

// takenIn is where each command is taken.
var takenIn = []struct {
	command  string
	chapters []chapter
}{
	{Acknowledge{}.called(), []chapter{inOpen}},
	{Unacknowledge{}.called(), []chapter{inOpen}},
	{Note{}.called(), []chapter{inOpen, inResolved, inClosed, inDismissed}},
	{AnswerItem{}.called(), []chapter{inOpen, inResolved}},
	{PostUpdate{}.called(), []chapter{inOpen, inResolved}},
	{Request{}.called(), []chapter{inOpen}},
	{Approve{}.called(), []chapter{inOpen}},
	{RolledBack{}.called(), []chapter{inOpen}},
	{Mitigate{}.called(), []chapter{inOpen}},
	{SetSeverity{}.called(), []chapter{inOpen}},
	{Dismiss{}.called(), []chapter{inOpen, inResolved}},
	{Reopen{}.called(), []chapter{inResolved, inDismissed}},
	{SavePostmortem{}.called(), []chapter{inOpen, inResolved, inClosed}},
	{Close{}.called(), []chapter{inResolved, inClosed}},
}

// takenOnSelf are the commands that the daemon's own troubles take.
var takenOnSelf = []string{Acknowledge{}.called(), Unacknowledge{}.called(), Note{}.called()}

// taken refuses a command in a state that doesn't take it, with what that state takes.
func taken(r *Record, c Command) error {
	if r.Class == Self && !slices.Contains(takenOnSelf, c.called()) {
		return &Refusal{"a trouble of the daemon's own ends by itself, when it is over", list(takenOnSelf) + " are taken"}
	}
	now, since := r.chapter()
	var others []string
	for _, row := range takenIn {
		if !slices.Contains(row.chapters, now) {
			continue
		}
		if row.command == c.called() {
			return nil
		}
		others = append(others, row.command)
	}
	instead := list(others) + " are taken"
	if now == inOpen {
		instead = takenLater[c.called()]
	}
	return &Refusal{fmt.Sprintf("%s is %s since %s", r, now, since.UTC().Format("2006-01-02 15:04 UTC")), instead}
}

// takenLater says when an open incident takes what it doesn't take yet.
var takenLater = map[string]string{
	Reopen{}.called(): "only what was resolved or dismissed can be reopened",
	Close{}.called():  "it can be closed once it is resolved",
}

// someText refuses an empty text.
func someText(text, what, allowed string) error {
	if strings.TrimSpace(text) == "" {
		return &Refusal{what, allowed}
	}
	return nil
}
