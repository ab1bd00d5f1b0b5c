package web_test

import (
	"context"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

const refusals = "5f0c2a9be1d34788" // id of #42, which calls in round 1

// path gives the path of a link for a round of an incident, which is good for an hour.
func (g *guarded) path(id string, round int) string {
	return strings.TrimPrefix(g.links.Acknowledge(id, round, "mail-oncall", g.now.Add(time.Hour)), "https://incidents.example.com")
}

// submit sends the form as a browser does.
func (g *guarded) submit(path, name string, headers ...string) *httptest.ResponseRecorder {
	form := url.Values{"name": {name}}.Encode()
	return g.send(allCredentials[0], "POST", path, form, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)...)
}

// timeline tells how often something happened to #42, and who did it last.
func (g *guarded) timeline(t *testing.T, kind string) (n int, last incident.TimelineEntry) {
	t.Helper()
	view, err := g.desk.View(t.Context(), refusals)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range view.Timeline {
		if entry.Kind == kind {
			n, last = n+1, entry
		}
	}
	return n, last
}

// says checks a page: its status, and what stands in it.
func says(t *testing.T, answer *httptest.ResponseRecorder, status int, parts ...string) {
	t.Helper()
	if answer.Code != status || answer.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%d %s, want %d", answer.Code, answer.Header().Get("Content-Type"), status)
	}
	for _, part := range parts {
		if !strings.Contains(answer.Body.String(), part) {
			t.Errorf("does not say %q:\n%s", part, answer.Body)
		}
	}
}

func TestALinkShowsWhatItWillDoAndDoesNothing(t *testing.T) {
	g := newGuarded(t)
	for _, method := range []string{"GET", "HEAD"} {
		answer := g.send(allCredentials[0], method, g.path(refusals, 1), "")
		says(t, answer, 200, "<h1>Acknowledge #42?</h1>", "The safety layer refuses good users", "<dd>sev2</dd>", "<dd>triggered</dd>", "<dd>nobody</dd>",
			`<form method="post">`, `<label for="name">Your name</label>`, "required", "<button>Acknowledge #42</button>")
		policy := answer.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || !strings.Contains(policy, "form-action 'self'; base-uri 'none'; frame-ancestors 'none'") {
			t.Errorf("policy %q", policy)
		}
		if answer.Header().Get("Referrer-Policy") != "same-origin" || len(answer.Header().Values("Set-Cookie")) > 0 || answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", answer.Header())
		}
		if strings.Contains(answer.Body.String(), "<script") {
			t.Error("there is a script")
		}
	}
	if n, _ := g.timeline(t, "acknowledged"); n != 0 {
		t.Error("looking at the page acknowledged")
	}
}

func TestALinkAcknowledges(t *testing.T) {
	g := newGuarded(t)
	says(t, g.submit(g.path(refusals, 1), " Alice "), 200, "<h1>#42 is acknowledged</h1>", "By Alice (link to mail-oncall)", "Nobody is called for it any more.")
	if n, last := g.timeline(t, "acknowledged"); n != 1 || last.Actor != "Alice (link to mail-oncall)" {
		t.Errorf("%d times, last by %q", n, last.Actor)
	}
	for _, name := range []string{"Alice", "Bob"} {
		says(t, g.submit(g.path(refusals, 1), name), 200, "<h1>#42 is already acknowledged</h1>", "By Alice (link to mail-oncall)", "To take it over, open the incident.", "Nothing was changed.")
	}
	says(t, g.send(allCredentials[0], "GET", g.path(refusals, 1), ""), 200, "already acknowledged")
	if n, _ := g.timeline(t, "acknowledged"); n != 1 {
		t.Errorf("acknowledged %d times", n)
	}
	entry := g.logs.FilterMessage("write").All()[0].ContextMap()
	if entry["who"] != "Alice (link to mail-oncall)" || entry["via"] != "link" || entry["path"] != "/acknowledge/{token}" {
		t.Errorf("told %v", entry)
	}
}

func TestALinkSaysSinceWhenSomebodyHasIt(t *testing.T) {
	g := newGuarded(t)
	taken, at := webtest.Refusals(), webtest.At("14:11:00")
	taken.State, taken.Calling, taken.AcknowledgedBy, taken.TakenAt = incident.AcknowledgedState, false, "bob", &at
	g.serve(taken)
	says(t, g.submit(g.path(refusals, 1), "Alice"), 200, "By bob at 14:11 UTC.", "Nothing was changed.")
}

func TestALinkOfAnEarlierRoundLeavesThePresentOneRinging(t *testing.T) {
	g := newGuarded(t)
	third := webtest.Refusals()
	third.Round = 3
	g.serve(third)
	says(t, g.send(allCredentials[0], "GET", g.path(refusals, 2), ""), 200, "Round 2 of #42 is over", "Round 3 calls now, and goes on calling", "<button>Note it</button>")
	says(t, g.submit(g.path(refusals, 2), "Alice"), 200, "<h1>Noted</h1>", "Round 3 calls, and goes on calling")
	view, err := g.desk.View(t.Context(), refusals)
	if err != nil || !view.Calling || view.AcknowledgedBy != "" {
		t.Errorf("%+v, %v", view, err)
	}
	says(t, g.submit(g.path(refusals, 3), "Alice"), 200, "#42 is acknowledged")
}

