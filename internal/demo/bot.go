package demo

import (
	"math"
	"net/http"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/irdaemon/irdaemon/pkg/source"
)

// Bot is the simulated support bot: an http.Handler that serves /metrics for the present moment of the story.
//
// Its counters are exact: the share of refused requests over any second or more within one phase is the phase's to
// 1e-9 of itself. All series of one answer are of the same instant, so shares of increases are exact too, however
// late a scrape comes.
type Bot struct {
	scenario Scenario
	clock    Clock
	now      func() time.Time
	families []family
}

// Sample is one value of one series at one time.
type Sample struct {
	Name   string
	Labels labels.Labels // without the name
	Value  float64
}

// NewBot gives the bot of a scenario. now is the real time.
func NewBot(scenario Scenario, clock Clock, now func() time.Time) *Bot {
	return &Bot{scenario: scenario, clock: clock, now: now, families: families(scenario)}
}

// ServeHTTP answers GET /metrics with the metrics of this moment in Prometheus' text format.
func (b *Bot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" {
		http.Error(w, "404: this bot only has /metrics", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "405: only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	// A scraper that hung up has nobody to be told of it.
	_, _ = w.Write(b.exposition(b.clock.Story(b.now())))
}

// Metrics gives every sample at a story time, in the order in which they are exposed.
func (b *Bot) Metrics(story time.Time) []Sample {
	var samples []Sample
	for _, family := range b.families {
		for _, series := range family.series {
			if value, ok := series.at(story); ok {
				samples = append(samples, Sample{Name: series.name, Labels: series.labels, Value: value})
			}
		}
	}
	return samples
}

// History gives what scrapes at from, from+step, … up to and including to (real times, to the millisecond) would have
// stored. The target's labels (job, instance) are added to each series. Where a series ends, there is a staleness
// marker (value.StaleNaN), as a scrape leaves it: without one, the version before would seem to run on beside the
// present one. It panics when step is below a millisecond.
func (b *Bot) History(from, to time.Time, step time.Duration, target labels.Labels) []source.Series {
	if step < time.Millisecond {
		panic("demo: the step of a history is at least a millisecond")
	}
	var history []source.Series
	for _, family := range b.families {
		for _, series := range family.series {
			points := b.points(series, from.UnixMilli(), to.UnixMilli(), step.Milliseconds())
			if len(points) > 0 {
				history = append(history, source.Series{Labels: stored(series, target), Points: points})
			}
		}
	}
	return history
}

// points samples one series; all times are milliseconds.
func (b *Bot) points(series series, from, to, step int64) []source.Point {
	var points []source.Point
	present := false
	for t := from; t <= to; t += step {
		v, ok := series.at(b.clock.Story(time.UnixMilli(t)))
		if !ok && present {
			v = math.Float64frombits(value.StaleNaN)
		}
		if ok || present {
			points = append(points, source.Point{T: t, V: v})
		}
		present = ok
	}
	return points
}

// stored gives a series' labels as a scrape of the target stores them.
func stored(series series, target labels.Labels) labels.Labels {
	builder := labels.NewBuilder(series.labels)
	target.Range(func(l labels.Label) { builder.Set(l.Name, l.Value) })
	builder.Set(model.MetricNameLabel, series.name)
	return builder.Labels()
}
