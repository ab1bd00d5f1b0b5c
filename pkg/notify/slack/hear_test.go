package slack_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/slack"
)

var heardAt = time.Unix(1531420618, 0)

func signed(secret string, at time.Time, body string) http.Header {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + strconv.FormatInt(at.Unix(), 10) + ":" + body))
	h := http.Header{}
	h.Set("X-Slack-Request-Timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	return h
}

// click is a press of the button, as Slack tells it.
func click(change func(map[string]any)) string {
	p := map[string]any{
		"type": "block_actions", "token": "unused", "trigger_id": "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3",
		"user":         map[string]any{"id": "U0ALICE", "username": "alice", "name": "alice", "team_id": "T9TK3CUKW"},
		"response_url": "https://hooks.slack.test/actions/canary",
		"actions": []any{map[string]any{
			"type": "button", "action_id": "acknowledge", "block_id": "a1", "value": key + "1", "action_ts": "1531420618.120000",
			"text": map[string]any{"type": "plain_text", "text": "Acknowledge"},
		}},
	}
	if change != nil {
		change(p)
	}
	encoded, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return "payload=" + url.QueryEscape(string(encoded))
}

func button(p map[string]any) map[string]any { return p["actions"].([]any)[0].(map[string]any) }

func user(p map[string]any) map[string]any { return p["user"].(map[string]any) }

func hearing(t testing.TB, content string) *slack.Receiver {
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return slack.New(slack.Config{TokenFile: "unused", SigningSecretFile: name})
}

// The example of Slack's documentation, "Verifying requests from Slack".
func TestTheSignatureOfSlacksOwnExample(t *testing.T) {
	const body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	h := http.Header{}
	h.Set("X-Slack-Request-Timestamp", "1531420618")
	h.Set("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")
	got, err := hearing(t, secret).Hear(h, []byte(body), heardAt)
	if err != nil || got.ID+got.Key+got.Action+got.By != "" || got.Answer != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := hearing(t, secret).Hear(h, []byte(body+"&"), heardAt); !errors.Is(err, notify.ErrSignature) {
		t.Errorf("tampered with: %v", err)
	}
}

