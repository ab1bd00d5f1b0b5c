package unittest

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
)

// stage is the Desk over a store in memory, with the clock and the receivers that a play has: time passes when the play
// lets it, and every page is accepted at once.
type stage struct {
	desk  *incident.Desk
	store *incident.MemoryStore
	now   time.Time
}

func newStage(policy incident.Policy) *stage {
	s := &stage{store: incident.NewMemoryStore(), now: epoch}
	s.desk = incident.NewDesk(incident.Config{
		Store: s.store, Policy: func() incident.Policy { return policy }, Now: s.time, Log: zap.NewNop(),
	})
	return s
}

func (s *stage) time() time.Time { return s.now }

// Open implements evaluator.Desk.
func (s *stage) Open(ctx context.Context) ([]*incident.Record, error) { return s.desk.Open(ctx) }

// WalkedTo implements evaluator.Desk.
func (s *stage) WalkedTo(ctx context.Context) (time.Time, error) { return s.desk.WalkedTo(ctx) }

// Gap implements evaluator.Desk.
func (s *stage) Gap(ctx context.Context, from, to time.Time) error { return s.desk.Gap(ctx, from, to) }

// Measuring implements evaluator.Desk.
func (s *stage) Measuring(ctx context.Context, t time.Time) ([]*incident.Record, error) {
	return s.desk.Measuring(ctx, t)
}

// Detected implements evaluator.Changes: the time up to the newest of the changes passes, then they are kept.
func (s *stage) Detected(ctx context.Context, found []changes.Change) error {
	for _, c := range found {
		if !c.At.After(s.now) {
			continue
		}
		if err := s.pass(ctx, c.At); err != nil {
			return err
		}
	}
	return s.desk.Detected(ctx, found)
}

// Tick implements evaluator.Desk: the time up to the tick passes, then it is decided.
func (s *stage) Tick(ctx context.Context, tick incident.Tick) error {
	if err := s.pass(ctx, tick.T); err != nil {
		return err
	}
	if err := s.desk.Tick(ctx, tick); err != nil {
		return err
	}
	return s.deliver(ctx)
}

// reach lets the time up to t pass, t included: what falls due at t is decided.
func (s *stage) reach(ctx context.Context, t time.Time) error {
	if err := s.pass(ctx, t); err != nil {
		return err
	}
	return s.clock(ctx)
}

// pass lets the time before t pass. The daemon looks at its ladders every second; here the clock stops at each call that
// falls due, which comes to the same.
func (s *stage) pass(ctx context.Context, t time.Time) error {
	for {
		due, err := s.nextCall(ctx)
		if err != nil {
			return err
		}
		if due.IsZero() || !due.Before(t) {
			s.now = t
			return nil
		}
		s.now = due
		if err := s.clock(ctx); err != nil {
			return err
		}
	}
}

// nextCall is when the next step of a ladder falls due after now; zero: none does.
func (s *stage) nextCall(ctx context.Context) (time.Time, error) {
	open, err := s.desk.Open(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var next time.Time
	for _, r := range open {
		calls := r.Round != nil && r.Round.Calling && r.Round.NextAt.After(s.now)
		if calls && (next.IsZero() || r.Round.NextAt.Before(next)) {
			next = r.Round.NextAt
		}
	}
	return next, nil
}

func (s *stage) clock(ctx context.Context) error {
	if err := s.desk.Clock(ctx); err != nil {
		return err
	}
	return s.deliver(ctx)
}

// deliver accepts whatever is to be sent.
func (s *stage) deliver(ctx context.Context) error {
	for {
		select {
		case <-s.desk.Committed():
		default:
			return nil
		}
		for _, row := range s.store.Rows() {
			if row.State != incident.RowDue {
				continue
			}
			if err := s.desk.Delivered(ctx, row.Delivery, ""); err != nil {
				return err
			}
		}
	}
}
