package incident

import (
	"cmp"
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Kinds of troubles of the daemon's own.
const (
	TroubleBlind  = "blind"  // its metric source, or too much of what it watches, can't be read
	TroubleStuck  = "stuck"  // no tick is decided
	TroubleStore  = "store"  // nothing can be written
	TroublePaging = "paging" // nobody looks for pages to send

	TroubleUndelivered = "undelivered" // a page waits for its receiver
	TroubleSettings    = "settings"    // the files in force are not those that are there
	TroubleUnheard     = "unheard"     // an incident calls and nobody in its whole ladder has a receiver
)

var troubleTitles = map[string]string{
	TroubleBlind:  "irdaemon is blind",
	TroubleStuck:  "irdaemon is stuck",
	TroubleStore:  "irdaemon can't write its store",
	TroublePaging: "irdaemon's paging is stuck",

	TroubleUndelivered: "irdaemon can't deliver its pages",
	TroubleSettings:    "irdaemon is misconfigured",
	TroubleUnheard:     "Nobody hears an incident's call",
}

// selfService is the service of the daemon's own troubles.
const selfService = "irdaemon"

// troubleName is the runbook's name of a kind of trouble, which its dedup keys have too.
func troubleName(kind string) string { return "self/" + kind }

// Trouble opens a record of the daemon's own trouble of that kind, which calls the settings' owner as an incident calls
// its own; text says what is wrong. One that is open stays as it is. Where the settings name no owner, nobody can be
// told: that is logged, once for each kind until it is over.
func (d *Desk) Trouble(ctx context.Context, kind, text string) error {
	return d.decide(ctx, func() (Commit, error) {
		policy, now := d.policy(ctx), d.now()
		if policy.Owner == "" {
			d.logTrouble(kind, text)
			return Commit{}, nil
		}
		last, err := d.lastTrouble(ctx, kind)
		if err != nil {
			return Commit{}, err
		}
		before := 0
		if last != nil {
			if last.Open() {
				return Commit{}, nil
			}
			before = last.presentRound()
		}
		s := troubleSnapshot(kind, policy.Owner)
		f := Firing{Snapshot: s, Hash: s.Hash(), Service: selfService, Severity: runbook.Sev2, Rule: text}
		body := f.opened(now)
		body.Class = Self
		return Commit{Changes: []Change{openedBy(Daemon, body, f, policy, now, before)}}, nil
	})
}

// TroubleOver ends the trouble of that kind, if there is one: who was called is told, and the record is closed.
func (d *Desk) TroubleOver(ctx context.Context, kind string) error {
	d.mutex.Lock()
	delete(d.logged, kind)
	d.mutex.Unlock()
	return d.decide(ctx, func() (Commit, error) {
		r, err := d.lastTrouble(ctx, kind)
		if err != nil || r == nil || !r.Open() {
			return Commit{}, err
		}
		policy, now := d.policy(ctx), d.now()
		decision := newDecision(r, policy, now)
		decision.add(Resolved{ImpactEndedAt: decision.t}, "")
		decision.add(Closed{}, "")
		return Commit{Changes: []Change{change(r, decision.events, policy, now)}}, nil
	})
}

// lastTrouble is the newest record of a kind of trouble, nil for none.
func (d *Desk) lastTrouble(ctx context.Context, kind string) (*Record, error) {
	records, _, err := d.config.Store.List(ctx, Filter{Self: true, Runbook: troubleName(kind), Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("look for an earlier trouble %s: %w", kind, err)
	}
	if len(records) == 0 {
		return nil, nil
	}
	return records[0], nil
}

// logTrouble logs a trouble that nobody is told of, once.
func (d *Desk) logTrouble(kind, text string) {
	d.mutex.Lock()
	logged := d.logged[kind]
	d.logged[kind] = true
	d.mutex.Unlock()
	if !logged {
		d.config.Log.Error("the settings name no owner to tell of the daemon's own trouble",
			zap.String("trouble", kind), zap.String("text", text))
	}
}

// troubleSnapshot is the runbook of a kind of trouble.
func troubleSnapshot(kind, owner string) *runbook.Snapshot {
	return &runbook.Snapshot{Runbook: runbook.Runbook{
		Name: troubleName(kind), Title: cmp.Or(troubleTitles[kind], "irdaemon is in trouble: "+kind), Service: selfService,
		Owner: owner, Severity: runbook.Rubric{Default: runbook.Sev2},
	}}
}
