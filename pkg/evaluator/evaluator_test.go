package evaluator_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestABreachOpensWhenItsForIsOver(t *testing.T) {
	tests := []struct {
		name     string
		refusals string
		want     []string
	}{
		{"ten minutes", "1 00:20:00 9", []string{"00:30:00 opened"}},
		{"nine minutes and three quarters", "1 00:20:00 9 00:30:00 1", nil},
		{"two minutes, seen for seven", "1 00:20:00 9 00:27:00 1", nil},
		{"two minutes at the end of a blind time", "_ 00:20:00 9 00:22:00 _", nil},
		{"ten minutes and back at once: the hold starts, the trigger clears, it is resolved", "1 00:20:00 9 00:30:15 1", []string{
			"00:30:00 opened", "00:30:15 hold_started", "00:40:15 trigger_cleared", "00:45:15 resolved",
		}},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, map[string]metric{"refusals": steps(test.refusals)}, book("one"))
			w.play("00:50:05")
			w.wantEvents(test.want...)
			if len(test.want) > 0 {
				r := w.one()
				equal(t, "breach began", r.BreachBegan.Format(time.TimeOnly), "00:20:00")
				equal(t, "impact started", r.ImpactStartedAt.Format(time.TimeOnly), "00:20:00")
				equal(t, "pages", w.pages()[0], "00:30:00 paged")
			}
		})
	}
}

// TestTheWorkedExample plays the incident of the documentation, with absolute limits and no actions, so that the hold
// starts as soon as the bands are held.
func TestTheWorkedExample(t *testing.T) {
	refused := steps("0.04 13:58:30 0.19 14:21:00 0.08 14:31:00 0.05").mean(5 * time.Minute)
	deflected := steps("0.42 13:58:30 0.25 14:21:00 0.36 14:31:00 0.41").mean(5 * time.Minute)
	blind := func(m metric, from, to string) metric {
		return func(t time.Time) (float64, bool) {
			if !t.Before(at(from)) && !t.After(at(to)) {
				return 0, false
			}
			return m(t)
		}
	}
	tests := []struct {
		name       string
		deflection metric
		after      []string
	}{
		{"as it was", deflected, []string{"14:41:15 trigger_cleared", "14:49:30 resolved"}},
		{
			// The hold pauses for four minutes and would be over at 14:53:30; the trigger's window has left the gap
			// behind at 14:54:15, and only then tells that it is clear.
			"deflection unknown for sixteen ticks", blind(deflected, "14:40:15", "14:44:00"),
			[]string{"14:45:45 went_blind", "14:54:15 trigger_cleared", "14:54:15 resolved"},
		},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, map[string]metric{"refused": refused, "deflected": test.deflection}, worked())
			sleepUntil("13:30:00")
			w.play("15:20:05")
			want := append([]string{"14:10:00 opened", "14:11:45 breach_joined", "14:34:30 hold_started"}, test.after...)
			w.wantEvents(want...)
			r := w.one()
			equal(t, "impact started", r.ImpactStartedAt.Format(time.TimeOnly), "13:59:15")
			equal(t, "breach began", r.BreachBegan.Format(time.TimeOnly), "14:00:00")
			equal(t, "severity", r.Severity, runbook.Sev2)
		})
	}
}

func worked() *runbook.Snapshot {
	return book("good-users-refused", func(s *runbook.Snapshot) {
		s.Signals = map[string]*triggers.Signal{
			"refusal_rate":    {Name: "refusal_rate", Unit: triggers.Ratio, Range: 5 * time.Minute, Query: "refused"},
			"deflection_rate": {Name: "deflection_rate", Unit: triggers.Ratio, Range: 5 * time.Minute, Query: "deflected"},
		}
		s.Runbook.Trigger = triggers.Clause{Any: []triggers.Clause{
			condition(above("refusal_rate", 0.08, 10*time.Minute)),
			condition(&triggers.Condition{Signal: "deflection_rate", Comparison: triggers.Below, Limit: 0.315, For: 10 * time.Minute}),
		}}
		s.Runbook.Severity = runbook.Rubric{Default: runbook.Sev3, Rules: []runbook.Rule{
			{Severity: runbook.Sev1, When: condition(above("refusal_rate", 0.3, 0))},
			{Severity: runbook.Sev2, When: condition(above("refusal_rate", 0.15, 0))},
		}}
		s.Runbook.Recovery.Key.Clause = pointer(condition(&triggers.Condition{Signal: "refusal_rate", Comparison: triggers.Below, Limit: 0.06}))
		s.Runbook.Recovery.Business = runbook.Band{Clause: pointer(condition(&triggers.Condition{Signal: "deflection_rate", Comparison: triggers.Above, Limit: 0.38}))}
	})
}

