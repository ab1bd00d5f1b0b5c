package web

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
)

// need is what a route asks of whoever calls it: a scope, or nothing, and then why.
type need struct {
	scope access.Scope
	why   string
}

// plainNeeds has every route that is no operation of the API.
var plainNeeds = map[string]need{
	"GET /{$}":             {scope: access.Read},
	"GET /incidents":       {scope: access.Read},
	"GET /incidents/{ref}": {scope: access.Read},
	"POST /-/reload":       {scope: access.Admin},

	"GET /-/healthy":     {why: "whatever restarts the daemon has no credentials, and learns one word"},
	"GET /-/ready":       {why: "whatever routes to the daemon has no credentials; the reasons name what it depends on, and no incident"},
	"GET /metrics":       {why: "a Prometheus scrapes it, most often without credentials; counts by runbook and receiver, and no incident"},
	"GET " + openAPIPath: {why: "it says how to call the API, and is the same at every daemon of this version"},

	"GET /acknowledge/{token}":  {why: "the link is signed"},
	"POST /acknowledge/{token}": {why: "the link is signed"},

	"POST " + changeEventsPath: {why: "the routing key in the event is a token with the scope change"},
}

// Names of the security schemes in the OpenAPI document.
const (
	tokenScheme     = "token"
	basicScheme     = "basic"
	proxyScheme     = "proxy"
	signatureScheme = "signature"
)

var securitySchemes = map[string]*huma.SecurityScheme{
	tokenScheme: {Type: "http", Scheme: "bearer", Description: "A token of web.tokens_file, with the scopes that stand there. admin holds every scope; respond and change hold read."},
	basicScheme: {Type: "http", Scheme: "basic", Description: "A user of web.config_file, who has the scope admin."},
	proxyScheme: {Type: "apiKey", In: "header", Name: "web.user_header",
		Description: "The header that web.user_header names, set by a proxy in web.trusted_proxies. Who comes this way has read, respond and change."},
	signatureScheme: {Type: "apiKey", In: "header", Name: "signature", Description: "The sender's own signature over the body, in the header that its service uses."},
}

// needs says which scope an operation asks for. Every operation is registered through this or bySignature.
func needs(scope access.Scope, op huma.Operation) huma.Operation {
	scopes := []string{string(scope)}
	op.Security = []map[string][]string{{tokenScheme: scopes}, {basicScheme: scopes}, {proxyScheme: scopes}}
	addProblems(&op, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
	return op
}

// bySignature says that an operation checks the signature of what was sent by itself.
func bySignature(op huma.Operation) huma.Operation {
	op.Security = []map[string][]string{{signatureScheme: {}}}
	addProblems(&op, http.StatusUnauthorized, http.StatusTooManyRequests)
	return op
}

// needOf reads what needs and bySignature wrote.
func needOf(op *huma.Operation) (need, bool) {
	for _, way := range op.Security {
		if _, signed := way[signatureScheme]; signed {
			return need{why: "what is sent is signed"}, true
		}
		if scopes := way[tokenScheme]; len(scopes) == 1 && slices.Contains(access.AllScopes, access.Scope(scopes[0])) {
			return need{scope: access.Scope(scopes[0])}, true
		}
	}
	return need{}, false
}

// router is the mux, and knows what each of its routes needs.
type router struct {
	*http.ServeMux
	patterns []string
	needs    map[string]need
}

func newRouter() *router {
	return &router{ServeMux: http.NewServeMux(), needs: maps.Clone(plainNeeds)}
}

// Handle adds a route, as ServeMux does.
func (m *router) Handle(pattern string, handler http.Handler) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.Handle(pattern, handler)
}

// HandleFunc adds a route, as ServeMux does.
func (m *router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(handler))
}

// declare notes what an operation needs.
func (m *router) declare(_ *huma.OpenAPI, op *huma.Operation) {
	if n, ok := needOf(op); ok {
		m.needs[op.Method+" "+op.Path] = n
	}
}

// closed panics where a route does not say who may call it: it would be open to everybody, and nobody would have
// decided that.
func (m *router) closed() {
	for _, pattern := range m.patterns {
		if _, ok := m.needs[pattern]; !ok {
			panic(fmt.Sprintf("route %s declares no scope: register it with needs(access.Read, operation(…)), or give it a line in plainNeeds", pattern))
		}
	}
}

// gate lets in whoever may call a route, and keeps account of who wrote.
type gate struct {
	routes   *router
	access   func() *access.Access
	log      *zap.Logger
	now      func() time.Time
	reads    *limits
	writes   *limits
	failures *limits
}

func newGate(routes *router, config Config, failures *limits) *gate {
	return &gate{
		routes: routes, access: config.Access, log: config.Log, now: config.Now,
		reads:    newLimits(readsASecond, readsAtOnce),
		writes:   newLimits(writesASecond, writesBurst),
		failures: failures,
	}
}

type identityKey struct{}

// IdentityOf is who sent the request of a context. Where the route asks nobody who they are it is nobody, without scopes.
func IdentityOf(ctx context.Context) access.Identity {
	if who, ok := ctx.Value(identityKey{}).(*access.Identity); ok {
		return *who
	}
	return access.Identity{}
}

// become says who sent a request on a route that finds it out by itself, for the audit.
func become(ctx context.Context, who access.Identity) {
	if held, ok := ctx.Value(identityKey{}).(*access.Identity); ok {
		*held = who
	}
}

// refusal is why a request is not let in.
type refusal struct {
	*Problem
	quiet bool // strangers can cause any number of it, and must not be able to fill the log
}

