package online_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/online"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// flat answers every expression with a hundred segments in which nothing is wrong.
type flat struct{ source.Source }

func (flat) Range(_ context.Context, expr string, from, to time.Time, step time.Duration) (source.Answer, error) {
	value := 100.0
	if strings.Contains(expr, "refused") {
		value = 4
	}
	var a source.Answer
	for i := range 100 {
		s := source.Series{Labels: labels.FromStrings("service", "support-bot", "tier", fmt.Sprint("tier-", i))}
		for t := from; !t.After(to); t = t.Add(step) {
			s.Points = append(s.Points, source.Point{T: t.UnixMilli(), V: value + float64(i%3)})
		}
		a.Series = append(a.Series, s)
	}
	return a, nil
}

// BenchmarkDay is one day at 15 s of two runbooks over a hundred segments.
func BenchmarkDay(b *testing.B) {
	c, _ := config.LoadFiles("testdata/set")
	for b.Loop() {
		_, err := online.Run(b.Context(), online.Config{
			Source: flat{}, Grid: triggers.Grid{Interval: 15 * time.Second}, From: end.Add(-day), To: end, Runbooks: c.Runbooks,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
