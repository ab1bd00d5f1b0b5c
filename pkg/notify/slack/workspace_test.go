package slack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const token = "xoxb-canary-in-the-token"

// workspace is a small Slack with what its documentation says of chat.postMessage and chat.update: it keeps channels
// with their messages and threads, and finds fault with whatever it would refuse.
type workspace struct {
	t        *testing.T
	channels []*channel
	made     int      // messages so far
	faults   []fault  // one for each of the next requests
	calls    []string // methods and what they answered, in order
	// unthreads: a reply to a message that was deleted is posted in the channel, as Slack does at times; else it is
	// refused with thread_not_found, as it does at others.
	unthreads bool
}

type channel struct {
	id, name          string
	archived, botAway bool
	messages          []*message
}

type message struct {
	ts, thread                 string
	broadcast, deleted, edited bool
	text                       string
	blocks                     []map[string]any
}

// fault is what becomes of a request instead, or beside.
type fault struct {
	status     int
	retryAfter string
	body       string
	lost       bool // the work is done, but nobody hears the answer
}

// demand is what both methods may be sent.
type demand struct {
	Channel        string           `json:"channel"`
	Text           string           `json:"text"`
	Blocks         []map[string]any `json:"blocks"`
	TS             string           `json:"ts"`
	ThreadTS       string           `json:"thread_ts"`
	ReplyBroadcast bool             `json:"reply_broadcast"`
	Parse          string           `json:"parse"`
	UnfurlLinks    *bool            `json:"unfurl_links"`
	UnfurlMedia    *bool            `json:"unfurl_media"`
}

func newWorkspace(t *testing.T) *workspace {
	return &workspace{t: t, channels: []*channel{{id: "C0INCIDENTS", name: "incidents"}, {id: "C0OTHER", name: "other"}}}
}

func (w *workspace) channel(name string) *channel {
	for _, c := range w.channels {
		if c.id == name || "#"+c.name == name {
			return c
		}
	}
	return nil
}

func (c *channel) find(ts string) *message {
	for _, m := range c.messages {
		if m.ts == ts {
			return m
		}
	}
	return nil
}

// RoundTrip answers a request to the API.
func (w *workspace) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.Method != http.MethodPost || r.URL.Host != "slack.test" || r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		w.t.Errorf("%s %s of %q", r.Method, r.URL, r.Header.Get("Content-Type"))
	}
	method := strings.TrimPrefix(r.URL.Path, "/api/")
	var now fault
	if len(w.faults) > 0 {
		now, w.faults = w.faults[0], w.faults[1:]
	}
	if now.status != 0 {
		w.calls = append(w.calls, fmt.Sprintf("%s: %d", method, now.status))
		return respond(r, now.status, now.retryAfter, now.body), nil
	}
	answer := map[string]any{"ok": false, "error": "invalid_auth"}
	if r.Header.Get("Authorization") == "Bearer "+token {
		answer = w.do(method, body)
	}
	w.calls = append(w.calls, strings.TrimSuffix(fmt.Sprintf("%s: %v", method, answer["error"]), ": <nil>"))
	if now.lost {
		return nil, io.ErrUnexpectedEOF
	}
	encoded, err := json.Marshal(answer)
	return respond(r, http.StatusOK, "", string(encoded)), err
}

