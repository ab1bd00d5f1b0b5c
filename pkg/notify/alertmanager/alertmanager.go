// Package alertmanager posts incidents as alerts to the v2 API of each replica of an Alertmanager, whose routes,
// templates and receivers then apply.
//
// An alert is identified by its labels, among them incident and round: each round is an alert of its own, and the page
// of a new round ends the alert of the older one in the same request. Alertmanager takes an alert for resolved that
// isn't repeated, so open ones are: if this daemon dies, they end after four minutes.
package alertmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/httpclient"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

const (
	// Refresh is how often an open alert is repeated.
	Refresh = time.Minute
	// lasts is how long an alert stands without being repeated; as Prometheus has it, four times the interval.
	lasts = 4 * Refresh
)

// Config says where the replicas are.
type Config struct {
	URLs       []string // each replica of a cluster by its own address, never one that balances between them
	HTTPClient promconfig.HTTPClientConfig
	Instance   string // the daemon's; the label instance

	Transport http.RoundTripper // for tests; nil: made from HTTPClient
}

// Receiver posts to one Alertmanager cluster.
type Receiver struct {
	addresses []string
	instance  string
	clients   []*httpclient.Client // one for each address
}

var _ notify.Keeper = (*Receiver)(nil)

// New makes a receiver. It fails where the client settings name what can't be read or don't fit together.
func New(config Config) (*Receiver, error) {
	if len(config.URLs) == 0 {
		return nil, errors.New("alertmanager: no url")
	}
	r := &Receiver{instance: config.Instance}
	for _, address := range config.URLs {
		transport := config.Transport
		if transport == nil {
			var err error
			if transport, err = promconfig.NewRoundTripperFromConfig(config.HTTPClient, "alertmanager"); err != nil {
				return nil, fmt.Errorf("alertmanager: http_client: %w", err)
			}
		}
		r.addresses = append(r.addresses, strings.TrimRight(address, "/")+"/api/v2/alerts")
		r.clients = append(r.clients, httpclient.New(transport))
	}
	return r, nil
}

// Deliver implements notify.Receiver. It counts as delivered when at least one replica took it: they tell each other
// what was notified, and the rest gets the alert with the next repetition.
func (r *Receiver) Deliver(ctx context.Context, m notify.Message) notify.Result {
	return r.post(ctx, r.alerts(m))
}

// Carries implements notify.Receiver: an alert calls, whatever it says. Of a storm it gets every alert, and no digest:
// Alertmanager groups them by its own rules.
func (r *Receiver) Carries() incident.Carries { return incident.Carries{} }

// Every implements notify.Keeper.
func (r *Receiver) Every() time.Duration { return Refresh }

// keepAtOnce is how many incidents are repeated at once.
const keepAtOnce = 50

// Keep implements notify.Keeper. Each incident has its own request, for a 400 is for the whole of it, and none waits for
// another: a replica that hangs takes all the time there is, and what is not repeated looks resolved.
func (r *Receiver) Keep(ctx context.Context, open []notify.Message) error {
	errs := make([]error, len(open))
	var posting sync.WaitGroup
	slots := make(chan struct{}, keepAtOnce)
	for i, m := range open {
		posting.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if result := r.post(ctx, r.alerts(m)); result.Outcome != notify.Delivered || result.Detail != "" {
				errs[i] = fmt.Errorf("incident %d, round %d: %s", m.Incident.Number, m.Round, result.Detail)
			}
		})
	}
	posting.Wait()
	return errors.Join(errs...)
}

// alert is a member of the request's array.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
}

// alerts are those of a message: its own, and those that end with it.
func (r *Receiver) alerts(m notify.Message) []alert {
	var alerts []alert
	for _, older := range m.Ends {
		alerts = append(alerts, r.alert(m, older.Round, older.Severity, older.StartedAt, m.SentAt))
	}
	ends := m.SentAt.Add(lasts)
	if m.Kind == incident.DeliverEnd {
		ends = m.SentAt
	}
	return append(alerts, r.alert(m, m.Round, m.Severity, m.StartedAt, ends))
}

// alert is a round's. Alertmanager refuses one that ends before it starts, which differing clocks could make.
func (r *Receiver) alert(m notify.Message, round int, severity runbook.Severity, starts, ends time.Time) alert {
	if starts.IsZero() && m.Incident.OpenedAt != nil {
		starts = *m.Incident.OpenedAt
	}
	if starts.After(m.SentAt) {
		starts = m.SentAt
	}
	return alert{
		Labels: r.labels(m.Incident, round, severity),
		Annotations: map[string]string{
			"summary": m.Title, "description": m.Text, "runbook": m.Incident.Runbook, "title": m.Incident.Title,
		},
		StartsAt: starts.UTC(), EndsAt: ends.UTC(), GeneratorURL: m.Incident.URL,
	}
}

// labels identify a round's alert: nothing may stand in them that changes while the round lasts. The group's labels
// come along where they don't clash; empty ones are left out, as Alertmanager does.
func (r *Receiver) labels(view incident.View, round int, severity runbook.Severity) map[string]string {
	labels := map[string]string{}
	for name, value := range view.Group {
		labels[name] = value
	}
	own := map[string]string{
		"alertname": view.Runbook, "service": view.Service, "severity": string(severity), "owner": view.Owner,
		"incident": view.ID, "number": strconv.FormatInt(view.Number, 10), "round": strconv.Itoa(round),
		"instance": r.instance,
	}
	for name, value := range own {
		labels[name] = value
	}
	for name, value := range labels {
		if value == "" {
			delete(labels, name)
		}
	}
	return labels
}

// post sends alerts to all replicas at once and puts their answers together: the best one counts, the rest is told.
func (r *Receiver) post(ctx context.Context, alerts []alert) notify.Result {
	body, err := json.Marshal(alerts)
	if err != nil {
		return notify.Result{Outcome: notify.Refused, Detail: "encode the alerts: " + err.Error()}
	}
	results := make([]notify.Result, len(r.addresses))
	var posting sync.WaitGroup
	for i, address := range r.addresses {
		posting.Go(func() {
			result, answer := r.clients[i].Post(ctx, address, nil, body)
			result.Detail += explanation(result.Status, answer)
			results[i] = result
		})
	}
	posting.Wait()
	return together(results)
}

// explanation is what Alertmanager says of alerts that it refuses: a JSON string, or an object with a message. What
// anything else in its place says is not shown.
func explanation(status int, answer []byte) string {
	if status != http.StatusBadRequest && status != http.StatusUnprocessableEntity {
		return ""
	}
	var said string
	var invalid struct{ Message string }
	if json.Unmarshal(answer, &said) != nil {
		if json.Unmarshal(answer, &invalid) != nil {
			return ""
		}
		said = invalid.Message
	}
	if said == "" {
		return ""
	}
	const runes = 200
	if long := []rune(said); len(long) > runes {
		said = string(long[:runes]) + "…"
	}
	return ": " + said
}

// together gives the best of the replicas' answers: delivered, else to be tried again, else refused.
func together(results []notify.Result) notify.Result {
	rank := map[notify.Outcome]int{notify.Delivered: 0, notify.Retry: 1, notify.Refused: 2}
	best := results[0]
	var details []string
	for i, result := range results {
		if rank[result.Outcome] < rank[best.Outcome] {
			best = result
		}
		if result.Detail != "" {
			details = append(details, fmt.Sprintf("replica %d of %d: %s", i+1, len(results), result.Detail))
		}
	}
	if len(results) > 1 {
		best.Detail = strings.Join(details, "; ")
	}
	return best
}
