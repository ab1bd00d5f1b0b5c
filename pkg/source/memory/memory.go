// Package memory is series that somebody wrote down, in the notation of promtool's unit tests, behind the source
// interface: what a unit test of a runbook asks in place of Prometheus.
//
// What the package guards: labels and values are read by Prometheus' own parser and queries are answered by its own
// engine, with promtool's lookback of five minutes, so that series copied from a test of promtool mean the same here.
// Time begins at the epoch: before it nothing is known, not even what an expression says of no series at all.
package memory

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/source/engine"
)

const (
	lookback   = 5 * time.Minute // as in promtool, and in Prometheus by default
	timeout    = 2 * time.Minute // for one query; there is nobody else to wait for
	maxSamples = 50_000_000      // held by one query at a time, as in Prometheus
)

// Source answers from series in memory. It is safe for concurrent use.
type Source struct{ queries engine.Source }

var _ source.Source = (*Source)(nil)

// New gives a source of series whose points lie interval apart, a whole number of milliseconds; the first one lies at
// the epoch. No two series may have the same labels. An answer of more than maxSeries series is an error; 0: any number.
func New(series []Series, interval time.Duration, maxSeries int) *Source {
	prom := promql.NewEngine(promql.EngineOpts{
		Logger:                   slog.New(slog.DiscardHandler),
		MaxSamples:               maxSamples,
		Timeout:                  timeout,
		LookbackDelta:            lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return interval.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   parser.NewParser(parser.Options{}),
	})
	storage := newQueryable(series, interval)
	return &Source{engine.Source{Engine: prom, Storage: storage, MaxSeries: maxSeries}}
}

// Instant evaluates expr at t. Before the epoch there is nothing.
func (s *Source) Instant(ctx context.Context, expr string, t time.Time) (source.Answer, error) {
	if t.UnixMilli() < 0 {
		return source.Answer{}, nil
	}
	return s.queries.Instant(ctx, expr, t)
}

// Range evaluates expr at from, from+step, … up to to. Before the epoch there is nothing.
func (s *Source) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (source.Answer, error) {
	if err := source.CheckRange(expr, from, to, step); err != nil {
		return source.Answer{}, err
	}
	if before := -from.UnixMilli(); before > 0 {
		interval := step.Milliseconds()
		from = from.Add(time.Duration((before+interval-1)/interval) * step)
	}
	if to.Before(from) {
		return source.Answer{}, nil
	}
	return s.queries.Range(ctx, expr, from, to, step)
}
