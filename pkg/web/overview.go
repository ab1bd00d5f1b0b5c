package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Overview is what is loaded and how it stands at the last tick. Its methods are safe for concurrent use.
type Overview interface {
	Runbooks() []RunbookStatus // by name
	Signals() []SignalStatus   // by name
}

// RunbookStatus is a runbook in force and the state of its trigger.
type RunbookStatus struct {
	Name    string        `json:"name"`
	Title   string        `json:"title"`
	Owner   string        `json:"owner" doc:"The one accountable role."`
	Service string        `json:"service,omitempty" doc:"Empty: the group's service label says it."`
	Groups  []GroupStatus `json:"groups" nullable:"false" doc:"One for each distinct value of the group_by labels; none before the first tick and where there are no data."`
}

// GroupStatus is the state of a runbook's trigger for a group.
type GroupStatus struct {
	Group    map[string]string `json:"group"`
	State    string            `json:"state" enum:"fires,elevated,clear,unknown" doc:"elevated: between firing and clear. unknown: blind, it neither fires nor clears."`
	Incident string            `json:"incident,omitempty" doc:"Id of the open incident that holds it."`
	Unknown  []UnknownWindow   `json:"unknown,omitempty" nullable:"false" doc:"What cannot be judged now."`
	Waiting  []string          `json:"waiting,omitempty" nullable:"false" doc:"What lasts past its limit, but on too few events to tell; with how many would be enough."`
}

// UnknownWindow is a condition or a recovery band that cannot be judged.
type UnknownWindow struct {
	What  string    `json:"what" doc:"The condition in words, or the band."`
	Since time.Time `json:"since" doc:"First tick of the run in which it is unknown."`
}

// SignalStatus is a signal in force and how its queries do.
type SignalStatus struct {
	Name     string      `json:"name"`
	Title    string      `json:"title"`
	Unit     string      `json:"unit"`
	Segments int         `json:"segments" doc:"Label sets that it had at its last answer."`
	Asked    bool        `json:"asked" doc:"Whether it is asked at each tick: triggers and rubrics always are, recovery only while an incident is open."`
	Query    QueryHealth `json:"query"`
	Probe    *Probe      `json:"probe,omitempty" doc:"What it answered when it was last tried out: at the start, and after each reload."`
}

// Probe is what a signal answered when it was tried out.
type Probe struct {
	At     time.Time `json:"at"`
	Series int       `json:"series" doc:"Of the expression that has the fewest; 0: whatever reads it cannot be judged."`
	Error  string    `json:"error,omitempty"`
}

// QueryHealth tells whether a signal's queries are answered. Error is empty while they are.
type QueryHealth struct {
	LastSuccess *time.Time `json:"last_success,omitempty" doc:"When all its queries were last answered."`
	Error       string     `json:"error,omitempty" doc:"Why the last one failed."`
	Since       *time.Time `json:"since,omitempty" doc:"First failure of this run of failures."`
}

type runbooksOutput struct {
	Body struct {
		Runbooks []RunbookStatus `json:"runbooks" nullable:"false"`
	}
}

type signalsOutput struct {
	Body struct {
		Signals []SignalStatus `json:"signals" nullable:"false"`
	}
}

func registerOverview(api huma.API, overview Overview) {
	huma.Register(api, operation("list-runbooks", http.MethodGet, "/api/v1/runbooks",
		"The runbooks in force and the state of their triggers", 422, 500),
		func(context.Context, *struct{}) (*runbooksOutput, error) {
			out := &runbooksOutput{}
			out.Body.Runbooks = overview.Runbooks()
			notNil(&out.Body.Runbooks)
			return out, nil
		})
	huma.Register(api, operation("list-signals", http.MethodGet, "/api/v1/signals",
		"The signals in force and whether their queries are answered", 422, 500),
		func(context.Context, *struct{}) (*signalsOutput, error) {
			out := &signalsOutput{}
			out.Body.Signals = overview.Signals()
			notNil(&out.Body.Signals)
			return out, nil
		})
}
