package pagerduty

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/notify"
)

const (
	webhookBytes   = 256 << 10 // PagerDuty sends none that is longer
	heardNameBytes = 200
	heardIDBytes   = 255
)

// envelope is what the bodies of all V3 webhooks have in common.
type envelope struct {
	Event struct {
		ID   string `json:"id"`
		Type string `json:"event_type"`
	} `json:"event"`
}

// change is the body of those that tell a change of an incident.
type change struct {
	Event struct {
		Agent agent `json:"agent"`
		Data  struct {
			IncidentKey string `json:"incident_key"` // null, where the incident holds several alerts
		} `json:"data"`
	} `json:"event"`
}

// agent is who did it: a person, an integration, a service whose timeout was over; or nobody is named.
type agent struct {
	Type    string `json:"type"`
	Summary string `json:"summary"`
}

func (a agent) person() bool { return a.Type == "user_reference" || a.Type == "user" }

// integration tells that an event did it, and for an alert of ours that is one of ours: PagerDuty takes none that comes
// through another integration.
func (a agent) integration() bool { return strings.HasSuffix(a.Type, "integration_reference") }

var actions = map[string]string{
	"incident.acknowledged":   notify.HeardAcknowledge,
	"incident.unacknowledged": notify.HeardUnacknowledge,
	"incident.resolved":       notify.HeardResolve,
}

// Hear implements notify.Answerer. An error that is neither ErrSignature nor ErrUnheard is one of the secret's file:
// PagerDuty may send it again. Nothing in a webhook says when it was sent, so only the ID, which the signature covers,
// tells one that is heard again.
func (r *Receiver) Hear(header http.Header, body []byte, _ time.Time) (notify.Heard, error) {
	if err := r.verify(header.Values("X-PagerDuty-Signature"), body); err != nil {
		return notify.Heard{}, err
	}
	if len(body) > webhookBytes {
		return notify.Heard{}, fmt.Errorf("%w: %d bytes, more than the %d that PagerDuty sends at most", notify.ErrUnheard, len(body), webhookBytes)
	}
	var about envelope
	if err := json.Unmarshal(body, &about); err != nil {
		return notify.Heard{}, fmt.Errorf("%w: %w", notify.ErrUnheard, err)
	}
	if id := about.Event.ID; about.Event.Type == "" || id == "" || len(id) > heardIDBytes {
		return notify.Heard{}, fmt.Errorf("%w: event.id or event.event_type is missing or too long", notify.ErrUnheard)
	}
	action, concerns := actions[about.Event.Type]
	if !concerns { // its data may be of any kind
		return notify.Heard{}, nil
	}
	var told change
	if err := json.Unmarshal(body, &told); err != nil {
		return notify.Heard{}, fmt.Errorf("%w: %w", notify.ErrUnheard, err)
	}
	return told.heard(about.Event.ID, action), nil
}

// heard says what a change asks for.
func (c change) heard(id, action string) notify.Heard {
	by, key := c.Event.Agent, c.Event.Data.IncidentKey
	// When a service's timeout resolved it nobody has it; that nobody has it any more is true whoever says so.
	counts := by.person() || (action == notify.HeardUnacknowledge && !by.integration())
	if key == "" || !counts {
		return notify.Heard{}
	}
	return notify.Heard{ID: id, Key: key, Action: action, By: cmp.Or(oneLine(by.Summary, heardNameBytes), "PagerDuty")}
}

// verify looks for a signature of the body by one of the secrets.
func (r *Receiver) verify(headers []string, body []byte) error {
	if r.config.WebhookSecretFile == "" {
		return notify.ErrSignature
	}
	secrets, err := readLines(r.config.WebhookSecretFile)
	if err != nil {
		return fmt.Errorf("read the webhook secret: %w", err)
	}
	if len(secrets) == 0 {
		return fmt.Errorf("read the webhook secret: %s is empty", r.config.WebhookSecretFile)
	}
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		want := mac.Sum(nil)
		for signature := range strings.SplitSeq(strings.Join(headers, ","), ",") {
			encoded, v1 := strings.CutPrefix(strings.TrimSpace(signature), "v1=")
			got, err := hex.DecodeString(encoded)
			if v1 && err == nil && hmac.Equal(got, want) {
				return nil
			}
		}
	}
	return notify.ErrSignature
}
