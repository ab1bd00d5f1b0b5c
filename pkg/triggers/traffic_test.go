package triggers_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestTheRateOfAService(t *testing.T) {
	minute := func(text string) string { return text + "x4" } // four ticks, over which points of a minute overlap
	a := func(points string) tape { return tape{"service=a,tier=paid", points} }
	for _, test := range []struct {
		name  string
		reads time.Duration
		over  time.Duration
		tapes []tape
		want  string
	}{
		{"counts no event twice, though points overlap", time.Minute, 3 * time.Minute, []tape{a(minute("60") + " " + minute("120") + " " + minute("180"))}, "2/s"},
		{"adds the segments of the service up, and of no other one", time.Minute, time.Minute,
			[]tape{a("60x8"), {"service=a,tier=free", "30x8"}, {"service=b,tier=free", "900x8"}, {"tier=free", "30x8"}}, "2/s"},
		{"of a range longer than the time is that of the last point", 5 * time.Minute, time.Minute, []tape{a("300x8 600")}, "2/s"},
		{"of a range of nothing counts an interval a point", 0, time.Minute, []tape{a("15x4 30x4")}, "2/s"},
		{"is known by half of its points", time.Minute, 4 * time.Minute, []tape{a("60x8 _x8 60")}, "1/s"},
		{"is not known by fewer", time.Minute, 5 * time.Minute, []tape{a("60x5 _x15 60")}, "unknown"},
		{"of a segment that is not born yet goes without it", time.Minute, 2 * time.Minute, []tape{a("60x12"), {"service=a,tier=free", "_x8 60x4"}}, "1.5/s"},
		{"of a segment that lacks a point is unknown there", time.Minute, 2 * time.Minute, []tape{a("60x7 120x5"), {"service=a,tier=free", "60x7 _ 60x4"}}, "3/s"},
		{"of a segment that is gone goes on without it", time.Minute, time.Minute, []tape{a("60x12"), {"service=a,tier=free", "60x4 _x8"}}, "1/s"},
		{"of another service is unknown", time.Minute, time.Minute, []tape{{"service=b", "60x8"}}, "unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := triggers.NewHistory(grid, 10*time.Minute, triggers.Shape{Reads: test.reads})
			now := feedTapes(t, h, test.tapes...)
			got := "unknown"
			if rate, known := h.Rate("a", now, test.over); known {
				got = fmt.Sprintf("%.4g/s", rate)
			}
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestTheRateAtPointsThatTouch(t *testing.T) {
	x := triggers.Expressions{Query: "chats", Reads: 50 * time.Second}
	own := x.CountsGrid(grid)
	if own.Interval != time.Minute {
		t.Errorf("every %s: points of 50s must not overlap, on ticks 15s apart", own.Interval)
	}
	h := triggers.NewHistory(own, 10*time.Minute, x.Shape())
	for n := range 10 {
		h.Feed(start.Add(time.Duration(n)*time.Minute), []triggers.Point{{V: 100}})
	}
	if rate, known := h.Rate("", start.Add(9*time.Minute+59*time.Second), 5*time.Minute); !known || rate != 2 {
		t.Errorf("%v %v, want 2 a second: between two points that of the older one", rate, known)
	}
}

func TestTheCountsBehindValues(t *testing.T) {
	for _, test := range []struct {
		name string
		of   triggers.Expressions
		want string
	}{
		{"are a ratio's denominator", triggers.Expressions{Numerator: "bad", Denominator: "all"}, "all"},
		{"are a query's traffic", triggers.Expressions{Query: "p95", Traffic: "count"}, "count"},
		{"are not known of a query without", triggers.Expressions{Query: "p95"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if counts, ok := test.of.Counts(); counts.Query != test.want || ok != (test.want != "") || ok && counts.Shape().Ratio {
				t.Errorf("%+v %t, want %q", counts, ok, test.want)
			}
		})
	}
}
