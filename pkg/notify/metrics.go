package notify

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// Outcomes of a page beside those of an attempt.
const (
	outcomeSuperseded = "superseded"
	outcomeDigested   = "digested"
)

// Metrics are the notifier's, on the registry that they were made with.
type Metrics struct {
	pages    *prometheus.CounterVec
	delay    prometheus.Histogram
	folded   *prometheus.CounterVec
	rejected *prometheus.CounterVec
}

// Depth counts the outbox's rows that are not settled, and gives the time at which the one that waits longest fell due
// first (zero: there is none).
type Depth func(ctx context.Context) (rows int, oldest time.Time, err error)

// NewMetrics registers the metrics of a notifier. Depth is asked at each scrape; while it fails, its two metrics are
// absent rather than wrong.
func NewMetrics(registerer prometheus.Registerer, depth Depth, now func() time.Time) *Metrics {
	m := &Metrics{
		pages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irdaemon_pages_total",
			Help: "Attempts to page, by receiver and outcome: delivered, retry (tried again), refused (for good), superseded (not needed any more), digested (a storm's digest, itself one that was delivered, carried it). Drills and the daemon's own troubles are not counted.",
		}, []string{"receiver", "outcome"}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "irdaemon_page_delivery_delay_seconds",
			Help:    "Time from detection (for a later call of the same incident: from the decision to call) until a receiver accepted the page.",
			Buckets: []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600},
		}),
		folded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irdaemon_folded_messages_total",
			Help: "Messages that were not sent because a storm's digest stands for them, by receiver.",
		}, []string{"receiver"}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "irdaemon_inbound_rejected_total",
			Help: "Requests of receivers' services that were not heard, by receiver and reason: signature, unheard (not understood), unready (a secret or the store can't be read or written now).",
		}, []string{"receiver", "reason"}),
	}
	registerer.MustRegister(m.pages, m.delay, m.folded, m.rejected, &depthCollector{depth: depth, now: now})
	return m
}

// expect makes a receiver's series exist before anything happens, so that their first increase is seen.
func (m *Metrics) expect(receiver string) {
	for _, outcome := range []string{string(Delivered), string(Retry), string(Refused), outcomeSuperseded, outcomeDigested} {
		m.pages.WithLabelValues(receiver, outcome)
	}
	m.folded.WithLabelValues(receiver)
}

// counts tells whether a row is counted: pages of incidents are. Other messages call nobody; practice and the daemon's
// own troubles are counted nowhere.
func counts(d incident.Delivery, view incident.View) bool {
	return d.Kind == incident.DeliverPage && view.Class == incident.Real
}

func (m *Metrics) superseded(d incident.Delivery, view incident.View) {
	if counts(d, view) {
		m.pages.WithLabelValues(d.Receiver, outcomeSuperseded).Inc()
	}
}

func (m *Metrics) reject(receiver, reason string) {
	m.rejected.WithLabelValues(receiver, reason).Inc()
}

func (m *Metrics) fold(receiver string, rows int) {
	m.folded.WithLabelValues(receiver).Add(float64(rows))
}

// digested counts an attempt to send a digest as one, and each page that it delivered.
func (m *Metrics) digested(all []told, outcome Outcome, now time.Time) {
	pages := 0
	for _, one := range all {
		if !counts(one.row, one.View) {
			continue
		}
		pages++
		if outcome == Delivered {
			m.delivered(one.row, one.View, now)
		}
	}
	if pages == 0 {
		return
	}
	m.pages.WithLabelValues(all[0].row.Receiver, string(outcome)).Inc()
	if outcome == Delivered {
		m.pages.WithLabelValues(all[0].row.Receiver, outcomeDigested).Add(float64(pages))
	}
}

// attempted counts an attempt to send a page.
func (m *Metrics) attempted(d incident.Delivery, view incident.View, outcome Outcome, now time.Time) {
	if !counts(d, view) {
		return
	}
	m.pages.WithLabelValues(d.Receiver, string(outcome)).Inc()
	if outcome == Delivered {
		m.delivered(d, view, now)
	}
}

// delivered observes how long a page took.
func (m *Metrics) delivered(d incident.Delivery, view incident.View, now time.Time) {
	since := d.CreatedAt
	if d.Round == 1 && d.Step == 0 && view.DetectedAt != nil {
		since = *view.DetectedAt
	}
	m.delay.Observe(max(0, now.Sub(since).Seconds()))
}

// depthCollector asks for the outbox's depth once a scrape.
type depthCollector struct {
	depth Depth
	now   func() time.Time
}

var (
	outboxRows = prometheus.NewDesc("irdaemon_outbox_rows",
		"Messages that wait to be delivered.", nil, nil)
	outboxAge = prometheus.NewDesc("irdaemon_outbox_oldest_row_age_seconds",
		"How long the message that waits longest has been waiting; 0 when none does.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *depthCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- outboxRows
	descriptions <- outboxAge
}

// Collect implements prometheus.Collector.
func (c *depthCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	rows, oldest, err := c.depth(ctx)
	if err != nil {
		return
	}
	age := 0.0
	if !oldest.IsZero() {
		age = max(0, c.now().Sub(oldest).Seconds())
	}
	metrics <- prometheus.MustNewConstMetric(outboxRows, prometheus.GaugeValue, float64(rows))
	metrics <- prometheus.MustNewConstMetric(outboxAge, prometheus.GaugeValue, age)
}
