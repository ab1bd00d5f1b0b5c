package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

const of42 = "/api/v1/incidents/42/"

func TestWhatACommandCannotMeanIsRefused(t *testing.T) {
	long := strings.Repeat("x", 10_001)
	for _, test := range []struct {
		name, method, target, body string
		status                     int
		says                       []string
	}{
		{"giving back by nobody", "POST", of42 + "unacknowledge", `{}`, 422, []string{"body.by"}},
		{"giving back with a key that there is not", "POST", of42 + "unacknowledge", `{"by":"alice","round":1}`, 422, []string{"body.round"}},
		{"giving back what is over", "POST", "/api/v1/incidents/41/unacknowledge", `{"by":"alice"}`, 409, []string{"#41 is resolved", "notes"}},

		{"a severity that is none", "POST", of42 + "severity", `{"by":"alice","to":"high"}`, 422, []string{"body.to", "sev1"}},
		{"no severity", "POST", of42 + "severity", `{"by":"alice"}`, 422, []string{"to"}},
		{"a severity for a time without a unit", "POST", of42 + "severity", `{"by":"alice","to":"sev3","reason":"x","for":"30"}`, 422, []string{"body.for", "30m"}},
		{"a severity for no time", "POST", of42 + "severity", `{"by":"alice","to":"sev3","reason":"x","for":"0s"}`, 422, []string{"body.for", "above 0s"}},
		{"a severity for a time before now", "POST", of42 + "severity", `{"by":"alice","to":"sev3","reason":"x","for":"-5m"}`, 422, []string{"body.for"}},
		{"a severity with a terminal's escape in its reason", "POST", of42 + "severity", `{"by":"alice","to":"sev3","reason":"\u001b[2J"}`, 422, []string{"body.reason", "control"}},
		{"a severity with a blank reason", "POST", of42 + "severity", `{"by":"alice","to":"sev3","reason":"  "}`, 422, []string{"body.reason", "blank"}},
		{"a severity with a reason without end", "POST", of42 + "severity", `{"by":"alice","to":"sev3","reason":"` + long[:1001] + `"}`, 422, []string{"body.reason", "1000"}},
		{"a lower severity without a reason", "POST", of42 + "severity", `{"by":"alice","to":"sev4"}`, 409, []string{"without a reason", "say why"}},

		{"an update without a text", "POST", of42 + "updates", `{"by":"alice"}`, 422, []string{"text"}},
		{"an update to nobody that there is", "POST", of42 + "updates", `{"by":"alice","text":"x","audience":"press"}`, 422, []string{"body.audience", "customer"}},
		{"an update of more than 10 kB", "POST", of42 + "updates", `{"by":"alice","text":"` + long + `"}`, 422, []string{"body.text", "10000"}},
		{"an update whose next time is a word", "POST", of42 + "updates", `{"by":"alice","text":"x","next":"soon"}`, 422, []string{"body.next"}},
		{"an update that is due next in words", "POST", of42 + "updates", `{"by":"alice","text":"x","next_in":"soon"}`, 422, []string{"body.next_in", "30m"}},
		{"an update that says twice when the next is due", "POST", of42 + "updates", `{"by":"alice","text":"x","next_in":"30m","next":"2026-11-03T15:00:00Z"}`, 422, []string{"body.next_in", "one of next and next_in"}},

		{"a mitigation without words", "POST", of42 + "mitigated", `{"by":"alice"}`, 422, []string{"text"}},
		{"a mitigation at no time", "POST", of42 + "mitigated", `{"by":"alice","text":"x","at":"14:18"}`, 422, []string{"body.at"}},
		{"a mitigation of what is over", "POST", "/api/v1/incidents/41/mitigated", `{"by":"alice","text":"x"}`, 409, []string{"#41 is resolved"}},

		{"a dismissal without a reason", "POST", of42 + "dismiss", `{"by":"alice"}`, 422, []string{"reason"}},
		{"a dismissal for a reason that is none", "POST", of42 + "dismiss", `{"by":"alice","reason":"boring"}`, 422, []string{"body.reason", "false_alarm"}},
		{"a duplicate of what there is not", "POST", of42 + "dismiss", `{"by":"alice","reason":"duplicate","duplicate_of":"99"}`, 409, []string{"there is no incident 99"}},
		{"a duplicate of a line feed", "POST", of42 + "dismiss", `{"by":"alice","reason":"duplicate","duplicate_of":"4\n1"}`, 422, []string{"body.duplicate_of", "control"}},

		{"a second opening of what is open", "POST", of42 + "reopen", `{"by":"alice","reason":"x"}`, 409, []string{"#42 is open"}},
		{"a second opening without a reason", "POST", "/api/v1/incidents/41/reopen", `{"by":"alice"}`, 422, []string{"reason"}},

		{"an answer to an item that is none", "POST", of42 + "triage/9", `{"by":"alice","answer":"yes"}`, 409, []string{"no item 9", "1 to 2"}},
		{"an answer to item zero", "POST", of42 + "triage/0", `{"by":"alice","answer":"yes"}`, 422, []string{"path.n"}},
		{"an answer to a word", "POST", of42 + "triage/one", `{"by":"alice","answer":"yes"}`, 422, []string{"path.n"}},
		{"an answer without one", "POST", of42 + "triage/1", `{"by":"alice"}`, 422, []string{"answer"}},
		{"an answer without end", "POST", of42 + "triage/1", `{"by":"alice","answer":"` + long[:201] + `"}`, 422, []string{"body.answer", "200"}},

		{"what an incident cannot be asked", "POST", of42 + "rollback", `{"by":"alice","step":"prompt"}`, 404, []string{"acknowledge", "mitigated", "triage/{n}", "rollbacks", "openapi.json"}},
		{"a postmortem, which a later release keeps", "GET", of42 + "postmortem", "", 404, []string{"openapi.json"}},
		{"a reading of what can only be written", "GET", of42 + "severity", "", 405, []string{`"allowed":["POST"]`}},

		{"a silence without a runbook", "POST", "/api/v1/silences", `{"by":"alice","reason":"x","for":"1h"}`, 422, []string{"runbook"}},
		{"a silence of a misspelt runbook", "POST", "/api/v1/silences", `{"by":"alice","runbook":"good-user-refused","reason":"x","for":"1h"}`, 422, []string{"body.runbook", "did you mean good-users-refused"}},
		{"a silence of a label that the groups have not", "POST", "/api/v1/silences", `{"by":"alice","runbook":"good-users-refused","group":{"servic":"x"},"reason":"x","for":"1h"}`, 422, []string{"body.group", "did you mean service"}},
		{"a silence of a label that is a number", "POST", "/api/v1/silences", `{"by":"alice","runbook":"good-users-refused","group":{"service":7},"reason":"x","for":"1h"}`, 422, []string{"body.group.service", "string"}},
		{"a silence of a label with an escape in it", "POST", "/api/v1/silences", `{"by":"alice","runbook":"good-users-refused","group":{"service":"\u001b"},"reason":"x","for":"1h"}`, 422, []string{"body.group.service", "control"}},
		{"a silence without a reason", "POST", "/api/v1/silences", `{"by":"alice","runbook":"good-users-refused","for":"1h"}`, 422, []string{"reason"}},
		{"a silence without an end", "POST", "/api/v1/silences", `{"by":"alice","runbook":"good-users-refused","reason":"x"}`, 422, []string{"body.until", "either until or for"}},
		{"a silence with two ends", "POST", "/api/v1/silences", `{"by":"alice","runbook":"good-users-refused","reason":"x","for":"1h","until":"2026-11-03T18:00:00Z"}`, 422, []string{"either until or for"}},
		{"a silence that ends in the past", "POST", "/api/v1/silences", `{"by":"alice","runbook":"good-users-refused","reason":"x","until":"2026-11-03T14:00:00Z"}`, 422, []string{"ends in the past", "an end after 2026-11-03T14:12:24Z"}},
		{"a silence of what is no severity", "POST", "/api/v1/silences", `{"by":"alice","runbook":"good-users-refused","reason":"x","for":"1h","up_to":"all"}`, 422, []string{"body.up_to", "sev3"}},
		{"a silence by nobody", "POST", "/api/v1/silences", `{"runbook":"good-users-refused","reason":"x","for":"1h"}`, 422, []string{"body.by"}},
		{"the end of a silence that there is not", "DELETE", "/api/v1/silences/none?by=alice", "", 404, []string{`no silence \"none\"`, "/api/v1/silences"}},
		{"the end of a silence by nobody", "DELETE", "/api/v1/silences/none", "", 422, []string{"query.by"}},
		{"the end of a silence by a blank name", "DELETE", "/api/v1/silences/none?by=%20", "", 422, []string{"query.by", "control"}},

		{"a drill of a runbook that there is not", "POST", "/api/v1/drills", `{"by":"alice","runbook":"none"}`, 422, []string{"body.runbook", "good-users-refused"}},
		{"a drill of a label that the groups have not", "POST", "/api/v1/drills", `{"by":"alice","runbook":"good-users-refused","group":{"tier":"paid"}}`, 422, []string{"body.group", "service"}},
		{"a drill that is no severity", "POST", "/api/v1/drills", `{"by":"alice","runbook":"good-users-refused","severity":"sev9"}`, 422, []string{"body.severity"}},
		{"a drill by nobody", "POST", "/api/v1/drills", `{"runbook":"good-users-refused"}`, 422, []string{"body.by"}},

		{"a test of a misspelt receiver", "POST", "/api/v1/receivers/pagr/test", `{"by":"alice"}`, 404, []string{`no receiver \"pagr\"`, "did you mean pager", "chat"}},
		{"a test by nobody", "POST", "/api/v1/receivers/pager/test", `{}`, 422, []string{"body.by"}},
		{"what a service sends to a receiver that there is not", "POST", "/api/v1/receivers/none/inbound", `{}`, 404, []string{"takes answers"}},
		{"what a service sends unsigned", "POST", "/api/v1/receivers/chat/inbound", `{}`, 401, []string{"signature"}},
		{"what a service sends without end", "POST", "/api/v1/receivers/chat/inbound", strings.Repeat("x", 256<<10+1), 413, []string{"262144"}},

		{"a page of receivers that is empty", "GET", "/api/v1/receivers?limit=0", "", 422, []string{"query.limit"}},
		{"a page of runbooks beyond the largest", "GET", "/api/v1/runbooks?limit=1001", "", 422, []string{"query.limit", "1000"}},
		{"events after a word", "GET", "/api/v1/events?after=now", "", 422, []string{"query.after", "a position"}},
		{"events after what has not happened", "GET", "/api/v1/events?after=7", "", 422, []string{"query.after", "at most 0", "0: everything"}},
		{"events of an incident that there is not", "GET", "/api/v1/events?incident=99", "", 404, []string{`no incident \"99\"`}},
		{"incidents that are their own in words", "GET", "/api/v1/incidents?self=maybe", "", 422, []string{"query.self"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			answer := f.call(test.method, test.target, test.body)
			problem := decode[web.Problem](t, answer)
			if answer.Code != test.status || answer.Header().Get("Content-Type") != "application/problem+json" || problem.Detail == "" {
				t.Errorf("%d, want %d: %s", answer.Code, test.status, answer.Body)
			}
			for _, part := range test.says {
				if !strings.Contains(answer.Body.String(), part) {
					t.Errorf("the problem does not say %s:\n%s", part, answer.Body)
				}
			}
			nothingWasWritten(t, f)
		})
	}
}

