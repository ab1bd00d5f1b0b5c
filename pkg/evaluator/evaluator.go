// Package evaluator is the tick: which expressions are needed now, each asked once, windows fed, verdicts handed to
// the Desk.
//
// Evaluation times are aligned and decided in order, each once. A tick that was missed, because the source was slow
// or the daemon away, is decided late on refilled points, so that a live run and a replay of the same history find
// the same incidents. Live, replay and test are this code with another source and another clock.
package evaluator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// longestWalk is how far back missed ticks are decided; older ones are skipped, and each open incident notes it.
const longestWalk = 4 * time.Hour

// Desk decides and commits what a tick found.
type Desk interface {
	// Open gives the open incidents; the records must not be changed.
	Open(ctx context.Context) ([]*incident.Record, error)
	// Tick decides one tick. It is safe to hand a tick over again.
	Tick(ctx context.Context, tick incident.Tick) error
	// WalkedTo is the last tick that was decided; zero: none ever.
	WalkedTo(ctx context.Context) (time.Time, error)
	// Gap notes on every open incident that the ticks between were not decided at all.
	Gap(ctx context.Context, from, to time.Time) error
}

// Config is what an Evaluator works with.
type Config struct {
	Source      source.Source
	Desk        Desk
	Grid        triggers.Grid
	QueryOffset time.Duration // a tick is evaluated when it lies this far back
	Queries     int           // to the source at once
	ImpactReach time.Duration // how far back the beginning of impact is looked for; default 24 h
	// Virtual says that time is played (test, replay): every tick is decided as a live one, however many are advanced
	// at once, and no tick lies too far back.
	Virtual  bool
	Now      func() time.Time
	Log      *zap.Logger
	Registry prometheus.Registerer
}

// Evaluator evaluates runbooks, tick by tick.
type Evaluator struct {
	config  Config
	log     *zap.Logger
	metrics *metrics

	decided time.Time // the last tick decided; zero: none yet
	feeds   map[feedKey]*feed
	watches []*watch // in the order of their runbooks' names
	byHash  map[string]*watch
	made    string               // what feeds and watches were made for
	holds   map[string]holding   // by incident
	began   map[string]beginning // of what fired at the last tick
	unknown map[string]time.Time // since when each thing that an open incident depends on has been unknown
	warned  map[string]time.Time

	unknownWindows map[string]time.Time // the same for every trigger in force

	mu      sync.Mutex // guards what follows
	inForce []hashed
	status  Status
	live    map[string]incident.Live // by incident
}

// New makes an evaluator. Nothing is evaluated before SetRunbooks and Run.
func New(config Config) *Evaluator {
	if config.Queries <= 0 {
		config.Queries = 8
	}
	if config.ImpactReach <= 0 {
		config.ImpactReach = 24 * time.Hour
	}
	return &Evaluator{
		config:  config,
		log:     config.Log,
		metrics: newMetrics(config.Registry),
		feeds:   map[feedKey]*feed{},
		holds:   map[string]holding{},
		unknown: map[string]time.Time{},
		warned:  map[string]time.Time{},
	}
}

// SetRunbooks puts runbooks in force from the next tick on. Open incidents keep those that they were opened with.
func (e *Evaluator) SetRunbooks(all []*runbook.Snapshot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inForce = nil
	for _, s := range all {
		e.inForce = append(e.inForce, hashed{s, s.Hash()})
	}
}

// Run evaluates until ctx ends or another process leads.
func (e *Evaluator) Run(ctx context.Context) error {
	if err := e.resume(ctx); err != nil {
		return err
	}
	for {
		newest := e.config.Grid.Floor(e.config.Now().Add(-e.config.QueryOffset))
		if newest.After(e.decided) {
			if err := e.Advance(ctx, newest); ctx.Err() != nil {
				return nil
			} else if errors.Is(err, incident.ErrFenced) {
				return err
			} else if err != nil {
				e.metrics.undecided.Inc()
				e.log.Error("tick not decided; it will be decided later", zap.Time("tick", newest), zap.Error(err))
			}
		}
		next := newest.Add(e.config.Grid.Interval + e.config.QueryOffset)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next.Sub(e.config.Now())):
		}
	}
}

// resume takes up where the mark in the store says that deciding ended.
func (e *Evaluator) resume(ctx context.Context) error {
	walked, err := e.config.Desk.WalkedTo(ctx)
	if err != nil {
		return fmt.Errorf("read the last decided tick: %w", err)
	}
	if !walked.IsZero() {
		e.decided = e.config.Grid.Floor(walked)
	}
	return nil
}

// Begin makes t, or the first evaluation time after it, the first tick to be decided, whatever was decided before.
func (e *Evaluator) Begin(t time.Time) {
	e.decided = e.config.Grid.Floor(t.Add(-1))
}

// Advance decides every tick after the last decided one, up to newest, in order. All but the newest are decided
// late, as a walk: nobody is paged on the way.
func (e *Evaluator) Advance(ctx context.Context, newest time.Time) error {
	first, err := e.first(ctx, newest)
	if err != nil {
		return err
	}
	for t := first; !t.After(newest); t = t.Add(e.config.Grid.Interval) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		began := e.config.Now()
		if err := e.decide(ctx, t, newest); err != nil {
			return err
		}
		e.decided = t
		e.metrics.tick(e.config.Now().Sub(began), began.Sub(t)-e.config.QueryOffset, t.Before(newest))
	}
	return nil
}

