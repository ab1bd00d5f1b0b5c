package changes

import (
	"fmt"
	"slices"
	"strings"
)

// chains gives the changes of each artifact that concern the incident, in order of time: what another service runs
// says nothing of what was here.
func (in *SuspectInput) chains() map[string][]*Change {
	chains := map[string][]*Change{}
	for n := range in.Changes {
		if c := &in.Changes[n]; in.concerns(c.Artifact, c.Service) {
			chains[c.Artifact] = append(chains[c.Artifact], c)
		}
	}
	for _, chain := range chains {
		slices.SortStableFunc(chain, func(a, b *Change) int { return byTime(*a, *b) })
	}
	return chains
}

// past is where a change stands among the changes of the same artifact and service.
type past struct {
	before []*Change
	after  []*Change
}

func newPast(c *Change, chain []*Change) past {
	var p past
	passed := false
	for _, other := range chain {
		switch {
		case other == c:
			passed = true
		case !sameService(other.Service, c.Service):
		case passed:
			p.after = append(p.after, other)
		default:
			p.before = append(p.before, other)
		}
	}
	return p
}

// was is the version before a change; empty: not on record.
func (p past) was(c *Change) string {
	if c.From != "" || len(p.before) == 0 {
		return c.From
	}
	return p.before[len(p.before)-1].To
}

// ran tells whether a version is known to have run before a change.
func (p past) ran(c *Change, version string) bool {
	if version == "" || version == c.To {
		return false
	}
	return version == c.From || slices.ContainsFunc(p.before, func(b *Change) bool { return b.To == version || b.From == version })
}

// excluded says why a change is no suspect; empty: it is one.
func (in *SuspectInput) excluded(c *Change, p past) (Exclusion, string) {
	after := c.At.After(in.Impact)
	if !c.exact() {
		after = !c.Seen.LastWithout.Before(in.Impact)
	}
	since := in.since(c.Artifact)
	switch {
	case !in.concerns(c.Artifact, c.Service):
		return ExcludedService, fmt.Sprintf("of %s; the incident is of %s", c.Service, strings.Join(in.Services, ", "))
	case after:
		return ExcludedAfter, inWords(c.At.Sub(in.Impact)) + " after impact began"
	case in.Impact.Sub(c.At) > since:
		return ExcludedOlder, fmt.Sprintf("%s before impact; only the last %s are looked at", inWords(in.Impact.Sub(c.At)), inWords(since))
	}
	if reason := p.unmoved(c); reason != "" {
		return ExcludedSame, reason
	}
	if reason := in.undone(c, p); reason != "" {
		return ExcludedRolledBack, reason
	}
	return "", ""
}

// unmoved says that a change set the version that was there already. What the metrics saw come was not there before.
func (p past) unmoved(c *Change) string {
	switch {
	case c.To == "":
		return ""
	case c.To == c.From:
		return c.To + " was set again: it was there before"
	case len(p.before) == 0 || !c.Seen.FirstWith.IsZero():
		return ""
	}
	before := p.before[len(p.before)-1]
	if before.To == c.To && (before.Seen.GoneAt.IsZero() || before.Seen.GoneAt.After(c.At)) {
		return fmt.Sprintf("%s was set again: it was there since %s", c.To, clock(before.At, c.At))
	}
	return ""
}

// undone says that a change was taken back before impact: a later one set a version that ran before it, or its version
// went away and nothing came in its place. It is a suspect all the same where its version was still seen.
func (in *SuspectInput) undone(c *Change, p past) string {
	if ran := in.runs(c); ran != nil && ran.Share > 0 {
		return ""
	}
	var next *Change
	for _, later := range p.after {
		if later.At.After(in.Impact) {
			break
		}
		if p.ran(c, later.To) {
			return fmt.Sprintf("rolled back to %s %s before impact", later.To, inWords(in.Impact.Sub(later.At)))
		}
		if next == nil {
			next = later
		}
	}
	gone := c.Seen.GoneAt
	if gone.IsZero() || gone.After(in.Impact) || next != nil && !gone.Before(next.At) {
		return ""
	}
	return fmt.Sprintf("taken back: nothing ran %s any more %s before impact", c.To, inWords(in.Impact.Sub(gone)))
}

// runs gives how a change's version ran when impact began; nil where it didn't, or is not known to.
func (in *SuspectInput) runs(c *Change) *Running {
	for n := range in.Running {
		if r := &in.Running[n]; r.Artifact == c.Artifact && r.Version == c.To && sameService(r.Service, c.Service) {
			return r
		}
	}
	return nil
}
