package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// write puts files into a folder of their own.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func base(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata/base", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestSettingsThatSayLittleHaveAllDefaults(t *testing.T) {
	dir := write(t, map[string]string{
		"irdaemon.yaml": "prometheus: {url: http://prometheus:9090/}\nsignals: []\nrunbooks: []\n",
	})
	c, report := Load(filepath.Join(dir, "irdaemon.yaml"))
	if err := report.Err(document.Error, document.Later); err != nil {
		t.Fatal(err)
	}
	s := c.Settings
	host, _ := os.Hostname()
	for name, test := range map[string]struct{ got, want any }{
		"instance":     {s.Instance, host},
		"url":          {s.Prometheus.URL, "http://prometheus:9090"},
		"http client":  {s.Prometheus.HTTPClient.FollowRedirects, true},
		"interval":     {s.Interval, 15 * time.Second},
		"phase":        {s.Phase, time.Duration(0)},
		"blind_after":  {s.BlindAfter, 5 * time.Minute},
		"review_every": {s.ReviewEvery, 90 * 24 * time.Hour},
		"store":        {s.Store, Store{Path: filepath.Join(dir, "data/irdaemon.db"), Keep: 730 * 24 * time.Hour, Lease: 10 * time.Second}},
		"web":          {fmt.Sprint(s.Web.Listen, " ", s.Web.ExternalURL), "127.0.0.1:9847 http://127.0.0.1:9847"},
		"sev1":         {s.Severities[runbook.Sev1], Severity{"Broad user harm or regulatory risk.", 5 * time.Minute, true}},
		"sev2":         {s.Severities[runbook.Sev2].AcknowledgeWithin, 15 * time.Minute},
		"sev3":         {s.Severities[runbook.Sev3].AcknowledgeWithin, time.Hour},
		"sev4":         {s.Severities[runbook.Sev4].Page, false},
		"since":        {s.Changes.Since, 24 * time.Hour},
		"actions":      {s.Actions, ActionsDryRun},
		"limits":       {s.Limits, Limits{Segments: 10000, OpenGroups: 50, Pages: 6, PagesIn: 15 * time.Minute, Queries: 8}},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
}

