package unittest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// shownSegments is how many segments of a condition are told.
const shownSegments = 5

var stateWords = map[triggers.State]string{
	triggers.StateUnknown: "unknown", triggers.Clear: "clear", triggers.Elevated: "elevated", triggers.Fires: "firing",
}

// whyNot tells where a runbook's trigger stands, and what its conditions see. Where a group is expected, it is that one's.
func (c *comparison) whyNot(ctx context.Context, s *runbook.Snapshot, group map[string]string) {
	status := c.evaluator.Status()
	at := slices.IndexFunc(status.Runbooks, func(r evaluator.RunbookStatus) bool { return r.Name == s.Runbook.Name })
	if at < 0 {
		return // no tick yet
	}
	var stands []string
	for _, g := range status.Runbooks[at].Groups {
		if other := g.Group.Map(); agrees(other, group) {
			stands = append(stands, stateWords[g.State]+forGroup(other))
		}
	}
	if len(stands) > shownSegments {
		stands = append(stands[:shownSegments], fmt.Sprintf("and of %d groups more", len(stands)-shownSegments))
	}
	if len(stands) == 0 {
		stands = []string{"unknown" + forGroup(group)}
	}
	c.say("its trigger is %s:", strings.Join(stands, ", "))
	for _, condition := range s.Runbook.Trigger.Conditions() {
		c.explain(ctx, s, condition, "")
	}
}

func agrees(group, want map[string]string) bool {
	for label, value := range want {
		if group[label] != value {
			return false
		}
	}
	return true
}

func forGroup(group map[string]string) string {
	if len(group) == 0 {
		return ""
	}
	return " for " + labelled(group)
}

// whyOpen tells what the recovery of an incident sees.
func (c *comparison) whyOpen(ctx context.Context, s seen) {
	if !s.Open() {
		return
	}
	book := s.Findings[0].Snapshot
	recovery := &book.Runbook.Recovery
	for i, band := range []*triggers.Clause{recovery.Key.Clause, recovery.Safety.Clause, recovery.Business.Clause} {
		for _, condition := range band.Conditions() {
			c.explain(ctx, book, condition, incident.BandNames[i]+": ")
		}
	}
}

// explain tells what a condition sees of each of its segments, those that have been past its limit longest first.
func (c *comparison) explain(ctx context.Context, s *runbook.Snapshot, condition *triggers.Condition, before string) {
	c.say("  %s%s", before, condition)
	signal := s.Signals[condition.Signal]
	if signal == nil {
		return // built in: no series of its own
	}
	tick := c.grid.Floor(c.t)
	history, err := c.history(ctx, signal, condition, tick)
	if err != nil {
		c.say("    %v", err)
		return
	}
	type segment struct {
		labels, text string
		lasted       time.Duration
	}
	var all []segment
	for _, series := range condition.Select(history, s.Runbook.Service) {
		text, lasted := c.reading(series, condition, signal.Unit, tick)
		all = append(all, segment{labelSet(series.Labels), text, lasted})
	}
	if len(all) == 0 {
		c.say("    no data")
	}
	slices.SortStableFunc(all, func(a, b segment) int { return cmp.Compare(b.lasted, a.lasted) })
	for i, one := range all {
		if i == shownSegments {
			c.say("    and %d more", len(all)-i)
			break
		}
		if one.labels != "" {
			one.labels += ": "
		}
		c.say("    %s%s", one.labels, one.text)
	}
}

// reading is a segment's value at a tick and, where the condition has a limit of its own, for how long it has been so.
func (c *comparison) reading(s triggers.Series, condition *triggers.Condition, unit triggers.Unit, tick time.Time) (text string, lasted time.Duration) {
	value, known := s.Latest(tick)
	if !known {
		return "no data", -1
	}
	text = triggers.FormatValue(unit, value.V)
	if value.Of > 0 {
		text += fmt.Sprintf(" (%s of %s)", triggers.FormatValue(triggers.Count, value.Bad), triggers.FormatValue(triggers.Count, value.Of))
	}
	compare := comparisons[condition.Comparison]
	switch {
	case compare == nil:
		return text, 0
	case !compare(condition, value.V):
		return text + ", not " + string(condition.Comparison), 0
	}
	for t := tick; lasted < condition.For; t = t.Add(-c.grid.Interval) {
		before, known := s.Latest(t.Add(-c.grid.Interval))
		if !known || !compare(condition, before.V) {
			break
		}
		lasted += c.grid.Interval
	}
	if condition.For == 0 {
		return text + ", " + string(condition.Comparison), lasted
	}
	return fmt.Sprintf("%s, %s for %s of %s", text, condition.Comparison,
		triggers.FormatDuration(lasted), triggers.FormatDuration(condition.For)), lasted
}

// comparisons with a limit that stands in the condition. What a relative one compares with only its trigger knows.
var comparisons = map[triggers.Comparison]func(*triggers.Condition, float64) bool{
	triggers.Above:   func(c *triggers.Condition, v float64) bool { return v >= c.Limit },
	triggers.Below:   func(c *triggers.Condition, v float64) bool { return v <= c.Limit },
	triggers.Between: func(c *triggers.Condition, v float64) bool { return v >= c.Low && v <= c.High },
}

// history asks for the points of a condition's window once more.
func (c *comparison) history(ctx context.Context, signal *triggers.Signal, condition *triggers.Condition, tick time.Time) (*triggers.History, error) {
	span := condition.For + c.grid.Interval
	from := tick.Add(-time.Duration(c.grid.Steps(span)) * c.grid.Interval)
	reads := condition.RangeOf(signal)
	sample := func(expression string) (map[int64][]triggers.Sample, error) {
		answer, err := c.source.Range(ctx, triggers.Expand(expression, reads), from, tick, c.grid.Interval)
		byTime := map[int64][]triggers.Sample{}
		for _, s := range answer.Series {
			for _, p := range s.Points {
				byTime[p.T] = append(byTime[p.T], triggers.Sample{Labels: s.Labels, V: p.V})
			}
		}
		return byTime, err
	}
	history := triggers.NewHistory(c.grid, span, triggers.Shape{Ratio: signal.IsRatio(), Reads: reads})
	of := map[int64][]triggers.Sample{}
	expression := signal.Query
	if signal.IsRatio() {
		expression = signal.Numerator
		var err error
		if of, err = sample(signal.Denominator); err != nil {
			return nil, err
		}
	}
	values, err := sample(expression)
	if err != nil {
		return nil, err
	}
	for t := from; !t.After(tick); t = t.Add(c.grid.Interval) {
		points := triggers.Values(values[t.UnixMilli()])
		if signal.IsRatio() {
			points = triggers.Share(values[t.UnixMilli()], of[t.UnixMilli()], signal.ZeroBorn)
		}
		history.Feed(t, points)
	}
	return history, nil
}
