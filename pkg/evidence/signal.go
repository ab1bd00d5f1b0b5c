package evidence

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// SignalValues is a signal by segment, the worst first.
type SignalValues struct {
	Signal   string         `json:"signal"`
	Title    string         `json:"title"`
	Unit     triggers.Unit  `json:"unit"`
	Worse    triggers.Worse `json:"worse" doc:"Which way hurts users."`
	At       time.Time      `json:"at"`
	BeforeAt time.Time      `json:"before_at,omitzero" doc:"Of the values before impact."`
	All      *Segment       `json:"all,omitempty" doc:"All segments added up, where they can be."`
	Segments []Segment      `json:"segments,omitempty"`
	More     int            `json:"more,omitempty" doc:"Segments that are not listed."`
	Gone     int            `json:"gone,omitempty" doc:"Segments that had data before impact and have none now."`
}

// Segment is a segment of a signal, now and before impact.
type Segment struct {
	Labels  map[string]string `json:"labels,omitempty"`
	Now     *Measure          `json:"now,omitempty"`
	Before  *Measure          `json:"before,omitempty" doc:"Left out: unknown, or no data."`
	Share   *float64          `json:"share,omitempty" doc:"Of a top list: its share of the whole, 0 to 1: of a ratio's bad events, else of the sum."`
	WorstOf int               `json:"worst_of,omitempty" doc:"It is the worst of so many that differ in labels not asked for."`
}

// Measure is a value with the counts behind it.
type Measure struct {
	Value float64 `json:"value"`
	Count float64 `json:"count,omitempty" doc:"A ratio's numerator."`
	Of    float64 `json:"of,omitempty" doc:"A ratio's denominator, or the events behind a value. A ratio without any: there were no events."`
	Text  string  `json:"text" doc:"For people."`
}

func (v *SignalValues) shorten() bool {
	if len(v.Segments) == 0 {
		return false
	}
	v.Segments, v.More = v.Segments[:len(v.Segments)-1], v.More+1
	return true
}

func measure(s *triggers.Signal, v triggers.Value) *Measure {
	return &Measure{Value: v.V, Count: v.Bad, Of: v.Of, Text: value(s, v)}
}

// segment is a Segment on its way.
type segment struct {
	known
	before  *triggers.Value
	share   *float64
	worstOf int
}

// table is what a signal says of its segments.
type table struct {
	signal   *triggers.Signal
	item     *runbook.Evidence
	about    *About
	segments []segment // the worst first
	all      *segment  // nil: can't be added up
	others   int       // segments beside those that match
	gone     int
	unknown  string // why nothing is known of the time before impact
}

// signal gathers the values of a signal.
func (g *Gatherer) signal(ctx context.Context, s *triggers.Signal, item *runbook.Evidence, about *About) Found {
	now, before, err, beforeErr := g.nowAndBefore(ctx, s, about)
	if err != nil {
		return Found{Err: title(s) + " is unknown: " + g.why(err)}
	}
	t := &table{signal: s, item: item, about: about}
	if beforeErr != nil {
		t.unknown = g.why(beforeErr)
	}
	t.fill(now, before)
	t.rank()
	if item.Top > 0 {
		t.share()
	}
	return Found{Values: t.values(), Text: t.text(), Err: t.failed()}
}

// fill takes what the readings say of the segments that the incident sees.
func (t *table) fill(now, before *reading) {
	match := t.about.sees(t.item.Where, "")
	by := t.item.By
	if !t.signal.IsRatio() || now.parts || before != nil && before.parts {
		by = nil // what can't be added up stays apart
	}
	was := map[string]triggers.Value{}
	if before != nil {
		for _, k := range before.values(match, by) {
			was[k.labels.String()] = k.value
		}
	}
	for _, k := range now.values(match, by) {
		one := segment{known: k, worstOf: 1}
		if v, ok := was[k.labels.String()]; ok {
			one.before = &v
			delete(was, k.labels.String())
		}
		t.segments = append(t.segments, one)
	}
	t.gone = len(was)
	t.others = len(now.values(nil, nil)) - len(now.values(match, nil))
	if v, ok := now.sum(t.signal, match); ok {
		t.all = &segment{known: known{value: v}}
		if before == nil {
			return
		}
		if v, ok := before.sum(t.signal, match); ok {
			t.all.before = &v
		}
	}
}

