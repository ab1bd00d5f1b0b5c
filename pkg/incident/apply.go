package incident

import (
	"maps"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
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
	if tickKinds[e.Body.Kind()] {
		r.decided(e.At)
	}
	if body, ok := e.Body.(effect); ok {
		body.apply(r, e)
	}
}

// decided notes a tick that found something.
func (r *Record) decided(t time.Time) {
	if t.After(r.LastTick) {
		r.LastTick = t
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
	FindingJoined{}.Kind(): true, PinExpired{}.Kind(): true, EffectMeasured{}.Kind(): true,
}

func (b Opened) apply(r *Record, e Event) {
	finding := b.finding(e.At)
	r.ID = incidentID(b.Class, finding.Key(), e.At)
	r.Class = b.Class
	r.Findings = []Finding{finding}
	r.Service = b.Service
	r.Severity, r.Peak, r.Rule = b.Severity, b.Severity, b.Rule
	r.BreachBegan, r.ImpactStartedAt = b.BreachBegan, b.ImpactStartedAt
	r.OpenedAt, r.DetectedAt, r.Floor = e.At, e.RecordedAt, e.At
	r.Follows, r.Normal, r.NextUpdateAt, r.BlastRadius = b.Follows, b.Normal, b.NextUpdateAt, b.BlastRadius
	r.owe(CauseOpened)
}

// finding is what the event adds to an incident.
func (b Opened) finding(at time.Time) Finding {
	f := Finding{Runbook: b.Runbook, Name: b.Name, Group: b.Group, Class: b.Class, Frozen: b.Frozen, FiredAt: at}
	f.breach(b.Breaches)
	return f
}

// apply leaves the severity to the raise that follows, and whether its owner was called already to whoever knows the
// owners' names.
func (b FindingJoined) apply(r *Record, e Event) {
	r.Findings = append(r.Findings, Opened(b).finding(e.At))
	r.BreachBegan, r.ImpactStartedAt = earlier(r.BreachBegan, b.BreachBegan), earlier(r.ImpactStartedAt, b.ImpactStartedAt)
	r.JoinedAt = e.At
	r.Hold, r.MitigatedAt = nil, time.Time{}
	r.owe(CauseJoined)
}

// apply takes a person's word for every finding of the incident: it is their home again.
func (b Reopened) apply(r *Record, e Event) {
	if f := r.finding(b.Name); f != nil {
		f.Runbook, f.Frozen, f.Cleared, f.FiredAt = b.Runbook, b.Frozen, false, e.At
		f.breach(b.Breaches)
		r.decided(e.At)
	}
	for name, hash := range b.Runbooks {
		if f := r.finding(name); f != nil {
			f.Runbook = hash
		}
	}
	if b.Name == "" {
		for i := range r.Findings {
			r.Findings[i].FiredAt = e.At
		}
	}
	r.ReopenedAt, r.Floor = e.At, e.At
	r.ResolvedAt, r.DismissedAt, r.ImpactEndedAt, r.MitigatedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	r.RecoveryBegan, r.OverdueSince, r.NextUpdateAt = time.Time{}, time.Time{}, b.NextUpdateAt
	r.Acknowledged, r.Pin, r.Hold, r.Blind, r.Dismissal, r.Unverified = nil, nil, nil, nil, nil, false
	for i := range r.Actions {
		r.Actions[i].Acted = false
	}
	r.setSeverity(b.Severity, b.Rule)
	r.owe(CauseReopened)
}

// setSeverity moves the severity, and the peak up with it.
func (r *Record) setSeverity(to runbook.Severity, rule string) {
	r.Severity, r.Rule = to, rule
	if to.Worse(r.Peak) {
		r.Peak = to
	}
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

func (b Relapsed) apply(r *Record, e Event) {
	if f := r.finding(b.Runbook); f != nil {
		f.Cleared, f.FiredAt = false, e.At
		f.breach(b.Breaches)
	}
	r.Hold = nil
	r.MitigatedAt = time.Time{}
	r.NextUpdateAt = b.NextUpdateAt
	r.owe(CauseRelapsed)
}

func (b SeverityRaised) apply(r *Record, _ Event) {
	r.setSeverity(b.To, b.Rule)
	r.Pin, r.NextUpdateAt = nil, b.NextUpdateAt
	r.owe(CauseRaised)
}

// apply owes a call where a person raised it. A lower one that doesn't page ends whoever is being called.
func (b SeveritySet) apply(r *Record, e Event) {
	raised := b.To.Worse(r.Severity)
	r.setSeverity(b.To, "")
	r.Pin, r.NextUpdateAt = nil, b.NextUpdateAt
	if !b.Until.IsZero() {
		r.Pin = &Pin{Until: b.Until, Floor: b.Floor}
	}
	switch {
	case raised:
		r.owe(CauseRaised)
	case b.EndsRound:
		r.endKeys(e.Seq, false)
	}
}

func (PinExpired) apply(r *Record, _ Event) { r.Pin = nil }

func (b HoldStarted) apply(r *Record, e Event) {
	r.Hold = &Hold{Since: e.At}
	r.beginRecovery(e.At)
}

// beginRecovery notes the first action or hold since (re)opening. What people did by hand may be dated back.
func (r *Record) beginRecovery(at time.Time) {
	since := r.openSince()
	if at.Before(since) {
		at = since
	}
	if r.RecoveryBegan.IsZero() || at.Before(r.RecoveryBegan) {
		r.RecoveryBegan = at
	}
}

// openSince is when the incident was opened, or reopened the last time.
func (r *Record) openSince() time.Time {
	if r.ReopenedAt.After(r.OpenedAt) {
		return r.ReopenedAt
	}
	return r.OpenedAt
}

func (b HoldBroken) apply(r *Record, _ Event) { r.Hold = nil }

func (b Resolved) apply(r *Record, e Event) {
	r.ResolvedAt, r.ImpactEndedAt = e.At, b.ImpactEndedAt
	r.end(e)
}

func (b Dismissed) apply(r *Record, e Event) {
	r.DismissedAt = e.At
	r.Dismissal = &Dismissal{By: e.Actor, Reason: b.Reason, Text: b.Text, DuplicateOf: b.DuplicateOf, Severity: b.Severity}
	r.end(e)
}

// end stops every clock, and what is still asked for or in flight is waited for no longer.
func (r *Record) end(e Event) {
	for i := range r.Actions {
		if a := &r.Actions[i]; a.Requested() || a.InFlight() {
			a.FailedAt, a.Why = e.At, FailedEnded
		}
	}
	r.Hold, r.Blind, r.Pin, r.Owed, r.Held = nil, nil, nil, nil, nil
	r.NextUpdateAt, r.OverdueSince = time.Time{}, time.Time{}
	r.endKeys(e.Seq, true)
	r.ToldOver = r.presentRound()
}

// endKeys ends the round and, at every receiver that accepted a page or still may, its key: an ending is sent there. over
// tells whether the incident ends, or its call alone.
func (r *Record) endKeys(seq int64, over bool) {
	r.stopCalling()
	for _, receipt := range r.toEnd(over) {
		receipt.Ended, receipt.EndedBy = true, seq
	}
}

// toEnd gives the receipts under whose keys an ending is told: of what stands at a receiver, or may yet. When the incident
// is over that is told too where a lower severity had ended the call before: under the last key that the receiver
// accepted, and under those that it may yet accept.
func (r *Record) toEnd(over bool) []*Receipt {
	var receipts []*Receipt
	for i := range r.Pages {
		if receipt := &r.Pages[i]; !receipt.Ended || over && r.lastThere(receipt) {
			receipts = append(receipts, receipt)
		}
	}
	for i := range r.Awaited {
		if receipt := &r.Awaited[i]; !receipt.Ended || over && receipt.Round > r.ToldOver {
			receipts = append(receipts, receipt)
		}
	}
	return receipts
}

// lastThere tells whether a receipt is the last of its receiver since the incident was opened or reopened, and nothing
// stands there any more.
func (r *Record) lastThere(receipt *Receipt) bool {
	return receipt.Round > r.ToldOver && !slices.ContainsFunc(r.Pages, func(other Receipt) bool {
		return other.Receiver == receipt.Receiver && (!other.Ended || other.Round > receipt.Round)
	})
}

func (b PostmortemSaved) apply(r *Record, _ Event) { r.Postmortem = &b.Postmortem }

func (Closed) apply(r *Record, e Event) { r.ClosedAt = e.At }

func (b TriageAnswered) apply(r *Record, e Event) {
	if r.Triage == nil {
		r.Triage = map[int]Answered{}
	}
	r.Triage[b.N] = Answered{Answer: b.Answer, Text: b.Text, By: e.Actor, At: e.At}
}

// apply stops a round that called for nothing but this update.
func (b UpdatePosted) apply(r *Record, e Event) {
	r.Updates = append(r.Updates, Update{At: e.At, By: e.Actor, Audience: b.Audience, Text: b.Text})
	if !r.Open() {
		return
	}
	r.NextUpdateAt, r.OverdueSince = b.NextUpdateAt, time.Time{}
	overdue := func(cause string) bool { return cause == CauseOverdue }
	r.Owed, r.Held = slices.DeleteFunc(r.Owed, overdue), slices.DeleteFunc(r.Held, overdue)
	if r.Round != nil && !slices.ContainsFunc(r.Round.Causes, func(cause string) bool { return !overdue(cause) }) {
		r.stopCalling()
	}
}

func (b UpdateOverdue) apply(r *Record, _ Event) {
	r.NextUpdateAt = b.NextUpdateAt
	if r.OverdueSince.IsZero() {
		r.OverdueSince = b.Due
	}
	r.owe(CauseOverdue)
}

func (b WentBlind) apply(r *Record, _ Event) {
	r.Blind = &Blindness{Conditions: b.Conditions, Since: b.Since}
	r.owe(CauseBlind)
}

// apply drops the cause with the blindness: nobody is woken for one that is over.
func (b SightBack) apply(r *Record, _ Event) {
	r.Blind = nil
	blind := func(cause string) bool { return cause == CauseBlind }
	r.Owed, r.Held = slices.DeleteFunc(r.Owed, blind), slices.DeleteFunc(r.Held, blind)
}

func (b Unverified) apply(r *Record, _ Event) {
	r.Unverified = true
	r.owe(CauseUnverified)
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

// clone copies the record so deep that apply on the copy leaves the original as it was. Snapshots are shared: nobody
// changes them.
func (r *Record) clone() *Record {
	c := *r
	c.Findings = slices.Clone(r.Findings)
	for i := range c.Findings {
		c.Findings[i].Breaches = slices.Clone(r.Findings[i].Breaches)
		c.Findings[i].Fired = slices.Clone(r.Findings[i].Fired)
	}
	c.Actions, c.Updates, c.Triage, c.Held = slices.Clone(r.Actions), slices.Clone(r.Updates), maps.Clone(r.Triage), slices.Clone(r.Held)
	for i := range c.Actions {
		c.Actions[i].Approvers = slices.Clone(r.Actions[i].Approvers)
	}
	c.Rankings, c.Changes, c.Evidence = slices.Clone(r.Rankings), slices.Clone(r.Changes), maps.Clone(r.Evidence)
	c.Pin = copied(r.Pin)
	c.Acknowledged, c.Hold, c.Blind, c.Round = copied(r.Acknowledged), copied(r.Hold), copied(r.Blind), copied(r.Round)
	if c.Round != nil {
		c.Round.Failed, c.Round.Called = slices.Clone(r.Round.Failed), slices.Clone(r.Round.Called)
		c.Round.Untaken, c.Round.ByRole = slices.Clone(r.Round.Untaken), maps.Clone(r.Round.ByRole)
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
