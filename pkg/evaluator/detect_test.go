package evaluator_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
)

// prompts is an info metric that shows which prompt runs.
var prompts = evaluator.Detect{Query: "versions", Labels: changes.Labels{Artifact: "artifact", Version: "version", Service: "service"}}

// bot is book with incidents of a service.
func bot(change ...func(*runbook.Snapshot)) *runbook.Snapshot {
	return book("one", append([]func(*runbook.Snapshot){func(s *runbook.Snapshot) { s.Runbook.Service = "bot" }}, change...)...)
}

// promptFrom is refusals that jump at 20 past, and a prompt that changes at a time before.
func promptFrom(clock string) map[string]metric {
	return map[string]metric{
		"refusals": steps("1 00:20:00 9"),
		"versions{service=bot,artifact=prompt,version=v6}":  steps("3 " + clock + " _"),
		"versions{service=bot,artifact=prompt,version=v7}":  steps("_ " + clock + " 3"),
		"versions{service=bot,artifact=code,version=1.4}":   always(3),
		"versions{service=search,artifact=code,version=99}": always(3),
	}
}

func detecting(t *testing.T, metrics map[string]metric, books ...*runbook.Snapshot) *world {
	w := newWorld(t, metrics, books...)
	w.config.Detect = []evaluator.Detect{prompts}
	return w
}

// suspects gives those of the newest ranking of the only incident: "prompt v7 at 00:19:00".
func (w *world) suspects() []string {
	w.t.Helper()
	r := w.one()
	if len(r.Rankings) == 0 {
		return nil
	}
	var all []string
	for _, s := range r.Rankings[len(r.Rankings)-1].Ranking.Suspects {
		all = append(all, fmt.Sprintf("%s %s at %s", s.Change.Artifact, s.Change.To, s.Change.At.Format(time.TimeOnly)))
	}
	return all
}

func TestAChangeMeetsWhatFires(t *testing.T) {
	bubble(t, "in the tick that shows both", func(t *testing.T) {
		w := detecting(t, promptFrom("00:20:00"), bot(func(s *runbook.Snapshot) { s.Runbook.Trigger = condition(above("refusals", 5, 0)) }))
		w.play("00:20:05")
		equal(t, "suspects", w.suspects(), "[prompt v7 at 00:20:00]")
		equal(t, "rankings", len(w.one().Rankings), 1)
	})
	bubble(t, "with the versions of its service that ran when impact began", func(t *testing.T) {
		w := detecting(t, promptFrom("00:25:00"), bot())
		w.play("00:30:05")
		w.wantEvents("00:30:00 opened", "00:30:00 suspects_ranked")
		var running []string
		for _, r := range w.ticks[len(w.ticks)-1].Firings[0].Running {
			running = append(running, r.Artifact+" "+r.Version)
		}
		equal(t, "running", running, "[code 1.4 prompt v6]")
		equal(t, "suspects", w.suspects(), "[]")
	})
	bubble(t, "in a walk as it would have live", func(t *testing.T) {
		w := detecting(t, promptFrom("00:19:00"), bot())
		w.play("00:10:05")
		sleepUntil("01:00:02")
		w.play("01:00:05")
		equal(t, "suspects", w.suspects(), "[prompt v7 at 00:19:00]")
		equal(t, "rankings", len(w.one().Rankings), 1)
		instants, ranges := w.source.asked("versions", at("01:00:00"))
		equal(t, "questions for the whole of the gap", len(instants)+len(ranges), 1)
	})
}

