package triggers

import (
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
)

// Comparison is what a condition asks of a value.
type Comparison string

// The comparisons of the runbook language.
const (
	Above   Comparison = "above"
	Below   Comparison = "below"
	Between Comparison = "between"
	Rises   Comparison = "rises"
	Falls   Comparison = "falls"
	Within  Comparison = "within"
	Absent  Comparison = "absent"
)

// BlastRadius is the built-in signal of an incident: the share of traffic in segments that breach its trigger.
const BlastRadius = "blast_radius"

// Condition is a signal, a comparison and a window: the one idea that triggers, the severity rubric, recovery and
// the effect of a rollback share.
type Condition struct {
	Place      document.Place `json:"-"`
	Signal     string
	Where      map[string][]string // label equality, any of the values; selects segments
	By         []string            // ratios: add the counts up over all other labels; nil: every segment by itself
	Range      time.Duration       // another $range than the signal's; 0: the signal's own
	Comparison Comparison
	Limit      float64 // above, below: the limit; rises: the factor (2 for 2x and for 100%); falls, within: the share
	Low, High  float64 // between
	For        time.Duration
	AtLeast    float64 // share of the window's values that must satisfy it; 0: the default
	Clears     *Clears
	Baseline   *Baseline
	MinDelta   float64
	MinTraffic float64
	Confidence float64       // 0: the default
	WidenTo    time.Duration // 0: the default

	// Of the signal, set by Resolve.
	Unit  Unit  // what the limits are told to people in
	Worse Worse // which side of its baseline counts for within

	source document.Value // until Resolve is through: limits can be read only when the signal's unit is known
}

// Clears is the hysteresis of a trigger: the limit on whose good side it is clear, and for how long.
type Clears struct {
	Comparison Comparison // above or below; empty: the condition's own comparison no longer holds
	Limit      float64
	For        time.Duration // 0: the condition's own For
}

// Baseline is what a relative comparison compares with.
type Baseline struct {
	Last     time.Duration // the time that ended when `for` began
	SameTime time.Duration // or the same time this long ago, and its multiples
	Periods  int
	Width    time.Duration
}

// Clause is a tree of conditions: exactly one of its fields is set.
type Clause struct {
	Place     document.Place `json:"-"`
	Any       []Clause       `json:",omitempty"`
	All       []Clause       `json:",omitempty"`
	Condition *Condition     `json:",omitempty"`
}

// Conditions gives the conditions of the tree, in the order in which they are written.
func (c *Clause) Conditions() []*Condition {
	if c == nil {
		return nil
	}
	if c.Condition != nil {
		return []*Condition{c.Condition}
	}
	var all []*Condition
	for i := range c.Any {
		all = append(all, c.Any[i].Conditions()...)
	}
	for i := range c.All {
		all = append(all, c.All[i].Conditions()...)
	}
	return all
}
