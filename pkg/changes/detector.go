package changes

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Labels names the labels of a query's series. Service may be empty: then all series are of one unnamed service.
type Labels struct{ Artifact, Version, Service string }

// Config is what a Detector works with. What is zero has its default.
type Config struct {
	Labels Labels
	Grid   triggers.Grid // the times at which it looks: LookGrid

	// Coalesce is how long after it was last seen a version that comes again is the same change, if less than half of the
	// series ran it before: a part that crashes and starts again changes nothing. Default 30m.
	Coalesce time.Duration
	// Memory is how much of the time with points a version must stay away to be forgotten, with what it had been.
	// Default 6h.
	Memory time.Duration
	// Reach is how long a service without any series is remembered, and how far back a start looks. Default 24h.
	Reach time.Duration
	// MaxSeries is how many series an answer may have, and how many services times artifacts are kept. Default 10,000.
	MaxSeries int
}

const (
	// shortestLook is how often the versions are looked at: changes are rare, and scrapes take their time.
	shortestLook = 30 * time.Second
	// absentLooks is how many looks in a row a version must have been away to be a change when it comes (again):
	// fewer are a scrape that failed, or an instance that started anew.
	absentLooks = 10
	// mostVersions is how many versions of one artifact of one service are kept: with more the label holds something
	// else, such as the id of a request.
	mostVersions = 20
)

// LookGrid gives the times at which versions are looked at: evaluation times, at least 30s apart.
func LookGrid(ticks triggers.Grid) triggers.Grid {
	return triggers.Grid{Interval: time.Duration(ticks.Steps(shortestLook)) * ticks.Interval, Phase: ticks.Phase}
}

// Detector finds changes in what a query answers: one series for each version of an artifact of a service, with the
// number of instances that run it as its value. PromQL can't tell it: changes() of an info metric is always 0, for
// a new version is a new series.
//
// It compares the set of versions with the one of the look before. A look at which a service has no series at all
// is passed over: a gap is no change. The first look at a service is where it begins. Which changes are found follows
// from the points alone, so that a restart which refills the detector finds the same ones, with the same ids.
type Detector struct {
	config Config
	last   time.Time // of the looks taken; zero: none
	groups map[groupKey]*group
}

type groupKey struct{ service, artifact string }

// NewDetector makes a detector that has seen nothing yet.
func NewDetector(config Config) *Detector {
	config.Coalesce = cmp.Or(config.Coalesce, 30*time.Minute)
	config.Memory = cmp.Or(config.Memory, 6*time.Hour)
	config.Reach = cmp.Or(config.Reach, 24*time.Hour)
	config.MaxSeries = cmp.Or(config.MaxSeries, 10_000)
	return &Detector{config: config, groups: map[groupKey]*group{}}
}

// Question gives the looks that are still to be taken at t, from and to included, one grid interval apart: one at a
// time while all goes well, the time since the last one after a gap, Reach after a start. ok is false when there are
// none.
func (d *Detector) Question(t time.Time) (from, to time.Time, ok bool) {
	to = d.config.Grid.Floor(t)
	from = d.config.Grid.Floor(to.Add(-d.config.Reach))
	if next := d.last.Add(d.config.Grid.Interval); !d.last.IsZero() && next.After(from) {
		from = next
	}
	return from, to, !from.After(to)
}

// Observe takes the answer to a Question: of an instant or of a range. It returns the changes that are new, and those
// that went on (reached half, reached all, went away) under the id that they had, in order of time. The changes are
// good whatever the error says: it names what had to be left out, for a person to mend. After an answer with more
// series than allowed nothing is taken. Points that were taken before, later ones than to and such beside the grid
// are passed over. A query that failed is not to be observed: it is asked again.
func (d *Detector) Observe(to time.Time, series []source.Series) ([]Change, error) {
	if len(series) > d.config.MaxSeries {
		return nil, fmt.Errorf("%d series, at most %d are allowed; add the others up: count by (service, artifact, version) (…)", len(series), d.config.MaxSeries)
	}
	looks, problems := d.read(to, series)
	touched := map[*Change]bool{}
	for _, ms := range slices.Sorted(maps.Keys(looks)) {
		t := time.UnixMilli(ms).UTC()
		problems = append(problems, d.look(t, looks[ms], touched)...)
		d.last = t
	}
	if to = d.config.Grid.Floor(to); to.After(d.last) {
		d.last = to
	}
	maps.DeleteFunc(d.groups, func(_ groupKey, g *group) bool { return d.last.Sub(g.last) > d.config.Reach })
	var found []Change
	for c := range touched {
		found = append(found, *c)
	}
	sortByTime(found)
	return found, joined(problems)
}

// counts is how many series run each version, of one artifact of one service.
type counts map[string]float64

// read turns series into looks, by their time in milliseconds.
func (d *Detector) read(to time.Time, series []source.Series) (looks map[int64]map[groupKey]counts, problems []string) {
	looks = map[int64]map[groupKey]counts{}
	for _, s := range series {
		key, version, problem := d.name(s.Labels)
		if problem != "" {
			problems = append(problems, problem)
			continue
		}
		for _, p := range s.Points {
			t := time.UnixMilli(p.T)
			if !(p.V > 0) || math.IsInf(p.V, 0) || t.After(to) || !t.After(d.last) || !d.config.Grid.Floor(t).Equal(t) {
				continue
			}
			look := looks[p.T]
			if look == nil {
				look = map[groupKey]counts{}
				looks[p.T] = look
			}
			if look[key] == nil {
				look[key] = counts{}
			}
			look[key][version] += p.V
		}
	}
	return looks, problems
}

// name says which version of what a series stands for; problem, why it can't be told.
func (d *Detector) name(l labels.Labels) (key groupKey, version, problem string) {
	names := d.config.Labels
	key = groupKey{artifact: l.Get(names.Artifact)}
	if names.Service != "" {
		key.service = l.Get(names.Service)
	}
	version = l.Get(names.Version)
	switch {
	case !triggers.ValidName(key.artifact):
		problem = fmt.Sprintf("label %s: %s is not the name of an artifact", names.Artifact, quote(key.artifact))
	case version == "" || !isText(version, longestName):
		problem = fmt.Sprintf("label %s of %s: %s is not a version: 1 to %d printable characters", names.Version, key.artifact, quote(version), longestName)
	case !isText(key.service, longestName):
		problem = fmt.Sprintf("label %s of %s: %s is not a service: at most %d printable characters", names.Service, key.artifact, quote(key.service), longestName)
	}
	return key, version, problem
}

// look takes one look at everything that had a series then.
func (d *Detector) look(t time.Time, seen map[groupKey]counts, touched map[*Change]bool) (problems []string) {
	for key, versions := range seen {
		g := d.groups[key]
		if g != nil && t.Sub(g.last) > d.config.Reach {
			g = newGroup(key)
			d.groups[key] = g
		}
		if g == nil {
			if len(d.groups) >= d.config.MaxSeries {
				problems = append(problems, fmt.Sprintf("more than %d services times artifacts; what comes new is left out", d.config.MaxSeries))
				continue
			}
			g = newGroup(key)
			d.groups[key] = g
		}
		if problem := g.look(t, versions, &d.config, touched); problem != "" {
			problems = append(problems, problem)
		}
	}
	return problems
}

// joined makes one error of all problems, each told once and only so many of them.
func joined(problems []string) error {
	const most = 10
	if len(problems) == 0 {
		return nil
	}
	slices.Sort(problems)
	problems = slices.Compact(problems)
	if more := len(problems) - most; more > 0 {
		problems = append(problems[:most:most], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(problems, "; "))
}
