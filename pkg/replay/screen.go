package replay

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// screen tells the stretches of time in which nothing can fire from those that must be decided tick by tick. Most of
// a history is quiet, and a tick at which nothing is open and nothing fires changes nothing.
//
// It errs on one side only. A trigger that compares with a fixed limit cannot fire where no point that any of its
// windows and pools touches is past that limit: the last value must be past it, and counts that are added up have a
// share between the least and the greatest of their parts. Whatever else a condition asks for makes it fire less.
// Triggers that compare with a baseline, or look for absence, are not screened.
type screen struct {
	h        *history
	runbooks []*runbook.Snapshot
	looks    map[*triggers.Condition][]string // what the source is asked for, to screen a condition
	known    map[string]map[int64]extremes    // by these, by block
}

// extremes are the least and the greatest value of all segments in a block of ticks.
type extremes struct{ least, most float64 }

var nothing = extremes{math.Inf(1), math.Inf(-1)}

func (e *extremes) add(v float64) {
	if !math.IsNaN(v) { // an infinite one is no data, but as the greatest it may hide others
		e.least, e.most = min(e.least, v), max(e.most, v)
	}
}

// newScreen also has all that it looks at fetched ahead: of a query the greatest and the least value alone, which the
// source finds out, and of a trigger that cannot be screened every point.
func newScreen(h *history, runbooks []*runbook.Snapshot) *screen {
	s := &screen{h: h, runbooks: runbooks, looks: map[*triggers.Condition][]string{}, known: map[string]map[int64]extremes{}}
	for _, r := range runbooks {
		all := h.config.Thorough || !screened(&r.Runbook.Trigger)
		for _, c := range r.Runbook.Trigger.Conditions() {
			signal := r.Signals[c.Signal]
			if signal == nil {
				continue
			}
			asked := c.Expressions(signal).List()
			if !all {
				asked = looksAt(signal, c)
				s.looks[c] = asked
			}
			for _, expr := range asked {
				h.steady(expr)
			}
		}
	}
	return s
}

// screened tells whether a trigger can be screened at all.
func screened(c *triggers.Clause) bool {
	switch {
	case c.Condition != nil:
		return c.Condition.Comparison == triggers.Above || c.Condition.Comparison == triggers.Below || c.Condition.Comparison == triggers.Between
	case len(c.All) > 0:
		return slices.ContainsFunc(c.All, func(m triggers.Clause) bool { return screened(&m) })
	}
	return !slices.ContainsFunc(c.Any, func(m triggers.Clause) bool { return !screened(&m) })
}

// looksAt gives what the source is asked for, to screen a condition. Nothing where it cannot be.
func looksAt(signal *triggers.Signal, c *triggers.Condition) []string {
	exprs := c.Expressions(signal).List()
	if signal.IsRatio() || !isVector(exprs[0]) {
		return exprs
	}
	switch c.Comparison {
	case triggers.Above:
		return []string{greatest(exprs[0])}
	case triggers.Below:
		return []string{least(exprs[0])}
	case triggers.Between:
		return []string{greatest(exprs[0]), least(exprs[0])}
	}
	return nil
}

// greatest and least give the expression of the greatest and the least value of all segments. A comment may end the
// expression, so the bracket has a line of its own.
func greatest(expr string) string { return "max(" + expr + "\n)" }
func least(expr string) string    { return "min(" + expr + "\n)" }

// isVector tells whether an expression may be aggregated: a scalar may not.
func isVector(expr string) bool {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	return err == nil && parsed.Type() == parser.ValueTypeVector
}

// mayFire tells whether a runbook's trigger may fire at one of the ticks.
func (s *screen) mayFire(r *runbook.Snapshot, c chunk) (bool, error) {
	if !screened(&r.Runbook.Trigger) {
		return true, nil
	}
	return s.clause(r, &r.Runbook.Trigger, c)
}

func (s *screen) clause(r *runbook.Snapshot, clause *triggers.Clause, c chunk) (bool, error) {
	if clause.Condition != nil {
		return s.condition(r, clause.Condition, c)
	}
	for i := range clause.Any {
		if may, err := s.clause(r, &clause.Any[i], c); may || err != nil {
			return may, err
		}
	}
	for i := range clause.All {
		if may, err := s.clause(r, &clause.All[i], c); !may || err != nil {
			return may, err
		}
	}
	return len(clause.All) > 0, nil
}

// margin is well above the tolerance with which limits are compared.
const margin = 1e-6

