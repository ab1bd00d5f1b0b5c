package evaluator

import (
	"context"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// firings gives the triggers in force that fire for a group which no open incident holds.
func (e *Evaluator) firings(ctx context.Context, held map[string]bool, t time.Time, walking bool) []incident.Firing {
	look := e.newLookback(t, walking || e.config.Virtual)
	var breaches []breaching
	var watches []*watch
	var groups []triggers.GroupState
	for _, w := range e.watches {
		if !w.inForce {
			continue
		}
		for _, g := range w.groups {
			if g.State == triggers.Fires && !held[incident.FindingKey(w.snapshot.Runbook.Name, g.Group)] {
				for _, b := range g.Breaches {
					breaches = append(breaches, breaching{w, b})
				}
				watches, groups = append(watches, w), append(groups, g)
			}
		}
	}
	beginnings, cancel := look.within(ctx, beginningsWithin)
	defer cancel()
	look.beginnings(beginnings, breaches)
	var firings []incident.Firing
	for i, w := range watches {
		firings = append(firings, look.firing(w, groups[i]))
	}
	look.normals(beginnings, firings, watches)
	exposures, cancel := look.within(ctx, exposuresWithin)
	defer cancel()
	look.versions(exposures, firings, watches, groups)
	e.began, e.normals, e.exposed, e.again = look.found, look.normal, look.exposed, look.again
	return firings
}

// clear gives the findings whose trigger in force is clear at this tick. The baselines of those that no open incident
// holds move again.
func (e *Evaluator) clear(held map[string]bool) map[string]bool {
	found := map[string]bool{}
	for _, w := range e.watches {
		for _, g := range w.groups {
			if g.State != triggers.Clear {
				continue
			}
			key := incident.FindingKey(w.snapshot.Runbook.Name, g.Group)
			if !held[key] {
				w.trigger.Thaw(g.Group)
			}
			if w.inForce {
				found[key] = true
			}
		}
	}
	return found
}

func (l *lookback) firing(w *watch, g triggers.GroupState) incident.Firing {
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
		breach, began := w.breach(b, l.t), l.begun[breaching{w, b}.key()]
		breach.BreachBegan, breach.ImpactBegan = began.breach, began.impact
		f.Breaches = append(f.Breaches, breach)
	}
	began := spanOf(&w.snapshot.Runbook.Trigger, g.Breaches, f.Breaches)
	f.BreachBegan, f.ImpactStartedAt = began.breach, began.impact
	return f
}
