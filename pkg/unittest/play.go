package unittest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/source/memory"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// epoch is where every test begins, as in promtool.
var epoch = time.Unix(0, 0).UTC()

// defaultSince is how far before impact a change may lie to be a suspect, where no settings say it.
const defaultSince = 24 * time.Hour

// play is a test being played.
type play struct {
	file      *file
	test      *test
	grid      triggers.Grid
	source    *watchedSource
	stage     *stage
	evaluator *evaluator.Evaluator
	failures  []Failure
}

func newPlay(f *file, t *test, phase time.Duration) *play {
	p := &play{
		file: f, test: t, grid: triggers.Grid{Interval: f.interval, Phase: phase},
		source: &watchedSource{Source: memory.New(t.series, f.interval, f.set.MaxSeries)},
	}
	policy := f.set.Policy
	policy.Interval = f.interval
	policy.Changes.Since = cmp.Or(policy.Changes.Since, defaultSince)
	p.stage = newStage(policy)
	p.evaluator = evaluator.New(evaluator.Config{
		Source: p.source, Desk: p.stage, Grid: p.grid, Queries: 1, Virtual: true,
		Detect: f.set.Detect, Changes: p.stage, ChangeLog: p.stage.store.Changes,
		Now: p.stage.time, Log: zap.NewNop(), Registry: prometheus.NewRegistry(),
	})
	p.evaluator.SetRunbooks(f.set.Runbooks)
	return p
}

// run plays the script. An error says that the play itself broke off.
func (p *play) run(ctx context.Context) ([]Failure, error) {
	p.evaluator.Begin(epoch)
	for _, cue := range p.script() {
		if err := p.advance(ctx, epoch.Add(cue.at)); err != nil {
			return nil, err
		}
		if err := cue.do(ctx); err != nil {
			return nil, err
		}
	}
	for _, err := range p.source.errors {
		p.failures = append(p.failures, Failure{p.test.place, []string{err.Error()}})
	}
	return p.failures, nil
}

// cue is a moment of the script.
type cue struct {
	at time.Duration
	do func(context.Context) error
}

// script is what is reported, done and looked at, in order. What changes at a time is reported before what people do at
// it, and both come before what is expected at it.
func (p *play) script() []cue {
	var cues []cue
	for _, c := range p.test.changes {
		cues = append(cues, cue{c.at, func(ctx context.Context) error { return p.report(ctx, c) }})
	}
	for _, a := range p.test.actions {
		cues = append(cues, cue{a.at, func(ctx context.Context) error { return p.act(ctx, a) }})
	}
	for _, e := range p.test.expects {
		cues = append(cues, cue{e.at, func(ctx context.Context) error { return p.compare(ctx, e) }})
	}
	slices.SortStableFunc(cues, func(a, b cue) int { return cmp.Compare(a.at, b.at) })
	return cues
}

// advance decides every tick up to t, then lets the rest of the time pass.
func (p *play) advance(ctx context.Context, t time.Time) error {
	if err := p.evaluator.Advance(ctx, p.grid.Floor(t)); err != nil {
		return err
	}
	return p.stage.reach(ctx, t)
}

// report tells of a change, as a pipeline does. One that the Desk refuses fails the test.
func (p *play) report(ctx context.Context, c change) error {
	_, err := p.stage.desk.Report(ctx, changes.Change{
		Artifact: c.artifact, Service: c.service, From: c.from, To: c.to, By: c.by, At: epoch.Add(c.at),
	})
	var invalid changes.Invalid
	switch {
	case errors.As(err, &invalid):
		p.failAt(c.place, c.at, "change of "+c.artifact+": "+invalid.Error())
	case err != nil:
		return err
	}
	return p.stage.deliver(ctx)
}

// act does what a person does. What the Desk refuses fails the test.
func (p *play) act(ctx context.Context, a action) error {
	r, why, err := p.meant(ctx, a)
	if err != nil {
		return err
	}
	if r != nil {
		_, err = p.stage.desk.Command(ctx, r.ID, planned(r, a.command), incident.Idempotency{})
		var refusal *incident.Refusal
		if err != nil && !errors.As(err, &refusal) {
			return err
		}
		if refusal != nil {
			why = refusal.Error()
		}
	}
	if why != "" {
		p.failAt(a.place, a.at, a.words+": "+why)
	}
	return p.stage.deliver(ctx)
}

// planned fills in, of a rollback, the versions that the incident's plan has for the step.
func planned(r *incident.Record, command incident.Command) incident.Command {
	done, ok := command.(incident.RolledBack)
	if !ok {
		return command
	}
	for _, step := range r.Plan() {
		if step.Name() == done.Step || step.Artifact == done.Step {
			done.From, done.To = step.From, step.To
			break
		}
	}
	return done
}

// meant is the incident that an action is about: the one that is open. A note may also be about one that is over, where
// the script names it. why says that none, or more than one, is meant.
func (p *play) meant(ctx context.Context, a action) (r *incident.Record, why string, err error) {
	records, err := p.stage.desk.Open(ctx)
	if _, note := a.command.(incident.Note); note && a.runbook != "" && err == nil {
		records, _, err = p.stage.store.List(ctx, incident.Filter{})
	}
	if err != nil {
		return nil, "", err
	}
	fits := slices.DeleteFunc(records, func(r *incident.Record) bool {
		return a.runbook != "" && !concerns(r, a.runbook, a.group)
	})
	open := slices.DeleteFunc(slices.Clone(fits), func(r *incident.Record) bool { return !r.Open() })
	switch {
	case len(open) == 1:
		return open[0], "", nil
	case len(open) > 1 && a.runbook == "":
		return nil, fmt.Sprintf("%d incidents are open; say which with incident: RUNBOOK", len(open)), nil
	case len(open) > 1:
		return nil, fmt.Sprintf("%d incidents of %s are open; say which with group: {LABEL: VALUE}", len(open), a.runbook), nil
	case len(fits) > 0:
		return fits[0], "", nil // the newest
	case a.runbook != "":
		return nil, "no incident of " + a.runbook + " is open", nil
	}
	return nil, "no incident is open", nil
}

// concerns tells whether an incident holds a finding of a runbook, and of a group where one is named.
func concerns(r *incident.Record, name string, group map[string]string) bool {
	return slices.ContainsFunc(r.Findings, func(f incident.Finding) bool {
		for label, value := range group {
			if f.Group.Get(label) != value {
				return false
			}
		}
		return f.Name == name
	})
}

// watchedSource notes the first error of each expression: an expression that is not answered in a test will not be
// answered live, and a test must not pass because it was blind.
type watchedSource struct {
	source.Source

	mu     sync.Mutex
	errors []error
	known  map[string]bool
}

func (s *watchedSource) Instant(ctx context.Context, expr string, t time.Time) (source.Answer, error) {
	a, err := s.Source.Instant(ctx, expr, t)
	return a, s.note(expr, err)
}

func (s *watchedSource) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (source.Answer, error) {
	a, err := s.Source.Range(ctx, expr, from, to, step)
	return a, s.note(expr, err)
}

func (s *watchedSource) note(expr string, err error) error {
	var failed *source.Error
	if err == nil || errors.As(err, &failed) && failed.Reason == source.Canceled {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]bool{}
	}
	if !s.known[expr] {
		s.known[expr] = true
		s.errors = append(s.errors, err)
	}
	return err
}
