package triggers_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestARangeThatIsNoMultipleOfTheInterval(t *testing.T) {
	// Twenty seconds at fifteen: the points of a pool lie thirty seconds apart, with a hole between, and never overlap.
	c := triggers.Condition{Comparison: triggers.Above, Limit: 0.08, For: time.Minute, Clears: &triggers.Clears{Comparison: triggers.Below, Limit: 0.06}}
	tests := []struct {
		name, points, want string
	}{
		{"no event counts twice", "2/5x5", "fires: 6 of 15 in 1m0s, 1.455e-04"},
		{"the pool goes back two ticks a step", "2/5 9/9 2/5 9/9 2/5", "fires: 6 of 15 in 1m0s, 1.455e-04"},
		{"a burst in its oldest part carries no verdict", "0/9x20 20/40 0/5 1/9 0/5 1/9", ""},
		{"widened to its end, a burst is found there too", "0/9x6 12/40 0/5 1/9 0/5 1/9 0/5 1/9", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := c
			if test.want != "" {
				c.Confidence = 0.999
			}
			got := ratioStage{condition: c, reads: 20 * time.Second, tapes: []tape{{"", test.points}}}.judge(t)
			if test.want != "" && got != test.want || test.want == "" && got[:5] == "fires" {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	if got, want := c.Reach(grid, triggers.Shape{Ratio: true, Reads: 20 * time.Second}), time.Minute+18*30*time.Second; got != want {
		t.Errorf("it looks back %s, want %s: eighteen points of a pool, thirty seconds apart", got, want)
	}
}

// TestExtrapolationHardlyMatters: with scrapes every 15 s, increase() over five minutes gives 20/19 of all counts.
func TestExtrapolationHardlyMatters(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	differ, fired := 0, 0
	for range 2000 {
		var plain, scaled string
		for range 6 {
			of := random.IntN(8)
			bad := 0
			for range of {
				if random.Float64() < 0.25 {
					bad++
				}
			}
			plain += fmt.Sprintf("%d/%dx20 ", bad, of)
			scaled += fmt.Sprintf("%v/%vx20 ", float64(bad)*20/19, float64(of)*20/19)
		}
		a := ratioStage{condition: above8(), tapes: []tape{{"", plain}}}.judge(t)[:5]
		b := ratioStage{condition: above8(), tapes: []tape{{"", scaled}}}.judge(t)[:5]
		if a == "fires" {
			fired++
			if b != "fires" {
				t.Fatalf("%s fires, and extrapolated it does not", plain)
			}
		} else if b == "fires" {
			differ++
		}
	}
	if fired < 50 || differ > fired/3 {
		t.Errorf("%d fired, %d more when extrapolated", fired, differ)
	}
}

func TestBadCounts(t *testing.T) {
	hot := func(special string) string { return "20/100x30 " + special + " 20/100x10" }
	tests := []struct {
		name, points, want string
	}{
		{"NaN is no data", hot("nan/100x3"), "unknown"},
		{"so is a count of which all is NaN", hot("20/nanx3"), "unknown"},
		{"and Inf", hot("20/+infx3"), "unknown"},
		{"and a count below zero", hot("-1/100x3"), "unknown"},
		{"a numerator ahead of its denominator is all of it", "120/100x41", "fires: 200 of 200 in 10m0s, 4.268e-245"},
		{"a counter that begins anew is a dip: thin points have no vote", hot("1/9x3"), "fires: 40 of 200 in 10m0s, 1.825e-11"},
		{"a counter that begins anew is a dip to nothing: no gap", hot("0/0x3"), "fires: 40 of 200 in 10m0s, 1.825e-11"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := (ratioStage{condition: above8(), tapes: []tape{{"", test.points}}}).judge(t); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestAMemberThatVanishes: a rare label set is gone after a restart of its process. A sum knows what is left as soon as
// `for` is over, and not only when the history that evidence needs has forgotten the segment.
func TestAMemberThatVanishes(t *testing.T) {
	c := above8(func(c *triggers.Condition) { c.By = []string{"service"} })
	rare := tape{"service=x,lang=fi", "1/2x60"}
	tests := []struct {
		name  string
		after int // ticks without the rare one
		want  string
	}{
		{"at first the sum is unknown", 30, "unknown"},
		{"it is when `for` is not over yet", 40, "unknown"},
		{"then the segment is gone, and the others are the sum", 41, "fires: 40 of 200 in 10m0s, 1.825e-11"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			others := tape{"service=x,lang=en", fmt.Sprintf("20/100x%d", 60+test.after)}
			if got := (ratioStage{condition: c, tapes: []tape{others, rare}}).judge(t); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	t.Run("by itself it is no group any more", func(t *testing.T) {
		c := above8()
		shape := triggers.Shape{Ratio: true, Reads: reads}
		h := triggers.NewHistory(grid, c.Reach(grid, shape), shape)
		clause := leafOf(&c)
		trigger := triggers.NewTrigger(&clause, []string{"lang"}, "", func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} })
		now := feedTapes(t, h, tape{"lang=en", "0/100x101"}, tape{"lang=fi", "0/100x60"})
		if got, want := written(trigger.Judge(now)), `{lang="en"} clear`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		now = feedTapes(t, h, tape{"lang=en", "0/100x104"}, tape{"lang=fi", "0/100x60 _x43 0/100"})
		if got, want := written(trigger.Judge(now)), `{lang="en"} clear`+"\n"+`{lang="fi"} unknown blind to `; got != want {
			t.Errorf("back again: %s, want %s", got, want)
		}
	})
	t.Run("where it was away for long and came back, it was no part of the sum", func(t *testing.T) {
		others := tape{"service=x,lang=en", "20/100x141"}
		if got := (ratioStage{condition: c, tapes: []tape{others, {"service=x,lang=fi", "1/2x60 _x80 1/2"}}}).judge(t); got[:5] != "fires" {
			t.Errorf("%s, want it to fire", got)
		}
	})
}
