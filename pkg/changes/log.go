package changes

import (
	"cmp"
	"slices"
	"time"
)

// sameWithin is how far apart a report and what the metrics show of it may lie: a pipeline reports when it begins or
// when it is done, and instances take their time.
const sameWithin = 15 * time.Minute

// Merge makes one log, in order of time, of what was reported and what was detected. A report and a detected change of
// an artifact to the same version within 15 minutes, or while nobody could look, are one change: who did it, where to
// read more and the note are the report's. The time is the one observed, for reports tell when somebody pressed a
// button and the metrics tell what served whom; but a report that falls between the last look without the version and
// the first one with it agrees with what was seen and is more exact. The id is the detected one's.
//
// Reports of the same version within 15 minutes, with no other change of that artifact between them, are one as well;
// where they name different versions before, none of these is believed.
// Of changes with the same id the last one counts.
func Merge(reported, detected []Change) []Change {
	log, reports := unique(detected), unique(reported)
	sortByTime(log) // the order in which they came must not matter
	sortByTime(reports)
	by := make([][]*Change, len(log)) // the reports of each detected change
	var rest []Change
	to := map[versionKey][]int{}
	for n := range log {
		to[log[n].version()] = append(to[log[n].version()], n)
	}
	for i := range reports {
		r := &reports[i]
		same := observed(log, to[r.version()], r)
		for _, n := range same {
			by[n] = append(by[n], r)
		}
		if len(same) == 0 {
			rest = append(rest, *r)
		}
	}
	for n := range log {
		log[n].take(by[n])
	}
	log = append(log, rest...)
	sortByTime(log)
	return coalesce(log)
}

// versionKey is what a report and a detected change have in common: the version that an artifact was given.
type versionKey struct{ artifact, to string }

func (c *Change) version() versionKey { return versionKey{c.Artifact, c.To} }

// observed gives, of the detected changes to a version, those that a report tells of: of each service that it may mean
// the nearest in time.
func observed(detected []Change, to []int, r *Change) []int {
	nearest := map[string]int{}
	for _, n := range to {
		d := &detected[n]
		if !d.sameAs(r) || d.distance(r) > sameWithin {
			continue
		}
		if best, ok := nearest[d.Service]; !ok || d.distance(r) < detected[best].distance(r) {
			nearest[d.Service] = n
		}
	}
	var list []int
	for _, n := range nearest {
		list = append(list, n)
	}
	return list
}

// sameAs tells whether two changes give the same artifact the same version.
func (c *Change) sameAs(other *Change) bool {
	return c.To != "" && c.To == other.To && c.Artifact == other.Artifact && sameService(c.Service, other.Service)
}

// distance is how far a report lies from a detected change; 0 when it lies where nobody looked.
func (c *Change) distance(report *Change) time.Duration {
	if c.couldBeAt(report.At) {
		return 0
	}
	return c.At.Sub(report.At).Abs()
}

// couldBeAt tells whether t lies between the last look without the version and the first one with it.
func (c *Change) couldBeAt(t time.Time) bool {
	s := c.Seen
	return !s.LastWithout.IsZero() && t.After(s.LastWithout) && !t.After(s.FirstWith)
}

// take adds to a detected change what its reports say, the nearest first.
func (c *Change) take(reports []*Change) {
	if len(reports) == 0 {
		return
	}
	seen := *c
	slices.SortFunc(reports, func(a, b *Change) int {
		return cmp.Or(cmp.Compare(seen.distance(a), seen.distance(b)), byTime(*a, *b))
	})
	c.Source = Both
	for _, r := range reports {
		c.fill(r)
	}
	if first := reports[0]; seen.couldBeAt(first.At) {
		c.At = first.At
	}
}

// fill takes from another report of the same change what this one does not say.
func (c *Change) fill(other *Change) {
	c.Service = cmp.Or(c.Service, other.Service)
	switch {
	case c.Source != Reported: // what was seen is not up to a report
		c.From = cmp.Or(c.From, other.From)
	case c.From != "" && other.From != "" && c.From != other.From:
		c.From, c.disputed = "", true
	case !c.disputed:
		c.From = cmp.Or(c.From, other.From)
	}
	c.By, c.URL, c.Note = cmp.Or(c.By, other.By), cmp.Or(c.URL, other.URL), cmp.Or(c.Note, other.Note)
	also := slices.Concat(c.Also, []string{other.ID}, other.Also)
	slices.Sort(also)
	c.Also = slices.Compact(also)
	if c.RecordedAt.IsZero() || other.RecordedAt.Before(c.RecordedAt) && !other.RecordedAt.IsZero() {
		c.RecordedAt = other.RecordedAt
	}
}

// coalesce makes one change of reports of the same version that follow each other within 15 minutes.
func coalesce(log []Change) []Change {
	kept := make([]Change, 0, len(log))
	newest := map[string][]int{} // of each artifact: in kept, one a service
	for i := range log {
		c := &log[i]
		before := newest[c.Artifact]
		at := slices.IndexFunc(before, func(n int) bool { return sameService(kept[n].Service, c.Service) })
		if at >= 0 {
			old := &kept[before[at]]
			if c.Source == Reported && old.Source == Reported && old.sameAs(c) && c.At.Sub(old.At) <= sameWithin {
				old.fill(c)
				continue
			}
			before = slices.DeleteFunc(before, func(n int) bool { return sameService(kept[n].Service, c.Service) })
		}
		newest[c.Artifact] = append(before, len(kept))
		kept = append(kept, *c)
	}
	return kept
}

// unique keeps the last of the changes with the same id.
func unique(list []Change) []Change {
	at := make(map[string]int, len(list))
	kept := make([]Change, 0, len(list))
	for _, c := range list {
		if n, ok := at[c.ID]; ok {
			kept[n] = c
			continue
		}
		at[c.ID] = len(kept)
		kept = append(kept, c)
	}
	return kept
}

func sortByTime(list []Change) { slices.SortFunc(list, byTime) }

func byTime(a, b Change) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Artifact, b.Artifact), cmp.Compare(a.Service, b.Service),
		cmp.Compare(a.To, b.To), cmp.Compare(a.ID, b.ID))
}
