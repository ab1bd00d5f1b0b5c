//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// These tests try the harness itself, without the daemon: a harness that breaks nothing proves nothing.

func TestPrometheusSeesWhatTheBotDoes(t *testing.T) {
	t.Parallel()
	r := &railway{t: t, scale: usualScale, bot: startBot(t, "support-bot", "sales-bot")}
	r.prometheus = startPrometheus(t, r.bot.server)
	r.waitForHistory()

	share := func() float64 {
		now := time.Now()
		points, err := r.prometheus.history(refusalShare("support-bot"), now.Add(-3*time.Second), now)
		if err != nil || len(points) == 0 {
			return -1
		}
		return points[len(points)-1].value
	}
	near := func(want float64) func() (float64, error) {
		return func() (float64, error) {
			if got := share(); got < want-0.002 || got > want+0.002 {
				return got, errors.New("the share is another")
			}
			return want, nil
		}
	}
	eventually(t, 5*time.Second, "4% refused", near(0.04))
	began := r.breach()
	crossed := r.waitForBreach(began)
	if crossed.Before(began) || crossed.Nanosecond() != 0 {
		t.Errorf("past the limit at %s, want a whole second after %s", crossed, began)
	}
	eventually(t, 8*time.Second, "30% refused", near(0.30))

	r.prometheus.kill()
	r.prometheus.start()
	r.heal()
	eventually(t, 12*time.Second, "4% refused, after a restart", near(0.04))
	if again, err := r.breachBegan(began); err != nil || !again.Equal(crossed) {
		t.Errorf("after a restart past the limit at %s (%v), want as before %s", again, err, crossed)
	}
}

func TestFaultsOfTheWayToPrometheus(t *testing.T) {
	t.Parallel()
	prometheus := startPrometheus(t, startBot(t, "support-bot").server)
	way := startFaultProxy(t, prometheus.url)
	query := way.server.URL + "/api/v1/query?query=1"
	impatient := &http.Client{Timeout: 500 * time.Millisecond}
	ask := func() (int, []byte, error) {
		response, err := impatient.Get(query)
		if err != nil {
			return 0, nil, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return response.StatusCode, body, err
	}

	if status, body, err := ask(); err != nil || status != http.StatusOK || !json.Valid(body) {
		t.Errorf("without a fault: %d %s %v", status, body, err)
	}
	way.set(closesAtOnce)
	if _, _, err := ask(); err == nil {
		t.Error("closes at once: no error")
	}
	way.set(unavailable)
	if status, _, err := ask(); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("unavailable: %d %v", status, err)
	}
	way.set(hangs)
	var timeout net.Error
	if _, _, err := ask(); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("hangs: %v, want a timeout", err)
	}
	way.set(answersHalfJSON)
	if status, body, err := ask(); err != nil || status != http.StatusOK || len(body) == 0 || json.Valid(body) {
		t.Errorf("half JSON: %d %s %v", status, body, err)
	}
	way.set(noFault)
	if status, body, err := ask(); err != nil || status != http.StatusOK || !json.Valid(body) {
		t.Errorf("without a fault again: %d %s %v", status, body, err)
	}
	prometheus.kill()
	if _, _, err := ask(); err == nil {
		t.Error("Prometheus is gone: no error")
	}
}

func TestAlertmanagerTellsTheTest(t *testing.T) {
	t.Parallel()
	am := startAlertmanager(t)
	post := func(ends time.Time) {
		alert := []map[string]any{{
			"labels":   map[string]string{"alertname": "good-users-refused", "round": "1"},
			"startsAt": time.Now().Add(-time.Minute), "endsAt": ends,
		}}
		if status, answer := (&daemon{t: t, url: am.url, client: client}).post("/api/v2/alerts", alert); status != http.StatusOK {
			t.Fatalf("post an alert: %d: %s", status, answer)
		}
	}
	notified := func(status string) {
		t.Helper()
		eventually(t, 10*time.Second, status, func() (struct{}, error) {
			if len(am.notified(status)) != 1 {
				return struct{}{}, errNotYet
			}
			return struct{}{}, nil
		})
	}
	post(time.Now().Add(time.Hour))
	notified("firing")
	if err := am.showsAlerts(1); err != nil {
		t.Error(err)
	}
	post(time.Now().Add(-time.Millisecond))
	notified("resolved")
	if err := am.showsAlerts(0); err != nil {
		t.Error(err)
	}
}
