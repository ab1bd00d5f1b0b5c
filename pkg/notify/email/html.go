package email

import (
	_ "embed"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/incident"
	plain "github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/notify"
)

// How much of a list a mail shows; the incident's page has the rest.
const (
	shownSegments = 5
	shownItems    = 8
	shownDigest   = 20
)

// page is the HTML body: styles inline, for many mail programs drop others; nothing is fetched from anywhere; colours
// only where they are readable on white and on black, for the reader's program chooses between them.
//
//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Parse(page))

// document is what the HTML body shows, of text alone: the template escapes all of it.
type document struct {
	News, Title    string
	Badge, Colour  string // the severity, or how it ended
	State          string
	Drill, Resent  bool
	Facts          []fact
	Segments       []segment
	MoreSegments   int
	Sections       []section
	Incidents      []row
	MoreIncidents  int
	AcknowledgeURL string
	Acknowledge    string // the command, where nobody can click
	URL, Key       string
	Look           string
}

type fact struct{ Label, Said string }

type segment struct{ Condition, Labels, Value string }

type section struct {
	Heading string
	Ordered bool
	Items   []string
	More    int
}

type row struct{ Badge, Colour, Title, Said, URL string }

func htmlBody(m notify.Message) (string, error) {
	view := m.Incident
	d := document{
		News: news(m), Title: oneLine(view.Title), State: string(view.State), Drill: m.Drill, Resent: m.Resent,
		Facts: facts(m.Text), URL: view.URL, Key: oneLine(m.Key), AcknowledgeURL: m.AcknowledgeURL,
		Look: "Open the incident",
	}
	d.Badge, d.Colour = badge(view)
	switch {
	case len(m.Digest) > 0:
		d.digest(m)
	case m.Kind == incident.DeliverPage && plain.Open(view):
		d.toDo(view)
	case m.Kind == incident.DeliverEnd && !plain.Open(view) && view.State != incident.DismissedState:
		d.list("The postmortem will ask", false, view.Postmortem.Questions)
	}
	var body strings.Builder
	err := pageTemplate.Execute(&body, d)
	return body.String(), err
}

// toDo is what somebody needs who is called.
func (d *document) toDo(view incident.View) {
	if d.AcknowledgeURL == "" {
		d.Acknowledge = oneLine(plain.Command(view, "ack"))
	}
	for _, s := range view.Segments[:min(shownSegments, len(view.Segments))] {
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
			labels = append(labels, name+"="+s.Labels[name])
		}
		d.Segments = append(d.Segments, segment{
			Condition: oneLine(s.Condition), Labels: oneLine(strings.Join(labels, ", ")), Value: oneLine(plain.Value(s)),
		})
	}
	d.MoreSegments = max(0, len(view.Segments)-shownSegments)
	d.list("Changed before impact", false, plain.Changed(view))
	d.list("Check first", true, inWordsAll(view.Triage, plain.Check))
	d.list("Buy time first, if it helps", false, inWordsAll(view.Mitigations, plain.Mitigation))
	d.list("Roll back, in this order", true, inWordsAll(view.Rollbacks, plain.Rollback))
	d.list("Recovered when all of these hold", false, inWordsAll(view.Recovery, func(band incident.BandView) string {
		return band.Band + ": " + plain.Band(band)
	}))
}

func inWordsAll[T any](all []T, words func(T) string) []string {
	said := make([]string, 0, len(all))
	for _, one := range all {
		said = append(said, words(one))
	}
	return said
}

func (d *document) list(heading string, ordered bool, items []string) {
	if len(items) == 0 {
		return
	}
	s := section{Heading: heading, Ordered: ordered, More: max(0, len(items)-shownItems)}
	for _, item := range items[:min(shownItems, len(items))] {
		s.Items = append(s.Items, oneLine(item))
	}
	d.Sections = append(d.Sections, s)
}

// digest shows the incidents of a storm, the worst first.
func (d *document) digest(m notify.Message) {
	d.Title, d.News, d.State, d.Look = oneLine(strings.TrimSuffix(m.Title, " · "+m.Incident.URL)), "", "", "Open the worst of them"
	for _, view := range m.Digest[:min(shownDigest, len(m.Digest))] {
		one := row{Title: oneLine(view.Title), Said: oneLine(view.Impact), URL: view.URL}
		one.Badge, one.Colour = badge(view)
		d.Incidents = append(d.Incidents, one)
	}
	d.MoreIncidents = max(m.Digested, len(m.Digest)) - len(d.Incidents)
}

// badge gives the word in the coloured mark: white on it is readable, and it is seen on white and on black.
func badge(view incident.View) (word, colour string) {
	if !plain.Open(view) {
		return string(view.State), "#1b7f4b"
	}
	colour, known := map[string]string{"sev1": "#b3261e", "sev2": "#b3541e", "sev3": "#8a6d00"}[string(view.Severity)]
	if !known {
		colour = "#5f6b7a"
	}
	return oneLine(string(view.Severity)), colour
}

// labelColumns is how wide package notify writes a label, the space after it included.
const labelColumns = 8

// facts reads the labelled lines that a message's text begins with, so that both bodies say the same in the same
// words: a label, the words in the columns after it, and lines that go on below them, up to the first empty line.
func facts(text string) []fact {
	var all []fact
	head, _, _ := strings.Cut(text, "\n\n")
	for line := range strings.Lines(head) {
		label, said := "", oneLine(line)
		columns := []rune(strings.TrimRight(line, "\n"))
		aligned := len(columns) > labelColumns && columns[labelColumns-1] == ' ' && columns[labelColumns] != ' '
		if aligned {
			label, said = oneLine(string(columns[:labelColumns])), oneLine(string(columns[labelColumns:]))
		}
		switch {
		case aligned && label == "" && len(all) > 0:
			all[len(all)-1].Said += " " + said
		case said != "":
			all = append(all, fact{Label: label, Said: said})
		}
	}
	return all
}

// news is what the title says beside the incident's own first line, which a mail shows in pieces.
func news(m notify.Message) string {
	if said, own := strings.CutSuffix(m.Title, m.Incident.Headline); own {
		return strings.TrimSuffix(oneLine(said), ":")
	}
	return oneLine(strings.TrimSuffix(m.Title, " · "+m.Incident.URL))
}
