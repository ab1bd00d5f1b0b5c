package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// IncidentList is a page of incidents.
type IncidentList struct {
	Incidents []incident.View `json:"incidents" nullable:"false" doc:"Newest first. Timelines are left empty here; ask for the incident itself."`
	Next      string          `json:"next" doc:"Give it as after for the next page; empty on the last page."`
}

type listInput struct {
	State    string `query:"state" enum:"open,triggered,acknowledged,mitigating,verifying,resolved,closed,dismissed,all" doc:"A state, or open: neither resolved, closed nor dismissed. Default: all."`
	Runbook  string `query:"runbook" maxLength:"200" doc:"Name of a runbook."`
	Severity string `query:"severity" enum:"sev1,sev2,sev3,sev4"`
	After    string `query:"after" maxLength:"18" pattern:"^-?[0-9]+$" patternDescription:"the next of the page before" doc:"The next of the page before."`
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Self     bool   `query:"self" doc:"The daemon's own troubles alone; else they are left out."`
}

type listOutput struct{ Body IncidentList }

// IncidentRef is an incident in a path. It is exported, as Write is, because huma looks into exported fields alone.
type IncidentRef struct {
	ID string `path:"id" maxLength:"64" doc:"The incident's id or number (42 or #42)." example:"42"`
}

type incidentOutput struct{ Body incident.View }

// incidents are the operations on incidents.
type incidents struct {
	desk Desk
	log  *zap.Logger
	now  func() time.Time
}

func (s *incidents) list(ctx context.Context, in *listInput) (*listOutput, error) {
	filter := incident.Filter{
		State: in.State, Runbook: in.Runbook, Severity: runbook.Severity(in.Severity), After: in.After, Limit: in.Limit,
		Self: in.Self,
	}
	if in.State == "all" {
		filter.State = ""
	}
	views, next, err := s.desk.List(ctx, filter)
	if err != nil {
		return nil, explain(ctx, "", err, s.log)
	}
	page := IncidentList{Incidents: make([]incident.View, 0, len(views)), Next: next}
	for _, view := range views {
		page.Incidents = append(page.Incidents, withoutNulls(view))
	}
	return &listOutput{Body: page}, nil
}

func (s *incidents) show(ctx context.Context, in *IncidentRef) (*incidentOutput, error) {
	view, err := s.desk.View(ctx, in.ID)
	return s.answer(ctx, in.ID, view, err)
}

func (s *incidents) answer(ctx context.Context, ref string, view incident.View, err error) (*incidentOutput, error) {
	if err != nil {
		return nil, explain(ctx, ref, err, s.log)
	}
	return &incidentOutput{Body: withoutNulls(view)}, nil
}

// withoutNulls makes empty lists of those that are null: whoever loops over them need not ask.
func withoutNulls(view incident.View) incident.View {
	notNil(&view.Findings)
	notNil(&view.Segments)
	notNil(&view.Recovery)
	notNil(&view.Triage)
	notNil(&view.Mitigations)
	notNil(&view.Rollbacks)
	notNil(&view.Suspects)
	notNil(&view.Excluded)
	notNil(&view.Unchanged)
	notNil(&view.Artifacts)
	notNil(&view.Actions)
	notNil(&view.Updates)
	notNil(&view.Timeline)
	notNil(&view.Postmortem.Questions)
	if view.Group == nil {
		view.Group = map[string]string{}
	}
	return view
}

func notNil[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

func (s *incidents) register(api huma.API) {
	huma.Register(api, needs(access.Read, operation("list-incidents", http.MethodGet, "/api/v1/incidents", "Incidents and drills, or the daemon's own troubles, newest first", 422, 500)), s.list)
	huma.Register(api, needs(access.Read, operation("show-incident", http.MethodGet, "/api/v1/incidents/{id}",
		"An incident with its timeline", 404, 422, 500)), s.show)
	registerCommands(s, api)
}
