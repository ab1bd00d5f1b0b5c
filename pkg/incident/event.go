package incident

import (
	"encoding/json"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Daemon is the actor of what the daemon itself decided or did.
const Daemon = "irdaemon"

// Event is one thing that happened to an incident. Events are only ever appended; the record is their sum.
type Event struct {
	ID         string    // unique; the same on every replica for what a tick decided
	Seq        int64     // orders the events of an incident, from 1 without gaps
	At         time.Time // when it happened: the evaluation time for what a tick found, the clock for what people did
	RecordedAt time.Time // when it was written
	Actor      string    // Daemon, or the person
	Body       Body
}

// Body is what an event says. The types below are all there are; a kind of a later release is kept as Unknown.
type Body interface {
	// Kind is the event's name in the store, the API and the documentation.
	Kind() string
}

// Breach is a condition of the trigger that holds for a segment.
type Breach struct {
	Condition   string        // the condition in words, which names it within its trigger
	Signal      string        // name
	Title       string        // of the signal, for people
	Segment     labels.Labels // what is judged: the segment's labels, or those it was added up by
	Value       triggers.Value
	Limit       float64           // the limit of the comparison, in the signal's unit
	Absent      bool              `json:",omitempty"` // there are no data: neither value nor limit
	Evidence    triggers.Evidence `json:",omitzero"`  // why a ratio's counts were enough, and what a relative limit was made of
	Unit        triggers.Unit
	BreachBegan time.Time // first point of the run that satisfies the condition
	ImpactBegan time.Time // the point after the last one on the normal side, at most 24 h back
}

// Opened starts an incident with everything that the tick knew.
type Opened struct {
	Runbook         string // hash of the snapshot, which the store keeps whole
	Name            string // the runbook's
	Group           labels.Labels
	Service         string
	Severity        runbook.Severity
	Rule            string // the rule of the rubric that holds, in words; empty: the default
	RubricUnknown   bool   // a rule could not be judged
	Breaches        []Breach
	BreachBegan     time.Time
	ImpactStartedAt time.Time
	Frozen          []triggers.Frozen `json:",omitempty"` // the trigger's baselines, which stay while the incident is open
	BlastRadius     *float64          `json:",omitempty"` // share of traffic in segments that breach; nil: unknown
	Phase           time.Duration     `json:",omitempty"` // of the evaluation times
	Follows         string            // id of the incident that this finding stood in before, if that ended within 7 days

	Normal       *float64  `json:",omitempty"` // events a second of the service's traffic in the hour before impact; nil: unknown
	NextUpdateAt time.Time `json:",omitzero"`  // zero: the severity asks for no updates
	Class        Class     `json:",omitempty"`
}

// FindingJoined adds the finding of another runbook on the same service. What is of the incident as a whole (Follows,
// Normal, Class, NextUpdateAt) stays empty.
type FindingJoined Opened

// Reopened makes an ended incident open again, with the runbooks in force now.
type Reopened struct {
	Runbook      string            `json:",omitempty"` // hash of the finding's snapshot; empty: a person reopened it
	Name         string            `json:",omitempty"` // of the finding's runbook
	Group        labels.Labels     `json:",omitzero"`
	Severity     runbook.Severity  // the worse of the one at its end and of now
	Rule         string            `json:",omitempty"`
	Reason       string            `json:",omitempty"` // of a person
	Breaches     []Breach          `json:",omitempty"`
	Frozen       []triggers.Frozen `json:",omitempty"`
	NextUpdateAt time.Time         `json:",omitzero"`
	Runbooks     map[string]string `json:",omitempty"` // of the other findings whose runbook is another one by now: name and hash
}

// BreachJoined adds a condition or a segment that fires, once between two clears.
type BreachJoined struct {
	Runbook  string // name of the finding's runbook
	Breaches []Breach
}

// TriggerCleared says that a finding's trigger is clear.
type TriggerCleared struct{ Runbook string }

// Relapsed says that a trigger fires again while its incident is open.
type Relapsed struct {
	Runbook      string
	Breaches     []Breach
	NextUpdateAt time.Time `json:",omitzero"`
}

// SeverityRaised follows the rubric up.
type SeverityRaised struct {
	From, To runbook.Severity
	Rule     string
	Breaches []Breach `json:",omitempty"` // what fires at this tick, with the values that raise it

	NextUpdateAt time.Time `json:",omitzero"` // the earlier of the one that stood and of the first update at To
}

// SeveritySet is a person's word. A lower severity is pinned: until then only a rubric worse than Floor raises it.
type SeveritySet struct {
	From, To     runbook.Severity
	Reason       string
	Until        time.Time        `json:",omitzero"`  // of the pin; zero: it was raised, and there is none
	Floor        runbook.Severity `json:",omitempty"` // of the pin: the severity before the first lowering
	EndsRound    bool             `json:",omitempty"` // the lower one calls nobody: the round and its key end
	NextUpdateAt time.Time        `json:",omitzero"`
}

// PinExpired says that the rubric counts again.
type PinExpired struct{}

// HoldStarted begins the watch over key, safety and business.
type HoldStarted struct{}

// Why a hold was broken.
const (
	HoldMissed = "missed" // a band was out more often than its at_least allows
	HoldFires  = "fires"  // the trigger fires again
	HoldBlind  = "blind"  // its data, or the service's traffic, were missing for longer than the hold lasts
	HoldPooled = "pooled" // the pooled counts of the whole hold are out of band, though single points are not
)

// HoldBroken ends a hold before its time.
type HoldBroken struct {
	Why   string
	Band  string          // key, safety or business, where one of them broke it
	Value *triggers.Value `json:",omitempty"`
}

// Resolved says that user impact has stopped, verified.
type Resolved struct{ ImpactEndedAt time.Time }

// WentBlind says that a trigger or a band has been unknown for blind_after.
type WentBlind struct {
	Conditions []string
	Since      time.Time
}

// SightBack says that nothing is unknown any more.
type SightBack struct{}

// Unverified says that recovery.timeout passed without a verified recovery.
type Unverified struct{}

// Unknown is an event of a kind that this release does not know. It is kept and shown, and changes nothing.
type Unknown struct {
	Name string
	Raw  json.RawMessage
}

// Kind implements Body.
func (Opened) Kind() string { return "opened" }

// Kind implements Body.
func (BreachJoined) Kind() string { return "breach_joined" }

// Kind implements Body.
func (TriggerCleared) Kind() string { return "trigger_cleared" }

// Kind implements Body.
func (Relapsed) Kind() string { return "relapsed" }

// Kind implements Body.
func (SeverityRaised) Kind() string { return "severity_raised" }

// Kind implements Body.
func (HoldStarted) Kind() string { return "hold_started" }

// Kind implements Body.
func (HoldBroken) Kind() string { return "hold_broken" }

// Kind implements Body.
func (Resolved) Kind() string { return "resolved" }

// Kind implements Body.
func (WentBlind) Kind() string { return "went_blind" }

// Kind implements Body.
func (SightBack) Kind() string { return "sight_back" }

// Kind implements Body.
func (Unverified) Kind() string { return "unverified" }

// Kind implements Body.
func (FindingJoined) Kind() string { return "finding_joined" }

// Kind implements Body.
func (Reopened) Kind() string { return "reopened" }

// Kind implements Body.
func (SeveritySet) Kind() string { return "severity_set" }

// Kind implements Body.
func (PinExpired) Kind() string { return "pin_expired" }

// Kind implements Body.
func (u Unknown) Kind() string { return u.Name }
