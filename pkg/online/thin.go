package online

import (
	"cmp"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// What chance is good enough that no advice is needed, and what chance an advice must give.
const (
	likely   = 0.8
	worthIt  = 0.5
	muchMore = 0.1 // more than without it
)

// widths are what widen_to may be set to, up to the most that is allowed.
var widths = []time.Duration{2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour}

// thin tells what the traffic of a ratio's thinnest segments means for what the condition is there to find.
func (s *survey) thin(c *Condition, w *watched) {
	f := s.feedOf[w.condition]
	if f == nil || !f.Shape().Ratio {
		return
	}
	together := usual{ratio: true}
	for _, one := range w.series {
		together.merge(&one.usual)
	}
	all, ok := together.usually()
	if !ok {
		return
	}
	var thin []*watchedSeries
	for _, one := range w.series {
		u := one.or(all)
		if r, ok := w.condition.Reckon(u); ok && u.Events > 0 && !r.Speaks(u.Events) && r.Far() > r.Usual {
			thin = append(thin, one)
		}
	}
	slices.SortStableFunc(thin, func(a, b *watchedSeries) int {
		return cmp.Or(cmp.Compare(a.events/a.points, b.events/b.points), labels.Compare(a.labels, b.labels))
	})
	c.Thins = len(thin)
	for _, one := range thin[:min(len(thin), named)] {
		c.Thin = append(c.Thin, s.meaning(w, f, one, one.or(all)))
	}
}

// or is what is usual for a series, by the share of all of them where its own events are too few to tell.
func (one *watchedSeries) or(all triggers.Usual) triggers.Usual {
	if u, ok := one.usually(); ok {
		return u
	}
	if one.points == 0 {
		return triggers.Usual{}
	}
	return triggers.Usual{Share: all.Share, Events: one.events / one.points, Phi: 1}
}

// meaning reckons the chance that the condition finds what it is there to find in a thin segment, and what would help.
func (s *survey) meaning(w *watched, f *feed, one *watchedSeries, u triggers.Usual) *Thin {
	c := w.condition
	r, _ := c.Reckon(u)
	within := max(time.Hour, 2*c.For)
	to := r.Share(r.Far())
	t := &Thin{
		Labels: one.labels, Events: one.minutely(f.Reads), From: u.Share, To: to, Within: duration(within),
		Chance: c.Found(s.config.Grid, f.Reads, u, to, within),
	}
	if t.Chance >= likely {
		return t
	}
	if sum := s.sum(w, one); sum.Events > u.Events {
		sum.Share, sum.Phi = u.Share, u.Phi
		chance := c.Found(s.config.Grid, f.Reads, sum, to, within)
		if chance > t.Chance+muchMore {
			t.AddedUp = &chance
		}
	}
	for _, wide := range widths {
		if wide <= max(c.WidenTo, within) {
			continue
		}
		wider := *c
		wider.WidenTo = wide
		if chance := wider.Found(s.config.Grid, f.Reads, u, to, wide); chance >= max(worthIt, t.Chance+muchMore) {
			t.WidenTo, t.Widened = duration(wide), chance
			break
		}
	}
	return t
}

// sum is the events of all series of a segment's group.
func (s *survey) sum(w *watched, one *watchedSeries) (u triggers.Usual) {
	own := triggers.Group(one.labels, s.of.Runbook.GroupBy)
	for _, other := range w.series {
		if other.points > 0 && labels.Equal(triggers.Group(other.labels, s.of.Runbook.GroupBy), own) {
			u.Events += other.events / other.points
		}
	}
	return u
}
