//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

func TestABreachIsPagedAcknowledgedHealedAndResolved(t *testing.T) {
	t.Parallel()
	r := startRailway(t, usualScale)
	began := r.breach()

	page := r.oncall.waitFor(t, "incident.page", r.firesWithin())
	id := page.Data.Incident.ID
	opened, err := r.daemon.incident(id)
	if err != nil {
		t.Fatal(err)
	}
	r.checkOpening(began, page, opened)
	checkFirstLine(t, page.Data.Message.Title, r.daemon.url, opened)
	r.checkAlert(page, opened)
	if list := r.daemon.command("incidents", "list"); !strings.Contains(list, "refuses good users") {
		t.Errorf("incidents list does not show the incident:\n%s", list)
	}

	r.daemon.acknowledge(id, "alice")
	acknowledged := r.daemon.waitForState(id, "acknowledged", time.Second)
	if acknowledged.AcknowledgedBy != "alice" || acknowledged.Calling {
		t.Errorf("acknowledged by %q, calling %t; want alice, and nobody called any more", acknowledged.AcknowledgedBy, acknowledged.Calling)
	}
	r.takeNote(id)

	healed := r.heal()
	r.daemon.waitForState(id, "verifying", signalRange+2*slack)
	resolving := r.oncall.waitFor(t, "incident.resolved", r.resolvesWithin())
	resolved := r.daemon.waitForState(id, "resolved", time.Second)
	checkTimes(t, resolved)
	if early := healed.Add(r.scale.hold); resolving.at.Before(early) {
		t.Errorf("resolved at %s, before the hold can have been over at %s", resolving.at, early)
	}
	if hold := resolved.ResolvedAt.Sub(resolved.ImpactEndedAt); hold < r.scale.hold || hold > r.scale.hold+slack {
		t.Errorf("from impact_ended_at to resolved_at %s, want the hold of %s", hold, r.scale.hold)
	}
	if resolving.Data.DedupKey != page.Data.DedupKey {
		t.Errorf("the resolving message has the key %s, the page had %s", resolving.Data.DedupKey, page.Data.DedupKey)
	}
	r.checkAlertEnds()
	always(t, time.Now().Add(3*interval), "after the end", r.endedOnce)
	r.checkMetrics()
}

// checkOpening compares what the daemon says with what Prometheus and the test's own clock say.
func (r *railway) checkOpening(began time.Time, page delivery, opened incident) {
	r.t.Helper()
	oracle, err := r.breachBegan(began)
	if err != nil {
		r.t.Fatalf("when the breach began: %v", err)
	}
	// A sample can be committed just after the tick of its second, so the daemon may have seen it a tick later.
	if late := opened.BreachBegan.Sub(oracle); late < 0 || late > interval {
		r.t.Errorf("breach_began %s, want %s or one interval later", opened.BreachBegan, oracle)
	}
	if window := opened.OpenedAt.Sub(opened.BreachBegan); window < r.scale.window || window > r.scale.window+interval {
		r.t.Errorf("opened %s after the breach began, want %s", window, r.scale.window)
	}
	if opened.OpenedAt.Nanosecond() != 0 {
		r.t.Errorf("opened_at %s is no multiple of the interval", opened.OpenedAt)
	}
	if opened.ImpactStartedAt.Before(began.Add(-interval)) {
		r.t.Errorf("impact_started_at %s is before the bot began to refuse at %s", opened.ImpactStartedAt, began)
	}
	if delay := page.at.Sub(opened.OpenedAt); delay > slack {
		r.t.Errorf("the page arrived %s after the tick that opened the incident", delay)
	}
	want := incident{Runbook: "good-users-refused", Service: "support-bot", Severity: "sev2", Owner: "llm-oncall", State: "triggered"}
	got := incident{Runbook: opened.Runbook, Service: opened.Service, Severity: opened.Severity, Owner: opened.Owner, State: opened.State}
	if fmt.Sprint(got) != fmt.Sprint(want) || !opened.Calling || opened.Group["service"] != "support-bot" {
		r.t.Errorf("opened %+v (group %v, calling %t), want %+v", got, opened.Group, opened.Calling, want)
	}
	if key := "irdaemon/e2e/" + opened.ID + "/1"; page.Data.DedupKey != key || page.Data.Round != 1 {
		r.t.Errorf("dedup key %s round %d, want %s round 1", page.Data.DedupKey, page.Data.Round, key)
	}
}

// checkFirstLine holds a message's first line against what a tired person needs of it.
func checkFirstLine(t *testing.T, line, url string, i incident) {
	t.Helper()
	if strings.Contains(line, "\n") {
		t.Errorf("the first line is several: %q", line)
	}
	for what, pattern := range map[string]string{
		"what is broken":    regexp.QuoteMeta(i.Title),
		"by how much":       `(2\d|30)(\.\d+)?\s?%`,
		"since when":        i.BreachBegan.UTC().Format("15:04") + "|" + i.ImpactStartedAt.UTC().Format("15:04"),
		"how bad it is":     `(?i)sev2`,
		"who owns it":       "llm-oncall",
		"where to look":     regexp.QuoteMeta(url) + `/\S*(` + i.ID + `|` + fmt.Sprint(i.Number) + `)`,
		"which service has": "support-bot",
	} {
		if !regexp.MustCompile(pattern).MatchString(line) {
			t.Errorf("the first line does not say %s (%s): %s", what, pattern, line)
		}
	}
}

