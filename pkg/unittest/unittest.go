// Package unittest tests runbooks: series that somebody wrote down and a script of what people do, played in virtual
// time through the evaluator, and what must be open, paged and resolved at given times.
//
// What the package guards: a test plays the code that runs live. The evaluator, the Desk and the ladder of paging are
// the daemon's own, over a source and a store in memory; only the clock is moved by hand and every page is accepted at
// once. A test that could not fail (it expects nothing, its series do not parse, its times lie outside of them, a query
// was not answered) is an error or a failure, never a pass.
package unittest

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source/memory"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Suite is the tests of some files.
type Suite struct{ files []*file }

// file is a document of tests.
type file struct {
	path     string
	interval time.Duration // the step of the series and of the evaluation
	set      *Set
	tests    []*test
}

// Set is the runbooks that a file tests, and the settings that they are tested under.
type Set struct {
	Runbooks  []*runbook.Snapshot
	Policy    incident.Policy // its roles are those that a test may name
	MaxSeries int             // that a query may yield; 0: any number
	// Detect are the info metrics that show which versions run; their series are those of a test as all others are.
	Detect []evaluator.Detect
}

// snapshot gives a runbook under test; nil: there is none of that name, or they could not be loaded.
func (f *file) snapshot(name string) *runbook.Snapshot {
	if f.set == nil {
		return nil
	}
	for _, s := range f.set.Runbooks {
		if s.Runbook.Name == name {
			return s
		}
	}
	return nil
}

// test is one of them. All times count from the epoch, where the series begin.
type test struct {
	place   document.Place
	name    string
	series  []memory.Series
	end     time.Duration // of the longest series
	unsure  bool          // a series could not be read, so the end may lie later
	changes []change
	actions []action
	expects []expectation
}

// change is the report that an artifact was given another version.
type change struct {
	place                           document.Place
	at                              time.Duration
	artifact, service, from, to, by string
}

// action is what a person does.
type action struct {
	place   document.Place
	at      time.Duration
	words   string // for people: acknowledge alice
	command incident.Command
	runbook string            // whose incident is meant; empty: the one that is open
	group   map[string]string // of that incident, where it is named
}

// expectation is what must be so at a time. What is nil is not compared.
type expectation struct {
	place    document.Place
	at       time.Duration
	open     []expected // all that is open; empty: nothing
	resolved []string   // runbooks of all incidents that are over; empty: none
}

// expected is an incident that must be open. What is empty or nil is not compared.
type expected struct {
	runbook        string
	group          map[string]string
	severity       runbook.Severity
	state          incident.State
	acknowledgedBy string
	paged          []string // roles, in any order; empty: nobody
	suspects       []string // artifacts, in the order in which they deserve a look; empty: none
}

// Options says which tests are run, and how.
type Options struct {
	Phase time.Duration  // of the evaluation times; below every file's interval
	Only  *regexp.Regexp // names of tests; nil: all
	Now   func() time.Time
}

// Result is what became of a test.
type Result struct {
	File     string
	Line     int
	Name     string
	Failures []Failure // none: it passed
	Took     time.Duration
}

// Failure is an expectation that was not met, an action that was refused or a query that was not answered.
type Failure struct {
	Place document.Place
	Lines []string // what was wanted and what there was, for people
}

// Run runs the tests, as many at once as there are processors, and gives their results in the order in which they are
// written. An error says that the tests could not be run at all; a test that failed is none.
func (s *Suite) Run(ctx context.Context, o Options) ([]Result, error) {
	type chosen struct {
		*file
		*test
	}
	var all []chosen
	for _, f := range s.files {
		if o.Phase >= f.interval {
			return nil, fmt.Errorf("phase %s is not below the interval of %s, %s",
				triggers.FormatDuration(o.Phase), f.path, triggers.FormatDuration(f.interval))
		}
		for _, t := range f.tests {
			if o.Only == nil || o.Only.MatchString(t.name) {
				all = append(all, chosen{f, t})
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no test has a name that matches %s", o.Only)
	}
	results := make([]Result, len(all))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, c := range all {
		group.Go(func() error {
			began := o.Now()
			failures, err := newPlay(c.file, c.test, o.Phase).run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", c.path, c.name, err)
			}
			results[i] = Result{c.path, c.place.Line, c.name, failures, o.Now().Sub(began)}
			return nil
		})
	}
	return results, group.Wait()
}
