package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/action"
	"github.com/irdaemon/irdaemon/pkg/document"
)

const minimal = "prometheus: {url: http://prometheus:9090/}\nsignals: []\nrunbooks: []\nowner: oncall\n"

// loadSettings loads settings with files beside them, all of which must be right.
func loadSettings(t *testing.T, settings string, files map[string]string) (Settings, string) {
	t.Helper()
	all := map[string]string{"irdaemon.yaml": minimal + settings}
	for name, content := range files {
		all[name] = content
	}
	dir := write(t, all)
	c, report := Load(filepath.Join(dir, "irdaemon.yaml"))
	if err := report.Err(document.Error, document.Later); err != nil {
		t.Fatal(err)
	}
	return c.Settings, dir
}

func TestEveryKindOfReceiverIsRead(t *testing.T) {
	s, dir := loadSettings(t, `
roles: {oncall: {page: [pager, region, hook, bot, mail, login]}}
receivers:
  pager: {pagerduty: {routing_key_file: s}}
  region: {pagerduty: {routing_key_file: s, url: "https://events.eu.pagerduty.com/", webhook_secret_file: s}}
  hook: {slack: {webhook_url_file: s}}
  bot: {slack: {token_file: s, channel: "#incidents", signing_secret_file: s, api_url: "https://slack-gov.com/api/"}}
  mail: {email: {to: ["On-call <oncall@example.org>", b@example.net], smarthost: "mail.example.org:587"}}
  login:
    email:
      to: [a@example.org]
      from: irdaemon <i@example.com>
      smarthost: 127.0.0.1:25
      hello: irdaemon.example.com
      username: u
      password_file: s
      require_tls: false
      ca_file: s
`, map[string]string{"s": "secret"})
	file := filepath.Join(dir, "s")
	for name, want := range map[string]Receiver{
		"pager":  {PagerDuty: &PagerDuty{RoutingKeyFile: file}},
		"region": {PagerDuty: &PagerDuty{RoutingKeyFile: file, URL: "https://events.eu.pagerduty.com", WebhookSecretFile: file}},
		"hook":   {Slack: &Slack{WebhookURLFile: file, APIURL: "https://slack.com/api"}},
		"bot":    {Slack: &Slack{TokenFile: file, Channel: "#incidents", SigningSecretFile: file, APIURL: "https://slack-gov.com/api"}},
		"mail": {Email: &Email{
			To: []string{"On-call <oncall@example.org>", "b@example.net"}, From: "irdaemon@example.org",
			Smarthost: "mail.example.org:587", RequireTLS: true,
		}},
		"login": {Email: &Email{
			To: []string{"a@example.org"}, From: "irdaemon <i@example.com>", Smarthost: "127.0.0.1:25",
			Hello: "irdaemon.example.com", Username: "u", PasswordFile: file, CAFile: file,
		}},
	} {
		got := s.Receivers[name]
		got.Place = document.Place{}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %+v %+v", name, got.PagerDuty, got.Slack, got.Email)
		}
	}
}

