//go:build e2e

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPeopleDecideWhatIsSentAndWhen asks for rollbacks as several people, with tokens, under each setting of the kill
// switch.
func TestPeopleDecideWhatIsSentAndWhen(t *testing.T) {
	t.Parallel()
	support, sales, billing := startAssistant(t, "support-bot", "kb-1"), startAssistant(t, "sales-bot", "kb-2"), startAssistant(t, "billing-bot", "kb-1")
	var people map[string]*person
	var pipeline string
	r := newRollbackRailway(t, "dry_run", []*assistant{support, sales, billing}, func(r *railway) {
		people = r.askForTokens()
		program, err := builtDaemon()
		if err != nil {
			t.Fatal(err)
		}
		token, entry := newToken(t, program, "pipeline", "change")
		pipeline = token
		r.other.files["secrets/tokens.yaml"] += entry
		name := "runbooks/sales-bot.yaml"
		r.other.files[name] = strings.Replace(r.other.files[name], "approval: owner", "approval: two_person", 1)
	})
	r.daemon.meets(people)
	r.daemon.startReady()
	r.waitForHistory()
	for _, bot := range []*assistant{support, sales, billing} {
		r.reportAsPipeline(pipeline, bot.service)
		bot.ask()
	}
	alice, bob := people["alice"], people["bob"]
	ours, theirs, last := r.pagedFor("support-bot"), r.pagedFor("sales-bot"), r.pagedFor("billing-bot")

	r.shownOnly(support, alice, ours)
	r.reload(func(s *settings) { s.top = strings.Replace(s.top, "actions: dry_run", "actions: enabled", 1) })
	r.pressedAtOnce(support, alice, bob, ours)
	r.approvedByTwo(sales, alice, bob, theirs)
	r.stoppedAtOnce(billing, alice, last)
}

// reportAsPipeline tells of the newer prompt as a pipeline does that was made for PagerDuty.
func (r *railway) reportAsPipeline(token, service string) {
	r.t.Helper()
	event := func(key string) []byte {
		text, err := json.Marshal(map[string]any{
			"routing_key": key,
			"payload": map[string]any{
				"summary": "Prompt of " + service + " released", "source": "prompt-ci",
				"timestamp":      time.Now().Add(-promptAge).UTC().Format("2006-01-02T15:04:05.000-0700"),
				"custom_details": map[string]string{"artifact": "prompt", "service": service, "from": "prompt-v6", "to": "prompt-v7"},
			},
		})
		if err != nil {
			r.t.Fatal(err)
		}
		return text
	}
	for _, test := range []struct {
		key  string
		want int
	}{{"0123456789abcdef0123456789abcdef", http.StatusBadRequest}, {token, http.StatusAccepted}} {
		status, answer, err := send(client, r.daemon.url+"/v2/change/enqueue", event(test.key))
		if err != nil || status != test.want {
			r.t.Fatalf("a change event with the routing key %.8s…: %d: %s (%v), want %d", test.key, status, answer, err, test.want)
		}
	}
	var log struct {
		Changes []struct{ Artifact, Service, From, To, By, Note, Source string }
	}
	if err := getJSON(r.daemon.client, r.daemon.url+"/api/v1/changes?artifact=prompt&service="+service, &log); err != nil || len(log.Changes) != 1 {
		r.t.Fatalf("the log has %+v (%v), want the one change", log.Changes, err)
	}
	if c := log.Changes[0]; c.From != "prompt-v6" || c.To != "prompt-v7" || c.By != "prompt-ci" || c.Source != "reported" || !strings.Contains(c.Note, "released") {
		r.t.Errorf("the change on record is %+v", c)
	}
}

// shownOnly: with actions: dry_run it is shown what would be sent, and nothing is.
func (r *railway) shownOnly(bot *assistant, alice *person, number string) {
	r.t.Helper()
	said := oneLineOf(alice.run("rollback", number, "prompt", "--yes"))
	for _, part := range []string{"PUT " + bot.server.URL + "/labels/live", `"version": "prompt-v6"`, "nothing is sent", "dry_run"} {
		if !strings.Contains(said, part) {
			r.t.Errorf("a dry run does not say %q: %s", part, said)
		}
	}
	a := r.daemon.waitForAction(number, "1", 10*time.Second, "fails", hasFailed)
	if a.Why != "dry run" {
		r.t.Errorf("a dry run ends as %+v", a)
	}
	r.stillAsked(bot, 0)
}

