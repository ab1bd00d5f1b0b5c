package triggers_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// The tests play tapes: a segment's points, one a tick, written as words. 5x40 is forty fives, _ is a tick without a
// point, 3/10 is a ratio's counts.

const step = 15 * time.Second

var (
	grid  = triggers.Grid{Interval: step}
	start = time.Date(2026, 11, 20, 14, 0, 0, 0, time.UTC)
)

// tick is the time of the nth point of a tape.
func tick(n int) time.Time { return start.Add(time.Duration(n) * step) }

type tape struct {
	segment string // "service=a,tier=paid"
	points  string
}

func segment(text string) labels.Labels {
	var pairs []string
	for pair := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			pairs = append(pairs, name, value)
		}
	}
	return labels.FromStrings(pairs...)
}

// words gives the points of a tape; nil where there is none.
func (p tape) words(t testing.TB) []*triggers.Point {
	var points []*triggers.Point
	for word := range strings.FieldsSeq(p.points) {
		value, count, repeated := strings.Cut(word, "x")
		n := 1
		if repeated {
			n = int(number(t, count))
		}
		for range n {
			points = append(points, p.point(t, value))
		}
	}
	return points
}

func (p tape) point(t testing.TB, word string) *triggers.Point {
	if word == "_" {
		return nil
	}
	bad, of, ratio := strings.Cut(word, "/")
	point := triggers.Point{Labels: segment(p.segment), V: number(t, bad)}
	if ratio {
		point.Of = number(t, of)
	}
	return &point
}

func number(t testing.TB, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatalf("tape: %v", err)
	}
	return v
}

// play feeds tapes side by side into a new history, and gives the time of the last tick.
func play(t testing.TB, span time.Duration, tapes ...tape) (*triggers.History, time.Time) {
	t.Helper()
	ratio := strings.Contains(tapes[0].points, "/")
	h := triggers.NewHistory(grid, span, triggers.Shape{Ratio: ratio})
	return h, feedTapes(t, h, tapes...)
}

func feedTapes(t testing.TB, h *triggers.History, tapes ...tape) time.Time {
	t.Helper()
	var all [][]*triggers.Point
	longest := 0
	for _, tape := range tapes {
		all = append(all, tape.words(t))
		longest = max(longest, len(all[len(all)-1]))
	}
	for n := range longest {
		var points []triggers.Point
		for _, of := range all {
			if n < len(of) && of[n] != nil {
				points = append(points, *of[n])
			}
		}
		h.Feed(tick(n), points)
	}
	return tick(longest - 1)
}

// only gives the one series of a history.
func only(t testing.TB, h *triggers.History, c *triggers.Condition) triggers.Series {
	t.Helper()
	series := c.Select(h, "")
	if len(series) != 1 {
		t.Fatalf("%d series, want one", len(series))
	}
	return series[0]
}

func leafOf(c *triggers.Condition) triggers.Clause { return triggers.Clause{Condition: c} }

func above(limit float64, duration time.Duration) *triggers.Condition {
	return &triggers.Condition{Signal: "s", Comparison: triggers.Above, Limit: limit, For: duration}
}

var verdicts = map[triggers.Verdict]string{triggers.Unknown: "unknown", triggers.No: "no", triggers.Yes: "yes"}

var states = map[triggers.State]string{
	triggers.StateUnknown: "unknown", triggers.Clear: "clear", triggers.Elevated: "elevated", triggers.Fires: "fires",
}

var bandStates = map[triggers.BandState]string{
	triggers.BandUnknown: "unknown", triggers.BandHeld: "held", triggers.BandMissed: "missed", triggers.BandEmpty: "empty",
}
