package evaluator_test

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// twoSteps is shares with a prompt and an index to roll back, and a deflection rate that must be above 38% again.
func twoSteps(change ...func(*runbook.Snapshot)) *runbook.Snapshot {
	return shares(append([]func(*runbook.Snapshot){func(s *runbook.Snapshot) {
		s.Signals["deflection_rate"] = &triggers.Signal{
			Name: "deflection_rate", Unit: triggers.Ratio, Worse: triggers.Down, Range: 5 * time.Minute, HasRange: true,
			Numerator: "deflected", Denominator: "chats",
		}
		s.Runbook.Recovery.Key.Clause.Condition.Unit = triggers.Ratio
		s.Runbook.Recovery.Business = runbook.Band{Clause: pointer(condition(&triggers.Condition{
			Signal: "deflection_rate", Where: map[string][]string{"tier": {"paid"}}, Comparison: triggers.Above, Limit: 0.38, Unit: triggers.Ratio,
		}))}
		s.Runbook.Rollback = []runbook.Step{{Artifact: "prompt"}, {Artifact: "retrieval_index", Name: "index"}}
	}}, change...)...)
}

// byCounts is the worked example: of a thousand paid chats in five minutes so many are refused and deflected.
func byCounts(refused, deflected string) map[string]metric {
	metrics := chats(always(3000), steps(refused).mean(5*time.Minute).remembered())
	metrics["deflected{service=bot,tier=paid}"] = steps(deflected).mean(5 * time.Minute).remembered().times(1000)
	return metrics
}

// remembered is a metric whose points are reckoned once.
func (m metric) remembered() metric {
	type point struct {
		v     float64
		known bool
	}
	var mu sync.Mutex
	points := map[time.Time]point{}
	return func(t time.Time) (float64, bool) {
		mu.Lock()
		defer mu.Unlock()
		p, had := points[t.UTC()]
		if !had {
			p.v, p.known = m(t)
			points[t.UTC()] = p
		}
		return p.v, p.known
	}
}

// without leaves out of some metrics the points from a time on.
func without(metrics map[string]metric, from string, names ...string) map[string]metric {
	for _, name := range names {
		was := metrics[name]
		metrics[name] = func(t time.Time) (float64, bool) {
			v, known := was(t)
			return v, known && t.Before(at(from))
		}
	}
	return metrics
}

const (
	refusals   = "0.04 00:20:00 0.19 00:38:00 0.08 00:46:00 0.05"
	deflection = "0.42 00:20:00 0.25 00:38:00 0.36 00:46:00 0.41"
)

// rollBack says that a step was done by hand.
func (w *world) rollBack(clock, step, from, to string) {
	w.t.Helper()
	sleepUntil(clock)
	synctest.Wait() // for the tick
	done := incident.RolledBack{By: "alice", Step: step, From: from, To: to, At: at(clock)}
	if _, err := w.desk.Command(w.t.Context(), w.one().ID, done, incident.Idempotency{}); err != nil {
		w.t.Fatal(err)
	}
}

