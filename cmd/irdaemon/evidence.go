package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/evidence"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web"
)

const (
	gatherAtOnce = 4 // incidents: each item of a checklist is a few queries
	gatherQueue  = 1000
	// keepTogether is how long evidence is waited for before what has come is kept: most of it comes at once, and each
	// time that some is kept is a line in the timeline.
	keepTogether = 2 * time.Second
)

// gathering gathers the evidence of checklists when incidents open, and when somebody asks for it again.
type gathering struct {
	daemon   *daemon
	gatherer *evidence.Gatherer
	queue    chan string // ids of incidents

	mutex sync.Mutex
	busy  map[string]bool // incidents whose evidence is being gathered
}

func (d *daemon) newGathering() *gathering {
	return &gathering{daemon: d, queue: make(chan string, gatherQueue), busy: map[string]bool{}, gatherer: evidence.New(evidence.Config{
		Source: d.source, Now: time.Now,
		Changes: func(ctx context.Context, service string, since time.Time) ([]changes.Change, error) {
			log, err := d.desk.Changes(ctx, since)
			var own []changes.Change
			for _, c := range log {
				if c.Service == "" || service == "" || c.Service == service {
					own = append(own, c)
				}
			}
			return own, err
		},
	})}
}

// happened asks for evidence when an incident opens, is opened again or is joined.
func (g *gathering) happened(r *incident.Record, events []incident.Event) {
	for _, e := range events {
		switch e.Body.(type) {
		case incident.Opened, incident.Reopened, incident.FindingJoined:
			if r.Class == incident.Real {
				g.ask(r.ID)
				return
			}
		}
	}
}

// ask puts an incident into the queue. In a storm that fills it, the rest goes without: people can ask again.
func (g *gathering) ask(id string) {
	select {
	case g.queue <- id:
	default:
		g.daemon.log.Warn("too many incidents at once: evidence is not gathered for one", zap.String("incident", id))
	}
}

// run gathers until ctx ends. What a process before had begun is gathered again.
func (g *gathering) run(ctx context.Context) error {
	if open, err := g.daemon.desk.Open(ctx); err == nil {
		for _, r := range open {
			if len(r.Evidence) == 0 {
				g.ask(r.ID)
			}
		}
	}
	slots := make(chan struct{}, gatherAtOnce)
	for {
		select {
		case <-ctx.Done():
			return nil
		case id := <-g.queue:
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			go func() {
				defer func() { <-slots }()
				if err := g.again(ctx, id); err != nil && !errors.Is(err, incident.ErrNotFound) && ctx.Err() == nil {
					g.daemon.log.Warn("evidence not gathered", zap.String("incident", id), zap.Error(err))
				}
			}()
		}
	}
}

// again finds what the items of an open incident's checklist ask for, and keeps it; ref is an id or a number.
func (g *gathering) again(ctx context.Context, ref string) error {
	open, err := g.daemon.desk.Open(ctx)
	if err != nil {
		return fmt.Errorf("load the open incidents: %w", err)
	}
	for _, r := range open {
		if r.ID == ref || fmt.Sprint(r.Number) == strings.TrimPrefix(ref, "#") {
			if !g.begin(r.ID) {
				return web.ErrGathering
			}
			defer g.end(r.ID)
			return g.gatherFor(ctx, r)
		}
	}
	return fmt.Errorf("%s: %w", ref, incident.ErrNotFound) // it is over
}

// begin takes an incident, unless somebody is at it already.
func (g *gathering) begin(id string) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.busy[id] {
		return false
	}
	g.busy[id] = true
	return true
}

func (g *gathering) end(id string) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	delete(g.busy, id)
}

func (g *gathering) gatherFor(ctx context.Context, r *incident.Record) error {
	n := 0 // of the item, over all findings
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Snapshot == nil {
			continue
		}
		items, numbers := wanted(f.Snapshot.Runbook.Triage, n)
		n += len(f.Snapshot.Runbook.Triage)
		if err := g.gatherItems(ctx, r, f, items, numbers); err != nil {
			return err
		}
	}
	return nil
}

// wanted gives the items that ask for evidence, with their numbers; before is how many the findings before have.
func wanted(checks []runbook.Check, before int) (items []runbook.Evidence, numbers []int) {
	for i, check := range checks {
		if check.Evidence != nil {
			items, numbers = append(items, *check.Evidence), append(numbers, before+i+1)
		}
	}
	return items, numbers
}

func (g *gathering) gatherItems(ctx context.Context, r *incident.Record, f *incident.Finding, items []runbook.Evidence, numbers []int) error {
	about := evidence.About{
		Snapshot: f.Snapshot, Service: r.Service, Group: f.Group, ImpactStartedAt: r.ImpactStartedAt,
		At: g.daemon.evaluator.Status().Tick,
	}
	if len(r.Rankings) > 0 {
		about.Running = r.Rankings[0].Running
	}
	var found []incident.EvidenceGathered
	var failed error
	kept := time.Now()
	keep := func() {
		if len(found) == 0 {
			return
		}
		if err := g.daemon.desk.Evidence(ctx, r.ID, found...); err != nil && failed == nil {
			failed = fmt.Errorf("keep what was found: %w", err)
		}
		found, kept = nil, time.Now()
	}
	g.gatherer.GatherAll(ctx, about, items, func(i int, one evidence.Found) {
		said := incident.EvidenceGathered{N: numbers[i], Text: one.Text, Error: one.Err}
		if one.Values != nil {
			said.Values, _ = json.Marshal(one.Values) // of its own types, which can always be encoded
		}
		found = append(found, said)
		if time.Since(kept) > keepTogether {
			keep()
		}
	})
	keep()
	return failed
}
