package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

const changesPath, eventsPath = "/api/v1/changes", "/v2/change/enqueue"

func TestWhatAChangeCannotMeanIsRefused(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for _, test := range []struct {
		name, method, target, body string
		status                     int
		says                       []string
	}{
		{"a report of nothing", "POST", changesPath, `{}`, 422, []string{`"location":"body.artifact"`, `"location":"body.to"`, "missing; what was changed: code, prompt", "missing; the version since"}},
		{"an artifact that is no name", "POST", changesPath, `{"artifact":"a/b","to":"x"}`, 422, []string{"body.artifact", "letters, digits"}},
		{"every problem at once", "POST", changesPath, `{"artifact":"\u001b","to":"a\nb","url":"javascript:alert(1)","at":"2027-01-01T00:00:00Z","note":"` + long + `"}`, 422,
			[]string{"body.artifact", "body.to", "body.url", "http:// or https://", "body.at", "lies in the future", "body.note", "1024"}},
		{"a text that turns around", "POST", changesPath, `{"artifact":"prompt","to":"v7\u202e"}`, 422, []string{"body.to", "printable"}},
		{"an address with a password", "POST", changesPath, `{"artifact":"prompt","to":"v7","url":"https://a:b@example.com"}`, 422, []string{"body.url", "without a password"}},
		{"a time of day", "POST", changesPath, `{"artifact":"prompt","to":"v7","at":"13:30"}`, 422, []string{"body.at"}},
		{"a time in another unit", "POST", changesPath, `{"artifact":"prompt","to":"v7","at":"1970-01-01T00:29:22Z"}`, 422, []string{"body.at", "before the year 2000"}},
		{"a version that is a number", "POST", changesPath, `{"artifact":"prompt","to":7}`, 422, []string{"body.to", "string"}},
		{"a key that there is not", "POST", changesPath, `{"artifact":"prompt","version":"v7"}`, 422, []string{"body.version"}},
		{"what only the daemon says", "POST", changesPath, `{"artifact":"prompt","to":"v7","source":"detected"}`, 422, []string{"body.source"}},
		{"a form", "POST", changesPath, `artifact=prompt`, 400, nil},
		{"a log since a word", "GET", changesPath + "?since=yesterday", "", 422, []string{"query.since", "24h, 7d"}},
		{"a log since tomorrow", "GET", changesPath + "?since=-24h", "", 422, []string{"query.since"}},
		{"a log after nothing that there is", "GET", changesPath + "?after=x'--", "", 422, []string{"query.after", "the next of the page before"}},
		{"a page of nothing", "GET", changesPath + "?limit=0", "", 422, []string{"query.limit"}},
		{"a misspelt filter", "GET", changesPath + "?kind=prompt", "", 422, []string{"query.kind"}},
		{"a service with a line feed", "GET", changesPath + "?service=a%0Ab", "", 422, []string{"query.service"}},
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
			if all := loggedChanges(t, f); len(all) != 0 {
				t.Errorf("something was kept: %+v", all)
			}
		})
	}
}

