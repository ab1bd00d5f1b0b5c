package online

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// looksEach is how far apart rubric and recovery are looked at; the trigger is judged at every tick.
const looksEach = time.Minute

// survey is a runbook on its way through the time.
type survey struct {
	config  *Config
	lib     *library
	of      *runbook.Snapshot
	feeds   []*feed
	read    map[*triggers.Condition]triggers.Reading
	feedOf  map[*triggers.Condition]*feed
	trigger *triggers.Trigger
	err     error

	whole   spell
	groups  map[string]*groupSpell
	watched map[*triggers.Condition]*watched // of the trigger
	rules   []*rule
	bands   []*band
}

// groupSpell is how the whole trigger stood for a group.
type groupSpell struct {
	group labels.Labels
	spell
}

// watched is a condition of the trigger and the series that it judged.
type watched struct {
	condition *triggers.Condition
	spell     // of any of the series
	state     triggers.State
	series    []*watchedSeries
	byKey     map[string]*watchedSeries
	next      int // where the next series probably stands
}

type watchedSeries struct {
	labels labels.Labels
	spell
	usual
}

// rule is a condition of the severity rubric.
type rule struct {
	severity  runbook.Severity
	condition *triggers.Condition
	spell
	groups map[string]*groupSpell
}

// spell counts the ticks at which something held, and how often it began to.
type spell struct {
	ticks, holds, unknown int64
	begun                 int
	on                    bool
	last                  time.Time
}

// add takes a tick. What has begun to hold has not ended before it is clear.
func (s *spell) add(state triggers.State, t time.Time) {
	s.ticks++
	switch state {
	case triggers.Fires:
		s.holds++
		s.last = t
		if !s.on {
			s.begun++
		}
		s.on = true
	case triggers.Clear:
		s.on = false
	case triggers.StateUnknown:
		s.unknown++
	}
}

func newSurvey(config *Config, lib *library, of *runbook.Snapshot) *survey {
	s := &survey{
		config: config, lib: lib, of: of, read: map[*triggers.Condition]triggers.Reading{}, feedOf: map[*triggers.Condition]*feed{},
		groups: map[string]*groupSpell{}, watched: map[*triggers.Condition]*watched{},
	}
	r := &of.Runbook
	needs := map[*triggers.Condition][]*feed{}
	need := func(c *triggers.Condition, reach func(triggers.Shape) time.Duration) {
		if signal := of.Signals[c.Signal]; signal != nil {
			needs[c] = s.need(c.Expressions(signal), c, reach)
			s.feedOf[c] = needs[c][0]
		}
	}
	window := func(c *triggers.Condition) func(triggers.Shape) time.Duration {
		return func(triggers.Shape) time.Duration { return c.For }
	}
	for _, c := range r.Trigger.Conditions() {
		need(c, func(shape triggers.Shape) time.Duration { return c.Reach(config.Grid, shape) })
		s.watched[c] = &watched{condition: c, byKey: map[string]*watchedSeries{}}
	}
	for i := range r.Severity.Rules {
		for _, c := range r.Severity.Rules[i].When.Conditions() {
			if c.Signal != triggers.BlastRadius {
				need(c, window(c))
				s.rules = append(s.rules, &rule{severity: r.Severity.Rules[i].Severity, condition: c, groups: map[string]*groupSpell{}})
			}
		}
	}
	for i, b := range []runbook.Band{r.Recovery.Key, r.Recovery.Safety, r.Recovery.Business} {
		if b.Clause == nil {
			continue
		}
		for _, c := range b.Clause.Conditions() {
			need(c, window(c))
		}
		s.bands = append(s.bands, newBand(incident.BandNames[i], b.Clause))
	}
	for _, f := range s.feeds {
		f.begin(lib)
	}
	for c, feeds := range needs {
		s.read[c] = reading(feeds)
	}
	s.trigger = triggers.NewTrigger(&r.Trigger, r.GroupBy, r.Service, s.reading)
	return s
}

// need gives the feeds that a condition reads: first the one that follows the ticks, then those of its baseline.
func (s *survey) need(x triggers.Expressions, c *triggers.Condition, reach func(triggers.Shape) time.Duration) []*feed {
	grid := s.config.Grid
	feeds := []*feed{s.feed(feedKey{Expressions: x, grid: grid}, reach(x.Shape())+grid.Interval)}
	past, key := c.PastSpan(), feedKey{Expressions: x, grid: c.PastGrid(grid, x.Shape()), past: true}
	switch {
	case past == 0:
	case c.Baseline == nil || c.Baseline.Last > 0:
		feeds = append(feeds, s.feed(key, past+c.For))
	default:
		for k := range c.Baseline.Periods {
			key.ago = time.Duration(k+1)*c.Baseline.SameTime - c.Baseline.Width/2
			feeds = append(feeds, s.feed(key, past))
		}
	}
	return feeds
}

func (s *survey) feed(key feedKey, reach time.Duration) *feed {
	i := slices.IndexFunc(s.feeds, func(f *feed) bool { return f.feedKey == key })
	if i < 0 {
		i = len(s.feeds)
		s.feeds = append(s.feeds, &feed{feedKey: key})
	}
	s.feeds[i].reach = max(s.feeds[i].reach, reach)
	return s.feeds[i]
}

