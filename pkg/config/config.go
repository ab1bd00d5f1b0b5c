// Package config is irdaemon.yaml: the daemon's own settings, their defaults, and the files and secrets that they
// name.
package config

import (
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Config is everything that was loaded in one go: settings, signals and runbooks, checked against each other.
type Config struct {
	Settings Settings
	Signals  map[string]*triggers.Signal
	Runbooks []*runbook.Snapshot // by name
	Files    []string            // every document that was read, in that order
}

// Settings are the daemon's own, with all defaults filled in.
type Settings struct {
	Instance    string // in every dedup key; default: the host's name
	Prometheus  *Prometheus
	Embedded    *Embedded
	Interval    time.Duration
	Phase       time.Duration
	PhaseAuto   bool
	QueryOffset time.Duration
	Owner       string
	BlindAfter  time.Duration
	ReviewEvery time.Duration
	Store       Store
	Web         Web
	Severities  map[runbook.Severity]Severity
	Roles       map[string]Role
	Changes     Changes
	Connectors  map[string]Connector
	Actions     string // dry_run, enabled, off
	Receivers   map[string]Receiver
	Updates     Updates
	Limits      Limits
	Heartbeat   *Heartbeat // a later release sends it

	// Place is where the settings stand; the zero value means that there are none, only loose files.
	Place document.Place `json:"-"`
}

// Prometheus is the metric source.
type Prometheus struct {
	URL        string
	HTTPClient promconfig.HTTPClientConfig
}

// Embedded is Prometheus' own scrape, TSDB and PromQL in this process.
type Embedded struct {
	ScrapeInterval time.Duration
	Targets        []string
	Path           string
	Retention      time.Duration
}

// Store is where incidents are kept.
type Store struct {
	Path            string // SQLite
	PostgresURLFile string
	Lease           time.Duration
	Keep            time.Duration
	AllowNetworkFS  bool
}

// Web is the API and its listener.
type Web struct {
	Listen         string
	ExternalURL    string
	ConfigFile     string
	TokensFile     string
	UserHeader     string
	TrustedProxies []string
}

// Severity is what a severity means and asks of people.
type Severity struct {
	Means             string
	AcknowledgeWithin time.Duration
	Page              bool
}

// Role is who is called, and who next.
type Role struct {
	Page       []string
	EscalateTo []string
}

// Changes says which changes may be suspects, and which info metrics show them.
type Changes struct {
	Since      time.Duration
	ByArtifact map[string]time.Duration
	Detect     []Detect
}

// Detect is an info metric that shows an artifact's versions.
type Detect struct {
	Query, Artifact, Version, Service string
}

// Connector is what actions may reach.
type Connector struct {
	URL             string
	BearerTokenFile string
	Allow           []string
}

// Receiver is one way to reach somebody: exactly one of its kinds is set.
type Receiver struct {
	Place        document.Place `json:"-"`
	Webhook      *Webhook
	Alertmanager *Alertmanager
	// Other names a kind that only a later release delivers to (pagerduty, slack, email); run refuses it.
	Other string
}

// Webhook posts a signed JSON document, as Standard Webhooks say.
type Webhook struct {
	URL               string // url, or url_file where the address is itself a secret
	URLFile           string
	SigningSecretFile string
	Timeout           time.Duration
}

// Alertmanager posts an alert to the v2 API of each of its addresses.
type Alertmanager struct {
	URLs       []string // url, or urls: each replica of a cluster
	HTTPClient promconfig.HTTPClientConfig
}

// Updates says who receives posted updates.
type Updates struct {
	Internal, Customer []string
}

// Heartbeat is a dead man's switch outside of this process.
type Heartbeat struct {
	URLFile string
	Every   time.Duration
}

// Limits bound what the daemon takes in and sends out.
type Limits struct {
	Segments   int
	OpenGroups int
	Pages      int
	PagesIn    time.Duration
	Queries    int // to the metric source, at once
}
