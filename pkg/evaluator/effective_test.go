package evaluator_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// TestAnActionTakesEffectOnTraffic: a rollback that is done counts when the share of traffic on its version shows it.
func TestAnActionTakesEffectOnTraffic(t *testing.T) {
	sharing := func(where string) *runbook.Snapshot {
		return book("one", func(s *runbook.Snapshot) {
			s.Runbook.Service = "bot"
			s.Signals["prompt_share"] = &triggers.Signal{Name: "prompt_share", Unit: triggers.Ratio, Range: 5 * time.Minute, Numerator: "by_version", Denominator: "calls"}
			s.Runbook.Rollback = []runbook.Step{{Artifact: "prompt", Name: "prompt", Effective: &triggers.Clause{All: []triggers.Clause{condition(&triggers.Condition{
				Signal: "prompt_share", Comparison: triggers.Above, Limit: 0.99, Where: map[string][]string{"version": {where}},
			})}}}}
		})
	}
	traffic := func(v6 string) map[string]metric {
		return map[string]metric{
			"refusals":                           steps("1 00:20:00 9 01:00:00 1"),
			"by_version{service=bot,version=v6}": steps(v6), "by_version{service=bot,version=v7}": steps("1000 00:43:00 0"),
			"by_version{service=other,version=v6}": always(0), "calls": always(1000),
		}
	}
	unnamed := traffic("0 00:43:00 1000")
	unnamed["by_version{service=bot}"] = always(1000) // of no version
	for _, test := range []struct {
		name, where, to string
		metrics         map[string]metric
		restart         bool
		want            []string
	}{
		{"when the version that it was set to has the traffic", "{{ .Previous }}", "v6", traffic("0 00:43:00 1000"), false, []string{"00:43:00 action_effective", "00:48:00 effect_measured"}},
		{"and no earlier after a restart", "{{ .Previous }}", "v6", traffic("0 00:43:00 1000"), true, []string{"00:43:00 action_effective", "00:48:00 effect_measured"}},
		{"not while a tenth is on the one before", "{{ .Previous }}", "v6", traffic("0 00:43:00 900"), false, []string{"00:50:00 action_failed"}},
		{"late, it counts all the same", "{{ .Previous }}", "v6", traffic("0 00:55:00 1000"), false, []string{"00:50:00 action_failed", "00:55:00 action_effective"}},
		{"not where nothing tells the traffic", "{{ .Previous }}", "v6", map[string]metric{"refusals": steps("1 00:20:00 9 01:00:00 1")}, false, []string{"00:50:00 action_failed"}},
		{"not where nobody said which version it was", "{{ .Previous }}", "", unnamed, false, []string{"00:50:00 action_failed"}},
		{"in whatever words the runbook has it", "v{{ if .Owner }}6{{ end }}", "", traffic("0 00:43:00 1000"), false, []string{"00:43:00 action_effective", "00:48:00 effect_measured"}},
	} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, test.metrics, sharing(test.where))
			w.start()
			sleepUntil("00:40:00")
			synctest.Wait() // for the tick
			_, err := w.desk.Command(t.Context(), w.one().ID, incident.RolledBack{By: "alice", Step: "prompt", From: "v7", To: test.to, At: at("00:40:00")}, incident.Idempotency{})
			if err != nil {
				t.Fatal(err)
			}
			if test.restart {
				sleepUntil("00:42:05")
				w.stop()
				sleepUntil("00:44:10")
				w.start()
			}
			sleepUntil("00:59:05")
			w.stop()
			w.wantEvents(append([]string{"00:30:00 opened", "00:40:00 acknowledged", "00:40:00 action_done"}, test.want...)...)
			instants, _ := w.source.asked("by_version", at("00:00:00"))
			for _, q := range instants {
				if !q.from.After(at("00:40:00")) || test.want[0] == "00:43:00 action_effective" && q.from.After(at("00:43:00")) {
					t.Fatalf("asked for %s, when no effect was looked for", q.from)
				}
			}
		})
	}
}
