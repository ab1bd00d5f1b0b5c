package slack

import (
	"context"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/notify"
)

// postToWebhook posts a message of its own. A webhook answers with a status and a plain word.
func (r *Receiver) postToWebhook(ctx context.Context, m notify.Message) notify.Result {
	address, err := readSecret(r.config.WebhookURLFile)
	if err != nil { // it may be just being replaced
		return notify.Result{Outcome: notify.Retry, Detail: "read the webhook's address: " + err.Error()}
	}
	return r.dressedDown(r.whole(m, true), func(c content) (notify.Result, string) {
		body, err := encode(post{content: c, quiet: &quiet{}})
		if err != nil {
			return notify.Result{Outcome: notify.Refused, Detail: "encode the message: " + err.Error()}, ""
		}
		result, answer := r.client.Post(ctx, address, nil, body)
		if result.Outcome == notify.Delivered || result.Status == 0 {
			return result, ""
		}
		word := sayable(strings.TrimSpace(string(answer)), address)
		result.Detail += inWords(word)
		return result, word
	})
}
