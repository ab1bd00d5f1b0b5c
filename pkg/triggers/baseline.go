package triggers

import (
	"slices"
	"time"
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

// usual is the baselines of the series of a condition, kept until the past moves on.
type usual struct {
	condition *Condition
	past      Past
	versions  []uint64
	series    []map[string]Series // of Last, or of each period, by label set
	asOf      []instant           // of each of them
	since     time.Time
	known     map[string]baseline
	scratch   scratch
}

// scratch is room that one baseline after the other is reckoned in.
type scratch struct {
	points []pastPoint
	counts []counts
	values []float64
}

// instant is the newest tick of a history that counts, and what the history had been fed when it was looked at.
type instant struct {
	end int64
	fed uint64
}

// histories gives Last or the periods.
func (p Past) histories() []*History {
	if p.Last != nil {
		return []*History{p.Last}
	}
	return p.Periods
}

func newUsual(c *Condition, past Past) *usual {
	all := past.histories()
	return &usual{
		condition: c, past: past, versions: make([]uint64, len(all)),
		series: make([]map[string]Series, len(all)), asOf: make([]instant, len(all)), known: map[string]baseline{},
	}
}

// of gives the baseline of the series with that key at t; pick selects the series of a history of the past. Periods that
// reach beyond since, when the impact of an open incident began, are skipped; zero: none.
func (u *usual) of(key string, t, since time.Time, pick func(*History) []Series) baseline {
	if u.condition.Baseline == nil || len(u.series) == 0 {
		return baseline{}
	}
	u.refresh(t, since, pick)
	b, ok := u.known[key]
	if !ok {
		b = u.compute(key, t, since)
		u.known[key] = b
	}
	return b
}

func (u *usual) refresh(t, since time.Time, pick func(*History) []Series) {
	changed := !since.Equal(u.since)
	u.since = since
	for i := range u.series {
		h := u.past.Last
		if h == nil {
			h = u.past.Periods[i]
		}
		if u.series[i] == nil || u.versions[i] != h.version {
			u.versions[i], u.series[i], changed = h.version, map[string]Series{}, true
			for _, s := range pick(h) {
				u.series[i][groupKey(s.Labels)] = s
			}
		}
		now := instant{h.tick(u.end(i, t)), h.fed}
		changed = changed || now != u.asOf[i]
		u.asOf[i] = now
	}
	if changed {
		clear(u.known)
	}
}

// end is where the time that `last` names ends, or the nth period.
func (u *usual) end(n int, t time.Time) time.Time {
	c := u.condition
	if u.past.Last != nil {
		return t.Add(-c.For)
	}
	return t.Add(c.Baseline.Width/2 - time.Duration(n+1)*c.Baseline.SameTime)
}

func (u *usual) compute(key string, t, since time.Time) baseline {
	if u.past.Last != nil {
		s, ok := u.series[0][key]
		if !ok {
			return baseline{}
		}
		return u.condition.lastBaseline(s, u.asOf[0].end, &u.scratch)
	}
	periods := make([]pastPeriod, 0, len(u.series))
	for i := range u.series {
		s, ok := u.series[i][key]
		if ok && (since.IsZero() || !u.end(i, t).After(since)) {
			periods = append(periods, pastPeriod{s, u.asOf[i].end})
		}
	}
	return u.condition.sameTimeBaseline(periods, &u.scratch)
}

// pastPeriod is a series of a period of the past, and the last tick of it.
type pastPeriod struct {
	Series
	end int64
}

// lastBaseline is the median of the time that ended with a tick: of a query's points; of a ratio's blocks, for the median
// of thin points is 0 of 1.
func (c *Condition) lastBaseline(s Series, last int64, room *scratch) baseline {
	h := s.history
	n := h.grid.Steps(c.Baseline.Last)
	points := room.between(s, last-n+1, last)
	if float64(len(points)) < baselineShare*float64(n) {
		return baseline{}
	}
	if !h.shape.Ratio {
		return baseline{value: room.median(points), phi: 1, known: true}
	}
	total := sum(points)
	if total.n < baselineEvents {
		return baseline{lacks: lacksEvents}
	}
	all := room.counts[:0]
	for _, p := range points {
		all = append(all, p.counts)
	}
	room.counts = all
	return baseline{value: blockMedian(points, last-n+1, n, total), phi: dispersion(all), known: true}
}

// sameTimeBaseline is the median over periods: of a query's medians, of a ratio's shares, each over its width. A period
// without data enough is left out.
func (c *Condition) sameTimeBaseline(periods []pastPeriod, room *scratch) baseline {
	var values []float64
	var all []counts
	ratio, total := false, counts{}
	for _, s := range periods {
		n := s.history.grid.Steps(c.Baseline.Width)
		points := room.between(s.Series, s.end-n+1, s.end)
		if float64(len(points)) < baselineShare*float64(n) {
			continue
		}
		if ratio = s.history.shape.Ratio; !ratio {
			values = append(values, room.median(points))
			continue
		}
		if period := sum(points); period.n > 0 {
			values, total = append(values, period.share()), total.add(period)
		}
		for _, p := range points {
			all = append(all, p.counts)
		}
	}
	switch {
	case ratio && total.n < baselineEvents:
		return baseline{lacks: lacksEvents}
	case len(values) == 0:
		return baseline{}
	}
	return baseline{value: median(values), phi: dispersion(all), known: true}
}

// pastPoint is a known point of the past.
type pastPoint struct {
	counts
	tick int64
	v    float64
}

// between gives the known points of the ticks from first to last, those of no event included.
func (room *scratch) between(s Series, first, last int64) []pastPoint {
	points := room.points[:0]
	for i := first; i <= last; i++ {
		if p := s.at(i); p.state != isNoData {
			points = append(points, pastPoint{counts{p.bad, p.of}, i, p.v})
		}
	}
	room.points = points
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
	var room [mostBlocks]counts
	sums := room[:blocks]
	for _, p := range points {
		i := min(int((p.tick-first)*int64(blocks)/n), blocks-1)
		sums[i] = sums[i].add(p.counts)
	}
	var shareRoom [mostBlocks]float64
	shares := shareRoom[:0]
	for _, s := range sums {
		if s.n > 0 {
			shares = append(shares, s.share())
		}
	}
	return median(shares)
}

func (room *scratch) median(points []pastPoint) float64 {
	values := room.values[:0]
	for _, p := range points {
		values = append(values, p.v)
	}
	room.values = values
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
