package incident

import (
	"context"
	"errors"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// What a Store answers instead of doing it.
var (
	// ErrConflict: a record has another version than the change was decided on, or a finding stands in another open
	// incident. Nothing was written; load again and decide again.
	ErrConflict = errors.New("somebody else changed it first")
	// ErrFenced: another process leads. Nothing was written; drop the decision.
	ErrFenced = errors.New("another process leads")
	// ErrNotFound: there is no such incident.
	ErrNotFound = errors.New("no such incident")
)

// Store keeps events and records. All its methods are safe for concurrent use.
type Store interface {
	// Versions gives the version of every open record, whatever its class, by id.
	Versions(ctx context.Context) (map[string]int64, error)
	// Load gives a record with the snapshots of its findings; ref is an id or a number, with or without #.
	Load(ctx context.Context, ref string) (*Record, error)
	// Recent gives the records that ended after since and hold one of the findings.
	Recent(ctx context.Context, findings []string, since time.Time) ([]*Record, error)
	// List gives records, newest first.
	List(ctx context.Context, filter Filter) (records []*Record, next string, err error)
	// Events gives events of an incident with a seq above after, in order; limit 0: all.
	Events(ctx context.Context, id string, after int64, limit int) ([]Event, error)
	// WalkedTo is the last tick that was decided; zero: none yet.
	WalkedTo(ctx context.Context) (time.Time, error)
	// Answered gives the stored answer of a write with that idempotency key, or nil.
	Answered(ctx context.Context, key string) (*Answer, error)
	// Commit writes all of it or nothing, durably. ErrConflict, ErrFenced: nothing was written.
	Commit(ctx context.Context, commit Commit) error

	// Feed gives events of all incidents in the order of their commits, with a position above after; limit 0: all.
	Feed(ctx context.Context, after int64, limit int) ([]Positioned, error)
	// Position is that of the newest commit.
	Position(ctx context.Context) (int64, error)
	// Silences gives the silences whose end lies after a time, newest first.
	Silences(ctx context.Context, after time.Time) ([]Silence, error)
	// PutSilence adds a silence, or replaces the one with its id.
	PutSilence(ctx context.Context, s Silence) error
	// Changes gives what is on record of changes that lie after a time, reported and detected ones apart, in order of time.
	Changes(ctx context.Context, after time.Time) ([]changes.Change, error)
	// PutChanges adds changes, or replaces those with their ids.
	PutChanges(ctx context.Context, all []changes.Change) error
	// Key gives 32 random bytes that stay the same for ever under a name; they are made when first asked for.
	Key(ctx context.Context, name string) ([]byte, error)
}

// Positioned is an event of some incident, and where it stands among all. Those of one commit share a position.
type Positioned struct {
	Position int64
	Incident string
	Event    Event
}

// Filter selects incidents for a list. The zero value lists all incidents and drills.
type Filter struct {
	State    string // a state, or "open"
	Runbook  string
	Severity runbook.Severity
	After    string // where the page before ended
	Limit    int

	Self       bool      // the daemon's own troubles alone; else they are left out
	EndedAfter time.Time // resolved or dismissed after it; zero: any
}

// Commit is one transaction: what happened, what it adds up to, what must be sent because of it.
type Commit struct {
	Changes    []Change
	WalkedTo   time.Time // the tick that was decided; zero for what no tick decided, which needs no lead
	Settled    []Settlement
	Idempotent *Answer
}

// Change is an incident's new events with the record that they add up to.
type Change struct {
	Before     int64 // the version on which it was decided; 0: a new incident
	Record     *Record
	Events     []Event
	Deliveries []Delivery
}

// Kinds of deliveries.
const (
	DeliverPage   = "page"   // calls somebody; Round and Step say which call
	DeliverEnd    = "end"    // tells a receiver that accepted a page how the incident ended, and ends the key
	DeliverNotice = "notice" // needs no answer; only to receivers that can carry one

	DeliverAcknowledge = "acknowledge" // tells a receiver that accepted a page of the round that somebody has it
	DeliverProgress    = "progress"    // tells a receiver that accepted a page what happened since
)

// Carries says what a receiver can be told beside a page and its end.
type Carries struct {
	Notices          bool // what needs no answer; not a pager, for whatever it is sent calls somebody
	Acknowledgements bool // that somebody has it
	Progress         bool // each station of the railway
}

// Delivery is a row of the outbox: what must be sent to one receiver. The message is rendered when it is sent, from
// the record as it is then.
type Delivery struct {
	ID        string // hash of event id and receiver: a repeat cannot page twice
	Incident  string
	Receiver  string
	Seq       int64 // of the event that causes it; rows of one incident and receiver are sent in this order
	Kind      string
	Round     int
	Step      int
	Key       string // dedup key
	Causes    []string
	Severity  runbook.Severity // of the round
	StartedAt time.Time        // of the round
	EndsKey   string           // a page of a new round: the key of the round before, to be ended there
	Roles     []string         // of a page: the roles that it calls
	Digest    string           // of an end: the key of the storm's digest that carried the page
	Reminds   time.Time        // of a notice: the update that falls due then; it is not sent when that has been posted
	Due       time.Time
	// Kept by the outbox:
	CreatedAt time.Time
	Attempt   int
}

// States of an outbox row.
const (
	RowDue        = "due"
	RowSent       = "sent"
	RowRefused    = "refused"
	RowSuperseded = "superseded"
)

// Settlement is what became of an outbox row.
type Settlement struct {
	ID    string
	State string
	At    time.Time
	Error string
}

// Answer is the stored answer of a write, for the same Idempotency-Key.
type Answer struct {
	Key         string
	RequestHash string
	Status      int
	Response    []byte
	Expires     time.Time
}
