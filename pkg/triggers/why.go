package triggers

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Why says what the baseline of a condition lacks that is unknown for a group at t, the tick of the last Judge. It is
// empty where the baseline is no reason: then points are missing.
func (tr *Trigger) Why(g labels.Labels, c *Condition, t time.Time) string {
	l := tr.leaves[c]
	if l == nil || c.Baseline == nil || !c.relative() {
		return ""
	}
	group, known := slices.BinarySearchFunc(tr.groups, g, labels.Compare)
	if !known {
		return ""
	}
	for _, i := range l.seen[group] {
		if l.states[i] != StateUnknown || l.series[i].gone() {
			continue
		}
		if base := l.baseline(tr, tr.frozen[l.own(tr, i)], i, t); !base.known {
			return c.Baseline.lacking(base.lacks)
		}
	}
	return ""
}

// lacking says in words what a baseline needs and has not.
func (b *Baseline) lacking(what lack) string {
	when := "the same time " + FormatDuration(b.SameTime) + " before"
	switch {
	case b.Last > 0 && what == lacksEvents:
		return fmt.Sprintf("too few events in the last %s: fewer than %d", FormatDuration(b.Last), baselineEvents)
	case b.Last > 0:
		return fmt.Sprintf("no history: less than half of the last %s is known", FormatDuration(b.Last))
	case what == lacksEvents:
		return fmt.Sprintf("too few events at %s: fewer than %d", when, baselineEvents)
	}
	return fmt.Sprintf("no history: of %s less than half is known", when)
}
