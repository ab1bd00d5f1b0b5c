//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The pointers of an assistant, as the artifacts of a runbook's steps.
const (
	promptPointer = "prompt"
	indexPointer  = "retrieval_index"
)

// pointerPaths are where an assistant's pointers are read and set.
var pointerPaths = map[string]string{"/labels/live": promptPointer, "/aliases/kb-live": indexPointer}

// setMood is how an assistant takes a request to set a pointer.
type setMood int

const (
	setsIt          setMood = iota
	holdsIt                 // until it is let go, then sets it
	swallowsIt              // never answers, and sets nothing
	setsAndIsSilent         // never answers, and sets it
	failsAt                 // 500, and sets nothing
	forbidsIt               // 403
	comesBackLater          // 503 with Retry-After, and sets nothing
	redirectsIt             // 307 to another server
	movesIt                 // 302 to another server, as after a form that was taken
	lies                    // 200, and sets nothing
)

// assistant is a support bot that holds its own pointers: which prompt it uses and in which index it looks. How it treats
// its users follows from them, from the moment on at which users ask what the newer versions are bad at.
//
// Its counters go by the clock, as those of bot.
type assistant struct {
	server    *httptest.Server
	elsewhere *httptest.Server // where redirects lead
	service   string
	closed    chan struct{}

	mutex    sync.Mutex
	versions map[string]string // of each artifact
	asked    bool              // users ask what the newer versions are bad at
	mood     setMood
	letGo    chan struct{} // closed: what is held is done
	sets     []setting
	strayed  int // requests that followed a redirect
	counters map[counter]float64
	until    time.Time // the counters count up to here
}

// counter names a series: its metric, and beside the service one or two labels.
type counter struct{ metric, label, value, outcome string }

func (c counter) labels() map[string]string {
	all := map[string]string{}
	if c.label != "" {
		all[c.label] = c.value
	}
	if c.outcome != "" {
		all["outcome"] = c.outcome
	}
	return all
}

// setting is a request to set a pointer, whatever became of it.
type setting struct {
	at             time.Time
	artifact       string
	version        string
	idempotencyKey string
}

// startAssistant starts one that runs the newer prompt, and the newer index where asked for.
func startAssistant(t testing.TB, service, index string) *assistant {
	t.Helper()
	a := &assistant{
		service: service, closed: make(chan struct{}), letGo: make(chan struct{}), counters: map[counter]float64{}, until: time.Now().Add(-countersAge),
		versions: map[string]string{promptPointer: "prompt-v7", indexPointer: index, "code": "1.4.2", "weights": "support-3.1"},
	}
	a.elsewhere = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		a.strayed++
	}))
	a.server = httptest.NewServer(a)
	t.Cleanup(func() {
		close(a.closed)
		a.server.Close()
		a.elsewhere.Close()
	})
	return a
}

// ServeHTTP serves the metrics and the pointers.
func (a *assistant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	artifact, isPointer := pointerPaths[r.URL.Path]
	switch {
	case r.URL.Path == "/metrics":
		a.writeMetrics(w)
	case r.URL.Path == "/status.json":
		fmt.Fprint(w, `{"status": {"indicator": "none", "description": "All Systems Operational"}}`)
	case isPointer && r.Method == http.MethodGet:
		a.answerPointer(w, artifact)
	case isPointer && r.Method == http.MethodPut:
		a.take(w, r, artifact)
	default:
		http.NotFound(w, r)
	}
}

func (a *assistant) answerPointer(w http.ResponseWriter, artifact string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"version": a.version(artifact)})
}

// take takes a request to set a pointer as the mood is.
func (a *assistant) take(w http.ResponseWriter, r *http.Request, artifact string) {
	var body struct{ Version string }
	text, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil || body.Version == "" {
		http.Error(w, "no version", http.StatusBadRequest)
		return
	}
	a.mutex.Lock()
	mood, letGo := a.mood, a.letGo
	a.sets = append(a.sets, setting{time.Now(), artifact, body.Version, r.Header.Get("Idempotency-Key")})
	a.mutex.Unlock()
	switch mood {
	case holdsIt:
		select {
		case <-letGo:
		case <-a.closed:
			return
		}
	case swallowsIt:
		a.neverAnswer(r)
		return
	case setsAndIsSilent:
		a.set(artifact, body.Version)
		a.neverAnswer(r)
		return
	case failsAt:
		http.Error(w, "the database is gone", http.StatusInternalServerError)
		return
	case forbidsIt:
		http.Error(w, "this key may only read", http.StatusForbidden)
		return
	case comesBackLater:
		w.Header().Set("Retry-After", "4")
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	case redirectsIt:
		http.Redirect(w, r, a.elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
		return
	case movesIt:
		http.Redirect(w, r, a.elsewhere.URL+r.URL.Path, http.StatusFound)
		return
	case lies:
		fmt.Fprint(w, `{"ok": true}`)
		return
	}
	a.set(artifact, body.Version)
	fmt.Fprint(w, `{"ok": true}`)
}

func (a *assistant) neverAnswer(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-a.closed:
	}
}

