package web

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/changes"
)

// changeEventsPath is where PagerDuty's Events API v2 takes change events, so that a pipeline that sends these needs
// another host and another routing key alone.
const changeEventsPath = "/v2/change/enqueue"

// changeEvents takes change events in PagerDuty's shape and gives its answers.
//
// Senders of these can send a body and nothing else, so they say who they are by its routing_key: it is an API token with
// the scope change, the text itself. Where nothing is configured that could prove who calls, any routing key will do, as
// everybody may do everything then. A wrong one counts as a failed authentication.
type changeEvents struct {
	changeLog
	access   func() *access.Access
	failures *limits
}

// eventAnswer is what a sender is told.
type eventAnswer struct {
	Status  string   `json:"status"`
	Message string   `json:"message"`
	Errors  []string `json:"errors,omitempty"`
}

func addChangeEvents(mux *router, config Config, failures *limits) {
	if config.Changes == nil {
		return
	}
	e := &changeEvents{
		changeLog: changeLog{kept: config.Changes, log: config.Log, now: config.Now}, access: config.Access, failures: failures,
	}
	mux.HandleFunc("POST "+changeEventsPath, e.take)
}

// take keeps the change of an event.
func (e *changeEvents) take(w http.ResponseWriter, r *http.Request) {
	if !saysJSON(r.Header.Get("Content-Type")) {
		refuseType(w, r.Header.Get("Content-Type"))
		return
	}
	change, key, err := changes.PagerDuty(r.Body, e.now())
	wrong, refused := e.authenticate(w, r, key)
	if refused != nil {
		writeEvent(w, http.StatusTooManyRequests, eventAnswer{"throttle exceeded", refused.Detail, refused.Allowed})
		return
	}
	var problems changes.Invalid
	if errors.As(err, &problems) {
		for _, p := range problems {
			wrong = append(wrong, p.Field+": "+p.Wrong+"; "+p.Allowed)
		}
	} else if err != nil {
		wrong = append(wrong, "event: it could not be read whole")
	}
	if len(wrong) > 0 {
		writeEvent(w, http.StatusBadRequest, eventAnswer{"invalid event", "Event object is invalid", wrong})
		return
	}
	if _, err := e.kept.Report(r.Context(), change); err != nil {
		var problem *Problem
		if errors.As(e.explain(r.Context(), err), &problem) {
			writeProblem(w, problem)
		}
		return
	}
	writeEvent(w, http.StatusAccepted, eventAnswer{Status: "success", Message: "Change event processed"})
}

// authenticate says what is wrong with a routing key, nothing where its holder may report changes. refused: wrong keys came
// too often from this address.
func (e *changeEvents) authenticate(w http.ResponseWriter, r *http.Request, key string) (wrong []string, refused *Problem) {
	a := e.access()
	said := &http.Request{Method: r.Method, RemoteAddr: r.RemoteAddr, Header: http.Header{}}
	if key != "" {
		said.Header.Set("Authorization", "Bearer "+key)
	}
	who, err := a.Identify(said)
	switch {
	case errors.Is(err, access.ErrNoCredentials):
		return []string{"routing_key: missing; a token with the scope change, which irdaemon token makes"}, nil
	case err != nil:
		if wait, _ := e.failures.take(addressKey(a.ClientAddress(r)), e.now()); wait > 0 {
			return nil, tooMany(w, "routing keys from this address were wrong too often", wait)
		}
		return []string{"routing_key: it is no token in force here; a token with the scope change, which irdaemon token makes"}, nil
	}
	become(r.Context(), who)
	if !who.Scopes.Has(access.Change) {
		return []string{"routing_key: it is a token without the scope change; one that has it"}, nil
	}
	return nil, nil
}

func writeEvent(w http.ResponseWriter, status int, answer eventAnswer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(answer) // the sender is gone; there is nobody to tell
}
