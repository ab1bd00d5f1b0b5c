//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDrillReceiversTestAndBackup does what somebody does who looks after the daemon, while it runs.
func TestDrillReceiversTestAndBackup(t *testing.T) {
	t.Parallel()
	var people map[string]*person
	r := newRailway(t, quickScale, func(r *railway) { people = r.askForTokens() })
	r.daemon.meets(people)
	r.daemon.startReady()
	r.waitForHistory()

	drill := r.drills(people["alice"])
	r.testsReceivers(people["root"], people["alice"])

	file := filepath.Join(t.TempDir(), "irdaemon.db")
	if said := people["alice"].isRefused("backup", file); !strings.Contains(said, "admin") {
		t.Errorf("alice, who may respond, makes a backup: %s", said)
	}
	people["root"].run("backup", file)
	r.comesBack(people, file, drill)
}

// drills plays a practice incident to its end.
func (r *railway) drills(alice *person) incident {
	t := r.t
	t.Helper()
	if said := alice.run("drill", "good-users-refused", "--group", "service=support-bot", "--severity", "sev2"); !strings.Contains(said, "DRILL #1 is open") {
		t.Errorf("drill says: %s", said)
	}
	page := r.oncall.waitFor(t, "incident.page", 10*time.Second)
	if !page.Data.Drill || !strings.HasPrefix(page.Data.Message.Title, "DRILL ") || page.Data.Incident.Severity != "sev2" {
		t.Errorf("a drill's page at %s that does not say that it is one: %s", page.Data.Incident.Severity, page.Data.Message.Title)
	}
	if said := alice.isRefused("drill", "good-users-refused"); !strings.Contains(said, "#1") {
		t.Errorf("a second drill of the runbook: %s", said)
	}
	alice.run("ack", "1")
	alice.run("mitigated", "1", "pretended to set the prompt back")
	r.daemon.waitForState(page.Data.Incident.ID, "verifying", signalRange+3*interval+slack) // which takes minutes in practice
	alice.run("dismiss", "1", "--reason", "test")
	r.waitForEnds(1)
	over := r.daemon.waitForState(page.Data.Incident.ID, "dismissed", 5*time.Second)
	if err := r.daemon.metricIs("irdaemon_incidents_opened_total", func(v float64) bool { return v == 0 }); err == nil || !strings.Contains(err.Error(), "there is no metric") {
		t.Errorf("a drill is counted: %v", err)
	}
	return over
}

// testsReceivers tries receivers that take the page and one that doesn't.
func (r *railway) testsReceivers(root, alice *person) {
	t := r.t
	t.Helper()
	if said := alice.isRefused("receivers", "test", "lead-hook"); !strings.Contains(said, "admin") {
		t.Errorf("alice, who may respond, tests a receiver: %s", said)
	}
	for _, name := range []string{"lead-hook", "am"} {
		if said := root.run("receivers", "test", name); !strings.Contains(said, name+" took a test page") {
			t.Errorf("receivers test %s says: %s", name, said)
		}
	}
	page, end := r.lead.waitFor(t, "incident.page", 5*time.Second), r.lead.waitFor(t, "incident.resolved", 5*time.Second)
	if !strings.HasPrefix(page.Data.Message.Title, "TEST ") || !strings.Contains(page.Data.Message.Title, "root") || page.Data.DedupKey != end.Data.DedupKey {
		t.Errorf("the test page with %s and its end with %s: %s", page.Data.DedupKey, end.Data.DedupKey, page.Data.Message.Title)
	}
	r.lead.set(answers503)
	if said := root.isRefused("receivers", "test", "lead-hook"); !strings.Contains(said, "503") {
		t.Errorf("a test page that was turned away: %s", said)
	}
	r.lead.set(accepts)
	if said := root.isRefused("receivers", "test", "led-hook"); !strings.Contains(said, "lead-hook") {
		t.Errorf("a receiver that there isn't: %s", said)
	}
	if err := r.daemon.hasIncidents(1); err != nil {
		t.Errorf("a test page is no incident: %v", err)
	}
}

// comesBack starts another daemon on a backup, which must know what the first one knew.
func (r *railway) comesBack(people map[string]*person, backup string, drill incident) {
	t := r.t
	t.Helper()
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v %v, want it to be its owner's alone", info.Mode(), err)
	}
	copied, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	second := newDaemon(t, r.files)
	second.write("data/irdaemon.db", string(copied))
	second.comesAs(people["root"])
	second.startReady()
	again, err := second.incident(drill.ID)
	if err != nil || again.Number != drill.Number || again.State != "dismissed" || len(again.Timeline) < len(drill.Timeline) || again.AcknowledgedBy != "alice" {
		t.Errorf("from the backup: #%d %s, taken by %q (%v):\n%s\nwant\n%s", again.Number, again.State, again.AcknowledgedBy, err, again.story(), drill.story())
	}
	always(t, time.Now().Add(3*interval), "after the start from the backup", func() error {
		r.waitForEnds(1) // nobody is told again
		return r.onlyOnePage()
	})
}