func TestPathsAreRelativeToTheSettingsFile(t *testing.T) {
	t.Setenv("IRDAEMON_TEST_HOST", "prometheus.internal")
	dir := write(t, map[string]string{
		"etc/irdaemon.yaml": `prometheus:
  url: http://${IRDAEMON_TEST_HOST}:9090
  http_client: {basic_auth: {username: u, password_file: secrets/pw}, tls_config: {ca_file: /etc/ca.pem}}
signals: [signals/*.yaml]
runbooks: []
store: {path: /var/lib/irdaemon.db, keep: 1y}
receivers:
  hook: {webhook: {url_file: secrets/hook, signing_secret_file: secrets/missing}}
  am: {alertmanager: {urls: [http://a:9093/, http://b:9093], http_client: {authorization: {credentials_file: secrets/pw}}}}
owner: oncall
roles: {oncall: {page: [hook, am]}}
changes: {since: {default: 12h, retrieval_index: 7d}}
`,
		"etc/secrets/pw":     "geheim\n",
		"etc/secrets/hook":   " http://hook \n",
		"etc/signals/a.yaml": "signals: {up: {query: up}}\n",
		"etc/signals/b.yaml": "signals: {down: {query: up == bool 0}}\n",
	})
	c, report := Load(filepath.Join(dir, "etc/irdaemon.yaml"))
	if err := report.Err(document.Error, document.Later); err != nil {
		t.Fatal(err)
	}
	secrets := filepath.Join(dir, "etc/secrets")
	s := c.Settings
	for name, test := range map[string]struct{ got, want any }{
		"environment":      {s.Prometheus.URL, "http://prometheus.internal:9090"},
		"password_file":    {s.Prometheus.HTTPClient.BasicAuth.PasswordFile, secrets + "/pw"},
		"ca_file":          {s.Prometheus.HTTPClient.TLSConfig.CAFile, "/etc/ca.pem"},
		"credentials_file": {s.Receivers["am"].Alertmanager.HTTPClient.Authorization.CredentialsFile, secrets + "/pw"},
		"urls":             {strings.Join(s.Receivers["am"].Alertmanager.URLs, " "), "http://a:9093 http://b:9093"},
		"url_file":         {s.Receivers["hook"].Webhook.URLFile, secrets + "/hook"},
		"timeout":          {s.Receivers["hook"].Webhook.Timeout, 10 * time.Second},
		"store":            {s.Store.Path, "/var/lib/irdaemon.db"},
		"since":            {s.Changes.Since, 12 * time.Hour},
		"since by":         {s.Changes.ByArtifact["retrieval_index"], 7 * 24 * time.Hour},
		"signals":          {len(c.Signals), 2},
		"files":            {len(c.Files), 3},
		"missing secrets":  {strings.Count(report.Secrets().Error(), "there is no file"), 2}, // the CA and the signing secret
	} {
		if test.got != test.want {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
}

func TestASecretIsReadTrimmedAndNeverShown(t *testing.T) {
	dir := write(t, map[string]string{"s": "  s3cret\r\n\n", "empty": " \n"})
	secret, err := ReadSecret(filepath.Join(dir, "s"))
	if err != nil || secret.Reveal() != "s3cret" {
		t.Fatalf("%q, %v", secret.Reveal(), err)
	}
	encoded, err := json.Marshal(map[string]any{"secret": secret})
	shown := fmt.Sprintf("%s %v %+v %#v %q %s %v", secret, secret, struct{ S Secret }{secret}, secret, secret, encoded, err)
	if strings.Contains(shown, "s3cret") || !strings.Contains(shown, hidden) {
		t.Error(shown)
	}
	for _, name := range []string{"empty", "none"} {
		if _, err := ReadSecret(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is a secret", name)
		}
	}
}

func TestFilesBesideSettingsAreCheckedAgainstThem(t *testing.T) {
	dir := write(t, map[string]string{
		"irdaemon.yaml": base(t, "irdaemon.yaml"), "signals.yaml": base(t, "signals.yaml"), "runbook.yaml": base(t, "runbook.yaml"),
		"new.yaml": strings.NewReplacer("good-users-refused", "new", "owner: oncall", "owner: nobody").Replace(base(t, "runbook.yaml")),
	})
	c, report := LoadFiles(dir)
	if err := report.Err(document.Error); err == nil || len(report.Problems) != 1 || !strings.Contains(err.Error(), "new.yaml:13:8: owner: unknown role `nobody`") {
		t.Errorf("%v", report.Problems)
	}
	if len(c.Runbooks) != 2 || c.Runbooks[0].Runbook.Name != "good-users-refused" || c.Runbooks[1].Runbook.Name != "new" {
		t.Errorf("%d runbooks", len(c.Runbooks))
	}
}

func TestSeveralSettingsAreCheckedEachByItself(t *testing.T) {
	files := map[string]string{}
	for _, dir := range []string{"a/", "b/"} {
		for _, name := range []string{"irdaemon.yaml", "signals.yaml", "runbook.yaml"} {
			files[dir+name] = base(t, name)
		}
	}
	files["b/irdaemon.yaml"] = strings.Replace(files["b/irdaemon.yaml"], "oncall:", "people:", 1)
	_, report := LoadFiles(write(t, files))
	if got := report.Count(document.Error); got != 2 || len(report.Problems) != 2 {
		t.Errorf("%v", report.Problems)
	}
}

func TestScalingDividesTheDurationsOfTheSettingsOnce(t *testing.T) {
	c, _ := Load("testdata/base/irdaemon.yaml")
	c.Settings.Heartbeat = &Heartbeat{Every: time.Minute}
	c.Scale(40)
	s := c.Settings
	for name, test := range map[string]struct{ got, want time.Duration }{
		"interval":           {s.Interval, 375 * time.Millisecond},
		"blind_after":        {s.BlindAfter, 7500 * time.Millisecond},
		"acknowledge_within": {s.Severities[runbook.Sev2].AcknowledgeWithin, 22500 * time.Millisecond},
		"heartbeat":          {s.Heartbeat.Every, time.Minute},
		"pages in":           {s.Limits.PagesIn, 22500 * time.Millisecond},
		"keep":               {s.Store.Keep, 730 * 24 * time.Hour},
		"timeout":            {s.Receivers["hook"].Webhook.Timeout, 10 * time.Second},
		"range":              {c.Runbooks[0].Signals["refusal_rate"].Range, 7500 * time.Millisecond},
		"for":                {c.Runbooks[0].Runbook.Trigger.Conditions()[0].For, 15 * time.Second},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
}

func TestDatesAreCheckedOverAllRunbooks(t *testing.T) {
	dir := write(t, map[string]string{
		"irdaemon.yaml": base(t, "irdaemon.yaml"), "signals.yaml": base(t, "signals.yaml"),
		"runbook.yaml": strings.Replace(base(t, "runbook.yaml"), "owner:", "reviewed: 2026-01-01\nowner:", 1),
	})
	c, report := Load(filepath.Join(dir, "irdaemon.yaml"))
	c.CheckDates(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), report)
	if len(report.Problems) != 0 {
		t.Error(report.Problems)
	}
	c.CheckDates(time.Date(2026, 4, 3, 0, 0, 0, 0, time.UTC), report)
	if report.Count(document.Warning) != 1 {
		t.Error(report.Problems)
	}
}

// FuzzLoad: whatever stands in the three files, loading ends, without panic, and every problem of a document has its place.
func FuzzLoad(f *testing.F) {
	names := []string{"irdaemon.yaml", "signals.yaml", "runbook.yaml"}
	var seed [3]string
	for i, name := range names {
		content, err := os.ReadFile(filepath.Join("testdata/base", name))
		if err != nil {
			f.Fatal(err)
		}
		seed[i] = string(content)
	}
	f.Add(seed[0], seed[1], seed[2])
	for _, path := range []string{"irdaemon.yaml", "signals/signals.yaml", "runbooks/every-condition.yaml", "runbooks/good-users-refused.yaml"} {
		content, err := os.ReadFile(filepath.Join("testdata/language", path))
		if err != nil {
			f.Fatal(err)
		}
		switch filepath.Dir(path) {
		case ".":
			f.Add(string(content), seed[1], seed[2])
		case "signals":
			f.Add(seed[0], string(content), seed[2])
		default:
			f.Add(seed[0], seed[1], string(content))
		}
	}
	f.Fuzz(func(t *testing.T, settings, signals, book string) {
		report := &document.Report{}
		s := newScope(report)
		read := func(name, text string, then func(document.Value)) {
			if v, ok := document.Parse(name, []byte(text), report); ok {
				then(v)
			}
		}
		read("irdaemon.yaml", settings, func(v document.Value) { (&settingsReader{}).read(v) })
		read("signals.yaml", signals, s.addSignals)
		read("runbook.yaml", book, s.addRunbook)
		s.check()
		for _, p := range report.Problems {
			if p.Place.Line < 1 || p.Place.Col < 1 || p.What == "" {
				t.Fatalf("%#v", p)
			}
		}
		if report.Count(document.Error) == 0 && len(s.config.Runbooks) == 1 {
			s.config.Runbooks[0].Hash()
		}
	})
}