func TestMailsComeFromTheLoginWhereThatIsAnAddress(t *testing.T) {
	for want, e := range map[string]Email{
		"bot@example.com":      {Username: "bot@example.com", To: []string{"a@example.org"}},
		"irdaemon@example.org": {Username: "bot", To: []string{`"a@b" <a@example.org>`}},
		"":                     {To: []string{"nobody"}},
	} {
		if got := sender(&e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWhoCallsIsAuthenticatedByAnyOfThreeWays(t *testing.T) {
	const users = "basic_auth_users: {alice: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze}\n"
	for _, test := range []struct {
		name, web, file string
		want            bool
	}{
		{"nothing is said", "{}", "", false},
		{"empty paths are none", `{config_file: "", tokens_file: "", user_header: ""}`, "", false},
		{"users", "{config_file: web.yaml}", users, true},
		{"a file without users", "{config_file: web.yaml}", "http_server_config: {http2: true}\n", false},
		{"an empty map of users", "{config_file: web.yaml}", "basic_auth_users: {}\n", false},
		{"tokens that are yet to come", "{tokens_file: missing.yaml}", "", true},
		{"a proxy's header", "{user_header: X-User, trusted_proxies: [10.0.0.0/8]}", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := map[string]string{}
			if test.file != "" {
				files["web.yaml"] = test.file
			}
			s, _ := loadSettings(t, "roles: {oncall: {page: []}}\nweb: "+test.web+"\n", files)
			if got := s.Web.Authenticated(); got != test.want {
				t.Errorf("%t, %+v", got, s.Web)
			}
		})
	}
}

func TestTheSettingsThatARestartIsNeededFor(t *testing.T) {
	before := defaultSettings()
	for _, test := range []struct {
		name   string
		change func(*Settings)
		want   string
	}{
		{"nothing", func(*Settings) {}, "[]"},
		{"the listener", func(s *Settings) { s.Web.Listen = ":1" }, "[web.listen]"},
		{"https in place of http", func(s *Settings) { s.Web.TLS, s.Web.ConfigFile, s.Web.ExternalURL = true, "web.yaml", "https://x" }, "[web.external_url web.config_file]"},
		{"tokens, users and the header take effect at once", func(s *Settings) {
			s.Web.TokensFile, s.Web.ConfigFile, s.Web.Users, s.Web.UserHeader, s.Web.TrustedProxies = "t", "w", true, "X-User", []string{"10.0.0.0/8"}
		}, "[]"},
		{"receivers, quiet times and what is sent take effect at once", func(s *Settings) {
			s.Receivers = map[string]Receiver{"am": {Alertmanager: &Alertmanager{}}}
			s.Quiet = []Quiet{{}}
			s.Limits.Pages, s.Limits.PagesIn, s.Limits.OpenGroups = 1, time.Second, 1
		}, "[]"},
		{"how the daemon is watched", func(s *Settings) {
			s.BlindAfter, s.Heartbeat, s.Changes.Detect = time.Second, &Heartbeat{Every: time.Minute}, []Detect{{Query: "up"}}
		}, "[changes.detect heartbeat blind_after]"},
		{"what is taken in", func(s *Settings) { s.Limits.Segments, s.Limits.Queries = 1, 1 }, "[limits.segments limits.queries]"},
	} {
		after := defaultSettings()
		test.change(&after)
		if got := fmt.Sprint(NeedsRestart(&before, &after)); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestTheExternalAddressFollowsTheListener(t *testing.T) {
	certificate, key := selfSigned(t)
	s, _ := loadSettings(t, "roles: {oncall: {page: []}}\ninstance: one\nweb: {listen: \":9847\", config_file: web.yaml}\n",
		map[string]string{"web.yaml": "tls_server_config: {cert_file: c.pem, key_file: k.pem}\n", "c.pem": certificate, "k.pem": key})
	if s.Web.ExternalURL != "https://one:9847" {
		t.Error(s.Web.ExternalURL)
	}
	if s.Web.Users || !s.Web.TLS || !strings.HasSuffix(s.Web.ConfigFile, "/web.yaml") {
		t.Errorf("%+v", s.Web)
	}
}

// selfSigned makes a certificate and its key, in PEM.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

func TestConnectorsAreReadWhole(t *testing.T) {
	s, dir := loadSettings(t, `
roles: {oncall: {page: [hook]}}
receivers: {hook: {webhook: {url: "http://127.0.0.1:1/"}}}
actions: enabled
changes: {detect: [{query: "count by (artifact, version) (info)", artifact: artifact, version: version}]}
connectors:
  bearer: {url: "https://prompts.internal/api", bearer_token_file: s, ca_file: s, allow: ["GET /labels/*?at=*", "PUT /any/**"]}
  login: {url: "http://127.0.0.1:8080", basic_auth: {username: u, password_file: s}, allow: ["GET /"]}
  header: {url: "https://a.internal", header_files: {api-key: s}, allow: ["GET /"]}
`, map[string]string{"s": "secret"})
	file := filepath.Join(dir, "s")
	want := action.Connectors{
		"bearer": {Name: "bearer", URL: "https://prompts.internal/api", BearerTokenFile: file, CAFile: file, Allow: []string{"GET /labels/*?at=*", "PUT /any/**"}},
		"login":  {Name: "login", URL: "http://127.0.0.1:8080", Username: "u", PasswordFile: file, Allow: []string{"GET /"}},
		"header": {Name: "header", URL: "https://a.internal", HeaderFiles: map[string]string{"api-key": file}, Allow: []string{"GET /"}},
	}
	if !reflect.DeepEqual(s.Connectors, want) || s.Actions != ActionsEnabled || len(s.Changes.Detect) != 1 {
		t.Errorf("%+v", s.Connectors)
	}
}
