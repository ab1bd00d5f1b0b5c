package demo

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
)

// workedClock starts at a whole second, at which the demo's ticks are whole too.
func workedClock() Clock {
	return Clock{RealStart: time.Unix(1_780_000_500, 0).UTC(), StoryStart: storyTime(13, 30, 0), Speed: 40}
}

// workedBot is the worked example's bot, its story standing at 14:15:00.
func workedBot() *Bot {
	clock := workedClock()
	return NewBot(WorkedExample(), clock, func() time.Time { return clock.Real(storyTime(14, 15, 0)) })
}

// sum adds up the samples of a metric that carry a label's value; an empty label takes all of them.
func sum(samples []Sample, name, label, value string) float64 {
	var total float64
	for _, sample := range samples {
		if sample.Name == name && (label == "" || sample.Labels.Get(label) == value) {
			total += sample.Value
		}
	}
	return total
}

// share is a ratio of increases over the story's (from, to].
func share(bot *Bot, from, to time.Time, name, label, value string) float64 {
	first, last := bot.Metrics(from), bot.Metrics(to)
	part := sum(last, name, label, value) - sum(first, name, label, value)
	return part / (sum(last, name, "", "") - sum(first, name, "", ""))
}

func TestSharesWithinAPhaseAreExact(t *testing.T) {
	bot := workedBot()
	phases := []struct {
		name               string
		from, to           time.Time
		refused, deflected float64
	}{
		{"the day before", storyTime(13, 30, 0).Add(-24 * time.Hour), storyTime(13, 58, 30), 0.04, 0.42},
		{"harm", storyTime(13, 58, 30), storyTime(14, 21, 0), 0.19, 0.25},
		{"prompt rolled back", storyTime(14, 21, 0), storyTime(14, 31, 0), 0.08, 0.36},
		{"index rolled back", storyTime(14, 31, 0), storyTime(14, 51, 0), 0.05, 0.41},
	}
	for _, phase := range phases {
		windows := [][2]time.Time{
			{phase.from, phase.to},
			{phase.from, phase.from.Add(time.Second)},
			{phase.to.Add(-5 * time.Minute), phase.to},
			{phase.to.Add(-7 * time.Second), phase.to.Add(-3123 * time.Millisecond)},
		}
		for _, window := range windows {
			for _, want := range []struct {
				metric, label, value string
				share                float64
			}{
				{"llm_requests_total", "outcome", "refused", phase.refused},
				{"support_conversations_total", "outcome", "deflected", phase.deflected},
				{"llm_answers_total", "verdict", "unsafe", 0.0002},
			} {
				got := share(bot, window[0], window[1], want.metric, want.label, want.value)
				if math.Abs(got/want.share-1) > 1e-9 {
					t.Errorf("%s, %s to %s: share of %s %s is %.15g, want %g",
						phase.name, window[0], window[1], want.metric, want.value, got, want.share)
				}
			}
		}
	}
}

func TestNoCounterEverFallsAndAllStartAtZero(t *testing.T) {
	bot := workedBot()
	began := storyTime(13, 30, 0).Add(-24 * time.Hour)
	last := map[string]float64{}
	check := func(story time.Time) {
		for _, sample := range bot.Metrics(story) {
			if sample.Name == "llm_artifact_info" {
				continue
			}
			key := sample.Name + sample.Labels.String()
			before, known := last[key]
			if known && sample.Value < before {
				t.Fatalf("%s falls from %g to %g at %s", key, before, sample.Value, story)
			}
			if !known && sample.Value != 0 {
				t.Fatalf("%s is born as %g", key, sample.Value)
			}
			last[key] = sample.Value
		}
	}
	check(began)
	for story := storyTime(13, 58, 0); story.Before(storyTime(14, 52, 0)); story = story.Add(977 * time.Millisecond) {
		check(story)
	}
	for _, phase := range WorkedExample().Phases { // at the seams, to the nanosecond
		clear(last)
		check(began)
		for i := time.Duration(-3); i <= 3; i++ {
			check(phase.From.Add(i))
		}
	}
	if len(last) != 44 {
		t.Errorf("%d counters were seen, want 44", len(last))
	}
}

func TestSegmentsAddUpToAllRequests(t *testing.T) {
	first, last := workedBot().Metrics(storyTime(14, 0, 0)), workedBot().Metrics(storyTime(14, 5, 0))
	for _, metric := range []string{"llm_requests_total", "llm_request_duration_seconds_count"} {
		got := sum(last, metric, "", "") - sum(first, metric, "", "")
		if math.Abs(got/6000-1) > 1e-9 {
			t.Errorf("%s grows by %.12g in five minutes, want 6000", metric, got)
		}
	}
}

