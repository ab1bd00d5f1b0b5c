// Package incident is the record of an incident: events, lifecycle, severity, recovery and rounds of paging.
//
// What happens is decided by pure functions: Decide for a tick, place for a firing without a home, DecideClock for the
// passing of time, DecideCommand for a person, decideOutcome for what a receiver answered. They return events; apply
// adds an event to a record, and nothing else changes one. The Desk is the one place that loads, decides, commits, and
// decides again when somebody else was first.
package incident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

const (
	// attempts is how often a decision is made anew because somebody else was first.
	attempts = 5
	// markEvery is how old the mark of the walk may get when ticks change nothing.
	markEvery = time.Minute
)

// Config is what a Desk works with.
type Config struct {
	Store  Store
	Policy func() Policy // the settings in force; asked once for each decision
	Now    func() time.Time
	Log    *zap.Logger
	// OnEvents is told of events after they were committed, with the record that they add up to, in their order. It must
	// not wait for the Desk. Nil: nobody is.
	OnEvents func(*Record, []Event)
	// OnUnheard is told of an incident that calls and that nobody hears, for its whole ladder has no receiver. It must not
	// wait for the Desk. Nil: nobody is.
	OnUnheard func(r *Record)
	// Live gives what the last tick saw of an open incident; not ok: nothing is known. It must not wait for the Desk.
	// Nil: nothing ever is.
	Live func(id string) (live Live, ok bool)
	// InForce gives the runbook in force of that name, nil for none: what is reopened goes on with it. It must not wait for
	// the Desk. Nil: none is known.
	InForce func(name string) *runbook.Snapshot
}

// Desk decides and commits. In a process one decision is made at a time; other processes are met through the version
// of each record, and whoever loses decides again on the newer one.
type Desk struct {
	config    Config
	turn      chan struct{} // holds one token: whoever has it decides
	committed chan struct{}
	walking   atomic.Bool // no tick yet, or a walk through missed ones: what ticks owe is not paged yet

	mutex  sync.Mutex
	open   map[string]*Record
	ended  map[string]*Record // those to which something can still happen; nil: they were not read yet
	marked time.Time          // the last mark of the walk committed here

	logged map[string]bool // kinds of the daemon's own troubles that were logged, for nobody could be told

	silences silences
	log      changeLog
}

// NewDesk makes a Desk.
func NewDesk(config Config) *Desk {
	if config.OnEvents == nil {
		config.OnEvents = func(*Record, []Event) {}
	}
	if config.OnUnheard == nil {
		config.OnUnheard = func(*Record) {}
	}
	d := &Desk{config: config, turn: make(chan struct{}, 1), committed: make(chan struct{}, 1), open: map[string]*Record{}, logged: map[string]bool{}}
	d.walking.Store(true)
	return d
}

// Committed receives after commits that wrote rows to the outbox; several may be told as one.
func (d *Desk) Committed() <-chan struct{} { return d.committed }

// Open gives the open incidents, in the order of their opening: no drills, and none of the daemon's own troubles. The
// records must not be changed.
func (d *Desk) Open(ctx context.Context) ([]*Record, error) {
	all, err := d.openAll(ctx)
	return slices.DeleteFunc(all, func(r *Record) bool { return r.Class != Real }), err
}

// openAll gives every open record, whatever its class, in the order of their opening.
func (d *Desk) openAll(ctx context.Context) ([]*Record, error) {
	versions, err := d.config.Store.Versions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the versions of the open incidents: %w", err)
	}
	d.mutex.Lock()
	known := maps.Clone(d.open)
	d.mutex.Unlock()
	var records []*Record
	fresh := make(map[string]*Record, len(versions))
	for id, version := range versions {
		r := known[id]
		if r == nil || r.Version != version {
			if r, err = d.config.Store.Load(ctx, id); err != nil {
				return nil, fmt.Errorf("load incident %s: %w", id, err)
			}
		}
		if r.Open() {
			fresh[id] = r
			records = append(records, r)
		}
	}
	if err := d.endedElsewhere(ctx, known, fresh); err != nil {
		return nil, err
	}
	d.mutex.Lock()
	d.open = fresh
	d.mutex.Unlock()
	slices.SortFunc(records, func(a, b *Record) int {
		return cmp.Or(a.OpenedAt.Compare(b.OpenedAt), cmp.Compare(a.ID, b.ID))
	})
	return records, nil
}

// WalkedTo is the last tick that was decided and marked; zero: none ever.
func (d *Desk) WalkedTo(ctx context.Context) (time.Time, error) { return d.config.Store.WalkedTo(ctx) }

