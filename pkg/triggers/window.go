package triggers

import (
	"math"
	"time"
)

// How much of a window must be known, and how long it may be without data.
const (
	knownShare = 0.8 // of the window's points must be values or empty
	longestGap = 2   // ticks in a row without data: two intervals
	tolerance  = 1e-9
)

// atLeast and atMost include equality, with a relative tolerance in their favour: twice 4% is 8%, whatever the
// floats say.
func atLeast(v, limit float64) bool { return v >= limit-tolerance*math.Abs(limit) }
func atMost(v, limit float64) bool  { return v <= limit+tolerance*math.Abs(limit) }

func (c *Condition) clearsFor() time.Duration {
	if c.Clears != nil && c.Clears.For > 0 {
		return c.Clears.For
	}
	return c.For
}

// Reach is how much history a trigger's condition needs. A ratio's needs that of its pools for as long as it is asked
// whether it is clear.
func (c *Condition) Reach(grid Grid, shape Shape) time.Duration {
	if !shape.Ratio || c.Comparison == Absent {
		return max(c.For, c.clearsFor())
	}
	reads := max(shape.Reads, grid.Interval)
	_, k := c.widths(c.For, reads)
	_, clearing := c.widths(c.clearsFor(), reads)
	// Where the range is no multiple of the interval, the points of a pool lie further apart than a range.
	widest := time.Duration(int64(max(k, clearing))*grid.Steps(reads)) * grid.Interval
	return c.clearsFor() + max(c.For, c.widenTo(reads), widest)
}

func (c *Condition) atLeastShare() float64 {
	if c.AtLeast == 0 {
		return 1
	}
	return c.AtLeast
}

// window is what the points of [t-D, t] add up to.
type window struct {
	known     bool // enough of it to say anything
	values    int
	satisfied int
	last      point // the last value
}

// known tells whether enough of the window of length d that ends at a tick is known to say anything of it.
func (s Series) known(tick int64, d time.Duration) bool {
	first := tick - s.history.grid.Steps(d)
	return s.whole(first, tick) || s.lookAt(first, tick, nil, false).known
}

// look reads the window of length d that ends at a tick, and counts the values that satisfy ok. With every, all must: it
// need not go on after the first that does not, and the counts are those up to there.
func (s Series) look(tick int64, d time.Duration, ok func(float64) bool, every bool) window {
	return s.lookAt(tick-s.history.grid.Steps(d), tick, ok, every)
}

func (s Series) lookAt(first, tick int64, ok func(float64) bool, every bool) window {
	w := window{known: s.whole(first, tick)}
	if w.known && len(s.members) == 1 && !s.history.shape.two() && ok != nil {
		return s.members[0].lookAtValues(s.history.slot(tick), tick-first+1, ok, every)
	}
	every = every && w.known
	known, gap, longest := int64(0), 0, 0
	reachesBack := false
	for i := tick; i >= first; i-- {
		p := s.at(i)
		if p.state == isNoData {
			gap++
			longest = max(longest, gap)
			continue
		}
		gap = 0
		known++
		reachesBack = i == first
		if p.state == isEmpty {
			continue
		}
		if w.values == 0 {
			w.last = p
		}
		w.values++
		if ok != nil && ok(p.v) {
			w.satisfied++
		} else if every {
			return w
		}
	}
	w.known = w.known || reachesBack && longest <= longestGap && float64(known) >= knownShare*float64(tick-first+1)-tolerance
	return w
}

// lookAtValues is lookAt for n values that are all there, the newest first, from a place in the ring on.
func (s *segment) lookAtValues(slot int, n int64, ok func(float64) bool, every bool) window {
	w := window{known: true, last: point{state: isValue, v: s.ring[slot]}}
	for ; int64(w.values) < n; slot-- {
		if slot < 0 {
			slot = len(s.ring) - 1
		}
		w.values++
		if ok(s.ring[slot]) {
			w.satisfied++
		} else if every {
			break
		}
	}
	return w
}

// Holds tells by value whether the condition holds for a series at t: `for` is over, and all that it asks of the window
// is so. It is how rubric, recovery and effects judge. A relative comparison is unknown here; see Scope.
func (c *Condition) Holds(s Series, t time.Time) Verdict { return c.holds(s, t, baseline{}) }

func (c *Condition) holds(s Series, t time.Time, base baseline) Verdict {
	b, ok := c.bar(base)
	if !ok {
		return Unknown
	}
	return c.verdict(s.look(s.history.tick(t), c.For, b.past, c.atLeastShare() >= 1), &b)
}

func (c *Condition) verdict(w window, b *bar) Verdict {
	switch {
	case !w.known:
		return Unknown
	case c.holdsIn(w, b):
		return Yes
	}
	return No
}

