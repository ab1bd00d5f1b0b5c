//go:build e2e

package e2e_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
)

// interval is how often the daemons of these tests evaluate. Prometheus scrapes as often.
const interval = time.Second

// slack is what a moment may be late beyond what the daemon promises: a tick that comes just before the scrape of
// its second is committed sees that sample one tick later, and a busy machine takes its part.
const slack = interval + 500*time.Millisecond

// busy is what is waited beyond that for something that must come, on a machine that has many other things to do: it
// costs nothing where it comes in time.
const busy = 10 * time.Second

// signalRange is the range of the signals: four scrapes.
const signalRange = 4 * time.Second

// refusalShare is the expression behind the trigger of these tests, one service's, for asking Prometheus itself.
func refusalShare(service string) string {
	return fmt.Sprintf(`sum(increase(llm_requests_total{service=%[1]q,outcome="refused"}[4s])) / sum(increase(llm_requests_total{service=%[1]q}[4s]))`, service)
}

// refusalLimit is the trigger's limit.
const refusalLimit = 0.15

// scale is how long things last in a test: runbooks of minutes and hours, played in seconds.
type scale struct {
	window            time.Duration // the trigger's for
	hold              time.Duration // the recovery's
	acknowledgeWithin time.Duration
	blindAfter        time.Duration
}

var usualScale = scale{window: 6 * time.Second, hold: 8 * time.Second, acknowledgeWithin: time.Minute, blindAfter: 3 * time.Second}

// railway is everything between a bot and the people who are paged.
type railway struct {
	t            testing.TB
	scale        scale
	bot          *bot
	prometheus   *prometheusServer
	way          *faultProxy // between the daemon and Prometheus
	alertmanager *alertmanagerServer
	oncall, lead *webhookReceiver
	owner        *webhookReceiver // of the daemon itself: hears of its own troubles alone
	other        settings
	daemon       *daemon
}

// settings are what a test wants otherwise than usual.
type settings struct {
	alone     bool              // without an Alertmanager
	scheme    string            // https where the daemon has a certificate; empty: http
	web       string            // more keys of web
	roles     string            // all of them, instead of the usual ones
	receivers string            // beside the usual ones
	top       string            // more keys of the top
	files     map[string]string // beside the usual ones, or instead of them; an empty one is left out
}

// add adds a file.
func (s *settings) add(name, text string) {
	if s.files == nil {
		s.files = map[string]string{}
	}
	s.files[name] = text
}

// newRailway starts everything but the daemon, whose files are written.
func newRailway(t testing.TB, s scale, adjust ...func(*railway)) *railway {
	t.Helper()
	r := &railway{t: t, scale: s}
	r.bot = startBot(t, "support-bot", "sales-bot", "billing-bot")
	r.oncall, r.lead, r.owner = startWebhookReceiver(t), startWebhookReceiver(t), startWebhookReceiver(t)
	for _, a := range adjust {
		a(r)
	}
	r.prometheus = startPrometheus(t, r.bot.server)
	r.way = startFaultProxy(t, r.prometheus.url)
	if !r.other.alone {
		r.alertmanager = startAlertmanager(t)
	}
	r.daemon = newDaemon(t, r.files)
	return r
}

// startRailway starts everything and waits until the daemon is ready and Prometheus knows a few normal seconds.
func startRailway(t testing.TB, s scale, adjust ...func(*railway)) *railway {
	t.Helper()
	r := newRailway(t, s, adjust...)
	r.daemon.startReady()
	r.waitForHistory()
	return r
}

// reload writes the daemon's files anew, as a test wants them now, and has them read. They must be taken.
func (r *railway) reload(adjust func(*settings)) {
	r.t.Helper()
	adjust(&r.other)
	for name, text := range r.files(r.daemon.listen) {
		r.daemon.write(name, text)
	}
	if status, answer := r.daemon.post("/-/reload", nil); status != http.StatusOK {
		r.t.Fatalf("reload: %d: %s", status, answer)
	}
}

func (r *railway) waitForHistory() {
	r.t.Helper()
	eventually(r.t, 20*time.Second, "Prometheus has some seconds of history", func() (struct{}, error) {
		now := time.Now()
		points, err := r.prometheus.history(refusalShare("support-bot"), now.Add(-4*time.Second), now)
		if err == nil && len(points) < 4 {
			err = fmt.Errorf("%d points", len(points))
		}
		return struct{}{}, err
	})
}

