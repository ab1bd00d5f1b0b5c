package triggers_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const day = 24 * time.Hour

func relative(comparison triggers.Comparison, limit float64, base triggers.Baseline, change ...func(*triggers.Condition)) triggers.Condition {
	c := triggers.Condition{Comparison: comparison, Limit: limit, For: ten, Baseline: &base}
	for _, f := range change {
		f(&c)
	}
	return c
}

func minDelta(v float64) func(*triggers.Condition) {
	return func(c *triggers.Condition) { c.MinDelta = v }
}

// baselineOf judges, and adds what the limit was made of.
func (r ratioStage) baselineOf(t testing.TB) string {
	t.Helper()
	trigger, _, now := r.trigger(t)
	groups := trigger.Judge(now)
	text := states[groups[0].State]
	for _, b := range append(groups[0].Breaches, groups[0].Thin...) {
		text += fmt.Sprintf(": limit %.4g of %.4g, harmless %.4g, phi %.4g", b.Evidence.Limit, b.Evidence.Baseline, b.Evidence.Harmless, b.Evidence.Phi)
	}
	return text
}

func TestBaselineOfARatio(t *testing.T) {
	last := triggers.Baseline{Last: day} // 288 ranges of five minutes
	doubled := relative(triggers.Rises, 2, last, minDelta(0.02))
	hot := []tape{{"", ranges("40/200", "40/200", "40/200")}}
	clumps := strings.Repeat("0/10 3/10 0/10 0/10 4/10 0/10 1/10 0/10 0/10 2/10 ", 30)
	tests := []struct {
		name  string
		stage ratioStage
		want  string
	}{
		{"rises: twice what is usual, half-way is harmless", ratioStage{condition: doubled, tapes: hot, past: past{points: "8/200x288"}}, "fires: limit 0.08 of 0.04, harmless 0.06, phi 1"},
		{"twice 4% is 8%, whatever the floats say", ratioStage{condition: doubled, tapes: []tape{{"", ranges("160/2000", "160/2000", "160/2000")}}, past: past{points: "8/200x288"}}, "fires: limit 0.08 of 0.04, harmless 0.06, phi 1"},
		{"rises: and by min_delta at least", ratioStage{condition: doubled, tapes: hot, past: past{points: "2/200x288"}}, "fires: limit 0.03 of 0.01, harmless 0.02, phi 1"},
		{"nothing usual: the limit is min_delta, half of it harmless", ratioStage{condition: doubled, tapes: hot, past: past{points: "0/200x288"}}, "fires: limit 0.02 of 0, harmless 0.01, phi 1"},
		{"not risen enough", ratioStage{condition: doubled, tapes: []tape{{"", ranges("15/200", "15/200", "15/200")}}, past: past{points: "8/200x288"}}, "clear"},
		{"falls is mirrored: 85 of 100 lost", ratioStage{condition: relative(triggers.Falls, 0.25, last), tapes: []tape{{"", ranges("8/50", "7/50", "8/50")}}, past: past{points: "42/100x288"}}, "fires: limit 0.315 of 0.42, harmless 0.6325, phi 1"},
		{"falls: 75 of 100 lost are not enough yet", ratioStage{condition: relative(triggers.Falls, 0.25, last, func(c *triggers.Condition) { c.WidenTo = ten }), tapes: []tape{{"", ranges("6/25", "13/50", "12/50")}}, past: past{points: "42/100x288"}}, "elevated: limit 0.315 of 0.42, harmless 0.6325, phi 1"},
		{"falls: and by min_delta at least", ratioStage{condition: relative(triggers.Falls, 0.25, last, minDelta(0.2)), tapes: []tape{{"", ranges("8/50", "7/50", "8/50")}}, past: past{points: "42/100x288"}}, "fires: limit 0.22 of 0.42, harmless 0.68, phi 1"},

		{"beside above it moves no limit, but tells what is harmless", ratioStage{condition: above8(func(c *triggers.Condition) { c.Clears, c.Baseline = nil, &last }), tapes: hot, past: past{points: "8/200x288"}}, "fires: limit 0.08 of 0.04, harmless 0.06, phi 1"},
		{"and how clumped events come", ratioStage{condition: above8(func(c *triggers.Condition) { c.Baseline = &last }), tapes: hot, past: past{points: clumps}}, "fires: limit 0.08 of 0.1, harmless 0.06, phi 2.233"},
		{"a usual share past the limit does not take harmless past it", ratioStage{condition: above8(func(c *triggers.Condition) { c.Clears, c.Baseline = nil, &last }), tapes: hot, past: past{points: "20/200x288"}}, "fires: limit 0.08 of 0.1, harmless 0.08, phi 1"},
		{"the limit of clears is harmless before it", ratioStage{condition: above8(func(c *triggers.Condition) { c.Baseline = &last }), tapes: hot, past: past{points: "2/200x288"}}, "fires: limit 0.08 of 0.01, harmless 0.06, phi 1"},

		{"half of its points are enough", ratioStage{condition: doubled, tapes: hot, past: past{points: "8/200x144"}}, "fires: limit 0.08 of 0.04, harmless 0.06, phi 1"},
		{"fewer are not", ratioStage{condition: doubled, tapes: hot, past: past{points: "8/200x143"}}, "unknown"},
		{"fifty events are enough", ratioStage{condition: doubled, tapes: hot, past: past{points: "0/0x278 1/5 0/5x9"}}, "fires: limit 0.04 of 0.02, harmless 0.03, phi 1"},
		{"fewer are not, either", ratioStage{condition: doubled, tapes: hot, past: past{points: "0/0x279 1/5 0/5x8"}}, "unknown"},
		{"no history at all", ratioStage{condition: doubled, tapes: hot}, "unknown"},
		{"without one a fixed limit stands", ratioStage{condition: above8(func(c *triggers.Condition) { c.Clears, c.Baseline = nil, &last }), tapes: hot}, "fires: limit 0.08 of 0, harmless 0.06504, phi 1"},
		{"a bad hour in the day does not move the median of its blocks, but swells phi", ratioStage{condition: doubled, tapes: hot, past: past{points: "8/200x200 100/200x12 8/200x76"}}, "elevated: limit 0.08 of 0.04, harmless 0.06, phi 30.46"},
		{"of fewer than eight blocks' events the share of all is taken", ratioStage{condition: doubled, tapes: hot, past: past{points: "0/10x200 1/10x79 0/10x9"}}, "fires: limit 0.05486 of 0.02743, harmless 0.04115, phi 1"},
		{"thin points have no median of nought", ratioStage{condition: doubled, tapes: hot, past: past{points: strings.Repeat("0/1x24 1/1 ", 11) + "0/1x13"}}, "fires: limit 0.07639 of 0.03819, harmless 0.05729, phi 1.003"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.stage.condition.Unit = triggers.Ratio
			got := test.stage.baselineOf(t)
			if got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}

func TestBaselineOfAQuery(t *testing.T) {
	last := triggers.Baseline{Last: day}
	week := triggers.Baseline{SameTime: 7 * day, Periods: 4, Width: time.Hour}
	falls := relative(triggers.Falls, 0.15, week)
	rises := relative(triggers.Rises, 2, last)
	at := func(v string) []tape { return []tape{{"", v + "x41"}} }
	tests := []struct {
		name  string
		stage ratioStage
		want  string
	}{
		{"rises: twice the median", ratioStage{condition: rises, tapes: at("10"), past: past{points: "1x100 5x100 9x88"}}, "fires: limit 10 of 5"},
		{"rises: not quite", ratioStage{condition: rises, tapes: at("9.99"), past: past{points: "1x100 5x100 9x88"}}, "clear"},
		{"of an even number the mean of the two in the middle", ratioStage{condition: rises, tapes: at("10"), past: past{points: "4x144 6x144"}}, "fires: limit 10 of 5"},
		{"half of the points are enough", ratioStage{condition: rises, tapes: at("10"), past: past{points: "5x144"}}, "fires: limit 10 of 5"},
		{"fewer are not", ratioStage{condition: rises, tapes: at("10"), past: past{points: "5x143"}}, "unknown"},
		{"twice nothing is nothing: standing still is no rise", ratioStage{condition: rises, tapes: at("0"), past: past{points: "0x288"}}, "clear"},
		{"and no fall", ratioStage{condition: relative(triggers.Falls, 0.6, last), tapes: at("0"), past: past{points: "0x288"}}, "clear"},
		{"min_delta says how much more than nothing", ratioStage{condition: relative(triggers.Rises, 2, last, minDelta(3)), tapes: at("2"), past: past{points: "0x288"}}, "clear"},
		{"below zero twice as bad is twice as far", ratioStage{condition: relative(triggers.Falls, 0.5, last), tapes: at("-14"), past: past{points: "-10x288"}}, "clear"},
		{"below zero it falls too", ratioStage{condition: relative(triggers.Falls, 0.5, last), tapes: at("-15"), past: past{points: "-10x288"}}, "fires: limit -15 of -10"},

		{"same_time: the median of the periods' medians", ratioStage{condition: falls, tapes: at("85"), past: past{periods: []string{"10x20 100x101 999x119", "90x241", "110x241", "100x241"}}}, "fires: limit 85 of 100"},
		{"same_time: as many as have data", ratioStage{condition: falls, tapes: at("85"), past: past{periods: []string{"_x241", "100x241", "_x241", "_x241"}}}, "fires: limit 85 of 100"},
		{"same_time: half of a period's points are data", ratioStage{condition: falls, tapes: at("85"), past: past{periods: []string{"5x50", "100x121", "_x241", "_x241"}}}, "fires: limit 85 of 100"},
		{"same_time: at least one", ratioStage{condition: falls, tapes: at("85"), past: past{periods: []string{"_x241", "_x241", "_x241", "_x241"}}}, "unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.stage.reads = step
			trigger, _, now := test.stage.trigger(t)
			g := trigger.Judge(now)[0]
			got := states[g.State]
			for _, b := range g.Breaches {
				got += fmt.Sprintf(": limit %.4g of %.4g", b.Evidence.Limit, b.Evidence.Baseline)
			}
			if got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}

func TestSameTimeOfARatio(t *testing.T) {
	rises := relative(triggers.Rises, 2, triggers.Baseline{SameTime: day, Periods: 3, Width: time.Hour}, minDelta(0.02))
	hot := []tape{{"", ranges("40/200", "40/200", "40/200")}}
	tests := []struct {
		name    string
		periods []string
		want    string
	}{
		{"the median of the periods' shares", []string{"2/200x12", "8/200x12", "20/200x12"}, "fires: limit 0.08 of 0.04, harmless 0.06, phi 6.063"},
		{"a period without events is left out", []string{"8/200x12", "0/0x12", "8/200x12"}, "fires: limit 0.08 of 0.04, harmless 0.06, phi 1"},
		{"fewer than fifty events in all are no baseline", []string{"0/1x12", "1/1x12", "0/1x12"}, "unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ratioStage{condition: rises, tapes: hot, past: past{periods: test.periods}}.baselineOf(t)
			if got != test.want {
				t.Errorf("%s\nwant %s", got, test.want)
			}
		})
	}
}

// TestBaselineNeverIncludesFor: what is bad since `for` began is no part of what is usual, however short `last` is.
func TestBaselineNeverIncludesFor(t *testing.T) {
	c := relative(triggers.Rises, 2, triggers.Baseline{Last: 10 * time.Minute})
	own := c.PastGrid(grid, triggers.Shape{Reads: step})
	main := triggers.NewHistory(grid, c.Reach(grid, triggers.Shape{Reads: step}), triggers.Shape{Reads: step})
	before := triggers.NewHistory(own, c.PastSpan()+c.For, triggers.Shape{Reads: step})
	clause := leafOf(&c)
	trigger := triggers.NewTrigger(&clause, nil, "", func(*triggers.Condition) triggers.Reading {
		return triggers.Reading{History: main, Past: triggers.Past{Last: before}}
	})
	for n := range 200 {
		p := []triggers.Point{{V: 5}}
		if n >= 100 {
			p[0].V = 10
		}
		main.Feed(tick(n), p)
		before.Feed(tick(n), p)
		want := triggers.Clear
		switch {
		case n < 60:
			continue // the baseline is not known yet
		case n >= 140:
			want = triggers.Fires // for ever: the baseline is frozen
		case n >= 100:
			want = triggers.Elevated
		}
		if got := trigger.Judge(tick(n))[0].State; got != want {
			t.Fatalf("tick %d: %s, want %s", n, states[got], states[want])
		}
	}
	trigger.Thaw(trigger.Judge(tick(199))[0].Group)
	if got := trigger.Judge(tick(199))[0].State; got == triggers.Fires {
		t.Errorf("thawed, it still fires against what was usual long ago")
	}
}

// twoSignals is a trigger of two conditions with last baselines, over a group each.
func twoSignals(t *testing.T, clause func(a, b triggers.Clause) triggers.Clause, segments [2]string) (*triggers.Trigger, func(n int, a, b float64)) {
	t.Helper()
	var leaves [2]triggers.Clause
	main, before := map[string]*triggers.History{}, map[string]*triggers.History{}
	for i, name := range []string{"a", "b"} {
		c := relative(triggers.Rises, 2, triggers.Baseline{Last: 10 * time.Minute}, func(c *triggers.Condition) { c.Signal, c.For = name, time.Minute })
		leaves[i] = leafOf(&c)
		main[name] = triggers.NewHistory(grid, c.Reach(grid, triggers.Shape{}), triggers.Shape{})
		before[name] = triggers.NewHistory(c.PastGrid(grid, triggers.Shape{}), c.PastSpan()+c.For, triggers.Shape{})
	}
	whole := clause(leaves[0], leaves[1])
	trigger := triggers.NewTrigger(&whole, []string{"service"}, "", func(c *triggers.Condition) triggers.Reading {
		return triggers.Reading{History: main[c.Signal], Past: triggers.Past{Last: before[c.Signal]}}
	})
	return trigger, func(n int, a, b float64) {
		for i, name := range []string{"a", "b"} {
			p := []triggers.Point{{Labels: segment(segments[i]), V: []float64{a, b}[i]}}
			main[name].Feed(tick(n), p)
			before[name].Feed(tick(n), p)
		}
	}
}

func TestTheFirstThatFiresFreezesAll(t *testing.T) {
	trigger, feed := twoSignals(t, func(a, b triggers.Clause) triggers.Clause { return anyOf(a, b) }, [2]string{"service=x", "service=x"})
	var g triggers.GroupState
	for n := range 200 {
		a, b := 1.0, 1.0
		if n >= 60 {
			a = 2
		}
		if n >= 61 {
			b = 1.9 // a slow harm that becomes usual, were it not frozen
		}
		if n >= 180 {
			b = 2
		}
		feed(n, a, b)
		g = trigger.Judge(tick(n))[0]
	}
	if len(g.Breaches) != 2 || len(g.Frozen) != 2 {
		t.Errorf("%d breaches, %d frozen; want both conditions to fire against what was usual before the incident", len(g.Breaches), len(g.Frozen))
	}
	if g.Frozen[0].Value != 1 || g.Frozen[1].Value != 1 {
		t.Errorf("frozen at %v and %v, want 1", g.Frozen[0].Value, g.Frozen[1].Value)
	}
}

func TestASeriesThatAllGroupsSeeIsFrozenToo(t *testing.T) {
	trigger, feed := twoSignals(t, func(a, b triggers.Clause) triggers.Clause { return allOf(a, b) }, [2]string{"service=x", ""})
	for n := range 200 {
		v := 1.0
		if n >= 60 {
			v = 2
		}
		feed(n, v, v)
		g := trigger.Judge(tick(n))[0]
		if fires := g.State == triggers.Fires; fires != (n >= 64) && n >= 30 {
			t.Fatalf("tick %d: %s", n, states[g.State])
		}
	}
}

func TestSameTimeSkipsTheIncident(t *testing.T) {
	c := relative(triggers.Falls, 0.5, triggers.Baseline{SameTime: day, Periods: 2, Width: time.Hour}, func(c *triggers.Condition) { c.Unit = triggers.Count })
	r := ratioStage{condition: c, reads: step, tapes: []tape{{"", "40x41"}}, past: past{periods: []string{"40x241", "100x241"}}}
	trigger, _, now := r.trigger(t)
	if got := trigger.Judge(now)[0]; got.State != triggers.Clear {
		t.Errorf("of both days: %s, want clear", states[got.State])
	}
	trigger.Freeze(segment(""), nil, now.Add(-day-time.Hour)) // it has been open for a day and an hour
	if got := trigger.Judge(now)[0]; got.State != triggers.Fires {
		t.Errorf("of the day before the incident: %s, want it to fire", states[got.State])
	}
	trigger.Freeze(segment(""), nil, now.Add(-3*day))
	if got := trigger.Judge(now)[0]; got.State != triggers.StateUnknown {
		t.Errorf("of no day: %s, want unknown", states[got.State])
	}
}

func TestABaselineLearnsOfPointsThatComeLate(t *testing.T) {
	c := relative(triggers.Rises, 2, triggers.Baseline{Last: 10 * time.Minute}, func(c *triggers.Condition) { c.For = 0 })
	shape := triggers.Shape{Reads: time.Minute}
	main := triggers.NewHistory(grid, c.Reach(grid, shape), shape)
	before := triggers.NewHistory(c.PastGrid(grid, shape), c.PastSpan(), shape)
	clause := leafOf(&c)
	trigger := triggers.NewTrigger(&clause, nil, "", func(*triggers.Condition) triggers.Reading {
		return triggers.Reading{History: main, Past: triggers.Past{Last: before}}
	})
	main.Feed(start, []triggers.Point{{V: 10}})
	for i := 9; i >= 6; i-- {
		before.Feed(start.Add(-time.Duration(i)*time.Minute), []triggers.Point{{V: 5}})
	}
	before.Pass(start)
	if got := trigger.Judge(start)[0].State; got != triggers.StateUnknown {
		t.Fatalf("with four of ten points: %s", states[got])
	}
	before.Feed(start.Add(-time.Minute), []triggers.Point{{V: 5}})
	if got := trigger.Judge(start)[0].State; got != triggers.Fires {
		t.Errorf("with five of them: %s", states[got])
	}
}

func TestRubricAndRecoveryCompareWithTheTimeBeforeTheImpact(t *testing.T) {
	within := &triggers.Condition{Signal: "s", Comparison: triggers.Within, Limit: 0.1, Worse: triggers.Down, Baseline: &triggers.Baseline{Last: time.Hour}}
	worse := &triggers.Condition{Signal: "s", Comparison: triggers.Falls, Limit: 0.5, Baseline: &triggers.Baseline{Last: time.Hour}}
	shape := triggers.Shape{Reads: time.Minute}
	main := triggers.NewHistory(grid, 0, shape)
	before := triggers.NewHistory(within.PastGrid(grid, shape), 3*time.Hour, shape)
	for i := 180; i >= 0; i-- {
		v := 100.0
		if i < 90 {
			v = 40
		}
		before.Feed(start.Add(-time.Duration(i)*time.Minute), []triggers.Point{{V: v}})
	}
	main.Feed(start, []triggers.Point{{V: 40}})
	scope := func(since time.Time) triggers.Scope {
		return triggers.Scope{Since: since, Reading: func(*triggers.Condition) triggers.Reading {
			return triggers.Reading{History: main, Past: triggers.Past{Last: before}}
		}}
	}
	open := scope(start.Add(-90 * time.Minute))
	key, rule := leafOf(within), leafOf(worse)
	if band, _ := open.Band(&key, start); band != triggers.BandMissed {
		t.Errorf("within 10%% of what was usual before: %s, want missed", bandStates[band])
	}
	if got := open.Rubric(&rule, start); got != triggers.Yes {
		t.Errorf("fallen against what was usual before: %s, want yes", verdicts[got])
	}
	if band, _ := scope(time.Time{}).Band(&key, start); band != triggers.BandHeld {
		t.Errorf("within 10%% of the last hour: %s, want held", bandStates[band])
	}
}

func TestWithinAsksTheSideThatHurts(t *testing.T) {
	tests := []struct {
		worse triggers.Worse
		value float64
		want  triggers.BandState
	}{
		{triggers.Up, 110, triggers.BandHeld},
		{triggers.Up, 111, triggers.BandMissed},
		{triggers.Up, 1, triggers.BandHeld},
		{triggers.Down, 90, triggers.BandHeld},
		{triggers.Down, 89, triggers.BandMissed},
		{triggers.Down, 999, triggers.BandHeld},
		{triggers.Both, 111, triggers.BandMissed},
		{triggers.Both, 89, triggers.BandMissed},
		{triggers.Both, 100, triggers.BandHeld},
	}
	for _, test := range tests {
		c := &triggers.Condition{Comparison: triggers.Within, Limit: 0.1, Worse: test.worse, Baseline: &triggers.Baseline{Last: time.Hour}}
		main, before := triggers.NewHistory(grid, 0, triggers.Shape{}), triggers.NewHistory(c.PastGrid(grid, triggers.Shape{}), time.Hour, triggers.Shape{})
		for i := 240; i >= 0; i-- {
			before.Feed(start.Add(-time.Duration(i)*step), []triggers.Point{{V: 100}})
		}
		main.Feed(start, []triggers.Point{{V: test.value}})
		key := leafOf(c)
		got, _ := triggers.Scope{Reading: func(*triggers.Condition) triggers.Reading {
			return triggers.Reading{History: main, Past: triggers.Past{Last: before}}
		}}.Band(&key, start)
		if got != test.want {
			t.Errorf("worse %s, %v of 100: %s, want %s", test.worse, test.value, bandStates[got], bandStates[test.want])
		}
	}
}

func TestPointsThatAreNoneInABaseline(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		c := relative(triggers.Rises, 2, triggers.Baseline{Last: day})
		r := ratioStage{condition: c, reads: step, tapes: []tape{{"", "10x41"}}, past: past{points: fmt.Sprintf("%vx144 5x144", bad)}}
		if got := r.judge(t); !strings.HasPrefix(got, "fires") {
			t.Errorf("%v in half of it: %s", bad, got)
		}
		r.past.points = fmt.Sprintf("%vx145 5x143", bad)
		if got := r.judge(t); got != "unknown" {
			t.Errorf("%v in more than half of it: %s", bad, got)
		}
	}
}
