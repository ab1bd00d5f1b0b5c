package pagerduty_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/pagerduty"
)

const (
	oldKey = "canary0old0routing0key0one0aaaa1"
	newKey = "CANARY0new0routing0key0two0bbbb2"
)

// request is an event as the documentation of the Events API v2 has it.
type request struct {
	RoutingKey string `json:"routing_key"`
	Action     string `json:"event_action"`
	DedupKey   string `json:"dedup_key"`
	Payload    *struct {
		Summary   string         `json:"summary"`
		Source    string         `json:"source"`
		Severity  string         `json:"severity"`
		Timestamp *time.Time     `json:"timestamp"`
		Component string         `json:"component"`
		Group     string         `json:"group"`
		Class     string         `json:"class"`
		Details   map[string]any `json:"custom_details"`
	} `json:"payload"`
	Client    string `json:"client"`
	ClientURL string `json:"client_url"`
	Links     []struct {
		Href string `json:"href"`
		Text string `json:"text"`
	} `json:"links"`
	Images []struct {
		Src string `json:"src"`
	} `json:"images"`
}

// invalid gives what PagerDuty would say of the event.
func (r request) invalid() []string {
	var errs []string
	check := func(ok bool, said string) {
		if !ok {
			errs = append(errs, said)
		}
	}
	check(len(r.RoutingKey) == 32, "Length of 'routing_key' is incorrect (should be 32 characters)")
	check(slices.Contains([]string{"trigger", "acknowledge", "resolve"}, r.Action), "'event_action' is not valid")
	check(len(r.DedupKey) <= 255, "'dedup_key' is too long (should be 255 characters or fewer)")
	check(r.DedupKey != "", "'dedup_key' is missing or blank")
	for _, l := range r.Links {
		check(l.Href != "", "'href' is missing or blank")
	}
	if r.Action != "trigger" {
		check(r.Payload == nil, "'payload' is for a trigger")
		return errs
	}
	if r.Payload == nil {
		return append(errs, "'payload' is missing or blank")
	}
	check(r.Payload.Summary != "", "'payload.summary' is missing or blank")
	check(utf8.RuneCountInString(r.Payload.Summary) <= 1024, "'payload.summary' is too long")
	check(r.Payload.Source != "", "'payload.source' is missing or blank")
	check(slices.Contains([]string{"critical", "error", "warning", "info"}, r.Payload.Severity), "'payload.severity' is invalid")
	return errs
}

// alert is what PagerDuty makes of a trigger.
type alert struct {
	routingKey, dedupKey, status string
}

// service is a small PagerDuty, written from its documentation: it checks what it is sent, knows an alert by dedup key
// and routing key, drops what is for no alert of the same two, and answers 202 all the same.
type service struct {
	revoked []string // routing keys that it takes no more
	// answer is asked before an event is looked at; nil, or not answered: the service is well.
	answer func(w http.ResponseWriter, e request) bool

	events  []request
	alerts  []*alert
	calls   int // people called: once for each alert, never again for an event of an open one
	dropped int
}

// RoundTrip makes a service a transport.
func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	s.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, errs ...string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "invalid event", "message": "Event object is invalid", "errors": errs})
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v2/enqueue" || r.Header.Get("Content-Type") != "application/json" {
		refuse(http.StatusNotFound, "no such resource")
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) > 512_000 {
		refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("%d bytes, %v", len(body), err))
		return
	}
	var e request
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&e); err != nil {
		refuse(http.StatusBadRequest, err.Error())
		return
	}
	if s.answer != nil && s.answer(w, e) {
		return
	}
	errs := e.invalid()
	if slices.Contains(s.revoked, e.RoutingKey) {
		errs = append(errs, "Invalid routing key")
	}
	if len(errs) > 0 {
		refuse(http.StatusBadRequest, errs...)
		return
	}
	s.accept(e)
	w.WriteHeader(http.StatusAccepted)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "success", "message": "Event processed", "dedup_key": e.DedupKey})
}

func (s *service) accept(e request) {
	s.events = append(s.events, e)
	i := slices.IndexFunc(s.alerts, func(a *alert) bool {
		return a.routingKey == e.RoutingKey && a.dedupKey == e.DedupKey && a.status != "resolved"
	})
	switch {
	case i < 0 && e.Action == "trigger":
		s.alerts = append(s.alerts, &alert{e.RoutingKey, e.DedupKey, "triggered"})
		s.calls++
	case i < 0:
		s.dropped++
	case e.Action == "acknowledge":
		s.alerts[i].status = "acknowledged"
	case e.Action == "resolve":
		s.alerts[i].status = "resolved"
	}
}

// stands tells how the alerts stand: the round, the routing key's age, the status.
func (s *service) stands() string {
	var all []string
	for _, a := range s.alerts {
		age := map[string]string{oldKey: "old", newKey: "new"}[a.routingKey]
		all = append(all, fmt.Sprintf("%s %s %s", a.dedupKey[strings.LastIndex(a.dedupKey, "/")+1:], age, a.status))
	}
	return strings.Join(all, ", ")
}

// file writes content to a file of its own.
func file(t testing.TB, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "keys")
	rewrite(t, name, content)
	return name
}

func rewrite(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// with makes a receiver that calls through the service.
func with(s *service, keys string) *pagerduty.Receiver {
	return pagerduty.New(pagerduty.Config{RoutingKeyFile: keys, URL: "https://events.example", Instance: "production", Transport: s})
}

// deliver makes an attempt that gives no key away.
func deliver(t *testing.T, r *pagerduty.Receiver, m notify.Message) notify.Result {
	t.Helper()
	result := r.Deliver(t.Context(), m)
	told := strings.ToLower(result.Detail + result.Receipt)
	for _, secret := range []string{"canary", "events.example", "://"} {
		if strings.Contains(told, secret) {
			t.Errorf("gives %q away: %+v", secret, result)
		}
	}
	if result.Outcome != notify.Delivered && result.Detail == "" {
		t.Error("not delivered, and no word about why")
	}
	return result
}
