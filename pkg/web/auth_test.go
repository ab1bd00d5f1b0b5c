package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/crypto/bcrypt"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

// guarded is a handler that asks who calls, and what its callers have.
type guarded struct {
	*fixture
	t      *testing.T
	access *access.Access
	links  *access.Links
	tokens map[string]string // by the name of their holder
	now    time.Time
}

const stranger, proxy, password = "192.0.2.1:1234", "10.1.2.3:1234", "correct horse"

// newGuarded has a token for each scope, named after it, an expired one, the user root, and a proxy in 10.1.0.0/16.
func newGuarded(t *testing.T) *guarded {
	t.Helper()
	g := &guarded{t: t, tokens: map[string]string{}, now: webtest.At("14:12:24")}
	entries := "tokens:\n"
	for _, scope := range append([]access.Scope{"expired"}, access.AllScopes...) {
		token, hash := access.NewToken()
		g.tokens[string(scope)] = token
		if scope == "expired" {
			entries += access.Entry("expired", []access.Scope{access.Admin}, hash) + "    expires: 2020-01-01\n"
		} else {
			entries += access.Entry(string(scope), []access.Scope{scope}, hash)
		}
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := "basic_auth_users: {root: " + string(hash) + "}\nhttp_server_config: {headers: {Strict-Transport-Security: max-age=1}}\n"
	dir := t.TempDir()
	settings := access.Settings{
		TokensFile: filepath.Join(dir, "tokens.yaml"), WebConfigFile: filepath.Join(dir, "web.yaml"),
		UserHeader: "X-Forwarded-User", TrustedProxies: []string{"10.1.0.0/16"},
	}
	for path, text := range map[string]string{settings.TokensFile: entries, settings.WebConfigFile: users} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if g.access, err = access.Load(settings); err != nil {
		t.Fatal(err)
	}
	if g.links, err = access.NewLinks([]byte(strings.Repeat("k", 32)), "https://incidents.example.com"); err != nil {
		t.Fatal(err)
	}
	g.serve()
	return g
}

// serve makes the handler anew, over a Desk with the incidents, by default three.
func (g *guarded) serve(views ...incident.View) {
	if len(views) == 0 {
		views = []incident.View{webtest.Blind(), webtest.Refusals(), webtest.Costs()}
	}
	g.fixture = &fixture{desk: webtest.NewDesk(func() time.Time { return g.now }, views...)}
	g.handlerOver(g.desk)
}

// handlerOver makes the handler over a Desk.
func (g *guarded) handlerOver(desk web.Desk) {
	core, logs := observer.New(zap.DebugLevel)
	g.registry, g.logs = prometheus.NewRegistry(), logs
	g.log, g.planner = webtest.NewChanges(func() time.Time { return g.now }), &webtest.Planner{}
	g.handler = web.New(offerAll(g.t, g.desk, &webtest.Receivers{}, web.Config{
		Changes: g.log, Planner: g.planner,
		Desk: desk, Overview: overview{}, Registry: g.registry, Log: zap.New(core), ExternalURL: "https://incidents.example.com",
		Reload: func(context.Context) ([]string, error) { return nil, nil },
		Access: func() *access.Access { return g.access }, Links: g.links, Now: func() time.Time { return g.now },
	}))
}

// credentials are a way to say who one is.
type credentials struct {
	name    string
	from    string
	headers func(g *guarded) []string // in pairs
	scopes  access.Scopes             // what they are good for; nil: they are refused
}

func bearer(holder string) func(*guarded) []string {
	return func(g *guarded) []string { return []string{"Authorization", "Bearer " + g.tokens[holder]} }
}

func fixed(headers ...string) func(*guarded) []string {
	return func(*guarded) []string { return headers }
}

func basic(user, password string) func(*guarded) []string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return fixed("Authorization", r.Header.Get("Authorization"))
}

var allCredentials = []credentials{
	{"no credentials", stranger, fixed(), nil},
	{"a token to read", stranger, bearer("read"), access.Scopes{access.Read}},
	{"a token to respond", stranger, bearer("respond"), access.Scopes{access.Respond}},
	{"a token to report changes", stranger, bearer("change"), access.Scopes{access.Change}},
	{"a token for all", stranger, bearer("admin"), access.Scopes{access.Admin}},
	{"a wrong token", stranger, fixed("Authorization", "Bearer ird_wrong"), nil},
	{"an expired token", stranger, bearer("expired"), nil},
	{"a user with the password", stranger, basic("root", password), access.Scopes{access.Admin}},
	{"a user with another password", stranger, basic("root", "guess"), nil},
	{"a person behind the proxy", proxy, fixed("X-Forwarded-User", "bob"), access.Scopes{access.Read, access.Respond, access.Change}},
	{"a person whom a stranger names", stranger, fixed("X-Forwarded-User", "bob"), nil},
	{"a token and a proxy's word", proxy, func(g *guarded) []string { return append(bearer("admin")(g), "X-Forwarded-User", "bob") }, nil},
}

