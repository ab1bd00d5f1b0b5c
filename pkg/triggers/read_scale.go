package triggers

import "time"

// Scale divides the durations of the condition by k. A range is rounded to what Prometheus knows, milliseconds.
func (c *Condition) Scale(k float64) {
	durations := []*time.Duration{&c.For, &c.WidenTo}
	if c.Clears != nil {
		durations = append(durations, &c.Clears.For)
	}
	if c.Baseline != nil {
		durations = append(durations, &c.Baseline.Last, &c.Baseline.SameTime, &c.Baseline.Width)
	}
	for _, d := range durations {
		*d = time.Duration(float64(*d) / k)
	}
	c.Range = time.Duration(float64(c.Range) / k).Round(time.Millisecond)
}

// Scale divides what $range stands for by k. Ranges written as numbers into an expression stay as they are.
func (s *Signal) Scale(k float64) {
	if s.HasRange {
		s.Range = time.Duration(float64(s.Range) / k).Round(time.Millisecond)
	}
}
