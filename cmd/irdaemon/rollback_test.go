package main

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

// onTerminal calls a command as a person at a terminal does, who types the answer.
func onTerminal(t *testing.T, address, answer string, args ...string) ran {
	t.Helper()
	return irdaemonWith(t, &clientSettings{now: clientNow, terminal: func() bool { return true }}, address, answer, args...)
}

func TestARollbackIsShownAndAskedForOnATerminal(t *testing.T) {
	for _, test := range []struct {
		answer string
		sent   bool
	}{{"y\n", true}, {" YES \n", true}, {"yes", true}, {"n\n", false}, {"\n", false}, {"", false}, {"yep\n", false}} {
		address, desk := serveAPI(t)
		got := onTerminal(t, address, test.answer, "rollback", "42", "prompt", "--by", "alice")
		view, err := desk.View(t.Context(), "42")
		if err != nil || (len(view.Actions) == 1) != test.sent || (got.code() == 0) != test.sent {
			t.Errorf("%q: %v, %+v", test.answer, got.err, view.Actions)
		}
		if got.stderr != "Send it? [y/N] " || !strings.Contains(got.out, "PUT https://prompts.internal/labels/live") || !strings.Contains(got.out, "Authorization: ***") {
			t.Errorf("%q: asked %q after\n%s", test.answer, got.stderr, got.out)
		}
		if !test.sent && got.err.Error() != "nothing was done" {
			t.Errorf("%q: %v", test.answer, got.err)
		}
	}
}

func TestJSONOfARollbackIsTheIncidentAlone(t *testing.T) {
	address, _ := serveAPI(t)
	got := onTerminal(t, address, "y\n", "rollback", "42", "prompt", "--by", "alice", "-o", "json")
	var view incident.View
	if err := json.Unmarshal([]byte(got.out), &view); err != nil || got.err != nil || len(view.Actions) != 1 {
		t.Errorf("%v, %v: %s", err, got.err, got.out)
	}
	if !strings.Contains(got.stderr, "PUT https://prompts.internal/labels/live") {
		t.Errorf("not shown: %s", got.stderr)
	}
}

func TestWhatChangedWhileAPersonThoughtIsNotSent(t *testing.T) {
	desk, planner := webtest.NewDesk(clientNow, webtest.Refusals()), &webtest.Planner{}
	server := httptest.NewServer(web.New(web.Config{
		Desk: desk, Planner: planner, Now: clientNow, Registry: prometheus.NewRegistry(), Log: zap.NewNop(),
	}))
	defer server.Close()
	settings := &clientSettings{now: clientNow, terminal: func() bool { return true }}
	got := irdaemonReading(t, settings, server.URL, &thinking{answer: "y\n", meanwhile: func() { planner.Serve("support prompt", "prompt-v8") }},
		"rollback", "42", "prompt", "--by", "alice")
	view, err := desk.View(t.Context(), "42")
	if got.code() != 1 || !strings.Contains(got.err.Error(), "changed since you looked; nothing was done") || err != nil || len(view.Actions) != 0 {
		t.Errorf("%v, %v, %+v", got.err, err, view.Actions)
	}
}

// thinking is a person at whose terminal something happens before they answer.
type thinking struct {
	answer    string
	meanwhile func()
}

func (p *thinking) Read(to []byte) (int, error) {
	if p.meanwhile != nil {
		p.meanwhile()
		p.meanwhile = nil
	}
	n := copy(to, p.answer)
	p.answer = p.answer[n:]
	return n, nil
}

func TestASecondPersonApprovesWhatIsShown(t *testing.T) {
	view := webtest.Refusals()
	view.Rollbacks = append(view.Rollbacks, incident.RollbackView{Artifact: "weights", Name: "weights", Approval: runbook.ApprovalTwoPerson, Runs: true})
	entries, tokens := "tokens:\n", map[string]string{}
	for _, name := range []string{"alice", "bob"} {
		token, hash := access.NewToken()
		tokens[name], entries = token, entries+access.Entry(name, []access.Scope{access.Respond}, hash)
	}
	file := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(file, []byte(entries), 0o600); err != nil {
		t.Fatal(err)
	}
	who, err := access.Load(access.Settings{TokensFile: file})
	if err != nil {
		t.Fatal(err)
	}
	desk := webtest.NewDesk(clientNow, view)
	server := httptest.NewServer(web.New(web.Config{
		Desk: desk, Planner: &webtest.Planner{}, Now: clientNow, Registry: prometheus.NewRegistry(), Log: zap.NewNop(),
		Access: func() *access.Access { return who },
	}))
	defer server.Close()
	as := func(name, answer string, args ...string) ran {
		t.Setenv("IRDAEMON_TOKEN", tokens[name])
		return onTerminal(t, server.URL, answer, args...)
	}
	asked := as("alice", "y\n", "rollback", "42", "weights")
	if asked.err != nil {
		t.Fatal(asked.err)
	}
	golden(t, "rollback_two_person", asked.out)
	if own := as("alice", "y\n", "approve", "42"); own.code() != 1 || !strings.Contains(own.err.Error(), "somebody else approves it") {
		t.Errorf("her own: %v", own.err)
	}
	if no := as("bob", "n\n", "approve", "42"); no.code() != 1 || no.stderr != "Approve it? [y/N] " {
		t.Errorf("a no: %v, %q", no.err, no.stderr)
	}
	approved := as("bob", "y\n", "approve", "42", "1")
	if approved.err != nil {
		t.Fatal(approved.err)
	}
	golden(t, "approve", approved.out)
	if after, err := desk.View(t.Context(), "42"); err != nil || strings.Join(after.Actions[0].Approvers, " ") != "bob" {
		t.Errorf("%+v, %v", after.Actions, err)
	}
}

func TestEveryCharacterOfARequestIsShown(t *testing.T) {
	request := "PUT https://prompts.internal/" + strings.Repeat("labels/", 40) + "\n\n\t{\"version\": \"" + strings.Repeat("ü", 300) + "\"}\n\x1b[2Jend"
	told := whole("  ", request)
	var shown strings.Builder
	for line := range strings.Lines(told) {
		if width := utf8.RuneCountInString(strings.TrimRight(line, "\n")); width > text.Width {
			t.Errorf("%d columns: %s", width, line)
		}
		shown.WriteString(strings.TrimSpace(line))
	}
	squeeze := func(s string) string { return strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s) }
	if got, want := squeeze(shown.String()), squeeze(text.Clean(request)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if strings.ContainsRune(told, '\x1b') {
		t.Error("it steers the terminal")
	}
}

func TestWhatBecameOfARequestIsTold(t *testing.T) {
	at := clientNow().Add(-time.Minute)
	for _, test := range []struct {
		name   string
		action incident.ActionView
		want   string
	}{
		{"a dry run", incident.ActionView{ID: "1", Title: "support prompt", State: "failed", Why: "dry run", Cause: "the settings have actions: dry_run"},
			"#42, action 1, support prompt: failed, dry run\n  the settings have actions: dry_run\n"},
		{"taken", incident.ActionView{ID: "2", Title: "support prompt", State: "requested", RequestedAt: &at},
			"#42, action 2, support prompt: requested\nirdaemon incidents show 42 tells what comes of it\n"},
	} {
		view := webtest.Refusals()
		view.Actions = []incident.ActionView{{ID: "0"}, test.action}
		if got := askedText(view, web.Prepared{}); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