// stillAsked holds for a moment that an assistant was asked so often to set a pointer.
func (r *railway) stillAsked(bot *assistant, want int) {
	r.t.Helper()
	always(r.t, time.Now().Add(2*interval), "nothing more is sent", func() error { return bot.wasAsked(want) })
}

func oneLineOf(text string) string { return strings.Join(strings.Fields(text), " ") }

// pressedAtOnce: two people ask for the same at the same time.
func (r *railway) pressedAtOnce(bot *assistant, alice, bob *person, number string) {
	r.t.Helper()
	type answer struct {
		status int
		text   string
		err    error
	}
	answers := make([]answer, 2)
	var both sync.WaitGroup
	for n, p := range []*person{alice, bob} {
		both.Go(func() {
			a := &answers[n]
			a.status, a.text, a.err = p.post("/api/v1/incidents/"+number+"/rollbacks", map[string]string{"step": "prompt"})
		})
	}
	both.Wait()
	first, second := answers[0], answers[1]
	if first.status == http.StatusConflict {
		first, second = second, first
	}
	if first.err != nil || second.err != nil || first.status/100 != 2 || second.status != http.StatusConflict || !strings.Contains(second.text, "action 2") {
		r.t.Fatalf("two at once: %d %s (%v) and %d %s (%v); want one taken, and 409 that names action 2",
			first.status, first.text, first.err, second.status, second.text, second.err)
	}
	r.daemon.waitForAction(number, "2", 20*time.Second, "takes effect", isEffective)
	r.stillAsked(bot, 1)
}

// post sends a command in somebody's name.
func (p *person) post(path string, body any) (status int, answer string, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, "", err
	}
	return send(&http.Client{Timeout: patience, Transport: bearer{p.token, nil}}, p.daemon.url+path, text)
}

// send posts a JSON document.
func send(asker *http.Client, url string, body []byte) (status int, answer string, err error) {
	response, err := asker.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// approvedByTwo: what needs two people waits for another name, and counts only for what was looked at.
func (r *railway) approvedByTwo(bot *assistant, alice, bob *person, number string) {
	r.t.Helper()
	if said := alice.run("rollback", number, "retrieval_index", "--yes"); !strings.Contains(said, "irdaemon approve "+number+" 1") {
		r.t.Errorf("what needs two people: %s, want who approves it, and how", said)
	}
	if said := oneLineOf(alice.isRefused("approve", number, "--yes")); !strings.Contains(said, "alice asked for action 1") || !strings.Contains(said, "somebody else approves it") {
		r.t.Errorf("who asked for it approves it: %s", said)
	}
	bot.set(indexPointer, "kb-3")
	if said := oneLineOf(bob.isRefused("approve", number, "--yes")); !strings.Contains(said, "not what was looked at") {
		r.t.Errorf("approving after the live version changed: %s", said)
	}
	r.stillAsked(bot, 0)
	bot.set(indexPointer, "kb-2")
	bob.run("approve", number, "--yes")
	a := r.daemon.waitForAction(number, "1", 20*time.Second, "is done", isDone)
	if a.By != "alice" || fmt.Sprint(a.Approvers) != "[bob]" || a.How != "sent" || bot.version(indexPointer) != "kb-1" {
		r.t.Errorf("the action is %+v with %s live, want it asked for by alice, approved by bob, kb-1", a, bot.version(indexPointer))
	}
	r.stillAsked(bot, 1)
}

// stoppedAtOnce: the kill switch stops also what was asked for before, and is about to be sent once more.
func (r *railway) stoppedAtOnce(bot *assistant, alice *person, number string) {
	r.t.Helper()
	bot.be(comesBackLater)
	alice.run("rollback", number, "prompt", "--yes")
	eventually(r.t, 10*time.Second, "the first attempt", func() (struct{}, error) { return struct{}{}, bot.wasAsked(1) })
	r.reload(func(s *settings) { s.top = strings.Replace(s.top, "actions: enabled", "actions: off", 1) })
	bot.be(setsIt)
	a := r.daemon.waitForAction(number, "1", 20*time.Second, "fails", hasFailed)
	if !strings.Contains(a.Cause, "actions: off") {
		r.t.Errorf("stopped by the kill switch: %+v, want that the settings say so", a)
	}
	alice.run("rollback", number, "prompt", "--yes")
	a = r.daemon.waitForAction(number, "2", 10*time.Second, "fails", hasFailed)
	if a.Why != "dry run" || !strings.Contains(a.Cause, "actions: off") {
		r.t.Errorf("asked for while switched off: %+v", a)
	}
	r.stillAsked(bot, 1)
}
