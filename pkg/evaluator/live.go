package evaluator

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Live gives what the last tick saw of an incident that was open then; not ok: no tick has looked at it yet.
func (e *Evaluator) Live(id string) (live incident.Live, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	live, ok = e.live[id]
	return live, ok
}

// see keeps what tick t found of the open incidents where people who look at them find it. It is done before the tick is
// decided: whoever is called because of it reads the numbers of now.
func (e *Evaluator) see(open []*incident.Record, found map[string]incident.Observation, t time.Time) {
	live := make(map[string]incident.Live, len(open))
	for _, r := range open {
		seen := incident.Live{At: t}
		if r.Hold != nil {
			seen.Hold = e.holds[r.ID].Progress
		}
		for i := range r.Findings {
			f := &r.Findings[i]
			seen.Findings = append(seen.Findings, e.byHash[f.Runbook].see(r, f, found[r.ID].Findings[i], t))
		}
		live[r.ID] = seen
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live = live
}

// see gives the present values of everything that breached in a finding.
func (w *watch) see(r *incident.Record, f *incident.Finding, o incident.FindingObservation, t time.Time) incident.LiveFinding {
	seen := incident.LiveFinding{Bands: o.Bands}
	for _, b := range o.Breaches {
		value := b.Value
		breach := incident.LiveBreach{Condition: b.Condition, Segment: b.Segment, Fires: true}
		if !b.Absent {
			breach.Value = &value
		}
		seen.Breaches = append(seen.Breaches, breach)
	}
	for _, b := range f.Breaches {
		told := slices.ContainsFunc(seen.Breaches, func(l incident.LiveBreach) bool {
			return l.Condition == b.Condition && labels.Equal(l.Segment, b.Segment)
		})
		c := w.byText[b.Condition]
		if told || c == nil { // nil: another version wrote it, in words that this one doesn't know
			continue
		}
		breach := incident.LiveBreach{Condition: b.Condition, Segment: b.Segment}
		scope := w.scope(f.Group, []triggers.Breached{{Condition: c, Labels: b.Segment}}, r.ImpactStartedAt)
		if !b.Absent {
			_, breach.Value = scope.Band(&triggers.Clause{Condition: c}, t)
		}
		seen.Breaches = append(seen.Breaches, breach)
	}
	group := w.group(f.Group)
	if share, known := w.trigger.BlastRadius(&group, incident.ServiceOf(&w.snapshot.Runbook, f.Group), t); known {
		seen.BlastRadius = &share
	}
	return seen
}
