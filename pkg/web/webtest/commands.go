package webtest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web"
)

var _ web.Silences = (*Desk)(nil)

// phases are the states in which a command is taken; open stands for all states of an open incident.
func phases(command incident.Command) []incident.State {
	const open = ""
	switch command.(type) {
	case incident.Acknowledge, incident.Unacknowledge, incident.SetSeverity, incident.Mitigate,
		incident.RolledBack, incident.Request, incident.Approve:
		return []incident.State{open}
	case incident.AnswerItem, incident.PostUpdate, incident.Dismiss:
		return []incident.State{open, incident.ResolvedState}
	case incident.Reopen:
		return []incident.State{incident.ResolvedState, incident.DismissedState}
	}
	return []incident.State{open, incident.ResolvedState, incident.ClosedState, incident.DismissedState}
}

func (d *Desk) decide(view *incident.View, command incident.Command) error {
	if err := allowed(*view, command); err != nil {
		return err
	}
	now := d.Now().UTC()
	switch c := command.(type) {
	case incident.Acknowledge:
		take(view, c.By, now)
		d.happened(view, "acknowledged", c.By, "took the incident", now)
	case incident.Unacknowledge:
		view.AcknowledgedBy, view.TakenAt, view.State = "", nil, incident.Triggered
		call(view)
		d.happened(view, "unacknowledged", c.By, "gave the incident back", now)
	case incident.Note:
		d.happened(view, "noted", c.By, c.Text, now)
	case incident.AnswerItem:
		return d.answer(view, c, now)
	case incident.PostUpdate:
		d.update(view, c, now)
	case incident.SetSeverity:
		return d.severity(view, c, now)
	case incident.Mitigate:
		d.mitigate(view, c, now)
	case incident.RolledBack:
		d.rolledBack(view, c, now)
	case incident.Request:
		return d.request(view, c, now)
	case incident.Approve:
		return d.approve(view, c, now)
	case incident.Dismiss:
		return d.dismiss(view, c, now)
	case incident.Reopen:
		view.State, view.ResolvedAt, view.DismissedAt, view.Dismissal, view.ReopenedAt = incident.Triggered, nil, nil, nil, &now
		view.AcknowledgedBy, view.TakenAt = "", nil
		call(view)
		d.happened(view, "reopened", c.By, "reopened: "+c.Reason, now)
	default:
		return fmt.Errorf("command %T is not known here", command)
	}
	return nil
}

// allowed refuses a command in a state in which it means nothing.
func allowed(view incident.View, command incident.Command) error {
	state := view.State
	if open(view) {
		state = ""
	}
	if slices.Contains(phases(command), state) {
		return nil
	}
	if open(view) {
		return &incident.Refusal{Reason: fmt.Sprintf("#%d is open", view.Number), Allowed: "acknowledge, notes and all other commands are taken"}
	}
	since := view.ResolvedAt
	if since == nil {
		since = view.DismissedAt
	}
	return &incident.Refusal{
		Reason:  fmt.Sprintf("#%d is %s since %s", view.Number, view.State, since.UTC().Format("2006-01-02 15:04 UTC")),
		Allowed: "notes are still taken",
	}
}

// take gives an incident to somebody, and ends the calling.
func take(view *incident.View, by string, now time.Time) {
	if view.State == incident.Triggered {
		view.State = incident.AcknowledgedState
	}
	if view.AcknowledgedAt == nil {
		view.AcknowledgedAt = &now
	}
	view.AcknowledgedBy, view.TakenAt, view.Calling, view.NextCallAt = by, &now, false, nil
}

func call(view *incident.View) { view.Calling, view.Round = true, view.Round+1 }

func (d *Desk) answer(view *incident.View, c incident.AnswerItem, now time.Time) error {
	if c.N > len(view.Triage) {
		return &incident.Refusal{Reason: fmt.Sprintf("the checklist has no item %d", c.N), Allowed: fmt.Sprintf("its items are 1 to %d", len(view.Triage))}
	}
	view.Triage = slices.Clone(view.Triage)
	item := &view.Triage[c.N-1]
	item.Answer, item.AnswerText, item.AnsweredBy, item.AnsweredAt = c.Answer, c.Text, c.By, &now
	d.happened(view, "triage_answered", c.By, fmt.Sprintf("checked %d: %s", c.N, c.Answer), now)
	return nil
}

func (d *Desk) update(view *incident.View, c incident.PostUpdate, now time.Time) {
	if c.Audience == "" {
		c.Audience = incident.Internal
	}
	view.Updates = append(slices.Clone(view.Updates), incident.UpdateView{At: now, By: c.By, Audience: c.Audience, Text: c.Text})
	if view.Overdue, view.NextUpdateAt = false, nil; !c.Next.IsZero() {
		view.NextUpdateAt = &c.Next
	}
	d.happened(view, "update_posted", c.By, c.Audience+" update: "+c.Text, now)
}

