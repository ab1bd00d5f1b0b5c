package incident

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// followsWithin is how long after its end an incident is still named as the one that a new one follows.
const followsWithin = 7 * 24 * time.Hour

// Place returns the events of the incident that a firing opens at tick t. None where its finding stands in an open
// incident, which Decide looks after, or where this tick is too old for the one that it stood in last. recent are the
// ended incidents that the finding stood in. Like Decide it is pure, and leaves RecordedAt to whoever writes the
// events.
func Place(f Firing, open, recent []*Record, p Policy, t time.Time, walking bool) []Event {
	t = t.UTC()
	key := FindingKey(f.Snapshot.Runbook.Name, f.Group)
	if slices.ContainsFunc(open, func(r *Record) bool { return r.holds(key) }) {
		return nil
	}
	home := lastHome(recent, key)
	if home != nil && !t.After(home.LastTick) {
		return nil
	}
	body := f.opened(t)
	if home != nil && t.Sub(home.endedAt()) <= followsWithin {
		body.Follows = home.ID
	}
	d := newDecision(&Record{ID: incidentID(key, t)}, p, t)
	d.add(body, key)
	d.record.Findings[0].Snapshot = f.Snapshot
	if !walking {
		d.page()
	}
	return d.events
}

func (r *Record) holds(finding string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Key() == finding })
}

// lastHome is the incident in which the finding fired last.
func lastHome(recent []*Record, finding string) *Record {
	var last *Record
	for _, r := range recent {
		if r.holds(finding) && (last == nil || r.LastTick.After(last.LastTick)) {
			last = r
		}
	}
	return last
}

func (f Firing) opened(t time.Time) Opened {
	body := Opened{
		Runbook: f.Hash, Name: f.Snapshot.Runbook.Name, Group: f.Group, Service: f.Service,
		Severity: f.Severity, Rule: f.Rule, RubricUnknown: f.RubricUnknown, Breaches: f.Breaches,
		Frozen: f.Frozen, BlastRadius: f.BlastRadius, Phase: f.Phase,
		BreachBegan: t,
	}
	if !f.BreachBegan.IsZero() {
		body.BreachBegan = earlier(t, f.BreachBegan)
		body.ImpactStartedAt = earlier(body.BreachBegan, f.ImpactStartedAt)
		return body
	}
	for _, b := range f.Breaches {
		body.BreachBegan = earlier(body.BreachBegan, b.BreachBegan)
	}
	body.ImpactStartedAt = body.BreachBegan
	for _, b := range f.Breaches {
		body.ImpactStartedAt = earlier(body.ImpactStartedAt, b.ImpactBegan)
	}
	return body
}

// earlier is the earlier of two times. A time that is not known doesn't count.
func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b.UTC()
}

// compare orders the firings of a tick: the earliest harm first, then the worst severity, runbook and group.
func (f Firing) compare(other Firing, t time.Time) int {
	return cmp.Or(
		f.opened(t).ImpactStartedAt.Compare(other.opened(t).ImpactStartedAt),
		cmp.Compare(f.Severity, other.Severity),
		cmp.Compare(f.Snapshot.Runbook.Name, other.Snapshot.Runbook.Name),
		labels.Compare(f.Group, other.Group),
	)
}

// ServiceOf is the service of a runbook's incidents for a group: the one that the runbook names, else the group's
// service label.
func ServiceOf(r *runbook.Runbook, group labels.Labels) string {
	if r.Service != "" {
		return r.Service
	}
	return group.Get("service")
}
