package evaluator_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/source"
)

// slowRanges delays the answers to ranges of this day that are asked for from a time on.
func slowRanges(from string, by time.Duration) func(query) time.Duration {
	return func(q query) time.Duration {
		if q.instant() || q.to.Before(at("00:00:00")) || q.asked.Before(at(from)) {
			return 0
		}
		return by
	}
}

// wantInTime checks that every tick was decided in time, and none as missed.
func (w *world) wantInTime(atMost time.Duration) {
	w.t.Helper()
	if w.latest > atMost {
		w.t.Errorf("a tick was decided %s late, want %s at most", w.latest, atMost)
	}
	for _, tick := range w.ticks {
		if tick.Walking {
			w.t.Errorf("tick %s was missed", tick.T.Format(time.TimeOnly))
		}
	}
}

func TestNoTickWaitsForAnEffect(t *testing.T) {
	bubble(t, "one that the source is slow to tell comes later, and is the same", func(t *testing.T) {
		w := newWorld(t, byCounts(refusals, deflection), twoSteps())
		w.source.delay = slowRanges("00:42:00", 10*time.Second)
		w.start()
		w.rollBack("00:38:00", "prompt", "v7", "v6")
		w.rollBack("00:46:00", "index", "kb-2", "kb-1")
		sleepUntil("01:10:05")
		synctest.Wait()
		w.stop()
		want := strings.NewReplacer("00:43:00", "00:43:30", "00:51:00", "00:51:30").Replace(ofThePrompt + "\n" + ofTheIndex)
		equal(t, "effects", strings.Join(w.effects(), "\n"), want)
		w.wantInTime(2 * time.Second)
	})
	bubble(t, "those that it never tells are given up in the end, and asked for now and then until then", func(t *testing.T) {
		w := newWorld(t, byCounts("0.04 00:20:00 0.19", "0.42 00:20:00 0.25"), twoSteps())
		w.source.delay = slowRanges("00:42:00", 10*time.Second)
		w.source.fault = func(q query) error {
			if w.source.delay(q) == 0 {
				return nil
			}
			return &source.Error{Reason: source.Timeout, Expr: q.expr, Detail: "timed out"}
		}
		w.start()
		w.rollBack("00:38:00", "prompt", "v7", "v6")
		w.rollBack("00:38:40", "index", "kb-2", "kb-1")
		sleepUntil("02:10:05")
		synctest.Wait()
		w.stop()
		equal(t, "effects", strings.Join(w.effects(), "\n"), "01:42:45 prompt: Can't tell yet\n01:44:00 index: Can't tell yet")
		w.wantInTime(2 * time.Second)
		_, ranges := w.source.asked("refused", at("00:42:00"))
		if n := len(ranges); n < 60 || n > 200 {
			t.Errorf("%d questions for two effects in an hour", n)
		}
		equal(t, "asked for after that", len(ranges) > 0 && ranges[len(ranges)-1].asked.After(at("01:44:00")), false)
	})
}

// TestTheTrafficOfAWeekBeforeIsAskedForNowAndThen: something else stands in for it.
func TestTheTrafficOfAWeekBeforeIsAskedForNowAndThen(t *testing.T) {
	bubble(t, "while the source does not tell it", func(t *testing.T) {
		w := newWorld(t, byCounts("0.04 00:20:00 0.19", "0.42 00:20:00 0.25"), twoSteps())
		ofTheWeekBefore := func(q query) bool { return !q.instant() && q.to.Before(at("00:00:00")) }
		w.source.fault = func(q query) error {
			if !ofTheWeekBefore(q) {
				return nil
			}
			return &source.Error{Reason: source.Timeout, Expr: q.expr, Detail: "timed out"}
		}
		w.play("01:30:05")
		asked := 0
		_, ranges := w.source.asked("chats", at("00:30:00"))
		for _, q := range ranges {
			if ofTheWeekBefore(q) {
				asked++
			}
		}
		if asked < 10 || asked > 14 {
			t.Errorf("asked %d times in an hour", asked)
		}
	})
}
