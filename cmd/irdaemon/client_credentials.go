package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"

	"github.com/irdaemon/irdaemon/pkg/web/client"
)

// Variables that stand for flags which are not given.
const (
	tokenVariable        = "IRDAEMON_TOKEN"
	tokenFileVariable    = "IRDAEMON_TOKEN_FILE" //nolint:gosec // a name, no token
	userVariable         = "IRDAEMON_USER"
	passwordFileVariable = "IRDAEMON_PASSWORD_FILE"
	caVariable           = "IRDAEMON_CA_FILE"
)

// credentials are the flags that say who asks, and whom to trust. No secret is a flag: everybody on the machine can read
// the list of processes.
type credentials struct {
	tokenFile, user, passwordFile, caFile string
}

func (c *credentials) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&c.tokenFile, "token-file", "", "an API token; default: $"+tokenFileVariable+",\nor the token in $"+tokenVariable)
	flags.StringVar(&c.user, "user", "", "a user of the daemon's web configuration; default:\n$"+userVariable)
	flags.StringVar(&c.passwordFile, "password-file", "", "the user's password; default: $"+passwordFileVariable)
	flags.StringVar(&c.caFile, "ca-file", "", "certificates to trust, in PEM; default:\n$"+caVariable+", or those of the system")
	placeholders(flags, map[string]string{"token-file": "FILE", "user": "NAME", "password-file": "FILE", "ca-file": "FILE"})
}

// address gives the daemon's URL. One with a user or a password is refused.
func (s *clientSettings) address() (string, error) {
	address, from := s.url, "--url"
	if address == "" {
		address, from = os.Getenv(urlVariable), urlVariable
	}
	if address == "" {
		address = defaultURL
	}
	if parsed, err := url.Parse(address); err == nil && parsed.User != nil {
		return "", wrongUsage("%s holds a user: leave out what stands before the @; give --user NAME --password-file FILE", from)
	}
	return address, nil
}

// setting is a flag or a variable, and what it holds.
type setting struct{ name, value string }

func variable(name string) setting { return setting{name, os.Getenv(name)} }

func (s setting) given() bool { return s.value != "" }

// sources are where credentials come from: the flags, or the variables where none of the flags is given.
type sources struct{ token, tokenFile, user, passwordFile setting }

func (s sources) given() bool {
	return s.token.given() || s.tokenFile.given() || s.user.given() || s.passwordFile.given()
}

func (c *credentials) sources() sources {
	flags := sources{
		tokenFile: setting{"--token-file", c.tokenFile}, user: setting{"--user", c.user}, passwordFile: setting{"--password-file", c.passwordFile},
	}
	variables := sources{
		token: variable(tokenVariable), tokenFile: variable(tokenFileVariable),
		user: variable(userVariable), passwordFile: variable(passwordFileVariable),
	}
	switch {
	case !flags.given():
		return variables
	case flags.user.given() && !flags.passwordFile.given() && variables.passwordFile.given():
		flags.passwordFile = variables.passwordFile
	}
	return flags
}

// given tells whether anything says who asks.
func (c *credentials) given() bool { return c.sources().given() }

// proof is how the client proves who asks. The zero value proves nothing.
type proof struct {
	said           string // where it comes from, for people
	token          string
	user, password string
}

// proof reads the credentials. Two ways at once are refused, for it cannot be told which is meant.
func (c *credentials) proof() (proof, error) {
	s := c.sources()
	if first, second, twice := s.twice(); twice {
		return proof{}, wrongUsage("%s and %s both say who asks; one of them", first.name, second.name)
	}
	var p proof
	var err error
	switch {
	case s.token.given():
		p.said, p.token = s.token.name, strings.TrimSpace(s.token.value)
		err = checkSecret(s.token.name, p.token)
	case s.tokenFile.given():
		p.said = s.tokenFile.name
		p.token, err = secret(s.tokenFile)
	case s.user.given() && s.passwordFile.given():
		p.said, p.user = s.user.name+" and "+s.passwordFile.name, s.user.value
		p.password, err = secret(s.passwordFile)
	case s.user.given():
		err = wrongUsage("%s without %s: the password is read from a file", s.user.name, s.passwordFile.name)
	case s.passwordFile.given():
		err = wrongUsage("%s without %s: whose password is it?", s.passwordFile.name, s.user.name)
	}
	return p, err
}

