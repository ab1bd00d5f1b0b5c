// Package pagerduty calls people through PagerDuty's Events API v2, and hears through its V3 webhooks what they do
// there.
//
// A round is an alert: its calls trigger under one dedup key, which does nothing to an alert that somebody has
// acknowledged; taking it acknowledges, its end resolves. All of this may be repeated without harm, for PagerDuty knows
// an alert by its dedup key and the routing key that it was triggered with. It drops an acknowledge or a resolve that
// comes through another routing key, and answers as if it had not; so the receipt of a page says which one it went
// through.
package pagerduty

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/httpclient"
)

// Config says which service is called. The files are read each time they are needed, so a key is rotated by writing it.
type Config struct {
	// RoutingKeyFile holds the integration key of a service, 32 letters and digits. Where there are several, one a line
	// and the newest first, the newest calls and the older ones end what was called through them: keep one below the
	// new one until its incidents are over.
	RoutingKeyFile string
	// URL is where the API is, without the path; empty: https://events.pagerduty.com. In the European region it is
	// https://events.eu.pagerduty.com.
	URL string
	// WebhookSecretFile holds the secret of the V3 webhook subscription, or several of them, one a line. Empty: nothing
	// is heard.
	WebhookSecretFile string
	Instance          string // the daemon's; the source of its events

	Transport http.RoundTripper // for tests; nil: the usual one
}

// Receiver calls through one service of PagerDuty.
type Receiver struct {
	config  Config
	address string
	client  *httpclient.Client
}

var _ notify.Answerer = (*Receiver)(nil)

// New makes a receiver.
func New(config Config) *Receiver {
	if config.Transport == nil {
		config.Transport = httpclient.Transport()
	}
	base := strings.TrimSuffix(cmp.Or(config.URL, "https://events.pagerduty.com"), "/")
	return &Receiver{config: config, address: base + "/v2/enqueue", client: httpclient.New(config.Transport)}
}

// Carries implements notify.Receiver. Whatever else a pager is sent calls somebody.
func (r *Receiver) Carries() incident.Carries { return incident.Carries{Acknowledgements: true} }

// Deliver implements notify.Receiver.
func (r *Receiver) Deliver(ctx context.Context, m notify.Message) notify.Result {
	keys, err := readRoutingKeys(r.config.RoutingKeyFile)
	if err != nil { // it may be just being replaced
		return notify.Result{Outcome: notify.Retry, Detail: err.Error()}
	}
	switch m.Kind {
	case incident.DeliverPage:
		return r.page(ctx, keys, m)
	case incident.DeliverAcknowledge:
		return r.follow(ctx, keys, m, acknowledge)
	case incident.DeliverEnd:
		return r.follow(ctx, keys, m, resolve)
	default:
		return notify.Result{Outcome: notify.Refused, Detail: "a pager is told of pages, acknowledgements and ends alone, not of: " + m.Kind}
	}
}

// page triggers; once that is accepted it resolves the older round's alert, so that a pager shows one for an incident.
func (r *Receiver) page(ctx context.Context, keys routingKeys, m notify.Message) notify.Result {
	result, key := r.again(ctx, keys, m.Receipt, r.trigger(m))
	if result.Outcome != notify.Delivered {
		return result
	}
	result.Receipt = fingerprint(key)
	if m.EndsKey == "" {
		return result
	}
	// Its receipt isn't known, so it is resolved through every key: all but one are dropped there.
	ended := r.through(ctx, keys, event{Action: resolve, DedupKey: dedupKey(m.EndsKey)})
	switch {
	case ended.Outcome == notify.Retry:
		ended.Detail = "PagerDuty has the page, but the older round's alert is not resolved there yet; both are sent again, which calls nobody twice: " + ended.Detail
		return ended
	case ended.Detail != "":
		result.Detail = "PagerDuty has the page; if the older round's alert still stands there, resolve it by hand: " + ended.Detail
	}
	return result
}

// follow tells PagerDuty what became of an alert that it has.
func (r *Receiver) follow(ctx context.Context, keys routingKeys, m notify.Message, action string) notify.Result {
	e := event{Action: action, DedupKey: dedupKey(m.Key)}
	if m.Receipt == "" { // it has accepted no page that we know of, but one may have arrived
		return r.through(ctx, keys, e)
	}
	result, _ := r.again(ctx, keys, m.Receipt, e)
	if _, found := keys.find(m.Receipt); !found && result.Outcome == notify.Delivered {
		result.Detail = fmt.Sprintf("accepted, but PagerDuty will likely drop it: the page went through a routing key that %s no longer holds; %s the alert there by hand, or keep the old key below the new one",
			r.config.RoutingKeyFile, action)
	}
	return result
}

// again sends an event for an alert that may stand already, through the key that its receipt speaks of: through another
// one, a trigger would make a second alert. Where the file doesn't hold that key, or PagerDuty has revoked it, the
// newest takes its place, for a call must not be lost by it. It says which key was used.
func (r *Receiver) again(ctx context.Context, keys routingKeys, receipt string, e event) (notify.Result, string) {
	if used, found := keys.find(receipt); found && used != keys.newest() {
		if result := r.post(ctx, keys, used, e); result.Outcome != notify.Refused {
			return result, used
		}
	}
	return r.post(ctx, keys, keys.newest(), e), keys.newest()
}

// through sends an event through each routing key, where it isn't known which one matters. If one may be accepted later
// the whole is a retry; one that is refused is told.
func (r *Receiver) through(ctx context.Context, keys routingKeys, e event) notify.Result {
	var whole notify.Result
	var refused []string
	for i, key := range keys {
		result := r.post(ctx, keys, key, e)
		switch result.Outcome {
		case notify.Retry:
			return result
		case notify.Refused:
			if len(keys) > 1 {
				result.Detail = fmt.Sprintf("%s through routing key %d of %d: %s", e.Action, i+1, len(keys), result.Detail)
			}
			refused = append(refused, result.Detail)
		}
		if whole.Outcome != notify.Delivered {
			whole = result
		}
	}
	whole.Detail = strings.Join(refused, "; ")
	return whole
}

// post sends an event through one routing key.
func (r *Receiver) post(ctx context.Context, keys routingKeys, key string, e event) notify.Result {
	e.RoutingKey = key
	body, err := e.encode()
	if err != nil {
		return notify.Result{Outcome: notify.Refused, Detail: "encode the event: " + err.Error()}
	}
	result, answer := r.client.Post(ctx, r.address, nil, body)
	if result.Outcome == notify.Refused {
		result.Detail += r.explanation(answer, keys)
	}
	return result
}

// explanation is what PagerDuty says of an event that it refuses. What anything else in its place says is not shown,
// nor what could give away a key or an address: an endpoint may send back what it was sent.
func (r *Receiver) explanation(answer []byte, keys routingKeys) string {
	const limit = 200
	var said struct {
		Message string
		Errors  []string
	}
	if json.Unmarshal(answer, &said) != nil {
		return ""
	}
	text := cmp.Or(strings.Join(said.Errors, "; "), said.Message)
	if text == "" || keys.shownBy(text) || r.addressShownBy(text) {
		return ""
	}
	return ": " + oneLine(text, limit)
}

func (r *Receiver) addressShownBy(text string) bool {
	if strings.Contains(text, "://") {
		return true
	}
	address, err := url.Parse(r.address)
	if err != nil || address.Host == "" {
		return true
	}
	path := strings.TrimSuffix(address.Path, "/v2/enqueue")
	return strings.Contains(text, address.Host) || (path != "" && strings.Contains(text, path))
}
