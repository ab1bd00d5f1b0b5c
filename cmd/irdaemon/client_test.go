package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func clientNow() time.Time { return webtest.At("14:12:24") }

// serveAPI is the API over a Desk with three incidents.
func serveAPI(t *testing.T) (address string, desk *webtest.Desk) {
	t.Helper()
	desk = webtest.NewDesk(clientNow, webtest.Blind(), webtest.Refusals(), webtest.Costs())
	server := httptest.NewServer(web.New(web.Config{
		Desk: desk, Silences: desk, Receivers: &webtest.Receivers{}, Drill: desk.Drill, Overview: loaded{}, Now: clientNow,
		Planner: &webtest.Planner{}, Changes: webtest.NewChanges(clientNow), Registry: prometheus.NewRegistry(), Log: zap.NewNop(),
	}))
	t.Cleanup(server.Close)
	return server.URL, desk
}

// loaded is the two runbooks in force.
type loaded struct{}

func (loaded) Runbooks() []web.RunbookStatus {
	return []web.RunbookStatus{
		{Name: "good-users-refused", Title: "The safety layer refuses good users", Owner: "ml-platform-oncall"},
		{Name: "slow-answers", Title: "Answers are slow", Owner: "search-oncall", GroupBy: []string{"service", "tier"}, Groups: []web.GroupStatus{
			{Group: map[string]string{"service": "search", "tier": "paid"}}, {Group: map[string]string{"service": "search", "tier": "free"}},
		}},
	}
}

func (loaded) Signals() []web.SignalStatus { return nil }

// ran is what a command did.
type ran struct {
	out, stderr string
	err         error
}

// code is the exit code that the error stands for.
func (r ran) code() int {
	var usage *usageError
	switch {
	case r.err == nil:
		return 0
	case errors.As(r.err, &usage):
		return 2
	}
	return 1
}

// irdaemon calls a command as the shell would, against the daemon at address.
func irdaemon(t *testing.T, address, in string, args ...string) ran {
	t.Helper()
	return irdaemonWith(t, &clientSettings{now: clientNow}, address, in, args...)
}

// irdaemonWith is irdaemon with settings of its own.
func irdaemonWith(t *testing.T, settings *clientSettings, address, in string, args ...string) ran {
	t.Helper()
	return irdaemonReading(t, settings, address, strings.NewReader(in), args...)
}

// irdaemonReading is irdaemonWith another standard input.
func irdaemonReading(t *testing.T, settings *clientSettings, address string, in io.Reader, args ...string) ran {
	t.Helper()
	t.Setenv(urlVariable, address)
	root := &cobra.Command{Use: "irdaemon", SilenceErrors: true, SilenceUsage: true}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrongUsage("%w", err) })
	root.AddGroup(onCallGroup())
	root.AddCommand(commandsOf(settings)...)
	var out, stderr bytes.Buffer
	root.SetIn(in)
	root.SetOut(&out)
	root.SetErr(&stderr)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return ran{out: out.String(), stderr: stderr.String(), err: err}
}

// golden compares a text with a file; -update rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "client", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

