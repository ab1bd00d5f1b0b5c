package config

import (
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Scale divides every duration of settings, signals and runbooks by k, for demos. What does not belong to the play
// stays: how long data are kept, the store's lease, the timeout of a webhook, reviews, the heartbeat, which goes to
// somebody outside, and quiet times, which are those of the day. Ranges that are written into an expression as numbers
// stay too; write $range.
func (c *Config) Scale(k float64) {
	c.Settings.Scale(k)
	for _, s := range c.Signals {
		s.Scale(k)
	}
	for _, s := range c.Runbooks {
		s.Runbook.Scale(k)
	}
}

// Scale divides the durations of the settings by k.
func (s *Settings) Scale(k float64) {
	durations := []*time.Duration{&s.Interval, &s.Phase, &s.QueryOffset, &s.BlindAfter, &s.Changes.Since, &s.Limits.PagesIn}
	if s.Embedded != nil {
		durations = append(durations, &s.Embedded.ScrapeInterval)
	}
	for _, d := range durations {
		*d = time.Duration(float64(*d) / k)
	}
	for artifact, since := range s.Changes.ByArtifact {
		s.Changes.ByArtifact[artifact] = time.Duration(float64(since) / k)
	}
	for _, severity := range runbook.Severities {
		is := s.Severities[severity]
		is.AcknowledgeWithin = time.Duration(float64(is.AcknowledgeWithin) / k)
		s.Severities[severity] = is
	}
}
