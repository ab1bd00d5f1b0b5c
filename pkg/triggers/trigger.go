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
	keys    []string        // of the groups
	frozen  map[string]*frozen
}

// leaf is a condition with the series that it sees, kept until segments come or go.
type leaf struct {
	condition *Condition
	text      string
	reading   Reading
	usual     *usual
	whole     bool // inside an `all`: a series without the group's labels is seen by each group
	version   uint64
	series    []Series
	keys      []string // of the series, where there is a baseline
	groups    []labels.Labels
	seen      [][]int // by each of the trigger's groups: which series

	states  []State     // of each series, at the tick that is judged
	reasons []judgement // of those that fire or are thin, in the order of the series
}

// judgement is what a condition says of one of its series at a tick, and why.
type judgement struct {
	series   int
	state    State
	bar      bar
	evidence Evidence
}

// thin tells whether all is so but that events are too few to tell.
func (j *judgement) thin() bool { return j.state != Fires && j.evidence.Over > 0 }

// NewTrigger makes a trigger over the points of its conditions. A service that is not empty selects the segments of
// that service, where a signal carries the label.
func NewTrigger(clause *Clause, groupBy []string, service string, reading func(*Condition) Reading) *Trigger {
	t := &Trigger{
		clause: clause, groupBy: groupBy, service: service,
		leaves: map[*Condition]*leaf{}, frozen: map[string]*frozen{},
	}
	t.add(clause, false, reading)
	return t
}

func (tr *Trigger) add(c *Clause, inAll bool, reading func(*Condition) Reading) {
	if c.Condition != nil {
		l := &leaf{condition: c.Condition, text: c.Condition.String(), reading: reading(c.Condition), whole: inAll}
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
	Thin     []Breach     // what would fire, were its events enough to tell; see Breach.Enough
	Unknown  []*Condition // what is unknown
	Frozen   []Frozen     // the baselines in force, while they are frozen; not to be changed
}

// Judge says where the trigger stands at t, for every group of which there is a segment, in the order of their labels.
// A group of which there is none is unknown.
func (tr *Trigger) Judge(t time.Time) []GroupState {
	tr.refresh()
	for _, l := range tr.order {
		l.reasons = l.reasons[:0]
		for i := range l.series {
			j := l.judgeSeries(tr, tr.frozen[l.own(tr, i)], i, t)
			l.states[i] = j.state
			if j.state == Fires || j.thin() {
				l.reasons = append(l.reasons, j)
			}
		}
	}
	all := make([]GroupState, 0, len(tr.groups))
	for i, g := range tr.groups {
		if !tr.isThere(i) {
			continue
		}
		state := GroupState{Group: g}
		state.State = tr.judge(tr.clause, i, &state, t)
		tr.freeze(i, &state, t)
		all = append(all, state)
	}
	if len(all) == 0 {
		all = append(all, GroupState{Unknown: tr.clause.Conditions()})
	}
	return all
}

// isThere tells whether a group has a series that is not gone.
func (tr *Trigger) isThere(group int) bool {
	for _, l := range tr.order {
		for _, i := range l.seen[group] {
			if l.condition.Comparison == Absent || !l.series[i].gone() {
				return true
			}
		}
	}
	return false
}

// own is the key of the group of a series.
func (l *leaf) own(tr *Trigger, i int) string {
	if len(tr.frozen) == 0 || l.condition.Baseline == nil {
		return "" // it is asked for frozen baselines only
	}
	return groupKey(l.groups[i])
}

// judgeSeries says what a leaf's condition says of one of its series.
func (l *leaf) judgeSeries(tr *Trigger, frozen *frozen, i int, t time.Time) judgement {
	s, j := l.series[i], judgement{series: i}
	if l.condition.Comparison == Absent {
		j.state = l.condition.absentState(s, s.history.tick(t))
		return j
	}
	if s.gone() {
		return j
	}
	var ok bool
	if j.bar, ok = l.condition.bar(l.baseline(tr, frozen, i, t)); ok {
		j.state, j.evidence = l.condition.state(s, s.history.tick(t), &j.bar)
	}
	return j
}

// baseline is the frozen one while there is one, else that of the tick.
func (l *leaf) baseline(tr *Trigger, frozen *frozen, i int, t time.Time) baseline {
	if l.condition.Baseline == nil {
		return baseline{}
	}
	var since time.Time
	if frozen != nil {
		if kept, ok := frozen.byKey[frozenKey(l.text, l.keys[i])]; ok {
			return kept
		}
		since = frozen.since
	}
	return l.usual.of(l.keys[i], t, since, func(h *History) []Series { return l.condition.Select(h, tr.service) })
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
		l.look(tr.groupBy)
	}
	if changed {
		tr.regroup()
	}
}

