package notify

import (
	"context"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Receiver is one way to reach somebody. Each kind has a folder of its own below this package.
type Receiver interface {
	// Deliver makes one attempt, within the context's time. It never retries by itself: the outbox does. It may be
	// called again with the same Message.ID when nobody knows whether an earlier attempt arrived, and is never called
	// twice at once.
	Deliver(ctx context.Context, m Message) Result
}

// Keeper is a Receiver that forgets what it isn't reminded of, as Alertmanager does.
type Keeper interface {
	Receiver
	// Every is how often Keep must be called; the first time is at start-up.
	Every() time.Duration
	// Keep reminds the receiver of all incidents that are open and whose page it has accepted. It is never called
	// while a Deliver runs, or it could light again what that one has just ended.
	Keep(ctx context.Context, open []Message) error
}

// CallsOnly is a Receiver that can't carry a notice, for whatever it is sent calls somebody. Its notices are left out.
type CallsOnly interface {
	Receiver
	CallsOnly()
}

// Message is what a receiver is told. It is made for each attempt, from the incident as it is then.
type Message struct {
	ID        string              // names the delivery: the same in all its attempts, another one for each delivery
	Kind      string              // incident.DeliverPage, DeliverEnd or DeliverNotice
	Key       string              // dedup key: the same for all calls of a round, and for the end of it
	EndsKey   string              // of a new round's page: the key of the round before, which ends
	Ends      []incident.Standing // of a page, for a Keeper: older rounds of the incident that it still shows
	Round     int                 // from 1
	Step      int                 // of the ladder, from 0
	Causes    []string            // why the round began
	Severity  runbook.Severity    // of the round: it stays what it was when the round began
	StartedAt time.Time           // of the round
	CreatedAt time.Time           // when the delivery was decided
	SentAt    time.Time           // the clock at this attempt
	Title     string              // first line: what is broken, by how much, since when, how bad, who owns it, where to look
	Text      string              // what follows it: plain text, wrapped at 80 columns
	Resent    bool                // an earlier attempt may have arrived
	Incident  incident.View
}

// Outcome is what became of an attempt.
type Outcome string

// Outcomes of an attempt.
const (
	Delivered Outcome = "delivered" // the receiver has it
	Retry     Outcome = "retry"     // it may take it later: no answer, busy, broken for now
	Refused   Outcome = "refused"   // it won't ever take it: the address, the credential or the message is wrong
)

// Result is a receiver's answer to one attempt.
type Result struct {
	Outcome    Outcome
	Status     int           // of HTTP; 0: no answer
	RetryAfter time.Duration // the receiver asked for this pause; 0: it did not
	Receipt    string        // what the receiver calls the message, if it told
	Detail     string        // for people: what went wrong, or what did in spite of a delivery. Never a URL or a secret.
}
