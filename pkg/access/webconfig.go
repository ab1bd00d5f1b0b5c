package access

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/common/config"
	toolkit "github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/crypto/bcrypt"
	"gopkg.in/yaml.v3"

	"github.com/irdaemon/irdaemon/pkg/document"
)

// webConfig is exporter-toolkit's web configuration, the file that operators of Prometheus know. The toolkit's own
// handler is not used: it would refuse every request that has a token and no password.
type webConfig struct {
	users   map[string]string // bcrypt hashes
	headers map[string]string
	http2   bool
	tls     toolkit.TLSConfig
}

// TLS tells whether the listener is to speak TLS.
func (a *Access) TLS() bool { return a != nil && a.web.tls.IsEnabled() }

// HTTP2 tells whether HTTP/2 is to be offered over TLS.
func (a *Access) HTTP2() bool { return a != nil && a.web.http2 }

// Headers are to be set on every answer.
func (a *Access) Headers() map[string]string {
	if a == nil {
		return nil
	}
	return a.web.headers
}

// Certificate gives what a handshake needs. The files of the certificate and of the clients' authorities are read anew
// by each call, so that a renewed one is in force at once.
func (a *Access) Certificate() (*tls.Config, error) {
	c, err := toolkit.ConfigToTLSConfig(&a.web.tls)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	certificate, err := c.GetCertificate(nil)
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	c.Certificates, c.GetCertificate = []tls.Certificate{*certificate}, nil
	c.NextProtos = []string{"http/1.1"}
	if a.web.http2 {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	return c, nil
}

// readWebConfig reads a web configuration; whatever is wrong with it goes to the report.
func readWebConfig(file string, report *document.Report) webConfig {
	w := webConfig{
		users: map[string]string{}, headers: map[string]string{}, http2: true,
		tls: toolkit.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13},
	}
	v, ok := readDocument(file, report)
	if !ok {
		return w
	}
	v.Object(
		document.Field{Key: "tls_server_config", Read: func(v document.Value) { w.readTLS(v, filepath.Dir(file)) }},
		document.Field{Key: "http_server_config", Read: w.readHTTP},
		document.Field{Key: "basic_auth_users", Read: w.readUsers},
		document.Field{Key: "rate_limit", Read: func(v document.Value) {
			v.Warn("is not used", "irdaemon has limits of its own, for each caller")
		}},
	)
	return w
}

// readUsers reads names and bcrypt hashes. What stands there instead of a hash may be the password, so it is never shown.
func (w *webConfig) readUsers(v document.Value) {
	v.Named(func(name string, at document.Place, v document.Value) {
		hash, ok := v.Text()
		if !ok {
			return
		}
		if !IsName(name) || strings.Contains(name, ":") {
			v.Report().Error(at, "that is not a user's name", "at most 100 characters, no control characters, no : and no spaces around it")
		}
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			v.Error("that is no bcrypt hash", "what htpasswd -nBC 10 '' prints after the colon")
		}
		w.users[name] = hash
	})
}

// headersAllowed are those that the toolkit lets an operator set; nil: any value.
var headersAllowed = map[string][]string{
	"Strict-Transport-Security": nil,
	"X-Content-Type-Options":    {"nosniff"},
	"X-Frame-Options":           {"deny", "sameorigin"},
	"X-XSS-Protection":          nil,
	"Content-Security-Policy":   nil,
}

func (w *webConfig) readHTTP(v document.Value) {
	v.Object(
		document.Field{Key: "http2", Read: document.Into(&w.http2, document.Value.Bool)},
		document.Field{Key: "headers", Read: func(v document.Value) { v.Named(w.readHeader) }},
	)
}

func (w *webConfig) readHeader(name string, at document.Place, v document.Value) {
	text, ok := v.Text()
	values, known := headersAllowed[name]
	switch {
	case !ok:
	case !known:
		v.Report().Error(at, "this header cannot be configured",
			"Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection, Content-Security-Policy")
	case strings.ContainsAny(text, "\r\n"):
		v.Error("a header has one line", "the same without line breaks")
	case values != nil && text != values[0] && text != values[len(values)-1]:
		v.Error("the header does not have this value", strings.Join(values, " or "))
	case name == "Content-Security-Policy":
		v.Warn("is not used", "the daemon's own policy allows less")
	default:
		w.headers[name] = text
	}
}

// readTLS reads the certificate's files and how it is to be used; then the toolkit tries it all out.
func (w *webConfig) readTLS(v document.Value, dir string) {
	t := &w.tls
	noted := len(v.Report().Problems)
	v.Object(
		document.Field{Key: "cert_file", Read: fileIn(dir, &t.TLSCertPath)},
		document.Field{Key: "key_file", Read: fileIn(dir, &t.TLSKeyPath)},
		document.Field{Key: "client_ca_file", Read: fileIn(dir, &t.ClientCAs)},
		document.Field{Key: "cert", Read: document.Into(&t.TLSCert, document.Value.Optional)},
		document.Field{Key: "key", Read: func(v document.Value) {
			text, _ := v.Optional()
			t.TLSKey = config.Secret(text)
		}},
		document.Field{Key: "client_ca", Read: document.Into(&t.ClientCAsText, document.Value.Optional)},
		document.Field{Key: "client_auth_type", Read: document.Into(&t.ClientAuth, func(v document.Value) (string, bool) {
			return v.OneOf("NoClientCert", "RequestClientCert", "RequireClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
		})},
		document.Field{Key: "client_allowed_sans", Read: document.Into(&t.ClientAllowedSans, document.Value.SomeTexts)},
		document.Field{Key: "cipher_suites", Read: decode(&t.CipherSuites, "names of Go's crypto/tls, such as TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")},
		document.Field{Key: "curve_preferences", Read: decode(&t.CurvePreferences, "X25519, CurveP256, CurveP384, CurveP521")},
		document.Field{Key: "min_version", Read: decode(&t.MinVersion, "TLS10, TLS11, TLS12, TLS13")},
		document.Field{Key: "max_version", Read: decode(&t.MaxVersion, "TLS10, TLS11, TLS12, TLS13")},
		document.Field{Key: "prefer_server_cipher_suites", Read: func(v document.Value) { v.Bool() }},
	)
	if len(v.Report().Problems) == noted && t.IsEnabled() {
		w.tryCertificate(v)
	}
}

// tryCertificate tells what is wrong with the certificate. One that is over is no reason not to start: what calls people
// goes on without the API.
func (w *webConfig) tryCertificate(v document.Value) {
	c, err := (&Access{web: *w}).Certificate()
	if err != nil {
		v.Error(errors.Unwrap(err).Error(), "a certificate and its key in PEM, as exporter-toolkit documents tls_server_config")
		return
	}
	if leaf := c.Certificates[0].Leaf; leaf != nil && time.Now().After(leaf.NotAfter) {
		v.Warn("the certificate expired on "+leaf.NotAfter.UTC().Format(time.DateOnly), "a renewed one; it is read anew for each connection")
	}
}

// decode reads a value with the toolkit's own types.
func decode[T any](into *T, allowed string) func(document.Value) {
	return func(v document.Value) {
		if err := yaml.Unmarshal([]byte(v.YAML()), into); err != nil {
			v.Error(strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "yaml: "), allowed)
		}
	}
}

// fileIn reads the name of a file, relative to the folder of the web configuration.
func fileIn(dir string, into *string) func(document.Value) {
	return func(v document.Value) {
		name, ok := v.Text()
		if !ok {
			return
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		*into = name
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			v.Report().MissingSecret(v.Place(), "there is no file "+name, "run needs it, paths are relative to this file")
		}
	}
}
