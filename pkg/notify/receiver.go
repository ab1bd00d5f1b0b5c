package notify

import (
	"context"
	"errors"
	"net/http"
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
	// Carries says what it can be told beside a page and its end. It is never given a message of any other kind.
	Carries() incident.Carries
}

// Answerer is a Receiver through which people answer: its service posts to the daemon what they did there.
type Answerer interface {
	Receiver
	// Hear reads such a request. It believes nothing of it before its signature is verified: ErrSignature says that it
	// is not, ErrUnheard (wrapped, with what is wrong) that a genuine one can't be understood. An empty Heard is a
	// genuine request that asks for nothing.
	Hear(header http.Header, body []byte, now time.Time) (Heard, error)
}

// What a request to an Answerer may be refused for.
var (
	ErrSignature = errors.New("the signature is missing or wrong")
	ErrUnheard   = errors.New("the request can't be understood")
)

// What people do at a service.
const (
	HeardAcknowledge   = "acknowledge"
	HeardUnacknowledge = "unacknowledge"
	HeardResolve       = "resolve" // there: the incident here goes on until its recovery is verified
)

// Heard is what somebody did at a receiver's service.
type Heard struct {
	ID     string // of the notification: told again, it is the same
	Key    string // dedup key of the round that it is about
	Action string // Heard…; empty: nothing that concerns us
	By     string // the person, as the service names them
	Answer []byte // body to answer with, for a service that shows it; nil: none
}

// Keeper is a Receiver that forgets what it isn't reminded of, as Alertmanager does. It gets no digests: it groups by
// rules of its own.
type Keeper interface {
	Receiver
	// Every is how often Keep must be called; the first time is at start-up.
	Every() time.Duration
	// Keep reminds the receiver of all incidents that are open and whose page it has accepted. It is never called
	// while a Deliver runs, or it could light again what that one has just ended.
	Keep(ctx context.Context, open []Message) error
}

// Message is what a receiver is told. It is made for each attempt, from the incident as it is then.
type Message struct {
	ID        string              // names the delivery: the same in all its attempts, another one for each delivery
	Kind      string              // incident.Deliver…
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

	// Thread is the receipt of the first page of the incident that this receiver accepted; empty: none has been.
	// Receipt is the one of the page under Key; empty: it has accepted none.
	Thread, Receipt string
	// AcknowledgeURL is a signed link for those who can only click: opened it shows what it will do, its button does it.
	// Empty: nobody can be asked to acknowledge (an end, a notice), or there are no such links.
	AcknowledgeURL string
	// Digest are the incidents that a storm put into this one message, the worst first; Incident is the first of them.
	// Empty: the message is about Incident alone. Digested is how many there are, for the list may be cut.
	Digest   []incident.View
	Digested int
	// Drill says that it is practice; the title says so too.
	Drill bool
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
	Receipt    string        // what a later message of the incident needs to know of this one; given back as Message.Thread and Message.Receipt. Never a secret.
	Detail     string        // for people: what went wrong, or what did in spite of a delivery. Never a URL or a secret.
}