func TestTheRunningVersionsAreShown(t *testing.T) {
	for _, test := range []struct {
		at            time.Time
		prompt, index string
	}{
		{storyTime(13, 29, 59), "prompt-v6", "kb-2025-02-01"},
		{storyTime(13, 30, 0), "prompt-v7", "kb-2025-02-01"},
		{storyTime(13, 40, 0), "prompt-v7", "kb-2025-02-15"},
		{storyTime(14, 20, 59), "prompt-v7", "kb-2025-02-15"},
		{storyTime(14, 21, 0), "prompt-v6", "kb-2025-02-15"},
		{storyTime(14, 31, 0), "prompt-v6", "kb-2025-02-01"},
	} {
		want := map[string]string{
			"code": "api-v18", "prompt": test.prompt, "weights": "support-3.2",
			"retrieval_index": test.index, "router_policy": "small-first-then-large",
		}
		var shown int
		for _, sample := range workedBot().Metrics(test.at) {
			if sample.Name != "llm_artifact_info" {
				continue
			}
			shown++
			artifact, version := sample.Labels.Get("artifact"), sample.Labels.Get("version")
			if want[artifact] != version || sample.Value != 1 {
				t.Errorf("at %s %s is %s (%g), want %s (1)", clockTime(test.at), artifact, version, sample.Value, want[artifact])
			}
		}
		if shown != len(want) {
			t.Errorf("at %s %d versions are shown, want one for each of %d artifacts", clockTime(test.at), shown, len(want))
		}
	}
}

func get(t *testing.T, bot *Bot, method, path string) *http.Response {
	t.Helper()
	recorder := httptest.NewRecorder()
	bot.ServeHTTP(recorder, httptest.NewRequest(method, path, nil))
	return recorder.Result()
}

// scraped parses an exposition as Prometheus does when it scrapes.
func scraped(t *testing.T, text []byte) map[string]float64 {
	t.Helper()
	parser := textparse.NewPromParser(text, labels.NewSymbolTable(), false)
	values := map[string]float64{}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			return values
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry == textparse.EntrySeries {
			var set labels.Labels
			parser.Labels(&set)
			_, _, value := parser.Series()
			values[set.String()] = value
		}
	}
}

func TestAScrapeGivesTheMetricsOfThisMoment(t *testing.T) {
	bot := workedBot()
	response := get(t, bot, http.MethodGet, "/metrics")
	if got := response.Header.Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("content type is %q", got)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	values := scraped(t, text)
	samples := bot.Metrics(storyTime(14, 15, 0))
	if len(values) != len(samples) {
		t.Errorf("%d series are scraped, want %d", len(values), len(samples))
	}
	for _, sample := range samples {
		set := stored(series{name: sample.Name, labels: sample.Labels}, labels.EmptyLabels()).String()
		if got, ok := values[set]; !ok || got != sample.Value {
			t.Errorf("%s is scraped as %g (there: %t), want %g", set, got, ok, sample.Value)
		}
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestTheBotHasOnlyMetrics(t *testing.T) {
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{http.MethodHead, "/metrics", http.StatusOK},
		{http.MethodGet, "/", http.StatusNotFound},
		{http.MethodPost, "/metrics", http.StatusMethodNotAllowed},
	} {
		if got := get(t, workedBot(), test.method, test.path).StatusCode; got != test.want {
			t.Errorf("%s %s answers %d, want %d", test.method, test.path, got, test.want)
		}
	}
}

func TestLabelValuesAreEscaped(t *testing.T) {
	set := labels.FromStrings("version", "a\\nb\"c\nd", "service", "bot")
	values := scraped(t, append(appendLabels([]byte("info"), set), " 1\n"...))
	want := stored(series{name: "info", labels: set}, labels.EmptyLabels()).String()
	if values[want] != 1 {
		t.Errorf("parsed %v, want %s", values, want)
	}
}

func TestHistoryEqualsMetrics(t *testing.T) {
	bot, clock := workedBot(), workedClock()
	target := labels.FromStrings("job", "support-bot", "instance", "127.0.0.1:9850")
	from, to := clock.Real(storyTime(13, 29, 0)), clock.Real(storyTime(13, 31, 0))
	got := map[string]map[int64]float64{}
	for _, series := range bot.History(from, to, 375*time.Millisecond, target) {
		points := map[int64]float64{}
		for _, point := range series.Points {
			points[point.T] = point.V
		}
		got[series.Labels.String()] = points
	}
	times := 0
	for at := from; !at.After(to); at = at.Add(375 * time.Millisecond) {
		times++
		for _, sample := range bot.Metrics(clock.Story(at)) {
			set := stored(series{name: sample.Name, labels: sample.Labels}, target).String()
			if value, ok := got[set][at.UnixMilli()]; !ok || value != sample.Value {
				t.Errorf("%s at %s is %g (there: %t), want %g", set, at, value, ok, sample.Value)
			}
			delete(got[set], at.UnixMilli())
		}
	}
	if times != 9 {
		t.Fatalf("%d times compared, want 9", times)
	}
	// What is left is the end of the old prompt: the marker that a scrape leaves when a series is gone.
	ended := stored(series{name: "llm_artifact_info", labels: labels.FromStrings(
		"service", "support-bot", "artifact", "prompt", "version", "prompt-v6")}, target).String()
	for set, points := range got {
		for at, v := range points {
			if set != ended || !value.IsStaleNaN(v) || at != workedClock().RealStart.UnixMilli() {
				t.Errorf("%s at %d is %g, but no metric is there", set, at, v)
			}
		}
	}
	if len(got[ended]) != 1 {
		t.Errorf("%s has %d staleness markers, want 1", ended, len(got[ended]))
	}
}
