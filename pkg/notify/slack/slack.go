// Package slack tells a channel of Slack what is broken, who has it and how it ended.
//
// With a bot's token an incident is one message: it always shows how things stand now, and what happened on the way
// stands in its thread. Whoever acknowledges does it with a button there. With an incoming webhook alone Slack says
// nothing of the message it has made, so each call, each end and each notice is a message of its own.
//
// Nothing in Slack keeps a message from being posted twice when an answer is lost: then the second one says so. A thread
// is written after its first message was brought up to date, because that may be repeated without harm.
package slack

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/httpclient"
)

// Config says how Slack is reached: by an incoming webhook, or by a bot. The files are read each time they are needed,
// so a secret is rotated by writing it.
type Config struct {
	// WebhookURLFile holds the address of an incoming webhook, which is its credential too. Used without TokenFile.
	WebhookURLFile string
	// TokenFile holds the token of a bot that may chat:write, and Channel is where it posts: an id (C0123456789), or
	// the name (#incidents) of a channel that it is in.
	TokenFile, Channel string
	// SigningSecretFile holds the signing secret of the bot's app, or several of them, one a line. With it the button
	// that acknowledges is answered here; without it the button is a link, and nothing is heard.
	SigningSecretFile string
	APIURL            string // without the method; empty: https://slack.com/api

	Transport http.RoundTripper // for tests; nil: the usual one
}

// Receiver posts to one channel.
type Receiver struct {
	config Config
	client *httpclient.Client
}

var _ notify.Answerer = (*Receiver)(nil)

// New makes a receiver.
func New(config Config) *Receiver {
	if config.Transport == nil {
		config.Transport = httpclient.Transport()
	}
	config.APIURL = strings.TrimSuffix(cmp.Or(config.APIURL, "https://slack.com/api"), "/")
	return &Receiver{config: config, client: httpclient.New(config.Transport)}
}

// bot tells whether a bot posts, which can come back to what it has posted.
func (r *Receiver) bot() bool { return r.config.TokenFile != "" }

// Carries implements notify.Receiver. A webhook can't bring a message up to date, and one for each station would bury
// the call.
func (r *Receiver) Carries() incident.Carries {
	return incident.Carries{Notices: true, Acknowledgements: r.bot(), Progress: r.bot()}
}

// Deliver implements notify.Receiver.
func (r *Receiver) Deliver(ctx context.Context, m notify.Message) notify.Result {
	if !r.bot() {
		return r.postToWebhook(ctx, m)
	}
	token, err := readSecret(r.config.TokenFile)
	if err != nil { // it may be just being replaced
		return notify.Result{Outcome: notify.Retry, Detail: "read the bot's token: " + err.Error()}
	}
	before, known := readPlace(cmp.Or(m.Receipt, m.Thread))
	digest := len(m.Digest) > 0
	switch {
	case !known, digest && !before.digest:
		return r.open(ctx, token, m)
	case before.digest && !digest && m.Kind == incident.DeliverPage:
		return r.open(ctx, token, m) // it was one of many; what it calls for now is its own
	default:
		return r.follow(ctx, token, before, m)
	}
}

// readSecret reads a file that holds one secret. Its errors never say what the file holds.
func readSecret(file string) (string, error) {
	lines, err := readLines(file)
	if err != nil {
		return "", err
	}
	if len(lines) != 1 || strings.ContainsFunc(lines[0], func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s must hold one line, without spaces", file)
	}
	return lines[0], nil
}

// readLines gives the lines of a file of secrets, without those that are blank.
func readLines(file string) ([]string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}
