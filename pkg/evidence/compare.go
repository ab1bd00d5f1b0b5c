package evidence

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const (
	// fewest is how many events each side must have for its share to be worth a comparison. With fewer, a window that
	// shows twice the share although nothing changed is common.
	fewest = 100

	// widest is over how much time events are compared at most; the time since impact where that is shorter.
	widest = time.Hour

	// uneven is from which difference on of the mix of traffic (total variation) it is said that two sides are not alike.
	uneven = 0.1
)

// Verdict says what a comparison of two shares shows.
type Verdict string

// What comparisons say. Of values without counts there is no verdict.
const (
	Differs      Verdict = "differs"            // by more than chance explains at 95%, if the events are independent
	NoDifference Verdict = "no difference seen" // chance explains it
	TooFew       Verdict = "too few to tell"
)

// Comparison is two values of a label set against each other.
type Comparison struct {
	Signal string        `json:"signal"`
	Title  string        `json:"title"`
	Unit   triggers.Unit `json:"unit"`
	Label  string        `json:"label"`

	Treatment Side `json:"treatment" doc:"Of versions: the newer one."`
	Control   Side `json:"control"`

	Over       string     `json:"over,omitempty" doc:"The time whose events are counted."`
	Difference *float64   `json:"difference,omitempty" doc:"Treatment less control."`
	Low        *float64   `json:"low,omitempty" doc:"Of the 95% interval of the difference (Newcombe)."`
	High       *float64   `json:"high,omitempty"`
	Verdict    Verdict    `json:"verdict,omitempty" enum:"differs,no difference seen,too few to tell" doc:"Left out: values without counts, or a side is missing."`
	Minimum    int        `json:"minimum,omitempty" doc:"Events that each side needs."`
	ControlAt  *time.Time `json:"control_at,omitempty" doc:"When the control was measured, where that is not the same time."`
	Uneven     string     `json:"uneven,omitempty" doc:"In what else the two differ."`
}

// Side is one of the two.
type Side struct {
	Name string   `json:"name" doc:"The label's value."`
	Now  *Measure `json:"now,omitempty" doc:"Left out: no data."`
}

// side is a Side on its way.
type side struct {
	name    string // as it stands in the label
	called  string // as people are told
	reading *reading
	value   *triggers.Value // nil: no data
}

// contrast is a comparison on its way.
type contrast struct {
	signal             *triggers.Signal
	label              string
	match              func(labels.Labels) bool
	about              *About
	over               time.Duration
	treatment, control side
	differentTimes     bool
}

// compareArms compares control with treatment at the same time: whatever else changed, changed for both.
func (g *Gatherer) compareArms(ctx context.Context, s *triggers.Signal, item *runbook.Evidence, about *About) Found {
	over := compareOver(s, about.At, about.ImpactStartedAt)
	now, err := g.read(ctx, s, over, about.At)
	if err != nil {
		return Found{Err: title(s) + " is unknown: " + g.why(err)}
	}
	c := newContrast(s, item, about, over)
	c.treatment = c.side(now, item.Compare.Treatment)
	c.control = c.side(now, item.Compare.Control)
	return c.found(c.missing(now))
}

func newContrast(s *triggers.Signal, item *runbook.Evidence, about *About, over time.Duration) *contrast {
	return &contrast{
		signal: s, label: item.Compare.Label, match: about.sees(item.Where, item.Compare.Label), about: about, over: over,
	}
}

// compareOver is the range over which a signal is asked, so that as many events as possible tell: whole minutes since a
// time, at least the signal's own range and at most an hour; 0: its own, because it has no other.
func compareOver(s *triggers.Signal, at, since time.Time) time.Duration {
	if !s.HasRange || since.IsZero() {
		return 0
	}
	return max(s.Range, min(at.Sub(since).Truncate(time.Minute), widest))
}

func (c *contrast) side(r *reading, name string) side {
	own := side{name: name, called: clean(name, labelRunes), reading: r}
	match := c.of(name)
	if v, ok := r.sum(c.signal, match); ok {
		own.value = &v
		return own
	}
	t := table{signal: c.signal}
	for _, k := range r.values(match, nil) { // what can't be added up: the worst
		if own.value == nil || t.badness(segment{known: k}) > t.badness(segment{known: known{value: *own.value}}) {
			own.value = &k.value
		}
	}
	return own
}

