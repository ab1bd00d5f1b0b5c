//go:build e2e

package e2e_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
)

// fault is what is wrong with the way between the daemon and Prometheus.
type fault int32

const (
	noFault         fault = iota
	closesAtOnce          // the connection is reset
	unavailable           // 503
	hangs                 // takes the request and never answers
	answersHalfJSON       // 200 and the first half of the document, in an HTTP answer that is whole
)

// faultProxy stands between the daemon and Prometheus and breaks the way on demand.
type faultProxy struct {
	server *httptest.Server
	fault  atomic.Int32
	closed chan struct{}
}

func startFaultProxy(t testing.TB, upstream string) *faultProxy {
	t.Helper()
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	p := &faultProxy{closed: make(chan struct{})}
	through := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { resetConnection(w) },
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.serve(through, w, r)
	}))
	t.Cleanup(func() {
		close(p.closed)
		p.server.Close()
	})
	return p
}

func (p *faultProxy) set(f fault) { p.fault.Store(int32(f)) }

func (p *faultProxy) serve(through http.Handler, w http.ResponseWriter, r *http.Request) {
	switch fault(p.fault.Load()) {
	case closesAtOnce:
		resetConnection(w)
	case unavailable:
		http.Error(w, "out for lunch", http.StatusServiceUnavailable)
	case hangs:
		// With its body read, the server notices when the client gives up.
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-p.closed:
		}
	case answersHalfJSON:
		r.Header.Del("Accept-Encoding") // half of a gzip stream would be another fault
		whole := httptest.NewRecorder()
		through.ServeHTTP(whole, r)
		half := whole.Body.Bytes()[:whole.Body.Len()/2]
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(half)))
		_, _ = w.Write(half)
	default:
		through.ServeHTTP(w, r)
	}
}

func resetConnection(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}
