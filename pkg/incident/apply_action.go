package incident

import "time"

func (b SuspectsRanked) apply(r *Record, _ Event) { r.Rankings = append(r.Rankings, b) }

func (b ChangeSeen) apply(r *Record, _ Event) { r.Changes = append(r.Changes, b) }

func (b EvidenceGathered) apply(r *Record, e Event) {
	if r.Evidence == nil {
		r.Evidence = map[int]Evidence{}
	}
	r.Evidence[b.N] = Evidence{At: e.At, EvidenceGathered: b}
}

func (b ActionRequested) apply(r *Record, e Event) {
	r.Actions = append(r.Actions, Action{
		ID: b.Action, Step: b.Step, Mitigate: b.Mitigate, Title: b.Title, From: b.From, To: b.To,
		Digest: b.Digest, Approval: b.Approval, Settle: b.Settle, RequestedBy: e.Actor, RequestedAt: e.At,
	})
}

func (b ActionApproved) apply(r *Record, e Event) {
	if a := r.action(b.Action); a != nil {
		a.Approvers = append(a.Approvers, e.Actor)
	}
}

func (b ActionStarted) apply(r *Record, e Event) {
	a := r.action(b.Action)
	if a == nil {
		return
	}
	a.StartedAt, a.Attempt, a.Acted = e.At, b.Attempt, true
	if r.Open() {
		r.Hold = nil
		r.beginRecovery(e.At)
	}
}

// apply takes what nobody requested too: a person did it by hand, or the change log shows it. A yes that comes late, to
// what had no answer, takes the failure back; one that comes after the incident's end puts nothing in flight again.
func (b ActionDone) apply(r *Record, e Event) {
	if r.action(b.Action) == nil {
		r.Actions = append(r.Actions, Action{ID: b.Action, Step: b.Step, Title: b.Title, From: b.From, To: b.To, Settle: b.Settle})
	}
	a := r.action(b.Action)
	a.DoneAt, a.DoneBy, a.How, a.Acted = e.At, e.Actor, b.How, true
	if !r.Open() {
		a.FailedAt, a.Why, a.Cause = e.At, FailedEnded, ""
		return
	}
	a.FailedAt, a.Why, a.Cause = time.Time{}, "", ""
	r.Hold = nil
	r.beginRecovery(e.At)
}

func (b ActionEffective) apply(r *Record, e Event) {
	if a := r.action(b.Action); a != nil {
		a.EffectiveAt, a.FailedAt, a.Why, a.Cause = e.At, time.Time{}, "", ""
	}
	r.raiseFloor(b.Floor)
}

func (b ActionFailed) apply(r *Record, e Event) {
	a := r.action(b.Action)
	if a == nil {
		return
	}
	a.FailedAt, a.Why, a.Cause = e.At, b.Why, b.Cause
	if !a.StartedAt.IsZero() || !a.DoneAt.IsZero() {
		r.raiseFloor(e.At)
	}
	if b.Why != FailedUnanswered && b.Why != FailedIneffective {
		a.Acted = false
	}
}

func (b EffectMeasured) apply(r *Record, _ Event) {
	if a := r.action(b.Action); a != nil {
		a.Effect = &b.Effect
	}
}

func (b Mitigated) apply(r *Record, e Event) {
	r.Actions = append(r.Actions, Action{
		ID: b.Action, Title: b.Title, How: DoneByHand, DoneAt: e.At, DoneBy: e.Actor, EffectiveAt: e.At, Acted: true,
	})
	r.Hold = nil
	r.beginRecovery(e.At)
	r.raiseFloor(b.Floor)
	if r.MitigatedAt.IsZero() {
		r.MitigatedAt = e.At
	}
}

// raiseFloor keeps a hold from starting before a time. The floor never falls; a hold that runs since before it, as when
// what had been called ineffective takes effect after all, proves nothing and ends.
func (r *Record) raiseFloor(to time.Time) {
	if to.After(r.Floor) {
		r.Floor = to
	}
	if r.Hold != nil && r.Hold.Since.Before(r.Floor) {
		r.Hold = nil
	}
}
