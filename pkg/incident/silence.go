package incident

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// LongestSilence is how long planned work may hold pages back.
const LongestSilence = 7 * 24 * time.Hour

// DefaultUpTo is the worst severity that a silence holds back where it names none.
const DefaultUpTo = runbook.Sev3

// quietID stands where a silence's id does, for one of the quiet times of the settings.
const quietID = "quiet"

// Silence holds back the pages of a runbook, or of a group of it, for planned work. Incidents open and are recorded as
// ever; a severity worse than UpTo pages all the same.
type Silence struct {
	ID      string            `json:"id"`
	Runbook string            `json:"runbook"`
	Group   map[string]string `json:"group,omitempty"` // labels that a finding's group must have; empty: every group
	UpTo    runbook.Severity  `json:"up_to"`
	Reason  string            `json:"reason"`
	By      string            `json:"by"`
	From    time.Time         `json:"from"`
	Until   time.Time         `json:"until"`
	EndedAt time.Time         `json:"ended_at,omitzero"` // a person ended it before its time
	EndedBy string            `json:"ended_by,omitempty"`
}

// In tells whether the silence is in force at t.
func (s Silence) In(t time.Time) bool {
	return !t.Before(s.From) && t.Before(s.Until) && (s.EndedAt.IsZero() || t.Before(s.EndedAt))
}

// covers tells whether the silence names a finding at a severity.
func (s Silence) covers(name string, group labels.Labels, severity runbook.Severity) bool {
	if s.Runbook != name || severity.Worse(s.UpTo) {
		return false
	}
	for label, value := range s.Group {
		if group.Get(label) != value {
			return false
		}
	}
	return true
}

// Quiet is planned work that comes back, of the settings.
type Quiet struct {
	Runbooks []string
	UpTo     runbook.Severity
	Contains func(t time.Time) bool
}

// silenced tells whether planned work holds back the pages of the record now: it must cover every finding. It gives the
// silence that ends first, without an end where that is a quiet time. The daemon's own troubles are never held back.
func (d *decision) silenced() (Silence, bool) {
	r, at := d.record, d.t
	if d.policy.Now.After(at) {
		at = d.policy.Now
	}
	first := Silence{}
	for i := range r.Findings {
		longest, covered := d.policy.silenceOf(&r.Findings[i], r.Severity, at)
		if !covered || r.Class == Self {
			return Silence{}, false
		}
		if i == 0 || first.Until.IsZero() || !longest.Until.IsZero() && longest.Until.Before(first.Until) {
			first = longest
		}
	}
	return first, len(r.Findings) > 0
}

// silenceOf gives the silence that holds a finding's pages back for longest; a quiet time where no silence does.
func (p Policy) silenceOf(f *Finding, severity runbook.Severity, at time.Time) (longest Silence, covered bool) {
	for _, s := range p.Silences {
		if s.In(at) && s.covers(f.Name, f.Group, severity) && s.Until.After(longest.Until) {
			longest, covered = s, true
		}
	}
	if covered {
		return longest, true
	}
	covered = slices.ContainsFunc(p.Quiet, func(q Quiet) bool {
		return slices.Contains(q.Runbooks, f.Name) && !severity.Worse(q.UpTo) && q.Contains(at)
	})
	return Silence{ID: quietID}, covered
}
