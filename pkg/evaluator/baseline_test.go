package evaluator_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// day1 is the day after the bubble's first one: tests of a baseline need a day of history.
func day1(clock string) time.Time { return at(clock).Add(24 * time.Hour) }

// tomorrow shifts a metric that is written for the first day to the second; before, it is what it is at midnight.
func tomorrow(m metric) metric {
	return func(t time.Time) (float64, bool) { return m(t.Add(-24 * time.Hour)) }
}

// times is a share as a count of so many events.
func (m metric) times(of float64) metric {
	return func(t time.Time) (float64, bool) {
		v, known := m(t)
		return v * of, known
	}
}

// against is the worked example as the documentation has it: both conditions relative, over ratios with plenty of
// traffic.
func against() *runbook.Snapshot {
	last := &triggers.Baseline{Last: 24 * time.Hour}
	ratio := func(name, numerator string) *triggers.Signal {
		return &triggers.Signal{Name: name, Unit: triggers.Ratio, Range: 5 * time.Minute, HasRange: true, Numerator: numerator, Denominator: "chats"}
	}
	return book("good-users-refused", func(s *runbook.Snapshot) {
		s.Signals = map[string]*triggers.Signal{"refusal_rate": ratio("refusal_rate", "refused"), "deflection_rate": ratio("deflection_rate", "deflected")}
		s.Runbook.Trigger = triggers.Clause{Any: []triggers.Clause{
			condition(&triggers.Condition{Signal: "refusal_rate", Comparison: triggers.Rises, Limit: 2, MinDelta: 0.02, Baseline: last, For: 10 * time.Minute}),
			condition(&triggers.Condition{Signal: "deflection_rate", Comparison: triggers.Falls, Limit: 0.25, Baseline: last, For: 10 * time.Minute}),
		}}
		s.Runbook.Severity = runbook.Rubric{Default: runbook.Sev3, Rules: []runbook.Rule{
			{Severity: runbook.Sev2, When: condition(above("refusal_rate", 0.15, 0))},
		}}
		s.Runbook.Recovery.Key.Clause = pointer(condition(&triggers.Condition{Signal: "refusal_rate", Comparison: triggers.Below, Limit: 0.06}))
		s.Runbook.Recovery.Business = runbook.Band{Clause: pointer(condition(&triggers.Condition{Signal: "deflection_rate", Comparison: triggers.Above, Limit: 0.38}))}
	})
}

func againstMetrics() map[string]metric {
	const chats = 40_000 // in five minutes
	refused := steps("0.04 13:58:30 0.19 14:21:00 0.08 14:31:00 0.05").mean(5 * time.Minute)
	deflected := steps("0.42 13:58:30 0.25 14:21:00 0.36 14:31:00 0.41").mean(5 * time.Minute)
	return map[string]metric{
		"refused": tomorrow(refused).times(chats), "deflected": tomorrow(deflected).times(chats), "chats": always(chats),
	}
}

// exampleEvents is what happens without actions, so that the hold starts as soon as the bands are held.
var exampleEvents = []string{"14:10:00 opened", "14:11:45 breach_joined", "14:34:30 hold_started", "14:41:15 trigger_cleared", "14:49:30 resolved"}

func TestTheWorkedExampleAgainstItsBaselines(t *testing.T) {
	stops := map[string][]string{
		"never stopped":                           {"15:00:05"},
		"stopped before it opens":                 {"14:05:05", "15:00:05"},
		"stopped just before it opens":            {"14:09:50", "15:00:05"},
		"stopped between the two breaches":        {"14:10:20", "15:00:05"},
		"stopped while it is open":                {"14:20:05", "15:00:05"},
		"stopped before the trigger clears":       {"14:41:05", "15:00:05"},
		"stopped again and again, and while bare": {"14:05:05", "14:10:05", "14:11:50", "14:36:05", "14:41:20", "15:00:05"},
	}
	for name, to := range stops {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, againstMetrics(), against())
			time.Sleep(time.Until(day1("13:30:00")))
			for _, clock := range to {
				w.start()
				time.Sleep(time.Until(day1(clock)))
				w.stop()
				time.Sleep(2 * time.Second)
			}
			w.wantEvents(exampleEvents...)
			r := w.one()
			equal(t, "impact started", r.ImpactStartedAt.Format(time.TimeOnly), "13:59:15")
			equal(t, "breach began", r.BreachBegan.Format(time.TimeOnly), "14:00:00")
			equal(t, "severity", r.Severity, runbook.Sev2)
			for _, f := range r.Findings[0].Frozen {
				want := 0.04
				if strings.HasPrefix(f.Condition, "deflection_rate") {
					want = 0.42
				}
				if f.Value < want*(1-1e-9) || f.Value > want*(1+1e-9) {
					t.Errorf("%s was frozen at %v, want %v", f.Condition, f.Value, want)
				}
			}
			equal(t, "frozen baselines", len(r.Findings[0].Frozen), 2)
		})
	}
}

// TestARestartKeepsWhatWasFrozen: after half an hour of harm it is all that a baseline of half an hour would see.
func TestARestartKeepsWhatWasFrozen(t *testing.T) {
	want := []string{"00:50:00 opened", "01:40:00 hold_started", "01:50:00 trigger_cleared", "01:55:00 resolved"}
	for name, stops := range map[string][]string{"never stopped": nil, "stopped in it": {"01:25:05"}, "stopped often": {"00:50:05", "01:10:05", "01:30:05", "01:45:05"}} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, map[string]metric{"refusals": steps("1 00:40:00 9 01:40:00 1")}, book("one", func(s *runbook.Snapshot) {
				c := s.Runbook.Trigger.Condition
				c.Comparison, c.Limit, c.Baseline = triggers.Rises, 2, &triggers.Baseline{Last: 30 * time.Minute}
			}))
			for _, clock := range append(stops, "02:10:05") {
				w.start()
				sleepUntil(clock)
				w.stop()
				time.Sleep(2 * time.Second)
			}
			w.wantEvents(want...)
		})
	}
}