// set sets a pointer, as somebody does who doesn't ask the daemon.
func (a *assistant) set(artifact, version string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.count(time.Now())
	a.versions[artifact] = version
}

func (a *assistant) version(artifact string) string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.versions[artifact]
}

// be changes the mood.
func (a *assistant) be(mood setMood) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.mood = mood
}

// release lets what is held be done.
func (a *assistant) release() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	close(a.letGo)
	a.mood = setsIt
}

// ask has users ask what the newer versions are bad at.
func (a *assistant) ask() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.count(time.Now())
	a.asked = true
}

// log lists the requests to set a pointer that ever arrived.
func (a *assistant) log() []setting {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return slices.Clone(a.sets)
}

// wasAsked is nil when so many requests to set a pointer arrived.
func (a *assistant) wasAsked(want int) error {
	if sets := a.log(); len(sets) != want {
		return fmt.Errorf("%s was asked to set a pointer %d times, want %d: %v", a.service, len(sets), want, sets)
	}
	return nil
}

// shares are those of the story: of 19 % refused the prompt brings 11 and the index 3; likewise of deflection.
func (a *assistant) shares() (refused, deflected float64) {
	if !a.asked {
		return 0.04, 0.42
	}
	refused, deflected = 0.05, 0.41
	if a.versions[promptPointer] == "prompt-v7" {
		refused, deflected = refused+0.11, deflected-0.11
	}
	if a.versions[indexPointer] == "kb-2" {
		refused, deflected = refused+0.03, deflected-0.05
	}
	return refused, deflected
}

// rates are how much each counter counts in a second.
func (a *assistant) rates() map[counter]float64 {
	refused, deflected := a.shares()
	rates := map[counter]float64{
		{metric: "llm_prompt_requests_total", label: "version", value: "prompt-v6"}:         0,
		{metric: "llm_prompt_requests_total", label: "version", value: "prompt-v7"}:         0,
		{metric: "llm_unsafe_answers_total"}:                                                0,
		{metric: "llm_provider_requests_total", outcome: "ok"}:                              requestsPerSecond,
		{metric: "llm_provider_requests_total", outcome: "error"}:                           requestsPerSecond / 1000,
		{metric: "support_conversations_closed_total", label: "resolution", value: "bot"}:   conversationsPerSecond * deflected,
		{metric: "support_conversations_closed_total", label: "resolution", value: "human"}: conversationsPerSecond * (1 - deflected),
	}
	rates[counter{metric: "llm_prompt_requests_total", label: "version", value: a.versions[promptPointer]}] = requestsPerSecond
	split := func(metric, label, value string, rate, refused float64) {
		rates[counter{metric, label, value, "refused"}] = rate * refused
		rates[counter{metric, label, value, "ok"}] = rate * (1 - refused)
	}
	split("llm_requests_total", "language", "en", requestsPerSecond*0.75, refused)
	split("llm_requests_total", "language", "de", requestsPerSecond*0.25, refused)
	split("llm_arm_requests_total", "arm", "treatment", requestsPerSecond/2, refused)
	split("llm_arm_requests_total", "arm", "control", requestsPerSecond/2, 0.04)
	for intent, part := range map[string]float64{"medication": 0.6, "travel": 0.3, "billing": 0.1} {
		rates[counter{metric: "llm_refusals_total", label: "intent", value: intent}] = requestsPerSecond * refused * part
	}
	return rates
}

func (a *assistant) count(now time.Time) {
	seconds := now.Sub(a.until).Seconds()
	a.until = now
	for series, rate := range a.rates() {
		a.counters[series] += seconds * rate
	}
}

func (a *assistant) writeMetrics(w http.ResponseWriter) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.count(time.Now())
	var page strings.Builder
	for series, value := range a.counters {
		fmt.Fprintf(&page, "%s{service=%q", series.metric, a.service)
		for label, value := range series.labels() {
			fmt.Fprintf(&page, ",%s=%q", label, value)
		}
		fmt.Fprintf(&page, "} %.3f\n", value)
	}
	for artifact, version := range a.versions {
		fmt.Fprintf(&page, "llm_artifact_info{service=%q,artifact=%q,version=%q} 1\n", a.service, artifact, version)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprint(w, page.String())
}
