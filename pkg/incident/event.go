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
	Runbook  string
	Breaches []Breach
}

// SeverityRaised follows the rubric up.
type SeverityRaised struct {
	From, To runbook.Severity
	Rule     string
	Breaches []Breach `json:",omitempty"` // what fires at this tick, with the values that raise it
}

// HoldStarted begins the watch over key, safety and business.
type HoldStarted struct{}

// Why a hold was broken.
const (
	HoldMissed = "missed" // a band was out more often than its at_least allows
	HoldFires  = "fires"  // the trigger fires again
	HoldBlind  = "blind"  // its data were missing for longer than the hold lasts
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

// Causes for a round of paging.
const (
	CauseOpened         = "opened"
	CauseRaised         = "raised"
	CauseRelapsed       = "relapsed"
	CauseUnverified     = "unverified"
	CauseBlind          = "blind"
	CauseUnacknowledged = "unacknowledged"
)

// Paged calls the roles of a step of a round.
type Paged struct {
	Round     int
	Key       string   // the round's dedup key
	Causes    []string `json:",omitempty"` // of a new round; none for an escalation
	Step      int
	Pass      int
	Severity  runbook.Severity // of the round: it stays what it was when the round began
	Roles     []string
	Receivers []string
	Skipped   []string  `json:",omitempty"` // roles passed over, for they have no receiver
	NextAt    time.Time // when the next step is called
	EndsRound int       `json:",omitempty"` // the round before, whose key ends at each receiver that accepts this page
}

// PageDelivered says that a receiver accepted a page.
type PageDelivered struct {
	Round, Step int
	Receiver    string
	Receipt     string `json:",omitempty"`
	Ended       string `json:",omitempty"` // the key of an older round that this page ended there
}

// PageFailed says that a receiver refused a page for good, has not taken it yet, or was not sent it after all.
type PageFailed struct {
	Round, Step int
	Receiver    string
	Cause       string
	Permanent   bool
	NotSent     bool `json:",omitempty"` // nobody needed it any more
	Awaited     bool `json:",omitempty"` // not taken yet, and the ladder still waits for it: told so that people know
}

// Acknowledged says that a person took the incident; it stops the round that it names.
type Acknowledged struct {
	Round int
	Via   string // api, command
	From  string `json:",omitempty"` // who had it until then, where that is somebody else
}

// Unacknowledged gives the incident back.
type Unacknowledged struct{}

// Noted is a person's note.
type Noted struct{ Text string }

// GapNoted says that ticks were not decided at all, for they lie too far back.
type GapNoted struct{ From, To time.Time }

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
func (Paged) Kind() string { return "paged" }

// Kind implements Body.
func (PageDelivered) Kind() string { return "page_delivered" }

// Kind implements Body.
func (PageFailed) Kind() string { return "page_failed" }

// Kind implements Body.
func (Acknowledged) Kind() string { return "acknowledged" }

// Kind implements Body.
func (Unacknowledged) Kind() string { return "unacknowledged" }

// Kind implements Body.
func (Noted) Kind() string { return "noted" }

// Kind implements Body.
func (GapNoted) Kind() string { return "gap_noted" }

// Kind implements Body.
func (u Unknown) Kind() string { return u.Name }
