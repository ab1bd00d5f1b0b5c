package incident

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Record is what the events of an incident add up to. Only apply changes one; everything else reads.
type Record struct {
	ID     string
	Number int64 `json:"-"` // for people: #42; given by the store, not part of the stored record

	Findings []Finding // the first one gives title, owner, service and branch
	Service  string
	Severity runbook.Severity
	Peak     runbook.Severity // never falls
	Rule     string           // the rule of the rubric that gave the severity, in words

	BreachBegan     time.Time
	ImpactStartedAt time.Time
	OpenedAt        time.Time
	DetectedAt      time.Time
	PagedAt         time.Time // first delivery
	AcknowledgedAt  time.Time // the first one, for ever
	MitigatedAt     time.Time
	ImpactEndedAt   time.Time
	ResolvedAt      time.Time
	ClosedAt        time.Time
	DismissedAt     time.Time

	Acknowledged *Acknowledgement // who has it now
	Hold         *Hold
	Floor        time.Time // no hold starts before it
	FirstHold    time.Time // since (re)opening; recovery.timeout counts from it
	Unverified   bool
	Blind        *Blindness

	Owed    []string  // causes for paging that no round has taken up yet
	Round   *Round    // the last one
	Reached int       // the highest step of the ladder called so far, in any round
	Pages   []Receipt // every receiver that accepted a page of this incident
	Awaited []Receipt // each page that its receiver has neither accepted nor refused for good

	Follows  string
	LastTick time.Time // of the newest event that a tick found; no tick up to it is decided again
	Version  int64     // seq of the last event
}

// Finding is a runbook's trigger that fired for a group.
type Finding struct {
	Runbook  string // hash of the snapshot
	Name     string // the runbook's name
	Group    labels.Labels
	Breaches []Breach // every condition and segment that breached, the latest value it joined with
	Fired    []string // the conditions and segments told since the trigger was last clear
	Cleared  bool

	Frozen []triggers.Frozen `json:",omitempty"` // baselines of the trigger, as they were when it fired

	Snapshot *runbook.Snapshot `json:"-"` // filled in by the store from the hash
}

// Key identifies the finding: at most one open incident holds it.
func (f *Finding) Key() string { return FindingKey(f.Name, f.Group) }

// Acknowledgement says who has an incident, since when.
type Acknowledgement struct {
	By string
	At time.Time
}

// Hold is the watch over the recovery bands that runs. Its progress is folded from the points after Since.
type Hold struct{ Since time.Time }

// Blindness says what has been unknown since when.
type Blindness struct {
	Conditions []string
	Since      time.Time
}

// Round calls people until somebody takes the incident.
type Round struct {
	N         int
	Key       string
	Causes    []string
	Severity  runbook.Severity
	Step      int // the last one called
	Reached   int // the highest one called
	Pass      int // from 0; each time from the top counts one
	NextAt    time.Time
	Calling   bool
	Called    []string // roles, in the order in which they were first called
	StartedAt time.Time
	Failed    []string // receivers of the present step that refused it for good, or have not taken it in time
	Receivers []string // of the present step
	Untaken   []string `json:",omitempty"` // receivers of any step at which an attempt has failed, and which took no page of the round
}

// notDelivered tells whether the round that calls has reached nobody so far, and not for want of an attempt.
func (r *Record) notDelivered() bool {
	return r.Round != nil && r.Round.Calling && len(r.Round.Untaken) > 0 &&
		!slices.ContainsFunc(r.Pages, func(receipt Receipt) bool { return receipt.Round == r.Round.N })
}

// Receipt says that a receiver accepted the page of a round.
type Receipt struct {
	Receiver  string
	Round     int
	Key       string
	Severity  runbook.Severity // of the round
	StartedAt time.Time        // of the round
	Ended     bool             // a later round's page ended the key there
}

// State is where an incident stands on the railway. It is derived, never stored.
type State string

// The states of an incident.
const (
	Triggered         State = "triggered"
	AcknowledgedState State = "acknowledged"
	Mitigating        State = "mitigating"
	Verifying         State = "verifying"
	ResolvedState     State = "resolved"
	Closed            State = "closed"
	Dismissed         State = "dismissed"
)

// State derives where the incident stands; the first match wins.
func (r *Record) State() State {
	switch {
	case !r.DismissedAt.IsZero():
		return Dismissed
	case !r.ClosedAt.IsZero():
		return Closed
	case !r.ResolvedAt.IsZero():
		return ResolvedState
	case r.Hold != nil:
		return Verifying
	case r.Acknowledged != nil:
		return AcknowledgedState
	default:
		return Triggered
	}
}

// Open tells whether the incident is neither resolved, closed nor dismissed.
func (r *Record) Open() bool {
	return r.ResolvedAt.IsZero() && r.ClosedAt.IsZero() && r.DismissedAt.IsZero()
}

// endedAt is when the incident was resolved or dismissed, zero while it is open.
func (r *Record) endedAt() time.Time {
	if !r.DismissedAt.IsZero() {
		return r.DismissedAt
	}
	return r.ResolvedAt
}