// Tick decides a tick: every open incident, those that ended and to which something can still happen, then what fires
// without a home, and who is paged for all of it. It is one commit. A tick may be handed over again.
func (d *Desk) Tick(ctx context.Context, tick Tick) error {
	err := d.decide(ctx, func() (Commit, error) {
		policy, now := d.policy(ctx), d.now()
		policy.Now = now
		decisions, err := d.decideAll(ctx, tick, policy)
		if err != nil {
			return Commit{}, err
		}
		commit := Commit{WalkedTo: tick.T.UTC()}
		for _, one := range decisions {
			if one.decided && !tick.Walking {
				one.page()
			}
			if len(one.events) > 0 {
				commit.Changes = append(commit.Changes, change(one.before, one.events, policy, now, one.firings...))
			}
		}
		return commit, nil
	})
	switch {
	case err == nil:
		d.walking.Store(tick.Walking)
	case errors.Is(err, ErrFenced):
		d.forgetEnded()
	}
	return err
}

// decideAll takes every step of a tick but the last one.
func (d *Desk) decideAll(ctx context.Context, tick Tick, policy Policy) ([]*decision, error) {
	open, err := d.openAll(ctx)
	if err != nil {
		return nil, err
	}
	var decisions []*decision
	for _, r := range open {
		observation := tick.Observations[r.ID]
		switch r.Class {
		case Self: // no tick looks at the daemon's own troubles
			continue
		case Drill:
			observation = drillObservation(r, tick.T, policy.Interval)
		}
		decisions = append(decisions, decideTick(r, observation, policy, tick.T))
	}
	ended, err := d.decideEnded(ctx, tick, policy)
	if err != nil {
		return nil, err
	}
	return d.place(ctx, tick, decisions, ended, policy)
}

// place finds a home for each firing without one, in their order, and gives all decisions of the tick.
func (d *Desk) place(ctx context.Context, tick Tick, open, ended []*decision, policy Policy) ([]*decision, error) {
	firings := homeless(tick, open)
	firings, err := d.unspent(ctx, firings, tick.T)
	if err != nil || len(firings) == 0 {
		return slices.Concat(open, ended), err
	}
	past, err := d.past(ctx, firings, tick.T, ended, policy)
	if err != nil {
		return nil, err
	}
	for _, f := range firings {
		one := place(f, open, past, policy, tick.T)
		if one != nil && !slices.Contains(open, one) {
			open = append(open, one)
			ended = slices.DeleteFunc(ended, func(other *decision) bool { return other == one })
		}
	}
	return slices.Concat(open, ended), nil
}

// Clock decides what the passing of time alone brings: escalations that are due, and rounds for what is owed. It is called
// every second.
func (d *Desk) Clock(ctx context.Context) error {
	return d.decideEach(ctx, func(r *Record, policy Policy, now time.Time) []Event {
		walking := d.walking.Load() && r.Class != Self // no tick owes anything to those
		return DecideClock(r, policy, now, walking)
	})
}

// Gap notes on every open incident that the ticks between were not decided at all, for they lie too far back.
func (d *Desk) Gap(ctx context.Context, from, to time.Time) error {
	return d.decideEach(ctx, func(r *Record, policy Policy, now time.Time) []Event {
		if r.Class == Self {
			return nil
		}
		decision := newDecision(r, policy, now)
		decision.seed = from.UTC().Format(time.RFC3339Nano) + "/" + to.UTC().Format(time.RFC3339Nano)
		decision.add(GapNoted{From: from.UTC(), To: to.UTC()}, "")
		return decision.events
	})
}

// decideEach commits what is decided on each open record, whatever its class.
func (d *Desk) decideEach(ctx context.Context, decision func(*Record, Policy, time.Time) []Event) error {
	return d.decide(ctx, func() (Commit, error) {
		open, err := d.openAll(ctx)
		if err != nil {
			return Commit{}, err
		}
		var commit Commit
		policy, now := d.policy(ctx), d.now()
		for _, r := range open {
			if events := decision(r, policy, now); len(events) > 0 {
				commit.Changes = append(commit.Changes, change(r, events, policy, now))
			}
		}
		return commit, nil
	})
}

// View gives an incident with its timeline; ref is an id or a number, with or without #.
func (d *Desk) View(ctx context.Context, ref string) (View, error) {
	r, err := d.config.Store.Load(ctx, ref)
	if err != nil {
		return View{}, fmt.Errorf("load incident: %w", err)
	}
	events, err := d.config.Store.Events(ctx, r.ID, 0, int(r.Version))
	if err != nil {
		return View{}, fmt.Errorf("read the events of %s: %w", r, err)
	}
	return d.view(r, events, d.policy(ctx), d.now()), nil
}

// view is that of a record with what the last tick saw of it.
func (d *Desk) view(r *Record, events []Event, policy Policy, now time.Time) View {
	var seen *Live
	if d.config.Live != nil {
		if live, ok := d.config.Live(r.ID); ok {
			seen = &live
		}
	}
	return LiveView(r, events, policy.ExternalURL, now, seen)
}

