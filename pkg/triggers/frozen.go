package triggers

import (
	"maps"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Frozen is the baseline of a series as it was when its trigger fired: an incident's own bad hour never becomes the new
// normal.
type Frozen struct {
	Condition string // in words
	Labels    labels.Labels
	Value     float64
	Phi       float64
}

func frozenKey(condition, series string) string { return condition + "\x00" + series }

// frozen is the baselines of a group that stay as they are.
type frozen struct {
	all   []Frozen
	byKey map[string]baseline // by condition and series
	since time.Time           // when the impact of the group's open incident began; zero: there is none
}

// Freeze keeps the baselines of a group until Thaw: those of an incident that is open, whichever process opened it.
// Its impact began at since: what moves with the clock skips the periods in which it was open. Zero: no incident is open.
func (tr *Trigger) Freeze(group labels.Labels, all []Frozen, since time.Time) {
	kept := &frozen{all: all, byKey: make(map[string]baseline, len(all)), since: since}
	for _, f := range all {
		kept.byKey[frozenKey(f.Condition, groupKey(f.Labels))] = baseline{value: f.Value, phi: f.Phi, known: true}
	}
	tr.frozen[groupKey(group)] = kept
}

// Thaw lets a group's baselines move again: its trigger is clear, and no incident of it is open.
func (tr *Trigger) Thaw(group labels.Labels) {
	if len(tr.frozen) > 0 {
		delete(tr.frozen, groupKey(group))
	}
}

// Inherit keeps what was frozen in a trigger that this one takes the place of.
func (tr *Trigger) Inherit(from *Trigger) { maps.Copy(tr.frozen, from.frozen) }

// freeze keeps the baselines of a group from the tick at which its trigger fires until Thaw. Those that move with the
// clock are not kept.
func (tr *Trigger) freeze(group int, g *GroupState, t time.Time) {
	if kept := tr.frozen[tr.keys[group]]; kept != nil {
		g.Frozen = kept.all
		return
	}
	if g.State != Fires {
		return
	}
	for _, l := range tr.order {
		if l.condition.Baseline == nil || l.condition.Baseline.Last == 0 {
			continue
		}
		for _, i := range l.seen[group] {
			if base := l.baseline(tr, tr.frozen[l.own(tr, i)], i, t); base.known {
				g.Frozen = append(g.Frozen, Frozen{l.text, l.series[i].Labels, base.value, base.phi})
			}
		}
	}
	tr.Freeze(g.Group, g.Frozen, time.Time{})
}
