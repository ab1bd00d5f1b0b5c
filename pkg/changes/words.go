package changes

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// wide is from when on it is said that a change came some time between two looks.
const wide = 2 * time.Minute

// reason says when a suspect came, what was there before and what has become of it.
func (in *SuspectInput) reason(c *Change, p past, contrast *Contrast) string {
	said := []string{in.when(c)}
	was := p.was(c)
	switch {
	case p.returned(c):
		said = append(said, "back to "+c.To+from(was))
	case was != "":
		said = append(said, "was "+was)
	}
	if len(p.after) > 0 && !p.after[0].At.After(in.Impact) && p.after[0].To != "" {
		next := p.after[0]
		said = append(said, fmt.Sprintf("%s followed %s before impact", next.To, inWords(in.lead(next))))
	}
	if text := in.spread(c); text != "" {
		said = append(said, text)
	}
	if c.Service == "" && len(in.Services) > 0 {
		said = append(said, "its service is not named")
	}
	if contrast != nil {
		said = append(said, contrast.Text)
	}
	return strings.Join(said, "; ")
}

// when says how long before impact a change came.
func (in *SuspectInput) when(c *Change) string {
	latest := in.lead(c)
	if !c.exact() {
		earliest := in.Impact.Sub(c.Seen.LastWithout)
		if c.At.Sub(c.Seen.LastWithout) > wide {
			return fmt.Sprintf("%s to %s before impact: nobody could look from %s to %s", inWords(latest), inWords(earliest),
				clock(c.Seen.LastWithout, in.Impact), clock(c.At, in.Impact))
		}
		if latest == 0 {
			return "at most " + inWords(earliest) + " before impact"
		}
	}
	if latest == 0 {
		return "as impact began"
	}
	return inWords(latest) + " before impact"
}

// spread says where a change's version did not run everywhere when impact began.
func (in *SuspectInput) spread(c *Change) string {
	if c.To == "" {
		return ""
	}
	if r := in.runs(c); r != nil {
		switch {
		case r.Share <= 0 || r.Share >= 1:
			return ""
		case r.Share < 0.5:
			return "canary: on " + percent(r.Share) + " when impact began"
		}
		return "on " + percent(r.Share) + " when impact began"
	}
	for _, r := range in.Running {
		if r.Artifact == c.Artifact && r.Service == c.Service && r.Share > 0 {
			return "not seen running when impact began: " + r.Version + " was"
		}
	}
	return ""
}

// returned tells whether a change set a version that had run before and been replaced.
func (p past) returned(c *Change) bool {
	for n, b := range p.before {
		if c.To != "" && (b.From == c.To || b.To == c.To && n < len(p.before)-1) {
			return true
		}
	}
	return false
}

func from(was string) string {
	if was == "" {
		return ""
	}
	return " from " + was
}

// slack is how much earlier than impact the last look may be, and how much shorter than the time asked for all looks, for
// what they did not see to count as not there.
const slack = time.Hour

// still notes what would be known and did not change, in the runbook's order, and what nothing tells changes of.
func (in *SuspectInput) still(r *Ranking) {
	changed := map[string]bool{}
	for n := range in.Changes {
		c := &in.Changes[n]
		lead := in.Impact.Sub(c.At)
		before := lead >= 0 || !c.exact() && c.Seen.LastWithout.Before(in.Impact)
		if before && lead <= in.since(c.Artifact) && in.concerns(c.Artifact, c.Service) {
			changed[c.Artifact] = true
		}
	}
	for _, artifact := range in.artifacts() {
		if !changed[artifact] {
			in.unchanged(artifact, r)
		}
	}
}

// unchanged says how far it is known that an artifact without a change on record did not change.
func (in *SuspectInput) unchanged(artifact string, r *Ranking) {
	k, since := in.known(artifact), in.since(artifact)
	seen := !k.Last.IsZero()
	fresh := seen && in.Impact.Sub(k.Last) <= slack
	switch watched := in.Impact.Sub(k.First); {
	case fresh && (k.First.IsZero() || watched >= since-slack):
		r.Unchanged = append(r.Unchanged, Unchanged{Artifact: artifact, Since: since})
	case k.Reported:
		r.Unchanged = append(r.Unchanged, Unchanged{Artifact: artifact, Since: since, Reported: true})
	case fresh:
		r.Unchanged = append(r.Unchanged, Unchanged{Artifact: artifact, Since: watched, Partly: true})
	}
	switch {
	case seen && !fresh:
		r.Unseen = append(r.Unseen, Unseen{artifact, k.Last, in.Impact.Sub(k.Last)})
	case !seen && !k.Reported:
		r.Unknown = append(r.Unknown, artifact)
	}
}

// artifacts are those of the runbook's steps, in their order, and then what else is known of the incident's services.
func (in *SuspectInput) artifacts() []string {
	var list, others []string
	for _, s := range in.Order {
		if !slices.Contains(list, s.Artifact) {
			list = append(list, s.Artifact)
		}
	}
	for _, k := range in.Known {
		if in.concerns(k.Artifact, k.Service) && !slices.Contains(list, k.Artifact) {
			others = append(others, k.Artifact)
		}
	}
	slices.Sort(others)
	return append(list, slices.Compact(others)...)
}

