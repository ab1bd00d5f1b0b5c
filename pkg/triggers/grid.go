package triggers

import "time"

// Grid is the aligned evaluation times: (t - Phase) mod Interval = 0, counted from the epoch, so that a live run, a
// replay and a unit test of the same data look at the same instants.
type Grid struct {
	Interval, Phase time.Duration
}

// Tick is the number of the newest evaluation time not later than t.
func (g Grid) Tick(t time.Time) int64 {
	since, interval := t.UnixNano()-int64(g.Phase), int64(g.Interval)
	tick := since / interval
	if since%interval < 0 {
		tick--
	}
	return tick
}

// Time is the evaluation time with that number.
func (g Grid) Time(tick int64) time.Time {
	return time.Unix(0, tick*int64(g.Interval)+int64(g.Phase)).UTC()
}

// Floor is the newest evaluation time not later than t.
func (g Grid) Floor(t time.Time) time.Time { return g.Time(g.Tick(t)) }

// Steps is the number of intervals that d takes, a begun one counted whole: what must last d has not lasted it before.
func (g Grid) Steps(d time.Duration) int64 {
	return (int64(d) + int64(g.Interval) - 1) / int64(g.Interval)
}
