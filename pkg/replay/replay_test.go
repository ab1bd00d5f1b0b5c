package replay_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/replay"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The worked example: refusals of 4% that jump to 19% at 13:58:30 and heal in two steps, and answers that fall with
// them. In a replay nobody acts, so the hold waits for no action: it starts when all bands hold.
func workedExample(t testing.TB) (*functions, *runbook.Snapshot) {
	steps := func(normal, broken, better, healed float64) metric {
		return func(t time.Time) float64 {
			switch {
			case t.Before(clock("13:58:30")):
				return normal
			case t.Before(clock("14:21:00")):
				return broken
			case t.Before(clock("14:31:00")):
				return better
			}
			return healed
		}
	}
	f := newSource(map[string]metric{
		"refused_share{service=bot}":   steps(0.04, 0.19, 0.08, 0.05).mean(5 * time.Minute),
		"deflected_share{service=bot}": steps(0.42, 0.25, 0.36, 0.41).mean(5 * time.Minute),
	})
	return f, read(t, changed(t, slow, "runbook: slow", "runbook: good-users-refused", "Answers are slow", "Good users are refused",
		"trigger: {signal: latency, above: 5s, for: 10m, clears: {below: 4s}}",
		"trigger: {any: [{signal: refused_share, above: 8%, for: 10m, clears: {below: 6%}}, {signal: deflected_share, below: 31.5%, for: 10m, clears: {above: 38%}}]}",
		"severity: {sev1: {signal: latency, above: 20s}, default: sev3}", "severity: {sev2: {signal: refused_share, above: 15%}, default: sev3}",
		"key: {signal: latency, below: 4s}", "key: {signal: refused_share, below: 6%}",
		"business: {none: a test}", "business: {signal: deflected_share, above: 38%}"))[0]
}

func TestTheWorkedExampleOpensAtTenPastTwo(t *testing.T) {
	f, r := workedExample(t)
	result := run(t, over(f, clock("13:00:00"), clock("16:00:00"), r))
	wantLines(t, result.Incidents,
		`good-users-refused {service="bot"} sev2 impact 2000-01-01 13:59:15 opened 2000-01-01 14:10:00 resolved 2000-01-01 14:49:30 [{service="bot"}]`)
	if i := result.Incidents[0]; i.BreachBegan != clock("14:00:00") || i.DetectionDelay != 645 || *i.ImpactEndedAt != clock("14:34:30") {
		t.Errorf("breach began %s, detected after %g s, impact ended %s", i.BreachBegan, i.DetectionDelay, i.ImpactEndedAt)
	}
}

// twoDays is a history with three slow times of two services.
func twoDays(t testing.TB) (*functions, *runbook.Snapshot) {
	next := func(m metric) metric { return func(t time.Time) float64 { return m(t.Add(-24 * time.Hour)) } }
	a, later := during(9, 1, "14:00:00-14:40:00"), next(during(30, 1, "23:30:00-23:59:59"))
	f := newSource(map[string]metric{
		"latency{service=a}": func(t time.Time) float64 { return max(a(t), later(t)) },
		"latency{service=b}": during(7, 1, "03:00:00-03:12:00"),
	})
	return f, read(t, slow)[0]
}

