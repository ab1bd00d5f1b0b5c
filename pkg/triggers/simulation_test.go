package triggers_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// traffic is segments whose requests come at random, and whose usual share of bad ones wanders.
type traffic struct {
	random    *rand.Rand
	perMinute float64
	segments  []*wandering
}

type wandering struct {
	labels  labels.Labels
	off     float64        // of the usual share, as a share of it
	bad, of [20]float64    // of the last five minutes, by quarter of a minute
	was     triggers.State // the last of fires and clear
	firings int
	first   int // the tick of the first firing
}

func newTraffic(seed uint64, segments int, perMinute float64) *traffic {
	all := &traffic{random: rand.New(rand.NewPCG(seed, 0)), perMinute: perMinute}
	for i := range segments {
		all.segments = append(all.segments, &wandering{labels: labels.FromStrings("i", fmt.Sprint(i)), first: -1, was: triggers.Clear})
	}
	return all
}

// keep is how much of its way off a share keeps for a tick: a correlation of two hours.
var keep = math.Exp(-15.0 / 7200)

func (w *traffic) points(n int, share float64) []triggers.Point {
	points := make([]triggers.Point, len(w.segments))
	for i, s := range w.segments {
		s.off = keep*s.off + 0.15*math.Sqrt(1-keep*keep)*w.random.NormFloat64()
		slot := n % len(s.of)
		s.of[slot], s.bad[slot] = w.poisson(w.perMinute/4), 0
		for range int(s.of[slot]) {
			if w.random.Float64() < share*(1+s.off) {
				s.bad[slot]++
			}
		}
		points[i].Labels = s.labels
		for k := range s.of {
			points[i].V += s.bad[k]
			points[i].Of += s.of[k]
		}
	}
	return points
}

func (w *traffic) poisson(mean float64) float64 {
	n, p, limit := 0.0, w.random.Float64(), math.Exp(-mean)
	for p > limit {
		p *= w.random.Float64()
		n++
	}
	return n
}

// play plays ticks, of which those from bad to good have another share, and notes what fires. One firing ends when the
// trigger is clear.
func (w *traffic) play(c triggers.Condition, ticks, bad, good int, usual, then float64) {
	c.Signal = "s"
	shape := triggers.Shape{Ratio: true, Reads: reads}
	h := triggers.NewHistory(grid, c.Reach(grid, shape), shape)
	clause := leafOf(&c)
	trigger := triggers.NewTrigger(&clause, []string{"i"}, "", func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} })
	byLabels := map[string]*wandering{}
	for _, s := range w.segments {
		byLabels[s.labels.Get("i")] = s
	}
	for n := range ticks {
		share := usual
		if n >= bad && n < good {
			share = then
		}
		h.Feed(tick(n), w.points(n, share))
		for _, g := range trigger.Judge(tick(n)) {
			s := byLabels[g.Group.Get("i")]
			switch {
			case g.State == triggers.Clear:
				s.was = triggers.Clear
			case g.State == triggers.Fires && s.was == triggers.Clear:
				s.was = triggers.Fires
				s.firings++
				if s.first < 0 && n >= bad {
					s.first = n
				}
			}
		}
	}
}

// TestTheRuleIsTheOneThatWasSimulated plays a share that rises from 4 to 19% for 50 minutes, and weeks in which it does
// not. The bounds are wide: it is 200 incidents, and a few weeks.
func TestTheRuleIsTheOneThatWasSimulated(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const warm, incident, after = 300, 200, 60 // ticks
	const week = 7 * 24 * 240
	clears := above8()
	bare := above8(func(c *triggers.Condition) { c.Clears = nil })
	tests := []struct {
		name              string
		condition         triggers.Condition
		perMinute         float64
		least, most       float64 // found
		delay             float64 // minutes, in the middle, at most
		weeks             int
		mostFalse, repeat float64
	}{
		{"above 8%", bare, 1, 0.25, 0.45, 99, 4, 0.3, 1.1},
		{"above 8%", bare, 5, 0.92, 1, 23, 4, 0.3, 1.15},
		{"above 8%", bare, 60, 0.99, 1, 14, 2, 0.3, 1.05},
		{"above 8%, clears below 6%", clears, 1, 0.28, 0.5, 99, 4, 0.3, 1.1},
		{"above 8%, clears below 6%", clears, 5, 0.93, 1, 22, 4, 0.3, 1.15},
		{"above 8%, clears below 6%", clears, 60, 0.99, 1, 14, 2, 0.3, 1.05},
	}
	for i, test := range tests {
		t.Run(fmt.Sprintf("%s, %v a minute", test.name, test.perMinute), func(t *testing.T) {
			t.Parallel()
			seed := uint64(i)
			some := newTraffic(seed, 200, test.perMinute)
			some.play(test.condition, warm+incident+after, warm, warm+incident, 0.04, 0.19)
			var delays []float64
			firings := 0
			for _, s := range some.segments {
				if s.first >= 0 {
					delays = append(delays, float64(s.first-warm)/4)
					firings += s.firings
				}
			}
			found := float64(len(delays)) / 200
			slices.Sort(delays)
			middle := delays[len(delays)/2]
			quiet := newTraffic(seed+100, test.weeks, test.perMinute)
			quiet.play(test.condition, week, week, week, 0.04, 0.04)
			wrong := 0
			for _, s := range quiet.segments {
				wrong += s.firings
			}
			perWeek := float64(wrong) / float64(test.weeks)
			t.Logf("found %.0f%%, in the middle after %.1f min, %.2f firings an incident; false %.2f a segment-week", 100*found, middle, float64(firings)/float64(len(delays)), perWeek)
			if found < test.least || found > test.most || middle > test.delay {
				t.Errorf("found %.2f after %.1f min, want %.2f to %.2f within %.0f min", found, middle, test.least, test.most, test.delay)
			}
			if perWeek > test.mostFalse {
				t.Errorf("%.2f false firings a segment-week, want at most %.2f", perWeek, test.mostFalse)
			}
			if repeats := float64(firings) / float64(len(delays)); repeats > test.repeat {
				t.Errorf("%.2f firings an incident, want at most %.2f", repeats, test.repeat)
			}
		})
	}
}
