package incident

import (
	"fmt"
	"slices"
	"time"
)

// remindBefore is how long before an update falls due its owner is reminded, unless less than twice that is left.
const remindBefore = 5 * time.Minute

// deliveriesOf gives the outbox rows that a commit's events cause, in their order; before is the record on which they
// were decided, after what they add up to.
func deliveriesOf(before, after *Record, events []Event, p Policy) []Delivery {
	var rows []Delivery
	record := before.clone()
	for _, e := range events {
		rows = append(rows, endings(record, e)...)
		rows = append(rows, missed(record, e, p)...)
		earlier := record.clone()
		apply(record, e)
		switch body := e.Body.(type) {
		case Paged:
			rows = append(rows, pages(record, e, body)...)
		case Acknowledged:
			if body.Round == record.presentRound() {
				rows = append(rows, acknowledgements(record, e, body.Receiver, p)...)
			}
		case UpdatePosted:
			if earlier.calling() && !record.calling() { // nobody needs to be woken for it any more
				rows = append(rows, acknowledgements(record, e, "", p)...)
			}
		}
	}
	if len(events) == 0 {
		return nil
	}
	rows = append(rows, progress(after, events, rows, p)...)
	return append(rows, reminders(before, after, events[len(events)-1], p)...)
}

// calling tells whether the last round is still calling people.
func (r *Record) calling() bool { return r.Round != nil && r.Round.Calling }

