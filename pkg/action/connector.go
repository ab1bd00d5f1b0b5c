package action

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Connector is what actions may reach: one service, with the credential for it and the calls that are allowed.
//
// A credential is read from its file at each request, so that it may be changed under a running daemon. At most one of
// bearer token, password and an Authorization header is used.
type Connector struct {
	Name            string
	URL             string            // https; http to loopback alone. Paths of actions are appended to its path
	BearerTokenFile string            // Authorization: Bearer …
	Username        string            // Authorization: Basic …, with the password of PasswordFile
	PasswordFile    string            //
	HeaderFiles     map[string]string // headers with the files that hold their values, such as api-key
	CAFile          string            // whose certificates are trusted; empty: the system's
	// Allow are the calls that are allowed, such as "PUT /labels/*": * is one segment, ** at the end is one or more.
	// Where a call has a query, the pattern has the same parameters: "GET /prompts/*?label=*".
	Allow []string
}

// Connectors are those of the settings, by name.
type Connectors map[string]Connector

// NewConnectors checks the connectors and makes a set of them.
func NewConnectors(all ...Connector) (Connectors, error) {
	set, problems := Connectors{}, []error(nil)
	for _, c := range all {
		if err := c.Check(); err != nil {
			problems = append(problems, fmt.Errorf("connector %s: %w", c.Name, err))
		}
		set[c.Name] = c
	}
	return set, errors.Join(problems...)
}

// Check says what is wrong with the connector itself. Files are not opened.
func (c Connector) Check() error {
	if _, err := c.base(); err != nil {
		return err
	}
	authorizations := 0
	for name := range c.HeaderFiles {
		if !headerName(name) {
			return fmt.Errorf("header %q can't be set by a connector", name)
		}
		if http.CanonicalHeaderKey(name) == "Authorization" {
			authorizations++
		}
	}
	if c.BearerTokenFile != "" {
		authorizations++
	}
	if c.Username != "" || c.PasswordFile != "" {
		authorizations++
	}
	switch {
	case authorizations > 1:
		return errors.New("more than one of bearer token, password and Authorization header; one is used")
	case (c.Username == "") != (c.PasswordFile == ""):
		return errors.New("a user name and a file with its password go together")
	case len(c.Allow) == 0:
		return errors.New("it allows nothing; such as \"PUT /labels/*\"")
	}
	_, err := c.rules()
	return err
}

// reservedHeaders are the daemon's own, or change what a request means to a proxy.
var reservedHeaders = []string{
	"Accept", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Idempotency-Key",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "X-Http-Method-Override",
}

func headerName(name string) bool {
	for _, r := range name {
		plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_", r)
		if !plain {
			return false
		}
	}
	return name != "" && !slices.Contains(reservedHeaders, http.CanonicalHeaderKey(name))
}

// base is the connector's address. Errors don't repeat it: somebody may have written a password into it.
func (c Connector) base() (*url.URL, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("url is no address; such as https://prompts.internal")
	case u.User != nil:
		return nil, errors.New("url holds a user; credentials stand in files")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("url holds a query or a fragment; it is a host and, if need be, a path")
	case u.Scheme == "http" && !isLoopback(u.Hostname()), u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("url must be https; http reaches only this machine (127.0.0.1, localhost)")
	}
	if u.Path != "" && u.Path != "/" {
		if _, err := parseTarget(strings.TrimSuffix(u.EscapedPath(), "/")); err != nil {
			return nil, fmt.Errorf("url: %w", err)
		}
	}
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// isPlain tells whether requests go unencrypted, and therefore to loopback alone.
func (c Connector) isPlain() bool { return strings.HasPrefix(strings.ToLower(c.URL), "http:") }

// Allows tells why a method and path may not be called; nil: they may. The path is one of a runbook, with its
// placeholders, each of which stands for one whole value; or a path without any.
func (c Connector) Allows(method, path string) error {
	pieces, err := parseTemplate(path)
	if err != nil {
		return err
	}
	text, err := renderTarget(pieces, func(string) (string, error) { return placeholder, nil }, func(s string) string { return s })
	if err != nil {
		return err
	}
	return c.allows(method, text, path)
}

// allows is Allows for a target whose values are placeholders or encoded; shown is how it is named in the error.
func (c Connector) allows(method, text, shown string) error {
	target, err := parseTarget(text)
	if err != nil {
		return fmt.Errorf("path %s: %w", quoted(shown), err)
	}
	rules, err := c.rules()
	if err != nil {
		return fmt.Errorf("connector %s: %w", c.Name, err)
	}
	for _, rule := range rules {
		if rule.matches(method, target) {
			return nil
		}
	}
	return fmt.Errorf("connector %s doesn't allow %s %s; it allows %s", c.Name, method, shown, strings.Join(c.Allow, ", "))
}

func (c Connector) rules() ([]rule, error) {
	var all []rule
	for _, text := range c.Allow {
		r, err := parseRule(text)
		if err != nil {
			return nil, fmt.Errorf("allow: %q: %w", text, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// get gives a connector by name.
func (all Connectors) get(name string) (Connector, error) {
	c, known := all[name]
	if known {
		return c, nil
	}
	names := slices.Sorted(maps.Keys(all))
	if len(names) == 0 {
		return c, fmt.Errorf("unknown connector %q: the settings have none", name)
	}
	return c, fmt.Errorf("unknown connector %q; there are %s", name, strings.Join(names, ", "))
}

// admit is the last gate before anything is sent: the whole address is one that the connector allows.
func (all Connectors) admit(name, method, address string) (Connector, error) {
	c, err := all.get(name)
	if err != nil {
		return c, err
	}
	base, err := c.base()
	if err != nil {
		return c, fmt.Errorf("connector %s: %w", name, err)
	}
	prefix := strings.TrimSuffix(base.String(), "/")
	rest, ours := strings.CutPrefix(address, prefix)
	if !ours {
		return c, fmt.Errorf("connector %s doesn't reach %s", name, quoted(address))
	}
	return c, c.allows(method, rest, rest)
}

// Check says whether the settings let an action be run: its connector, its calls and its templates. It is what can be
// known when a runbook is loaded.
func (all Connectors) Check(call Call) error {
	a := call.Action
	c, err := all.get(a.Connector)
	if err != nil {
		return err
	}
	problems := []error{c.Allows(a.Method, a.Path), checkTree(a.Body, "body")}
	_, err = contentType(call.ContentType)
	problems = append(problems, err)
	if a.Confirm != nil {
		problems = append(problems, c.Allows(a.Confirm.Method, a.Confirm.Path), checkTree(a.Confirm.Expect, "expect"))
	}
	return errors.Join(problems...)
}
