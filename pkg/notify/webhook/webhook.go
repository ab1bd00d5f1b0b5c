// Package webhook posts messages as JSON, signed as Standard Webhooks say.
//
// webhook-id names the delivery and is the same in all its attempts: who keeps the ids that it has seen handles each
// message once. webhook-timestamp is the time of the attempt.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/httpclient"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Config says where to post and how to sign. The files are read at each attempt, so a secret is rotated by writing it.
type Config struct {
	URL     string // where the address is no secret
	URLFile string // where it is: a file that holds it; used when URL is empty
	// SigningSecretFile holds one or more secrets (whsec_ and base64), separated by white space: the message is signed
	// with each, so that old and new are both valid while a receiver changes over. Empty: the message is not signed.
	SigningSecretFile string
	Timeout           time.Duration // of an attempt; 0: 10 s

	Transport http.RoundTripper // for tests; nil: the usual one
}

// Receiver posts to one webhook.
type Receiver struct {
	config Config
	client *httpclient.Client
}

var _ notify.Receiver = (*Receiver)(nil)

// New makes a receiver.
func New(config Config) *Receiver {
	if config.Timeout == 0 {
		config.Timeout = 10 * time.Second
	}
	if config.Transport == nil {
		config.Transport = httpclient.Transport()
	}
	return &Receiver{config: config, client: httpclient.New(config.Transport)}
}

// Deliver implements notify.Receiver.
func (r *Receiver) Deliver(ctx context.Context, m notify.Message) notify.Result {
	body, err := json.Marshal(document(m))
	if err != nil {
		return notify.Result{Outcome: notify.Refused, Detail: "encode the message: " + err.Error()}
	}
	address, err := r.address()
	if err != nil {
		return notify.Result{Outcome: notify.Retry, Detail: err.Error()}
	}
	header := http.Header{}
	header.Set("Webhook-Id", m.ID)
	header.Set("Webhook-Timestamp", strconv.FormatInt(m.SentAt.Unix(), 10))
	header.Set("Idempotency-Key", m.ID)
	if r.config.SigningSecretFile != "" {
		signature, err := r.sign(m.ID, m.SentAt, body)
		if err != nil {
			return notify.Result{Outcome: notify.Retry, Detail: err.Error()}
		}
		header.Set("Webhook-Signature", signature)
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	result, _ := r.client.Post(ctx, address, header, body)
	if result.Status == http.StatusGone {
		result.Detail += ": the endpoint wants no more messages"
	}
	return result
}

// Carries implements notify.Receiver.
func (r *Receiver) Carries() incident.Carries {
	return incident.Carries{Notices: true, Acknowledgements: true, Progress: true}
}

func (r *Receiver) address() (string, error) {
	if r.config.URL != "" {
		return r.config.URL, nil
	}
	content, err := os.ReadFile(r.config.URLFile)
	if err != nil {
		return "", fmt.Errorf("read the address: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// sign reads the secrets and signs with each. A file that can't be used now is no reason to send unsigned, nor to give
// up: it may be just being replaced.
func (r *Receiver) sign(id string, at time.Time, body []byte) (string, error) {
	content, err := os.ReadFile(r.config.SigningSecretFile)
	if err != nil {
		return "", fmt.Errorf("read the signing secret: %w", err)
	}
	secrets, err := decodeSecrets(string(content))
	if err != nil {
		return "", fmt.Errorf("read the signing secret: %w", err)
	}
	return signature(secrets, id, at, body), nil
}

// Document is the body of a request.
type Document struct {
	Type      string    `json:"type"`      // incident.page, incident.acknowledged, incident.updated, incident.resolved or incident.notice
	Timestamp time.Time `json:"timestamp"` // when it was decided to send it
	Data      Data      `json:"data"`
}

// Data is what a document says.
type Data struct {
	// DedupKey is the same for all calls of a round and for its end.
	DedupKey string `json:"dedup_key"`
	// EndsKey is the key of the round before, which ends with this one's first page.
	EndsKey  string        `json:"ends_key,omitempty"`
	Round    int           `json:"round"`
	Step     int           `json:"step"`
	Reasons  []string      `json:"reasons"` // why the round began: opened, raised, relapsed, …
	Resent   bool          `json:"resent"`  // an earlier attempt may have arrived
	Drill    bool          `json:"drill"`   // practice: nothing is broken
	Message  Text          `json:"message"`
	Incident incident.View `json:"incident"`
	// AcknowledgeURL is a page with a button by which a person takes the incident; missing where nobody is called.
	AcknowledgeURL string `json:"acknowledge_url,omitempty"`
	// Digest are the incidents that a storm put into this one document, the worst first, and Digested is how many there
	// are, for the list is cut. Missing: the document is about incident alone; else that is the first of them.
	Digest   []Listed `json:"digest,omitempty"`
	Digested int      `json:"digested,omitempty"`
}

// Listed is an incident of a digest; the API has the rest.
type Listed struct {
	ID       string           `json:"id"`
	Number   int64            `json:"number"`
	Severity runbook.Severity `json:"severity"`
	State    incident.State   `json:"state"`
	Headline string           `json:"headline"`
	URL      string           `json:"url"`
}

// Text is for people: a first line, and the rest.
type Text struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

var types = map[string]string{
	incident.DeliverPage:   "incident.page",
	incident.DeliverEnd:    "incident.resolved",
	incident.DeliverNotice: "incident.notice",

	incident.DeliverAcknowledge: "incident.acknowledged",
	incident.DeliverProgress:    "incident.updated",
}

func document(m notify.Message) Document {
	reasons := m.Causes
	if reasons == nil {
		reasons = []string{}
	}
	return Document{
		Type:      types[m.Kind],
		Timestamp: m.CreatedAt.UTC(),
		Data: Data{
			DedupKey: m.Key, EndsKey: m.EndsKey, Round: m.Round, Step: m.Step,
			Reasons: reasons, Resent: m.Resent, Drill: m.Drill, AcknowledgeURL: m.AcknowledgeURL,
			Message: Text{Title: m.Title, Text: m.Text}, Incident: brief(m.Incident),
			Digest: list(m.Digest), Digested: m.Digested,
		},
	}
}

func list(views []incident.View) []Listed {
	var all []Listed
	for _, v := range views {
		all = append(all, Listed{ID: v.ID, Number: v.Number, Severity: v.Severity, State: v.State, Headline: cut(v.Headline), URL: v.URL})
	}
	return all
}

// cut shortens a text that may be of any length.
func cut(text string) string {
	const runes = 300
	if long := []rune(text); len(long) > runes {
		return string(long[:runes]) + "…"
	}
	return text
}

// brief cuts what may grow without end, for many endpoints refuse a large document, and that would be a lost page. The
// newest of the timeline, the updates and the actions, and the first of the segments stay; the API has all.
func brief(view incident.View) incident.View {
	const entries, segments = 20, 20
	view.Timeline = slices.Clone(view.Timeline[max(0, len(view.Timeline)-entries):])
	for i, entry := range view.Timeline {
		view.Timeline[i].Text = cut(entry.Text)
	}
	view.Segments = view.Segments[:min(segments, len(view.Segments))]
	view.Updates = slices.Clone(view.Updates[max(0, len(view.Updates)-entries):])
	for i, update := range view.Updates {
		view.Updates[i].Text = cut(update.Text)
	}
	view.Actions = view.Actions[max(0, len(view.Actions)-entries):]
	return view
}