// rank puts the worst first. Of segments that differ only in labels that were not asked for the worst stays.
func (t *table) rank() {
	slices.SortStableFunc(t.segments, func(a, b segment) int { return cmp.Compare(t.badness(b), t.badness(a)) })
	if len(t.item.By) == 0 {
		return
	}
	at := map[string]int{}
	var kept []segment
	for _, one := range t.segments {
		one.labels = triggers.Group(one.labels, t.item.By)
		if n, ok := at[one.labels.String()]; ok {
			kept[n].worstOf++
			continue
		}
		at[one.labels.String()] = len(kept)
		kept = append(kept, one)
	}
	t.segments = kept
}

// burst is how many events are taken for one where segments are ranked: real failures come in bursts.
const burst = 5

// badness is greater the worse a segment is. A share counts with as much as its events make sure of (95%), so that one
// bad event of one does not stand above a hundred of five hundred.
func (t *table) badness(one segment) float64 {
	v := one.value
	low, high := v.V, v.V
	if t.signal.IsRatio() {
		if v.Of == 0 {
			return math.Inf(-1)
		}
		if counts(v) {
			low, high = triggers.Wilson(min(v.Bad, v.Of)/burst, v.Of/burst)
		}
	}
	switch {
	case t.signal.Worse == triggers.Up:
		return low
	case t.signal.Worse == triggers.Down:
		return -high
	case one.before != nil:
		return math.Abs(v.V - one.before.V)
	}
	return 0
}

// counts tells whether a ratio's numbers are so many of so many.
func counts(v triggers.Value) bool { return v.Of > 0 && v.Bad >= 0 && v.Bad <= v.Of*(1+1e-9) }

// additive are the units of which values can be added up.
var additive = map[triggers.Unit]bool{
	triggers.Count: true, triggers.RequestsPerSecond: true, triggers.TokensPerSecond: true, triggers.USDPerHour: true,
}

// share reckons the share of each segment in the whole, where there is a whole.
func (t *table) share() {
	part := func(v triggers.Value) float64 { return v.V }
	whole := 0.0
	switch {
	case t.signal.IsRatio() && t.all != nil:
		if t.signal.Worse == triggers.Down {
			part = func(v triggers.Value) float64 { return v.Of - v.Bad }
		} else {
			part = func(v triggers.Value) float64 { return v.Bad }
		}
		whole = part(t.all.value)
	case additive[t.signal.Unit]:
		for _, one := range t.segments {
			if one.value.V < 0 || one.worstOf > 1 {
				return
			}
			whole += one.value.V
		}
	}
	if whole <= 0 {
		return
	}
	for n := range t.segments {
		share := part(t.segments[n].value) / whole
		t.segments[n].share = &share
	}
}

// shown is how many segments are listed.
func (t *table) shown() int {
	most := mostShown
	if t.item.Top > 0 {
		most = min(most, t.item.Top)
	}
	return min(most, len(t.segments))
}

func (t *table) values() *SignalValues {
	s := t.signal
	v := &SignalValues{
		Signal: s.Name, Title: title(s), Unit: s.Unit, Worse: s.Worse, At: t.about.At,
		More: len(t.segments) - t.shown(), Gone: t.gone,
	}
	if !t.about.ImpactStartedAt.IsZero() {
		v.BeforeAt = beforeImpact(s, t.about)
	}
	if t.all != nil {
		all := t.outward(*t.all)
		v.All = &all
	}
	for _, one := range t.segments[:t.shown()] {
		v.Segments = append(v.Segments, t.outward(one))
	}
	return v
}

func (t *table) outward(one segment) Segment {
	out := Segment{Now: measure(t.signal, one.value), Share: one.share}
	one.labels.Range(func(l labels.Label) {
		if out.Labels == nil {
			out.Labels = map[string]string{}
		}
		out.Labels[clean(l.Name, labelRunes)] = clean(l.Value, labelRunes)
	})
	if one.before != nil {
		out.Before = measure(t.signal, *one.before)
	}
	if one.worstOf > 1 {
		out.WorstOf = one.worstOf
	}
	return out
}

