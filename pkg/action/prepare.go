package action

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Prepared is what would be done, in full, so that a person can approve it.
type Prepared struct {
	Step     string // of the rollback stack
	Mitigate string // title of a mitigation; one of both
	Title    string // for people
	From, To string // versions; empty: not known
	Request  string // as it is sent, but for credentials; empty: the runbook has no action for it, a person does it
	Observed string // what is set now; empty: nothing to see it by, or it could not be seen
	Already  bool   // it is set already: nothing needs to be sent
	Digest   string // names the request and what is set now: what is approved
	Approval string // owner, none, two_person
	Touches  *float64
	Warnings []string // what should be known before
}

// CallOf is the call of a runbook's action.
func CallOf(a *runbook.Action) Call { return Call{Action: a, ContentType: a.ContentType} }

// Prepare says what a step of the rollback stack would do, without doing it; the live version is looked at. ref is the
// incident's id or number, step a name or an artifact, to a version; empty: the one before the last change.
//
// incident.ErrNotFound: there is no such incident. *incident.Refusal: it can't be done as things stand.
func (e *Executor) Prepare(ctx context.Context, ref, step, to string) (Prepared, error) {
	r, err := e.openRecord(ctx, ref)
	if err != nil {
		return Prepared{}, err
	}
	planned, err := planned(r, step)
	if err != nil {
		return Prepared{}, err
	}
	p, err := find(r, planned.Name(), "")
	if err != nil {
		return Prepared{}, err
	}
	prepared := Prepared{
		Step: planned.Name(), Title: planned.Name(), From: planned.From, To: cmp.Or(to, planned.To), Approval: planned.Approval,
	}
	if to != "" && planned.To != "" && to != planned.To {
		prepared.warn("%s is not the version before the last change, which is %s", to, planned.To)
	}
	if prepared.To != "" && prepared.To == prepared.From {
		prepared.warn("%s is the version that runs, as far as the change log knows", prepared.To)
	}
	if len(planned.Touches) > 0 && e.config.Touches != nil {
		prepared.Touches = e.config.Touches(ctx, r, planned.Touches)
	}
	return prepared, e.prepare(ctx, r, p, &prepared)
}

// PrepareMitigation is Prepare for a mitigation, by its title.
func (e *Executor) PrepareMitigation(ctx context.Context, ref, title string) (Prepared, error) {
	r, err := e.openRecord(ctx, ref)
	if err != nil {
		return Prepared{}, err
	}
	p, err := find(r, "", title)
	if err != nil {
		return Prepared{}, err
	}
	prepared := Prepared{Mitigate: title, Title: title, Approval: runbook.ApprovalOwner}
	for _, a := range p.approved {
		if !a.Until.IsZero() && e.config.Now().After(a.Until.AddDate(0, 0, 1)) {
			prepared.warn("the approval of %s was over on %s", a.Model, a.Until.Format(time.DateOnly))
		}
	}
	return prepared, e.prepare(ctx, r, p, &prepared)
}

// openRecord gives an incident that is open.
func (e *Executor) openRecord(ctx context.Context, ref string) (*incident.Record, error) {
	r, err := e.config.Records.Load(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("load incident: %w", err)
	}
	if !r.Open() {
		return nil, &incident.Refusal{Reason: fmt.Sprintf("%s is over", r), Allowed: "nothing is changed for it any more; reopen it first"}
	}
	return r, nil
}

// prepare renders the request and looks at what is live.
func (e *Executor) prepare(ctx context.Context, r *incident.Record, p part, prepared *Prepared) error {
	if p.action == nil {
		return nil
	}
	values := p.values(r, prepared.From, prepared.To)
	request, err := e.config.Connectors().Render(CallOf(p.action), values)
	if err != nil {
		return &incident.Refusal{Reason: fmt.Sprintf("the action of %s can't be made: %s", prepared.Title, err), Allowed: allowedInstead(values)}
	}
	seen, err := e.runner().Observe(ctx, request)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		prepared.warn("the live version can't be read: %s", err)
	}
	if why := e.barred(); why != "" {
		prepared.warn("nothing is sent: %s", why)
	}
	if sent := unanswered(r, prepared); sent != nil && p.action.Semantics != runbook.SemanticsSet {
		prepared.warn("action %s was sent at %s and never answered; this would start it again", sent.ID, incident.Clock(sent.StartedAt, e.config.Now()))
	}
	if request.Confirm == nil {
		prepared.warn("nothing reads back whether it took effect")
	}
	prepared.Request, prepared.Observed, prepared.Already = request.String(), seen.Seen, seen.Already
	prepared.Digest = request.Digest(seen.Seen)
	return nil
}

// unanswered is the last action of the same step or mitigation that was begun and never answered, nil for none.
func unanswered(r *incident.Record, prepared *Prepared) *incident.Action {
	for i := len(r.Actions) - 1; i >= 0; i-- {
		a := &r.Actions[i]
		same := a.Step == prepared.Step && a.Mitigate == prepared.Mitigate
		if same && !a.StartedAt.IsZero() && a.DoneAt.IsZero() && (a.InFlight() || a.Why == incident.FailedUnanswered) {
			return a
		}
	}
	return nil
}

// allowedInstead says what helps where a request can't be made.
func allowedInstead(values Values) string {
	if values.Previous == "" {
		return "name the version to go back to, or do it by hand and say so"
	}
	return "do it by hand, and say that it is done"
}

func (p *Prepared) warn(format string, arguments ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, arguments...))
}

// planned is a step of the plan by its name, or by its artifact where only one step has that.
func planned(r *incident.Record, name string) (incident.PlannedStep, error) {
	var names []string
	var byArtifact []incident.PlannedStep
	for _, step := range r.Plan() {
		if step.Name() == name {
			return step, nil
		}
		if step.Artifact == name {
			byArtifact = append(byArtifact, step)
		}
		names = append(names, step.Name())
	}
	if len(byArtifact) == 1 {
		return byArtifact[0], nil
	}
	return incident.PlannedStep{}, &incident.Refusal{
		Reason: fmt.Sprintf("the rollback stack has no step %q", name), Allowed: "its steps: " + strings.Join(names, ", "),
	}
}

// part is what an incident's runbooks have the daemon do for a step or a mitigation.
type part struct {
	action   *runbook.Action // nil: a person does it
	group    map[string]string
	approved []runbook.Approval
}

// values are what the templates of the part may take.
func (p part) values(r *incident.Record, from, to string) Values {
	return Values{Previous: to, Current: from, Service: r.Service, Group: p.group}
}

// find gives the step of that name, or the mitigation of that title, of the incident's runbooks.
func find(r *incident.Record, step, mitigate string) (part, error) {
	if s := r.StepCalled(step); s != nil {
		return part{action: s.Action, group: r.Findings[s.Finding].Group.Map()}, nil
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Snapshot == nil {
			continue
		}
		all := f.Snapshot.Runbook.Mitigate
		m := slices.IndexFunc(all, func(m runbook.Mitigation) bool { return mitigate != "" && m.Title == mitigate })
		if m >= 0 {
			return part{action: all[m].Action, group: f.Group.Map(), approved: all[m].Approved}, nil
		}
	}
	return part{}, &incident.Refusal{
		Reason: fmt.Sprintf("the runbooks have no %q", cmp.Or(step, mitigate)), Allowed: "a step of the rollback stack, or a mitigation",
	}
}
