package evaluator_test

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// look writes what the last tick saw of an incident: its breaches, the state of key, how far the hold has come.
func (w *world) look(id string) string {
	w.t.Helper()
	live, ok := w.evaluator.Live(id)
	if !ok {
		return "nothing"
	}
	var parts []string
	for _, b := range live.Findings[0].Breaches {
		value := "unseen"
		if b.Value != nil {
			value = fmt.Sprint(b.Value.V)
		}
		parts = append(parts, fmt.Sprintf("%s%s %s %t", b.Condition, b.Segment, value, b.Fires))
	}
	key := live.Findings[0].Bands[0]
	band := [...]string{"unknown", "held", "missed", "empty", "none"}[key.State]
	return fmt.Sprintf("%s; key %s; hold %s", strings.Join(parts, "; "), band, live.Hold.Elapsed)
}

func TestWhatIsSeenNowOfAnOpenIncident(t *testing.T) {
	const condition = "refusals above 5 for 10m"
	bubble(t, "are the values of the last tick, whether it fires or not", func(t *testing.T) {
		w := newWorld(t, map[string]metric{
			"refusals{service=a}": steps("1 00:20:00 9 00:31:00 7 00:33:00 4 00:40:00 2 00:50:00 _"),
			"refusals{service=b}": always(1),
		}, book("one", func(s *runbook.Snapshot) { s.Runbook.GroupBy = []string{"service"} }))
		w.start()
		sleepUntil("00:30:10")
		id := w.one().ID
		equal(t, "before the first look", w.look(id), "nothing")
		for _, step := range []struct{ at, want string }{
			{"00:30:20", `{service="a"} 9 true; key missed; hold 0s`},
			{"00:32:20", `{service="a"} 7 true; key missed; hold 0s`},
			{"00:33:20", `{service="a"} 4 false; key missed; hold 0s`},
			{"00:41:20", `{service="a"} 2 false; key held; hold 1m15s`},
			{"00:50:20", `{service="a"} unseen false; key unknown; hold 9m45s`},
		} {
			sleepUntil(step.at)
			equal(t, step.at, w.look(id), condition+step.want)
		}
		w.stop()
	})
	bubble(t, "a segment that joins is among them at once", func(t *testing.T) {
		w := newWorld(t, map[string]metric{
			"refusals{service=a}": steps("1 00:20:00 9"), "refusals{service=b}": steps("1 00:25:00 8"),
		}, book("one"))
		w.start()
		sleepUntil("00:35:10")
		equal(t, "both", w.look(w.one().ID), condition+`{service="a"} 9 true; `+condition+`{service="b"} 8 true; key missed; hold 0s`)
		w.stop()
	})
	bubble(t, "an incident that is over is not looked at", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9 00:40:00 1")}, book("one"))
		w.start()
		sleepUntil("00:58:10")
		equal(t, "state", w.one().State(), incident.ResolvedState)
		equal(t, "over", w.look(w.one().ID), "nothing")
		w.stop()
	})
}