// nothingWasWritten checks that a fixture is as it was made.
func nothingWasWritten(t *testing.T, f *fixture) {
	t.Helper()
	views, _, err := f.desk.List(t.Context(), incident.Filter{})
	silences, _ := f.desk.Silences(t.Context())
	view, _ := f.desk.View(t.Context(), "42")
	if err != nil || len(views) != 3 || len(silences) != 0 || len(view.Timeline) != 3 || len(f.receivers.Tested()) != 0 {
		t.Errorf("something was written: %d incidents, %d silences, timeline %v, tests %v", len(views), len(silences), view.Timeline, f.receivers.Tested())
	}
}

func TestTheNamedCommandsAreThoseThatThereAre(t *testing.T) {
	f := newFixture(t)
	problem := decode[web.Problem](t, f.call("POST", of42+"rollback", `{}`))
	said := strings.Split(strings.TrimSuffix(strings.TrimPrefix(problem.Allowed[0], "POST of "), " below an incident"), ", ")
	document := decode[struct{ Paths map[string]map[string]any }](t, f.call("GET", "/api/v1/openapi.json", ""))
	there := 0
	for path, methods := range document.Paths {
		if strings.HasPrefix(path, "/api/v1/incidents/{id}/") && methods["post"] != nil {
			there++
		}
	}
	for _, name := range said {
		if document.Paths["/api/v1/incidents/{id}/"+name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	if there != len(said) || there < 9 {
		t.Errorf("said %v, and there are %d", said, there)
	}
}

// command is a command that an incident takes, and what it leaves.
type command struct {
	name, target, body string
	before             []string // target and body of what comes before
	kind               string   // of the last event
	text               string   // part of its words
	check              func(incident.View) bool
}

var allCommands = []command{
	{name: "acknowledge", target: "acknowledge", body: `{"by":"alice"}`, kind: "acknowledged", text: "took",
		check: func(v incident.View) bool { return v.AcknowledgedBy == "alice" && !v.Calling }},
	{name: "unacknowledge", target: "unacknowledge", body: `{"by":"alice"}`, before: []string{"acknowledge", `{"by":"alice"}`}, kind: "paged",
		check: func(v incident.View) bool { return v.AcknowledgedBy == "" && v.Calling }},
	{name: "note", target: "notes", body: `{"by":"alice","text":"seen\r\nthere"}`, kind: "noted", text: "seen\nthere",
		check: func(incident.View) bool { return true }},
	{name: "a higher severity", target: "severity", body: `{"by":"alice","to":"sev1","reason":"press"}`, kind: "paged",
		check: func(v incident.View) bool { return v.Severity == "sev1" && v.PinnedUntil == nil }},
	{name: "a lower severity", target: "severity", body: `{"by":"alice","to":"sev3","reason":"internal users only","for":"45m"}`, kind: "severity_set", text: "internal users only",
		check: func(v incident.View) bool {
			return v.Severity == "sev3" && v.PinnedUntil.Equal(webtest.At("14:57:24"))
		}},
	{name: "an update", target: "updates", body: `{"by":"alice","text":"known","next_in":"20m"}`, kind: "update_posted", text: "known",
		check: func(v incident.View) bool {
			return len(v.Updates) == 1 && v.Updates[0].Audience == "internal" && v.NextUpdateAt.Equal(webtest.At("14:32:24"))
		}},
	{name: "an update for customers, with a time", target: "updates", body: `{"by":"alice","text":"known","audience":"customer","next":"2026-11-03T16:00:00+01:00"}`, kind: "update_posted",
		check: func(v incident.View) bool {
			return v.Updates[0].Audience == "customer" && v.NextUpdateAt.Equal(webtest.At("15:00:00"))
		}},
	{name: "mitigated", target: "mitigated", body: `{"by":"alice","text":"traffic is routed away","at":"2026-11-03T14:11:00Z"}`, kind: "mitigated", text: "traffic is routed away",
		check: func(v incident.View) bool {
			return v.State == incident.Mitigating && v.MitigatedAt.Equal(webtest.At("14:11:00")) && v.AcknowledgedBy == "alice" && len(v.Actions) == 1
		}},
	{name: "a rollback by hand", target: "rollbacks", body: `{"by":"alice","step":"retrieval_index","to":"kb-1"}`, kind: "action_effective",
		check: func(v incident.View) bool {
			return v.State == incident.Mitigating && len(v.Actions) == 1 && v.Actions[0].To == "kb-1" && v.AcknowledgedBy == "alice"
		}},
	{name: "a rollback by the daemon", target: "rollbacks", body: `{"by":"alice","step":"prompt"}`, kind: "action_requested",
		check: func(v incident.View) bool {
			return len(v.Actions) == 1 && v.Actions[0].State == "requested" && v.Actions[0].From == "prompt-v7" && v.AcknowledgedBy == "alice"
		}},
	{name: "dismiss", target: "dismiss", body: `{"by":"alice","reason":"false_alarm","text":"a load test"}`, kind: "dismissed",
		check: func(v incident.View) bool {
			return v.State == incident.DismissedState && v.Dismissal.Reason == "false_alarm" && v.Dismissal.Text == "a load test" && !v.Calling
		}},
	{name: "reopen", target: "reopen", body: `{"by":"alice","reason":"it was one"}`, before: []string{"dismiss", `{"by":"alice","reason":"expected"}`}, kind: "paged",
		check: func(v incident.View) bool {
			return v.State == incident.Triggered && v.Dismissal == nil && v.ReopenedAt != nil
		}},
	{name: "an answer", target: "triage/2", body: `{"by":"alice","answer":"Yes","text":"12 chats"}`, kind: "triage_answered", text: "checked 2: ",
		check: func(v incident.View) bool {
			item := v.Triage[1]
			return strings.EqualFold(item.Answer, "yes") && item.AnswerText == "12 chats" && item.AnsweredBy == "alice" && item.AnsweredAt.Equal(webtest.At("14:12:24"))
		}},
}

func TestEachCommandDoesWhatItSaysOnce(t *testing.T) {
	for _, c := range allCommands {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for before := c.before; len(before) > 0; before = before[2:] {
				w.must("POST", ofFirst+before[0], before[1])
			}
			history := len(w.view().Timeline)
			first := w.call("POST", ofFirst+c.target, c.body, "Idempotency-Key", "k")
			view := decode[incident.View](t, first)
			if first.Code != 200 || !c.check(view) {
				t.Fatalf("%d: %s", first.Code, first.Body)
			}
			last := view.Timeline[len(view.Timeline)-1]
			if last.Kind != c.kind || !strings.Contains(last.Text, c.text) {
				t.Errorf("the timeline ends with %+v", last)
			}
			if by := view.Timeline[history]; by.Actor != "alice" {
				t.Errorf("%s is told of %q", by.Kind, by.Actor)
			}
			w.now = w.now.Add(time.Minute)
			again := w.call("POST", ofFirst+c.target, strings.Replace(c.body, `{"by":"alice",`, `{ "by": "alice", `, 1), "Idempotency-Key", "k")
			if again.Body.String() != first.Body.String() {
				t.Errorf("the same write again is answered otherwise:\n%s\n%s", first.Body, again.Body)
			}
			other := w.call("POST", ofFirst+c.target, strings.Replace(c.body, "alice", "bob", 1), "Idempotency-Key", "k")
			if other.Code != 422 || !strings.Contains(other.Body.String(), "Idempotency-Key") {
				t.Errorf("another write with the key: %d %s", other.Code, other.Body)
			}
			if n := len(w.view().Timeline); n != len(view.Timeline) {
				t.Errorf("%d events after it was sent again, %d before", n, len(view.Timeline))
			}
		})
	}
}

