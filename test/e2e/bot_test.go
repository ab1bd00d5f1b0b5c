//go:build e2e

package e2e_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a second of traffic is, for each service of the bot. Plenty, so that counts prove what shares say even in
// the short windows of these tests.
const (
	requestsPerSecond      = 1000
	conversationsPerSecond = 200
)

// behaviour is how a service of the bot treats its users, as shares of 0 to 1.
type behaviour struct {
	refused   float64 // of chat requests, by the safety layer
	unsafe    float64 // of answers
	deflected float64 // of conversations: closed by the bot, without a person
	slow      float64 // of requests: took longer than 5 s
}

var (
	usual    = behaviour{refused: 0.04, deflected: 0.42, slow: 0.01}
	refusing = behaviour{refused: 0.30, deflected: 0.25, slow: 0.01}
)

// bot is a simulated support bot with Prometheus metrics. Its counters go by the clock: whoever scrapes sees what
// the behaviours since the last scrape add up to, to the millisecond in which they changed.
type bot struct {
	server *httptest.Server

	mutex    sync.Mutex
	services map[string]*botService
}

type botService struct {
	behaviour behaviour
	until     time.Time // the counters count up to here
	requests  float64
	refused   float64
	unsafe    float64
	slow      float64
	closed    float64
	deflected float64
}

func startBot(t testing.TB, services ...string) *bot {
	t.Helper()
	b := &bot{services: map[string]*botService{}}
	for _, name := range services {
		b.services[name] = &botService{behaviour: usual, until: time.Now()}
	}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

// behave changes what a service does from now on, and gives the instant.
func (b *bot) behave(service string, new behaviour) time.Time {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	now := time.Now()
	s := b.services[service]
	s.countUntil(now)
	s.behaviour = new
	return now
}

func (s *botService) countUntil(now time.Time) {
	seconds := now.Sub(s.until).Seconds()
	s.until = now
	requests, closed := seconds*requestsPerSecond, seconds*conversationsPerSecond
	s.requests += requests
	s.refused += requests * s.behaviour.refused
	s.unsafe += requests * s.behaviour.unsafe
	s.slow += requests * s.behaviour.slow
	s.closed += closed
	s.deflected += closed * s.behaviour.deflected
}

// ServeHTTP is the page that Prometheus scrapes.
func (b *bot) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	var page strings.Builder
	for name, s := range b.services {
		s.countUntil(time.Now())
		s.write(&page, name)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprint(w, page.String())
}

func (s *botService) write(page *strings.Builder, service string) {
	counter := func(metric, labels string, value float64) {
		fmt.Fprintf(page, "%s{service=%q%s} %.0f\n", metric, service, labels, math.Floor(value))
	}
	counter("llm_requests_total", `,tier="paid",language="en",outcome="refused"`, s.refused)
	counter("llm_requests_total", `,tier="paid",language="en",outcome="ok"`, s.requests-s.refused)
	counter("llm_unsafe_answers_total", "", s.unsafe)
	counter("support_conversations_closed_total", `,tier="paid",resolution="bot"`, s.deflected)
	counter("support_conversations_closed_total", `,tier="paid",resolution="human"`, s.closed-s.deflected)
	for _, limit := range []string{"1", "2.5", "5"} {
		counter("llm_request_duration_seconds_bucket", `,le="`+limit+`"`, s.requests-s.slow)
	}
	counter("llm_request_duration_seconds_bucket", `,le="+Inf"`, s.requests)
	counter("llm_request_duration_seconds_count", "", s.requests)
}
