package changes

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// group is one artifact of one service, as its looks add up. Only looks that saw some version of it count.
type group struct {
	groupKey
	looks    int64
	first    time.Time // of the looks
	last     time.Time // of the looks
	major    string    // the version that most series ran at the last look
	versions map[string]*version
	ran      []span    // for Running
	refused  time.Time // until then it is left out: too many versions
}

// version is what is known of one version of a group.
type version struct {
	look   int64     // the last one that saw it
	seen   time.Time // when that was
	gone   time.Time // the first look since that did not
	led    time.Time // the last look at which more than half of the series ran it
	change *Change   // that brought it; nil: it was there from the beginning
}

func newGroup(key groupKey) *group { return &group{groupKey: key, versions: map[string]*version{}} }

// look takes one look. Changes that are new or went on are noted in touched.
func (g *group) look(t time.Time, seen counts, config *Config, touched map[*Change]bool) (problem string) {
	if t.Before(g.refused) {
		g.last = t
		return g.tooMany()
	}
	if g.looks == 0 {
		g.first = t
	}
	g.looks++
	total := 0.0
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		total += seen[name]
		g.see(name, t, config, touched)
	}
	for name, v := range g.versions {
		if seen[name] > total/2 {
			v.led = t
		}
		v.follow(t, g.looks-v.look, seen[name]/total, touched)
	}
	g.last, g.major = t, g.majority(seen)
	g.ran = remember(g.ran, t, shares(seen, total), config)
	memory := config.Grid.Steps(config.Memory)
	maps.DeleteFunc(g.versions, func(_ string, v *version) bool { return g.looks-v.look > memory })
	if len(g.versions) > mostVersions {
		*g = group{groupKey: g.groupKey, versions: map[string]*version{}, last: t, refused: t.Add(config.Memory)}
		return g.tooMany()
	}
	return ""
}

func (g *group) tooMany() string {
	return fmt.Sprintf("%s of %s: more than %d versions; the label holds something else than a version, as the id of a request; left out until %s",
		g.artifact, quote(g.service), mostVersions, g.refused.Format(time.RFC3339))
}

// see notes that a version is there, which is a change where it was away.
func (g *group) see(name string, t time.Time, config *Config, touched map[*Change]bool) {
	v := g.versions[name]
	away := v == nil || g.looks-v.look > absentLooks
	switch {
	case g.looks == 1: // where it begins
		v = &version{}
	case away && v != nil && v.restarts(t, config):
		if v.change != nil {
			v.change.Seen.GoneAt = time.Time{}
			touched[v.change] = true
		}
	case away:
		v = &version{change: g.changed(name, t)}
		touched[v.change] = true
	}
	v.look, v.seen, v.gone = g.looks, t, time.Time{}
	g.versions[name] = v
}

// changed is the change to a version that is first seen at t.
func (g *group) changed(name string, t time.Time) *Change {
	c := &Change{
		Artifact: g.artifact, Service: g.service, From: g.major, To: name, At: t, Source: Detected,
		Seen: Sight{LastWithout: g.last, FirstWith: t},
	}
	c.identify()
	return c
}

// follow keeps up what became of a version: how far it got, or that it went away some looks ago.
func (v *version) follow(t time.Time, away int64, share float64, touched map[*Change]bool) {
	if away == 1 {
		v.gone = t
	}
	if v.change == nil {
		return
	}
	sight := &v.change.Seen
	before := *sight
	if share >= 0.5 && sight.HalfAt.IsZero() {
		sight.HalfAt = t
	}
	if share == 1 && sight.FullAt.IsZero() {
		sight.FullAt = t
	}
	if away == absentLooks {
		sight.GoneAt = v.gone
	}
	if *sight != before {
		touched[v.change] = true
	}
}

// restarts tells whether a version that was away comes again as what it was, a part that crashes and starts anew. One
// that has led comes back: somebody rolled back to it.
func (v *version) restarts(t time.Time, config *Config) bool {
	return t.Sub(v.seen) <= config.Coalesce && (v.led.IsZero() || v.seen.Sub(v.led) > config.Memory)
}

// majority is the version that most series run; of equals the one that came last, for old labels may leak.
func (g *group) majority(seen counts) (most string) {
	var came time.Time
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		var since time.Time
		if c := g.versions[name].change; c != nil {
			since = c.At
		}
		if seen[name] > seen[most] || seen[name] == seen[most] && !since.Before(came) {
			most, came = name, since
		}
	}
	return most
}
