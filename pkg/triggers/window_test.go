package triggers_test

import (
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const ten = 10 * time.Minute // 41 points

func TestConditionHolds(t *testing.T) {
	above5 := above(5, ten)
	most := &triggers.Condition{Signal: "s", Comparison: triggers.Above, Limit: 5, For: ten, AtLeast: 0.8}
	share := above(0.1, ten)
	below := &triggers.Condition{Signal: "s", Comparison: triggers.Below, Limit: 5, For: time.Minute}
	between := &triggers.Condition{Signal: "s", Comparison: triggers.Between, Low: 2, High: 4}
	tests := []struct {
		name      string
		condition *triggers.Condition
		points    string
		want      triggers.Verdict
	}{
		{"a window that reaches back to t-for holds", above5, "9x41", triggers.Yes},
		{"one that is a point short is unknown, however bad its points", above5, "9x40", triggers.Unknown},
		{"one that is a point short is unknown, however good its points", above5, "1x40", triggers.Unknown},
		{"the first breach for ago: it holds", above5, "1x5 9x41", triggers.Yes},
		{"the first breach one tick less than for ago: not yet", above5, "1x5 9x40", triggers.No},
		{"a point on the good side starts the window anew", above5, "9x100 1 9x39", triggers.No},
		{"for 0: the latest point decides, for", above(5, 0), "1x41 9", triggers.Yes},
		{"for 0: the latest point decides, against", above(5, 0), "9x41 1", triggers.No},
		{"for 0: without a latest point it is unknown", above(5, 0), "9x41 _", triggers.Unknown},
		{"a for that is no multiple of the interval lasts to the next tick", above(5, 20*time.Second), "1 9 9", triggers.No},
		{"and is over at that tick", above(5, 20*time.Second), "1 9 9 9", triggers.Yes},

		{"below: the other side", below, "5x5", triggers.Yes},
		{"below: not above the limit", below, "4x4 6", triggers.No},
		{"between includes its lower end", between, "2", triggers.Yes},
		{"between includes its upper end", between, "4", triggers.Yes},
		{"between: not below", between, "1.99", triggers.No},
		{"between: not above", between, "4.01", triggers.No},

		{"at_least 80%: 33 of 41 hold", most, "9x16 1x8 9x17", triggers.Yes},
		{"at_least 80%: 32 of 41 do not", most, "9x16 1x9 9x16", triggers.No},
		{"at_least 80%: the last value must satisfy", most, "9x40 1", triggers.No},
		{"without at_least one value that misses is enough", above5, "9x20 1 9x20", triggers.No},

		{"80% known is enough", above5, "9 _ 9x3 _ 9x3 _ 9x3 _ 9x3 _ 9x3 _ 9x3 _ 9x3 _ 9x11", triggers.Yes},
		{"less than 80% known is unknown", above5, "9 _ 9x3 _ 9x3 _ 9x3 _ 9x3 _ 9x3 _ 9x3 _ 9x3 _ 9x3 _ 9x7", triggers.Unknown},
		{"a gap of two intervals is bridged", above5, "9x20 _x2 9x19", triggers.Yes},
		{"a gap of three intervals is not", above5, "9x20 _x3 9x18", triggers.Unknown},
		{"two missing at the end: the last value counts", above5, "9x39 _x2", triggers.Yes},
		{"three missing at the end: unknown", above5, "9x38 _x3", triggers.Unknown},
		{"missing at the very beginning: it does not reach back", above5, "_ 9x40", triggers.Unknown},
		{"no point at all is unknown", above5, "9 _x60", triggers.Unknown},

		{"NaN is no data", above5, "9x20 nanx3 9x18", triggers.Unknown},
		{"Inf is no data, not a large value", above5, "9x20 +infx3 9x18", triggers.Unknown},
		{"-Inf is no data, not a small value", below, "-infx5 1 -inf", triggers.Unknown},

		{"0/0 is neither for nor against, and no gap", share, "5/10 0/0x39 5/10", triggers.Yes},
		{"0/0 at the end: the last value counts", share, "5/10x10 0/0x31", triggers.Yes},
		{"0/0 at the end after a value on the good side", share, "5/10x9 0/10 0/0x31", triggers.No},
		{"0/0 alone breaches nothing", share, "0/0x41", triggers.No},
		{"counts below zero are no data", share, "5/10x20 -1/10x3 5/10x18", triggers.Unknown},
		{"a numerator ahead of its denominator is all of it", above(1, 0), "11/10", triggers.Yes},
		{"and no more than all", above(1.05, 0), "11/10", triggers.No},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, now := play(t, ten, tape{"", test.points})
			got := triggers.Unknown
			if series := test.condition.Select(h, ""); len(series) > 0 {
				got = test.condition.Holds(series[0], now)
			}
			if got != test.want {
				t.Errorf("%s, want %s", verdicts[got], verdicts[test.want])
			}
		})
	}
}

