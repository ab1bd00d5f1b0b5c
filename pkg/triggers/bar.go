package triggers

import "math"

// bar is what the values of a series are held against at a tick: a comparison in which all that is relative has become
// a number.
type bar struct {
	sides [2]side
	n     int     // sides in use: two for between
	phi   float64 // how clumped events come, 1 for independent ones

	baseline float64 // what the limit was made of
	relative bool
}

// side is one limit of a bar: bad is what lies at or above it, or at or below it.
type side struct {
	below    bool
	limit    float64
	harmless float64 // a ratio's: the share of bad events that evidence is asked against
}

// baseline is what is usual for a series.
type baseline struct {
	value float64
	phi   float64
	known bool
	lacks lack // why it is not known
}

// lack is what a baseline lacks to be known.
type lack uint8

const (
	lacksPoints lack = iota // there is no history, or not enough of it
	lacksEvents
)

// bar resolves the condition for a series of which base is usual. ok is false when a relative comparison lacks its
// baseline. An absolute one does without: its limit stands, whatever is usual.
func (c *Condition) bar(base baseline) (b bar, ok bool) {
	b = bar{phi: 1, baseline: base.value, relative: c.Baseline != nil && c.relative()}
	if base.known {
		b.phi = base.phi
	}
	if b.relative && !base.known {
		return b, false
	}
	switch v := base.value; c.Comparison {
	case Above:
		b.add(false, c.Limit)
	case Below:
		b.add(true, c.Limit)
	case Between:
		b.add(false, c.Low)
		b.add(true, c.High)
	case Rises:
		b.add(false, changed(v, max(v+(c.Limit-1)*math.Abs(v), v+c.MinDelta), math.Inf(1)))
	case Falls:
		b.add(true, changed(v, min(v-c.Limit*math.Abs(v), v-c.MinDelta), math.Inf(-1)))
	case Within:
		c.within(&b, v)
	}
	for i := range b.n {
		b.sides[i].harmless = c.harmless(b.sides[i], base)
	}
	return b, true
}

// changed is the limit of what rises or falls. Twice nothing is nothing: where the limit is the baseline itself, it lies
// just beyond, or a value that stands still would be past it.
func changed(usual, limit, towards float64) float64 {
	if limit == usual {
		return math.Nextafter(usual, towards)
	}
	return limit
}

// within asks for a value that is not worse than a share off its baseline; worse says which side counts.
func (c *Condition) within(b *bar, usual float64) {
	off := c.Limit * math.Abs(usual)
	if c.Worse != Down {
		b.add(true, usual+off)
	}
	if c.Worse != Up {
		b.add(false, usual-off)
	}
}

func (c *Condition) relative() bool {
	return c.Comparison == Rises || c.Comparison == Falls || c.Comparison == Within
}

func (b *bar) add(below bool, limit float64) {
	b.sides[b.n] = side{below: below, limit: limit}
	b.n++
}

// harmless is the share that evidence is asked against: the limit of `clears` where it is written, else half-way
// between what is usual and the limit, else four fifths of the limit's odds. Asked against the limit itself, a share
// that hovers just past it would never be proven.
func (c *Condition) harmless(s side, base baseline) float64 {
	limit := s.share(s.limit)
	switch {
	case c.Clears != nil && c.Clears.Comparison != "":
		return s.share(c.Clears.Limit)
	case base.known:
		return min((s.share(base.value)+limit)/2, limit)
	}
	return limit / (1.25 - 0.25*limit)
}

// share is a share of the events that the side calls bad.
func (s side) share(v float64) float64 {
	if s.below {
		return 1 - v
	}
	return v
}

func (s side) past(v float64) bool {
	if s.below {
		return atMost(v, s.limit)
	}
	return atLeast(v, s.limit)
}

// chance is how probable so many bad events are, were the share still harmless.
func (s side) chance(c counts, phi float64) float64 {
	if s.below {
		c = c.mirrored()
	}
	return chanceOfAtLeast(c.x/phi, c.n/phi, s.harmless)
}

// bad is the number of events that the side calls bad.
func (s side) bad(c counts) float64 {
	if s.below {
		return c.n - c.x
	}
	return c.x
}

// past tells whether a value is what the comparison looks for.
func (b *bar) past(v float64) bool {
	for i := range b.n {
		if !b.sides[i].past(v) {
			return false
		}
	}
	return b.n > 0
}

// pastCounts tells whether the share of a pool is past the limit; nothing is past it where there is no event.
func (b *bar) pastCounts(c counts) bool { return c.n > 0 && b.past(c.share()) }

// enoughToSpeak is how many events the limit itself must put on either side for a point to speak alone.
const enoughToSpeak = 5

// speaks tells whether a pool of n events is enough to say something alone.
func (b *bar) speaks(n float64) bool {
	for i := range b.n {
		limit := b.sides[i].limit
		if !atLeast(n*limit, enoughToSpeak) || !atLeast(n*(1-limit), enoughToSpeak) {
			return false
		}
	}
	return true
}

// chance is the largest of the sides' chances.
func (b *bar) chance(c counts) float64 {
	worst := 0.0
	for i := range b.n {
		worst = max(worst, b.sides[i].chance(c, b.phi))
	}
	return worst
}

// says tells whether counts say at least as much as others against every harmless share: with no fewer bad events and no
// more good ones.
func (b *bar) says(c, than counts) bool {
	for i := range b.n {
		s := b.sides[i]
		if s.bad(c) < s.bad(than) || c.n-s.bad(c) > than.n-s.bad(than) {
			return false
		}
	}
	return true
}

// leastBad is the smallest number of bad events that any side counts.
func (b *bar) leastBad(c counts) float64 {
	least := math.Inf(1)
	for i := range b.n {
		least = min(least, b.sides[i].bad(c))
	}
	return least
}

// clear tells whether a value is on the good side: of the limit of `clears` where it is written, else of the limit.
func (c *Condition) clear(b *bar, v float64) bool {
	if c.Clears == nil || c.Clears.Comparison == "" {
		return !b.past(v)
	}
	if c.Clears.Comparison == Above {
		return atLeast(v, c.Clears.Limit)
	}
	return atMost(v, c.Clears.Limit)
}
