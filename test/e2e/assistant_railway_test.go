//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// rollbackScale is for tests of actions: an incident opens soon, and its hold is over soon.
var rollbackScale = scale{window: 2 * time.Second, hold: 5 * time.Second, acknowledgeWithin: 5 * time.Minute, blindAfter: 10 * time.Second}

// When the newer versions were set, before a test began, and how far back Prometheus knows anything.
const (
	promptAge   = 29 * time.Minute
	indexAge    = 19 * time.Minute
	pastAge     = time.Hour // which versions ran
	countersAge = 2 * time.Minute
)

// newRollbackRailway is newRailway with assistants for a bot, and without the runbooks of the other tests.
func newRollbackRailway(t testing.TB, mode string, bots []*assistant, adjust ...func(*railway)) *railway {
	t.Helper()
	r := &railway{t: t, scale: rollbackScale}
	r.other.alone = true
	r.oncall, r.lead, r.owner = startWebhookReceiver(t), startWebhookReceiver(t), startWebhookReceiver(t)
	r.other.add("runbooks/refusals.yaml", "")
	r.other.add("runbooks/deflection.yaml", "")
	r.other.add("signals/support.yaml", assistantSignals)
	r.other.top = "actions: " + mode + "\n" + detectVersions + "connectors:\n"
	for _, a := range bots {
		r.other.top += fmt.Sprintf("  %s: {url: %q, allow: [\"GET /labels/live\", \"PUT /labels/live\", \"GET /aliases/kb-live\", \"PUT /aliases/kb-live\"]}\n", a.service, a.server.URL)
		r.other.add("runbooks/"+a.service+".yaml", assistantRunbook(a))
	}
	for _, a := range adjust {
		a(r)
	}
	r.prometheus = startPrometheusOf(t, bots)
	r.way = startFaultProxy(t, r.prometheus.url)
	r.daemon = newDaemon(t, r.files)
	return r
}

// detectVersions has the daemon see the versions of all artifacts but the prompt, which people report.
const detectVersions = `
changes:
  since: 24h
  detect:
    - {query: 'count by (service, artifact, version) (llm_artifact_info{artifact!="prompt"} > 0)', artifact: artifact, version: version, service: service}
`

