package config

import (
	"regexp"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/irdaemon/irdaemon/pkg/document"
)

// sourceFields are the keys of the metric source, of which there is exactly one.
func (s *settingsReader) sourceFields() []document.Field {
	return []document.Field{
		{Key: "prometheus", Read: s.readPrometheus},
		{Key: "embedded", Read: s.readEmbedded},
	}
}

func (s *settingsReader) checkSource(v document.Value) {
	switch remote, embedded := v.Has("prometheus"), v.Has("embedded"); {
	case remote && embedded:
		v.Report().Error(v.Key("embedded"), "prometheus and embedded beside each other", "one metric source; leave one out")
	case !remote && !embedded:
		v.Error("no metric source", "prometheus: {url: http://prometheus:9090}, or embedded: {targets: [http://127.0.0.1:8000/metrics]}")
	}
}

func (s *settingsReader) readPrometheus(v document.Value) {
	p := &Prometheus{HTTPClient: promconfig.DefaultHTTPClientConfig}
	v.Object(
		document.Field{Key: "url", Required: true, Missing: "url: http://prometheus:9090", Read: document.Into(&p.URL, document.Value.Address)},
		document.Field{Key: "http_client", Read: s.httpClient(&p.HTTPClient)},
	)
	p.URL = strings.TrimRight(p.URL, "/")
	s.Prometheus = p
}

// The defaults of the embedded Prometheus.
const (
	defaultScrapeInterval = 15 * time.Second
	defaultRetention      = 15 * day
)

func (s *settingsReader) readEmbedded(v document.Value) {
	e := &Embedded{ScrapeInterval: defaultScrapeInterval, Path: "data/tsdb", Retention: defaultRetention}
	v.Object(
		document.Field{Key: "scrape_interval", Read: document.Into(&e.ScrapeInterval, document.Value.Positive)},
		document.Field{Key: "targets", Required: true, Missing: "targets: [http://127.0.0.1:8000/metrics]", Read: func(v document.Value) {
			v.Items(func(v document.Value) {
				if address, ok := v.Address(); ok {
					e.Targets = append(e.Targets, address)
				}
			})
		}},
		document.Field{Key: "path", Read: document.Into(&e.Path, document.Value.Text)},
		document.Field{Key: "retention", Read: document.Into(&e.Retention, document.Value.Positive)},
	)
	s.Embedded = e
}

// inlineSecrets are the keys of an HTTP client that hold a secret itself; each has a _file beside it.
var inlineSecrets = map[string]bool{
	"password": true, "credentials": true, "bearer_token": true, "client_secret": true, "client_certificate_key": true, "key": true, "secrets": true,
}

// httpClient reads prometheus/common's HTTP client configuration, by its own decoder. What it finds wrong is told at
// the key that it names.
func (s *settingsReader) httpClient(into *promconfig.HTTPClientConfig) func(document.Value) {
	return func(v document.Value) {
		if !v.IsMap() {
			v.Object(document.Field{Key: "tls_config"}, document.Field{Key: "basic_auth"}, document.Field{Key: "authorization"},
				document.Field{Key: "oauth2"}, document.Field{Key: "http_headers"}, document.Field{Key: "proxy_url"})
			return
		}
		s.clientSecrets(v)
		loaded, err := promconfig.LoadHTTPConfig(v.YAML())
		if err != nil {
			clientError(v, err)
			return
		}
		loaded.SetDirectory(s.files.dir)
		*into = *loaded
	}
}

// clientSecrets refuses secrets that are written down, and looks for the files of those that are not.
func (s *settingsReader) clientSecrets(v document.Value) {
	for _, key := range v.Keys() {
		inner := v.Get(key)
		switch {
		case inner.IsMap():
			s.clientSecrets(inner)
		case strings.HasSuffix(key, "_file") && inner.IsScalar():
			var path string
			s.secret(&path)(inner)
		case inlineSecrets[key] && inner.Exists() && !fromEnvironment(inner):
			inner.Report().Error(v.Key(key), "a secret is written down here", key+"_file, or ${ENV_VAR}")
		}
	}
}

func fromEnvironment(v document.Value) bool {
	all := true
	v.Scalars(func(leaf document.Value) { all = all && leaf.FromEnvironment() })
	return all
}

const clientManual = "the keys of Prometheus' http_config: basic_auth, authorization, oauth2, tls_config, proxy_url, http_headers, …"

var (
	unknownClientField = regexp.MustCompile(`line (\d+): field (\S+) not found`)
	yamlPrefix         = regexp.MustCompile(`^yaml: (unmarshal errors:\s+)?(line \d+: )?`)
)

// clientError tells the decoder's error at the key that it is about, without the values that the decoder quotes:
// they may be secrets.
func clientError(v document.Value, err error) {
	message := err.Error()
	if unknown := unknownClientField.FindAllStringSubmatch(message, -1); unknown != nil {
		for _, found := range unknown {
			at := find(v, found[2])
			if at.Path == "" {
				at = v.Place()
			}
			v.Report().Error(at, "unknown key", clientManual)
		}
		return
	}
	if strings.Contains(message, "cannot unmarshal") {
		v.Error("a value is of the wrong kind", clientManual)
		return
	}
	hidden := false
	v.Scalars(func(leaf document.Value) { hidden = hidden || leaf.FromEnvironment() })
	if hidden {
		v.Error("does not fit together", clientManual)
		return
	}
	v.Error(yamlPrefix.ReplaceAllString(message, ""), "")
}

// find gives the place of the first key of a name, in the map or below it.
func find(v document.Value, name string) document.Place {
	for _, key := range v.Keys() {
		if key == name {
			return v.Key(key)
		}
		if at := find(v.Get(key), name); at.Path != "" {
			return at
		}
	}
	return document.Place{}
}