// of selects the segments that the incident sees with a value of the label.
func (c *contrast) of(value string) func(labels.Labels) bool {
	return func(l labels.Labels) bool { return l.Get(c.label) == value && c.match(l) }
}

// missing says why there is nothing to compare; empty: there is.
func (c *contrast) missing(now *reading) string {
	t, k := c.treatment.has(c.signal), c.control.has(c.signal)
	carried := len(now.values(func(l labels.Labels) bool { return l.Has(c.label) }, nil)) > 0
	label := clean(c.label, labelRunes)
	switch {
	case t && k:
		return ""
	case !t && !k && !carried:
		return "no segment carries the label " + label + " now: nothing here measures the two apart"
	case !t && !k:
		return fmt.Sprintf("neither %s nor %s of %s has data now: nothing to compare", c.treatment.called, c.control.called, label)
	case !k:
		return fmt.Sprintf("%s %s; %s has no data: nothing to compare with", c.treatment.called, value(c.signal, *c.treatment.value), c.control.called)
	}
	return fmt.Sprintf("%s %s; %s has no data: nothing to compare", c.control.called, value(c.signal, *c.control.value), c.treatment.called)
}

// has tells whether there is anything of a side; a share of nothing is not.
func (s *side) has(signal *triggers.Signal) bool {
	return s.value != nil && (!signal.IsRatio() || s.value.Of != 0)
}

// found makes the comparison, or says what is missing.
func (c *contrast) found(missing string) Found {
	s := c.signal
	v := &Comparison{
		Signal: s.Name, Title: title(s), Unit: s.Unit, Label: clean(c.label, labelRunes),
		Treatment: c.treatment.outward(s), Control: c.control.outward(s),
	}
	if over := cmp.Or(c.over, s.Range); over > 0 {
		v.Over = triggers.FormatDuration(over)
	}
	if c.differentTimes {
		v.ControlAt = &c.control.reading.at
	}
	head := title(s)
	if v.Over != "" {
		head += " over " + v.Over
	}
	switch {
	case missing != "":
		return Found{Values: v, Text: head + ": " + missing}
	case c.counted():
		return Found{Values: v, Text: head + ": " + c.shares(v)}
	}
	difference := c.treatment.value.V - c.control.value.V
	v.Difference = &difference
	return Found{Values: v, Text: head + ": " + c.plain(difference)}
}

func (s *side) outward(signal *triggers.Signal) Side {
	out := Side{Name: s.called}
	if s.value != nil {
		out.Now = measure(signal, *s.value)
	}
	return out
}

// counted tells whether both sides are shares of counts of their own.
func (c *contrast) counted() bool {
	return c.signal.IsRatio() && !c.treatment.reading.parts && !c.control.reading.parts &&
		counts(*c.treatment.value) && counts(*c.control.value)
}

// plain compares values without counts behind them.
func (c *contrast) plain(difference float64) string {
	said := fmt.Sprintf("%s %s, %s %s: ", c.treatment.called, triggers.FormatValue(c.signal.Unit, c.treatment.value.V),
		c.control.called, triggers.FormatValue(c.signal.Unit, c.control.value.V))
	switch {
	case difference == 0:
		said += "the same"
	case c.signal.Unit == triggers.Ratio:
		said += pointsMore(difference)
	default:
		said += triggers.FormatValue(c.signal.Unit, math.Abs(difference)) + " " + moreOrLess(difference)
	}
	return said + ". There are no counts behind these values that would tell whether it is chance." + c.times()
}

