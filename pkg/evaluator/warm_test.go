package evaluator_test

import (
	"errors"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// TestBlindnessDoesNotStartAnewWithTheProcess: three minutes unknown before a restart and two after it are five.
func TestBlindnessDoesNotStartAnewWithTheProcess(t *testing.T) {
	const goesDark = "1 00:20:00 9 00:40:00 _ 00:52:00 9"
	ratio := func(s *runbook.Snapshot) {
		s.Signals["safety"] = &triggers.Signal{Name: "safety", Unit: triggers.Ratio, Numerator: "unsafe", Denominator: "rated", Range: 5 * time.Minute}
		s.Runbook.Recovery.Safety = runbook.Band{Clause: pointer(condition(&triggers.Condition{Signal: "safety", Comparison: triggers.Below, Limit: 0.1}))}
	}
	relative := func(s *runbook.Snapshot) {
		within := condition(&triggers.Condition{
			Signal: "refusals", Comparison: triggers.Within, Limit: 0.2, Worse: triggers.Up, Baseline: &triggers.Baseline{Last: 10 * time.Minute},
		})
		s.Runbook.Recovery.Business = runbook.Band{Clause: &within}
	}
	for _, test := range []struct {
		name    string
		metrics map[string]metric
		change  func(*runbook.Snapshot)
		want    string
	}{
		{"of a trigger and its key band", map[string]metric{"refusals": steps(goesDark)}, func(*runbook.Snapshot) {}, "00:45:00 went_blind"},
		{"of a band alone", map[string]metric{"refusals": steps("1 00:20:00 9"), "unsafe": always(0), "rated": steps("900 00:41:00 _")}, ratio, "00:46:00 went_blind"},
		{"of a band that never was there", map[string]metric{"refusals": steps("1 00:20:00 9")}, ratio, "00:35:15 went_blind"},
		{"of a band with a baseline", map[string]metric{"refusals": steps(goesDark)}, relative, "00:45:00 went_blind"},
	} {
		for stop, restart := range map[string][]string{
			"never stopped": nil, "soon": {"00:41:50", "00:42:20"}, "late": {"00:43:50", "00:44:40"},
			"over it": {"00:43:05", "00:47:00"}, "while it opens": {"00:29:50", "00:30:10"}, "just after": {"00:31:05", "00:31:20"}, "when it was blind": {"00:47:05", "00:48:00"},
			"twice": {"00:42:50", "00:43:20", "00:44:05", "00:44:20"},
		} {
			bubble(t, test.name+", "+stop, func(t *testing.T) {
				w := newWorld(t, test.metrics, book("one", test.change))
				for i := 0; i < len(restart); i += 2 {
					w.play(restart[i])
					sleepUntil(restart[i+1])
				}
				w.play("00:50:05")
				w.wantEvents("00:30:00 opened", test.want)
			})
		}
	}
}

func TestAStoreThatFailsAtTheStartLetsNothingLookUnknown(t *testing.T) {
	bubble(t, "the time before the start is looked at once", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9 00:34:00 _")}, book("one"))
		w.play("00:35:05")
		sleepUntil("00:38:05")
		w.faults.set(errors.New("disk full"), "tick")
		w.start()
		sleepUntil("00:39:50")
		w.faults.set(nil)
		sleepUntil("00:50:05")
		w.stop()
		w.wantEvents("00:30:00 opened", "00:39:00 went_blind")
	})
}

func TestASourceThatFailsAtTheStartSaysNothingOfTheTimeBefore(t *testing.T) {
	bubble(t, "a baseline that is not told may have been there before", func(t *testing.T) {
		w := newWorld(t, map[string]metric{"refusals": steps("1 00:20:00 9")}, book("one", func(s *runbook.Snapshot) {
			within := condition(&triggers.Condition{
				Signal: "refusals", Comparison: triggers.Within, Limit: 0.2, Worse: triggers.Up, Baseline: &triggers.Baseline{Last: 24 * time.Hour},
			})
			s.Runbook.Recovery.Business = runbook.Band{Clause: &within}
		}))
		w.play("00:40:05")
		refuse := down("00:40:05", "01:00:00")
		w.source.fault = func(q query) error {
			if q.to.Sub(q.from) < time.Hour {
				return nil
			}
			return refuse(q)
		}
		sleepUntil("00:40:40")
		w.play("00:50:05")
		w.wantEvents("00:30:00 opened", "00:45:15 went_blind")
	})
}