func TestWhatCommandsPrint(t *testing.T) {
	for _, test := range []struct {
		golden string
		in     string
		args   []string
	}{
		{"list", "", []string{"incidents"}},
		{"list_all", "", []string{"incidents", "list", "--state", "all"}},
		{"list_severity", "", []string{"incidents", "--severity", "sev1"}},
		{"list_none", "", []string{"incidents", "--state", "mitigating", "--runbook", "good-users-refused", "--severity", "sev4"}},
		{"list_json", "", []string{"incidents", "list", "--runbook", "cost-spike", "--state", "all", "-o", "json"}},
		{"show_triggered", "", []string{"incidents", "show", "42"}},
		{"show_blind", "", []string{"incidents", "show", "#43"}},
		{"show_resolved", "", []string{"incidents", "show", "0aa1c7d2b5f64e90"}},
		{"ack", "", []string{"ack", "42", "--by", "alice"}},
		{"note", "", []string{"note", "42", "the", "provider", "sees", "it", "too", "--by", "alice"}},
		{"unack", "", []string{"unack", "43", "--by", "alice"}},
		{"triage", "", []string{"triage", "42", "1", "done", "--by", "alice"}},
		{"triage_last", "", []string{"triage", "42", "2", "yes", "paid", "users", "in", "English", "--by", "alice"}},
		{"update", "", []string{"update", "42", "the", "prompt", "is", "rolled", "back", "--next", "30m", "--by", "alice"}},
		{"update_without_next", "We see fewer wrong refusals.\n", []string{"update", "42", "-", "--audience", "customer", "--by", "alice"}},
		{"severity_raised", "", []string{"severity", "42", "sev1", "--by", "alice"}},
		{"severity_lowered", "", []string{"severity", "42", "sev3", "--reason", "internal users only", "--for", "1h", "--by", "alice"}},
		{"mitigated", "", []string{"mitigated", "42", "prompt", "set", "back", "to", "v6", "--at", "14:10", "--by", "alice"}},
		{"dismiss", "", []string{"dismiss", "42", "--reason", "false_alarm", "--text", "the evaluation job asked for harm", "--by", "alice"}},
		{"dismiss_duplicate", "", []string{"dismiss", "43", "--reason", "duplicate", "--of", "#42", "--by", "alice"}},
		{"reopen", "", []string{"reopen", "41", "--reason", "it is back", "--by", "alice"}},
		{"ack_several", "", []string{"ack", "42", "#43", "--by", "alice"}},
		{"list_self", "", []string{"incidents", "--self", "--state", "resolved"}},
		{"silence_add", "", []string{"silence", "add", "slow-answers", "--group", "tier=free", "--up-to", "sev2", "--for", "2h", "--reason", "load test", "--by", "alice"}},
		{"silence_none", "", []string{"silence"}},
		{"silence_json", "", []string{"silence", "list", "-o", "json"}},
		{"receivers", "", []string{"receivers", "list"}},
		{"receivers_test", "", []string{"receivers", "test", "pager", "--by", "alice"}},
		{"drill", "", []string{"drill", "good-users-refused", "--by", "alice"}},
		{"drill_severity", "", []string{"drill", "slow-answers", "--group", "tier=free", "--severity", "sev4", "--by", "alice"}},
		{"rollback_yes", "", []string{"rollback", "42", "prompt", "--yes", "--by", "alice"}},
		{"rollback_to", "", []string{"rollback", "42", "prompt", "--to", "prompt-v7", "--yes", "--by", "alice"}},
		{"rollback_mitigate", "", []string{"rollback", "42", "--mitigate", "Route paid traffic to the approved fallback model", "--yes", "--by", "alice"}},
		{"rollback_by_hand", "", []string{"rollback", "42", "retrieval_index", "--to", "kb-1", "--by-hand", "--at", "14:10", "--by", "alice"}},
		{"change", "", []string{"change", "prompt", "--service", "support-bot", "--from", "prompt-v6", "--to", "prompt-v7", "--at", "13:30", "--by", "alice"}},
		{"change_note", "", []string{"change", "code", "--note", "redis got another eviction policy", "--by", "ci"}},
		{"changes_none", "", []string{"changes", "--since", "7d"}},
		{"changes_json", "", []string{"changes", "-o", "json"}},
		{"note_json", "two\nlines\n", []string{"note", "41", "-", "--by", "alice", "-o", "json"}},
	} {
		t.Run(test.golden, func(t *testing.T) {
			address, _ := serveAPI(t)
			got := irdaemon(t, address, test.in, test.args...)
			if got.err != nil {
				t.Fatal(got.err)
			}
			golden(t, test.golden, got.out)
			for line := range strings.Lines(got.out) {
				line = strings.TrimSuffix(line, "\n")
				if width := utf8.RuneCountInString(line); !strings.HasSuffix(test.golden, "json") && width > text.Width {
					t.Errorf("%d columns: %s", width, line)
				}
			}
		})
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	address, desk := serveAPI(t)
	for _, test := range []struct {
		name    string
		address string
		args    []string
		code    int
		says    string
	}{
		{"nothing listens", nobody, []string{"incidents"}, 1, "cannot reach irdaemon at " + nobody + ": connection refused; is it running? set --url or IRDAEMON_URL"},
		{"another program listens", other.URL, []string{"incidents"}, 1, "what answers at " + other.URL + " is not irdaemon's API: 404 Not Found, text/plain"},
		{"the URL is none", "127.0.0.1:9847", []string{"incidents"}, 2, "--url or IRDAEMON_URL: "},
		{"the URL has another scheme", "ftp://x", []string{"incidents"}, 2, "http://127.0.0.1:9847"},
		{"an unknown incident", address, []string{"incidents", "show", "99"}, 1, "there is no incident \"99\"; possible: an id or a number, such as 42, `irdaemon incidents` lists them"},
		{"an incident that is over", address, []string{"ack", "41", "--by", "alice"}, 1, "#41 is resolved since 2026-11-02 22:30 UTC; possible: notes are still taken"},
		{"what is no incident", address, []string{"incidents", "show", "../runbooks"}, 2, `"../runbooks" is not an incident`},
		{"an answer to no item", address, []string{"triage", "42", "one", "yes", "--by", "alice"}, 2, `"one" is not an item's number`},
		{"an item that there is not", address, []string{"triage", "42", "9", "yes", "--by", "alice"}, 1, "the checklist has no item 9; possible: its items are 1 to 2"},
		{"an answer of nothing", address, []string{"triage", "42", "1", " ", "--by", "alice"}, 2, "the answer is empty"},
		{"an update to nobody", address, []string{"update", "42", "x", "--audience", "press", "--by", "alice"}, 2, `--audience "press" is not known; internal or customer`},
		{"an update due at no time", address, []string{"update", "42", "x", "--next", "soon", "--by", "alice"}, 2, `--next "soon" is not a time; 30m, 15:15 (UTC)`},
		{"an update due in the past", address, []string{"update", "42", "x", "--next", "2026-11-03T14:00:00Z", "--by", "alice"}, 2, "--next 2026-11-03T14:00:00Z is past"},
		{"an update of nothing", address, []string{"update", "42", "", "--by", "alice"}, 2, "the update is empty"},
		{"a severity that is none", address, []string{"severity", "42", "2", "--by", "alice"}, 2, `the severity "2" is not known; sev1, sev2, sev3, sev4`},
		{"a severity for no time", address, []string{"severity", "42", "sev3", "--for", "-1h", "--by", "alice"}, 2, `--for "-1h" is not a duration`},
		{"a lower severity without a reason", address, []string{"severity", "42", "sev3", "--by", "alice"}, 1, "a severity is lowered without a reason; possible: say why"},
		{"mitigated at no time", address, []string{"mitigated", "42", "x", "--at", "25:00", "--by", "alice"}, 2, `--at "25:00" is not a time; 14:18 (UTC)`},
		{"dismissed without a reason", address, []string{"dismiss", "42", "--by", "alice"}, 2, `--reason "" is not known; false_alarm, duplicate, expected, test`},
		{"a duplicate of nothing", address, []string{"dismiss", "42", "--reason", "duplicate", "--by", "alice"}, 2, "--of ID"},
		{"a false alarm of another", address, []string{"dismiss", "42", "--reason", "false_alarm", "--of", "41", "--by", "alice"}, 2, "--reason duplicate"},
		{"reopened without a reason", address, []string{"reopen", "41", "--by", "alice"}, 2, "--reason is empty"},
		{"reopened while it is open", address, []string{"reopen", "42", "--reason", "x", "--by", "alice"}, 1, "#42 is open; possible: "},
		{"a silence without an end", address, []string{"silence", "add", "slow-answers", "--reason", "x", "--by", "alice"}, 2, "--for is missing"},
		{"a silence without a reason", address, []string{"silence", "add", "slow-answers", "--for", "2h", "--by", "alice"}, 2, "--reason is missing"},
		{"a silence up to nothing", address, []string{"silence", "add", "slow-answers", "--for", "2h", "--reason", "x", "--up-to", "sev9", "--by", "alice"}, 2, `--up-to "sev9" is not known`},
		{"a silence of no runbook", address, []string{"silence", "add", "slow-answer", "--for", "2h", "--reason", "x", "--by", "alice"}, 1, "slow-answers"},
		{"a silence of no group", address, []string{"silence", "add", "slow-answers", "--for", "2h", "--reason", "x", "--group", "free", "--by", "alice"}, 2, "--group"},
		{"an end of no silence", address, []string{"silence", "end", "nothing", "--by", "alice"}, 1, `there is no silence "nothing", or none any more; possible: `},
		{"an end of what is no id", address, []string{"silence", "end", "a/b", "--by", "alice"}, 2, "irdaemon silence list has them"},
		{"silence without what to do", address, []string{"silence", "slow-answers"}, 2, "irdaemon silence takes add, list or end"},
		{"a test of no receiver", address, []string{"receivers", "test", "pagr", "--by", "alice"}, 1, `there is no receiver "pagr"; possible: `},
		{"a test page that was not delivered", address, []string{"receivers", "test", "chat", "--by", "alice"}, 1, "chat did not take the test page: 401 Unauthorized"},
		{"a drill of no runbook", address, []string{"drill", "good-user-refused", "--by", "alice"}, 1, "good-users-refused"},
		{"a drill of no severity", address, []string{"drill", "slow-answers", "--severity", "1", "--by", "alice"}, 2, `--severity "1" is not known`},
		{"a rollback where nobody can be asked", address, []string{"rollback", "42", "prompt", "--by", "alice"}, 2, "standard input is no terminal, on which this could be asked; --yes"},
		{"a rollback of nothing", address, []string{"rollback", "42", "--yes", "--by", "alice"}, 2, "either a step of the rollback stack or --mitigate TITLE"},
		{"a rollback of both", address, []string{"rollback", "42", "prompt", "--mitigate", "x", "--yes", "--by", "alice"}, 2, "either a step"},
		{"a mitigation to a version", address, []string{"rollback", "42", "--mitigate", "x", "--to", "v1", "--yes", "--by", "alice"}, 2, "a mitigation has none"},
		{"a rollback at a time", address, []string{"rollback", "42", "prompt", "--at", "14:10", "--yes", "--by", "alice"}, 2, "it goes with --by-hand"},
		{"a rollback by hand, sent", address, []string{"rollback", "42", "prompt", "--by-hand", "--yes", "--by", "alice"}, 2, "with --by-hand nothing is sent"},
		{"a rollback by hand at no time", address, []string{"rollback", "42", "prompt", "--by-hand", "--at", "25:00", "--by", "alice"}, 2, `--at "25:00" is not a time`},
		{"a misspelt step", address, []string{"rollback", "42", "promt", "--yes", "--by", "alice"}, 1, `the rollback stack has no step "promt"; possible: `},
		{"a step that only people do", address, []string{"rollback", "42", "retrieval_index", "--yes", "--by", "alice"}, 1, `the runbook has no action for retrieval_index: do it as irdaemon incidents show 42 says, then: irdaemon rollback 42 "retrieval_index" --by-hand`},
		{"a mitigation that there is not", address, []string{"rollback", "42", "--mitigate", "Pray", "--yes", "--by", "alice"}, 1, `no mitigation "Pray"`},
		{"a rollback of what is no incident", address, []string{"rollback", "../x", "prompt", "--yes"}, 2, "is not an incident"},
		{"an approval of nothing", address, []string{"approve", "42", "--yes", "--by", "alice"}, 1, "nothing waits for approval on #42"},
		{"an approval of what there is not", address, []string{"approve", "42", "7", "--yes", "--by", "alice"}, 1, "#42 has no action 7"},
		{"an approval where nobody can be asked", address, []string{"approve", "42", "--by", "alice"}, 2, "--yes does it without"},
		{"a change to nothing", address, []string{"change", "prompt", "--by", "alice"}, 2, "--to is missing"},
		{"a change of what is no name", address, []string{"change", "a/b", "--to", "x", "--by", "alice"}, 1, `body.artifact: "a/b" is not a name; letters, digits`},
		{"a change at no time", address, []string{"change", "prompt", "--to", "x", "--at", "yesterday", "--by", "alice"}, 2, `--at "yesterday" is not a time`},
		{"a change with a link that is none", address, []string{"change", "prompt", "--to", "x", "--link", "javascript:alert(1)", "--by", "alice"}, 1, "body.url: "},
		{"a change of nothing", address, []string{"change", "--to", "x"}, 2, "one artifact"},
		{"changes since a word", address, []string{"changes", "--since", "ever"}, 2, `--since "ever" is no time to look back to; 24h`},
		{"no incident", address, []string{"incidents", "show"}, 2, "one incident: an id or a number"},
		{"two incidents", address, []string{"unack", "41", "42"}, 2, "one incident: an id or a number"},
		{"an incident without show", address, []string{"incidents", "42"}, 2, "list or show ID"},
		{"an unknown state", address, []string{"incidents", "--state", "opne"}, 2, "--state \"opne\" is not known; open, all, triggered"},
		{"an unknown severity", address, []string{"incidents", "--severity", "1"}, 2, "--severity \"1\" is not known; sev1, sev2, sev3, sev4"},
		{"a limit of nothing", address, []string{"incidents", "--limit", "0"}, 2, "--limit 0 is not possible; 1 to 200"},
		{"an unknown output", address, []string{"incidents", "-o", "yaml"}, 2, "text or json"},
		{"an unknown flag", address, []string{"incidents", "list", "--sate", "open"}, 2, "--sate"},
		{"a note without a text", address, []string{"note", "42"}, 2, "a text, or - for standard input"},
		{"a note of nothing but escapes", address, []string{"note", "42", "\x1b[31m\x1b[0m", "--by", "alice"}, 2, "the note is empty"},
		{"an empty note", address, []string{"note", "42", "-", "--by", "alice"}, 2, "the note is empty"},
		{"a note that is too long", address, []string{"note", "42", strings.Repeat("x", 10_001), "--by", "alice"}, 2, "10000 bytes"},
		{"a name with a line feed", address, []string{"ack", "42", "--by", "a\nb"}, 1, "body.by: expected a name without control characters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := irdaemon(t, test.address, "", test.args...)
			if got.code() != test.code || !strings.Contains(got.err.Error(), test.says) {
				t.Errorf("code %d: %v\nwant %d: %s", got.code(), got.err, test.code, test.says)
			}
			if got.out != "" || strings.Contains(got.err.Error(), "\n") {
				t.Errorf("printed %q; error %q", got.out, got.err)
			}
		})
	}
	if view, err := desk.View(t.Context(), "42"); err != nil || len(view.Timeline) != 3 {
		t.Errorf("something was written: %v, %v", view.Timeline, err)
	}
}

