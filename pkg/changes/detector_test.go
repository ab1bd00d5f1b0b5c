package changes_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/source/memory"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const query = `count by (service, artifact, version) (llm_artifact_info > 0)`

var (
	names  = changes.Labels{Artifact: "artifact", Version: "version", Service: "service"}
	minute = triggers.Grid{Interval: time.Minute}
)

func at(minutes int) time.Time { return time.Unix(int64(minutes)*60, 0).UTC() }

// instance is an info metric of one instance, in promtool's notation, a point a minute.
func instance(pod, version, values string) memory.Series {
	l, err := memory.ParseLabels(fmt.Sprintf(`llm_artifact_info{service="support-bot",artifact="prompt",version=%q,pod=%q}`, version, pod))
	if err != nil {
		panic(err)
	}
	points, err := memory.ParseValues(values)
	if err != nil {
		panic(err)
	}
	return memory.Series{Labels: l, Points: points}
}

// watcher asks and observes as the tick does.
type watcher struct {
	t        testing.TB
	source   source.Source
	detector *changes.Detector
	log      map[string]changes.Change
}

func watch(t testing.TB, series ...memory.Series) *watcher {
	return &watcher{t, memory.New(series, time.Minute, 0), changes.NewDetector(changes.Config{Labels: names, Grid: minute}), map[string]changes.Change{}}
}