func TestTheMadeUpDeskDecidesAsTheRealOne(t *testing.T) {
	for _, c := range allCommands {
		f := newFixture(t)
		for before := c.before; len(before) > 0; before = before[2:] {
			f.call("POST", of42+before[0], before[1])
		}
		answer := f.call("POST", of42+c.target, c.body)
		if view := decode[incident.View](t, answer); answer.Code != 200 || !c.check(view) {
			t.Errorf("%s: %d %s", c.name, answer.Code, answer.Body)
		}
	}
}

func TestWhatMayBeAskedInWhichState(t *testing.T) {
	const yes, no = 200, 409
	for _, test := range []struct {
		command, body                     string
		open, resolved, closed, dismissed int
	}{
		{"acknowledge", `{"by":"bob"}`, yes, no, no, no},
		{"unacknowledge", `{"by":"bob"}`, yes, no, no, no},
		{"notes", `{"by":"bob","text":"x"}`, yes, yes, yes, yes},
		{"triage/1", `{"by":"bob","answer":"done"}`, yes, yes, no, no},
		{"updates", `{"by":"bob","text":"x"}`, yes, yes, no, no},
		{"severity", `{"by":"bob","to":"sev1"}`, yes, no, no, no},
		{"mitigated", `{"by":"bob","text":"x"}`, yes, no, no, no},
		{"rollbacks", `{"by":"bob","step":"prompt"}`, yes, no, no, no},
		{"rollbacks", `{"by":"bob","step":"prompt","by_hand":true}`, yes, no, no, no},
		{"dismiss", `{"by":"bob","reason":"expected"}`, yes, yes, no, no},
		{"reopen", `{"by":"bob","reason":"x"}`, no, yes, no, yes},
	} {
		for state, want := range map[string]int{"open": test.open, "resolved": test.resolved, "closed": test.closed, "dismissed": test.dismissed} {
			t.Run(test.command+" when "+state, func(t *testing.T) {
				w := newWorld(t)
				w.stand(state)
				before := len(w.view().Timeline)
				answer := w.call("POST", ofFirst+test.command, test.body)
				if answer.Code != want {
					t.Fatalf("%d, want %d: %s", answer.Code, want, answer.Body)
				}
				if want == yes {
					return
				}
				problem := decode[web.Problem](t, answer)
				if len(problem.Allowed) == 0 || !strings.Contains(problem.Detail, "#1 ") || len(w.view().Timeline) != before {
					t.Errorf("says %+v, %d events more", problem, len(w.view().Timeline)-before)
				}
			})
		}
	}
}