func TestALinkToWhatIsOverSaysSo(t *testing.T) {
	g := newGuarded(t)
	const costs = "0aa1c7d2b5f64e90"
	for _, answer := range []*httptest.ResponseRecorder{g.send(allCredentials[0], "GET", g.path(costs, 1), ""), g.submit(g.path(costs, 1), "Alice")} {
		says(t, answer, 200, "<h1>#41 is resolved</h1>", "Since 2026-11-02 22:30 UTC.", "bob")
		if strings.Contains(answer.Body.String(), "<form") {
			t.Error("there is a form")
		}
	}
	says(t, g.send(allCredentials[0], "GET", g.path("ffffffffffffffff", 1), ""), 404, "There is no incident")
}

func TestAnIncidentThatEndsBetweenTheTwoLooks(t *testing.T) {
	g := newGuarded(t)
	g.handlerOver(ending{g.desk})
	says(t, g.submit(g.path(refusals, 1), "Alice"), 409, "#42 was not acknowledged", "#42 is resolved since 14:12 UTC.")
}

// ending is a Desk in which an incident ends after it was looked at.
type ending struct{ web.Desk }

func (ending) Command(context.Context, string, incident.Command, incident.Idempotency) (incident.View, error) {
	return incident.View{}, &incident.Refusal{Reason: "#42 is resolved since 14:12 UTC", Allowed: "notes are still taken"}
}

func TestALinkThatIsNotGood(t *testing.T) {
	g := newGuarded(t)
	other, err := access.NewLinks([]byte(strings.Repeat("o", 32)), "")
	if err != nil {
		t.Fatal(err)
	}
	path := g.path(refusals, 1)
	for name, test := range map[string]struct {
		path   string
		status int
		says   string
	}{
		"expired":     {strings.TrimPrefix(g.links.Acknowledge(refusals, 1, "mail", g.now), "https://incidents.example.com"), 410, "This link has expired."},
		"tampered":    {strings.Replace(path, path[20:24], "AAAA", 1), 404, "This link is not valid."},
		"cut off":     {path[:len(path)-3], 404, "This link is not valid."},
		"another key": {other.Acknowledge(refusals, 1, "mail", g.now.Add(time.Hour)), 404, "This link is not valid."},
		"markup":      {"/acknowledge/%3Cscript%3E", 404, "This link is not valid."},
	} {
		for _, answer := range []*httptest.ResponseRecorder{g.send(allCredentials[0], "GET", test.path, ""), g.submit(test.path, "Alice")} {
			t.Run(name, func(t *testing.T) {
				says(t, answer, test.status, test.says, "pen the incident to acknowledge")
				if strings.Contains(answer.Body.String(), "refuses good users") || strings.Contains(answer.Body.String(), "<form") {
					t.Errorf("tells of the incident:\n%s", answer.Body)
				}
			})
		}
	}
	if n, _ := g.timeline(t, "acknowledged"); n != 0 {
		t.Error("acknowledged")
	}
}

func TestWhatSomebodyTypesIsCheckedAndEscaped(t *testing.T) {
	for _, test := range []struct {
		name, typed string
		headers     []string
		status      int
		says        []string
	}{
		{"nothing", "", nil, 422, []string{"Say who you are.", `aria-describedby="mistake"`}},
		{"blanks", "  ", nil, 422, []string{"Say who you are."}},
		{"two lines", "a\nb", nil, 422, []string{"on one line"}},
		{"a name without end", strings.Repeat("x", 101), nil, 422, []string{"at most 100 characters"}},
		{"markup", `"><script>alert(1)</script>`, nil, 200, []string{"By &#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt; (link to"}},
		{"markup that is refused", "\"><script>\u202e", nil, 422, []string{`value="&#34;&gt;&lt;script&gt;`}},
		{"what is no form", "Alice", []string{"Content-Type", "text/plain"}, 415, []string{"Use the form"}},
		{"a form that is too large", strings.Repeat("x", 70_000), nil, 413, []string{"Use the form"}},
		{"from a page of another site", "Alice", []string{"Sec-Fetch-Site", "cross-site"}, 403, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGuarded(t)
			answer := g.submit(g.path(refusals, 1), test.typed, test.headers...)
			if answer.Code != test.status {
				t.Errorf("%d, want %d", answer.Code, test.status)
			}
			for _, part := range test.says {
				if !strings.Contains(answer.Body.String(), part) {
					t.Errorf("does not say %q:\n%s", part, answer.Body)
				}
			}
			if strings.Contains(answer.Body.String(), "<script") && answer.Code != 403 {
				t.Errorf("markup gets through:\n%s", answer.Body)
			}
			if n, _ := g.timeline(t, "acknowledged"); (n == 1) != (test.status == 200) {
				t.Errorf("acknowledged %d times", n)
			}
		})
	}
}
