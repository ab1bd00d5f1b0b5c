package incident

import (
	"errors"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

func TestCommands(t *testing.T) {
	const aRound = "paged"
	for _, test := range []struct {
		name    string
		before  []Command
		state   State
		command Command
		want    string // the events' kinds
		refused string
	}{
		{"acknowledge", nil, Triggered, Acknowledge{By: "alice"}, "acknowledged", ""},
		{"acknowledge again changes nothing", []Command{Acknowledge{By: "alice"}}, AcknowledgedState, Acknowledge{By: "alice"}, "", ""},
		{"another person's acknowledge is the hand-over", []Command{Acknowledge{By: "alice"}}, AcknowledgedState, Acknowledge{By: "bob"}, "acknowledged", ""},
		{"acknowledge while it is verified", nil, Verifying, Acknowledge{By: "alice"}, "acknowledged", ""},
		{"unacknowledge calls again", []Command{Acknowledge{By: "alice"}}, AcknowledgedState, Unacknowledge{By: "alice"}, "unacknowledged " + aRound, ""},
		{"unacknowledge what nobody has changes nothing", nil, Triggered, Unacknowledge{By: "alice"}, "", ""},
		{"note", nil, Triggered, Note{By: "alice", Text: "looking"}, "noted", ""},
		{"a note without a text", nil, Triggered, Note{By: "alice", Text: " "}, "", "a note has no text"},
		{"nobody's command", nil, Triggered, Acknowledge{By: ""}, "", "nobody is named"},
		{"acknowledge what is resolved", nil, ResolvedState, Acknowledge{By: "alice"}, "", "incident #42 is resolved since 2025-02-17 14:51 UTC; notes are still taken"},
		{"unacknowledge what is resolved", nil, ResolvedState, Unacknowledge{By: "alice"}, "", "is resolved since"},
		{"note on what is resolved", nil, ResolvedState, Note{By: "alice", Text: "learned"}, "noted", ""},
		{"acknowledge what is closed", nil, Closed, Acknowledge{By: "alice"}, "", "is closed since"},
		{"note on what is closed", nil, Closed, Note{By: "alice", Text: "learned"}, "noted", ""},
		{"acknowledge what is dismissed", nil, Dismissed, Acknowledge{By: "alice"}, "", "is dismissed since"},
		{"note on what is dismissed", nil, Dismissed, Note{By: "alice", Text: "learned"}, "noted", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := testPolicy()
			r, _ := opening(p, runbook.Sev2)
			r.Number = 42
			for _, c := range test.before {
				events, err := DecideCommand(r, c, p, clockTime("14:12"), "before")
				if err != nil {
					t.Fatal(err)
				}
				r = add(r, events)
			}
			stand(r, test.state)
			events, err := DecideCommand(r, test.command, p, clockTime("14:55"), "seed")
			var kinds []string
			for _, e := range events {
				kinds = append(kinds, e.Body.Kind())
			}
			if got := strings.Join(kinds, " "); got != test.want {
				t.Errorf("events %q, want %q", got, test.want)
			}
			var refusal *Refusal
			if refused := errors.As(err, &refusal); refused != (test.refused != "") || refused && !strings.Contains(err.Error(), test.refused) {
				t.Errorf("error %v, want %q", err, test.refused)
			}
		})
	}
}

// stand puts a record where a state is.
func stand(r *Record, state State) {
	switch state {
	case Verifying:
		r.Hold = &Hold{Since: clockTime("14:36")}
	case ResolvedState, Closed:
		apply(r, Event{Seq: r.Version + 1, At: clockTime("14:51"), Body: Resolved{ImpactEndedAt: clockTime("14:36")}})
		if state == Closed {
			r.ClosedAt = clockTime("14:53")
		}
	case Dismissed:
		r.DismissedAt = clockTime("14:51")
	}
}

func TestAcknowledgingStopsTheRoundAndOwesNothing(t *testing.T) {
	p := testPolicy()
	r, _ := opening(p, runbook.Sev2)
	r.Owed = []string{CauseBlind}
	events, err := DecideCommand(r, Acknowledge{By: "alice"}, p, clockTime("14:12"), "seed")
	if err != nil {
		t.Fatal(err)
	}
	r = add(r, events)
	if _, later := ring(r, p, clockTime("14:12"), clockTime("18:00")); len(later) > 0 || r.Round.Calling || len(r.Owed) > 0 {
		t.Errorf("called again: %v; round %+v, owed %v", calls(later), r.Round, r.Owed)
	}
	if r.Acknowledged.By != "alice" || !r.AcknowledgedAt.Equal(clockTime("14:12")) {
		t.Errorf("acknowledged %+v at %s", r.Acknowledged, r.AcknowledgedAt)
	}
}

func TestAcknowledgingAnOlderRoundLeavesThePresentOneRinging(t *testing.T) {
	r, _ := opening(testPolicy(), runbook.Sev2)
	r.Round.N = 2
	apply(r, Event{Seq: 3, At: clockTime("14:12"), Actor: "alice", Body: Acknowledged{Round: 1, Via: "button"}})
	if !r.Round.Calling || r.Acknowledged == nil {
		t.Errorf("round %+v, acknowledged %+v; want it calling and acknowledged", r.Round, r.Acknowledged)
	}
}