func TestEachExpressionIsAskedOnceATick(t *testing.T) {
	ratio := func(name, denominator string) func(*runbook.Snapshot) {
		return func(s *runbook.Snapshot) {
			s.Signals[name] = &triggers.Signal{Name: name, Unit: triggers.Ratio, Numerator: name + "_bad", Denominator: denominator}
			s.Runbook.Trigger = triggers.Clause{Any: []triggers.Clause{s.Runbook.Trigger, condition(above(name, 0.5, time.Minute))}}
		}
	}
	bubble(t, "by however many runbooks use it", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": always(1), "a_bad": always(1), "b_bad": always(1), "requests": always(10)},
			book("one"), book("two", ratio("a", "requests")), book("three", ratio("a", "requests"), ratio("b", "requests")))
		w.play("00:10:05")
		for _, expr := range []string{"refusals", "a_bad", "b_bad", "requests"} {
			instants, _ := w.source.asked(expr, at("00:00:15"))
			equal(t, expr, len(instants), 40)
		}
		equal(t, "ticks", len(w.ticks), 41)
	})
	bubble(t, "no more of them at once than allowed", func(t *testing.T) {
		var books []*runbook.Snapshot
		for _, name := range strings.Split("abcdefghij", "") {
			books = append(books, book(name, ratio(name, "requests_"+name)))
		}
		w := newWorld(t, nil, books...)
		w.config.Queries = 3
		w.source.delay = func(query) time.Duration { return time.Second }
		w.play("00:01:14")
		equal(t, "at once", w.source.most, 3)
		equal(t, "late ticks", w.value("irdaemon_ticks_late_total"), 0)
		equal(t, "lag of the last one", w.value("irdaemon_evaluation_lag_seconds"), 0)
	})
}

func TestTicksAreAligned(t *testing.T) {
	tests := []struct {
		name          string
		phase, offset time.Duration
		first         string
	}{
		{"to the interval", 0, 0, "00:00:00"},
		{"to the phase", 4 * time.Second, 0, "00:00:04"},
		{"and asked for when the offset is over", 0, 20 * time.Second, "00:00:00"},
		{"phase and offset together", 4 * time.Second, 7 * time.Second, "00:00:04"},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, map[string]metric{"refusals": always(1)}, book("one"))
			w.config.Grid.Phase, w.config.QueryOffset = test.phase, test.offset
			// Evaluation takes now nothing, now nearly the whole interval.
			w.source.delay = func(q query) time.Duration { return time.Duration(q.asked.Unix()*7919%14_900) * time.Millisecond }
			due := at(test.first)
			time.Sleep(test.offset + test.phase)
			w.play("03:00:00")
			instants, ranges := w.source.asked("refusals", at("00:00:00"))
			equal(t, "refills", len(ranges), 1)
			for i, q := range instants {
				want := due.Add(time.Duration(i+1) * step)
				if !q.from.Equal(want) || !q.asked.Equal(want.Add(test.offset)) {
					t.Fatalf("tick %d: %s asked for at %s; want %s at %s", i+1, q.from, q.asked, want, want.Add(test.offset))
				}
			}
			if len(instants) < 717 {
				t.Errorf("%d ticks in three hours", len(instants))
			}
			equal(t, "late ticks", w.value("irdaemon_ticks_late_total"), 0)
			equal(t, "lag", w.value("irdaemon_evaluation_lag_seconds"), 0)
		})
	}
}

func TestSegments(t *testing.T) {
	byLanguage := func(de string) map[string]metric {
		return map[string]metric{"refusals{lang=en}": steps("1 00:20:00 9 00:40:00 1"), "refusals{lang=de}": steps(de)}
	}
	for _, reworded := range []bool{false, true} {
		name := "one that breached and is gone does not let the incident be resolved"
		if reworded {
			name += ", in whatever words the record names it"
		}
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, byLanguage("1 00:20:00 9 00:35:00 _"), book("one"))
			w.reworded = reworded
			w.play("02:00:05")
			w.wantEvents("00:30:00 opened", "00:45:00 went_blind", "00:50:00 trigger_cleared")
		})
	}
	bubble(t, "one that joins counts in the rubric at once", func(t *testing.T) {
		w := newWorld(t, byLanguage("1 00:25:00 50"), book("one", func(s *runbook.Snapshot) {
			s.Runbook.Severity.Rules = []runbook.Rule{{Severity: runbook.Sev1, When: condition(above("refusals", 40, 0))}}
		}))
		w.play("00:36:05")
		w.wantEvents("00:30:00 opened", "00:35:00 breach_joined", "00:35:00 severity_raised")
	})
}

