package action

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

const token = "tok-9f8e7d6c5b4a"

// service is a peer of which a test says how it behaves. It counts what reaches it.
type service struct {
	*httptest.Server
	requests atomic.Int64
	runner   *Runner
	tokens   string // the file
	renders  Connectors
}

func serve(t *testing.T, handler http.HandlerFunc) *service {
	t.Helper()
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	s.reach(t, s.URL, "")
	return s
}

// reach makes the runner whose connector has the address.
func (s *service) reach(t *testing.T, address, ca string) {
	t.Helper()
	s.tokens = filepath.Join(t.TempDir(), "token")
	write(t, s.tokens, token+"\n")
	connectors, err := NewConnectors(Connector{Name: "prompts", URL: address, BearerTokenFile: s.tokens, CAFile: ca, Allow: []string{"GET /labels/*", "PUT /labels/*", "POST /labels/*"}})
	if err != nil {
		t.Fatal(err)
	}
	s.renders = connectors
	s.runner = NewRunner(connectors)
	s.runner.timeout = 2 * time.Second
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *service) request(t *testing.T) *Request {
	t.Helper()
	request, err := s.renders.Render(setLabel(), values)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// do makes one attempt, and holds that no secret comes back from it.
func (s *service) do(t *testing.T) Outcome {
	t.Helper()
	o := s.runner.Do(t.Context(), s.request(t), "inc-1-a1-1")
	if strings.Contains(o.Reason, token) || !printable(o.Reason) {
		t.Errorf("the reason is %q", o.Reason)
	}
	return o
}

// hijack answers with these bytes, and cuts the connection.
func hijack(w http.ResponseWriter, text string) {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(connection, text)
	_ = connection.Close()
}

func TestOneAttemptIsSentAsItIsShown(t *testing.T) {
	var got *http.Request
	var body []byte
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	})
	if o := s.do(t); o != (Outcome{State: Applied, Status: 200}) {
		t.Errorf("%+v", o)
	}
	want := map[string]string{"Authorization": "Bearer " + token, "Content-Type": "application/json", "Idempotency-Key": "inc-1-a1-1", "User-Agent": "irdaemon"}
	for name, value := range want {
		if got.Header.Get(name) != value {
			t.Errorf("%s: %q", name, got.Header.Get(name))
		}
	}
	request := s.request(t)
	if got.Method != "PUT" || "http://"+got.Host+got.RequestURI != request.URL || string(body) != string(request.Body) {
		t.Errorf("%s http://%s%s %s", got.Method, got.Host, got.RequestURI, body)
	}
	for _, name := range slices.Collect(maps.Keys(got.Header)) {
		if !slices.Contains([]string{"Accept", "Authorization", "Content-Type", "Idempotency-Key", "User-Agent", "Content-Length", "Connection"}, name) {
			t.Errorf("sent %s as well", name)
		}
	}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	status := func(code int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}
	}
	said := func(code int, kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(code)
			_, _ = io.WriteString(w, text)
		}
	}
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { hijack(w, text) }
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		state   State
		reason  string // a part of it
	}{
		"no content":                             {status(204), Applied, ""},
		"accepted":                               {status(202), Applied, ""},
		"a redirect":                             {status(301, "Location", "/labels/other"), Refused, "301 Moved Permanently: redirects are not followed"},
		"a redirect that keeps":                  {status(307, "Location", "/labels/other"), Refused, "redirects are not followed"},
		"see other":                              {status(303, "Location", "/done"), Unknown, "303"},
		"found":                                  {status(302, "Location", "/login"), Unknown, "302"},
		"forbidden":                              {status(403), Refused, "403 Forbidden"},
		"a conflict":                             {said(409, "application/json", `{"message":"modified"}`), Refused, "conflict, something else changes it: 409 Conflict: modified"},
		"a failed precondition":                  {status(412), Refused, "conflict"},
		"too many requests":                      {status(429, "Retry-After", "1"), Refused, "429"},
		"a request that timed out, says a proxy": {status(408), Unknown, "408"},
		"an error":                               {status(500), Unknown, "500 Internal Server Error"},
		"a bad gateway":                          {status(502), Unknown, "502"},
		"a gateway in time":                      {status(504), Unknown, "504"},
		"busy":                                   {status(503, "Retry-After", "7"), Unknown, "503"},
		"a reason nested":                        {said(422, "application/problem+json", `{"error":{"detail":["name is gone","x"]}}`), Refused, "422 Unprocessable Entity: name is gone"},
		"a reason as text":                       {said(400, "text/plain; charset=utf-8", "no such\r\n\tversion\x00\u202e"), Refused, "400 Bad Request: no such version"},
		"a long reason":                          {said(400, "text/plain", strings.Repeat("why ", 10_000)), Refused, "why…"},
		"a page":                                 {said(404, "text/html", "<html>secret</html>"), Refused, "404 Not Found"},
		"the token back":                         {said(400, "application/json", `{"message":"bad token \u0022`+token+`\u0022 (Bearer `+token+`)"}`), Refused, `bad token "***" (Bearer ***)`},
		"a part of the token":                    {said(401, "text/plain", "unknown token "+token[:10]+"..."), Refused, "unknown token ***"},
		"a body that is cut after 2xx":           {raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nxx"), Applied, ""},
		"a bomb with 2xx": {func(w http.ResponseWriter, _ *http.Request) {
			for range 64 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		}, Applied, ""},
		"cut before an answer":  {raw(""), Unknown, "cut"},
		"half a header":         {raw("HTTP/1.1 200 OK\r\nContent-Le"), Unknown, "no answer"},
		"no HTTP":               {raw("hello\r\n\r\n"), Unknown, "no answer that is HTTP"},
		"headers without end":   {raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*headerBytes) + "\r\n\r\n"), Unknown, "no answer that is HTTP"},
		"another protocol":      {raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), Unknown, "101"},
		"a status that is none": {raw("HTTP/1.1 999 \r\n\r\n"), Unknown, "999"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, test.handler)
			o := s.do(t)
			if o.State != test.state || !strings.Contains(o.Reason, test.reason) || len([]rune(o.Reason)) > 300 {
				t.Errorf("%+v", o)
			}
			if (o.State == Applied) != (o.Reason == "") {
				t.Errorf("a reason where there is none, or none: %+v", o)
			}
			if n := s.requests.Load(); n != 1 {
				t.Errorf("%d requests for one attempt", n)
			}
		})
	}
}

