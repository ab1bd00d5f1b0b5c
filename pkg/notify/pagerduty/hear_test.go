package pagerduty_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/pagerduty"
)

const (
	oldSecret = "old-secret-of-the-subscription"
	newSecret = "gLLVJbYcKnhAXXuhr3iyvZlLsV8Xi5mk"
	key       = "irdaemon/production/3f1c9a0d5b7e2a44/1"

	// acknowledged is signed below by another program: printf %s "$body" | openssl dgst -sha256 -hmac "$secret"
	acknowledged = `{"event":{"id":"01BZYK5B3WC0QI62S87MJX7FCD","event_type":"incident.acknowledged","resource_type":"incident",` +
		`"occurred_at":"2026-11-23T14:12:24.185Z","agent":{"html_url":"https://acme.pagerduty.com/users/PLH1HKV","id":"PLH1HKV",` +
		`"self":"https://api.pagerduty.com/users/PLH1HKV","summary":"Alice Meyer","type":"user_reference"},"client":null,` +
		`"data":{"id":"PGR0VU2","type":"incident","number":2,"status":"acknowledged","incident_key":"irdaemon/production/3f1c9a0d5b7e2a44/1",` +
		`"title":"SEV2 Zoë’s bot refuses good users"}}}`
	signedByNew = "7b27558df7d30331ea97b676d7472badda47fddbd4dd8f0ee4889cb112b1ac1f"
	signedByOld = "141534c8f82be91087e8ed3cfbef074c9e050d699dc89371bb2f40db2394d9d5"
)

func hear(t testing.TB, secrets, signature, body string) (notify.Heard, error) {
	t.Helper()
	header := http.Header{}
	if signature != "" {
		header.Set("X-PagerDuty-Signature", signature)
	}
	return pagerduty.New(pagerduty.Config{WebhookSecretFile: file(t, secrets)}).Hear(header, []byte(body), time.Now())
}

func sign(body string) string {
	mac := hmac.New(sha256.New, []byte(newSecret))
	mac.Write([]byte(body))
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

func TestASignature(t *testing.T) {
	want := notify.Heard{ID: "01BZYK5B3WC0QI62S87MJX7FCD", Key: key, Action: notify.HeardAcknowledge, By: "Alice Meyer"}
	for name, test := range map[string]struct {
		secrets, signature, body string
		valid                    bool
	}{
		"of the secret is believed":                         {newSecret + "\n", "v1=" + signedByNew, acknowledged, true},
		"among several is believed":                         {newSecret, "v1=" + signedByOld + ", v1=" + signedByNew, acknowledged, true},
		"of either secret is believed while one is rotated": {newSecret + "\n\n" + oldSecret, "v1=" + signedByOld, acknowledged, true},
		"of a later version beside ours is passed over":     {newSecret, "v2=abc,v1=" + signedByNew, acknowledged, true},
		"of a secret that is gone is not":                   {newSecret, "v1=" + signedByOld, acknowledged, false},
		"of another body is not":                            {newSecret, "v1=" + signedByNew, acknowledged + " ", false},
		"of another version is not":                         {newSecret, "v2=" + signedByNew, acknowledged, false},
		"without a version is not":                          {newSecret, signedByNew, acknowledged, false},
		"that is cut is not":                                {newSecret, "v1=" + signedByNew[:32], acknowledged, false},
		"that is empty is not":                              {newSecret, "v1=", acknowledged, false},
		"that is missing is not":                            {newSecret, "", acknowledged, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := hear(t, test.secrets, test.signature, test.body)
			switch {
			case test.valid && (err != nil || fmt.Sprint(got) != fmt.Sprint(want)):
				t.Errorf("%+v, %v; want %+v", got, err, want)
			case !test.valid && (!errors.Is(err, notify.ErrSignature) || got.Action != ""):
				t.Errorf("%+v, %v; want it refused", got, err)
			}
		})
	}
}