func loggedChanges(t *testing.T, f *fixture) []changes.Change {
	t.Helper()
	all, err := f.log.Changes(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAChangeIsKeptOnceHoweverOftenItIsTold(t *testing.T) {
	f := newFixture(t)
	const body = `{"artifact":"prompt","service":"support-bot","from":"prompt-v6","to":"prompt-v7","at":"2026-11-03T14:30:00+01:00","by":"alice","url":"https://git.example.com/7","note":"stricter"}`
	first := f.call("POST", changesPath, body)
	kept := decode[changes.Change](t, first)
	if first.Code != 200 || kept.ID == "" || kept.Source != changes.Reported || !kept.At.Equal(webtest.At("13:30:00")) ||
		kept.By != "alice" || kept.Note != "stricter" || !kept.RecordedAt.Equal(webtest.At("14:12:24")) {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	again := f.call("POST", changesPath, strings.Replace(body, "stricter", "said again", 1))
	if again.Code != 200 || again.Body.String() != first.Body.String() {
		t.Errorf("told again: %d %s", again.Code, again.Body)
	}
	if all := loggedChanges(t, f); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

func TestAReportWithAKeyIsOne(t *testing.T) {
	w := newWorld(t)
	const body = `{"artifact":"prompt","to":"v7"}` // without a time, each one would be another change
	var group sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 20)
	for i := range answers {
		group.Go(func() { answers[i] = w.call("POST", changesPath, body, "Idempotency-Key", "k") })
	}
	group.Wait()
	for _, answer := range answers {
		if answer.Code != 200 || answer.Body.String() != answers[0].Body.String() {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
	w.now = w.now.Add(time.Minute)
	if again := w.call("POST", changesPath, body, "Idempotency-Key", "k"); again.Body.String() != answers[0].Body.String() {
		t.Errorf("a minute later: %s", again.Body)
	}
	if other := w.call("POST", changesPath, `{"artifact":"prompt","to":"v8"}`, "Idempotency-Key", "k"); other.Code != 422 {
		t.Errorf("another change with the key: %d %s", other.Code, other.Body)
	}
	all, err := w.store.Changes(t.Context(), time.Time{})
	if err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestAChangeIsBySomebodyElseOnlyWhereThatIsSaid(t *testing.T) {
	for _, test := range []struct {
		c    credentials
		body string
		by   string
	}{
		{allCredentials[3], `{"artifact":"prompt","to":"v7"}`, "change"},
		{allCredentials[3], `{"artifact":"prompt","to":"v7","by":"alice"}`, "alice"},
		{allCredentials[9], `{"artifact":"prompt","to":"v7"}`, "bob"},
	} {
		g := newGuarded(t)
		answer := g.send(test.c, "POST", changesPath, test.body)
		if kept := decode[changes.Change](t, answer); answer.Code != 200 || kept.By != test.by {
			t.Errorf("%s by %s: %d %s", test.body, test.c.name, answer.Code, answer.Body)
		}
	}
	if kept := decode[changes.Change](t, newFixture(t).call("POST", changesPath, `{"artifact":"prompt","to":"v7"}`)); kept.By != "" {
		t.Errorf("by %q, and nobody said so", kept.By)
	}
}

func TestChangesAreListedNewestFirst(t *testing.T) {
	f := newFixture(t)
	for i, change := range []string{
		`"artifact":"prompt","service":"support-bot","to":"v7","at":"2026-11-03T13:30:00Z"`,
		`"artifact":"code","to":"1.4","at":"2026-11-03T13:40:00Z"`,
		`"artifact":"prompt","service":"search","to":"v7","at":"2026-11-03T13:40:00Z"`,
		`"artifact":"weights","service":"search","to":"w2","at":"2026-11-01T10:00:00Z"`,
	} {
		if answer := f.call("POST", changesPath, "{"+change+"}"); answer.Code != 200 {
			t.Fatalf("%d: %s", i, answer.Body)
		}
	}
	told := func(query string) (said []string, next string) {
		answer := f.call("GET", changesPath+query, "")
		list := decode[web.ChangeList](t, answer)
		if answer.Code != 200 || strings.Contains(answer.Body.String(), "null") {
			t.Errorf("%s: %d %s", query, answer.Code, answer.Body)
		}
		for _, c := range list.Changes {
			said = append(said, c.Artifact+"/"+c.Service)
		}
		return said, list.Next
	}
	for _, test := range []struct{ query, want string }{
		{"", "[code/ prompt/search prompt/support-bot]"},
		{"?since=31m", "[]"},
		{"?since=40m", "[code/ prompt/search]"},
		{"?since=7d", "[code/ prompt/search prompt/support-bot weights/search]"},
		{"?since=2026-11-03T13:35:00Z", "[code/ prompt/search]"},
		{"?since=0001-01-01T00:00:00Z", "[code/ prompt/search prompt/support-bot weights/search]"},
		{"?since=290y", "[code/ prompt/search prompt/support-bot weights/search]"},
		{"?service=search&since=7d", "[code/ prompt/search weights/search]"},
		{"?artifact=prompt", "[prompt/search prompt/support-bot]"},
		{"?artifact=prompt&service=support-bot", "[prompt/support-bot]"},
		{"?service=nobody", "[code/]"},
	} {
		said, _ := told(test.query)
		// Two of the same time come in the order of their ids.
		if len(said) > 1 && said[0] == "prompt/search" && said[1] == "code/" {
			said[0], said[1] = said[1], said[0]
		}
		if got := fmt.Sprint(said); got != test.want {
			t.Errorf("%s: %s, want %s", test.query, got, test.want)
		}
	}
	var paged []string
	for after := ""; ; {
		said, next := told("?since=7d&limit=1" + after)
		paged = append(paged, said...)
		if next == "" {
			break
		}
		after = "&after=" + next
		if len(paged) == 1 { // one that comes meanwhile moves nothing
			if answer := f.call("POST", changesPath, `{"artifact":"router_policy","to":"r2"}`); answer.Code != 200 {
				t.Fatal(answer.Body)
			}
		}
	}
	whole, _ := told("?since=2026-10-30T00:00:00Z")
	if want := whole[1:]; fmt.Sprint(paged) != fmt.Sprint(want) || len(paged) != 4 {
		t.Errorf("page by page %v, want %v", paged, want)
	}
}

func TestAnOpenIncidentLearnsOfAReportedChange(t *testing.T) {
	w := newWorld(t)
	w.must("POST", changesPath, `{"artifact":"prompt","service":"support-bot","from":"prompt-v6","to":"prompt-v7","at":"2026-11-03T13:30:00Z"}`)
	view := w.view()
	if len(view.Suspects) != 1 || view.Rollbacks[0].From != "prompt-v7" || view.Rollbacks[0].To != "prompt-v6" {
		t.Errorf("suspects %+v, plan %+v", view.Suspects, view.Rollbacks)
	}
}

// event is a change event of a pipeline.
func event(key string) string {
	return `{"routing_key":"` + key + `","payload":{"summary":"Deploy prompt-v7","source":"ci","timestamp":"2026-11-03T13:30:00.000+0000",` +
		`"custom_details":{"artifact":"prompt","service":"support-bot","from":"prompt-v6","to":"prompt-v7"}},"links":[{"href":"https://ci.example.com/7"}]}`
}

func TestAPipelineThatSendsChangeEventsIsTakenByItsToken(t *testing.T) {
	for _, test := range []struct {
		name, body string
		status     int
		says       []string
	}{
		{"a token to report changes", event("{change}"), 202, []string{`{"status":"success","message":"Change event processed"}`}},
		{"a token for all", event("{admin}"), 202, []string{"success"}},
		{"a token to read", event("{read}"), 400, []string{"invalid event", "without the scope change"}},
		{"a token to respond", event("{respond}"), 400, []string{"without the scope change"}},
		{"an expired token", event("{expired}"), 400, []string{"no token in force"}},
		{"a key of PagerDuty's", event("0123456789abcdef0123456789abcdef"), 400, []string{"routing_key: it is no token", "irdaemon token"}},
		{"no key", event(""), 400, []string{"routing_key: missing"}},
		{"no key, and nothing else", `{}`, 400, []string{"routing_key: missing", "payload: missing"}},
		{"no summary", `{"routing_key":"{change}","payload":{}}`, 400, []string{"Event object is invalid", "payload.summary: missing"}},
		{"no JSON", `routing_key`, 400, []string{"event: it can't be read"}},
		{"a list", `[]`, 400, []string{"event: it can't be read"}},
		{"an event without end", `{"routing_key":"{change}","payload":{"summary":"` + strings.Repeat("x", 64<<10) + `"}}`, 400, []string{"event: it is too long"}},
		{"a header in the key", event(`x\r\nX-Forwarded-User: root`), 400, []string{"no token in force"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGuarded(t)
			body := test.body
			for holder, token := range g.tokens {
				body = strings.ReplaceAll(body, "{"+holder+"}", token)
			}
			answer := g.send(allCredentials[0], "POST", eventsPath, body)
			told := decode[struct {
				Status, Message string
				Errors          []string
			}](t, answer)
			if answer.Code != test.status || answer.Header().Get("Content-Type") != "application/json" || told.Status == "" || (len(told.Errors) == 0) != (test.status == 202) {
				t.Errorf("%d, want %d: %s", answer.Code, test.status, answer.Body)
			}
			for _, part := range test.says {
				if !strings.Contains(answer.Body.String(), part) {
					t.Errorf("it does not say %s: %s", part, answer.Body)
				}
			}
			all := loggedChanges(t, g.fixture)
			if (len(all) == 1) != (test.status == 202) {
				t.Errorf("kept %+v", all)
			}
			for _, c := range all {
				if c.Artifact != "prompt" || c.From != "prompt-v6" || c.To != "prompt-v7" || c.By != "ci" || c.URL != "https://ci.example.com/7" || !c.At.Equal(webtest.At("13:30:00")) {
					t.Errorf("kept %+v", c)
				}
			}
			for _, entry := range g.logs.All() {
				if said := fmt.Sprint(entry.ContextMap()); strings.Contains(said, "ird_") || strings.Contains(said, "0123456789abcdef") {
					t.Errorf("the log holds a key: %s", said)
				}
			}
			if strings.Contains(answer.Body.String(), "ird_") || strings.Contains(answer.Body.String(), "0123456789abcdef") {
				t.Errorf("the answer holds a key: %s", answer.Body)
			}
		})
	}
}

func TestTheHolderOfARoutingKeyIsToldToTheLog(t *testing.T) {
	g := newGuarded(t)
	g.send(allCredentials[0], "POST", eventsPath, event(g.tokens["change"]))
	entries := g.logs.FilterMessage("write").All()
	if len(entries) != 1 || entries[0].ContextMap()["who"] != "change" || entries[0].ContextMap()["via"] != "token" {
		t.Errorf("%v", entries)
	}
}

func TestWhoGuessesRoutingKeysIsSlowedDownAndARightOneIsNot(t *testing.T) {
	g := newGuarded(t)
	wrong := func() *httptest.ResponseRecorder {
		return g.send(allCredentials[0], "POST", eventsPath, event("guess"))
	}
	for range 10 {
		if answer := wrong(); answer.Code != 400 {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
	}
	if answer := wrong(); answer.Code != 429 || answer.Header().Get("Retry-After") == "" || !strings.Contains(answer.Body.String(), `"status":"throttle exceeded"`) {
		t.Errorf("%d %v %s", answer.Code, answer.Header(), answer.Body)
	}
	// A token guessed in the header counts as well: it is one allowance.
	if answer := g.send(allCredentials[5], "GET", "/api/v1/incidents", ""); answer.Code != 429 {
		t.Errorf("a wrong token in the header: %d", answer.Code)
	}
	if answer := g.send(allCredentials[0], "POST", eventsPath, event(g.tokens["change"])); answer.Code != 202 {
		t.Errorf("the right key from the same address: %d %s", answer.Code, answer.Body)
	}
	g.now = g.now.Add(time.Minute)
	if answer := wrong(); answer.Code != 400 {
		t.Errorf("a minute later: %d", answer.Code)
	}
}

func TestWhereNobodyProvesWhoTheyAreAnyRoutingKeyWillDo(t *testing.T) {
	f := newFixture(t)
	if answer := f.call("POST", eventsPath, event("0123456789abcdef0123456789abcdef")); answer.Code != 202 {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if answer := f.call("POST", eventsPath, event("x"), "Content-Type", "text/plain"); answer.Code != 415 {
		t.Errorf("plain text, which a form of another site can send: %d", answer.Code)
	}
	if answer := f.call("POST", eventsPath, event("x"), "Origin", "https://evil.example"); answer.Code != 403 {
		t.Errorf("a page of another site: %d", answer.Code)
	}
	if answer := f.call("GET", eventsPath, ""); answer.Code != 405 {
		t.Errorf("a GET: %d", answer.Code)
	}
	if all := loggedChanges(t, f); len(all) != 1 {
		t.Errorf("%+v", all)
	}
}

// brokenLog fails.
type brokenLog struct{ err error }

func (b brokenLog) Report(context.Context, changes.Change) (changes.Change, error) {
	return changes.Change{}, b.err
}

func (b brokenLog) Changes(context.Context, time.Time) ([]changes.Change, error) { return nil, b.err }

func TestALogThatCannotBeKeptIsToldWithoutItsInsides(t *testing.T) {
	for err, status := range map[error]int{errors.New("write /secret/path: no space left"): 500, incident.ErrFenced: 503} {
		f := newFixture(t)
		f.offer(func(c *web.Config) { c.Changes = brokenLog{err} })
		for _, answer := range []*httptest.ResponseRecorder{
			f.call("POST", changesPath, `{"artifact":"prompt","to":"v7"}`), f.call("GET", changesPath, ""), f.call("POST", eventsPath, event("x")),
		} {
			if answer.Code != status || strings.Contains(answer.Body.String(), "secret") || !json.Valid(answer.Body.Bytes()) {
				t.Errorf("%d, want %d: %s", answer.Code, status, answer.Body)
			}
		}
	}
	f := newFixture(t)
	f.offer(func(c *web.Config) { c.Changes = nil })
	for _, target := range []string{changesPath, eventsPath} {
		if answer := f.call("POST", target, `{}`); answer.Code != 404 {
			t.Errorf("%s without a log: %d", target, answer.Code)
		}
	}
}
