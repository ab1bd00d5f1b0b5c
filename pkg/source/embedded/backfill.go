package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/storage"

	"github.com/irdaemon/irdaemon/pkg/source"
)

// backfillSlice is how much history is written at once, in milliseconds. The database takes points of up to an hour
// before its newest one in the usual way; older ones cost a path of their own. So all series advance together.
const backfillSlice = 30 * 60 * 1000

// Backfill writes history. Points of a series are in ascending order of time; a point that is there already with the
// same value is no error. It is meant for the time before Run; later points older than the newest are taken as well,
// back to the retention, at a higher price. What was written before an error stays.
func (e *Embedded) Backfill(ctx context.Context, history []source.Series) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return errors.New("backfill: the metrics database is closed")
	}
	rest := make([]*backfilled, 0, len(history))
	for _, series := range history {
		for i := 1; i < len(series.Points); i++ {
			if series.Points[i].T <= series.Points[i-1].T {
				return fmt.Errorf("backfill %s: point %d is not later than the one before it", series.Labels, i)
			}
		}
		if len(series.Points) > 0 {
			rest = append(rest, &backfilled{Series: series})
		}
	}
	for len(rest) > 0 {
		until := rest[0].Points[0].T
		for _, series := range rest {
			until = min(until, series.Points[0].T)
		}
		if err := e.appendUntil(ctx, rest, until+backfillSlice); err != nil {
			return fmt.Errorf("backfill: %w", err)
		}
		rest = slices.DeleteFunc(rest, func(s *backfilled) bool { return len(s.Points) == 0 })
	}
	return nil
}

// backfilled is what of a series is still to be written.
type backfilled struct {
	source.Series
	ref storage.SeriesRef
}

// appendUntil writes all points before until in one transaction.
func (e *Embedded) appendUntil(ctx context.Context, rest []*backfilled, until int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	appender := e.db.AppenderV2(ctx)
	for _, series := range rest {
		for len(series.Points) > 0 && series.Points[0].T < until {
			p := series.Points[0]
			ref, err := appender.Append(series.ref, series.Labels, 0, p.T, p.V, nil, nil, storage.AppendV2Options{})
			if err != nil {
				return errors.Join(fmt.Errorf("%s at %d: %w", series.Labels, p.T, err), appender.Rollback())
			}
			series.ref, series.Points = ref, series.Points[1:]
		}
	}
	return appender.Commit()
}
