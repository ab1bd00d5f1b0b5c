//go:build e2e

package e2e_test

import (
	"testing"
	"time"
)

// TestKilledInTheMiddle kills the daemon with SIGKILL in the middle of a window and again in the middle of a hold.
// Nothing of a window or a hold is stored, so the daemon must have it all from Prometheus: page and resolution come
// at their time, or where that passed while the daemon was gone, within an interval of the restart.
func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]time.Duration{
		"and back at once":                0,
		"and back after it would be over": 8 * time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := usualScale
			s.window, s.hold = 8*time.Second, 9*time.Second
			r := startRailway(t, s)
			id := r.killedInAWindow(gone)
			r.daemon.acknowledge(id, "alice")
			r.killedInAHold(id, gone)
		})
	}
}

// killedInAWindow gives the id of the incident that is opened all the same.
func (r *railway) killedInAWindow(gone time.Duration) string {
	r.t.Helper()
	crossed := r.waitForBreach(r.breach())
	time.Sleep(time.Until(crossed.Add(r.scale.window / 2)))
	r.daemon.kill()
	time.Sleep(gone)
	if pages := r.oncall.list(func(delivery) bool { return true }); len(pages) != 0 {
		r.t.Fatalf("paged before the window was full: %s", describe(pages))
	}
	r.daemon.startReady()

	page := r.oncall.waitFor(r.t, "incident.page", r.firesWithin())
	due := latest(crossed.Add(r.scale.window), r.daemon.readyAt).Add(interval)
	if page.at.After(due.Add(slack)) {
		r.t.Errorf("paged at %s, due at %s (past the limit since %s, ready again at %s)", page.at, due, crossed, r.daemon.readyAt)
	}
	if early := crossed.Add(r.scale.window); page.at.Before(early) {
		r.t.Errorf("paged at %s, before the window was full at %s", page.at, early)
	}
	if began := page.Data.Incident.BreachBegan; began.Sub(crossed).Abs() > interval {
		r.t.Errorf("breach_began %s, want %s: the restart must not have moved it", began, crossed)
	}
	always(r.t, time.Now().Add(3*interval), "after the page", r.onlyOnePage)
	return page.Data.Incident.ID
}

func (r *railway) killedInAHold(id string, gone time.Duration) {
	r.t.Helper()
	r.heal()
	verifying := r.daemon.waitForState(id, "verifying", signalRange+2*slack)
	since := verifying.times("hold_started")[0]
	time.Sleep(time.Until(since.Add(r.scale.hold / 2)))
	r.daemon.kill()
	time.Sleep(gone)
	if ends := r.oncall.got("incident.resolved"); len(ends) != 0 {
		r.t.Fatalf("resolved before the hold was over: %s", describe(ends))
	}
	r.daemon.startReady()

	end := r.oncall.waitFor(r.t, "incident.resolved", r.resolvesWithin())
	due := latest(since.Add(r.scale.hold), r.daemon.readyAt).Add(interval)
	if end.at.After(due.Add(slack)) {
		r.t.Errorf("resolved at %s, due at %s (hold since %s, ready again at %s)", end.at, due, since, r.daemon.readyAt)
	}
	resolved := r.daemon.waitForState(id, "resolved", time.Second)
	if !resolved.ImpactEndedAt.Equal(since) {
		r.t.Errorf("impact_ended_at %s, want the start of the hold before the kill, %s", resolved.ImpactEndedAt, since)
	}
	if starts, breaks := resolved.times("hold_started"), resolved.times("hold_broken"); len(starts) != 1 || len(breaks) != 0 {
		r.t.Errorf("the hold started %d times and broke %d times, want one unbroken hold", len(starts), len(breaks))
	}
	always(r.t, time.Now().Add(3*interval), "after the end", r.endedOnce)
	r.checkAlertEnds()
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
