package action

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

type executorMetrics struct{ actions *prometheus.CounterVec }

// outcomes are all that an action may come to, as the metric has them.
var outcomes = []string{
	incident.DoneSent, incident.DoneSeen, incident.FailedRefused, incident.FailedUnanswered, incident.FailedDryRun, incident.FailedExpired,
}

func newExecutorMetrics(registry prometheus.Registerer, connectors Connectors) *executorMetrics {
	m := &executorMetrics{actions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "irdaemon_actions_total",
		Help: "Outcomes of rollbacks and mitigations that the daemon was to perform, by connector and outcome: sent (and set), seen (set already, nothing was sent), refused, unanswered (nobody knows; one that shows later is counted as sent too), dry_run, expired.",
	}, []string{"connector", "outcome"})}
	registry.MustRegister(m.actions)
	for name := range connectors {
		for _, outcome := range outcomes {
			m.actions.WithLabelValues(name, label(outcome))
		}
	}
	return m
}

func (m *executorMetrics) count(connector, outcome string) {
	m.actions.WithLabelValues(connector, label(outcome)).Inc()
}

func label(outcome string) string { return strings.ReplaceAll(outcome, " ", "_") }