// send sends a request with credentials.
func (g *guarded) send(c credentials, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = c.from
	r.Header.Set("Content-Type", "application/json")
	for pairs := append(c.headers(g), headers...); len(pairs) > 0; pairs = pairs[2:] {
		r.Header.Set(pairs[0], pairs[1])
	}
	recorder := httptest.NewRecorder()
	g.handler.ServeHTTP(recorder, r)
	return recorder
}

// route is a route as the OpenAPI document or the table of plain routes has it.
type route struct{ method, path, scope string }

// allRoutes are the routes that there are, so that a new one is in the test by itself.
func allRoutes(t *testing.T, g *guarded) []route {
	t.Helper()
	var routes []route
	for pattern, scope := range web.PlainRoutes() {
		method, path, _ := strings.Cut(pattern, " ")
		routes = append(routes, route{method, path, scope})
	}
	document := decode[struct {
		Paths map[string]map[string]struct {
			Security []map[string][]string `json:"security"`
		} `json:"paths"`
	}](t, g.send(allCredentials[0], "GET", "/api/v1/openapi.json", ""))
	for path, methods := range document.Paths {
		for method, operation := range methods {
			if len(operation.Security) == 0 {
				t.Errorf("%s %s: the document does not say who may call it", method, path)
				continue
			}
			scope := ""
			if scopes := operation.Security[0]["token"]; len(scopes) > 0 {
				scope = scopes[0]
			}
			routes = append(routes, route{strings.ToUpper(method), path, scope})
		}
	}
	return routes
}

func TestEveryRouteAsksForItsScope(t *testing.T) {
	g := newGuarded(t)
	routes := allRoutes(t, g)
	if len(routes) < 16 {
		t.Fatalf("only %d routes", len(routes))
	}
	filled := strings.NewReplacer("{$}", "", "{ref}", "42", "{id}", "42", "{token}", "none", "{n}", "1", "{name}", "pager", "{step}", "prompt", "{title}", "x")
	for _, route := range routes {
		for _, c := range allCredentials {
			t.Run(route.method+" "+route.path+" with "+c.name, func(t *testing.T) {
				g.serve() // with nobody's allowance used
				want := "let in"
				switch {
				case route.scope == "":
				case c.scopes == nil:
					want = "401"
				case !c.scopes.Has(access.Scope(route.scope)):
					want = "403"
				}
				answer := g.send(c, route.method, filled.Replace(route.path), "{}")
				got := "let in"
				if answer.Code == 401 || answer.Code == 403 {
					got = fmt.Sprint(answer.Code)
					if problem := decode[web.Problem](t, answer); !strings.Contains(problem.Detail, "this needs the scope "+route.scope) || len(problem.Allowed) == 0 {
						t.Errorf("says %s", answer.Body)
					}
				}
				if got != want {
					t.Errorf("%s (%d), want %s", got, answer.Code, want)
				}
				if challenges := strings.Join(answer.Header().Values("WWW-Authenticate"), ", "); (challenges != "") != (want == "401") ||
					want == "401" && challenges != `Bearer realm="irdaemon", Basic realm="irdaemon", charset="UTF-8"` {
					t.Errorf("challenges %q", challenges)
				}
			})
		}
	}
}

func TestNoWriteIsOpenOrNeedsOnlyToRead(t *testing.T) {
	signed := []string{"POST /acknowledge/{token}", "POST /api/v1/receivers/{name}/inbound", "POST /v2/change/enqueue"}
	for _, route := range allRoutes(t, newGuarded(t)) {
		pattern := route.method + " " + route.path
		if route.method == "GET" {
			continue
		}
		if own := strings.Contains(strings.Join(signed, "\n"), pattern); (route.scope == "") != own || route.scope == "read" {
			t.Errorf("%s needs %q", pattern, route.scope)
		}
	}
	for pattern, why := range web.PlainReasons() {
		if why == "" {
			t.Errorf("%s is open, and nobody says why", pattern)
		}
	}
}

func TestWithoutAccessEverybodyMayDoEverything(t *testing.T) {
	f := newFixture(t)
	for _, target := range []string{"/api/v1/incidents", "/", "/metrics"} {
		if answer := f.call("GET", target, "", "Authorization", "Bearer anything"); answer.Code != 200 {
			t.Errorf("%s: %d", target, answer.Code)
		}
	}
	if answer := f.call("POST", "/-/reload", ""); answer.Code != 200 {
		t.Errorf("reload: %d", answer.Code)
	}
}