// checkAlert looks at the alert in Alertmanager, and at what Alertmanager tells its own receivers.
func (r *railway) checkAlert(page delivery, opened incident) {
	r.t.Helper()
	alert := eventually(r.t, 3*time.Second, "the alert in Alertmanager", func() (shownAlert, error) {
		alerts, err := r.alertmanager.shown()
		if err == nil && len(alerts) != 1 {
			err = fmt.Errorf("%d alerts", len(alerts))
		}
		if err != nil {
			return shownAlert{}, err
		}
		return alerts[0], nil
	})
	for label, want := range map[string]string{
		"alertname": "good-users-refused", "service": "support-bot", "severity": "sev2",
		"incident": opened.ID, "round": "1", "instance": "e2e", "owner": "llm-oncall",
	} {
		if got := alert.Labels[label]; got != want {
			r.t.Errorf("the alert's label %s is %q, want %q", label, got, want)
		}
	}
	if alert.Annotations["summary"] != page.Data.Message.Title {
		r.t.Errorf("the alert's summary is %q, want the message's first line %q", alert.Annotations["summary"], page.Data.Message.Title)
	}
	if alert.Annotations["description"] == "" {
		r.t.Error("the alert has no description")
	}
	if !strings.HasPrefix(alert.GeneratorURL, r.daemon.url+"/") {
		r.t.Errorf("the alert's generatorURL is %q, want a link to the incident at %s", alert.GeneratorURL, r.daemon.url)
	}
	eventually(r.t, 3*time.Second, "Alertmanager's own notification", func() (struct{}, error) {
		if n := len(r.alertmanager.notified("firing")); n != 1 {
			return struct{}{}, fmt.Errorf("%d notifications", n)
		}
		return struct{}{}, nil
	})
}

func (r *railway) checkAlertEnds() {
	r.t.Helper()
	eventually(r.t, 5*time.Second, "Alertmanager drops the alert and tells it", func() (struct{}, error) {
		if n := len(r.alertmanager.notified("resolved")); n != 1 {
			return struct{}{}, fmt.Errorf("%d notifications that it is resolved", n)
		}
		return struct{}{}, r.alertmanager.showsAlerts(0)
	})
}

func (r *railway) takeNote(id string) {
	r.t.Helper()
	note := map[string]string{"by": "alice", "text": "looking at the prompt change"}
	if status, answer := r.daemon.post("/api/v1/incidents/"+id+"/notes", note); status/100 != 2 {
		r.t.Errorf("note: %d: %s", status, answer)
	}
	if status, _ := r.daemon.post("/api/v1/incidents/"+id+"/notes", map[string]string{"text": "by nobody"}); status/100 != 4 {
		r.t.Errorf("a note by nobody: %d, want it refused", status)
	}
	whole, err := r.daemon.incident(id)
	if err != nil || !strings.Contains(whole.story(), "looking at the prompt change") {
		r.t.Errorf("the note is not in the timeline (%v):\n%s", err, whole.story())
	}
}

// checkTimes holds the times of a resolved incident against their order.
func checkTimes(t testing.TB, i incident) {
	t.Helper()
	ordered := func(names string, times ...time.Time) {
		t.Helper()
		for n, at := range times {
			if at.IsZero() || n > 0 && at.Before(times[n-1]) {
				t.Errorf("the times are not in order: %s: %v", names, times)
				return
			}
		}
	}
	ordered("impact_started_at, breach_began, opened_at, detected_at, paged_at, acknowledged_at, impact_ended_at, resolved_at",
		i.ImpactStartedAt, i.BreachBegan, i.OpenedAt, i.DetectedAt, i.PagedAt, i.AcknowledgedAt, i.ImpactEndedAt, i.ResolvedAt)
	ordered("acknowledged_at, mitigated_at, resolved_at", i.AcknowledgedAt, i.MitigatedAt, i.ResolvedAt)
}

// endedOnce is nil when there was one incident, one page, one resolving message.
func (r *railway) endedOnce() error {
	if err := r.onlyOnePage(); err != nil {
		return err
	}
	if ends := r.oncall.got("incident.resolved"); len(ends) != 1 {
		return fmt.Errorf("%d resolving messages, want one: %s", len(ends), describe(ends))
	}
	if others := r.lead.list(func(delivery) bool { return true }); len(others) != 0 {
		return fmt.Errorf("the lead, who was never paged, got %s", describe(others))
	}
	return nil
}

