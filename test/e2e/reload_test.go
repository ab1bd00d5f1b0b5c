//go:build e2e

package e2e_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestABrokenFileIsRefusedWholeAndTheOldOnesStay(t *testing.T) {
	t.Parallel()
	r := startRailway(t, usualScale)
	reloadSuccessIs := func(want float64) {
		t.Helper()
		eventually(t, 5*time.Second, fmt.Sprintf("irdaemon_reload_success is %v", want), func() (struct{}, error) {
			return struct{}{}, r.daemon.metricIs("irdaemon_reload_success", func(v float64) bool { return v == want })
		})
	}
	reloadSuccessIs(1)

	whole := r.refusals("Renamed, but beside an error")
	broken := strings.Replace(whole, "above: 15%", "abvoe: 15%", 1)
	broken = strings.Replace(broken, "owner: llm-oncall", "owner: nobody-knows-them", 1)
	r.daemon.write("runbooks/refusals.yaml", broken)
	status, answer := r.daemon.post("/-/reload", nil)
	if status < 400 {
		t.Errorf("reload of a broken file: %d, want it refused", status)
	}
	for _, pattern := range []string{`refusals\.yaml:\d+:\d+: [^\n]*abvoe`, `refusals\.yaml:\d+:\d+: [^\n]*nobody-knows-them`} {
		if !regexp.MustCompile(pattern).MatchString(answer) {
			t.Errorf("the answer does not name file, line and column (%s):\n%s", pattern, answer)
		}
	}
	reloadSuccessIs(0)

	r.breach()
	old := r.oncall.waitFor(t, "incident.page", r.firesWithin()).Data.Incident
	if old.Title != "The safety layer refuses good users" {
		t.Errorf("the incident's title is %q, want the one before the broken file", old.Title)
	}

	r.daemon.write("runbooks/refusals.yaml", r.refusals("Good users are turned away"))
	r.daemon.hangUp()
	reloadSuccessIs(1)
	r.bot.behave("sales-bot", refusing)
	newer := eventually(t, r.firesWithin(), "a page for the other service", func() (delivery, error) {
		for _, page := range r.oncall.got("incident.page") {
			if page.Data.Incident.Service == "sales-bot" {
				return page, nil
			}
		}
		return delivery{}, errNotYet
	}).Data.Incident
	if newer.Title != "Good users are turned away" {
		t.Errorf("the title of the incident after the reload is %q", newer.Title)
	}
	if still, err := r.daemon.incident(old.ID); err != nil || still.Title != old.Title {
		t.Errorf("the open incident's title is %q (%v), want what it was opened with", still.Title, err)
	}
	if err := r.daemon.terminate(); err != nil {
		t.Errorf("SIGTERM: %v, want exit 0", err)
	}
}

func TestTheFilesOfTheKubernetesExamplePassCheck(t *testing.T) {
	t.Parallel()
	program, err := builtDaemon()
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(program, "check", "../../deploy/kubernetes/config").CombinedOutput(); err != nil {
		t.Errorf("irdaemon check: %v\n%s", err, output)
	}
}