func TestNothingIsSentTwiceByItself(t *testing.T) {
	var served atomic.Int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if served.Add(1) == 1 {
			return // a connection that could be used again
		}
		hijack(w, "")
	})
	if o := s.do(t); o.State != Applied {
		t.Errorf("%+v", o)
	}
	if o := s.do(t); o.State != Unknown {
		t.Errorf("%+v", o)
	}
	if n := served.Load(); n != 2 {
		t.Errorf("two attempts, %d requests", n)
	}
}

func TestASlowAnswerIsUnknown(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
	})
	defer close(release)
	s.runner.timeout = 50 * time.Millisecond
	if o := s.do(t); o.State != Unknown || o.Reason != "no answer in time" {
		t.Errorf("%+v", o)
	}
	s.runner.timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if o := s.runner.Do(ctx, s.request(t), "a"); o.State != Unknown || !strings.Contains(o.Reason, "given up") {
		t.Errorf("%+v", o)
	}
}

func TestABombIsNotReadToItsEnd(t *testing.T) {
	var written atomic.Int64
	ended := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		for range 64 {
			n, err := w.Write(make([]byte, 1<<20))
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	if o := s.do(t); o.State != Applied {
		t.Errorf("%+v", o)
	}
	<-ended
	if n := written.Load(); n > 32<<20 {
		t.Errorf("%d MiB were taken in", n>>20)
	}
}

func TestABodyThatDripsIsAnAnswerAllTheSame(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that its client has gone
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	s.runner.timeout = 100 * time.Millisecond
	if o := s.do(t); o.State != Applied {
		t.Errorf("%+v", o)
	}
	if _, err := s.runner.Observe(t.Context(), s.request(t)); err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Error(err)
	}
}

