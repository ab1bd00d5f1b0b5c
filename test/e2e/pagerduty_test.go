//go:build e2e

package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pagerDuty is a server that takes events as the documentation of the Events API v2 says, and sends V3 webhooks.
type pagerDuty struct {
	server     *httptest.Server
	routingKey string
	secret     string // of the webhook subscription

	mutex  sync.Mutex
	events []pagerEvent
}

// pagerEvent is a request of the Events API.
type pagerEvent struct {
	RoutingKey string `json:"routing_key"`
	Action     string `json:"event_action"`
	DedupKey   string `json:"dedup_key"`
	Payload    *struct {
		Summary  string `json:"summary"`
		Source   string `json:"source"`
		Severity string `json:"severity"`
	} `json:"payload"`
}

func startPagerDuty(t testing.TB) *pagerDuty {
	t.Helper()
	p := &pagerDuty{routingKey: "R0UT1NGKEY0FTHEENDT0ENDTESTS0001", secret: "a webhook secret of the end-to-end tests"}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/enqueue", func(w http.ResponseWriter, r *http.Request) {
		var e pagerEvent
		err := json.NewDecoder(r.Body).Decode(&e)
		if err == nil {
			err = p.check(e)
		}
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			t.Errorf("PagerDuty would refuse %+v: %v", e, err)
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": []string{err.Error()}})
			return
		}
		p.mutex.Lock()
		p.events = append(p.events, e)
		p.mutex.Unlock()
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "message": "Event processed", "dedup_key": e.DedupKey})
	})
	p.server = httptest.NewServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

// check says why PagerDuty would refuse an event.
func (p *pagerDuty) check(e pagerEvent) error {
	switch {
	case e.RoutingKey != p.routingKey:
		return fmt.Errorf("'routing_key' is %q", e.RoutingKey)
	case !slices.Contains([]string{"trigger", "acknowledge", "resolve"}, e.Action):
		return fmt.Errorf("'event_action' is %q", e.Action)
	case e.DedupKey == "" || len(e.DedupKey) > 255:
		return fmt.Errorf("'dedup_key' has %d characters", len(e.DedupKey))
	case e.Action != "trigger":
		return nil
	case e.Payload == nil || e.Payload.Summary == "" || len(e.Payload.Summary) > 1024 || e.Payload.Source == "":
		return fmt.Errorf("'payload' is %+v", e.Payload)
	case !slices.Contains([]string{"critical", "error", "warning", "info"}, e.Payload.Severity):
		return fmt.Errorf("'payload.severity' is %q", e.Payload.Severity)
	}
	return nil
}

// actions are what PagerDuty was told of a key, in order.
func (p *pagerDuty) actions(key string) []string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var actions []string
	for _, e := range p.events {
		if e.DedupKey == key {
			actions = append(actions, e.Action)
		}
	}
	return actions
}

// isTold waits until PagerDuty was told exactly this of a key.
func (p *pagerDuty) isTold(t testing.TB, key string, want ...string) {
	t.Helper()
	eventually(t, 10*time.Second, "PagerDuty is told of "+key, func() (struct{}, error) {
		if got := p.actions(key); !slices.Equal(got, want) {
			return struct{}{}, fmt.Errorf("it was told %v, want %v", got, want)
		}
		return struct{}{}, nil
	})
}

// acknowledges is the webhook that PagerDuty sends when somebody acknowledges there. It gives what is answered.
func (p *pagerDuty) acknowledges(t testing.TB, inbound, event, key, person, secret string) int {
	t.Helper()
	body := fmt.Sprintf(`{"event":{"id":%q,"event_type":"incident.acknowledged","resource_type":"incident","occurred_at":%q,
"agent":{"html_url":"https://acme.pagerduty.com/users/PLH1HKV","id":"PLH1HKV","self":"https://api.pagerduty.com/users/PLH1HKV","summary":%q,"type":"user_reference"},
"client":null,"data":{"id":"PGR0VU2","type":"incident","number":2,"status":"acknowledged","incident_key":%q,"title":"A little bump in the road"}}}`,
		event, time.Now().UTC().Format(time.RFC3339), person, key)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return postSigned(t, inbound, "application/json", body, map[string]string{
		"X-PagerDuty-Signature": "v1=" + strings.Repeat("0", 64) + ",v1=" + hex.EncodeToString(mac.Sum(nil)),
		"X-Webhook-Id":          event,
	})
}

// postSigned posts what a service posts, and gives the answer's status.
func postSigned(t testing.TB, url, kind, body string, header map[string]string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}
