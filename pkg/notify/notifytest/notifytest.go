// Package notifytest holds what every receiver must do, whatever it talks to.
package notifytest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Path is in the address that Case.New is given, as the token of a chat's webhook would be: it must never be told.
const Path = "/services/canary-in-the-path"

// Case is a kind of receiver.
type Case struct {
	// New makes a receiver that posts to an address.
	New func(t *testing.T, address string) notify.Receiver
	// Read says what a peer understands of the request by which a message came.
	Read func(t *testing.T, sent notify.Message, request *http.Request, body []byte) []Seen
	// Secrets were given to the receiver, beside Path, and must never be told either.
	Secrets []string
}

// Seen is what a peer understands: the call with that key is on, or over.
type Seen struct {
	Key   string
	Ended bool
}

// Page is a page of the first round.
func Page() notify.Message {
	opened := time.Date(2026, 11, 23, 14, 10, 0, 0, time.UTC)
	return notify.Message{
		ID: "b0f3c61f5d2e", Kind: incident.DeliverPage, Key: "irdaemon/production/3f1c9a0d5b7e2a44/1", Round: 1,
		Causes: []string{incident.CauseOpened}, Severity: runbook.Sev2,
		StartedAt: opened, CreatedAt: opened, SentAt: opened.Add(time.Second),
		Title: "SEV2 The safety layer refuses good users", Text: "Impact  refusal rate is 19.1%\n",
		Incident: incident.View{
			ID: "3f1c9a0d5b7e2a44", Number: 42, Runbook: "good-users-refused", Title: "The safety layer refuses good users",
			Service: "support-bot", Group: map[string]string{"service": "support-bot", "tier": "paid", "owner": "clash", "empty": ""},
			Severity: runbook.Sev2, State: incident.Triggered, Owner: "ml-platform-oncall",
			URL: "http://irdaemon.example/incidents/42", OpenedAt: &opened,
		},
	}
}

// Escalation is a later call of the same round, when the incident's severity and state have changed.
func Escalation() notify.Message {
	m := Page()
	m.ID, m.Step, m.Causes, m.SentAt = "c14d2a0b9e77", 1, nil, m.SentAt.Add(15*time.Minute)
	m.Incident.Severity, m.Incident.State = runbook.Sev1, incident.Verifying
	return m
}

// NextRound is the page of a second round, which ends the first one.
func NextRound() notify.Message {
	first := Page()
	m := Escalation()
	m.ID, m.Round, m.Severity, m.StartedAt = "d25e3b1caf88", 2, runbook.Sev1, m.SentAt
	m.Key, m.EndsKey = "irdaemon/production/3f1c9a0d5b7e2a44/2", first.Key
	m.Ends = []incident.Standing{{View: m.Incident, Round: 1, Key: first.Key, Severity: first.Severity, StartedAt: first.StartedAt}}
	return m
}

// End is the end of the first round.
func End() notify.Message {
	m := Escalation()
	m.ID, m.Kind, m.SentAt = "e36f4c2db099", incident.DeliverEnd, m.SentAt.Add(time.Hour)
	m.Incident.State = incident.ResolvedState
	return m
}

// Run holds a kind of receiver to the contract.
func Run(t *testing.T, c Case) {
	t.Run("all calls of a round have one key, and its end has the same", func(t *testing.T) { c.oneKey(t) })
	t.Run("each answer means what it should", func(t *testing.T) { c.answers(t) })
	t.Run("Retry-After is passed on", func(t *testing.T) { c.retryAfter(t) })
	t.Run("a redirect is refused, not followed", func(t *testing.T) { c.redirect(t) })
	t.Run("a peer that hangs costs no more than the time given", func(t *testing.T) { c.hang(t) })
	t.Run("a connection that is reset, or refused, is tried again", func(t *testing.T) { c.reset(t) })
	t.Run("a peer that sends back what it was sent gives no secret away", func(t *testing.T) { c.echo(t) })
}

// deliver makes one attempt and looks whether the answer, or anything printed, gives something away.
func (c Case) deliver(t *testing.T, address string, m notify.Message, within time.Duration) notify.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	stderr := os.Stderr
	printed, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = printed
	result := c.New(t, address+Path).Deliver(ctx, m)
	os.Stderr = stderr
	_ = printed.Close() // it was only written to be read below
	content, err := os.ReadFile(printed.Name())
	if err != nil {
		t.Fatal(err)
	}
	told := result.Detail + result.Receipt + string(content)
	for _, secret := range append([]string{Path, "://", strings.TrimPrefix(address, "http://")}, c.Secrets...) {
		if strings.Contains(told, secret) {
			t.Errorf("gives %q away: %s", secret, told)
		}
	}
	if result.Outcome != notify.Delivered && result.Detail == "" {
		t.Error("not delivered, and no word about why")
	}
	return result
}

