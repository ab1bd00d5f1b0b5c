// Package webtest has an in-memory Desk and a written-out incident, for tests of the API and of what asks it.
package webtest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// Desk keeps incidents and silences in memory. It decides the commands of people as the record does, as far as whoever asks
// can tell: each is refused in the states in which the record refuses it, and one with the same idempotency key is done
// once. There are no ticks: nothing recovers, and no severity comes back.
type Desk struct {
	Now func() time.Time

	mutex    sync.Mutex
	views    []incident.View // newest first
	answered map[string]answer
	failing  error
	digests  map[string]string  // of actions that were asked for, by incident and id
	silences []incident.Silence // newest first
}

type answer struct {
	requestHash string
	view        incident.View
}

var _ web.Desk = (*Desk)(nil)

// NewDesk gives a Desk with the incidents, newest first.
func NewDesk(now func() time.Time, views ...incident.View) *Desk {
	return &Desk{Now: now, views: views, answered: map[string]answer{}}
}

// Fail makes every call give the error; nil ends that.
func (d *Desk) Fail(err error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.failing = err
}

// View implements web.Desk.
func (d *Desk) View(_ context.Context, ref string) (incident.View, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	found, err := d.find(ref)
	if err != nil {
		return incident.View{}, err
	}
	return *found, nil
}

// find gives the incident that ref names. The caller holds the mutex.
func (d *Desk) find(ref string) (*incident.View, error) {
	if d.failing != nil {
		return nil, d.failing
	}
	ref = strings.TrimPrefix(ref, "#")
	for i := range d.views {
		if d.views[i].ID == ref || strconv.FormatInt(d.views[i].Number, 10) == ref {
			return &d.views[i], nil
		}
	}
	return nil, fmt.Errorf("%q: %w", ref, incident.ErrNotFound)
}

// List implements web.Desk. The next page is named by the number of the last incident of the one before.
func (d *Desk) List(_ context.Context, filter incident.Filter) (page []incident.View, next string, err error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.failing != nil {
		return nil, "", d.failing
	}
	after, _ := strconv.ParseInt(filter.After, 10, 64)
	for _, view := range d.views {
		if !matches(view, filter) || (after > 0 && view.Number >= after) {
			continue
		}
		if filter.Limit > 0 && len(page) == filter.Limit {
			return page, strconv.FormatInt(page[len(page)-1].Number, 10), nil
		}
		view.Timeline = nil
		page = append(page, view)
	}
	return page, "", nil
}

func matches(view incident.View, filter incident.Filter) bool {
	return filter.Self == (view.Class == incident.Self) && (filter.State == "" || filter.State == string(view.State) || (filter.State == "open" && open(view))) &&
		(filter.Runbook == "" || filter.Runbook == view.Runbook) &&
		(filter.Severity == "" || filter.Severity == view.Severity)
}

func open(view incident.View) bool {
	return view.State != incident.ResolvedState && view.State != incident.ClosedState && view.State != incident.DismissedState
}

// Command implements web.Desk.
func (d *Desk) Command(_ context.Context, ref string, command incident.Command, once incident.Idempotency) (incident.View, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	found, err := d.find(ref)
	if err != nil {
		return incident.View{}, err
	}
	if first, ok := d.answered[once.Key]; ok && once.Key != "" {
		if first.requestHash != once.RequestHash {
			return incident.View{}, incident.ErrKeyReused
		}
		return first.view, nil
	}
	if err := d.decide(found, command); err != nil {
		return incident.View{}, err
	}
	if once.Key != "" {
		d.answered[once.Key] = answer{requestHash: once.RequestHash, view: *found}
	}
	return *found, nil
}

// happened adds to the timeline, without touching what was answered before.
func (d *Desk) happened(view *incident.View, kind, actor, text string, now time.Time) {
	view.Timeline = append(slices.Clone(view.Timeline), incident.TimelineEntry{
		Seq: int64(len(view.Timeline) + 1), At: now, RecordedAt: now, Kind: kind, Actor: actor, Text: text,
	})
}
