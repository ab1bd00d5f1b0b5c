package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	promconfig "github.com/prometheus/common/config"

	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/alertmanager"
	"github.com/irdaemon/irdaemon/pkg/notify/email"
	"github.com/irdaemon/irdaemon/pkg/notify/pagerduty"
	"github.com/irdaemon/irdaemon/pkg/notify/slack"
	"github.com/irdaemon/irdaemon/pkg/notify/webhook"
)

// buildReceivers makes the receivers of the settings.
func buildReceivers(s config.Settings) (map[string]notify.Receiver, error) {
	receivers := map[string]notify.Receiver{}
	for name, r := range s.Receivers {
		receiver, err := buildReceiver(s, r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Place, err)
		}
		receivers[name] = receiver
	}
	return receivers, nil
}

func buildReceiver(s config.Settings, r config.Receiver) (notify.Receiver, error) {
	switch {
	case r.Webhook != nil:
		return webhook.New(webhook.Config{
			URL: r.Webhook.URL, URLFile: r.Webhook.URLFile,
			SigningSecretFile: r.Webhook.SigningSecretFile, Timeout: r.Webhook.Timeout,
		}), nil
	case r.Alertmanager != nil:
		return alertmanager.New(alertmanager.Config{
			URLs: r.Alertmanager.URLs, HTTPClient: r.Alertmanager.HTTPClient, Instance: s.Instance,
		})
	case r.PagerDuty != nil:
		return pagerduty.New(pagerduty.Config{
			RoutingKeyFile: r.PagerDuty.RoutingKeyFile, URL: r.PagerDuty.URL,
			WebhookSecretFile: r.PagerDuty.WebhookSecretFile, Instance: s.Instance,
		}), nil
	case r.Slack != nil:
		return slack.New(slack.Config{
			WebhookURLFile: r.Slack.WebhookURLFile, TokenFile: r.Slack.TokenFile, Channel: r.Slack.Channel,
			SigningSecretFile: r.Slack.SigningSecretFile, APIURL: r.Slack.APIURL,
		}), nil
	case r.Email != nil:
		return buildEmail(s, r.Email)
	}
	return nil, errors.New("a receiver of no kind")
}

func buildEmail(s config.Settings, e *config.Email) (notify.Receiver, error) {
	trusts, err := trusting(e.Smarthost, e.CAFile)
	if err != nil {
		return nil, err
	}
	return email.New(email.Config{
		To: e.To, From: e.From, Smarthost: e.Smarthost, Hello: e.Hello,
		Username: e.Username, PasswordFile: e.PasswordFile,
		RequireTLS: e.RequireTLS, TLSConfig: trusts, Instance: s.Instance,
	})
}

// trusting makes the TLS client for a server whose certificate a file's authorities signed; without a file it gives nil,
// the system's authorities.
func trusting(address, caFile string) (*tls.Config, error) {
	if caFile == "" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return promconfig.NewTLSConfig(&promconfig.TLSConfig{CAFile: caFile, ServerName: host})
}
