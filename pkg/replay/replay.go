// Package replay runs runbooks over the history that a metric source holds, and tells which incidents would have
// opened. It is the live evaluator and the real Desk with another clock and another source: no receiver is called,
// nobody acknowledges, nobody rolls back.
//
// What the package guards: a result is whole or it is an error. A query that is not answered, an answer that the
// source says it cut, a signal of which there is no point in all of the range never look like a quiet week.
package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Config is what is replayed, and over what.
type Config struct {
	Source   source.Source
	Grid     triggers.Grid
	From, To time.Time // the evaluation times between them are decided, both ends included
	Runbooks []*runbook.Snapshot
	// Against is another version of the only runbook: both are evaluated over the same answers and compared.
	Against *runbook.Snapshot

	Queries    int           // to the source at once; default 8
	BlindAfter time.Duration // default 5m
	// Pages tells whether a severity pages; nil: each does.
	Pages func(runbook.Severity) bool

	// Detect are the info metrics that show which versions ran, and Changes which changes may be suspects. Without the
	// former a replay tells none: what somebody reported is not in the metric source.
	Detect  []evaluator.Detect
	Changes incident.ChangePolicy // default: a day

	// Thorough decides every tick, even those at which nothing can fire. It finds the same, and takes longer.
	Thorough bool

	// Progress is told how many evaluation times of all are decided; nil: nobody is. It is called by one goroutine.
	Progress func(decided, all int64)
	// Tell is told what a person who waits wants to know: that a query is tried again, and why. May be called by
	// several goroutines.
	Tell     func(string)
	Attempts int // how often a query is put at most; default 5
	// Backoff is the wait before the first repeat of a query that was not answered; it doubles each time. Default 1s.
	Backoff time.Duration
}

// longestReach is how far back the beginning of impact is looked for, as in the daemon.
const longestReach = 24 * time.Hour

// stepTicks is how many ticks are decided, or found quiet, in one go. The evaluator sorts that many points of all
// segments by tick beforehand, which takes more room than the points themselves.
const stepTicks = 60

// Stopped says that a replay ended before its range was over.
type Stopped struct {
	Reached time.Time // the first evaluation time that was not decided
	// Resume is the newest time, at most Reached, from which another replay finds what this one would have: no
	// incident was open then.
	Resume time.Time
	From   time.Time
	Err    error
}

// Error says why, what is not known, and how to go on.
func (s *Stopped) Error() string {
	text := fmt.Sprintf("the replay stopped at %s, and a part of it would look like the whole, so nothing is shown: %v\n", stamp(s.Reached), s.Err)
	if !s.Resume.After(s.From) {
		return text + fmt.Sprintf("go on with --from %s", stamp(s.From))
	}
	return text + fmt.Sprintf("go on with --from %s; what lies before it is whole with --from %s --to %s", stamp(s.Resume), stamp(s.From), stamp(s.Resume.Add(-time.Second)))
}

// Unwrap returns the cause.
func (s *Stopped) Unwrap() error { return s.Err }

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Run replays. An error that ended it midway is a *Stopped.
func Run(ctx context.Context, config Config) (*Result, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	h := newHistory(ctx, &config, stop)
	defer h.close()
	players := []*player{newPlayer(&config, h, config.Runbooks)}
	if config.Against != nil {
		players = append(players, newPlayer(&config, h, []*runbook.Snapshot{config.Against}))
	}
	if err := play(ctx, &config, h, players); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause // what the evaluator says merely follows from it
		}
		return nil, stopped(&config, players, err)
	}
	if err := h.checkData(); err != nil {
		return nil, err
	}
	return newResult(&config, h, players), nil
}

