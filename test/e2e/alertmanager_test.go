//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// alertmanagerServer is a real Alertmanager whose only receiver is the test, which so sees what a person would get.
type alertmanagerServer struct {
	*process
	url  string
	sink *httptest.Server

	mutex         sync.Mutex
	notifications []alertNotification
}

// alertNotification is what Alertmanager tells a receiver, once for each alert.
type alertNotification struct {
	at           time.Time
	Status       string            `json:"status"` // firing or resolved
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	GeneratorURL string            `json:"generatorURL"`
}

func startAlertmanager(t testing.TB) *alertmanagerServer {
	t.Helper()
	a := &alertmanagerServer{}
	a.sink = httptest.NewServer(http.HandlerFunc(a.receive))
	t.Cleanup(a.sink.Close)
	folder, address := t.TempDir(), freeAddress(t)
	a.url = "http://" + address
	writeFile(t, filepath.Join(folder, "alertmanager.yml"), fmt.Sprintf(`
route: {receiver: test, group_by: ['...'], group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}
receivers: [{name: test, webhook_configs: [{url: %q, send_resolved: true}]}]
`, a.sink.URL))
	a.process = startProcess(t, filepath.Join(folder, "log"), programs.alertmanager,
		"--config.file="+filepath.Join(folder, "alertmanager.yml"),
		"--storage.path="+filepath.Join(folder, "data"),
		"--web.listen-address="+address,
		"--cluster.listen-address=",
		"--log.level=warn")
	a.waitUntilReady(client, a.url+"/-/ready")
	return a
}

func (a *alertmanagerServer) receive(w http.ResponseWriter, r *http.Request) {
	var batch struct {
		Alerts []alertNotification `json:"alerts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for _, alert := range batch.Alerts {
		alert.at = time.Now()
		a.notifications = append(a.notifications, alert)
	}
}

// notified lists what was notified with a status, in the order of arrival.
func (a *alertmanagerServer) notified(status string) []alertNotification {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	var found []alertNotification
	for _, n := range a.notifications {
		if n.Status == status {
			found = append(found, n)
		}
	}
	return found
}

// shownAlert is an alert in Alertmanager's API: one that has not ended.
type shownAlert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	GeneratorURL string            `json:"generatorURL"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
}

func (a *alertmanagerServer) shown() ([]shownAlert, error) {
	var alerts []shownAlert
	err := getJSON(client, a.url+"/api/v2/alerts", &alerts)
	return alerts, err
}

// showsAlerts is nil when Alertmanager shows exactly so many.
func (a *alertmanagerServer) showsAlerts(want int) error {
	alerts, err := a.shown()
	if err == nil && len(alerts) != want {
		err = fmt.Errorf("alertmanager shows %d alerts, want %d: %v", len(alerts), want, alerts)
	}
	return err
}
