package triggers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// stage is a clause over named signals, each with its tapes.
type stage struct {
	clause  triggers.Clause
	groupBy []string
	service string
	signals map[string][]tape
}

// on is a condition `above 5 for 0s` on a signal: the latest point decides.
func on(signal string) triggers.Clause {
	return leafOf(&triggers.Condition{Signal: signal, Comparison: triggers.Above, Limit: 5})
}

// hot is a condition that is elevated between 3 and 5.
func hot(signal string) triggers.Clause {
	return leafOf(&triggers.Condition{
		Signal: signal, Comparison: triggers.Above, Limit: 5,
		Clears: &triggers.Clears{Comparison: triggers.Below, Limit: 3},
	})
}

func anyOf(clauses ...triggers.Clause) triggers.Clause { return triggers.Clause{Any: clauses} }
func allOf(clauses ...triggers.Clause) triggers.Clause { return triggers.Clause{All: clauses} }

// judge plays the tapes and writes down where each group stands: "{} fires: a{lang=de}".
func (s stage) judge(t *testing.T) string {
	t.Helper()
	histories, now := s.histories(t)
	trigger := triggers.NewTrigger(&s.clause, s.groupBy, s.service, func(c *triggers.Condition) triggers.Reading {
		return triggers.Reading{History: histories[c.Signal]}
	})
	return written(trigger.Judge(now))
}

