package triggers

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Scope is what the rubric, recovery and effects of an incident see: the segments that agree with its group and
// service on the labels that they carry, and of the trigger's own signals only those that breached.
type Scope struct {
	Group    labels.Labels
	Service  string
	Breached []Breached
	Reading  func(*Condition) Reading
	// Since is when the incident's impact began: a `last` baseline is that of the time before it. Zero: there is no
	// incident yet, and it is the time before `for`.
	Since time.Time
	// BlastRadius is the share of traffic in segments that breach now; it is known where a signal carries traffic.
	BlastRadius      float64
	BlastRadiusKnown bool
	// Sight keeps which segments are seen from tick to tick; nil: they are looked for each time.
	Sight *Sight
}

// Sight is the segments that the conditions of an incident see, kept until segments come or go, or another one breaches.
type Sight struct{ seen map[*Condition]*seen }

type seen struct {
	breached           []Breached
	history            *History
	version            uint64
	series, recovering []Series
}

// NewSight makes a Sight. It serves one incident.
func NewSight() *Sight { return &Sight{seen: map[*Condition]*seen{}} }

// look gives what a condition sees, from the tick before where nothing has changed.
func (sc Scope) look(c *Condition) *seen {
	history := sc.Reading(c).History
	if sc.Sight == nil || history == nil {
		return &seen{series: sc.findSeries(c), recovering: sc.findRecovering(c)}
	}
	known := sc.Sight.seen[c]
	if known == nil || known.history != history || known.version != history.version || !slices.EqualFunc(known.breached, sc.Breached, Breached.is) {
		known = &seen{
			breached: sc.Breached, history: history, version: history.version,
			series: sc.findSeries(c), recovering: sc.findRecovering(c),
		}
		sc.Sight.seen[c] = known
	}
	return known
}

func (b Breached) is(other Breached) bool {
	return b.Condition == other.Condition && labels.Equal(b.Labels, other.Labels)
}

// Breached is a condition of the trigger with the label set for which it fired in this incident.
type Breached struct {
	Condition *Condition
	Labels    labels.Labels
}

// covers tells whether a segment of the condition's signal is one of those that breached.
func (b Breached) covers(l labels.Labels) bool {
	same := true
	b.Labels.Range(func(want labels.Label) {
		if l.Get(want.Name) != want.Value {
			same = false
		}
	})
	return same && Matches(l, b.Condition.Where)
}

// canMatch tells whether a segment that breached can have one of the wanted values for each label named.
func (b Breached) canMatch(where map[string][]string) bool {
	for name, wanted := range where {
		if v := b.Labels.Get(name); v != "" && !slices.Contains(wanted, v) {
			return false
		}
		if had, ok := b.Condition.Where[name]; ok && !slices.ContainsFunc(wanted, func(w string) bool { return slices.Contains(had, w) }) {
			return false
		}
	}
	return true
}

// Rubric says whether a severity rule's clause holds at t. Segments are added up where the signal is a ratio, else
// the worst of them decides.
func (sc Scope) Rubric(c *Clause, t time.Time) Verdict {
	if c.Condition != nil {
		return sc.rule(c.Condition, t)
	}
	members, all := c.Any, false
	if len(c.All) > 0 {
		members, all = c.All, true
	}
	var have [Yes + 1]int
	for i := range members {
		have[sc.Rubric(&members[i], t)]++
	}
	if !all {
		return anyVerdict(have)
	}
	switch {
	case have[No] > 0:
		return No
	case have[Unknown] > 0:
		return Unknown
	}
	return Yes
}

func (sc Scope) rule(c *Condition, t time.Time) Verdict {
	if c.Signal == BlastRadius {
		b, _ := c.bar(baseline{})
		switch {
		case !sc.BlastRadiusKnown:
			return Unknown
		case b.past(sc.BlastRadius):
			return Yes
		}
		return No
	}
	if c.Comparison == Absent {
		return sc.absent(c, t)
	}
	var have [Yes + 1]int
	for _, s := range sc.series(c) {
		have[c.holds(s, t, sc.usual(c, s, t))]++
	}
	return anyVerdict(have)
}

// absent tells whether a segment that the incident sees has been without data for `for`.
func (sc Scope) absent(c *Condition, t time.Time) Verdict {
	reading := sc.Reading(c)
	if reading.History == nil {
		return Unknown
	}
	var have [Yes + 1]int
	for _, s := range c.absentSeries(reading, sc.Service) {
		if !Agrees(s.Labels, sc.Group) {
			continue
		}
		switch c.absentState(s, reading.History.tick(t)) {
		case StateUnknown:
			have[Unknown]++
		case Fires:
			have[Yes]++
		default:
			have[No]++
		}
	}
	return anyVerdict(have)
}

// usual is the baseline of what is judged, added up of the same segments of the past.
func (sc Scope) usual(c *Condition, s Series, t time.Time) baseline {
	if c.Baseline == nil {
		return baseline{}
	}
	past := sc.Reading(c).Past
	if past.Last != nil && !sc.Since.IsZero() {
		t = sc.Since.Add(c.For)
	}
	return newUsual(c, past).of(groupKey(s.Labels), t, sc.Since, func(h *History) []Series { return sc.added(c, h, sc.matching(c)) })
}

func anyVerdict(have [Yes + 1]int) Verdict {
	switch {
	case have[Yes] > 0:
		return Yes
	case have[Unknown] > 0, have[No] == 0:
		return Unknown
	}
	return No
}

