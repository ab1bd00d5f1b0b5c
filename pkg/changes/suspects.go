package changes

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// SuspectInput is what suspects are ranked by: what is known when the incident opens, or later, when it is ranked anew.
type SuspectInput struct {
	Impact   time.Time                // when impact began
	Services []string                 // the incident's; empty: any
	Since    time.Duration            // how far before impact a change may lie
	SinceOf  map[string]time.Duration // the same for single artifacts
	Order    []Step                   // the runbook's rollback steps, in their order
	Changes  []Change                 // the log, as Merge gives it
	Running  []Running                // the versions that ran when impact began
	Contrast []Exposure               // where the version is visible in the signal
	Known    []Known                  // what is ever reported or detected
}

// Step is a rollback step: its artifact, and whose changes it answers (empty: the incident's service).
type Step struct{ Artifact, Service string }

// Known is an artifact of a service that somebody reports or an info metric shows. One without a service may be any.
type Known struct {
	Artifact, Service string

	Reported bool      // somebody has reported a change of it
	First    time.Time // the first look of an info metric that saw it; zero: not known
	Last     time.Time // the last one up to impact; zero: none did
}

// Class is how close a change stands to the incident.
type Class string

// Classes of suspects, the nearest first.
const (
	ClassExposure Class = "exposure"   // those who have the version fare worse than those who don't, at the same time
	Class15m      Class = "within 15m" // before impact
	Class60m      Class = "within 60m"
	Class6h       Class = "within 6h"
	ClassOlder    Class = "older"
)

// Exclusion is why a change is no suspect.
type Exclusion string

// Why changes are excluded.
const (
	ExcludedAfter      Exclusion = "after impact"
	ExcludedService    Exclusion = "other service"
	ExcludedOlder      Exclusion = "older"
	ExcludedRolledBack Exclusion = "rolled back"
	ExcludedSame       Exclusion = "same version"
)

// Suspect is a change with its place among the others, or with why it has none.
type Suspect struct {
	Change   Change    `json:"change"`
	Rank     int       `json:"rank,omitempty" doc:"From 1. Left out: excluded."`
	Class    Class     `json:"class,omitempty" enum:"exposure,within 15m,within 60m,within 6h,older"`
	Excluded Exclusion `json:"excluded,omitempty" enum:"after impact,other service,older,rolled back,same version"`
	Reason   string    `json:"reason" doc:"Why it stands where it stands, in numbers that can be checked."`
	Contrast *Contrast `json:"contrast,omitempty" doc:"With the version against without it, where the signal shows versions."`
}

// Ranking is what changed before an incident, and what did not. It claims no cause.
type Ranking struct {
	Suspects  []Suspect   `json:"suspects,omitempty" doc:"By rank."`
	Excluded  []Suspect   `json:"excluded,omitempty" doc:"The nearest to impact first."`
	Unchanged []Unchanged `json:"unchanged,omitempty" doc:"What would be known and did not change."`
	Unseen    []Unseen    `json:"unseen,omitempty" doc:"What an info metric showed, but not when impact began."`
	Unknown   []string    `json:"unknown,omitempty" doc:"Artifacts of which nothing tells changes."`
	Omitted   int         `json:"omitted,omitempty" doc:"Changes farther from impact than all of these, for which there was no room."`
}

// Unchanged is an artifact that has no change within the time before impact in which a change would be a suspect.
type Unchanged struct {
	Artifact string        `json:"artifact"`
	Since    time.Duration `json:"since"`
	Reported bool          `json:"reported,omitempty" doc:"Reports alone would tell: none did."`
	Partly   bool          `json:"partly,omitempty" doc:"Nobody looked for longer than since: what was before is not known."`
}

// Unseen is an artifact that an info metric showed until some time before impact, and then no more.
type Unseen struct {
	Artifact string        `json:"artifact"`
	Since    time.Time     `json:"since" doc:"The last look that saw it."`
	Before   time.Duration `json:"before" doc:"How long before impact that was."`
}

// mostRanked is how many changes, the nearest to impact, are looked at: more say nothing to anybody.
const mostRanked = 500

