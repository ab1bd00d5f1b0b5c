package triggers

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// Series is what a condition judges: a segment, or the counts of several added up.
type Series struct {
	Labels   labels.Labels
	history  *History
	members  []*segment
	floor    float64 // of traffic: a point with fewer events behind it is insufficient, which is as good as no data
	patience int64   // for how many ticks a segment without data is unknown; then it is gone
}

// at gives the point of the series at a tick. A member that has no data there leaves the sum unknown: what is
// missing could be the part that is broken. One that has had none before either is not born yet, and no part of it; nor
// is one that is gone.
func (s Series) at(tick int64) point {
	if len(s.members) == 1 {
		p := s.history.at(s.members[0], tick)
		if s.floor > 0 && p.of < s.floor {
			return point{}
		}
		return p
	}
	var bad, of float64
	alive := 0
	for _, m := range s.members {
		p := s.history.at(m, tick)
		if p.state == isNoData {
			if tick < s.history.born(m) || s.away(m, tick) {
				continue
			}
			return point{}
		}
		alive++
		bad += p.bad
		of += p.of
	}
	if alive == 0 {
		return point{}
	}
	return ratioPoint(bad, of)
}

// left tells whether a segment has been without data for so long that it is gone.
func (s Series) left(m *segment) bool { return s.history.newest-m.lastKnown > s.patience }

// away tells whether the ticks without data around one are too many for a member to be unknown there: it was not there.
// A rare label set vanishes when its process starts anew, and must not blind the sum of the others for hours.
func (s Series) away(m *segment, tick int64) bool {
	if tick > m.lastKnown {
		return s.left(m)
	}
	n := int64(0)
	for i := tick; n <= s.patience && s.history.keeps(i) && !s.history.known(m, i); i-- {
		n++
	}
	for i := tick + 1; n <= s.patience && s.history.keeps(i) && !s.history.known(m, i); i++ {
		n++
	}
	return n > s.patience
}

// gone tells whether all of the series is.
func (s Series) gone() bool {
	for _, m := range s.members {
		if !s.left(m) {
			return false
		}
	}
	return len(s.members) > 0
}

// whole tells whether every tick from first to last is known for sure; if not, it may be all the same.
func (s Series) whole(first, last int64) bool {
	if s.floor > 0 || last > s.history.newest || first <= s.history.newest-s.history.length {
		return false
	}
	for _, m := range s.members {
		if first < m.unbroken || last > m.written {
			return false
		}
	}
	return len(s.members) > 0
}

// Select gives the series that a condition sees: the segments that match, each by itself or added up by its labels,
// in the order of their labels.
func (h *History) Select(match func(labels.Labels) bool, by []string) []Series {
	var matching []*segment
	for _, s := range h.segments {
		if match == nil || match(s.labels) {
			matching = append(matching, s)
		}
	}
	compare := func(a, b *segment) int { return labels.Compare(a.labels, b.labels) }
	if !slices.IsSortedFunc(matching, compare) {
		slices.SortFunc(matching, compare)
	}
	if by == nil {
		all := make([]Series, len(matching))
		for i, s := range matching {
			all[i] = Series{Labels: s.labels, history: h, members: matching[i : i+1 : i+1]}
		}
		return all
	}
	return h.sums(matching, by)
}

// sums adds segments up over all labels but those named.
func (h *History) sums(segments []*segment, by []string) []Series {
	var all []Series
	index := map[string]int{}
	b := labels.NewScratchBuilder(len(by))
	for _, s := range segments {
		sum := project(&b, s.labels, by)
		key := string(sum.Bytes(nil))
		i, ok := index[key]
		if !ok {
			i = len(all)
			index[key] = i
			all = append(all, Series{Labels: sum, history: h})
		}
		all[i].members = append(all[i].members, s)
	}
	slices.SortFunc(all, func(a, b Series) int { return labels.Compare(a.Labels, b.Labels) })
	return all
}

// project keeps the named labels of l, as far as it has them.
func project(b *labels.ScratchBuilder, l labels.Labels, names []string) labels.Labels {
	b.Reset()
	for _, name := range names {
		if v := l.Get(name); v != "" {
			b.Add(name, v)
		}
	}
	b.Sort()
	return b.Labels()
}

// Group gives the values of the group_by labels of a series; a label that it lacks has the empty value, which label
// sets leave out.
func Group(l labels.Labels, groupBy []string) labels.Labels {
	b := labels.NewScratchBuilder(len(groupBy))
	return project(&b, l, groupBy)
}

// Matches tells whether a label set has one of the wanted values for each label named.
func Matches(l labels.Labels, where map[string][]string) bool {
	for name, values := range where {
		if !slices.Contains(values, l.Get(name)) {
			return false
		}
	}
	return true
}

// Agrees tells whether a label set has the wanted values for the labels that it carries; those that it lacks it
// cannot contradict.
func Agrees(l, want labels.Labels) bool {
	agrees := true
	want.Range(func(w labels.Label) {
		if v := l.Get(w.Name); v != "" && v != w.Value {
			agrees = false
		}
	})
	return agrees
}
