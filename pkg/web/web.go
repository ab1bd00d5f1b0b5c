// Package web is the HTTP door of the daemon: the JSON API under /api/v1, described by an OpenAPI 3.1 document, what the
// links in messages lead to (/ and /incidents/42, in plain text), and what an operator and a Prometheus ask of every
// daemon (/metrics, /-/healthy, /-/ready, /-/reload).
//
// Every error of the API is an RFC 9457 problem document that says what is allowed instead. Every route says which scope
// it needs; pkg/access tells who calls. Where nothing is configured that could prove it, the name in a write is what the
// caller says it is, so that the listener belongs on loopback (IsLoopback). Neither another site's script nor a rebound
// host name gets through.
package web

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
)

// Desk is where incidents are read and where people's commands are decided.
type Desk interface {
	// View gives an incident with its timeline; ref is an id or a number, with or without #.
	// incident.ErrNotFound: there is no such incident.
	View(ctx context.Context, ref string) (incident.View, error)
	// List gives a page of incidents without their timelines, newest first, and where the next page starts.
	List(ctx context.Context, filter incident.Filter) (views []incident.View, next string, err error)
	// Command decides and commits what a person asks for and gives the incident after it. With an idempotency key it
	// is done once: the same key and request again give the first answer. *incident.Refusal: not allowed as the
	// incident stands; nothing was written.
	Command(ctx context.Context, ref string, command incident.Command, once incident.Idempotency) (incident.View, error)
}

var _ Desk = (*incident.Desk)(nil)

// Config is what the handler is made of.
type Config struct {
	Desk Desk
	// Overview gives what is loaded and how it stands; nil leaves out /api/v1/runbooks and /api/v1/signals.
	Overview Overview
	// Ready gives the reasons why the daemon is not ready, one a line; none: it is. nil: always ready.
	Ready func() []string
	// Reload reads all files again, and names the settings that take effect at the next start only. *FilesRefused is the
	// files' fault (422), any other error the daemon's (500). nil leaves out /-/reload.
	Reload func(ctx context.Context) (atNextStart []string, err error)
	// Registry is where /metrics comes from and where the handler's own metrics go. Required.
	Registry *prometheus.Registry
	Log      *zap.Logger // required
	Version  string      // of the daemon, for the OpenAPI document
	// Access tells who calls; it is asked at each request, so that a reload takes effect at once. nil, or a nil Access:
	// everybody may do everything.
	Access func() *access.Access
	// Links are the signed links of messages; nil leaves out /acknowledge/….
	Links *access.Links
	// ExternalURL is how people reach the daemon: its host is accepted on a loopback connection (a reverse proxy), and its
	// pages may write.
	ExternalURL string
	Now         func() time.Time // default: time.Now

	// Silences are kept here; nil leaves out /api/v1/silences.
	Silences Silences
	// Changes is the log of changes; nil leaves out /api/v1/changes and /v2/change/enqueue.
	Changes Changes
	// Planner prepares the actions of the runbooks. nil: the daemon performs none, and what people did by hand is recorded.
	Planner Planner
	// Evidence gathers the evidence of a checklist again; nil leaves that out.
	Evidence EvidenceFunc
	// Receivers are the ways to reach people; nil leaves out /api/v1/receivers.
	Receivers Receivers
	// Drill opens a practice incident; nil leaves out /api/v1/drills.
	Drill DrillFunc
	// Backup is how the embedded store is copied; nil leaves out /api/v1/backup.
	Backup *Backup
	// Feed is where the event stream comes from; nil leaves out /api/v1/events.
	Feed Feed
	// Stopping is closed when the daemon stops: the event streams end then, so that the stop need not wait for them. nil:
	// they end with their clients alone.
	Stopping <-chan struct{}
}

// Limits of what is taken in, and how long anything may take.
const (
	maxBodyBytes      = 64 << 10
	maxHeaderBytes    = 32 << 10
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = time.Minute // a reload and a scrape of many series take their time
	idleTimeout       = 2 * time.Minute
	stopTimeout       = 10 * time.Second
)

// New gives the handler of everything that the daemon serves. It panics when the registry holds its metrics already,
// and when a route does not say who may call it.
func New(config Config) http.Handler {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Access == nil {
		config.Access = func() *access.Access { return nil }
	}
	mux := newRouter()
	addDaemonRoutes(mux, config)
	addPages(mux, config)
	addLinks(mux, config)
	addAPI(mux, config)
	failures := newLimits(rate.Every(time.Minute/failuresAMinute), failuresAMinute)
	addChangeEvents(mux, config, failures)
	mux.closed()

	handler := newGate(mux, config, failures).guard(mux)
	handler = explainUnrouted(mux.ServeMux, handler)
	handler = refuseCrossOrigin(handler, config.ExternalURL)
	handler = refuseForeignHosts(handler, config.ExternalURL)
	handler = secure(handler, config.Access)
	return observe(mux.ServeMux, handler, config)
}

// IsLoopback tells whether a listen address (host:port) can be reached from this machine alone. A name counts only
// if it is localhost: what another one resolves to may change.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return isLoopbackHost(host)
}

func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
