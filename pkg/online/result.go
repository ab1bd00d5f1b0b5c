package online

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// named is how many segments are named at most, worst first.
const named = 3

// Result is what the source said of all runbooks.
type Result struct {
	From     time.Time  `json:"from"`
	To       time.Time  `json:"to"`
	Runbooks []*Runbook `json:"runbooks"`
	// Heard is what the source said beside its data.
	Heard []string `json:"source_warnings,omitempty"`
	// Warnings are what the runbooks mislead by, each at its place.
	Warnings []document.Problem `json:"-"`
}

// Runbook is what the source said of one.
type Runbook struct {
	Name     string         `json:"runbook"`
	Title    string         `json:"title"`
	Error    string         `json:"error,omitempty"` // why it could not be looked at; then there is nothing else
	Err      error          `json:"-"`
	At       document.Place `json:"-"`
	Trigger  Held           `json:"trigger"`
	Triggers []*Condition   `json:"conditions"`
	Severity []*Condition   `json:"severity"`
	Recovery []*Band        `json:"recovery"`
}

// Held is how often something held. Shares are of the evaluation times.
type Held struct {
	Firings int        `json:"firings"` // how often it began to; it must be clear before it begins again
	Share   float64    `json:"share"`
	Unknown float64    `json:"unknown,omitempty"`
	Last    *time.Time `json:"last,omitempty"`
}

// Condition is a condition of the trigger or of the rubric.
type Condition struct {
	Text     string           `json:"condition"`
	Severity runbook.Severity `json:"severity,omitempty"` // of the rule that it stands in
	Held
	Unit     triggers.Unit  `json:"unit"`
	Series   int            `json:"segment_count"`
	Segments []*Segment     `json:"segments,omitempty"` // the worst of those that held, or were unknown for most of the time
	Usually  *Range         `json:"usually,omitempty"`
	Thin     []*Thin        `json:"thin,omitempty"` // the thinnest of the segments that are
	Thins    int            `json:"thin_count,omitempty"`
	At       document.Place `json:"-"`
}

// Range is the least and the greatest of what is usual for the segments.
type Range struct {
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

// Segment is a label set for which a condition held.
type Segment struct {
	Labels labels.Labels `json:"labels"`
	Held
	Usually *float64 `json:"usually,omitempty"`
	Events  *float64 `json:"events_per_minute,omitempty"`
}

// Thin is a segment without events enough for a point to speak alone, and what that means.
type Thin struct {
	Labels labels.Labels `json:"labels"`
	Events float64       `json:"events_per_minute"`
	From   float64       `json:"change_from"`  // the usual share
	To     float64       `json:"change_to"`    // a share that the condition is there to find
	Within duration      `json:"found_within"` // with the chance of
	Chance float64       `json:"chance"`
	// AddedUp is the chance with the segments of its group added up; nil: that would not help.
	AddedUp *float64 `json:"chance_added_up,omitempty"`
	// WidenTo is the shortest time that makes it likely to be found within that time; 0: none does.
	WidenTo duration `json:"widen_to,omitempty"`
	Widened float64  `json:"chance_widened,omitempty"`
}

// Band is a recovery clause.
type Band struct {
	Name    string   `json:"band"`
	Text    string   `json:"condition"`
	InBand  float64  `json:"in_band"` // of the time; every group was
	Unknown float64  `json:"unknown,omitempty"`
	Hold    duration `json:"hold"`
	// Broken is the share of the holds, begun at any minute at which it was in band, that would have broken; nil: none
	// began.
	Broken *float64       `json:"broken_holds,omitempty"`
	Noise  []*Noise       `json:"noise,omitempty"` // of ratios: the worst by chance
	At     document.Place `json:"-"`
}

// Noise is the chance that a hold breaks while all is as usual.
type Noise struct {
	Labels  labels.Labels `json:"labels"`
	Text    string        `json:"condition"`
	Usually float64       `json:"usually"`
	Events  float64       `json:"events_per_range"`
	Chance  float64       `json:"chance"`
}

// duration is written as the documents write it.
type duration time.Duration

// MarshalJSON writes 1h30m.
func (d duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

func (d duration) String() string { return triggers.FormatDuration(time.Duration(d)) }

func (s *spell) held() Held {
	h := Held{Firings: s.begun}
	if s.ticks > 0 {
		h.Share, h.Unknown = float64(s.holds)/float64(s.ticks), float64(s.unknown)/float64(s.ticks)
	}
	if !s.last.IsZero() {
		h.Last = &s.last
	}
	return h
}

func newResult(config *Config, lib *library, surveys []*survey) *Result {
	result := &Result{From: config.Grid.Time(config.first()), To: config.Grid.Time(config.last()), Heard: lib.warnings()}
	for _, s := range surveys {
		rb := &s.of.Runbook
		r := &Runbook{Name: rb.Name, Title: rb.Title, At: rb.Place, Err: s.err}
		result.Runbooks = append(result.Runbooks, r)
		if s.err != nil {
			r.Error = s.err.Error()
			continue
		}
		s.fill(r)
		result.Warnings = append(result.Warnings, s.warnings(r)...)
	}
	return result
}

// fill puts down what a survey found.
func (s *survey) fill(r *Runbook) {
	r.Trigger = s.whole.held()
	r.Trigger.Firings = 0
	for _, g := range s.groups {
		r.Trigger.Firings += g.begun
	}
	for _, c := range s.of.Runbook.Trigger.Conditions() {
		r.Triggers = append(r.Triggers, s.condition(s.watched[c]))
	}
	for _, rule := range s.rules {
		c := &Condition{Text: rule.condition.String(), Severity: rule.severity, Held: rule.held(), At: rule.condition.Place, Unit: s.unit(rule.condition)}
		c.Firings = 0
		for _, g := range rule.groups {
			c.Firings += g.begun
			if g.holds > 0 {
				c.Segments = append(c.Segments, &Segment{Labels: g.group, Held: g.held()})
			}
		}
		c.Series, c.Segments = len(rule.groups), worst(c.Segments)
		r.Severity = append(r.Severity, c)
	}
	for _, b := range s.bands {
		r.Recovery = append(r.Recovery, s.band(b))
	}
}

func (s *survey) unit(c *triggers.Condition) triggers.Unit {
	if signal := s.of.Signals[c.Signal]; signal != nil {
		return signal.Unit
	}
	return triggers.NoUnit
}

func (s *survey) condition(w *watched) *Condition {
	c := &Condition{Text: w.condition.String(), Held: w.held(), Unit: s.unit(w.condition), Series: len(w.series), At: w.condition.Place}
	c.Firings = 0
	for _, one := range w.series {
		c.Firings += one.begun
		v, known := one.value()
		if known {
			if c.Usually == nil {
				c.Usually = &Range{v, v}
			}
			c.Usually.Least, c.Usually.Most = min(c.Usually.Least, v), max(c.Usually.Most, v)
		}
		if one.holds == 0 && one.held().Unknown <= mostOfTheTime {
			continue
		}
		segment := &Segment{Labels: one.labels, Held: one.held()}
		if known {
			segment.Usually = &v
		}
		if f := s.feedOf[w.condition]; f != nil && f.Shape().Ratio && one.points > 0 {
			events := one.minutely(f.Reads)
			segment.Events = &events
		}
		c.Segments = append(c.Segments, segment)
	}
	c.Segments = worst(c.Segments)
	s.thin(c, w)
	return c
}

// minutely is how many events there are a minute.
func (u *usual) minutely(reads time.Duration) float64 { return u.events / u.points / reads.Minutes() }

// worst gives the segments that held longest, then those that were unknown longest.
func worst(all []*Segment) []*Segment {
	slices.SortStableFunc(all, func(a, b *Segment) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(b.Unknown, a.Unknown), labels.Compare(a.Labels, b.Labels))
	})
	return all[:min(len(all), named)]
}

