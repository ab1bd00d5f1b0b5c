package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// What became of an action.
const (
	ActionBegan  = "started"   // nothing has been sent yet: this is written first
	ActionSet    = "done"      // whoever it was sent to says that it is set
	ActionLapsed = "failed"    // see ActionOutcome.Why
	ActionShows  = "effective" // it took effect on traffic
)

// ActionOutcome is what whoever performs actions tells of one.
type ActionOutcome struct {
	Action  string // id
	What    string // ActionBegan, ActionSet, ActionLapsed or ActionShows
	Attempt int    // of ActionBegan, from 1
	How     string // of ActionSet: DoneSent, the default, or DoneSeen: it was set already, and nothing was sent
	Why     string // of ActionLapsed: Failed…
	Cause   string // of ActionLapsed, in words, without secrets
}

// DecideAction returns the events that an outcome adds to an incident, none where it is known already or comes after the
// incident's end. *Refusal: the action can't be started as things stand. It is pure. An action may fail twice, the second time after a
// late yes, so the ids of its events hold the record's version too.
func DecideAction(r *Record, o ActionOutcome, p Policy, now time.Time) ([]Event, error) {
	d := newDecision(r, p, now)
	d.seed = fmt.Sprintf("%s %d", o.Action, r.Version)
	a := d.record.action(o.Action)
	if a == nil {
		return nil, &Refusal{fmt.Sprintf("%s has no action %q", r, o.Action), "one that was requested"}
	}
	if !r.Open() {
		if o.What == ActionBegan {
			return nil, &Refusal{fmt.Sprintf("%s is over", r), "nothing is changed for it any more"}
		}
		return nil, nil
	}
	switch o.What {
	case ActionBegan:
		if err := d.begin(a, o.Attempt); err != nil {
			return nil, err
		}
	case ActionSet:
		if a.DoneAt.IsZero() {
			d.add(ActionDone{Action: a.ID, How: cmp.Or(o.How, DoneSent)}, a.ID)
			d.effectiveOnceDone(d.record.action(o.Action))
		}
	case ActionLapsed:
		if !slices.Contains(FailedWhys, o.Why) {
			return nil, &Refusal{fmt.Sprintf("%q is not why an action fails", o.Why), "one of FailedWhys"}
		}
		if a.FailedAt.IsZero() && a.EffectiveAt.IsZero() {
			d.add(ActionFailed{Action: a.ID, Why: o.Why, Cause: o.Cause}, a.ID+" "+strconv.Itoa(a.Attempt))
		}
	case ActionShows:
		if a.EffectiveAt.IsZero() && !a.begun().IsZero() {
			d.add(ActionEffective{Action: a.ID, Floor: d.t.Add(d.record.lookBack())}, a.ID)
		}
	default:
		return nil, &Refusal{fmt.Sprintf("%q is not what becomes of an action", o.What), "started, done, failed or effective"}
	}
	return d.events, nil
}

// FailedWhys are all that an action may be told to have failed for.
var FailedWhys = []string{FailedRefused, FailedExpired, FailedDryRun, FailedUnanswered, FailedIneffective}

// begin starts an action that everybody has approved who must, and that nothing else is in the way of.
func (d *decision) begin(a *Action, attempt int) error {
	attempt = max(attempt, 1)
	other := d.record.inFlight()
	switch {
	case a.InFlight() && attempt <= a.Attempt:
		return nil
	case other != nil && other.ID != a.ID:
		return &Refusal{fmt.Sprintf("action %s is in flight", other.ID), "one at a time: wait for it"}
	case !a.Requested() && !a.InFlight():
		return &Refusal{fmt.Sprintf("action %s is %s", a.ID, a.state()), "ask for it again"}
	case !a.Approved():
		return &Refusal{fmt.Sprintf("action %s is not approved", a.ID), "somebody else approves it first"}
	}
	d.add(ActionStarted{Action: a.ID, Attempt: attempt}, fmt.Sprint(a.ID, " ", attempt))
	return nil
}