// complete fills in the defaults and refuses what cannot be replayed.
func (c *Config) complete() error {
	if c.Grid.Interval < time.Millisecond || c.Grid.Interval%time.Millisecond != 0 || c.Grid.Phase%time.Millisecond != 0 {
		return fmt.Errorf("interval %s and phase %s: allowed are whole milliseconds, and an interval of at least 1ms", c.Grid.Interval, c.Grid.Phase)
	}
	if c.first() > c.last() {
		return fmt.Errorf("no evaluation time lies between %s and %s: they come every %s", stamp(c.From), stamp(c.To), triggers.FormatDuration(c.Grid.Interval))
	}
	if len(c.Runbooks) == 0 {
		return errors.New("no runbook to replay")
	}
	if c.Against != nil && (len(c.Runbooks) != 1 || c.Runbooks[0].Runbook.Name != c.Against.Runbook.Name) {
		return fmt.Errorf("%s is compared with the one runbook of its name, and with nothing else", c.Against.Runbook.Name)
	}
	if c.Queries <= 0 {
		c.Queries = 8
	}
	if c.BlindAfter <= 0 {
		c.BlindAfter = 5 * time.Minute
	}
	if c.Backoff <= 0 {
		c.Backoff = time.Second
	}
	if c.Changes.Since <= 0 {
		c.Changes.Since = 24 * time.Hour
	}
	if c.Attempts <= 0 {
		c.Attempts = 5
	}
	if c.Pages == nil {
		c.Pages = func(runbook.Severity) bool { return true }
	}
	if c.Progress == nil {
		c.Progress = func(int64, int64) {}
	}
	if c.Tell == nil {
		c.Tell = func(string) {}
	}
	return nil
}

// first and last are the ticks at both ends of the range.
func (c *Config) first() int64 { return c.Grid.Tick(c.From.Add(-1)) + 1 }
func (c *Config) last() int64  { return c.Grid.Tick(c.To) }

// play decides every tick, chunk by chunk: while one is evaluated the next one is fetched.
func play(ctx context.Context, config *Config, h *history, players []*player) error {
	all := config.last() - config.first() + 1
	for at := (chunk{config.first(), config.first() - 1}); at.last < config.last(); {
		at = h.enter(at.last + 1)
		for first := at.first; first <= at.last; first += stepTicks {
			last := min(first+stepTicks-1, at.last)
			var group errgroup.Group
			for _, p := range players {
				group.Go(func() error { return p.play(ctx, chunk{first, last}) })
			}
			if err := group.Wait(); err != nil {
				return err
			}
			config.Progress(last-config.first()+1, all)
		}
	}
	return nil
}

// stopped tells from where a replay that ended midway can go on.
func stopped(config *Config, players []*player, cause error) error {
	s := &Stopped{From: config.Grid.Time(config.first()), Err: cause}
	s.Reached = players[0].reached
	s.Resume = players[0].calm
	for _, p := range players {
		if p.reached.Before(s.Reached) {
			s.Reached = p.reached
		}
		if p.calm.Before(s.Resume) {
			s.Resume = p.calm
		}
	}
	return s
}

// use is a signal with the runbooks that use it.
type use struct {
	signal   *triggers.Signal
	exprs    []string // its query, or numerator and denominator
	runbooks []string
	trigger  bool // a trigger looks at it
	absence  bool // a trigger looks for its absence: that there is none of it is a finding
}

// uses gives what the conditions of the runbooks ask of the source, each once, in the order of the runbooks.
func (c *Config) uses() []*use {
	all := slices.Clone(c.Runbooks)
	if c.Against != nil {
		all = append(all, c.Against)
	}
	var uses []*use
	for _, s := range all {
		r := &s.Runbook
		for _, condition := range r.Trigger.Conditions() {
			uses = noteUse(uses, s, condition, true, condition.Comparison == triggers.Absent)
		}
		for i := range r.Severity.Rules {
			for _, condition := range r.Severity.Rules[i].When.Conditions() {
				uses = noteUse(uses, s, condition, false, false)
			}
		}
		for _, band := range []runbook.Band{r.Recovery.Key, r.Recovery.Safety, r.Recovery.Business} {
			for _, condition := range band.Clause.Conditions() {
				uses = noteUse(uses, s, condition, false, false)
			}
		}
	}
	return uses
}

func noteUse(uses []*use, s *runbook.Snapshot, c *triggers.Condition, trigger, absence bool) []*use {
	signal := s.Signals[c.Signal]
	if signal == nil {
		return uses // built in: blast_radius
	}
	exprs := c.Expressions(signal).List()
	i := slices.IndexFunc(uses, func(u *use) bool { return slices.Equal(u.exprs, exprs) && u.signal.ZeroBorn == signal.ZeroBorn })
	if i < 0 {
		i = len(uses)
		uses = append(uses, &use{signal: signal, exprs: exprs})
	}
	u := uses[i]
	if !slices.Contains(u.runbooks, s.Runbook.Name) {
		u.runbooks = append(u.runbooks, s.Runbook.Name)
	}
	u.trigger = u.trigger || trigger
	u.absence = u.absence || absence
	return uses
}
