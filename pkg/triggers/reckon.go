package triggers

import (
	"math"
	"math/rand/v2"
	"time"
)

// Each tells of every series that a condition of the trigger judged at the tick of the last Judge, and where it stood.
// Series that are gone are left out.
func (tr *Trigger) Each(tell func(*Condition, Series, State)) {
	for _, l := range tr.order {
		for i, s := range l.series {
			if l.condition.Comparison == Absent || !s.gone() {
				tell(l.condition, s, l.states[i])
			}
		}
	}
}

// Usual is what is usual for a ratio: the share, how many events a point adds up, and how clumped they come.
type Usual struct {
	Share  float64
	Events float64 // behind each point
	Phi    float64 // 1: independent events
}

// Reckoning is a condition's limit, and what is usual beside it, as shares of the events that the limit calls bad.
type Reckoning struct {
	Usual    float64
	Harmless float64 // the share against which evidence is asked
	Limit    float64
	mirrored bool
}

// Reckon gives the reckoning of a condition on a ratio; ok is false for one without a single limit.
func (c *Condition) Reckon(u Usual) (r Reckoning, ok bool) {
	b, ok := c.bar(u.baseline())
	if !ok || b.n != 1 {
		return Reckoning{}, false
	}
	s := b.sides[0]
	return Reckoning{Usual: s.share(u.Share), Harmless: c.harmless(s, u.of(c)), Limit: s.share(s.limit), mirrored: s.below}, true
}

// Share turns a share of bad events into one that the signal shows, and back.
func (r Reckoning) Share(bad float64) float64 {
	if r.mirrored {
		return 1 - bad
	}
	return bad
}

// Far is a share that the condition is there to find: one with twice the odds of its limit. It is one of bad events.
func (r Reckoning) Far() float64 { return 2 * r.Limit / (1 + r.Limit) }

// Speaks tells whether so many events are enough for a point to speak alone.
func (r Reckoning) Speaks(events float64) bool {
	return atLeast(events*r.Limit, enoughToSpeak) && atLeast(events*(1-r.Limit), enoughToSpeak)
}

func (u Usual) baseline() baseline { return baseline{value: u.Share, phi: max(u.Phi, 1), known: true} }

// of is the baseline that a condition has: none where it asks for none.
func (u Usual) of(c *Condition) baseline {
	if c.Baseline == nil {
		return baseline{}
	}
	return u.baseline()
}

// trials is how many histories a chance is reckoned from; it is good to about three parts in a hundred.
const trials = 200

// Found is the chance that the condition, in a trigger, fires within a time after its share went at once from the usual
// one to another, and stayed there. It is reckoned by playing the rule itself on events that come by chance, always the
// same ones, a point adding up those of the last reads.
func (c *Condition) Found(grid Grid, reads time.Duration, u Usual, to float64, within time.Duration) float64 {
	g := coarse(grid, reads)
	bar, ok := c.bar(u.of(c))
	if !ok || u.Events <= 0 {
		return 0
	}
	shape := Shape{Ratio: true, Reads: reads}
	before, after := g.Steps(c.Reach(g, shape)), g.Steps(within)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same events each time, and no secret
	found := 0
	for range trials {
		h := NewHistory(g, c.Reach(g, shape), shape)
		e := newEvents(random, g, reads, u)
		for tick := -before; tick <= after; tick++ {
			share := u.Share
			if tick > 0 {
				share = to
			}
			point := e.next(share)
			h.Feed(g.Time(tick), []Point{point})
			if tick <= 0 {
				continue
			}
			if v, _ := c.ratioHolds(h.Select(nil, nil)[0], tick, &bar); v == Yes {
				found++
				break
			}
		}
	}
	return float64(found) / trials
}

// Breaks is the chance that a hold over the condition's band breaks by noise alone, while the share stays what is usual:
// that more than a part of its ticks show a share out of band. A hold begins in band.
func (c *Condition) Breaks(grid Grid, reads time.Duration, u Usual, hold time.Duration, mayMiss float64) float64 {
	bar, ok := c.bar(u.of(c))
	if !ok || u.Events <= 0 {
		return 0
	}
	g := coarse(grid, reads)
	ticks := g.Steps(hold)
	allowed := int(math.Floor(mayMiss*float64(ticks) + tolerance))
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // as above
	begun, broken := 0, 0
	for range trials {
		e := newEvents(random, g, reads, u)
		for range g.Steps(reads) {
			e.next(u.Share)
		}
		out := func() bool {
			p := e.next(u.Share)
			return p.Of > 0 && !bar.past(p.V/p.Of)
		}
		if out() {
			continue
		}
		begun++
		misses := 0
		for tick := int64(0); tick < ticks && misses <= allowed; tick++ {
			if out() {
				misses++
			}
		}
		if misses > allowed {
			broken++
		}
	}
	if begun == 0 {
		return 1
	}
	return float64(broken) / float64(begun)
}

// coarse is a grid of no more than some ten looks in each range: more of them see nearly the same events.
func coarse(grid Grid, reads time.Duration) Grid {
	const looks = 10
	return Grid{Interval: time.Duration(max(1, int64(reads/looks/grid.Interval))) * grid.Interval}
}

// events is a stream of bad and good events, of which each point adds up the last range. Where they come in clumps, a
// clump is as many at once as make their spread what it is.
type events struct {
	random *rand.Rand
	each   float64 // clumps a tick
	size   float64
	ring   []counts
	place  int
}

func newEvents(random *rand.Rand, grid Grid, reads time.Duration, u Usual) *events {
	size := max(u.Phi, 1)
	steps := max(1, grid.Steps(reads))
	return &events{random: random, size: size, each: u.Events / size / float64(steps), ring: make([]counts, steps)}
}

// next goes on by a tick in which events are bad with the given share.
func (e *events) next(share float64) Point {
	bad, good := e.size*e.arrivals(e.each*share), e.size*e.arrivals(e.each*(1-share))
	e.ring[e.place] = counts{bad, bad + good}
	e.place = (e.place + 1) % len(e.ring)
	var total counts
	for _, c := range e.ring {
		total = total.add(c)
	}
	return Point{V: total.x, Of: total.n}
}

// arrivals is a number drawn from the Poisson distribution; of many it is as good as a normal one.
func (e *events) arrivals(mean float64) float64 {
	const many = 30
	if mean > many {
		return max(0, math.Round(mean+math.Sqrt(mean)*e.random.NormFloat64()))
	}
	n, left := 0.0, math.Exp(-mean)
	for p := e.random.Float64(); p > left; p *= e.random.Float64() {
		n++
	}
	return n
}

// Known gives what is known of the series at t: a value, or of a ratio that there were no events (the zero Value). A
// point below a floor of traffic is not known.
func (s Series) Known(t time.Time) (v Value, known bool) {
	p := s.at(s.history.tick(t))
	return p.value(), p.state != isNoData
}
