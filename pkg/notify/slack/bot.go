package slack

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
)

// updateTimeout is the most that bringing the first message up to date may take, so that there is time to call.
const updateTimeout = 4 * time.Second

// place is where an incident's first message stands; it is the receipt of what was posted.
type place struct {
	channel, ts string // as Slack names them
	digest      bool   // it is the one message of a storm, so no single incident may write over it
}

var receipt = regexp.MustCompile(`^([0-9A-Za-z]{1,32})/([0-9]{1,20}\.[0-9]{1,10})(/digest)?$`)

func (p place) String() string {
	if p.digest {
		return p.channel + "/" + p.ts + "/digest"
	}
	return p.channel + "/" + p.ts
}

func readPlace(s string) (place, bool) {
	parts := receipt.FindStringSubmatch(s)
	if parts == nil {
		return place{}, false
	}
	return place{channel: parts[1], ts: parts[2], digest: parts[3] != ""}, true
}

// open posts the first message.
func (r *Receiver) open(ctx context.Context, token string, m notify.Message) notify.Result {
	result, said := r.send(ctx, token, "chat.postMessage", post{content: r.whole(m, true), quiet: &quiet{}, Channel: r.config.Channel})
	if result.Outcome != notify.Delivered {
		return result
	}
	at, known := readPlace(said.Channel + "/" + said.TS)
	if !known {
		result.Detail = also(result.Detail, "Slack's answer names no message, so this one can't be kept up to date")
		return result
	}
	at.digest = len(m.Digest) > 0
	result.Receipt = at.String()
	return result
}

// follow brings the first message up to date, then says in its thread what is new. A call is heard even where the first
// can't be done now; anything else waits until it can, for the message must not go on telling what is no longer true.
func (r *Receiver) follow(ctx context.Context, token string, before place, m notify.Message) notify.Result {
	stale := ""
	if m.Kind != incident.DeliverNotice && before.digest == (len(m.Digest) > 0) {
		result, _ := r.update(ctx, token, before, r.whole(m, false))
		if result.Outcome == notify.Retry && m.Kind != incident.DeliverPage {
			return result
		}
		stale = result.Detail
		if result.Outcome != notify.Delivered {
			stale = "the first message could not be brought up to date: " + stale
		}
	}
	result, said := r.send(ctx, token, "chat.postMessage", post{
		content: r.line(m, before.digest && len(m.Digest) == 0), quiet: &quiet{}, Channel: before.channel,
		ThreadTS: before.ts, ReplyBroadcast: m.Kind == incident.DeliverPage,
	})
	switch {
	case result.Outcome == notify.Refused && gone(said.Error):
		return r.open(ctx, token, m)
	case result.Outcome != notify.Delivered:
		return result
	case said.Message != nil && said.Message.ThreadTS == "":
		return r.adopt(ctx, token, m, result, said)
	}
	result.Receipt = before.String()
	result.Detail = also(result.Detail, stale)
	return result
}

// adopt makes a first message of a reply. That is what it has become: when the message that it replies to was deleted,
// Slack posts it in the channel instead, and only its answer shows that.
func (r *Receiver) adopt(ctx context.Context, token string, m notify.Message, result notify.Result, said answer) notify.Result {
	at, known := readPlace(said.Channel + "/" + said.TS)
	if !known {
		return result
	}
	at.digest = len(m.Digest) > 0
	result.Receipt = at.String()
	if updated, _ := r.update(ctx, token, at, r.whole(m, true)); updated.Outcome != notify.Delivered {
		result.Detail = also(result.Detail, "the incident's first message is gone; this one could not take its place: "+updated.Detail)
	}
	return result
}

func (r *Receiver) update(ctx context.Context, token string, at place, c content) (notify.Result, answer) {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	// Without parse, an update finds names and addresses in the text, which a post does not.
	return r.send(ctx, token, "chat.update", post{content: c, Channel: at.channel, TS: at.ts, Parse: "none"})
}

// gone tells that nothing can be written where the first message stands, or stood: it, its thread or its channel is no
// more, or the settings name another channel by now.
func gone(word string) bool {
	return slices.Contains([]string{
		"thread_not_found", "message_not_found", "invalid_thread_ts", "cannot_reply_to_message",
		"channel_not_found", "not_in_channel", "is_archived",
	}, word)
}

func also(said, more string) string {
	if said == "" || more == "" {
		return cmp.Or(said, more)
	}
	return said + "; " + more
}