func TestVersionsThatAreNotToldDelayAndBlindNothing(t *testing.T) {
	versionsAlone := func(fault func(query) error) func(query) error {
		return func(q query) error {
			if q.expr != "versions" {
				return nil
			}
			return fault(q)
		}
	}
	bubble(t, "a query that fails", func(t *testing.T) {
		w := detecting(t, promptFrom("00:19:00"), bot())
		w.source.fault = versionsAlone(down("00:00:00", "00:40:00"))
		w.start()
		sleepUntil("00:39:50")
		synctest.Wait()
		w.wantEvents("00:30:00 opened")
		status := w.evaluator.Status()
		equal(t, "failing since", status.Detect[0].Failing.Format(time.TimeOnly), "00:00:00")
		equal(t, "blind", status.Blind(), "[]")
		if !strings.Contains(status.Detect[0].Error, "503") {
			t.Errorf("error %q", status.Detect[0].Error)
		}
		sleepUntil("00:41:00")
		synctest.Wait()
		w.stop()
		equal(t, "suspects", w.suspects(), "[prompt v7 at 00:19:00]")
		equal(t, "error", w.evaluator.Status().Detect[0].Error, "")
		equal(t, "warnings", w.logs.FilterMessageSnippet("changes of versions are not seen").Len(), 1)
		equal(t, "sight is back", w.logs.FilterMessageSnippet("changes of versions are seen again").Len(), 1)
	})
	bubble(t, "one that takes longer than several ticks", func(t *testing.T) {
		w := detecting(t, promptFrom("00:19:00"), bot())
		w.source.delay = func(q query) time.Duration {
			if q.expr == "versions" {
				return 50 * time.Second
			}
			return 0
		}
		w.play("00:31:30")
		equal(t, "told", w.one().DetectedAt.Sub(w.one().OpenedAt) <= time.Second, true)
		equal(t, "suspects", w.suspects(), "[prompt v7 at 00:19:00]")
		if most := int(w.value("irdaemon_evaluations_total")); most < 124 {
			t.Errorf("%d ticks in half an hour", most)
		}
	})
	bubble(t, "a series that is no version is told, and the others count", func(t *testing.T) {
		metrics := promptFrom("00:19:00")
		metrics["versions{service=bot,artifact=prompt}"] = always(1)
		w := detecting(t, metrics, bot())
		w.play("00:30:05")
		equal(t, "suspects", w.suspects(), "[prompt v7 at 00:19:00]")
		if problem := w.evaluator.Status().Detect[0].Error; !strings.Contains(problem, "is not a version") {
			t.Errorf("error %q", problem)
		}
		equal(t, "warnings", w.logs.FilterMessageSnippet("changes of versions are not seen").Len(), 1)
	})
	bubble(t, "one that the source refuses is not put again at each tick", func(t *testing.T) {
		w := detecting(t, promptFrom("00:19:00"), bot())
		w.source.fault = versionsAlone(func(q query) error {
			return &source.Error{Reason: source.Query, Expr: q.expr, Detail: "no such function"}
		})
		w.play("00:30:05")
		_, ranges := w.source.asked("versions", at("00:00:00"))
		equal(t, "questions", len(ranges), 4)
	})
}

func TestWhatIsDetectedIsKept(t *testing.T) {
	bubble(t, "later where it could not be at once", func(t *testing.T) {
		w := detecting(t, promptFrom("00:19:00"), bot())
		w.faults.set(errors.New("disk full"), "detected")
		w.start()
		sleepUntil("00:31:05")
		w.faults.set(nil)
		sleepUntil("00:31:20")
		synctest.Wait()
		w.stop()
		w.wantEvents("00:30:00 opened", "00:30:00 suspects_ranked", "00:31:15 change_seen", "00:31:15 suspects_ranked")
		equal(t, "suspects", w.suspects(), "[prompt v7 at 00:19:00]")
		equal(t, "errors", w.logs.FilterMessageSnippet("are not kept").Len(), 1)
	})
	bubble(t, "under the same id after a start", func(t *testing.T) {
		w := detecting(t, promptFrom("00:19:00"), bot())
		w.play("00:25:05")
		before := w.detected
		sleepUntil("00:27:00")
		w.detected = nil
		w.play("00:30:05")
		id := func(c changes.Change) string { return c.ID }
		equal(t, "ids", ids(w.detected, id), ids(before, id))
		if len(before) == 0 {
			t.Error("nothing was detected")
		}
	})
	bubble(t, "once where nothing goes on", func(t *testing.T) {
		w := detecting(t, promptFrom("00:19:00"), bot())
		w.play("01:30:05")
		equal(t, "kept", len(w.detected), 1) // half and all of the instances had it at once
	})
}

