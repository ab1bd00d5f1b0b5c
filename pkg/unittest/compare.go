package unittest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// seen is an incident as it stands when it is looked at.
type seen struct {
	*incident.Record
	paged  []string // roles, in the order in which they were first called
	events []incident.Event
}

// suspects are the artifacts of the newest ranking, in its order.
func (s *seen) suspects() []string {
	if len(s.Rankings) == 0 {
		return nil
	}
	var artifacts []string
	for _, suspect := range s.Rankings[len(s.Rankings)-1].Ranking.Suspects {
		if artifact := suspect.Change.Artifact; !slices.Contains(artifacts, artifact) {
			artifacts = append(artifacts, artifact)
		}
	}
	return artifacts
}

func (p *play) see(ctx context.Context) ([]seen, error) {
	records, _, err := p.stage.store.List(ctx, incident.Filter{})
	if err != nil {
		return nil, err
	}
	slices.Reverse(records) // the oldest first
	all := make([]seen, len(records))
	for i, r := range records {
		all[i].Record = r
		if all[i].events, err = p.stage.store.Events(ctx, r.ID, 0, 0); err != nil {
			return nil, err
		}
		for _, e := range all[i].events {
			paged, ok := e.Body.(incident.Paged)
			if !ok {
				continue
			}
			for _, role := range paged.Roles {
				if !slices.Contains(all[i].paged, role) {
					all[i].paged = append(all[i].paged, role)
				}
			}
		}
	}
	return all, nil
}

// compare looks at what is open and what is over, and tells every difference from what is expected.
func (p *play) compare(ctx context.Context, e expectation) error {
	all, err := p.see(ctx)
	if err != nil {
		return err
	}
	c := comparison{play: p, all: all, t: epoch.Add(e.at)}
	if e.open != nil {
		c.compareOpen(ctx, e.open)
	}
	if e.resolved != nil {
		c.compareResolved(ctx, e.resolved)
	}
	if len(c.lines) > 0 {
		c.timelines()
		p.failAt(e.place, e.at, c.lines...)
	}
	return nil
}

// comparison gathers the differences at one time.
type comparison struct {
	*play
	all   []seen
	t     time.Time
	lines []string
	shown []seen // whose timelines explain the differences
}

