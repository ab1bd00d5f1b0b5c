package demo

import (
	"context"
	"time"
)

// DefaultSpeed is how many seconds of the story pass in a real second, where nothing else is asked for.
const DefaultSpeed = 40

// Clock maps the story's time to real time: at RealStart the story stands at StoryStart, and runs Speed times as
// fast as real time, before it as after it.
type Clock struct {
	RealStart  time.Time
	StoryStart time.Time
	Speed      int // seconds of the story in a real second, at least 1
}

// NewClock gives the clock that starts as soon as it can after now. It starts at a multiple of the scaled interval
// since the epoch, for that is where the daemon evaluates: so each tick falls on a whole interval of the story too,
// given a storyStart that is one.
func NewClock(now, storyStart time.Time, speed int, interval time.Duration) Clock {
	clock := Clock{StoryStart: storyStart.UTC(), Speed: speed}
	clock.RealStart = now.UTC().Round(0)
	step := clock.Scale(interval)
	if over := time.Duration(clock.RealStart.UnixNano() % int64(step)); over > 0 {
		clock.RealStart = clock.RealStart.Add(step - over)
	}
	return clock
}

// Story gives the story's time at a real time.
func (c Clock) Story(at time.Time) time.Time {
	return c.StoryStart.Add(at.Sub(c.RealStart) * time.Duration(c.Speed))
}

// Real gives the real time at which the story gets to a time, to the nanosecond below.
func (c Clock) Real(story time.Time) time.Time {
	return c.RealStart.Add(c.Scale(story.Sub(c.StoryStart)))
}

// Scale gives the real duration in which so much of the story passes.
func (c Clock) Scale(story time.Duration) time.Duration {
	return story / time.Duration(c.Speed)
}

// Wait returns when the story has got to a time, or with ctx's error when ctx ends first.
func (c Clock) Wait(ctx context.Context, story time.Time) error {
	timer := time.NewTimer(time.Until(c.Real(story)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
