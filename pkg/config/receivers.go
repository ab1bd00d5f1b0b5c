package config

import (
	"slices"
	"strings"
	"time"

	promconfig "github.com/prometheus/common/config"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// defaultTimeout is how long a webhook may take to answer.
const defaultTimeout = 10 * time.Second

// receiverKinds are the kinds of receivers, each with its reader.
var receiverKinds = []struct {
	name string
	read func(s *settingsReader, r *Receiver, v document.Value)
}{
	{"webhook", (*settingsReader).readWebhook},
	{"alertmanager", (*settingsReader).readAlertmanager},
	{"pagerduty", (*settingsReader).readPagerDuty},
	{"slack", (*settingsReader).readSlack},
	{"email", (*settingsReader).readEmail},
}

func (s *settingsReader) readReceivers(v document.Value) {
	v.Named(func(name string, at document.Place, v document.Value) {
		triggers.CheckName(v.Report(), at, name)
		r := Receiver{Place: at}
		var fields []document.Field
		var kinds []string
		for _, kind := range receiverKinds {
			kinds = append(kinds, kind.name)
			fields = append(fields, document.Field{Key: kind.name, Read: func(v document.Value) { kind.read(s, &r, v) }})
		}
		v.Object(fields...)
		if n := len(v.Keys()); v.IsMap() && n != 1 {
			v.Error("a receiver is of exactly one kind", strings.Join(kinds, ", "))
		}
		s.Receivers[name] = r
	})
}

// oneOf notes where not exactly one of two keys is there.
func oneOf(v document.Value, first, second, example string) {
	switch {
	case !v.IsMap():
	case v.Has(first) && v.Has(second):
		v.Report().Error(v.Key(second), first+" and "+second+" beside each other", "one of them")
	case !v.Has(first) && !v.Has(second):
		v.Error("neither "+first+" nor "+second, example)
	}
}

func (s *settingsReader) readWebhook(r *Receiver, v document.Value) {
	w := &Webhook{Timeout: defaultTimeout}
	v.Object(
		document.Field{Key: "url", Read: document.Into(&w.URL, document.Value.Address)},
		document.Field{Key: "url_file", Read: s.secret(&w.URLFile)},
		document.Field{Key: "signing_secret_file", Read: s.secret(&w.SigningSecretFile)},
		document.Field{Key: "timeout", Read: document.Into(&w.Timeout, document.Value.Positive)},
	)
	oneOf(v, "url", "url_file", "url: https://…, or url_file where the address is itself a secret")
	r.Webhook = w
}

func (s *settingsReader) readAlertmanager(r *Receiver, v document.Value) {
	a := &Alertmanager{HTTPClient: promconfig.DefaultHTTPClientConfig}
	address := func(v document.Value) {
		if url, ok := v.Address(); ok {
			a.URLs = append(a.URLs, strings.TrimRight(url, "/"))
		}
	}
	v.Object(
		document.Field{Key: "url", Read: address},
		document.Field{Key: "urls", Read: func(v document.Value) { v.Items(address) }},
		document.Field{Key: "http_client", Read: s.httpClient(&a.HTTPClient)},
	)
	oneOf(v, "url", "urls", "url: http://alertmanager:9093, or urls: of each replica of a cluster")
	r.Alertmanager = a
}

// other keeps the kind of a receiver that only a later release delivers to.
func other(r *Receiver, v document.Value, kind string) {
	r.Other = kind
	later(v, "a later release delivers to it")
}

func (s *settingsReader) readPagerDuty(r *Receiver, v document.Value) {
	var file string
	v.Object(
		document.Field{Key: "routing_key_file", Required: true, Missing: "routing_key_file: the file with the integration's key", Read: s.secret(&file)},
		document.Field{Key: "url", Read: address},
		document.Field{Key: "webhook_secret_file", Read: s.secret(&file)},
	)
	other(r, v, "pagerduty")
}

func (s *settingsReader) readSlack(r *Receiver, v document.Value) {
	var file string
	v.Object(
		document.Field{Key: "webhook_url_file", Read: s.secret(&file)},
		document.Field{Key: "token_file", Read: s.secret(&file)},
		document.Field{Key: "channel", Read: text},
		document.Field{Key: "signing_secret_file", Read: s.secret(&file)},
	)
	oneOf(v, "webhook_url_file", "token_file", "webhook_url_file, or token_file and channel")
	if v.Has("token_file") != v.Has("channel") {
		v.Error("token_file and channel go together", "both, or webhook_url_file alone")
	}
	other(r, v, "slack")
}

func (s *settingsReader) readEmail(r *Receiver, v document.Value) {
	var file string
	v.Object(
		document.Field{Key: "to", Required: true, Missing: "to: [oncall@example.org]", Read: func(v document.Value) { v.SomeTexts() }},
		document.Field{Key: "from", Read: text},
		document.Field{Key: "smarthost", Required: true, Missing: "smarthost: mail.example.org:587", Read: func(v document.Value) { listenAddress(v) }},
		document.Field{Key: "hello", Read: text},
		document.Field{Key: "username", Read: text},
		document.Field{Key: "password_file", Read: s.secret(&file)},
		document.Field{Key: "require_tls", Read: func(v document.Value) { v.Bool() }},
	)
	other(r, v, "email")
}

func text(v document.Value)    { v.Text() }
func address(v document.Value) { v.Address() }

func (s *settingsReader) readRoles(v document.Value) {
	v.Named(func(name string, at document.Place, v document.Value) {
		triggers.CheckName(v.Report(), at, name)
		r := Role{}
		v.Object(
			document.Field{Key: "page", Read: s.receiverNames(&r.Page)},
			document.Field{Key: "escalate_to", Read: s.names(&r.EscalateTo, "role", s.roleNames)},
		)
		if v.IsMap() && len(r.Page) == 0 {
			v.Warn("pages nobody: its step of the ladder is passed over", "page: [a receiver]")
		}
		s.Roles[name] = r
	})
}

func (s *settingsReader) receiverNames(into *[]string) func(document.Value) {
	return s.names(into, "receiver", s.receiverList)
}

func (s *settingsReader) receiverList() []string { return sorted(s.Receivers) }
func (s *settingsReader) roleNames() []string    { return sorted(s.Roles) }

// names reads a list of names that are defined elsewhere in the settings, perhaps further down.
func (s *settingsReader) names(into *[]string, what string, defined func() []string) func(document.Value) {
	return func(v document.Value) {
		*into, _ = v.Texts()
		if v.IsList() && len(*into) > 0 {
			s.checks = append(s.checks, func() {
				v.Items(func(item document.Value) { checkDefined(item, what, defined()) })
			})
		}
	}
}

func checkDefined(v document.Value, what string, defined []string) {
	name, ok := v.Text()
	if !ok {
		return
	}
	if slices.Contains(defined, name) {
		return
	}
	v.Error("unknown "+what+" `"+name+"`", triggers.Suggest(name, defined, what+"s: defines none"))
}

func (s *settingsReader) role(into *string) func(document.Value) {
	return func(v document.Value) {
		document.Into(into, document.Value.Text)(v)
		s.checks = append(s.checks, func() { checkDefined(v, "role", s.roleNames()) })
	}
}

// warnLadders warns of ladders that people would read as longer than they are: a role that is escalated to is called
// itself, and its own escalate_to is not followed.
func (s *settingsReader) warnLadders(v document.Value) {
	for _, name := range s.roleNames() {
		ladder := append([]string{name}, s.Roles[name].EscalateTo...)
		steps := len(ladder)
		for _, next := range s.Roles[name].EscalateTo {
			for _, further := range s.Roles[next].EscalateTo {
				if !slices.Contains(ladder, further) {
					ladder = append(ladder, further)
				}
			}
		}
		if len(ladder) > steps {
			v.Get("roles", name, "escalate_to").Warn("the escalate_to of a role in it is not followed",
				"the whole ladder stands here, in order: "+strings.Join(ladder[1:], ", "))
		}
	}
}
