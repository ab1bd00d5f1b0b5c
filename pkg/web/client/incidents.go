package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// In all commands below, ref is an id or a number, with or without #; by is who does it, empty where the daemon knows that
// from the token or the user. They give the incident as it is then.

// List gives a page of incidents, newest first. The zero filter lists all.
func (c *Client) List(ctx context.Context, filter incident.Filter) (web.IncidentList, error) {
	query := url.Values{}
	for name, value := range map[string]string{
		"state": filter.State, "runbook": filter.Runbook, "severity": string(filter.Severity), "after": filter.After,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if filter.Limit > 0 {
		query.Set("limit", strconv.Itoa(filter.Limit))
	}
	if filter.Self {
		query.Set("self", "true")
	}
	target := c.at("incidents")
	target.RawQuery = query.Encode()
	var list web.IncidentList
	return list, c.do(ctx, http.MethodGet, target, nil, &list)
}

// Show gives an incident with its timeline.
func (c *Client) Show(ctx context.Context, ref string) (incident.View, error) {
	var view incident.View
	return view, c.do(ctx, http.MethodGet, c.at("incidents", ref), nil, &view)
}

// Acknowledge takes an incident for somebody.
func (c *Client) Acknowledge(ctx context.Context, ref, by string) (incident.View, error) {
	return c.command(ctx, ref, "acknowledge", words{"by": by})
}

// GatherEvidence looks again at what an incident's checklist is to be decided by.
func (c *Client) GatherEvidence(ctx context.Context, ref string) (incident.View, error) {
	return c.command(ctx, ref, "evidence", words{})
}

// Unacknowledge gives an incident back: people are called again.
func (c *Client) Unacknowledge(ctx context.Context, ref, by string) (incident.View, error) {
	return c.command(ctx, ref, "unacknowledge", words{"by": by})
}

// Note adds a note to an incident's timeline.
func (c *Client) Note(ctx context.Context, ref, by, text string) (incident.View, error) {
	return c.command(ctx, ref, "notes", words{"by": by, "text": text})
}

// Answer answers item n of the checklist, from 1.
func (c *Client) Answer(ctx context.Context, ref, by string, n int, answer, text string) (incident.View, error) {
	body := words{"by": by, "answer": answer, "text": text}
	var view incident.View
	return view, c.do(ctx, http.MethodPost, c.at("incidents", ref, "triage", strconv.Itoa(n)), body.said(), &view)
}

// SetSeverity sets how bad an incident is. A lower one needs a reason and stays for a time such as 45m; empty: 30m.
func (c *Client) SetSeverity(ctx context.Context, ref, by string, to runbook.Severity, reason, stays string) (incident.View, error) {
	return c.command(ctx, ref, "severity", words{"by": by, "to": string(to), "reason": reason, "for": stays})
}

// Update tells those who wait for news; audience is internal, which an empty one is, or customer. nextIn is when they hear
// next, such as 30m; empty: after the time that the severity asks for.
func (c *Client) Update(ctx context.Context, ref, by, audience, text, nextIn string) (incident.View, error) {
	return c.command(ctx, ref, "updates", words{"by": by, "audience": audience, "text": text, "next_in": nextIn})
}

// Mitigated says what was done by hand to stop the harm, and when; the zero time: now.
func (c *Client) Mitigated(ctx context.Context, ref, by, text string, at time.Time) (incident.View, error) {
	return c.command(ctx, ref, "mitigated", words{"by": by, "text": text, "at": moment(at)})
}

// Dismiss ends an incident that was none. reason is one of incident.DismissReasons; duplicateOf names the other incident
// of a duplicate.
func (c *Client) Dismiss(ctx context.Context, ref, by, reason, text, duplicateOf string) (incident.View, error) {
	return c.command(ctx, ref, "dismiss", words{"by": by, "reason": reason, "text": text, "duplicate_of": duplicateOf})
}

// Reopen opens an incident again that was resolved or dismissed too soon.
func (c *Client) Reopen(ctx context.Context, ref, by, reason string) (incident.View, error) {
	return c.command(ctx, ref, "reopen", words{"by": by, "reason": reason})
}

// Drill opens a practice incident of a runbook, for a group of it; an empty severity is the runbook's default.
func (c *Client) Drill(ctx context.Context, by, name string, group map[string]string, severity runbook.Severity) (incident.View, error) {
	body := words{"by": by, "runbook": name, "severity": string(severity)}.said()
	if len(group) > 0 {
		body["group"] = group
	}
	var view incident.View
	return view, c.do(ctx, http.MethodPost, c.at("drills"), body, &view)
}

func (c *Client) command(ctx context.Context, ref, name string, body words) (incident.View, error) {
	var view incident.View
	return view, c.do(ctx, http.MethodPost, c.at("incidents", ref, name), body.said(), &view)
}

// words are the texts of a request. Those that are empty are left out of it.
type words map[string]string

func (w words) said() map[string]any {
	said := map[string]any{}
	for key, value := range w {
		if value != "" {
			said[key] = value
		}
	}
	return said
}

// moment writes a time; empty for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
