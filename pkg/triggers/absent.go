package triggers

import "github.com/prometheus/prometheus/model/labels"

// absentSeries gives what an `absent` condition judges: the segments that had a value in the last day, whether or not
// they have one now. Where there was no segment at all, that absence is a series of its own, without labels.
func (c *Condition) absentSeries(r Reading, service string) []Series {
	if r.Past.Last != nil && !r.Past.Last.everAnswered() {
		return nil // nobody knows what there was: the condition is unknown
	}
	var seen []Series
	if r.Past.Last != nil {
		seen = c.Select(r.Past.Last, service)
	}
	known := make(map[string]bool, len(seen))
	for _, s := range seen {
		known[groupKey(s.Labels)] = true
	}
	now := map[string]Series{}
	for _, s := range c.Select(r.History, service) {
		key := groupKey(s.Labels)
		now[key] = s
		if !known[key] {
			seen = append(seen, s)
		}
	}
	all := make([]Series, len(seen))
	for i, s := range seen {
		all[i] = Series{Labels: s.Labels, history: r.History, members: now[groupKey(s.Labels)].members}
	}
	if len(all) == 0 {
		all = append(all, Series{Labels: labels.EmptyLabels(), history: r.History})
	}
	return all
}

// absentState tells whether a series has been without data for `for`. A query that failed is not absence: its tick is
// unknown.
func (c *Condition) absentState(s Series, tick int64) State {
	if w := s.lookForData(tick, s.history.grid.Steps(c.For)); !w.known {
		return StateUnknown
	} else if w.last.state == isNoData && float64(w.satisfied) >= c.atLeastShare()*float64(w.values)-tolerance {
		return Fires
	}
	w := s.lookForData(tick, s.history.grid.Steps(c.clearsFor()))
	switch {
	case !w.known:
		return StateUnknown
	case w.satisfied == 0:
		return Clear
	}
	return Elevated
}

// lookForData counts the answered ticks of the last n and one more, and those of them without data.
func (s Series) lookForData(tick, n int64) window {
	var w window
	gap, longest := 0, 0
	for i := tick - n; i <= tick; i++ {
		if !s.history.wasAnswered(i) {
			gap++
			longest = max(longest, gap)
			continue
		}
		gap = 0
		w.values++
		w.last = s.at(i)
		if w.last.state == isNoData {
			w.satisfied++
		}
	}
	w.known = s.history.wasAnswered(tick-n) && longest <= longestGap && float64(w.values) >= knownShare*float64(n+1)-tolerance
	return w
}
