package web_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
)

func TestTheDaemonTellsWhetherItIsReady(t *testing.T) {
	f := newFixture(t)
	if answer := f.call("GET", "/-/healthy", ""); answer.Code != 200 || answer.Body.String() != "ok\n" {
		t.Errorf("healthy: %d %q", answer.Code, answer.Body)
	}
	if answer := f.call("GET", "/-/ready", ""); answer.Code != 200 || answer.Body.String() != "ready\n" {
		t.Errorf("ready: %d %q", answer.Code, answer.Body)
	}
	f.reasons = []string{"prometheus: 503", "no tick yet"}
	if answer := f.call("GET", "/-/ready", ""); answer.Code != 503 || answer.Body.String() != "prometheus: 503\nno tick yet\n" {
		t.Errorf("not ready: %d %q", answer.Code, answer.Body)
	}
	if answer := f.call("HEAD", "/-/ready", ""); answer.Code != 503 {
		t.Errorf("HEAD: %d", answer.Code)
	}
}

func TestAReloadTellsWhatIsWrongWithTheFiles(t *testing.T) {
	f := newFixture(t)
	if answer := f.call("POST", "/-/reload", ""); answer.Code != 200 || answer.Body.String() != "reloaded\n" {
		t.Errorf("%d %q", answer.Code, answer.Body)
	}
	f.atNextStart = []string{"interval", "store"}
	if answer := f.call("POST", "/-/reload", ""); answer.Code != 200 || answer.Body.String() != "reloaded; only the next start puts in force what changed in: interval, store\n" {
		t.Errorf("%d %q", answer.Code, answer.Body)
	}
	problems := errors.Join(errors.New("a.yaml:1:2: x: wrong"), errors.New("b.yaml:3:4: y: wrong"))
	f.reload = &web.FilesRefused{Problems: problems}
	if answer := f.call("POST", "/-/reload", ""); answer.Code != 422 || answer.Body.String() != problems.Error()+"\n" {
		t.Errorf("broken files: %d %q", answer.Code, answer.Body)
	}
	f.reload = errors.New("the store is gone")
	if answer := f.call("POST", "/-/reload", ""); answer.Code != 500 || answer.Body.String() != "the store is gone\n" {
		t.Errorf("the daemon's own trouble: %d %q", answer.Code, answer.Body)
	}
}

func TestRequestsAreCountedByRouteNeverByPath(t *testing.T) {
	f := newFixture(t)
	f.call("GET", "/api/v1/incidents/42", "")
	f.call("GET", "/api/v1/incidents/99", "")
	f.call("GET", "/api/v1/incidents/98", "")
	f.call("POST", "/api/v1/incidents/42/notes", `{"by":"alice","text":"x"}`)
	f.call("DELETE", "/api/v1/incidents/42", "")
	f.call("BREW", "/pot", "")
	want := `
# HELP irdaemon_http_requests_total HTTP requests answered, by method, pattern of the route and status.
# TYPE irdaemon_http_requests_total counter
irdaemon_http_requests_total{code="200",method="GET",route="/api/v1/incidents/{id}"} 1
irdaemon_http_requests_total{code="404",method="GET",route="/api/v1/incidents/{id}"} 2
irdaemon_http_requests_total{code="200",method="POST",route="/api/v1/incidents/{id}/notes"} 1
irdaemon_http_requests_total{code="405",method="DELETE",route="none"} 1
irdaemon_http_requests_total{code="404",method="other",route="none"} 1
`
	if err := testutil.GatherAndCompare(f.registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(f.registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	if answer := f.call("GET", "/metrics", ""); answer.Code != 200 || !strings.Contains(answer.Body.String(), "irdaemon_http_requests_total{") {
		t.Errorf("/metrics: %d %s", answer.Code, answer.Body)
	}
	if f.logs.FilterMessage("request").Len() != 7 {
		t.Errorf("%d requests in the log", f.logs.FilterMessage("request").Len())
	}
}

// panicking is a Desk with a bug.
type panicking struct{ web.Desk }

func (panicking) View(context.Context, string) (incident.View, error) { panic("a bug") }

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	registry := prometheus.NewRegistry()
	f := &fixture{handler: web.New(web.Config{Desk: panicking{}, Registry: registry, Log: zap.New(core)})}
	answer := f.call("GET", "/api/v1/incidents/42", "")
	if problem := decode[web.Problem](t, answer); answer.Code != 500 || problem.Status != 500 || strings.Contains(answer.Body.String(), "a bug") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if entries := logs.All(); len(entries) != 1 || !strings.Contains(entries[0].ContextMap()["stack"].(string), "web_test") {
		t.Errorf("log: %+v", entries)
	}
	if n := testutil.ToFloat64(counted(t, registry)); n != 1 {
		t.Errorf("counted %v times", n)
	}
	if answer := f.call("GET", "/api/v1/runbooks", ""); answer.Code != 404 {
		t.Errorf("runbooks without an overview: %d", answer.Code)
	}
}

// counted gives the one request counter that the registry holds.
func counted(t *testing.T, registry *prometheus.Registry) prometheus.Collector {
	t.Helper()
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].Metric) != 1 {
		t.Fatalf("%v, %v", families, err)
	}
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "n"})
	gauge.Set(families[0].Metric[0].GetCounter().GetValue())
	return gauge
}

func TestOverLoopbackOnlyTheDaemonsOwnNamesAreAnswered(t *testing.T) {
	for host, want := range map[string]int{
		"127.0.0.1:9847": 200, "localhost:9847": 200, "[::1]:9847": 200, "localhost": 200, "incidents.example.com": 200, "Incidents.Example.com:443": 200,
		"":             200,
		"evil.example": 421, "127.0.0.1.evil.example:9847": 421, "localhost.evil.example": 421,
	} {
		f := newFixture(t)
		request := httptest.NewRequest("GET", "/-/healthy", nil)
		request.Host = host
		local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9847}
		request = request.WithContext(context.WithValue(request.Context(), http.LocalAddrContextKey, net.Addr(local)))
		answer := httptest.NewRecorder()
		f.handler.ServeHTTP(answer, request)
		if answer.Code != want {
			t.Errorf("host %q: %d, want %d", host, answer.Code, want)
		}
	}
	f := newFixture(t)
	if answer := f.call("GET", "http://irdaemon.monitoring.svc/-/healthy", ""); answer.Code != 200 {
		t.Errorf("not over loopback: %d", answer.Code)
	}
}

func TestLoopbackAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:9847": true, "127.8.8.8:1": true, "[::1]:9847": true, "localhost:9847": true,
		":9847": false, "0.0.0.0:9847": false, "[::]:9847": false, "10.0.0.1:9847": false, "daemon.local:9847": false,
		"127.0.0.1": false, "": false, "127.0.0.1.evil.example:1": false,
	} {
		if web.IsLoopback(address) != want {
			t.Errorf("%q: %t", address, !want)
		}
	}
}

func TestServeLetsARequestInFlightFinish(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served, answered := make(chan error, 1), make(chan string, 1)
	go func() { served <- web.Serve(ctx, listener, slow, nil, zap.NewNop()) }()
	go func() {
		answer, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer answer.Body.Close()
		var text bytes.Buffer
		_, _ = text.ReadFrom(answer.Body)
		answered <- text.String()
	}()
	<-entered
	stop()
	close(release)
	if text := <-answered; text != "done" {
		t.Errorf("answered %q", text)
	}
	if err := <-served; err != nil {
		t.Errorf("served: %v", err)
	}
}
