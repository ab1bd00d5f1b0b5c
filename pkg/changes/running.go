package changes

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Running is a version that ran at a time.
type Running struct {
	Service  string    `json:"service,omitempty"`
	Artifact string    `json:"artifact"`
	Version  string    `json:"version"`
	Share    float64   `json:"share,omitempty" doc:"Of the series that had a version, 0 to 1. Left out: known from reports alone."`
	SeenAt   time.Time `json:"seen_at,omitzero" doc:"The last look up to then that saw the service at all; long before: nobody knows what has become of it."`
	First    time.Time `json:"first,omitzero" doc:"The first look on record that saw the service: what was before then is not known."`
	Since    time.Time `json:"since,omitzero" doc:"When the newest change on record brought it. Left out: none did."`
	Was      string    `json:"was,omitempty" doc:"The version before that change."`
	Source   Source    `json:"source" enum:"reported,detected"`
}

// share is how much of a group ran a version.
type share struct {
	version string
	share   float64
}

// span is a time in which the shares stayed as they were.
type span struct {
	from, to time.Time
	shares   []share
}

// mostSpans is how many of a group are kept. An instance more or less moves the shares only where several versions run.
const mostSpans = 256

// shares are those of one look, by version.
func shares(seen counts, total float64) []share {
	list := make([]share, 0, len(seen))
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		list = append(list, share{name, seen[name] / total})
	}
	return list
}

// remember adds a look to the spans. A gap ends a span, so that nothing is said to have run while nobody looked.
func remember(spans []span, t time.Time, now []share, config *Config) []span {
	if n := len(spans) - 1; n >= 0 && slices.Equal(spans[n].shares, now) && t.Sub(spans[n].to) <= 2*config.Grid.Interval {
		spans[n].to = t
		return spans
	}
	spans = append(spans, span{t, t, now})
	old := max(0, len(spans)-mostSpans)
	for old < len(spans)-1 && t.Sub(spans[old].to) > config.Reach {
		old++
	}
	return slices.Delete(spans, 0, old)
}

// Running gives the versions that ran at a time within Reach, by artifact, service and version.
func (d *Detector) Running(at time.Time) []Running {
	var list []Running
	for key, g := range d.groups {
		for i := len(g.ran) - 1; i >= 0; i-- {
			s := g.ran[i]
			if s.from.After(at) {
				continue
			}
			seen := s.to
			if seen.After(at) {
				seen = d.config.Grid.Floor(at)
			}
			for _, one := range s.shares {
				list = append(list, Running{
					Service: key.service, Artifact: key.artifact, Version: one.version, Share: one.share, First: g.first, SeenAt: seen, Source: Detected,
				})
			}
			break
		}
	}
	sortRunning(list)
	return list
}

// RunningAt is the whole list of versions that ran at a time: what was seen then, each with the change that brought it,
// and what only reports tell of.
func RunningAt(seen []Running, log []Change, at time.Time) []Running {
	list := slices.Clone(seen)
	newest := map[groupKey]*Change{}
	for i := range log { // in order of time
		c := &log[i]
		if c.To == "" || c.At.After(at) {
			continue
		}
		newest[groupKey{c.Service, c.Artifact}] = c
		for n := range list {
			if r := &list[n]; r.Artifact == c.Artifact && r.Version == c.To && sameService(r.Service, c.Service) {
				r.Since, r.Was = c.At, c.From
			}
		}
	}
	for key, c := range newest {
		known := slices.ContainsFunc(seen, func(r Running) bool { return r.Artifact == key.artifact && sameService(r.Service, key.service) })
		if !known {
			list = append(list, Running{Service: c.Service, Artifact: c.Artifact, Version: c.To, Since: c.At, Was: c.From, Source: Reported})
		}
	}
	sortRunning(list)
	return list
}

func sortRunning(list []Running) {
	slices.SortFunc(list, func(a, b Running) int {
		return cmp.Or(cmp.Compare(a.Artifact, b.Artifact), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Version, b.Version))
	})
}
