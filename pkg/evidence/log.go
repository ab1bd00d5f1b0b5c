package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// logReach is how far back the log is read, beyond what an item asks for: to know an artifact's last change and what is
// ever reported at all.
const logReach = 8 * 24 * time.Hour

// ChangeValues is what the change log has, the newest first.
type ChangeValues struct {
	Since   time.Time        `json:"since"`
	Changes []changes.Change `json:"changes,omitempty"`
	More    int              `json:"more,omitempty" doc:"Older ones that are not listed."`
	Unknown []string         `json:"unknown,omitempty" doc:"Artifacts of the rollback steps of which nothing reports changes."`
}

func (v *ChangeValues) shorten() bool {
	if len(v.Changes) == 0 {
		return false
	}
	v.Changes, v.More = v.Changes[:len(v.Changes)-1], v.More+1
	return true
}

// changes gathers the changes of the service within some time before now.
func (g *Gatherer) changes(ctx context.Context, within time.Duration, about *About) Found {
	log, err := g.log(ctx, about, max(within, logReach))
	if err != nil {
		return Found{Err: "the change log can't be read: " + g.why(err)}
	}
	v := &ChangeValues{Since: about.At.Add(-within), Unknown: about.unreported(log)}
	for _, c := range log {
		if !c.At.Before(v.Since) {
			v.Changes = append(v.Changes, c)
		}
	}
	var tail []string
	unknown := strings.Join(v.Unknown, ", ")
	switch {
	case len(v.Changes) == 0 && unknown == "":
		return Found{Values: v, Text: "no change on record in " + triggers.FormatDuration(within)}
	case len(v.Changes) == 0:
		return Found{Values: v, Text: fmt.Sprintf("no change on record in %s (nothing reports %s)", triggers.FormatDuration(within), unknown)}
	case unknown != "":
		tail = append(tail, "nothing reports "+unknown)
	}
	v.More = max(0, len(v.Changes)-mostShown)
	v.Changes = v.Changes[:len(v.Changes)-v.More]
	var lines []string
	for n := range v.Changes {
		lines = append(lines, about.changeInWords(&v.Changes[n]))
	}
	if len(lines) == 1 && tail == nil {
		return Found{Values: v, Text: lines[0]}
	}
	head := fmt.Sprintf("%s in %s, the newest first:", plural(len(lines)+v.More, "change"), triggers.FormatDuration(within))
	return Found{Values: v, Text: listed(head, lines, v.More, tail...)}
}

// log gives the changes that concern the incident, the newest first: those of its service, and of an artifact of another
// one that a rollback step answers for.
func (g *Gatherer) log(ctx context.Context, about *About, reach time.Duration) ([]changes.Change, error) {
	if g.config.Changes == nil {
		return nil, errors.New("there is none")
	}
	services := []string{about.Service}
	for _, step := range about.steps() {
		if step.Service != "" && !slices.Contains(services, step.Service) {
			services = append(services, step.Service)
		}
	}
	known := map[string]bool{}
	var log []changes.Change
	for _, service := range services {
		all, err := g.config.Changes(ctx, service, about.At.Add(-reach))
		if err != nil {
			return nil, err
		}
		for _, c := range all {
			if known[c.ID] || c.At.After(about.At) || !about.concerns(c.Artifact, c.Service) {
				continue
			}
			known[c.ID] = true
			log = append(log, c)
		}
	}
	slices.SortStableFunc(log, func(a, b changes.Change) int { return b.At.Compare(a.At) })
	return log, nil
}

// concerns tells whether the incident has to do with an artifact of a service.
func (a *About) concerns(artifact, service string) bool {
	return a.Service == "" || service == "" || service == a.Service ||
		slices.ContainsFunc(a.steps(), func(s runbook.Step) bool { return s.Artifact == artifact && s.Service == service })
}

// unreported gives the artifacts of the rollback steps of which neither a change nor a running version is on record.
func (a *About) unreported(log []changes.Change) []string {
	known := changes.KnownOf(log, a.Running)
	var none []string
	for _, step := range a.steps() {
		there := slices.ContainsFunc(known, func(k changes.Known) bool {
			return k.Artifact == step.Artifact && a.concerns(k.Artifact, k.Service)
		})
		if artifact := clean(step.Artifact, labelRunes); !there && !slices.Contains(none, artifact) {
			none = append(none, artifact)
		}
	}
	return none
}

