package triggers_test

import (
	"fmt"
	"runtime"
	"testing"

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

// BenchmarkHistoryBytes tells what a segment's window of 10 minutes at 15 seconds takes, its label set apart.
func BenchmarkHistoryBytes(b *testing.B) {
	for _, ratio := range []bool{false, true} {
		b.Run(fmt.Sprintf("ratio=%t", ratio), func(b *testing.B) {
			points := benchPoints(0.1, ratio)
			var bytes float64
			for b.Loop() {
				before := allocated()
				h := triggers.NewHistory(grid, ten+step, triggers.Shape{Ratio: ratio})
				h.Feed(start, points)
				bytes = float64(allocated()-before) / benchSeries
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