// look takes the looks that are due at a minute.
func (w *watcher) look(minutes int) {
	w.t.Helper()
	from, to, ok := w.detector.Question(at(minutes))
	if !ok {
		return
	}
	answer, err := w.source.Range(w.t.Context(), query, from, to, time.Minute)
	if from.Equal(to) {
		answer, err = w.source.Instant(w.t.Context(), query, to)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	found, err := w.detector.Observe(to, answer.Series)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range found {
		w.log[c.ID] = c
	}
}

// told writes the changes so that they can be compared and read, times in minutes.
func told(log map[string]changes.Change) string {
	minutes := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return fmt.Sprint(t.Unix() / 60)
	}
	var lines []string
	for id, c := range log {
		if id != c.ID || c.Source != changes.Detected || !c.At.Equal(c.Seen.FirstWith) {
			lines = append(lines, fmt.Sprintf("wrong: %+v", c))
		}
		lines = append(lines, fmt.Sprintf("%3s %s -> %s, not at %s, half %s, full %s, gone %s", minutes(c.At), c.From, c.To,
			minutes(c.Seen.LastWithout), minutes(c.Seen.HalfAt), minutes(c.Seen.FullAt), minutes(c.Seen.GoneAt)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestChangesAreFoundInInfoMetrics(t *testing.T) {
	for _, test := range []struct {
		name   string
		series []memory.Series
		want   string
	}{
		{"rolling: it starts with the first instance and is full with the last", []memory.Series{
			instance("a", "v6", "1x59 stale"), instance("b", "v6", "1x60 stale"), instance("c", "v6", "1x62 stale"),
			instance("d", "v7", "_x60 1x119"), instance("e", "v7", "_x61 1x118"), instance("f", "v7", "_x63 1x116"),
		}, " 60 v6 -> v7, not at 59, half 61, full 63, gone never"},
		{"in place: all at once", []memory.Series{
			instance("a", "v6", "1x59 stale"), instance("a", "v7", "_x60 1x119"),
		}, " 60 v6 -> v7, not at 59, half 60, full 60, gone never"},
		{"a leaking old label: it appeared, and is never full", []memory.Series{
			instance("a", "v6", "1x179"), instance("a", "v7", "_x60 1x119"),
		}, " 60 v6 -> v7, not at 59, half 60, full never, gone never"},
		{"no stale marker: full when the look-back is over", []memory.Series{
			instance("a", "v6", "1x59"), instance("a", "v7", "_x60 1x119"),
		}, " 60 v6 -> v7, not at 59, half 60, full 64, gone never"},
		{"a gap is no change", []memory.Series{
			instance("a", "v6", "1x60 stale _x29 1x88"),
		}, ""},
		{"a gap with a change: one, dated by the first look after, and since when nobody looked", []memory.Series{
			instance("a", "v6", "1x60 stale"), instance("b", "v7", "_x71 1x108"),
		}, " 71 v6 -> v7, not at 60, half 71, full 71, gone never"},
		{"more instances of the same version are no change", []memory.Series{
			instance("a", "v6", "1x179"), instance("b", "v6", "_x60 1x119"), instance("c", "v6", "_x61 1x60 stale"),
		}, ""},
		{"a canary: half is never reached", []memory.Series{
			instance("a", "v6", "1x179"), instance("b", "v6", "1x179"), instance("c", "v6", "1x179"), instance("d", "v7", "_x60 1x119"),
		}, " 60 v6 -> v7, not at 59, half never, full never, gone never"},
		{"a canary that is taken away is gone since the first look without it", []memory.Series{
			instance("a", "v6", "1x179"), instance("b", "v6", "1x179"), instance("d", "v7", "_x60 1x19 stale"),
		}, " 60 v6 -> v7, not at 59, half never, full never, gone 80"},
		{"a flap is one change: crashing, starting again, within half an hour", []memory.Series{
			instance("a", "v6", "1x179"), instance("b", "v7", "_x60 1x1 stale _x14 1x1 stale _x24 1x74"),
		}, " 60 v6 -> v7, not at 59, half 60, full never, gone never"},
		{"a return is a change of its own", []memory.Series{
			instance("a", "v6", "1x59 stale _x30 1x88"), instance("a", "v7", "_x60 1x30 stale"),
		}, " 60 v6 -> v7, not at 59, half 60, full 60, gone 91\n 91 v7 -> v6, not at 90, half 91, full 91, gone never"},
		{"a return within half an hour is a change of its own, and so is the next step forward", []memory.Series{
			instance("a", "v6", "1x59 stale _x13 1x14 stale"), instance("a", "v7", "_x60 1x13 stale _x14 1x90"),
		}, " 60 v6 -> v7, not at 59, half 60, full 60, gone 74\n 74 v7 -> v6, not at 73, half 74, full 74, gone 89\n 89 v6 -> v7, not at 88, half 89, full 89, gone never"},
		{"a return at once is no change of its own, but the version is known to be gone", []memory.Series{
			instance("a", "v6", "1x59 stale _x3 1x115"), instance("a", "v7", "_x60 1x3 stale"),
		}, " 60 v6 -> v7, not at 59, half 60, full 60, gone 64"},
		{"away for nine looks is not away", []memory.Series{
			instance("a", "v6", "1x59 stale _x8 1x110"), instance("a", "v7", "_x60 1x8 stale"),
		}, " 60 v6 -> v7, not at 59, half 60, full 60, gone 69"},
		{"away for ten looks is away", []memory.Series{
			instance("a", "v6", "1x59 stale _x9 1x109"), instance("a", "v7", "_x60 1x9 stale"),
		}, " 60 v6 -> v7, not at 59, half 60, full 60, gone 70\n 70 v7 -> v6, not at 69, half 70, full 70, gone never"},
		{"of two versions with as many series the one that came last was there before the next", []memory.Series{
			instance("a", "v9", "1x179"), instance("a", "v10", "_x60 1x119"), instance("a", "v11", "_x90 1x89"),
		}, " 60 v9 -> v10, not at 59, half 60, full never, gone never\n 90 v10 -> v11, not at 89, half never, full never, gone never"},
		{"a missed scrape of the one instance with a version is no change", []memory.Series{
			instance("a", "v6", "1x179"), instance("b", "v5", "1x59 stale _x8 1x110"),
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			live := watch(t, test.series...)
			for m := range 180 {
				live.look(m)
			}
			if got := told(live.log); got != test.want {
				t.Errorf("watched, it says\n%s\nwant\n%s", got, test.want)
			}
			late := watch(t, test.series...)
			late.look(179)
			if got := told(late.log); got != test.want {
				t.Errorf("refilled, it says\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestACanaryIsToldAsOne(t *testing.T) {
	w := watch(t, instance("a", "v6", "1x100"), instance("b", "v6", "1x100"), instance("c", "v7", "_x60 1x40"))
	for m := range 90 {
		w.look(m)
	}
	for _, c := range w.log {
		if !c.Canary() {
			t.Errorf("a third of the series is told as the whole: %+v", c)
		}
		c.Seen.HalfAt = at(70)
		if c.Canary() {
			t.Error("what half of the series run is told as a canary")
		}
	}
	if reported := (&changes.Change{}); reported.Canary() || len(w.log) != 1 {
		t.Error("a change that no metric shows is told as a canary")
	}
}

func TestAVersionIsKnownToBeGoneAfterTenLooks(t *testing.T) {
	w := watch(t, instance("a", "v6", "1x100"), instance("b", "v7", "_x60 1x9 stale"))
	for m := range 100 {
		w.look(m)
		for _, c := range w.log {
			if gone := !c.Seen.GoneAt.IsZero(); gone != (m >= 79) {
				t.Fatalf("gone since 70, it is told to be gone at %d: %t", m, gone)
			}
		}
	}
}

func TestWhatIsOldIsForgotten(t *testing.T) {
	d := changes.NewDetector(changes.Config{Labels: names, Grid: minute, Reach: time.Hour})
	observe := func(m int, version string, share float64) []changes.Change {
		series := []source.Series{one("bot", "prompt", version, point(m, share)), one("bot", "prompt", "v0", point(m, 1))}
		found, err := d.Observe(at(m), series)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for m := range 100 { // the shares never stay
		observe(m, "v1", float64(2+m))
	}
	if ran := d.Running(at(38)); len(ran) != 0 {
		t.Errorf("more than an hour ago ran %v", ran)
	}
	if ran := d.Running(at(45)); len(ran) != 2 || !ran[0].First.Equal(at(0)) {
		t.Errorf("less than an hour ago ran %v", ran)
	}
	if found := observe(159, "v2", 2); len(found) == 0 {
		t.Error("a service that comes back after an hour with another version did not change")
	}
	if found := observe(220, "v3", 2); len(found) != 0 {
		t.Errorf("after more than an hour a service begins anew, with no change, not with %v", found)
	}
	if ran := d.Running(at(220)); len(ran) != 2 || !ran[0].First.Equal(at(220)) {
		t.Errorf("a service that begins anew was not seen before: %v", ran)
	}
	if _, err := d.Observe(at(300), nil); err != nil || len(d.Running(at(230))) != 0 {
		t.Errorf("a service that has gone is still there: %v", d.Running(at(230)))
	}
}

func TestTheVersionsOfARestlessServiceAreBounded(t *testing.T) {
	d := changes.NewDetector(changes.Config{Labels: names, Grid: minute})
	for m := range 600 {
		if _, err := d.Observe(at(m), []source.Series{one("bot", "prompt", "v1", point(m, float64(2+m))), one("bot", "prompt", "v0", point(m, 1))}); err != nil {
			t.Fatal(err)
		}
	}
	if first, last := d.Running(at(343)), d.Running(at(344)); len(first) != 0 || len(last) != 2 {
		t.Errorf("at 343 ran %v, at 344 %v: of the newest 256 times something is known", first, last)
	}
}

func TestPointsThatAreNoLookArePassedOver(t *testing.T) {
	d := changes.NewDetector(changes.Config{Labels: names, Grid: minute})
	found, err := d.Observe(at(3), []source.Series{
		one("bot", "prompt", "v1", point(1, 1), point(2, 1), point(3, 1)),
		one("bot", "prompt", "nan", point(3, math.NaN())), one("bot", "prompt", "zero", point(3, 0)), one("bot", "prompt", "inf", point(3, math.Inf(1))),
		one("bot", "prompt", "beside", source.Point{T: at(3).UnixMilli() - 1, V: 1}), one("bot", "prompt", "later", point(4, 1)),
	})
	if got := ran(d.Running(at(9))); err != nil || got != "bot prompt v1 1.00 at 3" || found != nil {
		t.Errorf("it is %q, changed %v, %v", got, found, err)
	}
	if found, _ := d.Observe(at(9), []source.Series{one("bot", "prompt", "v2", point(2, 1))}); found != nil || len(d.Running(at(9))) != 1 {
		t.Errorf("what was looked at is looked at again: %v", found)
	}
}

func TestTheLooksAreEvaluationTimesAtLeastHalfAMinuteApart(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		15 * time.Second: 30 * time.Second, time.Minute: time.Minute, 20 * time.Second: 40 * time.Second, time.Second: 30 * time.Second,
	} {
		if got := changes.LookGrid(triggers.Grid{Interval: interval, Phase: 3}); got != (triggers.Grid{Interval: want, Phase: 3}) {
			t.Errorf("ticks %s apart: looks %s apart, want %s", interval, got.Interval, want)
		}
	}
}

func TestEveryLookIsAskedForOnce(t *testing.T) {
	d := changes.NewDetector(changes.Config{Labels: names, Grid: minute})
	ask := func(t time.Time) string {
		from, to, ok := d.Question(t)
		return fmt.Sprint(from.Unix()/60, to.Unix()/60, ok)
	}
	day := 24 * 60
	if got, want := ask(at(3*day).Add(20*time.Second)), fmt.Sprint(2*day, 3*day, true); got != want {
		t.Errorf("at the start: %s, want %s: a day back", got, want)
	}
	_, _ = d.Observe(at(3*day), nil)
	if _, _, ok := d.Question(at(3 * day).Add(59 * time.Second)); ok {
		t.Error("a look that was taken is asked for again")
	}
	if got, want := ask(at(3*day+1)), fmt.Sprint(3*day+1, 3*day+1, true); got != want {
		t.Errorf("a minute later: %s, want %s", got, want)
	}
	if got, want := ask(at(3*day+40)), fmt.Sprint(3*day+1, 3*day+40, true); got != want {
		t.Errorf("after a gap: %s, want %s", got, want)
	}
	if got, want := ask(at(9*day)), fmt.Sprint(8*day, 9*day, true); got != want {
		t.Errorf("after a long gap: %s, want %s", got, want)
	}
}

// one is a series of one version with a point at each of some minutes.
func one(service, artifact, version string, points ...source.Point) source.Series {
	return source.Series{Labels: labels.FromStrings("service", service, "artifact", artifact, "version", version), Points: points}
}

func point(minutes int, v float64) source.Point {
	return source.Point{T: at(minutes).UnixMilli(), V: v}
}

func TestWhatCantBeAVersionIsLeftOutAndSaid(t *testing.T) {
	for _, test := range []struct {
		name   string
		series source.Series
		want   string
	}{
		{"no version", one("bot", "prompt", "", point(1, 1)), `label version of prompt: "" is not a version: 1 to 200 printable characters`},
		{"a version of control characters", one("bot", "prompt", "v\x1b[31m", point(1, 1)), `label version of prompt: "v\x1b[31m" is not a version: 1 to 200 printable characters`},
		{"a text for a version", one("bot", "prompt", strings.Repeat("v", 201), point(1, 1)), "is not a version"},
		{"no artifact", one("bot", "", "v6", point(1, 1)), `label artifact: "" is not the name of an artifact`},
		{"a service of two lines", one("a\nb", "prompt", "v6", point(1, 1)), `label service of prompt: "a\nb" is not a service`},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := changes.NewDetector(changes.Config{Labels: names, Grid: minute})
			_, err := d.Observe(at(1), []source.Series{test.series, one("bot", "code", "v1", point(1, 1))})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("it says %v, want %s", err, test.want)
			}
			if ran := d.Running(at(1)); len(ran) != 1 || ran[0].Artifact != "code" {
				t.Errorf("beside it runs %v, want the code", ran)
			}
		})
	}
}

func TestALabelThatHoldsNoVersionsIsRefused(t *testing.T) {
	d := changes.NewDetector(changes.Config{Labels: names, Grid: minute, Memory: time.Hour})
	found := 0
	for m := range 100 {
		list, err := d.Observe(at(m), []source.Series{
			one("bot", "prompt", fmt.Sprintf("request-%d", m), point(m, 1)), one("bot", "code", "v1", point(m, 1)),
		})
		found += len(list)
		if refused := m >= 20 && m < 80; refused != (err != nil) {
			t.Fatalf("minute %d: %v", m, err)
		}
		if err != nil && !strings.Contains(err.Error(), `prompt of "bot": more than 20 versions; the label holds something else than a version`) {
			t.Fatalf("it says %v", err)
		}
	}
	if found > 100 {
		t.Errorf("%d changes of what is no version", found)
	}
	if ran := d.Running(at(99)); len(ran) != 2 {
		t.Errorf("an hour later it begins anew; it knows %v", ran)
	}
}

func TestTooManySeriesAreRefusedWhole(t *testing.T) {
	d := changes.NewDetector(changes.Config{Labels: names, Grid: minute, MaxSeries: 2})
	three := []source.Series{one("a", "p", "v", point(1, 1)), one("b", "p", "v", point(1, 1)), one("c", "p", "v", point(1, 1))}
	if _, err := d.Observe(at(1), three); err == nil || !strings.HasPrefix(err.Error(), "3 series, at most 2 are allowed") {
		t.Errorf("it says %v", err)
	}
	if _, _, asks := d.Question(at(1)); !asks || len(d.Running(at(1))) > 0 {
		t.Error("something was taken of it")
	}
	_, _ = d.Observe(at(1), three[:2])
	if _, err := d.Observe(at(2), []source.Series{one("c", "p", "v", point(2, 1))}); err == nil || !strings.Contains(err.Error(), "more than 2 services times artifacts") {
		t.Errorf("services that come and go fill the memory: %v", err)
	}
}

func TestTheVersionsOfATimeAreKnown(t *testing.T) {
	w := watch(t,
		instance("a", "v6", "1x59 stale"), instance("b", "v6", "1x61 stale"), instance("c", "v7", "_x60 1x59 stale"),
		instance("d", "v7", "_x62 1x57 stale _x20 1x20"))
	w.look(159)
	for _, test := range []struct {
		name    string
		minutes int
		want    string
	}{
		{"before the change", 59, "support-bot prompt v6 1.00 at 59"},
		{"in the middle of it", 60, "support-bot prompt v6 0.50 at 60, support-bot prompt v7 0.50 at 60"},
		{"after it", 90, "support-bot prompt v7 1.00 at 90"},
		{"while nobody could look: what was seen last, and when", 130, "support-bot prompt v7 1.00 at 119"},
		{"when it is there again", 145, "support-bot prompt v7 1.00 at 145"},
		{"before everything", -1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := ran(w.detector.Running(at(test.minutes))); got != test.want {
				t.Errorf("it says %q, want %q", got, test.want)
			}
		})
	}
}

func ran(list []changes.Running) string {
	var said []string
	for _, r := range list {
		said = append(said, fmt.Sprintf("%s %s %s %.2f at %d", r.Service, r.Artifact, r.Version, r.Share, r.SeenAt.Unix()/60))
	}
	return strings.Join(said, ", ")
}

// tape is what a made-up fleet showed, minute by minute.
type tape [][]source.Series

func drawTape(t *rapid.T) tape {
	minutes := rapid.IntRange(1, 150).Draw(t, "minutes")
	tape := make(tape, minutes)
	versions := []string{"v1", "v2", "v3"}
	for _, service := range []string{"bot", "search"} {
		counts := map[string]int{"v1": 2}
		for m := range minutes {
			switch rapid.IntRange(0, 24).Draw(t, "event") {
			case 0:
				counts[rapid.SampledFrom(versions).Draw(t, "up")]++
			case 1:
				delete(counts, rapid.SampledFrom(versions).Draw(t, "away"))
			case 2:
				counts = map[string]int{rapid.SampledFrom(versions).Draw(t, "all"): 2}
			case 3:
				continue // a gap
			}
			for _, v := range versions {
				if counts[v] > 0 {
					tape[m] = append(tape[m], one(service, "prompt", v, point(m, float64(counts[v]))))
				}
			}
		}
	}
	return tape
}

// shortMemory is for how many minutes the detectors of the tapes remember a version.
const shortMemory = 30

// play shows the tape from one minute on to a new detector, in pieces that end at the minutes given.
func (tape tape) play(t *rapid.T, from int, ends []int) (*changes.Detector, map[string]changes.Change) {
	d := changes.NewDetector(changes.Config{Labels: names, Grid: minute, Memory: shortMemory * time.Minute})
	log := map[string]changes.Change{}
	for _, end := range ends {
		var series []source.Series
		for m := from; m <= end; m++ {
			series = append(series, tape[m]...)
		}
		found, err := d.Observe(at(end), series)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range found {
			log[c.ID] = c
		}
		from = end + 1
	}
	return d, log
}

func each(from, to int) (ends []int) {
	for m := from; m < to; m++ {
		ends = append(ends, m)
	}
	return ends
}

func TestARefillFindsWhatWatchingFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tape := drawTape(t)
		live, watched := tape.play(t, 0, each(0, len(tape)))
		ends := append(rapid.SliceOfDistinct(rapid.IntRange(0, len(tape)-1), rapid.ID).Draw(t, "pieces"), len(tape)-1)
		slices.Sort(ends)
		late, refilled := tape.play(t, 0, ends)
		if told(watched) != told(refilled) {
			t.Fatalf("watched:\n%s\nrefilled in pieces that end at %v:\n%s", told(watched), ends, told(refilled))
		}
		for m := range tape {
			if a, b := ran(live.Running(at(m))), ran(late.Running(at(m))); a != b {
				t.Fatalf("at %d ran %q watched, %q refilled", m, a, b)
			}
		}
	})
}

// A restart sees less of the past. What it finds later than it takes to forget is the same, with the same ids.
func TestARestartFindsTheSameChangesUnderTheSameIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tape := drawTape(t)
		_, watched := tape.play(t, 0, each(0, len(tape)))
		start := rapid.IntRange(0, len(tape)-1).Draw(t, "restart")
		_, refilled := tape.play(t, start, []int{len(tape) - 1})
		for _, pair := range [][2]map[string]changes.Change{{watched, refilled}, {refilled, watched}} {
			for id, c := range pair[0] {
				if _, ok := pair[1][id]; !ok && c.At.After(tape.settled(c.Service, start)) {
					t.Fatalf("restarted at %d, only one of them found %+v", start, c)
				}
			}
		}
	})
}

// settled is when a detector that begins late knows of a service whatever still matters: eleven looks, and as long as
// the past can matter.
func (tape tape) settled(service string, start int) time.Time {
	looks := 0
	for m := start; m < len(tape); m++ {
		if slices.ContainsFunc(tape[m], func(s source.Series) bool { return s.Labels.Get("service") == service }) {
			looks++
		}
		if looks == 11 {
			return at(max(m, start+shortMemory+30))
		}
	}
	return at(len(tape))
}
