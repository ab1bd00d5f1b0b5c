package notify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/incident"
	plain "github.com/irdaemon/irdaemon/pkg/incident/text"
)

// columns is how wide a message's text gets; a word that is longer (a link) is left whole.
const columns = 80

// text is a message's plain text in the making: labelled lines, then sections.
type text struct{ b strings.Builder }

func (t *text) String() string { return t.b.String() }

// line writes a labelled line, if there is anything to say.
func (t *text) line(label, said string) {
	if said != "" {
		t.item(fmt.Sprintf("%-8s", label), said)
	}
}

func (t *text) heading(title string) { t.b.WriteString("\n" + title + "\n") }

func (t *text) look(view incident.View) {
	if view.URL == "" {
		return
	}
	t.heading("Look")
	t.item("  ", view.URL)
}

func (t *text) acknowledge(view incident.View) {
	t.heading("Acknowledge")
	t.item("  ", plain.Command(view, "ack"))
}

// list writes a section of items, numbered where first is a number, and says how many it leaves out.
func (t *text) list(title, first string, items []string, shown int) {
	t.part(title, first, items, shown, "on the incident's page")
}

// part is list, with where the rest is.
func (t *text) part(title, first string, items []string, shown int, rest string) {
	if len(items) == 0 {
		return
	}
	t.heading(title)
	for i, item := range items[:min(shown, len(items))] {
		mark := "  - "
		if first != "" {
			mark = fmt.Sprintf("  %d. ", i+1)
		}
		t.item(mark, item)
	}
	if more := len(items) - shown; more > 0 {
		t.item("  ", fmt.Sprintf("… and %d more %s", more, rest))
	}
}

// item writes words after a mark, wrapped, with the lines that follow indented below the first word. What other people and
// systems wrote can't steer a terminal that shows it.
func (t *text) item(mark, said string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(mark))
	line, empty := mark, true
	for _, word := range strings.Fields(plain.Clean(said)) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns {
			t.b.WriteString(line + "\n")
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	t.b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// span writes a duration without units that are nought: 15m, 2m24s, 1h30m.
func span(d time.Duration) string {
	s := max(0, d).Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func segments(view incident.View) []string {
	items := make([]string, 0, len(view.Segments))
	for _, s := range view.Segments {
		var pairs []string
		for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
			pairs = append(pairs, name+"="+s.Labels[name])
		}
		items = append(items, fmt.Sprintf("%s: %s", strings.Join(append([]string{s.Condition}, pairs...), ", "), plain.Value(s)))
	}
	return items
}

func triage(view incident.View) []string {
	items := make([]string, 0, len(view.Triage))
	for _, item := range view.Triage {
		said := plain.Check(item)
		if found, _, _ := strings.Cut(item.Found, "\n"); found != "" {
			said += ": " + found
		}
		items = append(items, said)
	}
	return items
}

func mitigations(view incident.View) []string {
	items := make([]string, 0, len(view.Mitigations))
	for _, m := range view.Mitigations {
		items = append(items, plain.Mitigation(m))
	}
	return items
}

func rollbacks(view incident.View) []string {
	items := make([]string, 0, len(view.Rollbacks))
	for _, step := range view.Rollbacks {
		items = append(items, plain.Rollback(step))
	}
	return items
}

func bands(view incident.View) []string {
	items := make([]string, 0, len(view.Recovery))
	for _, band := range view.Recovery {
		items = append(items, band.Band+": "+plain.Band(band))
	}
	return items
}