// pages calls each receiver of a step.
func pages(r *Record, e Event, paged Paged) []Delivery {
	var rows []Delivery
	for _, receiver := range paged.Receivers {
		row := delivery(r, e, receiver, DeliverPage)
		row.Round, row.Step, row.Key = paged.Round, paged.Step, paged.Key
		row.Causes, row.Severity, row.StartedAt = r.Round.Causes, paged.Severity, r.Round.StartedAt
		row.EndsKey = r.keyBefore(receiver, paged.Round)
		for _, role := range paged.Roles {
			if slices.Contains(paged.ByRole[role], receiver) {
				row.Roles = append(row.Roles, role)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// keyBefore is the key of the newest round before one that a receiver has, or may still get, and that nothing ended
// there; empty for none. A page that the receiver accepts ends it, so that a pager shows one open alert an incident. What
// a storm's digest carried has no key of its own there.
func (r *Record) keyBefore(receiver string, round int) string {
	newest := Receipt{}
	for _, receipt := range slices.Concat(r.Pages, r.Awaited) {
		mine := receipt.Receiver == receiver && receipt.Round < round && receipt.Digest == ""
		if mine && !receipt.Ended && receipt.Round > newest.Round {
			newest = receipt
		}
	}
	return newest.Key
}

// endings tells everybody who accepted a page, or may still accept one, that the incident ended, or that it calls nobody
// any more; r is the record before that. There is a row for each key that is, or may yet be, open at a receiver, and for
// the last one of a receiver that has none; outcome.settlements drops those that turn out not to be needed.
func endings(r *Record, e Event) []Delivery {
	ends, over := ending(e.Body)
	if !ends {
		return nil
	}
	var rows []Delivery
	for _, receipt := range r.toEnd(over) {
		row := delivery(r, e, receipt.Receiver, DeliverEnd, receipt.Key, receipt.Digest)
		row.about(*receipt)
		if !slices.ContainsFunc(rows, row.endsTheSame) {
			rows = append(rows, row)
		}
	}
	return rows
}

// endsTheSame tells whether another ending is under the same key of the same receiver.
func (row *Delivery) endsTheSame(other Delivery) bool {
	return row.Receiver == other.Receiver && row.Key == other.Key && row.Digest == other.Digest
}

// ending tells whether an event ends the keys that are open, and whether the incident is over with it.
func ending(body Body) (ends, over bool) {
	switch b := body.(type) {
	case Resolved, Dismissed:
		return true, true
	case SeveritySet:
		return b.EndsRound, false
	}
	return false, false
}

// about says which round of the receiver a row is about.
func (row *Delivery) about(receipt Receipt) {
	row.Round, row.Key, row.Digest = receipt.Round, receipt.Key, receipt.Digest
	row.Severity, row.StartedAt = receipt.Severity, receipt.StartedAt
}

// missed tells the owner of an incident that resolved before anybody was called for its opening, as one does that lies
// whole within a time in which the daemon was away; r is the record before the end.
func missed(r *Record, e Event, p Policy) []Delivery {
	uncalled := slices.Contains(r.Owed, CauseOpened) || slices.Contains(r.Owed, CauseReopened)
	if _, resolved := e.Body.(Resolved); !resolved || !uncalled || !p.asks(r).Page {
		return nil
	}
	var rows []Delivery
	for _, receiver := range ownerReceivers(r, p) {
		row := delivery(r, e, receiver, DeliverNotice)
		row.Severity = r.Severity
		rows = append(rows, row)
	}
	return rows
}

// ownerReceivers are those of the owners, each once.
func ownerReceivers(r *Record, p Policy) []string {
	var receivers []string
	for _, role := range ladder(r, p)[0] {
		receivers = append(receivers, without(p.Roles[role].Page, receivers)...)
	}
	return receivers
}

// acknowledgements tells every receiver that accepted the present round's page, or may still accept it, that somebody has
// the incident. Where it came from is known there already.
func acknowledgements(r *Record, e Event, from string, p Policy) []Delivery {
	var rows []Delivery
	for _, receipt := range slices.Concat(r.Pages, r.Awaited) {
		known := slices.ContainsFunc(rows, func(row Delivery) bool { return row.Receiver == receipt.Receiver })
		present := receipt.Round == r.presentRound() && !receipt.Ended
		if known || !present || receipt.Receiver == from || !p.Carries[receipt.Receiver].Acknowledgements {
			continue
		}
		row := delivery(r, e, receipt.Receiver, DeliverAcknowledge)
		row.about(receipt)
		rows = append(rows, row)
	}
	return rows
}

// progressKinds are the stations of the railway that are told on the way; pages, endings and acknowledgements tell the
// others.
var progressKinds = map[string]bool{
	FindingJoined{}.Kind(): true, BreachJoined{}.Kind(): true, TriggerCleared{}.Kind(): true, Relapsed{}.Kind(): true,
	Reopened{}.Kind(): true, SeverityRaised{}.Kind(): true, SeveritySet{}.Kind(): true,
	HoldStarted{}.Kind(): true, HoldBroken{}.Kind(): true, Unverified{}.Kind(): true, WentBlind{}.Kind(): true, SightBack{}.Kind(): true,
	Unacknowledged{}.Kind(): true, UpdatePosted{}.Kind(): true, UpdateOverdue{}.Kind(): true,
	ActionRequested{}.Kind(): true, ActionApproved{}.Kind(): true, ActionStarted{}.Kind(): true, ActionDone{}.Kind(): true,
	ActionEffective{}.Kind(): true, ActionFailed{}.Kind(): true, EffectMeasured{}.Kind(): true, Mitigated{}.Kind(): true,
	EvidenceGathered{}.Kind(): true, SuspectsRanked{}.Kind(): true,
}

// progress tells receivers that accepted a page, and can carry it, what a commit brought: one row each, unless a page or an
// end of the commit says it there.
func progress(r *Record, events []Event, rows []Delivery, p Policy) []Delivery {
	if !r.Open() {
		return nil
	}
	var told []Delivery
	for at := len(r.Pages) - 1; at >= 0; at-- { // the newest round first
		receipt := r.Pages[at]
		carries := p.Carries[receipt.Receiver]
		known := slices.ContainsFunc(slices.Concat(rows, told), func(row Delivery) bool {
			return row.Receiver == receipt.Receiver && row.Kind != DeliverAcknowledge
		})
		news := slices.ContainsFunc(events, func(e Event) bool { return progressKinds[e.Body.Kind()] || carries.newsToo(e.Body, receipt) })
		if known || !carries.Progress || !news {
			continue
		}
		row := delivery(r, events[len(events)-1], receipt.Receiver, DeliverProgress)
		row.about(receipt)
		told = append(told, row)
	}
	slices.Reverse(told)
	return told
}

// newsToo tells whether an acknowledgement is progress for a receiver that can't be told of it otherwise.
func (c Carries) newsToo(body Body, receipt Receipt) bool {
	b, ok := body.(Acknowledged)
	return ok && !c.Acknowledgements && b.Receiver != receipt.Receiver
}

// reminders tells the owner of an update that falls due soon, where a commit set its time.
func reminders(before, after *Record, e Event, p Policy) []Delivery {
	next := after.NextUpdateAt
	if next.Equal(before.NextUpdateAt) || !after.Open() || !p.asks(after).Page || !next.After(e.RecordedAt) {
		return nil
	}
	var rows []Delivery
	for _, receiver := range ownerReceivers(after, p) {
		if !p.Carries[receiver].Notices {
			continue
		}
		row := delivery(after, e, receiver, DeliverNotice, fmt.Sprint(next.UnixMicro()))
		row.Severity, row.Reminds = after.Severity, next
		row.Due = next.Add(-min(remindBefore, next.Sub(e.RecordedAt)/2))
		rows = append(rows, row)
	}
	return rows
}

// delivery is a row that the event causes. Its id is made from the event's, so that a repeat can't call twice.
func delivery(r *Record, e Event, receiver, kind string, more ...string) Delivery {
	return Delivery{
		ID:       hash(append([]string{e.ID, receiver, kind}, more...)...),
		Incident: r.ID, Receiver: receiver, Seq: e.Seq, Kind: kind, Due: e.RecordedAt,
	}
}
