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
	groups  []labels.Labels              // of all leaves, kept until segments come or go
	frozen  map[string]map[string]Frozen // by group, by condition and series
}

// leaf is a condition with the series that it sees, kept until segments come or go.
type leaf struct {
	condition *Condition
	reading   Reading
	usual     *usual
	whole     bool // inside an `all`: a series without the group's labels is seen by each group
	version   uint64
	series    []Series
	judged    []judgement // of each series, at the tick that is judged
	groups    []labels.Labels
	seen      [][]int // by each of the trigger's groups: which series
}

// judgement is what a condition says of a series at a tick, and why.
type judgement struct {
	state    State
	bar      bar
	base     baseline
	evidence Evidence
}

// Frozen is the baseline of a series as it was when its trigger fired: an incident's own bad hour never becomes the new
// normal.
type Frozen struct {
	Condition string // in words
	Labels    labels.Labels
	Value     float64
	Phi       float64
}

func (f Frozen) key() string { return f.Condition + "\x00" + groupKey(f.Labels) }

// NewTrigger makes a trigger over the points of its conditions. A service that is not empty selects the segments of
// that service, where a signal carries the label.
func NewTrigger(clause *Clause, groupBy []string, service string, reading func(*Condition) Reading) *Trigger {
	t := &Trigger{
		clause: clause, groupBy: groupBy, service: service,
		leaves: map[*Condition]*leaf{}, frozen: map[string]map[string]Frozen{},
	}
	t.add(clause, false, reading)
	return t
}

func (tr *Trigger) add(c *Clause, inAll bool, reading func(*Condition) Reading) {
	if c.Condition != nil {
		l := &leaf{condition: c.Condition, reading: reading(c.Condition), whole: inAll}
		l.usual = newUsual(c.Condition, l.reading.Past)
		tr.leaves[c.Condition] = l
		tr.order = append(tr.order, l)
	}
	for i := range c.Any {
		tr.add(&c.Any[i], inAll, reading)
	}
	for i := range c.All {
		tr.add(&c.All[i], true, reading)
	}
}

// Freeze keeps the baselines of a group until Thaw: those of an incident that is open, whichever process opened it.
func (tr *Trigger) Freeze(group labels.Labels, all []Frozen) {
	kept := make(map[string]Frozen, len(all))
	for _, f := range all {
		kept[f.key()] = f
	}
	tr.frozen[groupKey(group)] = kept
}

// Thaw lets a group's baselines move again: its trigger is clear, and no incident of it is open.
func (tr *Trigger) Thaw(group labels.Labels) { delete(tr.frozen, groupKey(group)) }

// Inherit keeps what was frozen in a trigger that this one takes the place of.
func (tr *Trigger) Inherit(from *Trigger) { maps.Copy(tr.frozen, from.frozen) }

// Breach is a condition of the trigger that fires for a series.
type Breach struct {
	Condition *Condition
	Series    Series
	Evidence  Evidence
	bar       bar
}

// GroupState is where the trigger stands for a group.
type GroupState struct {
	Group    labels.Labels
	State    State
	Breaches []Breach     // what fires
	Unknown  []*Condition // what is unknown
	Frozen   []Frozen     // the baselines in force, while they are frozen
}

// Judge says where the trigger stands at t, for every group of which there is a segment, in the order of their labels.
// A group of which there is none is unknown.
func (tr *Trigger) Judge(t time.Time) []GroupState {
	tr.refresh()
	for _, l := range tr.order {
		for i := range l.series {
			l.judgeSeries(tr, i, t)
		}
	}
	all := make([]GroupState, len(tr.groups))
	for i, g := range tr.groups {
		all[i].Group = g
		all[i].State = tr.judge(tr.clause, i, &all[i])
		tr.freeze(i, &all[i])
	}
	return all
}

// judgeSeries says what a leaf's condition says of one of its series.
func (l *leaf) judgeSeries(tr *Trigger, i int, t time.Time) {
	s, j := l.series[i], &l.judged[i]
	*j = judgement{}
	if l.condition.Comparison == Absent {
		j.state = l.condition.absentState(s, s.history.tick(t))
		return
	}
	j.base = l.baseline(tr, i, t)
	var ok bool
	if j.bar, ok = l.condition.bar(j.base); ok {
		j.state, j.evidence = l.condition.state(s, s.history.tick(t), &j.bar)
	}
}

// baseline is the frozen one while there is one, else that of the tick.
func (l *leaf) baseline(tr *Trigger, i int, t time.Time) baseline {
	if l.condition.Baseline == nil {
		return baseline{}
	}
	if frozen := tr.frozen[groupKey(l.groups[i])]; frozen != nil {
		if f, ok := frozen[Frozen{Condition: l.condition.String(), Labels: l.series[i].Labels}.key()]; ok {
			return baseline{value: f.Value, phi: f.Phi, known: true}
		}
	}
	return l.usual.of(l.series[i].Labels, t, func(h *History) []Series { return l.condition.Select(h, tr.service) })
}

// freeze keeps the baselines of a group from the tick at which its trigger fires until Thaw. Those that move with the
// clock are not kept.
func (tr *Trigger) freeze(group int, g *GroupState) {
	key := groupKey(g.Group)
	switch frozen := tr.frozen[key]; {
	case frozen != nil:
		for _, f := range frozen {
			g.Frozen = append(g.Frozen, f)
		}
	case g.State == Fires:
		for _, l := range tr.order {
			if l.condition.Baseline == nil || l.condition.Baseline.Last == 0 {
				continue
			}
			for _, i := range l.seen[group] {
				if base := l.judged[i].base; base.known {
					g.Frozen = append(g.Frozen, Frozen{l.condition.String(), l.series[i].Labels, base.value, base.phi})
				}
			}
		}
		tr.Freeze(g.Group, g.Frozen)
	}
}

// refresh looks again which series and groups there are, if segments have come or gone.
func (tr *Trigger) refresh() {
	changed := tr.groups == nil
	for _, l := range tr.order {
		if l.reading.History == nil || l.series != nil && l.version == l.reading.version() {
			continue
		}
		changed = true
		l.version = l.reading.version()
		if l.condition.Comparison == Absent {
			l.series = l.condition.absentSeries(l.reading, tr.service)
		} else {
			l.series = l.condition.Select(l.reading.History, tr.service)
		}
		l.judged = make([]judgement, len(l.series))
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

// version rises when a segment comes or goes, now or in the past.
func (r Reading) version() uint64 {
	if r.Past.Last == nil {
		return r.History.version
	}
	return r.History.version + r.Past.Last.version
}

func groupKey(g labels.Labels) string { return string(g.Bytes(nil)) }

// Select gives the series that a trigger's condition judges: the segments of the service that match its `where`, each
// by itself or added up as `by` says.
func (c *Condition) Select(h *History, service string) []Series {
	series := h.Select(func(l labels.Labels) bool { return Matches(l, c.Where) && ofService(l, service) }, c.By)
	if c.MinTraffic > 0 && h.shape.Traffic {
		for i := range series {
			series[i].floor = c.MinTraffic
		}
	}
	return series
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
		j := &l.judged[i]
		have[j.state]++
		if j.state == Fires {
			g.Breaches = append(g.Breaches, Breach{l.condition, l.series[i], j.evidence, j.bar})
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
