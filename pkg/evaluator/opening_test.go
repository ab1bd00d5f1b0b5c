package evaluator_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestAnOpeningWaitsForNothingForLong(t *testing.T) {
	bubble(t, "not for beginnings, traffic and exposures one after the other", func(t *testing.T) {
		metrics := byPrompt("prompt_version")
		metrics["refused{service=bot,tier=paid,prompt_version=v7}"] = steps("20 01:00:00 60 04:00:00 150")
		w := newWorld(t, metrics, shares())
		w.source.delay = slowRanges("04:09:00", 9*time.Second)
		w.start()
		if _, err := w.desk.Report(t.Context(), changes.Change{Artifact: "prompt", Service: "bot", From: "v6", To: "v7", At: at("00:00:00")}); err != nil {
			t.Fatal(err)
		}
		sleepUntil("04:10:14")
		synctest.Wait()
		w.stop()
		equal(t, "opened", w.one().OpenedAt.Format(time.TimeOnly), "04:10:00")
		w.wantInTime(12*time.Second + 100*time.Millisecond)
	})
	bubble(t, "nor for several beginnings one after the other, and they are found", func(t *testing.T) {
		of := func(n int) *runbook.Snapshot {
			return book(fmt.Sprint("book", n), func(s *runbook.Snapshot) {
				s.Signals["refusals"].Query = fmt.Sprint("refusals", n)
				s.Runbook.Recovery.Key.Clause = pointer(condition(&triggers.Condition{Signal: "refusals", Comparison: triggers.Below, Limit: 3}))
			})
		}
		const early = "1 01:00:00 4 04:00:00 9"
		w := newWorld(t, map[string]metric{"refusals1": steps(early), "refusals2": steps(early), "refusals3": steps(early)}, of(1), of(2), of(3))
		w.source.delay = slowRanges("04:09:00", 4*time.Second)
		w.play("04:10:14")
		for _, r := range w.records() {
			equal(t, "impact", r.ImpactStartedAt.Format(time.TimeOnly), "01:00:00")
		}
		w.wantInTime(8*time.Second + 100*time.Millisecond)
	})
	bubble(t, "and what fires on, dismissed, is asked about now and then", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 01:00:00 4 04:00:00 9")}, book("one"))
		w.source.delay = slowRanges("04:09:00", 11*time.Second)
		w.start()
		sleepUntil("04:11:00")
		if _, err := w.desk.Command(t.Context(), w.one().ID, incident.Dismiss{By: "alice", Reason: incident.Expected, Text: "a load test"}, incident.Idempotency{}); err != nil {
			t.Fatal(err)
		}
		sleepUntil("04:31:05")
		synctest.Wait()
		w.stop()
		equal(t, "incidents", len(w.records()), 1)
		_, ranges := w.source.asked("refusals", at("04:12:00"))
		if n := len(ranges); n < 10 || n > 20 {
			t.Errorf("asked %d times in 19 minutes", n)
		}
	})
}
