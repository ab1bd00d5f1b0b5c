package config

import (
	"net"
	"net/mail"
	"regexp"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/document"
)

func (s *settingsReader) readEmail(r *Receiver, v document.Value) {
	e := &Email{RequireTLS: true}
	v.Object(
		document.Field{Key: "to", Required: true, Missing: "to: [oncall@example.org]", Read: document.Into(&e.To, mailAddresses)},
		document.Field{Key: "from", Read: document.Into(&e.From, mailAddress)},
		document.Field{Key: "smarthost", Required: true, Missing: "smarthost: mail.example.org:587", Read: document.Into(&e.Smarthost, hostPort("mail.example.org:587"))},
		document.Field{Key: "hello", Read: document.Into(&e.Hello, hostName)},
		document.Field{Key: "username", Read: document.Into(&e.Username, document.Value.Text)},
		document.Field{Key: "password_file", Read: s.secret(&e.PasswordFile)},
		document.Field{Key: "require_tls", Read: document.Into(&e.RequireTLS, document.Value.Bool)},
		document.Field{Key: "ca_file", Read: s.secret(&e.CAFile)},
	)
	switch {
	case v.Has("username") && !v.Has("password_file"):
		v.Report().Error(v.Key("username"), "username without password_file", "both, or neither where the server asks for no login")
	case v.Has("password_file") && !v.Has("username"):
		v.Report().Error(v.Key("password_file"), "password_file without username", "both, or neither where the server asks for no login")
	}
	if !e.RequireTLS && !isLoopback(e.Smarthost) {
		what := "where the server offers no TLS, mails cross the network in the clear"
		if e.Username != "" {
			what = "a password is not sent without TLS: where the server offers none, no mail is"
		}
		v.Report().Warn(v.Key("require_tls"), what, "require_tls: true, the default")
	}
	if e.From == "" {
		e.From = sender(e)
	}
	r.Email = e
}

// sender is whom mails come from where the settings don't say: the login, where that is an address, else irdaemon at the
// domain of the first recipient, for which the smarthost most probably speaks.
func sender(e *Email) string {
	if _, err := mail.ParseAddress(e.Username); err == nil {
		return e.Username
	}
	if len(e.To) == 0 {
		return ""
	}
	to, err := mail.ParseAddress(e.To[0])
	if err != nil {
		return ""
	}
	return "irdaemon" + to.Address[strings.LastIndex(to.Address, "@"):]
}

// mailAddresses reads a list of at least one address.
func mailAddresses(v document.Value) ([]string, bool) {
	all, ok := v.SomeTexts()
	if !ok {
		return nil, false
	}
	v.Items(func(item document.Value) {
		_, fine := mailAddress(item)
		ok = ok && fine
	})
	return all, ok
}

func mailAddress(v document.Value) (string, bool) {
	text, ok := v.Text()
	if !ok {
		return "", false
	}
	if parsed, err := mail.ParseAddress(text); err != nil || strings.ContainsAny(parsed.Address, " \t\r\n<>") {
		v.Error("`"+text+"` is not a mail address", "such as oncall@example.org, or \"On-call <oncall@example.org>\"")
		return "", false
	}
	return text, true
}

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// hostName reads the name of a host, or its address in brackets, as SMTP's EHLO takes it.
func hostName(v document.Value) (string, bool) {
	text, ok := v.Text()
	if !ok {
		return "", false
	}
	literal := strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), "IPv6:")
	if !hostPattern.MatchString(text) && (text == literal || net.ParseIP(literal) == nil) {
		v.Error("`"+text+"` is no name of a host", "such as irdaemon.example.org")
		return "", false
	}
	return text, true
}