func ids(all []changes.Change, of func(changes.Change) string) []string {
	var list []string
	for _, c := range all {
		if id := of(c); !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// byPrompt is refusals of paid chats by the version of the prompt, a half each: of the old one 4%, of the new one 30%.
func byPrompt(label string) map[string]metric {
	set := func(name, tier, version string) string {
		return fmt.Sprintf("%s{service=bot,tier=%s,%s=%s}", name, tier, label, version)
	}
	return map[string]metric{
		set("refused", "paid", "v7"): steps("20 00:20:00 150"), set("chats", "paid", "v7"): always(500),
		set("refused", "paid", "v6"): always(20), set("chats", "paid", "v6"): always(500),
		set("refused", "free", "v7"): always(500), set("chats", "free", "v7"): always(500),
		fmt.Sprintf("refused{service=other,tier=paid,%s=v6}", label): always(0), fmt.Sprintf("chats{service=other,tier=paid,%s=v6}", label): always(500),
	}
}

func TestWhoHasAVersionIsComparedWithWhoDoesNot(t *testing.T) {
	prompt := changes.Change{Artifact: "prompt", Service: "bot", From: "v6", To: "v7", At: at("00:10:00")}
	both := []changes.Change{prompt, {Artifact: "code", Service: "bot", From: "v6", To: "v7", At: at("00:11:00")}}
	whole := map[string]metric{
		"refused{service=bot,tier=paid,prompt_version=v7}": steps("20 00:20:00 190"),
		"refused{service=bot,tier=paid,prompt_version=v6}": always(20), "chats{service=bot,tier=paid}": always(1000),
	}
	for _, test := range []struct {
		name    string
		metrics map[string]metric
		log     []changes.Change
		want    string
	}{
		{"by the label of the artifact, since impact began", byPrompt("prompt_version"), []changes.Change{prompt}, "prompt v7 450/1500 60/1500"},
		{"by a label that is the version of anything", byPrompt("version"), []changes.Change{prompt}, "prompt v7 450/1500 60/1500"},
		{"not by that where two artifacts have a version of that name", byPrompt("version"), both, ""},
		{"not where the signal has no such label", byPrompt("arm"), []changes.Change{prompt}, ""},
		{"not where only the bad events have it", whole, []changes.Change{prompt}, ""},
		{"not for a version of another service", byPrompt("prompt_version"), []changes.Change{{Artifact: "prompt", Service: "other", To: "v7", At: at("00:10:00")}}, ""},
	} {
		bubble(t, test.name, func(t *testing.T) {
			w := newWorld(t, test.metrics, shares())
			w.start()
			sleepUntil("00:12:00")
			for _, c := range test.log {
				if _, err := w.desk.Report(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			sleepUntil("00:30:05")
			synctest.Wait()
			w.stop()
			var got []string
			for _, e := range w.ticks[len(w.ticks)-1].Firings[0].Exposures {
				got = append(got, fmt.Sprintf("%s %s %.0f/%.0f %.0f/%.0f", e.Artifact, e.Version, e.WithBad, e.With, e.WithoutBad, e.Without))
			}
			equal(t, "exposures", strings.Join(got, "; "), test.want)
			if test.want == "" {
				return
			}
			suspect := w.one().Rankings[0].Ranking.Suspects[0]
			equal(t, "class", suspect.Class, changes.ClassExposure)
		})
	}
}

// TestAnExposureIsCountedSinceImpact: impact may have begun long before the window of what fires.
func TestAnExposureIsCountedSinceImpact(t *testing.T) {
	bubble(t, "long before", func(t *testing.T) {
		metrics := byPrompt("prompt_version")
		metrics["refused{service=bot,tier=paid,prompt_version=v7}"] = steps("20 01:00:00 60 04:00:00 150")
		w := newWorld(t, metrics, shares())
		w.start()
		if _, err := w.desk.Report(t.Context(), changes.Change{Artifact: "prompt", Service: "bot", From: "v6", To: "v7", At: at("00:00:00")}); err != nil {
			t.Fatal(err)
		}
		sleepUntil("04:10:05")
		synctest.Wait()
		w.stop()
		equal(t, "impact", w.one().ImpactStartedAt.Format(time.TimeOnly), "01:00:00")
		e := w.ticks[len(w.ticks)-1].Firings[0].Exposures[0]
		// 39 points, five minutes apart, from 01:00 to 04:10: 36 with 60, three with 150.
		equal(t, "counts", fmt.Sprint(e.WithBad, e.With, e.WithoutBad, e.Without), fmt.Sprint(36*60+3*150, 39*500, 39*20, 39*500))
	})
}