// failed says what is not known although the present is.
func (t *table) failed() string {
	if t.unknown == "" {
		return ""
	}
	return "what it was before impact is unknown: " + t.unknown
}

// text says the table in words.
func (t *table) text() string {
	common := t.common()
	head := named(t.signal, t.scope(common))
	var tail []string
	if t.gone > 0 {
		tail = append(tail, fmt.Sprintf("%s with data before impact: none now", plural(t.gone, "segment")))
	}
	switch {
	case len(t.segments) == 0 && t.others > 0:
		return listed(head+": no segment has data now; "+count(float64(t.others))+" with other labels do", nil, 0, tail...)
	case len(t.segments) == 0:
		return listed(head+": no data now", nil, 0, tail...)
	case len(t.segments) == 1:
		return listed(head+": "+t.line(t.segments[0], "before impact "), nil, 0, tail...)
	}
	if t.all != nil {
		head += ", all together: " + t.line(*t.all, "before impact ") + "; the worst first"
	} else {
		head += ", now and before impact, the worst first"
	}
	if t.item.Top > 0 && len(t.segments) > t.shown() {
		head += fmt.Sprintf(", the top %d of %d", t.shown(), len(t.segments))
	}
	var lines []string
	for _, one := range t.segments[:t.shown()] {
		own := cut(labelWords(without(one.labels, common), t.item.By), namesBytes)
		lines = append(lines, cmp.Or(own, "the rest")+": "+t.line(one, "was "))
	}
	more := len(t.segments) - t.shown()
	return listed(head+":", lines, more, tail...)
}

// line says a value and what it was.
func (t *table) line(one segment, was string) string {
	said := value(t.signal, one.value)
	switch {
	case one.before != nil:
		said += ", " + was + value(t.signal, *one.before)
	case t.unknown == "" && !t.about.ImpactStartedAt.IsZero():
		said += ", no data before impact"
	}
	if one.share != nil {
		said += "; " + triggers.FormatValue(triggers.Ratio, *one.share) + t.ofWhat()
	}
	if one.worstOf > 1 {
		said += fmt.Sprintf(" (the worst of %d)", one.worstOf)
	}
	return said
}

// ofWhat names the whole that a top list shares out.
func (t *table) ofWhat() string {
	switch {
	case !t.signal.IsRatio():
		return " of the sum"
	case t.signal.Worse == triggers.Both:
		return " of the whole"
	}
	return " of all bad ones"
}

// common gives the labels that all segments have alike, which go into the head.
func (t *table) common() labels.Labels {
	if len(t.segments) == 0 {
		return labels.EmptyLabels()
	}
	b := labels.NewBuilder(t.segments[0].labels)
	t.segments[0].labels.Range(func(l labels.Label) {
		for _, one := range t.segments {
			if one.labels.Get(l.Name) != l.Value {
				b.Del(l.Name)
			}
		}
	})
	return b.Labels()
}

// scope names what the segments have in common, and what was selected as far as that does not show it. That they are the
// incident's service's goes without saying.
func (t *table) scope(common labels.Labels) string {
	b := labels.NewBuilder(common).Del(model.MetricNameLabel)
	if common.Get("service") == t.about.Service {
		b.Del("service")
	}
	where := maps.Clone(t.item.Where)
	maps.DeleteFunc(where, func(name string, _ []string) bool { return common.Has(name) })
	said := []string{labelWords(b.Labels(), t.item.By), whereWords(where)}
	return strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), ", ")
}

func without(l, drop labels.Labels) labels.Labels {
	b := labels.NewBuilder(l).Del(model.MetricNameLabel)
	drop.Range(func(d labels.Label) { b.Del(d.Name) })
	return b.Labels()
}

func whereWords(where map[string][]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(where)) {
		words = append(words, clean(name+" "+strings.Join(where[name], " or "), 2*labelRunes))
	}
	return strings.Join(words, ", ")
}

func title(s *triggers.Signal) string { return clean(cmp.Or(s.Title, s.Name), 80) }

// named is a signal's title with its scope: Refusal rate (tier paid).
func named(s *triggers.Signal, scope string) string {
	if scope == "" {
		return title(s)
	}
	return title(s) + " (" + cut(scope, namesBytes) + ")"
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return count(float64(n)) + " " + word + "s"
}
