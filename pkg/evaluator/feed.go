package evaluator

import (
	"time"

	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// expressions are what a signal asks of the source, with $range filled in. Conditions with equal expressions share
// one feed, so that each is asked once a tick, by however many runbooks it is used.
type expressions struct {
	query, numerator, denominator string
	zeroBorn                      bool
}

func expressionsOf(s *triggers.Signal, c *triggers.Condition) expressions {
	rangeOf := s.Range
	if c.Range > 0 {
		rangeOf = c.Range
	}
	if s.IsRatio() {
		return expressions{
			numerator:   triggers.Expand(s.Numerator, rangeOf),
			denominator: triggers.Expand(s.Denominator, rangeOf),
			zeroBorn:    s.ZeroBorn,
		}
	}
	return expressions{query: triggers.Expand(s.Query, rangeOf)}
}

func (x expressions) list() []string {
	if x.query != "" {
		return []string{x.query}
	}
	return []string{x.numerator, x.denominator}
}

// feed brings the points of a signal's expressions into a history.
type feed struct {
	expressions
	signal   string // name, for people
	grid     triggers.Grid
	history  *triggers.History
	span     time.Duration
	fetched  time.Time // the newest tick that was asked for
	fresh    bool      // every tick of the span up to fetched was answered
	refilled time.Time // the tick with which points came in that had been unknown at earlier ticks
	waiting  []column  // points of ticks that are not fed yet, oldest first

	err      error // of the last question; nil: it was answered
	answered time.Time
	failing  time.Time // since when questions have been failing
}

// column is the points of all segments at one tick.
type column struct {
	t      time.Time
	points []triggers.Point
}

func newFeed(x expressions, signal string, grid triggers.Grid, span time.Duration) *feed {
	return &feed{
		expressions: x, signal: signal, grid: grid, span: span,
		history: triggers.NewHistory(grid, span, x.query == ""),
	}
}

// question is what the feed needs to know for the ticks up to newest, of which tick is the next to be decided: the ticks
// alone while it is fresh, else its whole window again. ok is false when it knows already.
func (f *feed) question(tick, newest time.Time) (q question, ok bool) {
	if !f.fetched.Before(tick) {
		return question{}, false
	}
	if f.fresh && f.fetched.Equal(tick.Add(-f.grid.Interval)) {
		return question{from: tick, to: newest, step: f.grid.Interval}, true
	}
	return question{from: tick.Add(-f.span), to: newest, step: f.grid.Interval}, true
}

// take keeps the answers to a question. After a failure the ticks asked for are no data, and the whole window is
// asked for again at the next tick: the source may have the points that could not be fetched.
func (f *feed) take(tick time.Time, q question, answers map[string]answer, now time.Time) {
	f.fetched, f.waiting = q.to, nil
	var columns [2][][]triggers.Sample
	for i, expr := range f.list() {
		a := answers[expr]
		if a.err != nil {
			f.fail(a.err, now)
			return
		}
		columns[i] = split(a.Answer, f.grid, q)
	}
	if !f.fresh {
		f.refilled = tick
	}
	f.fresh, f.err, f.answered, f.failing = true, nil, now, time.Time{}
	for i := range columns[0] {
		t := q.from.Add(time.Duration(i) * q.step)
		if f.query != "" {
			f.waiting = append(f.waiting, column{t, triggers.Values(columns[0][i])})
			continue
		}
		f.waiting = append(f.waiting, column{t, triggers.Share(columns[0][i], columns[1][i], f.zeroBorn)})
	}
}

func (f *feed) fail(err error, now time.Time) {
	if f.err == nil || f.failing.IsZero() {
		f.failing = now
	}
	f.fresh, f.err = false, err
}

// advance feeds the history up to a tick.
func (f *feed) advance(tick time.Time) {
	n := 0
	for n < len(f.waiting) && !f.waiting[n].t.After(tick) {
		f.history.Feed(f.waiting[n].t, f.waiting[n].points)
		n++
	}
	f.waiting = f.waiting[n:]
	if len(f.waiting) == 0 {
		f.waiting = nil
	}
	f.history.Pass(tick)
}

// split sorts the points of an answer by tick.
func split(a source.Answer, grid triggers.Grid, q question) [][]triggers.Sample {
	first := grid.Tick(q.from)
	columns := make([][]triggers.Sample, grid.Tick(q.to)-first+1)
	if q.instant() {
		columns[0] = make([]triggers.Sample, 0, len(a.Series))
	}
	for _, s := range a.Series {
		for _, p := range s.Points {
			i := grid.Tick(time.UnixMilli(p.T)) - first
			if q.instant() {
				i = 0
			}
			if i >= 0 && i < int64(len(columns)) {
				columns[i] = append(columns[i], triggers.Sample{Labels: s.Labels, V: p.V})
			}
		}
	}
	return columns
}