// startPrometheusOf starts a Prometheus that scrapes assistants, and that knows already which versions of theirs ran in
// the last hour, and what they did in the last minutes.
func startPrometheusOf(t testing.TB, bots []*assistant) *prometheusServer {
	t.Helper()
	p := &prometheusServer{t: t, folder: t.TempDir(), address: freeAddress(t)}
	p.url = "http://" + p.address
	var targets []string
	for _, a := range bots {
		targets = append(targets, fmt.Sprintf("%q", a.instance()))
	}
	writeFile(t, filepath.Join(p.folder, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 900ms}
scrape_configs:
  - job_name: bot
    static_configs: [{targets: [%s]}]
`, strings.Join(targets, ", ")))
	writePast(t, filepath.Join(p.folder, "data"), bots)
	p.start()
	return p
}

// writePast writes what assistants did before the test into the data of a Prometheus that does not run yet.
func writePast(t testing.TB, folder string, bots []*assistant) {
	t.Helper()
	db, err := tsdb.Open(folder, nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	appender := db.Appender(t.Context())
	now := time.Now()
	for _, a := range bots {
		if err := a.writePast(appender, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(appender.Commit(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// writePast writes the versions of the last hour, as often as the daemon looks at them, and the counters of the last
// minutes, as often as they are scraped.
func (a *assistant) writePast(appender storage.Appender, now time.Time) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	scraped := labels.NewBuilder(labels.FromStrings("job", "bot", "instance", a.instance(), "service", a.service))
	write := func(at time.Time, name string, value float64, pairs map[string]string) error {
		scraped.Set(model.MetricNameLabel, name)
		for label, value := range pairs {
			scraped.Set(label, value)
		}
		_, err := appender.Append(0, scraped.Labels(), at.UnixMilli(), value)
		for label := range pairs {
			scraped.Del(label)
		}
		return err
	}
	for at := now.Add(-pastAge); at.Before(now); at = at.Add(30 * time.Second) {
		for artifact, version := range a.ran(now.Sub(at)) {
			if err := write(at, "llm_artifact_info", 1, map[string]string{"artifact": artifact, "version": version}); err != nil {
				return err
			}
		}
	}
	for at := now.Add(-countersAge); at.Before(now); at = at.Add(time.Second) {
		a.count(at)
		for series, value := range a.counters {
			if err := write(at, series.metric, value, series.labels()); err != nil {
				return err
			}
		}
	}
	return nil
}

// instance is the label that Prometheus gives what it scrapes.
func (a *assistant) instance() string { return strings.TrimPrefix(a.server.URL, "http://") }

// ran gives the versions that ran some time before the test.
func (a *assistant) ran(before time.Duration) map[string]string {
	versions := maps.Clone(a.versions)
	if before > promptAge {
		versions[promptPointer] = "prompt-v6"
	}
	if before > indexAge {
		versions[indexPointer] = "kb-1"
	}
	return versions
}

const assistantSignals = `
signals:
  refusal_rate:
    title: Refusal rate
    unit: ratio
    worse: up
    range: 4s
    ratio:
      numerator: sum by (service, language) (increase(llm_requests_total{outcome="refused"}[$range]))
      denominator: sum by (service, language) (increase(llm_requests_total[$range]))
  refusal_rate_of_arms:
    title: Refusal rate of arms
    unit: ratio
    worse: up
    range: 4s
    ratio:
      numerator: sum by (service, arm) (increase(llm_arm_requests_total{outcome="refused"}[$range]))
      denominator: sum by (service, arm) (increase(llm_arm_requests_total[$range]))
  refusals_by_intent:
    title: Refusals
    unit: requests_per_second
    worse: up
    range: 4s
    query: sum by (service, intent) (rate(llm_refusals_total[$range]))
  prompt_share:
    title: Share of traffic by prompt
    unit: ratio
    worse: both
    range: 4s
    ratio:
      numerator: sum by (service, version) (increase(llm_prompt_requests_total[$range]))
      denominator: sum by (service) (increase(llm_prompt_requests_total[$range]))
  provider_error_rate:
    title: Provider errors
    unit: ratio
    worse: up
    range: 4s
    ratio:
      numerator: sum by (service) (increase(llm_provider_requests_total{outcome="error"}[$range]))
      denominator: sum by (service) (increase(llm_provider_requests_total[$range]))
  unsafe_answer_rate:
    title: Unsafe answers
    unit: ratio
    worse: up
    range: 4s
    ratio:
      numerator: sum by (service) (increase(llm_unsafe_answers_total[$range]))
      denominator: sum by (service) (increase(llm_requests_total[$range]))
  deflection_rate:
    title: Deflection
    unit: ratio
    worse: down
    range: 4s
    ratio:
      numerator: sum by (service) (increase(support_conversations_closed_total{resolution="bot"}[$range]))
      denominator: sum by (service) (increase(support_conversations_closed_total[$range]))
`

// assistantRunbook is the story's runbook for one assistant, in seconds for its minutes.
func assistantRunbook(a *assistant) string {
	return strings.NewReplacer("SERVICE", a.service, "STATUS", a.server.URL+"/status.json", "HOLD", duration(rollbackScale.hold),
		"WINDOW", duration(rollbackScale.window)).Replace(`
runbook: refused-by-SERVICE
title: The safety layer refuses good users
service: SERVICE
branch: safety-false-positives
trigger:
  any:
    - {signal: refusal_rate, by: [service], above: 15%, for: WINDOW, clears: {below: 10%}}
    - {signal: deflection_rate, below: 32%, for: 6s, clears: {above: 34%}}
severity:
  sev1: {any: [{signal: refusal_rate, above: 60%}]}
  sev2: {any: [{signal: refusal_rate, above: 12%}]}
  default: sev3
owner: llm-oncall
triage:
  - check: Confirm that the refusals are real in English
    evidence: {signal: refusal_rate, where: {language: en}}
  - check: Inspect the blast radius
    evidence: {signal: refusal_rate, by: [language]}
  - check: Check recent changes
    evidence: {changes: 2h}
  - check: Check the provider's errors
    evidence: {signal: provider_error_rate}
  - check: Check the provider's status page
    evidence: {http: "STATUS"}
  - check: Compare control with treatment
    evidence: {signal: refusal_rate_of_arms, compare: {label: arm, control: control, treatment: treatment}}
  - check: Inspect refused intents
    evidence: {signal: refusals_by_intent, by: [intent], top: 2}
  - check: Decide whether user harm is active now
    decide: ["yes", "no"]
rollback:
  - artifact: prompt
    touches: {language: en}
    do: Set the live prompt label back to {{ .Previous }}.
    action:
      connector: SERVICE
      method: PUT
      path: /labels/live
      body: {version: "{{ .Previous }}"}
      semantics: set
      confirm: {method: GET, path: /labels/live, expect: {version: "{{ .Previous }}"}}
    effective: {signal: prompt_share, where: {version: "{{ .Previous }}"}, above: 99%}
    settle: 4s
  - artifact: retrieval_index
    do: Point the alias kb-live at {{ .Previous }}.
    action:
      connector: SERVICE
      method: PUT
      path: /aliases/kb-live
      body: {version: "{{ .Previous }}"}
      semantics: set
      confirm: {method: GET, path: /aliases/kb-live, expect: {version: "{{ .Previous }}"}}
    approval: owner
  - artifact: router_policy
    do: Set the router policy back.
communication:
  internal: "{{ .Severity }} {{ .Title }}: {{ .Impact }} since {{ .StartedAt }}. Owner: {{ .Owner }}."
  customer: Some requests are being refused by mistake.
recovery:
  hold: HOLD
  timeout: 10m
  key: {signal: refusal_rate, below: 6%}
  safety: {signal: unsafe_answer_rate, below: 1%}
  business: {signal: deflection_rate, above: 38%}
postmortem: {due: 5d}
`)
}

// ledIncident is what these tests look at beside what all do.
type ledIncident struct {
	incident
	Suspects []struct {
		Rank   int    `json:"rank"`
		Class  string `json:"class"`
		Reason string `json:"reason"`
		Change struct {
			Artifact string `json:"artifact"`
			From     string `json:"from"`
			To       string `json:"to"`
			Source   string `json:"source"`
			By       string `json:"by"`
		} `json:"change"`
	} `json:"suspects"`
	Excluded []json.RawMessage `json:"excluded"`
	// Unchanged says what did not change, and what nobody would tell of.
	Unchanged []string `json:"unchanged"`
	Artifacts []struct {
		Artifact string `json:"artifact"`
		Version  string `json:"version"`
	} `json:"artifacts"`
	Triage []struct {
		N          int    `json:"n"`
		Evidence   string `json:"evidence"`
		Found      string `json:"found"`
		FoundError string `json:"found_error"`
	} `json:"triage"`
	Rollbacks []struct {
		Artifact string `json:"artifact"`
		From     string `json:"from"`
		To       string `json:"to"`
		Changed  string `json:"changed"`
		Runs     bool   `json:"runs"`
		Effect   string `json:"effect"`
		Next     bool   `json:"next"`
	} `json:"rollbacks"`
	Actions []ledAction `json:"actions"`
}

type ledAction struct {
	ID        string   `json:"id"`
	Step      string   `json:"step"`
	From      string   `json:"from"`
	To        string   `json:"to"`
	State     string   `json:"state"`
	How       string   `json:"how"`
	Why       string   `json:"why"`
	Cause     string   `json:"cause"`
	By        string   `json:"by"`
	Approvers []string `json:"approvers"`
	Effect    *struct {
		Verdict string `json:"verdict"`
	} `json:"effect"`
}

func (d *daemon) led(ref string) (ledIncident, error) {
	var i ledIncident
	err := getJSON(d.client, d.url+"/api/v1/incidents/"+ref, &i)
	return i, err
}

// waitForAction waits until an action of an incident is as wanted.
func (d *daemon) waitForAction(ref, id string, within time.Duration, what string, wanted func(ledAction) bool) ledAction {
	d.t.Helper()
	return eventually(d.t, within, fmt.Sprintf("action %s of %s %s", id, ref, what), func() (ledAction, error) {
		i, err := d.led(ref)
		if err != nil {
			return ledAction{}, err
		}
		for _, a := range i.Actions {
			if a.ID == id && wanted(a) {
				return a, nil
			}
		}
		return ledAction{}, fmt.Errorf("there are %+v", i.Actions)
	})
}

func hasFailed(a ledAction) bool   { return a.State == "failed" }
func isDone(a ledAction) bool      { return a.State == "done" || a.State == "effective" }
func isStarted(a ledAction) bool   { return a.State == "started" }
func isEffective(a ledAction) bool { return a.State == "effective" }
func isMeasured(a ledAction) bool  { return a.Effect != nil }

// changed tells the daemon of the newer prompt, as the pipeline that set it would have.
func (r *railway) changed(service string) {
	r.t.Helper()
	r.daemon.command("change", "prompt", "--service", service, "--from", "prompt-v6", "--to", "prompt-v7", "--by", "alice",
		"--at", time.Now().Add(-promptAge).UTC().Format(time.RFC3339))
}

// pagedFor waits for the page of a service's incident, and gives its number, by which people name it.
func (r *railway) pagedFor(service string) string {
	r.t.Helper()
	return eventually(r.t, r.firesWithin()+10*time.Second, "a page for "+service, func() (string, error) {
		for _, page := range r.oncall.got("incident.page") {
			if page.Data.Incident.Service == service {
				return fmt.Sprint(page.Data.Incident.Number), nil
			}
		}
		return "", errNotYet
	})
}