// files are the daemon's: settings, signals, two runbooks, secrets.
func (r *railway) files(listen string) map[string]string {
	files := map[string]string{
		"irdaemon.yaml": fmt.Sprintf(`
instance: e2e
prometheus: {url: %q}
interval: %s
owner: irdaemon-owner
blind_after: %s
store: {path: data/irdaemon.db}
web: {listen: %q, external_url: "%[9]s://%[4]s", %[10]s}
signals: [signals/*.yaml]
runbooks: [runbooks/*.yaml]
severities:
  sev1: {means: Broad user harm., acknowledge_within: %[5]s}
  sev2: {means: Major degradation., acknowledge_within: %[5]s}
  sev3: {means: Partial degradation., acknowledge_within: %[5]s}
  sev4: {means: Minor anomaly., page: false}
roles:
%[11]s
  irdaemon-owner: {page: [owner-hook]}
receivers:
  oncall-hook: {webhook: {url: %[6]q, signing_secret_file: secrets/oncall}}
  lead-hook: {webhook: {url: %[7]q, signing_secret_file: secrets/lead}}
  owner-hook: {webhook: {url: %[8]q, signing_secret_file: secrets/owner}}
%[12]s
%[13]s
`, r.way.server.URL, duration(interval), duration(r.scale.blindAfter), listen, duration(r.scale.acknowledgeWithin),
			r.oncall.server.URL, r.lead.server.URL, r.owner.server.URL,
			cmp.Or(r.other.scheme, "http"), r.other.web, r.roles(), r.receivers(), r.other.top),
		"secrets/oncall":           r.oncall.secret,
		"secrets/lead":             r.lead.secret,
		"secrets/owner":            r.owner.secret,
		"signals/support.yaml":     signals,
		"runbooks/refusals.yaml":   r.refusals("The safety layer refuses good users"),
		"runbooks/deflection.yaml": r.deflection(),
	}
	maps.Copy(files, r.other.files)
	maps.DeleteFunc(files, func(_, text string) bool { return text == "" })
	return files
}

// roles are who is called: the one on call, by a webhook and Alertmanager, then the lead.
func (r *railway) roles() string {
	receivers := "oncall-hook, am"
	if r.other.alone {
		receivers = "oncall-hook"
	}
	return cmp.Or(r.other.roles, `
  llm-oncall: {page: [`+receivers+`], escalate_to: [llm-lead]}
  llm-lead: {page: [lead-hook]}`)
}

// receivers are those beside the webhooks.
func (r *railway) receivers() string {
	if r.other.alone {
		return r.other.receivers
	}
	return fmt.Sprintf("  am: {alertmanager: {url: %q}}\n", r.alertmanager.url) + r.other.receivers
}

const signals = `
signals:
  refusal_rate:
    title: Refusal rate
    help: Share of chat requests that the safety layer refused.
    unit: ratio
    worse: up
    range: 4s
    ratio:
      numerator: sum by (service) (increase(llm_requests_total{outcome="refused"}[$range]))
      denominator: sum by (service) (increase(llm_requests_total[$range]))
  unsafe_answer_rate:
    title: Unsafe answers
    help: Share of answers that a later check found unsafe.
    unit: ratio
    worse: up
    range: 4s
    ratio:
      numerator: sum by (service) (increase(llm_unsafe_answers_total[$range]))
      denominator: sum by (service) (increase(llm_requests_total[$range]))
  deflection_rate:
    title: Deflection
    help: Share of conversations that the bot closed without a person.
    unit: ratio
    worse: down
    range: 4s
    ratio:
      numerator: sum by (service) (increase(support_conversations_closed_total{resolution="bot"}[$range]))
      denominator: sum by (service) (increase(support_conversations_closed_total[$range]))
  p95_latency:
    title: p95 latency
    help: What 95 of 100 requests stay below.
    unit: seconds
    worse: up
    range: 4s
    query: histogram_quantile(0.95, sum by (le, service) (rate(llm_request_duration_seconds_bucket[$range])))
`

// refusals is the runbook that the tests let fire.
func (r *railway) refusals(title string) string {
	window := duration(r.scale.window)
	return r.runbook("good-users-refused", title, "safety-false-positives",
		"{signal: refusal_rate, above: 15%, for: "+window+", clears: {below: 10%}}",
		"{signal: p95_latency, above: 4s, for: "+window+"}")
}