// look makes what is kept beside the series.
func (l *leaf) look(groupBy []string) {
	l.states = make([]State, len(l.series))
	l.groups = make([]labels.Labels, len(l.series))
	l.keys = nil
	for i, s := range l.series {
		l.groups[i] = Group(s.Labels, groupBy)
		if l.condition.Baseline != nil {
			l.keys = append(l.keys, groupKey(s.Labels))
		}
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
	tr.keys = make([]string, len(tr.groups))
	for i, g := range tr.groups {
		tr.keys[i] = groupKey(g)
		number[tr.keys[i]] = i
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
	return c.selected(h, func(l labels.Labels) bool { return Matches(l, c.Where) && ofService(l, service) }, c.By)
}

// selected is the series of the segments that match, with what the condition asks of their points.
func (c *Condition) selected(h *History, match func(labels.Labels) bool, by []string) []Series {
	series := h.Select(match, by)
	patience := max(h.grid.Steps(max(c.For, h.shape.Reads)), longestGap)
	for i := range series {
		series[i].patience = patience
		if h.shape.Traffic {
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
func (tr *Trigger) judge(c *Clause, group int, g *GroupState, t time.Time) State {
	if c.Condition != nil {
		return tr.leaves[c.Condition].judge(tr, group, g, t)
	}
	members := c.Any
	if len(c.All) > 0 {
		members = c.All
	}
	var have [Fires + 1]int
	breaches, unknown := len(g.Breaches), len(g.Unknown)
	for i := range members {
		have[tr.judge(&members[i], group, g, t)]++
	}
	state := anyOf(have)
	if len(c.All) > 0 {
		state = allOf(have, len(members))
	}
	// What fires inside of an `all` that does not is no breach, and what is unknown beside a verdict hides nothing.
	if state != Fires {
		g.Breaches = g.Breaches[:breaches]
	}
	if state != StateUnknown {
		g.Unknown = g.Unknown[:unknown]
	}
	return state
}

// judge: a trigger holds for a group when it holds for one of its segments.
func (l *leaf) judge(tr *Trigger, group int, g *GroupState, t time.Time) State {
	var have [Fires + 1]int
	var again judgement
	for _, i := range l.seen[group] {
		if l.condition.Comparison != Absent && l.series[i].gone() {
			continue
		}
		state, why := l.states[i], l.reason(i)
		if kept := tr.frozen[tr.keys[group]]; kept != nil && l.whole && l.condition.Baseline != nil && l.own(tr, i) != tr.keys[group] {
			again = l.judgeSeries(tr, kept, i, t) // a series without the group's labels, as the group froze it
			state, why = again.state, &again
		}
		have[state]++
		switch {
		case why == nil:
		case state == Fires:
			g.Breaches = append(g.Breaches, Breach{l.condition, l.series[i], why.evidence, why.bar})
		case why.thin():
			g.Thin = append(g.Thin, Breach{l.condition, l.series[i], why.evidence, why.bar})
		}
	}
	state := anyOf(have)
	if state == StateUnknown {
		g.Unknown = append(g.Unknown, l.condition)
	}
	return state
}

// reason is why a series fires or is thin; nil where it is neither.
func (l *leaf) reason(i int) *judgement {
	n, ok := slices.BinarySearchFunc(l.reasons, i, func(j judgement, i int) int { return j.series - i })
	if !ok {
		return nil
	}
	return &l.reasons[n]
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
