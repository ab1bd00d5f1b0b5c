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

// satisfies tells whether a value is what the comparison looks for.
func (c *Condition) satisfies(v float64) bool {
	return compares(c.Comparison, c.Limit, c.Low, c.High, v)
}

func compares(comparison Comparison, limit, low, high, v float64) bool {
	switch comparison {
	case Above:
		return atLeast(v, limit)
	case Below:
		return atMost(v, limit)
	case Between:
		return atLeast(v, low) && atMost(v, high)
	}
	return false
}

// isClear tells whether a value is on the side on which the trigger is clear: the good side of `clears` where it is
// written, else where the comparison does not hold.
func (c *Condition) isClear(v float64) bool {
	if c.Clears == nil || c.Clears.Comparison == "" {
		return !c.satisfies(v)
	}
	return compares(c.Clears.Comparison, c.Clears.Limit, 0, 0, v)
}

func (c *Condition) clearsFor() time.Duration {
	if c.Clears != nil && c.Clears.For > 0 {
		return c.Clears.For
	}
	return c.For
}

// Reach is how much history the condition needs.
func (c *Condition) Reach() time.Duration { return max(c.For, c.clearsFor()) }

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

// look reads the window of length d that ends at a tick, and counts the values that satisfy ok.
func (s Series) look(tick int64, d time.Duration, ok func(float64) bool) window {
	n := s.history.grid.Steps(d) + 1
	var w window
	reachesBack := false
	known, gap, longest := int64(0), 0, 0
	for i := tick - n + 1; i <= tick; i++ {
		p := s.at(i)
		reachesBack = reachesBack || i == tick-n+1 && p.state != isNoData
		if p.state == isNoData {
			gap++
			longest = max(longest, gap)
			continue
		}
		gap = 0
		known++
		if p.state == isEmpty {
			continue
		}
		w.values++
		w.last = p
		if ok(p.v) {
			w.satisfied++
		}
	}
	w.known = reachesBack && longest <= longestGap && float64(known) >= knownShare*float64(n)-tolerance
	return w
}

// Holds tells whether the condition holds for a series at t: `for` is over, and all that it asks of the window is so.
func (c *Condition) Holds(s Series, t time.Time) Verdict {
	w := s.look(s.history.tick(t), c.For, c.satisfies)
	switch {
	case !w.known:
		return Unknown
	case c.holdsIn(w):
		return Yes
	}
	return No
}

// holdsIn tells whether enough of a window's values satisfy the condition, the last one among them. A window without
// a value shows nothing: it is neither a breach nor health.
func (c *Condition) holdsIn(w window) bool {
	return w.values > 0 && c.satisfies(w.last.v) &&
		float64(w.satisfied) >= c.atLeastShare()*float64(w.values)-tolerance
}

// State tells where the trigger stands for a series at t. It is clear when every value of the time that `clears`
// names is on the good side; values there must be, for a ratio of nothing shows no health.
func (c *Condition) State(s Series, t time.Time) State {
	holds := c.Holds(s, t)
	if holds == Yes {
		return Fires
	}
	w := s.look(s.history.tick(t), c.clearsFor(), c.isClear)
	switch {
	case !w.known || holds == Unknown:
		return StateUnknown
	case w.values > 0 && w.satisfied == w.values:
		return Clear
	}
	return Elevated
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
	window := tick - h.grid.Steps(b.Condition.For)
	first, i := tick, tick
	for ; i > h.newest-h.length; i-- {
		p := b.Series.at(i)
		if p.state != isValue {
			continue
		}
		if b.Condition.satisfies(p.v) {
			first = i
		} else if i < window || b.Condition.atLeastShare() >= 1 {
			break // in a window in which some values may miss, the run goes on through them
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

// Normal gives the normal side of a trigger's condition: the limit of its `clears`, else the band of the key metric
// where that is of the same signal, else its own limit.
func (c *Condition) Normal(key *Clause) func(float64) bool {
	if c.Clears != nil && c.Clears.Comparison != "" {
		return c.isClear
	}
	for _, k := range key.Conditions() {
		if k.Signal == c.Signal && (k.Comparison == Above || k.Comparison == Below || k.Comparison == Between) {
			return k.satisfies
		}
	}
	return func(v float64) bool { return !c.satisfies(v) }
}