func TestWhatPeopleAndProgramsRead(t *testing.T) {
	f, r := twoDays(t)
	result := run(t, over(f, midnight, midnight.Add(48*time.Hour-15*time.Second), r))
	_, example := workedExample(t)
	fe, _ := workedExample(t)
	fe.born = clock("12:00:00")
	short := run(t, over(fe, clock("11:30:00"), clock("14:30:00"), example))
	quiet := run(t, over(newSource(map[string]metric{"latency{service=a}": always(1)}), midnight, midnight.Add(7*24*time.Hour), r))
	compared := compareSlow(t)
	for _, c := range []struct {
		name   string
		result *replay.Result
	}{{"two_days", result}, {"open_at_the_end", short}, {"quiet", quiet}, {"against", compared}} {
		t.Run(c.name, func(t *testing.T) {
			var text, json bytes.Buffer
			if err := errors.Join(c.result.WriteText(&text), c.result.WriteJSON(&json)); err != nil {
				t.Fatal(err)
			}
			golden(t, c.name+".txt", text.Bytes())
			golden(t, c.name+".json", json.Bytes())
			for line := range strings.Lines(text.String()) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
					t.Errorf("a line of %d columns: %s", n, line)
				}
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, got, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", path, got, want)
	}
}

func TestWhereAChunkEndsChangesNothing(t *testing.T) {
	f, r := twoDays(t)
	whole := lines(run(t, over(f, midnight, midnight.Add(48*time.Hour), r)).Incidents)
	if len(whole) != 3 {
		t.Fatalf("%d incidents, want 3: %v", len(whole), whole)
	}
	for _, from := range []time.Duration{15 * time.Second, 13*time.Hour + 7*time.Minute, 13*time.Hour + 59*time.Minute + 45*time.Second} {
		f, _ := twoDays(t)
		got := lines(run(t, over(f, midnight.Add(from), midnight.Add(48*time.Hour), r)).Incidents)
		want := whole
		if from > 4*time.Hour {
			want = whole[1:]
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("from %s:\n%s\nwant\n%s", from, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestEachTickIsAskedForOnceAndWithinTheSourcesLimit(t *testing.T) {
	f := newSource(map[string]metric{"latency{service=a}": always(1)})
	c := over(f, midnight, midnight.Add(5*24*time.Hour), read(t, slow, changed(t, slow, "runbook: slow", "runbook: slower", "above: 5s", "above: 6s"))...)
	run(t, c)
	if full := f.asked("latency"); len(full) > 0 {
		t.Errorf("every point of a quiet history was asked for: %v", full)
	}
	queries := f.asked("max(latency\n)")
	if len(queries) > 8 {
		t.Errorf("%d queries for five days", len(queries))
	}
	for i, q := range queries {
		if q.points() > 5760 {
			t.Errorf("%d points from %s on: more than a day", q.points(), q.from)
		}
		if i > 1 && !q.from.Equal(queries[i-1].to.Add(15*time.Second)) {
			t.Errorf("asked from %s on, after %s", q.from, queries[i-1].to)
		}
	}
	c.Grid.Interval = time.Second
	c.To = midnight.Add(8 * time.Hour) // 28,800 points: the source itself refuses more than 11,000
	run(t, c)
}

func TestQuietTicksAreLeftOutAndNothingElse(t *testing.T) {
	two, _ := twoDays(t)
	for _, c := range []struct {
		name     string
		source   *functions
		runbooks []*runbook.Snapshot
	}{
		{"an eventful day, some runbooks with baselines", eventful(), eventfulRunbooks(t)},
		{"two quiet days", two, read(t, slow)},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := over(c.source, midnight.Add(time.Minute), midnight.Add(30*time.Hour+15*time.Second), c.runbooks...)
			config.Thorough = true
			want := lines(run(t, config).Incidents)
			config.Thorough = false
			if got := lines(run(t, config).Incidents); !slices.Equal(got, want) || len(want) == 0 {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// wandering is half a day of values that step between levels around the limits, and of shares of thin and dense traffic.
func wandering(seed uint64) *functions {
	random := rand.New(rand.NewPCG(seed, 1))
	steps := func(levels ...float64) metric {
		var values []float64
		for minutes := 0; minutes < 12*60; {
			v := levels[random.IntN(len(levels))]
			for range 4 + random.IntN(25) {
				values = append(values, v)
				minutes++
			}
		}
		return func(t time.Time) float64 {
			if i := int(t.Sub(midnight).Minutes()); i >= 0 && i < len(values) {
				return values[i]
			}
			return levels[0]
		}
	}
	share := func(m metric, traffic, seed float64) metric {
		return func(t time.Time) float64 {
			return math.Round(min(max(traffic*m(t)+noise(t, seed, math.Sqrt(traffic)/3), 0), traffic))
		}
	}
	shares := func() metric { return steps(0.05, 0, 0.05, 0.13, 0.17, 0.3).mean(5 * time.Minute) }
	return newSource(map[string]metric{
		"latency{service=a}":       steps(2, 1, 3.9, 4.5, 5.1, 6.2).noisy(float64(seed), 0.2),
		"latency{service=b}":       steps(2, 2, 2, 5.3),
		"saturation{service=a}":    steps(1, 1, 1, 5.1),
		"refused_share{service=a}": steps(0.01, 0.02, 0.031),
		refused + "{service=a}":    share(shares(), 900, 1),
		requests + "{service=a}":   always(900),
		refused + "{service=b}":    share(shares(), 20, 2),
		requests + "{service=b}":   always(20),
	})
}

func TestQuietTicksAreLeftOutOfWanderingHistoriesToo(t *testing.T) {
	found := map[string]int{}
	for seed := range uint64(3) {
		config := over(wandering(seed), midnight, midnight.Add(10*time.Hour), screenedRunbooks(t)...)
		config.Thorough = true
		incidents := run(t, config).Incidents
		config.Thorough = false
		if got, want := lines(run(t, config).Incidents), lines(incidents); !slices.Equal(got, want) {
			t.Errorf("seed %d: found\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for _, i := range incidents {
			found[i.Runbook]++
			for _, joined := range i.Joined {
				found[joined]++
			}
		}
	}
	if len(found) < 7 {
		t.Errorf("not every runbook has fired: %v", found)
	}
	t.Log(found)
}

// screenedRunbooks compare with fixed limits in every way there is.
func screenedRunbooks(t testing.TB) []*runbook.Snapshot {
	const trigger = "{signal: latency, above: 5s, for: 10m, clears: {below: 4s}}"
	var texts []string
	for name, other := range map[string]string{
		"any":    "{any: [{signal: latency, above: 5s, for: 5m, at_least: 80%, clears: {below: 4s}}, {signal: saturation, above: 5, for: 1m, clears: {below: 4}}]}",
		"all":    "{all: [{signal: latency, above: 5s, for: 5m, clears: {below: 4s}}, {signal: refused_share, above: 3%, for: 1m, clears: {below: 2%}}]}",
		"band":   "{signal: latency, between: [4s, 6s], for: 5m}",
		"under":  "{signal: latency, below: 1100ms, for: 2m, clears: {above: 2s}}",
		"ratio":  "{signal: refusal_rate, above: 15%, for: 5m, clears: {below: 10%}}",
		"summed": "{signal: refusal_rate, by: [service], above: 15%, for: 5m, clears: {below: 10%}}",
		"good":   "{signal: refusal_rate, below: 1%, for: 20m, clears: {above: 3%}}",
	} {
		texts = append(texts, changed(t, slow, "runbook: slow", "runbook: "+name, trigger, other))
	}
	slices.Sort(texts)
	return read(t, texts...)
}

func TestWhatIsAskedBesideTheGridGoesToTheSource(t *testing.T) {
	f := newSource(map[string]metric{"latency{service=a}": during(9, 1, "02:00:00-03:00:00")})
	c := over(f, midnight, clock("06:00:00"), read(t, slow)...)
	c.Grid.Phase = 7 * time.Second
	result := run(t, c)
	wantLines(t, result.Incidents,
		`slow {service="a"} sev3 impact 2000-01-01 02:00:07 opened 2000-01-01 02:10:07 resolved 2000-01-01 03:15:07 [{service="a"}]`)
	if result.Phase != "7s" {
		t.Errorf("phase %s", result.Phase)
	}
}

func unavailable(a asked) error {
	return &source.Error{Reason: source.HTTPStatus, Expr: a.expr, Status: 503, Detail: "503 Service Unavailable from prometheus"}
}

func TestAQueryThatFailsIsPutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := twoDays(t)
		failures := 0
		f.fault = func(a asked) error {
			if failures == 4 || a.from.Before(clock("12:00:00")) && a.to.Before(clock("12:00:00")) {
				return nil
			}
			failures++
			return unavailable(a)
		}
		c := over(f, midnight, midnight.Add(48*time.Hour), r)
		c.Backoff = 0
		c.Queries = 1
		var told []string
		c.Tell = func(text string) { told = append(told, text) }
		began := time.Now()
		if result := run(t, c); len(result.Incidents) != 3 {
			t.Errorf("%d incidents, want 3", len(result.Incidents))
		}
		if waited := time.Since(began); waited != 15*time.Second {
			t.Errorf("waited %s, want 1s + 2s + 4s + 8s", waited)
		}
		want := `query "max(latency )": 503 Service Unavailable from prometheus; tried again in 8s (5 of 5)`
		if len(told) != 4 || told[3] != want {
			t.Errorf("told %q, want four, the last %q", told, want)
		}
	})
}

func TestAQueryThatIsNotAnsweredEndsTheReplay(t *testing.T) {
	for _, c := range []struct {
		name   string
		from   string // what is asked for from then on fails
		fault  func(asked) error
		warn   string
		resume []string
		why    string
		times  int
	}{
		{"nothing is open", "20:00:00", unavailable, "", nil, "tried 5 times: query \"max(latency )\": 503", 5},
		{"the source cuts its answers", "20:00:00", func(a asked) error {
			return &source.Error{Reason: source.Partial, Expr: a.expr, Detail: "partial answer: the source says that some of its data is missing"}
		}, "", nil, "some of its data is missing", 5},
		{"the source warns that data are missing", "20:00:00", nil, "remote_read: store-2 is down", nil, "the answer may be cut, the source warns: remote_read: store-2 is down", 5},
		{"the source refuses the expression, and will again", "20:00:00", func(a asked) error {
			return &source.Error{Reason: source.Query, Expr: a.expr, Status: 422, Detail: "query processing would load too many samples into memory"}
		}, "", nil, "too many samples", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, r := twoDays(t)
			times := 0
			hit := func(a asked) bool { return a.to.After(clock(c.from)) }
			if c.fault != nil {
				f.fault = func(a asked) error {
					if !hit(a) {
						return nil
					}
					times++
					return c.fault(a)
				}
			} else {
				f.warn = func(a asked) []string {
					if !hit(a) {
						return nil
					}
					times++
					return []string{"PromQL warning: ignored", c.warn}
				}
			}
			config := over(f, midnight, midnight.Add(48*time.Hour), r)
			config.Queries = 1
			result, err := replay.Run(t.Context(), config)
			if result != nil {
				t.Error("a part is given as a result")
			}
			wantError(t, err, c.why, "nothing is shown", "--from 2000-01-01T01:00:00Z", "--from 2000-01-01T00:00:00Z --to 2000-01-01T00:59:59Z")
			if n := strings.Count(err.Error(), c.why); n != 1 {
				t.Errorf("the reason is given %d times: %v", n, err)
			}
			if times != c.times {
				t.Errorf("asked %d times, want %d", times, c.times)
			}
			var stopped *replay.Stopped
			if !errors.As(err, &stopped) || stopped.Reached != clock("01:00:00") {
				t.Errorf("stopped at %v", stopped)
			}
		})
	}
}

func TestAReplayGoesOnFromWhereNothingWasOpen(t *testing.T) {
	f := newSource(map[string]metric{"latency{service=a}": func(t time.Time) float64 {
		return max(during(9, 1, "00:40:00-23:00:00")(t), 1)
	}})
	r := read(t, slow)[0]
	f.fault = func(a asked) error {
		if a.to.After(midnight.Add(30 * time.Hour)) {
			return unavailable(a)
		}
		return nil
	}
	c := over(f, midnight, midnight.Add(48*time.Hour), r)
	_, err := replay.Run(t.Context(), c)
	var stopped *replay.Stopped
	if !errors.As(err, &stopped) {
		t.Fatal(err)
	}
	f.fault = nil
	c.To = stopped.Resume.Add(-time.Second)
	before := run(t, c)
	c.From, c.To = stopped.Resume, midnight.Add(48*time.Hour)
	after := run(t, c)
	c.From = midnight
	whole := run(t, c)
	if got, want := append(lines(before.Incidents), lines(after.Incidents)...), lines(whole.Incidents); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("resumed at %s\n%s\nwant\n%s", stopped.Resume, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAReplayEndsWhenItIsInterrupted(t *testing.T) {
	f, r := twoDays(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := over(f, midnight, midnight.Add(48*time.Hour), r)
	c.Progress = func(decided, _ int64) {
		if decided > 1000 {
			cancel()
		}
	}
	result, err := replay.Run(ctx, c)
	if result != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("result %v, error %v", result, err)
	}
}

func TestASignalWithoutDataIsAnError(t *testing.T) {
	saturated := changed(t, slow, "runbook: slow", "runbook: full", "signal: latency, above: 5s", "signal: saturation, above: 5", "clears: {below: 4s}", "clears: {below: 4}")
	withSafety := changed(t, slow, "safety: {none: a test}", "safety: {signal: saturation, below: 5}")
	nan := always(math.NaN())
	for _, c := range []struct {
		name     string
		series   map[string]metric
		runbooks []string
		want     string // empty: no error
	}{
		{"of a trigger's signal there is nothing", map[string]metric{"latency{service=a}": always(1)}, []string{slow, saturated}, "of saturation (full)"},
		{"there are only values that are no numbers", map[string]metric{"latency{service=a}": always(math.Inf(1))}, []string{slow}, "of latency (slow)"},
		{"there are points before the range only", map[string]metric{"latency{service=a}": during(1, math.NaN(), "00:00:00-05:00:00")}, []string{slow}, "of latency (slow)"},
		{"one point is enough", map[string]metric{"latency{service=a}": during(1, math.NaN(), "11:00:00-11:00:15")}, []string{slow}, ""},
		{"of a recovery's signal there is nothing while an incident is open, nor ever", map[string]metric{"latency{service=a}": during(9, 1, "08:00:00-08:30:00"), "saturation{service=a}": nan}, []string{withSafety}, "of saturation (slow)"},
		{"of a recovery's signal there is nothing while an incident is open", map[string]metric{"latency{service=a}": during(9, 1, "08:00:00-08:30:00"), "saturation{service=a}": during(1, math.NaN(), "22:00:00-22:10:00")}, []string{withSafety}, ""},
		{"of a recovery's signal there is nothing, and no incident needs it", map[string]metric{"latency{service=a}": always(1)}, []string{withSafety}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := replay.Run(t.Context(), over(newSource(c.series), clock("06:00:00"), midnight.Add(26*time.Hour), read(t, c.runbooks...)...))
			if c.want == "" && err != nil {
				t.Fatal(err)
			} else if c.want != "" {
				wantError(t, err, c.want, "no point between 2000-01-01T06:00:00Z and 2000-01-02T02:00:00Z")
			}
		})
	}
	t.Run("a counter of refusals that was never born is no missing data", func(t *testing.T) {
		r := read(t, changed(t, slow, "signal: latency, above: 5s", "signal: refusal_rate, above: 8%", "clears: {below: 4s}", "clears: {below: 6%}"))[0]
		f := newSource(map[string]metric{requests + "{service=a}": always(1000), "latency{service=a}": always(1)})
		if result := run(t, over(f, clock("12:00:00"), clock("13:00:00"), r)); len(result.Incidents)+len(result.Notes) > 0 {
			t.Errorf("incidents %v, notes %v", lines(result.Incidents), result.Notes)
		}
		f = newSource(map[string]metric{refused + "{service=a}": always(100), "latency{service=a}": always(1)})
		_, err := replay.Run(t.Context(), over(f, clock("12:00:00"), clock("13:00:00"), r))
		wantError(t, err, "of refusal_rate (slow)")
	})
}

func TestWhatCannotBeReplayedIsRefused(t *testing.T) {
	f, r := twoDays(t)
	other := read(t, changed(t, slow, "runbook: slow", "runbook: other"))[0]
	for _, c := range []struct {
		name   string
		change func(*replay.Config)
		want   string
	}{
		{"no runbook", func(c *replay.Config) { c.Runbooks = nil }, "no runbook"},
		{"the range holds no evaluation time", func(c *replay.Config) { c.From, c.To = clock("01:00:01"), clock("01:00:14") }, "no evaluation time lies between"},
		{"an interval that no source can keep", func(c *replay.Config) { c.Grid.Interval = time.Microsecond }, "whole milliseconds"},
		{"a version of another runbook", func(c *replay.Config) { c.Against = other }, "other is compared with the one runbook of its name"},
		{"more than one runbook beside another version", func(c *replay.Config) { c.Against = r; c.Runbooks = append(c.Runbooks, other) }, "the one runbook of its name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := over(f, midnight, midnight.Add(time.Hour), r)
			c.change(&config)
			_, err := replay.Run(t.Context(), config)
			wantError(t, err, c.want)
		})
	}
}

// compareSlow sets a version that waits for 5m at 8s against one that waits for 10m at 5s.
func compareSlow(t testing.TB) *replay.Result {
	f := newSource(map[string]metric{
		"latency{service=a}": during(9, 1, "04:00:00-04:40:00", "20:00:00-20:08:00"), // both, the other one earlier; the other one alone
		"latency{service=b}": during(6, 1, "12:00:00-12:40:00"),                      // the present one alone
	})
	c := over(f, midnight, midnight.Add(24*time.Hour), read(t, slow)...)
	c.Against = read(t, changed(t, slow, "above: 5s, for: 10m", "above: 8s, for: 5m"))[0]
	c.Pages = func(s runbook.Severity) bool { return s != runbook.Sev4 }
	return run(t, c)
}

func TestAnotherVersionIsHeldAgainstThePresentOne(t *testing.T) {
	result := compareSlow(t)
	a := result.Against
	const (
		early     = `slow {service="a"} sev3 impact 2000-01-01 04:00:00 opened 2000-01-01 04:05:00 resolved 2000-01-01 04:55:00 [{service="a"}]`
		present   = `slow {service="a"} sev3 impact 2000-01-01 04:00:00 opened 2000-01-01 04:10:00 resolved 2000-01-01 04:55:00 [{service="a"}]`
		missed    = `slow {service="b"} sev3 impact 2000-01-01 12:00:00 opened 2000-01-01 12:10:00 resolved 2000-01-01 12:55:00 [{service="b"}]`
		additions = `slow {service="a"} sev3 impact 2000-01-01 20:00:00 opened 2000-01-01 20:05:00 resolved 2000-01-01 20:23:00 [{service="a"}]`
	)
	wantLines(t, result.Incidents, present, missed)
	wantLines(t, a.Incidents, early, additions)
	wantLines(t, a.Missed, missed)
	wantLines(t, a.Additional, additions)
	wantLines(t, a.PagedNeedlessly.Present, missed)
	wantLines(t, a.PagedNeedlessly.Other, additions)
	if len(a.Same) != 0 || len(a.Later) != 0 || len(a.Earlier) != 1 || a.Earlier[0].Delta != -300 {
		t.Errorf("same %v, later %v, earlier %v", a.Same, a.Later, a.Earlier)
	}
}

func TestBothVersionsAreEvaluatedOverTheSameAnswers(t *testing.T) {
	f, r := twoDays(t)
	run(t, over(f, midnight, midnight.Add(48*time.Hour), r))
	alone := len(f.asked("latency")) + len(f.asked("max(latency\n)"))
	f, _ = twoDays(t)
	c := over(f, midnight, midnight.Add(48*time.Hour), r)
	c.Against = read(t, changed(t, slow, "above: 5s", "above: 6s"))[0]
	result := run(t, c)
	if together := len(f.asked("latency")) + len(f.asked("max(latency\n)")); together != alone {
		t.Errorf("%d queries, for one version alone %d", together, alone)
	}
	if len(result.Against.Same) != 3 || len(result.Against.Missed)+len(result.Against.Additional) > 0 {
		t.Errorf("same %d, missed %v, additional %v", len(result.Against.Same), lines(result.Against.Missed), lines(result.Against.Additional))
	}
}

func TestProgressEndsAtTheWhole(t *testing.T) {
	f, r := twoDays(t)
	c := over(f, midnight, midnight.Add(3*time.Hour), r)
	var told [][2]int64
	c.Progress = func(decided, all int64) { told = append(told, [2]int64{decided, all}) }
	run(t, c)
	last := int64(0)
	for _, p := range told {
		if p[0] <= last || p[1] != 721 {
			t.Errorf("%d of %d after %d", p[0], p[1], last)
		}
		last = p[0]
	}
	if last != 721 {
		t.Errorf("the last word is %d of 721", last)
	}
}
