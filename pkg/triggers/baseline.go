package triggers

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Reading is where the points of a condition come from.
type Reading struct {
	History *History // nil: nothing feeds the condition, and it is unknown
	Past    Past
}

// Past is the points from which a condition's baseline is taken, on the condition's PastGrid.
type Past struct {
	Last    *History   // the time that `last` names, and `for`; for absent the day in which a segment was seen
	Periods []*History // the same time one, two, … periods ago
}

// What a baseline needs, and how a ratio's period is cut into blocks.
const (
	baselineShare  = 0.5 // of its points must be known
	baselineEvents = 50
	mostBlocks     = 24
	fewestBlocks   = 8
	eventsPerBlock = 10 // of the rarer kind
	queryPoints    = 288
	seenWithin     = 24 * time.Hour
)

// PastSpan is how much time of the past the condition looks at; 0: none.
func (c *Condition) PastSpan() time.Duration {
	switch {
	case c.Comparison == Absent:
		return seenWithin
	case c.Baseline == nil:
		return 0
	case c.Baseline.Last > 0:
		return c.Baseline.Last
	}
	return c.Baseline.Width
}

// PastGrid is the ticks of the past at which the condition wants points, where a point adds up the events of a range:
// one range apart, so that no event counts twice; a query's at least so far that a period has no more than a few
// hundred of them.
func (c *Condition) PastGrid(grid Grid, shape Shape) Grid {
	step := max(shape.Reads, grid.Interval)
	if !shape.Ratio {
		step = max(step, c.PastSpan()/queryPoints)
	}
	return Grid{Interval: time.Duration(grid.Steps(step)) * grid.Interval, Phase: grid.Phase}
}

// usual is the baselines of the series of a condition, kept until the grid of the past moves on.
type usual struct {
	condition *Condition
	past      Past
	versions  []uint64
	series    []map[string]Series // of Last, or of each period, by label set
	tick      int64
	known     map[string]baseline
}

// histories gives Last or the periods.
func (p Past) histories() []*History {
	if p.Last != nil {
		return []*History{p.Last}
	}
	return p.Periods
}

func newUsual(c *Condition, past Past) *usual { return &usual{condition: c, past: past} }

// of gives the baseline of a series at t; pick selects the series of a history of the past.
func (u *usual) of(l labels.Labels, t time.Time, pick func(*History) []Series) baseline {
	histories := u.past.histories()
	if u.condition.Baseline == nil || len(histories) == 0 {
		return baseline{}
	}
	u.refresh(histories, t, pick)
	key := groupKey(l)
	b, ok := u.known[key]
	if !ok {
		b = u.compute(key, t)
		u.known[key] = b
	}
	return b
}

func (u *usual) refresh(histories []*History, t time.Time, pick func(*History) []Series) {
	tick := histories[0].tick(t.Add(-u.condition.For))
	changed := len(u.series) != len(histories)
	for i, h := range histories {
		changed = changed || u.versions[i] != h.version
	}
	if changed {
		u.series, u.versions = make([]map[string]Series, len(histories)), make([]uint64, len(histories))
		for i, h := range histories {
			u.versions[i] = h.version
			u.series[i] = map[string]Series{}
			for _, s := range pick(h) {
				u.series[i][groupKey(s.Labels)] = s
			}
		}
	}
	if changed || tick != u.tick || u.known == nil {
		u.tick, u.known = tick, map[string]baseline{}
	}
}

func (u *usual) compute(key string, t time.Time) baseline {
	if u.past.Last != nil {
		s, ok := u.series[0][key]
		if !ok {
			return baseline{}
		}
		return u.condition.lastBaseline(s, t.Add(-u.condition.For))
	}
	return u.condition.sameTimeBaseline(key, u.series, t)
}

// lastBaseline is the median of the time that ended at end: of a query's points; of a ratio's blocks, for the median
// of thin points is 0 of 1.
func (c *Condition) lastBaseline(s Series, end time.Time) baseline {
	h := s.history
	last := h.tick(end)
	n := h.grid.Steps(c.Baseline.Last)
	points := s.between(last-n+1, last)
	if float64(len(points)) < baselineShare*float64(n) {
		return baseline{}
	}
	if !h.shape.Ratio {
		return baseline{value: medianValue(points), phi: 1, known: true}
	}
	total := sum(points)
	if total.n < baselineEvents {
		return baseline{}
	}
	all := make([]counts, len(points))
	for i, p := range points {
		all[i] = p.counts
	}
	return baseline{value: blockMedian(points, last-n+1, n, total), phi: dispersion(all), known: true}
}

// sameTimeBaseline is the median over periods: of a query's medians, of a ratio's shares, each over its width. A period
// without data enough is left out.
func (c *Condition) sameTimeBaseline(key string, periods []map[string]Series, t time.Time) baseline {
	var values []float64
	var all []counts
	for k, series := range periods {
		s, ok := series[key]
		if !ok {
			continue
		}
		middle := t.Add(-time.Duration(k+1) * c.Baseline.SameTime)
		last := s.history.tick(middle.Add(c.Baseline.Width / 2))
		n := s.history.grid.Steps(c.Baseline.Width)
		points := s.between(last-n+1, last)
		if float64(len(points)) < baselineShare*float64(n) {
			continue
		}
		if !s.history.shape.Ratio {
			values = append(values, medianValue(points))
			continue
		}
		if total := sum(points); total.n > 0 {
			values = append(values, total.share())
		}
		for _, p := range points {
			all = append(all, p.counts)
		}
	}
	if len(values) == 0 {
		return baseline{}
	}
	return baseline{value: median(values), phi: dispersion(all), known: true}
}

// past is a known point of the past.
type pastPoint struct {
	counts
	tick int64
	v    float64
}

// between gives the known points of the ticks from first to last, those of no event included.
func (s Series) between(first, last int64) []pastPoint {
	points := make([]pastPoint, 0, last-first+1)
	for i := first; i <= last; i++ {
		if p := s.at(i); p.state != isNoData {
			points = append(points, pastPoint{counts{p.bad, p.of}, i, p.v})
		}
	}
	return points
}

func sum(points []pastPoint) counts {
	var total counts
	for _, p := range points {
		total = total.add(p.counts)
	}
	return total
}

// blockMedian cuts n ticks from first on into equal blocks with ten events of the rarer kind each, and gives the median
// of their shares; where that makes fewer than eight blocks, the share of all, for the median of a few blocks of ten
// events is noise. A block without events is left out.
func blockMedian(points []pastPoint, first, n int64, total counts) float64 {
	blocks := min(mostBlocks, int(min(total.x, total.n-total.x)/eventsPerBlock))
	if blocks < fewestBlocks {
		return total.share()
	}
	sums := make([]counts, blocks)
	for _, p := range points {
		i := min(int((p.tick-first)*int64(blocks)/n), blocks-1)
		sums[i] = sums[i].add(p.counts)
	}
	var shares []float64
	for _, s := range sums {
		if s.n > 0 {
			shares = append(shares, s.share())
		}
	}
	return median(shares)
}

func medianValue(points []pastPoint) float64 {
	values := make([]float64, len(points))
	for i, p := range points {
		values[i] = p.v
	}
	return median(values)
}

// median gives the middle value, of an even number the mean of the two in the middle.
func median(values []float64) float64 {
	slices.Sort(values)
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}