// known adds up what is known of an artifact: of several services the one that is seen worst counts.
func (in *SuspectInput) known(artifact string) Known {
	all := Known{Artifact: artifact}
	for _, k := range in.Known {
		if k.Artifact != artifact || !in.concerns(artifact, k.Service) {
			continue
		}
		all.Reported = all.Reported || k.Reported
		if k.First.After(all.First) {
			all.First = k.First
		}
		if !k.Last.IsZero() && (all.Last.IsZero() || k.Last.Before(all.Last)) {
			all.Last = k.Last
		}
	}
	return all
}

// KnownOf gives what the log and the versions seen show to be reported or detected. What was detected once counts as seen
// then, unless the artifact is among the versions seen.
func KnownOf(log []Change, seen []Running) []Known {
	known := map[groupKey]Known{}
	watched := map[string]bool{}
	for _, r := range seen {
		k := known[groupKey{r.Service, r.Artifact}]
		if r.Source == Reported {
			k.Reported = true
		} else {
			k.First, k.Last = r.First, later(k.Last, r.SeenAt)
			watched[r.Artifact] = true
		}
		known[groupKey{r.Service, r.Artifact}] = k
	}
	for n := range log {
		c := &log[n]
		k := known[groupKey{c.Service, c.Artifact}]
		k.Reported = k.Reported || c.Source != Detected
		if !watched[c.Artifact] {
			k.Last = later(k.Last, c.Seen.last())
		}
		known[groupKey{c.Service, c.Artifact}] = k
	}
	list := make([]Known, 0, len(known))
	for key, k := range known {
		k.Artifact, k.Service = key.artifact, key.service
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b Known) int { return strings.Compare(a.Artifact+"\x00"+a.Service, b.Artifact+"\x00"+b.Service) })
	return list
}

// last is the last look on record that saw the service.
func (s *Sight) last() time.Time {
	return later(s.GoneAt, later(s.FullAt, later(s.HalfAt, s.FirstWith)))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Statements says what did not change and what is not known: "no code deploy, no weights deploy in 24 h",
// "no prompt change reported in 24 h", "unknown since 09:12 UTC: code has not been seen", "unknown: nothing reports
// router_policy".
func (r *Ranking) Statements() []string {
	var said []string
	for n := 0; n < len(r.Unchanged); {
		first := r.Unchanged[n]
		var none []string
		for ; n < len(r.Unchanged) && r.Unchanged[n].alike(first); n++ {
			none = append(none, "no "+changeOf(r.Unchanged[n].Artifact))
		}
		said = append(said, strings.Join(none, ", ")+first.within())
	}
	for _, u := range r.Unseen {
		said = append(said, fmt.Sprintf("unknown since %s: %s has not been seen", clock(u.Since, u.Since.Add(u.Before)), u.Artifact))
	}
	if len(r.Unknown) > 0 {
		said = append(said, "unknown: nothing reports "+strings.Join(r.Unknown, ", "))
	}
	if len(r.Suspects) == 0 {
		said = append(said, "no change on record before impact, which says nothing of a provider's model, of data and of traffic")
	}
	if r.Omitted > 0 {
		said = append(said, fmt.Sprintf("%d more changes, farther from impact, are not listed", r.Omitted))
	}
	return said
}

// alike tells whether two artifacts are known not to have changed in the same time and way.
func (u Unchanged) alike(other Unchanged) bool {
	u.Artifact = other.Artifact
	return u == other
}

// within says in which time, and who would have told.
func (u Unchanged) within() string {
	switch {
	case u.Reported:
		return " reported in " + inWords(u.Since)
	case u.Partly:
		return " in " + inWords(u.Since) + ", not known before"
	}
	return " in " + inWords(u.Since)
}

// changeOf is the usual word for a change of an artifact.
func changeOf(artifact string) string {
	if artifact == "code" || artifact == "weights" {
		return artifact + " deploy"
	}
	return artifact + " change"
}

// inWords writes how long something lasted, rounded down: 29 min, 3 h 20 min, 6 d 4 h.
func inWords(d time.Duration) string {
	const day = 24 * time.Hour
	two := func(big time.Duration, bigUnit string, small time.Duration, smallUnit string) string {
		if rest := d % big / small; rest > 0 {
			return fmt.Sprintf("%d %s %d %s", d/big, bigUnit, rest, smallUnit)
		}
		return fmt.Sprintf("%d %s", d/big, bigUnit)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 2*day:
		return two(time.Hour, "h", time.Minute, "min")
	}
	return two(day, "d", time.Hour, "h")
}

// clock writes a time, with its day where that is another one.
func clock(t, near time.Time) string {
	layout := "15:04 UTC"
	if t.UTC().Format(time.DateOnly) != near.UTC().Format(time.DateOnly) {
		layout = "2006-01-02 15:04 UTC"
	}
	return t.UTC().Format(layout)
}

func percent(share float64) string { return triggers.FormatValue(triggers.Ratio, share) }

// points writes a difference of two shares in percentage points, with its sign.
func points(share float64) string {
	return fmt.Sprintf("%+.1f", math.Round(share*1000)/10)
}