func TestWithoutASecretNothingIsBelieved(t *testing.T) {
	// HMAC with the empty key, which anybody can make.
	mac := hmac.New(sha256.New, nil)
	mac.Write([]byte(acknowledged))
	signature := "v1=" + hex.EncodeToString(mac.Sum(nil))
	header := http.Header{"X-Pagerduty-Signature": {signature}}
	if _, err := pagerduty.New(pagerduty.Config{}).Hear(header, []byte(acknowledged), time.Now()); !errors.Is(err, notify.ErrSignature) {
		t.Errorf("no file: %v", err)
	}
	// The file may be just being replaced: no word about the signature, so that it is sent again.
	if _, err := hear(t, " \n\n", signature, acknowledged); err == nil || errors.Is(err, notify.ErrSignature) || errors.Is(err, notify.ErrUnheard) {
		t.Errorf("an empty file: %v", err)
	}
	gone := pagerduty.New(pagerduty.Config{WebhookSecretFile: "no/such/file"})
	if _, err := gone.Hear(header, []byte(acknowledged), time.Now()); err == nil || !strings.Contains(err.Error(), "no/such/file") || errors.Is(err, notify.ErrSignature) {
		t.Errorf("a missing file: %v", err)
	}
}

// told is the body of a change of an incident.
func told(eventType, agent, data string) string {
	return fmt.Sprintf(`{"event":{"id":"01BZYK","event_type":%q,"agent":%s,"client":{"name":"irdaemon"},"data":%s}}`, eventType, agent, data)
}

