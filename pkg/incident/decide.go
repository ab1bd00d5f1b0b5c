package incident

import (
	"fmt"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Decide returns the events that a tick adds to an open incident, in the order in which they happened. It is pure:
// the same record, observation, policy and t give the same events with the same ids, which is what makes replay,
// crash recovery and a second replica one and the same thing. RecordedAt is left to whoever writes them.
//
// A tick up to the newest one that changed the record is not decided again, and none from before a person opened it
// again. While walking through missed ticks nobody is paged: the causes stay owed.
func Decide(r *Record, o Observation, p Policy, t time.Time, walking bool) []Event {
	d := decideTick(r, o, p, t)
	if d.decided && !walking {
		d.page()
	}
	return d.events
}

// decideTick takes the steps of a tick in their order, up to the last but one: who is paged is decided when it is known
// which findings join the incident at this very tick.
func decideTick(r *Record, o Observation, p Policy, t time.Time) *decision {
	d := newDecision(r, p, t)
	if !r.Open() || !t.After(r.LastTick) || t.Before(r.ReopenedAt) {
		return d
	}
	d.decided = true
	looked := len(o.Findings) == len(r.Findings)
	if !looked { // nothing is known of it
		o.Findings = make([]FindingObservation, len(r.Findings))
	}
	for i := range r.Findings {
		d.trigger(r.Findings[i].Name, o.Findings[i])
	}
	d.severity(o)
	d.actions(o)
	if looked {
		d.hold(o)
	}
	if !d.record.Open() {
		return d
	}
	d.blindness(o)
	d.timeout()
	d.overdue()
	return d
}

// decideEnded returns what a tick adds to an incident that has ended: its trigger is clear, an effect can be read, its
// time to be closed by the daemon has come. clear tells by finding which triggers are.
func decideEnded(r *Record, o Observation, clear map[string]bool, p Policy, t time.Time) *decision {
	d := newDecision(r, p, t)
	if r.Open() || !t.After(r.LastTick) || !t.After(r.endedAt()) {
		return d
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if !f.Cleared && clear[f.Key()] {
			d.add(TriggerCleared{Runbook: f.Name}, f.Name)
		}
	}
	for i := range d.record.Actions {
		a := &d.record.Actions[i]
		d.measure(a, o.Actions[a.ID].Effect)
	}
	if r.closesItself() && t.After(r.ResolvedAt.Add(r.reopenWithin())) {
		d.add(Closed{}, "")
	}
	return d
}

// DecideClock returns what the passing of time alone adds to an incident: a step of the ladder that is due and, unless
// a walk through missed ticks is under way, a round for what is owed. It runs every second, so that a slow source
// delays no escalation.
func DecideClock(r *Record, p Policy, now time.Time, walking bool) []Event {
	d := newDecision(r, p, now)
	if walking {
		d.escalateIfDue()
	} else {
		d.page()
	}
	return d.events
}

// decision is a working copy of a record, and what has been decided on it so far.
type decision struct {
	before  *Record // as it was; without a version it is a new one
	record  *Record
	policy  Policy
	t       time.Time
	actor   string
	seed    string // what makes the events' ids the same whenever the same thing is decided
	decided bool   // a tick was decided on it: who is paged follows from all that it found
	events  []Event

	firings      []Firing // that opened it, joined it or opened it again
	roundsBefore int      // of the daemon's own troubles of its kind, whose keys were used up
}

func newDecision(r *Record, p Policy, t time.Time) *decision {
	t = t.UTC()
	return &decision{before: r, record: r.clone(), policy: p, t: t, actor: Daemon, seed: t.Format(time.RFC3339Nano)}
}

// add appends an event and folds it into the working copy. what tells it from others of its kind.
func (d *decision) add(body Body, what string) { d.addAt(d.t, body, what) }

// addAt adds an event of an earlier time than that of the decision.
func (d *decision) addAt(at time.Time, body Body, what string) {
	e := Event{Seq: d.record.Version + 1, At: at.UTC(), RecordedAt: d.t, Actor: d.actor, Body: body}
	apply(d.record, e)
	e.ID = hash(d.record.ID, body.Kind(), d.seed, what)
	e.RecordedAt = time.Time{}
	d.events = append(d.events, e)
}

// trigger is step 1: what a finding's trigger says. Elevated and unknown say nothing.
func (d *decision) trigger(name string, o FindingObservation) {
	f := d.record.finding(name)
	switch {
	case o.Trigger == triggers.Clear && !f.Cleared:
		d.add(TriggerCleared{Runbook: name}, name)
	case o.Trigger == triggers.Fires && f.Cleared:
		d.add(Relapsed{Runbook: name, Breaches: o.Breaches, NextUpdateAt: d.record.firstUpdate(d.record.Severity, d.t)}, name)
		d.rank(CauseRelapsed, nil, nil)
	case o.Trigger == triggers.Fires:
		fresh := slices.DeleteFunc(slices.Clone(o.Breaches), func(b Breach) bool {
			return slices.Contains(f.Fired, b.name())
		})
		if len(fresh) > 0 {
			d.add(BreachJoined{Runbook: name, Breaches: fresh}, name)
		}
	}
}

// severity is step 2: the rubric's worst rule, straight to it. The daemon never lowers. What a person lowered stays so
// until the pin expires, unless the rubric gets worse than it was before.
func (d *decision) severity(o Observation) {
	if pin := d.record.Pin; pin != nil && !d.t.Before(pin.Until) {
		d.add(PinExpired{}, "")
	}
	var worst FindingObservation
	for _, f := range o.Findings {
		if f.Severity.Worse(worst.Severity) {
			worst = f
		}
	}
	d.raise(worst.Severity, worst.Rule, worst.Breaches)
}

// raise raises the severity to what the rubric says, if that is worse than what stands, or than what a person's pin
// allows.
func (d *decision) raise(to runbook.Severity, rule string, breaches []Breach) {
	r := d.record
	if !to.Worse(r.Severity) || r.Pin != nil && !to.Worse(r.Pin.Floor) {
		return
	}
	d.add(SeverityRaised{
		From: r.Severity, To: to, Rule: rule, Breaches: breaches, NextUpdateAt: r.updateWhenRaised(to, d.t),
	}, string(to))
}

// blindness is step 6: what a trigger or a band has not been able to see for blind_after.
func (d *decision) blindness(o Observation) {
	if d.record.Blind != nil {
		if !slices.ContainsFunc(o.Findings, FindingObservation.unknown) {
			d.add(SightBack{}, "")
		}
		return
	}
	var blind WentBlind
	for _, f := range o.Findings {
		for _, missing := range f.Unknown {
			if d.t.Sub(missing.Since) < d.policy.BlindAfter || slices.Contains(blind.Conditions, missing.What) {
				continue
			}
			blind.Conditions = append(blind.Conditions, missing.What)
			if blind.Since.IsZero() || missing.Since.Before(blind.Since) {
				blind.Since = missing.Since.UTC()
			}
		}
	}
	if len(blind.Conditions) > 0 {
		d.add(blind, "")
	}
}

// unknown tells whether anything that the finding depends on can't be seen.
func (f FindingObservation) unknown() bool {
	return f.Trigger == triggers.StateUnknown || len(f.Unknown) > 0 ||
		slices.ContainsFunc(f.Bands[:], func(b BandObservation) bool { return b.State == BandUnknown })
}

// timeout is step 7: recovery.timeout without a verified recovery, told once.
func (d *decision) timeout() {
	r := d.record
	if r.Unverified || r.RecoveryBegan.IsZero() || d.t.Before(r.RecoveryBegan.Add(r.timeout())) {
		return
	}
	d.add(Unverified{}, "")
}

// timeout is the longest recovery.timeout of the findings.
func (r *Record) timeout() time.Duration {
	longest := time.Duration(0)
	for i := range r.Findings {
		longest = max(longest, r.Findings[i].runbook().Recovery.Timeout)
	}
	if longest == 0 {
		return runbook.DefaultTimeout
	}
	return longest
}

// runbook is the one that the incident was opened with. A record without its snapshot gets an empty one: nobody owns
// it, nothing verifies it.
func (f *Finding) runbook() *runbook.Runbook {
	if f.Snapshot == nil {
		return &runbook.Runbook{}
	}
	return &f.Snapshot.Runbook
}

// String names the incident in errors and logs.
func (r *Record) String() string {
	if r.Number <= 0 {
		return "incident " + r.ID
	}
	return fmt.Sprintf("incident #%d", r.Number)
}
