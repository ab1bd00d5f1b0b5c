package incident

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// endedPage is how many ended records are read at once.
const endedPage = 500

// outlives tells whether something can still happen to a record that has ended: the trigger of a dismissed incident is
// not clear yet, an effect is still to be read, or the daemon is going to close it.
func (r *Record) outlives(t time.Time) bool {
	if r.Open() {
		return false
	}
	spent := r.Class == Real && r.Dismissal != nil && slices.ContainsFunc(r.Findings, func(f Finding) bool { return !f.Cleared })
	return spent || r.measuring(t) || r.closesItself()
}

// Measuring gives the incidents that have ended before an effect of what was done could be read. A tick that observes
// their actions has it measured all the same. The records must not be changed.
func (d *Desk) Measuring(ctx context.Context, t time.Time) ([]*Record, error) {
	all, err := d.outliving(ctx, t)
	return slices.DeleteFunc(all, func(r *Record) bool { return r.Class != Real || !r.measuring(t) }), err
}

// outliving gives the ended records to which something can still happen at t. They are read from the store once, and
// kept by what is committed from then on.
func (d *Desk) outliving(ctx context.Context, t time.Time) ([]*Record, error) {
	d.mutex.Lock()
	read := d.ended != nil
	d.mutex.Unlock()
	if !read {
		if err := d.readEnded(ctx); err != nil {
			return nil, err
		}
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	var records []*Record
	for id, r := range d.ended {
		if !r.outlives(t) {
			delete(d.ended, id)
			continue
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b *Record) int { return cmp.Compare(a.ID, b.ID) })
	return records, nil
}

func (d *Desk) readEnded(ctx context.Context) error {
	var records []*Record
	for _, filter := range []Filter{
		{State: string(DismissedState), Limit: endedPage},
		{State: string(ResolvedState), Limit: endedPage},
		{State: string(ResolvedState), Limit: endedPage, Self: true},
	} {
		for {
			page, next, err := d.config.Store.List(ctx, filter)
			if err != nil {
				return fmt.Errorf("read the incidents that have ended: %w", err)
			}
			records = append(records, page...)
			if filter.After = next; next == "" {
				break
			}
		}
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.ended == nil {
		d.ended = map[string]*Record{}
	}
	for _, r := range records {
		d.keepEnded(r)
	}
	return nil
}

// keepEnded keeps a record if something can still happen to it after its end. The caller holds the mutex.
func (d *Desk) keepEnded(r *Record) {
	switch known := d.ended[r.ID]; {
	case d.ended == nil || known != nil && known.Version > r.Version:
	case r.outlives(d.now()):
		d.ended[r.ID] = r
	default:
		delete(d.ended, r.ID)
	}
}

// endedElsewhere takes note of incidents that another process has ended since they were open here.
func (d *Desk) endedElsewhere(ctx context.Context, known, open map[string]*Record) error {
	for id := range known {
		if open[id] != nil {
			continue
		}
		r, err := d.config.Store.Load(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("load incident %s: %w", id, err)
		}
		d.mutex.Lock()
		d.keepEnded(r)
		d.mutex.Unlock()
	}
	return nil
}

// forgetEnded has the ended records read anew: another process led, and knows them better.
func (d *Desk) forgetEnded() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.ended = nil
}

// decideEnded decides a tick on the records that have ended. One to which something happens is read again first, for
// people and other processes may have changed it.
func (d *Desk) decideEnded(ctx context.Context, tick Tick, policy Policy) ([]*decision, error) {
	ended, err := d.outliving(ctx, tick.T)
	if err != nil {
		return nil, err
	}
	var decisions []*decision
	for _, known := range ended {
		observation := tick.Observations[known.ID]
		if len(decideEnded(known, observation, tick.Clear, policy, tick.T).events) == 0 {
			continue
		}
		r, err := d.config.Store.Load(ctx, known.ID)
		if err != nil {
			return nil, fmt.Errorf("load incident %s: %w", known.ID, err)
		}
		d.mutex.Lock()
		d.keepEnded(r)
		d.mutex.Unlock()
		if one := decideEnded(r, observation, tick.Clear, policy, tick.T); len(one.events) > 0 {
			decisions = append(decisions, one)
		}
	}
	return decisions, nil
}

// unspent leaves out the firings that a person dismissed, which may go on for days: nothing is asked of the store for them.
func (d *Desk) unspent(ctx context.Context, firings []Firing, t time.Time) ([]Firing, error) {
	if len(firings) == 0 {
		return nil, nil
	}
	outliving, err := d.outliving(ctx, t)
	return slices.DeleteFunc(firings, func(f Firing) bool {
		return slices.ContainsFunc(outliving, func(r *Record) bool { return r.Class == Real && r.spent(f) })
	}), err
}

// past gives the decisions on the ended incidents that findings stood in: those of this tick, where there are any. What
// a person dismissed and what has fired ever since stays known, however long ago that was.
func (d *Desk) past(ctx context.Context, firings []Firing, t time.Time, ended []*decision, policy Policy) ([]*decision, error) {
	var keys []string
	for _, f := range firings {
		keys = append(keys, f.key())
	}
	records, err := d.config.Store.Recent(ctx, keys, t.Add(-followsWithin))
	if err != nil {
		return nil, fmt.Errorf("look for earlier incidents of what fires: %w", err)
	}
	spent, err := d.outliving(ctx, t)
	if err != nil {
		return nil, err
	}
	past := slices.Clone(ended)
	for _, r := range slices.Concat(records, spent) {
		of := func(one *decision) bool { return one.before.ID == r.ID }
		if r.Class == Real && !slices.ContainsFunc(past, of) {
			past = append(past, newDecision(r, policy, t))
		}
	}
	return past, nil
}