// BandState is whether a recovery band holds at a tick.
type BandState int

// The states of a band. An empty one is a ratio of nothing: neither in band nor a miss.
const (
	BandUnknown BandState = iota
	BandHeld
	BandMissed
	BandEmpty
)

// Band says whether a recovery clause holds at t, and the value of its first condition that has one. Every segment
// that breached must be in band, and for a ratio all of them added up; of a signal that is not the trigger's all
// segments added up, or the worst for a query.
func (sc Scope) Band(c *Clause, t time.Time) (BandState, *Value) {
	if c.Condition != nil {
		return sc.band(c.Condition, t)
	}
	members, all := c.Any, false
	if len(c.All) > 0 {
		members, all = c.All, true
	}
	var have [BandEmpty + 1]int
	var value *Value
	for i := range members {
		state, v := sc.Band(&members[i], t)
		have[state]++
		if value == nil {
			value = v
		}
	}
	if !all && have[BandHeld] > 0 {
		return BandHeld, value
	}
	if !all {
		return worstBand(have, BandUnknown, BandEmpty, BandMissed), value
	}
	return worstBand(have, BandMissed, BandUnknown, BandEmpty, BandHeld), value
}

func (sc Scope) band(c *Condition, t time.Time) (BandState, *Value) {
	if c.Comparison == Absent {
		return map[Verdict]BandState{Unknown: BandUnknown, No: BandMissed, Yes: BandHeld}[sc.absent(c, t)], nil
	}
	var have [BandEmpty + 1]int
	var value *Value
	for _, s := range sc.recovering(c) {
		state := sc.inBand(c, s, t)
		have[state]++
		v, ok := s.Latest(t)
		if ok && (value == nil || state == BandMissed && have[BandMissed] == 1) {
			value = &v
		}
	}
	return worstBand(have, BandMissed, BandUnknown, BandEmpty, BandHeld), value
}

// worstBand gives the first of the states that occurs; where none does, nothing is known.
func worstBand(have [BandEmpty + 1]int, order ...BandState) BandState {
	for _, state := range order {
		if have[state] > 0 {
			return state
		}
	}
	return BandUnknown
}

// inBand judges each point by its value; with a `for`, the whole window.
func (sc Scope) inBand(c *Condition, s Series, t time.Time) BandState {
	b, ok := c.bar(sc.usual(c, s, t))
	if !ok {
		return BandUnknown
	}
	w := s.look(s.history.tick(t), c.For, b.past, c.atLeastShare() >= 1)
	switch {
	case !w.known:
		return BandUnknown
	case w.values == 0:
		return BandEmpty
	case c.holdsIn(w, &b):
		return BandHeld
	}
	return BandMissed
}

// series gives what a condition of the rubric judges.
func (sc Scope) series(c *Condition) []Series { return sc.look(c).series }

// recovering gives what a condition of recovery judges.
func (sc Scope) recovering(c *Condition) []Series { return sc.look(c).recovering }

func (sc Scope) findSeries(c *Condition) []Series {
	return sc.added(c, sc.Reading(c).History, sc.matching(c))
}

// matching selects the segments that breached, or all of the group for a signal that is not the trigger's.
func (sc Scope) matching(c *Condition) func(labels.Labels) bool {
	breached := sc.breachedOf(c)
	return func(l labels.Labels) bool {
		return sc.sees(c, l) && (len(breached) == 0 || coveredByOne(breached, l))
	}
}

// findRecovering finds what a condition of recovery judges. A segment that breached and of which nothing is left is a
// series without members, which is unknown: what cannot be seen has not healed.
func (sc Scope) findRecovering(c *Condition) []Series {
	series := sc.findSeries(c)
	history := sc.Reading(c).History
	if history == nil {
		return nil
	}
	for _, b := range sc.breachedOf(c) {
		own := sc.added(c, history, func(l labels.Labels) bool { return sc.sees(c, l) && b.covers(l) })
		if len(own) == 0 {
			own = []Series{{Labels: b.Labels, history: history}}
		}
		if history.shape.Ratio || own[0].members == nil {
			series = append(series, own...)
		}
	}
	return series
}

// added adds the segments that match up, by the condition's own labels or all together; a query's stay apart.
func (sc Scope) added(c *Condition, history *History, match func(labels.Labels) bool) []Series {
	if history == nil {
		return nil
	}
	if !history.shape.Ratio {
		return c.selected(history, match, nil)
	}
	by := c.By
	if by == nil {
		by = []string{}
	}
	return c.selected(history, match, by)
}

// breachedOf gives what breached of the condition's signal, as far as its `where` looks there at all: a key metric of
// paid traffic is judged as a whole when only free traffic breached.
func (sc Scope) breachedOf(c *Condition) []Breached {
	var own []Breached
	for _, b := range sc.Breached {
		if b.Condition.Signal == c.Signal && b.canMatch(c.Where) {
			own = append(own, b)
		}
	}
	return own
}

func coveredByOne(breached []Breached, l labels.Labels) bool {
	for _, b := range breached {
		if b.covers(l) {
			return true
		}
	}
	return false
}

func (sc Scope) sees(c *Condition, l labels.Labels) bool {
	return Matches(l, c.Where) && Agrees(l, sc.Group) && ofService(l, sc.Service)
}