func TestComparisonsIncludeEqualityWithATolerance(t *testing.T) {
	twice := 0.04 + 0.04
	below := func(limit float64) *triggers.Condition {
		return &triggers.Condition{Comparison: triggers.Below, Limit: limit}
	}
	tests := []struct {
		name      string
		condition *triggers.Condition
		value     float64
		want      triggers.Verdict
	}{
		{"twice 4% is 8%, from above", above(twice, 0), 0.08 * (1 - 1e-15), triggers.Yes},
		{"a third of a third is a ninth, whatever the floats say", above(1.0/9, 0), 1.0 / 3 * (1.0 / 3), triggers.Yes},
		{"below, within the tolerance", below(0.08), 0.08 * (1 + 9e-10), triggers.Yes},
		{"below, beyond the tolerance", below(0.08), 0.08 * (1 + 2e-9), triggers.No},
		{"above, within the tolerance", above(0.08, 0), 0.08 * (1 - 9e-10), triggers.Yes},
		{"above, beyond the tolerance", above(0.08, 0), 0.08 * (1 - 2e-9), triggers.No},
		{"a limit below zero has the same tolerance", above(-8, 0), -8 * (1 + 9e-10), triggers.Yes},
		{"zero is zero", below(0), 0, triggers.Yes},
		{"and nothing else", below(0), 1e-300, triggers.No},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := triggers.NewHistory(grid, 0, triggers.Shape{})
			h.Feed(start, []triggers.Point{{V: test.value}})
			if got := test.condition.Holds(only(t, h, test.condition), start); got != test.want {
				t.Errorf("%s, want %s", verdicts[got], verdicts[test.want])
			}
		})
	}
}

// fired gives the first tick of a tape at which a condition's trigger fires, -1 for never.
func fired(t *testing.T, c *triggers.Condition, points string) int {
	t.Helper()
	h := triggers.NewHistory(grid, c.Reach(grid, triggers.Shape{}), triggers.Shape{})
	clause := leafOf(c)
	trigger := triggers.NewTrigger(&clause, nil, "", func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} })
	for n, p := range (tape{"", points}).words(t) {
		var points []triggers.Point
		if p != nil {
			points = append(points, *p)
		}
		h.Feed(tick(n), points)
		if trigger.Judge(tick(n))[0].State == triggers.Fires {
			return n
		}
	}
	return -1
}

func TestABlipDoesNotFire(t *testing.T) {
	tests := []struct {
		name   string
		points string
		want   int
	}{
		{"two minutes, seen for seven in a range of five", "1x60 9x28 1x60", -1},
		{"a point short of ten minutes", "1x60 9x40 1x60", -1},
		{"ten minutes", "1x60 9x41 1x60", 100},
		{"again and again, with a good point between", "1x60 9x39 1 9x39 1 9x39 1", -1},
		{"two minutes, and then no data", "1x60 9x8 _x200", -1},
		{"no data, and then two minutes", "_x60 9x8 1x60", -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := fired(t, above(5, ten), test.points); got != test.want {
				t.Errorf("fires at tick %d, want %d", got, test.want)
			}
		})
	}
}