func TestTryingOutEveryExpression(t *testing.T) {
	below := func(signal string) runbook.Band {
		return runbook.Band{Clause: pointer(condition(&triggers.Condition{Signal: signal, Comparison: triggers.Below, Limit: 3}))}
	}
	signal := func(s *runbook.Snapshot, name string) {
		s.Signals[name] = &triggers.Signal{Name: name, Unit: triggers.NoUnit, Range: 5 * time.Minute, Query: name}
	}
	either := func(names ...string) runbook.Band {
		clause := &triggers.Clause{}
		for _, name := range names {
			clause.Any = append(clause.Any, *below(name).Clause)
		}
		return runbook.Band{Clause: clause}
	}
	bubble(t, "finds signals without series and bands that could never hold", func(t *testing.T) {
		runs := func(name string, change func(*runbook.Snapshot)) *runbook.Snapshot {
			return book(name, func(s *runbook.Snapshot) {
				signal(s, "mistyped")
				signal(s, "other")
				change(s)
			})
		}
		w := newWorld(t, map[string]metric{"refusals{tier=free}": always(1), "other": always(1)},
			runs("fine", func(s *runbook.Snapshot) { s.Runbook.Recovery.Safety = below("other") }),
			runs("mistyped", func(s *runbook.Snapshot) { s.Runbook.Recovery.Business = below("mistyped") }),
			runs("either", func(s *runbook.Snapshot) { s.Runbook.Recovery.Business = either("mistyped", "other") }),
			runs("elsewhere", func(s *runbook.Snapshot) {
				s.Runbook.Recovery.Key.Clause.Condition.Where = map[string][]string{"tier": {"paid"}}
			}),
		)
		w.start()
		found := w.evaluator.Probe(t.Context())
		equal(t, "empty", found.Empty(), []string{"mistyped", "refusals"})
		equal(t, "unverifiable", found.Unverifiable, map[string][]string{"mistyped": {"business"}, "elsewhere": {"key"}})
		equal(t, "answered", found.Answered(), true)
		w.stop()
	})
	bubble(t, "says nothing of what was not answered", func(t *testing.T) {
		w := newWorld(t, nil, book("one"))
		w.source.fault = down("00:00:00", "01:00:00")
		w.start()
		found := w.evaluator.Probe(context.Background())
		equal(t, "empty", found.Empty(), []string(nil))
		equal(t, "unverifiable", len(found.Unverifiable), 0)
		equal(t, "answered", found.Answered(), false)
		equal(t, "why", found.Signals[0].Err, `query "refusals": 503 Service Unavailable`)
		w.stop()
	})
	bubble(t, "asks each expression once", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": always(1)}, book("one"), book("two"))
		w.start()
		sleepUntil("00:01:01")
		w.evaluator.Probe(t.Context())
		instants, ranges := w.source.asked("", at("00:01:01"))
		equal(t, "queries", []int{len(instants), len(ranges)}, []int{1, 0})
		w.stop()
	})
}

func TestBlindnessIsToldOncePerReason(t *testing.T) {
	bubble(t, "with all the signals that it hides, and so is sight", func(t *testing.T) {
		other := func(s *runbook.Snapshot) {
			s.Signals["others"] = &triggers.Signal{Name: "others", Unit: triggers.NoUnit, Range: 5 * time.Minute, Query: "others"}
			s.Runbook.Trigger = condition(above("others", 5, 10*time.Minute))
		}
		w := newWorld(t, map[string]metric{"refusals": always(1), "others": always(1)}, book("one"), book("two", other))
		first := down("00:25:00", "00:35:00")
		w.source.fault = func(q query) error {
			if q.asked.Before(at("00:40:05")) {
				return first(q)
			}
			// Each connection comes from a port of its own.
			return &source.Error{Reason: source.Unreachable, Expr: q.expr, Detail: "read tcp 127.0.0.1:5" + fmt.Sprint(len(q.expr)) + ": reset", Err: syscall.ECONNRESET}
		}
		w.start()
		sleepUntil("00:40:05") // between two ticks
		synctest.Wait()
		blind := w.logs.FilterMessageSnippet("blind").All()
		equal(t, "lines", len(blind), 1)
		equal(t, "what", blind[0].ContextMap(), map[string]any{"signals": []any{"others", "refusals"}, "error": "http_status: 503 Service Unavailable"})
		sleepUntil("00:41:00")
		reset := w.logs.FilterMessageSnippet("blind").All()
		equal(t, "lines of the second time", len(reset), 2)
		equal(t, "why", reset[1].ContextMap()["error"], "unreachable: connection reset by peer")
		back := w.logs.FilterMessageSnippet("sight is back").All()
		equal(t, "back", back[0].ContextMap(), map[string]any{"signals": []any{"others", "refusals"}})
		w.stop()
	})
}