// band tells how a recovery clause did, and what noise alone does to it.
func (s *survey) band(b *band) *Band {
	hold := s.hold()
	held := b.held()
	r := &Band{Name: b.name, Text: b.clause.String(), InBand: held.Share, Unknown: held.Unknown, Hold: duration(hold), At: b.clause.Place}
	length, mayMiss := looksOf(hold, s.config.Grid), 0.0
	for i, c := range b.clause.Conditions() {
		own := s.noise(r, b, c, hold)
		if i == 0 || own < mayMiss {
			mayMiss = own
		}
	}
	begun, broken := 0, 0
	for _, g := range b.groups {
		n, m := g.holds(length, int(mayMiss*float64(length)+1e-9))
		begun, broken = begun+n, broken+m
	}
	if begun > 0 {
		share := float64(broken) / float64(begun)
		r.Broken = &share
	}
	slices.SortStableFunc(r.Noise, func(a, b *Noise) int {
		return cmp.Or(cmp.Compare(b.Chance, a.Chance), labels.Compare(a.Labels, b.Labels))
	})
	r.Noise = r.Noise[:min(len(r.Noise), named)]
	return r
}

// hold is how long recovery must be held in an incident of the usual severity.
func (s *survey) hold() time.Duration { return s.of.Runbook.HoldFor(s.of.Runbook.Severity.Default) }

// dense is as many events in a hold as let a fifth of its points miss.
const (
	dense       = 500
	denseMisses = 0.2
)

// noise reckons the chance that a hold over a condition breaks by noise alone, and gives the part of its points that may
// miss.
func (s *survey) noise(r *Band, b *band, c *triggers.Condition, hold time.Duration) (mayMiss float64) {
	written := 0.0
	if c.AtLeast > 0 {
		written = 1 - c.AtLeast
	}
	mayMiss = written
	f := s.feedOf[c]
	if f == nil || !f.Shape().Ratio {
		return mayMiss
	}
	for _, key := range slices.Sorted(maps.Keys(b.ratios[c])) {
		one := b.ratios[c][key]
		u, ok := one.usually()
		if !ok {
			continue
		}
		may := written
		if c.AtLeast == 0 && u.Events*float64(hold)/float64(f.Reads) >= dense {
			may = denseMisses
		}
		if _, isGroup := b.groups[one.labels.String()]; isGroup {
			mayMiss = may
		}
		r.Noise = append(r.Noise, &Noise{
			Labels: one.labels, Text: c.String(), Usually: u.Share, Events: u.Events,
			Chance: c.Breaks(s.config.Grid, f.Reads, u, hold, may),
		})
	}
	return mayMiss
}