// effects gives what was read of each action, when, in words.
func (w *world) effects() []string {
	w.t.Helper()
	events, err := w.store.Events(w.t.Context(), w.one().ID, 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, e := range events {
		body, ok := e.Body.(incident.EffectMeasured)
		if !ok {
			continue
		}
		said := fmt.Sprintf("%s %s: %s", e.At.Format(time.TimeOnly), w.one().Actions[body.Action[0]-'1'].Step, body.Effect.Verdict)
		for _, m := range body.Effect.Metrics {
			said += fmt.Sprintf("; %s %s → %s [%.1f, %.1f], wanted %s, %t", m.Signal, percentOf(m.Before), percentOf(m.After), 100*m.Low, 100*m.High, m.Target, m.Held)
		}
		all = append(all, said)
	}
	return all
}

func percentOf(v *triggers.Value) string {
	if v == nil {
		return "?"
	}
	return fmt.Sprintf("%.0f%%", 100*v.V)
}

const (
	ofThePrompt = "00:43:00 prompt: Helped, not enough; refusal_rate 19% → 8% [-14.0, -8.0], wanted below 6%, false; deflection_rate 25% → 36% [7.0, 15.0], wanted above 38%, false"
	ofTheIndex  = "00:51:00 index: Normal again; refusal_rate 8% → 5% [-5.2, -0.8], wanted below 6%, true; deflection_rate 36% → 41% [0.7, 9.2], wanted above 38%, true"
)

// TestTheWorkedExampleIsMeasured: refusals 19% → 8% with the prompt, → 5% with the index.
func TestTheWorkedExampleIsMeasured(t *testing.T) {
	bubble(t, "as it happens", func(t *testing.T) {
		w := newWorld(t, byCounts(refusals, deflection), twoSteps())
		w.start()
		w.rollBack("00:38:00", "prompt", "v7", "v6")
		w.rollBack("00:46:00", "index", "kb-2", "kb-1")
		sleepUntil("01:10:05")
		synctest.Wait()
		w.stop()
		equal(t, "effects", strings.Join(w.effects(), "\n"), ofThePrompt+"\n"+ofTheIndex)
	})
	bubble(t, "and the same when the daemon was away", func(t *testing.T) {
		w := newWorld(t, byCounts(refusals, deflection), twoSteps())
		w.start()
		w.rollBack("00:38:00", "prompt", "v7", "v6")
		sleepUntil("00:38:30")
		w.stop()
		sleepUntil("00:45:50")
		w.start()
		w.rollBack("00:46:00", "index", "kb-2", "kb-1")
		sleepUntil("00:46:30")
		w.stop()
		sleepUntil("03:00:02")
		w.play("03:00:05")
		equal(t, "effects", strings.Join(w.effects(), "\n"), ofThePrompt+"\n"+ofTheIndex)
	})
	bubble(t, "and when the source does not answer at the time", func(t *testing.T) {
		w := newWorld(t, byCounts(refusals, deflection), twoSteps())
		w.source.fault = down("00:42:55", "00:44:10")
		w.start()
		w.rollBack("00:38:00", "prompt", "v7", "v6")
		sleepUntil("00:45:05")
		synctest.Wait()
		w.stop()
		equal(t, "effects", w.effects(), "["+strings.Replace(ofThePrompt, "00:43:00", "00:44:15", 1)+"]")
	})
	bubble(t, "and when somebody dismissed the incident meanwhile", func(t *testing.T) {
		w := newWorld(t, byCounts(refusals, deflection), twoSteps())
		w.start()
		w.rollBack("00:38:00", "prompt", "v7", "v6")
		sleepUntil("00:40:00")
		if _, err := w.desk.Command(t.Context(), w.one().ID, incident.Dismiss{By: "alice", Reason: incident.Expected, Text: "a load test"}, incident.Idempotency{}); err != nil {
			t.Fatal(err)
		}
		sleepUntil("00:45:05")
		synctest.Wait()
		w.stop()
		equal(t, "effects", w.effects(), "["+ofThePrompt+"]")
	})
}

func TestAnEffectIsSaidAsFarAsItIsSeen(t *testing.T) {
	const jumped = "0.04 00:20:00 0.19 "
	alone := func(s *runbook.Snapshot) { s.Runbook.Recovery.Business = runbook.Band{None: "a test"} }
	byValue := func(s *runbook.Snapshot) {
		s.Signals["queue"] = &triggers.Signal{Name: "queue", Range: 5 * time.Minute, Query: "queue"}
		s.Runbook.Recovery.Key.Clause = pointer(condition(&triggers.Condition{Signal: "queue", Comparison: triggers.Below, Limit: 10}))
		s.Runbook.Recovery.Business = runbook.Band{None: "a test"}
	}
	with := func(refused, queue string) map[string]metric {
		metrics := byCounts(refused, deflection)
		metrics["queue"] = steps(queue)
		return metrics
	}
	moreVersions := func(name, text string) map[string]metric {
		metrics := byCounts(refusals, deflection)
		maps.Copy(metrics, map[string]metric{name: steps(text)})
		return metrics
	}
	for _, test := range []struct {
		name    string
		metrics map[string]metric
		change  func(*runbook.Snapshot)
		act     func(*world)
		want    string
	}{
		{"no effect, where the difference may be chance", byCounts(jumped+"00:38:00 0.175", deflection), alone, nil, "No effect seen"},
		{"worse, where more are refused than before", byCounts(jumped+"00:38:00 0.30", deflection), alone, nil, "Worse"},
		{"worse, though the key helped, where another band is left", byCounts(jumped+"00:38:00 0.08", "0.42 00:38:00 0.25"), nil, nil, "Worse"},
		{"normal again, at once", byCounts(jumped+"00:38:00 0.04", "0.42"), nil, nil, "Normal again"},
		{"can't tell, where points are missing after", without(byCounts(refusals, deflection), "00:41:00", "chats{service=bot,tier=paid}"), alone, nil, "Can't tell yet"},
		{"can't tell, where those of another band are", without(byCounts(refusals, deflection), "00:41:00", "deflected{service=bot,tier=paid}"), nil, nil, "Can't tell yet"},
		{"helped, by a tenth of the distance where nothing is counted", with(refusals, "110 00:39:00 100"), byValue, nil, "Helped, not enough"},
		{"no effect, by less than that", with(refusals, "110 00:39:00 101"), byValue, nil, "No effect seen"},
		{"worse, where it moved away", with(refusals, "110 00:39:00 125"), byValue, nil, "Worse"},
		{"not separable from another action", byCounts(refusals, deflection), nil, func(w *world) { w.rollBack("00:41:00", "index", "kb-2", "kb-1") }, "Not separable Not separable"},
		{"not separable from a change of something else", moreVersions("versions{service=bot,artifact=code,version=2}", "_ 00:40:00 1"), nil, nil, "Not separable"},
		{"but from the action itself, as the metrics show it", moreVersions("versions{service=bot,artifact=prompt,version=v6}", "_ 00:39:00 1"), nil, nil, "Helped, not enough"},
		{"and from a change elsewhere", moreVersions("versions{service=search,artifact=code,version=2}", "_ 00:40:00 1"), nil, nil, "Helped, not enough"},
	} {
		bubble(t, test.name, func(t *testing.T) {
			change := test.change
			if change == nil {
				change = func(*runbook.Snapshot) {}
			}
			maps.Copy(test.metrics, map[string]metric{
				"versions{service=bot,artifact=prompt,version=v7}": always(1), "versions{service=bot,artifact=code,version=1}": always(1),
				"versions{service=search,artifact=code,version=1}": always(1),
			})
			w := newWorld(t, test.metrics, twoSteps(change))
			w.config.Detect = []evaluator.Detect{prompts}
			w.start()
			w.rollBack("00:38:00", "prompt", "v7", "v6")
			if test.act != nil {
				test.act(w)
			}
			sleepUntil("00:48:05")
			synctest.Wait()
			w.stop()
			var verdicts []string
			for _, said := range w.effects() {
				verdict, _, _ := strings.Cut(said[strings.Index(said, ": ")+2:], ";")
				verdicts = append(verdicts, verdict)
			}
			equal(t, "verdicts", strings.Join(verdicts, " "), test.want)
		})
	}
}
