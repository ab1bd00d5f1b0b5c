package triggers

import (
	"fmt"
	"math"
	"time"
)

// What proves that a share is back in band, and over how much time its events are looked at.
const (
	poolSpan          = time.Hour
	recoverConfidence = 0.975
	clearMissChance   = 0.01
	denseEvents       = 500 // in the last hold: noise alone would break most holds of so many points
)

// PoolReach is how much history a recovery condition needs for a hold: its window, and for a ratio the pool that must
// prove it, as far back as its clear misses are told by.
func (c *Condition) PoolReach(shape Shape, hold time.Duration) time.Duration {
	if shape.Ratio {
		return max(c.For, poolSpan+hold)
	}
	return c.For
}

// outOfBand turns a side of a band around: the bad events are those outside of it, and the limit is the share of them
// that the band allows.
func (s side) outOfBand(c counts) (bad counts, limit float64) {
	if s.below {
		return c, s.limit
	}
	return c.mirrored(), 1 - s.limit
}

// Dense tells whether the clause's first ratio has events enough in the last hold for noise alone to push points out of
// band.
func (sc Scope) Dense(clause *Clause, hold time.Duration, t time.Time) bool {
	for _, c := range clause.Conditions() {
		if series := sc.series(c); len(series) > 0 && series[0].history.shape.Ratio {
			return series[0].pooled(series[0].history.tick(t), hold).n >= denseEvents
		}
	}
	return false
}

// pooled adds up the points that touch and do not overlap over the time that ends at a tick.
func (s Series) pooled(tick int64, over time.Duration) counts {
	reads := s.history.reads()
	return s.pool(tick, s.history.grid.Steps(reads), max(1, int(over/reads))).counts
}

// Prove tells whether the counts of a recovery clause prove it at t: who was bad must prove that he is good, who was not
// must only not be shown bad. missing says what is not there yet. No hold counts from before floor.
func (sc Scope) Prove(c *Clause, floor time.Time, hold time.Duration, t time.Time) (proven bool, missing string) {
	if c.Condition != nil {
		return sc.prove(c.Condition, floor, hold, t)
	}
	for i := range c.Any {
		state, _ := sc.Band(&c.Any[i], t)
		ok, why := sc.Prove(&c.Any[i], floor, hold, t)
		switch {
		case state == BandHeld && ok:
			return true, ""
		case state == BandHeld && missing == "":
			missing = why
		}
	}
	for i := range c.All {
		if ok, why := sc.Prove(&c.All[i], floor, hold, t); !ok {
			return false, why
		}
	}
	if len(c.All) == 0 && missing == "" {
		missing = "no member of any is held"
	}
	return len(c.All) > 0, missing
}

func (sc Scope) prove(c *Condition, floor time.Time, hold time.Duration, t time.Time) (bool, string) {
	asked, sums := len(sc.breachedOf(c)) > 0, len(sc.series(c))
	var since [2]int64 // the ticks at which the sums' pools begin, by side
	for i, s := range sc.recovering(c) {
		if !s.history.shape.Ratio {
			return true, ""
		}
		b, ok := c.bar(sc.usual(c, s, t))
		if !ok {
			return false, "its baseline is unknown"
		}
		from := max(s.history.tick(floor), s.history.tick(t.Add(-poolSpan)))
		for n := range b.sides[:b.n] {
			p := proof{c: c, s: s, side: b.sides[n], phi: b.phi, from: from, tick: s.history.tick(t), hold: hold}
			// The first are all that breached added up; the others are segments, which may lean on it.
			if ok, why := p.holds(asked, i < sums, &since[n]); !ok {
				return false, why
			}
		}
	}
	return true, ""
}

// proof asks one side of a band of one series.
type proof struct {
	c          *Condition
	s          Series
	side       side
	phi        float64
	from, tick int64
	hold       time.Duration
}

// holds: the pool since the last clear miss is in band, and, where proof is asked for, a share with twice the odds that
// the limit allows is ruled out. A segment with few events leans on the sum, but must not have clearly missed the band
// since the sum's pool began.
func (p proof) holds(asked, whole bool, since *int64) (bool, string) {
	missed := p.lastClearMiss()
	bad, limit := p.side.outOfBand(p.pool(max(p.from, missed+1)))
	thin := !whole && bad.n*limit < enoughToSpeak
	if whole {
		*since = max(*since, p.from, missed+1)
	}
	switch far := 2 * limit / (1 + limit); {
	case thin && missed >= *since:
		return false, fmt.Sprintf("%s has clearly been out of band", p.s.Labels)
	case bad.n > 0 && bad.share() > limit*(1+tolerance):
		return false, fmt.Sprintf("%.0f of %.0f are out of band", bad.x, bad.n)
	case asked && !thin && !p.rulesOut(bad, far):
		return false, fmt.Sprintf("%.0f of %.0f are out of band: about %d more good ones rule out %.0f%%", bad.x, bad.n, p.more(bad, far), 100*far)
	}
	return true, ""
}

func (p proof) rulesOut(bad counts, far float64) bool {
	confidence := recoverConfidence
	if p.c.Confidence > 0 {
		confidence = p.c.Confidence
	}
	return chanceOfAtMost(bad.x/p.phi, bad.n/p.phi, far) <= 1-confidence
}

// more is about how many good events more rule a share out, at most a thousand.
func (p proof) more(bad counts, far float64) int {
	for n := 1; n < 1000; n++ {
		if p.rulesOut(counts{bad.x, bad.n + float64(n)}, far) {
			return n
		}
	}
	return 1000
}

// pool adds up the points of the ticks from the given one on.
func (p proof) pool(from int64) counts {
	step := p.s.history.grid.Steps(p.s.history.reads())
	return p.s.pool(p.tick, step, int((p.tick-from)/step)+1).counts
}

// lastClearMiss is the newest tick at which the series was out of band beyond doubt: its point speaks alone, or the
// events of the last hold hardly allow another reading.
func (p proof) lastClearMiss() int64 {
	for i := p.tick; i >= p.from; i-- {
		point := p.s.at(i)
		if point.state != isValue || p.side.past(point.v) {
			continue
		}
		bad, limit := p.side.outOfBand(counts{point.bad, point.of})
		if bad.n*limit >= enoughToSpeak && bad.n*(1-limit) >= enoughToSpeak {
			return i
		}
		recent := p.recent(i)
		if bad, _ := p.side.outOfBand(recent); chanceOfAtLeast(bad.x/p.phi, bad.n/p.phi, limit) <= clearMissChance {
			return i
		}
	}
	return math.MinInt64 / 2
}

// recent adds up the last hold before a tick, as far back as the floor.
func (p proof) recent(tick int64) counts {
	step := p.s.history.grid.Steps(p.s.history.reads())
	k := min(p.s.history.grid.Steps(p.hold), tick-p.from)/step + 1
	return p.s.pool(tick, step, int(k)).counts
}
