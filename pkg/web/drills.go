package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// DrillFunc opens a practice incident of a runbook in force, for a group of it; an empty severity is the runbook's
// default. *incident.Refusal: a drill of the runbook is open.
type DrillFunc func(ctx context.Context, name string, group map[string]string, severity runbook.Severity, by string) (incident.View, error)

type drillBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	Runbook  reference             `json:"runbook" minLength:"1" maxLength:"200" doc:"A runbook in force." example:"good-users-refused"`
	Group    map[string]labelValue `json:"group,omitempty" maxProperties:"20" doc:"Labels of its group_by."`
	Severity string                `json:"severity,omitempty" enum:"sev1,sev2,sev3,sev4" doc:"The runbook's default where it is left out."`
}

type drillInput struct {
	Once
	Body drillBody
}

// drills are practice.
type drills struct {
	open     DrillFunc
	overview Overview
	first    *firstAnswers
	log      *zap.Logger
}

func (s *drills) drill(ctx context.Context, in *drillInput) (*incidentOutput, error) {
	by, err := actor(ctx, in.Body.By)
	if err != nil {
		return nil, err
	}
	name, group := string(in.Body.Runbook), labelsOf(in.Body.Group)
	if err := checkGroup(s.overview, name, group); err != nil {
		return nil, err
	}
	view, err := doOnce(ctx, s.first, in.idempotency(by, in.Body, "drill"), func() (incident.View, error) {
		return s.open(ctx, name, group, runbook.Severity(in.Body.Severity), by)
	})
	if err != nil {
		return nil, explain(ctx, "", err, s.log)
	}
	return &incidentOutput{Body: withoutNulls(view)}, nil
}

func registerDrills(api huma.API, config Config, first *firstAnswers) {
	s := &drills{open: config.Drill, overview: config.Overview, first: first, log: config.Log}
	huma.Register(api, needs(access.Respond, operation("open-drill", http.MethodPost, "/api/v1/drills",
		"Practice: open an incident that is none, with real calls", 400, 403, 409, 413, 415, 422, 500, 503)), s.drill)
}
