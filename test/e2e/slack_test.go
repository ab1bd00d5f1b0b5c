//go:build e2e

package e2e_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// slackWorkspace is a server that takes messages as the documentation of chat.postMessage and chat.update says, shows
// them as a channel would, and posts what people click.
type slackWorkspace struct {
	server  *httptest.Server
	token   string
	channel string
	secret  string // with which it signs clicks

	mutex    sync.Mutex
	messages []*slackMessage
}

// slackMessage is a message as it stands now.
type slackMessage struct {
	Channel  string          `json:"channel"`
	Text     string          `json:"text"`
	Blocks   json.RawMessage `json:"blocks"`
	TS       string          `json:"ts"`
	ThreadTS string          `json:"thread_ts"`
}

func startSlack(t testing.TB) *slackWorkspace {
	t.Helper()
	s := &slackWorkspace{token: "xoxb-a-token-of-the-end-to-end-tests", channel: "C0123456789", secret: "5l4ck51gn1ng53cr3t"}
	mux := http.NewServeMux()
	for path, take := range map[string]func(slackMessage) (*slackMessage, string){
		"POST /api/chat.postMessage": s.post, "POST /api/chat.update": s.update,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			var said slackMessage
			taken, refused := (*slackMessage)(nil), s.refuses(r, &said)
			if refused == "" {
				taken, refused = take(said)
			}
			if refused != "" {
				t.Errorf("Slack would refuse %s %+v: %s", path, said, refused)
				_ = json.NewEncoder(w).Encode(map[string]any{"ok": false, "error": refused})
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"ok": true, "channel": taken.Channel, "ts": taken.TS, "message": taken})
		})
	}
	s.server = httptest.NewServer(mux)
	t.Cleanup(s.server.Close)
	return s
}

// refuses reads a request, and gives the word by which Slack refuses it.
func (s *slackWorkspace) refuses(r *http.Request, into *slackMessage) string {
	var blocks []struct{ Type string }
	switch {
	case r.Header.Get("Authorization") != "Bearer "+s.token:
		return "invalid_auth"
	case json.NewDecoder(r.Body).Decode(into) != nil:
		return "invalid_json"
	case into.Channel != s.channel:
		return "channel_not_found"
	case into.Text == "":
		return "no_text"
	case len(into.Blocks) > 0 && (json.Unmarshal(into.Blocks, &blocks) != nil || len(blocks) > 50):
		return "invalid_blocks"
	}
	return ""
}

func (s *slackWorkspace) post(said slackMessage) (*slackMessage, string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if said.ThreadTS != "" && s.find(said.ThreadTS) == nil {
		return nil, "thread_not_found"
	}
	said.TS = fmt.Sprintf("%d.%06d", time.Now().Unix(), len(s.messages)+1)
	s.messages = append(s.messages, &said)
	return &said, ""
}

func (s *slackWorkspace) update(said slackMessage) (*slackMessage, string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	stands := s.find(said.TS)
	if stands == nil {
		return nil, "message_not_found"
	}
	stands.Text, stands.Blocks = said.Text, said.Blocks
	return stands, ""
}

func (s *slackWorkspace) find(ts string) *slackMessage {
	i := slices.IndexFunc(s.messages, func(m *slackMessage) bool { return m.TS == ts })
	if i < 0 {
		return nil
	}
	return s.messages[i]
}

// about gives the messages about a service that stand in the channel, or in a thread.
func (s *slackWorkspace) about(service string, inThread bool) []slackMessage {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	of := func(m *slackMessage) bool { return strings.Contains(m.Text+string(m.Blocks), service) }
	var found []slackMessage
	for _, m := range s.messages {
		switch {
		case m.ThreadTS == "" && !inThread && of(m), m.ThreadTS != "" && inThread && of(s.find(m.ThreadTS)):
			found = append(found, *m)
		}
	}
	return found
}

// button gives the value of the button that acknowledges, and its action; empty: it has none.
func (m slackMessage) button() (action, value string) {
	var blocks []struct {
		Elements []struct {
			Type     string `json:"type"`
			ActionID string `json:"action_id"`
			Value    string `json:"value"`
		} `json:"elements"`
	}
	_ = json.Unmarshal(m.Blocks, &blocks) // other blocks' elements are of other forms, and have no value
	for _, b := range blocks {
		for _, e := range b.Elements {
			if e.Type == "button" && e.Value != "" {
				return e.ActionID, e.Value
			}
		}
	}
	return "", ""
}

// clicks is what Slack posts when somebody clicks a message's button, at a time. It gives what is answered.
func (s *slackWorkspace) clicks(t testing.TB, inbound string, m slackMessage, person string, at time.Time) int {
	t.Helper()
	action, value := m.button()
	var payload bytes.Buffer
	_ = json.NewEncoder(&payload).Encode(map[string]any{
		"type": "block_actions", "user": map[string]string{"id": "U01ABCDEF", "username": person, "name": person, "team_id": "T01"},
		"api_app_id": "A01", "trigger_id": "1111.2222.abcdef", "channel": map[string]string{"id": m.Channel, "name": "incidents"},
		"container": map[string]any{"type": "message", "message_ts": m.TS, "channel_id": m.Channel},
		"actions": []map[string]string{{
			"type": "button", "action_id": action, "block_id": "b1", "value": value, "action_ts": fmt.Sprintf("%d.%06d", at.Unix(), at.Nanosecond()/1000),
		}},
	})
	body := url.Values{"payload": {payload.String()}}.Encode()
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(s.secret))
	mac.Write([]byte("v0:" + stamp + ":" + body))
	return postSigned(t, inbound, "application/x-www-form-urlencoded", body, map[string]string{
		"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": "v0=" + hex.EncodeToString(mac.Sum(nil)),
	})
}