// shares compares two shares and says whether the difference could be chance.
func (c *contrast) shares(v *Comparison) string {
	t, k := *c.treatment.value, *c.control.value
	said := fmt.Sprintf("%s %s of %s, %s %s of %s", c.treatment.called, triggers.FormatValue(triggers.Ratio, t.V), count(t.Of),
		c.control.called, triggers.FormatValue(triggers.Ratio, k.V), count(k.Of))
	difference, low, high := triggers.Newcombe(min(t.Bad, t.Of), t.Of, min(k.Bad, k.Of), k.Of)
	v.Difference, v.Low, v.High, v.Minimum = &difference, &low, &high, fewest
	split := t.Of / (t.Of + k.Of)
	tail := fmt.Sprintf(" Split %s to %s.", triggers.FormatValue(triggers.Ratio, math.Round(100*split)/100),
		triggers.FormatValue(triggers.Ratio, 1-math.Round(100*split)/100))
	v.Uneven = c.unevenIn()
	if v.Uneven != "" {
		tail += " " + v.Uneven
	}
	by := fmt.Sprintf("%s (%s)", pointsMore(difference), interval(difference, low, high))
	switch {
	case min(t.Of, k.Of) < fewest:
		v.Verdict = TooFew
		return said + fmt.Sprintf(": too few to tell, each needs %d.", fewest) + tail + c.times()
	case low <= 0 && high >= 0:
		v.Verdict = NoDifference
		return said + ": no difference seen; " + by + " could be chance." + tail + c.times()
	}
	v.Verdict = Differs
	if c.differentTimes { // what else changed in between may be all of it
		return said + ": " + by + ", measured at different times." + tail + c.times()
	}
	return said + ": " + by + ": more than chance explains if requests are independent." + tail
}

// times says what the interval does not know where the two were not measured at the same time.
func (c *contrast) times() string {
	if !c.differentTimes {
		return ""
	}
	return fmt.Sprintf(" %s was measured before, up to %s: whatever else changed since then counts too.", c.control.called,
		clock(c.control.reading.at, c.about.At))
}

func moreOrLess(difference float64) string {
	if difference < 0 {
		return "less"
	}
	return "more"
}

func pointsMore(difference float64) string {
	word := " points "
	if points(difference) == "1" {
		word = " point "
	}
	return points(difference) + word + moreOrLess(difference)
}

// interval writes the interval of a difference in points, in the direction of the difference: 13 to 17.
func interval(difference, low, high float64) string {
	if difference < 0 {
		low, high = -high, -low
	}
	from := points(low)
	if low < 0 && from != "0" {
		from = "-" + from
	}
	return from + " to " + points(high)
}

// unevenIn says in which other label the traffic of the two differs most; empty: it is alike. A treatment that has more
// of the traffic that is refused anyway is no worse.
func (c *contrast) unevenIn() string {
	treatment, control := c.mix(&c.treatment), c.mix(&c.control)
	most, name, value := uneven, "", ""
	for _, n := range slices.Sorted(maps.Keys(treatment)) {
		if d, v := distance(treatment[n], control[n]); d > most {
			most, name, value = d, n, v
		}
	}
	if name == "" {
		return ""
	}
	return fmt.Sprintf("Their traffic differs in %s too: %s is %s of %s and %s of %s.", clean(name, labelRunes), clean(value, labelRunes),
		triggers.FormatValue(triggers.Ratio, treatment[name][value]), c.treatment.called,
		triggers.FormatValue(triggers.Ratio, control[name][value]), c.control.called)
}

// mix gives, for each other label, the share of each of its values in a side's events.
func (c *contrast) mix(s *side) map[string]map[string]float64 {
	mix := map[string]map[string]float64{}
	for _, k := range s.reading.values(c.of(s.name), nil) {
		k.labels.Range(func(l labels.Label) {
			if l.Name == c.label || l.Name == model.MetricNameLabel {
				return
			}
			if mix[l.Name] == nil {
				mix[l.Name] = map[string]float64{}
			}
			mix[l.Name][l.Value] += k.value.Of / s.value.Of
		})
	}
	return mix
}

// distance is how far two mixes lie apart (total variation, 0 to 1), and the value in which they differ most.
func distance(a, b map[string]float64) (apart float64, value string) {
	most := -1.0
	for _, v := range slices.Sorted(maps.Keys(a)) {
		d := math.Abs(a[v] - b[v])
		apart += d / 2
		if d > most {
			most, value = d, v
		}
	}
	for v, share := range b {
		if _, both := a[v]; !both {
			apart += share / 2
		}
	}
	return apart, value
}
