package evaluator_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

const relapsing = "1 00:20:00 9 00:40:00 1 00:52:00 9 01:10:00 4 01:20:00 1"

// undisturbed gives the events of a world in which nothing goes wrong.
func undisturbed(t *testing.T, refusals string) (events []string) {
	t.Helper()
	w := newWorld(t, map[string]metric{"refusals": steps(refusals)}, book("one"))
	w.play("02:30:05")
	return w.events()
}

func TestASlowSourceNeverPilesTicksUp(t *testing.T) {
	var want []string
	bubble(t, "a fast one", func(t *testing.T) { want = undisturbed(t, relapsing) })
	bubble(t, "each answer takes two and a half intervals", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps(relapsing)}, book("one"))
		w.source.delay = func(query) time.Duration { return step * 5 / 2 }
		w.play("02:32:05")
		w.wantEvents(want...)
		equal(t, "queries at once", w.source.most, 1)
		equal(t, "holds folded anew", w.logs.FilterMessageSnippet("folded").Len(), 0)
		if late := w.value("irdaemon_ticks_late_total"); late < 300 {
			t.Errorf("%v late ticks of 608", late)
		}
		if behind := time.Since(w.evaluator.Status().Tick); behind > 6*step {
			t.Errorf("%s behind", behind)
		}
		for i := range w.ticks {
			if i > 0 && !w.ticks[i].T.Equal(w.ticks[i-1].T.Add(step)) {
				t.Fatalf("tick %s after %s", w.ticks[i].T, w.ticks[i-1].T)
			}
		}
	})
	if len(want) < 8 {
		t.Errorf("a story of %v shows little", want)
	}
}

func TestARestartChangesNoTime(t *testing.T) {
	var want []string
	bubble(t, "never stopped", func(t *testing.T) { want = undisturbed(t, relapsing) })
	for _, test := range []struct {
		name, from, to string
		ranges         int // refills of the window, and of the hold
	}{
		{"in the middle of the window", "00:25:05", "00:25:40", 1},
		{"in the middle of the window, for longer than it", "00:22:05", "00:36:10", 1},
		{"on the very tick that opens", "00:29:50", "00:30:10", 1},
		{"in the middle of a hold", "00:45:05", "00:45:40", 2},
		{"over the break of a hold", "00:45:05", "01:05:00", 2},
		{"in the middle of the hold that succeeds", "01:30:05", "01:30:20", 2},
		{"over the resolution", "01:30:05", "01:50:10", 2},
	} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, map[string]metric{"refusals": steps(relapsing)}, book("one"))
			w.play(test.from)
			sleepUntil(test.to)
			w.start()
			time.Sleep(time.Second)
			synctest.Wait()
			if _, ranges := w.source.asked("refusals", at(test.to)); len(ranges) != test.ranges {
				t.Errorf("%d range queries, want %d: %v", len(ranges), test.ranges, ranges)
			}
			sleepUntil("02:30:05")
			w.stop()
			w.wantEvents(want...)
		})
	}
}

func TestALongGap(t *testing.T) {
	bubble(t, "its last four hours are walked, nobody is paged on the way, one round at the end", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 06:00:00 9")}, book("one"))
		w.play("01:00:05")
		w.ticks = nil
		sleepUntil("08:00:02")
		w.play("08:01:05")
		equal(t, "first tick", w.ticks[0].T.Format(time.TimeOnly), "04:00:00")
		equal(t, "skipped", w.value("irdaemon_ticks_skipped_total"), int(at("04:00:00").Sub(at("01:00:15"))/step))
		equal(t, "late", w.value("irdaemon_ticks_late_total"), int(4*time.Hour/step))
		w.wantEvents("06:10:00 opened")
		equal(t, "pages", w.pages(), []string{"08:00:00 paged"})
		_, ranges := w.source.asked("refusals", at("08:00:00"))
		equal(t, "window refills", len(ranges), 1)
	})
	bubble(t, "an open incident notes it, once, as soon as the store takes it", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9 02:00:00 1")}, book("one"))
		w.play("01:00:05")
		sleepUntil("08:00:02")
		w.faults.set(errors.New("disk full"), "tick", "gap")
		w.start()
		sleepUntil("08:00:40")
		w.faults.set(nil)
		sleepUntil("08:01:05")
		w.stop()
		sleepUntil("08:05:02")
		w.play("08:06:05")
		w.wantEvents("00:30:00 opened", "08:00:45 gap_noted", "04:00:45 trigger_cleared", "04:00:45 hold_started", "04:15:45 resolved")
	})
	bubble(t, "is not noted again as a whole where its first tick fails", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9")}, book("one"))
		w.play("01:00:05")
		sleepUntil("08:00:02")
		w.faults.set(errors.New("disk full"), "tick")
		w.start()
		sleepUntil("08:00:20")
		w.stop()
		var gaps []string
		w.told(func(e incident.Event) bool {
			if gap, ok := e.Body.(incident.GapNoted); ok {
				gaps = append(gaps, gap.From.Format(time.TimeOnly)+" to "+gap.To.Format(time.TimeOnly))
			}
			return false
		})
		equal(t, "gaps", gaps, []string{"01:00:15 to 04:00:00", "04:00:00 to 04:00:15"})
	})
	bubble(t, "one that opened and ended on the way pages nobody", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 06:00:00 9 06:20:00 1")}, book("one"))
		w.play("01:00:05")
		sleepUntil("08:00:02")
		w.play("08:01:05")
		w.wantEvents("06:10:00 opened", "06:20:00 hold_started", "06:30:00 trigger_cleared", "06:35:00 resolved")
		equal(t, "pages", w.pages(), []string{})
	})
	bubble(t, "at an interval of a second it is asked for in parts that Prometheus allows", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 06:00:00 9")}, book("one"))
		w.config.Grid.Interval = time.Second
		w.play("01:00:05")
		sleepUntil("08:00:02")
		w.play("08:00:05")
		w.wantEvents("06:10:00 opened")
		_, ranges := w.source.asked("refusals", at("08:00:00"))
		if len(ranges) != 2 || !ranges[1].from.Equal(ranges[0].to.Add(time.Second)) {
			t.Errorf("asked for %v", ranges)
		}
	})
}
