package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// Problem is an RFC 9457 problem document. Allowed says what is possible instead.
type Problem struct {
	huma.ErrorModel
	Allowed []string `json:"allowed,omitempty" nullable:"false" doc:"What is possible instead."`
}

func newProblem(status int, detail string, allowed ...string) *Problem {
	return &Problem{
		ErrorModel: huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail},
		Allowed:    allowed,
	}
}

// writeProblem answers a request that no operation of the API took.
func writeProblem(w http.ResponseWriter, problem *Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.Status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(problem) // the client is gone; there is nobody to tell
}

// explain turns an error of the Desk into the problem that the client is told. What a client cannot do anything
// about goes to the log alone.
func explain(ctx context.Context, ref string, err error, log *zap.Logger) error {
	var refusal *incident.Refusal
	var problem *Problem
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &refusal):
		return newProblem(http.StatusConflict, refusal.Reason, allowedInstead(refusal)...)
	case errors.Is(err, incident.ErrNotFound):
		return newProblem(http.StatusNotFound, "there is no incident "+quoteShort(ref),
			"an id or a number, such as 42", "GET /api/v1/incidents lists them")
	case errors.Is(err, incident.ErrKeyReused):
		return newProblem(http.StatusUnprocessableEntity,
			"this Idempotency-Key was used for another request", "a new key for a new request")
	case errors.Is(err, incident.ErrConflict):
		return newProblem(http.StatusConflict, "somebody else changed the incident at the same moment; nothing was written",
			"look at it again, then send the request again")
	case errors.Is(err, incident.ErrFenced):
		return newProblem(http.StatusServiceUnavailable, "another replica leads; nothing was written",
			"send the request again")
	case ctx.Err() != nil:
		return newProblem(http.StatusServiceUnavailable, "the request was given up before it was done", "send it again")
	}
	log.Error("request to the desk", zap.String("incident", quoteShort(ref)), zap.Error(err))
	return newProblem(http.StatusInternalServerError, "the daemon could not do it; its log says why")
}

func allowedInstead(refusal *incident.Refusal) []string {
	if refusal.Allowed == "" {
		return nil
	}
	return []string{refusal.Allowed}
}

// quoteShort shows what a client sent, so that no length and no control character of it matters.
func quoteShort(text string) string {
	const most = 40
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	return `"` + strings.Map(func(r rune) rune {
		if isShown(r) {
			return r
		}
		return '\uFFFD'
	}, text) + `"`
}