func TestConditionState(t *testing.T) {
	hysteresis := &triggers.Condition{
		Comparison: triggers.Above, Limit: 15, For: ten,
		Clears: &triggers.Clears{Comparison: triggers.Below, Limit: 12, For: 5 * time.Minute},
	}
	sameTime := &triggers.Condition{
		Comparison: triggers.Above, Limit: 15, For: ten, Clears: &triggers.Clears{Comparison: triggers.Below, Limit: 12},
	}
	onlyTime := &triggers.Condition{
		Comparison: triggers.Above, Limit: 15, For: time.Minute, Clears: &triggers.Clears{For: ten},
	}
	tests := []struct {
		name      string
		condition *triggers.Condition
		points    string
		want      triggers.State
	}{
		{"breaching for ten minutes fires", hysteresis, "20x41", triggers.Fires},
		{"just below the limit after firing is elevated", hysteresis, "20x41 14", triggers.Elevated},
		{"between both limits for ever is elevated", hysteresis, "20x41 14x100", triggers.Elevated},
		{"on the good side, but not yet for clears.for, is elevated", hysteresis, "20x41 10x20", triggers.Elevated},
		{"on the good side for clears.for is clear", hysteresis, "20x41 10x21", triggers.Clear},
		{"the limit of clears is included", hysteresis, "20x41 12x21", triggers.Clear},
		{"one point between the limits starts clearing anew", hysteresis, "20x41 10x20 13 10x20", triggers.Elevated},
		{"breaching, but not yet for ten minutes, is elevated", hysteresis, "10x41 20x10", triggers.Elevated},
		{"a gap of three is unknown, neither firing nor clear", hysteresis, "10x41 _x3 10x5", triggers.StateUnknown},
		{"even where the shorter window of clears is whole", hysteresis, "10x41 _x3 10x28", triggers.StateUnknown},
		{"the same after firing", hysteresis, "20x60 _x3", triggers.StateUnknown},
		{"clears without a for takes the condition's", sameTime, "20x41 10x40", triggers.Elevated},
		{"and is clear at its end", sameTime, "20x41 10x41", triggers.Clear},
		{"without clears: no longer, but not yet for as long, is elevated", above(15, ten), "20x41 14x40", triggers.Elevated},
		{"without clears: the comparison has not held for as long", above(15, ten), "20x41 14x41", triggers.Clear},
		{"clears may name the time alone", onlyTime, "20x41 14x40", triggers.Elevated},
		{"and is clear when it is over", onlyTime, "20x41 14x41", triggers.Clear},
		{"a ratio of nothing shows no health", above(0.1, ten), "0/0x41", triggers.Elevated},
		{"nor does a little of it, before widen_to is over", above(0.1, ten), "0/0x40 0/3", triggers.Elevated},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, now := play(t, test.condition.Reach(grid, triggers.Shape{}), tape{"", test.points})
			if got := test.condition.State(only(t, h, test.condition), now); got != test.want {
				t.Errorf("%s, want %s", states[got], states[test.want])
			}
		})
	}
}

