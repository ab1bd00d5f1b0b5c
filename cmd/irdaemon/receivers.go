package main

import (
	"fmt"

	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/alertmanager"
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
	}
	return nil, fmt.Errorf("%s: a later release delivers to it", r.Other)
}
