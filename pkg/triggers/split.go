package triggers

import "time"

// Split is the counts of a ratio on both sides of a label: of the segments in which it has a value, and of those in
// which it has another one. Both are of the same time.
type Split struct{ WithBad, With, WithoutBad, Without float64 }

// Split adds up the points from since to t that touch and do not overlap, the last one at t: of what the condition sees
// of the incident in a history, whether or not it breached. Segments without the label stand on neither side.
func (sc Scope) Split(c *Condition, h *History, label, value string, since, t time.Time) (s Split) {
	if !h.shape.Ratio {
		return s
	}
	first, step := h.tick(since.Add(-1))+1, h.grid.Steps(h.reads())
	for _, m := range h.segments {
		has := m.labels.Get(label)
		if has == "" || !sc.sees(c, m.labels) {
			continue
		}
		var sum counts
		for i := h.tick(t); i >= first; i -= step {
			if p := h.at(m, i); p.state == isValue {
				sum = sum.add(counts{p.bad, p.of})
			}
		}
		if has == value {
			s.WithBad, s.With = s.WithBad+sum.x, s.With+sum.n
		} else {
			s.WithoutBad, s.Without = s.WithoutBad+sum.x, s.Without+sum.n
		}
	}
	return s
}

// Keeps tells whether the history reaches back to a time.
func (h *History) Keeps(t time.Time) bool { return h.keeps(h.tick(t)) }

// TouchingGrid is the ticks, one of them at t, at which points of these expressions touch and do not overlap.
func (x Expressions) TouchingGrid(grid Grid, t time.Time) Grid {
	touching := x.CountsGrid(grid)
	touching.Phase = time.Duration(t.UnixNano() % int64(touching.Interval))
	return touching
}
