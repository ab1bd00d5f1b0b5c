//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// daemon is the program under test, with its files and data in a folder of its own.
type daemon struct {
	*process // of the present start
	t        testing.TB
	program  string
	folder   string
	listen   string
	url      string
	client   *http.Client // with what the daemon asks for of whoever calls it
	// readyAt is when the present start was first seen to be ready.
	readyAt time.Time
}

// newDaemon builds the daemon and writes its files; it is not started yet.
func newDaemon(t testing.TB, files func(listen string) map[string]string) *daemon {
	t.Helper()
	program, err := builtDaemon()
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	d := &daemon{t: t, program: program, folder: t.TempDir(), listen: address, url: "http://" + address, client: client}
	for name, text := range files(address) {
		d.write(name, text)
	}
	return d
}

// write writes one of the daemon's files.
func (d *daemon) write(name, text string) {
	d.t.Helper()
	writeFile(d.t, filepath.Join(d.folder, name), text)
}

// start starts the daemon, again with the same data when it was started before. It does not wait.
func (d *daemon) start() {
	d.t.Helper()
	p := startProcess(d.t, filepath.Join(d.folder, "log"), d.program,
		"run", "--config", filepath.Join(d.folder, "irdaemon.yaml"))
	d.process = p
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.tell()
		}
		if d.process == p && !p.hasExited() {
			if err := p.terminate(); err != nil {
				d.t.Errorf("the daemon did not end with 0 at SIGTERM: %v; its log ends:\n%s", err, p.logTail(40))
			}
		}
	})
}

// startReady starts the daemon and waits until it says that it sees its metrics.
func (d *daemon) startReady() {
	d.t.Helper()
	d.start()
	d.waitUntilReady(d.client, d.url+"/-/ready")
	d.readyAt = time.Now()
}

// tell prints what one wants to see of a failed test.
func (d *daemon) tell() {
	if d.process == nil || d.hasExited() {
		d.t.Logf("the daemon does not run")
	} else if incidents, err := d.incidents(); err != nil {
		d.t.Logf("the daemon's incidents: %v", err)
	} else {
		for _, i := range incidents[:min(len(incidents), 5)] {
			whole, err := d.incident(i.ID)
			d.t.Logf("incident #%d %s %s %s (%v):\n%s", i.Number, i.ID, i.Runbook, i.State, err, whole.story())
		}
		_, runbooks, err := get(d.client, d.url+"/api/v1/runbooks")
		d.t.Logf("how its windows stand (%v): %s", err, runbooks)
	}
	if d.process != nil {
		d.t.Logf("the daemon's log ends:\n%s", d.logTail(60))
	}
}

// incident is what the tests look at of an incident in JSON.
type incident struct {
	ID       string            `json:"id"`
	Number   int               `json:"number"`
	Runbook  string            `json:"runbook"`
	Title    string            `json:"title"`
	Service  string            `json:"service"`
	Group    map[string]string `json:"group"`
	Severity string            `json:"severity"`
	State    string            `json:"state"`
	Owner    string            `json:"owner"`
	Impact   string            `json:"impact"`
	Calling  bool              `json:"calling"`
	Blind    bool              `json:"blind"`

	ImpactStartedAt time.Time `json:"impact_started_at"`
	BreachBegan     time.Time `json:"breach_began"`
	OpenedAt        time.Time `json:"opened_at"`
	DetectedAt      time.Time `json:"detected_at"`
	PagedAt         time.Time `json:"paged_at"`
	AcknowledgedAt  time.Time `json:"acknowledged_at"`
	AcknowledgedBy  string    `json:"acknowledged_by"`
	MitigatedAt     time.Time `json:"mitigated_at"`
	ImpactEndedAt   time.Time `json:"impact_ended_at"`
	ResolvedAt      time.Time `json:"resolved_at"`

	PinnedUntil time.Time `json:"pinned_until"`
	Silenced    []string  `json:"silenced"`
	Called      []string  `json:"called"`
	ReopenedAt  time.Time `json:"reopened_at"`
	Findings    []struct {
		Runbook string `json:"runbook"`
	} `json:"findings"`

	Timeline []timelineEntry `json:"timeline"`
}

