package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/action"
	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// detected are the info metrics that show which versions run.
func detected(s *config.Settings) []evaluator.Detect {
	var all []evaluator.Detect
	for _, d := range s.Changes.Detect {
		all = append(all, evaluator.Detect{
			Query: d.Query, Labels: changes.Labels{Artifact: d.Artifact, Version: d.Version, Service: d.Service},
		})
	}
	return all
}

func (d *daemon) newExecutor() *action.Executor {
	return action.NewExecutor(action.ExecutorConfig{
		Desk: d.desk, Records: d.store,
		Connectors: func() action.Connectors { return d.loaded.Load().Settings.Connectors },
		Mode:       func() string { return d.loaded.Load().Settings.Actions },
		Touches:    d.touches, Now: time.Now, Log: d.log, Registry: d.registry,
	})
}

// planner says what an action would do, in the words of the API.
type planner struct{ executor *action.Executor }

// Prepare implements web.Planner.
func (p planner) Prepare(ctx context.Context, ref, step, to string) (web.Prepared, error) {
	prepared, err := p.executor.Prepare(ctx, ref, step, to)
	return web.Prepared(prepared), err
}

// PrepareMitigation implements web.Planner.
func (p planner) PrepareMitigation(ctx context.Context, ref, title string) (web.Prepared, error) {
	prepared, err := p.executor.PrepareMitigation(ctx, ref, title)
	return web.Prepared(prepared), err
}

// touches is the share of the service's traffic in the segments that have the labels, of the first signal of the incident's
// triggers that counts any and shows these labels: what a step affects is shown before anybody approves it. nil where that
// can't be told.
func (d *daemon) touches(ctx context.Context, r *incident.Record, selected map[string][]string) *float64 {
	tick := d.evaluator.Status().Tick
	if tick.IsZero() {
		return nil
	}
	for i := range r.Findings {
		snapshot := r.Findings[i].Snapshot
		if snapshot == nil {
			continue
		}
		for _, condition := range snapshot.Runbook.Trigger.Conditions() {
			signal := snapshot.Signals[condition.Signal]
			if signal == nil {
				continue
			}
			counts, ok := condition.Expressions(signal).Counts()
			if !ok {
				continue
			}
			answer, err := d.source.Instant(ctx, counts.Query, tick)
			if err != nil {
				return nil
			}
			if share := shareOf(answer.Series, r.Service, selected); share != nil {
				return share
			}
		}
	}
	return nil
}

// shareOf is the share of the series' sum, within a service, that has the labels. nil: there is nothing, or a label other
// than the service stands at none of them, so that nobody can tell.
func shareOf(all []source.Series, service string, selected map[string][]string) *float64 {
	var part, whole float64
	carried := map[string]bool{serviceLabel: true}
	for _, s := range all {
		other := service != "" && s.Labels.Has(serviceLabel) && s.Labels.Get(serviceLabel) != service
		if other || len(s.Points) == 0 || !(s.Points[0].V >= 0) {
			continue
		}
		whole += s.Points[0].V
		if has(s.Labels, selected) {
			part += s.Points[0].V
		}
		s.Labels.Range(func(l labels.Label) { carried[l.Name] = true })
	}
	for name := range selected {
		if !carried[name] {
			return nil
		}
	}
	if whole == 0 {
		return nil
	}
	share := part / whole
	return &share
}

// serviceLabel names the service. Series without it are of the only one.
const serviceLabel = "service"

// has tells whether labels agree with what is selected.
func has(l labels.Labels, selected map[string][]string) bool {
	for name, values := range selected {
		unnamed := name == serviceLabel && !l.Has(name)
		if !unnamed && !slices.Contains(values, l.Get(name)) {
			return false
		}
	}
	return true
}

// logRollbacks puts what was rolled back into the log of changes, or the next incident would suspect, and plan to go back
// from, a version that runs no more. What the log showed already is not told twice: the same change is one.
func (d *daemon) logRollbacks(r *incident.Record, events []incident.Event) {
	for _, e := range events {
		done, ok := e.Body.(incident.ActionDone)
		if !ok || r.Class != incident.Real || done.How == incident.DoneSeen {
			continue
		}
		c, ok := rolledBack(r, done.Action, e)
		if !ok {
			continue
		}
		go func() { // the commit that this is told in must end first
			ctx, cancel := context.WithTimeout(context.Background(), logWithin)
			defer cancel()
			if _, err := d.desk.Report(ctx, c); err != nil {
				d.log.Warn("a rollback is not in the log of changes", zap.String("incident", nameOf(r)), zap.String("artifact", c.Artifact), zap.Error(err))
			}
		}()
	}
}

const logWithin = 10 * time.Second

// rolledBack is the change that a rollback made; not ok where it is no step of the stack, or the versions are not known.
func rolledBack(r *incident.Record, action string, e incident.Event) (c changes.Change, ok bool) {
	for i := range r.Actions {
		a := &r.Actions[i]
		if a.ID != action || a.Step == "" || a.To == "" {
			continue
		}
		for _, step := range r.Plan() {
			if step.Name() == a.Step {
				return changes.Change{
					Artifact: step.Artifact, Service: cmp.Or(step.Service, r.Service), From: a.From, To: a.To, At: e.At, By: e.Actor,
					Note: fmt.Sprintf("rolled back in incident #%d", r.Number),
				}, true
			}
		}
	}
	return c, false
}
