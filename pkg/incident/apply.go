package incident

import (
	"slices"
	"time"
)

// Fold adds events up to the record of their incident, nil for none. The snapshots of its findings are not in the
// events: whoever needs them fills them in from their hashes.
func Fold(events []Event) *Record {
	if len(events) == 0 {
		return nil
	}
	r := &Record{}
	for _, e := range events {
		apply(r, e)
	}
	return r
}

// apply adds one event to the record. Nothing else changes a record. A body of an unknown kind changes nothing but
// the version.
func apply(r *Record, e Event) {
	r.Version = e.Seq
	if tickKinds[e.Body.Kind()] && e.At.After(r.LastTick) {
		r.LastTick = e.At
	}
	if body, ok := e.Body.(effect); ok {
		body.apply(r, e)
	}
}

// effect is a body that changes the record.
type effect interface {
	apply(r *Record, e Event)
}

// tickKinds are the events that only a tick finds. Paging is not among them: the clock pages too.
var tickKinds = map[string]bool{
	Opened{}.Kind(): true, BreachJoined{}.Kind(): true, TriggerCleared{}.Kind(): true, Relapsed{}.Kind(): true,
	SeverityRaised{}.Kind(): true, HoldStarted{}.Kind(): true, HoldBroken{}.Kind(): true, Resolved{}.Kind(): true,
	WentBlind{}.Kind(): true, SightBack{}.Kind(): true, Unverified{}.Kind(): true,
}

func (b Opened) apply(r *Record, e Event) {
	finding := Finding{Runbook: b.Runbook, Name: b.Name, Group: b.Group, Frozen: b.Frozen}
	finding.breach(b.Breaches)
	r.ID = incidentID(finding.Key(), e.At)
	r.Findings = []Finding{finding}
	r.Service = b.Service
	r.Severity, r.Peak, r.Rule = b.Severity, b.Severity, b.Rule
	r.BreachBegan, r.ImpactStartedAt = b.BreachBegan, b.ImpactStartedAt
	r.OpenedAt, r.DetectedAt, r.Floor = e.At, e.RecordedAt, e.At
	r.Follows = b.Follows
	r.owe(CauseOpened)
}

func (b BreachJoined) apply(r *Record, _ Event) {
	if f := r.finding(b.Runbook); f != nil {
		f.breach(b.Breaches)
	}
}

func (b TriggerCleared) apply(r *Record, e Event) {
	if f := r.finding(b.Runbook); f != nil {
		f.Cleared, f.Fired = true, nil
	}
	allClear := !slices.ContainsFunc(r.Findings, func(f Finding) bool { return !f.Cleared })
	if allClear && r.MitigatedAt.IsZero() {
		r.MitigatedAt = e.At
	}
}

func (b Relapsed) apply(r *Record, _ Event) {
	if f := r.finding(b.Runbook); f != nil {
		f.Cleared = false
		f.breach(b.Breaches)
	}
	r.Hold = nil
	r.MitigatedAt = time.Time{}
	r.owe(CauseRelapsed)
}

func (b SeverityRaised) apply(r *Record, _ Event) {
	r.Severity, r.Rule = b.To, b.Rule
	if b.To.Worse(r.Peak) {
		r.Peak = b.To
	}
	r.owe(CauseRaised)
}

func (b HoldStarted) apply(r *Record, e Event) {
	r.Hold = &Hold{Since: e.At}
	if r.FirstHold.IsZero() {
		r.FirstHold = e.At
	}
}

func (b HoldBroken) apply(r *Record, _ Event) { r.Hold = nil }

func (b Resolved) apply(r *Record, e Event) {
	r.ResolvedAt, r.ImpactEndedAt = e.At, b.ImpactEndedAt
	r.Hold, r.Blind, r.Owed = nil, nil, nil
	r.stopCalling()
}

func (b WentBlind) apply(r *Record, _ Event) {
	r.Blind = &Blindness{Conditions: b.Conditions, Since: b.Since}
	r.owe(CauseBlind)
}