func TestWhatPeopleDoAtPagerDutyIsHeard(t *testing.T) {
	const (
		alice       = `{"type":"user_reference","summary":"Alice Meyer"}`
		integration = `{"type":"inbound_integration_reference","summary":"Events API V2"}`
		older       = `{"type":"events_api_v2_inbound_integration_reference","summary":"Events API V2"}`
		timeout     = `{"type":"service_reference","summary":"support-bot"}`
		data        = `{"type":"incident","incident_key":"` + key + `"}`
	)
	for name, test := range map[string]struct{ body, action, by string }{
		"an acknowledge":                            {told("incident.acknowledged", alice, data), notify.HeardAcknowledge, "Alice Meyer"},
		"an unacknowledge":                          {told("incident.unacknowledged", alice, data), notify.HeardUnacknowledge, "Alice Meyer"},
		"a resolve":                                 {told("incident.resolved", alice, data), notify.HeardResolve, "Alice Meyer"},
		"an acknowledgement that timed out":         {told("incident.unacknowledged", timeout, data), notify.HeardUnacknowledge, "support-bot"},
		"the same by nobody that is named":          {told("incident.unacknowledged", "null", data), notify.HeardUnacknowledge, "PagerDuty"},
		"somebody without a name":                   {told("incident.resolved", `{"type":"user_reference"}`, data), notify.HeardResolve, "PagerDuty"},
		"a name that would steer a terminal":        {told("incident.resolved", `{"type":"user_reference","summary":" Al\u001b[1mice\u202e\n Meyer\u0000 "}`, data), notify.HeardResolve, "Al[1mice Meyer"},
		"a name without end":                        {told("incident.resolved", `{"type":"user_reference","summary":"`+strings.Repeat("é", 500)+`"}`, data), notify.HeardResolve, strings.Repeat("é", 98) + "…"},
		"not our own acknowledge":                   {told("incident.acknowledged", integration, data), "", ""},
		"not our own resolve":                       {told("incident.resolved", older, data), "", ""},
		"not what our own trigger did":              {told("incident.unacknowledged", integration, data), "", ""},
		"not a resolve by a timeout: nobody has it": {told("incident.resolved", timeout, data), "", ""},
		"not an acknowledge by nobody":              {told("incident.acknowledged", "null", data), "", ""},
		"not an incident without a key":             {told("incident.acknowledged", alice, `{"incident_key":null}`), "", ""},
		"not one that has none at all":              {told("incident.acknowledged", alice, `{"id":"PGR0VU2"}`), "", ""},
		"not one without data":                      {told("incident.acknowledged", alice, `null`), "", ""},
		"not a trigger":                             {told("incident.triggered", integration, data), "", ""},
		"not a note":                                {told("incident.annotated", alice, `{"content":"hm"}`), "", ""},
		"not a test":                                {`{"event":{"id":"1","event_type":"pagey.ping","agent":null,"data":{"message":"Hello from your friend Pagey!","type":"ping"}}}`, "", ""},
		"not a type to come, whatever its data are": {`{"event":{"id":"1","event_type":"workflow.done","agent":"robot","data":[{"incident_key":7}]}}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := hear(t, newSecret, sign(test.body), test.body)
			want := notify.Heard{}
			if test.action != "" {
				want = notify.Heard{ID: "01BZYK", Key: key, Action: test.action, By: test.by}
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestWhatCanNotBeUnderstoodIsSaid(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":                   ``,
		"no JSON":                   `event`,
		"JSON of another kind":      `[]`,
		"more than one document":    acknowledged + acknowledged,
		"a document that is cut":    acknowledged[:200],
		"no event":                  `{}`,
		"an event without an id":    `{"event":{"event_type":"incident.acknowledged"}}`,
		"an event without a type":   `{"event":{"id":"1"}}`,
		"an id without end":         `{"event":{"event_type":"incident.acknowledged","id":"` + strings.Repeat("1", 256) + `"}}`,
		"an id that is a number":    `{"event":{"event_type":"incident.acknowledged","id":1}}`,
		"a key that is a number":    told("incident.acknowledged", `{"type":"user"}`, `{"incident_key":1}`),
		"an agent that is a text":   told("incident.acknowledged", `"Alice"`, `{}`),
		"more than PagerDuty sends": acknowledged + strings.Repeat(" ", 256<<10),
		"brackets without end":      strings.Repeat(`{"event":`, 20_000),
		"a type under another name": `{"event":{"id":"1","type":"incident.acknowledged"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := hear(t, newSecret, sign(body), body)
			if !errors.Is(err, notify.ErrUnheard) || got.Action != "" || err.Error() == notify.ErrUnheard.Error() {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func FuzzHear(f *testing.F) {
	f.Add(acknowledged, "v1="+signedByNew)
	f.Add(told("incident.resolved", `{"type":"user","summary":"\u202e"}`, `{"incident_key":"k"}`), "v1=,v1")
	f.Add(`{"event":{"id":"1","event_type":"pagey.ping"}}`, ",,v2=0")
	secret := file(f, newSecret)
	receiver := pagerduty.New(pagerduty.Config{WebhookSecretFile: secret})
	f.Fuzz(func(t *testing.T, body, signature string) {
		if !strings.Contains(strings.ToLower(signature), sign(body)[3:]) {
			header := http.Header{"X-Pagerduty-Signature": {signature}}
			if got, err := receiver.Hear(header, []byte(body), time.Time{}); !errors.Is(err, notify.ErrSignature) || got.Action != "" {
				t.Errorf("believed without a signature: %+v, %v", got, err)
			}
		}
		got, err := receiver.Hear(http.Header{"X-Pagerduty-Signature": {sign(body)}}, []byte(body), time.Time{})
		switch {
		case err != nil:
			if !errors.Is(err, notify.ErrUnheard) || got.Action != "" {
				t.Errorf("%+v, %v", got, err)
			}
		case got.Action == "":
			if got.ID+got.Key+got.By != "" {
				t.Errorf("nothing that says something: %+v", got)
			}
		default:
			unseen := strings.ContainsFunc(got.By, func(r rune) bool { return !unicode.IsPrint(r) })
			if got.ID == "" || got.Key == "" || got.By == "" || len(got.By) > 200 || unseen {
				t.Errorf("%+v", got)
			}
		}
	})
}