func reading(feeds []*feed) triggers.Reading {
	r := triggers.Reading{History: feeds[0].history}
	for _, f := range feeds[1:] {
		if f.ago > 0 {
			r.Past.Periods = append(r.Past.Periods, f.history)
		} else {
			r.Past.Last = f.history
		}
	}
	return r
}

func (s *survey) reading(c *triggers.Condition) triggers.Reading { return s.read[c] }

// walk judges some ticks.
func (s *survey) walk(ctx context.Context, first, last int64) error {
	each := max(1, s.config.Grid.Steps(looksEach))
	for tick := first; tick <= last; tick++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := s.config.Grid.Time(tick)
		for _, f := range s.feeds {
			if err := f.advance(ctx, s.lib, t); err != nil {
				return err
			}
		}
		groups := s.trigger.Judge(t)
		s.addGroups(groups, t)
		s.addSeries(tick, t)
		if tick%each == 0 {
			for _, r := range s.rules {
				s.addRule(r, groups, t)
			}
			for _, b := range s.bands {
				s.addBand(b, groups, tick, t)
			}
		}
	}
	return nil
}

// addGroups counts how the whole trigger stood. As no incident is ever open here, baselines are frozen until it is clear.
func (s *survey) addGroups(groups []triggers.GroupState, t time.Time) {
	whole := triggers.StateUnknown
	for _, g := range groups {
		if g.State == triggers.Clear && len(g.Frozen) > 0 {
			s.trigger.Thaw(g.Group)
		}
		group(s.groups, g.Group).add(g.State, t)
		whole = max(whole, g.State)
	}
	s.whole.add(whole, t)
}

func group(all map[string]*groupSpell, l labels.Labels) *groupSpell {
	key := l.String()
	if all[key] == nil {
		all[key] = &groupSpell{group: l}
	}
	return all[key]
}

// addSeries counts how each series of each condition stood, and takes the points that do not overlap.
func (s *survey) addSeries(tick int64, t time.Time) {
	for _, w := range s.watched {
		w.state, w.next = triggers.StateUnknown, 0
	}
	s.trigger.Each(func(c *triggers.Condition, of triggers.Series, state triggers.State) {
		w := s.watched[c]
		w.state = max(w.state, state)
		one := w.find(of.Labels)
		one.spell.add(state, t)
		f := s.feedOf[c]
		if c.Comparison == triggers.Absent || f == nil || !s.apart(f, tick) || c.MinTraffic > 0 {
			return
		}
		one.ratio = f.Shape().Ratio
		if v, known := of.Known(t); known {
			one.usual.add(s.over(tick), v)
		}
	})
	for c, w := range s.watched {
		w.add(w.state, t)
		if f := s.feedOf[c]; c.MinTraffic > 0 && f != nil && s.apart(f, tick) {
			s.addTraffic(w, f, tick, t)
		}
	}
}

// addTraffic takes the points of a condition that asks for traffic, those below its floor too.
func (s *survey) addTraffic(w *watched, f *feed, tick int64, t time.Time) {
	bare := *w.condition
	bare.MinTraffic = 0
	for _, of := range bare.Select(f.history, s.of.Runbook.Service) {
		v, known := of.Known(t)
		if !known {
			continue
		}
		one := w.find(of.Labels)
		one.usual.add(s.over(tick), v)
		one.measured++
		if v.Of < w.condition.MinTraffic {
			one.below++
		}
	}
}

// apart tells whether a tick is one of those whose points do not overlap.
func (s *survey) apart(f *feed, tick int64) bool {
	return tick%max(1, s.config.Grid.Steps(f.Reads)) == 0
}

// over is how much of the time is over, from 0 to 1.
func (s *survey) over(tick int64) float64 {
	first, last := s.config.first(), s.config.last()
	return float64(tick-first) / float64(max(1, last-first))
}

func (w *watched) find(l labels.Labels) *watchedSeries {
	if w.next < len(w.series) && labels.Equal(w.series[w.next].labels, l) {
		w.next++
		return w.series[w.next-1]
	}
	key := l.String()
	one := w.byKey[key]
	if one == nil {
		one = &watchedSeries{labels: l}
		w.byKey[key] = one
		w.series = append(w.series, one)
	}
	return one
}

// scope is what rubric and recovery would see of a group, had these breached.
func (s *survey) scope(g labels.Labels, breached ...triggers.Breached) triggers.Scope {
	return triggers.Scope{Group: g, Service: incident.ServiceOf(&s.of.Runbook, g), Breached: breached, Reading: s.reading}
}

var statesOf = map[triggers.Verdict]triggers.State{triggers.Yes: triggers.Fires, triggers.No: triggers.Clear, triggers.Unknown: triggers.StateUnknown}

func (s *survey) addRule(r *rule, groups []triggers.GroupState, t time.Time) {
	whole := triggers.StateUnknown
	for _, g := range groups {
		state := statesOf[s.scope(g.Group).Rubric(&triggers.Clause{Condition: r.condition}, t)]
		group(r.groups, g.Group).add(state, t)
		whole = max(whole, state)
	}
	r.add(whole, t)
}