// deflection would open incidents if missing data were taken for a share of 0. No test lets it fire.
func (r *railway) deflection() string {
	return r.runbook("deflection-collapse", "The bot hands everybody to a person", "other",
		"{signal: deflection_rate, below: 10%, for: "+duration(2*interval)+", clears: {above: 20%}}")
}

func (r *railway) runbook(name, title, branch string, conditions ...string) string {
	return fmt.Sprintf(`
runbook: %s
title: %s
branch: %s
group_by: [service]
trigger: {any: [%s]}
severity:
  sev1: {any: [{signal: refusal_rate, above: 60%%}]}
  sev2: {any: [{signal: refusal_rate, above: 12%%}]}
  default: sev3
owner: llm-oncall
triage:
  - check: Confirm that the refusals are real
    evidence: {signal: refusal_rate, by: [service]}
  - check: Decide whether user harm is active now
    decide: ["yes", "no"]
rollback:
  - artifact: prompt
    do: Set the live prompt label back to {{ .Previous }}.
communication:
  internal: "{{ .Severity }} {{ .Title }}: {{ .Impact }} since {{ .StartedAt }}. Owner: {{ .Owner }}."
  customer: Some requests are being refused by mistake.
recovery:
  hold: %s
  timeout: 10m
  key: {signal: refusal_rate, below: 8%%}
  safety: {signal: unsafe_answer_rate, below: 1%%}
  business: {signal: deflection_rate, above: 35%%}
postmortem: {due: 5d}
`, name, title, branch, strings.Join(conditions, ", "), duration(r.scale.hold))
}

// ownedBy is a runbook with another owner.
func (r *railway) ownedBy(owner, runbook string) string {
	return strings.Replace(runbook, "owner: llm-oncall", "owner: "+owner, 1)
}

// duration writes a duration as the documents want it.
func duration(d time.Duration) string { return model.Duration(d).String() }

// breach lets the support bot refuse good users from now on.
func (r *railway) breach() time.Time { return r.bot.behave("support-bot", refusing) }

// heal ends it.
func (r *railway) heal() time.Time { return r.bot.behave("support-bot", usual) }

// firesWithin is the longest time from a breach to its page: until the share crosses the limit, the window, and the
// usual delays of scrape, tick and delivery.
func (r *railway) firesWithin() time.Duration {
	return signalRange + r.scale.window + interval + 2*slack + busy
}

// resolvesWithin is the longest time from healing to the resolving message: until the last bad second has left the
// range, the hold or the trigger's clearing if that is longer, and the usual delays.
func (r *railway) resolvesWithin() time.Duration {
	return signalRange + max(r.scale.hold, r.scale.window) + 2*interval + 2*slack + busy
}

// breachBegan asks Prometheus itself for the first second past the limit since the bot began to refuse.
func (r *railway) breachBegan(since time.Time) (time.Time, error) {
	points, err := r.prometheus.history(refusalShare("support-bot"), since, time.Now())
	if err != nil {
		return time.Time{}, err
	}
	for _, p := range points {
		if p.value >= refusalLimit {
			return p.at, nil
		}
	}
	return time.Time{}, errNotYet
}

// waitForBreach waits until Prometheus knows a second past the limit.
func (r *railway) waitForBreach(since time.Time) time.Time {
	r.t.Helper()
	return eventually(r.t, signalRange+2*slack, "Prometheus sees the breach", func() (time.Time, error) {
		return r.breachBegan(since)
	})
}

// onlyOnePage fails the test unless there is exactly one incident, and one page to the role on call.
func (r *railway) onlyOnePage() error {
	if err := r.daemon.hasIncidents(1); err != nil {
		return err
	}
	if pages := r.oncall.got("incident.page"); len(pages) != 1 {
		return fmt.Errorf("%d pages to the role on call, want one: %s", len(pages), describe(pages))
	}
	if r.other.alone {
		return nil
	}
	if firing := r.alertmanager.notified("firing"); len(firing) > 1 {
		return fmt.Errorf("alertmanager notified %d times, want at most once: %v", len(firing), firing)
	}
	return nil
}

func describe(deliveries []delivery) string {
	var lines []string
	for _, d := range deliveries {
		lines = append(lines, fmt.Sprintf("%s %s %s round %d, id %s: %s", d.at.Format("15:04:05.000"), d.Type, d.Data.DedupKey,
			d.Data.Round, d.id, d.Data.Message.Title))
	}
	return strings.Join(lines, "\n")
}
