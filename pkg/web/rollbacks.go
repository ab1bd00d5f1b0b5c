package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// mostLooks is how many may look at what would be sent at a time: each look asks the service behind a connector.
const mostLooks = 8

type rollbackBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	Step     reference  `json:"step,omitempty" minLength:"1" maxLength:"200" doc:"A step of the rollback stack: its name, or its artifact where no other step has that. Either step or mitigate is required." example:"prompt"`
	Mitigate reference  `json:"mitigate,omitempty" minLength:"1" maxLength:"1000" doc:"The title of a mitigation of the runbook."`
	To       reference  `json:"to,omitempty" minLength:"1" maxLength:"200" doc:"The version to go back to. Left out: the one before the last change." example:"prompt-v6"`
	From     reference  `json:"from,omitempty" minLength:"1" maxLength:"200" doc:"The version now. Where another one is known to run, nothing is done." example:"prompt-v7"`
	ByHand   bool       `json:"by_hand,omitempty" doc:"A person did it: it is recorded, and nothing is sent. What the runbook has no action for is always taken so."`
	At       *time.Time `json:"at,omitempty" doc:"When a person did it, not before impact began. Left out: now."`
	Digest   reference  `json:"digest,omitempty" minLength:"1" maxLength:"128" doc:"Of what was looked at. If the request or the version now is another one, nothing is done."`
}

type approveBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	Action reference `json:"action" minLength:"1" maxLength:"64" doc:"Id of the action that waits for approval." example:"1"`
	Digest reference `json:"digest,omitempty" minLength:"1" maxLength:"128" doc:"Of what was looked at; as of a rollback."`
}

type rollbackInput struct {
	Write
	Body rollbackBody
}

type approveInput struct {
	Write
	Body approveBody
}

type stepInput struct {
	IncidentRef
	Step reference `path:"step" maxLength:"200" doc:"A step of the rollback stack: its name, or its artifact where no other step has that." example:"prompt"`
	To   reference `query:"to" maxLength:"200" doc:"The version to go back to. Left out: the one before the last change."`
}

type mitigationInput struct {
	IncidentRef
	Title reference `path:"title" maxLength:"1000" doc:"Of a mitigation of the runbook."`
}

type preparedOutput struct{ Body Prepared }

// rollbacks are the operations that change something outside, or show what would be changed.
type rollbacks struct {
	*incidents
	planner Planner
	first   *firstAnswers
	looks   chan struct{}
}

// showStep says what a step would do.
func (s *rollbacks) showStep(ctx context.Context, in *stepInput) (*preparedOutput, error) {
	return s.look(ctx, in.ID, deed{step: string(in.Step), to: string(in.To)})
}

// showMitigation says what a mitigation would do.
func (s *rollbacks) showMitigation(ctx context.Context, in *mitigationInput) (*preparedOutput, error) {
	return s.look(ctx, in.ID, deed{mitigate: string(in.Title)})
}

func (s *rollbacks) look(ctx context.Context, ref string, d deed) (*preparedOutput, error) {
	select {
	case s.looks <- struct{}{}:
		defer func() { <-s.looks }()
	default:
		return nil, newProblem(http.StatusTooManyRequests, "too many look at what would be sent", "again in a few seconds")
	}
	view, err := s.desk.View(ctx, ref)
	if err == nil {
		d, err = d.in(view, http.StatusNotFound, "")
	}
	if err == nil {
		err = stillOpen(view)
	}
	var prepared Prepared
	switch {
	case err != nil:
	case d.people:
		prepared = Prepared{Step: d.step, Title: d.step, From: d.from, To: d.to}
	default:
		prepared, err = s.prepare(ctx, view, d)
	}
	if err != nil {
		return nil, explain(ctx, ref, err, s.log)
	}
	notNil(&prepared.Warnings)
	return &preparedOutput{Body: prepared}, nil
}

// request runs a rollback or a mitigation, or records what a person did. Under a key it is prepared once: the second time
// what it changed would look like another change.
func (s *rollbacks) request(ctx context.Context, in *rollbackInput) (*incidentOutput, error) {
	by, err := actor(ctx, in.Body.author())
	if err == nil {
		err = in.Body.check()
	}
	if err != nil {
		return nil, err
	}
	once := in.idempotency(by, in.Body, "rollbacks", strings.TrimPrefix(in.ID, "#"))
	view, err := doOnce(ctx, s.first, once, func() (incident.View, error) {
		command, err := s.command(ctx, in.ID, in.Body, by)
		if err != nil {
			return incident.View{}, err
		}
		return s.desk.Command(ctx, in.ID, command, once)
	})
	return s.answer(ctx, in.ID, view, err)
}

