package evaluator

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Probe is what trying out every expression of the runbooks in force has found: a name that nothing exports is found
// now, not by the incident that can't be resolved because of it.
type Probe struct {
	At      time.Time
	Signals []ProbedSignal // by name
	// Unverifiable names, by runbook, the recovery bands that read a signal without any series: no incident of these
	// runbooks could ever be resolved. A band whose query was not answered is no such thing.
	Unverifiable map[string][]string
}

// ProbedSignal is what a signal's expressions answered.
type ProbedSignal struct {
	Name   string
	Series int   // of the expression and selection that has the fewest
	Err    error // why one of them was not answered
}

// Answered tells whether the source answered at all.
func (p Probe) Answered() bool {
	return len(p.Signals) == 0 || slices.ContainsFunc(p.Signals, func(s ProbedSignal) bool { return s.Err == nil })
}

// Empty names the signals without any series.
func (p Probe) Empty() []string {
	var names []string
	for _, s := range p.Signals {
		if s.Err == nil && s.Series == 0 {
			names = append(names, s.Name)
		}
	}
	return names
}

// Probe asks every expression of triggers, rubrics and recovery of the runbooks in force once.
func (e *Evaluator) Probe(ctx context.Context) Probe {
	e.mu.Lock()
	all := slices.Clone(e.inForce)
	e.mu.Unlock()
	p := &prober{e: e, at: e.config.Now().Add(-e.config.QueryOffset), answers: map[string]answer{}}
	found := Probe{At: p.at, Unverifiable: map[string][]string{}}
	p.ask(ctx, all)
	for _, s := range all {
		for _, clause := range clausesOf(&s.Runbook) {
			for _, c := range clause.Conditions() {
				found.add(p.look(s.Snapshot, c))
			}
		}
		for i, clause := range bands(&s.Runbook) {
			if clause != nil && !p.possible(s.Snapshot, clause) {
				found.Unverifiable[s.Runbook.Name] = append(found.Unverifiable[s.Runbook.Name], incident.BandNames[i])
			}
		}
	}
	slices.SortFunc(found.Signals, func(a, b ProbedSignal) int { return strings.Compare(a.Name, b.Name) })
	return found
}

// add keeps the worst answer of a signal.
func (p *Probe) add(found ProbedSignal, known bool) {
	if !known {
		return
	}
	at := slices.IndexFunc(p.Signals, func(s ProbedSignal) bool { return s.Name == found.Name })
	if at < 0 {
		p.Signals = append(p.Signals, found)
		return
	}
	s := &p.Signals[at]
	s.Series = min(s.Series, found.Series)
	if s.Err == nil {
		s.Err = found.Err
	}
}

func clausesOf(r *runbook.Runbook) []*triggers.Clause {
	all := []*triggers.Clause{&r.Trigger}
	for i := range r.Severity.Rules {
		all = append(all, &r.Severity.Rules[i].When)
	}
	for _, clause := range bands(r) {
		if clause != nil {
			all = append(all, clause)
		}
	}
	return all
}

// prober holds the answers to distinct expressions.
type prober struct {
	e       *Evaluator
	at      time.Time
	answers map[string]answer
}

// ask asks each distinct expression once, a bounded number of them at once.
func (p *prober) ask(ctx context.Context, all []hashed) {
	var exprs []string
	for _, s := range all {
		for _, clause := range clausesOf(&s.Runbook) {
			for _, c := range clause.Conditions() {
				if signal := s.Signals[c.Signal]; signal != nil {
					exprs = append(exprs, c.Expressions(signal).List()...)
				}
			}
		}
	}
	slices.Sort(exprs)
	exprs = slices.Compact(exprs)
	found := make([]answer, len(exprs))
	var group errgroup.Group
	group.SetLimit(p.e.config.Queries)
	for i, expr := range exprs {
		group.Go(func() error {
			found[i] = p.e.heard(expr, func() (source.Answer, error) { return p.e.config.Source.Instant(ctx, expr, p.at) })
			return nil
		})
	}
	_ = group.Wait() // the answers carry their errors
	for i, expr := range exprs {
		p.answers[expr] = found[i]
	}
}

// look counts the series that a condition reads; not known for one that reads no signal.
func (p *prober) look(s *runbook.Snapshot, c *triggers.Condition) (found ProbedSignal, known bool) {
	signal := s.Signals[c.Signal]
	if signal == nil {
		return ProbedSignal{}, false
	}
	found.Name = signal.Name
	x := c.Expressions(signal)
	var columns [][]triggers.Sample
	for _, expr := range x.List() {
		a := p.answers[expr]
		if a.err != nil {
			found.Err = a.err
			return found, true
		}
		columns = append(columns, split(a.Answer, p.e.config.Grid, question{from: p.at, to: p.at})[0])
	}
	for _, point := range x.Points(columns) {
		if triggers.Matches(point.Labels, c.Where) {
			found.Series++
		}
	}
	return found, true
}

// possible tells whether a recovery clause could hold: all that it needs has series, or was not answered.
func (p *prober) possible(s *runbook.Snapshot, clause *triggers.Clause) bool {
	if clause.Condition != nil {
		found, known := p.look(s, clause.Condition)
		return !known || found.Err != nil || found.Series > 0
	}
	for i := range clause.Any {
		if p.possible(s, &clause.Any[i]) {
			return true
		}
	}
	for i := range clause.All {
		if !p.possible(s, &clause.All[i]) {
			return false
		}
	}
	return len(clause.All) > 0
}
