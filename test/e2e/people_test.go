//go:build e2e

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// person works with the command line, in the name of a token.
type person struct {
	daemon    *daemon
	name      string
	tokenFile string
	token     string
}

// The people of these tests, and what they may do.
var scopes = map[string]string{"alice": "respond", "bob": "respond", "carol": "read", "root": "admin"}

// askForTokens gives the people of these tests their tokens, as an administrator would.
func (r *railway) askForTokens() map[string]*person {
	r.t.Helper()
	program, err := builtDaemon()
	if err != nil {
		r.t.Fatal(err)
	}
	people, entries := map[string]*person{}, "tokens:\n"
	for name, scope := range scopes {
		p := &person{name: name, tokenFile: filepath.Join(r.t.TempDir(), name)}
		var entry string
		p.token, entry = newToken(r.t, program, name, scope)
		entries += entry
		writeFile(r.t, p.tokenFile, p.token+"\n")
		people[name] = p
	}
	r.other.web += "tokens_file: secrets/tokens.yaml, "
	r.other.add("secrets/tokens.yaml", entries)
	return people
}

// meets has these people work with the daemon, and the test itself come as root.
func (d *daemon) meets(people map[string]*person) {
	for _, p := range people {
		p.daemon = d
	}
	d.comesAs(people["root"])
}

// newToken has the program make a token and its entry for the tokens file.
func newToken(t testing.TB, program, name, scope string) (token, entry string) {
	t.Helper()
	output, err := exec.Command(program, "token", name, "--scope", scope, "-o", "json").Output()
	if err != nil {
		t.Fatalf("irdaemon token: %v", err)
	}
	var made struct{ Token, Entry string }
	if err := json.Unmarshal(output, &made); err != nil {
		t.Fatalf("irdaemon token: %v: %s", err, output)
	}
	return made.Token, made.Entry
}

// comesAs has the test's own requests carry somebody's token.
func (d *daemon) comesAs(p *person) {
	d.client = &http.Client{Timeout: patience, Transport: bearer{p.token, d.client.Transport}}
}

// bearer adds a token to each request.
type bearer struct {
	token string
	next  http.RoundTripper // nil: the usual one
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	next := b.next
	if next == nil {
		next = http.DefaultTransport
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return next.RoundTrip(r)
}

// run gives the command's output, and fails the test where it does not exit with 0.
func (p *person) run(arguments ...string) string {
	p.daemon.t.Helper()
	output, err := p.command(arguments...).CombinedOutput()
	if err != nil {
		p.daemon.t.Fatalf("irdaemon %s, by %s: %v\n%s", strings.Join(arguments, " "), p.name, err, output)
	}
	return string(output)
}

// isRefused gives what the command says when it exits with 1, and fails the test where it does anything else.
func (p *person) isRefused(arguments ...string) string {
	p.daemon.t.Helper()
	output, err := p.command(arguments...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		p.daemon.t.Fatalf("irdaemon %s, by %s: %v, want exit code 1\n%s", strings.Join(arguments, " "), p.name, err, output)
	}
	return string(output)
}

func (p *person) command(arguments ...string) *exec.Cmd {
	command := exec.Command(p.daemon.program, arguments...)
	command.Env = append(os.Environ(), "IRDAEMON_URL="+p.daemon.url, "IRDAEMON_TOKEN_FILE="+p.tokenFile)
	if strings.HasPrefix(p.daemon.url, "https") {
		command.Env = append(command.Env, "IRDAEMON_CA_FILE="+filepath.Join(p.daemon.folder, "secrets", "cert.pem"))
	}
	return command
}

// encrypt has the daemon speak TLS, with a certificate that it alone vouches for, and gives what a client needs to trust
// it.
func (r *railway) encrypt() *x509.CertPool {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	inPEM := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	r.other.scheme = "https"
	r.other.web += "config_file: secrets/web.yaml, "
	r.other.add("secrets/web.yaml", "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n")
	r.other.add("secrets/cert.pem", inPEM("CERTIFICATE", certificate))
	r.other.add("secrets/key.pem", inPEM("PRIVATE KEY", private))
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(r.other.files["secrets/cert.pem"]))
	return trusted
}

// overTLS has the test's own requests go to the daemon's certificate.
func (d *daemon) overTLS(trusted *x509.CertPool) {
	d.url = "https://" + d.listen
	d.client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}}
}
