package evidence_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/evidence"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source/memory"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// The world: series a minute apart. Impact begins in the minute 60, evidence is gathered in the minute 75.
const (
	impact = 60
	now    = 75
)

func minute(n int) time.Time { return time.Unix(0, 0).UTC().Add(time.Duration(n) * time.Minute) }

// counter counts so many a minute up to impact, and so many since.
func counter(before, since int) string {
	return fmt.Sprintf("0+%dx%d %d+%dx%d", before, impact-1, before*impact, since, 40)
}

// level is a value up to impact, and another one since.
func level(before, since float64) string {
	return fmt.Sprintf("%g+0x%d %g+0x%d", before, impact-1, since, 40)
}

func world(t *testing.T, series ...string) *memory.Source {
	t.Helper()
	var all []memory.Series
	for i := 0; i < len(series); i += 2 {
		set, err := memory.ParseLabels(series[i])
		if err != nil {
			t.Fatal(series[i], err)
		}
		points, err := memory.ParseValues(series[i+1])
		if err != nil {
			t.Fatal(series[i+1], err)
		}
		all = append(all, memory.Series{Labels: set, Points: points})
	}
	return memory.New(all, time.Minute, 100)
}

// chats are the counters of two requests series, refused and all, of a label set: so many a minute up to impact and since.
func chats(labels string, refusedBefore, before, refusedSince, since int) []string {
	return []string{
		"refused{" + labels + "}", counter(refusedBefore, refusedSince),
		"chats{" + labels + "}", counter(before, since),
	}
}

func join(all ...[]string) (series []string) {
	for _, one := range all {
		series = append(series, one...)
	}
	return series
}

func ratio(name, title, numerator, denominator string) *triggers.Signal {
	return &triggers.Signal{
		Name: name, Title: title, Unit: triggers.Ratio, Worse: triggers.Up, Range: 5 * time.Minute, HasRange: true, ZeroBorn: true,
		Numerator: numerator, Denominator: denominator,
	}
}

func snapshot() *runbook.Snapshot {
	const by = "sum by (service, tier, language, arm, version, intent) "
	refusals := ratio("refusal_rate", "Refusal rate", by+"(increase(refused[$range]))", by+"(increase(chats[$range]))")
	answered := ratio("answered_rate", "Answered", by+"(increase(refused[$range]))", by+"(increase(chats[$range]))")
	answered.Worse = triggers.Down
	shares := ratio("version_share", "Share of traffic", "sum by (service, version) (increase(chats[$range]))", "sum by (service) (increase(chats[$range]))")
	return &runbook.Snapshot{
		Signals: map[string]*triggers.Signal{
			"refusal_rate": refusals, "answered_rate": answered, "version_share": shares,
			"p95":     {Name: "p95", Title: "p95 latency", Unit: triggers.Seconds, Worse: triggers.Up, Query: "p95"},
			"appeals": {Name: "appeals", Unit: triggers.Count, Worse: triggers.Up, Query: "appeals"},
		},
		Runbook: runbook.Runbook{Rollback: []runbook.Step{
			{Artifact: "prompt"}, {Artifact: "retrieval_index", Service: "search"}, {Artifact: "weights"},
		}},
	}
}

func about() evidence.About {
	return evidence.About{
		Snapshot: snapshot(), Service: "bot", Group: labels.FromStrings("tier", "paid"),
		ImpactStartedAt: minute(impact), At: minute(now),
	}
}

// logged gives the changes of a service that a log has.
func logged(log []changes.Change) func(context.Context, string, time.Time) ([]changes.Change, error) {
	return func(_ context.Context, service string, since time.Time) ([]changes.Change, error) {
		var all []changes.Change
		for n, c := range log {
			if (c.Service == "" || c.Service == service) && !c.At.Before(since) {
				c.ID = fmt.Sprint(n)
				all = append(all, c)
			}
		}
		return all, nil
	}
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}
