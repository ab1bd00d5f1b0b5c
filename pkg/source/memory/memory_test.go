package memory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/source/memory"
)

func series(t *testing.T, all ...string) []memory.Series {
	t.Helper()
	var list []memory.Series
	for i := 0; i < len(all); i += 2 {
		set, err := memory.ParseLabels(all[i])
		if err != nil {
			t.Fatal(err)
		}
		points, err := memory.ParseValues(all[i+1])
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, memory.Series{Labels: set, Points: points})
	}
	return list
}

// told writes an answer down: "{a="b"} 0s=1 1m0s=2".
func told(a source.Answer) string {
	var lines []string
	for _, s := range a.Series {
		line := s.Labels.String()
		for _, p := range s.Points {
			line += fmt.Sprintf(" %s=%g", time.Duration(p.T)*time.Millisecond, p.V)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func at(d time.Duration) time.Time { return time.Unix(0, 0).Add(d) }

func TestRange(t *testing.T) {
	for _, c := range []struct {
		name       string
		series     []string
		expr       string
		from, to   time.Duration
		want       string
		wantReason source.Reason
	}{
		{"a series is what was written", []string{`up{job="a"}`, "1+1x2"}, "up", 0, 2 * time.Minute,
			`{__name__="up", job="a"} 0s=1 1m0s=2 2m0s=3`, ""},
		{"an omitted point is looked back over for less than five minutes", []string{"up", "1 _x6"}, "up", 3 * time.Minute, 6 * time.Minute,
			`{__name__="up"} 3m0s=1 4m0s=1`, ""},
		{"a stale point ends the series at once", []string{"up", "1 stale 3"}, "up", 0, 2 * time.Minute,
			`{__name__="up"} 0s=1 2m0s=3`, ""},
		{"series that match alone are selected", []string{`up{job="a"}`, "1", `up{job="b"}`, "2"}, `up{job=~"b|c"}`, 0, 0,
			`{__name__="up", job="b"} 0s=2`, ""},
		{"a counter's increase is Prometheus' own", []string{"c", "0+60x5"}, "increase(c[2m])", 5 * time.Minute, 5 * time.Minute,
			`{} 5m0s=120`, ""},
		{"before the epoch there is nothing, not even a constant", []string{"up", "1x3"}, "vector(7)", -150 * time.Second, 30 * time.Second,
			`{} 30s=7`, ""},
		{"a range that ends before the epoch is empty", []string{"up", "1x3"}, "vector(7)", -5 * time.Minute, -1 * time.Minute, "", ""},
		{"a native histogram gives a quantile", []string{"h", "{{schema:0 sum:4 count:4 buckets:[1 2 1]}}x3"}, "histogram_count(h)", 0, 0,
			`{} 0s=4`, ""},
		{"a native histogram by itself is an error", []string{"h", "{{schema:0 sum:4 count:4 buckets:[1 2 1]}}x3"}, "h", 0, 0, "", source.Query},
		{"more series than allowed are an error", []string{`a{n="1"}`, "1", `a{n="2"}`, "1", `a{n="3"}`, "1"}, "a", 0, 0, "", source.Limit},
		{"an expression that the engine refuses is an error", []string{`a{n="1"}`, "1", `a{n="2"}`, "1"}, "a + ignoring(n) a", 0, 0, "", source.Query},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := memory.New(series(t, c.series...), time.Minute, 2)
			a, err := s.Range(t.Context(), c.expr, at(c.from), at(c.to), time.Minute)
			checkAnswer(t, a, err, c.want, c.wantReason)
			if c.from != c.to {
				return
			}
			a, err = s.Instant(t.Context(), c.expr, at(c.to))
			checkAnswer(t, a, err, c.want, c.wantReason)
		})
	}
}

func checkAnswer(t *testing.T, a source.Answer, err error, want string, reason source.Reason) {
	t.Helper()
	var failed *source.Error
	switch {
	case reason == "" && err != nil:
		t.Errorf("got the error %v", err)
	case reason != "" && (!errors.As(err, &failed) || failed.Reason != reason):
		t.Errorf("got %v, want an error with the reason %s", err, reason)
	case told(a) != want:
		t.Errorf("got\n%s\nwant\n%s", told(a), want)
	}
}

func TestAnInstantBeforeTheEpochIsEmpty(t *testing.T) {
	a, err := memory.New(nil, time.Minute, 0).Instant(t.Context(), "vector(1)", at(-time.Second))
	checkAnswer(t, a, err, "", "")
}

func TestARangeWithoutAStepIsAnError(t *testing.T) {
	a, err := memory.New(nil, time.Minute, 0).Range(t.Context(), "vector(1)", at(0), at(0), 0)
	checkAnswer(t, a, err, "", source.Query)
}

func TestMistakesInTheNotation(t *testing.T) {
	labelsOf := func(text string) error { _, err := memory.ParseLabels(text); return err }
	valuesOf := func(text string) error { _, err := memory.ParseValues(text); return err }
	for _, c := range []struct {
		name   string
		parse  func(string) error
		text   string
		offset int
		what   string
	}{
		{"labels that don't end", labelsOf, `up{job="a"`, 10, "unexpected end of input"},
		{"values among the labels", labelsOf, `up 1 2`, 3, "unexpected number"},
		{"nothing at all", labelsOf, `{}`, 0, "neither a metric nor labels"},
		{"a label twice", labelsOf, `up{a="1",a="2"}`, 0, `the label "a" is there twice`},
		{"a word among the values", valuesOf, `1 2 three`, 4, "three"},
		{"a step without a count", valuesOf, `1+2`, 3, "unexpected end of input"},
		{"no values", valuesOf, ``, 0, "no values"},
		{"a billion points", valuesOf, `1 2x1000000000`, 3, "more than 1000000 points"},
		{"a count that no number holds", valuesOf, `2x99999999999999999999`, 1, "more than 1000000 points"},
		{"too many in all", valuesOf, `1x600000 1x600000`, 10, "more than 1000000 points"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m *memory.Mistake
			if err := c.parse(c.text); !errors.As(err, &m) || m.Offset != c.offset || !strings.Contains(m.What, c.what) {
				t.Errorf("got %+v, want %q at byte %d", m, c.what, c.offset)
			}
		})
	}
}

func FuzzParseValues(f *testing.F) {
	for _, seed := range []string{"1+2x3", "_x5 stale 1e3", "{{schema:0 count:1}}x2", "1-2x3 NaN Inf"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		points, err := memory.ParseValues(text)
		var m *memory.Mistake
		switch {
		case err == nil && len(points) == 0:
			t.Error("neither points nor an error")
		case err != nil && (!errors.As(err, &m) || m.Offset < 0 || m.Offset > len(text)):
			t.Errorf("%v at byte %d of %d", err, m.Offset, len(text))
		}
	})
}
