package incident

import (
	"context"
	"fmt"
	"slices"
)

// Briefing is what must be known to send a delivery: what is true at that moment.
type Briefing struct {
	View     View
	Receipt  string          // of the page that the receiver accepted under the delivery's key; empty: it accepted none
	Thread   string          // of the first page of the incident that the receiver accepted; empty: it accepted none
	Digest   string          // of an end: key of the storm's digest that carried the page after all; empty: it came by itself
	EndsKey  string          // of a page: the key of an older round that it ends there; what stands, not what was planned
	Needless string          // why it need not be sent any more; empty: it must be
	Happened []TimelineEntry // what the commit brought that caused the delivery, up to the delivery's event
}

// Brief gives what must be known to send a delivery now.
func (d *Desk) Brief(ctx context.Context, delivery Delivery) (Briefing, error) {
	r, history, err := d.load(ctx, delivery.Incident)
	if err != nil {
		return Briefing{}, err
	}
	policy := d.policy(ctx)
	b := Briefing{View: d.view(r, history, policy, d.now()), Needless: needless(r, history, delivery, policy), Digest: delivery.Digest}
	if delivery.Kind == DeliverPage {
		b.EndsKey = r.endsAt(delivery)
	}
	for _, receipt := range r.Pages {
		if receipt.Receiver != delivery.Receiver {
			continue
		}
		if b.Thread == "" {
			b.Thread = receipt.Receipt
		}
		if receipt.Key == delivery.Key && (receipt.Digest == delivery.Digest || b.Receipt == "") {
			b.Receipt = receipt.Receipt
			if delivery.Kind == DeliverEnd && delivery.Digest == "" {
				b.Digest = receipt.Digest
			}
		}
	}
	b.Happened = happened(b.View.Timeline, delivery.Seq)
	return b, nil
}

// happened gives the entries of the commit that an event came with, up to that event. All events of a commit are
// recorded at one time, and no two commits of an incident are.
func happened(timeline []TimelineEntry, seq int64) []TimelineEntry {
	end := slices.IndexFunc(timeline, func(entry TimelineEntry) bool { return entry.Seq == seq })
	if end < 0 {
		return nil
	}
	first := end
	for first > 0 && timeline[first-1].RecordedAt.Equal(timeline[end].RecordedAt) {
		first--
	}
	return timeline[first : end+1]
}

// needless says why a delivery need not be sent any more; empty: it must be. An end always must, unless a later one ends the
// same: somebody may still look at what it ends.
func needless(r *Record, history []Event, d Delivery, p Policy) string {
	switch d.Kind {
	case DeliverPage:
		return pageNeedless(r, history, d)
	case DeliverAcknowledge:
		return acknowledgeNeedless(r, d)
	case DeliverEnd:
		if slices.ContainsFunc(endingsWritten(history), func(end Delivery) bool { return end.Seq > d.Seq && d.endsTheSame(end) }) {
			return "a later message tells the end"
		}
	case DeliverProgress:
		if !r.Open() {
			return "it is over; the end has been told"
		}
	case DeliverNotice:
		if !d.Reminds.IsZero() && (!r.Open() || !r.NextUpdateAt.Equal(d.Reminds) || !p.asks(r).Page) {
			return "that update isn't due any more"
		}
	}
	return ""
}

// pageNeedless says why a page need not be sent: a later one of its round is going to call the same there, as after hours in
// which a receiver could not be reached; or its round is over, and each role that it calls has accepted that round
// somewhere. Else it is sent late, with the present truth in its first line: whoever should have been called learns that
// it happened.
func pageNeedless(r *Record, history []Event, d Delivery) string {
	if len(d.Roles) == 0 {
		return ""
	}
	if slices.ContainsFunc(history, d.repeatedBy) {
		return fmt.Sprintf("a later page of round %d calls the same there", d.Round)
	}
	if d.Round == r.presentRound() && r.calling() {
		return ""
	}
	reached := receiversOf(history, d.Round)
	for _, role := range d.Roles {
		accepted := slices.ContainsFunc(reached[role], func(receiver string) bool { return find(r.Pages, receiver, d.Round) != nil })
		if !accepted {
			return ""
		}
	}
	return fmt.Sprintf("round %d is over, and was delivered elsewhere", d.Round)
}

// repeatedBy tells whether an event calls, through the same receiver and in the same round, every role that a page calls,
// later than it.
func (d *Delivery) repeatedBy(e Event) bool {
	paged, ok := e.Body.(Paged)
	return ok && e.Seq > d.Seq && paged.Round == d.Round && !slices.ContainsFunc(d.Roles, func(role string) bool {
		return !slices.Contains(paged.ByRole[role], d.Receiver)
	})
}

// receiversOf are the receivers that a round called, by role.
func receiversOf(history []Event, round int) map[string][]string {
	all := map[string][]string{}
	for _, e := range history {
		paged, ok := e.Body.(Paged)
		if !ok || paged.Round != round {
			continue
		}
		for role, receivers := range paged.ByRole {
			all[role] = append(all[role], receivers...)
		}
	}
	return all
}

// acknowledgeNeedless says why nobody need be told that somebody has the round.
func acknowledgeNeedless(r *Record, d Delivery) string {
	standing := slices.ContainsFunc(r.Pages, func(receipt Receipt) bool {
		return receipt.Receiver == d.Receiver && receipt.Key == d.Key && !receipt.Ended
	})
	switch {
	case !r.Open():
		return "it is over; the end has been told"
	case d.Round != r.presentRound():
		return fmt.Sprintf("round %d is not the present one any more", d.Round)
	case !standing:
		return "no page of this round stands there"
	}
	return ""
}