// guard asks who calls before anything else is done.
func (g *gate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := g.routes.Handler(r)
		wanted, declared := g.routes.needs[pattern]
		if !declared { // the mux's own answer: a redirect to the path without //, . and ..
			next.ServeHTTP(w, r)
			return
		}
		who, refused := g.admit(w, r, wanted)
		returned := false
		if isWrite(r) {
			answer := &watched{ResponseWriter: w}
			w = answer
			defer func() { g.audit(r, pattern, who, answer, refused, returned) }()
		}
		if refused != nil {
			writeProblem(w, refused.Problem)
		} else {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identityKey{}, &who)))
		}
		returned = true
	})
}

func isWrite(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return true
}

// admit tells who calls, and why they are not let in, if so.
func (g *gate) admit(w http.ResponseWriter, r *http.Request, wanted need) (who access.Identity, refused *refusal) {
	a := g.access()
	caller := addressKey(a.ClientAddress(r))
	if wanted.scope != "" {
		if who, refused = g.identify(w, r, a, wanted); refused != nil {
			return who, refused
		}
		if !who.Scopes.Has(wanted.scope) {
			return who, &refusal{Problem: newProblem(http.StatusForbidden,
				fmt.Sprintf("this needs the scope %s; %s has %s", wanted.scope, who.Name, who.Scopes),
				"a caller with the scope "+string(wanted.scope))}
		}
		if who.Name != "" {
			caller = who.Via + " " + who.Name
		}
	}
	limit := g.reads
	if isWrite(r) {
		limit = g.writes
	}
	if wait, _ := limit.take(caller, g.now()); wait > 0 {
		return who, &refusal{tooMany(w, "too many requests at once", wait), true}
	}
	return who, nil
}

// identify asks who calls. Failures are counted by address; only what costs us a comparison of passwords is refused
// before it is looked at, so that nobody who holds a right token is kept out by a guesser behind the same address.
func (g *gate) identify(w http.ResponseWriter, r *http.Request, a *access.Access, wanted need) (access.Identity, *refusal) {
	address := addressKey(a.ClientAddress(r))
	tooOften := func(wait time.Duration) (access.Identity, *refusal) {
		return access.Identity{}, &refusal{tooMany(w, "credentials from this address were wrong too often", wait), true}
	}
	giveBack, costly := func() {}, a.Costly(r)
	if costly {
		var wait time.Duration
		if wait, giveBack = g.failures.take(address, g.now()); wait > 0 {
			return tooOften(wait)
		}
	}
	who, err := a.Identify(r)
	none := errors.Is(err, access.ErrNoCredentials)
	switch {
	case err == nil:
		giveBack()
		return who, nil
	case !costly && !none:
		if wait, _ := g.failures.take(address, g.now()); wait > 0 {
			return tooOften(wait)
		}
	}
	return access.Identity{}, &refusal{unauthorized(w, a, wanted, err), none}
}

// unauthorized says how to say who one is.
func unauthorized(w http.ResponseWriter, a *access.Access, wanted need, err error) *Problem {
	ways := map[string]struct{ challenge, allowed string }{
		"Bearer": {`Bearer realm="irdaemon"`, "Authorization: Bearer with a token of web.tokens_file"},
		"Basic":  {`Basic realm="irdaemon", charset="UTF-8"`, "Authorization: Basic with a user of web.config_file"},
	}
	var allowed []string
	for _, scheme := range a.Schemes() {
		w.Header().Add("WWW-Authenticate", ways[scheme].challenge)
		allowed = append(allowed, ways[scheme].allowed)
	}
	if header := a.UserHeader(); header != "" {
		allowed = append(allowed, header+" from a proxy in web.trusted_proxies")
	}
	return newProblem(http.StatusUnauthorized, fmt.Sprintf("this needs the scope %s: %v", wanted.scope, err), allowed...)
}

// audit tells the log of each write and each try at one: who, how they proved it, where, and what came of it.
func (g *gate) audit(r *http.Request, pattern string, who access.Identity, answer *watched, refused *refusal, returned bool) {
	if refused != nil && refused.quiet {
		return // told of at debug, as every request is
	}
	status := answer.code()
	if !returned && answer.status == 0 {
		status = http.StatusInternalServerError // it panics, and observe answers
	}
	_, route, _ := strings.Cut(pattern, " ")
	fields := []zap.Field{
		zap.String("who", who.Name), zap.String("via", who.Via), zap.String("method", r.Method), zap.String("route", route),
		zap.String("path", shownPath(route, r)), zap.Int("status", status), zap.String("from", g.access().ClientAddress(r).String()),
	}
	if refused != nil {
		fields = append(fields, zap.String("refused", refused.Detail))
	}
	g.log.Info("write", fields...)
}

// shownPath is the path of a request for the log: without what gives its holder a right.
func shownPath(route string, r *http.Request) string {
	if strings.Contains(route, "{token}") {
		return route
	}
	return r.URL.Path
}

// actor is the author of a write. Whoever is authenticated is its author, and need not say so; where nobody is
// authenticated, the write has to name one. The error is a problem document.
func actor(ctx context.Context, by person) (string, error) {
	who := IdentityOf(ctx)
	refuse := func(detail, message string, allowed ...string) error {
		problem := newProblem(http.StatusUnprocessableEntity, detail, allowed...)
		problem.Errors = []*huma.ErrorDetail{{Location: "body.by", Message: message, Value: string(by)}}
		return problem
	}
	switch {
	case who.Name == "" && by == "":
		return "", refuse("the write does not name its author", "expected the name of who does it", "by: a name")
	case who.Name == "":
		return string(by), nil
	case by != "" && string(by) != who.Name:
		return "", refuse("you are "+who.Name+"; a write names its author from the authentication",
			"expected "+strconv.Quote(who.Name)+", or nothing", "by left out, or "+who.Name)
	}
	return who.Name, nil
}