func TestUnsentIsWhatNeverLeft(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something left") })
	closed := httptest.NewServer(nil)
	closed.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("something left") }))
	defer secure.Close()
	secure.Config.ErrorLog = nil
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and never shakes hands
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, test := range map[string]struct {
		address string
		change  func()
		reason  string
	}{
		"connection refused":          {closed.URL, nil, "connection refused"},
		"a name that is none":         {"https://no-such-host.invalid", nil, "does not resolve"},
		"a certificate not trusted":   {secure.URL, nil, "certificate is not trusted"},
		"no TLS at all":               {strings.Replace(s.URL, "http:", "https:", 1), nil, "no answer that is HTTP"},
		"no end of shaking hands":     {"https://" + silent.Addr().String(), nil, "no answer in time"},
		"no file with the credential": {s.URL, func() { _ = os.Remove(s.tokens) }, "no such file"},
		"an empty credential":         {s.URL, func() { write(t, s.tokens, " \n") }, "is empty"},
		"a credential of two lines":   {s.URL, func() { write(t, s.tokens, "a\r\nX-Admin: 1") }, "more than one line"},
	} {
		t.Run(name, func(t *testing.T) {
			s.reach(t, test.address, "")
			s.runner.timeout = 500 * time.Millisecond
			if test.change != nil {
				test.change()
			}
			o := s.do(t)
			if o.State != Unsent || !strings.Contains(o.Reason, test.reason) {
				t.Errorf("%+v", o)
			}
			if _, again := o.Repeat(s.request(t), 1); !again {
				t.Error("it may be sent again")
			}
		})
	}
}

func TestACredentialAndACertificateAreReadAtEachRequest(t *testing.T) {
	var seen []string
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		seen = append(seen, user+":"+password+" "+r.Header.Get("Api-Key")+" "+r.Proto)
		w.WriteHeader(400)
		_, _ = fmt.Fprintf(w, "%s %s", r.Header.Get("Authorization"), r.Header.Get("Api-Key"))
	}))
	secure.EnableHTTP2 = true // which would send a request anew by itself
	secure.StartTLS()
	defer secure.Close()
	dir := t.TempDir()
	file := func(name, text string) string {
		write(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	ca := file("ca", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	connectors, err := NewConnectors(Connector{Name: "prompts", URL: secure.URL, Username: "pk-lf", PasswordFile: file("password", "sk-lf-one"),
		HeaderFiles: map[string]string{"api-key": file("key", "key-of-qdrant")}, CAFile: ca, Allow: []string{"PUT /labels/*", "GET /labels/*"}})
	if err != nil {
		t.Fatal(err)
	}
	runner := NewRunner(connectors)
	request, err := connectors.Render(setLabel(), values)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		o := runner.Do(t.Context(), request, "a")
		for _, secret := range []string{"sk-lf", "key-of-qdrant", "cGstbGY6"} {
			if o.State != Refused || strings.Contains(o.Reason, secret) || strings.Contains(request.String(), secret) {
				t.Errorf("%+v", o)
			}
		}
		file("password", "sk-lf-two\n")
	}
	if want := []string{"pk-lf:sk-lf-one key-of-qdrant HTTP/1.1", "pk-lf:sk-lf-two key-of-qdrant HTTP/1.1"}; !slices.Equal(seen, want) {
		t.Errorf("%q", seen)
	}
	if !strings.Contains(request.String(), "Authorization: ***\nApi-Key: ***\n") {
		t.Error(request)
	}
	file("ca", "none")
	if o := runner.Do(t.Context(), request, "a"); o.State != Unsent || !strings.Contains(o.Reason, "holds no certificate") {
		t.Errorf("%+v", o)
	}
}

func TestWhatMayBeRepeated(t *testing.T) {
	set, create := &Request{Semantics: runbook.SemanticsSet}, &Request{Semantics: runbook.SemanticsCreate}
	busy := Outcome{State: Unknown, Status: 503, RetryAfter: 7 * time.Second}
	for name, test := range map[string]struct {
		outcome  Outcome
		request  *Request
		attempts int
		wait     time.Duration
		again    bool
	}{
		"unsent":                           {Outcome{State: Unsent}, set, 1, unsentWait, true},
		"unsent for the second time":       {Outcome{State: Unsent}, set, 2, unsentWait, true},
		"unsent for the third time":        {Outcome{State: Unsent}, set, 3, 0, false},
		"unsent of a create":               {Outcome{State: Unsent}, create, 1, 0, false},
		"busy until a time":                {busy, set, 1, 7 * time.Second, true},
		"busy of a create":                 {busy, create, 1, 0, false},
		"busy without a time":              {Outcome{State: Unknown, Status: 503}, set, 1, 0, false},
		"another error with a time":        {Outcome{State: Unknown, Status: 502, RetryAfter: time.Second}, set, 1, 0, false},
		"too many requests":                {Outcome{State: Refused, Status: 429, RetryAfter: time.Second}, set, 1, 0, false},
		"no answer":                        {Outcome{State: Unknown}, set, 1, 0, false},
		"refused":                          {Outcome{State: Refused, Status: 409}, set, 1, 0, false},
		"applied":                          {Outcome{State: Applied, Status: 200}, set, 1, 0, false},
		"a runbook that says no semantics": {Outcome{State: Unsent}, &Request{}, 1, 0, false},
	} {
		if wait, again := test.outcome.Repeat(test.request, test.attempts); wait != test.wait || again != test.again {
			t.Errorf("%s: %v %v", name, wait, again)
		}
	}
}

func TestWhenToComeBackIsReadFromTheAnswer(t *testing.T) {
	for said, want := range map[string]time.Duration{
		"7": 7 * time.Second, "": 0, "-1": 0, "soon": 0, "1e300": time.Hour, "NaN": 0,
		"Mon, 02 Mar 2026 10:00:09 GMT": 9 * time.Second, "Mon, 02 Mar 2026 09:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {said}, "Date": {"Mon, 02 Mar 2026 10:00:00 GMT"}}); got != want {
			t.Errorf("%q: %v", said, got)
		}
	}
}

