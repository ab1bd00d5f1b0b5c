package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// Prepared shows what a step of the rollback stack would do, without doing it; an empty to is the plan's version.
func (c *Client) Prepared(ctx context.Context, ref, step, to string) (web.Prepared, error) {
	target := c.at("incidents", ref, "rollbacks", step)
	if to != "" {
		target.RawQuery = url.Values{"to": {to}}.Encode()
	}
	var prepared web.Prepared
	return prepared, c.do(ctx, http.MethodGet, target, nil, &prepared)
}

// PreparedMitigation is Prepared for a mitigation of the runbook, by its title.
func (c *Client) PreparedMitigation(ctx context.Context, ref, title string) (web.Prepared, error) {
	var prepared web.Prepared
	return prepared, c.do(ctx, http.MethodGet, c.at("incidents", ref, "mitigations", title), nil, &prepared)
}

// Rollback is a step of the rollback stack, or a mitigation, that is asked for or was done by hand.
type Rollback struct {
	By       string
	Step     string // or
	Mitigate string // the title of a mitigation
	To       string // a version of a step; empty: the plan's
	Digest   string // of what was looked at
	ByHand   bool
	At       time.Time // by hand; zero: now
}

// RollBack asks the daemon for a step or a mitigation, or says that a person did it.
func (c *Client) RollBack(ctx context.Context, ref string, r Rollback) (incident.View, error) {
	body := words{"by": r.By, "step": r.Step, "mitigate": r.Mitigate, "to": r.To, "digest": r.Digest, "at": moment(r.At)}.said()
	if r.ByHand {
		body["by_hand"] = true
	}
	var view incident.View
	return view, c.do(ctx, http.MethodPost, c.at("incidents", ref, "rollbacks"), body, &view)
}

// Approve approves, as a second person, an action that another one asked for; digest is of what was looked at.
func (c *Client) Approve(ctx context.Context, ref, by, action, digest string) (incident.View, error) {
	return c.command(ctx, ref, "approve", words{"by": by, "action": action, "digest": digest})
}