func written(groups []triggers.GroupState) string {
	var lines []string
	for _, g := range groups {
		line := g.Group.String() + " " + states[g.State]
		for _, b := range g.Breaches {
			line += " " + b.Condition.Signal + b.Series.Labels.String()
		}
		if len(g.Unknown) > 0 {
			line += " blind to"
		}
		for _, c := range g.Unknown {
			line += " " + c.Signal
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (s stage) histories(t *testing.T) (map[string]*triggers.History, time.Time) {
	t.Helper()
	histories := map[string]*triggers.History{}
	now := start
	for name, tapes := range s.signals {
		var at time.Time
		histories[name], at = play(t, time.Hour, tapes...)
		if at.After(now) {
			now = at
		}
	}
	for _, h := range histories {
		h.Pass(now)
	}
	return histories, now
}

func TestTriggerTrees(t *testing.T) {
	one := func(a, b string) map[string][]tape { return map[string][]tape{"a": {{"", a}}, "b": {{"", b}}} }
	tests := []struct {
		name   string
		clause triggers.Clause
		a, b   string
		want   string
	}{
		{"any: one that fires is enough", anyOf(on("a"), on("b")), "9", "1", "{} fires a{}"},
		{"any: one that fires is enough, whatever is unknown beside it", anyOf(on("a"), on("b")), "9", "_", "{} fires a{}"},
		{"any: both are told", anyOf(on("a"), on("b")), "9", "9", "{} fires a{} b{}"},
		{"any: clear needs all clear", anyOf(on("a"), on("b")), "1", "1", "{} clear"},
		{"any: unknown beside clear is unknown", anyOf(on("a"), on("b")), "1", "_", "{} unknown blind to b"},
		{"any: elevated beside clear is elevated", anyOf(hot("a"), hot("b")), "4", "1", "{} elevated"},
		{"any: unknown beside elevated is unknown", anyOf(hot("a"), hot("b")), "4", "_", "{} unknown blind to b"},
		{"all: both must fire", allOf(on("a"), on("b")), "9", "9", "{} fires a{} b{}"},
		{"all: one that is clear makes it clear, whatever is unknown beside it", allOf(on("a"), on("b")), "1", "_", "{} clear"},
		{"all: an unknown beside one that fires is unknown", allOf(on("a"), on("b")), "9", "_", "{} unknown blind to b"},
		{"all: elevated beside firing is elevated", allOf(hot("a"), hot("b")), "9", "4", "{} elevated"},
		{"they nest: any of all", anyOf(allOf(on("a"), on("b")), on("b")), "1", "9", "{} fires b{}"},
		{"they nest: all of any", allOf(anyOf(on("a"), on("b")), on("b")), "9", "1", "{} clear"},
		{"nothing known is unknown", anyOf(on("a"), on("b")), "_", "_", "{} unknown blind to a b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := (stage{clause: test.clause, signals: one(test.a, test.b)}).judge(t); got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}

func TestTriggerGroups(t *testing.T) {
	service := []string{"service"}
	tests := []struct {
		name  string
		stage stage
		want  string
	}{
		{
			"without group_by there is one group, and one segment is enough",
			stage{clause: on("a"), signals: map[string][]tape{"a": {{"lang=en", "1"}, {"lang=de", "9"}}}},
			`{} fires a{lang="de"}`,
		},
		{
			"without a segment the group is unknown",
			stage{clause: on("a"), signals: map[string][]tape{"a": {{"", "_"}}}},
			`{} unknown blind to a`,
		},
		{
			"each value of the label is a group",
			stage{clause: on("a"), groupBy: service, signals: map[string][]tape{"a": {{"service=y,lang=en", "1"}, {"service=x,lang=en", "9"}, {"service=x,lang=de", "1"}}}},
			`{service="x"} fires a{lang="en", service="x"}` + "\n" + `{service="y"} clear`,
		},
		{
			"a segment without the label is the group of the empty value",
			stage{clause: on("a"), groupBy: service, signals: map[string][]tape{"a": {{"service=x", "1"}, {"lang=de", "9"}}}},
			`{} fires a{lang="de"}` + "\n" + `{service="x"} clear`,
		},
		{
			"all is not in the same segment",
			stage{clause: allOf(on("a"), on("b")), groupBy: service, signals: map[string][]tape{"a": {{"service=x,lang=de", "9"}}, "b": {{"service=x,lang=en", "9"}}}},
			`{service="x"} fires a{lang="de", service="x"} b{lang="en", service="x"}`,
		},
		{
			"but all is in the same group",
			stage{clause: allOf(on("a"), on("b")), groupBy: service, signals: map[string][]tape{"a": {{"service=x", "9"}, {"service=y", "1"}}, "b": {{"service=x", "1"}, {"service=y", "9"}}}},
			`{service="x"} clear` + "\n" + `{service="y"} clear`,
		},
		{
			"inside all, a signal without the label is seen whole by each group and opens nothing by itself",
			stage{clause: allOf(on("a"), on("b")), groupBy: service, signals: map[string][]tape{"a": {{"service=x", "9"}, {"service=y", "1"}}, "b": {{"", "9"}}}},
			`{service="x"} fires a{service="x"} b{}` + "\n" + `{service="y"} clear`,
		},
		{
			"deeper inside all too",
			stage{clause: allOf(on("a"), anyOf(on("b"), on("a"))), groupBy: service, signals: map[string][]tape{"a": {{"service=x", "9"}}, "b": {{"", "9"}}}},
			`{service="x"} fires a{service="x"} b{} a{service="x"}`,
		},
		{
			"where no signal carries the label there is the group of the empty value",
			stage{clause: allOf(on("a"), on("b")), groupBy: service, signals: map[string][]tape{"a": {{"", "9"}}, "b": {{"", "9"}}}},
			`{} fires a{} b{}`,
		},
		{
			"inside all, a segment with one of two labels is seen by the groups that agree with it",
			stage{clause: allOf(on("a"), on("b")), groupBy: []string{"service", "tier"}, signals: map[string][]tape{"a": {{"service=x,tier=paid", "9"}, {"service=y,tier=paid", "9"}}, "b": {{"service=x", "9"}}}},
			`{service="x"} unknown blind to a` + "\n" + `{service="x", tier="paid"} fires a{service="x", tier="paid"} b{service="x"}` + "\n" + `{service="y", tier="paid"} unknown blind to b`,
		},
		{
			"the service selects its segments, where a signal carries the label",
			stage{clause: anyOf(on("a"), on("b")), service: "x", signals: map[string][]tape{"a": {{"service=x", "1"}, {"service=y", "9"}}, "b": {{"", "9"}}}},
			`{} fires b{}`,
		},
		{
			"a by that drops the group's label opens the empty value",
			stage{
				clause:  leafOf(&triggers.Condition{Signal: "a", Comparison: triggers.Above, Limit: 0.5, By: []string{"lang"}}),
				groupBy: service, signals: map[string][]tape{"a": {{"service=x,lang=de", "9/10"}, {"service=y,lang=de", "9/10"}}},
			},
			`{} fires a{lang="de"}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.stage.judge(t); got != test.want {
				t.Errorf("\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestTriggerFollowsItsSegments(t *testing.T) {
	h := triggers.NewHistory(grid, time.Minute, triggers.Shape{})
	clause := on("a")
	trigger := triggers.NewTrigger(&clause, []string{"lang"}, "", func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} })
	feed := func(n int, langs ...string) {
		var points []triggers.Point
		for _, lang := range langs {
			points = append(points, triggers.Point{Labels: segment("lang=" + lang), V: 9})
		}
		h.Feed(tick(n), points)
	}
	groups := func(n int) (all []string) {
		for _, g := range trigger.Judge(tick(n)) {
			all = append(all, fmt.Sprintf("%s %s", g.Group.Get("lang"), states[g.State]))
		}
		return all
	}
	feed(0, "en")
	if got := groups(0); !slices.Equal(got, []string{"en fires"}) {
		t.Errorf("%v", got)
	}
	feed(1, "en", "de")
	if got := groups(1); !slices.Equal(got, []string{"de fires", "en fires"}) {
		t.Errorf("a segment has come: %v", got)
	}
	feed(2, "de")
	if got := groups(2); !slices.Equal(got, []string{"de fires", "en unknown"}) {
		t.Errorf("a segment has no point: %v", got)
	}
	for n := 3; n < 10; n++ {
		feed(n, "de")
	}
	if got := groups(9); !slices.Equal(got, []string{"de fires"}) {
		t.Errorf("a segment is gone: %v", got)
	}
}
