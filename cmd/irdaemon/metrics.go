package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// daemonMetrics are those of the incidents and of the process as a whole; each room registers its own.
type daemonMetrics struct {
	opened         *prometheus.CounterVec
	ended          *prometheus.CounterVec
	reopened       *prometheus.CounterVec
	acknowledgment prometheus.Histogram
	resolution     prometheus.Histogram
	reloadSuccess  prometheus.Gauge
	reloadTime     prometheus.Gauge
}

// Buckets from one minute to a day: what people do, and what incidents take.
var humanBuckets = []float64{60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400}

func newDaemonMetrics(registry prometheus.Registerer, d *daemon) *daemonMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "irdaemon", Name: name, Help: help})
	}
	m := &daemonMetrics{
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "irdaemon", Name: "incidents_opened_total", Help: "Incidents opened, by runbook and severity at opening.",
		}, []string{"runbook", "severity"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "irdaemon", Name: "incidents_ended_total", Help: "Incidents ended, by runbook and outcome: resolved, false_alarm, duplicate, expected or test.",
		}, []string{"runbook", "outcome"}),
		reopened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "irdaemon", Name: "incidents_reopened_total", Help: "Ended incidents that were opened again, by runbook.",
		}, []string{"runbook"}),
		acknowledgment: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "irdaemon", Name: "acknowledgement_seconds", Help: "Time from detection to the first acknowledgement.", Buckets: humanBuckets,
		}),
		resolution: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "irdaemon", Name: "resolution_seconds", Help: "Time from the start of impact to its end, of resolved incidents.", Buckets: humanBuckets,
		}),
		reloadSuccess: gauge("reload_success", "Whether the files were taken when they were last read: 1, or 0 where the old ones stay in force."),
		reloadTime:    gauge("reload_success_timestamp_seconds", "When files were last taken."),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "irdaemon", Name: "build_info", Help: "The version that runs; always 1.", ConstLabels: prometheus.Labels{"version": buildVersion()},
	})
	build.Set(1)
	registry.MustRegister(m.opened, m.ended, m.reopened, m.acknowledgment, m.resolution, m.reloadSuccess, m.reloadTime, build, openIncidents{d})
	m.reloaded(true)
	return m
}

func (m *daemonMetrics) reloaded(ok bool) {
	if !ok {
		m.reloadSuccess.Set(0)
		return
	}
	m.reloadSuccess.Set(1)
	m.reloadTime.SetToCurrentTime()
}

// happened counts what was committed.
func (m *daemonMetrics) happened(r *incident.Record, events []incident.Event) {
	if r.Class != incident.Real {
		return // practice and the daemon's own troubles are counted nowhere
	}
	for _, e := range events {
		switch body := e.Body.(type) {
		case incident.Opened:
			m.opened.WithLabelValues(body.Name, string(body.Severity)).Inc()
		case incident.Acknowledged:
			if r.AcknowledgedAt.Equal(e.At) {
				m.acknowledgment.Observe(e.At.Sub(r.DetectedAt).Seconds())
			}
		case incident.Resolved:
			m.ended.WithLabelValues(r.Findings[0].Name, "resolved").Inc()
			m.resolution.Observe(body.ImpactEndedAt.Sub(r.ImpactStartedAt).Seconds())
		case incident.Dismissed:
			m.ended.WithLabelValues(r.Findings[0].Name, body.Reason).Inc()
		case incident.Reopened:
			m.reopened.WithLabelValues(r.Findings[0].Name).Inc()
		}
	}
}

// openIncidents counts the open incidents at each scrape.
type openIncidents struct{ daemon *daemon }

var (
	openDescription = prometheus.NewDesc("irdaemon_open_incidents",
		"Open incidents, by runbook, severity and state (triggered, acknowledged, mitigating, verifying).", []string{"runbook", "severity", "state"}, nil)
	unverifiedDescription = prometheus.NewDesc("irdaemon_unverified_incidents",
		"Open incidents whose recovery was not verified within recovery.timeout.", nil, nil)
	walDescription = prometheus.NewDesc("irdaemon_store_wal_bytes",
		"Size of the embedded store's write-ahead log.", nil, nil)
	overdueDescription = prometheus.NewDesc("irdaemon_overdue_updates",
		"Open incidents of which an update fell due and was not posted.", nil, nil)
	callingDescription = prometheus.NewDesc("irdaemon_calling_incidents",
		"Open incidents for which somebody is being called and nobody has acknowledged.", nil, nil)
)

// Describe implements prometheus.Collector.
func (openIncidents) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- openDescription
	descriptions <- unverifiedDescription
	descriptions <- callingDescription
	descriptions <- overdueDescription
	descriptions <- walDescription
}

// Collect implements prometheus.Collector.
func (o openIncidents) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if size, err := o.daemon.store.WALBytes(); err == nil {
		metrics <- prometheus.MustNewConstMetric(walDescription, prometheus.GaugeValue, float64(size))
	}
	open, err := o.daemon.desk.Open(ctx)
	if err != nil {
		metrics <- prometheus.NewInvalidMetric(openDescription, err)
		return
	}
	type key struct{ runbook, severity, state string }
	counts := map[key]int{}
	unverified, calling, overdue := 0, 0, 0
	for _, r := range open {
		counts[key{r.Findings[0].Name, string(r.Severity), string(r.State())}]++
		if r.Unverified {
			unverified++
		}
		if r.Round != nil && r.Round.Calling {
			calling++
		}
		if !r.OverdueSince.IsZero() {
			overdue++
		}
	}
	for k, n := range counts {
		metrics <- prometheus.MustNewConstMetric(openDescription, prometheus.GaugeValue, float64(n), k.runbook, k.severity, k.state)
	}
	metrics <- prometheus.MustNewConstMetric(unverifiedDescription, prometheus.GaugeValue, float64(unverified))
	metrics <- prometheus.MustNewConstMetric(overdueDescription, prometheus.GaugeValue, float64(overdue))
	metrics <- prometheus.MustNewConstMetric(callingDescription, prometheus.GaugeValue, float64(calling))
}
