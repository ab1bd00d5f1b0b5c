package online

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// band is a recovery clause under survey.
type band struct {
	name   string
	clause *triggers.Clause
	spell  // of all groups: it holds where every group is in band
	groups map[string]*bandGroup
	ratios map[*triggers.Condition]map[string]*bandSeries
}

// bandGroup is what the clause said of a group, look by look.
type bandGroup struct {
	group labels.Labels
	looks []triggers.BandState
}

// bandSeries is the counts that a ratio of the clause judges: of a whole group, or of one segment that may breach.
type bandSeries struct {
	labels labels.Labels
	usual
}

func newBand(name string, clause *triggers.Clause) *band {
	return &band{name: name, clause: clause, groups: map[string]*bandGroup{}, ratios: map[*triggers.Condition]map[string]*bandSeries{}}
}

func (s *survey) addBand(b *band, groups []triggers.GroupState, tick int64, t time.Time) {
	state := triggers.StateUnknown
	for i, g := range groups {
		found, _ := s.scope(g.Group).Band(b.clause, t)
		key := g.Group.String()
		if b.groups[key] == nil {
			b.groups[key] = &bandGroup{group: g.Group}
		}
		b.groups[key].looks = append(b.groups[key].looks, found)
		if held := bandStates[found]; i == 0 || held == triggers.Clear || state != triggers.Clear && held == triggers.StateUnknown {
			state = held
		}
	}
	b.add(state, t)
	for _, c := range b.clause.Conditions() {
		if f := s.feedOf[c]; f != nil && f.Shape().Ratio && s.apart(f, tick) {
			s.addCounts(b, c, groups, tick, t)
		}
	}
}

var bandStates = map[triggers.BandState]triggers.State{
	triggers.BandHeld: triggers.Fires, triggers.BandEmpty: triggers.Fires, triggers.BandMissed: triggers.Clear, triggers.BandUnknown: triggers.StateUnknown,
}

// addCounts takes the counts that a condition of the band would be judged by: of the group, and of each segment for
// which the trigger may fire.
func (s *survey) addCounts(b *band, c *triggers.Condition, groups []triggers.GroupState, tick int64, t time.Time) {
	if b.ratios[c] == nil {
		b.ratios[c] = map[string]*bandSeries{}
	}
	taken := map[string]bool{} // several conditions of the trigger may judge the same segment
	take := func(l labels.Labels, scope triggers.Scope) {
		key := l.String()
		if taken[key] {
			return
		}
		taken[key] = true
		state, v := scope.Band(&triggers.Clause{Condition: c}, t)
		if state == triggers.BandUnknown {
			return
		}
		one := b.ratios[c][key]
		if one == nil {
			one = &bandSeries{labels: l, usual: usual{ratio: true}}
			b.ratios[c][key] = one
		}
		if v == nil {
			one.empty()
			return
		}
		one.add(s.over(tick), *v)
	}
	for _, g := range groups {
		take(g.Group, s.scope(g.Group))
	}
	for _, trigger := range s.of.Runbook.Trigger.Conditions() {
		w := s.watched[trigger]
		if w == nil || trigger.Signal != c.Signal {
			continue
		}
		for _, one := range w.series {
			g := triggers.Group(one.labels, s.of.Runbook.GroupBy)
			if !labels.Equal(g, one.labels) && canMatch(c, one.labels) {
				take(one.labels, s.scope(g, triggers.Breached{Condition: trigger, Labels: one.labels}))
			}
		}
	}
}

// canMatch tells whether the condition looks at a segment at all.
func canMatch(c *triggers.Condition, l labels.Labels) bool {
	for name, wanted := range c.Where {
		if v := l.Get(name); v != "" && !slices.Contains(wanted, v) {
			return false
		}
	}
	return true
}

// holds gives the looks at which a hold could begin, and those of them whose hold would have broken, when so many looks
// make a hold and so many of them may miss.
func (g *bandGroup) holds(length, mayMiss int) (begun, broken int) {
	missed := make([]int, len(g.looks)+1)
	for i, look := range g.looks {
		missed[i+1] = missed[i]
		if look == triggers.BandMissed {
			missed[i+1]++
		}
	}
	for i, look := range g.looks {
		if look != triggers.BandHeld || i+length >= len(g.looks) {
			continue
		}
		begun++
		if missed[i+1+length]-missed[i] > mayMiss {
			broken++
		}
	}
	return begun, broken
}

// looksOf is how many looks a hold has.
func looksOf(hold time.Duration, grid triggers.Grid) int {
	each := time.Duration(max(1, grid.Steps(looksEach))) * grid.Interval
	return max(1, int(hold/each))
}
