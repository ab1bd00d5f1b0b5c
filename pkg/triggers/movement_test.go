package triggers_test

import (
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// TestAMovementIsSeenFromTheBand: which way a value went depends on the band, and counts must tell it from chance.
func TestAMovementIsSeenFromTheBand(t *testing.T) {
	grid := triggers.Grid{Interval: time.Minute}
	before, after := time.Unix(0, 0).UTC(), time.Unix(600, 0).UTC()
	below := triggers.Condition{Signal: "s", Comparison: triggers.Below, Limit: 0.06}
	between := triggers.Condition{Signal: "s", Comparison: triggers.Between, Low: 0.35, High: 0.60}
	for _, test := range []struct {
		name      string
		condition triggers.Condition
		ratio     bool
		was, is   float64 // of a thousand
		way       triggers.Way
		wasOut    bool
	}{
		{"down towards a limit that it must be below", below, true, 190, 80, triggers.Towards, true},
		{"by no more than chance", below, true, 80, 70, triggers.Still, true},
		{"up, away from it", below, true, 80, 190, triggers.Away, true},
		{"out of the band that it was in", below, true, 40, 90, triggers.Away, false},
		{"within the band, however far", below, true, 50, 5, triggers.Still, false},
		{"up into the middle of two limits", between, true, 250, 400, triggers.Towards, true},
		{"through the band and out on the other side, nearer than before", between, true, 100, 700, triggers.Towards, true},
		{"through it and farther out", between, true, 300, 900, triggers.Away, true},
		{"a value without counts by a tenth of the way", below, false, 1060, 950, triggers.Towards, true},
		{"by less than that", below, false, 1060, 970, triggers.Still, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := triggers.NewHistory(grid, time.Hour, triggers.Shape{Ratio: test.ratio, Reads: 5 * time.Minute})
			for at, n := range map[time.Time]float64{before: test.was, after: test.is} {
				point := triggers.Point{Labels: labels.FromStrings("service", "bot"), V: n / 1000}
				if test.ratio {
					point.V, point.Of = n, 1000
				}
				h.Feed(at, []triggers.Point{point})
			}
			scope := triggers.Scope{Reading: func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} }}
			m := scope.Movement(&test.condition, before, after)
			if m.Way != test.way || m.WasOut != test.wasOut {
				t.Errorf("way %d, out before %t: %+v", m.Way, m.WasOut, m)
			}
			if !test.ratio && (m.Low != 0 || m.High != 0) {
				t.Errorf("an interval of what has no counts: %g to %g", m.Low, m.High)
			}
			if m.Before.V != test.was/1000 || m.After.V != test.is/1000 {
				t.Errorf("%g to %g", m.Before.V, m.After.V)
			}
		})
	}
}

// TestASplitCountsNoEventTwice: points that are told at each tick overlap; those that are a range apart do not.
func TestASplitCountsNoEventTwice(t *testing.T) {
	h := triggers.NewHistory(triggers.Grid{Interval: time.Minute}, time.Hour, triggers.Shape{Ratio: true, Reads: 5 * time.Minute})
	point := func(version, tier string, bad float64) triggers.Point {
		b := labels.NewBuilder(labels.FromStrings("service", "bot", "tier", tier))
		b.Set("version", version)
		return triggers.Point{Labels: b.Labels(), V: bad, Of: 100}
	}
	for minute := range int64(21) {
		h.Feed(time.Unix(60*minute, 0), []triggers.Point{
			point("v7", "paid", 30), point("v6", "paid", 4), point("v5", "paid", 5), point("", "paid", 50), point("v7", "free", 100),
		})
	}
	c := &triggers.Condition{Signal: "s", Where: map[string][]string{"tier": {"paid"}}}
	at := func(minute int64) time.Time { return time.Unix(60*minute, 0) }
	got := triggers.Scope{Service: "bot"}.Split(c, h, "version", "v7", at(10), at(20)) // at 10, 15 and 20
	if want := (triggers.Split{WithBad: 90, With: 300, WithoutBad: 27, Without: 600}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := (triggers.Scope{Service: "other"}).Split(c, h, "version", "v7", at(10), at(20)); got != (triggers.Split{}) {
		t.Errorf("of another service: %+v", got)
	}
	if got := (triggers.Scope{}).Split(c, h, "version", "v7", at(11), at(20)); got.With != 200 {
		t.Errorf("since 11: %g, want the points at 15 and 20", got.With)
	}
}