// apply drops the cause with the blindness: nobody is woken for one that is over.
func (b SightBack) apply(r *Record, _ Event) {
	r.Blind = nil
	r.Owed = slices.DeleteFunc(r.Owed, func(cause string) bool { return cause == CauseBlind })
}

func (b Unverified) apply(r *Record, _ Event) {
	r.Unverified = true
	r.owe(CauseUnverified)
}

func (b Paged) apply(r *Record, e Event) {
	if r.Round == nil || r.Round.N != b.Round {
		r.Round = &Round{N: b.Round, Key: b.Key, Causes: b.Causes, Severity: b.Severity, StartedAt: e.At}
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
	r.Owed = nil
	for _, receiver := range b.Receivers {
		r.Awaited = append(r.Awaited, Receipt{Receiver: receiver, Round: b.Round, Key: r.Round.Key,
			Severity: r.Round.Severity, StartedAt: r.Round.StartedAt})
	}
}

func (b PageDelivered) apply(r *Record, e Event) {
	if r.PagedAt.IsZero() {
		r.PagedAt = e.At
	}
	if awaited := find(r.Awaited, b.Receiver, b.Round); awaited != nil {
		if find(r.Pages, b.Receiver, b.Round) == nil {
			r.Pages = append(r.Pages, *awaited)
		}
		r.stopAwaiting(b.Receiver, b.Round)
	}
	for i := range r.Pages {
		if r.Pages[i].Receiver == b.Receiver && r.Pages[i].Key == b.Ended {
			r.Pages[i].Ended = true
		}
	}
	if r.Round != nil && r.Round.N == b.Round {
		taken := func(name string) bool { return name == b.Receiver }
		r.Round.Failed = slices.DeleteFunc(r.Round.Failed, taken)
		r.Round.Untaken = slices.DeleteFunc(r.Round.Untaken, taken)
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
		r.Owed = nil
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

func (r *Record) finding(runbook string) *Finding {
	for i := range r.Findings {
		if r.Findings[i].Name == runbook {
			return &r.Findings[i]
		}
	}
	return nil
}

// breach adds breaches, each with its latest value.
func (f *Finding) breach(breaches []Breach) {
	for _, b := range breaches {
		at := slices.IndexFunc(f.Breaches, func(known Breach) bool { return known.name() == b.name() })
		if at < 0 {
			f.Breaches = append(f.Breaches, b)
		} else {
			f.Breaches[at] = b
		}
		if !slices.Contains(f.Fired, b.name()) {
			f.Fired = append(f.Fired, b.name())
		}
	}
}

// name tells a condition and a segment of it from all others of the finding.
func (b *Breach) name() string { return b.Condition + " " + b.Segment.String() }

func find(receipts []Receipt, receiver string, round int) *Receipt {
	for i := range receipts {
		if receipts[i].Receiver == receiver && receipts[i].Round == round {
			return &receipts[i]
		}
	}
	return nil
}

// clone copies the record so deep that apply on the copy leaves the original as it was. Snapshots are shared: nobody
// changes them.
func (r *Record) clone() *Record {
	c := *r
	c.Findings = slices.Clone(r.Findings)
	for i := range c.Findings {
		c.Findings[i].Breaches = slices.Clone(r.Findings[i].Breaches)
		c.Findings[i].Fired = slices.Clone(r.Findings[i].Fired)
	}
	c.Acknowledged, c.Hold, c.Blind, c.Round = copied(r.Acknowledged), copied(r.Hold), copied(r.Blind), copied(r.Round)
	if c.Round != nil {
		c.Round.Failed, c.Round.Called = slices.Clone(r.Round.Failed), slices.Clone(r.Round.Called)
		c.Round.Untaken = slices.Clone(r.Round.Untaken)
	}
	c.Owed, c.Pages, c.Awaited = slices.Clone(r.Owed), slices.Clone(r.Pages), slices.Clone(r.Awaited)
	return &c
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