// changeInWords says what was changed, when and by whom.
func (a *About) changeInWords(c *changes.Change) string {
	said := clean(c.Artifact, labelRunes)
	from, to := clean(c.From, labelRunes), clean(c.To, labelRunes)
	switch {
	case from != "" && to != "":
		said += " " + from + " → " + to
	case to != "":
		said += " to " + to
	case from != "":
		said += " from " + from
	case c.Note != "":
		said += " (" + clean(c.Note, 80) + ")"
	}
	said += " " + a.when(c)
	if c.Service != "" && c.Service != a.Service {
		said += ", of " + clean(c.Service, labelRunes)
	}
	switch {
	case !c.Seen.GoneAt.IsZero():
		said += ", gone again"
	case c.Canary():
		said += ", on less than half"
	}
	if c.By != "" {
		said += ", by " + clean(c.By, labelRunes)
	}
	return said
}

// when says when a change came, as people reckon in an incident: from when impact began.
func (a *About) when(c *changes.Change) string {
	if a.ImpactStartedAt.IsZero() {
		return lasting(a.At.Sub(c.At)) + " ago"
	}
	lead := a.ImpactStartedAt.Sub(c.At)
	said := lasting(lead.Abs())
	switch {
	case lead.Abs() < time.Second:
		said = "as impact began"
	case lead > 0:
		said += " before impact"
	default:
		said += " after impact began"
	}
	if c.At.Equal(c.Seen.FirstWith) && !c.Seen.LastWithout.IsZero() && c.At.Sub(c.Seen.LastWithout) > 2*time.Minute {
		said += ", or up to " + lasting(c.At.Sub(c.Seen.LastWithout)) + " earlier"
	}
	return said
}

// compareVersions compares the two newest versions of an artifact: its last change's new one with the one before. Where
// the old one has no traffic any more, it is measured as it was just before the change.
func (g *Gatherer) compareVersions(ctx context.Context, s *triggers.Signal, item *runbook.Evidence, about *About) Found {
	log, err := g.log(ctx, about, logReach)
	if err != nil {
		return Found{Err: "the change log can't be read: " + g.why(err)}
	}
	artifact := clean(item.Compare.Artifact, labelRunes)
	last, from := lastChange(log, item.Compare.Artifact)
	switch {
	case last == nil:
		return Found{Text: fmt.Sprintf("no change of %s to a version on record in %s: nothing to compare", artifact, triggers.FormatDuration(logReach))}
	case from == "":
		return Found{Text: fmt.Sprintf("%s: which version was there before is not on record", about.changeInWords(last))}
	}
	since := last.At
	if about.ImpactStartedAt.After(since) {
		since = about.ImpactStartedAt
	}
	over := compareOver(s, about.At, since)
	now, err := g.read(ctx, s, over, about.At)
	if err != nil {
		return Found{Err: title(s) + " is unknown: " + g.why(err)}
	}
	c := newContrast(s, item, about, over)
	c.treatment, c.control = c.side(now, last.To), c.side(now, from)
	if !c.control.has(s) {
		if err := g.before(ctx, c, last, from); err != nil {
			return Found{Err: clean(from, labelRunes) + " before the change is unknown: " + g.why(err)}
		}
	}
	c.treatment.called = fmt.Sprintf("%s (%s since %s)", clean(last.To, labelRunes), artifact, clock(last.At, about.At))
	c.control.called = clean(from, labelRunes)
	return c.found(c.missing(now))
}

// before measures the version before a change as it was then.
func (g *Gatherer) before(ctx context.Context, c *contrast, change *changes.Change, from string) error {
	at := change.At
	if seen := change.Seen.LastWithout; !seen.IsZero() && seen.Before(at) {
		at = seen
	}
	then, err := g.read(ctx, c.signal, c.over, at.UTC().Truncate(time.Millisecond))
	if err != nil {
		return err
	}
	c.control, c.differentTimes = c.side(then, from), true
	return nil
}

// lastChange gives the last change of an artifact to another version, and the version before it; empty: not on record.
func lastChange(log []changes.Change, artifact string) (last *changes.Change, from string) {
	for n := range log { // the newest first
		c := &log[n]
		switch {
		case c.Artifact != artifact || c.To == "" || c.To == c.From:
		case last == nil:
			last = c
			if c.From != "" {
				return last, c.From
			}
		case c.To != last.To && (c.Service == last.Service || c.Service == "" || last.Service == ""): // not named: any
			return last, c.To
		}
	}
	return last, ""
}