// twice finds two sources that exclude each other.
func (s sources) twice() (first, second setting, found bool) {
	for _, token := range []setting{s.token, s.tokenFile} {
		for _, other := range []setting{s.tokenFile, s.user, s.passwordFile} {
			if token.given() && other.given() && token != other {
				return token, other, true
			}
		}
	}
	return setting{}, setting{}, false
}

// longestSecret is the bytes of a token or a password.
const longestSecret = 1024

// secret reads a token or a password from a file; the end of its last line is not part of it.
func secret(from setting) (string, error) {
	file, err := os.Open(from.value)
	if err != nil {
		return "", wrongUsage("%s: %w", from.name, err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, longestSecret+2))
	if err != nil {
		return "", wrongUsage("%s: %w", from.name, err)
	}
	held := strings.TrimRight(string(text), "\r\n")
	return held, checkSecret(from.name+" "+from.value, held)
}

// checkSecret refuses what no token and no password is. The error does not show it.
func checkSecret(from, held string) error {
	switch {
	case held == "":
		return wrongUsage("%s is empty", from)
	case len(held) > longestSecret || strings.ContainsFunc(held, unicode.IsControl):
		return wrongUsage("%s holds more than a token or a password: one line of at most %d bytes", from, longestSecret)
	}
	return nil
}

// client gives a client of the daemon at address, which proves who asks.
func (c *credentials) client(address string, timeout time.Duration) (*client.Client, error) {
	proof, err := c.proof()
	if err != nil {
		return nil, err
	}
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	api, err := client.New(address, &http.Client{Timeout: timeout, Transport: transport, CheckRedirect: noRedirect})
	if err != nil {
		return nil, wrongUsage("--url or %s: %w", urlVariable, err)
	}
	api.Token, api.User, api.Password = proof.token, proof.user, proof.password
	return api, nil
}

// noRedirect tells where a redirect leads instead of following it: a write would be sent twice, and the credentials to
// whomever it names.
func noRedirect(to *http.Request, _ []*http.Request) error {
	return fmt.Errorf("it redirects to %s", to.URL.Redacted())
}

// transport trusts the certificates of --ca-file, else the system's.
func (c *credentials) transport() (http.RoundTripper, error) {
	file := setting{"--ca-file", c.caFile}
	if !file.given() {
		file = variable(caVariable)
	}
	if !file.given() {
		return http.DefaultTransport, nil
	}
	text, err := os.ReadFile(file.value)
	if err != nil {
		return nil, wrongUsage("%s: %w", file.name, err)
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(text) {
		return nil, wrongUsage("%s: %s holds no certificate in PEM", file.name, file.value)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	return transport, nil
}

// adviceUnauthorized says what was refused, and what would be taken: the daemon names its headers, a person needs flags.
func (c *credentials) adviceUnauthorized(problem *client.Problem) string {
	allowed := strings.Join(problem.Allowed, " ")
	var ways []string
	if strings.Contains(allowed, "Bearer") {
		ways = append(ways, "--token-file, "+tokenFileVariable+" or "+tokenVariable)
	}
	if strings.Contains(allowed, "Basic") {
		ways = append(ways, "--user and --password-file")
	}
	if ways == nil {
		return problem.Error()
	}
	said := problem.Detail
	if proof, err := c.proof(); err == nil && proof.said != "" {
		said += " (sent: " + proof.said + ")"
	}
	return said + "; give " + strings.Join(ways, ", or ")
}
