// Package online asks the metric source what the conditions of runbooks would have said in the time that just went by:
// how often each would have held, whether its segments have events enough for it to find what it is there to find, and
// whether noise alone would break the holds of recovery. It is what `irdaemon check --online` tells before a runbook
// goes on duty.
//
// What the package guards: it judges by the live code (triggers over the same points, tick by tick), an expression that
// the source does not answer makes its runbook an error and never a quiet week, and it changes nothing anywhere.
package online

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Config is what is asked, and of which time.
type Config struct {
	Source   source.Source
	Grid     triggers.Grid
	From, To time.Time // the evaluation times between them are looked at, both ends included
	Runbooks []*runbook.Snapshot
	Queries  int // to the source at once; default 8

	// Progress is told how many evaluation times of all are through; nil: nobody is. It is called by one goroutine.
	Progress func(done, all int64)
}

// Run looks at every evaluation time of every runbook. An expression that the source refuses is told with its runbook
// (Runbook.Err), and the others go on; a source that does not answer ends the run.
func Run(ctx context.Context, config Config) (*Result, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	lib := newLibrary(&config)
	surveys := make([]*survey, len(config.Runbooks))
	for i, r := range config.Runbooks {
		surveys[i] = newSurvey(&config, lib, r)
	}
	first, last := config.first(), config.last()
	for tick := first; tick <= last; {
		end := min(lib.lastOf(tick), last)
		lib.preload(ctx, surveys, config.Grid.Time(end))
		if err := walk(ctx, surveys, tick, end); err != nil {
			return nil, err
		}
		lib.forget()
		tick = end + 1
		config.Progress(tick-first, last-first+1)
	}
	return newResult(&config, lib, surveys), nil
}

// walk takes every survey through some ticks. An error is one that concerns them all.
func walk(ctx context.Context, surveys []*survey, first, last int64) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, s := range surveys {
		group.Go(func() error {
			if s.err != nil {
				return nil
			}
			err := s.walk(ctx, first, last)
			if concernsOne(err) {
				s.err, err = err, nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("the source was not asked to the end, and a part of the time would look like the whole: %w", err)
	}
	return nil
}

// concernsOne tells whether an error is the fault of an expression, and not of the source.
func concernsOne(err error) bool {
	var failed *source.Error
	return errors.As(err, &failed) && (failed.Reason == source.Query || failed.Reason == source.Limit)
}

// complete fills in the defaults and refuses what cannot be asked.
func (c *Config) complete() error {
	switch {
	case c.Grid.Interval < time.Millisecond || c.Grid.Interval%time.Millisecond != 0:
		return fmt.Errorf("interval %s: allowed are whole milliseconds, at least 1ms", c.Grid.Interval)
	case c.first() > c.last():
		return fmt.Errorf("no evaluation time lies between %s and %s", c.From.Format(time.RFC3339), c.To.Format(time.RFC3339))
	case len(c.Runbooks) == 0:
		return errors.New("no runbook to ask about")
	}
	if c.Queries <= 0 {
		c.Queries = 8
	}
	if c.Progress == nil {
		c.Progress = func(int64, int64) {}
	}
	return nil
}

// first and last are the ticks at both ends.
func (c *Config) first() int64 { return c.Grid.Tick(c.From.Add(-1)) + 1 }
func (c *Config) last() int64  { return c.Grid.Tick(c.To) }
