package incident

import (
	"slices"
	"time"
)

func (b Paged) apply(r *Record, e Event) {
	if r.Round == nil || r.Round.N != b.Round {
		untaken := r.stillUntaken()
		r.Round = &Round{N: b.Round, Key: b.Key, Causes: b.Causes, Severity: b.Severity, StartedAt: e.At, Untaken: untaken}
	}
	r.Round.Step, r.Round.Pass, r.Round.NextAt = b.Step, b.Pass, b.NextAt
	r.Round.Receivers, r.Round.Failed = b.Receivers, nil
	r.Round.Calling = true
	r.Round.Reached = max(r.Round.Reached, b.Step)
	r.Reached = max(r.Reached, b.Step)
	for _, role := range b.Roles {
		if !slices.Contains(r.Round.Called, role) {
			r.Round.Called = append(r.Round.Called, role)
		}
	}
	for role, receivers := range b.ByRole {
		if r.Round.ByRole == nil {
			r.Round.ByRole = map[string][]string{}
		}
		r.Round.ByRole[role] = receivers
	}
	r.Owed, r.Held = nil, nil
	for _, receiver := range b.Receivers {
		r.Awaited = append(r.Awaited, Receipt{Receiver: receiver, Round: b.Round, Key: r.Round.Key,
			Severity: r.Round.Severity, StartedAt: r.Round.StartedAt})
	}
}

// stillUntaken are the receivers that have failed to take a page of the round before, and are still to take it: its rows
// wait in front of the new round's.
func (r *Record) stillUntaken() []string {
	if r.Round == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(r.Round.Untaken), func(receiver string) bool {
		return !slices.ContainsFunc(r.Awaited, func(receipt Receipt) bool { return receipt.Receiver == receiver })
	})
}

func (b PageDelivered) apply(r *Record, e Event) {
	if r.PagedAt.IsZero() {
		r.PagedAt = e.At
	}
	if awaited := find(r.Awaited, b.Receiver, b.Round); awaited != nil {
		accepted := *awaited
		accepted.Receipt, accepted.Digest = b.Receipt, b.Digest
		known := func(receipt Receipt) bool {
			return receipt.Receiver == b.Receiver && receipt.Round == b.Round && receipt.Digest == b.Digest
		}
		if !slices.ContainsFunc(r.Pages, known) {
			r.Pages = append(r.Pages, accepted)
		}
		r.stopAwaiting(b.Receiver, b.Round)
	}
	for i := range r.Pages {
		if r.Pages[i].Receiver == b.Receiver && r.Pages[i].Key == b.Ended && r.Pages[i].Digest == "" {
			r.Pages[i].Ended, r.Pages[i].EndedBy = true, 0
		}
	}
	if r.Round != nil && r.Round.N == b.Round {
		taken := func(name string) bool { return name == b.Receiver }
		r.Round.Failed = slices.DeleteFunc(r.Round.Failed, taken)
		r.Round.Untaken = slices.DeleteFunc(r.Round.Untaken, taken)
	}
}

// apply moves what is owed to what waits for the end of a silence.
func (b PageHeld) apply(r *Record, _ Event) {
	r.Owed = nil
	for _, cause := range b.Causes {
		if !slices.Contains(r.Held, cause) {
			r.Held = append(r.Held, cause)
		}
	}
}

func (b PageFailed) apply(r *Record, _ Event) {
	if b.Permanent {
		r.stopAwaiting(b.Receiver, b.Round)
	}
	round := r.Round
	if round != nil && round.N == b.Round && !b.NotSent && !slices.Contains(round.Untaken, b.Receiver) {
		round.Untaken = append(round.Untaken, b.Receiver)
	}
	if b.Awaited {
		return
	}
	present := round != nil && round.N == b.Round && round.Step == b.Step && slices.Contains(round.Receivers, b.Receiver)
	if present && !b.NotSent && !slices.Contains(round.Failed, b.Receiver) {
		round.Failed = append(round.Failed, b.Receiver)
	}
}

// apply stops the round that is named and no other one: an old button doesn't silence a new call.
func (b Acknowledged) apply(r *Record, e Event) {
	r.Acknowledged = &Acknowledgement{By: e.Actor, At: e.At}
	if r.AcknowledgedAt.IsZero() {
		r.AcknowledgedAt = e.At
	}
	if b.Round == r.presentRound() {
		r.Owed, r.Held = nil, nil
		r.stopCalling()
	}
}

func (b Unacknowledged) apply(r *Record, _ Event) {
	r.Acknowledged = nil
	r.owe(CauseUnacknowledged)
}

// owe notes a cause for paging. Whether the severity pages is asked when it is taken up, by the settings in force
// then, so a cause under a severity that doesn't page waits for one that does.
func (r *Record) owe(cause string) {
	if !slices.Contains(r.Owed, cause) {
		r.Owed = append(r.Owed, cause)
	}
}

func (r *Record) stopCalling() {
	if r.Round != nil {
		r.Round.Calling, r.Round.NextAt = false, time.Time{}
	}
}

// stopAwaiting forgets one page of a round: a receiver that is called again and again is awaited as often.
func (r *Record) stopAwaiting(receiver string, round int) {
	at := slices.IndexFunc(r.Awaited, func(receipt Receipt) bool {
		return receipt.Receiver == receiver && receipt.Round == round
	})
	if at >= 0 {
		r.Awaited = slices.Delete(r.Awaited, at, at+1)
	}
}

// presentRound is the number of the last round, 0 for none.
func (r *Record) presentRound() int {
	if r.Round == nil {
		return 0
	}
	return r.Round.N
}

func find(receipts []Receipt, receiver string, round int) *Receipt {
	for i := range receipts {
		if receipts[i].Receiver == receiver && receipts[i].Round == round {
			return &receipts[i]
		}
	}
	return nil
}
