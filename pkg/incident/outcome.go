package incident

import (
	"slices"
	"time"
)

// What became of a delivery.
const (
	resultDelivered  = "delivered"  // accepted
	resultRefused    = "refused"    // for good: it is not sent again
	resultAwaited    = "awaited"    // an attempt has failed, and the ladder still waits: told so that people know
	resultLate       = "late"       // not taken in time: it goes on being tried, and the ladder doesn't wait for it
	resultSuperseded = "superseded" // not sent, for nobody needs it any more
)

// outcome is what became of a delivery.
type outcome struct {
	delivery Delivery
	result   string
	receipt  string // what the receiver answered to a page that it accepted
	cause    string // why it was refused, is late or was not sent; without addresses and secrets
}

// decideOutcome returns the events that an outcome adds to its incident; only pages have any. When nobody on the
// present step takes the page, the next step is called at once. It is pure, and the events' ids are made from the
// delivery's, so the same outcome told twice is one.
func decideOutcome(r *Record, o outcome, p Policy, now time.Time) []Event {
	page := o.delivery
	if page.Kind != DeliverPage {
		return nil
	}
	d := newDecision(r, p, now)
	d.seed = page.ID
	switch o.result {
	case resultDelivered:
		d.add(PageDelivered{Round: page.Round, Step: page.Step, Receiver: page.Receiver, Receipt: o.receipt,
			Ended: page.EndsKey}, "")
	case resultAwaited:
		d.add(PageFailed{Round: page.Round, Step: page.Step, Receiver: page.Receiver, Cause: o.cause, Awaited: true}, o.result)
	case resultRefused, resultLate:
		d.add(PageFailed{Round: page.Round, Step: page.Step, Receiver: page.Receiver, Cause: o.cause,
			Permanent: o.result == resultRefused}, o.result)
		d.escalateFailed()
	case resultSuperseded:
		d.add(PageFailed{Round: page.Round, Step: page.Step, Receiver: page.Receiver, Cause: o.cause,
			Permanent: true, NotSent: true}, o.result)
	}
	return d.events
}

// settlements are what becomes of the outbox rows. ends are the ending messages of an incident that is over: when a
// page of it was not sent after all, or ended an older key, the endings that were kept ready for that are not needed
// any more. So who accepted a page gets one ending, and who didn't gets none.
func (o outcome) settlements(record *Record, ends []Delivery, now time.Time) []Settlement {
	states := map[string]string{resultDelivered: RowSent, resultRefused: RowRefused, resultSuperseded: RowSuperseded}
	state, settled := states[o.result]
	if !settled {
		return nil
	}
	all := []Settlement{{ID: o.delivery.ID, State: state, At: now, Error: o.cause}}
	if o.delivery.Kind != DeliverPage {
		return all
	}
	for _, end := range ends {
		mine := end.Receiver == o.delivery.Receiver && (end.Key == o.delivery.Key || end.Key == o.delivery.EndsKey)
		if mine && !record.mayNeedEnd(end.Receiver, end.Key) {
			all = append(all, Settlement{ID: end.ID, State: RowSuperseded, At: now, Error: "no page of this round stands there"})
		}
	}
	return all
}

// mayNeedEnd tells whether a receiver accepted a page under a key that no later round ended there, or may still accept
// one.
func (r *Record) mayNeedEnd(receiver, key string) bool {
	return slices.ContainsFunc(slices.Concat(r.Pages, r.Awaited), func(receipt Receipt) bool {
		return receipt.Receiver == receiver && receipt.Key == key && !receipt.Ended
	})
}
