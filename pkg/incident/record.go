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
	Class  Class `json:",omitempty"`

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
	ReopenedAt      time.Time // the last time
	JoinedAt        time.Time // the last time that a finding joined

	Acknowledged  *Acknowledgement // who has it now
	Pin           *Pin             // of a severity that a person lowered
	Hold          *Hold
	Floor         time.Time // no hold starts before it
	RecoveryBegan time.Time // first action or first hold since (re)opening; recovery.timeout counts from it
	Unverified    bool
	Blind         *Blindness
	BlastRadius   *float64   `json:",omitempty"` // share of traffic in segments that breached when it opened; nil: unknown
	Normal        *float64   `json:",omitempty"` // events a second of the service's traffic before impact; nil: unknown
	Dismissal     *Dismissal `json:",omitempty"`

	NextUpdateAt time.Time        // zero: none is due
	OverdueSince time.Time        // an update fell due then, and none has been posted since; zero: none is overdue
	Updates      []Update         `json:",omitempty"`
	Triage       map[int]Answered `json:",omitempty"` // by item, from 1
	Actions      []Action         `json:",omitempty"`
	Rankings     []SuspectsRanked `json:",omitempty"` // of what changed before impact; the newest last
	Changes      []ChangeSeen     `json:",omitempty"` // that came to be known while it was open
	Evidence     map[int]Evidence `json:",omitempty"` // by item of the checklist, the newest
	Postmortem   *Postmortem      `json:",omitempty"`

	Owed    []string  // causes for paging that no round has taken up yet
	Held    []string  `json:",omitempty"` // causes that wait for the end of a silence
	Round   *Round    // the last one
	Reached int       // the highest step of the ladder called so far, in any round
	Pages   []Receipt // every receiver that accepted a page of this incident
	Awaited []Receipt // each page that its receiver has neither accepted nor refused for good

	ToldOver int `json:",omitempty"` // the last round whose receivers were told that the incident ended; 0: none

	Follows  string
	LastTick time.Time // of the newest event that a tick found; no tick up to it is decided again
	Version  int64     // seq of the last event
}

// Finding is a runbook's trigger that fired for a group.
type Finding struct {
	Runbook  string // hash of the snapshot
	Name     string // the runbook's name
	Group    labels.Labels
	Class    Class    `json:",omitempty"` // of its incident
	Breaches []Breach // every condition and segment that breached, the latest value it joined with
	Fired    []string // the conditions and segments told since the trigger was last clear
	Cleared  bool
	FiredAt  time.Time // when it last opened, joined, reopened or relapsed: of ended incidents the latest is its home

	Frozen []triggers.Frozen `json:",omitempty"` // baselines of the trigger, as they were when it fired

	Snapshot *runbook.Snapshot `json:"-"` // filled in by the store from the hash
}

// Key identifies the finding: at most one open incident holds it.
// That of a drill is another one, so that practice never stands in an incident's way.
func (f *Finding) Key() string { return findingKey(f.Class, f.Name, f.Group) }

// Class tells practice and the daemon's own troubles from incidents. Those are counted nowhere.
type Class string

// The classes of records.
const (
	Real  Class = ""      // an incident
	Drill Class = "drill" // practice: the whole railway and ladder, and nothing is broken
	Self  Class = "self"  // a trouble of the daemon's own, which is paged as an incident is
)

// Pin keeps a severity that a person lowered. Until then only a rubric worse than Floor raises it.
type Pin struct {
	Until time.Time
	Floor runbook.Severity // the severity before the first lowering
}

// Dismissal says why an incident was none.
type Dismissal struct {
	By          string
	Reason      string
	Text        string           `json:",omitempty"`
	DuplicateOf string           `json:",omitempty"`
	Severity    runbook.Severity // when it was dismissed
}

// Update is what was told to those who wait for news.
type Update struct {
	At       time.Time
	By       string
	Audience string
	Text     string
}

// Answered is the answer to an item of the checklist.
type Answered struct {
	Answer string
	Text   string `json:",omitempty"`
	By     string
	At     time.Time
}

// Evidence is what was found for an item of the checklist.
type Evidence struct {
	At time.Time
	EvidenceGathered
}

// Action is a rollback or a mitigation, from its request to its measured effect.
type Action struct {
	ID          string
	Step        string `json:",omitempty"` // of the rollback stack; empty: a mitigation
	Mitigate    string `json:",omitempty"` // title of a mitigation of the runbook
	Title       string
	From, To    string        `json:",omitempty"`
	Digest      string        `json:",omitempty"`
	Approval    string        `json:",omitempty"`
	Approvers   []string      `json:",omitempty"`
	Settle      time.Duration `json:",omitempty"`
	RequestedBy string        `json:",omitempty"`
	RequestedAt time.Time     `json:",omitzero"`
	StartedAt   time.Time     `json:",omitzero"`
	DoneAt      time.Time     `json:",omitzero"`
	DoneBy      string        `json:",omitempty"`
	EffectiveAt time.Time     `json:",omitzero"`
	FailedAt    time.Time     `json:",omitzero"`
	How         string        `json:",omitempty"` // Done…
	Why         string        `json:",omitempty"` // Failed…
	Cause       string        `json:",omitempty"`
	Attempt     int           `json:",omitempty"`
	Acted       bool          `json:",omitempty"` // it stands since (re)opening: something was changed, or may have been
	Effect      *Effect       `json:",omitempty"`
}

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

	ByRole  map[string][]string `json:",omitempty"` // receivers of each role called so far
	Untaken []string            `json:",omitempty"` // receivers of any step at which an attempt has failed, and which took no page of the round
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
	Ended     bool             // a later round's page ended the key there, or the incident's end did
	EndedBy   int64            `json:",omitempty"` // seq of the event that ended whatever stood; 0: a later page ended it, or it stands
	Receipt   string           `json:",omitempty"` // what the receiver answered
	Digest    string           `json:",omitempty"` // key of the storm's digest that carried it
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
	ClosedState       State = "closed"
	DismissedState    State = "dismissed"
)

// State derives where the incident stands; the first match wins.
func (r *Record) State() State {
	switch {
	case !r.DismissedAt.IsZero():
		return DismissedState
	case !r.ClosedAt.IsZero():
		return ClosedState
	case !r.ResolvedAt.IsZero():
		return ResolvedState
	case r.Hold != nil:
		return Verifying
	case r.acted():
		return Mitigating
	case r.Acknowledged != nil:
		return AcknowledgedState
	default:
		return Triggered
	}
}

// acted tells whether an action stands since (re)opening.
func (r *Record) acted() bool {
	return slices.ContainsFunc(r.Actions, func(a Action) bool { return a.Acted })
}

// action gives an action by its id, nil for none.
func (r *Record) action(id string) *Action {
	for i := range r.Actions {
		if r.Actions[i].ID == id {
			return &r.Actions[i]
		}
	}
	return nil
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
