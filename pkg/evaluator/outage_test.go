package evaluator_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestASourceThatFails(t *testing.T) {
	bubble(t, "is unknown, told once, and asked for everything when it is back", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9")}, book("one"))
		w.source.fault = down("00:25:00", "00:35:00")
		w.start()
		sleepUntil("00:24:50")
		equal(t, "blind before", w.evaluator.Status().Blind(), []string{})
		sleepUntil("00:34:50")
		synctest.Wait()
		w.wantEvents()
		equal(t, "blind", w.evaluator.Status().Blind(), []string{`blind for refusals since 00:25:00 UTC: query "refusals": 503 Service Unavailable`})
		equal(t, "failing signals", w.value("irdaemon_signals_failing"), 1)
		equal(t, "unknown windows", w.value("irdaemon_unknown_windows"), 1)
		equal(t, "failures", w.value("irdaemon_query_failures_total"), 40)
		equal(t, "failed evaluations", w.value("irdaemon_evaluation_failures_total"), 40)
		equal(t, "told", w.logs.FilterMessageSnippet("blind").Len(), 1)
		sleepUntil("00:35:10")
		synctest.Wait()
		w.wantEvents("00:35:00 opened")
		equal(t, "breach began", w.one().BreachBegan.Format(time.TimeOnly), "00:20:00")
		equal(t, "blind after", w.evaluator.Status().Blind(), []string{})
		equal(t, "failing signals", w.value("irdaemon_signals_failing"), 0)
		equal(t, "told that it is back", w.logs.FilterMessageSnippet("sight is back").Len(), 1)
		instants, _ := w.source.asked("refusals", at("00:35:01"))
		sleepUntil("00:36:10")
		more, _ := w.source.asked("refusals", at("00:35:01"))
		equal(t, "instants again", len(more)-len(instants), 4)
		w.stop()
	})
	bubble(t, "at a ratio's denominator alone is unknown", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"bad": steps("1 00:05:00 9"), "all": always(10)}, book("one", func(s *runbook.Snapshot) {
			s.Signals["refusals"] = &triggers.Signal{Name: "refusals", Unit: triggers.Ratio, Numerator: "bad", Denominator: "all", ZeroBorn: true}
			s.Runbook.Trigger.Condition.Limit = 0.5
		}))
		failing := down("00:09:00", "00:20:00")
		w.source.fault = func(q query) error {
			if q.expr == "bad" {
				return nil
			}
			return failing(q)
		}
		w.play("00:19:50")
		w.wantEvents()
	})
	bubble(t, "while an incident is open neither clears nor resolves it", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9")}, book("one"))
		w.source.fault = down("00:40:00", "02:00:00")
		w.play("01:59:50")
		w.wantEvents("00:30:00 opened", "00:45:00 went_blind")
	})
}

