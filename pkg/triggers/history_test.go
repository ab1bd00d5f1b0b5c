package triggers_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestGrid(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	tests := []struct {
		name     string
		grid     triggers.Grid
		at, want string
	}{
		{"a time on the grid is its own floor", triggers.Grid{Interval: step}, "2026-11-20T14:00:15Z", "2026-11-20T14:00:15Z"},
		{"a time between two is floored", triggers.Grid{Interval: step}, "2026-11-20T14:00:29.999Z", "2026-11-20T14:00:15Z"},
		{"the phase shifts the grid", triggers.Grid{Interval: step, Phase: 4 * time.Second}, "2026-11-20T14:00:15Z", "2026-11-20T14:00:04Z"},
		{"the grid counts from the epoch, not from the hour", triggers.Grid{Interval: 7 * time.Second}, "1970-01-01T00:00:20Z", "1970-01-01T00:00:14Z"},
		{"times before the epoch are floored too", triggers.Grid{Interval: step}, "1969-12-31T23:59:59Z", "1969-12-31T23:59:45Z"},
		{"times come out in UTC", triggers.Grid{Interval: step}, "2026-11-20T16:00:16+02:00", "2026-11-20T14:00:15Z"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.grid.Floor(at(test.at)).Format(time.RFC3339Nano); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestStepsCountABegunIntervalWhole(t *testing.T) {
	for d, want := range map[time.Duration]int64{0: 0, time.Second: 1, step: 1, step + 1: 2, 10 * time.Minute: 40} {
		if got := grid.Steps(d); got != want {
			t.Errorf("%s: %d steps, want %d", d, got, want)
		}
	}
}

// holds judges the one series of a history; none is unknown.
func holds(t *testing.T, h *triggers.History, c *triggers.Condition, at time.Time) string {
	t.Helper()
	if h.Segments() == 0 {
		return "unknown"
	}
	return verdicts[c.Holds(only(t, h, c), at)]
}

func TestHistory(t *testing.T) {
	point := func(v float64) []triggers.Point { return []triggers.Point{{V: v}} }
	bad := above(5, time.Minute) // five points

	t.Run("a tick that is never fed is no data", func(t *testing.T) {
		h := triggers.NewHistory(grid, time.Minute, triggers.Shape{})
		for _, n := range []int{0, 1, 2, 7, 8} {
			h.Feed(tick(n), point(9))
		}
		if got := holds(t, h, bad, tick(8)); got != "unknown" {
			t.Errorf("%s", got)
		}
	})
	t.Run("points that come late are put in their places", func(t *testing.T) {
		h := triggers.NewHistory(grid, time.Minute, triggers.Shape{})
		for n := 4; n >= 0; n-- {
			h.Feed(tick(n), point(9))
		}
		if got := holds(t, h, bad, tick(4)); got != "yes" {
			t.Errorf("%s", got)
		}
	})
	t.Run("a tick fed again is what the second feeding says", func(t *testing.T) {
		h := triggers.NewHistory(grid, time.Minute, triggers.Shape{})
		for n := range 5 {
			h.Feed(tick(n), point(9))
		}
		h.Feed(tick(4), point(1))
		if got := holds(t, h, bad, tick(4)); got != "no" {
			t.Errorf("another value: %s", got)
		}
		for n := range 5 {
			h.Feed(tick(n), nil)
		}
		if got := holds(t, h, bad, tick(4)); got != "unknown" {
			t.Errorf("nothing: %s", got)
		}
	})
	t.Run("NaN in the second feeding leaves nothing of the first", func(t *testing.T) {
		h, now := play(t, 0, tape{"", "9"})
		h.Feed(now, tape{"", "nan"}.firstTick(t))
		if got := holds(t, h, above(5, 0), now); got != "unknown" {
			t.Errorf("%s", got)
		}
	})
	t.Run("a tick that is passed keeps what was fed of it", func(t *testing.T) {
		h, now := play(t, step, tape{"", "9"})
		h.Pass(now)
		if got := holds(t, h, above(5, 0), now); got != "yes" {
			t.Errorf("%s", got)
		}
		h.Pass(now.Add(step))
		if got := holds(t, h, above(5, 0), now.Add(step)); got != "unknown" {
			t.Errorf("the next one, of which nothing was fed: %s", got)
		}
	})
	t.Run("a point older than the history changes nothing", func(t *testing.T) {
		h, now := play(t, time.Minute, tape{"", "9x50"})
		h.Feed(tick(2), point(1))
		if got := holds(t, h, bad, now); got != "yes" {
			t.Errorf("%s", got)
		}
	})
	t.Run("a segment without a point left is forgotten", func(t *testing.T) {
		h, _ := play(t, time.Minute, tape{"lang=en", "9x20"}, tape{"lang=de", "9x10 _x10"})
		if got := h.Segments(); got != 1 {
			t.Errorf("%d segments, want one", got)
		}
	})
	t.Run("a segment that comes back begins anew", func(t *testing.T) {
		h, now := play(t, time.Minute, tape{"lang=en", "9x40"}, tape{"lang=de", "1x10 _x27 9x3"})
		c := &triggers.Condition{Comparison: triggers.Above, Limit: 5, For: time.Minute, Where: map[string][]string{"lang": {"de"}}}
		if got := holds(t, h, c, now); got != "unknown" {
			t.Errorf("%s", got)
		}
	})
	t.Run("time may begin at the epoch, where unit tests' series do", func(t *testing.T) {
		h := triggers.NewHistory(grid, time.Minute, triggers.Shape{})
		zero := time.Unix(0, 0)
		for n := -10; n < 5; n++ {
			h.Feed(zero.Add(time.Duration(n)*step), point(9))
			want := "unknown"
			if n >= -6 {
				want = "yes"
			}
			if got := holds(t, h, bad, zero.Add(time.Duration(n)*step)); got != want {
				t.Errorf("tick %d: %s, want %s", n, got, want)
			}
		}
	})
}

// firstTick gives the tape's first tick's point.
func (p tape) firstTick(t testing.TB) []triggers.Point { return []triggers.Point{*p.words(t)[0]} }

func TestSelect(t *testing.T) {
	h, now := play(t, 0,
		tape{"service=b,tier=paid", "1/10"}, tape{"service=a,tier=paid", "2/10"},
		tape{"service=a,tier=free", "3/10"}, tape{"tier=paid", "4/10"})
	tests := []struct {
		name      string
		condition triggers.Condition
		service   string
		want      []string
	}{
		{
			"every segment by itself, in the order of their labels", triggers.Condition{}, "",
			[]string{`{service="a", tier="free"} 3/10`, `{service="a", tier="paid"} 2/10`, `{service="b", tier="paid"} 1/10`, `{tier="paid"} 4/10`},
		},
		{
			"where selects", triggers.Condition{Where: map[string][]string{"tier": {"free"}}}, "",
			[]string{`{service="a", tier="free"} 3/10`},
		},
		{
			"where with a list selects each of them", triggers.Condition{Where: map[string][]string{"service": {"a", "b"}}}, "",
			[]string{`{service="a", tier="free"} 3/10`, `{service="a", tier="paid"} 2/10`, `{service="b", tier="paid"} 1/10`},
		},
		{
			"an empty value selects the segments without the label", triggers.Condition{Where: map[string][]string{"service": {""}}}, "",
			[]string{`{tier="paid"} 4/10`},
		},
		{
			"the service selects where a segment carries the label", triggers.Condition{}, "b",
			[]string{`{service="b", tier="paid"} 1/10`, `{tier="paid"} 4/10`},
		},
		{
			"by adds the counts up over all other labels", triggers.Condition{By: []string{"service"}}, "",
			[]string{`{} 4/10`, `{service="a"} 5/20`, `{service="b"} 1/10`},
		},
		{
			"by nothing adds all up", triggers.Condition{By: []string{}}, "",
			[]string{`{} 10/40`},
		},
		{
			"where comes before by", triggers.Condition{Where: map[string][]string{"tier": {"paid"}}, By: []string{"service"}}, "a",
			[]string{`{} 4/10`, `{service="a"} 2/10`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, s := range test.condition.Select(h, test.service) {
				v, _ := s.Latest(now)
				got = append(got, fmt.Sprintf("%s %v/%v", s.Labels, v.Bad, v.Of))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestSumsKnowOnlyWhatAllMembersSay(t *testing.T) {
	c := &triggers.Condition{Comparison: triggers.Above, Limit: 0.5, For: time.Minute, By: []string{"service"}}
	tests := []struct {
		name string
		a, b string
		want string
	}{
		{name: "both breach", a: "6/10x5", b: "6/10x5", want: "yes"},
		{name: "the sum decides, not one of them", a: "9/10x5", b: "2/100x5", want: "no"},
		{name: "a member without data leaves the sum unknown", a: "9/10x5", b: "9/10x2 _x3", want: "unknown"},
		{name: "two of five points are too many to be bridged", a: "9/10x5", b: "9/10x2 _x2 9/10", want: "unknown"},
		{name: "an empty member adds nothing", a: "9/10x5", b: "0/0x5", want: "yes"},
		{name: "a member that is not born yet is no part of it", a: "9/10x8", b: "_x6 1/100x2", want: "no"},
		{name: "nor does it leave the sum unknown", a: "9/10x8", b: "_x7 9/10", want: "yes"},
		{name: "one that was there before and is not now does", a: "9/10x5", b: "9/10 _x4", want: "unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, now := play(t, time.Minute, tape{"service=s,lang=en", test.a}, tape{"service=s,lang=de", test.b})
			if got := holds(t, h, c, now); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestAgrees(t *testing.T) {
	tests := []struct {
		segment, group string
		want           bool
	}{
		{"service=a", "service=a", true},
		{"service=a", "service=b", false},
		{"tier=paid", "service=b", true},
		{"service=a,tier=paid", "", true},
		{"service=a,tier=paid", "service=a,tier=free", false},
	}
	for _, test := range tests {
		if got := triggers.Agrees(segment(test.segment), segment(test.group)); got != test.want {
			t.Errorf("{%s} agrees with {%s}: %t", test.segment, test.group, got)
		}
	}
}

func TestGroup(t *testing.T) {
	if got := triggers.Group(segment("service=a,tier=paid"), []string{"tier", "region"}); !labels.Equal(got, segment("tier=paid")) {
		t.Errorf("%s", got)
	}
}
