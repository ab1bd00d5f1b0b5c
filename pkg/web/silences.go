package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Silences is where silences are kept.
type Silences interface {
	// Silences gives those that are not over, newest first.
	Silences(ctx context.Context) ([]incident.Silence, error)
	// AddSilence names a silence and keeps it. *incident.Refusal: something is missing or not allowed.
	AddSilence(ctx context.Context, silence incident.Silence) (incident.Silence, error)
	// EndSilence ends one before its time. incident.ErrNoSilence: there is none with that id.
	EndSilence(ctx context.Context, id, by string) (incident.Silence, error)
}

var _ Silences = (*incident.Desk)(nil)

// SilenceStatus is a silence and what it does at the moment.
type SilenceStatus struct {
	incident.Silence
	InForce   bool       `json:"in_force"`
	HoldsBack []HeldBack `json:"holds_back" nullable:"false" doc:"The open incidents for which nobody is called because of it, or of others beside it."`
}

// HeldBack is an incident for which nobody is called now.
type HeldBack struct {
	Incident string   `json:"incident"`
	Number   int64    `json:"number"`
	Causes   []string `json:"causes" doc:"For a call, when the silence is over."`
}

// SilenceList is all silences that are not over.
type SilenceList struct {
	Silences []SilenceStatus `json:"silences" nullable:"false" doc:"Those that begin last come first."`
}

type silenceBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	Runbook reference             `json:"runbook" minLength:"1" maxLength:"200" doc:"A runbook in force." example:"good-users-refused"`
	Group   map[string]labelValue `json:"group,omitempty" maxProperties:"20" doc:"Labels of its group_by that a group must have. Left out: every group."`
	UpTo    string                `json:"up_to,omitempty" enum:"sev1,sev2,sev3,sev4" doc:"The worst severity that is held back; what is worse calls all the same. sev3 where it is left out."`
	Reason  plainText             `json:"reason" minLength:"1" maxLength:"1000" doc:"What is planned." example:"The index is rebuilt."`
	From    *time.Time            `json:"from,omitempty" doc:"Left out: now."`
	Until   *time.Time            `json:"until,omitempty" doc:"At most 7 days after from. Either until or for is required."`
	For     span                  `json:"for,omitempty" minLength:"1" maxLength:"32" doc:"How long it lasts; the same as until." example:"2h"`
}

type addSilenceInput struct {
	Once
	Body silenceBody
}

type endSilenceInput struct {
	ID reference `path:"id" maxLength:"64" doc:"The silence's id."`
	By person    `query:"by" maxLength:"100" doc:"Who ends it: whoever is authenticated, and then it may be left out. Where nobody is, it is required."`
}

type (
	silenceOutput  struct{ Body SilenceStatus }
	silencesOutput struct{ Body SilenceList }
)

// silences are the operations on silences.
type silences struct {
	kept     Silences
	desk     Desk
	overview Overview
	first    *firstAnswers
	log      *zap.Logger
	now      func() time.Time
}

func (s *silences) list(ctx context.Context, _ *struct{}) (*silencesOutput, error) {
	all, err := s.kept.Silences(ctx)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	open, err := s.silenced(ctx)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	out := &silencesOutput{Body: SilenceList{Silences: []SilenceStatus{}}}
	for _, silence := range all {
		out.Body.Silences = append(out.Body.Silences, s.status(silence, open))
	}
	return out, nil
}

// silenced gives the open incidents for which a call is held back.
func (s *silences) silenced(ctx context.Context) ([]incident.View, error) {
	var held []incident.View
	filter := incident.Filter{State: "open", Limit: 200}
	for {
		views, next, err := s.desk.List(ctx, filter)
		if err != nil {
			return nil, err
		}
		for _, view := range views {
			if len(view.Silenced) > 0 {
				held = append(held, view)
			}
		}
		if next == "" {
			return held, nil
		}
		filter.After = next
	}
}

// status says what a silence does now.
func (s *silences) status(silence incident.Silence, held []incident.View) SilenceStatus {
	status := SilenceStatus{Silence: silence, InForce: silence.In(s.now()), HoldsBack: []HeldBack{}}
	for _, view := range held {
		if status.InForce && covers(silence, view) {
			status.HoldsBack = append(status.HoldsBack, HeldBack{Incident: view.ID, Number: view.Number, Causes: view.Silenced})
		}
	}
	return status
}

