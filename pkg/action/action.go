// Package action runs the HTTP action of a rollback or of a mitigation through its connector, guarded.
//
// A runbook says what to send, the settings say where to and what is allowed: a runbook names a connector and can't go
// around it. Values (the version to go back to, labels of the group) may come from a change event or a metric, so they
// are hostile until proved otherwise: each is encoded by its place, and none can break out of it.
//
// The package guarantees, of a request that it sends:
//   - it is the one that Request shows and that its digest names, to a method and path that the connector allows;
//   - it is sent at most once for each call of Do: no retries below, no reused connections, no redirects, no proxy;
//   - Unsent means that nothing left this machine. Whatever may have left and was not answered clearly is Unknown;
//   - no secret stands in a request's text, in an outcome or in an error.
//
// When to observe, send, repeat and confirm is not decided here: package incident does.
package action

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// attemptTimeout is how long one attempt, or one look at the present value, may take.
const attemptTimeout = 10 * time.Second

// Runner sends requests. It keeps no state between them and may be used by many at once.
type Runner struct {
	connectors Connectors
	timeout    time.Duration
}

// NewRunner makes a runner over the connectors of the settings.
func NewRunner(connectors Connectors) *Runner {
	return &Runner{connectors: connectors, timeout: attemptTimeout}
}

// Observation is what an action would change, as it is now.
type Observation struct {
	Seen    string // what the answer holds at the places that confirm.expect names, as JSON; empty: nothing to see it by
	Already bool   // the answer holds all that is expected: nothing needs to be sent, the action counts as done
}

// ErrNoConfirm says that an action names nothing by which its effect could be read back.
var ErrNoConfirm = errors.New("the action has no confirm: nothing to read its effect by")

// Observe looks at what the action would change, before anybody approved it. So it sends only a GET: where confirm is
// anything else, or there is none, nothing is observed. An error says why the present value could not be read; it is
// neither "already set" nor "not set".
func (r *Runner) Observe(ctx context.Context, request *Request) (Observation, error) {
	if request.Confirm == nil || request.Confirm.Method != http.MethodGet {
		return Observation{}, nil
	}
	already, seen, err := r.Confirm(ctx, request)
	return Observation{Seen: seen, Already: already}, err
}

// Confirm reads back whether the action took effect where it was sent: the answer must hold all that is expected. That
// traffic follows is another matter, which the runbook's effective condition sees to. seen is as of Observation.
func (r *Runner) Confirm(ctx context.Context, request *Request) (confirmed bool, seen string, err error) {
	if request.Confirm == nil {
		return false, "", ErrNoConfirm
	}
	what := request.Confirm.Method + " " + request.Confirm.URL
	connector, err := r.connectors.admit(request.Connector, request.Confirm.Method, request.Confirm.URL)
	if err != nil {
		return false, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	answer := connector.send(ctx, message{method: request.Confirm.Method, url: request.Confirm.URL})
	switch {
	case answer.err != nil:
		return false, "", fmt.Errorf("%s: %w", what, answer.err)
	case answer.status < 200 || answer.status > 299:
		return false, "", fmt.Errorf("%s: %s", what, answer.inWords())
	case answer.cut != nil:
		return false, "", fmt.Errorf("%s: %w", what, answer.cut)
	}
	tree, err := readJSON(answer.body)
	if err != nil {
		return false, "", fmt.Errorf("%s: %w", what, err)
	}
	return contains(tree, request.Confirm.Expect), show(project(tree, request.Confirm.places)), nil
}

// Do makes one attempt. attempt is its id, and the request's Idempotency-Key: the caller has written it down before.
func (r *Runner) Do(ctx context.Context, request *Request, attempt string) Outcome {
	connector, err := r.connectors.admit(request.Connector, request.Method, request.URL)
	if err != nil {
		return Outcome{State: Refused, Reason: err.Error()}
	}
	if attempt == "" || !printable(attempt) {
		return Outcome{State: Refused, Reason: "the attempt has no id that a header could carry"}
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	return judge(connector.send(ctx, message{
		method: request.Method, url: request.URL,
		contentType: request.ContentType, body: request.Body, attempt: attempt,
	}))
}

// judge says what an answer means for the action.
func judge(a answer) Outcome {
	var barred *barredError
	switch {
	case errors.As(a.err, &barred):
		return Outcome{State: Refused, Reason: barred.Error()}
	case a.err != nil && !a.sent:
		return Outcome{State: Unsent, Reason: a.err.Error()}
	case a.err != nil:
		return Outcome{State: Unknown, Reason: a.err.Error()}
	}
	o := Outcome{Status: a.status, Reason: a.inWords(), RetryAfter: retryAfter(a.header)}
	switch a.status {
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		o.State = Refused
		o.Reason = statusWords(a.status) + ": redirects are not followed; the connector's url must be the final address"
	case http.StatusConflict, http.StatusPreconditionFailed:
		o.State = Refused
		o.Reason = "conflict, something else changes it: " + o.Reason
	case http.StatusRequestTimeout: // a proxy in between may say so of a request that went on to its goal
		o.State = Unknown
	default:
		o.State = stateOf(a.status)
	}
	if o.State == Applied {
		o.Reason = ""
	}
	return o
}

// stateOf says what a status means. Other redirects (302, 303) are how some services answer a form that they took, and
// a 5xx may come from in between, or after the deed: both prove nothing.
func stateOf(status int) State {
	switch {
	case status >= 200 && status < 300:
		return Applied
	case status >= 400 && status < 500:
		return Refused
	default:
		return Unknown
	}
}

func statusWords(status int) string {
	if text := http.StatusText(status); text != "" {
		return strconv.Itoa(status) + " " + text
	}
	return strconv.Itoa(status)
}