func TestAHoldDuringAnOutage(t *testing.T) {
	const healed = "1 00:20:00 9 00:40:00 1" // hold from 00:40:00, clear 00:50:00, resolved 00:55:00
	before := []string{"00:30:00 opened", "00:40:00 hold_started"}
	tests := []struct {
		name     string
		refusals string
		down     [2]string
		restart  [2]string
		want     []string
	}{
		{"points that come late count as what they are", healed, [2]string{"00:43:00", "00:47:00"}, [2]string{}, []string{"00:50:00 trigger_cleared", "00:55:00 resolved"}},
		{"points that never come pause it", healed + " 00:43:00 _ 00:47:00 1", [2]string{}, [2]string{}, []string{"00:48:30 went_blind", "00:57:00 trigger_cleared", "00:57:00 sight_back", "00:59:00 resolved"}},
		{"while it lasts, nothing is resolved", healed, [2]string{"00:50:15", "00:58:00"}, [2]string{}, []string{"00:50:00 trigger_cleared", "00:55:15 went_blind", "00:58:00 resolved"}},
		{"a restart within it does not start the hold anew", healed, [2]string{"00:50:15", "00:58:00"}, [2]string{"00:52:05", "00:52:40"}, []string{"00:50:00 trigger_cleared", "00:57:15 went_blind", "00:58:00 resolved"}},
		{"longer than the hold breaks it", healed, [2]string{"00:43:00", "01:05:00"}, [2]string{}, []string{"00:48:00 went_blind", "00:58:00 hold_broken", "01:05:00 trigger_cleared", "01:05:00 hold_started", "01:05:00 sight_back", "01:20:00 resolved"}},
	}
	tests = append(tests, struct {
		name     string
		refusals string
		down     [2]string
		restart  [2]string
		want     []string
	}{
		"a restart within one that is longer than the hold breaks it too, later",
		healed, [2]string{"00:43:00", "01:10:00"}, [2]string{"00:45:05", "00:45:40"},
		[]string{"00:50:15 went_blind", "01:00:15 hold_broken", "01:10:00 trigger_cleared", "01:10:00 hold_started", "01:10:00 sight_back", "01:25:00 resolved"},
	})
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, map[string]metric{"refusals": steps(test.refusals)}, book("one"))
			if test.down[0] != "" {
				w.source.fault = down(test.down[0], test.down[1])
			}
			if test.restart[0] != "" {
				w.play(test.restart[0])
				sleepUntil(test.restart[1])
			}
			w.play("01:30:05")
			w.wantEvents(slices.Concat(before, test.want)...)
		})
	}
}

func TestAHoldWhosePastIsNotToldAtOnce(t *testing.T) {
	const healed = "1 00:20:00 9 00:40:00 1"
	bubble(t, "asks for it again until it is, and then all of it counts", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps(healed)}, book("one"))
		w.play("00:45:05")
		sleepUntil("00:45:40")
		w.source.fault = func(q query) error { // only what ends in the past
			if q.instant() || time.Since(q.to) < step || !time.Now().Before(at("00:48:00")) {
				return nil
			}
			return &source.Error{Reason: source.Timeout, Expr: q.expr, Detail: "no answer"}
		}
		w.play("01:00:05")
		w.wantEvents("00:30:00 opened", "00:40:00 hold_started", "00:50:00 trigger_cleared", "00:55:00 resolved")
		equal(t, "told as blind", w.logs.FilterMessageSnippet("blind").Len(), 0)
	})
	bubble(t, "is not asked for while its signals fail", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps(healed)}, book("one"))
		w.play("00:45:05")
		sleepUntil("00:45:10")
		w.source.fault = down("00:45:10", "02:00:00")
		w.start()
		sleepUntil("00:50:05")
		instants, ranges := w.source.asked("refusals", at("00:45:15"))
		equal(t, "queries", len(instants)+len(ranges), 20) // one a tick
		w.stop()
	})
}

func TestAStoreThatFails(t *testing.T) {
	bubble(t, "leaves ticks undecided, which are decided later, in order", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9 00:40:00 1")}, book("one"))
		w.start()
		sleepUntil("00:28:05")
		w.faults.set(errors.New("disk full"), "tick", "gap")
		sleepUntil("00:43:05")
		synctest.Wait()
		equal(t, "undecided", w.value("irdaemon_tick_failures_total"), 60)
		w.wantEvents()
		w.faults.set(nil)
		sleepUntil("01:00:05")
		w.stop()
		w.wantEvents("00:30:00 opened", "00:40:00 hold_started", "00:50:00 trigger_cleared", "00:55:00 resolved")
	})
	bubble(t, "does not make it look for the same beginning again and again", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("2 00:17:00 4 00:20:00 9")}, book("one"))
		w.start()
		sleepUntil("00:29:50")
		w.faults.set(errors.New("disk full"), "tick", "gap")
		sleepUntil("00:43:05")
		_, ranges := w.source.asked("refusals", at("00:00:15"))
		equal(t, "looks back", len(ranges), 1)
		w.stop()
	})
	bubble(t, "another process leads: it ends", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": always(1)}, book("one"))
		w.faults.set(incident.ErrFenced, "tick", "gap")
		w.start()
		if err := <-w.ended; !errors.Is(err, incident.ErrFenced) {
			t.Errorf("%v", err)
		}
	})
}
