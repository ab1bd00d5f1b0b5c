package web

import "context"

// Planner prepares what the runbooks have the daemon do, without doing it. Of steps only those are asked for that have an
// action. Its methods are safe for concurrent use.
//
// incident.ErrNotFound: there is no such incident. *incident.Refusal: it cannot be done as things stand, and what can
// instead: no version is known to go back to, the connector does not allow it, the runbook has no such step.
type Planner interface {
	// Prepare prepares a step of the rollback stack, by its name, for the version to; empty: the plan has none, and neither
	// said the caller.
	Prepare(ctx context.Context, incident, step, to string) (Prepared, error)
	// PrepareMitigation prepares a mitigation, by its title. One without an action has no Request.
	PrepareMitigation(ctx context.Context, incident, title string) (Prepared, error)
}

// Prepared is what would be done, in full, so that a person can approve it.
type Prepared struct {
	Step     string   `json:"step,omitempty" doc:"Of the rollback stack."`
	Mitigate string   `json:"mitigate,omitempty" doc:"Title of a mitigation; missing: a step."`
	Title    string   `json:"title" doc:"For people."`
	From     string   `json:"from,omitempty" doc:"The version now; missing: not known."`
	To       string   `json:"to,omitempty" doc:"The version after it."`
	Request  string   `json:"request,omitempty" doc:"What is sent, as it is sent, but for the credentials. Missing: the runbook has no action for it, a person does it."`
	Observed string   `json:"observed,omitempty" doc:"What is set now, as its service answered. Missing: the action names nothing to see it by, or it could not be seen."`
	Already  bool     `json:"already" doc:"It is set already: nothing needs to be sent."`
	Digest   string   `json:"digest,omitempty" doc:"Names the request and what is set now: what a person approves. Send it along, and nothing else is done than what was looked at."`
	Approval string   `json:"approval,omitempty" enum:"owner,none,two_person" doc:"two_person: somebody else has to approve it, within 15 minutes."`
	Touches  *float64 `json:"touches,omitempty" doc:"Share of the service's traffic that it affects; missing: not known."`
	Warnings []string `json:"warnings" nullable:"false" doc:"What should be known before: an approval of a fallback model that has expired, a dry run."`
}

// HasAction tells whether the runbook has the daemon do it.
func (p *Prepared) HasAction() bool { return p.Request != "" }
