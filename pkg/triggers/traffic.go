package triggers

import "time"

// Counts gives the expression that counts the events behind the values, as a query of its own; not ok: nothing counts
// them.
func (x Expressions) Counts() (counts Expressions, ok bool) {
	switch {
	case x.Denominator != "":
		return Expressions{Query: x.Denominator, Reads: x.Reads}, true
	case x.Traffic != "":
		return Expressions{Query: x.Traffic, Reads: x.Reads}, true
	}
	return Expressions{}, false
}

// CountsGrid is the ticks at which points of counts touch and do not overlap, so that no event counts twice.
func (x Expressions) CountsGrid(grid Grid) Grid {
	return Grid{Interval: time.Duration(grid.Steps(max(x.Reads, grid.Interval))) * grid.Interval, Phase: grid.Phase}
}

// Rate gives the events a second over the time that ends at t, of all segments of a service, where the history is one of
// counts. It is known when at least half of the points are; a point at which a segment that was there has no data is not.
func (h *History) Rate(service string, t time.Time, over time.Duration) (perSecond float64, known bool) {
	step := h.grid.Steps(h.reads())
	all := Series{history: h, patience: max(step, longestGap)}
	for _, s := range h.segments {
		if ofService(s.labels, service) {
			all.members = append(all.members, s)
		}
	}
	points := max(1, int64(over/h.grid.Interval)/step)
	total, found := 0.0, int64(0)
	for i := range points {
		if count, ok := all.count(h.tick(t) - i*step); ok {
			total += count
			found++
		}
	}
	if found == 0 || 2*found < points {
		return 0, false
	}
	reads := h.shape.Reads
	if reads == 0 {
		reads = h.grid.Interval
	}
	return total / (float64(found) * reads.Seconds()), true
}

// count adds up the values of the members at a tick, under the rule by which at adds up a ratio's.
func (s Series) count(tick int64) (total float64, ok bool) {
	for _, m := range s.members {
		p := s.history.at(m, tick)
		if p.state != isNoData {
			total, ok = total+p.v, true
			continue
		}
		if tick >= s.history.born(m) && !s.away(m, tick) {
			return 0, false
		}
	}
	return total, ok
}
