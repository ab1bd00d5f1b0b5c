package triggers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// A point of these tapes adds up five minutes. Twenty equal words are the ticks of a range whose events all came in its
// first quarter of a minute, so that every twentieth point belongs to the pool.
const reads = 5 * time.Minute

// past is the points of the time before, as a condition's baseline reads them: one a step of its own grid.
type past struct {
	points  string // that end when `for` begins
	periods []string
}

// ratioStage is one condition over one ratio with its past.
type ratioStage struct {
	condition triggers.Condition
	reads     time.Duration // 0: five minutes
	tapes     []tape
	past      past
}

func (r ratioStage) trigger(t testing.TB) (*triggers.Trigger, *triggers.History, time.Time) {
	t.Helper()
	c := r.condition
	if c.Signal == "" {
		c.Signal = "s"
	}
	shape := triggers.Shape{Ratio: strings.Contains(r.tapes[0].points, "/"), Reads: r.reads}
	if shape.Reads == 0 {
		shape.Reads = reads
	}
	h := triggers.NewHistory(grid, c.Reach(grid, shape), shape)
	now := feedTapes(t, h, r.tapes...)
	reading := triggers.Reading{History: h, Past: r.past.of(t, &c, shape, now)}
	clause := leafOf(&c)
	return triggers.NewTrigger(&clause, nil, "", func(*triggers.Condition) triggers.Reading { return reading }), h, now
}

// of gives the past that a condition reads, with its last points at the end of the time that counts.
func (p past) of(t testing.TB, c *triggers.Condition, shape triggers.Shape, now time.Time) triggers.Past {
	t.Helper()
	var all triggers.Past
	if c.Baseline == nil {
		return all
	}
	own := c.PastGrid(grid, shape)
	fill := func(span time.Duration, points string, end time.Time) *triggers.History {
		h := triggers.NewHistory(own, span, shape)
		words := tape{"", points}.words(t)
		for i, w := range words {
			var at []triggers.Point
			if w != nil {
				at = append(at, *w)
			}
			h.Feed(own.Floor(end).Add(-time.Duration(len(words)-1-i)*own.Interval), at)
		}
		return h
	}
	if c.Baseline.Last > 0 {
		all.Last = fill(c.Baseline.Last+c.For, p.points, now.Add(-c.For))
		all.Last.Pass(now)
		return all
	}
	for k, points := range p.periods {
		all.Periods = append(all.Periods, fill(c.Baseline.Width, points, now.Add(c.Baseline.Width/2-time.Duration(k+1)*c.Baseline.SameTime)))
	}
	return all
}

// judge writes down where the trigger stands and on what evidence.
func (r ratioStage) judge(t testing.TB) string {
	t.Helper()
	trigger, _, now := r.trigger(t)
	return onWhat(trigger.Judge(now))
}

func onWhat(groups []triggers.GroupState) string {
	text := ""
	for _, g := range groups {
		text += states[g.State]
		for _, b := range g.Breaches {
			e := b.Evidence
			text += fmt.Sprintf(": %.4g of %.4g in %s, %.3e", e.Bad, e.Of, e.Over, e.Chance)
		}
		for _, b := range g.Thin {
			e := b.Evidence
			text += fmt.Sprintf(": %.4g of %.4g in %s, %.3e, not enough; %v would be", e.Bad, e.Of, e.Over, e.Chance, b.Enough())
		}
	}
	return text
}

