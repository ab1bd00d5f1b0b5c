package evaluator

import (
	"context"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// The traffic rule: while a hold runs, the service's traffic over the last hold must be at least half of what it was at
// the same time a week before; where that is not known, half of what it was in the hour before impact.
const (
	week         = 7 * 24 * time.Hour
	beforeImpact = time.Hour
	lowTraffic   = 0.5
)

// part is what a need is there for, beside the points of its condition.
type part int

const (
	ofCondition part = iota
	trafficNow
	trafficBefore
)

// traffic is the counts of events behind a signal of the trigger: those of now, and those of a week before.
type traffic struct{ now, before *feed }

// counted gives the expressions that count the events behind the trigger's signals, each once, with the first condition
// that reads it. The signals of a trigger without counts carry no traffic.
func counted(s *runbook.Snapshot) (all []triggers.Expressions, by map[triggers.Expressions]*triggers.Condition) {
	by = map[triggers.Expressions]*triggers.Condition{}
	for _, c := range s.Runbook.Trigger.Conditions() {
		signal := s.Signals[c.Signal]
		if signal == nil {
			continue
		}
		if counts, ok := c.Expressions(signal).Counts(); ok && by[counts] == nil {
			all, by[counts] = append(all, counts), c
		}
	}
	return all, by
}

// trafficNeeds gives the feeds of the traffic of an open incident: the counts over a hold, as they come, and a week
// before. Those are asked for an hour ahead, a range apart.
func (e *Evaluator) trafficNeeds(s *runbook.Snapshot, r *incident.Record) []need {
	var needs []need
	all, by := counted(s)
	for _, counts := range all {
		c, grid := by[counts], counts.CountsGrid(e.config.Grid)
		needs = append(needs,
			need{condition: c, signal: c.Signal, part: trafficNow, span: r.HoldFor(), key: feedKey{Expressions: counts, grid: e.config.Grid}},
			need{condition: c, signal: c.Signal, part: trafficBefore, span: r.HoldFor(), key: feedKey{
				Expressions: counts, grid: grid, ago: week, past: true, spare: true,
			}})
	}
	return needs
}

// carry keeps the feeds of the traffic.
func (w *watch) carry(n need, f *feed) {
	t := w.traffic[n.key.Expressions]
	if t == nil {
		t = &traffic{}
		w.traffic[n.key.Expressions] = t
	}
	if n.part == trafficNow {
		t.now = f
	} else {
		t.before = f
	}
}

// low tells whether the traffic of a finding's service over the last hold is below half of what is normal: of the
// trigger's signals that carry traffic, the largest. Unknown traffic is not low.
func (w *watch) low(r *incident.Record, finding int, t time.Time) bool {
	service, over := incident.ServiceOf(&w.snapshot.Runbook, r.Findings[finding].Group), r.HoldFor()
	var now, largest, before float64 // now is that of the signal that was the largest before
	seen, history := false, false
	for _, own := range w.traffic {
		rate, known := own.now.history.Rate(service, t, over)
		if !known {
			continue
		}
		seen, largest = true, max(largest, rate)
		was, known := own.before.history.Rate(service, t.Add(-week), over)
		if known && (!history || was > before) {
			history, now, before = true, rate, was
		}
	}
	if !history && seen && finding == 0 && r.Normal != nil { // the record has that of its first finding
		now, before = largest, *r.Normal
	}
	return now < lowTraffic*before*(1-1e-9)
}

// normals adds to the firings the traffic of their services in the hour before impact. Each expression is asked once,
// whatever fires.
func (l *lookback) normals(ctx context.Context, firings []incident.Firing, watches []*watch) {
	feeds := map[triggers.Expressions]*feed{}
	for i := range firings {
		f := &firings[i]
		key := f.Hash + f.Group.String()
		normal, known := l.Evaluator.normals[key]
		if !known && !l.leftAlone(key) {
			if normal, known = l.normalOf(ctx, f, watches[i], firings, feeds); !known {
				l.again[key] = l.config.Now().Add(lookAgain)
			}
		}
		if f.Normal = normal; known {
			l.normal[key] = normal
		}
	}
}

// normalOf gives the traffic before a firing. ok is false where the source does not answer.
func (l *lookback) normalOf(ctx context.Context, f *incident.Firing, w *watch, all []incident.Firing, feeds map[triggers.Expressions]*feed) (normal *float64, ok bool) {
	ok = true
	exprs, by := counted(w.snapshot)
	for _, counts := range exprs {
		if feeds[counts] == nil {
			feeds[counts] = l.trafficBefore(ctx, counts, by[counts].Signal, all)
		}
		rate, known := feeds[counts].history.Rate(f.Service, f.ImpactStartedAt, beforeImpact)
		if known && (normal == nil || rate > *normal) {
			normal = &rate
		}
		ok = ok && feeds[counts].err == nil
	}
	return normal, ok
}

// trafficBefore asks for the counts of the hour before each impact.
func (l *lookback) trafficBefore(ctx context.Context, counts triggers.Expressions, signal string, all []incident.Firing) *feed {
	first, last := l.t, time.Time{}
	for _, f := range all {
		if f.ImpactStartedAt.Before(first) {
			first = f.ImpactStartedAt
		}
		if f.ImpactStartedAt.After(last) {
			last = f.ImpactStartedAt
		}
	}
	grid := counts.CountsGrid(l.config.Grid)
	key := feedKey{Expressions: counts, grid: grid, until: grid.Floor(last)}
	f := newFeed(key, []need{{signal: signal, span: last.Sub(first) + beforeImpact}})
	l.lookUp(ctx, f)
	return f
}
