package evaluator

import (
	"context"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// effectSpan is the time that an action has to itself, if its effect is to be told from that of others: from the point before it
// began to the one at which its effect is read.
type effectSpan struct{ before, after time.Time }

// effectSpan is that of an action; not ok: it changed nothing. One that has not settled yet goes on; what was given up may
// have changed something all the same, until then.
func (e *Evaluator) effectSpan(r *incident.Record, a *incident.Action) (s effectSpan, ok bool) {
	began := a.StartedAt
	if began.IsZero() {
		began = a.DoneAt
	}
	if began.IsZero() || !a.FailedAt.IsZero() && !a.Acted {
		return s, false
	}
	s.before = e.config.Grid.Floor(began)
	settled := *a
	settled.Effect = nil // what is read already had a span all the same
	if settled.EffectiveAt.IsZero() {
		settled.EffectiveAt = a.FailedAt
	}
	due := r.EffectDue(&settled)
	if due.IsZero() {
		return s, true
	}
	s.after = e.config.Grid.Floor(due.Add(e.config.Grid.Interval - 1))
	return s, true
}

// overlaps tells whether two spans have some time in common. One without an end has not ended yet.
func (s effectSpan) overlaps(other effectSpan) bool {
	return (other.after.IsZero() || s.before.Before(other.after)) && (s.after.IsZero() || other.before.Before(s.after))
}

// effect says what an action did, by the answers to a measurement. What else was done is that of the records now.
func (e *Evaluator) effect(ctx context.Context, m *measurement, r *incident.Record, a *incident.Action, all []*incident.Record) *incident.Effect {
	past, span := m.past, m.span
	past.advance(span.after)
	var metrics []measured
	for i := range m.record.Findings {
		metrics = append(metrics, past.watches[i].measure(m.record, &m.record.Findings[i], span)...)
	}
	effect := &incident.Effect{Verdict: verdict(metrics, e.disturbed(ctx, r, a, span, all))}
	for _, m := range metrics {
		effect.Metrics = append(effect.Metrics, m.EffectMetric)
	}
	return effect
}

// measured is a recovery metric before and after an action.
type measured struct {
	incident.EffectMetric
	key     bool
	missing bool // the points do not tell whether it is in band, or where it went
	out     bool // it was out of band before
	way     triggers.Way
}

// measure gives the recovery metrics of a finding before and after.
func (w *watch) measure(r *incident.Record, f *incident.Finding, span effectSpan) []measured {
	scope := w.scope(f.Group, w.breached(f, triggers.GroupState{}), r.ImpactStartedAt)
	var all []measured
	for i, clause := range bands(&w.snapshot.Runbook) {
		if clause == nil {
			continue
		}
		c, moved := shown(scope, clause, span)
		state, _ := scope.Band(clause, span.after)
		m := measured{
			EffectMetric: incident.EffectMetric{
				Band: incident.BandNames[i], Signal: c.Signal, Unit: c.Unit, Before: moved.Before, After: moved.After,
				Low: moved.Low, High: moved.High, Target: clause.String(), Held: state == triggers.BandHeld,
			},
			key: i == 0, out: moved.WasOut, way: moved.Way,
			missing: state == triggers.BandUnknown || state == triggers.BandEmpty ||
				state == triggers.BandMissed && moved.Before == nil && c.Comparison != triggers.Absent,
		}
		if clause.Condition != nil {
			m.Target = c.Target()
		}
		if signal := w.snapshot.Signals[c.Signal]; signal != nil {
			m.Unit = signal.Unit
		}
		all = append(all, m)
	}
	return all
}

// shown is the condition of a band whose value people see: the first that has one, as at every other tick.
func shown(scope triggers.Scope, clause *triggers.Clause, span effectSpan) (*triggers.Condition, triggers.Movement) {
	conditions := clause.Conditions()
	for _, c := range conditions {
		if m := scope.Movement(c, span.before, span.after); m.After != nil {
			return c, m
		}
	}
	return conditions[0], scope.Movement(conditions[0], span.before, span.after)
}

// verdict says what the metrics show of an action. What it did can't be told apart from what else happened meanwhile. Who
// was in band and is out of it by more than chance, or further out, is worse off whatever became of the others; one whose
// points are missing might be.
func verdict(all []measured, disturbed bool) string {
	held, missing, worse, keyOut, keyHelped, helped := true, false, false, false, false, false
	for _, m := range all {
		held = held && m.Held
		missing = missing || m.missing
		worse = worse || m.way == triggers.Away && !m.Held
		towards := m.way == triggers.Towards
		helped = helped || towards
		keyOut = keyOut || m.key && m.out
		keyHelped = keyHelped || m.key && towards
	}
	switch {
	case disturbed:
		return incident.EffectNotSeparable
	case held && len(all) > 0:
		return incident.EffectNormal
	case worse:
		return incident.EffectWorse
	case missing || len(all) == 0:
		return incident.EffectCantTell
	case keyHelped || !keyOut && helped:
		return incident.EffectHelped
	}
	return incident.EffectNone
}

// disturbed tells whether something else was done to the service while the effect of an action built up: another
// action, in this incident or in another one of the service, or a change that is not the action itself.
func (e *Evaluator) disturbed(ctx context.Context, r *incident.Record, a *incident.Action, span effectSpan, all []*incident.Record) bool {
	for _, other := range all {
		if other.ID != r.ID && (r.Service == "" || other.Service != r.Service) {
			continue
		}
		for i := range other.Actions {
			b := &other.Actions[i]
			if s, acted := e.effectSpan(other, b); acted && (other.ID != r.ID || b.ID != a.ID) && span.overlaps(s) {
				return true
			}
		}
	}
	artifact := artifactOf(r, a)
	for _, c := range e.changesSince(ctx, span.before) {
		ofService := c.Service == "" || r.Service == "" || c.Service == r.Service
		itself := artifact != "" && c.Artifact == artifact && (a.To == "" || c.To == "" || c.To == a.To)
		if ofService && !itself && !c.At.After(span.after) {
			return true
		}
	}
	return false
}

// artifactOf is the artifact that an action rolls back; empty: none, or nobody knows.
func artifactOf(r *incident.Record, a *incident.Action) string {
	if step := r.StepCalled(a.Step); step != nil {
		return step.Artifact
	}
	return ""
}