func (d *Desk) severity(view *incident.View, c incident.SetSeverity, now time.Time) error {
	said := "raised"
	switch {
	case c.To == view.Severity:
		return nil
	case c.To.Worse(view.Severity):
		call(view)
	case c.Reason == "":
		return &incident.Refusal{Reason: "a severity is lowered without a reason", Allowed: "say why it is less bad than the rubric has it"}
	default:
		said = "lowered"
		until := now.Add(cmp.Or(c.For, 30*time.Minute))
		view.PinnedUntil = &until
	}
	d.happened(view, "severity_set", c.By, fmt.Sprintf("%s from %s to %s: %s", said, view.Severity, c.To, c.Reason), now)
	view.Severity = c.To
	return nil
}

func (d *Desk) mitigate(view *incident.View, c incident.Mitigate, now time.Time) {
	at := c.At
	if at.IsZero() {
		at = now
	}
	if view.AcknowledgedBy == "" {
		take(view, c.By, now)
	}
	view.State, view.MitigatedAt = incident.Mitigating, &at
	d.act(view, incident.ActionView{
		Title: c.Title, State: "effective", How: incident.DoneByHand, By: c.By, DoneAt: &at, EffectiveAt: &at,
	})
	d.happened(view, "mitigated", c.By, "mitigated: "+c.Title, at)
}

func (d *Desk) dismiss(view *incident.View, c incident.Dismiss, now time.Time) error {
	if c.Reason == incident.Duplicate {
		other, err := d.find(c.DuplicateOf)
		if err != nil {
			return &incident.Refusal{Reason: "there is no incident " + c.DuplicateOf, Allowed: "name the one that this is a duplicate of"}
		}
		c.DuplicateOf = other.ID
	}
	view.State, view.DismissedAt, view.Calling, view.NextCallAt = incident.DismissedState, &now, false, nil
	view.Dismissal = &incident.DismissalView{By: c.By, Reason: c.Reason, Text: c.Text, DuplicateOf: c.DuplicateOf}
	d.happened(view, "dismissed", c.By, "dismissed: "+c.Reason, now)
	return nil
}

// Silences implements web.Silences.
func (d *Desk) Silences(context.Context) ([]incident.Silence, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.failing != nil {
		return nil, d.failing
	}
	now := d.Now()
	return slices.DeleteFunc(slices.Clone(d.silences), func(s incident.Silence) bool {
		return !s.EndedAt.IsZero() || !s.Until.After(now)
	}), nil
}

// AddSilence implements web.Silences.
func (d *Desk) AddSilence(_ context.Context, s incident.Silence) (incident.Silence, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	switch {
	case d.failing != nil:
		return s, d.failing
	case !s.Until.After(d.Now()):
		return s, &incident.Refusal{Reason: "the silence ends in the past", Allowed: "an end after " + d.Now().UTC().Format(time.RFC3339)}
	}
	if s.UpTo == "" {
		s.UpTo = incident.DefaultUpTo
	}
	s.ID, s.Group = fmt.Sprintf("silence%d", len(d.silences)+1), maps.Clone(s.Group)
	d.silences = append([]incident.Silence{s}, d.silences...)
	return s, nil
}

// EndSilence implements web.Silences.
func (d *Desk) EndSilence(_ context.Context, id, by string) (incident.Silence, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.failing != nil {
		return incident.Silence{}, d.failing
	}
	for i := range d.silences {
		if s := &d.silences[i]; s.ID == id {
			if s.EndedAt.IsZero() {
				s.EndedAt, s.EndedBy = d.Now().UTC(), by
			}
			return *s, nil
		}
	}
	return incident.Silence{}, fmt.Errorf("%q: %w", id, incident.ErrNoSilence)
}

// Drill is a web.DrillFunc: it opens a practice incident with the next number, whatever runbooks there are.
func (d *Desk) Drill(_ context.Context, name string, group map[string]string, severity runbook.Severity, by string) (incident.View, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.failing != nil {
		return incident.View{}, d.failing
	}
	number, now := int64(1), d.Now().UTC()
	for _, view := range d.views {
		number = max(number, view.Number+1)
		if view.Class == incident.Drill && view.Runbook == name && open(view) {
			return incident.View{}, &incident.Refusal{Reason: fmt.Sprintf("a drill of %s is open: #%d", name, view.Number), Allowed: "end that one first"}
		}
	}
	view := Refusals()
	view.ID, view.Number, view.Class, view.Runbook, view.Group = fmt.Sprintf("drill%d", number), number, incident.Drill, name, maps.Clone(group)
	view.Severity, view.URL, view.Headline = severity, fmt.Sprintf("http://127.0.0.1:9847/incidents/%d", number), "DRILL "+view.Headline
	if severity == "" {
		view.Severity = runbook.Sev2
	}
	view.Timeline = nil
	d.happened(&view, "opened", by, "opened", now)
	d.views = append([]incident.View{view}, d.views...)
	return view, nil
}