func TestBaselinesAreAskedForOnce(t *testing.T) {
	withLast := func(s *runbook.Snapshot) {
		s.Runbook.Trigger.Condition.Baseline = &triggers.Baseline{Last: 24 * time.Hour}
	}
	bubble(t, "on a grid of their own, sharing the main feed's questions", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": always(1)}, book("one", withLast), book("two", withLast))
		w.play("01:00:05")
		instants, ranges := w.source.asked("refusals", at("00:00:00"))
		equal(t, "refills: the window, and the day", len(ranges), 2)
		equal(t, "instants: one a tick", len(instants), 240)
		for _, r := range ranges {
			if d := r.to.Sub(r.from); d > time.Hour && d != 24*time.Hour+10*time.Minute {
				t.Errorf("the day's refill is of %s", d)
			}
		}
	})
	bubble(t, "the same time of earlier days is asked for ahead", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": always(1)}, book("one", func(s *runbook.Snapshot) {
			s.Runbook.Trigger.Condition.Baseline = &triggers.Baseline{SameTime: 24 * time.Hour, Periods: 2, Width: time.Hour}
		}))
		w.play("02:00:00")
		instants, ranges := w.source.asked("refusals", at("00:00:00"))
		equal(t, "instants", len(instants), 480)
		if n := len(ranges); n > 1+2*3 {
			t.Errorf("%d ranges: the window once, and each of the two days once an hour", n)
		}
	})
	bubble(t, "one that failed is asked for again at the next tick, whole", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": always(1)}, book("one", func(s *runbook.Snapshot) {
			s.Runbook.Trigger.Condition.Comparison, s.Runbook.Trigger.Condition.Limit = triggers.Rises, 2
			withLast(s)
		}))
		w.source.fault = func(q query) error {
			if q.to.Sub(q.from) > time.Hour && time.Now().Before(at("00:01:00")) {
				return &source.Error{Reason: source.Timeout, Expr: q.expr, Detail: "no answer"}
			}
			return nil
		}
		w.play("00:02:05")
		_, ranges := w.source.asked("refusals", at("00:00:00"))
		var asked []string
		for _, r := range ranges {
			if r.to.Sub(r.from) > time.Hour {
				asked = append(asked, r.asked.Format(time.TimeOnly))
			}
		}
		equal(t, "the day was asked for", asked, []string{"00:00:00", "00:00:15", "00:00:30", "00:00:45", "00:01:00"})
		equal(t, "unknown windows", w.value("irdaemon_unknown_windows"), 0)
	})
}

// TestAnIncidentThatFrozeNothingLeavesNothingFrozen: the first incident of a young daemon has no baselines yet; those of
// the next one are frozen all the same.
func TestAnIncidentThatFrozeNothingLeavesNothingFrozen(t *testing.T) {
	bubble(t, "when its baselines were not known", func(t *testing.T) {
		young := func(t time.Time) (float64, bool) {
			if t.Before(at("00:00:00")) {
				return 0, false
			}
			return steps("1 00:20:00 9 00:40:00 1 03:00:00 9 03:40:00 1")(t)
		}
		w := newWorld(t, map[string]metric{"refusals": young}, book("one", func(s *runbook.Snapshot) {
			s.Runbook.Trigger.Condition.Baseline = &triggers.Baseline{Last: 4 * time.Hour}
			s.Runbook.ReopenWithin = time.Minute
		}))
		w.play("03:30:05")
		var frozen []int
		for _, r := range w.records() {
			frozen = append(frozen, len(r.Findings[0].Frozen))
		}
		if !slices.Equal(frozen, []int{0, 1}) {
			t.Errorf("the incidents froze %v baselines, want none, and one", frozen)
		}
	})
}

// TestARestartInAHoldReadsTheWholeSameTime: each tick of the hold that is folded anew needs the whole of its own period.
func TestARestartInAHoldReadsTheWholeSameTime(t *testing.T) {
	like := func(s *runbook.Snapshot) {
		within := condition(&triggers.Condition{
			Signal: "refusals", Comparison: triggers.Within, Limit: 0.2, Worse: triggers.Up,
			Baseline: &triggers.Baseline{SameTime: 24 * time.Hour, Periods: 1, Width: time.Hour},
		})
		s.Runbook.Recovery.Business = runbook.Band{Clause: &within}
		s.Runbook.Recovery.Hold = 45 * time.Minute
	}
	var told [2][]string
	for i, name := range []string{"never stopped", "restarted near the end of the hold"} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9 00:40:00 1")}, book("one", like))
			if i == 1 {
				w.play("01:20:05")
				sleepUntil("01:20:40")
			}
			w.play("03:00:05")
			told[i] = w.events()
		})
	}
	if !slices.Equal(told[0], told[1]) || !strings.Contains(strings.Join(told[0], "\n"), "resolved") {
		t.Errorf("with a restart\n%s\nnever stopped\n%s", strings.Join(told[1], "\n"), strings.Join(told[0], "\n"))
	}
}
