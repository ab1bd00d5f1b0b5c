package webtest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// rolledBack records a step that a person did.
func (d *Desk) rolledBack(view *incident.View, c incident.RolledBack, now time.Time) {
	at := c.At
	if at.IsZero() {
		at = now
	}
	if view.AcknowledgedBy == "" {
		take(view, c.By, now)
	}
	view.State = incident.Mitigating
	d.act(view, incident.ActionView{
		Step: c.Step, Title: c.Step, From: c.From, To: c.To, State: "effective", How: incident.DoneByHand, By: c.By, DoneAt: &at, EffectiveAt: &at,
	})
	d.happened(view, "action_done", c.By, "rolled back by hand: "+c.Step, at)
}

// request takes a request; nobody performs it.
func (d *Desk) request(view *incident.View, c incident.Request, now time.Time) error {
	for _, a := range view.Actions {
		if a.State == "requested" {
			return &incident.Refusal{
				Reason: fmt.Sprintf("action %s, %s, is under way", a.ID, a.Title), Allowed: "one at a time: wait for it, or do it by hand and say so",
			}
		}
	}
	if view.AcknowledgedBy == "" {
		take(view, c.By, now)
	}
	title := cmp.Or(c.Step, c.Mitigate)
	id := d.act(view, incident.ActionView{Step: c.Step, Title: title, From: c.From, To: c.To, State: "requested", By: c.By, RequestedAt: &now})
	if d.digests == nil {
		d.digests = map[string]string{}
	}
	d.digests[view.ID+" "+id] = c.Digest
	d.happened(view, "action_requested", c.By, "asked for: "+title, now)
	return nil
}

// approve takes a second person's approval.
func (d *Desk) approve(view *incident.View, c incident.Approve, now time.Time) error {
	view.Actions = slices.Clone(view.Actions)
	at := slices.IndexFunc(view.Actions, func(a incident.ActionView) bool { return a.ID == c.Action })
	if at < 0 {
		return &incident.Refusal{Reason: fmt.Sprintf("there is no action %q", c.Action), Allowed: "name one that waits for approval"}
	}
	a := &view.Actions[at]
	switch {
	case a.By == c.By:
		return &incident.Refusal{Reason: fmt.Sprintf("%s asked for action %s", c.By, a.ID), Allowed: "somebody else approves it"}
	case d.digests[view.ID+" "+a.ID] != c.Digest:
		return &incident.Refusal{Reason: fmt.Sprintf("action %s is not what was looked at", a.ID), Allowed: "look at it again"}
	}
	a.Approvers = append(slices.Clone(a.Approvers), c.By)
	d.happened(view, "action_approved", c.By, "approved: "+a.Title, now)
	return nil
}

// act adds an action and gives its id.
func (d *Desk) act(view *incident.View, a incident.ActionView) string {
	a.ID = fmt.Sprint(len(view.Actions) + 1)
	view.Actions = append(slices.Clone(view.Actions), a)
	return a.ID
}