// above8 is the condition of the examples.
func above8(change ...func(*triggers.Condition)) triggers.Condition {
	c := triggers.Condition{
		Comparison: triggers.Above, Limit: 0.08, For: ten, Clears: &triggers.Clears{Comparison: triggers.Below, Limit: 0.06},
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

func ranges(words ...string) string {
	return strings.Join(words, "x20 ") + "x20"
}

func TestEvidence(t *testing.T) {
	bare := func(c *triggers.Condition) { c.Clears = nil }
	limit := func(v float64) func(*triggers.Condition) {
		return func(c *triggers.Condition) { c.Limit = v }
	}
	mirrored := func(c *triggers.Condition) {
		*c = triggers.Condition{Comparison: triggers.Below, Limit: 0.92, For: ten, Clears: &triggers.Clears{Comparison: triggers.Above, Limit: 0.94}}
	}
	short := func(c *triggers.Condition) { c.For = time.Minute }
	tests := []struct {
		name      string
		condition triggers.Condition
		points    string
		want      string
	}{
		{"thin events over twenty minutes fire", above8(), ranges("2/5", "2/5", "2/5", "2/5"), "fires: 8 of 20 in 20m0s, 1.099e-05"},
		{"nothing fires before the breach is `for` old", above8(), ranges("2/5", "0/5", "3/5", "3/5"), "elevated"},
		{"nor where the whole of `for` is not past the limit", above8(), ranges("7/10", "7/10", "0/10", "1/10"), "elevated"},
		{"one burst does not carry the verdict", above8(), ranges("0/5", "7/10", "0/5", "1/5"), "elevated: 8 of 20 in 15m0s, 1.099e-05, not enough; 8 would be"},
		{"too few events are told, with what is missing", above8(), ranges("1/3", "1/4", "1/4"), "elevated: 3 of 11 in 15m0s, 2.476e-02, not enough; 6 would be"},
		{"five of eleven are too few", above8(), ranges("1/3", "2/4", "2/4"), "elevated: 5 of 11 in 15m0s, 2.644e-04, not enough; 6 would be"},
		{"six of eleven, spread, are enough", above8(), ranges("2/3", "2/4", "2/4"), "fires: 6 of 11 in 15m0s, 1.656e-05"},
		{"three bad events never are, however rare they should be", above8(limit(0.001), bare), ranges("1/1", "1/1", "1/1"), "elevated: 3 of 3 in 15m0s, 5.123e-10, not enough; 4 would be"},
		{"four are", above8(limit(0.001), bare), ranges("1/1", "1/1", "1/1", "1/1"), "fires: 4 of 4 in 20m0s, 4.099e-13"},
		{"without clears: seven of twenty", above8(bare), ranges("2/5", "2/5", "1/5", "2/5"), "elevated: 7 of 20 in 20m0s, 1.790e-04, not enough; 8 would be"},
		{"without clears: eight of twenty", above8(bare), ranges("2/5", "2/5", "2/5", "2/5"), "fires: 8 of 20 in 20m0s, 1.981e-05"},
		{"a share that hovers just past its limit takes longer", above8(limit(0.15), bare), ranges("80/500", "80/500", "80/500"), "fires: 240 of 1500 in 15m0s, 2.231e-05"},
		{"not yet", above8(limit(0.15), bare), "_x19 80/500 " + ranges("80/500", "80/500"), "fires: 240 of 1500 in 15m0s, 2.231e-05"},
		{"two ranges of it are not enough", above8(limit(0.15), bare, func(c *triggers.Condition) { c.WidenTo = ten }), ranges("80/500", "80/500", "80/500"), "elevated: 160 of 1000 in 10m0s, 4.469e-04, not enough; 165 would be"},
		{"dense traffic fires at the first width", above8(), ranges("40/200", "40/200", "40/200"), "fires: 80 of 400 in 10m0s, 2.539e-21"},
		{"below is the other side", above8(mirrored), ranges("3/5", "3/5", "3/5", "3/5"), "fires: 8 of 20 in 20m0s, 1.099e-05"},
		{"below: too few", above8(mirrored), ranges("2/3", "3/4", "3/4"), "elevated: 3 of 11 in 15m0s, 2.476e-02, not enough; 6 would be"},
		{"confidence is asked for", above8(func(c *triggers.Condition) { c.Confidence = 0.97 }), ranges("2/5", "2/5", "2/5"), "fires: 4 of 10 in 10m0s, 2.029e-03"},
		{"more of it than there is", above8(func(c *triggers.Condition) { c.Confidence = 0.999999 }), ranges("2/5", "2/5", "2/5", "2/5"), "elevated: 8 of 20 in 20m0s, 1.099e-05, not enough; 9 would be"},
		{"no wider than widen_to", above8(func(c *triggers.Condition) { c.WidenTo = 15 * time.Minute }), ranges("2/5", "2/5", "2/5", "2/5"), "elevated: 6 of 15 in 15m0s, 1.455e-04, not enough; 7 would be"},
		{"as far as widen_to by default, six times `for`", above8(), ranges("1/4", "1/4", "1/4", "1/4", "1/4", "1/4", "1/4", "1/4", "1/4", "1/4", "1/4", "1/4"), "fires: 10 of 40 in 50m0s, 9.652e-05"},

		{"every point that speaks must be past the limit", above8(), ranges("20/100", "20/100") + " 20/100x9 7/100 20/100x10", "elevated"},
		{"a thin one has no vote", above8(), ranges("20/100", "20/100") + " 20/100x9 0/60 20/100x10", "fires: 40 of 200 in 10m0s, 1.825e-11"},
		{"at_least counts those that speak", above8(func(c *triggers.Condition) { c.AtLeast = 0.9 }), ranges("20/100", "20/100") + " 20/100x9 7/100x4 20/100x7", "fires: 40 of 200 in 10m0s, 1.825e-11"},
		{"and no fewer of them", above8(func(c *triggers.Condition) { c.AtLeast = 0.9 }), ranges("20/100", "20/100") + " 20/100x9 7/100x5 20/100x6", "elevated"},
		{"thin ones are not among them", above8(func(c *triggers.Condition) { c.AtLeast = 0.9 }), "20/100 2/5x10 20/100x9 7/100 2/5x10 20/100x10", "fires: 47 of 300 in 15m0s, 2.039e-09"},
		{"the last one that speaks must be past", above8(func(c *triggers.Condition) { c.AtLeast = 0.9 }), ranges("20/100", "20/100") + " 20/100x19 7/100", "elevated"},
		{"even where nothing is known after it", above8(func(c *triggers.Condition) { c.AtLeast = 0.9 }), "20/100 " + ranges("20/100", "20/100") + " 7/100 _", "elevated"},

		{"for shorter than a range: one range is enough, the last point past", above8(short), "20/100x5", "fires: 20 of 100 in 5m0s, 1.824e-06"},
		{"for shorter than a range: the last point is not past", above8(short), "20/100x4 7/100", "elevated"},
		{"for shorter than two ranges: unwidened, one range may carry it", above8(func(c *triggers.Condition) { c.For = 6 * time.Minute }), "20/100x25", "fires: 20 of 100 in 5m0s, 1.824e-06"},
		{"widened it may not", above8(func(c *triggers.Condition) { c.For = 6 * time.Minute }), "0/50x4 " + ranges("0/5", "9/10") + " 1/10x20", "elevated: 10 of 20 in 10m0s, 6.384e-08, not enough; 8 would be"},

		{"no events at the oldest point: not yet", above8(), ranges("2/5", "0/0", "4/5", "4/5"), "elevated"},
		{"no events at all: not a breach", above8(), ranges("0/0", "0/0", "0/0"), "elevated"},
		{"the window must be known", above8(), ranges("20/100", "20/100") + " 20/100x9 _x3 20/100x8", "unknown"},
		{"a gap of two is bridged", above8(), ranges("20/100", "20/100") + " 20/100x9 _x2 20/100x9", "fires: 40 of 200 in 10m0s, 1.825e-11"},
		{"four fifths of a pool's points are enough: four of five", above8(func(c *triggers.Condition) { c.For = 25 * time.Minute; c.WidenTo = 30 * time.Minute }), ranges("9/50", "9/50", "9/50") + " 9/50x19 _ " + ranges("9/50", "9/50"), "fires: 36 of 200 in 25m0s, 3.617e-09"},
		{"three of four are not", above8(func(c *triggers.Condition) { c.For = 20 * time.Minute; c.WidenTo = 20 * time.Minute }), ranges("9/50", "9/50") + " 9/50x19 _ " + ranges("9/50", "9/50"), "elevated"},
		{"fractions of increase() need no rounding", above8(), ranges("2.1052631578947/5.2631578947368", "2.1052631578947/5.2631578947368", "2.1052631578947/5.2631578947368"), "fires: 6.316 of 15.79 in 15m0s, 9.652e-05"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := (ratioStage{condition: test.condition, tapes: []tape{{"", test.points}}}).judge(t); got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}