func TestTheNameIsTheShellsUserUnlessGiven(t *testing.T) {
	address, desk := serveAPI(t)
	t.Setenv("USER", "carol")
	if got := irdaemon(t, address, "", "ack", "42"); got.err != nil {
		t.Fatal(got.err)
	}
	if view, err := desk.View(t.Context(), "42"); err != nil || view.AcknowledgedBy != "carol" {
		t.Errorf("taken by %q, %v", view.AcknowledgedBy, err)
	}
	t.Setenv("USER", "")
	for _, args := range [][]string{{"ack", "42"}, {"note", "42", "x"}} {
		if got := irdaemon(t, address, "", args...); got.code() != 2 || !strings.Contains(got.err.Error(), "--by") {
			t.Errorf("%v without a name: %v", args, got.err)
		}
	}
}

func TestAPageOfTheListSaysThatThereAreMore(t *testing.T) {
	address, _ := serveAPI(t)
	first := irdaemon(t, address, "", "incidents", "--state", "all", "--limit", "2")
	if strings.Count(first.out, "\n") != 3 || first.stderr != "there are more: --after 42\n" {
		t.Errorf("%q, %q", first.out, first.stderr)
	}
	second := irdaemon(t, address, "", "incidents", "--state", "all", "--limit", "2", "--after", "42")
	if !strings.Contains(second.out, "#41") || strings.Count(second.out, "\n") != 2 || second.stderr != "" {
		t.Errorf("%q, %q", second.out, second.stderr)
	}
}