// pointer is a service that holds one version, as a real one does.
type pointer struct {
	sync.Mutex
	version string
}

func (p *pointer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.Lock()
	defer p.Unlock()
	if r.Method == http.MethodPut {
		text, _ := io.ReadAll(r.Body)
		_, rest, _ := strings.Cut(string(text), `"version":"`)
		p.version, _, _ = strings.Cut(rest, `"`)
	}
	_, _ = fmt.Fprintf(w, `{"name":"live","version":%q,"secret":"hidden"}`, p.version)
}

func TestAVersionIsSetBackOnceAndSeenThen(t *testing.T) {
	live := &pointer{version: "v7"}
	s := serve(t, live.ServeHTTP)
	request := s.request(t)
	before, err := s.runner.Observe(t.Context(), request)
	if err != nil || before != (Observation{Seen: `{"version":"v7"}`}) {
		t.Errorf("%+v %v", before, err)
	}
	if confirmed, seen, err := s.runner.Confirm(t.Context(), request); confirmed || seen != `{"version":"v7"}` || err != nil {
		t.Errorf("%v %s %v", confirmed, seen, err)
	}
	if o := s.do(t); o.State != Applied {
		t.Errorf("%+v", o)
	}
	if confirmed, seen, err := s.runner.Confirm(t.Context(), request); !confirmed || seen != `{"version":"v6"}` || err != nil {
		t.Errorf("%v %s %v", confirmed, seen, err)
	}
	if again, err := s.runner.Observe(t.Context(), request); err != nil || !again.Already {
		t.Errorf("%+v %v", again, err)
	}
}

func TestTwoAtOnceLeaveOneValue(t *testing.T) {
	live := &pointer{version: "v7"}
	s := serve(t, live.ServeHTTP)
	request := s.request(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if o := s.runner.Do(t.Context(), request, fmt.Sprint("attempt-", i)); o.State != Applied {
				t.Errorf("%+v", o)
			}
			if confirmed, _, err := s.runner.Confirm(t.Context(), request); !confirmed || err != nil {
				t.Error(confirmed, err)
			}
		})
	}
	group.Wait()
}