func (c Case) oneKey(t *testing.T) {
	var seen []Seen
	var sent notify.Message
	peer := serve(t, func(_ http.ResponseWriter, r *http.Request, body []byte) { seen = c.Read(t, sent, r, body) })
	send := func(m notify.Message) []Seen {
		t.Helper()
		seen, sent = nil, m
		if result := c.deliver(t, peer, m, time.Minute); result.Outcome != notify.Delivered {
			t.Fatalf("not delivered: %+v", result)
		}
		return seen
	}
	first := send(Page())
	if len(first) != 1 || first[0].Key == "" || first[0].Ended {
		t.Fatalf("the page reads as %+v", first)
	}
	if again := send(Escalation()); len(again) != 1 || again[0] != first[0] {
		t.Errorf("the escalation reads as %+v, the page as %+v", again, first)
	}
	if end := send(End()); len(end) != 1 || end[0] != (Seen{Key: first[0].Key, Ended: true}) {
		t.Errorf("the end reads as %+v, the page as %+v", end, first)
	}
	on, ended := "", ""
	for _, s := range send(NextRound()) {
		if s.Ended {
			ended = s.Key
		} else {
			on = s.Key
		}
	}
	if on == "" || on == first[0].Key || ended != first[0].Key {
		t.Errorf("the next round calls with key %q and ends %q; the first one's is %q", on, ended, first[0].Key)
	}
}

func (c Case) answers(t *testing.T) {
	for status, want := range map[int]notify.Outcome{
		200: notify.Delivered,
		400: notify.Refused, 401: notify.Refused, 403: notify.Refused, 404: notify.Refused, 410: notify.Refused,
		413: notify.Refused, 415: notify.Refused, 422: notify.Refused,
		408: notify.Retry, 429: notify.Retry, 500: notify.Retry, 501: notify.Retry, 502: notify.Retry, 503: notify.Retry, 504: notify.Retry,
	} {
		calls := 0
		peer := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) { calls++; w.WriteHeader(status) })
		result := c.deliver(t, peer, Page(), time.Minute)
		if result.Outcome != want || result.Status != status {
			t.Errorf("%d: %s, status %d; want %s", status, result.Outcome, result.Status, want)
		}
		if want != notify.Delivered && !strings.Contains(result.Detail, fmt.Sprint(status)) {
			t.Errorf("%d: the detail doesn't say so: %q", status, result.Detail)
		}
		if calls != 1 {
			t.Errorf("%d: %d attempts, want 1: the outbox owns the retries", status, calls)
		}
	}
}

func (c Case) retryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 10, 0, 0, time.UTC)
	for said, want := range map[string]time.Duration{
		"7": 7 * time.Second, "1.5": 1500 * time.Millisecond, "-1": 0, "soon": 0, "NaN": 0,
		"99999999999999999999": time.Hour, "Inf": time.Hour,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
	} {
		peer := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			w.Header().Set("Retry-After", said)
			w.Header().Set("Date", now.Format(http.TimeFormat))
			w.WriteHeader(http.StatusTooManyRequests)
		})
		if result := c.deliver(t, peer, Page(), time.Minute); result.Outcome != notify.Retry || result.RetryAfter != want {
			t.Errorf("Retry-After: %s: %s after %s, want retry after %s", said, result.Outcome, result.RetryAfter, want)
		}
	}
}

func (c Case) redirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		followed := false
		elsewhere := serve(t, func(http.ResponseWriter, *http.Request, []byte) { followed = true })
		peer := serve(t, func(w http.ResponseWriter, r *http.Request, _ []byte) { http.Redirect(w, r, elsewhere, status) })
		if result := c.deliver(t, peer, Page(), time.Minute); result.Outcome != notify.Refused || followed {
			t.Errorf("%d: %s, followed %v; want refused", status, result.Outcome, followed)
		}
	}
}

func (c Case) hang(t *testing.T) {
	peer := serve(t, func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() })
	if result := c.deliver(t, peer, Page(), 50*time.Millisecond); result.Outcome != notify.Retry || !strings.Contains(result.Detail, "in time") {
		t.Errorf("%+v, want retry for want of an answer in time", result)
	}
}

func (c Case) reset(t *testing.T) {
	peer := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = connection.(*net.TCPConn).SetLinger(0) // closing sends a reset
		_ = connection.Close()
	})
	if result := c.deliver(t, peer, Page(), time.Minute); result.Outcome != notify.Retry || !strings.Contains(result.Detail, "cut") {
		t.Errorf("reset: %+v, want retry", result)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	if result := c.deliver(t, gone.URL, Page(), time.Minute); result.Outcome != notify.Retry || !strings.Contains(result.Detail, "refused") {
		t.Errorf("nobody listens: %+v, want retry", result)
	}
}

func (c Case) echo(t *testing.T) {
	for _, status := range []int{200, 400, 401, 404, 429, 500} {
		peer := serve(t, func(w http.ResponseWriter, r *http.Request, _ []byte) {
			w.WriteHeader(status)
			heard, err := json.Marshal(map[string]any{"url": r.URL.String(), "host": r.Host, "header": r.Header})
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(heard)
		})
		c.deliver(t, peer, Page(), time.Minute) // which looks for secrets
	}
	plain := serve(t, func(http.ResponseWriter, *http.Request, []byte) {})
	c.deliver(t, strings.Replace(plain, "http://", "https://", 1), Page(), time.Minute) // no TLS there
	c.deliver(t, "http://127.0.0.1:not-a-port", Page(), time.Minute)
	c.deliver(t, "http://%zz", Page(), time.Minute)
}

// serve is a peer on loopback that reads the request whole; it gives its address.
func serve(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, body []byte)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if got := r.Header.Get("Content-Type"); r.Method != http.MethodPost || got != "application/json" {
			t.Errorf("%s of %q, want a POST of application/json", r.Method, got)
		}
		answer(w, r, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