// first is the first tick to decide. Ticks that lie too far back are skipped and noted.
func (e *Evaluator) first(ctx context.Context, newest time.Time) (time.Time, error) {
	if e.decided.IsZero() {
		return newest, nil
	}
	first := e.decided.Add(e.config.Grid.Interval)
	oldest := e.config.Grid.Floor(newest.Add(-longestWalk))
	if e.config.Virtual || !first.Before(oldest) {
		return first, nil
	}
	e.log.Warn("ticks lie too far back to be decided late; skipped", zap.Time("from", first), zap.Time("to", oldest))
	e.metrics.skipped.Add(float64(oldest.Sub(first) / e.config.Grid.Interval))
	if err := e.config.Desk.Gap(ctx, first, oldest); err != nil {
		return time.Time{}, fmt.Errorf("note the gap: %w", err)
	}
	e.decided = oldest.Add(-e.config.Grid.Interval) // the gap is noted once, whatever becomes of its first tick
	return oldest, nil
}

// decide evaluates one tick and hands what it found to the Desk.
func (e *Evaluator) decide(ctx context.Context, t, newest time.Time) error {
	open, err := e.config.Desk.Open(ctx)
	if err != nil {
		return fmt.Errorf("load the open incidents: %w", err)
	}
	e.prepare(open)
	feeds := e.feedList()
	e.fetch(ctx, feeds, t, newest)
	if ctx.Err() != nil {
		return ctx.Err() // the answers are cut short: undecided, not unknown
	}
	for _, f := range feeds {
		f.advance(t)
	}
	for _, w := range e.watches {
		w.groups = w.trigger.Judge(t)
	}
	tick := incident.Tick{
		T: t, Walking: t.Before(newest) && !e.config.Virtual,
		Observations: e.observe(ctx, open, t),
		Firings:      e.firings(ctx, open, t),
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !e.config.Virtual { // where time is played nobody looks on
		e.see(open, tick.Observations, t)
	}
	if err := e.config.Desk.Tick(ctx, tick); err != nil {
		return fmt.Errorf("decide the tick: %w", err)
	}
	e.publish(t)
	return nil
}

// observe says what the tick found of each open incident.
func (e *Evaluator) observe(ctx context.Context, open []*incident.Record, t time.Time) map[string]incident.Observation {
	observations := make(map[string]incident.Observation, len(open))
	holds := make(map[string]holding, len(open))
	unknown := map[string]time.Time{}
	for _, r := range open {
		var o incident.Observation
		var h holding
		over := false
		if r.Hold != nil {
			h = e.holdBefore(ctx, r, t)
			over = h.Elapsed+e.config.Grid.Interval >= r.HoldFor()
		}
		for i := range r.Findings {
			f := &r.Findings[i]
			found := e.byHash[f.Runbook].observe(r, f, t, over)
			for n := range found.Unknown {
				found.Unknown[n].Since = since(e.unknown, unknown, r.ID+"\x00"+found.Unknown[n].What, t)
			}
			o.Findings = append(o.Findings, found)
		}
		if r.Hold != nil {
			o.Hold = h.Progress
			holds[r.ID] = holding{o.Hold.Add(t, e.config.Grid.Interval, o.Findings), h.whole}
		}
		observations[r.ID] = o
	}
	e.holds, e.unknown = holds, unknown
	return observations
}

// since gives the first tick of the run in which something is unknown, and keeps it for the next tick.
func since(before, now map[string]time.Time, what string, t time.Time) time.Time {
	first, ok := before[what]
	if !ok {
		first = t
	}
	now[what] = first
	return first
}

// firings gives the triggers in force that fire for a group which no open incident holds.
func (e *Evaluator) firings(ctx context.Context, open []*incident.Record, t time.Time) []incident.Firing {
	held := map[string]bool{}
	for _, r := range open {
		for i := range r.Findings {
			held[r.Findings[i].Key()] = true
		}
	}
	look := e.newLookback(t)
	var firings []incident.Firing
	for _, w := range e.watches {
		w.thaw(held)
		if !w.inForce {
			continue
		}
		for _, g := range w.groups {
			if g.State == triggers.Fires && !held[incident.FindingKey(w.snapshot.Runbook.Name, g.Group)] {
				firings = append(firings, look.firing(ctx, w, g))
			}
		}
	}
	e.began = look.found
	return firings
}

func (l *lookback) firing(ctx context.Context, w *watch, g triggers.GroupState) incident.Firing {
	f := incident.Firing{
		Snapshot: w.snapshot, Hash: w.hash, Group: g.Group,
		Service: incident.ServiceOf(&w.snapshot.Runbook, g.Group),
		Frozen:  g.Frozen,
		Phase:   l.config.Grid.Phase,
	}
	scope := w.scope(g.Group, breachedNow(g), time.Time{})
	if share, known := w.trigger.BlastRadius(&g, scope.Service, l.t); known {
		scope.BlastRadius, scope.BlastRadiusKnown = share, true
		f.BlastRadius = &share
	}
	f.Severity, f.Rule, f.RubricUnknown = w.rubric(scope, l.t)
	for _, b := range g.Breaches {
		breach, began := w.breach(b, l.t), l.beginning(ctx, w, b)
		breach.BreachBegan, breach.ImpactBegan = began.breach, began.impact
		f.Breaches = append(f.Breaches, breach)
	}
	began := spanOf(&w.snapshot.Runbook.Trigger, g.Breaches, f.Breaches)
	f.BreachBegan, f.ImpactStartedAt = began.breach, began.impact
	return f
}