// Rank puts the changes before impact in the order in which they deserve a look. First come those whose version fares
// worse than the others at the same time; then, by how long before impact they came: at most 15 minutes, 60 minutes,
// 6 hours, longer; within such a class in the order of the runbook's rollback steps, then the nearer one. A change
// whose version fares no worse comes after all others.
func Rank(in SuspectInput) Ranking {
	var r Ranking
	in.still(&r)
	var near []int
	near, r.Omitted = in.nearest()
	r.Suspects = make([]Suspect, 0)
	chains := in.chains()
	for _, n := range near {
		c := &in.Changes[n]
		s := Suspect{Change: *c}
		past := newPast(c, chains[c.Artifact])
		if s.Excluded, s.Reason = in.excluded(c, past); s.Excluded != "" {
			r.Excluded = append(r.Excluded, s)
			continue
		}
		s.Contrast = in.contrast(c)
		s.Class, s.Reason = in.class(&s), in.reason(c, past, s.Contrast)
		r.Suspects = append(r.Suspects, s)
	}
	slices.SortStableFunc(r.Suspects, in.order)
	for n := range r.Suspects {
		r.Suspects[n].Rank = n + 1
	}
	return r
}

// nearest gives the changes to look at by their distance from impact, and how many are left out.
func (in *SuspectInput) nearest() (near []int, omitted int) {
	near = make([]int, len(in.Changes))
	for n := range near {
		near[n] = n
	}
	slices.SortFunc(near, func(a, b int) int {
		one, other := in.Changes[a], in.Changes[b]
		return cmp.Or(cmp.Compare(one.At.Sub(in.Impact).Abs(), other.At.Sub(in.Impact).Abs()), byTime(one, other))
	})
	omitted = max(0, len(near)-mostRanked)
	return near[:len(near)-omitted], omitted
}

// lead is how long before impact a change came; 0 where it may have come with it.
func (in *SuspectInput) lead(c *Change) time.Duration { return max(0, in.Impact.Sub(c.At)) }

func (in *SuspectInput) class(s *Suspect) Class {
	if s.Contrast != nil && s.Contrast.Verdict == Differs {
		return ClassExposure
	}
	return timeClass(in.lead(&s.Change))
}

func timeClass(lead time.Duration) Class {
	switch {
	case lead <= 15*time.Minute:
		return Class15m
	case lead <= time.Hour:
		return Class60m
	case lead <= 6*time.Hour:
		return Class6h
	}
	return ClassOlder
}

// places gives each class its place in the order.
var places = map[Class]int{ClassExposure: 0, Class15m: 1, Class60m: 2, Class6h: 3, ClassOlder: 4}

// order compares two suspects.
func (in *SuspectInput) order(a, b Suspect) int {
	leadA, leadB := in.lead(&a.Change), in.lead(&b.Change)
	return cmp.Or(
		cmp.Compare(a.Contrast.place(), b.Contrast.place()),
		cmp.Compare(places[timeClass(leadA)], places[timeClass(leadB)]),
		cmp.Compare(in.step(&a.Change), in.step(&b.Change)),
		cmp.Compare(leadA, leadB),
		byTime(a.Change, b.Change),
	)
}

// step is the place of the rollback step that answers a change; behind all of them where none does.
func (in *SuspectInput) step(c *Change) int {
	for n, s := range in.Order {
		if s.Artifact == c.Artifact && (s.Service == "" && in.own(c.Service) || s.Service != "" && sameService(s.Service, c.Service)) {
			return n
		}
	}
	return math.MaxInt
}

// own tells whether a service is the incident's, or may be.
func (in *SuspectInput) own(service string) bool {
	return len(in.Services) == 0 || slices.ContainsFunc(in.Services, func(s string) bool { return sameService(s, service) })
}

// concerns tells whether an artifact of a service has to do with the incident: of its own services, or of one whose
// changes a rollback step answers.
func (in *SuspectInput) concerns(artifact, service string) bool {
	return in.own(service) || slices.ContainsFunc(in.Order, func(s Step) bool {
		return s.Artifact == artifact && s.Service != "" && sameService(s.Service, service)
	})
}

// since is how far before impact a change of the artifact may lie.
func (in *SuspectInput) since(artifact string) time.Duration {
	if d, ok := in.SinceOf[artifact]; ok {
		return d
	}
	return in.Since
}