func TestAWriteNamesItsAuthorFromTheAuthentication(t *testing.T) {
	for _, test := range []struct {
		name, body string
		c          credentials
		status     int
		actor      string
		says       string
	}{
		{"an author left out", `{}`, allCredentials[2], 200, "respond", ""},
		{"the author said again", `{"by":"respond"}`, allCredentials[2], 200, "respond", ""},
		{"another author", `{"by":"alice"}`, allCredentials[2], 422, "", "you are respond; a write names its author from the authentication"},
		{"a person behind the proxy", `{}`, allCredentials[9], 200, "bob", ""},
		{"a person behind the proxy as another", `{"by":"root"}`, allCredentials[9], 422, "", "you are bob"},
		{"a user with a password", `{}`, allCredentials[7], 200, "root", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGuarded(t)
			answer := g.send(test.c, "POST", "/api/v1/incidents/42/acknowledge", test.body)
			if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.says) {
				t.Fatalf("%d %s", answer.Code, answer.Body)
			}
			if test.status == 422 {
				if problem := decode[web.Problem](t, answer); len(problem.Errors) != 1 || problem.Errors[0].Location != "body.by" {
					t.Errorf("%s", answer.Body)
				}
			} else if view := decode[incident.View](t, answer); view.AcknowledgedBy != test.actor {
				t.Errorf("acknowledged by %q", view.AcknowledgedBy)
			}
		})
	}
}

func TestEachWriteIsTold(t *testing.T) {
	g := newGuarded(t)
	const ack = "/api/v1/incidents/42/acknowledge"
	g.send(allCredentials[2], "POST", ack, `{}`)               // done
	g.send(allCredentials[1], "POST", ack, `{}`)               // a token to read
	g.send(allCredentials[5], "POST", ack, `{}`)               // a wrong token
	g.send(allCredentials[0], "POST", ack, `{}`)               // no credentials
	g.send(allCredentials[2], "GET", "/api/v1/incidents", ``)  // no write
	g.send(allCredentials[7], "POST", "/-/reload", "")         // done
	g.send(allCredentials[0], "POST", "/acknowledge/none", "") // no such link
	var told []string
	for _, entry := range g.logs.FilterMessage("write").All() {
		f := entry.ContextMap()
		told = append(told, fmt.Sprint(f["who"], " ", f["via"], " ", f["method"], " ", f["path"], " ", f["status"], " ", f["from"]))
		if f["route"] == "" {
			t.Errorf("without a route: %v", f)
		}
	}
	want := []string{
		"respond token POST /api/v1/incidents/42/acknowledge 200 192.0.2.1",
		"read token POST /api/v1/incidents/42/acknowledge 403 192.0.2.1",
		"  POST /api/v1/incidents/42/acknowledge 401 192.0.2.1",
		"root basic POST /-/reload 200 192.0.2.1",
		"  POST /acknowledge/{token} 404 192.0.2.1",
	}
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	for _, entry := range g.logs.All() {
		for key, value := range entry.ContextMap() {
			if text := fmt.Sprint(value); strings.Contains(text, "ird_") || strings.Contains(text, "/acknowledge/none") || strings.Contains(text, password) {
				t.Errorf("the log holds a secret: %s=%s", key, text)
			}
		}
	}
}

func TestABrowserThatKnowsThePasswordWritesForNoOtherSite(t *testing.T) {
	const ack = "/api/v1/incidents/42/acknowledge"
	for _, c := range []credentials{allCredentials[7], allCredentials[9]} {
		for _, test := range []struct {
			name    string
			headers []string
			status  int
		}{
			{"the command line", nil, 200},
			{"a page of the daemon", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://incidents.example.com"}, 200},
			{"a page of the daemon, behind a proxy that changes the host", []string{"Origin", "https://incidents.example.com"}, 200},
			{"a page of another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
			{"a page of a neighbour", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://blog.example.com"}, 403},
			{"a page of another site, without encryption", []string{"Origin", "http://evil.example"}, 403},
			{"a page that hides where it is from", []string{"Origin", "null"}, 403},
			{"the daemon's name without encryption", []string{"Origin", "http://incidents.example.com"}, 403},
		} {
			t.Run(c.name+" on "+test.name, func(t *testing.T) {
				g := newGuarded(t)
				if answer := g.send(c, "POST", ack, `{}`, test.headers...); answer.Code != test.status {
					t.Errorf("%d, want %d: %s", answer.Code, test.status, answer.Body)
				}
			})
		}
	}
}

func TestConfiguredHeadersAreAddedAndTheDaemonsOwnStay(t *testing.T) {
	header := newGuarded(t).send(allCredentials[0], "GET", "/-/healthy", "").Header()
	if header.Get("Strict-Transport-Security") != "max-age=1" || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", header)
	}
}

func TestAReloadPutsOthersIntoForce(t *testing.T) {
	g := newGuarded(t)
	c := allCredentials[4]
	if answer := g.send(c, "GET", "/api/v1/incidents", ""); answer.Code != 200 {
		t.Fatalf("%d", answer.Code)
	}
	g.access = newGuarded(t).access // other tokens
	if answer := g.send(c, "GET", "/api/v1/incidents", ""); answer.Code != 401 {
		t.Errorf("%d with a token that is no longer in the file", answer.Code)
	}
}
