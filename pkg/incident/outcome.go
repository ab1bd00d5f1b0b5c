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
	digest   string // the key under which a storm's digest carried it; empty: it came by itself
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
			Ended: o.ended(r), Digest: o.digest}, "")
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

// ended is the key that the page ended where it was accepted. A digest ends none.
func (o outcome) ended(r *Record) string {
	if o.digest != "" {
		return ""
	}
	return r.endsAt(o.delivery)
}

// endsAt is the key of an older round that a page ends at its receiver: the newest one that stands there. Where the page's
// own round was ended before the page was sent, what the same event ended stands there yet: rows are sent in their order,
// and that ending comes after this page.
func (r *Record) endsAt(page Delivery) string {
	newest, endedBy := Receipt{}, int64(0)
	if awaited := find(r.Awaited, page.Receiver, page.Round); awaited != nil {
		endedBy = awaited.EndedBy
	}
	for _, receipt := range r.Pages {
		older := receipt.Receiver == page.Receiver && receipt.Round < page.Round && receipt.Digest == ""
		stands := !receipt.Ended || endedBy != 0 && receipt.EndedBy == endedBy
		if older && stands && receipt.Round > newest.Round {
			newest = receipt
		}
	}
	return newest.Key
}

// settlements are what becomes of the outbox rows. ends are all ending messages that the incident ever wrote: when a page
// of it was not sent after all, or ended an older key, the endings that were kept ready for that are not needed any more.
// So who accepted a page gets one ending, and who didn't gets none. r is the record with the outcome in it, ended the key
// that its page ended.
func (o outcome) settlements(r *Record, ended string, ends []Delivery, now time.Time) []Settlement {
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
		if end.Receiver == o.delivery.Receiver && o.spares(r, end.Key, ended) {
			all = append(all, Settlement{ID: end.ID, State: RowSuperseded, At: now, Error: "no page of this round stands there"})
		}
	}
	return all
}

// spares tells whether the outcome leaves nothing to end under a key at its receiver: its page ended it, or was the last
// one of the round that the receiver could have accepted. What a digest carried is ended by the digest's own end.
func (o outcome) spares(r *Record, key, ended string) bool {
	under := func(receipts []Receipt, digested bool) bool {
		return slices.ContainsFunc(receipts, func(receipt Receipt) bool {
			return receipt.Receiver == o.delivery.Receiver && receipt.Key == key && (receipt.Digest != "" || !digested)
		})
	}
	if key == ended {
		return !under(r.Pages, true)
	}
	return key == o.delivery.Key && !under(r.Pages, false) && !under(r.Awaited, false)
}
