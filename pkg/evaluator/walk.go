package evaluator

import (
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/source"
)

// walk is the way through missed ticks. A source that does not answer at its start, for it may be starting too, must not
// make the whole gap unknown: the walk waits for it, at most for blind_after since it began.
type walk struct {
	began   time.Time // zero: none is under way
	waiting bool
}

// errAwaiting says that missed ticks wait for a source that does not answer.
var errAwaiting = errors.New("missed ticks wait for the metric source")

// askAgain is how long after a question was not answered it is put again while a walk waits.
const askAgain = time.Second

// begin is called with each try to catch up; missed tells whether there is more to decide than the tick that is due.
func (w *walk) begin(missed bool, now time.Time) {
	if missed && w.began.IsZero() {
		w.began = now
	}
}

// end is called when a try is over. A walk that waits goes on with the next one.
func (w *walk) end(err error) {
	if !errors.Is(err, errAwaiting) {
		*w = walk{}
	}
}

// awaits tells whether tick t was missed and waits for answers. What has not been answered is then asked again.
func (e *Evaluator) awaits(feeds []*feed, t, newest time.Time) bool {
	if e.walk.began.IsZero() || !t.Before(newest) {
		return false
	}
	silent := slices.DeleteFunc(slices.Clone(feeds), func(f *feed) bool { return !f.mayAnswerYet() })
	if len(silent) == 0 {
		return false
	}
	until := e.walk.began.Add(e.config.BlindAfter)
	if !e.config.Now().Before(until) {
		if e.walk.waiting {
			e.log.Warn("the metric source has not answered: the ticks missed are decided without it, as unknown",
				zap.Time("from", t), zap.Strings("signals", signalNames(silent)))
		}
		e.walk.waiting = false
		return false
	}
	if !e.walk.waiting {
		e.log.Warn("ticks were missed, and the metric source does not answer: they wait for it",
			zap.Time("from", t), zap.Time("until", until), zap.Strings("signals", signalNames(silent)))
	}
	e.walk.waiting = true
	for _, f := range silent {
		f.fetched = time.Time{}
	}
	e.publishWaiting(Awaited{From: t, Since: e.walk.began, Until: until})
	return true
}

// mayAnswerYet tells whether a question that was not answered is worth waiting for: it is one of the ticks, and neither
// refused for what it is nor known to fail since before the gap.
func (f *feed) mayAnswerYet() bool {
	if f.err == nil || f.past || f.blind {
		return false
	}
	var known *source.Error
	return !errors.As(f.err, &known) || known.Reason != source.Query && known.Reason != source.Limit
}

// warmUp looks at the time before the first tick after a start, and tells since when what open incidents depend on has
// been unknown: blind_after does not start anew with the process. What the source does not answer says nothing of that
// time.
func (e *Evaluator) warmUp(open []*incident.Record, feeds []*feed, t time.Time) {
	if e.warm == 0 {
		return
	}
	watches := slices.DeleteFunc(slices.Clone(e.watches), func(w *watch) bool {
		return !slices.ContainsFunc(open, func(r *incident.Record) bool {
			return slices.ContainsFunc(r.Findings, func(f incident.Finding) bool { return f.Runbook == w.hash })
		})
	})
	for before := e.config.Grid.Floor(t.Add(-e.warm)); before.Before(t); before = before.Add(e.config.Grid.Interval) {
		judge(watches, feeds, before)
		unknown := map[string]time.Time{}
		for _, r := range open {
			e.unknownAt(r, before, unknown)
		}
		e.unknown = unknown
	}
	e.warm = 0
	held := heldBy(open)
	for _, w := range watches {
		for _, g := range w.groups {
			if !held[incident.FindingKey(w.snapshot.Runbook.Name, g.Group)] {
				w.trigger.Thaw(g.Group) // what would have fired then is not decided
			}
		}
	}
}

// unknownAt notes what an open incident depends on and was unknown at a tick that has been decided before.
func (e *Evaluator) unknownAt(r *incident.Record, t time.Time, unknown map[string]time.Time) {
	if !t.After(r.OpenedAt) {
		return
	}
	for i := range r.Findings {
		w := e.byHash[r.Findings[i].Runbook]
		for _, missing := range w.observe(r, &r.Findings[i], t, false).Unknown {
			if !w.unanswered(missing.What) {
				since(e.unknown, unknown, r.ID+"\x00"+missing.What, t)
			}
		}
	}
}

// unanswered tells whether what is unknown is so because the source does not answer.
func (w *watch) unanswered(what string) bool {
	failing := func(f *feed) bool { return f.err != nil }
	for _, c := range w.snapshot.Runbook.Trigger.Conditions() {
		if missingTrigger(c) == what && slices.ContainsFunc(w.sources[c], failing) {
			return true
		}
	}
	for i, clause := range bands(&w.snapshot.Runbook) {
		if clause == nil || missingBand(i, clause) != what {
			continue
		}
		for _, c := range clause.Conditions() {
			if slices.ContainsFunc(w.sources[c], failing) {
				return true
			}
		}
	}
	return false
}
