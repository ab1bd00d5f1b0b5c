package slack

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/notify"
)

const (
	// tolerance is how far the clock of a request may be from ours: one that was overheard can't be sent again later.
	tolerance = 5 * time.Minute
	nameRunes = 80
)

// interaction is what somebody did with a message.
type interaction struct {
	Type string `json:"type"`
	User struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Username string `json:"username"`
	} `json:"user"`
	TriggerID string `json:"trigger_id"`
	Actions   []struct {
		Type     string `json:"type"`
		ActionID string `json:"action_id"`
		Value    string `json:"value"`
		ActionTS string `json:"action_ts"`
	} `json:"actions"`
}

// Hear implements notify.Answerer. An error that is neither ErrSignature nor ErrUnheard is one of the secret's file.
// The payload is taken from the body alone, for that is all that the signature covers; url.ParseQuery sees nothing else.
func (r *Receiver) Hear(header http.Header, body []byte, now time.Time) (notify.Heard, error) {
	if err := r.verify(header, body, now); err != nil {
		return notify.Heard{}, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return notify.Heard{}, fmt.Errorf("%w: the body is no form", notify.ErrUnheard)
	}
	switch payloads := len(form["payload"]); {
	case payloads == 0: // a look whether anybody is there (ssl_check), or a command
		return notify.Heard{}, nil
	case payloads > 1:
		return notify.Heard{}, fmt.Errorf("%w: the form has %d payloads, not one", notify.ErrUnheard, payloads)
	}
	var did interaction
	if err := json.Unmarshal([]byte(form["payload"][0]), &did); err != nil {
		return notify.Heard{}, fmt.Errorf("%w: the payload is not JSON of the form that an interaction has", notify.ErrUnheard)
	}
	return did.heard()
}

// heard says what an interaction asks for; a button that is a link is told too, and asks for nothing.
func (did interaction) heard() (notify.Heard, error) {
	if did.Type != "block_actions" {
		return notify.Heard{}, nil
	}
	for _, action := range did.Actions {
		if action.Type != "button" || action.ActionID != actionAcknowledge {
			continue
		}
		click := cmp.Or(action.ActionTS, did.TriggerID)
		by := cmp.Or(oneLine(did.User.Name, nameRunes), oneLine(did.User.Username, nameRunes), oneLine(did.User.ID, nameRunes))
		if action.Value == "" || len([]rune(action.Value)) > valueRunes || click == "" || by == "" {
			return notify.Heard{}, fmt.Errorf("%w: a click without a value, a time or a user", notify.ErrUnheard)
		}
		sum := sha256.Sum256([]byte(click + "\x00" + did.User.ID + "\x00" + action.Value))
		return notify.Heard{
			ID: hex.EncodeToString(sum[:16]), Key: unescape.Replace(action.Value), Action: notify.HeardAcknowledge, By: by,
		}, nil
	}
	return notify.Heard{}, nil
}

// unescape undoes what Slack does to some texts on their way back.
var unescape = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">")

// verify looks for a signature of the time and the body by one of the secrets.
func (r *Receiver) verify(header http.Header, body []byte, now time.Time) error {
	if r.config.SigningSecretFile == "" {
		return notify.ErrSignature
	}
	secrets, err := readLines(r.config.SigningSecretFile)
	if err != nil {
		return fmt.Errorf("read the signing secret: %w", err)
	}
	if len(secrets) == 0 {
		return fmt.Errorf("read the signing secret: %s is empty", r.config.SigningSecretFile)
	}
	said := header.Get("X-Slack-Request-Timestamp")
	sent, err := strconv.ParseInt(said, 10, 64)
	if err != nil {
		return notify.ErrSignature
	}
	if sent < now.Add(-tolerance).Unix() || sent > now.Add(tolerance).Unix() {
		return notify.ErrSignature
	}
	encoded, v0 := strings.CutPrefix(header.Get("X-Slack-Signature"), "v0=")
	got, err := hex.DecodeString(encoded)
	if !v0 || err != nil {
		return notify.ErrSignature
	}
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte("v0:" + said + ":"))
		mac.Write(body)
		if hmac.Equal(got, mac.Sum(nil)) {
			return nil
		}
	}
	return notify.ErrSignature
}