func (c *comparison) say(format string, args ...any) {
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

// show keeps an incident's timeline for the end, once.
func (c *comparison) show(s seen) {
	if !slices.ContainsFunc(c.shown, func(other seen) bool { return other.ID == s.ID }) {
		c.shown = append(c.shown, s)
	}
}

func (c *comparison) compareOpen(ctx context.Context, want []expected) {
	var open []seen
	for _, s := range c.all {
		if s.Open() {
			open = append(open, s)
		}
	}
	met := match(want, open)
	for i, w := range want {
		if met[i] < 0 {
			met[i] = nearest(w, open, met)
		}
		if met[i] < 0 {
			c.say("want open %s; got %s", w, openWords(open))
			c.whyNot(ctx, c.file.snapshot(w.runbook), w.group)
			continue
		}
		for _, d := range w.differences(open[met[i]]) {
			c.say("%s: %s", name(open[met[i]]), d)
			c.show(open[met[i]])
		}
	}
	for i, s := range open {
		if !slices.Contains(met, i) {
			c.say("not expected: %s is open", words(s))
			c.show(s)
		}
	}
}

// match pairs what is expected with what is open, so that as many as possible agree in all that is compared (augmenting
// paths). -1: nothing left that agrees.
func match(want []expected, open []seen) []int {
	holder := make([]int, len(open))
	for i := range holder {
		holder[i] = -1
	}
	var place func(w int, tried []bool) bool
	place = func(w int, tried []bool) bool {
		for o := range open {
			if tried[o] || !concerns(open[o].Record, want[w].runbook, want[w].group) || len(want[w].differences(open[o])) > 0 {
				continue
			}
			tried[o] = true
			if holder[o] < 0 || place(holder[o], tried) {
				holder[o] = w
				return true
			}
		}
		return false
	}
	for w := range want {
		place(w, make([]bool, len(open)))
	}
	met := slices.Repeat([]int{-1}, len(want))
	for o, w := range holder {
		if w >= 0 {
			met[w] = o
		}
	}
	return met
}

// nearest is the incident of the expected runbook and group that differs least and is not taken; -1: there is none.
func nearest(w expected, open []seen, taken []int) int {
	best, fewest := -1, 0
	for o := range open {
		if slices.Contains(taken, o) || !concerns(open[o].Record, w.runbook, w.group) {
			continue
		}
		if n := len(w.differences(open[o])); best < 0 || n < fewest {
			best, fewest = o, n
		}
	}
	return best
}

// differences are those in what is compared.
func (w expected) differences(s seen) []string {
	var all []string
	differ := func(what string, want, got string) {
		if want != "" && want != got {
			if got == "" {
				got = "nobody"
			}
			all = append(all, fmt.Sprintf("%s: want %s, got %s", what, want, got))
		}
	}
	differ("severity", string(w.severity), string(s.Severity))
	differ("state", string(w.state), string(s.State()))
	by := ""
	if s.Acknowledged != nil {
		by = s.Acknowledged.By
	}
	differ("acknowledged_by", w.acknowledgedBy, by)
	if w.paged != nil && !sameSet(w.paged, s.paged) {
		differ("paged", roles(w.paged), roles(s.paged))
	}
	if got := s.suspects(); w.suspects != nil && !slices.Equal(w.suspects, got) {
		differ("suspects", orNone(w.suspects), orNone(got))
	}
	return all
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func roles(names []string) string { return listed(names, "nobody") }

func orNone(artifacts []string) string { return listed(artifacts, "none") }

func listed(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, ", ")
}

func (c *comparison) compareResolved(ctx context.Context, want []string) {
	var got []string
	for _, s := range c.all {
		over := s.State() == incident.ResolvedState || s.State() == incident.ClosedState
		if name := s.Findings[0].Name; over && !slices.Contains(got, name) {
			got = append(got, name)
			if !slices.Contains(want, name) {
				c.say("not expected: %s is resolved", words(s))
				c.show(s)
			}
		}
	}
	for _, name := range want {
		if slices.Contains(got, name) {
			continue
		}
		held := false
		for _, s := range c.all {
			if concerns(s.Record, name, nil) {
				held = true
				c.say("want resolved %s; got %s", name, words(s))
				c.whyOpen(ctx, s)
				c.show(s)
			}
		}
		if !held {
			c.say("want resolved %s; got no incident of it", name)
			c.whyNot(ctx, c.file.snapshot(name), nil)
		}
	}
}

// timelines tells what happened to the incidents that differ.
func (c *comparison) timelines() {
	for _, s := range c.shown {
		c.say("what happened to %s:", name(s))
		for _, entry := range incident.NewView(s.Record, s.events, "", c.t).Timeline {
			who := ""
			if entry.Actor != incident.Daemon {
				who = entry.Actor + " "
			}
			c.say("  %-8s %s%s", clock(entry.At), who, entry.Text)
		}
	}
}

// failAt notes what is wrong at a time of the script.
func (p *play) failAt(place document.Place, at time.Duration, lines ...string) {
	lines[0] = "at " + triggers.FormatDuration(at) + ": " + lines[0]
	p.failures = append(p.failures, Failure{place, lines})
}

func clock(t time.Time) string { return triggers.FormatDuration(t.Sub(epoch)) }

// String gives what is expected, in the order in which people tell it.
func (w expected) String() string {
	text := w.runbook + labelled(w.group)
	if w.severity != "" {
		text += " at " + string(w.severity)
	}
	if w.state != "" {
		text += ", " + string(w.state)
	}
	if w.acknowledgedBy != "" {
		text += ", acknowledged by " + w.acknowledgedBy
	}
	if w.paged != nil {
		text += ", paged " + roles(w.paged)
	}
	if w.suspects != nil {
		text += ", suspects " + orNone(w.suspects)
	}
	return text
}

func openWords(open []seen) string {
	if len(open) == 0 {
		return "nothing open"
	}
	all := make([]string, len(open))
	for i, s := range open {
		all[i] = words(s)
	}
	return strings.Join(all, "; ")
}

// words gives an incident in the same order.
func words(s seen) string {
	return fmt.Sprintf("%s at %s, %s, opened at %s, paged %s", name(s), s.Severity, s.State(), clock(s.OpenedAt), roles(s.paged))
}

// name names an incident by its runbook and group.
func name(s seen) string { return s.Findings[0].Name + labelled(s.Findings[0].Group.Map()) }

// labelled gives labels in braces, where there are any: {service=support-bot}.
func labelled(values map[string]string) string {
	if len(values) == 0 {
		return ""
	}
	var pairs []string
	for _, label := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, label+"="+values[label])
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

func labelSet(l labels.Labels) string { return labelled(l.Map()) }