// timelineEntry is an event of an incident.
type timelineEntry struct {
	Seq        int64     `json:"seq"`
	At         time.Time `json:"at"`
	RecordedAt time.Time `json:"recorded_at"`
	Kind       string    `json:"kind"`
	Actor      string    `json:"actor"`
	Text       string    `json:"text"`
}

// story is the timeline, an event a line.
func (i incident) story() string {
	var lines strings.Builder
	for _, e := range i.Timeline {
		fmt.Fprintf(&lines, "  %s %s by %s: %s\n", e.At.Format("15:04:05.000"), e.Kind, e.Actor, e.Text)
	}
	return lines.String()
}

// times of the events of a kind.
func (i incident) times(kind string) []time.Time {
	var times []time.Time
	for _, e := range i.Timeline {
		if e.Kind == kind {
			times = append(times, e.At)
		}
	}
	return times
}

// incidents lists all incidents, ended ones too.
func (d *daemon) incidents() ([]incident, error) {
	var list struct {
		Incidents []incident `json:"incidents"`
	}
	err := getJSON(d.client, d.url+"/api/v1/incidents", &list)
	return list.Incidents, err
}

func (d *daemon) incident(id string) (incident, error) {
	var i incident
	err := getJSON(d.client, d.url+"/api/v1/incidents/"+id, &i)
	return i, err
}

// hasIncidents is nil when there are exactly so many, ended ones counted too.
func (d *daemon) hasIncidents(want int) error {
	incidents, err := d.incidents()
	if err == nil && len(incidents) != want {
		err = fmt.Errorf("%d incidents, want %d", len(incidents), want)
	}
	return err
}

// waitForState waits until an incident is in a state and gives it whole.
func (d *daemon) waitForState(id, state string, within time.Duration) incident {
	d.t.Helper()
	return eventually(d.t, within, "the incident is "+state, func() (incident, error) {
		i, err := d.incident(id)
		if err == nil && i.State != state {
			err = fmt.Errorf("its state is %s", i.State)
		}
		return i, err
	})
}

// post sends a command and gives the answer's status and body.
func (d *daemon) post(path string, body any) (int, string) {
	d.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		d.t.Fatal(err)
	}
	response, err := d.client.Post(d.url+path, "application/json", bytes.NewReader(text))
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func (d *daemon) acknowledge(id, by string) {
	d.t.Helper()
	status, answer := d.post("/api/v1/incidents/"+id+"/acknowledge", map[string]string{"by": by})
	if status/100 != 2 {
		d.t.Fatalf("acknowledge: %d: %s", status, answer)
	}
}

// command runs the program as a person would, against this daemon.
func (d *daemon) command(arguments ...string) string {
	d.t.Helper()
	command := exec.Command(d.program, arguments...)
	command.Env = append(command.Environ(), "IRDAEMON_URL="+d.url)
	output, err := command.CombinedOutput()
	if err != nil {
		d.t.Fatalf("irdaemon %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

func (d *daemon) hangUp() {
	d.t.Helper()
	d.signal(syscall.SIGHUP)
}

// metric adds up the series of a metric that carry a label, given as name and value, or all of them without one.
// A metric that is not there is an error: an expectation of 0 must not come true by a wrong name.
func (d *daemon) metric(name string, label ...string) (float64, error) {
	_, page, err := get(d.client, d.url+"/metrics")
	if err != nil {
		return 0, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return 0, err
	}
	family, found := families[name]
	if !found {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	sum := 0.0
	for _, series := range family.GetMetric() {
		matches := len(label) == 0
		for _, pair := range series.GetLabel() {
			matches = matches || pair.GetName() == label[0] && pair.GetValue() == label[1]
		}
		if matches {
			sum += series.GetGauge().GetValue() + series.GetCounter().GetValue()
		}
	}
	return sum, nil
}

// metricIs is nil when a metric's sum satisfies want.
func (d *daemon) metricIs(name string, want func(float64) bool, label ...string) error {
	value, err := d.metric(name, label...)
	if err == nil && !want(value) {
		err = fmt.Errorf("%s%v is %v", name, label, value)
	}
	return err
}

// readiness gives status and body of the readiness page.
func (d *daemon) readiness() (int, string, error) {
	status, body, err := get(d.client, d.url+"/-/ready")
	return status, string(body), err
}

func (d *daemon) isReady() error {
	status, body, err := d.readiness()
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d: %s", status, body)
	}
	return err
}
