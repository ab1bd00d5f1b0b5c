package evaluator

import (
	"context"
	"slices"
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
	t       time.Time
	patient bool // it waits for whatever the source answers

	feeds  map[pastWindow]*feed
	found  map[string]beginning // of what fires at this tick
	begun  map[string]beginning // the same, with what the source did not tell as far as it is known
	normal map[string]*float64  // likewise: traffic before impact
	again  map[string]time.Time // when what the source did not tell is asked for again

	exposed map[string][]changes.Exposure // likewise: those who have a changed version against the others
	carries map[string]bool               // by counting expression and label: whether its series have it
}

type pastWindow struct {
	triggers.Expressions
	span     time.Duration
	touching bool // points that touch and do not overlap, instead of one at each tick
}

func (e *Evaluator) newLookback(t time.Time, patient bool) *lookback {
	return &lookback{
		Evaluator: e, t: t, patient: patient, feeds: map[pastWindow]*feed{},
		found: map[string]beginning{}, begun: map[string]beginning{}, normal: map[string]*float64{}, again: map[string]time.Time{},
		exposed: map[string][]changes.Exposure{}, carries: map[string]bool{},
	}
}

const (
	// beginningsWithin is how long an opening waits for what is asked about its beginnings, and the traffic before them.
	beginningsWithin = 10 * time.Second
	// exposuresWithin is how long it waits, after that, for who has which version.
	exposuresWithin = 2 * time.Second
	// lookAgain is how long the beginning, and the traffic before it, of what goes on firing without opening an incident
	// are left alone after the source did not tell them.
	lookAgain = time.Minute
)

// within bounds what is asked at an opening: nobody is paged late for it. Where time is played, and on the way through
// missed ticks, it is waited for.
func (l *lookback) within(ctx context.Context, budget time.Duration) (context.Context, context.CancelFunc) {
	if l.patient {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, budget)
}

// lookUp asks for the points of some feeds, all at once. One for which the time is over was not answered.
func (l *lookback) lookUp(ctx context.Context, feeds ...*feed) {
	l.fetch(ctx, feeds, l.t, l.t)
	for _, f := range feeds {
		if ctx.Err() != nil && f.err == nil {
			f.err = ctx.Err()
		}
		f.advance(l.t)
	}
}

// breaching is a breach of what fires.
type breaching struct {
	*watch
	triggers.Breach
}

func (b breaching) key() string { return b.hash + b.Condition.String() + b.Series.Labels.String() }

// beginnings finds when breaches began. What several lack is asked once, and that of all at once.
func (l *lookback) beginnings(ctx context.Context, all []breaching) {
	for len(all) > 0 {
		var lacked []*feed
		all = slices.DeleteFunc(all, func(b breaching) bool {
			f := l.begin(b)
			if f != nil && !slices.Contains(lacked, f) {
				lacked = append(lacked, f)
			}
			return f == nil
		})
		if len(lacked) > 0 {
			l.lookUp(ctx, lacked...)
		}
	}
}

// begin finds the first point of the run that breaches, and the point after the last one on the normal side before it.
// Where the window does not reach back to that, the source is asked for the time before it, at last for as far back as
// impact is looked for; should it not answer, the oldest point that is known stands. lacks is what is still to be asked
// for; nil: it is found.
func (l *lookback) begin(b breaching) (lacks *feed) {
	key := b.key()
	if known, ok := l.began[key]; ok {
		l.found[key], l.begun[key] = known, known
		return nil
	}
	normal := b.Normal(b.snapshot.Runbook.Recovery.Key.Clause)
	breach, impact, found := b.Beginnings(l.t, normal)
	if !found && l.leftAlone(key) {
		l.begun[key] = beginning{breach, impact}
		return nil
	}
	near := 4 * (b.Condition.For + b.Condition.RangeOf(b.snapshot.Signals[b.Condition.Signal]))
	for _, span := range []time.Duration{min(near, l.config.ImpactReach), l.config.ImpactReach} {
		if found {
			break
		}
		f, asked := l.feed(b.feeds[b.Condition], span)
		if !asked {
			return f
		}
		if f.err != nil {
			l.begun[key], l.again[key] = beginning{breach, impact}, l.config.Now().Add(lookAgain)
			return nil
		}
		for _, s := range b.Condition.Select(f.history, b.snapshot.Runbook.Service) {
			if labels.Equal(s.Labels, b.Series.Labels) {
				breach, impact, found = b.In(s).Beginnings(l.t, normal)
			}
		}
	}
	l.begun[key] = beginning{breach, impact}
	l.found[key] = l.begun[key]
	return nil
}

// leftAlone tells whether something that the source did not tell is not to be asked for again yet.
func (l *lookback) leftAlone(key string) bool {
	again := l.Evaluator.again[key]
	if !l.config.Now().Before(again) {
		return false
	}
	l.again[key] = again
	return true
}

// feed gives the feed of the last span, of the same expressions as another one's. asked is false where its points are
// still to be asked for.
func (l *lookback) feed(like *feed, span time.Duration) (f *feed, asked bool) {
	window := pastWindow{Expressions: like.Expressions, span: span}
	f = l.feeds[window]
	if f == nil {
		f = newFeed(feedKey{Expressions: like.Expressions, grid: l.config.Grid}, []need{{signal: like.signal, span: span}})
		l.feeds[window] = f
	}
	return f, !f.tried.IsZero()
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
