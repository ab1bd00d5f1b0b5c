package replay_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/replay"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// many is a source of 100 segments that costs next to nothing, so that a benchmark measures the replay.
type many struct {
	once sync.Once
	sets []labels.Labels
}

func (m *many) Instant(ctx context.Context, expr string, t time.Time) (source.Answer, error) {
	return m.Range(ctx, expr, t, t, 15*time.Second)
}

func (m *many) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (source.Answer, error) {
	m.once.Do(func() {
		for i := range 100 {
			m.sets = append(m.sets, labels.FromStrings("segment", fmt.Sprintf("s%02d", i), "service", "bot"))
		}
	})
	if inner(expr) != expr {
		answer, err := m.Range(ctx, inner(expr), from, to, step)
		answer.Series = aggregated(expr, answer.Series)
		return answer, err
	}
	n := int(to.Sub(from)/step) + 1
	answer := source.Answer{Series: make([]source.Series, len(m.sets))}
	points := make([]source.Point, n*len(m.sets))
	for s := range m.sets {
		own := points[s*n : (s+1)*n : (s+1)*n]
		for i := range own {
			at := from.Add(time.Duration(i) * step).UnixMilli()
			own[i] = source.Point{T: at, V: 1 + float64((at/15000+int64(s))%97)/97}
			if expr == requests {
				own[i].V = 40
			} else if tick := at / 15000 % 5760; s < 3 && tick > 2000 && tick < 2200 {
				own[i].V += 20
			}
		}
		answer.Series[s] = source.Series{Labels: m.sets[s], Points: own}
	}
	return answer, nil
}

// BenchmarkReplay replays a day at 15 s of 100 segments by ten runbooks on one signal. points/s counts a segment's point
// once for each runbook that judges it.
func BenchmarkReplay(b *testing.B) {
	var texts []string
	for i := range 10 {
		texts = append(texts, changed(b, slow, "runbook: slow", fmt.Sprintf("runbook: slow%d", i), "above: 5s", fmt.Sprintf("above: %ds", 5+i)))
	}
	benchmark(b, false, read(b, texts...))
}

// BenchmarkReplayThorough decides every tick of the same day, by one runbook.
func BenchmarkReplayThorough(b *testing.B) { benchmark(b, true, read(b, slow)) }

// BenchmarkReplayRatio is the same of a ratio, with its evidence.
func BenchmarkReplayRatio(b *testing.B) {
	benchmark(b, false, read(b, changed(b, slow, "{signal: latency, above: 5s, for: 10m, clears: {below: 4s}}",
		"{signal: refusal_rate, above: 15%, for: 10m, clears: {below: 10%}}")))
}

func benchmark(b *testing.B, thorough bool, runbooks []*runbook.Snapshot) {
	source := &many{}
	b.ReportAllocs()
	for b.Loop() {
		_, err := replay.Run(b.Context(), replay.Config{
			Source: source, Grid: triggers.Grid{Interval: 15 * time.Second}, From: midnight, To: midnight.Add(24*time.Hour - 1), Runbooks: runbooks,
			Thorough: thorough,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*5760*100*len(runbooks))/b.Elapsed().Seconds(), "points/s")
}
