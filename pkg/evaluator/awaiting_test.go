package evaluator_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// hanging answers nothing in time.
func hanging(from, to string) func(query) error {
	refuse := down(from, to)
	return func(q query) error {
		if refuse(q) == nil {
			return nil
		}
		time.Sleep(12 * time.Second)
		return &source.Error{Reason: source.Timeout, Expr: q.expr, Detail: "no answer in 12s"}
	}
}

// TestAWalkWaitsForTheSource: what was missed while the daemon was away is found as if it never had been, though the
// source comes back after it.
func TestAWalkWaitsForTheSource(t *testing.T) {
	var want []string
	bubble(t, "never stopped", func(t *testing.T) { want = undisturbed(t, relapsing) })
	faults := map[string]func(from, to string) func(query) error{"that refuses": down, "that hangs": hanging}
	for _, gap := range []struct{ name, from, to, back string }{
		{"in the middle of the window", "00:22:05", "00:25:40", "00:26:30"},
		{"over the opening", "00:25:05", "00:36:10", "00:41:00"},
		{"in the middle of a hold", "00:45:05", "00:45:40", "00:48:00"},
		{"over the break of a hold", "00:45:05", "01:05:00", "01:07:10"},
		{"for a tick or two", "01:30:05", "01:30:20", "01:30:25"},
		{"over the resolution", "01:30:05", "01:50:10", "01:54:50"},
	} {
		for kind, fault := range faults {
			bubble(t, gap.name+", for a source "+kind, func(t *testing.T) {
				w := newWorld(t, map[string]metric{"refusals": steps(relapsing)}, book("one"))
				w.source.fault = fault(gap.from, gap.back) // it went away with the daemon, and comes back later
				w.play(gap.from)
				sleepUntil(gap.to)
				w.play("02:30:05")
				w.wantEvents(want...)
			})
		}
	}
	bubble(t, "through another restart", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps(relapsing)}, book("one"))
		w.source.fault = down("00:25:05", "00:42:00")
		w.play("00:25:05")
		sleepUntil("00:33:10")
		w.play("00:36:00")
		sleepUntil("00:39:00")
		w.play("02:30:05")
		w.wantEvents(want...)
	})
	bubble(t, "which answers one signal and not the other", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps(relapsing), "others": always(1)}, book("one"), book("two", func(s *runbook.Snapshot) {
			s.Signals["others"] = &triggers.Signal{Name: "others", Unit: triggers.NoUnit, Query: "others"}
			s.Runbook.Trigger = condition(above("others", 5, 10*time.Minute))
		}))
		refuse := down("00:25:05", "00:41:00")
		w.source.fault = func(q query) error {
			if q.expr == "others" {
				return nil
			}
			return refuse(q)
		}
		w.play("00:25:05")
		sleepUntil("00:36:10")
		w.play("02:30:05")
		w.wantEvents(want...)
		_, ranges := w.source.asked("others", at("00:36:00"))
		equal(t, "what was answered is asked for again", len(ranges), 2) // the refill, and what fell due meanwhile
	})
	if !slices.Contains(want, "00:30:00 opened") {
		t.Errorf("a story of %v shows little", want)
	}
}

