package incident

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Standing is a round whose page a receiver has accepted, that has not ended there, of an incident that is open.
type Standing struct {
	View      View
	Round     int
	Key       string
	Severity  runbook.Severity // of the round
	StartedAt time.Time        // of the round
}

// Standing gives the rounds that the receiver has accepted and that have not ended there, of incidents that are open.
func (d *Desk) Standing(ctx context.Context, receiver string) ([]Standing, error) {
	open, err := d.Open(ctx)
	if err != nil {
		return nil, err
	}
	var standing []Standing
	for _, r := range open {
		for _, receipt := range r.Pages {
			if receipt.Receiver == receiver && !receipt.Ended {
				standing = append(standing, Standing{
					View:  d.view(r, nil, d.config.Policy(), d.now()),
					Round: receipt.Round, Key: receipt.Key, Severity: receipt.Severity, StartedAt: receipt.StartedAt,
				})
			}
		}
	}
	return standing, nil
}

// Delivered settles an outbox row: the receiver has it. receipt is what the receiver answered.
func (d *Desk) Delivered(ctx context.Context, delivery Delivery, receipt string) error {
	return d.outcome(ctx, outcome{delivery: delivery, result: resultDelivered, receipt: receipt})
}

// Failed settles an outbox row, if permanent: the receiver refuses it for good. If not, the row stays due, but the
// ladder no longer waits for it. When no receiver of the present step takes the page, the next step is called at once.
func (d *Desk) Failed(ctx context.Context, delivery Delivery, cause string, permanent bool) error {
	result := resultLate
	if permanent {
		result = resultRefused
	}
	return d.outcome(ctx, outcome{delivery: delivery, result: result, cause: cause})
}

// Awaited says that a page has not been taken by its receiver yet. The row stays due and the ladder goes on waiting for
// it; people who look see that the call has not arrived.
func (d *Desk) Awaited(ctx context.Context, delivery Delivery, cause string) error {
	return d.outcome(ctx, outcome{delivery: delivery, result: resultAwaited, cause: cause})
}

// Superseded settles an outbox row that was not sent, for nobody needs it any more.
func (d *Desk) Superseded(ctx context.Context, delivery Delivery, why string) error {
	return d.outcome(ctx, outcome{delivery: delivery, result: resultSuperseded, cause: why})
}

// outcome decides and commits what became of a delivery. Told again, as after a crash between a send and its commit,
// it settles the row and adds nothing.
func (d *Desk) outcome(ctx context.Context, o outcome) error {
	return d.decide(ctx, func() (Commit, error) {
		r, err := d.config.Store.Load(ctx, o.delivery.Incident)
		if err != nil {
			return Commit{}, fmt.Errorf("load incident %s: %w", o.delivery.Incident, err)
		}
		history, err := d.config.Store.Events(ctx, r.ID, 0, int(r.Version))
		if err != nil {
			return Commit{}, fmt.Errorf("read the events of %s: %w", r, err)
		}
		var commit Commit
		policy, now := d.config.Policy(), d.now()
		events := decideOutcome(r, o, policy, now)
		told := len(events) > 0 && slices.ContainsFunc(history, func(e Event) bool { return e.ID == events[0].ID })
		if len(events) > 0 && !told {
			c := change(r, events, policy, now)
			commit.Changes = []Change{c}
			r = c.Record
		}
		commit.Settled = o.settlements(r, endingsWritten(r, history), now)
		return commit, nil
	})
}

// endingsWritten gives the ending messages of an incident that is over, as they were written when it ended.
func endingsWritten(r *Record, history []Event) []Delivery {
	if r.Open() {
		return nil
	}
	for i := len(history) - 1; i >= 0; i-- {
		if _, ended := history[i].Body.(Resolved); ended {
			return endings(Fold(history[:i+1]), history[i])
		}
	}
	return nil
}
