// Package engine asks Prometheus' own PromQL engine, in this process, over any of Prometheus' storages: a database
// (package embedded) or series in memory (package memory).
//
// What the package guards: an expression means here what it means in Prometheus, and its answer or its error is the one
// that the HTTP API would give.
package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/irdaemon/irdaemon/pkg/source"
)

// Source is an engine over a storage. It is safe for concurrent use.
type Source struct {
	Engine    *promql.Engine
	Storage   storage.Queryable
	MaxSeries int // in an answer; 0: any number. More is an error, never a shorter answer
}

var _ source.Source = (*Source)(nil)

// Instant evaluates expr at t.
func (s *Source) Instant(ctx context.Context, expr string, t time.Time) (source.Answer, error) {
	return s.ask(ctx, expr, func() (promql.Query, error) {
		return s.Engine.NewInstantQuery(ctx, s.Storage, nil, expr, t)
	}, s.instantAnswer)
}

// Range evaluates expr at from, from+step, … up to to.
func (s *Source) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (source.Answer, error) {
	if err := source.CheckRange(expr, from, to, step); err != nil {
		return source.Answer{}, err
	}
	return s.ask(ctx, expr, func() (promql.Query, error) {
		return s.Engine.NewRangeQuery(ctx, s.Storage, nil, expr, from, to, step)
	}, s.rangeAnswer)
}

func (s *Source) ask(ctx context.Context, expr string, prepare func() (promql.Query, error), convert func(string, parser.Value) ([]source.Series, error)) (source.Answer, error) {
	query, err := prepare()
	if err != nil {
		return source.Answer{}, &source.Error{Reason: source.Query, Expr: expr, Detail: err.Error(), Err: err}
	}
	defer query.Close() // takes the points back: an answer has copies
	result := query.Exec(ctx)
	if result.Err != nil {
		return source.Answer{}, queryError(ctx, expr, result.Err)
	}
	series, err := convert(expr, result.Value)
	if err != nil {
		return source.Answer{}, err
	}
	return source.Answer{Series: series, Warnings: warnings(expr, result.Warnings)}, nil
}

func (s *Source) instantAnswer(expr string, value parser.Value) ([]source.Series, error) {
	switch value := value.(type) {
	case promql.Scalar:
		return []source.Series{{Points: []source.Point{{T: value.T, V: value.V}}}}, nil
	case promql.Vector:
		if err := s.checkLimit(expr, len(value)); err != nil {
			return nil, err
		}
		series := make([]source.Series, len(value))
		points := make([]source.Point, len(value))
		for i, sample := range value {
			if sample.H != nil {
				return nil, source.NativeHistograms(expr)
			}
			points[i] = source.Point{T: sample.T, V: sample.F}
			series[i] = source.Series{Labels: sample.Metric, Points: points[i : i+1 : i+1]}
		}
		return series, nil
	}
	return nil, wrongType(expr, value)
}

func (s *Source) rangeAnswer(expr string, value parser.Value) ([]source.Series, error) {
	matrix, ok := value.(promql.Matrix)
	if !ok {
		return nil, wrongType(expr, value)
	}
	if err := s.checkLimit(expr, len(matrix)); err != nil {
		return nil, err
	}
	series := make([]source.Series, len(matrix))
	for i, from := range matrix {
		if len(from.Histograms) > 0 {
			return nil, source.NativeHistograms(expr)
		}
		points := make([]source.Point, len(from.Floats))
		for j, p := range from.Floats {
			points[j] = source.Point{T: p.T, V: p.F}
		}
		series[i] = source.Series{Labels: from.Metric, Points: points}
	}
	return series, nil
}

func (s *Source) checkLimit(expr string, series int) error {
	if s.MaxSeries > 0 && series > s.MaxSeries {
		return source.TooManySeries(expr, s.MaxSeries)
	}
	return nil
}

// wrongType has the reason that the HTTP source has for the same expression.
func wrongType(expr string, value parser.Value) error {
	return &source.Error{Reason: source.Malformed, Expr: expr, Detail: fmt.Sprintf("the expression yields a %s; allowed are an instant vector and a scalar", value.Type())}
}

// queryError gives the engine's error its reason.
func queryError(ctx context.Context, expr string, err error) error {
	failed := &source.Error{Reason: source.Query, Expr: expr, Detail: err.Error(), Err: err}
	var timeout promql.ErrQueryTimeout
	var storage promql.ErrStorage
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		failed.Reason, failed.Err = source.Canceled, context.Canceled
	case ctx.Err() != nil || errors.As(err, &timeout):
		failed.Reason, failed.Err = source.Timeout, context.DeadlineExceeded
	case errors.As(err, &storage):
		failed.Reason = source.Unreachable
	}
	return failed
}

// warnings are the result's warnings in a fixed order; infos are left out.
func warnings(expr string, all annotations.Annotations) []string {
	if len(all) == 0 {
		return nil
	}
	texts, _ := all.AsStrings(expr, 10, 1)
	slices.Sort(texts)
	return texts
}
