package demo

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb"
)

// pastLimit is the tolerance in favour of a comparison.
const pastLimit = 1e-9

func atLeast(value, limit float64) bool { return value >= limit*(1-pastLimit) }
func atMost(value, limit float64) bool  { return value <= limit*(1+pastLimit) }

// play works the story out with no code but its own: the five-minute shares at every tick, and from them the times
// that the daemon must find.
func play(bot *Bot) map[string]time.Time {
	const interval, lookBack, window, hold = 15 * time.Second, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute
	times := map[string]time.Time{}
	mark := func(name string, t time.Time, holds bool) {
		if _, marked := times[name]; holds && !marked {
			times[name] = t
		}
	}
	var refusedSince, deflectedSince, clearSince, holdSince time.Time
	since := func(began *time.Time, t time.Time, holds bool) time.Duration {
		if !holds {
			*began = time.Time{}
			return -1
		}
		if began.IsZero() {
			*began = t
		}
		return t.Sub(*began)
	}
	for t := storyTime(13, 30, 0); !t.After(storyTime(14, 51, 0)); t = t.Add(interval) {
		refused := share(bot, t.Add(-lookBack), t, "llm_requests_total", "outcome", "refused")
		deflected := share(bot, t.Add(-lookBack), t, "support_conversations_total", "outcome", "deflected")
		unsafe := share(bot, t.Add(-lookBack), t, "llm_answers_total", "verdict", "unsafe")
		refusing, escalating := atLeast(refused, 0.08), atMost(deflected, 0.315)

		mark("first refusal point", t, refusing)
		mark("first deflection point", t, escalating)
		mark("first sev2 point", t, atLeast(refused, 0.15))
		_, opened := times["opened"]
		mark("below the trigger", t, opened && !refusing)
		mark("opened", t, since(&refusedSince, t, refusing) >= window)
		mark("breach_joined", t, since(&deflectedSince, t, escalating) >= window)

		_, opened = times["opened"]
		mark("trigger_cleared", t, opened && since(&clearSince, t, !refusing && !escalating) >= window)
		floor := storyTime(14, 31, 0).Add(lookBack) // of the second rollback, as far as the bands look back
		held := opened && !t.Before(floor) && atMost(refused, 0.06) && atLeast(deflected, 0.38) && atMost(unsafe, 0.001)
		_, cleared := times["trigger_cleared"]
		mark("resolved", t, since(&holdSince, t, held) >= hold && cleared)
		mark("hold_started", t, held)
	}
	return times
}

func TestTheExpectedTimelineFollowsFromTheNumbers(t *testing.T) {
	times := play(workedBot())
	for name, want := range map[string]time.Time{
		"first refusal point":    storyTime(14, 0, 0),
		"first deflection point": storyTime(14, 1, 45),
		"first sev2 point":       storyTime(14, 2, 15),
		"below the trigger":      storyTime(14, 31, 15),
		"opened":                 storyTime(14, 10, 0),
		"breach_joined":          storyTime(14, 11, 45),
		"hold_started":           storyTime(14, 36, 0),
		"trigger_cleared":        storyTime(14, 41, 15),
		"resolved":               storyTime(14, 51, 0),
	} {
		if got := times[name]; !got.Equal(want) {
			t.Errorf("%s: %s, want %s", name, clockTime(got), clockTime(want))
		}
	}
	scenario := WorkedExample()
	for _, expected := range scenario.Expected.Events {
		if got, ok := times[expected.Event]; ok && !got.Equal(expected.At) {
			t.Errorf("%s is expected at %s, but the numbers give %s", expected.Event, clockTime(expected.At), clockTime(got))
		}
		if expected.At.After(scenario.End) {
			t.Errorf("%s is expected at %s, after the end", expected.Event, clockTime(expected.At))
		}
	}
}

// TestPrometheusSeesTheStory writes the story into a real TSDB at the demo's speed and asks the shipped expressions
// through Prometheus' own engine.
func TestPrometheusSeesTheStory(t *testing.T) {
	db := filled(t)
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute})
	expressions := shippedSignals(t)
	ask := func(name string, story time.Time) float64 {
		t.Helper()
		expression := strings.ReplaceAll(expressions[name], "$range", "7500ms") // 5m at 1:40
		query, err := engine.NewInstantQuery(t.Context(), db, nil, expression, workedClock().Real(story))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		defer query.Close()
		vector, err := query.Exec(t.Context()).Vector()
		if err != nil || len(vector) != 1 || vector[0].Metric.Get("service") != "support-bot" {
			t.Fatalf("%s at %s gives %v, error %v; want one value for the service", name, story, vector, err)
		}
		return vector[0].F
	}
	for _, test := range []struct {
		at                         time.Time
		refused, deflected, unsafe float64
	}{
		{storyTime(8, 0, 0), 0.04, 0.42, 0.0002},
		{storyTime(13, 58, 30), 0.04, 0.42, 0.0002},
		{storyTime(14, 10, 0), 0.19, 0.25, 0.0002},
		{storyTime(14, 26, 15), 0.08, 0.36, 0.0002},
		{storyTime(14, 31, 0), 0.08, 0.36, 0.0002},
		{storyTime(14, 36, 15), 0.05, 0.41, 0.0002},
	} {
		for name, want := range map[string]float64{
			"refusal_rate": test.refused, "deflection_rate": test.deflected, "unsafe_answer_rate": test.unsafe,
		} {
			got := ask(name+"/numerator", test.at) / ask(name+"/denominator", test.at)
			if math.Abs(got/want-1) > 1e-9 {
				t.Errorf("%s at %s is %.15g, want %g", name, clockTime(test.at), got, want)
			}
		}
		if got := ask("p95_latency", test.at); math.Abs(got-1.2) > 1e-6 {
			t.Errorf("p95 at %s is %g s, want 1.2", clockTime(test.at), got)
		}
		// Real seconds are forty times as busy as the story's.
		if got := ask("output_tokens", test.at); math.Abs(got/(40*20*220)-1) > 1e-6 {
			t.Errorf("output tokens at %s are %g/s, want %d", clockTime(test.at), got, 40*20*220)
		}
	}
}

// filled is a TSDB that holds the story and the hours before it, scraped each 5 s of the story.
func filled(t *testing.T) *tsdb.DB {
	t.Helper()
	db, err := tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	clock := workedClock()
	target := labels.FromStrings("job", "support-bot", "instance", "127.0.0.1:9850")
	history := workedBot().History(clock.Real(storyTime(7, 30, 0)), clock.Real(storyTime(14, 51, 0)), clock.Scale(5*time.Second), target)
	appender := db.Appender(t.Context())
	for _, series := range history {
		for _, point := range series.Points {
			if _, err := appender.Append(0, series.Labels, point.T, point.V); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := appender.Commit(); err != nil {
		t.Fatal(err)
	}
	return db
}
