// Package notifytest holds what every receiver must do, whatever it talks to.
package notifytest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/notify"
)

// Path is in the address that Case.New is given, as the token of a chat's webhook would be: it must never be told.
const Path = "/services/canary-in-the-path"

// Case is a kind of receiver that speaks HTTP. One that speaks anything else is held to the same by tests of its own, with
// the same messages.
type Case struct {
	// New makes a receiver that posts to an address.
	New func(t *testing.T, address string) notify.Receiver
	// Read says what a peer understands of one request for a message. Nil: the peer knows no keys.
	Read func(t *testing.T, sent notify.Message, request *http.Request, body []byte) []Seen
	// Accept is how the peer says that it has a message. Nil: by a 200 without a word.
	Accept func(w http.ResponseWriter)
	// Secrets were given to the receiver, beside Path, and must never be told either.
	Secrets []string
}

// Seen is what a peer understands: the call with that key is on, or over.
type Seen struct {
	Key   string
	Ended bool
}

// Run holds a kind of receiver to the contract.
func Run(t *testing.T, c Case) {
	if c.Accept == nil {
		c.Accept = func(http.ResponseWriter) {}
	}
	if c.Read != nil {
		t.Run("all calls of a round have one key, and its end has the same", func(t *testing.T) { c.oneKey(t) })
		t.Run("a digest has one key, and its end has the same", func(t *testing.T) { c.oneDigest(t) })
	}
	t.Run("whatever it carries is taken, however hostile its texts are", func(t *testing.T) { c.carried(t) })
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

// conversation is a peer that remembers what it understood of all requests of a message.
type conversation struct {
	c       Case
	address string
	sent    notify.Message
	seen    []Seen
	receipt string // of the first message
}

func (c Case) talk(t *testing.T) *conversation {
	talk := &conversation{c: c}
	talk.address = serve(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		talk.seen = append(talk.seen, c.Read(t, talk.sent, r, body)...)
		c.Accept(w)
	})
	return talk
}

// send gives what the peer understood of a message, in however many requests it came. Later messages carry the receipt of
// the first one, as the daemon keeps it.
func (talk *conversation) send(t *testing.T, m notify.Message) []Seen {
	t.Helper()
	m.Thread = talk.receipt
	if m.EndsKey == "" {
		m.Receipt = talk.receipt
	}
	talk.seen, talk.sent = nil, m
	result := talk.c.deliver(t, talk.address, m, time.Minute)
	if result.Outcome != notify.Delivered {
		t.Fatalf("not delivered: %+v", result)
	}
	if talk.receipt == "" {
		talk.receipt = result.Receipt
	}
	return talk.seen
}

func (c Case) oneKey(t *testing.T) {
	talk := c.talk(t)
	first := talk.send(t, Page())
	if len(first) != 1 || first[0].Key == "" || first[0].Ended {
		t.Fatalf("the page reads as %+v", first)
	}
	same := map[string]notify.Message{"the escalation": Escalation()}
	carries := c.New(t, talk.address+Path).Carries()
	if carries.Acknowledgements {
		same["that somebody has it"] = Acknowledge()
	}
	if carries.Progress {
		same["what happened since"] = Progress()
	}
	for what, m := range same {
		if again := talk.send(t, m); len(again) != 1 || again[0] != first[0] {
			t.Errorf("%s reads as %+v, the page as %+v", what, again, first)
		}
	}
	if end := talk.send(t, End()); len(end) != 1 || end[0] != (Seen{Key: first[0].Key, Ended: true}) {
		t.Errorf("the end reads as %+v, the page as %+v", end, first)
	}
	on, ended := "", ""
	for _, s := range talk.send(t, NextRound()) {
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

func (c Case) oneDigest(t *testing.T) {
	talk := c.talk(t)
	if _, keeps := c.New(t, talk.address+Path).(notify.Keeper); keeps {
		t.Skip("a Keeper gets no digests")
	}
	digest := talk.send(t, Digest())
	if len(digest) != 1 || digest[0].Key == "" || digest[0].Ended {
		t.Fatalf("the digest reads as %+v", digest)
	}
	if end := talk.send(t, DigestEnd()); len(end) != 1 || end[0] != (Seen{Key: digest[0].Key, Ended: true}) {
		t.Errorf("the end of the digest reads as %+v, the digest as %+v", end, digest)
	}
}

// most is what a peer takes of a message; the strictest that names a limit takes so much.
const most = 512_000

// carried sends a message of each kind that the receiver carries, as it is and with hostile texts.
func (c Case) carried(t *testing.T) {
	peer := serve(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		if len(body) > most || !json.Valid(body) || !utf8.Valid(body) {
			t.Errorf("%d bytes, valid JSON: %v, valid UTF-8: %v", len(body), json.Valid(body), utf8.Valid(body))
		}
		for name, values := range r.Header {
			if strings.ContainsAny(name+strings.Join(values, ""), "\r\n\x00\x1b") {
				t.Errorf("header %s: %q", name, values)
			}
		}
		c.Accept(w)
	})
	receiver := c.New(t, peer+Path)
	for _, m := range Carried(receiver) {
		if result := c.deliver(t, peer, m, time.Minute); result.Outcome != notify.Delivered {
			t.Errorf("%s: %+v", m.Kind, result)
		}
		refused := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusForbidden) })
		if result := c.deliver(t, refused, m, time.Minute); result.Outcome != notify.Refused {
			t.Errorf("%s, answered by a 403: %+v, want it refused", m.Kind, result)
		}
		broken := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(http.StatusBadGateway) })
		if result := c.deliver(t, broken, m, time.Minute); result.Outcome != notify.Retry {
			t.Errorf("%s, answered by a 502: %+v, want it tried again", m.Kind, result)
		}
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
		peer := serve(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
			calls++
			w.WriteHeader(status)
			if want == notify.Delivered {
				c.Accept(w)
			}
		})
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
		got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || r.Method != http.MethodPost || got != "application/json" {
			t.Errorf("%s of %q, want a POST of application/json", r.Method, got)
		}
		answer(w, r, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
