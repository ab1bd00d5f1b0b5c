package evaluator_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestATickTellsWhichTriggersAreClear(t *testing.T) {
	bubble(t, "by finding, whether an incident holds it or not, and of runbooks in force alone", func(t *testing.T) {
		w := newWorld(t, map[string]metric{
			"refusals{lang=en}": steps("1 00:20:00 9 00:32:00 4 00:45:00 1"),
			"refusals{lang=de}": steps("1 00:20:00 _"),
			"refusals{lang=fr}": always(1),
		}, book("one", func(s *runbook.Snapshot) { s.Runbook.GroupBy = []string{"lang"} }))
		w.start()
		for _, step := range []struct {
			at      string
			inForce bool
			want    []string
		}{
			{"00:15:05", true, []string{"de", "en", "fr"}},
			{"00:21:05", true, []string{"fr"}}, // en is elevated, de unknown
			{"00:31:05", true, []string{"fr"}}, // en fires
			{"00:43:05", true, []string{"en", "fr"}},
			{"00:44:05", false, nil},
			{"01:05:05", true, []string{"en", "fr"}}, // de is gone: unknown, not clear
		} {
			w.evaluator.SetRunbooks(nil)
			if step.inForce {
				w.evaluator.SetRunbooks(w.runbooks)
			}
			sleepUntil(step.at)
			synctest.Wait()
			clear := w.ticks[len(w.ticks)-1].Clear
			var got []string
			for _, lang := range []string{"de", "en", "fr"} {
				if clear[incident.FindingKey("one", labels.FromStrings("lang", lang))] {
					got = append(got, lang)
				}
			}
			if !slices.Equal(got, step.want) || len(clear) != len(got) {
				t.Errorf("%s: %v clear, want %v (%d)", step.at, got, step.want, len(clear))
			}
		}
		w.stop()
	})
}

func TestTheStatusSaysWhyAWindowIsUnknown(t *testing.T) {
	bubble(t, "where its baseline is", func(t *testing.T) {
		young := func(t time.Time) (float64, bool) { return 1, !t.Before(at("00:00:00")) }
		w := newWorld(t, map[string]metric{"refusals": young}, book("one", func(s *runbook.Snapshot) {
			c := s.Runbook.Trigger.Condition
			c.Comparison, c.Limit, c.Baseline = triggers.Rises, 2, &triggers.Baseline{Last: time.Hour}
		}))
		w.start()
		sleepUntil("00:20:05")
		unknown := w.evaluator.Status().Runbooks[0].Groups[0].Unknown
		equal(t, "unknown", len(unknown), 1)
		equal(t, "why", unknown[0].Why, "no history: less than half of the last 1h is known")
		equal(t, "since", unknown[0].Since.Format(time.TimeOnly), "00:00:00")
		sleepUntil("00:50:05")
		equal(t, "unknown later", len(w.evaluator.Status().Runbooks[0].Groups[0].Unknown), 0)
		w.stop()
	})
}
