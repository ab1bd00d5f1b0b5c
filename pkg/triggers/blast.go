package triggers

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// BlastRadius is the share of traffic in the segments that breach: of the trigger's signals that carry traffic, the
// largest. It is reckoned over all of the service's segments, `where` and group_by left aside. known is false where no
// signal carries traffic.
func (tr *Trigger) BlastRadius(g *GroupState, service string, t time.Time) (share float64, known bool) {
	breaching := map[*History]map[*segment]bool{}
	for _, b := range g.Breaches {
		h := b.Series.history
		if breaching[h] == nil {
			breaching[h] = map[*segment]bool{}
		}
		for _, m := range b.Series.members {
			breaching[h][m] = true
		}
	}
	for _, l := range tr.order {
		h := l.reading.History
		if h == nil || !h.shape.two() {
			continue
		}
		hit, all := h.traffic(t, breaching[h], func(ls labels.Labels) bool { return ofService(ls, service) })
		if all > 0 {
			known = true
			share = max(share, hit/all)
		}
	}
	return share, known
}

// traffic adds up the events behind the points of a tick: of some of the segments, and of all that match.
func (h *History) traffic(t time.Time, some map[*segment]bool, match func(labels.Labels) bool) (hit, all float64) {
	for _, s := range h.segments {
		p := h.at(s, h.tick(t))
		if p.state == isNoData || !match(s.labels) {
			continue
		}
		all += p.of
		if some[s] {
			hit += p.of
		}
	}
	return hit, all
}
