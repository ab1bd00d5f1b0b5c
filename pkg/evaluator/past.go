package evaluator

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// holding is how far a hold has come. It is whole when every tick since its start was folded; else the source has not
// told them yet, and they are asked for again.
type holding struct {
	incident.Progress
	whole bool
}

// holdBefore gives how far a hold had come before tick t: what the ticks so far added up to, or, after a start, a
// take-over or points that came late, the same folded anew from the points since the hold began.
func (e *Evaluator) holdBefore(ctx context.Context, r *incident.Record, t time.Time) holding {
	since, before := r.Hold.Since, t.Add(-e.config.Grid.Interval)
	h := e.holds[r.ID]
	inHand := h.Since.Equal(since) && h.Through.Equal(before)
	if inHand && h.whole && !e.cameLate(r, t) {
		return h
	}
	if !before.After(since) {
		return holding{incident.Progress{Since: since, Through: since}, true}
	}
	if folded, ok := e.fold(ctx, r, since, before); ok {
		return holding{folded, true}
	}
	if inHand {
		return h
	}
	// Nothing is known of the ticks before: the clock stands until the source answers, and then they count.
	return holding{incident.Progress{Since: since, Through: before}, false}
}

// fold adds up a hold's ticks after since, up to last, from the points of that time. ok is false while the source does
// not tell them.
func (e *Evaluator) fold(ctx context.Context, r *incident.Record, since, last time.Time) (p incident.Progress, ok bool) {
	if e.blindTo(r) {
		return p, false
	}
	past, ok := e.past(ctx, r, since, last)
	if !ok {
		return p, false
	}
	interval := e.config.Grid.Interval
	p = incident.Progress{Since: since, Through: since}
	for tick := since.Add(interval); !tick.After(last); tick = tick.Add(interval) {
		p = p.Add(tick, interval, past(tick))
	}
	e.log.Info("hold folded from its points", zap.String("incident", r.ID), zap.Time("since", since),
		zap.Duration("elapsed", p.Elapsed), zap.Duration("paused", p.Paused))
	return p, true
}

// cameLate tells whether points older than t came in with this tick for something that the incident's recovery
// depends on.
func (e *Evaluator) cameLate(r *incident.Record, t time.Time) bool {
	return e.anyBand(r, func(f *feed) bool { return f.refilled.Equal(t) })
}

// blindTo tells whether something that the incident's recovery depends on is not answered at this tick.
func (e *Evaluator) blindTo(r *incident.Record) bool {
	return e.anyBand(r, func(f *feed) bool { return f.err != nil })
}

// anyBand tells whether it is so of a feed that the incident's recovery bands and its traffic of now read.
func (e *Evaluator) anyBand(r *incident.Record, is func(*feed) bool) bool {
	for i := range r.Findings {
		w := e.byHash[r.Findings[i].Runbook]
		for _, clause := range bands(&w.snapshot.Runbook) {
			for _, c := range clause.Conditions() {
				if f := w.feeds[c]; f != nil && is(f) {
					return true
				}
			}
		}
		for _, own := range w.traffic {
			if is(own.now) {
				return true
			}
		}
	}
	return false
}

// refilled is histories of a stretch of the past, and the watches of an incident's findings over them.
type refilled struct {
	feeds   []*feed
	watches []*watch
}

// advance feeds the points up to a tick.
func (p refilled) advance(t time.Time) {
	for _, f := range p.feeds {
		f.advance(t)
	}
}

// past refills the recovery bands of an incident over [from, to] into histories of their own, and gives what each
// tick of that time found of them. ok is false when the source does not answer.
func (e *Evaluator) past(ctx context.Context, r *incident.Record, from, to time.Time) (tick func(time.Time) []incident.FindingObservation, ok bool) {
	needs := make([][]need, len(r.Findings))
	for i := range r.Findings {
		needs[i] = append(e.bandNeeds(r.Findings[i].Snapshot, r), e.trafficNeeds(r.Findings[i].Snapshot, r)...)
	}
	past := newRefilled(r, from, to, needs)
	e.fetch(ctx, past.feeds, to, to)
	if !past.answered() {
		return nil, false
	}
	return func(tick time.Time) []incident.FindingObservation {
		past.advance(tick)
		found := make([]incident.FindingObservation, len(r.Findings))
		for i := range r.Findings {
			found[i].Bands = past.watches[i].bands(r, &r.Findings[i], tick)
			found[i].Low = past.watches[i].low(r, i, tick)
		}
		return found
	}, true
}

// answered tells whether the source told all that nothing else stands in for.
func (p refilled) answered() bool {
	return !slices.ContainsFunc(p.feeds, func(f *feed) bool { return f.err != nil && !f.spare })
}

// newRefilled makes histories of what is needed of [from, to], by finding. They are to be asked for as of to.
func newRefilled(r *incident.Record, from, to time.Time, needs [][]need) (past refilled) {
	byKey := map[feedKey][]need{}
	for i := range needs {
		for j := range needs[i] {
			n := needs[i][j]
			switch {
			case n.part == trafficNow:
				n.span += to.Sub(from)
			case !n.key.past:
				n.span = max(n.span, to.Sub(from)+n.condition.For)
				n.notBefore = from.Add(-max(n.condition.For, r.HoldFor()))
			case n.key.ago > 0: // it moves with the ticks, and each of them needs its whole period
				n.span += to.Sub(from)
			}
			byKey[n.key] = append(byKey[n.key], n)
		}
	}
	all := map[feedKey]*feed{}
	for key, needs := range byKey {
		all[key] = newFeed(key, needs)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		past.watches = append(past.watches, newWatch(f.Snapshot, f.Runbook, needs[i], all))
	}
	past.feeds = slices.Collect(maps.Values(all))
	return past
}