// check finds what a request cannot mean.
func (b rollbackBody) check() error {
	switch {
	case (b.Step == "") == (b.Mitigate == ""):
		return invalid("it is not clear what is asked for", "body.step", "expected either step or mitigate",
			"step: a step of the rollback stack", "mitigate: the title of a mitigation")
	case b.Mitigate != "" && (b.To != "" || b.From != ""):
		return invalid("a mitigation has no versions", "body.to", "expected to and from with a step alone", "to and from left out")
	case !b.ByHand && b.At != nil:
		return invalid("at is when a person did it", "body.at", "expected with by_hand alone", "by_hand: true", "at left out")
	case b.ByHand && b.Digest != "":
		return invalid("nothing is sent for what a person did", "body.digest", "expected without by_hand alone", "digest left out", "by_hand left out")
	}
	return nil
}

// command is what the Desk is to decide.
func (s *rollbacks) command(ctx context.Context, ref string, b rollbackBody, by string) (incident.Command, error) {
	view, err := s.desk.View(ctx, ref)
	if err != nil {
		return nil, err
	}
	d := deed{step: string(b.Step), mitigate: string(b.Mitigate), from: string(b.From), to: string(b.To)}
	if d, err = d.in(view, http.StatusUnprocessableEntity, "body."); err != nil {
		return nil, err
	}
	if b.ByHand || d.people {
		return d.byHand(by, b.At), sameDigest(string(b.Digest), Prepared{})
	}
	if err := stillOpen(view); err != nil {
		return nil, err
	}
	p, err := s.prepare(ctx, view, d)
	if err != nil {
		return nil, err
	}
	if err := b.looksAt(p); err != nil {
		return nil, err
	}
	if !p.HasAction() {
		return d.byHand(by, nil), nil
	}
	if err := proven(ctx, p); err != nil {
		return nil, err
	}
	return incident.Request{By: by, Step: d.step, Mitigate: d.mitigate, From: cmp.Or(p.From, d.from), To: p.To, Digest: p.Digest}, nil
}

// looksAt refuses what is not what the caller looked at.
func (b rollbackBody) looksAt(p Prepared) error {
	if b.From != "" && p.From != "" && string(b.From) != p.From {
		return newProblem(http.StatusConflict, fmt.Sprintf("the version now is %s, not %s", quoteShort(p.From), quoteShort(string(b.From))), lookAgain)
	}
	return sameDigest(string(b.Digest), p)
}

const lookAgain = "look at what would be sent, then send that digest"

// sameDigest refuses what is not what was looked at, where that is said.
func sameDigest(looked string, p Prepared) error {
	if looked == "" || looked == p.Digest {
		return nil
	}
	return newProblem(http.StatusConflict, "the request or the version now changed since you looked; nothing was done", lookAgain)
}

// proven refuses what two people must want where nobody proves who they are: one person could be both.
func proven(ctx context.Context, p Prepared) error {
	if p.Approval != runbook.ApprovalTwoPerson || IdentityOf(ctx).Name != "" {
		return nil
	}
	return newProblem(http.StatusForbidden, quoteShort(p.Title)+" needs two people, and nothing is configured here that could prove who somebody is",
		"web.tokens_file, users in web.config_file, or web.user_header with web.trusted_proxies", "do it by hand and say so: by_hand")
}

// approve is a second person's approval. What is approved is prepared anew: it counts for what would be sent now.
func (s *rollbacks) approve(ctx context.Context, in *approveInput) (*incidentOutput, error) {
	by, err := actor(ctx, in.Body.author())
	if err != nil {
		return nil, err
	}
	once := in.idempotency(by, in.Body, "approve", strings.TrimPrefix(in.ID, "#"))
	view, err := doOnce(ctx, s.first, once, func() (incident.View, error) {
		command, err := s.approval(ctx, in.ID, in.Body, by)
		if err != nil {
			return incident.View{}, err
		}
		return s.desk.Command(ctx, in.ID, command, once)
	})
	return s.answer(ctx, in.ID, view, err)
}

func (s *rollbacks) approval(ctx context.Context, ref string, b approveBody, by string) (incident.Command, error) {
	view, err := s.desk.View(ctx, ref)
	if err != nil {
		return nil, err
	}
	command := incident.Approve{By: by, Action: string(b.Action), Digest: string(b.Digest)}
	at := slices.IndexFunc(view.Actions, func(a incident.ActionView) bool { return a.ID == command.Action })
	if at < 0 || view.Actions[at].State != "requested" {
		return command, nil // the Desk says why it waits for nobody
	}
	p, err := s.prepare(ctx, view, deedOf(view.Actions[at]))
	if err != nil {
		return nil, err
	}
	if err := proven(ctx, p); err != nil {
		return nil, err
	}
	command.Digest = p.Digest
	return command, sameDigest(string(b.Digest), p)
}

