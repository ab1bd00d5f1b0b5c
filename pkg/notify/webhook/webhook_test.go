package webhook_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/notifytest"
	"github.com/irdaemon/irdaemon/pkg/notify/webhook"
)

const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	newSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// file writes content to a file of its own.
func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// request is what a peer heard.
type request struct {
	address string
	header  http.Header
	body    []byte
}

// peer is a RoundTripper that hears requests and answers 204.
type peer struct{ heard []request }

func (p *peer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	p.heard = append(p.heard, request{r.URL.String(), r.Header.Clone(), body})
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
}

func TestConformance(t *testing.T) {
	notifytest.Run(t, notifytest.Case{
		New: func(t *testing.T, address string) notify.Receiver {
			return webhook.New(webhook.Config{URLFile: file(t, address+"?token=canary-in-the-query\n"), SigningSecretFile: file(t, newSecret)})
		},
		Read: func(t *testing.T, _ notify.Message, r *http.Request, body []byte) []notifytest.Seen {
			var d webhook.Document
			if err := json.Unmarshal(body, &d); err != nil {
				t.Error(err)
			}
			if r.URL.RawQuery != "token=canary-in-the-query" {
				t.Errorf("query %q", r.URL.RawQuery)
			}
			seen := []notifytest.Seen{{Key: d.Data.DedupKey, Ended: d.Type == "incident.resolved"}}
			if d.Data.EndsKey != "" {
				seen = append(seen, notifytest.Seen{Key: d.Data.EndsKey, Ended: true})
			}
			return seen
		},
		Secrets: []string{"canary-in-the-query", newSecret, strings.TrimPrefix(newSecret, "whsec_")},
	})
}

func TestTheReferenceLibraryVerifiesTheSignature(t *testing.T) {
	tests := map[string]struct {
		file  string
		valid []string
	}{
		"one secret": {newSecret + "\n", []string{newSecret}},
		"two secrets while one replaces the other": {"  " + newSecret + "\n" + oldSecret + " \n", []string{newSecret, oldSecret}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := &peer{}
			m := notifytest.Page()
			m.SentAt = time.Now()
			receiver := webhook.New(webhook.Config{URL: "http://hook", SigningSecretFile: file(t, test.file), Transport: p})
			if result := receiver.Deliver(t.Context(), m); result.Outcome != notify.Delivered {
				t.Fatalf("%+v", result)
			}
			for _, secret := range test.valid {
				oracle, err := standardwebhooks.NewWebhook(secret)
				if err != nil {
					t.Fatal(err)
				}
				if err := oracle.Verify(p.heard[0].body, p.heard[0].header); err != nil {
					t.Errorf("%v", err)
				}
				if err := oracle.Verify(append(p.heard[0].body, ' '), p.heard[0].header); !errors.Is(err, standardwebhooks.ErrNoMatchingSignature) {
					t.Errorf("a body that was tampered with: %v", err)
				}
			}
		})
	}
}

func TestEachAttemptHasItsOwnTimeAndTheSameID(t *testing.T) {
	p := &peer{}
	receiver := webhook.New(webhook.Config{URL: "http://hook", SigningSecretFile: file(t, newSecret), Transport: p})
	first, again := notifytest.Page(), notifytest.Page()
	again.SentAt, again.Resent = again.SentAt.Add(time.Minute), true
	receiver.Deliver(t.Context(), first)
	receiver.Deliver(t.Context(), again)
	a, b := p.heard[0].header, p.heard[1].header
	if a.Get("webhook-id") != first.ID || b.Get("webhook-id") != first.ID || a.Get("Idempotency-Key") != first.ID {
		t.Errorf("ids %q and %q, want %q", a.Get("webhook-id"), b.Get("webhook-id"), first.ID)
	}
	if want := strconv.FormatInt(again.SentAt.Unix(), 10); b.Get("webhook-timestamp") != want || a.Get("webhook-timestamp") == want {
		t.Errorf("times %q and %q, want the second to be %q", a.Get("webhook-timestamp"), b.Get("webhook-timestamp"), want)
	}
	if a.Get("webhook-signature") == b.Get("webhook-signature") {
		t.Error("the second attempt was not signed anew")
	}
}

