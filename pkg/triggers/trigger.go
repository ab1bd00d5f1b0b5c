package triggers

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Trigger judges a runbook's trigger, group by group.
type Trigger struct {
	clause  *Clause
	groupBy []string
	service string
	leaves  map[*Condition]*leaf
	order   []*leaf
	groups  []labels.Labels // of all leaves, kept until segments come or go
}

// leaf is a condition with the series that it sees, kept until segments come or go.
type leaf struct {
	condition *Condition
	history   *History
	whole     bool // inside an `all`: a series without the group's labels is seen by each group
	version   uint64
	series    []Series
	states    []State // of each series, at the tick that is judged
	groups    []labels.Labels
	seen      [][]int // by each of the trigger's groups: which series
}

// NewTrigger makes a trigger over the histories of its conditions. A service that is not empty selects the segments
// of that service, where a signal carries the label.
func NewTrigger(clause *Clause, groupBy []string, service string, history func(*Condition) *History) *Trigger {
	t := &Trigger{clause: clause, groupBy: groupBy, service: service, leaves: map[*Condition]*leaf{}}
	t.add(clause, false, history)
	return t
}

func (tr *Trigger) add(c *Clause, inAll bool, history func(*Condition) *History) {
	if c.Condition != nil {
		l := &leaf{condition: c.Condition, history: history(c.Condition), whole: inAll}
		tr.leaves[c.Condition] = l
		tr.order = append(tr.order, l)
	}
	for i := range c.Any {
		tr.add(&c.Any[i], inAll, history)
	}
	for i := range c.All {
		tr.add(&c.All[i], true, history)
	}
}

// Breach is a condition of the trigger that fires for a series.
type Breach struct {
	Condition *Condition
	Series    Series
}

// GroupState is where the trigger stands for a group.
type GroupState struct {
	Group    labels.Labels
	State    State
	Breaches []Breach     // what fires
	Unknown  []*Condition // what is unknown
}

// Judge says where the trigger stands at t, for every group of which there is a segment, in the order of their labels.
// A group of which there is none is unknown.
func (tr *Trigger) Judge(t time.Time) []GroupState {
	tr.refresh()
	for _, l := range tr.order {
		for i, s := range l.series {
			l.states[i] = l.condition.State(s, t)
		}
	}
	all := make([]GroupState, len(tr.groups))
	for i, g := range tr.groups {
		all[i].Group = g
		all[i].State = tr.judge(tr.clause, i, &all[i])
	}
	return all
}

// refresh looks again which series and groups there are, if segments have come or gone.
func (tr *Trigger) refresh() {
	changed := tr.groups == nil
	for _, l := range tr.order {
		if l.history == nil || l.series != nil && l.version == l.history.version {
			continue
		}
		changed = true
		l.version = l.history.version
		l.series = l.condition.Select(l.history, tr.service)
		l.states = make([]State, len(l.series))
		l.groups = make([]labels.Labels, len(l.series))
		for i, s := range l.series {
			l.groups[i] = Group(s.Labels, tr.groupBy)
		}
	}
	if changed {
		tr.regroup()
	}
}

// regroup finds the groups, and which series each of them sees. Where no series carries a group's label, there is the
// group of the empty values alone.
func (tr *Trigger) regroup() {
	byKey := map[string]labels.Labels{}
	for _, l := range tr.order {
		for _, g := range l.groups {
			if !l.whole || len(tr.groupBy) == 0 || !g.IsEmpty() {
				byKey[groupKey(g)] = g
			}
		}
	}
	if len(byKey) == 0 {
		byKey[groupKey(labels.EmptyLabels())] = labels.EmptyLabels()
	}
	tr.groups = slices.SortedFunc(maps.Values(byKey), labels.Compare)
	number := make(map[string]int, len(tr.groups))
	for i, g := range tr.groups {
		number[groupKey(g)] = i
	}
	for _, l := range tr.order {
		l.seen = make([][]int, len(tr.groups))
		for i, g := range l.groups {
			l.seenBy(i, g, tr, number)
		}
	}
}

// seenBy shows a series to the groups that see it: its own, and inside an `all` every one that agrees with it.
func (l *leaf) seenBy(series int, own labels.Labels, tr *Trigger, number map[string]int) {
	if !l.whole || own.Len() == len(tr.groupBy) {
		n := number[groupKey(own)]
		l.seen[n] = append(l.seen[n], series)
		return
	}
	for n, g := range tr.groups {
		if Agrees(own, g) {
			l.seen[n] = append(l.seen[n], series)
		}
	}
}

func groupKey(g labels.Labels) string { return string(g.Bytes(nil)) }

// Select gives the series that a trigger's condition judges: the segments of the service that match its `where`, each
// by itself or added up as `by` says.
func (c *Condition) Select(h *History, service string) []Series {
	return h.Select(func(l labels.Labels) bool { return Matches(l, c.Where) && ofService(l, service) }, c.By)
}

func ofService(l labels.Labels, service string) bool {
	v := l.Get("service")
	return service == "" || v == "" || v == service
}

// judge combines the states of the tree for a group, by its number, and notes what fires and what is unknown.
func (tr *Trigger) judge(c *Clause, group int, g *GroupState) State {
	if c.Condition != nil {
		return tr.leaves[c.Condition].judge(group, g)
	}
	members := c.Any
	if len(c.All) > 0 {
		members = c.All
	}
	var have [Fires + 1]int
	for i := range members {
		have[tr.judge(&members[i], group, g)]++
	}
	if len(c.All) > 0 {
		return allOf(have, len(members))
	}
	return anyOf(have)
}

// judge: a trigger holds for a group when it holds for one of its segments.
func (l *leaf) judge(group int, g *GroupState) State {
	var have [Fires + 1]int
	for _, i := range l.seen[group] {
		have[l.states[i]]++
		if l.states[i] == Fires {
			g.Breaches = append(g.Breaches, Breach{l.condition, l.series[i]})
		}
	}
	state := anyOf(have)
	if state == StateUnknown {
		g.Unknown = append(g.Unknown, l.condition)
	}
	return state
}

// anyOf: one that fires is enough, whatever is unknown beside it; nothing at all is unknown.
func anyOf(have [Fires + 1]int) State {
	switch {
	case have[Fires] > 0:
		return Fires
	case have[StateUnknown] > 0:
		return StateUnknown
	case have[Elevated] > 0:
		return Elevated
	case have[Clear] > 0:
		return Clear
	}
	return StateUnknown
}

// allOf: one that is clear is enough to be clear, whatever is unknown beside it.
func allOf(have [Fires + 1]int, n int) State {
	switch {
	case have[Clear] > 0:
		return Clear
	case have[StateUnknown] > 0:
		return StateUnknown
	case have[Fires] == n:
		return Fires
	}
	return Elevated
}
