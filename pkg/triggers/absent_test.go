package triggers_test

import (
	"math"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestAbsent(t *testing.T) {
	five := func(change ...func(*triggers.Condition)) triggers.Condition {
		c := triggers.Condition{Signal: "s", Comparison: triggers.Absent, For: 5 * time.Minute}
		for _, f := range change {
			f(&c)
		}
		return c
	}
	where := func(c *triggers.Condition) { c.Where = map[string][]string{"lang": {"de"}} }
	tests := []struct {
		name      string
		condition triggers.Condition
		groupBy   []string
		yesterday []string // segments that had a value in the last day
		tapes     []tape
		failed    int // of the last ticks, for so many the query failed
		want      string
	}{
		{"a segment that is there is clear", five(), nil, []string{"lang=de"}, []tape{{"lang=de", "1x21"}}, 0, "{} clear"},
		{"one that had values in the last day and has none", five(), nil, []string{"lang=de"}, []tape{{"lang=de", "_x21"}}, 0, `{} fires s{lang="de"}`},
		{"the others do not hide it", five(), nil, []string{"lang=de", "lang=en"}, []tape{{"lang=en", "1x21"}, {"lang=de", "_x21"}}, 0, `{} fires s{lang="de"}`},
		{"not yet for as long", five(), nil, []string{"lang=de"}, []tape{{"lang=de", "1 _x20"}}, 0, "{} elevated"},
		{"a value again, but not for as long yet", five(), nil, []string{"lang=de"}, []tape{{"lang=de", "_x20 1x20"}}, 0, "{} elevated"},
		{"a value for as long is clear", five(), nil, []string{"lang=de"}, []tape{{"lang=de", "_x20 1x21"}}, 0, "{} clear"},
		{"there is no segment at all", five(), nil, nil, []tape{{"", "_x21"}}, 0, "{} fires s{}"},
		{"no segment of those it looks at", five(where), nil, []string{"lang=en"}, []tape{{"lang=en", "1x21"}}, 0, "{} fires s{}"},
		{"where selects", five(where), nil, []string{"lang=en", "lang=de"}, []tape{{"lang=de", "1x21"}, {"lang=en", "_x21"}}, 0, "{} clear"},
		{"each group for itself", five(), []string{"lang"}, []string{"lang=de", "lang=en"}, []tape{{"lang=en", "1x21"}, {"lang=de", "_x21"}}, 0, `{lang="de"} fires s{lang="de"}` + "\n" + `{lang="en"} clear`},
		{"a failed query is not absence", five(), nil, []string{"lang=de"}, []tape{{"lang=de", "_x21"}}, 3, "{} unknown blind to s"},
		{"two failed ones are bridged", five(), nil, []string{"lang=de"}, []tape{{"lang=de", "_x21"}}, 2, `{} fires s{lang="de"}`},
		{"failed from the start", five(), nil, nil, []tape{{"", "_x21"}}, 21, "{} unknown blind to s"},
		{"NaN is no data", five(), nil, []string{"lang=de"}, []tape{{"lang=de", "nanx21"}}, 0, `{} fires s{lang="de"}`},
		{"a share of nothing is data", five(), nil, []string{"lang=de"}, []tape{{"lang=de", "0/0x21"}}, 0, "{} clear"},
		{"at_least of the ticks", five(func(c *triggers.Condition) { c.AtLeast = 0.9 }), nil, []string{"lang=de"}, []tape{{"lang=de", "_x10 1 _x10"}}, 0, `{} fires s{lang="de"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			shape := triggers.Shape{Ratio: len(test.tapes) == 1 && test.tapes[0].points[0] == '0'}
			h := triggers.NewHistory(grid, test.condition.Reach(grid, shape), shape)
			now := feedTapes(t, h, test.tapes...)
			if test.failed > 0 {
				h = triggers.NewHistory(grid, test.condition.Reach(grid, shape), shape)
				for n := range 21 - test.failed {
					h.Feed(tick(n), nil)
				}
				h.Pass(now)
			}
			before := triggers.NewHistory(test.condition.PastGrid(grid, shape), test.condition.PastSpan(), shape)
			var points []triggers.Point
			for _, s := range test.yesterday {
				points = append(points, triggers.Point{Labels: segment(s), V: 1, Of: 1})
			}
			before.Feed(now.Add(-20*time.Hour), points)
			before.Feed(now, nil)
			clause := leafOf(&test.condition)
			trigger := triggers.NewTrigger(&clause, test.groupBy, "", func(*triggers.Condition) triggers.Reading {
				return triggers.Reading{History: h, Past: triggers.Past{Last: before}}
			})
			if got := written(trigger.Judge(now)); got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}

func TestAbsenceBeganWhenTheDataStopped(t *testing.T) {
	c := &triggers.Condition{Signal: "s", Comparison: triggers.Absent, For: 5 * time.Minute}
	clause := leafOf(c)
	h, now := play(t, time.Hour, tape{"", "1x30 _x21"})
	trigger := triggers.NewTrigger(&clause, nil, "", func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} })
	g := trigger.Judge(now)[0]
	if len(g.Breaches) != 1 {
		t.Fatalf("%s", states[g.State])
	}
	breach, impact, found := g.Breaches[0].Beginnings(now, g.Breaches[0].Normal(nil))
	if !found || !breach.Equal(tick(30)) || !impact.Equal(tick(30)) {
		t.Errorf("breach %s, impact %s, %t; want %s", breach, impact, found, tick(30))
	}
}

func TestMinTraffic(t *testing.T) {
	c := func(duration time.Duration) *triggers.Condition {
		return &triggers.Condition{Signal: "s", Comparison: triggers.Above, Limit: 5, For: duration, MinTraffic: 50}
	}
	tests := []struct {
		name   string
		points string // value/traffic
		want   string
	}{
		{"enough traffic counts", "9/50x5", "fires"},
		{"less is insufficient, neither for", "9/49x5", "unknown"},
		{"nor against", "9/50x2 1/49 9/50x2", "fires"},
		{"three of them are a gap", "9/50 9/3x3 9/50", "unknown"},
		{"no traffic that anybody knows of is insufficient", "9/nanx5", "unknown"},
		{"traffic below zero is none", "9/-60x5", "unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := triggers.NewHistory(grid, time.Minute, triggers.Shape{Traffic: true})
			now := feedTapes(t, h, tape{"", test.points})
			clause := leafOf(c(time.Minute))
			reading := func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} }
			trigger := triggers.NewTrigger(&clause, nil, "", reading)
			if got := states[trigger.Judge(now)[0].State]; got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	for of, want := range map[float64]triggers.Verdict{50: triggers.Yes, 49: triggers.Unknown} {
		h := triggers.NewHistory(grid, 0, triggers.Shape{Traffic: true})
		h.Feed(start, []triggers.Point{{V: 9, Of: of}})
		rule := leafOf(c(0))
		scope := triggers.Scope{Reading: func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} }}
		if got := scope.Rubric(&rule, start); got != want {
			t.Errorf("in the rubric, of %v events: %s, want %s", of, verdicts[got], verdicts[want])
		}
	}
}

func TestBlastRadius(t *testing.T) {
	bad := func(signal string, change ...func(*triggers.Condition)) triggers.Clause {
		c := &triggers.Condition{Signal: signal, Comparison: triggers.Above, Limit: 0.5}
		for _, f := range change {
			f(c)
		}
		return leafOf(c)
	}
	paid := func(c *triggers.Condition) { c.Where = map[string][]string{"tier": {"paid"}} }
	tests := []struct {
		name    string
		clause  triggers.Clause
		groupBy []string
		service string
		signals map[string][]tape
		want    float64 // -1: unknown
	}{
		{"the traffic of the segments that breach, over all", bad("a"), nil, "", map[string][]tape{"a": {{"lang=de", "30/30"}, {"lang=en", "0/90"}}}, 0.25},
		{"where is left aside", bad("a", paid), nil, "", map[string][]tape{"a": {{"tier=paid", "30/30"}, {"tier=free", "0/70"}}}, 0.3},
		{"and so is group_by", bad("a"), []string{"lang"}, "", map[string][]tape{"a": {{"lang=de", "30/30"}, {"lang=en", "0/90"}}}, 0.25},
		{"the service's alone, where a segment carries the label", bad("a"), nil, "x", map[string][]tape{"a": {{"service=x,lang=de", "30/30"}, {"service=x,lang=en", "0/30"}, {"service=y", "0/900"}}}, 0.5},
		{"a sum that breaches is all of its members", bad("a", func(c *triggers.Condition) { c.By = []string{"lang"} }), nil, "", map[string][]tape{"a": {{"lang=de,tier=paid", "30/30"}, {"lang=de,tier=free", "0/20"}, {"lang=en", "0/50"}}}, 0.5},
		{"of several signals the largest", anyOf(bad("a"), bad("b")), nil, "", map[string][]tape{"a": {{"lang=de", "30/30"}, {"lang=en", "0/90"}}, "b": {{"lang=de", "60/60"}, {"lang=en", "0/40"}}}, 0.6},
		{"nothing that breaches is no part", bad("a"), nil, "", map[string][]tape{"a": {{"lang=de", "0/30"}}}, 0},
		{"without traffic it is unknown", bad("a"), nil, "", map[string][]tape{"a": {{"lang=de", "9"}}}, -1},
		{"of no events too", bad("a"), nil, "", map[string][]tape{"a": {{"lang=de", "0/0"}}}, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			histories, now := stage{signals: test.signals}.histories(t)
			for _, c := range test.clause.Conditions() {
				c.For, c.Confidence, c.WidenTo = 0, 0.9, 15*time.Second
			}
			trigger := triggers.NewTrigger(&test.clause, test.groupBy, test.service, func(c *triggers.Condition) triggers.Reading {
				return triggers.Reading{History: histories[c.Signal]}
			})
			g := trigger.Judge(now)[0]
			got, known := trigger.BlastRadius(&g, test.service, now)
			if known != (test.want >= 0) || known && math.Abs(got-test.want) > 1e-12 {
				t.Errorf("%v, %t; want %v", got, known, test.want)
			}
			scope := triggers.Scope{BlastRadius: got, BlastRadiusKnown: known}
			rule := limit(triggers.BlastRadius, triggers.Above, 0.5)
			want := map[bool]triggers.Verdict{false: triggers.No, true: triggers.Yes}[test.want >= 0.5]
			if test.want < 0 {
				want = triggers.Unknown
			}
			if v := scope.Rubric(&rule, now); v != want {
				t.Errorf("above 50%%: %s, want %s", verdicts[v], verdicts[want])
			}
		})
	}
}

func TestAbsenceInRubricAndRecovery(t *testing.T) {
	rule := leafOf(&triggers.Condition{Signal: "s", Comparison: triggers.Absent, For: time.Minute})
	for points, want := range map[string]triggers.Verdict{"_x5": triggers.Yes, "1x5": triggers.No, "_x4 1": triggers.No} {
		h, now := play(t, time.Minute, tape{"service=x", points})
		before := triggers.NewHistory(grid, time.Hour, triggers.Shape{})
		before.Feed(now.Add(-30*time.Minute), []triggers.Point{{Labels: segment("service=x"), V: 1}})
		before.Pass(now)
		scope := triggers.Scope{Group: segment("service=x"), Reading: func(*triggers.Condition) triggers.Reading {
			return triggers.Reading{History: h, Past: triggers.Past{Last: before}}
		}}
		if got := scope.Rubric(&rule, now); got != want {
			t.Errorf("%s: %s, want %s", points, verdicts[got], verdicts[want])
		}
		band, _ := scope.Band(&rule, now)
		if held := band == triggers.BandHeld; held != (want == triggers.Yes) {
			t.Errorf("%s: band %s", points, bandStates[band])
		}
	}
}
