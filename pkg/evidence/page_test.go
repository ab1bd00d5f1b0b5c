package evidence_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/evidence"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

func TestAStatusPage(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{
			"a page of statuspage.io says its indicator", 200, `{"page":{"name":"P"},"status":{"indicator":"none","description":"All Systems Operational"}}`,
			"127.0.0.1: All Systems Operational (none)",
		},
		{
			"its summary names the incidents that are not over", 200,
			`{"status":{"indicator":"major","description":"Partial System Outage"},"incidents":[
				{"name":"Elevated <b>errors</b> &amp; delays","status":"investigating","impact":"major"},{"name":"Old","status":"resolved","impact":"minor"},{"name":"Slow"}, 7, null]}`,
			"127.0.0.1: Partial System Outage (major)\nElevated errors & delays (investigating, major)\nSlow",
		},
		{"another page says its own words", 200, `{"page":{"name":"P","status":"UP"},"description":"fine","z":{"state":"green"}}`, "127.0.0.1: HTTP 200, status UP, state green, fine"},
		{"the text nearest to the root counts", 200, `{"a":{"status":"inner"},"status":"outer"}`, "127.0.0.1: HTTP 200, status outer"},
		{"a page that says nothing of it is told", 200, `{"hello":"world","status":7}`, "127.0.0.1: HTTP 200, nothing in it says status, state or description"},
		{"a page that is broken itself is a finding", 503, `<html><h1>Service Unavailable</h1>`, "127.0.0.1: HTTP 503, and an answer that is no JSON object"},
		{"what a broken page still says is kept", 500, `{"status":{"indicator":"critical","description":"Down"}}`, "127.0.0.1: HTTP 500, Down (critical)"},
		{"a list is no object", 200, `[{"status":"x"}]`, "127.0.0.1: HTTP 200, and an answer that is no JSON object"},
		{"control characters and what can't be seen go", 200, `{"status":{"indicator":"minor\u0000","description":"a\u202eb\n\u0007c <script>x</script>\u200b"}}`, "127.0.0.1: a b c x (minor)"},
		{"an answer without an end is an error", 200, `{"status":"` + strings.Repeat("x", 10<<20) + `"}`, "!127.0.0.1: HTTP 200, and an answer larger than 256 KiB"},
		{"a long text is cut", 200, `{"status":"` + strings.Repeat("x", 100<<10) + `"}`, "127.0.0.1: HTTP 200, status " + strings.Repeat("x", 159) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.RequestURI() != "/api/v2/summary.json?token=s3cret" || r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
					t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
			}))
			defer server.Close()
			address := strings.Replace(server.URL, "http://", "http://user:s3cret@", 1) + "/api/v2/summary.json?token=s3cret#f"
			found := evidence.New(evidence.Config{}).Gather(t.Context(), runbook.Evidence{HTTP: address}, about())
			text := found.Text
			if found.Err != "" {
				text += "!" + found.Err
			}
			same(t, "text", text, c.want)
			if values, err := json.Marshal(found.Values); err != nil || strings.Contains(string(values), "s3cret") || len(values) > 16<<10 {
				t.Errorf("values %s, %v", values, err)
			}
		})
	}
}

