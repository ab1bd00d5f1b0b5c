package replay_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/replay"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// noise is up to so much either way, the same each time it is asked for.
func noise(t time.Time, seed, amount float64) float64 {
	x := math.Sin(float64(t.Unix()%86400)*12.9898+seed*78.233) * 43758.5453
	return amount * (2*(x-math.Floor(x)) - 1)
}

func (m metric) noisy(seed, amount float64) metric {
	return func(t time.Time) float64 { return m(t) + noise(t, seed, amount) }
}

// eventful is a day of three services with all that makes live and replay differ where they may: noise near the limits,
// gaps, a service that comes late, one that goes away, relapses, thin traffic, users who leave in a hold, something open
// at the end.
func eventful() *functions {
	gap := func(m metric, span string) metric {
		missing := during(math.NaN(), 0, span)
		return func(t time.Time) float64 { return m(t) + missing(t) }
	}
	share := func(m metric, traffic float64) metric {
		return func(t time.Time) float64 { return math.Round(traffic * max(m(t), 0)) }
	}
	bad := during(0.25, 0.04, "07:00:00-07:50:00", "15:00:00-15:25:00", "15:40:00-16:10:00")
	chats := during(90, 900, "16:20:00-17:40:00")
	f := newSource(map[string]metric{
		"latency{service=a}":       during(9, 2, "02:00:00-02:30:00", "09:00:00-09:11:00", "23:30:00-23:59:59").noisy(1, 0.9),
		"latency{service=b}":       gap(during(5, 2, "05:00:00-06:00:00").noisy(2, 0.4), "05:20:00-05:23:00"),
		"latency{service=c}":       gap(during(26, 2, "11:00:00-12:00:00", "12:20:00-12:50:00").noisy(3, 1), "00:00:00-10:40:00"),
		"saturation{service=a}":    gap(during(9, 1, "18:00:00-18:40:00"), "18:20:00-19:00:00"),
		"saturation{service=b}":    always(1),
		refused + "{service=a}":    func(t time.Time) float64 { return share(bad.mean(5*time.Minute).noisy(4, 0.01), chats(t))(t) },
		requests + "{service=a}":   chats,
		refused + "{service=b}":    share(during(0.3, 0.05, "13:00:00-14:30:00").mean(5*time.Minute), 12),
		requests + "{service=b}":   always(12),
		requests + "{service=c}":   always(0),
		"refused_share{service=a}": bad.noisy(5, 0.01),
	})
	return f
}

func eventfulRunbooks(t testing.TB) []*runbook.Snapshot {
	refusing := changed(t, slow, "runbook: slow", "runbook: refusing",
		"{signal: latency, above: 5s, for: 10m, clears: {below: 4s}}",
		"{any: [{signal: refusal_rate, above: 15%, baseline: {last: 6h}, for: 10m, clears: {below: 8%}}, {signal: refused_share, rises: 2x, min_delta: 2%, baseline: {last: 6h}, for: 10m}]}",
		"key: {signal: latency, below: 4s}", "key: {signal: refusal_rate, below: 8%}",
		"safety: {none: a test}", "safety: {signal: latency, below: 8s}")
	full := changed(t, slow, "runbook: slow", "runbook: full", "group_by: [service]\n", "",
		"signal: latency, above: 5s, for: 10m, clears: {below: 4s}", "signal: saturation, above: 5, for: 5m, clears: {below: 4}",
		"key: {signal: latency, below: 4s}", "key: {signal: saturation, below: 4}")
	return read(t, slow, refusing, full)
}

// TestReplayFindsTheIncidentsThatLiveFinds drives the daemon's own loop on a virtual clock through a day at 15 s, with
// people who are called and never answer, and replays the same day afterwards.
func TestReplayFindsTheIncidentsThatLiveFinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, runbooks := eventful(), eventfulRunbooks(t)
		f.now = time.Now
		live := &live{byID: map[string]int{}}
		live.run(t, f, runbooks, 24*time.Hour)
		if len(live.records) < 7 {
			t.Fatalf("the day has only %d incidents", len(live.records))
		}
		f.now = nil
		result := run(t, over(f, midnight, midnight.Add(24*time.Hour), runbooks...))
		got, want := lines(result.Incidents), lines(live.incidents())
		if !slices.Equal(got, want) {
			t.Errorf("replay found\n%s\nlive found\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// live keeps what the daemon's loop finds.
type live struct {
	records []*incident.Record
	byID    map[string]int
}

func (l *live) run(t *testing.T, f *functions, runbooks []*runbook.Snapshot, span time.Duration) {
	policy := incident.Policy{
		Instance: "live", ExternalURL: "http://localhost", Interval: 15 * time.Second, BlindAfter: 5 * time.Minute,
		Severities: map[runbook.Severity]incident.SeverityPolicy{}, Roles: map[string]incident.Role{"oncall": {Page: []string{"pager"}}},
	}
	for _, s := range runbook.Severities {
		policy.Severities[s] = incident.SeverityPolicy{Page: true, AcknowledgeWithin: 15 * time.Minute}
	}
	desk := incident.NewDesk(incident.Config{
		Store: incident.NewMemoryStore(), Policy: func() incident.Policy { return policy }, Now: time.Now, Log: zap.NewNop(),
		OnEvents: func(r *incident.Record, _ []incident.Event) {
			if i, known := l.byID[r.ID]; known {
				l.records[i] = r
				return
			}
			l.byID[r.ID] = len(l.records)
			l.records = append(l.records, r)
		},
	})
	e := evaluator.New(evaluator.Config{
		Source: f, Desk: desk, Grid: triggers.Grid{Interval: 15 * time.Second}, Now: time.Now, Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
	})
	e.SetRunbooks(runbooks)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	time.Sleep(span)
	synctest.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// incidents gives what was found in the form of a replay.
func (l *live) incidents() []*replay.Incident {
	var all []*replay.Incident
	for _, r := range l.records {
		i := &replay.Incident{
			Runbook: r.Findings[0].Name, Group: r.Findings[0].Group, Severity: r.Peak,
			ImpactStartedAt: r.ImpactStartedAt, OpenedAt: r.OpenedAt,
		}
		if !r.ResolvedAt.IsZero() {
			i.ResolvedAt = &r.ResolvedAt
		}
		for _, b := range r.Findings[0].Breaches {
			if !slices.ContainsFunc(i.Segments, func(s labels.Labels) bool { return s.Hash() == b.Segment.Hash() }) {
				i.Segments = append(i.Segments, b.Segment)
			}
		}
		all = append(all, i)
	}
	return all
}
