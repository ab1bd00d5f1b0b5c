package evaluator

import (
	"errors"
	"maps"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/source"
)

type metrics struct {
	evaluations *prometheus.CounterVec
	failures    *prometheus.CounterVec
	duration    prometheus.Histogram
	lag         prometheus.Gauge
	late        prometheus.Counter
	skipped     prometheus.Counter
	undecided   prometheus.Counter
	queries     prometheus.Counter
	queryErrors *prometheus.CounterVec
	warnings    prometheus.Counter
	samples     prometheus.Counter
	series      prometheus.Gauge
	unknown     *prometheus.GaugeVec
	blind       prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "irdaemon", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.GaugeOpts {
		return prometheus.GaugeOpts{Namespace: "irdaemon", Name: name, Help: help}
	}
	m := &metrics{
		evaluations: prometheus.NewCounterVec(counter("evaluations_total", "Ticks at which a runbook's trigger was judged."), []string{"runbook"}),
		failures:    prometheus.NewCounterVec(counter("evaluation_failures_total", "Ticks at which a query that a runbook needs was not answered."), []string{"runbook"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "irdaemon", Name: "evaluation_duration_seconds", Help: "Time to ask, judge and commit one tick.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
		}),
		lag:         prometheus.NewGauge(gauge("evaluation_lag_seconds", "How long after its due time the last tick was begun.")),
		late:        prometheus.NewCounter(counter("ticks_late_total", "Ticks that were missed and decided late, on refilled points.")),
		skipped:     prometheus.NewCounter(counter("ticks_skipped_total", "Ticks that were missed and lie too far back to be decided.")),
		undecided:   prometheus.NewCounter(counter("tick_failures_total", "Ticks that could not be decided when they were due, because the store did not answer.")),
		queries:     prometheus.NewCounter(counter("queries_total", "Queries sent to the metric source.")),
		queryErrors: prometheus.NewCounterVec(counter("query_failures_total", "Queries that the metric source did not answer, by reason."), []string{"reason"}),
		warnings:    prometheus.NewCounter(counter("query_warnings_total", "Warnings that the metric source gave beside its data.")),
		samples:     prometheus.NewCounter(counter("samples_received_total", "Samples received from the metric source.")),
		series:      prometheus.NewGauge(gauge("window_series", "Series of which points are kept in windows.")),
		unknown:     prometheus.NewGaugeVec(gauge("unknown_windows", "Triggers that are unknown for a group at the last tick, for want of data."), []string{"runbook"}),
		blind:       prometheus.NewGauge(gauge("signals_failing", "Signals whose last query was not answered.")),
	}
	registry.MustRegister(m.evaluations, m.failures, m.duration, m.lag, m.late, m.skipped, m.undecided, m.queries,
		m.queryErrors, m.warnings, m.samples, m.series, m.unknown, m.blind)
	for _, reason := range source.Reasons {
		m.queryErrors.WithLabelValues(string(reason))
	}
	return m
}

func (m *metrics) observe(a answer) {
	m.queries.Inc()
	if a.err != nil {
		var known *source.Error
		reason := "other"
		if errors.As(a.err, &known) {
			reason = string(known.Reason)
		}
		m.queryErrors.WithLabelValues(reason).Inc()
		return
	}
	n := 0
	for _, s := range a.Series {
		n += len(s.Points)
	}
	m.samples.Add(float64(n))
	m.warnings.Add(float64(len(a.Warnings)))
}

func (m *metrics) tick(took, lag time.Duration, late bool) {
	m.duration.Observe(took.Seconds())
	if late {
		m.late.Inc()
		return
	}
	m.lag.Set(lag.Seconds())
}

// warn logs what the source said beside its data, at most once an hour for each expression.
func (e *Evaluator) warn(expr string, warnings []string) {
	if len(warnings) == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.config.Now()
	if last, ok := e.warned[expr]; ok && now.Sub(last) < time.Hour {
		return
	}
	e.warned[expr] = now
	e.log.Warn("the metric source warns", zap.String("query", expr), zap.Strings("warnings", warnings))
}

// tell logs which signals a tick has lost from sight, a line for each reason, and which it sees again.
func (e *Evaluator) tell(lost, back []*feed) {
	byReason := map[string][]*feed{}
	for _, f := range lost {
		reason := reasonOf(f.err)
		byReason[reason] = append(byReason[reason], f)
	}
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		e.log.Warn("blind: queries are not answered", zap.Strings("signals", signalNames(byReason[reason])), zap.String("error", reason))
	}
	if len(back) > 0 {
		e.log.Info("sight is back", zap.Strings("signals", signalNames(back)))
	}
}

// reasonOf is why a query failed, without the query and without the port that it came from: signals that fail for one
// reason are told in one line.
func reasonOf(err error) string {
	var known *source.Error
	var cause syscall.Errno
	switch {
	case !errors.As(err, &known):
		return err.Error()
	case errors.As(err, &cause):
		return string(known.Reason) + ": " + cause.Error()
	}
	return string(known.Reason) + ": " + known.Detail
}

// signalNames names the feeds' signals, each once.
func signalNames(feeds []*feed) []string {
	var names []string
	for _, f := range feeds {
		names = append(names, f.signal)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
