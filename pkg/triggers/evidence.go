package triggers

import (
	"math"
	"time"
)

// How sure the counts of a ratio must be, and of how many events.
const (
	defaultConfidence = 0.9999 // set for a week of looking every 15 s
	leastBadEvents    = 4
	widenFactor       = 6
	widenAtMost       = 6 * time.Hour
)

// Evidence is why the counts of a ratio were enough, or what was missing. It is kept with a breach and shown to people.
type Evidence struct {
	Over     time.Duration // the pool's width
	Bad      float64       // bad events: those past the limit's side
	Of       float64       // of so many
	Limit    float64       // the limit, resolved, in the signal's unit
	Baseline float64       `json:",omitempty"`
	Harmless float64       // the share of bad events against which chance is reckoned
	Chance   float64       // how probable so many bad events are, were the share harmless
	Phi      float64       // how clumped events come
}

// widenTo is how far a thin segment's counts are added up, where a point adds up the events of a range.
func (c *Condition) widenTo(reads time.Duration) time.Duration {
	if c.WidenTo > 0 {
		return c.WidenTo
	}
	return min(max(widenFactor*c.For, widenFactor*reads), widenAtMost)
}

func (c *Condition) alpha() float64 {
	if c.Confidence > 0 {
		return 1 - c.Confidence
	}
	return 1 - defaultConfidence
}

// widths gives the smallest and the largest pool that is looked at for a window of d, in points of one range each.
func (c *Condition) widths(d, reads time.Duration) (smallest, largest int) {
	smallest = max(1, int(d/reads))
	return smallest, max(smallest, int(c.widenTo(reads)/reads))
}

// pool is counts added up over points that touch and do not overlap.
type pool struct {
	counts
	points int // looked at
	known  int
}

// counts tells whether enough of the pool's points are known.
func (p pool) enough() bool { return float64(p.known) >= knownShare*float64(p.points)-tolerance }

func (p *pool) add(q point) {
	p.points++
	if q.state == isNoData {
		return
	}
	p.known++
	p.x += q.bad
	p.n += q.of
}

// pool adds up the k points that end at a tick, one range apart.
func (s Series) pool(tick int64, step int64, k int) pool {
	var p pool
	for i := range int64(k) {
		p.add(s.at(tick - i*step))
	}
	return p
}

// ratioHolds is the evidence rule of a trigger on a ratio: every point that speaks alone is past the limit for `for`;
// so are the oldest point and the whole of `for`; some window between `for` and `widen_to` has bad events enough that
// chance would hardly show them, were the share harmless; and no single range carries that verdict.
func (c *Condition) ratioHolds(s Series, tick int64, b *bar) (Verdict, Evidence) {
	if !s.look(tick, c.For, nil).known {
		return Unknown, Evidence{}
	}
	oldest := s.at(tick - s.history.grid.Steps(c.For))
	reads := s.history.reads()
	step := s.history.grid.Steps(reads)
	smallest, largest := c.widths(c.For, reads)
	if oldest.state != isValue || !b.past(oldest.v) || !c.lasts(s, tick, step, smallest, b) || !c.spokenFor(s, tick, b) {
		return No, Evidence{}
	}
	var p pool
	best := Evidence{Chance: 1}
	for k := 1; k <= largest; k++ {
		p.add(s.at(tick - int64(k-1)*step))
		if k < smallest || !p.enough() || b.leastBad(p.counts) < leastBadEvents || !b.pastCounts(p.counts) {
			continue
		}
		chance := b.chance(p.counts)
		if chance < best.Chance {
			best = evidence(p, b, chance, time.Duration(k)*reads)
		}
		if chance <= c.alpha() && c.spread(s, tick, k, smallest, p.counts, b) {
			return Yes, evidence(p, b, chance, time.Duration(k)*reads)
		}
	}
	return No, best
}

// lasts tells whether the whole of `for` is past the limit, or the last point where `for` is shorter than a range.
func (c *Condition) lasts(s Series, tick, step int64, smallest int, b *bar) bool {
	if c.For < s.history.reads() {
		last := s.at(tick)
		return last.state == isValue && b.past(last.v)
	}
	p := s.pool(tick, step, smallest)
	return p.enough() && b.pastCounts(p.counts)
}

// spokenFor tells whether enough of the points of `for` that speak alone are past the limit, the last point among
// them if it speaks. Thin points have no vote.
func (c *Condition) spokenFor(s Series, tick int64, b *bar) bool {
	speaking, past := 0, 0
	for i := tick - s.history.grid.Steps(c.For); i <= tick; i++ {
		p := s.at(i)
		if p.state != isValue || !b.speaks(p.of) {
			continue
		}
		speaking++
		if b.past(p.v) {
			past++
		} else if i == tick {
			return false
		}
	}
	return float64(past) >= c.atLeastShare()*float64(speaking)-tolerance
}

// spread tells whether no single range carries the verdict: without any point that lies whole inside the pool, the rest
// is past the limit too and keeps half of the evidence.
func (c *Condition) spread(s Series, tick int64, k, smallest int, total counts, b *bar) bool {
	reads := s.history.reads()
	if c.For < 2*reads && k == smallest {
		return true
	}
	limit := math.Sqrt(c.alpha())
	inside := int64(time.Duration(k-1) * reads / s.history.grid.Interval)
	for i := tick - inside; i <= tick; i++ {
		p := s.at(i)
		if p.state != isValue {
			continue
		}
		rest := total.less(counts{p.bad, p.of})
		if !b.pastCounts(rest) || b.chance(rest) > limit {
			return false
		}
	}
	return true
}

func evidence(p pool, b *bar, chance float64, over time.Duration) Evidence {
	s := b.sides[0]
	return Evidence{
		Over: over, Bad: s.bad(p.counts), Of: p.n, Limit: s.limit,
		Baseline: b.baseline, Harmless: s.harmless, Chance: chance, Phi: b.phi,
	}
}

// ratioClears is when a trigger on a ratio is clear: it did not hold at any tick of the time that `clears` names, no
// point that speaks was past the limit of `clears` there, and the shortest pool that speaks, up to widen_to, is back on
// the good side. Without this a thin trigger goes off several times in one incident. No events at all are clear only
// after a whole widen_to of them: after a failover nothing flows there any more.
func (c *Condition) ratioClears(s Series, tick int64, b *bar) bool {
	ticks := s.history.grid.Steps(c.clearsFor())
	for i := tick - ticks; i <= tick; i++ {
		p := s.at(i)
		if p.state == isValue && b.speaks(p.of) && !c.clear(b, p.v) {
			return false
		}
	}
	if !c.poolIsClear(s, tick, b) {
		return false
	}
	for i := tick - ticks; i < tick; i++ {
		if v, _ := c.ratioHolds(s, i, b); v == Yes {
			return false
		}
	}
	return true
}

func (c *Condition) poolIsClear(s Series, tick int64, b *bar) bool {
	reads := s.history.reads()
	step := s.history.grid.Steps(reads)
	smallest, largest := c.widths(c.clearsFor(), reads)
	var p pool
	for k := 1; k <= largest; k++ {
		p.add(s.at(tick - int64(k-1)*step))
		if k >= smallest && p.enough() && (b.speaks(p.n) || k == largest && p.n > 0) {
			return c.clear(b, p.share())
		}
	}
	if p.n > 0 {
		return false
	}
	for i := tick - s.history.grid.Steps(c.widenTo(reads)); i <= tick; i++ {
		if s.at(i).state != isEmpty {
			return false
		}
	}
	return true
}
