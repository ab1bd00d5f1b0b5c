package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/unittest"
)

// testFlags are what a person typed.
type testFlags struct{ phase, run, junit string }

func testCommand() *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:   "test FILE…",
		Short: "Run unit tests of runbooks",
		Long: "Plays written series and a script of what people do through the runbooks, in virtual time, and compares what is\n" +
			"open, how bad it is and who was paged with what the test expects.\n" +
			"Exit code 1 if a test fails, or a file has an error.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			options, err := f.options()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			results, err := runTests(ctx, paths, options)
			if err != nil {
				return err
			}
			if err := unittest.WriteText(cmd.OutOrStdout(), results); err != nil {
				return err
			}
			if err := f.writeJUnit(results); err != nil {
				return err
			}
			if n := unittest.Failed(results); n > 0 {
				return fmt.Errorf("%s failed", count(n, "test"))
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.run, "run", "", "run the tests alone whose names match this regular expression")
	flags.StringVar(&f.phase, "phase", "0s", "the phase of the evaluation times")
	flags.StringVar(&f.junit, "junit", "", "also write the results to this file, as JUnit XML")
	return cmd
}

func (f *testFlags) options() (unittest.Options, error) {
	o := unittest.Options{Now: time.Now}
	phase, err := model.ParseDuration(f.phase)
	if err != nil {
		return o, wrongUsage("--phase %q is not a duration; allowed is 5s", f.phase)
	}
	o.Phase = time.Duration(phase)
	if f.run != "" {
		if o.Only, err = regexp.Compile(f.run); err != nil {
			return o, wrongUsage("--run: %w", err)
		}
	}
	return o, nil
}

func runTests(ctx context.Context, paths []string, options unittest.Options) ([]unittest.Result, error) {
	suite, report := unittest.Read(paths, loadTested)
	if err := report.Err(document.Error); err != nil {
		return nil, fmt.Errorf("nothing was tested:\n%w", err)
	}
	return suite.Run(ctx, options)
}

// loadTested reads what a file of tests names. As for run, what a later release evaluates is an error in signals and
// runbooks; in the settings it is none, for a test reaches nobody outside.
func loadTested(settings string, loose []string) (*unittest.Set, *document.Report) {
	var c *config.Config
	var report *document.Report
	if settings != "" {
		c, report = config.Load(settings)
	} else {
		c, report = config.LoadFiles(loose...)
	}
	for i, p := range report.Problems {
		if p.Level == document.Later && filepath.Clean(p.Place.File) != filepath.Clean(settings) {
			report.Problems[i].Level = document.Error
		}
	}
	if len(c.Runbooks) == 0 && report.Count(document.Error) == 0 {
		report.Error(document.Place{File: testedFile(settings, loose)}, "no runbook is loaded", "runbooks: with at least one path")
	}
	if report.Count(document.Error) > 0 {
		return nil, report
	}
	set := &unittest.Set{Runbooks: c.Runbooks, Policy: policyOf(&c.Settings), MaxSeries: c.Settings.Limits.Segments}
	set.Detect = detected(&c.Settings)
	if settings == "" {
		// Loose files come without roles: each owner is reached by a receiver of the same name.
		for _, s := range c.Runbooks {
			set.Policy.Roles[s.Runbook.Owner] = incident.Role{Page: []string{s.Runbook.Owner}}
		}
	}
	return set, report
}

func testedFile(settings string, loose []string) string {
	if settings != "" || len(loose) == 0 {
		return settings
	}
	return loose[0]
}

func (f *testFlags) writeJUnit(results []unittest.Result) error {
	if f.junit == "" {
		return nil
	}
	var document bytes.Buffer
	err := unittest.WriteJUnit(&document, results)
	if err == nil {
		err = os.WriteFile(f.junit, document.Bytes(), 0o644) //nolint:gosec // for whoever reads the results
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.junit, err)
	}
	return nil
}