// holdsIn tells whether enough of a window's values satisfy the condition, the last one among them. A window without
// a value shows nothing: it is neither a breach nor health.
func (c *Condition) holdsIn(w window, b *bar) bool {
	return w.values > 0 && b.past(w.last.v) &&
		float64(w.satisfied) >= c.atLeastShare()*float64(w.values)-tolerance
}

// State tells where a trigger without a baseline stands for a series at t.
func (c *Condition) State(s Series, t time.Time) State {
	b, ok := c.bar(baseline{})
	if !ok {
		return StateUnknown
	}
	state, _ := c.state(s, s.history.tick(t), &b)
	return state
}

// state tells where a trigger stands for a series: by value for a query, by evidence for a ratio. A query's is clear
// when every value of the time that `clears` names is on the good side.
func (c *Condition) state(s Series, tick int64, b *bar) (State, Evidence) {
	if s.history.shape.Ratio {
		return c.ratioState(s, tick, b)
	}
	holds := c.verdict(s.look(tick, c.For, b.past, c.atLeastShare() >= 1), b)
	if holds == Yes {
		return Fires, Evidence{Limit: b.sides[0].limit, Baseline: b.baseline}
	}
	w := s.look(tick, c.clearsFor(), func(v float64) bool { return c.clear(b, v) }, true)
	switch {
	case !w.known || holds == Unknown:
		return StateUnknown, Evidence{}
	case w.values > 0 && w.satisfied == w.values:
		return Clear, Evidence{}
	}
	return Elevated, Evidence{}
}

func (c *Condition) ratioState(s Series, tick int64, b *bar) (State, Evidence) {
	holds, evidence := c.ratioHolds(s, tick, b)
	switch {
	case holds == Yes:
		return Fires, evidence
	case holds == Unknown:
		return StateUnknown, evidence
	case c.ratioClears(s, tick, b):
		return Clear, evidence
	}
	return Elevated, evidence
}

// Latest gives the value of the series at t, if it has one there.
func (s Series) Latest(t time.Time) (Value, bool) {
	p := s.at(s.history.tick(t))
	return p.value(), p.state == isValue
}

// Beginnings gives the first point of the run that breaches at t, and the point after the last one on the normal side
// before it. found is false where the history does not reach back to a point on the normal side; the times are then
// those of the oldest points that it has.
func (b Breach) Beginnings(t time.Time, normal func(float64) bool) (breach, impact time.Time, found bool) {
	h := b.Series.history
	tick := h.tick(t)
	if b.Condition.Comparison == Absent {
		return b.absence(tick)
	}
	window := tick - h.grid.Steps(b.Condition.For)
	bar := b.held()
	first, i := tick, tick
	for ; i > h.newest-h.length; i-- {
		p := b.Series.at(i)
		if p.state != isValue {
			continue
		}
		if bar.past(p.v) {
			first = i
		} else if i < window || b.Condition.atLeastShare() >= 1 && (!h.shape.Ratio || bar.speaks(p.of)) {
			break // in a window in which some values may miss, or are too thin to say anything, the run goes on
		}
	}
	left := first
	for i = first - 1; i > h.newest-h.length; i-- {
		p := b.Series.at(i)
		if p.state != isValue {
			continue
		}
		if normal(p.v) {
			return h.time(first), h.time(left), true
		}
		left = i
	}
	return h.time(first), h.time(left), false
}

// held is what the values were held against when it was judged; of one that nobody judged its absolute limit.
func (b Breach) held() *bar {
	if b.bar.n == 0 {
		b.bar, _ = b.Condition.bar(baseline{})
	}
	return &b.bar
}

// In is the same breach over another history of its series.
func (b Breach) In(s Series) Breach {
	b.Series = s
	return b
}

// absence is when the data stopped: impact and breach are one.
func (b Breach) absence(tick int64) (breach, impact time.Time, found bool) {
	h := b.Series.history
	first := tick
	for i := tick; i > h.newest-h.length; i-- {
		if b.Series.at(i).state != isNoData {
			return h.time(first), h.time(first), true
		}
		if h.wasAnswered(i) {
			first = i
		}
	}
	return h.time(first), h.time(first), false
}

// Normal gives the normal side of a breach: the limit of its condition's `clears`, else the band of the key metric where
// that is of the same signal, else the limit that was broken.
func (b Breach) Normal(key *Clause) func(float64) bool {
	c := b.Condition
	if c.Clears != nil && c.Clears.Comparison != "" {
		return func(v float64) bool { return c.clear(b.held(), v) }
	}
	for _, k := range key.Conditions() {
		if k.Signal == c.Signal && (k.Comparison == Above || k.Comparison == Below || k.Comparison == Between) {
			if band, ok := k.bar(baseline{}); ok {
				return band.past
			}
		}
	}
	bar := b.held()
	return func(v float64) bool { return !bar.past(v) }
}