func respond(r *http.Request, status int, retryAfter, body string) *http.Response {
	header := http.Header{}
	if retryAfter != "" {
		header.Set("Retry-After", retryAfter)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

func (w *workspace) do(method string, body []byte) map[string]any {
	var d demand
	decoder := json.NewDecoder(strings.NewReader(string(body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		w.t.Errorf("%s: %v in %s", method, err, body)
		return failed("invalid_json")
	}
	switch err := d.check(); {
	case err != nil:
		w.t.Errorf("%s: %v in %s", method, err, body)
		return failed("invalid_blocks")
	case method == "chat.postMessage":
		return w.post(d)
	case method == "chat.update":
		return w.update(d)
	}
	w.t.Errorf("no method %q", method)
	return failed("unknown_method")
}

func failed(word string) map[string]any { return map[string]any{"ok": false, "error": word} }

func (w *workspace) post(d demand) map[string]any {
	c := w.channel(d.Channel)
	switch {
	case c == nil:
		return failed("channel_not_found")
	case c.archived:
		return failed("is_archived")
	case c.botAway:
		return failed("not_in_channel")
	case d.UnfurlLinks == nil || *d.UnfurlLinks || d.UnfurlMedia == nil || *d.UnfurlMedia || d.Parse != "" || d.TS != "":
		w.t.Errorf("a post that unfurls, or that is half an update: %+v", d)
	}
	w.made++
	m := &message{ts: fmt.Sprintf("17638%05d.000100", w.made), text: d.Text, blocks: d.Blocks}
	if d.ThreadTS != "" {
		root := c.find(d.ThreadTS)
		gone := root == nil || root.deleted
		switch {
		case root != nil && root.thread != "":
			w.t.Error("a reply to a reply")
		case gone && !w.unthreads:
			return failed("thread_not_found")
		case !gone:
			m.thread, m.broadcast = d.ThreadTS, d.ReplyBroadcast
		}
	} else if d.ReplyBroadcast {
		w.t.Error("reply_broadcast without a thread")
	}
	c.messages = append(c.messages, m)
	said := map[string]any{"type": "message", "text": m.text, "blocks": m.blocks, "ts": m.ts}
	if m.thread != "" {
		said["thread_ts"] = m.thread
	}
	return map[string]any{"ok": true, "channel": c.id, "ts": m.ts, "message": said}
}

func (w *workspace) update(d demand) map[string]any {
	var c *channel
	for _, one := range w.channels { // by its id alone
		if one.id == d.Channel {
			c = one
		}
	}
	if c == nil {
		return failed("channel_not_found")
	}
	if d.Parse != "none" || d.ThreadTS != "" || d.ReplyBroadcast || d.UnfurlLinks != nil {
		w.t.Errorf("an update that looks for names, or that is half a post: %+v", d)
	}
	m := c.find(d.TS)
	switch {
	case m == nil || m.deleted:
		return failed("message_not_found")
	case c.archived:
		return failed("is_archived")
	case utf8.RuneCountInString(d.Text) > 4000:
		return failed("msg_too_long")
	}
	m.text, m.blocks, m.edited = d.Text, d.Blocks, true
	return map[string]any{"ok": true, "channel": c.id, "ts": m.ts, "text": m.text, "message": map[string]any{"blocks": m.blocks}}
}

// check finds fault with what a message says.
func (d demand) check() error {
	if d.Text == "" || utf8.RuneCountInString(d.Text) >= 3000 {
		return fmt.Errorf("text of %d characters", utf8.RuneCountInString(d.Text))
	}
	if err := markup(d.Text); err != nil {
		return err
	}
	if len(d.Blocks) > 50 {
		return fmt.Errorf("%d blocks", len(d.Blocks))
	}
	total := 0
	for _, b := range d.Blocks {
		length, err := checkBlock(b)
		if err != nil {
			return err
		}
		total += length
	}
	if total > 9000 {
		return fmt.Errorf("%d characters in all blocks", total)
	}
	return nil
}

// markup finds what is neither plain nor escaped.
func markup(said string) error {
	for _, escaped := range []string{"&amp;", "&lt;", "&gt;"} {
		said = strings.ReplaceAll(said, escaped, "")
	}
	if strings.ContainsAny(said, "&<>") {
		return fmt.Errorf("markup in %q", said)
	}
	return nil
}

var errShape = errors.New("a block of a shape that Slack doesn't know")

func checkBlock(b map[string]any) (int, error) {
	elements, _ := b["elements"].([]any)
	switch b["type"] {
	case "header":
		if len(b) != 2 {
			return 0, errShape
		}
		return checkPlain(b["text"], 150)
	case "context":
		if len(elements) == 0 || len(elements) > 10 || len(b) != 2 {
			return 0, errShape
		}
		return sum(elements, func(e any) (int, error) { return checkPlain(e, 2000) })
	case "actions":
		if len(elements) == 0 || len(elements) > 25 || len(b) != 2 {
			return 0, errShape
		}
		var ids []any
		return sum(elements, func(e any) (int, error) {
			id := e.(map[string]any)["action_id"]
			if slices.Contains(ids, id) {
				return 0, fmt.Errorf("two buttons named %v", id)
			}
			ids = append(ids, id)
			return checkButton(e.(map[string]any))
		})
	case "rich_text":
		if len(elements) == 0 || len(b) != 2 {
			return 0, errShape
		}
		return sum(elements, checkRich)
	}
	return 0, fmt.Errorf("%w: %v", errShape, b["type"])
}

func sum(elements []any, check func(any) (int, error)) (int, error) {
	total := 0
	for _, e := range elements {
		length, err := check(e)
		if err != nil {
			return 0, err
		}
		total += length
	}
	return total, nil
}

func checkPlain(e any, limit int) (int, error) {
	text, _ := e.(map[string]any)
	said, _ := text["text"].(string)
	length := utf8.RuneCountInString(said)
	if text["type"] != "plain_text" || text["emoji"] != false || length == 0 || length > limit {
		return 0, fmt.Errorf("%w: a plain text of %d characters, %v", errShape, length, e)
	}
	return length, markup(said)
}

func checkButton(b map[string]any) (int, error) {
	for key := range b {
		if !slices.Contains([]string{"type", "text", "action_id", "value", "url", "style"}, key) {
			return 0, fmt.Errorf("%w: a button with %s", errShape, key)
		}
	}
	value, _ := b["value"].(string)
	address, _ := b["url"].(string)
	if b["type"] != "button" || b["action_id"] == "" || utf8.RuneCountInString(value) > 2000 || utf8.RuneCountInString(address) > 3000 {
		return 0, fmt.Errorf("%w: %v", errShape, b)
	}
	if to, err := url.Parse(address); address != "" && (err != nil || to.Host == "") {
		return 0, fmt.Errorf("%w: a button that leads to %q", errShape, address)
	}
	length, err := checkPlain(b["text"], 75)
	return length + utf8.RuneCountInString(value+address), err
}

// checkRich looks at what stands in a rich text: sections, and lists of sections.
func checkRich(e any) (int, error) {
	rich, _ := e.(map[string]any)
	elements, _ := rich["elements"].([]any)
	if len(elements) == 0 {
		return 0, fmt.Errorf("%w: an empty %v", errShape, rich["type"])
	}
	switch {
	case rich["type"] == "rich_text_list" && (rich["style"] == "bullet" || rich["style"] == "ordered"):
		return sum(elements, func(e any) (int, error) {
			if e.(map[string]any)["type"] != "rich_text_section" {
				return 0, errShape
			}
			return checkRich(e)
		})
	case rich["type"] == "rich_text_section":
		return sum(elements, checkRichText)
	}
	return 0, fmt.Errorf("%w: %v", errShape, rich["type"])
}

func checkRichText(e any) (int, error) {
	part, _ := e.(map[string]any)
	said, _ := part["text"].(string)
	address, linked := part["url"].(string)
	if said == "" || (part["type"] == "link") != linked || (part["type"] != "text" && part["type"] != "link") {
		return 0, fmt.Errorf("%w: %v", errShape, e)
	}
	return utf8.RuneCountInString(said + address), nil
}

// String shows the channel as a person sees it: each thread below its first message, what is in the channel too marked.
func (c *channel) String() string {
	var b strings.Builder
	for _, root := range c.messages {
		if root.thread != "" {
			continue
		}
		fmt.Fprintf(&b, "%s\n", strings.Repeat("─", 78))
		if root.deleted {
			b.WriteString("This message was deleted.\n")
		} else {
			b.WriteString(root.String())
		}
		for _, reply := range c.messages {
			if reply.thread != root.ts {
				continue
			}
			mark := "  ├ "
			if reply.broadcast {
				mark = "  ├ # "
			}
			for i, line := range strings.Split(strings.TrimRight(reply.String(), "\n"), "\n") {
				if i > 0 {
					mark = "  │   "
				}
				b.WriteString(strings.TrimRight(mark+line, " ") + "\n")
			}
		}
	}
	return b.String()
}

func (m *message) String() string {
	if len(m.blocks) == 0 {
		return unescape(m.text) + "\n"
	}
	var b strings.Builder
	for _, block := range m.blocks {
		elements, _ := block["elements"].([]any)
		switch block["type"] {
		case "header":
			b.WriteString("▌ " + shown(block["text"]) + "\n")
		case "context":
			b.WriteString("· " + shown(elements[0]) + "\n")
		case "actions":
			for _, e := range elements {
				b.WriteString("[" + shown(e.(map[string]any)["text"]) + leads(e.(map[string]any)) + "] ")
			}
			b.WriteString("\n")
		case "rich_text":
			for _, e := range elements {
				b.WriteString(richShown(e.(map[string]any)))
			}
		}
	}
	return b.String()
}

func leads(button map[string]any) string {
	if to, ok := button["url"].(string); ok {
		return " ↗ " + to
	}
	return " = " + fmt.Sprint(button["value"])
}

func shown(text any) string { return unescape(text.(map[string]any)["text"].(string)) }

func unescape(said string) string {
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(said)
}

func richShown(rich map[string]any) string {
	var b strings.Builder
	for i, e := range rich["elements"].([]any) {
		part := e.(map[string]any)
		switch {
		case rich["type"] == "rich_text_list" && rich["style"] == "ordered":
			fmt.Fprintf(&b, "  %d. %s", i+1, richShown(part))
		case rich["type"] == "rich_text_list":
			b.WriteString("  • " + richShown(part))
		case part["style"] != nil:
			b.WriteString("*" + part["text"].(string) + "*")
		default:
			b.WriteString(part["text"].(string))
		}
	}
	if rich["type"] == "rich_text_section" {
		b.WriteString("\n")
	}
	return b.String()
}