// prepare has a deed prepared; the view is of the incident.
func (s *rollbacks) prepare(ctx context.Context, view incident.View, d deed) (Prepared, error) {
	switch {
	case s.planner == nil:
		return Prepared{}, newProblem(http.StatusConflict, "this daemon performs no actions", "do it by hand and say so: by_hand")
	case d.mitigate != "":
		return s.planner.PrepareMitigation(ctx, view.ID, d.mitigate)
	}
	return s.planner.Prepare(ctx, view.ID, d.step, d.to)
}

// stillOpen refuses what changes something for an incident that is over.
func stillOpen(view incident.View) error {
	if text.Open(view) {
		return nil
	}
	return newProblem(http.StatusConflict, fmt.Sprintf("#%s is %s: nothing is changed for it any more", view.Ref(), view.State),
		"reopen it first, if it is not over")
}

// deed is a step of the rollback stack or a mitigation.
type deed struct {
	step, mitigate string
	from, to       string // versions of a step: as said, else those of the plan
	people         bool   // the runbook has no action for the step
}

func deedOf(a incident.ActionView) deed {
	if a.Step == "" {
		return deed{mitigate: a.Title}
	}
	return deed{step: a.Step, to: a.To}
}

// in finds a deed in the runbooks of an incident, and names the step in full. What there is not is a problem with the
// status; the place is where it was said.
func (d deed) in(view incident.View, status int, place string) (deed, error) {
	wrong := func(detail, field string, names []string, none string) error {
		suggestion := triggers.Suggest(d.step+d.mitigate, names, none)
		problem := newProblem(status, detail, suggestion)
		if place != "" {
			problem.Errors = []*huma.ErrorDetail{{Location: place + field, Message: suggestion}}
		}
		return problem
	}
	if d.mitigate != "" {
		var titles []string
		for _, m := range view.Mitigations {
			titles = append(titles, m.Title)
		}
		if slices.Contains(titles, d.mitigate) {
			return d, nil
		}
		return d, wrong("the runbook has no mitigation "+quoteShort(d.mitigate), "mitigate", titles, "it has none")
	}
	var names []string
	var named, ofArtifact []incident.RollbackView
	for _, step := range view.Rollbacks {
		names = append(names, step.Name)
		if step.Name == d.step {
			named = append(named, step)
		}
		if step.Artifact == d.step {
			ofArtifact = append(ofArtifact, step)
		}
	}
	switch {
	case len(named) > 0:
		return d.of(named[0]), nil
	case len(ofArtifact) == 1:
		return d.of(ofArtifact[0]), nil
	}
	return d, wrong("the rollback stack has no step "+quoteShort(d.step), "step", names, "it has none")
}

// of fills in what the plan has of a step.
func (d deed) of(step incident.RollbackView) deed {
	d.step, d.from, d.to, d.people = step.Name, cmp.Or(d.from, step.From), cmp.Or(d.to, step.To), !step.Runs
	return d
}

// byHand says that a person did it.
func (d deed) byHand(by string, at *time.Time) incident.Command {
	var done time.Time
	if at != nil {
		done = at.UTC()
	}
	if d.mitigate != "" {
		return incident.Mitigate{By: by, Title: d.mitigate, At: done}
	}
	return incident.RolledBack{By: by, Step: d.step, From: d.from, To: d.to, At: done}
}

func registerRollbacks(api huma.API, config Config, first *firstAnswers) {
	s := &rollbacks{
		incidents: &incidents{desk: config.Desk, log: config.Log, now: config.Now},
		planner:   config.Planner, first: first, looks: make(chan struct{}, mostLooks),
	}
	const below = "/api/v1/incidents/{id}/"
	huma.Register(api, needs(access.Read, waits(operation("show-rollback", http.MethodGet, below+"rollbacks/{step}",
		"What a step of the rollback stack would do, without doing it", 404, 409, 422, 429, 500, 503))), s.showStep)
	huma.Register(api, needs(access.Read, waits(operation("show-mitigation", http.MethodGet, below+"mitigations/{title}",
		"What a mitigation would do, without doing it", 404, 409, 422, 429, 500, 503))), s.showMitigation)
	huma.Register(api, needs(access.Respond, waits(operation("roll-back", http.MethodPost, below+"rollbacks",
		"Have a rollback or a mitigation done, or say that it was done by hand", writeErrors...))), s.request)
	huma.Register(api, needs(access.Respond, waits(operation("approve-action", http.MethodPost, below+"approve",
		"Approve, as a second person, what another one asked for", writeErrors...))), s.approve)
}
