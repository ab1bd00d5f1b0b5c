package incident

import (
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// firstUpdate is when the first update is due after an opening, a relapse or a raise at a time: never later than updates
// are due anyway. Zero: the severity asks for none. The first finding's runbook says so for all.
func (r *Record) firstUpdate(s runbook.Severity, at time.Time) time.Time {
	return firstUpdateOf(r.Findings[0].runbook(), s, at)
}

func firstUpdateOf(book *runbook.Runbook, s runbook.Severity, at time.Time) time.Time {
	first, every := book.FirstUpdate(s), book.UpdateEvery(s, 0)
	if every > 0 && (first <= 0 || every < first) {
		first = every
	}
	if first <= 0 {
		return time.Time{}
	}
	return at.Add(first).UTC()
}

// nextUpdate is when the update after one at a time is due; zero: the severity asks for none.
func (r *Record) nextUpdate(s runbook.Severity, at time.Time) time.Time {
	every := r.Findings[0].runbook().UpdateEvery(s, at.Sub(r.openSince()))
	if every <= 0 {
		return time.Time{}
	}
	return at.Add(every).UTC()
}

// updateWhenRaised is when the next update is due once the severity is raised at a time: sooner, never later.
func (r *Record) updateWhenRaised(to runbook.Severity, at time.Time) time.Time {
	first := r.firstUpdate(to, at)
	if first.IsZero() || !r.NextUpdateAt.IsZero() && r.NextUpdateAt.Before(first) {
		return r.NextUpdateAt
	}
	return first
}

// updateWhenLowered is when the next update is due once a person lowers the severity at a time: as promised, unless the
// lower one asks for none.
func (r *Record) updateWhenLowered(to runbook.Severity, at time.Time) time.Time {
	if r.firstUpdate(to, at).IsZero() {
		return time.Time{}
	}
	return r.NextUpdateAt
}

// overdue is step 8: an update fell due and nobody posted it. The next one is due after the severity's time.
func (d *decision) overdue() {
	r := d.record
	if r.NextUpdateAt.IsZero() || d.t.Before(r.NextUpdateAt) {
		return
	}
	d.add(UpdateOverdue{Due: r.NextUpdateAt, NextUpdateAt: r.nextUpdate(r.Severity, d.t)}, "")
}

// reopenWithin is how long after it was resolved the incident may be opened again: the longest of its findings.
func (r *Record) reopenWithin() time.Duration {
	longest := time.Duration(0)
	for i := range r.Findings {
		longest = max(longest, r.Findings[i].runbook().ReopenWithin)
	}
	return longest
}

// postmortemOptional tells whether no runbook of the incident asks for a postmortem at its peak severity.
func (r *Record) postmortemOptional() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.runbook().PostmortemDue(r.Peak) > 0 })
}

// closesItself tells whether the daemon closes the incident once nothing can open it again.
func (r *Record) closesItself() bool {
	return r.State() == ResolvedState && (r.Class != Real || r.postmortemOptional())
}
