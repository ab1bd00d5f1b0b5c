package config

import (
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/document"
)

func (s *settingsReader) readWeb(v document.Value) {
	v.Object(
		document.Field{Key: "listen", Read: document.Into(&s.Web.Listen, listenAddress)},
		document.Field{Key: "external_url", Read: document.Into(&s.Web.ExternalURL, document.Value.Address)},
		document.Field{Key: "config_file", Read: s.perhapsFile(&s.Web.ConfigFile)},
		document.Field{Key: "tokens_file", Read: s.perhapsFile(&s.Web.TokensFile)},
		document.Field{Key: "user_header", Read: document.Into(&s.Web.UserHeader, headerName)},
		document.Field{Key: "trusted_proxies", Read: document.Into(&s.Web.TrustedProxies, networks)},
	)
	s.Web.ExternalURL = strings.TrimRight(s.Web.ExternalURL, "/")
	if s.Web.UserHeader != "" && len(s.Web.TrustedProxies) == 0 {
		v.Report().Error(v.Key("user_header"), "anybody could set the header", "trusted_proxies: [10.0.0.0/8], the proxies whose word is taken")
	}
}

// perhapsFile reads the path of a file that there need not be: an empty one is none.
func (s *settingsReader) perhapsFile(into *string) func(document.Value) {
	return func(v document.Value) {
		if text, ok := v.Optional(); ok && text != "" {
			s.secret(into)(v)
		}
	}
}

// finishWeb looks into the files of the API, and says where strangers would get at it.
func (s *settingsReader) finishWeb(v document.Value) {
	access.Check(there(s.Web.TokensFile), there(s.Web.ConfigFile), v.Report())
	s.Web.Users, s.Web.TLS = webFile(there(s.Web.ConfigFile))
	if s.Web.ExternalURL == "" {
		scheme := "http://"
		if s.Web.TLS {
			scheme = "https://"
		}
		s.Web.ExternalURL = scheme + reachable(s.Web.Listen, s.Instance)
	}
	if !isLoopback(s.Web.Listen) && !s.Web.Authenticated() {
		v.Get("listen").Warn("other machines can reach it, and nobody who calls the API is authenticated: run refuses it without --insecure-listen",
			"tokens_file, config_file with basic_auth_users, user_header behind a proxy, or a loopback address such as 127.0.0.1:9847")
	}
}

// there gives the path of a file that can be read, or nothing: that it is missing is noted where it is named.
func there(path string) string {
	if info, err := os.Stat(path); err != nil || info.IsDir() || info.Size() == 0 {
		return ""
	}
	return path
}

// webFile tells of exporter-toolkit's web config file whether it names users, and whether it has a certificate.
func webFile(path string) (users, tls bool) {
	if path == "" {
		return false, false
	}
	content, err := readFile(path)
	if err != nil {
		return false, false
	}
	v, _ := document.Parse(path, content, &document.Report{}) // what is wrong with it is told by access.Check
	server := v.Get("tls_server_config")
	return len(v.Get("basic_auth_users").Keys()) > 0, server.Has("cert_file") || server.Has("cert")
}

// hostPort reads the address of a service: a host and a port.
func hostPort(example string) func(document.Value) (string, bool) {
	return func(v document.Value) (string, bool) {
		text, ok := v.Text()
		if !ok {
			return "", false
		}
		host, port, err := net.SplitHostPort(text)
		if number, e := strconv.Atoi(port); err != nil || e != nil || host == "" || number < 1 || number > 65535 {
			v.Error("`"+text+"` is not an address", "host:port, such as "+example)
			return "", false
		}
		return text, true
	}
}

// listenAddress reads a host, which may be left out, and a port, which may be 0.
func listenAddress(v document.Value) (string, bool) {
	text, ok := v.Text()
	if !ok {
		return "", false
	}
	_, port, err := net.SplitHostPort(text)
	if number, e := strconv.Atoi(port); err != nil || e != nil || number < 0 || number > 65535 {
		v.Error("`"+text+"` is not an address", "host:port, such as 127.0.0.1:9847")
		return "", false
	}
	return text, true
}

// reachable is the listener's address as others write it.
func reachable(listen, host string) string {
	h, port, err := net.SplitHostPort(listen)
	if err != nil || h != "" && h != "0.0.0.0" && h != "::" {
		return listen
	}
	return net.JoinHostPort(host, port)
}

// isLoopback tells whether only this machine reaches an address.
func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err != nil || loopbackHost(host) // an address that can't be taken apart is an error already
}

func loopbackHost(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

var headerPattern = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// headerName reads the name of an HTTP header that can name a person, or nothing.
func headerName(v document.Value) (string, bool) {
	text, ok := v.Optional()
	if ok && text != "" && (!headerPattern.MatchString(text) || strings.EqualFold(text, "Authorization")) {
		v.Error("`"+text+"` is no header that can name a person", "such as X-Forwarded-User")
		return "", false
	}
	return text, ok
}

// networks reads address ranges.
func networks(v document.Value) ([]string, bool) {
	all, ok := v.Texts()
	for _, text := range all {
		network, err := netip.ParsePrefix(text)
		switch {
		case !ok:
		case err != nil:
			v.Error("`"+text+"` is not a network", "networks such as 10.0.0.0/8")
			return nil, false
		case network.Bits() == 0:
			v.Warn("`"+text+"` is every address there is: anybody could set the header", "the proxies alone, such as 10.0.0.5/32")
		}
	}
	return all, ok
}
