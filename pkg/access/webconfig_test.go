package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/document"
)

// certify writes cert.pem and key.pem for 127.0.0.1 into a folder.
func certify(t *testing.T, dir string, serial int64, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "irdaemon"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsWrongWithAWebConfiguration(t *testing.T) {
	const pair = "tls_server_config: {cert_file: cert.pem, key_file: key.pem"
	hash := bcrypted(t)
	for _, test := range []struct{ name, text, want string }{
		{"nothing", pair + ", min_version: TLS13, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [X25519], prefer_server_cipher_suites: true}\n" +
			"http_server_config: {http2: false, headers: {Strict-Transport-Security: max-age=31536000, X-Frame-Options: deny}}\nbasic_auth_users: {root: " + hash + "}", ""},
		{"a key with a typo", "basic_auth_user: {}", "error F:1:1: basic_auth_user: unknown key; did you mean basic_auth_users? allowed are tls_server_config, http_server_config, basic_auth_users, rate_limit"},
		{"a password in place of a hash", "basic_auth_users: {root: hunter2}", "error F:1:26: basic_auth_users.root: that is no bcrypt hash; what htpasswd -nBC 10 '' prints after the colon"},
		{"a user with a colon", "basic_auth_users: {\"a:b\": " + hash + "}", "error F:1:20: basic_auth_users.a:b: that is not a user's name; at most 100 characters, no control characters, no : and no spaces around it"},
		{"a file that is not there", "tls_server_config: {cert_file: cert.pem, key_file: other.pem}", "warning F:1:52: tls_server_config.key_file: there is no file D/other.pem; run needs it, paths are relative to this file"},
		{"a certificate without its key", "tls_server_config: {cert_file: cert.pem}", "error F:1:20: tls_server_config: missing one of key or key_file; a certificate and its key in PEM, as exporter-toolkit documents tls_server_config"},
		{"a key that is none", "tls_server_config: {cert_file: cert.pem, key: hunter2}", "error F:1:20: tls_server_config: failed to load X509KeyPair: tls: failed to find any PEM data in key input; a certificate and its key in PEM, as exporter-toolkit documents tls_server_config"},
		{"authorities without a policy", pair + ", client_ca_file: cert.pem}", "error F:1:20: tls_server_config: client CA's have been configured without a Client Auth Policy; a certificate and its key in PEM, as exporter-toolkit documents tls_server_config"},
		{"a policy with a typo", pair + ", client_auth_type: RequireClientCerts}", "error F:1:79: tls_server_config.client_auth_type: unknown word `RequireClientCerts`; did you mean RequireClientCert? allowed are NoClientCert, RequestClientCert, RequireClientCert, RequireAnyClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert"},
		{"a version that there is not", pair + ", min_version: SSL3}", "error F:1:74: tls_server_config.min_version: unknown TLS version: SSL3; TLS10, TLS11, TLS12, TLS13"},
		{"a cipher that there is not", pair + ", cipher_suites: [RC4]}", "error F:1:76: tls_server_config.cipher_suites: unknown cipher: RC4; names of Go's crypto/tls, such as TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		{"a header that nobody may set", "http_server_config: {headers: {Server: x}}", "error F:1:32: http_server_config.headers.Server: this header cannot be configured; Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection, Content-Security-Policy"},
		{"a header with another value", "http_server_config: {headers: {X-Frame-Options: maybe}}", "error F:1:49: http_server_config.headers.X-Frame-Options: the header does not have this value; deny or sameorigin"},
		{"what is not used", "http_server_config: {headers: {Content-Security-Policy: x}}\nrate_limit: {burst: 1}", "warning F:1:57: http_server_config.headers.Content-Security-Policy: is not used; the daemon's own policy allows less\n" +
			"warning F:2:13: rate_limit: is not used; irdaemon has limits of its own, for each caller"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := file(t, "web.yaml", test.text)
			certify(t, filepath.Dir(path), 1, time.Now().Add(time.Hour))
			var report document.Report
			access.Check("", path, &report)
			report.Sort()
			var lines []string
			for _, p := range report.Problems {
				lines = append(lines, p.Level.String()+" "+p.String())
			}
			got := strings.NewReplacer(path, "F", filepath.Dir(path), "D").Replace(strings.Join(lines, "\n"))
			if got != test.want {
				t.Errorf("says\n%s\nwant\n%s", got, test.want)
			}
			if strings.Contains(got, "hunter2") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestAnExpiredCertificateIsWarnedOfAndUsed(t *testing.T) {
	path := file(t, "web.yaml", "tls_server_config: {cert_file: cert.pem, key_file: key.pem}")
	certify(t, filepath.Dir(path), 1, time.Now().Add(-24*time.Hour))
	var report document.Report
	access.Check("", path, &report)
	if len(report.Problems) != 1 || report.Problems[0].Level != document.Warning || !strings.Contains(report.Problems[0].What, "the certificate expired on") {
		t.Errorf("%v", report.Problems)
	}
	if a, err := access.Load(access.Settings{WebConfigFile: path}); err != nil || !a.TLS() || a.Configured() {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestARenewedCertificateIsInForceAtOnce(t *testing.T) {
	path := file(t, "web.yaml", "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nhttp_server_config: {headers: {Strict-Transport-Security: max-age=1}}")
	certify(t, filepath.Dir(path), 1, time.Now().Add(time.Hour))
	a, err := access.Load(access.Settings{WebConfigFile: path})
	if err != nil {
		t.Fatal(err)
	}
	for _, serial := range []int64{1, 2} {
		certify(t, filepath.Dir(path), serial, time.Now().Add(time.Hour))
		c, err := a.Certificate()
		if err != nil || c.Certificates[0].Leaf.SerialNumber.Int64() != serial || strings.Join(c.NextProtos, " ") != "h2 http/1.1" {
			t.Errorf("%d: %+v, %v", serial, c, err)
		}
	}
	if a.Headers()["Strict-Transport-Security"] != "max-age=1" {
		t.Errorf("headers %v", a.Headers())
	}
}
