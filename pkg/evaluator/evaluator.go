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

	"github.com/irdaemon/irdaemon/pkg/changes"
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
	// Measuring gives the incidents that have ended before the effect of what was done in them could be read.
	Measuring(ctx context.Context, t time.Time) ([]*incident.Record, error)
}

// Config is what an Evaluator works with.
type Config struct {
	Source      source.Source
	Desk        Desk
	Grid        triggers.Grid
	QueryOffset time.Duration // a tick is evaluated when it lies this far back
	Queries     int           // to the source at once
	// BlindAfter is how long a walk through missed ticks waits for a source that does not answer before it decides them
	// as unknown, and how much of the time before a start is looked at to tell since when something has been unknown.
	BlindAfter  time.Duration
	ImpactReach time.Duration // how far back the beginning of impact is looked for; default 24 h
	Detect      []Detect      // info metrics that show which versions run
	DetectReach time.Duration // how far back they are looked at after a start; default 24 h
	Changes     Changes       // who keeps the changes that they show; nil: nobody does
	// ChangeLog gives the changes on record after a time, whoever told of them; nil: only what was detected here is known.
	ChangeLog func(ctx context.Context, after time.Time) ([]changes.Change, error)
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
	made    string                    // what feeds and watches were made for
	holds   map[string]holding        // by incident
	sought  map[string][]soughtEffect // by incident
	began   map[string]beginning      // of what fired at the last tick
	normals map[string]*float64       // traffic before impact, of what fired at the last tick
	again   map[string]time.Time      // when what the source did not tell of that is asked for again
	unknown map[string]time.Time      // since when each thing that an open incident depends on has been unknown
	warm    time.Duration             // of the time before the next tick that is to be looked at, for nothing is known of it
	walk    walk                      // through missed ticks, if one is under way
	warned  map[string]time.Time

	unknownWindows map[string]time.Time // the same for every trigger in force

	measuring    map[string]*measurement // by incident and action: the effects that are asked for
	measureSlots chan struct{}           // bounds them

	detections  []*detection
	detectSlots chan struct{}                 // bounds the questions for versions
	recent      map[string]changes.Change     // that were detected, by id
	unkept      map[string]bool               // those of them that nobody keeps yet
	unkeptTold  bool                          // that this is so
	exposed     map[string][]changes.Exposure // of what fired at the last tick

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

		measureSlots: make(chan struct{}, measurements),

		detections:  newDetections(&config),
		detectSlots: make(chan struct{}, detectQueries),
		recent:      map[string]changes.Change{},
		unkept:      map[string]bool{},
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
		next := newest.Add(e.config.Grid.Interval + e.config.QueryOffset)
		if newest.After(e.decided) {
			switch err := e.Advance(ctx, newest); {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, incident.ErrFenced):
				return err
			case errors.Is(err, errAwaiting):
				next = e.config.Now().Add(askAgain)
			case err != nil:
				e.metrics.undecided.Inc()
				e.log.Error("tick not decided; it will be decided later", zap.Time("tick", newest), zap.Error(err))
			}
		}
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
		e.warm = e.config.BlindAfter
	}
	return nil
}

// Begin makes t, or the first evaluation time after it, the first tick to be decided, whatever was decided before.
func (e *Evaluator) Begin(t time.Time) {
	e.decided = e.config.Grid.Floor(t.Add(-1))
}

// Advance decides every tick after the last decided one, up to newest, in order. All but the newest are decided
// late, as a walk: nobody is paged on the way. While a walk waits for the metric source it returns errAwaiting.
func (e *Evaluator) Advance(ctx context.Context, newest time.Time) (err error) {
	first, err := e.first(ctx, newest)
	if err != nil {
		return err
	}
	e.walk.begin(first.Before(newest) && !e.config.Virtual, e.config.Now())
	defer func() { e.walk.end(err) }()
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
	e.askVersions(ctx, t, newest)
	feeds, err := e.look(ctx, open, t, newest)
	if err != nil {
		return err
	}
	e.detectChanges(ctx, t)
	ended, err := e.config.Desk.Measuring(ctx, t)
	if err != nil {
		return fmt.Errorf("load the incidents whose effects are due: %w", err)
	}
	held := heldBy(open)
	tick := incident.Tick{
		T: t, Walking: t.Before(newest) && !e.config.Virtual,
		Observations: e.observe(ctx, open, t),
		Firings:      e.firings(ctx, held, t, t.Before(newest)),
		Clear:        e.clear(held),
	}
	e.measure(ctx, &tick, open, ended)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !e.config.Virtual { // where time is played nobody looks on
		e.see(open, tick.Observations, t)
	}
	if err := e.config.Desk.Tick(ctx, tick); err != nil {
		return fmt.Errorf("decide the tick: %w", err)
	}
	for _, f := range feeds {
		f.blind = f.err != nil
	}
	e.publish(t)
	return nil
}

// look asks for what is needed at tick t, and has the triggers judged by it.
func (e *Evaluator) look(ctx context.Context, open []*incident.Record, t, newest time.Time) ([]*feed, error) {
	e.prepare(open)
	if len(open) == 0 {
		e.warm = 0 // nothing is told of the time before
	}
	feeds := e.feedList()
	e.fetch(ctx, feeds, t, newest)
	if ctx.Err() != nil {
		return nil, ctx.Err() // the answers are cut short: undecided, not unknown
	}
	if e.awaits(feeds, t, newest) {
		return nil, errAwaiting
	}
	e.warmUp(open, feeds, t)
	judge(e.watches, feeds, t)
	return feeds, nil
}

// judge feeds the points up to tick t, and has the triggers judged by them.
func judge(watches []*watch, feeds []*feed, t time.Time) {
	for _, f := range feeds {
		f.advance(t)
	}
	for _, w := range watches {
		w.groups = w.trigger.Judge(t)
	}
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
			w := e.byHash[f.Runbook]
			found := w.observe(r, f, t, over)
			found.Low = r.Hold != nil && w.low(r, i, t)
			for n := range found.Unknown {
				found.Unknown[n].Since = since(e.unknown, unknown, r.ID+"\x00"+found.Unknown[n].What, t)
			}
			o.Findings = append(o.Findings, found)
		}
		if r.Hold != nil {
			o.Hold = h.Progress
			holds[r.ID] = holding{o.Hold.Add(t, e.config.Grid.Interval, o.Findings), h.whole}
		}
		o.Actions = e.observeActions(r, t)
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

// heldBy gives the findings that the open incidents hold.
func heldBy(open []*incident.Record) map[string]bool {
	held := map[string]bool{}
	for _, r := range open {
		for i := range r.Findings {
			held[r.Findings[i].Key()] = true
		}
	}
	return held
}
