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

// place finds the home of a firing whose finding no open incident holds, and gives the decision on the incident in which
// it stands from now on: a new one, one that is opened again, one of the open ones that it joins. nil where it is spent,
// or where the tick is older than what its home knows. open are the decisions of this tick so far, each firing seeing
// what the ones before did; ended those on the incidents that the finding stood in and that have ended. Like Decide it
// is pure.
func place(f Firing, open, ended []*decision, p Policy, t time.Time) *decision {
	t = t.UTC()
	key := f.key()
	if slices.ContainsFunc(open, func(d *decision) bool { return d.record.holds(key) }) {
		return nil
	}
	home := lastHome(ended, key)
	if home != nil {
		known := home.before
		if !t.After(known.LastTick) || !t.After(known.endedAt()) || home.record.spent(f) {
			return nil
		}
		if home.mayReopen(f, open) {
			home.reopen(f)
			return home
		}
	}
	if d := joinable(f, open, t); d != nil {
		d.join(f)
		return d
	}
	return openIncident(f, home, p, t)
}

// openIncident is the decision on a new incident.
func openIncident(f Firing, home *decision, p Policy, t time.Time) *decision {
	body := f.opened(t)
	body.Normal, body.NextUpdateAt = f.Normal, firstUpdateOf(&f.Snapshot.Runbook, f.Severity, t)
	if home != nil && t.Sub(home.before.endedAt()) <= followsWithin {
		body.Follows = home.before.ID
	}
	d := newDecision(&Record{ID: incidentID(Real, f.key(), t)}, p, t)
	d.add(body, f.key())
	d.took(f)
	d.rank(CauseOpened, f.Running, f.Exposures)
	d.requestByItself()
	return d
}

// took gives the working copy the runbook of a firing that it has taken up.
func (d *decision) took(f Firing) {
	d.record.take(f)
	d.firings = append(d.firings, f)
	d.decided = true
}

// take gives the finding of a firing its runbook, which is no part of the events.
func (r *Record) take(f Firing) {
	for i := range r.Findings {
		if r.Findings[i].Runbook == f.Hash {
			r.Findings[i].Snapshot = f.Snapshot
		}
	}
}

func (r *Record) holds(finding string) bool { return r.findingOf(finding) != nil }

// findingOf is the finding with a key, nil for none.
func (r *Record) findingOf(key string) *Finding {
	for i := range r.Findings {
		if r.Findings[i].Key() == key {
			return &r.Findings[i]
		}
	}
	return nil
}

// lastHome is the incident in which the finding fired last.
func lastHome(ended []*decision, finding string) *decision {
	var last *decision
	for _, d := range ended {
		f := d.before.findingOf(finding)
		if f == nil {
			continue
		}
		if last == nil || cmp.Or(f.FiredAt.Compare(last.before.findingOf(finding).FiredAt), d.before.LastTick.Compare(last.before.LastTick)) > 0 {
			last = d
		}
	}
	return last
}

// spent tells whether a person dismissed what fires here: until it has been clear it says nothing new, unless it has
// become worse than what was dismissed.
func (r *Record) spent(f Firing) bool {
	finding := r.findingOf(f.key())
	return finding != nil && r.Dismissal != nil && !finding.Cleared && !f.Severity.Worse(r.Dismissal.Severity)
}

// mayReopen tells whether what fires is the incident that was resolved lately, none of whose findings stands elsewhere.
func (d *decision) mayReopen(f Firing, open []*decision) bool {
	r := d.record
	if r.State() != ResolvedState || d.t.After(r.ResolvedAt.Add(f.Snapshot.Runbook.ReopenWithin)) {
		return false
	}
	return !slices.ContainsFunc(r.Findings, func(finding Finding) bool {
		return slices.ContainsFunc(open, func(other *decision) bool {
			return other.record.holds(finding.Key()) // one that ends at this very tick holds it until then
		})
	})
}

// reopen opens an ended incident again.
func (d *decision) reopen(f Firing) {
	r := d.record
	body := Reopened{
		Runbook: f.Hash, Name: f.Snapshot.Runbook.Name, Group: f.Group, Breaches: f.Breaches, Frozen: f.Frozen,
		Severity: r.Severity, Rule: r.Rule,
	}
	if f.Severity.Worse(r.Severity) {
		body.Severity, body.Rule = f.Severity, f.Rule
	}
	d.renew(body, f.key(), f)
	d.took(f)
	d.rank(CauseReopened, f.Running, f.Exposures)
}

// renew adds a reopening, with the runbooks in force: each finding goes on with its own as it is by now, if there is one.
// firings are of the finding that fires; what tells the event from others of its kind.
func (d *decision) renew(body Reopened, what string, firings ...Firing) {
	r := d.record
	for i := range r.Findings {
		f := &r.Findings[i]
		s := d.policy.inForce(f.Name)
		if s == nil || f.Name == body.Name || s.Hash() == f.Runbook {
			continue
		}
		if body.Runbooks == nil {
			body.Runbooks = map[string]string{}
		}
		body.Runbooks[f.Name] = s.Hash()
		firings = append(firings, Firing{Snapshot: s, Hash: s.Hash()})
	}
	first := r.Findings[0].runbook()
	for _, f := range firings {
		if f.Snapshot.Runbook.Name == r.Findings[0].Name {
			first = &f.Snapshot.Runbook
		}
	}
	body.NextUpdateAt = firstUpdateOf(first, body.Severity, d.t)
	d.add(body, what)
	for _, f := range firings {
		d.record.take(f)
	}
}

// inForce is the runbook in force of a name, nil where there is none or nobody knows.
func (p Policy) inForce(name string) *runbook.Snapshot {
	if p.InForce == nil {
		return nil
	}
	return p.InForce(name)
}

// takeRenewed gives the findings the runbooks that an event put in force, which are no part of it.
func (r *Record) takeRenewed(e Event, p Policy) {
	reopened, ok := e.Body.(Reopened)
	if !ok {
		return
	}
	for name, hash := range reopened.Runbooks {
		r.take(Firing{Snapshot: p.inForce(name), Hash: hash})
	}
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

// key is that of the finding that fires.
func (f Firing) key() string { return FindingKey(f.Snapshot.Runbook.Name, f.Group) }

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