func TestAPageWithHundredsOfIncidentsIsBounded(t *testing.T) {
	var all []string
	for n := range 300 {
		all = append(all, fmt.Sprintf(`{"name":"%d %s","status":"identified"}`, n, strings.Repeat("n", 500)))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"status":{"indicator":"major"},"incidents":[%s]}`, strings.Join(all, ","))
	}))
	defer server.Close()
	found := evidence.New(evidence.Config{}).Gather(t.Context(), runbook.Evidence{HTTP: server.URL}, about())
	values := found.Values.(*evidence.PageValues)
	lines := strings.Split(found.Text, "\n")
	if len(found.Text) > 1<<10 || len(values.Incidents) != 20 || values.More != 280 || lines[len(lines)-1] != fmt.Sprintf("and %d more", 300-(len(lines)-2)) {
		t.Errorf("%d bytes, %d incidents and %d more:\n%s", len(found.Text), len(values.Incidents), values.More, found.Text)
	}
}

func TestRedirectsOfAStatusPage(t *testing.T) {
	plainly := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"plain"}`) }))
	defer plainly.Close()
	var loops atomic.Int32
	safe := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Referer")+r.Header.Get("Authorization")+r.Header.Get("Cookie") != "" {
			t.Errorf("a redirect was followed with %v", r.Header)
		}
		w.Header().Set("Set-Cookie", "a=b")
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "https://user:pass@"+r.Host+"/page", http.StatusMovedPermanently)
		case "/away":
			http.Redirect(w, r, plainly.URL, http.StatusFound)
		case "/another":
			http.Redirect(w, r, "https://"+strings.Replace(r.Host, "127.0.0.1", "localhost", 1)+"/page", http.StatusFound)
		case "/port":
			http.Redirect(w, r, strings.Replace(plainly.URL, "http:", "https:", 1), http.StatusFound)
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/loop":
			loops.Add(1)
			http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
		default:
			fmt.Fprint(w, `{"status":"ok"}`)
		}
	}))
	defer safe.Close()
	safely := safe.Client().Transport
	const elsewhere = "127.0.0.1: it redirects elsewhere; only the same host, by https or as before, is followed"
	for path, want := range map[string]string{
		"/moved":   "127.0.0.1: HTTP 200, status ok",
		"/away":    elsewhere,
		"/another": elsewhere,
		"/port":    elsewhere,
		"/file":    elsewhere,
		"/loop":    "127.0.0.1: it redirects more than 3 times",
	} {
		found := evidence.New(evidence.Config{HTTP: safely}).Gather(t.Context(), runbook.Evidence{HTTP: safe.URL + path + "?token=t"}, about())
		same(t, path, found.Text+found.Err, want)
	}
	if loops.Load() != 4 {
		t.Errorf("a loop was gone through %d times", loops.Load())
	}
}

// recorder keeps the addresses of the requests.
type recorder struct{ asked []string }

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.asked = append(r.asked, request.URL.String())
	return nil, io.EOF
}

func TestUserAndPasswordOfAnAddressAreNotHandedOn(t *testing.T) {
	var r recorder
	found := evidence.New(evidence.Config{HTTP: &r}).Gather(t.Context(), runbook.Evidence{HTTP: "https://user:s3cret@status.example/x?y=z#f"}, about())
	same(t, "asked", strings.Join(r.asked, " "), "https://status.example/x?y=z")
	same(t, "error", found.Err, "status.example: the connection was cut before a whole answer came")
}

func TestAddressesThatMayNotBeAsked(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("https://169.254.169.254/latest/meta-data", http.StatusFound))
	defer server.Close()
	g := evidence.New(evidence.Config{Timeout: 5 * time.Second})
	for address, want := range map[string]string{
		"http://169.254.169.254/latest/meta-data": "169.254.169.254: the host's address is 169.254.169.254, a link-local address: it may not be asked",
		server.URL:                 "127.0.0.1: it redirects elsewhere; only the same host, by https or as before, is followed",
		"https://[fd00:ec2::254]/": "fd00:ec2::254: the host's address is fd00:ec2::254, a metadata address: it may not be asked",
	} {
		found := g.Gather(t.Context(), runbook.Evidence{HTTP: address}, about())
		same(t, address, found.Text+found.Err, want)
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	found := evidence.New(evidence.Config{}).Gather(t.Context(), runbook.Evidence{HTTP: server.URL + "/s3cret"}, about())
	same(t, "error", found.Text+found.Err, "127.0.0.1: connection refused")
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	found = evidence.New(evidence.Config{}).Gather(t.Context(), runbook.Evidence{HTTP: untrusted.URL}, about())
	same(t, "error", found.Text+found.Err, "127.0.0.1: the host's certificate is not trusted")
}

// hanging answers when its context is done.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestAPageThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		found := evidence.New(evidence.Config{HTTP: hanging{}}).Gather(t.Context(), runbook.Evidence{HTTP: "https://status.example/x"}, about())
		same(t, "error", found.Text+found.Err, "status.example: no answer within 10s")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %s", took)
		}
	})
}
