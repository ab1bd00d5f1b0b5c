package evaluator

import (
	"time"

	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// feedKey is what a feed asks for. The zero values of all but the expressions and the grid are those of the feed that
// follows the ticks.
type feedKey struct {
	triggers.Expressions
	grid triggers.Grid
	// ago is how far behind the tick the feed stays: a baseline at the same time of an earlier day.
	ago time.Duration
	// until is where the feed ends: a baseline of the time before an incident.
	until time.Time
	past  bool // it feeds baselines: what it could not be told is asked for again at once
	// spare tells that something else stands in while it is not answered. It is the traffic of a week before.
	spare bool
}

// feed brings the points of a signal's expressions into a history.
type feed struct {
	feedKey
	signal   string // name, for people
	history  *triggers.History
	span     time.Duration // the longest of what is wanted
	wanted   []want
	fetched  time.Time // the newest tick that was asked for
	tried    time.Time // the newest tick of the walk for which it was last asked: a baseline that fails is not asked for at each of its ticks
	fresh    bool      // every tick of the span up to fetched was answered
	refilled time.Time // the tick with which points came in that had been unknown at earlier ticks
	waiting  []column  // points of ticks that are not fed yet, oldest first

	err      error // of the last question; nil: it was answered
	blind    bool  // so it was at the last tick that was decided
	answered time.Time
	failing  time.Time // since when questions have been failing
}

// column is the points of all segments at one tick.
type column struct {
	t      time.Time
	points []triggers.Point
}

// want is how much of the time before a tick somebody looks at.
type want struct {
	span      time.Duration
	notBefore time.Time
}

// newFeed makes a feed for all that needs it.
func newFeed(key feedKey, needs []need) *feed {
	f := &feed{feedKey: key, signal: needs[0].signal}
	for _, n := range needs {
		f.span = max(f.span, n.span)
		f.wanted = append(f.wanted, want{n.span, n.notBefore})
	}
	f.history = triggers.NewHistory(key.grid, f.span, key.Shape())
	return f
}

// oldest is the first tick that is worth asking for at a target.
func (f *feed) oldest(target time.Time) time.Time {
	oldest := target
	for _, w := range f.wanted {
		from := target.Add(-w.span)
		if from.Before(w.notBefore) {
			from = w.notBefore
		}
		if from.Before(oldest) {
			oldest = from
		}
	}
	return f.grid.Floor(oldest)
}

// target is the tick of the feed's own grid that it must know at a tick.
func (f *feed) target(tick time.Time) time.Time {
	t := tick.Add(-f.ago)
	if !f.until.IsZero() && t.After(f.until) {
		t = f.until
	}
	return f.grid.Floor(t)
}

// ahead is how far beyond its target a feed that stays behind asks, so that it need not ask at each step.
const ahead = time.Hour

// spareAgain is how long what something else stands in for is left alone after it was not answered: a source that is
// slow to refuse it must not make every tick late.
const spareAgain = 5 * time.Minute

// question is what the feed needs to know for the ticks up to newest, of which tick is the next to be decided: the ticks
// alone while it is fresh, else its whole window again, and that of the time warm before. ok is false when it knows
// already.
func (f *feed) question(tick, newest time.Time, warm time.Duration) (q question, ok bool) {
	target, to := f.target(tick), f.target(newest)
	if !f.fetched.Before(target) || f.past && f.tried.Equal(newest) {
		return question{}, false
	}
	if f.spare && f.err != nil && newest.Before(f.tried.Add(spareAgain)) {
		return question{}, false
	}
	f.tried = newest
	if f.ago > ahead {
		to = f.grid.Floor(to.Add(ahead))
	}
	from := target
	if !f.fresh || !f.fetched.Equal(target.Add(-f.grid.Interval)) {
		from = f.grid.Floor(f.oldest(target).Add(-warm))
	}
	if from.Equal(to) {
		return question{from: from, to: to}, true
	}
	return question{from: from, to: to, step: f.grid.Interval}, true
}

// take keeps the answers to a question. After a failure the ticks asked for are no data, and the whole window is
// asked for again at the next tick: the source may have the points that could not be fetched.
func (f *feed) take(tick time.Time, q question, answers map[string]answer, now time.Time) {
	exprs := f.List()
	columns := make([][][]triggers.Sample, len(exprs))
	for i, expr := range exprs {
		a := answers[expr]
		if a.err != nil {
			if !f.past {
				f.fetched, f.waiting = q.to, nil
			}
			f.fail(a.err, now)
			return
		}
		columns[i] = split(a.Answer, f.grid, q)
	}
	if !f.fresh {
		f.refilled = tick
	}
	f.fetched, f.waiting = q.to, nil
	f.fresh, f.err, f.answered, f.failing = true, nil, now, time.Time{}
	joined := make([][]triggers.Sample, len(exprs))
	for i := range columns[0] {
		for n := range columns {
			joined[n] = columns[n][i]
		}
		f.waiting = append(f.waiting, column{q.from.Add(time.Duration(i) * f.grid.Interval), f.Points(joined)})
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
	tick = f.target(tick)
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
