package demo

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	real := time.Date(2026, time.March, 3, 9, 0, 0, 0, time.UTC)
	clock := Clock{RealStart: real, StoryStart: storyTime(13, 30, 0), Speed: 40}
	for _, test := range []struct {
		name  string
		real  time.Duration
		story time.Duration
	}{
		{"both begin together", 0, 0},
		{"a real second is forty of the story", time.Second, 40 * time.Second},
		{"an interval of the story is 375 ms", 375 * time.Millisecond, 15 * time.Second},
		{"the day before takes 36 minutes", -36 * time.Minute, -24 * time.Hour},
		{"the worked example takes two minutes", 121500 * time.Millisecond, 81 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			story, at := storyTime(13, 30, 0).Add(test.story), real.Add(test.real)
			if got := clock.Story(at); !got.Equal(story) {
				t.Errorf("Story(%s) = %s, want %s", at, got, story)
			}
			if got := clock.Real(story); !got.Equal(at) {
				t.Errorf("Real(%s) = %s, want %s", story, got, at)
			}
			if got := clock.Scale(test.story); got != test.real {
				t.Errorf("Scale(%s) = %s, want %s", test.story, got, test.real)
			}
		})
	}
}

func TestANewClockStartsOnATickOfBothTimes(t *testing.T) {
	for _, now := range []time.Time{
		time.Unix(1_780_000_000, 1), time.Unix(1_780_000_000, 0), time.Unix(1_780_000_000, 374_999_999), time.Unix(1_780_000_001, 500_000_000),
	} {
		clock := NewClock(now, storyTime(13, 30, 0), 40, 15*time.Second)
		if clock.RealStart.Before(now) || clock.RealStart.Sub(now) >= 375*time.Millisecond {
			t.Errorf("at %s the clock starts at %s, want the next tick", now, clock.RealStart)
		}
		if clock.RealStart.UnixMilli()%375 != 0 || clock.RealStart.UnixNano()%1e6 != 0 {
			t.Errorf("at %s the clock starts at %s, which is no multiple of 375 ms", now, clock.RealStart)
		}
	}
}

func TestTheStoryIsToldAtItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scenario := WorkedExample()
		clock := NewClock(time.Now(), scenario.Start, 40, scenario.Interval)
		var told int
		err := scenario.Tell(t.Context(), clock, func(line Line) {
			if got := clock.Story(time.Now()); !got.Equal(line.At) {
				t.Errorf("%q is told at %s, want %s", line.Text, got, line.At)
			}
			told++
		})
		if err != nil || told != len(scenario.Lines) {
			t.Errorf("told %d of %d lines, error %v", told, len(scenario.Lines), err)
		}
	})
}

func TestTheStoryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scenario := WorkedExample()
		clock := NewClock(time.Now(), scenario.Start, 40, scenario.Interval)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // 14:10
		defer cancel()
		var told int
		err := scenario.Tell(ctx, clock, func(Line) { told++ })
		if !errors.Is(err, context.DeadlineExceeded) || told != 3 {
			t.Errorf("told %d lines, error %v; want 3 and the context's error", told, err)
		}
	})
}

func TestFindScenario(t *testing.T) {
	for _, name := range []string{"", "worked-example"} {
		if found, err := FindScenario(name); err != nil || found.Name != "worked-example" {
			t.Errorf("FindScenario(%q) = %q, %v", name, found.Name, err)
		}
	}
	_, err := FindScenario("earthquake")
	if want := `scenario "earthquake": unknown; there is worked-example`; err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}
