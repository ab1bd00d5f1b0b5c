package incident

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Tick is everything that one evaluation found.
type Tick struct {
	T       time.Time
	Walking bool // a missed tick decided late: causes for paging are owed, nobody is paged yet
	// Observations of the open incidents, by id. An open incident that has none was not looked at: nothing about it
	// is known at this tick.
	Observations map[string]Observation
	// Firings are the triggers that fire, in force now, whether or not an open incident holds them already.
	Firings []Firing
	// Clear tells, by finding (FindingKey), which triggers in force are clear at this tick: a dismissed incident stays
	// spent until its trigger has been.
	Clear map[string]bool
}

// Observation is what a tick found of one open incident.
type Observation struct {
	Findings []FindingObservation // in the order of the record's findings
	Hold     Progress             // of the hold that runs, over the ticks before this one; zero without a hold
	// Actions is what the tick saw of actions that are in flight, or whose effect is due, by their ids. One that has none
	// was not looked at.
	Actions map[string]ActionObservation
}

// ActionObservation is what a tick saw of an action.
type ActionObservation struct {
	Effective triggers.Verdict // the step's condition, or No and Unknown
	Effect    *Effect          // once effective and settled: what it did; nil: not looked at
}

// FindingObservation is what a tick found of one finding.
type FindingObservation struct {
	Trigger  triggers.State
	Breaches []Breach         // the conditions and segments that fire at this tick
	Severity runbook.Severity // what the rubric says; empty: it could not be judged at all
	Rule     string
	Bands    [3]BandObservation // key, safety, business
	Unknown  []Missing          // what is unknown at this tick: conditions of the trigger and bands
	// Low says that the service's traffic over the last hold is below half of what is normal: the clock of a hold stands,
	// for bands of users who have left prove nothing.
	Low bool
}

// Missing is a condition or a band that is unknown, and the first tick of the run in which it is.
type Missing struct {
	What  string
	Since time.Time
}

// BandState is whether a recovery band holds at a tick.
type BandState int

// The states of a band.
const (
	BandUnknown BandState = iota
	BandHeld
	BandMissed
	BandEmpty // a ratio of nothing: neither held nor missed; the clock of a running hold goes on
	BandNone  // the runbook says that nothing measures it
)

// BandObservation is a band at a tick.
type BandObservation struct {
	State BandState
	Value *triggers.Value // of its (first) condition; nil where unknown
	// Dense says that it is a ratio with so many events in the last hold that noise alone would break most holds.
	Dense bool
	// Unproven says what the counts lack to prove the band; empty: nothing, or it was not asked, for the hold is not over.
	Unproven string
}

// BandNames names the bands in the order of FindingObservation.Bands.
var BandNames = [3]string{"key", "safety", "business"}

// Firing is a trigger in force that fires for a group at a tick.
type Firing struct {
	Snapshot      *runbook.Snapshot
	Hash          string // of the snapshot
	Group         labels.Labels
	Service       string
	Severity      runbook.Severity
	Rule          string
	RubricUnknown bool
	Breaches      []Breach
	Frozen        []triggers.Frozen
	BlastRadius   *float64
	Phase         time.Duration // of the evaluation times
	Normal        *float64      // events a second of the service's traffic in the hour before impact; nil: unknown
	// Running are the versions that ran when impact began, and Exposures how those who have one fare against those who
	// don't, where the trigger's signals show versions.
	Running   []changes.Running
	Exposures []changes.Exposure
	// BreachBegan and ImpactStartedAt are those of the whole trigger; zero: the earliest of the breaches.
	BreachBegan, ImpactStartedAt time.Time
}

// Policy is one snapshot of the settings in force.
type Policy struct {
	Now         time.Time // when the decision is taken, which may be long after the tick; zero: at the tick
	Instance    string    // in every dedup key
	ExternalURL string    // of the links in messages and views, without a slash at the end
	Interval    time.Duration
	BlindAfter  time.Duration
	Severities  map[runbook.Severity]SeverityPolicy
	Roles       map[string]Role
	Owner       string             // the role that the daemon's own troubles are told to; empty: nobody
	Silences    []Silence          // filled in by the Desk
	Quiet       []Quiet            // planned work that comes back
	Carries     map[string]Carries // what each receiver can be told beside a page and its end
	Actions     string             // dry_run, enabled, off
	Changes     ChangePolicy

	// InForce is filled in by the Desk: the runbook in force of a name, nil for none, the same all through a decision. Nil:
	// none is known.
	InForce func(name string) *runbook.Snapshot
}

// ChangePolicy says which changes may be suspects.
type ChangePolicy struct {
	Since   time.Duration            // how far before impact a change may lie
	SinceOf map[string]time.Duration // the same for single artifacts
	Log     []changes.Change         // filled in by the Desk: what is on record of the time that matters, merged
}

// SeverityPolicy is what a severity asks of people.
type SeverityPolicy struct {
	Page              bool
	AcknowledgeWithin time.Duration
}

// Role is who is called, and who next.
type Role struct {
	Page       []string // receivers
	EscalateTo []string // roles
}
