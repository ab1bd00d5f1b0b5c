package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// columns of a terminal that nobody has widened.
const columns = 80

// WriteJSON writes the result as one JSON object.
func (r *Result) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// WriteText writes the result for a person: a table of the incidents, then what they add up to.
func (r *Result) WriteText(w io.Writer) error {
	var b strings.Builder
	if len(r.Incidents) > 0 {
		table(&b, r.Incidents)
		b.WriteString("\n")
	}
	r.summary(&b)
	if r.Against != nil {
		r.Against.text(&b, len(r.Incidents))
	}
	for _, note := range r.Notes {
		b.WriteString("\n")
		for _, line := range wrap("note: "+note, columns) {
			b.WriteString(line + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shownSuspects is how many changes of an incident are told.
const shownSuspects = 3

const row = "%-19s  %-4s  %-7s  %-8s  %s"

// table has two lines for an incident: when, how bad, how late, how long, what; then where. Others name the
// runbooks that joined, and what changed before.
func table(b *strings.Builder, incidents []*Incident) {
	fmt.Fprintf(b, row+"\n", "OPENED (UTC)", "SEV", "DELAY", "OPEN FOR", "RUNBOOK")
	for _, i := range incidents {
		lasted := "open"
		if i.ResolvedAt != nil {
			lasted = short(i.ResolvedAt.Sub(i.OpenedAt))
		}
		what := i.Runbook
		if !i.Group.IsEmpty() {
			what += " " + segment(i.Group)
		}
		line(b, fmt.Sprintf(row, i.OpenedAt.UTC().Format(time.DateTime), i.Severity, short(i.Delay()), lasted, what))
		if where := where(i); where != "" {
			line(b, "  "+where)
		}
		if len(i.Joined) > 0 {
			line(b, "  joined by "+strings.Join(i.Joined, ", "))
		}
		for _, s := range i.Suspects[:min(shownSuspects, len(i.Suspects))] {
			line(b, fmt.Sprintf("  changed: %s to %s, %s", s.Change.Artifact, s.Change.To, s.Reason))
		}
		if n := len(i.Suspects) - shownSuspects; n > 0 {
			line(b, fmt.Sprintf("  changed: %d more", n))
		}
	}
}

// where names the segments that breached, by the labels in which they differ.
func where(i *Incident) string {
	if len(i.Segments) == 0 || len(i.Segments) == 1 && (i.Segments[0].IsEmpty() || labels.Equal(i.Segments[0], i.Group)) {
		return ""
	}
	common := i.Segments[0].Map()
	for _, s := range i.Segments[1:] {
		maps.DeleteFunc(common, func(name, value string) bool { return s.Get(name) != value })
	}
	if len(i.Segments) == 1 {
		common = i.Group.Map()
	}
	common[model.MetricNameLabel] = "" // the same for all, or none of a person's business
	shown := make([]string, 0, 2)
	for _, s := range i.Segments[:min(2, len(i.Segments))] {
		b := labels.NewBuilder(s)
		for name := range common {
			b.Del(name)
		}
		shown = append(shown, segment(b.Labels()))
	}
	text := strings.Join(shown, "; ")
	more := ""
	if n := len(i.Segments) - len(shown); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return cut80(text, columns-2-len(more)) + more
}

// segment writes a label set in the fewest characters.
func segment(l labels.Labels) string {
	if l.IsEmpty() {
		return "all"
	}
	var pairs []string
	l.Range(func(l labels.Label) { pairs = append(pairs, l.Name+"="+l.Value) })
	return strings.Join(pairs, ",")
}

func (r *Result) summary(b *strings.Builder) {
	line(b, fmt.Sprintf("%s in %s, by %s, every %s", count(len(r.Incidents), "incident"),
		short(r.To.Sub(r.From)), count(len(r.Runbooks), "runbook"), r.Interval))
	line(b, fmt.Sprintf("from %s to %s", stamp(r.From), stamp(r.To)))
	if len(r.Incidents) == 0 {
		return
	}
	var severities []string
	for _, s := range runbook.Severities {
		if n := number(r.Incidents, func(i *Incident) bool { return i.Severity == s }); n > 0 {
			severities = append(severities, fmt.Sprintf("%d %s", n, s))
		}
	}
	line(b, "severity         "+strings.Join(severities, ", "))
	line(b, "detection delay  "+spread(r.Incidents, func(i *Incident) (time.Duration, bool) { return i.Delay(), true }))
	line(b, "open for         "+spread(r.Incidents, func(i *Incident) (time.Duration, bool) {
		return i.end(r.To).Sub(i.OpenedAt), i.ResolvedAt != nil
	}))
	if n := number(r.Incidents, func(i *Incident) bool { return i.ResolvedAt == nil }); n > 0 {
		line(b, fmt.Sprintf("still open       %d at the end", n))
	}
	if n := number(r.Incidents, func(i *Incident) bool { return i.RecoveryUnverified }); n > 0 {
		line(b, fmt.Sprintf("unverified       %d: recovery was not verified in time", n))
	}
}

// spread gives the median and the longest of what is known.
func spread(incidents []*Incident, of func(*Incident) (time.Duration, bool)) string {
	var all []time.Duration
	for _, i := range incidents {
		if d, known := of(i); known {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return "none is over"
	}
	slices.Sort(all)
	middle := len(all) / 2
	median := all[middle]
	if len(all)%2 == 0 {
		median = (all[middle-1] + all[middle]) / 2
	}
	return fmt.Sprintf("median %s, longest %s", short(median), short(all[len(all)-1]))
}

func number(incidents []*Incident, is func(*Incident) bool) int {
	n := 0
	for _, i := range incidents {
		if is(i) {
			n++
		}
	}
	return n
}

// text tells what another version of the runbook does otherwise.
func (c *Comparison) text(b *strings.Builder, present int) {
	b.WriteString("\n")
	line(b, fmt.Sprintf("the other version opens %s instead of %d:", count(len(c.Incidents), "incident"), present))
	line(b, fmt.Sprintf("%d at the same time, %d earlier, %d later, %d in addition, %d missed", len(c.Same), len(c.Earlier), len(c.Later), len(c.Additional), len(c.Missed)))
	for _, pairs := range []struct {
		name string
		all  []Pair
	}{{"earlier", c.Earlier}, {"later", c.Later}} {
		if len(pairs.all) == 0 {
			continue
		}
		b.WriteString("\n")
		line(b, fmt.Sprintf("%-19s  %-19s  %s", "OPENED (UTC)", "OTHER VERSION", strings.ToUpper(pairs.name)))
		for _, p := range pairs.all {
			delta := p.Other.OpenedAt.Sub(p.Present.OpenedAt).Abs()
			line(b, fmt.Sprintf("%-19s  %-19s  %-7s  %s", p.Present.OpenedAt.UTC().Format(time.DateTime), p.Other.OpenedAt.UTC().Format(time.DateTime), short(delta), segment(p.Other.Group)))
		}
	}
	for _, lone := range []struct {
		title    string
		all      []*Incident
		needless int
	}{
		{"in addition", c.Additional, len(c.PagedNeedlessly.Other)},
		{"missed", c.Missed, len(c.PagedNeedlessly.Present)},
	} {
		if len(lone.all) == 0 {
			continue
		}
		b.WriteString("\n")
		line(b, fmt.Sprintf("%s: %d, of which page (needlessly, if nothing was wrong): %d", lone.title, len(lone.all), lone.needless))
		table(b, lone.all)
	}
}

// short writes a duration in its largest units: 7d, 2d3h, 1h20m, 10m45s.
func short(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day && d%day < time.Hour:
		return fmt.Sprintf("%dd", d/day)
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		d = d.Truncate(time.Minute)
	case d >= time.Minute:
		d = d.Truncate(time.Second)
	}
	return triggers.FormatDuration(d)
}

func line(b *strings.Builder, text string) {
	b.WriteString(strings.TrimRight(cut80(text, columns), " ") + "\n")
}

// cut80 shortens a line that does not fit.
func cut80(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return strings.TrimRight(string(runes[:width-1]), " ") + "…"
	}
	return text
}

// wrap breaks a text between words.
func wrap(text string, width int) []string {
	var lines []string
	current := ""
	for _, word := range strings.Fields(text) {
		if current != "" && len(current)+1+len(word) > width {
			lines = append(lines, current)
			current = " "
		}
		if current != "" {
			current += " "
		}
		current += word
	}
	return append(lines, current)
}

// count gives "1 incident" and "2 incidents".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