func TestWhatIsNotSignedIsNotHeard(t *testing.T) {
	body := click(nil)
	other := strings.Repeat("0", 32)
	tests := map[string]struct {
		secrets string
		header  http.Header
		body    string
		heard   bool
	}{
		"signed":                             {secret, signed(secret, heardAt, body), body, true},
		"by the second secret of the file":   {other + "\n\n  " + secret + " \n", signed(secret, heardAt, body), body, true},
		"five minutes ago":                   {secret, signed(secret, heardAt.Add(-5*time.Minute), body), body, true},
		"by a clock five minutes ahead":      {secret, signed(secret, heardAt.Add(5*time.Minute), body), body, true},
		"longer ago":                         {secret, signed(secret, heardAt.Add(-5*time.Minute-time.Second), body), body, false},
		"by a clock farther ahead":           {secret, signed(secret, heardAt.Add(5*time.Minute+time.Second), body), body, false},
		"at a time that overflows":           {secret, signed(secret, time.Unix(-1<<62, 0), body), body, false},
		"by another secret":                  {secret, signed(other, heardAt, body), body, false},
		"without a header":                   {secret, http.Header{}, body, false},
		"another body":                       {secret, signed(secret, heardAt, body), body + "&a=b", false},
		"with a time that is not its own":    {secret, moved(signed(secret, heardAt, body)), body, false},
		"with a version that nobody knows":   {secret, versioned(signed(secret, heardAt, body)), body, false},
		"the payload in the query, unsigned": {secret, signed(secret, heardAt, ""), body, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := hearing(t, test.secrets).Hear(test.header, []byte(test.body), heardAt)
			if test.heard != (err == nil) || (err != nil && !errors.Is(err, notify.ErrSignature)) || (got.Action != "") != test.heard {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if _, err := slack.New(slack.Config{TokenFile: "unused"}).Hear(signed("", heardAt, body), []byte(body), heardAt); !errors.Is(err, notify.ErrSignature) {
		t.Errorf("without a secret: %v", err)
	}
	for _, receiver := range []*slack.Receiver{hearing(t, "\n"), slack.New(slack.Config{SigningSecretFile: "no/such/file"})} {
		if _, err := receiver.Hear(signed("", heardAt, body), []byte(body), heardAt); err == nil || errors.Is(err, notify.ErrSignature) || errors.Is(err, notify.ErrUnheard) {
			t.Errorf("a file that can't be used: %v", err)
		}
	}
}

func moved(h http.Header) http.Header {
	h.Set("X-Slack-Request-Timestamp", strconv.FormatInt(heardAt.Unix()+1, 10))
	return h
}

func versioned(h http.Header) http.Header {
	h.Set("X-Slack-Signature", "v1="+strings.TrimPrefix(h.Get("X-Slack-Signature"), "v0="))
	return h
}

func TestWhatAClickMeans(t *testing.T) {
	tests := map[string]struct {
		body string
		want notify.Heard // without its ID
		err  error
	}{
		"the button": {click(nil), notify.Heard{Key: key + "1", Action: notify.HeardAcknowledge, By: "alice"}, nil},
		"a key that Slack has escaped": {click(func(p map[string]any) { button(p)["value"] = "irdaemon/R&amp;D/1" }),
			notify.Heard{Key: "irdaemon/R&D/1", Action: notify.HeardAcknowledge, By: "alice"}, nil},
		"a name with what can't be seen": {click(func(p map[string]any) { user(p)["name"] = "al\u202e\nice\x1b" + strings.Repeat("e", 200) }),
			notify.Heard{Key: key + "1", Action: notify.HeardAcknowledge, By: "al ice" + strings.Repeat("e", 73) + "…"}, nil},
		"a user with a username alone": {click(func(p map[string]any) { user(p)["name"] = "" }),
			notify.Heard{Key: key + "1", Action: notify.HeardAcknowledge, By: "alice"}, nil},
		"a user with an id alone": {click(func(p map[string]any) { p["user"] = map[string]any{"id": "U0ALICE"} }),
			notify.Heard{Key: key + "1", Action: notify.HeardAcknowledge, By: "U0ALICE"}, nil},
		"the button that is a link":    {click(func(p map[string]any) { button(p)["action_id"] = "acknowledge_link" }), notify.Heard{}, nil},
		"something else than a button": {click(func(p map[string]any) { button(p)["type"] = "static_select" }), notify.Heard{}, nil},
		"a shortcut":                   {click(func(p map[string]any) { p["type"] = "shortcut" }), notify.Heard{}, nil},
		"no action":                    {click(func(p map[string]any) { p["actions"] = nil }), notify.Heard{}, nil},
		"a look whether we are there":  {"ssl_check=1&token=unused", notify.Heard{}, nil},
		"nothing":                      {"", notify.Heard{}, nil},
		"a button without a key":       {click(func(p map[string]any) { button(p)["value"] = "" }), notify.Heard{}, notify.ErrUnheard},
		"a key that is too long":       {click(func(p map[string]any) { button(p)["value"] = strings.Repeat("k", 2001) }), notify.Heard{}, notify.ErrUnheard},
		"nobody":                       {click(func(p map[string]any) { delete(p, "user") }), notify.Heard{}, notify.ErrUnheard},
		"two payloads":                 {click(nil) + "&" + click(nil), notify.Heard{}, notify.ErrUnheard},
		"no JSON":                      {"payload=%7B", notify.Heard{}, notify.ErrUnheard},
		"another JSON":                 {"payload=" + url.QueryEscape(`{"type":7}`), notify.Heard{}, notify.ErrUnheard},
		"no form":                      {"payload=%zz", notify.Heard{}, notify.ErrUnheard},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := hearing(t, secret).Hear(signed(secret, heardAt, test.body), []byte(test.body), heardAt)
			if (got.ID == "") != (got.Action == "") {
				t.Errorf("id %q of action %q", got.ID, got.Action)
			}
			got.ID = ""
			if got.Key != test.want.Key || got.Action != test.want.Action || got.By != test.want.By || got.Answer != nil || !errors.Is(err, test.err) {
				t.Errorf("%+v, %v; want %+v, %v", got, err, test.want, test.err)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error gives away what was sent: %v", err)
			}
		})
	}
}

func TestAClickIsToldByItsID(t *testing.T) {
	id := func(change func(map[string]any)) string {
		body := click(change)
		got, err := hearing(t, secret).Hear(signed(secret, heardAt, body), []byte(body), heardAt)
		if err != nil {
			t.Fatal(err)
		}
		return got.ID
	}
	first := id(nil)
	if again := id(func(p map[string]any) { p["response_url"] = "another" }); again != first {
		t.Errorf("told again, it is another one: %s, %s", first, again)
	}
	for name, change := range map[string]func(map[string]any){
		"a later click":     func(p map[string]any) { button(p)["action_ts"] = "1531420619.120000" },
		"another one's":     func(p map[string]any) { user(p)["id"] = "U0BOB" },
		"another round's":   func(p map[string]any) { button(p)["value"] = key + "2" },
		"one without times": func(p map[string]any) { delete(button(p), "action_ts") },
	} {
		if id(change) == first {
			t.Errorf("%s has the same id", name)
		}
	}
}

func FuzzHear(f *testing.F) {
	f.Add(click(nil), "1531420618", "v0=00")
	f.Add("payload=%7B%22type%22%3A%22block_actions%22%7D", "-1", "")
	f.Add("ssl_check=1", "1531420618", "v0=")
	receiver := hearing(f, secret)
	f.Fuzz(func(t *testing.T, body, at, signature string) {
		h := http.Header{}
		h.Set("X-Slack-Request-Timestamp", at)
		h.Set("X-Slack-Signature", signature)
		if got, err := receiver.Hear(h, []byte(body), heardAt); err == nil && signature != signed(secret, heardAt, body).Get("X-Slack-Signature") {
			t.Errorf("heard without a signature: %+v", got)
		}
		got, err := receiver.Hear(signed(secret, heardAt, body), []byte(body), heardAt)
		switch {
		case errors.Is(err, notify.ErrSignature), err != nil && !errors.Is(err, notify.ErrUnheard):
			t.Errorf("%v", err)
		case (got.Action != "") != (got.ID != "" && got.Key != "" && got.By != ""), len([]rune(got.By)) > 80, strings.ContainsAny(got.By, "\n\r\x00"):
			t.Errorf("%+v", got)
		}
	})
}
