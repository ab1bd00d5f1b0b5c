package web

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/triggers"
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
	GroupBy []string      `json:"group_by" nullable:"false" doc:"The labels that a group has."`
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
	Why   string    `json:"why,omitempty" doc:"What its baseline lacks: history, or events. Left out: points of now are missing."`
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

// RunbookList is a page of runbooks.
type RunbookList struct {
	Runbooks []RunbookStatus `json:"runbooks" nullable:"false"`
	Next     string          `json:"next" doc:"Give it as after for the next page; empty on the last page."`
}

// SignalList is a page of signals.
type SignalList struct {
	Signals []SignalStatus `json:"signals" nullable:"false"`
	Next    string         `json:"next" doc:"Give it as after for the next page; empty on the last page."`
}

type (
	runbooksOutput struct{ Body RunbookList }
	signalsOutput  struct{ Body SignalList }
)

// PageInput says which page of a list by name is wanted. It is exported because huma looks into exported fields alone.
type PageInput struct {
	After string `query:"after" maxLength:"200" doc:"The next of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"200"`
}

// page cuts a page out of all that there is, in the order of the names.
func page[T any](all []T, name func(T) string, in PageInput) (items []T, next string) {
	all = slices.SortedStableFunc(slices.Values(all), func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	items = []T{}
	for _, item := range all {
		switch {
		case in.After != "" && name(item) <= in.After:
		case len(items) == in.Limit:
			return items, name(items[len(items)-1])
		default:
			items = append(items, item)
		}
	}
	return items, ""
}

// registerOthers adds what is not about one incident, as far as the daemon offers it.
func registerOthers(api huma.API, config Config) {
	first := newFirstAnswers(config.Now)
	if config.Overview != nil {
		registerOverview(api, config.Overview)
	}
	if config.Silences != nil {
		registerSilences(api, config, first)
	}
	registerRollbacks(api, config, first)
	if config.Evidence != nil {
		registerEvidence(api, config)
	}
	if config.Changes != nil {
		registerChanges(api, config, first)
	}
	if config.Receivers != nil {
		registerReceivers(api, config, first)
	}
	if config.Drill != nil {
		registerDrills(api, config, first)
	}
	if config.Backup != nil {
		registerBackup(api, config)
	}
	if config.Feed != nil {
		registerEvents(api, config)
	}
}

func registerOverview(api huma.API, overview Overview) {
	huma.Register(api, needs(access.Read, operation("list-runbooks", http.MethodGet, "/api/v1/runbooks",
		"The runbooks in force and the state of their triggers", 422, 500)),
		func(_ context.Context, in *PageInput) (*runbooksOutput, error) {
			out := &runbooksOutput{}
			out.Body.Runbooks, out.Body.Next = page(overview.Runbooks(), func(r RunbookStatus) string { return r.Name }, *in)
			for i := range out.Body.Runbooks {
				notNil(&out.Body.Runbooks[i].GroupBy)
				notNil(&out.Body.Runbooks[i].Groups)
			}
			return out, nil
		})
	huma.Register(api, needs(access.Read, operation("list-signals", http.MethodGet, "/api/v1/signals",
		"The signals in force and whether their queries are answered", 422, 500)),
		func(_ context.Context, in *PageInput) (*signalsOutput, error) {
			out := &signalsOutput{}
			out.Body.Signals, out.Body.Next = page(overview.Signals(), func(s SignalStatus) string { return s.Name }, *in)
			return out, nil
		})
}

// checkGroup checks that a runbook is in force and that a group has no labels but its own; the error is a problem document.
func checkGroup(overview Overview, name string, group map[string]string) error {
	if overview == nil {
		return nil // whoever acts on it is going to say what is wrong
	}
	all := overview.Runbooks()
	at := slices.IndexFunc(all, func(r RunbookStatus) bool { return r.Name == name })
	if at < 0 {
		var names []string
		for _, r := range all {
			names = append(names, r.Name)
		}
		return invalid("there is no runbook "+quoteShort(name), "body.runbook", "expected a runbook in force",
			triggers.Suggest(name, names, "no runbook is loaded"))
	}
	labels := all[at].GroupBy
	for _, label := range slices.Sorted(maps.Keys(group)) {
		if !slices.Contains(labels, label) {
			return invalid(fmt.Sprintf("the groups of %s have no label %s", name, quoteShort(label)), "body.group", "expected labels of its group_by",
				triggers.Suggest(label, labels, "no group: the runbook is one whole"))
		}
	}
	return nil
}
