package incident

import (
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const (
	// approvalWithin is how long a second person has to approve what a first one asked for.
	approvalWithin = 15 * time.Minute
	// effectiveWithin is how long an action that is done may take to show on traffic before it is called ineffective.
	effectiveWithin = 10 * time.Minute
	// MeasuredWithin is how long after its time an effect is still waited for.
	MeasuredWithin = time.Hour
)

// Requested tells whether the action was asked for and nothing has come of it yet.
func (a *Action) Requested() bool {
	return a.StartedAt.IsZero() && a.DoneAt.IsZero() && a.EffectiveAt.IsZero() && a.FailedAt.IsZero()
}

// InFlight tells whether the action was started, or done, and neither took effect nor failed so far.
func (a *Action) InFlight() bool {
	return (!a.StartedAt.IsZero() || !a.DoneAt.IsZero()) && a.EffectiveAt.IsZero() && a.FailedAt.IsZero()
}

// Approved tells whether everybody has approved the action who must: where the runbook asks for two people, one beside
// whoever requested it.
func (a *Action) Approved() bool {
	return a.Approval != runbook.ApprovalTwoPerson ||
		slices.ContainsFunc(a.Approvers, func(by string) bool { return by != a.RequestedBy })
}

// Ineffective tells whether the action was done and did not show on traffic in time. Should it do so later, it counts.
func (a *Action) Ineffective() bool { return a.Why == FailedIneffective && a.EffectiveAt.IsZero() }

// begun is when the action first may have changed something.
func (a *Action) begun() time.Time {
	if a.StartedAt.IsZero() {
		return a.DoneAt
	}
	return a.StartedAt
}

// EffectiveWhen is the condition by which it is seen that an action took effect on traffic, and the number of the
// finding whose runbook has it; nil: it is effective once it is done.
func (r *Record) EffectiveWhen(a *Action) (clause *triggers.Clause, finding int) {
	if step := r.StepCalled(a.Step); step != nil {
		return step.Effective, step.Finding
	}
	for i := range r.Findings {
		book := r.Findings[i].runbook()
		for n := range book.Mitigate {
			if m := &book.Mitigate[n]; a.Mitigate != "" && m.Title == a.Mitigate {
				return m.Effective, i
			}
		}
	}
	return nil, 0
}

// EffectDue is when the effect of an action can be read; zero: it took no effect, or its effect is known.
func (r *Record) EffectDue(a *Action) time.Time {
	if a.EffectiveAt.IsZero() || a.Effect != nil {
		return time.Time{}
	}
	settle := a.Settle
	if settle <= 0 {
		settle = r.lookBack()
	}
	return a.EffectiveAt.Add(settle)
}

// inFlight is the action that is in flight, nil for none.
func (r *Record) inFlight() *Action {
	for i := range r.Actions {
		if r.Actions[i].InFlight() {
			return &r.Actions[i]
		}
	}
	return nil
}

// actions is step 3: what became of the actions of an incident.
func (d *decision) actions(o Observation) {
	for i := range d.record.Actions {
		a := &d.record.Actions[i]
		seen := o.Actions[a.ID]
		switch {
		case a.Requested():
			d.expire(a)
		case a.InFlight() && !d.t.Before(a.begun()), a.Ineffective() && d.t.After(a.FailedAt):
			d.effective(a, seen.Effective)
		}
		d.measure(a, seen.Effect)
	}
}

// expire gives up a request that no second person approved in time.
func (d *decision) expire(a *Action) {
	if !a.Approved() && !d.t.Before(a.RequestedAt.Add(approvalWithin)) {
		d.add(ActionFailed{Action: a.ID, Why: FailedExpired, Cause: "nobody else approved it in time"}, a.ID)
	}
}

// effective judges an action by what is seen on traffic. One without a condition is effective once it is done.
func (d *decision) effective(a *Action, seen triggers.Verdict) {
	switch {
	case d.effectiveOnceDone(a):
	case seen == triggers.Yes:
		d.add(ActionEffective{Action: a.ID, Floor: d.t.Add(d.record.lookBack())}, a.ID)
	case a.InFlight() && !a.DoneAt.IsZero() && !d.t.Before(a.DoneAt.Add(effectiveWithin)):
		d.add(ActionFailed{Action: a.ID, Why: FailedIneffective}, a.ID)
	}
}

// effectiveOnceDone adds that an action took effect when it was done, where the runbook names nothing to see it by. It
// tells whether it did. Whoever adds an ActionDone calls it next.
func (d *decision) effectiveOnceDone(a *Action) bool {
	if a == nil || a.DoneAt.IsZero() || !a.InFlight() {
		return false
	}
	if clause, _ := d.record.EffectiveWhen(a); clause != nil {
		return false
	}
	d.addAt(a.DoneAt, ActionEffective{Action: a.ID, Floor: a.DoneAt.Add(d.record.lookBack())}, a.ID)
	return true
}

// measure adds the one look at what an action did.
func (d *decision) measure(a *Action, effect *Effect) {
	due := d.record.EffectDue(a)
	if effect != nil && !due.IsZero() && !d.t.Before(due) {
		body := EffectMeasured{Action: a.ID, Effect: *effect}
		if effect.Verdict != EffectNormal {
			body.Next = d.record.next()
		}
		d.add(body, a.ID)
	}
}

// measuring tells whether an effect of the incident is still waited for at t.
func (r *Record) measuring(t time.Time) bool {
	return slices.ContainsFunc(r.Actions, func(a Action) bool {
		due := r.EffectDue(&a)
		return !due.IsZero() && t.Before(due.Add(MeasuredWithin))
	})
}
