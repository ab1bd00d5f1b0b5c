package incident

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Drill opens a practice incident of a runbook, for a group of it: the whole railway and the real ladder, and nothing is
// broken. Its trigger fires, with made-up values at its limits, until somebody acts by hand; then it is clear, every band
// is held, and the incident recovers as a real one does. It stands in no real incident's way. An empty severity is the
// runbook's default. *Refusal: a drill of the runbook is open.
func (d *Desk) Drill(ctx context.Context, s *runbook.Snapshot, group labels.Labels, severity runbook.Severity, by string) (View, error) {
	if severity == "" {
		severity = s.Runbook.Severity.Default
	}
	var id string
	err := d.decide(ctx, func() (Commit, error) {
		open, err := d.openAll(ctx)
		if err != nil {
			return Commit{}, err
		}
		for _, r := range open {
			if r.Class == Drill && r.finding(s.Runbook.Name) != nil {
				return Commit{}, &Refusal{fmt.Sprintf("a drill of %s is open: #%d", s.Runbook.Name, r.Number), "end that one first"}
			}
		}
		policy, now := d.policy(ctx), d.now()
		f := drillFiring(s, group, severity, now)
		body := f.opened(now)
		body.Class, body.NextUpdateAt = Drill, firstUpdateOf(&s.Runbook, severity, now)
		c := openedBy(by, body, f, policy, now, 0)
		id = c.Record.ID
		return Commit{Changes: []Change{c}}, nil
	})
	if err != nil {
		return View{}, err
	}
	return d.View(ctx, id)
}

// openedBy is the change that opens a record which no tick found, and calls for it. Its rounds are counted on from
// roundsBefore.
func openedBy(actor string, body Opened, f Firing, p Policy, now time.Time, roundsBefore int) Change {
	key := findingKey(body.Class, body.Name, body.Group)
	d := newDecision(&Record{ID: incidentID(body.Class, key, now)}, p, now)
	d.actor, d.roundsBefore = actor, roundsBefore
	d.add(body, key)
	d.record.Findings[0].Snapshot = f.Snapshot
	d.actor = Daemon
	d.page()
	return change(&Record{}, d.events, p, now, f)
}

// drillFiring makes up what a drill of the runbook is about: every condition of its trigger, just past its limit.
func drillFiring(s *runbook.Snapshot, group labels.Labels, severity runbook.Severity, now time.Time) Firing {
	f := Firing{
		Snapshot: s, Hash: s.Hash(), Group: group, Service: ServiceOf(&s.Runbook, group), Severity: severity,
	}
	for _, c := range s.Runbook.Trigger.Conditions() {
		began := now.Add(-c.For)
		breach := Breach{
			Condition: c.String(), Signal: c.Signal, Segment: group, Absent: c.Comparison == triggers.Absent, Unit: c.Unit,
			BreachBegan: began, ImpactBegan: began,
		}
		if signal := s.Signals[c.Signal]; signal != nil {
			breach.Title, breach.Unit = signal.Title, signal.Unit
		}
		breach.Limit, breach.Evidence.Baseline = drillLimit(c, breach.Unit)
		breach.Value = triggers.Value{V: breach.Limit}
		f.Breaches = append(f.Breaches, breach)
	}
	return f
}

// drillLimit is the limit of a condition in its signal's unit, and the usual value that it was made of: of a comparison
// with a baseline that is made up too.
func drillLimit(c *triggers.Condition, unit triggers.Unit) (limit, usual float64) {
	usual = 100
	if unit == triggers.Ratio {
		usual = 0.1
	}
	switch c.Comparison {
	case triggers.Rises:
		return usual * c.Limit, usual
	case triggers.Falls:
		return usual * (1 - c.Limit), usual
	case triggers.Within:
		return usual * (1 + c.Limit), usual
	case triggers.Between:
		return c.High, 0
	}
	return c.Limit, 0
}

// drillObservation is what a tick finds of a drill: it fires until an action stands, then everything is well again.
// Actions take effect at once.
func drillObservation(r *Record, t time.Time, interval time.Duration) Observation {
	o := Observation{Actions: map[string]ActionObservation{}}
	well := r.acted()
	for i := range r.Findings {
		f := FindingObservation{Trigger: triggers.Clear}
		if !well {
			f.Trigger, f.Breaches = triggers.Fires, r.Findings[i].Breaches
		}
		for n, band := range bandsOf(&r.Findings[i].runbook().Recovery) {
			switch {
			case band.Clause == nil && n > 0:
				f.Bands[n].State = BandNone
			case well:
				f.Bands[n].State = BandHeld
			default:
				f.Bands[n].State = BandMissed
			}
		}
		o.Findings = append(o.Findings, f)
	}
	for _, a := range r.Actions {
		if a.InFlight() {
			o.Actions[a.ID] = ActionObservation{Effective: triggers.Yes}
		}
	}
	if r.Hold != nil && t.After(r.Hold.Since) {
		o.Hold = Progress{Since: r.Hold.Since, Through: t.Add(-interval), Elapsed: max(t.Sub(r.Hold.Since)-interval, 0)}
	}
	return o
}
