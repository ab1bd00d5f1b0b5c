// Package source is where points come from: the HTTP API of Prometheus or of an engine compatible with it
// (Prometheus in this package), or the Prometheus that runs inside this process (package embedded).
//
// What the package guards: an answer is whole or it is an error. A partial answer, a truncated one, one with more
// series than allowed or with the same series twice never reaches a caller, because a missing series looks like
// health. Every error is an *Error and says in Reason what went wrong.
package source

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Source answers PromQL. It is safe for concurrent use. Errors are of type *Error.
type Source interface {
	// Instant evaluates expr at t. Each series of the answer has one point. A scalar is one series without labels.
	Instant(ctx context.Context, expr string, t time.Time) (Answer, error)

	// Range evaluates expr at from, from+step, … up to and including to.
	// Where expr has no value at one of these times, the series has no point there.
	Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (Answer, error)
}

// Answer is what a source says to one expression. It belongs to the caller.
type Answer struct {
	Series   []Series
	Warnings []string // what the source said beside its data (PromQL's warnings; its infos are not kept)
}

// Series is one label set and its points, in ascending order of time.
type Series struct {
	Labels labels.Labels
	Points []Point
}

// Point is a value at a time. The value may be NaN or infinite: what that means is the caller's to say.
type Point struct {
	T int64 // milliseconds since the Unix epoch
	V float64
}

// CheckRange returns an *Error unless from, to and step make a range that every source can answer exactly:
// steps are whole milliseconds, because that is what a source stores.
func CheckRange(expr string, from, to time.Time, step time.Duration) error {
	switch {
	case step < time.Millisecond || step%time.Millisecond != 0:
		return &Error{Reason: Query, Expr: expr, Detail: "step " + step.String() + " is not a whole number of milliseconds, at least 1ms"}
	case to.Before(from):
		return &Error{Reason: Query, Expr: expr, Detail: "the range ends at " + stamp(to) + ", before its start at " + stamp(from)}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
