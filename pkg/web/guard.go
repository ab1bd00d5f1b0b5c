package web

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/access"
)

// secure sets the headers that keep an answer from being anything but data, wherever it is opened, after those that the
// web configuration adds.
func secure(next http.Handler, current func() *access.Access) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		for name, value := range current().Headers() {
			header.Set(name, value)
		}
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// refuseCrossOrigin keeps the scripts and forms of other sites from writing through the browser of somebody who can
// reach the daemon. A browser adds the user and password that it knows, and a proxy the name of whoever is logged in, to
// whatever any site makes it send; that such a request comes from another site is all that tells it apart. Browsers say
// so themselves where the connection is encrypted; elsewhere the origin is compared with the host, which a proxy may have
// changed, so the one that people use counts too.
func refuseCrossOrigin(next http.Handler, externalURL string) http.Handler {
	protection := http.NewCrossOriginProtection()
	if u, err := url.Parse(externalURL); err == nil && u.Host != "" {
		_ = protection.AddTrustedOrigin(strings.ToLower(u.Scheme + "://" + u.Host)) // what is no origin is nobody's
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, newProblem(http.StatusForbidden, "the request comes from a page of another site",
			"the command line, or a page of this daemon"))
	}))
	return protection.Handler(next)
}

// refuseForeignHosts keeps a site that has bound its own name to this machine's loopback address (DNS rebinding)
// from reading and writing through a browser: to the browser both would be one origin, to us the name gives it away.
// A connection that does not come over loopback is not looked at, nor is a request without a host: no browser sends one.
func refuseForeignHosts(next http.Handler, externalURL string) http.Handler {
	external := ""
	if u, err := url.Parse(externalURL); err == nil {
		external = u.Hostname()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		if !overLoopback(r) || host == "" || isLoopbackHost(host) || (external != "" && strings.EqualFold(host, external)) {
			next.ServeHTTP(w, r)
			return
		}
		writeProblem(w, newProblem(http.StatusMisdirectedRequest, fmt.Sprintf("host %s is not this daemon", quoteShort(host)),
			"127.0.0.1 or localhost", "the host of web.external_url"))
	})
}

// overLoopback tells whether the connection was accepted on a loopback address.
func overLoopback(r *http.Request) bool {
	address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && IsLoopback(address.String())
}

// explainUnrouted makes a problem of the mux's own answers to paths and methods that there are not.
func explainUnrouted(mux *http.ServeMux, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		unrouted, pattern := mux.Handler(r)
		if pattern != "" {
			next.ServeHTTP(w, r)
			return
		}
		answer := &unsent{header: http.Header{}}
		unrouted.ServeHTTP(answer, r)
		switch answer.status {
		case http.StatusMethodNotAllowed:
			allowed := answer.header.Get("Allow")
			w.Header().Set("Allow", allowed)
			writeProblem(w, newProblem(answer.status, fmt.Sprintf("%s cannot be asked of %s", quoteShort(r.Method), quoteShort(r.URL.Path)),
				strings.Split(allowed, ", ")...))
		case http.StatusNotFound:
			writeProblem(w, newProblem(answer.status, "there is nothing at "+quoteShort(r.URL.Path),
				append(thereIsBelow(r.URL.Path), "GET "+openAPIPath+" describes what there is")...))
		default: // a redirect to the path without //, . and ..
			next.ServeHTTP(w, r)
		}
	})
}

// unsent takes an answer that is not going to be sent.
type unsent struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (u *unsent) Header() http.Header { return u.header }

// WriteHeader implements http.ResponseWriter.
func (u *unsent) WriteHeader(status int) { u.status = status }

// Write implements http.ResponseWriter.
func (u *unsent) Write(text []byte) (int, error) { return len(text), nil }