// TestBeginnings plays the start of the worked example: refused 4% until 13:58:30, then 19%, the point at t being the
// mean of (t-5m, t].
func TestBeginnings(t *testing.T) {
	from := time.Date(2026, 11, 20, 13, 30, 0, 0, time.UTC)
	changed := time.Date(2026, 11, 20, 13, 58, 30, 0, time.UTC)
	opened := time.Date(2026, 11, 20, 14, 10, 0, 0, time.UTC)
	mean := func(t time.Time, before, after float64) float64 {
		since := min(max(t.Sub(changed), 0), 5*time.Minute)
		return before + (after-before)*float64(since)/float64(5*time.Minute)
	}
	refused := func(t time.Time) float64 { return mean(t, 0.04, 0.19) }
	deflected := func(t time.Time) float64 { return mean(t, 0.42, 0.25) }
	key := leafOf(&triggers.Condition{Signal: "refused", Comparison: triggers.Below, Limit: 0.06})
	trigger := func(limit float64, clears *triggers.Clears) *triggers.Condition {
		return &triggers.Condition{Signal: "refused", Comparison: triggers.Above, Limit: limit, For: ten, Clears: clears}
	}
	tests := []struct {
		name           string
		condition      *triggers.Condition
		signal         func(time.Time) float64
		at             time.Time
		span           time.Duration
		breach, impact string
		found          bool
	}{
		{
			"impact begins outside the key band", trigger(0.08, nil),
			refused, opened, time.Hour, "14:00:00", "13:59:15", true,
		},
		{
			"clears comes before the key band", trigger(0.08, &triggers.Clears{Comparison: triggers.Below, Limit: 0.05}),
			refused, opened, time.Hour, "14:00:00", "13:59:00", true,
		},
		{
			"without either, impact begins with the breach", &triggers.Condition{Signal: "other", Comparison: triggers.Above, Limit: 0.08, For: ten},
			refused, opened, time.Hour, "14:00:00", "14:00:00", true,
		},
		{
			"the other signal's window", &triggers.Condition{Signal: "deflected", Comparison: triggers.Below, Limit: 0.42 * 0.75, For: ten},
			deflected, opened.Add(105 * time.Second), time.Hour, "14:01:45", "14:01:45", true,
		},
		{
			"a history that does not reach back says so", trigger(0.08, nil),
			refused, opened, ten, "14:00:00", "14:00:00", false,
		},
		{
			"firing long ago, the run is told to its first point", trigger(0.08, nil),
			refused, opened.Add(20 * time.Minute), time.Hour, "14:00:00", "13:59:15", true,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := triggers.NewHistory(grid, test.span, triggers.Shape{})
			for at := from; !at.After(test.at); at = at.Add(step) {
				h.Feed(at, []triggers.Point{{V: test.signal(at)}})
			}
			series := only(t, h, test.condition)
			if got := test.condition.State(series, test.at); got != triggers.Fires {
				t.Fatalf("%s, want it to fire", states[got])
			}
			if got := test.condition.State(series, test.at.Add(-step)); got == triggers.Fires && test.at.Sub(opened) < ten {
				t.Fatal("fires a tick earlier")
			}
			breach, impact, found := triggers.Breach{Condition: test.condition, Series: series}.
				Beginnings(test.at, triggers.Breach{Condition: test.condition}.Normal(&key))
			if b, i := breach.Format("15:04:05"), impact.Format("15:04:05"); b != test.breach || i != test.impact || found != test.found {
				t.Errorf("breach %s, impact %s, found %t; want %s, %s, %t", b, i, found, test.breach, test.impact, test.found)
			}
		})
	}
}

func TestARunGoesOnThroughTheMissesThatItsWindowAllows(t *testing.T) {
	c := &triggers.Condition{Comparison: triggers.Above, Limit: 5, For: ten, AtLeast: 0.8}
	h, now := play(t, time.Hour, tape{"", "1x50 9x20 1x4 9x17"})
	breach, _, _ := triggers.Breach{Condition: c, Series: only(t, h, c)}.Beginnings(now, triggers.Breach{Condition: c}.Normal(nil))
	if want := tick(50); !breach.Equal(want) {
		t.Errorf("breach began %s, want %s", breach, want)
	}
	strict := above(5, ten)
	breach, _, _ = triggers.Breach{Condition: strict, Series: only(t, h, strict)}.Beginnings(now, triggers.Breach{Condition: strict}.Normal(nil))
	if want := tick(74); !breach.Equal(want) {
		t.Errorf("where none may miss: breach began %s, want %s", breach, want)
	}
}

func TestLatest(t *testing.T) {
	h, now := play(t, ten, tape{"", "3/12 0/0"})
	series := only(t, h, above(0, 0))
	if v, ok := series.Latest(tick(0)); !ok || v != (triggers.Value{V: 0.25, Bad: 3, Of: 12}) {
		t.Errorf("%+v, %t", v, ok)
	}
	if v, ok := series.Latest(now); ok {
		t.Errorf("a ratio of nothing has the value %+v", v)
	}
	if v, ok := series.Latest(now.Add(step)); ok {
		t.Errorf("a tick to come has the value %+v", v)
	}
}
