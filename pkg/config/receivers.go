package config

import (
	"net/url"
	"regexp"
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

func (s *settingsReader) readPagerDuty(r *Receiver, v document.Value) {
	p := &PagerDuty{}
	v.Object(
		document.Field{Key: "routing_key_file", Required: true, Missing: "routing_key_file: the file with the integration's key", Read: s.secret(&p.RoutingKeyFile)},
		document.Field{Key: "url", Read: document.Into(&p.URL, secureAddress("https://events.eu.pagerduty.com"))},
		document.Field{Key: "webhook_secret_file", Read: s.secret(&p.WebhookSecretFile)},
	)
	r.PagerDuty = p
}

// secureAddress reads an address to which secrets are sent: https, but for this machine itself.
func secureAddress(example string) func(document.Value) (string, bool) {
	return func(v document.Value) (string, bool) {
		text, ok := v.Address()
		if !ok {
			return "", false
		}
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" && !loopbackHost(u.Hostname()) {
			v.Error("a secret would cross the network in the clear", "https, such as "+example)
			return "", false
		}
		return strings.TrimRight(text, "/"), true
	}
}

// defaultSlackAPI is where the calls of Slack's bots go.
const defaultSlackAPI = "https://slack.com/api"

func (s *settingsReader) readSlack(r *Receiver, v document.Value) {
	l := &Slack{APIURL: defaultSlackAPI}
	v.Object(
		document.Field{Key: "webhook_url_file", Read: s.secret(&l.WebhookURLFile)},
		document.Field{Key: "token_file", Read: s.secret(&l.TokenFile)},
		document.Field{Key: "channel", Read: document.Into(&l.Channel, channel)},
		document.Field{Key: "signing_secret_file", Read: s.secret(&l.SigningSecretFile)},
		document.Field{Key: "api_url", Read: document.Into(&l.APIURL, secureAddress(defaultSlackAPI))},
	)
	oneOf(v, "webhook_url_file", "token_file", "webhook_url_file, or token_file and channel")
	switch {
	case v.Has("token_file") && !v.Has("channel"):
		v.Error("token_file without channel", "channel: C0123456789, or \"#incidents\"")
	case v.Has("channel") && !v.Has("token_file"):
		v.Report().Error(v.Key("channel"), "channel without token_file", "token_file: the bot's; a webhook has its channel in its address")
	}
	for _, key := range []string{"signing_secret_file", "api_url"} {
		if v.Has(key) && v.Has("webhook_url_file") && !v.Has("token_file") {
			v.Report().Warn(v.Key(key), "does nothing with webhook_url_file: buttons and the API need the bot", "token_file and channel, or leave it out")
		}
	}
	r.Slack = l
}

var (
	channelID   = regexp.MustCompile(`^[CG][A-Z0-9]{7,}$`)
	channelName = regexp.MustCompile(`^#[\p{Ll}\p{Lm}\p{Lo}\p{M}\p{N}_-]{1,80}$`)
)

// channel reads the id or the name of a Slack channel.
func channel(v document.Value) (string, bool) {
	const allowed = "an id such as C0123456789, or a name such as \"#incidents\", in quotes: # begins a comment"
	if v.IsNothing() {
		v.Expects(allowed)
		return "", false
	}
	text, ok := v.Text()
	if ok && !channelID.MatchString(text) && !channelName.MatchString(text) {
		v.Error("`"+text+"` is no channel", allowed)
		return "", false
	}
	return text, ok
}
