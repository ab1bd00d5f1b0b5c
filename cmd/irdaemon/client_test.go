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
				if width := utf8.RuneCountInString(line); !strings.HasSuffix(test.golden, "json") && width > textWidth {
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

func TestNothingThatOthersWroteSteersTheTerminal(t *testing.T) {
	view := webtest.Refusals()
	const evil = "\x1b[2J\x07\u202e"
	view.Title, view.Headline, view.Owner, view.Rule, view.AcknowledgedBy = evil, evil, evil, evil, evil
	view.Service, view.Impact, view.URL, view.Follows, view.ID = evil, evil, evil, evil, evil
	view.Group = map[string]string{"service": evil}
	view.Segments[0].Labels = map[string]string{evil: evil}
	view.Segments[0].Condition, view.Recovery[0].Target, view.Recovery[1].None = evil, evil, evil
	view.Triage[1].Decide[0], view.Triage[0].Check, view.Rollbacks[0].Do, view.Rollbacks[0].Name = evil, evil, evil, evil
	view.Timeline[0].Text, view.Timeline[1].Actor, view.Called[0] = evil, evil, evil
	view.Blind, view.Unknown = true, []string{evil}
	for name, text := range map[string]string{
		"show": incidentText(view, clientNow()), "list": incidentTable([]incident.View{view}, clientNow()), "ack": acknowledgedText(view),
	} {
		if strings.ContainsAny(text, evil[:1]+"\x07\u202e") || !utf8.ValidString(text) {
			t.Errorf("%s: %q", name, text)
		}
	}
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

func TestWhoHasAnIncident(t *testing.T) {
	view := webtest.Blind()
	view.AcknowledgedBy = "bob"
	p := &page{now: clientNow()}
	if got := p.taken(view); got != "bob; first acknowledged 14:12 UTC (0s ago)" {
		t.Errorf("handed over: %q", got)
	}
	view.AcknowledgedBy = ""
	if got := p.taken(view); got != "nobody any more; first acknowledged 14:12 UTC (0s ago)" {
		t.Errorf("given back: %q", got)
	}
	view.AcknowledgedAt = nil
	if got := p.taken(view); got != "nobody yet" {
		t.Errorf("new: %q", got)
	}
}

func TestTimesAsPeopleReadThem(t *testing.T) {
	for _, test := range []struct {
		now, at, want string
	}{
		{"2026-11-03T14:22:30Z", "2026-11-03T14:10:00Z", "14:10 UTC (12m ago)"},
		{"2026-11-03T14:10:05Z", "2026-11-03T14:10:00Z", "14:10 UTC (5s ago)"},
		{"2026-11-03T14:10:00Z", "2026-11-03T14:25:00Z", "14:25 UTC (in 15m)"},
		{"2026-11-03T16:15:00Z", "2026-11-03T14:10:00Z", "14:10 UTC (2h05m ago)"},
		{"2026-11-03T00:05:00Z", "2026-11-02T23:50:00Z", "Nov 2 23:50 UTC (15m ago)"},
		{"2026-11-03T14:10:00+02:00", "2026-11-03T14:00:00+02:00", "12:00 UTC (10m ago)"},
		{"2026-11-03T14:10:00Z", "2026-10-01T14:10:00Z", "Oct 1 14:10 UTC (33d ago)"},
		{"2027-01-01T00:10:00Z", "2026-12-31T23:50:00Z", "2026-12-31 23:50 UTC (20m ago)"},
	} {
		at, now := parse(t, test.at), parse(t, test.now)
		if got := when(&at, now); got != test.want {
			t.Errorf("%s at %s: %q, want %q", test.at, test.now, got, test.want)
		}
	}
	if got := when(nil, clientNow()); got != "-" {
		t.Errorf("nothing: %q", got)
	}
}

func parse(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
