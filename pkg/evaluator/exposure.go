package evaluator

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// versions adds to the firings which versions ran when their impact began, and how those who have a changed one fare
// against those who don't.
func (l *lookback) versions(ctx context.Context, firings []incident.Firing, watches []*watch, groups []triggers.GroupState) {
	var log []changes.Change
	for i := range firings {
		f := &firings[i]
		f.Running = l.running(f)
		key := f.Hash + f.Group.String()
		known, ok := l.Evaluator.exposed[key]
		if !ok {
			if log == nil {
				log = l.changesSince(ctx, l.t.Add(-recallChanges))
			}
			known = l.exposures(ctx, f, watches[i], groups[i], log)
		}
		f.Exposures, l.exposed[key] = known, known
	}
}

// running gives the versions that ran when the impact of a firing began: of its service and of those whose changes its
// rollback steps answer.
func (e *Evaluator) running(f *incident.Firing) []changes.Running {
	services := map[string]bool{"": true, f.Service: true}
	for _, step := range f.Snapshot.Runbook.Rollback {
		services[step.Service] = true
	}
	var all []changes.Running
	for _, d := range e.detections {
		for _, r := range d.detector.Running(f.ImpactStartedAt) {
			same := func(other changes.Running) bool {
				return other.Artifact == r.Artifact && other.Service == r.Service && other.Version == r.Version
			}
			if (f.Service == "" || services[r.Service]) && !slices.ContainsFunc(all, same) {
				all = append(all, r)
			}
		}
	}
	slices.SortFunc(all, func(a, b changes.Running) int {
		return cmp.Or(cmp.Compare(a.Artifact, b.Artifact), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Version, b.Version))
	})
	return all
}

// changesSince gives the changes after a time, in no order: those on record, and those that were detected here. Where
// the record doesn't answer the latter stand alone.
func (e *Evaluator) changesSince(ctx context.Context, after time.Time) []changes.Change {
	known := map[string]changes.Change{}
	if e.config.ChangeLog != nil {
		log, err := e.config.ChangeLog(ctx, after)
		if err != nil && ctx.Err() == nil {
			e.log.Warn("the log of changes can't be read", zap.Error(err))
		}
		for _, c := range log {
			known[c.ID] = c
		}
	}
	for id, c := range e.recent {
		if c.At.After(after) {
			known[id] = c
		}
	}
	return slices.Collect(maps.Values(known))
}

// mostExposed is how many changes of an incident, the newest, are looked for in its signals.
const mostExposed = 100

// exposures compares, in the ratios that fire, the segments of each changed version with the others of the service since
// impact began. A signal that does not show the version tells nothing of it.
func (l *lookback) exposures(ctx context.Context, f *incident.Firing, w *watch, g triggers.GroupState, log []changes.Change) []changes.Exposure {
	log = slices.DeleteFunc(slices.Clone(log), func(c changes.Change) bool {
		return c.To == "" || c.At.After(l.t) || c.Service != "" && f.Service != "" && c.Service != f.Service
	})
	slices.SortFunc(log, func(a, b changes.Change) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID)) })
	log = log[:min(len(log), mostExposed)]
	var all []changes.Exposure
	for i := range log {
		c := &log[i]
		told := slices.ContainsFunc(all, func(e changes.Exposure) bool { return e.Artifact == c.Artifact && e.Version == c.To })
		if told {
			continue
		}
		for _, b := range g.Breaches {
			if e, ok := l.exposure(ctx, f, w, b, c, l.versionLabels(c, log)); ok {
				all = append(all, e)
				break
			}
		}
	}
	return all
}

// versionLabels are the labels by which a signal may show the version of a changed artifact, the likeliest first:
// prompt_version for a prompt; the version labels of the info metrics, and version. Those that say nothing of the
// artifact count only where no other artifact was given a version of that name.
func (e *Evaluator) versionLabels(c *changes.Change, log []changes.Change) []string {
	names := []string{c.Artifact + "_version"}
	ambiguous := slices.ContainsFunc(log, func(other changes.Change) bool {
		return other.Artifact != c.Artifact && (other.To == c.To || other.From == c.To)
	})
	if ambiguous {
		return names
	}
	for _, d := range e.detections {
		names = append(names, d.Labels.Version)
	}
	return append(names, "version")
}

// exposure compares the segments of one version with the others, in the signal of a breach.
func (l *lookback) exposure(ctx context.Context, f *incident.Firing, w *watch, b triggers.Breach, c *changes.Change, names []string) (changes.Exposure, bool) {
	signal, feed := w.snapshot.Signals[b.Condition.Signal], w.feeds[b.Condition]
	if signal == nil || !signal.IsRatio() || feed == nil {
		return changes.Exposure{}, false
	}
	scope := triggers.Scope{Group: f.Group, Service: f.Service}
	history := l.since(ctx, feed, f.ImpactStartedAt)
	for _, name := range names {
		s := scope.Split(b.Condition, history, name, c.To, f.ImpactStartedAt, l.t)
		if s.With == 0 || s.Without == 0 || !l.counts(ctx, feed.Expressions, name) {
			continue
		}
		return changes.Exposure{
			Artifact: c.Artifact, Version: c.To, Service: c.Service,
			Signal:  cmp.Or(signal.Title, signal.Name),
			WithBad: s.WithBad, With: s.With, WithoutBad: s.WithoutBad, Without: s.Without,
			Better: signal.Worse == triggers.Down, Dispersion: b.Evidence.Phi,
		}, true
	}
	return changes.Exposure{}, false
}

// since gives the points of a feed since impact began: its own where they reach so far back, else those that are asked
// for, a range apart.
func (l *lookback) since(ctx context.Context, like *feed, impact time.Time) *triggers.History {
	if like.history.Keeps(impact) {
		return like.history
	}
	window := pastWindow{like.Expressions, l.t.Sub(impact), true}
	f := l.feeds[window]
	if f == nil {
		key := feedKey{Expressions: like.Expressions, grid: like.TouchingGrid(l.config.Grid, l.t)}
		f = newFeed(key, []need{{signal: like.signal, span: window.span}})
		l.lookUp(ctx, f)
		l.feeds[window] = f
	}
	return f.history
}

// counts tells whether the events behind a ratio are counted by a label. Where only the bad ones are, a share by that
// label is a share of all events, which compares nothing.
func (l *lookback) counts(ctx context.Context, x triggers.Expressions, label string) bool {
	counts, _ := x.Counts()
	key := counts.Query + "\x00" + label
	carries, known := l.carries[key]
	if !known {
		a := l.askOne(ctx, asked{counts.Query, question{from: l.t, to: l.t}})
		for _, s := range a.Series {
			carries = carries || s.Labels.Has(label)
		}
		l.carries[key] = carries
	}
	return carries
}
