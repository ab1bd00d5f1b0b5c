package evidence

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// reading is what a signal says at one time.
type reading struct {
	at      time.Time
	history *triggers.History

	// parts says that several values of a ratio are parts of one count, as shares of traffic by version are: their counts
	// must not be added up, and are not independent.
	parts bool
}

// read asks a signal at a time. over is another $range than the signal's own; 0: that.
func (g *Gatherer) read(ctx context.Context, s *triggers.Signal, over time.Duration, at time.Time) (*reading, error) {
	x := (&triggers.Condition{Signal: s.Name, Range: over}).Expressions(s)
	var samples [][]triggers.Sample
	for _, expr := range x.List() {
		answer, err := g.config.Source.Instant(ctx, expr, at)
		if err != nil {
			return nil, err
		}
		var one []triggers.Sample
		for _, series := range answer.Series {
			for _, p := range series.Points {
				one = append(one, triggers.Sample{Labels: series.Labels, V: p.V})
			}
		}
		samples = append(samples, one)
	}
	r := &reading{at: at, history: triggers.NewHistory(triggers.Grid{Interval: time.Millisecond}, 0, x.Shape())}
	all := x.Points(samples)
	r.history.Feed(at, all)
	r.parts = s.IsRatio() && wider(all, samples[1])
	return r, nil
}

// wider tells whether a point has other labels than every denominator.
func wider(all []triggers.Point, denominators []triggers.Sample) bool {
	known := map[uint64]bool{}
	for _, d := range denominators {
		known[d.Labels.Hash()] = true
	}
	for _, p := range all {
		if !known[p.Labels.Hash()] {
			return true
		}
	}
	return false
}

// known is a segment, or several added up, with its value.
type known struct {
	labels labels.Labels
	value  triggers.Value
}

// values gives the segments that match, each by itself or added up as by says.
func (r *reading) values(match func(labels.Labels) bool, by []string) []known {
	var all []known
	for _, series := range r.history.Select(match, by) {
		if v, ok := series.Known(r.at); ok {
			all = append(all, known{series.Labels, v})
		}
	}
	return all
}

// sum adds all segments that match up; not ok: there are none, or they can't be added up.
func (r *reading) sum(s *triggers.Signal, match func(labels.Labels) bool) (triggers.Value, bool) {
	if !s.IsRatio() || r.parts {
		return triggers.Value{}, false
	}
	all := r.values(match, []string{})
	if len(all) == 0 {
		return triggers.Value{}, false
	}
	return all[0].value, true
}

// nowAndBefore asks a signal for its present and for what it was before impact, at the same time. The latter is nil where
// nobody knows when impact began, or with its error.
func (g *Gatherer) nowAndBefore(ctx context.Context, s *triggers.Signal, about *About) (now, before *reading, err, beforeErr error) {
	var both sync.WaitGroup
	if !about.ImpactStartedAt.IsZero() {
		both.Go(func() { before, beforeErr = g.read(ctx, s, 0, beforeImpact(s, about)) })
	}
	now, err = g.read(ctx, s, 0, about.At)
	both.Wait()
	return now, before, err, beforeErr
}

// beforeImpact is the newest time at which a signal adds up nothing of the incident. Impact began with the first point
// that was no longer normal; what made it so lies in the range that this point adds up.
func beforeImpact(s *triggers.Signal, about *About) time.Time {
	return about.ImpactStartedAt.UTC().Truncate(time.Millisecond).Add(-max(s.Range, time.Minute))
}
