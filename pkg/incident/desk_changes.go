package incident

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/changes"
)

const (
	logReach = 8 * 24 * time.Hour // how far back changes are looked at; longer where the settings say so
	logKept  = 15 * time.Second   // how long they are remembered: another replica may have been told of one
)

// changeLog is the log as it was read last, merged.
type changeLog struct {
	mutex  sync.Mutex
	all    []changes.Change
	readAt time.Time // zero: it must be read
}

// logOf gives the changes that may be suspects at present. A log that can't be read stays as it was.
func (d *Desk) logOf(ctx context.Context, p ChangePolicy) []changes.Change {
	if p.Since == 0 {
		return nil // nobody wants any
	}
	l, now := &d.log, d.now()
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if age := now.Sub(l.readAt); !l.readAt.IsZero() && age >= 0 && age < logKept {
		return l.all
	}
	all, err := d.Changes(ctx, now.Add(-p.reach()))
	switch {
	case err == nil:
		l.all, l.readAt = all, now
	case ctx.Err() == nil:
		d.config.Log.Warn("changes not read; those known are ranked", zap.Error(err))
	}
	return l.all
}

// reach is how far back a change may lie to be of use: an incident may be a day old.
func (p ChangePolicy) reach() time.Duration {
	longest := max(logReach, p.Since+24*time.Hour)
	for _, since := range p.SinceOf {
		longest = max(longest, since+24*time.Hour)
	}
	return longest
}

func (l *changeLog) forget() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.readAt = time.Time{}
}

// Changes gives the log of what was reported and what was detected, merged, in order of time.
func (d *Desk) Changes(ctx context.Context, since time.Time) ([]changes.Change, error) {
	all, err := d.config.Store.Changes(ctx, since)
	if err != nil {
		return nil, fmt.Errorf("read the changes: %w", err)
	}
	var reported, detected []changes.Change
	for _, c := range all {
		if c.Source == changes.Detected {
			detected = append(detected, c)
		} else {
			reported = append(reported, c)
		}
	}
	return changes.Merge(reported, detected), nil
}

// Report keeps a change that somebody reports, and tells it to the open incidents that it concerns. The same report again
// is the same change. changes.Invalid: it is not understood, and nothing was kept.
func (d *Desk) Report(ctx context.Context, c changes.Change) (changes.Change, error) {
	now := d.now()
	c, err := changes.Report(c, now)
	if err != nil {
		return c, err
	}
	before, err := d.config.Store.Changes(ctx, c.At.Add(-time.Second))
	if err != nil {
		return c, fmt.Errorf("read the changes: %w", err)
	}
	if at := slices.IndexFunc(before, func(known changes.Change) bool { return known.ID == c.ID }); at >= 0 {
		return before[at], d.tell(ctx, before[at])
	}
	c.RecordedAt = now
	if err := d.config.Store.PutChanges(ctx, []changes.Change{c}); err != nil {
		return c, fmt.Errorf("keep the change: %w", err)
	}
	return c, d.tell(ctx, c)
}

// Detected keeps changes that the metrics show, and tells them to the open incidents that they concern. Those that went on
// come again under the ids that they had.
func (d *Desk) Detected(ctx context.Context, all []changes.Change) error {
	if len(all) == 0 {
		return nil
	}
	all, err := d.recorded(ctx, all)
	if err != nil {
		return err
	}
	if err := d.config.Store.PutChanges(ctx, all); err != nil {
		return fmt.Errorf("keep what was detected: %w", err)
	}
	return d.tell(ctx, all...)
}

// recorded says when each change came to be known: what a restart finds again was known before.
func (d *Desk) recorded(ctx context.Context, all []changes.Change) ([]changes.Change, error) {
	all = slices.Clone(all)
	oldest := all[0].At
	for _, c := range all {
		oldest = earlier(oldest, c.At)
	}
	known, err := d.config.Store.Changes(ctx, oldest.Add(-time.Second))
	if err != nil {
		return nil, fmt.Errorf("read the changes: %w", err)
	}
	now := d.now()
	for i := range all {
		all[i].RecordedAt = now
		if at := slices.IndexFunc(known, func(c changes.Change) bool { return c.ID == all[i].ID }); at >= 0 {
			all[i].RecordedAt = known[at].RecordedAt
		}
	}
	return all, nil
}

// tell lets the open incidents know of changes. One that knows them already learns nothing.
func (d *Desk) tell(ctx context.Context, fresh ...changes.Change) error {
	d.log.forget()
	seed := "changes"
	for _, c := range fresh {
		seed += " " + c.ID
	}
	return d.decideEach(ctx, func(r *Record, policy Policy, now time.Time) []Event {
		if r.Class != Real {
			return nil
		}
		merged := slices.DeleteFunc(slices.Clone(policy.Changes.Log), func(c changes.Change) bool {
			return !slices.ContainsFunc(fresh, func(f changes.Change) bool { return c.Is(f.ID) })
		})
		decision := newDecision(r, policy, now)
		decision.seed = seed
		decision.sees(merged)
		return decision.events
	})
}

// Evidence keeps what was found for items of an incident's checklist; nothing once it has ended.
func (d *Desk) Evidence(ctx context.Context, ref string, found ...EvidenceGathered) error {
	return d.decide(ctx, func() (Commit, error) {
		r, err := d.config.Store.Load(ctx, ref)
		if err != nil {
			return Commit{}, fmt.Errorf("load incident: %w", err)
		}
		if !r.Open() {
			return Commit{}, nil
		}
		policy, now := d.policy(ctx), d.now()
		decision := newDecision(r, policy, now)
		for _, f := range found {
			decision.add(f, fmt.Sprint(f.N))
		}
		return Commit{Changes: []Change{change(r, decision.events, policy, now)}}, nil
	})
}
