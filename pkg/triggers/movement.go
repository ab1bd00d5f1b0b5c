package triggers

import (
	"math"
	"time"
)

// Way is where a value went, seen from the band that it should be in.
type Way int

// The ways of a value. Still is one that did not move by more than chance may do.
const (
	Still Way = iota
	Towards
	Away
)

// leastMove is how much of its distance from the band a query's value must move to be more than noise: there are no
// counts that could tell.
const leastMove = 0.1

// Movement is what a condition of recovery saw of one series at two ticks.
type Movement struct {
	Before, After *Value // nil: no value
	// Low and High are the 95% interval of After less Before where both are shares of counts (Newcombe, of one range
	// each); else 0.
	Low, High float64
	WasOut    bool // the value before was out of band
	Way       Way
}

// Movement compares what a condition of recovery sees at two ticks, of the series whose value Band tells at the later
// one. A limit that is relative is that of the later tick.
func (sc Scope) Movement(c *Condition, before, after time.Time) (m Movement) {
	if c.Comparison == Absent {
		return m
	}
	s, ok := sc.told(c, after)
	if !ok {
		if s, ok = sc.told(c, before); !ok {
			return m
		}
	}
	m.Before, m.After = s.valueAt(before), s.valueAt(after)
	b, known := c.bar(sc.usual(c, s, after))
	if !known || m.Before == nil {
		return m
	}
	was := b.off(m.Before.V)
	m.WasOut = was > 0
	if m.After == nil {
		return m
	}
	is := b.off(m.After.V)
	moved := math.Abs(was-is) >= leastMove*max(was, is)
	if m.Before.Of > 0 && m.After.Of > 0 && s.history.shape.Ratio {
		_, m.Low, m.High = Newcombe(m.After.Bad, m.After.Of, m.Before.Bad, m.Before.Of)
		moved = m.Low > 0 || m.High < 0
	}
	switch {
	case moved && is < was:
		m.Way = Towards
	case moved && is > was:
		m.Way = Away
	}
	return m
}

// told is the series whose value Band tells: the first that is out of band, else the first that has one.
func (sc Scope) told(c *Condition, t time.Time) (told Series, ok bool) {
	for _, s := range sc.recovering(c) {
		if _, known := s.Latest(t); !known {
			continue
		}
		if sc.inBand(c, s, t) == BandMissed {
			return s, true
		}
		if !ok {
			told, ok = s, true
		}
	}
	return told, ok
}

func (s Series) valueAt(t time.Time) *Value {
	if v, ok := s.Latest(t); ok {
		return &v
	}
	return nil
}

// off is how far a value lies out of band; 0: it is in it.
func (b *bar) off(v float64) float64 {
	farthest := 0.0
	for _, s := range b.sides[:b.n] {
		if !s.past(v) {
			farthest = max(farthest, math.Abs(v-s.limit))
		}
	}
	return farthest
}
