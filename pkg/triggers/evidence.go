package triggers

import (
	"math"
	"sort"
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
	Below    bool          `json:",omitempty"` // bad is what lies below it
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
// chance would hardly show them, were the share harmless; and no single range carries that verdict. Evidence beside a No
// says that events were too few: all but the last of that is so.
func (c *Condition) ratioHolds(s Series, tick int64, b *bar) (Verdict, Evidence) {
	if !s.known(tick, c.For) {
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
	var best Evidence
	for k := 1; k <= largest; k++ {
		p.add(s.at(tick - int64(k-1)*step))
		if k < smallest || !p.enough() || p.n == 0 {
			continue
		}
		chance := b.chance(p.counts)
		if best.Over == 0 || chance < best.Chance {
			best = evidence(p, b, chance, time.Duration(k)*reads)
		}
		if chance <= c.alpha() && atLeast(b.leastBad(p.counts), leastBadEvents) && b.pastCounts(p.counts) &&
			c.spread(s, tick, step, k, smallest, p.counts, b) {
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

// spokenFor tells whether enough of the points of `for` that speak alone are past the limit, the last value among them
// if it speaks. Thin points have no vote.
func (c *Condition) spokenFor(s Series, tick int64, b *bar) bool {
	speaking, past, last := 0, 0, true
	for i := tick - s.history.grid.Steps(c.For); i <= tick; i++ {
		p := s.at(i)
		if p.state != isValue {
			continue
		}
		last = true
		if !b.speaks(p.of) {
			continue
		}
		speaking++
		if last = b.past(p.v); last {
			past++
		} else if c.atLeastShare() >= 1 {
			return false
		}
	}
	return last && float64(past) >= c.atLeastShare()*float64(speaking)-tolerance
}

// spread tells whether no single range carries the verdict: without any point that lies whole inside the pool, the rest
// is past the limit too and keeps half of the evidence.
func (c *Condition) spread(s Series, tick, step int64, k, smallest int, total counts, b *bar) bool {
	if c.For < 2*s.history.reads() && k == smallest {
		return true
	}
	limit := math.Sqrt(c.alpha())
	var passed counts // a rest that is past the limit and keeps half of the evidence
	stride := int64(1)
	if time.Duration(step)*s.history.grid.Interval != s.history.reads() {
		stride = step // the pool has holes, and no other points than its own lie whole inside
	}
	for i := tick - int64(k-1)*step; i <= tick; i += stride {
		p := s.at(i)
		if p.state != isValue {
			continue
		}
		rest := total.less(counts{p.bad, p.of})
		if passed.n > 0 && b.says(rest, passed) {
			continue
		}
		if !b.pastCounts(rest) || b.chance(rest) > limit {
			return false
		}
		passed = rest
	}
	return true
}

// Enough is how many bad events of as many as the breach has would be enough to fire. Where it has them, and is thin all
// the same, a single range has most of them.
func (b Breach) Enough() float64 {
	s, phi, of := b.held().sides[0], b.held().phi, b.Evidence.Of
	enough := func(bad float64) bool {
		return bad >= s.share(s.limit)*of && chanceOfAtLeast(bad/phi, of/phi, s.harmless) <= b.Condition.alpha()
	}
	most := int(math.Ceil(of))
	return max(leastBadEvents, float64(sort.Search(most, func(bad int) bool { return enough(float64(bad)) })))
}

func evidence(p pool, b *bar, chance float64, over time.Duration) Evidence {
	s := b.sides[0]
	return Evidence{
		Over: over, Bad: s.bad(p.counts), Of: p.n, Limit: s.limit, Below: s.below,
		Baseline: b.baseline, Harmless: s.harmless, Chance: chance, Phi: b.phi,
	}
}

// ratioClears is when a trigger on a ratio is clear: it did not hold at any tick of the time that `clears` names, no
// point that speaks was past the limit of `clears` there, and the shortest pool that speaks, up to widen_to, is back on
// the good side. Without this a thin trigger goes off several times in one incident. No events at all are clear only
// after a whole widen_to of them: after a failover nothing flows there any more.
func (c *Condition) ratioClears(s Series, tick int64, b *bar) bool {
	if !c.poolIsClear(s, tick, b) {
		return false
	}
	from := tick - s.history.grid.Steps(c.clearsFor())
	for i := from; i <= tick; i++ {
		if p := s.at(i); p.state == isValue && b.speaks(p.of) && !c.clear(b, p.v) {
			return false
		}
	}
	steps := s.history.grid.Steps(c.For)
	for i := from; i < tick; i++ {
		// What does not hold for the first of its reasons, as nearly always, need not be asked for the others.
		if oldest := s.at(i - steps); oldest.state != isValue || !b.past(oldest.v) {
			continue
		}
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
