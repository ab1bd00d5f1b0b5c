// Package config is irdaemon.yaml: the daemon's own settings, their defaults, and the files and secrets that they
// name.
package config

import (
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	promconfig "github.com/prometheus/common/config"

	"github.com/irdaemon/irdaemon/pkg/action"
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
	Connectors  action.Connectors
	Actions     string // dry_run, enabled, off
	Receivers   map[string]Receiver
	Updates     Updates
	Quiet       []Quiet
	Limits      Limits
	Heartbeat   *Heartbeat // nil: none

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

// Web is the API, its listener, and how it knows who calls.
type Web struct {
	Listen         string
	ExternalURL    string
	ConfigFile     string // exporter-toolkit's web config: TLS, basic auth; read anew at a reload
	TokensFile     string // API tokens; read anew at a reload
	UserHeader     string // in which a trusted proxy names the person
	TrustedProxies []string

	// What the web config file says, as of the last load.
	Users bool // it names users with their passwords
	TLS   bool // it has a certificate, so the listener speaks https
}

// Authenticated tells whether whoever calls the API has to say who they are. Without it every caller may do everything,
// so that the listener belongs on loopback.
func (w Web) Authenticated() bool {
	return w.TokensFile != "" || w.Users || w.UserHeader != ""
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

// Receiver is one way to reach somebody: exactly one of its kinds is set.
type Receiver struct {
	Place        document.Place `json:"-"`
	Webhook      *Webhook
	Alertmanager *Alertmanager
	PagerDuty    *PagerDuty
	Slack        *Slack
	Email        *Email
}

// Kind names the receiver's kind, as the settings do; empty for none.
func (r Receiver) Kind() string {
	switch {
	case r.Webhook != nil:
		return "webhook"
	case r.Alertmanager != nil:
		return "alertmanager"
	case r.PagerDuty != nil:
		return "pagerduty"
	case r.Slack != nil:
		return "slack"
	case r.Email != nil:
		return "email"
	}
	return ""
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

// PagerDuty sends events to one integration of one service (Events API v2).
type PagerDuty struct {
	RoutingKeyFile    string
	URL               string // of the region; empty: PagerDuty's own default
	WebhookSecretFile string // of its V3 webhooks, by which people acknowledge there; empty: they are not listened to
}

// Slack posts to a channel: by an incoming webhook, or as a bot, which keeps one message up to date and may have buttons.
type Slack struct {
	WebhookURLFile    string // either this
	TokenFile         string // or a bot's token and a channel
	Channel           string // id (C…, G…) or #name
	SigningSecretFile string // of the app, which signs what its buttons post; empty: no buttons
	APIURL            string // of the bot's calls
}

// Email sends mail over one SMTP server.
type Email struct {
	To           []string
	From         string
	Smarthost    string // host:port; on port 465 TLS comes first, elsewhere STARTTLS
	Hello        string // the name that the daemon greets with; empty: the host's name
	Username     string // empty: no login
	PasswordFile string
	RequireTLS   bool
	CAFile       string // whose certificates are trusted; empty: the system's
}

// Updates says who receives posted updates.
type Updates struct {
	Internal, Customer []string
}

// Quiet is planned work that comes back: while it lasts, pages of these runbooks are held back, unless the incident is
// worse than UpTo.
type Quiet struct {
	Runbooks []string
	UpTo     runbook.Severity
	Times    []timeinterval.TimeInterval // at least one
	Place    document.Place              `json:"-"`
}

// Heartbeat is a dead man's switch outside of this process.
type Heartbeat struct {
	URLFile string
	Every   time.Duration // at least 15s
}

// Limits bound what the daemon takes in and sends out.
type Limits struct {
	Segments   int           // of a signal
	OpenGroups int           // incidents of one runbook that are paged one by one; what opens beyond them goes into a digest
	Pages      int           // to one receiver
	PagesIn    time.Duration // the time in which it gets no more than Pages; the rest goes into a digest
	Queries    int           // to the metric source, at once
}
