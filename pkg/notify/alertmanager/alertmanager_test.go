package alertmanager_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/alertmanager"
	"github.com/irdaemon/irdaemon/pkg/notify/notifytest"
)

// alert is as the v2 API's documentation has it.
type alert struct {
	Labels       map[string]string
	Annotations  map[string]string
	StartsAt     time.Time
	EndsAt       time.Time
	GeneratorURL string
}

func decode(t *testing.T, body []byte) []alert {
	t.Helper()
	var alerts []alert
	if err := json.Unmarshal(body, &alerts); err != nil {
		t.Errorf("%v: %s", err, body)
	}
	return alerts
}

// identity is a label set in one string: what Alertmanager knows an alert by.
func identity(t *testing.T, labels map[string]string) string {
	t.Helper()
	key, err := json.Marshal(labels)
	if err != nil {
		t.Fatal(err)
	}
	return string(key)
}

// replica is a small Alertmanager: it checks what the API checks, and keeps what it is sent.
type replica struct {
	t      *testing.T
	mu     sync.Mutex
	posts  [][]alert
	alerts map[string]alert
}

func newReplica(t *testing.T) (*replica, string) {
	r := &replica{t: t, alerts: map[string]alert{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, server.URL
}

func (r *replica) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil || request.Method != http.MethodPost || request.URL.Path != "/api/v2/alerts" {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	if request.Header.Get("Content-Type") != "application/json" {
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	posted := decode(r.t, body)
	for _, a := range posted {
		if a.Labels["alertname"] == "" || a.StartsAt.IsZero() || a.EndsAt.Before(a.StartsAt) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `"start time must be before end time"`)
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.posts = append(r.posts, posted)
	for _, a := range posted {
		r.alerts[identity(r.t, a.Labels)] = a
	}
}

// firing gives the rounds whose alert stands at a time.
func (r *replica) firing(at time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rounds []string
	for _, a := range r.alerts {
		if a.EndsAt.After(at) {
			rounds = append(rounds, a.Labels["round"])
		}
	}
	return strings.Join(rounds, " ")
}

func receiver(t *testing.T, urls ...string) *alertmanager.Receiver {
	t.Helper()
	r, err := alertmanager.New(alertmanager.Config{URLs: urls, Instance: "production"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConformance(t *testing.T) {
	notifytest.Run(t, notifytest.Case{
		New: func(t *testing.T, address string) notify.Receiver {
			r, err := alertmanager.New(alertmanager.Config{
				URLs: []string{address + "/"}, Instance: "production",
				HTTPClient: promconfig.HTTPClientConfig{
					FollowRedirects: true, // the settings' default; a delivery never does
					BasicAuth:       &promconfig.BasicAuth{Username: "irdaemon", Password: "canary-password"},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			return r
		},
		Read: func(t *testing.T, sent notify.Message, r *http.Request, body []byte) []notifytest.Seen {
			if want := notifytest.Path + "/api/v2/alerts"; r.URL.Path != want {
				t.Errorf("posted to %s, want %s", r.URL.Path, want)
			}
			if _, password, _ := r.BasicAuth(); password != "canary-password" {
				t.Errorf("password %q", password)
			}
			var seen []notifytest.Seen
			for _, a := range decode(t, body) {
				seen = append(seen, notifytest.Seen{Key: identity(t, a.Labels), Ended: !a.EndsAt.After(sent.SentAt)})
			}
			return seen
		},
		Secrets: []string{"canary-password", "aXJkYWVtb246Y2FuYXJ5LXBhc3N3b3Jk"},
	})
}

func TestAnAlertTellsTheIncident(t *testing.T) {
	am, url := newReplica(t)
	m := notifytest.Page()
	if result := receiver(t, url).Deliver(t.Context(), m); result.Outcome != notify.Delivered || result.Detail != "" {
		t.Fatalf("%+v", result)
	}
	got := am.posts[0][0]
	want := map[string]string{
		"alertname": "good-users-refused", "service": "support-bot", "severity": "sev2", "owner": "ml-platform-oncall",
		"incident": m.Incident.ID, "number": "42", "round": "1", "instance": "production", "tier": "paid",
	}
	if identity(t, got.Labels) != identity(t, want) {
		t.Errorf("labels %v, want %v", got.Labels, want)
	}
	if got.Annotations["summary"] != m.Title || got.Annotations["description"] != m.Text ||
		got.Annotations["runbook"] != m.Incident.Runbook || got.Annotations["title"] != m.Incident.Title {
		t.Errorf("annotations %v", got.Annotations)
	}
	if got.GeneratorURL != m.Incident.URL || !got.StartsAt.Equal(m.StartedAt) || !got.EndsAt.Equal(m.SentAt.Add(4*time.Minute)) {
		t.Errorf("%s, from %s to %s", got.GeneratorURL, got.StartsAt, got.EndsAt)
	}
}

func TestOneAlertOfAnIncidentStandsAtATime(t *testing.T) {
	am, url := newReplica(t)
	r := receiver(t, url)
	for _, step := range []struct {
		m    notify.Message
		want string
	}{{notifytest.Page(), "1"}, {notifytest.Escalation(), "1"}, {notifytest.NextRound(), "2"}} {
		if result := r.Deliver(t.Context(), step.m); result.Outcome != notify.Delivered {
			t.Fatalf("%+v", result)
		}
		if got := am.firing(step.m.SentAt); got != step.want {
			t.Errorf("round %d, step %d: %q stands, want %q", step.m.Round, step.m.Step, got, step.want)
		}
	}
	if len(am.posts[2]) != 2 {
		t.Errorf("the older round's end came in another request: %v", am.posts[2])
	}
	end := notifytest.NextRound()
	end.Kind, end.Ends, end.SentAt = incident.DeliverEnd, nil, end.SentAt.Add(time.Minute)
	r.Deliver(t.Context(), end)
	if got := am.firing(end.SentAt); got != "" {
		t.Errorf("%q stands after the end", got)
	}
}

func TestAnAlertThatIsRepeatedStandsAndOneThatIsNotEnds(t *testing.T) {
	am, url := newReplica(t)
	r := receiver(t, url)
	m := notifytest.Page()
	r.Deliver(t.Context(), m)
	for range 10 {
		m.SentAt = m.SentAt.Add(r.Every())
		if err := r.Keep(t.Context(), []notify.Message{m}); err != nil {
			t.Fatal(err)
		}
	}
	if len(am.alerts) != 1 || am.firing(m.SentAt.Add(3*time.Minute)) != "1" || am.firing(m.SentAt.Add(5*time.Minute)) != "" {
		t.Errorf("%d alerts; 3 and 5 minutes after the last: %q and %q", len(am.alerts),
			am.firing(m.SentAt.Add(3*time.Minute)), am.firing(m.SentAt.Add(5*time.Minute)))
	}
}

func TestReplicas(t *testing.T) {
	answering := func(status int) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `"said by a proxy in between"`)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	am, good := newReplica(t)
	for name, test := range map[string]struct {
		urls   []string
		want   notify.Outcome
		detail string
	}{
		"one that took it is enough, the other is told": {[]string{answering(503), good}, notify.Delivered, "replica 1 of 2: 503 Service Unavailable"},
		"one that may take it later is waited for":      {[]string{answering(404), answering(502)}, notify.Retry, "replica 1 of 2: 404 Not Found; replica 2 of 2: 502 Bad Gateway"},
		"all refuse": {[]string{answering(401), answering(404)}, notify.Refused, "replica 1 of 2: 401 Unauthorized; replica 2 of 2: 404 Not Found"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := receiver(t, test.urls...).Deliver(t.Context(), notifytest.Page()); got.Outcome != test.want || got.Detail != test.detail {
				t.Errorf("%s, %q; want %s, %q", got.Outcome, got.Detail, test.want, test.detail)
			}
		})
	}
	if len(am.posts) != 1 {
		t.Errorf("%d posts to the good replica, want 1", len(am.posts))
	}
}

func TestWhatAlertmanagerSaysOfABadAlertIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		status       int
		answer, want string
	}{
		"a JSON string":            {400, `"start time must be before end time"`, "400 Bad Request: start time must be before end time"},
		"an object with a message": {422, `{"code":601,"message":"generatorURL must be of type uri"}`, "422 Unprocessable Entity: generatorURL must be of type uri"},
		"a page of a proxy":        {400, `<html>`, "400 Bad Request"},
		"an empty answer":          {400, ``, "400 Bad Request"},
		"a very long one":          {400, `"` + strings.Repeat("ä", 500) + `"`, "400 Bad Request: " + strings.Repeat("ä", 200) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.answer)
			}))
			defer server.Close()
			got := receiver(t, server.URL).Deliver(t.Context(), notifytest.Page())
			if got.Outcome != notify.Refused || got.Detail != test.want {
				t.Errorf("%s, %q; want refused, %q", got.Outcome, got.Detail, test.want)
			}
		})
	}
}

func TestAClockThatIsBehindMakesNoAlertThatEndsBeforeItStarts(t *testing.T) {
	_, url := newReplica(t)
	m := notifytest.End()
	m.SentAt = m.StartedAt.Add(-time.Second)
	if got := receiver(t, url).Deliver(t.Context(), m); got.Outcome != notify.Delivered {
		t.Errorf("%+v", got)
	}
}

func TestSettingsThatDoNotFitAreAnErrorAtTheStart(t *testing.T) {
	if _, err := alertmanager.New(alertmanager.Config{}); err == nil {
		t.Error("no address, and no error")
	}
	config := promconfig.HTTPClientConfig{TLSConfig: promconfig.TLSConfig{CAFile: "no/such/ca.pem"}}
	if _, err := alertmanager.New(alertmanager.Config{URLs: []string{"http://am"}, HTTPClient: config}); err == nil || !strings.Contains(err.Error(), "no/such/ca.pem") {
		t.Errorf("error %v", err)
	}
}
