//go:build e2e

package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// TestABrokenMetricSourceIsNeitherGoodNorBad breaks the metric source in the middle of a hold, and leaves it broken
// until after the hold would have been over. Missing data must neither resolve the incident nor open another one,
// and must be told everywhere.
func TestABrokenMetricSourceIsNeitherGoodNorBad(t *testing.T) {
	t.Parallel()
	way := func(f fault) func(*railway) { return func(r *railway) { r.way.set(f) } }
	for name, source := range map[string]struct {
		breaks, mends func(*railway)
		reason        string // of the failed queries, in the metric
	}{
		"stopped": {
			breaks: func(r *railway) { r.prometheus.kill() },
			mends:  func(r *railway) { r.prometheus.start() },
			reason: "unreachable",
		},
		"answering 503":       {breaks: way(unavailable), mends: way(noFault), reason: "http_status"},
		"hanging":             {breaks: way(hangs), mends: way(noFault), reason: "timeout"},
		"answering half JSON": {breaks: way(answersHalfJSON), mends: way(noFault), reason: "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := usualScale
			s.hold = 10 * time.Second
			r := startRailway(t, s)
			id, since := r.untilVerifying()

			over := since.Add(s.hold)
			time.Sleep(time.Until(over.Add(-5 * time.Second)))
			loggedBefore := len(r.daemon.log())
			source.breaks(r)
			broken := time.Now()
			eventually(t, s.blindAfter+3*interval+slack, "the daemon tells that it is blind", func() (struct{}, error) {
				return struct{}{}, r.tellsBlindness(id, source.reason, loggedBefore)
			})
			always(t, over.Add(2*interval), "while blind", func() error { return r.stillVerifying(id) })

			source.mends(r)
			r.seesAgain(id, time.Since(broken))
		})
	}
}

// untilVerifying plays an incident until its hold runs, and gives its id and the hold's start.
func (r *railway) untilVerifying() (id string, since time.Time) {
	r.t.Helper()
	r.breach()
	id = r.oncall.waitFor(r.t, "incident.page", r.firesWithin()).Data.Incident.ID
	r.daemon.acknowledge(id, "alice")
	r.heal()
	verifying := r.daemon.waitForState(id, "verifying", signalRange+2*slack)
	return id, verifying.times("hold_started")[0]
}

var blindnessInLog = regexp.MustCompile(`(?i)"level":"(warn|error)".*(blind|query|queries|source)`)

// tellsBlindness is nil when readiness, metrics, API and log all say that the daemon does not see.
func (r *railway) tellsBlindness(id, reason string, loggedBefore int) error {
	status, body, err := r.daemon.readiness()
	if err != nil {
		return err
	}
	if status != http.StatusServiceUnavailable || len(body) < 10 {
		return fmt.Errorf("/-/ready answers %d %q, want 503 and why", status, body)
	}
	positive := func(v float64) bool { return v > 0 }
	if err := r.daemon.metricIs("irdaemon_unknown_windows", positive); err != nil {
		return err
	}
	if err := r.daemon.metricIs("irdaemon_query_failures_total", positive, "reason", reason); err != nil {
		return err
	}
	if !blindnessInLog.MatchString(r.daemon.log()[loggedBefore:]) {
		return errors.New("no line of the log says it at warn or error")
	}
	i, err := r.daemon.incident(id)
	if err == nil && !i.Blind {
		err = errors.New("the API does not call the incident blind")
	}
	return err
}

// stillVerifying is nil while the incident is neither resolved nor thrown back, and is the only one.
func (r *railway) stillVerifying(id string) error {
	i, err := r.daemon.incident(id)
	if err != nil {
		return err
	}
	if i.State != "verifying" {
		return fmt.Errorf("the incident is %s", i.State)
	}
	if err := answers(r.daemon.client, r.daemon.url+"/-/healthy"); err != nil {
		return err // blind is not dead
	}
	return r.daemon.hasIncidents(1)
}

// seesAgain waits for what must happen once the source is whole: sight, readiness, and the end that was held up.
func (r *railway) seesAgain(id string, blindFor time.Duration) {
	r.t.Helper()
	eventually(r.t, signalRange+3*interval+slack, "the daemon is ready again", func() (struct{}, error) {
		return struct{}{}, r.daemon.isReady()
	})
	resolved := r.daemon.waitForState(id, "resolved", r.resolvesWithin()+blindFor)
	if resolved.Blind {
		r.t.Error("the API still calls the incident blind")
	}
	// The points that could not be asked for come in at once, so the tick that sees again may be the one that resolves.
	ends := len(resolved.times("sight_back")) + len(resolved.times("resolved"))
	if len(resolved.times("went_blind")) != 1 || ends > 2 {
		r.t.Errorf("the timeline does not tell of one blindness and its end:\n%s", resolved.story())
	}
	if err := r.daemon.metricIs("irdaemon_unknown_windows", func(v float64) bool { return v == 0 }); err != nil {
		r.t.Error(err)
	}
	if err := r.daemon.hasIncidents(1); err != nil {
		r.t.Error(err)
	}
}

func TestABreachWhileBlindIsFoundAfterwards(t *testing.T) {
	t.Parallel()
	r := startRailway(t, usualScale)
	r.way.set(unavailable)
	crossed := r.waitForBreach(r.breach())
	always(t, crossed.Add(r.scale.window+3*interval), "while blind", func() error { return r.daemon.hasIncidents(0) })

	r.way.set(noFault)
	page := r.oncall.waitFor(t, "incident.page", 3*interval+slack)
	if began := page.Data.Incident.BreachBegan; began.Sub(crossed).Abs() > interval {
		t.Errorf("breach_began %s, want %s: the window is refilled with what happened while blind", began, crossed)
	}
	always(t, time.Now().Add(3*interval), "after the page", r.onlyOnePage)
}

func TestStartsWithoutItsMetricSource(t *testing.T) {
	t.Parallel()
	r := newRailway(t, usualScale)
	r.way.set(closesAtOnce)
	r.daemon.start()
	eventually(t, 20*time.Second, "alive, but not ready, and saying why", func() (struct{}, error) {
		if r.daemon.hasExited() {
			t.Fatalf("the daemon ended: %v", r.daemon.exitErr)
		}
		if err := answers(r.daemon.client, r.daemon.url+"/-/healthy"); err != nil {
			return struct{}{}, err
		}
		status, body, err := r.daemon.readiness()
		if err == nil && (status != http.StatusServiceUnavailable || len(body) < 10) {
			err = fmt.Errorf("/-/ready answers %d %q", status, body)
		}
		return struct{}{}, err
	})
	r.way.set(noFault)
	eventually(t, 5*interval+slack, "ready once the source is there", func() (struct{}, error) {
		return struct{}{}, r.daemon.isReady()
	})
}
