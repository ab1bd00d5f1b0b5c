package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// overview shows what is loaded and how the last tick saw it.
type overview struct{ daemon *daemon }

var stateWords = map[triggers.State]string{
	triggers.Fires: "fires", triggers.Elevated: "elevated", triggers.Clear: "clear", triggers.StateUnknown: "unknown",
}

// Runbooks implements web.Overview.
func (o overview) Runbooks() []web.RunbookStatus {
	seen := map[string][]evaluator.GroupStatus{}
	for _, r := range o.daemon.evaluator.Status().Runbooks {
		seen[r.Name] = r.Groups
	}
	held := o.held()
	var all []web.RunbookStatus
	for _, s := range o.daemon.loaded.Load().Runbooks {
		r := &s.Runbook
		status := web.RunbookStatus{Name: r.Name, Title: r.Title, Owner: r.Owner, Service: r.Service, GroupBy: r.GroupBy, Groups: []web.GroupStatus{}}
		for _, g := range seen[r.Name] {
			group := web.GroupStatus{Group: g.Group.Map(), State: stateWords[g.State], Incident: held[incident.FindingKey(r.Name, g.Group)]}
			for _, u := range g.Unknown {
				group.Unknown = append(group.Unknown, web.UnknownWindow{What: u.What, Since: u.Since, Why: u.Why})
			}
			group.Waiting = g.Waiting
			status.Groups = append(status.Groups, group)
		}
		all = append(all, status)
	}
	slices.SortFunc(all, func(a, b web.RunbookStatus) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// held gives the open incident that holds each finding.
func (o overview) held() map[string]string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	held := map[string]string{}
	open, err := o.daemon.desk.Open(ctx)
	if err != nil {
		return held // the states are still worth showing; the list of incidents tells of the store's trouble
	}
	for _, r := range open {
		for i := range r.Findings {
			held[r.Findings[i].Key()] = r.ID
		}
	}
	return held
}

// probe gives what a signal answered when it was tried out; nil: it was not, for no runbook reads it, or not yet.
func (o overview) probe(signal string) *web.Probe {
	found := o.daemon.probed.Load()
	if found == nil {
		return nil
	}
	for _, s := range found.Signals {
		if s.Name == signal {
			probe := &web.Probe{At: found.At, Series: s.Series}
			if s.Err != nil {
				probe.Error = s.Err.Error()
			}
			return probe
		}
	}
	return nil
}

// Signals implements web.Overview. A signal that is asked with several ranges is as well as the worst of them.
func (o overview) Signals() []web.SignalStatus {
	var all []web.SignalStatus
	seen := o.daemon.evaluator.Status().Signals
	for _, s := range o.daemon.loaded.Load().Signals {
		status := web.SignalStatus{Name: s.Name, Title: s.Title, Unit: string(s.Unit)}
		for _, f := range seen {
			if f.Name != s.Name {
				continue
			}
			status.Asked = true
			status.Segments = max(status.Segments, f.Segments)
			if !f.AnsweredAt.IsZero() && status.Query.LastSuccess == nil {
				status.Query.LastSuccess = &f.AnsweredAt
			}
			if f.Error != "" {
				status.Query.Error, status.Query.Since = f.Error, &f.Failing
			}
		}
		status.Probe = o.probe(s.Name)
		all = append(all, status)
	}
	slices.SortFunc(all, func(a, b web.SignalStatus) int { return strings.Compare(a.Name, b.Name) })
	return all
}