func (s *screen) condition(r *runbook.Snapshot, c *triggers.Condition, at chunk) (bool, error) {
	signal := r.Signals[c.Signal]
	if len(s.looks[c]) == 0 {
		return true, nil
	}
	reach := c.Reach(s.h.config.Grid, triggers.Shape{Ratio: signal.IsRatio(), Traffic: signal.Traffic != "", Reads: c.RangeOf(signal)})
	found, err := s.extremes(signal, s.looks[c], chunk{at.first - s.h.config.Grid.Steps(reach) - 1, at.last})
	if err != nil {
		return false, err
	}
	above := func(limit float64) bool { return found.most >= limit-margin*math.Abs(limit) }
	below := func(limit float64) bool { return found.least <= limit+margin*math.Abs(limit) }
	switch c.Comparison {
	case triggers.Above:
		return above(c.Limit), nil
	case triggers.Below:
		return below(c.Limit), nil
	}
	return above(c.Low) && below(c.High), nil
}

// extremes gives those of all blocks that ticks lie in.
func (s *screen) extremes(signal *triggers.Signal, exprs []string, c chunk) (extremes, error) {
	key := strings.Join(exprs, "\x00")
	blocks := s.known[key]
	if blocks == nil {
		blocks = map[int64]extremes{}
		s.known[key] = blocks
	}
	grid := s.h.config.Grid
	first, last := s.block(c.first), s.block(c.last)
	if len(blocks) == 0 {
		for _, expr := range exprs { // in one go
			if _, err := s.h.answer(expr, grid.Interval, grid.Time(s.start(first)), grid.Time(c.last)); err != nil {
				return nothing, err
			}
		}
	}
	all := nothing
	for b := first; b <= last; b++ {
		e, known := blocks[b]
		if !known {
			from, to := grid.Time(s.start(b)), grid.Time(min(s.start(b+1)-1, s.h.config.last()))
			var err error
			if e, err = s.measure(signal, exprs, from, to); err != nil {
				return all, err
			}
			blocks[b] = e
		}
		all.least, all.most = min(all.least, e.least), max(all.most, e.most)
	}
	for b := range blocks {
		if b < first {
			delete(blocks, b) // time goes on
		}
	}
	return all, nil
}

// block is the number of the block of ticks that a tick lies in, counted from the first tick of the replay.
func (s *screen) block(tick int64) int64 {
	since := tick - s.h.config.first()
	if since < 0 {
		return (since+1)/stepTicks - 1
	}
	return since / stepTicks
}

// start is the first tick of a block.
func (s *screen) start(block int64) int64 { return s.h.config.first() + block*stepTicks }

// measure looks at the points of a block.
func (s *screen) measure(signal *triggers.Signal, exprs []string, from, to time.Time) (extremes, error) {
	e := nothing
	first, err := s.h.answer(exprs[0], s.h.config.Grid.Interval, from, to)
	if err != nil {
		return e, err
	}
	if !signal.IsRatio() {
		e.addAll(first.Series)
	}
	if len(exprs) == 1 {
		return e, nil
	}
	second, err := s.h.answer(exprs[1], s.h.config.Grid.Interval, from, to)
	if err != nil {
		return e, err
	}
	if signal.IsRatio() {
		e.join(first.Series, second.Series, signal.ZeroBorn)
	} else {
		e.addAll(second.Series)
	}
	return e, nil
}

func (e *extremes) addAll(all []source.Series) {
	for _, series := range all {
		for _, p := range series.Points {
			e.add(p.V)
		}
	}
}

// join adds the shares of numerators in the denominators with the same labels. Where a numerator has other labels it is
// not looked which denominator it meets: anything may be.
func (e *extremes) join(numerators, denominators []source.Series, zeroBorn bool) {
	byHash := make(map[uint64][]source.Point, len(numerators))
	for _, n := range numerators {
		byHash[n.Labels.Hash()] = n.Points
	}
	met := 0
	for _, d := range denominators {
		n, known := byHash[d.Labels.Hash()]
		if known {
			met++
			e.shares(n, d.Points)
		}
		if zeroBorn && len(n) < len(d.Points) {
			e.add(0) // where the numerator is missing
		}
	}
	if met < len(numerators) {
		e.least, e.most = math.Inf(-1), math.Inf(1)
	}
}

// shares adds the shares at the times that both have.
func (e *extremes) shares(numerator, denominator []source.Point) {
	i := 0
	for _, d := range denominator {
		for i < len(numerator) && numerator[i].T < d.T {
			i++
		}
		if i < len(numerator) && numerator[i].T == d.T && d.V > 0 {
			e.add(min(numerator[i].V/d.V, 1))
		}
	}
}