func (r *railway) checkMetrics() {
	r.t.Helper()
	response, err := r.daemon.client.Get(r.daemon.url + "/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		r.t.Fatalf("/metrics: %s", response.Status)
	}
	problems, err := promlint.New(response.Body).Lint()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "irdaemon_") {
			r.t.Errorf("/metrics: %s: %s", p.Metric, p.Text)
		}
	}
}

func TestABlipShorterThanTheWindowOpensNothing(t *testing.T) {
	t.Parallel()
	r := startRailway(t, usualScale)
	began := r.bot.behave("support-bot", behaviour{refused: 0.9, deflected: 0.42})
	time.Sleep(1200 * time.Millisecond)
	r.heal()

	past := r.waitForBreach(began) // the blip was there to be seen
	always(t, past.Add(r.scale.window+4*interval), "after a blip", func() error {
		return r.daemon.hasIncidents(0)
	})
	if pages := r.oncall.list(func(delivery) bool { return true }); len(pages) != 0 {
		t.Errorf("a blip paged: %s", describe(pages))
	}
	if err := r.alertmanager.showsAlerts(0); err != nil {
		t.Error(err)
	}
}

func TestNobodyAcknowledgesSoTheNextRoleIsCalled(t *testing.T) {
	t.Parallel()
	s := usualScale
	s.acknowledgeWithin = 4 * time.Second
	r := startRailway(t, s)
	r.breach()

	first := r.oncall.waitFor(t, "incident.page", r.firesWithin())
	id := first.Data.Incident.ID
	next := r.lead.waitFor(t, "incident.page", s.acknowledgeWithin+interval+slack)
	if waited := next.at.Sub(first.Data.Incident.OpenedAt); waited < s.acknowledgeWithin {
		t.Errorf("escalated %s after the page, before %s were over", waited, s.acknowledgeWithin)
	}
	if next.Data.DedupKey != first.Data.DedupKey || next.Data.Round != first.Data.Round {
		t.Errorf("the escalation has key %s round %d, want those of the page, %s round %d",
			next.Data.DedupKey, next.Data.Round, first.Data.DedupKey, first.Data.Round)
	}

	r.daemon.acknowledge(id, "bob")
	always(t, time.Now().Add(2*s.acknowledgeWithin+interval), "after the acknowledgement", func() error {
		if pages := r.lead.got("incident.page"); len(pages) != 1 {
			return fmt.Errorf("%d pages to the lead, want one: %s", len(pages), describe(pages))
		}
		return r.onlyOnePage()
	})

	r.heal()
	r.oncall.waitFor(t, "incident.resolved", r.resolvesWithin())
	r.lead.waitFor(t, "incident.resolved", slack) // everybody who was paged is told
}

func TestAPageOutlivesADeadReceiverAndAKilledDaemon(t *testing.T) {
	t.Parallel()
	r := startRailway(t, usualScale)
	r.oncall.set(answers503)
	r.breach()

	turnedAway := eventually(t, r.firesWithin(), "the receiver turns the page away", func() (delivery, error) {
		if found := r.oncall.turnedAway("incident.page"); len(found) > 0 {
			return found[0], nil
		}
		return delivery{}, errNotYet
	})
	eventually(t, 3*time.Second, "the other receiver of the role has the page all the same", func() (struct{}, error) {
		return struct{}{}, r.alertmanager.showsAlerts(1)
	})
	r.oncall.set(neverAnswers)
	time.Sleep(2 * interval)
	r.daemon.kill()
	r.oncall.set(accepts)
	r.daemon.startReady()

	page := r.oncall.waitFor(t, "incident.page", 30*time.Second)
	if page.id != turnedAway.id || page.id == "" {
		t.Errorf("sent again with the id %q, want the first attempt's %q, by which a receiver knows a repetition", page.id, turnedAway.id)
	}
	if !page.Data.Resent || page.Data.DedupKey != turnedAway.Data.DedupKey {
		t.Errorf("sent again with the key %s, resent %t; want the first attempt's %s, and that it may have arrived before",
			page.Data.DedupKey, page.Data.Resent, turnedAway.Data.DedupKey)
	}
	always(t, time.Now().Add(5*interval), "after the delivery", r.onlyOnePage)
}

func TestARoleWhoseReceiverRefusesForGoodIsPassedOver(t *testing.T) {
	t.Parallel()
	s := quickScale
	s.acknowledgeWithin = 10 * time.Minute
	r := startRailway(t, s, func(r *railway) { r.other.alone = true })
	r.oncall.set(refuses)
	r.breach()
	page := r.lead.waitFor(t, "incident.page", r.firesWithin())
	if page.Data.Round != 1 {
		t.Errorf("the lead is called in round %d, want the one that began with the refused page", page.Data.Round)
	}
	i, err := r.daemon.incident(page.Data.Incident.ID)
	if failed := i.times("page_failed"); err != nil || len(failed) != 1 || len(r.oncall.turnedAway("incident.page")) != 1 {
		t.Errorf("the refused page was sent %d times, and %d refusals are in the record (%v), want one of each:\n%s",
			len(r.oncall.turnedAway("incident.page")), len(failed), err, i.story())
	}
}
