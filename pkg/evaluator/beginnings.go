package evaluator

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// beginning is when a breach and its impact began.
type beginning struct {
	breach, impact time.Time
}

// lookback finds when what fires at a tick began. Each expression is asked once, by however many segments breach; what
// goes on firing without opening an incident is not looked up again.
type lookback struct {
	*Evaluator
	t      time.Time
	feeds  map[pastWindow]*feed
	found  map[string]beginning // of what fires at this tick
	normal map[string]*float64  // likewise: traffic before impact

	exposed map[string][]changes.Exposure // likewise: those who have a changed version against the others
	carries map[string]bool               // by counting expression and label: whether its series have it
}

type pastWindow struct {
	triggers.Expressions
	span     time.Duration
	touching bool // points that touch and do not overlap, instead of one at each tick
}

func (e *Evaluator) newLookback(t time.Time) *lookback {
	return &lookback{
		Evaluator: e, t: t, feeds: map[pastWindow]*feed{}, found: map[string]beginning{}, normal: map[string]*float64{},
		exposed: map[string][]changes.Exposure{}, carries: map[string]bool{},
	}
}

// beginning gives the first point of the run that breaches, and the point after the last one on the normal side
// before it. Where the window does not reach back to that, the source is asked for the time before it, at last for as
// far back as impact is looked for; should it not answer, the oldest point that is known stands.
func (l *lookback) beginning(ctx context.Context, w *watch, b triggers.Breach) beginning {
	key := w.hash + b.Condition.String() + b.Series.Labels.String()
	if known, ok := l.began[key]; ok {
		l.found[key] = known
		return known
	}
	normal := b.Normal(w.snapshot.Runbook.Recovery.Key.Clause)
	breach, impact, found := b.Beginnings(l.t, normal)
	near := 4 * (b.Condition.For + b.Condition.RangeOf(w.snapshot.Signals[b.Condition.Signal]))
	for _, span := range []time.Duration{min(near, l.config.ImpactReach), l.config.ImpactReach} {
		if found {
			break
		}
		f := l.feed(ctx, w.feeds[b.Condition], span)
		if f.err != nil {
			return beginning{breach, impact}
		}
		for _, s := range b.Condition.Select(f.history, w.snapshot.Runbook.Service) {
			if labels.Equal(s.Labels, b.Series.Labels) {
				breach, impact, found = b.In(s).Beginnings(l.t, normal)
			}
		}
	}
	l.found[key] = beginning{breach, impact}
	return l.found[key]
}

// feed gives the points of the last span, of the same expressions as another feed's.
func (l *lookback) feed(ctx context.Context, like *feed, span time.Duration) *feed {
	window := pastWindow{Expressions: like.Expressions, span: span}
	f := l.feeds[window]
	if f == nil {
		f = newFeed(feedKey{Expressions: like.Expressions, grid: l.config.Grid}, []need{{signal: like.signal, span: span}})
		l.fetch(ctx, []*feed{f}, l.t, l.t)
		f.advance(l.t)
		l.feeds[window] = f
	}
	return f
}

// spanOf gives when a clause that fires began to: the earliest of what fires under an `any`, and under an `all` the latest
// of its members, for before that the whole of it did not hold. said are the breaches, with their times, of found.
func spanOf(c *triggers.Clause, found []triggers.Breach, said []incident.Breach) beginning {
	if c.Condition != nil {
		var first beginning
		for i, b := range found {
			if b.Condition == c.Condition {
				first = first.or(beginning{said[i].BreachBegan, said[i].ImpactBegan})
			}
		}
		return first
	}
	var whole beginning
	for i := range c.Any {
		whole = whole.or(spanOf(&c.Any[i], found, said))
	}
	for i := range c.All {
		whole = whole.and(spanOf(&c.All[i], found, said))
	}
	return whole
}

// or is the earlier of two beginnings, by each of their times. One that is zero never was.
func (b beginning) or(other beginning) beginning {
	pick := func(x, y time.Time) time.Time {
		if x.IsZero() || !y.IsZero() && y.Before(x) {
			return y
		}
		return x
	}
	return beginning{pick(b.breach, other.breach), pick(b.impact, other.impact)}
}

// and is the later of two beginnings, by each of their times.
func (b beginning) and(other beginning) beginning {
	pick := func(x, y time.Time) time.Time {
		if y.After(x) {
			return y
		}
		return x
	}
	return beginning{pick(b.breach, other.breach), pick(b.impact, other.impact)}
}