func TestReload(t *testing.T) {
	bubble(t, "a runbook that is gone opens nothing more, though its incident is open", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals{lang=en}": steps("1 00:20:00 9"), "refusals{lang=de}": steps("1 00:35:00 9")},
			book("one", func(s *runbook.Snapshot) { s.Runbook.GroupBy = []string{"lang"} }))
		w.start()
		sleepUntil("00:40:05")
		w.evaluator.SetRunbooks(nil)
		sleepUntil("00:50:05")
		w.stop()
		w.wantEvents("00:30:00 opened")
	})
	bubble(t, "keeps the warm windows of runbooks that stay as they are", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9"), "latency": always(1)}, book("one"))
		w.start()
		sleepUntil("00:25:05")
		w.evaluator.SetRunbooks([]*runbook.Snapshot{book("one"), book("two", func(s *runbook.Snapshot) {
			s.Signals["latency"] = &triggers.Signal{Name: "latency", Query: "latency"}
			s.Runbook.Trigger = condition(above("latency", 5, 10*time.Minute))
		})})
		sleepUntil("00:29:50")
		_, ranges := w.source.asked("refusals", at("00:00:15"))
		equal(t, "refills of what was warm", len(ranges), 0)
		_, ranges = w.source.asked("latency", at("00:00:00"))
		equal(t, "refills of what is new", len(ranges), 1)
		sleepUntil("00:30:05")
		w.stop()
		w.wantEvents("00:30:00 opened")
	})
	bubble(t, "a longer window of the same expression is refilled whole", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9")}, book("one"))
		w.start()
		sleepUntil("00:29:50")
		w.evaluator.SetRunbooks([]*runbook.Snapshot{book("one", func(s *runbook.Snapshot) { s.Runbook.Trigger.Condition.For = 15 * time.Minute })})
		sleepUntil("00:36:05")
		w.stop()
		w.wantEvents("00:35:00 opened")
	})
	bubble(t, "an open incident keeps the runbook that it was opened with", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9 00:40:00 2")}, book("one"))
		w.start()
		sleepUntil("00:35:05")
		w.evaluator.SetRunbooks([]*runbook.Snapshot{book("one", func(s *runbook.Snapshot) {
			s.Runbook.Trigger.Condition.Limit = 1.5
			s.Runbook.Recovery.Key.Clause.Condition.Limit = 0
		})})
		sleepUntil("00:54:50")
		synctest.Wait()
		w.wantEvents("00:30:00 opened", "00:40:00 hold_started", "00:50:00 trigger_cleared")
		w.evaluator.SetRunbooks(nil)
		sleepUntil("00:55:05")
		w.stop()
		w.wantEvents("00:30:00 opened", "00:40:00 hold_started", "00:50:00 trigger_cleared", "00:55:00 resolved")
	})
	bubble(t, "a runbook that is gone leaves no metric", func(t *testing.T) {
		w := newWorld(t, nil, book("one"), book("two"))
		w.start()
		sleepUntil("00:00:05")
		equal(t, "unknown windows", w.value("irdaemon_unknown_windows"), 2)
		w.evaluator.SetRunbooks([]*runbook.Snapshot{book("two")})
		sleepUntil("00:00:20")
		equal(t, "unknown windows", w.value("irdaemon_unknown_windows"), 1)
		w.stop()
	})
}

func TestAStormAsksForThePastOnce(t *testing.T) {
	bubble(t, "by however many segments breach", func(t *testing.T) {
		metrics := map[string]metric{}
		for _, lang := range strings.Split("abcdefghijklmnopqrst", "") {
			metrics["refusals{lang="+lang+"}"] = steps("2 00:17:00 4 00:20:00 9")
		}
		w := newWorld(t, metrics, book("one", func(s *runbook.Snapshot) { s.Runbook.GroupBy = []string{"lang"} }))
		w.play("00:30:05")
		equal(t, "incidents", len(w.records()), 20)
		equal(t, "impact started", w.records()[0].ImpactStartedAt.Format(time.TimeOnly), "00:17:00")
		equal(t, "breach began", w.records()[0].BreachBegan.Format(time.TimeOnly), "00:20:00")
		_, ranges := w.source.asked("refusals", at("00:00:15"))
		equal(t, "looks back", len(ranges), 1)
	})
}

func TestStopping(t *testing.T) {
	bubble(t, "in the middle of a query decides nothing and blames nobody", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9")}, book("one"))
		w.source.delay = func(query) time.Duration { return 2 * time.Second }
		w.play("00:25:01")
		last := w.ticks[len(w.ticks)-1].T
		equal(t, "last tick", last.Format(time.TimeOnly), "00:24:45")
		equal(t, "logged", w.logs.Len(), 0)
	})
}

func TestMetricsFollowTheConventions(t *testing.T) {
	bubble(t, "as promlint reads them", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": always(1)}, book("one"))
		w.source.fault = func(q query) error {
			if q.from.Equal(at("00:00:30")) {
				return &source.Error{Reason: source.Timeout, Expr: q.expr, Detail: "no answer"}
			}
			return nil
		}
		w.play("00:01:05")
		problems, err := testutil.GatherAndLint(w.registry)
		if err != nil || len(problems) > 0 {
			t.Errorf("%v %v", problems, err)
		}
		equal(t, "ticks judged", w.value("irdaemon_evaluations_total"), 5)
		equal(t, "queries", w.value("irdaemon_queries_total"), 5)
		equal(t, "durations", w.value("irdaemon_evaluation_duration_seconds"), 5)
		equal(t, "series", w.value("irdaemon_window_series"), 1)
	})
}

func TestStatusBeforeTheFirstTick(t *testing.T) {
	bubble(t, "is blind", func(t *testing.T) {
		w := newWorld(t, nil, book("one"))
		w.source.delay = func(query) time.Duration { return time.Minute }
		w.start()
		time.Sleep(time.Second)
		equal(t, "blind", w.evaluator.Status().Blind(), []string{"no tick has been decided yet"})
		w.stop()
	})
}