func TestALieIsNotConfirmed(t *testing.T) {
	zipped := func(text string) string {
		var b strings.Builder
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return b.String()
	}
	for name, test := range map[string]struct{ kind, text, reason string }{
		"done, says the answer, and it is not": {"application/json", `{"version":"v7","status":"ok"}`, ""},
		"a page with the version":              {"text/html", `<html>{"version":"v6"}</html>`, "no JSON"},
		"two documents":                        {"application/json", `{"version":"v6"}{"version":"v7"}`, "more than one"},
		"the version one level too deep":       {"application/json", `{"data":{"version":"v6"}}`, ""},
		"a list around it":                     {"application/json", `[{"version":"v6"}]`, ""},
		"nothing":                              {"application/json", ``, "no JSON"},
		"half of it":                           {"application/json", `{"version":"v6"`, "no JSON"},
		"compressed, though nobody asked":      {"application/json", zipped(`{"version":"v6"}`), "no JSON"},
		"a bomb":                               {"application/json", `{"version":"v6","x":"` + strings.Repeat("x", answerBytes) + `"}`, "larger than 256 KiB"},
		"nested without end":                   {"application/json", strings.Repeat("[", 100_000), "no JSON"},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", test.kind)
			_, _ = io.WriteString(w, test.text)
		})
		confirmed, _, err := s.runner.Confirm(t.Context(), s.request(t))
		if confirmed || (err == nil) != (test.reason == "") || err != nil && !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: %v %v", name, confirmed, err)
		}
	}
	for _, status := range []int{201, 302, 404, 500} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"version":"v6"}`)
		})
		if confirmed, _, err := s.runner.Confirm(t.Context(), s.request(t)); confirmed != (status == 201) || (err == nil) != (status == 201) {
			t.Errorf("%d: %v %v", status, confirmed, err)
		}
	}
}

func TestNothingButAGetIsSentBeforeAnApproval(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, `{"version":"v6"}`) })
	call := setLabel()
	call.Action.Confirm.Method = "POST"
	request, err := s.renders.Render(call, values)
	if err != nil {
		t.Fatal(err)
	}
	if seen, err := s.runner.Observe(t.Context(), request); err != nil || seen != (Observation{}) || s.requests.Load() != 0 {
		t.Errorf("%+v %v, %d requests", seen, err, s.requests.Load())
	}
	if confirmed, _, err := s.runner.Confirm(t.Context(), request); err != nil || !confirmed {
		t.Error(confirmed, err)
	}
	request.Confirm = nil
	if seen, err := s.runner.Observe(t.Context(), request); err != nil || seen != (Observation{}) {
		t.Error(seen, err)
	}
	if _, _, err := s.runner.Confirm(t.Context(), request); err != ErrNoConfirm { //nolint:errorlint // it is the very error
		t.Error(err)
	}
}

func TestTheLastGateHoldsWhateverTheRequestSays(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
	for _, change := range []func(*Request){
		func(r *Request) { r.URL = strings.Replace(r.URL, "/labels/", "/admin/", 1) },
		func(r *Request) { r.URL = "http://evil.example/labels/live" },
		func(r *Request) { r.URL = strings.Replace(r.URL, "http://", "http://evil.example@", 1) },
		func(r *Request) { r.URL = s.URL + "@evil.example/labels/live" },
		func(r *Request) { r.URL = s.URL + "/labels/../admin" },
		func(r *Request) { r.URL = s.URL + "/labels/%00" },
		func(r *Request) { r.Method = "DELETE" },
		func(r *Request) { r.Connector = "gone" },
	} {
		request := s.request(t)
		change(request)
		if o := s.runner.Do(t.Context(), request, "a"); o.State != Refused {
			t.Errorf("%s %s: %+v", request.Method, request.URL, o)
		}
	}
	for _, attempt := range []string{"", "a\r\nX-Admin: 1"} {
		if o := s.runner.Do(t.Context(), s.request(t), attempt); o.State != Refused {
			t.Errorf("attempt %q: %+v", attempt, o)
		}
	}
}

func TestNoProxyOfTheEnvironmentIsUsed(t *testing.T) {
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	transport, err := Connector{URL: "https://c.internal"}.transport()
	if err != nil || transport.Proxy != nil { // loopback never goes through one
		t.Error("a proxy is asked for")
	}
	if !transport.DisableKeepAlives {
		t.Error("a connection may be used again, and what was sent on it be sent anew")
	}
}

// nameserver answers each question for an address with the next of its answers, as a name does that is being rebound.
func nameserver(t *testing.T, answers ...[4]byte) *net.Resolver {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = packets.Close() })
	go func() {
		buffer, asked := make([]byte, 512), 0
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo(nameAnswer(buffer[:n], answers, &asked), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", packets.LocalAddr().String())
	}}
}

// nameAnswer answers a DNS question (RFC 1035): A with an address, anything else with nothing.
func nameAnswer(question []byte, answers [][4]byte, asked *int) []byte {
	end := 12
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the root, type, class
	isA := question[end-3] == 1
	reply := append([]byte{}, question[:end]...)
	reply[2], reply[3] = 0x84, 0
	reply[6], reply[7], reply[8], reply[9], reply[10], reply[11] = 0, 0, 0, 0, 0, 0
	if isA {
		ip := answers[min(*asked, len(answers)-1)]
		*asked++
		reply[7] = 1
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ip[0], ip[1], ip[2], ip[3])
	}
	return reply
}

func TestANameThatIsReboundReachesNothing(t *testing.T) {
	previous := net.DefaultResolver
	net.DefaultResolver = nameserver(t, [4]byte{127, 0, 0, 1}, [4]byte{169, 254, 169, 254})
	defer func() { net.DefaultResolver = previous }()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	s.reach(t, "https://rebound.example:"+port, "")
	// The first time the name is an honest one: the service there just speaks no TLS.
	if o := s.do(t); o.State != Unsent {
		t.Errorf("%+v", o)
	}
	o := s.do(t)
	if o.State != Refused || o.Reason != "the host's address is 169.254.169.254, a link-local address: connectors may not reach it" {
		t.Errorf("%+v", o)
	}
	if _, again := o.Repeat(s.request(t), 1); again {
		t.Error("it would be tried again")
	}
	if _, err := s.runner.Observe(t.Context(), s.request(t)); err == nil || !strings.Contains(err.Error(), "link-local") {
		t.Error(err)
	}
}

func TestPlainHTTPStaysOnThisMachine(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
	s.renders["prompts"] = Connector{Name: "prompts", URL: "http://10.255.255.1", Allow: []string{"PUT /labels/*", "GET /labels/*"}}
	if _, err := s.renders.Render(setLabel(), values); err == nil {
		t.Error("http to elsewhere")
	}
	if err := checkAddress("10.1.2.3:80", true); err == nil || !strings.Contains(err.Error(), "not https") {
		t.Error(err)
	}
}

func TestWhichAddressesMayBeReached(t *testing.T) {
	for address, why := range map[string]string{
		"127.0.0.1": "", "10.1.2.3": "", "192.168.0.1": "", "172.16.0.9": "", "100.64.0.1": "", "1.1.1.1": "", "::1": "", "fd12:3456::1": "", "2606:4700::1111": "",
		"169.254.169.254": "link-local", "169.254.170.2": "link-local", "fe80::1": "link-local", "fe80::1%lo": "link-local", "::ffff:169.254.169.254": "link-local",
		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified", "224.0.0.1": "multicast", "ff02::1": "multicast", "239.1.2.3": "multicast",
		"255.255.255.255": "broadcast", "fd00:ec2::254": "metadata", "168.63.129.16": "metadata", "::ffff:168.63.129.16": "metadata", "100.100.100.200": "metadata", "fd20:ce::254": "metadata",
		"64:ff9b::a9fe:a9fe": "link-local", "2002:a9fe:a9fe::1": "link-local", "::169.254.169.254": "link-local", "64:ff9b::808:808": "", "192.0.0.192": "metadata",
	} {
		err := checkAddress(net.JoinHostPort(address, "443"), false)
		if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestTheHeadersOfARequestAreWhole(t *testing.T) {
	// Read from the wire, so that nothing in between tidies up.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	lines := make(chan []string, 1)
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		var all []string
		for scanner := bufio.NewScanner(connection); scanner.Scan() && scanner.Text() != ""; {
			all = append(all, scanner.Text())
		}
		_, _ = io.WriteString(connection, "HTTP/1.1 204 No Content\r\n\r\n")
		lines <- all
	}()
	s := &service{}
	s.reach(t, "http://"+listener.Addr().String(), "")
	call := setLabel()
	call.Action.Path, call.Action.Confirm = "/labels/{{ .Previous }}", nil
	request, err := s.renders.Render(call, Values{Previous: "a b%0d%0aX-Admin: 1", Current: "v7", Service: "bot"})
	if err != nil {
		t.Fatal(err)
	}
	if o := s.runner.Do(t.Context(), request, "a"); o.State != Applied {
		t.Fatalf("%+v", o)
	}
	all := <-lines
	if all[0] != "PUT /labels/a%20b%250d%250aX-Admin:%201 HTTP/1.1" || slices.ContainsFunc(all[1:], func(l string) bool { return strings.HasPrefix(l, "X-Admin") }) {
		t.Errorf("%q", all)
	}
}