// covers tells whether a silence names a finding of an incident, at its severity.
func covers(silence incident.Silence, view incident.View) bool {
	if view.Severity.Worse(silence.UpTo) {
		return false
	}
	for _, finding := range view.Findings {
		if finding.Runbook == silence.Runbook && within(silence.Group, finding.Group) {
			return true
		}
	}
	return false
}

func within(wanted, group map[string]string) bool {
	for label, value := range wanted {
		if group[label] != value {
			return false
		}
	}
	return true
}

func (s *silences) add(ctx context.Context, in *addSilenceInput) (*silenceOutput, error) {
	by, err := actor(ctx, in.Body.By)
	if err != nil {
		return nil, err
	}
	silence, err := in.Body.silence(by, s.now().UTC())
	if err != nil {
		return nil, err
	}
	if err := checkGroup(s.overview, silence.Runbook, silence.Group); err != nil {
		return nil, err
	}
	kept, err := doOnce(ctx, s.first, in.idempotency(by, in.Body, "silence"), func() (incident.Silence, error) {
		return s.kept.AddSilence(ctx, silence)
	})
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	return &silenceOutput{Body: s.status(kept, nil)}, nil
}

// silence is what a request asks for.
func (b silenceBody) silence(by string, now time.Time) (incident.Silence, error) {
	silence := incident.Silence{
		Runbook: string(b.Runbook), Group: labelsOf(b.Group), UpTo: runbook.Severity(b.UpTo), Reason: b.Reason.plain(), By: by, From: now,
	}
	if b.From != nil {
		silence.From = b.From.UTC()
	}
	switch {
	case (b.Until == nil) == (b.For == ""):
		return silence, invalid("a silence has one end", "body.until", "expected either until or for", "until: a time", "for: a duration")
	case b.Until != nil:
		silence.Until = b.Until.UTC()
	default:
		silence.Until = silence.From.Add(b.For.duration())
	}
	return silence, nil
}

func (s *silences) end(ctx context.Context, in *endSilenceInput) (*silenceOutput, error) {
	by, err := actorNamed(ctx, in.By, "query.by")
	if err != nil {
		return nil, err
	}
	ended, err := s.kept.EndSilence(ctx, string(in.ID), by)
	if errors.Is(err, incident.ErrNoSilence) {
		return nil, newProblem(http.StatusNotFound, "there is no silence "+quoteShort(string(in.ID))+", or none any more", s.present(ctx))
	}
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	return &silenceOutput{Body: s.status(ended, nil)}, nil
}

// present names the silences that can be ended.
func (s *silences) present(ctx context.Context) string {
	const most = 10
	all, err := s.kept.Silences(ctx)
	if err != nil || len(all) == 0 || len(all) > most {
		return "GET /api/v1/silences lists them"
	}
	var ids []string
	for _, silence := range all {
		ids = append(ids, silence.ID+" ("+silence.Runbook+")")
	}
	return "one of: " + strings.Join(ids, ", ")
}

// explain is explain for silences: what is refused is what was sent, for there is no state that refuses it.
func (s *silences) explain(ctx context.Context, err error) error {
	var refusal *incident.Refusal
	if errors.As(err, &refusal) {
		return newProblem(http.StatusUnprocessableEntity, refusal.Reason, allowedInstead(refusal)...)
	}
	return explain(ctx, "", err, s.log)
}

func registerSilences(api huma.API, config Config, first *firstAnswers) {
	s := &silences{kept: config.Silences, desk: config.Desk, overview: config.Overview, first: first, log: config.Log, now: config.Now}
	huma.Register(api, needs(access.Read, operation("list-silences", http.MethodGet, "/api/v1/silences",
		"The silences that are not over, and what they hold back", 422, 500)), s.list)
	huma.Register(api, needs(access.Respond, operation("add-silence", http.MethodPost, "/api/v1/silences",
		"Hold back the calls of a runbook, or of a group of it, for planned work", 400, 403, 413, 415, 422, 500, 503)), s.add)
	huma.Register(api, needs(access.Respond, operation("end-silence", http.MethodDelete, "/api/v1/silences/{id}",
		"End a silence before its time: whoever would have been called, is", 403, 404, 422, 500, 503)), s.end)
}