func TestOfTwoPeopleAtOnceOneIsTold(t *testing.T) {
	w := newWorld(t)
	var group sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 20)
	for i := range answers {
		group.Go(func() {
			answers[i] = w.call("POST", ofFirst+"dismiss", `{"by":"`+[]string{"alice", "bob"}[i%2]+`","reason":"expected"}`)
		})
	}
	group.Wait()
	done := 0
	for _, answer := range answers {
		switch answer.Code {
		case http.StatusOK:
			done++
		case http.StatusConflict:
		default:
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
	dismissals := 0
	for _, entry := range w.view().Timeline {
		if entry.Kind == "dismissed" {
			dismissals++
		}
	}
	if done != 1 || dismissals != 1 {
		t.Errorf("%d were told that it is done, %d were", done, dismissals)
	}
}

func TestTheSameKeyAtOnceIsOneWrite(t *testing.T) {
	w := newWorld(t)
	var group sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 20)
	for i := range answers {
		group.Go(func() {
			answers[i] = w.call("POST", ofFirst+"notes", `{"by":"alice","text":"x"}`, "Idempotency-Key", "k")
		})
	}
	group.Wait()
	for _, answer := range answers {
		if answer.Code != 200 || answer.Body.String() != answers[0].Body.String() {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
	noted := 0
	for _, entry := range w.view().Timeline {
		if entry.Kind == "noted" {
			noted++
		}
	}
	if noted != 1 {
		t.Errorf("noted %d times", noted)
	}
}

func TestAKeyBelongsToWhoUsedItFirst(t *testing.T) {
	const notes = of42 + "notes"
	g := newGuarded(t)
	first := g.send(allCredentials[2], "POST", notes, `{"text":"x"}`, "Idempotency-Key", "k")
	said := g.send(allCredentials[2], "POST", notes, `{"text":"x","by":"respond"}`, "Idempotency-Key", "k")
	if first.Code != 200 || said.Body.String() != first.Body.String() {
		t.Errorf("the same author, said: %d %s", said.Code, said.Body)
	}
	if other := g.send(allCredentials[4], "POST", notes, `{"text":"x"}`, "Idempotency-Key", "k"); other.Code != 422 {
		t.Errorf("another author: %d %s", other.Code, other.Body)
	}
}

func TestATestPageIsSentOnceUnderAKey(t *testing.T) {
	f := newFixture(t)
	const pager = "/api/v1/receivers/pager/test"
	for range 3 {
		test := decode[web.ReceiverTest](t, f.call("POST", pager, `{"by":"alice"}`, "Idempotency-Key", "k"))
		if !test.Delivered || test.Status != 202 || test.TookSeconds != 0.12 {
			t.Errorf("%+v", test)
		}
	}
	if other := f.call("POST", "/api/v1/receivers/chat/test", `{"by":"alice"}`, "Idempotency-Key", "k"); other.Code != 422 {
		t.Errorf("another receiver with the key: %d %s", other.Code, other.Body)
	}
	failed := f.call("POST", "/api/v1/receivers/chat/test", `{"by":"bob"}`)
	if test := decode[web.ReceiverTest](t, failed); failed.Code != 200 || test.Delivered || test.Detail != "401 Unauthorized" {
		t.Errorf("%d %s", failed.Code, failed.Body)
	}
	if tested := strings.Join(f.receivers.Tested(), ", "); tested != "alice pager, bob chat" {
		t.Errorf("sent %s", tested)
	}
}

func TestReceiversAreListedByName(t *testing.T) {
	f := newFixture(t)
	list := decode[web.ReceiverList](t, f.call("GET", "/api/v1/receivers", ""))
	if len(list.Receivers) != 2 || list.Receivers[0].Name != "chat" || list.Receivers[0].Waiting != 2 || list.Receivers[1].Name != "pager" || list.Next != "" {
		t.Errorf("%+v", list)
	}
	first := decode[web.ReceiverList](t, f.call("GET", "/api/v1/receivers?limit=1", ""))
	second := f.call("GET", "/api/v1/receivers?limit=1&after="+first.Next, "")
	rest := decode[web.ReceiverList](t, second)
	if len(first.Receivers) != 1 || first.Next != "chat" || len(rest.Receivers) != 1 || rest.Receivers[0].Name != "pager" || rest.Next != "" {
		t.Errorf("%+v, %+v", first, rest)
	}
	if strings.Contains(f.call("GET", "/api/v1/receivers", "").Body.String(), "null") {
		t.Error("a list is null")
	}
}

func TestAServiceIsHeardWhateverTypeItSends(t *testing.T) {
	f := newFixture(t)
	for kind, body := range map[string]string{"application/x-www-form-urlencoded": "payload=%7B%7D", "application/json": `{"a": 1}`, "": "x"} {
		answer := f.call("POST", "/api/v1/receivers/chat/inbound", body, "Content-Type", kind, "Signature", "right")
		if answer.Code != 200 || answer.Body.String() != body {
			t.Errorf("%q: %d %s", kind, answer.Code, answer.Body)
		}
		want := "text/plain; charset=utf-8"
		if strings.HasPrefix(body, "{") {
			want = "application/json"
		}
		if got := answer.Header().Get("Content-Type"); got != want {
			t.Errorf("%q: answered as %q", kind, got)
		}
	}
}

func TestABackupIsSentWholeAndNothingOfItStays(t *testing.T) {
	f := newFixture(t)
	var folder string
	f.offer(func(c *web.Config) {
		folder = c.Backup.Folder
		if err := os.Mkdir(folder+"/.irdaemon-backup-1", 0o700); err != nil { // of a process that was killed
			t.Fatal(err)
		}
	})
	answer := f.call("GET", "/api/v1/backup", "")
	if answer.Code != 200 || answer.Body.String() != "SQLite format 3" || answer.Header().Get("Content-Length") != "15" {
		t.Errorf("%d %q %v", answer.Code, answer.Body, answer.Header())
	}
	if name := answer.Header().Get("Content-Disposition"); !regexp.MustCompile(`^attachment; filename="irdaemon-20261103T141224Z\.db"$`).MatchString(name) {
		t.Errorf("named %s", name)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if answer := f.call("HEAD", "/api/v1/backup", ""); answer.Code != 200 || answer.Body.Len() != 0 {
		t.Errorf("HEAD: %d %q", answer.Code, answer.Body)
	}
}

func TestABackupThatFailsSaysSo(t *testing.T) {
	f := newFixture(t)
	var folder string
	f.offer(func(c *web.Config) {
		folder = c.Backup.Folder
		c.Backup.Copy = backupThatFails
	})
	for range 2 { // the turn is given back
		answer := f.call("GET", "/api/v1/backup", "")
		if problem := decode[web.Problem](t, answer); answer.Code != 500 || strings.Contains(problem.Detail, "disk") {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
	if f.logs.FilterMessage("backup not sent").Len() != 2 {
		t.Errorf("logged %v", f.logs.All())
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

var errDisk = errors.New("disk full")
