package webtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// Planner prepares the support prompt of Refusals, and weights, which two people have to want. It knows the last change of
// each, but for thresholds. The service behind it answers with the version that Serve set.
type Planner struct {
	mutex    sync.Mutex
	live     map[string]string
	prepared int
	fail     error
}

var _ web.Planner = (*Planner)(nil)

// Serve sets the version of a step that runs now.
func (p *Planner) Serve(step, version string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.live == nil {
		p.live = map[string]string{}
	}
	p.live[step] = version
}

// Fail makes every call give the error; nil ends that.
func (p *Planner) Fail(err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.fail = err
}

// Prepared is how often something was prepared.
func (p *Planner) Prepared() int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.prepared
}

// Prepare implements web.Planner.
func (p *Planner) Prepare(_ context.Context, _, step, to string) (web.Prepared, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.prepared++
	if p.fail != nil {
		return web.Prepared{}, p.fail
	}
	known, ok := map[string]web.Prepared{
		"support prompt": {From: "prompt-v7", To: "prompt-v6", Approval: runbook.ApprovalOwner, Request: "labels/live"},
		"weights":        {From: "w2", To: "w1", Approval: runbook.ApprovalTwoPerson, Request: "weights/live"},
		"thresholds":     {Approval: runbook.ApprovalOwner, Request: "thresholds/live"},
	}[step]
	known.Step, known.Title = step, step
	if to != "" {
		known.To = to
	}
	switch {
	case !ok:
		return web.Prepared{}, &incident.Refusal{Reason: fmt.Sprintf("there is no step %q", step), Allowed: "one of the runbook's"}
	case known.To == "":
		return web.Prepared{}, &incident.Refusal{Reason: "no version of " + step + " is known to go back to", Allowed: "say to: the version to go back to"}
	}
	share, path := 0.4, known.Request
	known.Touches = &share
	return p.whole(known, path, fmt.Sprintf("{\n  \"version\": %q\n}", known.To)), nil
}

// PrepareMitigation implements web.Planner.
func (p *Planner) PrepareMitigation(_ context.Context, _, title string) (web.Prepared, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.prepared++
	known := web.Prepared{Mitigate: title, Title: title, Approval: runbook.ApprovalOwner,
		Warnings: []string{"the approval of support-3.1-small expired on 2026-11-01"}}
	return p.whole(known, "router/policy", `{"policy": "fallback-approved"}`), p.fail
}

// whole fills in the request and what is set now. The caller holds the mutex.
func (p *Planner) whole(known web.Prepared, path, body string) web.Prepared {
	if live := p.live[known.Title]; live != "" {
		known.From = live
	}
	if known.From != "" {
		known.Observed = fmt.Sprintf("{\"version\":%q}", known.From)
	}
	known.Already = known.From != "" && known.From == known.To
	known.Request = "PUT https://prompts.internal/" + path + "\nAuthorization: ***\nContent-Type: application/json\n\n" + body + "\n"
	sum := sha256.Sum256([]byte(known.Request + known.Observed))
	known.Digest = hex.EncodeToString(sum[:])
	return known
}
