package incident

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// settledAtOnce is how many rows of a digest are settled in one transaction.
const settledAtOnce = 50

// Standing is a round whose page a receiver has accepted, that has not ended there, of an incident that is open.
type Standing struct {
	View      View
	Round     int
	Key       string
	Severity  runbook.Severity // of the round
	StartedAt time.Time        // of the round
	Receipt   string           // what the receiver answered to the page
	Digest    string           // key of the storm's digest that carried the page; empty: it came by itself
}

// Standing gives the rounds that the receiver has accepted and that have not ended there, of incidents that are open.
func (d *Desk) Standing(ctx context.Context, receiver string) ([]Standing, error) {
	open, err := d.openAll(ctx)
	if err != nil {
		return nil, err
	}
	var standing []Standing
	policy, now := d.policy(ctx), d.now()
	for _, r := range open {
		for _, receipt := range r.Pages {
			if receipt.Receiver == receiver && !receipt.Ended {
				standing = append(standing, Standing{
					View:  d.view(r, nil, policy, now),
					Round: receipt.Round, Key: receipt.Key, Severity: receipt.Severity, StartedAt: receipt.StartedAt,
					Receipt: receipt.Receipt, Digest: receipt.Digest,
				})
			}
		}
	}
	return standing, nil
}

// Delivered settles an outbox row: the receiver has it. receipt is what the receiver answered.
func (d *Desk) Delivered(ctx context.Context, delivery Delivery, receipt string) error {
	return d.outcomes(ctx, outcome{delivery: delivery, result: resultDelivered, receipt: receipt})
}

// DeliveredIn settles the rows that one digest carried to a receiver. digest is the key under which it did; the endings
// of what it carried name it.
func (d *Desk) DeliveredIn(ctx context.Context, deliveries []Delivery, digest, receipt string) error {
	all := make([]outcome, 0, len(deliveries))
	for _, delivery := range deliveries {
		all = append(all, outcome{delivery: delivery, result: resultDelivered, receipt: receipt, digest: digest})
	}
	for some := range slices.Chunk(all, settledAtOnce) {
		if err := d.outcomes(ctx, some...); err != nil {
			return err
		}
	}
	return nil
}

// Failed settles an outbox row, if permanent: the receiver refuses it for good. If not, the row stays due, but the
// ladder no longer waits for it. When no receiver of the present step takes the page, the next step is called at once.
func (d *Desk) Failed(ctx context.Context, delivery Delivery, cause string, permanent bool) error {
	result := resultLate
	if permanent {
		result = resultRefused
	}
	return d.outcomes(ctx, outcome{delivery: delivery, result: result, cause: cause})
}

// Awaited says that a page has not been taken by its receiver yet. The row stays due and the ladder goes on waiting for
// it; people who look see that the call has not arrived.
func (d *Desk) Awaited(ctx context.Context, delivery Delivery, cause string) error {
	return d.outcomes(ctx, outcome{delivery: delivery, result: resultAwaited, cause: cause})
}

// Superseded settles an outbox row that was not sent, for nobody needs it any more.
func (d *Desk) Superseded(ctx context.Context, delivery Delivery, why string) error {
	return d.outcomes(ctx, outcome{delivery: delivery, result: resultSuperseded, cause: why})
}

// outcomes decides and commits what became of deliveries, in one transaction.
func (d *Desk) outcomes(ctx context.Context, all ...outcome) error {
	return d.decide(ctx, func() (Commit, error) {
		var commit Commit
		var incidents []string
		of := map[string][]outcome{}
		for _, o := range all {
			if of[o.delivery.Incident] == nil {
				incidents = append(incidents, o.delivery.Incident)
			}
			of[o.delivery.Incident] = append(of[o.delivery.Incident], o)
		}
		for _, id := range incidents {
			if err := d.outcomesOf(ctx, id, of[id], &commit); err != nil {
				return Commit{}, err
			}
		}
		return commit, nil
	})
}

// outcomesOf adds to a commit what became of deliveries of one incident. Told again, as after a crash between a send and
// its commit, an outcome settles its row and adds nothing.
func (d *Desk) outcomesOf(ctx context.Context, id string, all []outcome, commit *Commit) error {
	r, history, err := d.load(ctx, id)
	if err != nil {
		return err
	}
	policy, now := d.policy(ctx), d.now()
	known := func(id string) bool {
		return slices.ContainsFunc(history, func(e Event) bool { return e.ID == id })
	}
	record, added, written := r.clone(), []Event(nil), endingsWritten(history)
	for _, o := range all {
		events, ended := decideOutcome(record, o, policy, now), ""
		if len(events) > 0 && !known(events[0].ID) {
			if accepted, ok := events[0].Body.(PageDelivered); ok {
				ended = accepted.Ended
			}
			for i := range events {
				events[i].RecordedAt = now
				apply(record, events[i])
			}
			added = append(added, events...)
		}
		commit.Settled = append(commit.Settled, o.settlements(record, ended, written, now)...)
	}
	if len(added) > 0 {
		commit.Changes = append(commit.Changes, change(r, added, policy, now))
	}
	return nil
}

// load gives a record with its events; ref is an id or a number.
func (d *Desk) load(ctx context.Context, ref string) (*Record, []Event, error) {
	r, err := d.config.Store.Load(ctx, ref)
	if err != nil {
		return nil, nil, fmt.Errorf("load incident: %w", err)
	}
	history, err := d.config.Store.Events(ctx, r.ID, 0, int(r.Version))
	if err != nil {
		return nil, nil, fmt.Errorf("read the events of %s: %w", r, err)
	}
	return r, history, nil
}

// endingsWritten gives all ending messages of an incident, as they were written.
func endingsWritten(history []Event) []Delivery {
	var rows []Delivery
	r := &Record{}
	for _, e := range history {
		rows = append(rows, endings(r, e)...)
		apply(r, e)
	}
	return rows
}
