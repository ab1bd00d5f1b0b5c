package runbook

import "time"

// Defaults that do not depend on the severity.
const (
	DefaultReopenWithin = 4 * time.Hour
	DefaultTimeout      = 2 * time.Hour
	shortestHold        = 15 * time.Minute
)

// DefaultQuestions are what a postmortem answers where the runbook doesn't ask otherwise.
var DefaultQuestions = []string{
	"Why was detection late?",
	"Why was triage slow?",
	"Which rollback path was missing?",
	"How should the pipeline or the quality gate change now?",
}

// defaultsOf are the durations that follow from a severity. 0: none.
type defaultsOf struct{ hold, first, every, due time.Duration }

var defaults = map[Severity]defaultsOf{
	Sev1: {hold: 30 * time.Minute, first: 5 * time.Minute, every: 20 * time.Minute, due: 3 * 24 * time.Hour},
	Sev2: {hold: 30 * time.Minute, first: 10 * time.Minute, every: 30 * time.Minute, due: 5 * 24 * time.Hour},
	Sev3: {hold: shortestHold, first: 30 * time.Minute, every: 2 * time.Hour, due: 10 * 24 * time.Hour},
	Sev4: {hold: shortestHold},
}

// A long sev1 is told every hour once it has lasted two.
const (
	sev1SlowsAfter = 2 * time.Hour
	sev1SlowEvery  = time.Hour
)

// DefaultHold is how long recovery must hold for a severity.
func DefaultHold(s Severity) time.Duration { return defaults[s].hold }

// DefaultFirstUpdate is how long after opening the first update is due. 0: none is.
func DefaultFirstUpdate(s Severity) time.Duration { return defaults[s].first }

// DefaultUpdateEvery is how often updates are due, so long after opening. 0: none are.
func DefaultUpdateEvery(s Severity, sinceOpen time.Duration) time.Duration {
	if s == Sev1 && sinceOpen >= sev1SlowsAfter {
		return sev1SlowEvery
	}
	return defaults[s].every
}

// DefaultPostmortemDue is how long after the end the postmortem is due. 0: it is optional.
func DefaultPostmortemDue(s Severity) time.Duration { return defaults[s].due }

// HoldFor is how long recovery must hold: the runbook's own hold, else the default of the severity.
func (r *Runbook) HoldFor(s Severity) time.Duration {
	if r.Recovery.Hold > 0 {
		return r.Recovery.Hold
	}
	return r.paced(DefaultHold(s))
}

// FirstUpdate is how long after opening the first update is due. 0: none is.
func (r *Runbook) FirstUpdate(s Severity) time.Duration {
	if d, written := r.Communication.FirstUpdate[s]; written {
		return d
	}
	return r.paced(DefaultFirstUpdate(s))
}

// UpdateEvery is how often updates are due, so long after opening. 0: none are.
func (r *Runbook) UpdateEvery(s Severity, sinceOpen time.Duration) time.Duration {
	if d, written := r.Communication.UpdateEvery[s]; written {
		return d
	}
	return r.paced(DefaultUpdateEvery(s, time.Duration(float64(sinceOpen)*r.pace())))
}

// PostmortemDue is how long after the end the postmortem is due. 0: it is optional. A runbook's own due time makes
// no optional one required.
func (r *Runbook) PostmortemDue(s Severity) time.Duration {
	if r.Postmortem.Due > 0 && DefaultPostmortemDue(s) > 0 {
		return r.Postmortem.Due
	}
	return r.paced(DefaultPostmortemDue(s))
}

func (c *Communication) first(s Severity) time.Duration {
	return (&Runbook{Communication: *c}).FirstUpdate(s)
}

func (c *Communication) every(s Severity, sinceOpen time.Duration) time.Duration {
	return (&Runbook{Communication: *c}).UpdateEvery(s, sinceOpen)
}

func (r *Runbook) pace() float64 {
	if r.Pace == 0 {
		return 1
	}
	return r.Pace
}

func (r *Runbook) paced(d time.Duration) time.Duration { return time.Duration(float64(d) / r.pace()) }
