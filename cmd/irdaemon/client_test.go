package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
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
	server := httptest.NewServer(web.New(web.Config{Desk: desk, Registry: prometheus.NewRegistry(), Log: zap.NewNop()}))
	t.Cleanup(server.Close)
	return server.URL, desk
}

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
	t.Setenv(urlVariable, address)
	settings := &clientSettings{now: clientNow}
	root := &cobra.Command{Use: "irdaemon", SilenceErrors: true, SilenceUsage: true}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrongUsage("%w", err) })
	root.AddCommand(commandsOf(settings)...)
	var out, stderr bytes.Buffer
	root.SetIn(strings.NewReader(in))
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
		{"an unknown incident", address, []string{"incidents", "show", "99"}, 1, `there is no incident "99"; possible: an id or a number, such as 42, GET /api/v1/incidents lists them`},
		{"an incident that is over", address, []string{"ack", "41", "--by", "alice"}, 1, "#41 is resolved since 2026-11-02 22:30 UTC; possible: notes are still taken"},
		{"what is no incident", address, []string{"incidents", "show", "../runbooks"}, 2, `"../runbooks" is not an incident`},
		{"no incident", address, []string{"incidents", "show"}, 2, "one incident: an id or a number"},
		{"two incidents", address, []string{"ack", "41", "42"}, 2, "one incident: an id or a number"},
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
	address, desk := serveAPI(t)
	got := irdaemon(t, address, "", "incidents", "show", "42", "-o", "json")
	var view incident.View
	if err := json.Unmarshal([]byte(got.out), &view); err != nil {
		t.Fatal(err)
	}
	want, err := desk.View(t.Context(), "42")
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(view)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("got\n%s\nwant\n%s", a, b)
	}
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
		if len(test.in) > maxNoteBytes {
			whole = strings.HasPrefix(noted, test.want) && strings.HasSuffix(noted, "\nthe end") && len(noted) <= maxNoteBytes
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
	if said := acknowledgedText(view, &clientSettings{now: clientNow}); strings.ContainsAny(said, "\x1b\x07\u202e") {
		t.Errorf("%q steers the terminal", said)
	}
}
