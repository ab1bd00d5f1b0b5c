package triggers_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const benchSeries = 10_000

// benchPoints gives a tick's points of many series.
func benchPoints(v float64, ratio bool) []triggers.Point {
	points := make([]triggers.Point, benchSeries)
	for i := range points {
		points[i] = triggers.Point{Labels: segment(fmt.Sprintf("service=s%d,tier=paid,lang=l%d", i/10, i%10)), V: v}
		if ratio {
			points[i].Of = 1
		}
	}
	return points
}

// BenchmarkTick feeds and judges one tick of 10,000 series through a window of 10 minutes.
func BenchmarkTick(b *testing.B) {
	for _, bench := range []struct {
		name    string
		v       float64
		ratio   bool
		groupBy []string
	}{
		{name: "query, none past the limit", v: 0.1},
		{name: "query, all past the limit", v: 0.9},
		{name: "ratio, none past the limit", v: 0.1, ratio: true},
		{name: "ratio, all past the limit", v: 0.9, ratio: true},
		{name: "query, none past the limit, a group a series", v: 0.1, groupBy: []string{"service", "lang"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			points := benchPoints(bench.v, bench.ratio)
			clause := leafOf(above(0.5, ten))
			h := triggers.NewHistory(grid, ten, triggers.Shape{Ratio: bench.ratio})
			trigger := triggers.NewTrigger(&clause, bench.groupBy, "", func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} })
			n := 0
			for ; n < 60; n++ {
				h.Feed(tick(n), points)
				trigger.Judge(tick(n))
			}
			b.ReportAllocs()
			for b.Loop() {
				h.Feed(tick(n), points)
				trigger.Judge(tick(n))
				n++
			}
			b.ReportMetric(float64(b.N)*benchSeries/b.Elapsed().Seconds(), "points/s")
		})
	}
}

// BenchmarkShare makes the points of a ratio of which a tenth of the numerators is not born.
func BenchmarkShare(b *testing.B) {
	var numerator, denominator []triggers.Sample
	for i, p := range benchPoints(1, false) {
		denominator = append(denominator, triggers.Sample{Labels: p.Labels, V: 10})
		if i%10 != 3 {
			numerator = append(numerator, triggers.Sample{Labels: p.Labels, V: 1})
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		triggers.Share(numerator, denominator, true)
	}
	b.ReportMetric(float64(b.N)*benchSeries/b.Elapsed().Seconds(), "points/s")
}

// BenchmarkHistoryBytes tells what a segment's window of 10 minutes at 15 seconds takes, its label set apart; and what the
// pools of evidence add to that.
func BenchmarkHistoryBytes(b *testing.B) {
	const segments = 100_000
	points := make([]triggers.Point, segments)
	for i := range points {
		points[i] = triggers.Point{Labels: segment(fmt.Sprintf("service=s%d,tier=paid,lang=l%d", i/10, i%10)), V: 1, Of: 10}
	}
	ratio := triggers.Shape{Ratio: true, Reads: reads}
	for _, bench := range []struct {
		name  string
		shape triggers.Shape
		span  time.Duration
	}{
		{"query", triggers.Shape{}, ten},
		{"ratio, by value", ratio, ten},
		{"ratio, by evidence", ratio, above(0.1, ten).Reach(grid, ratio)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var bytes float64
			for b.Loop() {
				before := allocated()
				h := triggers.NewHistory(grid, bench.span, bench.shape)
				h.Feed(start, points)
				bytes = float64(allocated()-before) / segments
				runtime.KeepAlive(h)
			}
			b.ReportMetric(bytes, "B/segment")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func allocated() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkEvidence judges one tick of ratios as a trigger with `range: 5m` and a baseline sees them: thin and dense,
// usual and past the limit.
func BenchmarkEvidence(b *testing.B) {
	for _, bench := range []struct {
		name    string
		bad, of float64
	}{
		{"dense, usual", 40, 1000}, {"dense, past the limit", 200, 1000},
		{"thin, usual", 0, 5}, {"thin, past the limit", 2, 5},
	} {
		b.Run(bench.name, func(b *testing.B) {
			points := benchPoints(bench.bad, true)
			for i := range points {
				points[i].Of = bench.of
			}
			c := relative(triggers.Rises, 2, triggers.Baseline{Last: day}, minDelta(0.02))
			c.Signal = "s"
			shape := triggers.Shape{Ratio: true, Reads: reads}
			h, before := triggers.NewHistory(grid, c.Reach(grid, shape), shape), triggers.NewHistory(c.PastGrid(grid, shape), day+ten, shape)
			usual := benchPoints(40, true)
			for i := range usual {
				usual[i].Of = 1000
			}
			own := c.PastGrid(grid, shape)
			for i := 290; i >= 0; i-- {
				before.Feed(tick(0).Add(-time.Duration(i)*own.Interval), usual)
			}
			clause := leafOf(&c)
			trigger := triggers.NewTrigger(&clause, nil, "", func(*triggers.Condition) triggers.Reading {
				return triggers.Reading{History: h, Past: triggers.Past{Last: before}}
			})
			n := 0
			feed := func() {
				h.Feed(tick(n), points)
				if at := tick(n); own.Floor(at).Equal(at) {
					before.Feed(at, usual)
				}
				trigger.Judge(tick(n))
				n++
			}
			for range 300 {
				feed()
			}
			b.ReportAllocs()
			for b.Loop() {
				feed()
			}
			b.ReportMetric(float64(b.N)*benchSeries/b.Elapsed().Seconds(), "points/s")
		})
	}
}
