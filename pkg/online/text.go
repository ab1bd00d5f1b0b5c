package online

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// width is what a line has room for.
const width = 100

// page is text that is being written.
type page struct{ text strings.Builder }

// line writes words with an indent, broken where the width ends; what follows is indented by two more.
func (p *page) line(indent int, text string) {
	at := indent
	p.text.WriteString(strings.Repeat(" ", indent))
	for i, word := range strings.Fields(text) {
		switch length := len([]rune(word)); {
		case i == 0:
			at += length
		case at+1+length > width:
			p.text.WriteString("\n" + strings.Repeat(" ", indent+2))
			at = indent + 2 + length
		default:
			p.text.WriteString(" ")
			at += 1 + length
		}
		p.text.WriteString(word)
	}
	p.text.WriteString("\n")
}

// WriteText writes the result for people.
func (r *Result) WriteText(w io.Writer) error {
	p := &page{}
	p.line(0, fmt.Sprintf("What the source says of %s to %s:", stamp(r.From), stamp(r.To)))
	for _, b := range r.Runbooks {
		p.text.WriteString("\n")
		p.runbook(b)
	}
	for _, text := range r.Heard {
		p.text.WriteString("\n")
		p.line(0, "the source warns: "+text)
	}
	_, err := io.WriteString(w, p.text.String())
	return err
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

func (p *page) runbook(r *Runbook) {
	p.line(0, r.Name)
	if r.Error != "" {
		p.line(2, "not looked at: "+r.Error)
		return
	}
	p.line(2, "trigger: "+r.Trigger.fired())
	for _, c := range r.Triggers {
		p.trigger(c)
	}
	for _, c := range r.Severity {
		p.line(2, fmt.Sprintf("%s: %s: %s", c.Severity, c.Text, c.held()))
	}
	for _, b := range r.Recovery {
		p.band(b)
	}
}

func (p *page) trigger(c *Condition) {
	if c.Series == 0 {
		p.line(4, c.Text+": no series")
		return
	}
	text := c.Text + ": " + c.fired() + c.usually()
	p.line(4, text)
	if c.Series > 1 || len(c.Segments) > 0 && c.Segments[0].Firings > 0 && c.Segments[0].Events != nil {
		for _, s := range c.Segments {
			p.line(6, label(s.Labels)+": "+s.fired()+s.traffic(c.Unit))
		}
	}
	for _, t := range c.Thin {
		p.line(6, t.text())
	}
	if more := c.Thins - len(c.Thin); more > 0 {
		p.line(6, fmt.Sprintf("%s more as thin or less so", plural(more, "segment")))
	}
}

// usually says what is usual for the segments.
func (c *Condition) usually() string {
	if c.Usually == nil {
		return ""
	}
	least, most := triggers.FormatValue(c.Unit, c.Usually.Least), triggers.FormatValue(c.Unit, c.Usually.Most)
	if least == most {
		return "; usually " + most
	}
	return fmt.Sprintf("; usually %s to %s", least, most)
}

func (s *Segment) traffic(unit triggers.Unit) string {
	text := ""
	if s.Usually != nil {
		text += "; usually " + triggers.FormatValue(unit, *s.Usually)
	}
	if s.Events != nil {
		text += fmt.Sprintf(" of %s events a minute", number(*s.Events))
	}
	return text
}

// fired says how often a trigger fired: "fired 2 times, 0.9% of the time, last 2026-11-24 03:10 UTC".
func (h Held) fired() string {
	text := "never fired"
	switch {
	case h.Firings > 0:
		text = fmt.Sprintf("fired %s, %s of the time, last %s", times(h.Firings), percent(h.Share), stamp(*h.Last))
	case h.Unknown >= 1:
		return "unknown all the time"
	}
	if h.Unknown >= 0.01 {
		text += fmt.Sprintf(", unknown for %s", percent(h.Unknown))
	}
	return text
}

// held says for how long a rule held.
func (h Held) held() string {
	text := "never held"
	switch {
	case h.Last != nil:
		text = fmt.Sprintf("held %s of the time, last %s", percent(h.Share), stamp(*h.Last))
	case h.Unknown >= 1:
		return "unknown all the time"
	}
	if h.Unknown >= 0.01 {
		text += fmt.Sprintf(", unknown for %s", percent(h.Unknown))
	}
	return text
}

// text says what the traffic of a segment means: "has 0.4 events a minute: a rise to 19% is found within the hour in one
// case of six".
func (t *Thin) text() string {
	change, within := "rise", t.Within.String()
	if t.To < t.From {
		change = "fall"
	}
	if time.Duration(t.Within) == time.Hour {
		within = "the hour"
	}
	text := fmt.Sprintf("%s has %s events a minute: a %s to %s is %s", label(t.Labels), number(t.Events),
		change, triggers.FormatValue(triggers.Ratio, t.To), found(t.Chance, within))
	var help []string
	if t.AddedUp != nil {
		help = append(help, fmt.Sprintf("add segments up with `by` (%s)", cases(*t.AddedUp)))
	}
	if t.WidenTo > 0 {
		help = append(help, fmt.Sprintf("widen_to %s (within %s %s)", t.WidenTo, t.WidenTo, cases(t.Widened)))
	}
	if len(help) > 0 {
		return text + "; " + strings.Join(help, ", or ")
	}
	if t.Chance < likely {
		text += "; more events are all that helps: synthetic requests"
	}
	return text
}

// found says how likely something is found: "found within the hour in one case of six", "hardly ever found within …".
func found(chance float64, within string) string {
	how := cases(chance)
	if strings.HasPrefix(how, "in ") {
		return "found within " + within + " " + how
	}
	return how + " found within " + within
}

func (p *page) band(b *Band) {
	text := fmt.Sprintf("recovery, %s: %s: in band %s of the time", b.Name, b.Text, percent(b.InBand))
	switch {
	case b.Unknown >= 1:
		text = fmt.Sprintf("recovery, %s: %s: unknown all the time", b.Name, b.Text)
	case b.Unknown >= 0.01:
		text += fmt.Sprintf(", unknown for %s", percent(b.Unknown))
	}
	if b.Broken != nil {
		text += fmt.Sprintf("; %s of the holds of %s would have broken", percent(*b.Broken), b.Hold)
	}
	p.line(2, text)
	for i, n := range b.Noise {
		if i > 0 && n.Chance < 0.005 {
			break
		}
		p.line(4, fmt.Sprintf("%s: noise alone breaks %s of them; usually %s of %s events a range", label(n.Labels),
			percent(n.Chance), triggers.FormatValue(triggers.Ratio, n.Usually), number(n.Events)))
	}
}

var words = []string{"none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}

// word writes a small number as a word.
func word(v float64) string {
	if n := int(math.Round(v)); n < len(words) {
		return words[n]
	}
	return fmt.Sprintf("%.0f", v)
}

// cases says a chance in words: "in one case of six", "in eight cases of ten".
func cases(chance float64) string {
	switch {
	case chance < 0.03:
		return "hardly ever"
	case chance < 0.45:
		return "in one case of " + word(1/chance)
	case chance < 0.95:
		return fmt.Sprintf("in %s cases of ten", word(10*chance))
	}
	return "nearly always"
}

// percent writes a share of the time. What happened is never 0%.
func percent(share float64) string {
	if share > 0 && share < 0.0005 {
		return "under 0.1%"
	}
	if share < 1 && share >= 0.9995 {
		return "over 99.9%"
	}
	if share < 0.1 || share > 0.99 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", 100*share), ".0") + "%"
	}
	return fmt.Sprintf("%.0f%%", 100*share)
}

// number writes a count with what people can use of it.
func number(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	digits := 1
	if v > 0 && v < 1 {
		digits = int(math.Ceil(-math.Log10(v)))
	}
	return strings.TrimSuffix(fmt.Sprintf("%.*f", digits, v), ".0")
}

// label writes a label set: "service=support-bot tier=paid".
func label(l labels.Labels) string {
	if l.IsEmpty() {
		return "all segments"
	}
	var parts []string
	l.Range(func(one labels.Label) { parts = append(parts, one.Name+"="+one.Value) })
	return strings.Join(parts, " ")
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
