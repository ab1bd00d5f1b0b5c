package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/notify"
)

// post is a request to a webhook, to chat.postMessage or to chat.update.
type post struct {
	content
	*quiet                // of what is new
	Channel        string `json:"channel,omitempty"`
	TS             string `json:"ts,omitempty"` // of the message to update
	ThreadTS       string `json:"thread_ts,omitempty"`
	ReplyBroadcast bool   `json:"reply_broadcast,omitempty"`
	Parse          string `json:"parse,omitempty"`
}

// quiet keeps Slack from opening the links of a message to show what is behind them.
type quiet struct {
	UnfurlLinks bool `json:"unfurl_links"`
	UnfurlMedia bool `json:"unfurl_media"`
}

// content is what a message says.
type content struct {
	Text   string  `json:"text"` // what a notification shows, and a client that shows no blocks
	Blocks []block `json:"blocks,omitempty"`

	bare string // all of it, without any layout
}

// answer is what a method says; its HTTP status is 200 as a rule, whatever it says.
type answer struct {
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	Channel string `json:"channel"`
	TS      string `json:"ts"`
	Message *struct {
		ThreadTS string `json:"thread_ts"`
	} `json:"message"`
}

// encode leaves < and & as they are, which would else become six characters each.
func encode(p post) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(p)
	return body.Bytes(), err
}

// send calls a method, once more without blocks where Slack doesn't take those.
func (r *Receiver) send(ctx context.Context, token, method string, p post) (notify.Result, answer) {
	var said answer
	result := r.dressedDown(p.content, func(c content) (notify.Result, string) {
		var result notify.Result
		p.content = c
		result, said = r.call(ctx, token, method, p)
		return result, said.Error
	})
	return result, said
}

// dressedDown sends a message, and sends it as plain text if its layout is what it is refused for: nobody must miss a
// call because of its dress.
func (r *Receiver) dressedDown(c content, send func(content) (notify.Result, string)) notify.Result {
	result, word := send(c)
	if result.Outcome != notify.Refused || !layout[word] {
		return result
	}
	result, _ = send(content{Text: c.bare})
	if result.Outcome == notify.Delivered {
		result.Detail = "sent as plain text, for Slack refused its layout: " + word
	}
	return result
}

// layout are the words by which Slack refuses how a message looks.
var layout = map[string]bool{
	"invalid_blocks": true, "invalid_blocks_format": true, "msg_blocks_too_long": true, "msg_too_long": true,
}

// call makes one request.
func (r *Receiver) call(ctx context.Context, token, method string, p post) (notify.Result, answer) {
	body, err := encode(p)
	if err != nil {
		return notify.Result{Outcome: notify.Refused, Detail: "encode the message: " + err.Error()}, answer{}
	}
	header := http.Header{}
	header.Set("Authorization", "Bearer "+token)
	header.Set("Content-Type", "application/json; charset=utf-8")
	result, heard := r.client.Post(ctx, r.config.APIURL+"/"+method, header, body)
	if result.Status == 0 {
		return result, answer{}
	}
	var said answer
	understood := json.Unmarshal(heard, &said) == nil
	said.Error = sayable(said.Error, token, r.config.APIURL)
	switch {
	case result.Outcome != notify.Delivered:
		result.Detail += inWords(said.Error)
	case !understood: // what answers in Slack's place may be gone later
		result.Outcome, result.Detail = notify.Retry, "200 OK, but the answer is not one of Slack's"
	case !said.OK:
		result.Outcome = notify.Refused
		if passing[said.Error] {
			result.Outcome = notify.Retry
		}
		result.Detail = "Slack did not take it" + inWords(said.Error)
	}
	return result, said
}

// passing are the words of a trouble that passes by itself. A word that is not known is taken for one that doesn't: then
// others are called instead.
var passing = map[string]bool{
	"ratelimited": true, "rate_limited": true, "internal_error": true, "fatal_error": true, "service_unavailable": true,
	"request_timeout": true, "team_added_to_org": true, "org_login_required": true,
}

// advice is what can be done about a word.
var advice = map[string]string{ //nolint:gosec // words about tokens, no tokens
	"channel_not_found":      "there is no such channel, or it is a private one that the bot is not in: invite the bot to it",
	"not_in_channel":         "invite the bot to the channel",
	"is_archived":            "the channel is archived: name another one",
	"channel_is_archived":    "the channel is archived: make a webhook for another one",
	"invalid_auth":           "the token is wrong: write the bot's token to its file",
	"not_authed":             "the token is missing: write the bot's token to its file",
	"token_revoked":          "the token is revoked: install the app anew and write its token to the file",
	"token_expired":          "the token has expired: use one that is not rotated, or write the new one to its file",
	"account_inactive":       "the bot is removed: install the app anew and write its token to the file",
	"missing_scope":          "the bot may not post: give it the scope chat:write and install the app anew",
	"not_allowed_token_type": "this is no bot's token: write one that begins with xoxb- to the file",
	"restricted_action":      "the workspace doesn't let the bot post in this channel",
	"no_service":             "the webhook is removed or disabled: make a new one",
	"no_active_hooks":        "the webhook is disabled: make a new one",
	"invalid_token":          "the webhook's address is wrong or out of date",
	"action_prohibited":      "the workspace doesn't let the webhook post in this channel",
}

// inWords gives a word of Slack's to go on with, and what can be done about it.
func inWords(word string) string {
	if word == "" {
		return ""
	}
	if todo := advice[word]; todo != "" {
		return ": " + word + " (" + todo + ")"
	}
	return ": " + word
}

var plainWord = regexp.MustCompile(`^[a-z_]{1,64}$`)

// sayable gives a word of Slack's if it is one, and no part of what must not be told: an endpoint that is not Slack's
// may send back what it was sent.
func sayable(word string, secrets ...string) string {
	if !plainWord.MatchString(word) {
		return ""
	}
	for _, secret := range secrets {
		if strings.Contains(secret, word) {
			return ""
		}
	}
	return word
}
