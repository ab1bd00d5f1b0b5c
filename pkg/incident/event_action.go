package incident

import (
	"encoding/json"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// EvidenceGathered is what an item of the checklist is to be decided by, as it was found.
type EvidenceGathered struct {
	N      int             // of the item, from 1
	Values json.RawMessage `json:",omitempty"` // as the kind of evidence has them
	Text   string          `json:",omitempty"` // in one sentence
	Error  string          `json:",omitempty"`
}

// ChangeSeen is a change of an artifact that the incident should know of.
type ChangeSeen struct {
	ID       string
	Artifact string
	Service  string
	From, To string
	At       time.Time // of the change
	By       string    `json:",omitempty"`
	URL      string    `json:",omitempty"`
}

// ActionRequested asks for a rollback or a mitigation.
type ActionRequested struct {
	Action   string // id
	Step     string `json:",omitempty"` // of the rollback stack: its name, by default its artifact
	Mitigate string `json:",omitempty"` // title of a mitigation
	Title    string // for people
	From, To string `json:",omitempty"` // versions
	Digest   string `json:",omitempty"` // of the rendered request and of the version observed: what is approved
	Approval string // owner, none or two_person
	Settle   time.Duration
}

// ActionApproved is a person's approval of what the digest names.
type ActionApproved struct{ Action, Digest string }

// ActionStarted is written before anything is sent.
type ActionStarted struct {
	Action  string
	Attempt int // from 1
}

// How an action was done.
const (
	DoneSent   = "sent"
	DoneByHand = "by hand"
	DoneSeen   = "seen" // in the change log
)

// ActionDone says that an action is set; whether it took effect on traffic is another matter.
type ActionDone struct {
	Action   string
	How      string        // DoneSent, DoneByHand or DoneSeen
	Step     string        `json:",omitempty"` // of what nobody requested: done by hand, or seen
	Title    string        `json:",omitempty"`
	From, To string        `json:",omitempty"`
	Settle   time.Duration `json:",omitempty"`
}

// ActionEffective says that an action took effect on traffic.
type ActionEffective struct {
	Action string
	Floor  time.Time // no hold starts before it: the bands look back so far
}

// Why an action failed.
const (
	FailedRefused     = "refused"
	FailedExpired     = "expired"
	FailedDryRun      = "dry run"
	FailedUnanswered  = "unanswered" // nobody knows whether it took place: it stays acted
	FailedIneffective = "ineffective"

	// FailedEnded is on the record alone: the incident ended first, which no event of the action says.
	FailedEnded = "the incident ended"
)

// ActionFailed says that an action did not do what it should.
type ActionFailed struct {
	Action string
	Why    string // Failed…
	Cause  string `json:",omitempty"` // in words, without secrets
}

// Verdicts on an effect, fixed so that everybody uses the same words.
const (
	EffectNormal       = "Normal again"
	EffectHelped       = "Helped, not enough"
	EffectNone         = "No effect seen"
	EffectWorse        = "Worse"
	EffectCantTell     = "Can't tell yet"
	EffectNotSeparable = "Not separable"
)

// Effect is what an action did, measured.
type Effect struct {
	Metrics []EffectMetric `json:",omitempty"`
	Verdict string         // Effect…
}

// EffectMetric is a recovery metric before and after an action.
type EffectMetric struct {
	Band          string
	Signal        string
	Unit          triggers.Unit
	Before, After *triggers.Value `json:",omitempty"` // nil: unknown
	Low, High     float64         // interval of the difference, in the unit
	Target        string          // the condition in words
	Held          bool
}

// EffectMeasured is the one look at what an action did.
type EffectMeasured struct {
	Action string
	Effect Effect
	Next   string `json:",omitempty"` // the step of the rollback stack to try next; empty: none is needed, or none is left
}

// SuspectsRanked is what changed before impact, in the order in which it deserves a look. It claims no cause.
type SuspectsRanked struct {
	Cause   string // what it was ranked for: opened, joined, relapsed, reopened or RankedForChange
	Ranking changes.Ranking
	Running []changes.Running `json:",omitempty"` // the versions that ran when impact began
	// Exposures are how those who had a version fared against those who didn't, for when it is ranked anew.
	Exposures []changes.Exposure `json:",omitempty"`
}

// RankedForChange is the cause of a ranking that a change brought which came to be known later.
const RankedForChange = "change"

// Mitigated is an action by hand that the runbook does not list, effective at once.
type Mitigated struct {
	Action string // id
	Title  string
	Floor  time.Time
}

// Kind implements Body.
func (EvidenceGathered) Kind() string { return "evidence_gathered" }

// Kind implements Body.
func (ChangeSeen) Kind() string { return "change_seen" }

// Kind implements Body.
func (SuspectsRanked) Kind() string { return "suspects_ranked" }

// Kind implements Body.
func (ActionRequested) Kind() string { return "action_requested" }

// Kind implements Body.
func (ActionApproved) Kind() string { return "action_approved" }

// Kind implements Body.
func (ActionStarted) Kind() string { return "action_started" }

// Kind implements Body.
func (ActionDone) Kind() string { return "action_done" }

// Kind implements Body.
func (ActionEffective) Kind() string { return "action_effective" }

// Kind implements Body.
func (ActionFailed) Kind() string { return "action_failed" }

// Kind implements Body.
func (EffectMeasured) Kind() string { return "effect_measured" }

// Kind implements Body.
func (Mitigated) Kind() string { return "mitigated" }
