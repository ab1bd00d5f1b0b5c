package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// evil steers terminals: it clears the screen, rings, turns text around, moves the cursor by a C1 code, and starts lines.
const evil = "\x1b[2J\x07\u202e\u009b31m\r\nirdaemon: all is well\t\x7f"

// filled gives every text of a value the evil one, and every list one item.
func filled(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(evil)
	case reflect.Int, reflect.Int64:
		v.SetInt(-7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem())
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte(`{"evil": "\u001b[2J\u202e"}`))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		filled(key)
		filled(value)
		v.SetMapIndex(key, value)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(clientNow()))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				filled(v.Field(i))
			}
		}
	}
}

func evilJSON[T any](t *testing.T, change func(*T)) string {
	t.Helper()
	var value T
	filled(reflect.ValueOf(&value).Elem())
	if change != nil {
		change(&value)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// answering is a server that answers everything with the same.
func answering(t *testing.T, status int, kind, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

var everyCommand = [][]string{
	{"incidents"}, {"incidents", "show", "42"}, {"ack", "42"}, {"ack", "42", "43"}, {"unack", "42"}, {"note", "42", "x"},
	{"triage", "42", "1", "yes"}, {"update", "42", "x"}, {"mitigated", "42", "x"}, {"severity", "42", "sev1"},
	{"dismiss", "42", "--reason", "duplicate", "--of", "41"}, {"reopen", "42", "--reason", "x"},
	{"silence"}, {"silence", "add", "x", "--for", "1h", "--reason", "x"}, {"silence", "end", "x"},
	{"receivers"}, {"receivers", "test", "x"}, {"drill", "x"},
	{"rollback", "42", "x", "--yes"}, {"rollback", "42", "--mitigate", "x", "--yes"}, {"rollback", "42", "x", "--by-hand"},
	{"approve", "42", "--yes"}, {"change", "x", "--to", "x"}, {"changes"},
}

func TestNothingThatADaemonAnswersSteersTheTerminal(t *testing.T) {
	view := evilJSON[incident.View](t, nil)
	paused := evilJSON(t, func(v *incident.View) { v.Calling, v.PinnedUntil, v.NextUpdateAt, v.Number = false, nil, nil, 0 })
	problem := evilJSON(t, func(p *web.Problem) { p.Status = http.StatusUnauthorized })
	forbidden := evilJSON(t, func(p *web.Problem) { p.Status, p.Detail = http.StatusForbidden, "scope "+evil })
	undelivered := evilJSON(t, func(r *web.ReceiverTest) { r.Delivered = false })
	for name, address := range map[string]string{
		"an incident":                 answering(t, 200, "application/json", view),
		"an incident that is quiet":   answering(t, 200, "application/json", paused),
		"a list":                      answering(t, 200, "application/json", evilJSON(t, func(l *web.IncidentList) { l.Incidents[0].Group = nil })),
		"silences":                    answering(t, 200, "application/json", evilJSON[web.SilenceList](t, nil)),
		"a silence":                   answering(t, 200, "application/json", evilJSON[web.SilenceStatus](t, nil)),
		"what would be sent":          answering(t, 200, "application/json", evilJSON(t, func(p *web.Prepared) { p.Warnings = []string{evil, evil} })),
		"a request without end":       answering(t, 200, "application/json", `{"title":"x","request":"`+strings.Repeat(`a\u001b`, 20_000)+`"}`),
		"changes":                     answering(t, 200, "application/json", evilJSON(t, func(l *web.ChangeList) { l.Next = "" })),
		"a change":                    answering(t, 200, "application/json", evilJSON[changes.Change](t, nil)),
		"receivers":                   answering(t, 200, "application/json", evilJSON(t, func(l *web.ReceiverList) { l.Next = "" })),
		"a test":                      answering(t, 200, "application/json", evilJSON[web.ReceiverTest](t, nil)),
		"a test that was not taken":   answering(t, 200, "application/json", undelivered),
		"a problem":                   answering(t, 401, "application/problem+json", problem),
		"a problem of scopes":         answering(t, 403, "application/problem+json", forbidden),
		"no JSON":                     answering(t, 200, "application/json", evil),
		"JSON of something else":      answering(t, 200, "application/json", `{"incidents": "\u001b[2J", "id": 7}`),
		"another kind":                answering(t, 200, "text/"+strings.Repeat("x", 5000), evil),
		"a problem that is none":      answering(t, 500, "application/problem+json", evil),
		"a problem without end":       answering(t, 409, "application/problem+json", `{"status":409,"detail":"`+strings.Repeat(`a\u001b`, 20_000)+`"}`),
		"a title without end":         answering(t, 200, "application/json", `{"number":42,"title":"`+strings.Repeat(`a\u001b`, 20_000)+`"}`),
		"nothing":                     answering(t, 200, "application/json", ""),
		"null":                        answering(t, 200, "application/json", "null"),
		"a status without a document": answering(t, 418, "text/html", "<h1>"),
	} {
		for _, args := range everyCommand {
			for _, output := range []string{"text", "json"} {
				all := append(slices.Clone(args), "-o", output)
				if len(args) > 1 && args[0] != "incidents" {
					all = append(all, "--by", "alice")
				}
				got := irdaemon(t, address, "", all...)
				calm(t, name, args, output, got)
			}
		}
	}
}

// calm asserts that nothing of what a command wrote steers the terminal, and that its lines fit.
func calm(t *testing.T, name string, args []string, output string, got ran) {
	t.Helper()
	said := ""
	if got.err != nil {
		said = got.err.Error()
	}
	for _, written := range []string{got.out, got.stderr, said} {
		if strings.ContainsFunc(written, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) && (r != '\t' || args[0] != "incidents") }) || !utf8.ValidString(written) {
			t.Errorf("%s, %v %s: %.300q", name, args, output, written)
		}
		if written != got.out && len(written) > 2*utf8.UTFMax*longestError {
			t.Errorf("%s, %v: an error of %d bytes", name, args, len(written))
		}
	}
	if strings.Contains(said, "\n") && args[0] != "ack" {
		t.Errorf("%s, %v: an error of several lines: %.300q", name, args, said)
	}
	for line := range strings.Lines(got.out) {
		line = strings.TrimSuffix(line, "\n")
		if width := utf8.RuneCountInString(line); output == "text" && args[0] != "incidents" && width > text.Width {
			t.Errorf("%s, %v: %d columns: %.300s", name, args, width, line)
		}
		if output == "text" && args[0] != "incidents" && strings.HasPrefix(line, "irdaemon: ") {
			t.Errorf("%s, %v: the daemon writes lines of its own: %s", name, args, line)
		}
	}
}

func TestWhatCannotBeSeenIsWrittenOutInJSON(t *testing.T) {
	said := "é\u009b\u202e\u200b😀\U000e0041\u007f\n"
	data, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	written := escaped(string(data))
	if want := `"é\u009b\u202e\u200b😀\udb40\udc41\u007f\n"`; written != want {
		t.Errorf("got %s, want %s", written, want)
	}
	var back string
	if err := json.Unmarshal([]byte(written), &back); err != nil || back != said {
		t.Errorf("it means %q, not %q: %v", back, said, err)
	}
}