func TestANoteWhoseAnswerGotLostIsSentAgainAndDoneOnce(t *testing.T) {
	desk := webtest.NewDesk(clientNow, webtest.Refusals())
	api := web.New(web.Config{Desk: desk, Registry: prometheus.NewRegistry(), Log: zap.NewNop()})
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > 1 {
			api.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(httptest.NewRecorder(), r) // done, and the answer is lost
		reset(t, w)
	}))
	defer server.Close()
	got := irdaemon(t, server.URL, "", "note", "42", "once", "--by", "alice")
	view, err := desk.View(t.Context(), "42")
	if got.err != nil || err != nil || requests.Load() != 2 || len(view.Timeline) != 4 {
		t.Errorf("%v, %v: %d requests, %d entries", got.err, err, requests.Load(), len(view.Timeline))
	}
}

func TestAConnectionThatAlwaysBreaksIsTriedTwice(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		reset(t, w)
	}))
	defer server.Close()
	got := irdaemon(t, server.URL, "", "ack", "42", "--by", "alice")
	if got.code() != 1 || requests.Load() != 2 || !strings.Contains(got.err.Error(), "cannot reach irdaemon") {
		t.Errorf("%v after %d requests", got.err, requests.Load())
	}
}

// reset breaks the connection, as a process that dies does.
func reset(t *testing.T, w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

func TestTheJSONOfACommandIsTheAPIs(t *testing.T) {
	address, _ := serveAPI(t)
	for _, test := range []struct {
		path string
		args []string
	}{
		{"/api/v1/incidents/42", []string{"incidents", "show", "42"}},
		{"/api/v1/incidents?state=open&limit=50", []string{"incidents"}},
		{"/api/v1/receivers", []string{"receivers"}},
		{"/api/v1/silences", []string{"silence"}},
	} {
		response, err := http.Get(address + test.path)
		if err != nil {
			t.Fatal(err)
		}
		api, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		got := irdaemon(t, address, "", append(test.args, "-o", "json")...)
		if got.err != nil || compact(t, got.out) != compact(t, string(api)) {
			t.Errorf("%v: %v, got\n%s\nwant\n%s", test.args, got.err, got.out, api)
		}
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var short bytes.Buffer
	if err := json.Compact(&short, []byte(text)); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return short.String()
}

func TestANoteFromAnotherCommandIsPlainTextAndItsEnd(t *testing.T) {
	many := strings.Repeat("0123456789\n", 2000)
	for _, test := range []struct {
		name, in, want string
	}{
		{"colours, titles and the cursor are left out", "\x1b[1;31merror\x1b[0m at \x1b]0;title\x07step 2\r\n\ttab\x1b[2K\x00\x7f!", "error at step 2\n\ttab!"},
		{"what is not text is shown as such", "a\xffb", "a\uFFFDb"},
		{"of too much the end is kept", many + "the end\n", "(cut: the first 12071 bytes are left out)\n"},
	} {
		address, desk := serveAPI(t)
		if got := irdaemon(t, address, test.in, "note", "42", "-", "--by", "alice"); got.err != nil {
			t.Fatalf("%s: %v", test.name, got.err)
		}
		view, err := desk.View(t.Context(), "42")
		if err != nil {
			t.Fatal(err)
		}
		noted := view.Timeline[len(view.Timeline)-1].Text
		whole := noted == test.want
		if len(test.in) > maxTextBytes {
			whole = strings.HasPrefix(noted, test.want) && strings.HasSuffix(noted, "\nthe end") && len(noted) <= maxTextBytes
		}
		if !whole {
			t.Errorf("%s: noted %.100q… (%d bytes), want %q", test.name, noted, len(noted), test.want)
		}
	}
}

func TestAHandOverSaysWhoHadIt(t *testing.T) {
	address, _ := serveAPI(t)
	for _, step := range []struct{ by, want string }{
		{"zoe", "zoe has #42 now: The safety"},
		{"zoe", "zoe has #42 now: The safety"},
		{"yan", "yan has #42 now; zoe had it since 14:12:24 UTC: The safety"},
	} {
		got := irdaemon(t, address, "", "ack", "42", "--by", step.by)
		if got.err != nil || !strings.HasPrefix(got.out, step.want) {
			t.Errorf("%s: %q, %v; want %q", step.by, got.out, got.err, step.want)
		}
	}
	given := webtest.Refusals()
	given.AcknowledgedBy = "yan"
	given.Timeline = []incident.TimelineEntry{
		{Kind: "acknowledged", Actor: "zoe"}, {Kind: "unacknowledged", Actor: "zoe"}, {Kind: "acknowledged", Actor: "yan"},
	}
	if before := holderBefore(given); before != nil {
		t.Errorf("%s had given it back", before.Actor)
	}
	const evil = "\x1b[2J\x07\u202e"
	view := webtest.Refusals()
	view.Title, view.AcknowledgedBy = evil, evil
	if said := acknowledgedText(view, clientNow(), true); strings.ContainsAny(said, "\x1b\x07\u202e") {
		t.Errorf("%q steers the terminal", said)
	}
}

func TestTimesThatPeopleType(t *testing.T) {
	for _, test := range []struct {
		written, ahead, past string // empty: not possible
	}{
		{"30m", "30m", ""},
		{"1d", "1d", ""},
		{"15:15", "1h2m36s", "2026-11-02T15:15:00Z"},
		{"14:12:24", "1d", "2026-11-03T14:12:24Z"},
		{"14:10", "23h57m36s", "2026-11-03T14:10:00Z"},
		{"2026-11-03T16:12:24+01:00", "1h", "2026-11-03T15:12:24Z"},
		{"2026-11-03T14:12:24Z", "", "2026-11-03T14:12:24Z"},
		{"0s", "", ""},
		{"24:00", "", ""},
		{"tomorrow", "", ""},
	} {
		if in, err := timeAhead("--next", test.written, clientNow()); in != test.ahead || (err == nil) != (test.ahead != "") {
			t.Errorf("%s ahead: %q, %v; want %q", test.written, in, err, test.ahead)
		}
		at, err := timePast("--at", test.written, clientNow())
		if got := at.Format(time.RFC3339); (err == nil) != (test.past != "") || err == nil && got != test.past {
			t.Errorf("%s past: %s, %v; want %s", test.written, got, err, test.past)
		}
	}
}

func TestOfSeveralIncidentsThoseThatCanBeTakenAre(t *testing.T) {
	address, desk := serveAPI(t)
	got := irdaemon(t, address, "", "ack", "41", "42", "99", "--by", "alice")
	if got.code() != 1 || got.out != "alice has #42 now: The safety layer refuses good users\n" {
		t.Errorf("%q, %v", got.out, got.err)
	}
	for _, says := range []string{"#41 is resolved", `there is no incident "99"`} {
		if !strings.Contains(got.err.Error(), says) {
			t.Errorf("%v, want %s", got.err, says)
		}
	}
	if got := irdaemon(t, address, "", "ack", "43", "a/b", "--by", "bob"); got.code() != 2 || got.out != "" {
		t.Errorf("%q, %v", got.out, got.err)
	}
	if view, err := desk.View(t.Context(), "43"); err != nil || view.AcknowledgedBy != "alice" {
		t.Errorf("taken by %q, %v", view.AcknowledgedBy, err)
	}
	if got := irdaemon(t, "http://127.0.0.1:1", "", "ack", "42", "43", "--by", "bob"); strings.Count(got.err.Error(), "cannot reach") != 1 {
		t.Errorf("a daemon that is not there is told once for all: %v", got.err)
	}
}

func TestSilencesAreListedInWhatFits(t *testing.T) {
	address, desk := serveAPI(t)
	for _, args := range [][]string{
		{"slow-answers", "--group", "service=search,tier=free", "--up-to", "sev1", "--for", "36h", "--reason", "load test of the new cluster, planned for weeks"},
		{"good-users-refused", "--for", "2h", "--reason", "the index is rebuilt"},
	} {
		if got := irdaemon(t, address, "", append([]string{"silence", "add", "--by", "annabella-marguerita"}, args...)...); got.err != nil {
			t.Fatal(got.err)
		}
	}
	golden(t, "silence", irdaemon(t, address, "", "silence", "list").out)
	golden(t, "silence_end", irdaemon(t, address, "", "silence", "end", "silence1", "--by", "bob").out)
	if all, err := desk.Silences(t.Context()); err != nil || len(all) != 1 || all[0].ID != "silence2" {
		t.Errorf("%+v, %v", all, err)
	}
	held := web.SilenceStatus{
		Silence:   incident.Silence{ID: "k3v9q2m7x4tb", Runbook: "slow-answers", UpTo: "sev3", By: "bob", Reason: "load test", Until: clientNow().Add(time.Hour)},
		HoldsBack: []web.HeldBack{{Incident: "5f0c2a9be1d34788", Number: 42}, {Incident: "77aa00bb11cc22dd"}},
	}
	later := held
	later.From, later.HoldsBack = clientNow().Add(time.Minute), nil
	golden(t, "silence_held", silencesText([]web.SilenceStatus{held, later}, clientNow()))
}

func TestWhoIsCalledAfterACommand(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(*incident.View)
		want string
	}{
		{"its owner", func(v *incident.View) { v.Called = nil }, "calling its owner, ml-platform-oncall"},
		{"those who were called", func(v *incident.View) { v.Called = []string{"a", "b"} }, "calling a, b"},
		{"nobody, for a silence", func(v *incident.View) { v.Calling, v.Silenced = false, []string{"reopened"} }, "a silence holds the call back"},
		{"nobody, for somebody has it", func(v *incident.View) { v.Calling, v.AcknowledgedBy = false, "zoe" }, "zoe has it"},
		{"nobody, for it is not bad", func(v *incident.View) { v.Calling, v.Severity = false, "sev4" }, "nobody is called: sev4 doesn't page"},
	} {
		view := webtest.Refusals()
		test.make(&view)
		if got := calledText(view); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if said := updatedText(webtest.Costs(), incident.Internal, clientNow()); !strings.HasSuffix(said, "\nno further update is due\n") {
		t.Error(said)
	}
}
