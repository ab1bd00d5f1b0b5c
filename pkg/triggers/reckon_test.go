package triggers

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// The shares of incidents found are those of two simulations that know nothing of each other: this one, and the one
// by which the rule was chosen (4% to 19% for 50 minutes, found within 65).
func TestFoundAgreesWithTheMeasuredRule(t *testing.T) {
	above := &Condition{Comparison: Above, Limit: 0.08, For: 10 * time.Minute}
	falls := &Condition{Comparison: Falls, Limit: 0.25, For: 10 * time.Minute, Baseline: &Baseline{Last: 24 * time.Hour}}
	grid := Grid{Interval: 15 * time.Second}
	for _, c := range []struct {
		name      string
		condition *Condition
		usual, to float64
		minutely  float64
		within    time.Duration
		want      float64
	}{
		{"a fixed limit at 0.5 a minute", above, 0.04, 0.19, 0.5, 50 * time.Minute, 0.16},
		{"a fixed limit at 1 a minute", above, 0.04, 0.19, 1, 50 * time.Minute, 0.34},
		{"a fixed limit at 2 a minute", above, 0.04, 0.19, 2, 50 * time.Minute, 0.72},
		{"a fixed limit at 20 a minute", above, 0.04, 0.19, 20, 50 * time.Minute, 1},
		{"a fall of a share at 1 a minute", falls, 0.42, 0.25, 1, 2 * time.Hour, 0.20},
		{"a fall of a share at 5 a minute", falls, 0.42, 0.25, 5, 2 * time.Hour, 0.88},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.condition.Found(grid, 5*time.Minute, Usual{c.usual, c.minutely * 5, 1}, c.to, c.within)
			if math.Abs(got-c.want) > 0.12 {
				t.Errorf("found %.2f, measured %.2f", got, c.want)
			}
		})
	}
}

func TestBreaksIsWhatNoiseDoesToAHold(t *testing.T) {
	below := &Condition{Comparison: Below, Limit: 0.06}
	grid := Grid{Interval: 15 * time.Second}
	for _, c := range []struct {
		name      string
		usual     Usual
		mayMiss   float64
		low, high float64
	}{
		{"nothing bad breaks nothing", Usual{0, 100, 1}, 0, 0, 0},
		{"thick traffic well in band holds", Usual{0.04, 5000, 1}, 0, 0, 0.02},
		{"at 250 a minute a healed 5% breaks half of the holds, if every point must be in band", Usual{0.05, 1250, 1}, 0, 0.3, 0.7},
		{"and hardly any, if a fifth may miss", Usual{0.05, 1250, 1}, 0.2, 0, 0.15},
		{"thin traffic breaks most", Usual{0.04, 20, 1}, 0, 0.6, 1},
		{"clumps break more", Usual{0.05, 1250, 4}, 0, 0.7, 1},
		{"what is out of band breaks each", Usual{0.2, 1000, 1}, 0, 1, 1},
		{"no events say nothing", Usual{}, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := below.Breaks(grid, 5*time.Minute, c.usual, 15*time.Minute, c.mayMiss)
			if got < c.low || got > c.high {
				t.Errorf("breaks %.2f of the holds, want %.2f to %.2f", got, c.low, c.high)
			}
		})
	}
}

func TestReckonMirrorsWhatFalls(t *testing.T) {
	day := &Baseline{Last: 24 * time.Hour}
	for _, c := range []struct {
		name      string
		condition Condition
		usual     float64
		want      [4]float64 // usual, harmless, limit, far
	}{
		{"above", Condition{Comparison: Above, Limit: 0.15}, 0.04, [4]float64{0.04, 0.12371, 0.15, 0.26087}},
		{"above, beside what is usual", Condition{Comparison: Above, Limit: 0.08, Baseline: day}, 0.04, [4]float64{0.04, 0.06, 0.08, 0.14815}},
		{"above, with clears", Condition{Comparison: Above, Limit: 0.08, Clears: &Clears{Comparison: Below, Limit: 0.05}}, 0.04, [4]float64{0.04, 0.05, 0.08, 0.14815}},
		{"falls", Condition{Comparison: Falls, Limit: 0.25, Baseline: day}, 0.42, [4]float64{0.58, 0.6325, 0.685, 0.81306}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, ok := c.condition.Reckon(Usual{Share: c.usual})
			got := [4]float64{r.Usual, r.Harmless, r.Limit, r.Far()}
			for i := range got {
				if !ok || math.Abs(got[i]-c.want[i]) > 1e-4 {
					t.Fatalf("got %v, want %v", got, c.want)
				}
			}
			if share := r.Share(r.Usual); math.Abs(share-c.usual) > 1e-12 {
				t.Errorf("turned back it is %g", share)
			}
		})
	}
	if _, ok := (&Condition{Comparison: Between, Low: 0.1, High: 0.2}).Reckon(Usual{Share: 0.3}); ok {
		t.Error("between has two limits")
	}
}

func TestEachTellsWhereEverySeriesStood(t *testing.T) {
	grid := Grid{Interval: time.Minute}
	h := NewHistory(grid, time.Hour, Shape{})
	c := &Condition{Signal: "latency", Comparison: Above, Limit: 5}
	h.Feed(grid.Time(0), []Point{{Labels: labels.FromStrings("service", "a"), V: 6}, {Labels: labels.FromStrings("service", "b"), V: 4}})
	tr := NewTrigger(&Clause{Condition: c}, nil, "", func(*Condition) Reading { return Reading{History: h} })
	tr.Judge(grid.Time(0))
	got := map[string]State{}
	tr.Each(func(_ *Condition, s Series, state State) { got[s.Labels.Get("service")] = state })
	if len(got) != 2 || got["a"] != Fires || got["b"] != Clear {
		t.Errorf("got %v", got)
	}
}
