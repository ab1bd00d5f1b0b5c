package incident

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// shortestMeeting is how far apart two findings may at least come and be one incident. Windows without `for` would never
// meet otherwise.
const shortestMeeting = 10 * time.Minute

// joinable is the oldest open incident of the firing's service that it belongs to, nil for none.
func joinable(f Firing, open []*decision, t time.Time) *decision {
	var oldest *decision
	for _, d := range open {
		if d.decided && d.record.takes(f, t) && (oldest == nil || d.record.OpenedAt.Before(oldest.record.OpenedAt)) {
			oldest = d
		}
	}
	return oldest
}

// takes tells whether a firing belongs to the incident: the same service, another runbook, labels that do not
// contradict, and not long after the incident was opened, opened again or last joined. What is broken elsewhere in a
// service hours later is another incident.
func (r *Record) takes(f Firing, t time.Time) bool {
	if !r.Open() || r.Class != Real || f.Service == "" || r.Service != f.Service {
		return false
	}
	meeting := max(shortestMeeting, longestFor(&f.Snapshot.Runbook))
	for i := range r.Findings {
		finding := &r.Findings[i]
		if finding.Name == f.Snapshot.Runbook.Name || contradict(finding.Group, f.Group) {
			return false
		}
		meeting = max(meeting, longestFor(finding.runbook()))
	}
	last := r.openSince()
	if r.JoinedAt.After(last) {
		last = r.JoinedAt
	}
	return t.Sub(last) <= meeting
}

// longestFor is the longest window of a runbook's trigger.
func longestFor(r *runbook.Runbook) time.Duration {
	longest := time.Duration(0)
	for _, condition := range r.Trigger.Conditions() {
		longest = max(longest, condition.For)
	}
	return longest
}

// contradict tells whether two groups give one label different values.
func contradict(a, b labels.Labels) bool {
	found := false
	a.Range(func(l labels.Label) {
		found = found || b.Has(l.Name) && b.Get(l.Name) != l.Value
	})
	return found
}

// join adds the finding of a firing to the incident. Its rubric counts at once.
func (d *decision) join(f Firing) {
	d.add(FindingJoined(f.opened(d.t)), f.key())
	d.took(f)
	d.raise(f.Severity, f.Rule, f.Breaches)
	d.rank(CauseJoined, f.Running, f.Exposures)
}
