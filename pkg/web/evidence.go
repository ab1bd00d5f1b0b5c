package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
)

// ErrGathering says that the incident's evidence is being gathered already.
var ErrGathering = errors.New("the evidence is being gathered already")

// EvidenceFunc gathers the evidence of an open incident's checklist again, and keeps it; ref is an id or a number.
// incident.ErrNotFound: no such incident is open. ErrGathering: it is under way.
type EvidenceFunc func(ctx context.Context, ref string) error

type evidenceInput struct {
	IncidentRef
	Body struct {
		_ struct{} `json:"-" additionalProperties:"false"`
	}
}

// registerEvidence adds that evidence is gathered again. It is no command: nothing that a person says is kept.
func registerEvidence(api huma.API, config Config) {
	huma.Register(api, needs(access.Respond, operation("gather-evidence", http.MethodPost, "/api/v1/incidents/{id}/evidence",
		"Look again at what the checklist is to be decided by", writeErrors...)),
		func(ctx context.Context, in *evidenceInput) (*incidentOutput, error) {
			switch err := config.Evidence(ctx, in.ID); {
			case errors.Is(err, ErrGathering):
				return nil, newProblem(http.StatusConflict, err.Error(), "look at the incident in a few seconds")
			case errors.Is(err, incident.ErrNotFound):
				return nil, newProblem(http.StatusNotFound, "there is no open incident "+quoteShort(in.ID), "GET /api/v1/incidents lists them")
			case err != nil && ctx.Err() == nil:
				config.Log.Error("gather evidence", zap.String("incident", quoteShort(in.ID)), zap.Error(err))
				return nil, newProblem(http.StatusInternalServerError, "the evidence could not be kept; the daemon's log says why")
			}
			view, err := config.Desk.View(ctx, in.ID)
			if err != nil {
				return nil, explain(ctx, in.ID, err, config.Log)
			}
			return &incidentOutput{Body: withoutNulls(view)}, nil
		})
}
