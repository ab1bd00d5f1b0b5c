package evaluator

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

const (
	// measurements is how many effects are asked for at once, beside the questions of the tick.
	measurements = 2
	// measureQueries is how many questions of one of them are put to the source at once.
	measureQueries = 2
	// measureAgain is how long an effect that the source did not tell is left alone.
	measureAgain = 30 * time.Second
)

// measurement is the look at what one action did.
type measurement struct {
	record   *incident.Record // as it was when the source was asked
	span     effectSpan
	past     refilled
	need     map[*feed]question
	asking   chan map[asked]answer // the questions under way; nil: none
	waited   bool                  // a tick has waited for the answers in vain
	notAgain time.Time             // they are not put again before it
}

// measure adds to the observations what the actions did whose effect can be read at tick t: of the open incidents, and
// of those that ended before. It is one look, at the point before an action began and at the first one after it took
// effect and settled, on points that are asked for anew: a tick that comes late reads the same. Nothing is decided late
// for it: an answer that takes longer than patience is taken by a later tick. Where time is played, and on the way
// through missed ticks, it is waited for.
func (e *Evaluator) measure(ctx context.Context, tick *incident.Tick, open, ended []*incident.Record) {
	all := append(open[:len(open):len(open)], ended...)
	var timeout <-chan time.Time
	if !e.config.Virtual && !tick.Walking {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		timeout = timer.C
	}
	before := e.measuring
	e.measuring = map[string]*measurement{} // those of incidents that are no longer looked at are forgotten
	for _, r := range all {
		for i := range r.Actions {
			a := &r.Actions[i]
			due := r.EffectDue(a)
			if due.IsZero() || tick.T.Before(due) {
				continue
			}
			key := r.ID + "\x00" + a.ID
			m := e.startMeasuring(ctx, r, a, before[key], before)
			answered := false
			if m != nil {
				e.measuring[key] = m
				answered, timeout = e.awaitMeasured(ctx, m, timeout)
			}
			switch {
			case answered:
				delete(e.measuring, key)
				noteEffect(tick.Observations, r, a, e.effect(ctx, m, r, a, all))
			case e.givesUp(r, m, tick.T, due):
				delete(e.measuring, key)
				noteEffect(tick.Observations, r, a, &incident.Effect{Verdict: incident.EffectCantTell})
			}
		}
	}
}

// noteEffect adds an effect to what a tick observed of an incident.
func noteEffect(found map[string]incident.Observation, r *incident.Record, a *incident.Action, effect *incident.Effect) {
	o := found[r.ID]
	seen := o.Actions[a.ID]
	seen.Effect = effect
	if o.Actions == nil {
		o.Actions = map[string]incident.ActionObservation{}
	}
	o.Actions[a.ID] = seen
	found[r.ID] = o
}

// startMeasuring asks the source for what tells the effect of an action, unless that is under way or is to be left
// alone for now: while the source does not answer the ticks either, after a failure, and while another effect of the
// incident or too many of others are asked for. nil: it was never asked.
func (e *Evaluator) startMeasuring(ctx context.Context, r *incident.Record, a *incident.Action, m *measurement, before map[string]*measurement) *measurement {
	if m != nil && (m.asking != nil || e.config.Now().Before(m.notAgain)) {
		return m
	}
	span, ok := e.effectSpan(r, a)
	if !ok || span.after.IsZero() || e.blindToBands(r) || measures(before, r) || measures(e.measuring, r) {
		return m
	}
	select {
	case e.measureSlots <- struct{}{}:
	default:
		return m
	}
	needs := make([][]need, len(r.Findings))
	for i := range r.Findings {
		needs[i] = e.bandNeeds(r.Findings[i].Snapshot, r)
	}
	m = &measurement{record: r, span: span, past: newRefilled(r, span.before, span.after, needs)}
	var questions map[asked]bool
	m.need, questions = e.questions(m.past.feeds, span.after, span.after)
	asking := make(chan map[asked]answer, 1)
	m.asking = asking
	atOnce := measureQueries
	if e.config.Virtual {
		atOnce = e.config.Queries
	}
	go func() {
		answers := e.ask(ctx, questions, atOnce)
		<-e.measureSlots
		asking <- answers
	}()
	return m
}

// measures tells whether an effect of an incident is being asked for.
func measures(all map[string]*measurement, r *incident.Record) bool {
	for _, m := range all {
		if m.record.ID == r.ID && m.asking != nil {
			return true
		}
	}
	return false
}

// blindToBands tells whether a signal of an open incident's recovery is not answered at this tick.
func (e *Evaluator) blindToBands(r *incident.Record) bool {
	for i := range r.Findings {
		w := e.byHash[r.Findings[i].Runbook]
		if w == nil {
			continue
		}
		for _, clause := range bands(&w.snapshot.Runbook) {
			for _, c := range clause.Conditions() {
				if f := w.feeds[c]; f != nil && f.err != nil {
					return true
				}
			}
		}
	}
	return false
}

// awaitMeasured takes the answers of a measurement, if they come in time. It tells whether all were given, and what is
// left of the time that the tick waits.
func (e *Evaluator) awaitMeasured(ctx context.Context, m *measurement, timeout <-chan time.Time) (answered bool, left <-chan time.Time) {
	if m.asking == nil {
		return false, timeout
	}
	select { // what is there already is taken, whatever the time
	case answers := <-m.asking:
		return e.takeMeasured(ctx, m, answers), timeout
	default:
	}
	if m.waited {
		return false, timeout
	}
	select {
	case answers := <-m.asking:
		return e.takeMeasured(ctx, m, answers), timeout
	case <-timeout:
		m.waited = true
		return false, elapsed // none of the others is waited for any more
	case <-ctx.Done():
		return false, timeout
	}
}

// takeMeasured feeds the answers of a measurement, and tells whether all were given. If not it is left alone for a while.
func (e *Evaluator) takeMeasured(ctx context.Context, m *measurement, answers map[asked]answer) bool {
	m.asking = nil
	if ctx.Err() != nil {
		return false
	}
	e.takeAnswers(m.span.after, m.need, answers)
	if m.past.answered() {
		return true
	}
	m.notAgain = e.config.Now().Add(measureAgain)
	e.log.Warn("the effect of an action can't be read yet: the metric source does not answer",
		zap.String("incident", m.record.ID), zap.Time("again", m.notAgain))
	return false
}

// givesUp tells whether an effect that was not told at tick t is waited for no longer.
func (e *Evaluator) givesUp(r *incident.Record, m *measurement, t, due time.Time) bool {
	if t.Add(e.config.Grid.Interval).Before(due.Add(incident.MeasuredWithin)) {
		return false
	}
	if !r.Open() { // the next tick looks at it no more
		return true
	}
	if m == nil {
		return e.blindToBands(r)
	}
	return m.asking == nil
}
