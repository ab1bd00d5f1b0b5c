package evaluator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// need is a feed that a condition reads.
type need struct {
	condition *triggers.Condition
	signal    string
	key       feedKey
	part      part
	span      time.Duration
	notBefore time.Time // no points before it are of use; zero: all of the span
}

// needsOf gives the feeds that a condition reads: the one that follows the ticks, over reach, and those of its baseline.
// A `last` baseline of an open incident ends where its impact began.
func (e *Evaluator) needsOf(s *runbook.Snapshot, c *triggers.Condition, reach func(triggers.Shape) time.Duration, since time.Time) []need {
	signal := s.Signals[c.Signal]
	if signal == nil {
		return nil // blast_radius, which is made of others
	}
	x, grid := c.Expressions(signal), e.config.Grid
	// One tick more than a window: the point before a run tells that it began there.
	needs := []need{{condition: c, signal: signal.Name, key: feedKey{Expressions: x, grid: grid}, span: reach(x.Shape()) + grid.Interval}}
	past := c.PastSpan()
	if past == 0 {
		return needs
	}
	key := feedKey{Expressions: x, grid: c.PastGrid(grid, x.Shape()), past: true}
	if c.Baseline == nil || c.Baseline.Last > 0 {
		key.until = since
		span := past + c.For
		if c.Baseline != nil && !since.IsZero() {
			span = past
		}
		return append(needs, need{condition: c, signal: signal.Name, key: key, span: span})
	}
	for k := range c.Baseline.Periods {
		key.ago = time.Duration(k+1)*c.Baseline.SameTime - c.Baseline.Width/2
		needs = append(needs, need{condition: c, signal: signal.Name, key: key, span: past})
	}
	return needs
}

// needs gives the feeds of a runbook: the trigger's and the rubric's always, the rubric's baselines, those of
// recovery, traffic and actions in flight for each incident of it that is open.
func (e *Evaluator) needs(book hashed, open []*incident.Record) []need {
	var all []need
	s := book.Snapshot
	for _, c := range s.Runbook.Trigger.Conditions() {
		all = append(all, e.needsOf(s, c, e.reach(c), time.Time{})...)
	}
	for i := range s.Runbook.Severity.Rules {
		for _, c := range s.Runbook.Severity.Rules[i].When.Conditions() {
			all = append(all, e.needsOf(s, c, window(c), time.Time{})...)
			for _, r := range open {
				all = append(all, e.needsOf(s, c, window(c), r.ImpactStartedAt)...)
			}
		}
	}
	for _, r := range open {
		all = append(all, e.bandNeeds(s, r)...)
		all = append(all, e.trafficNeeds(s, r)...)
		all = append(all, e.actionNeeds(book, r)...)
	}
	return all
}

// bandNeeds gives the feeds of the recovery bands of an incident. A pool that proves one begins at its floor, and a hold
// before that is all that tells how dense its traffic is.
func (e *Evaluator) bandNeeds(s *runbook.Snapshot, r *incident.Record) []need {
	var all []need
	for _, clause := range bands(&s.Runbook) {
		for _, c := range clause.Conditions() {
			reach := func(shape triggers.Shape) time.Duration { return c.PoolReach(shape, r.HoldFor()) }
			needs := e.needsOf(s, c, reach, r.ImpactStartedAt)
			if len(needs) > 0 {
				needs[0].notBefore = r.OpenedAt.Add(-max(r.HoldFor(), c.For) - needs[0].key.Reads)
			}
			all = append(all, needs...)
		}
	}
	return all
}

// reach is that of a condition of the trigger.
func (e *Evaluator) reach(c *triggers.Condition) func(triggers.Shape) time.Duration {
	return func(shape triggers.Shape) time.Duration { return c.Reach(e.config.Grid, shape) }
}

// window is the reach of a condition that is judged by value.
func window(c *triggers.Condition) func(triggers.Shape) time.Duration {
	return func(triggers.Shape) time.Duration { return c.For }
}

// hashed is a snapshot with its hash.
type hashed struct {
	*runbook.Snapshot
	hash string
}

// prepare makes the watches and feeds that this tick needs: those of the runbooks in force and of the incidents that
// are open. Feeds that are needed on keep their points.
func (e *Evaluator) prepare(open []*incident.Record) {
	e.mu.Lock()
	wanted := slices.Clone(e.inForce)
	e.mu.Unlock()
	inForce := len(wanted)
	byHash := map[string][]*incident.Record{}
	for _, r := range open {
		for i := range r.Findings {
			f := &r.Findings[i]
			if byHash[f.Runbook] == nil {
				wanted = append(wanted, hashed{f.Snapshot, f.Runbook})
			}
			byHash[f.Runbook] = append(byHash[f.Runbook], r)
		}
	}
	var made strings.Builder
	for i, w := range wanted {
		fmt.Fprintln(&made, w.hash, i < inForce)
		for _, r := range byHash[w.hash] {
			fmt.Fprintln(&made, r.ID, r.HoldFor(), r.ImpactStartedAt.UnixNano(), soughtIn(r))
		}
	}
	if made.String() == e.made {
		return
	}
	e.made = made.String()
	e.make(wanted, inForce, byHash)
}

// make makes watches and their feeds anew. What was frozen in a watch of the same runbook stays frozen.
func (e *Evaluator) make(wanted []hashed, inForce int, open map[string][]*incident.Record) {
	e.seek(open)
	needs := map[string][]need{}
	byKey := map[feedKey][]need{}
	for _, s := range wanted {
		if needs[s.hash] != nil {
			continue
		}
		needs[s.hash] = e.needs(s, open[s.hash])
		for _, n := range needs[s.hash] {
			byKey[n.key] = append(byKey[n.key], n)
		}
	}
	feeds := make(map[feedKey]*feed, len(byKey))
	for key, all := range byKey {
		f := newFeed(key, all)
		if had := e.feeds[key]; had != nil && had.span >= f.span {
			had.wanted = f.wanted
			f = had
		}
		feeds[key] = f
	}
	before := e.byHash
	e.feeds, e.watches, e.byHash = feeds, nil, map[string]*watch{}
	e.metrics.unknown.Reset() // those that are watched on are set again at the end of the tick
	for i, s := range wanted {
		if e.byHash[s.hash] != nil {
			continue
		}
		w := newWatch(s.Snapshot, s.hash, needs[s.hash], feeds)
		w.inForce = i < inForce
		if old := before[s.hash]; old != nil {
			w.trigger.Inherit(old.trigger)
		}
		for _, r := range open[s.hash] {
			w.freeze(r)
		}
		e.byHash[s.hash] = w
		e.watches = append(e.watches, w)
	}
	slices.SortStableFunc(e.watches, func(a, b *watch) int {
		return strings.Compare(a.snapshot.Runbook.Name, b.snapshot.Runbook.Name)
	})
}

// freeze takes the baselines of an open incident from its record.
func (w *watch) freeze(r *incident.Record) {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Runbook == w.hash {
			w.trigger.Freeze(f.Group, f.Frozen, r.ImpactStartedAt)
		}
	}
}