func TestASecretThatWasReplacedIsUsedAtOnce(t *testing.T) {
	p := &peer{}
	secret, address := file(t, oldSecret), file(t, "http://hook/old")
	receiver := webhook.New(webhook.Config{URLFile: address, SigningSecretFile: secret, Transport: p})
	for name, content := range map[string]string{secret: newSecret, address: "http://hook/new\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := notifytest.Page()
	receiver.Deliver(t.Context(), m)
	oracle, err := standardwebhooks.NewWebhook(newSecret)
	if err != nil {
		t.Fatal(err)
	}
	if err := oracle.VerifyIgnoringTimestamp(p.heard[0].body, p.heard[0].header); err != nil {
		t.Error(err)
	}
	if p.heard[0].address != "http://hook/new" {
		t.Errorf("posted to %s", p.heard[0].address)
	}
}

func TestWithoutASecretFileTheMessageIsUnsigned(t *testing.T) {
	p := &peer{}
	webhook.New(webhook.Config{URL: "http://hook", Transport: p}).Deliver(t.Context(), notifytest.Page())
	if got := p.heard[0].header; got.Get("webhook-signature") != "" || got.Get("webhook-id") == "" {
		t.Errorf("header %v", got)
	}
}

func TestWithASecretThatCanNotBeUsedNothingIsSent(t *testing.T) {
	for name, content := range map[string]string{
		"empty":             " \n",
		"without prefix":    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"not base64":        "whsec_%canary%",
		"prefix alone":      "whsec_",
		"second one broken": newSecret + " whsec_!",
	} {
		t.Run(name, func(t *testing.T) {
			p := &peer{}
			result := webhook.New(webhook.Config{URL: "http://hook", SigningSecretFile: file(t, content), Transport: p}).Deliver(t.Context(), notifytest.Page())
			if result.Outcome != notify.Retry || len(p.heard) != 0 || !strings.Contains(result.Detail, "whsec_ followed by base64") || strings.Contains(result.Detail, "canary") {
				t.Errorf("%+v, sent %d", result, len(p.heard))
			}
		})
	}
	p := &peer{}
	result := webhook.New(webhook.Config{URL: "http://hook", SigningSecretFile: "no/such/file", Transport: p}).Deliver(t.Context(), notifytest.Page())
	if result.Outcome != notify.Retry || len(p.heard) != 0 || !strings.Contains(result.Detail, "no/such/file") {
		t.Errorf("missing file: %+v, sent %d", result, len(p.heard))
	}
}

func TestTheDocumentIsWhatTheContractSays(t *testing.T) {
	p := &peer{}
	receiver := webhook.New(webhook.Config{URL: "http://hook", Transport: p})
	for _, m := range []notify.Message{
		notifytest.Page(), notifytest.Escalation(), notifytest.End(), {Kind: incident.DeliverNotice}, notifytest.Acknowledge(), notifytest.Progress(),
	} {
		receiver.Deliver(t.Context(), m)
	}
	for i, want := range []string{
		"incident.page", "incident.page", "incident.resolved", "incident.notice", "incident.acknowledged", "incident.updated",
	} {
		var d map[string]any
		if err := json.Unmarshal(p.heard[i].body, &d); err != nil {
			t.Fatal(err)
		}
		data := d["data"].(map[string]any)
		if _, ok := data["reasons"].([]any); !ok || d["type"] != want {
			t.Errorf("type %v, reasons %v; want %s and a list", d["type"], data["reasons"], want)
		}
	}
	var d map[string]any
	if err := json.Unmarshal(p.heard[0].body, &d); err != nil {
		t.Fatal(err)
	}
	data := d["data"].(map[string]any)
	if d["timestamp"] != "2026-11-23T14:10:00Z" || data["dedup_key"] != "irdaemon/production/3f1c9a0d5b7e2a44/1" ||
		data["round"] != 1.0 || data["step"] != 0.0 || data["resent"] != false ||
		data["drill"] != false || data["acknowledge_url"] != nil || data["digest"] != nil || data["digested"] != nil ||
		data["message"].(map[string]any)["title"] != "SEV2 The safety layer refuses good users" ||
		data["incident"].(map[string]any)["number"] != 42.0 {
		t.Errorf("%s", p.heard[0].body)
	}
}

func TestADigestListsItsIncidents(t *testing.T) {
	p := &peer{}
	m := notifytest.Digest()
	m.Drill, m.AcknowledgeURL = true, "https://irdaemon.example/acknowledge/x"
	webhook.New(webhook.Config{URL: "http://hook", Transport: p}).Deliver(t.Context(), m)
	var d webhook.Document
	if err := json.Unmarshal(p.heard[0].body, &d); err != nil {
		t.Fatal(err)
	}
	data := d.Data
	if d.Type != "incident.page" || data.DedupKey != m.Key || data.Digested != 500 || len(data.Digest) != 50 || !data.Drill || data.AcknowledgeURL != m.AcknowledgeURL {
		t.Errorf("%+v", data)
	}
	second := data.Digest[1]
	if second.ID != m.Digest[1].ID || second.Number != 43 || second.Severity != "sev2" || second.State != incident.Triggered ||
		second.URL != "http://irdaemon.example/incidents/43" || len([]rune(second.Headline)) != 301 {
		t.Errorf("%+v", second)
	}
}

func TestALongIncidentStaysASmallDocument(t *testing.T) {
	p := &peer{}
	m := notifytest.Page()
	for i := range 500 {
		m.Incident.Timeline = append(m.Incident.Timeline, incident.TimelineEntry{Seq: int64(i + 1), Kind: "noted", Text: strings.Repeat("ä", 5000)})
		m.Incident.Updates = append(m.Incident.Updates, incident.UpdateView{Text: strings.Repeat("ä", 5000)})
		m.Incident.Actions = append(m.Incident.Actions, incident.ActionView{Title: "support prompt"})
		m.Incident.Segments = append(m.Incident.Segments, incident.SegmentView{Signal: "refusal_rate"})
	}
	webhook.New(webhook.Config{URL: "http://hook", Transport: p}).Deliver(t.Context(), m)
	if size := len(p.heard[0].body); size > 40_000 {
		t.Errorf("%d bytes, want at most 40 kB", size)
	}
	var d webhook.Document
	if err := json.Unmarshal(p.heard[0].body, &d); err != nil {
		t.Fatal(err)
	}
	if newest := d.Data.Incident.Timeline[len(d.Data.Incident.Timeline)-1].Seq; newest != 500 {
		t.Errorf("the newest entry is %d, want 500", newest)
	}
	if len([]rune(m.Incident.Timeline[499].Text)) != 5000 {
		t.Error("the message itself was cut")
	}
}
