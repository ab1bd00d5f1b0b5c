package replay

import (
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Comparison tells what another version of a runbook does otherwise on the same history. An incident of one version
// and one of the other are the same when they overlap in time, from the beginning of impact to the end, and their
// groups don't contradict each other.
type Comparison struct {
	Runbook   string      `json:"runbook"`
	Incidents []*Incident `json:"incidents"` // of the other version
	Earlier   []Pair      `json:"earlier"`   // the other version opens them earlier
	Later     []Pair      `json:"later"`
	Same      []Pair      `json:"same"` // at the same tick
	// What one version alone opens. Whether it is a find or a needless page only a person can tell: the history has no
	// label for it.
	Additional []*Incident `json:"additional"` // the other version alone
	Missed     []*Incident `json:"missed"`     // the present version alone
	// Of these, the ones at a severity that pages: if that was no incident, somebody is woken needlessly.
	PagedNeedlessly NeedlessPages `json:"paged_needlessly"`
}

// Pair is an incident that both versions find.
type Pair struct {
	Present *Incident `json:"present"`
	Other   *Incident `json:"other"`
	Delta   float64   `json:"opened_delta_seconds"` // the other's opening less the present one's
}

// NeedlessPages are incidents that one version pages for, and that have no counterpart in the other.
type NeedlessPages struct {
	Present []*Incident `json:"present"`
	Other   []*Incident `json:"other"`
}

// compare sets the incidents of two versions against each other; to is the end of the range.
func compare(name string, present, other []*Incident, to time.Time, pages func(runbook.Severity) bool) *Comparison {
	c := &Comparison{
		Runbook:   name,
		Incidents: append([]*Incident{}, other...), Earlier: []Pair{}, Later: []Pair{}, Same: []Pair{},
		Additional: []*Incident{}, Missed: []*Incident{}, PagedNeedlessly: NeedlessPages{Present: []*Incident{}, Other: []*Incident{}},
	}
	met := make([]bool, len(other))
	for _, p := range present {
		i := firstOverlap(p, other, met, to)
		if i >= 0 {
			met[i] = true
			c.pair(p, other[i])
			continue
		}
		if lone(p, other, to) {
			c.Missed = append(c.Missed, p)
		}
	}
	for _, o := range other {
		if lone(o, present, to) {
			c.Additional = append(c.Additional, o)
		}
	}
	c.PagedNeedlessly.Present = paging(c.Missed, pages)
	c.PagedNeedlessly.Other = paging(c.Additional, pages)
	return c
}

func (c *Comparison) pair(present, other *Incident) {
	delta := other.OpenedAt.Sub(present.OpenedAt)
	into := &c.Same
	switch {
	case delta < 0:
		into = &c.Earlier
	case delta > 0:
		into = &c.Later
	}
	*into = append(*into, Pair{present, other, delta.Seconds()})
}

// firstOverlap finds the counterpart of an incident among those that have none yet; -1: there is none.
func firstOverlap(i *Incident, others []*Incident, met []bool, to time.Time) int {
	for n, o := range others {
		if !met[n] && overlap(i, o, to) {
			return n
		}
	}
	return -1
}

func overlap(a, b *Incident, to time.Time) bool {
	return (triggers.Agrees(a.Group, b.Group) || triggers.Agrees(b.Group, a.Group)) &&
		!a.ImpactStartedAt.After(b.end(to)) && !b.ImpactStartedAt.After(a.end(to))
}

func lone(i *Incident, others []*Incident, to time.Time) bool {
	for _, o := range others {
		if overlap(i, o, to) {
			return false
		}
	}
	return true
}

func paging(all []*Incident, pages func(runbook.Severity) bool) []*Incident {
	needless := []*Incident{}
	for _, i := range all {
		if pages(i.Severity) {
			needless = append(needless, i)
		}
	}
	return needless
}