func TestAWalkThatWaits(t *testing.T) {
	// stopped is a world that was away while the incident should have opened, and finds its source down.
	stopped := func(t *testing.T, fault func(query) error) *world {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9 00:40:00 1")}, book("one"))
		w.play("00:25:05")
		w.source.fault = fault
		sleepUntil("00:35:10")
		w.start()
		return w
	}
	bubble(t, "says so, and what for, and asks every second", func(t *testing.T) {
		w := stopped(t, down("00:35:00", "00:37:00"))
		sleepUntil("00:36:59")
		synctest.Wait()
		w.wantEvents()
		equal(t, "blind", w.evaluator.Status().Blind(), []string{
			"the ticks missed since 00:25:15 UTC wait for the metric source, until 00:40:10 UTC at the latest",
			`blind for refusals since 00:35:10 UTC: query "refusals": 503 Service Unavailable`,
		})
		equal(t, "decided", w.evaluator.Status().Tick.IsZero(), true)
		equal(t, "failing", w.value("irdaemon_signals_failing"), 1)
		equal(t, "told", w.logs.FilterMessageSnippet("they wait for it").Len(), 1)
		equal(t, "asked", w.value("irdaemon_query_failures_total"), 110)
		sleepUntil("00:37:02")
		synctest.Wait()
		w.wantEvents("00:30:00 opened")
		equal(t, "pages", w.pages(), []string{"00:37:00 paged"})
		equal(t, "blind after", w.evaluator.Status().Blind(), []string{})
		w.stop()
	})
	bubble(t, "stops at once", func(t *testing.T) {
		w := stopped(t, hanging("00:35:00", "01:00:00"))
		w.source.becomes(nil, func(query) time.Duration { return time.Hour })
		sleepUntil("00:36:00")
		w.stop()
		equal(t, "stopped", time.Now().Format(time.TimeOnly), "00:36:00")
	})
	bubble(t, "stops at once between two questions", func(t *testing.T) {
		w := stopped(t, down("00:35:00", "01:00:00"))
		time.Sleep(time.Minute + 500*time.Millisecond)
		before := time.Now()
		w.stop()
		equal(t, "took", time.Since(before), time.Duration(0))
	})
	bubble(t, "waits no longer than blind_after, and then decides the missed ticks as unknown", func(t *testing.T) {
		w := stopped(t, down("00:35:00", "00:50:00"))
		ticks := w.decided()
		sleepUntil("00:40:09")
		synctest.Wait()
		equal(t, "ticks before", w.decided()-ticks, 0)
		sleepUntil("00:40:11")
		synctest.Wait()
		equal(t, "ticks after", w.decided()-ticks, 60)
		equal(t, "told", w.logs.FilterMessageSnippet("decided without it").Len(), 1)
		equal(t, "blind", w.evaluator.Status().Blind(), []string{`blind for refusals since 00:35:10 UTC: query "refusals": 503 Service Unavailable`})
		sleepUntil("00:41:05")
		synctest.Wait()
		equal(t, "no further wait", w.evaluator.Status().Tick.Format(time.TimeOnly), "00:41:00")
		sleepUntil("01:10:05")
		w.stop()
		w.wantEvents() // all of it lay in the time that was decided as unknown
	})
	bubble(t, "does not wait for what the source refuses for good", func(t *testing.T) {
		w := stopped(t, func(q query) error {
			return &source.Error{Reason: source.Query, Expr: q.expr, Detail: "parse error"}
		})
		time.Sleep(time.Second)
		synctest.Wait()
		equal(t, "last tick", w.evaluator.Status().Tick.Format(time.TimeOnly), "00:35:00")
		w.stop()
	})
	bubble(t, "does not wait again for a signal that failed before the gap, and delays no other one", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": always(1), "others": steps("1 00:30:00 9")}, book("one"), book("two", func(s *runbook.Snapshot) {
			s.Signals["others"] = &triggers.Signal{Name: "others", Unit: triggers.NoUnit, Query: "others"}
			s.Runbook.Trigger = condition(above("others", 5, 10*time.Minute))
		}))
		slow := func(q query) error { // so slow that ticks are missed
			if q.expr == "others" || time.Now().Before(at("00:20:00")) {
				return nil
			}
			time.Sleep(40 * time.Second)
			return &source.Error{Reason: source.Timeout, Expr: q.expr, Detail: "no answer in 40s"}
		}
		w.source.fault = slow
		w.play("00:42:05")
		if got := strings.Join(w.events(), " "); got != "00:40:00 opened" {
			t.Errorf("%s", got)
		}
		equal(t, "waited", w.logs.FilterMessageSnippet("they wait for it").Len(), 0)
	})
}

// TestAWalkedGapIsNeverGone: whenever the daemon goes, for however long, and however long its source needs after it, the
// same happens at the same ticks; who was called apart.
func TestAWalkedGapIsNeverGone(t *testing.T) {
	stories := map[string]func() (map[string]metric, *runbook.Snapshot){
		"values": func() (map[string]metric, *runbook.Snapshot) {
			return map[string]metric{"refusals": steps("1 00:20:00 9 00:40:00 1 00:47:00 _ 00:49:00 1 00:52:00 9 01:10:00 4 01:20:00 1 01:30:00 _ 01:37:00 1")}, book("one")
		},
		"shares, and users who leave": func() (map[string]metric, *runbook.Snapshot) {
			share := steps("0.04 00:20:00 0.40 00:50:00 0.02")
			return chats(steps("30000 00:55:00 3000 01:20:00 30000"), share), shares()
		},
	}
	for name, story := range stories {
		var want []string
		play := func(t *testing.T, random *rand.Rand) []string {
			metrics, runbook := story()
			w := newWorld(t, metrics, runbook)
			for random != nil && time.Now().Before(at("01:50:00")) {
				w.start()
				time.Sleep(time.Duration(random.IntN(2400)) * time.Second)
				w.stop()
				gone := time.Now()
				time.Sleep(time.Duration(random.IntN(1500)) * time.Second)
				back := time.Now().Add(time.Duration(random.IntN(290)) * time.Second)
				w.source.fault = func(q query) error {
					if q.asked.Before(gone) || !q.asked.Before(back) {
						return nil
					}
					return &source.Error{Reason: source.Unreachable, Expr: q.expr, Detail: "connection refused"}
				}
			}
			w.play("03:00:05")
			return w.events()
		}
		bubble(t, name+", never gone", func(t *testing.T) { want = play(t, nil) })
		if len(want) < 4 {
			t.Errorf("%s: a story of %v shows little", name, want)
		}
		for seed := range uint64(25) {
			bubble(t, fmt.Sprint(name, ", ", seed), func(t *testing.T) {
				if got := play(t, rand.New(rand.NewPCG(seed, 1))); !slices.Equal(got, want) {
					t.Errorf("%s\nnever gone\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	}
}
