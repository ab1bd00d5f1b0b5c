//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
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

// TestWhatIsMendedHelpsAtOnce reloads settings in which nobody can be called, and then tokens.
func TestWhatIsMendedHelpsAtOnce(t *testing.T) {
	t.Parallel()
	var people map[string]*person
	r := newRailway(t, quickScale, func(r *railway) {
		people = r.askForTokens()
		r.other.alone = true
		r.other.roles = `
  llm-oncall: {page: [], escalate_to: [llm-lead]}
  llm-lead: {page: []}`
	})
	r.daemon.meets(people)
	r.daemon.startReady()
	r.waitForHistory()
	r.breach()
	unheard := r.trouble("unheard", r.firesWithin()+time.Minute)
	if !strings.Contains(unheard.Data.Message.Title, "#1 (good-users-refused)") {
		t.Errorf("the call does not say for which incident nobody is called: %s", unheard.Data.Message.Title)
	}
	r.reload(func(s *settings) { s.roles = "" })
	page := r.oncall.waitFor(t, "incident.page", 5*time.Second)
	if page.Data.Round != 1 {
		t.Errorf("called in round %d, want the round that nobody heard, 1", page.Data.Round)
	}
	r.troubleOver(unheard.Data.DedupKey)

	before := *people["alice"]
	before.run("incidents")
	token, entry := newToken(t, r.daemon.program, "alice", "respond")
	root, rootEntry := newToken(t, r.daemon.program, "root", "admin")
	r.reload(func(s *settings) { s.files["secrets/tokens.yaml"] = "tokens:\n" + entry + rootEntry })
	r.daemon.client.Transport = bearer{token: root}
	if said := before.isRefused("ack", "1"); !strings.Contains(said, "no such token") {
		t.Errorf("a token that was taken away: %s", said)
	}
	r.daemon.write("alice", token)
	after := before
	after.tokenFile = filepath.Join(r.daemon.folder, "alice")
	after.run("ack", "1")
	if i, err := r.daemon.incident(page.Data.Incident.ID); err != nil || i.AcknowledgedBy != "alice" {
		t.Errorf("taken by %q (%v), want alice", i.AcknowledgedBy, err)
	}

	r.daemon.write("secrets/tokens.yaml", "tokens:\n"+strings.Replace(entry, "scopes:", "scope:", 1))
	if status, answer := r.daemon.post("/-/reload", nil); status != http.StatusUnprocessableEntity || !regexp.MustCompile(`tokens\.yaml:\d+:\d+: .*scope`).MatchString(answer) {
		t.Errorf("reload of a tokens file with a typo: %d: %s", status, answer)
	}
	after.run("incidents") // the tokens loaded before stay in force
}
