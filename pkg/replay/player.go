package replay

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// player is an evaluator with a Desk of its own, on a clock that stands at the tick that is decided.
type player struct {
	*incident.Desk
	evaluator *evaluator.Evaluator
	screen    *screen
	config    *Config
	clock     atomic.Pointer[time.Time]

	found   []*Incident // in the order of their opening
	byID    map[string]*Incident
	open    map[string]bool // findings of open incidents
	inForce []*runbook.Snapshot
	fired   map[string]string // the runbooks of findings that have fired and are not seen to be clear yet
	reached time.Time         // the next tick to be decided
	calm    time.Time         // the newest tick, at most reached, before which no incident was open
}

func newPlayer(config *Config, h *history, runbooks []*runbook.Snapshot) *player {
	first := config.Grid.Time(config.first())
	p := &player{
		config: config, screen: newScreen(h, runbooks),
		byID: map[string]*Incident{}, open: map[string]bool{}, fired: map[string]string{}, reached: first, calm: first,
	}
	p.clock.Store(&first)
	store := incident.NewMemoryStore()
	p.Desk = incident.NewDesk(incident.Config{
		Store: store, Policy: policy(config, runbooks), Now: p.now, Log: zap.NewNop(), OnEvents: p.happened,
	})
	p.evaluator = evaluator.New(evaluator.Config{
		Source: h, Desk: p, Grid: config.Grid, Queries: config.Queries, ImpactReach: longestReach, Virtual: true,
		Detect: config.Detect, DetectReach: config.changesReach(), Changes: p, ChangeLog: store.Changes,
		Now: p.now, Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
	})
	p.evaluator.Begin(first)
	return p
}

// policy has no receiver in it, and no severity that pages: rounds of calls that nobody answers would change nothing
// that a replay tells.
func policy(config *Config, runbooks []*runbook.Snapshot) func() incident.Policy {
	p := incident.Policy{
		Instance: "replay", Interval: config.Grid.Interval, BlindAfter: config.BlindAfter,
		Severities: map[runbook.Severity]incident.SeverityPolicy{}, Roles: map[string]incident.Role{}, Changes: config.Changes,
	}
	for _, s := range runbook.Severities {
		p.Severities[s] = incident.SeverityPolicy{}
	}
	for _, s := range runbooks {
		p.Roles[s.Runbook.Owner] = incident.Role{}
	}
	return func() incident.Policy { return p }
}

// changesReach is how far back versions are looked at when ticks were passed over: to the oldest change that may be a
// suspect of an impact that began as far back as it is looked for.
func (c *Config) changesReach() time.Duration {
	longest := c.Changes.Since
	for _, since := range c.Changes.SinceOf {
		longest = max(longest, since)
	}
	return longest + longestReach
}

func (p *player) now() time.Time { return *p.clock.Load() }

// play decides some ticks by the runbooks that may fire then, and by those that follow what has fired. It passes over
// the ticks where there are none: they change nothing, however they are decided.
func (p *player) play(ctx context.Context, c chunk) error {
	if err := p.choose(c); err != nil {
		return err
	}
	if len(p.inForce)+len(p.open) == 0 {
		p.reached = p.config.Grid.Time(c.last + 1)
		p.calm = p.reached
		p.evaluator.Begin(p.reached)
		return nil
	}
	if err := p.evaluator.Advance(ctx, p.config.Grid.Time(c.last)); err != nil {
		return fmt.Errorf("decide the tick of %s: %w", stamp(p.reached), err)
	}
	p.settle()
	return nil
}

// choose puts the runbooks in force that are needed for some ticks.
func (p *player) choose(c chunk) error {
	var needed []*runbook.Snapshot
	for _, r := range p.screen.runbooks {
		may := p.config.Thorough
		for _, name := range p.fired {
			may = may || name == r.Runbook.Name
		}
		if !may {
			var err error
			if may, err = p.screen.mayFire(r, c); err != nil {
				return err
			}
		}
		if may {
			needed = append(needed, r)
		}
	}
	if !slices.Equal(needed, p.inForce) {
		p.inForce = needed
		p.evaluator.SetRunbooks(needed)
	}
	return nil
}

// settle notes what is clear at the tick that was decided last. What has fired is followed until then, for its frozen
// baselines stand as long.
func (p *player) settle() {
	if len(p.fired) == 0 {
		return
	}
	for _, r := range p.evaluator.Status().Runbooks {
		for _, g := range r.Groups {
			if key := incident.FindingKey(r.Name, g.Group); g.State == triggers.Clear && !p.open[key] {
				delete(p.fired, key)
			}
		}
	}
}

// Detected sets the clock to when the newest of the changes showed, and keeps them.
func (p *player) Detected(ctx context.Context, found []changes.Change) error {
	now := p.now()
	for _, c := range found {
		if c.At.After(now) {
			now = c.At
		}
	}
	p.clock.Store(&now)
	return p.Desk.Detected(ctx, found)
}

// Tick sets the clock to the tick and decides it.
func (p *player) Tick(ctx context.Context, tick incident.Tick) error {
	p.clock.Store(&tick.T)
	if err := p.Desk.Tick(ctx, tick); err != nil {
		return err
	}
	p.reached = tick.T.Add(p.config.Grid.Interval)
	if len(p.open) == 0 {
		p.calm = p.reached
	}
	return nil
}

// happened keeps what becomes of each incident.
func (p *player) happened(r *incident.Record, events []incident.Event) {
	i := p.byID[r.ID]
	if i == nil {
		i = newIncident(r)
		p.byID[r.ID] = i
		p.found = append(p.found, i)
	}
	i.update(r)
	for n := range r.Findings {
		key := r.Findings[n].Key()
		p.fired[key] = r.Findings[n].Name
		if r.Open() {
			p.open[key] = true
		} else {
			delete(p.open, key)
		}
	}
}
