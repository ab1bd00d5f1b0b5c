package embedded

import (
	"context"
	"time"

	"github.com/irdaemon/irdaemon/pkg/source"
)

// Instant evaluates expr at t.
func (e *Embedded) Instant(ctx context.Context, expr string, t time.Time) (source.Answer, error) {
	return e.whileOpen(expr, func() (source.Answer, error) { return e.queries.Instant(ctx, expr, t) })
}

// Range evaluates expr at from, from+step, … up to to.
func (e *Embedded) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (source.Answer, error) {
	return e.whileOpen(expr, func() (source.Answer, error) { return e.queries.Range(ctx, expr, from, to, step) })
}

// whileOpen asks while the database can't be closed.
func (e *Embedded) whileOpen(expr string, ask func() (source.Answer, error)) (source.Answer, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return source.Answer{}, &source.Error{Reason: source.Unreachable, Expr: expr, Detail: "the metrics database is closed"}
	}
	return ask()
}
