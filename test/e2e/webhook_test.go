//go:build e2e

package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// receiverMood is how a webhook receiver answers.
type receiverMood int

const (
	accepts receiverMood = iota
	answers503
	refuses // for good
	neverAnswers
)

// webhookReceiver is a receiver of signed webhooks. It refuses what is not signed with its secret, judged by the
// reference implementation of Standard Webhooks.
type webhookReceiver struct {
	server *httptest.Server
	secret string
	closed chan struct{}

	mutex      sync.Mutex
	mood       receiverMood
	deliveries []delivery // those accepted, and those turned away by the mood
}

// delivery is one request that arrived.
type delivery struct {
	at       time.Time
	id       string // webhook-id: what a receiver recognizes a repetition by
	accepted bool
	payload
}

// payload is the body of the daemon's webhooks.
type payload struct {
	Type      string    `json:"type"` // incident.page, incident.notice or incident.resolved
	Timestamp time.Time `json:"timestamp"`
	Data      struct {
		DedupKey string `json:"dedup_key"`
		EndsKey  string `json:"ends_key"`
		Resent   bool   `json:"resent"`
		Drill    bool   `json:"drill"`
		// AcknowledgeURL is the signed link of a page.
		AcknowledgeURL string `json:"acknowledge_url"`
		Digest         []struct {
			ID       string `json:"id"`
			Severity string `json:"severity"`
		} `json:"digest"`
		Digested int      `json:"digested"`
		Round    int      `json:"round"`
		Reasons  []string `json:"reasons"`
		Message  struct {
			Title string `json:"title"`
			Text  string `json:"text"`
		} `json:"message"`
		Incident incident `json:"incident"`
	} `json:"data"`
}

func startWebhookReceiver(t testing.TB) *webhookReceiver {
	t.Helper()
	w := &webhookReceiver{
		secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of the end-to-end tests")),
		closed: make(chan struct{}),
	}
	verifier, err := standardwebhooks.NewWebhook(w.secret)
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender went away in the middle
		}
		arrived := delivery{at: time.Now(), id: r.Header.Get(standardwebhooks.HeaderWebhookID)}
		if err := verifier.Verify(body, r.Header); err != nil {
			t.Errorf("a webhook that does not verify: %v: %s", err, body)
		}
		if err := json.Unmarshal(body, &arrived.payload); err != nil {
			t.Errorf("a webhook that is no JSON: %v: %s", err, body)
		}
		w.take(answer, r, arrived)
	}))
	t.Cleanup(func() {
		close(w.closed)
		w.server.Close()
	})
	return w
}

func (w *webhookReceiver) take(answer http.ResponseWriter, r *http.Request, arrived delivery) {
	w.mutex.Lock()
	mood := w.mood
	arrived.accepted = mood == accepts
	w.deliveries = append(w.deliveries, arrived)
	w.mutex.Unlock()
	switch mood {
	case answers503:
		http.Error(answer, "out for lunch", http.StatusServiceUnavailable)
	case refuses:
		http.Error(answer, "nobody of this name lives here", http.StatusBadRequest)
	case neverAnswers:
		select {
		case <-r.Context().Done():
		case <-w.closed:
		}
	}
}

func (w *webhookReceiver) set(mood receiverMood) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.mood = mood
}

// got lists the accepted deliveries of a type, in the order of arrival.
func (w *webhookReceiver) got(kind string) []delivery {
	return w.list(func(d delivery) bool { return d.accepted && d.Type == kind })
}

// turnedAway lists the deliveries of a type that the mood refused.
func (w *webhookReceiver) turnedAway(kind string) []delivery {
	return w.list(func(d delivery) bool { return !d.accepted && d.Type == kind })
}

func (w *webhookReceiver) list(wanted func(delivery) bool) []delivery {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var found []delivery
	for _, d := range w.deliveries {
		if wanted(d) {
			found = append(found, d)
		}
	}
	return found
}

// waitFor waits for the first accepted delivery of a type.
func (w *webhookReceiver) waitFor(t testing.TB, kind string, within time.Duration) delivery {
	t.Helper()
	return eventually(t, within, "a webhook of type "+kind, func() (delivery, error) {
		if found := w.got(kind); len(found) > 0 {
			return found[0], nil
		}
		return delivery{}, errNotYet
	})
}