// List gives a page of incidents without their timelines, newest first, and where the next page starts.
func (d *Desk) List(ctx context.Context, filter Filter) (views []View, next string, err error) {
	records, next, err := d.config.Store.List(ctx, filter)
	if err != nil {
		return nil, "", fmt.Errorf("list incidents: %w", err)
	}
	policy, now := d.policy(ctx), d.now()
	for _, r := range records {
		views = append(views, d.view(r, nil, policy, now))
	}
	return views, next, nil
}

// decide makes a decision and commits it; where somebody else was first it is made anew.
func (d *Desk) decide(ctx context.Context, decision func() (Commit, error)) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var err error
	for range attempts {
		var commit Commit
		if commit, err = decision(); err != nil {
			return err
		}
		if d.nothingToWrite(commit) {
			return nil
		}
		if err = d.config.Store.Commit(ctx, commit); err == nil {
			d.after(ctx, commit)
			return nil
		}
		if !errors.Is(err, ErrConflict) {
			return fmt.Errorf("commit: %w", err)
		}
	}
	return fmt.Errorf("decided %d times, and each time it was too late: %w", attempts, err)
}

// nothingToWrite tells whether a commit may be left out. A tick that changes nothing writes its mark once a minute, so
// that a restart walks through no more than that.
func (d *Desk) nothingToWrite(commit Commit) bool {
	if len(commit.Changes) > 0 || len(commit.Settled) > 0 || commit.Idempotent != nil {
		return false
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return commit.WalkedTo.IsZero() || commit.WalkedTo.Sub(d.marked) < markEvery
}

// after takes note of what was committed, and tells who waits for it.
func (d *Desk) after(ctx context.Context, commit Commit) {
	d.mutex.Lock()
	if commit.WalkedTo.After(d.marked) {
		d.marked = commit.WalkedTo
	}
	d.mutex.Unlock()
	rows := false
	for _, c := range commit.Changes {
		rows = rows || len(c.Deliveries) > 0
	}
	if rows {
		select {
		case d.committed <- struct{}{}:
		default: // whoever waits is going to look anyway
		}
	}
	for _, c := range commit.Changes {
		record := d.remember(ctx, c)
		d.unheard(record, c.Events)
		d.config.OnEvents(record, c.Events)
	}
}

// remember keeps a record that was committed for the next decision. A new one is read back for its number; should that
// fail, the next Open reads it.
func (d *Desk) remember(ctx context.Context, c Change) *Record {
	record := c.Record
	if c.Before == 0 {
		if stored, err := d.config.Store.Load(ctx, record.ID); err == nil {
			record = stored
		}
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if record.Open() && record.Number != 0 {
		d.open[record.ID] = record
	} else {
		delete(d.open, record.ID)
	}
	d.keepEnded(record)
	return record
}

// unheard logs that an incident calls and nobody can hear it: the one case in which the settings must be mended now.
func (d *Desk) unheard(r *Record, events []Event) {
	for _, e := range events {
		if paged, ok := e.Body.(Paged); ok && len(paged.Receivers) == 0 {
			d.config.Log.Error("nobody in the whole ladder has a receiver: an incident calls and nobody hears it",
				zap.Int64("incident", r.Number), zap.String("runbook", r.Findings[0].Name), zap.Strings("roles", paged.Skipped))
			d.config.OnUnheard(r)
		}
	}
}

// now is the clock in what every store keeps: UTC, to the microsecond.
func (d *Desk) now() time.Time { return d.config.Now().UTC().Truncate(time.Microsecond) }

// change is what events make of a record, with what must be sent because of them. firings are those that gave it a
// finding, or a newer runbook.
func change(r *Record, events []Event, p Policy, now time.Time, firings ...Firing) Change {
	record := r.clone()
	for i := range events {
		events[i].RecordedAt = now
		apply(record, events[i])
		record.takeRenewed(events[i], p)
	}
	for _, f := range firings {
		record.take(f)
	}
	return Change{Before: r.Version, Record: record, Events: events, Deliveries: deliveriesOf(r, record, events, p)}
}

// homeless gives the firings that no open incident holds, each finding once, those whose harm began earliest first.
func homeless(tick Tick, open []*decision) []Firing {
	var firings []Firing
	known := map[string]bool{}
	for _, f := range tick.Firings {
		key := f.key()
		held := slices.ContainsFunc(open, func(d *decision) bool { return d.record.holds(key) })
		if held || known[key] {
			continue
		}
		firings, known[key] = append(firings, f), true
	}
	slices.SortStableFunc(firings, func(a, b Firing) int { return a.compare(b, tick.T) })
	return firings
}
