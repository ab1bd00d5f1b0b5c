package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/common/model"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/term"

	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/replay"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/source/embedded"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// replayFlags are what a person typed.
type replayFlags struct {
	config, from, to, phase, interval, format, against string
	runbooks                                           []string
	retries                                            int
}

func replayCommand() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay --from T [--to T]",
		Short: "Tell which incidents would have opened",
		Long: "Runs the runbooks over the history that the metric source holds. Nobody is paged. Tells which incidents would\n" +
			"have opened, when, at what severity, how long after impact began, and when they would have been resolved.\n\n" +
			"Times are RFC 3339 (2026-11-18T14:00:00Z), now, or so long ago: 7d, 36h.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, ok := replayFormats[f.format]
			if f.format == "html" {
				return wrongUsage("--format html comes with the web pages of a later release; text or json")
			}
			if !ok {
				return wrongUsage("--format %q is not known; text or json", f.format)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			result, err := runReplay(ctx, &f, time.Now().UTC(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return write(result, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "irdaemon.yaml", "the settings file")
	flags.StringVar(&f.from, "from", "", "where to begin")
	flags.StringVar(&f.to, "to", "now", "where to end")
	flags.StringSliceVar(&f.runbooks, "runbook", nil, "replay this runbook alone; may be repeated")
	flags.StringVar(&f.against, "against", "", "a file with another version of a runbook, to be compared on the same history")
	flags.StringVar(&f.phase, "phase", "", "the phase of the evaluation times (default: of the settings)")
	flags.StringVar(&f.interval, "interval", "", "the interval of the evaluation times (default: of the settings)")
	flags.IntVar(&f.retries, "retries", 4, "how often a query is put again that was not answered, each time after twice the wait, from 1s on")
	flags.StringVar(&f.format, "format", "text", "text or json")
	return cmd
}

var replayFormats = map[string]func(*replay.Result, io.Writer) error{
	"text": (*replay.Result).WriteText, "json": (*replay.Result).WriteJSON,
}

// replayTimeout bounds one query of history, which takes longer than one of the moment.
const replayTimeout = 2 * time.Minute

func runReplay(ctx context.Context, f *replayFlags, now time.Time, messages io.Writer) (result *replay.Result, err error) {
	if f.from == "" {
		return nil, wrongUsage("--from is missing; %s", allowedTimes)
	}
	c, report := config.Load(f.config)
	if err := report.Err(document.Error, document.Later); err != nil {
		return nil, fmt.Errorf("%s is refused:\n%w", f.config, err)
	}
	if f.retries < 0 {
		return nil, wrongUsage("--retries %d is not allowed; 0 or more", f.retries)
	}
	r := replay.Config{Queries: c.Settings.Limits.Queries, BlindAfter: c.Settings.BlindAfter, Attempts: f.retries + 1}
	r.Detect = detected(&c.Settings)
	r.Changes = incident.ChangePolicy{Since: c.Settings.Changes.Since, SinceOf: c.Settings.Changes.ByArtifact}
	r.Pages = func(s runbook.Severity) bool { return c.Settings.Severities[s].Page }
	if r.Grid, err = f.grid(&c.Settings); err != nil {
		return nil, err
	}
	if r.From, r.To, err = f.span(now.Add(-c.Settings.QueryOffset)); err != nil {
		return nil, err
	}
	if r.Runbooks, r.Against, err = f.selected(c); err != nil {
		return nil, err
	}
	var closeSource func() error
	if r.Source, closeSource, err = openHistory(&c.Settings); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	r.Progress, r.Tell = progress(messages)
	return replay.Run(ctx, r)
}

const allowedTimes = "allowed are RFC 3339 (2026-11-18T14:00:00Z), now, or a duration ago (7d, 36h)"

// span reads the range.
func (f *replayFlags) span(now time.Time) (from, to time.Time, err error) {
	if from, err = pointInTime("--from", f.from, now); err != nil {
		return from, to, err
	}
	if to, err = pointInTime("--to", f.to, now); err != nil {
		return from, to, err
	}
	switch {
	case to.After(now):
		return from, to, wrongUsage("--to %s lies in the future: there is no history of it yet; now is %s", f.to, now.Format(time.RFC3339))
	case !from.Before(to):
		return from, to, wrongUsage("--from %s is not before --to %s", from.Format(time.RFC3339), to.Format(time.RFC3339))
	}
	return from, to, nil
}

func pointInTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	ago, err := model.ParseDuration(text)
	if err != nil {
		return time.Time{}, wrongUsage("%s %q is not a time; %s", flag, text, allowedTimes)
	}
	return now.Add(-time.Duration(ago)), nil
}

// grid is the evaluation times: those of the settings, unless the flags say others.
func (f *replayFlags) grid(s *config.Settings) (triggers.Grid, error) {
	grid := triggers.Grid{Interval: s.Interval, Phase: s.Phase}
	if f.interval != "" {
		d, err := model.ParseDuration(f.interval)
		if err != nil || d <= 0 {
			return grid, wrongUsage("--interval %q is not a duration; allowed is 15s, 1m", f.interval)
		}
		grid.Interval = time.Duration(d)
		grid.Phase %= grid.Interval
	}
	if f.phase != "" {
		d, err := model.ParseDuration(f.phase)
		if err != nil || time.Duration(d) >= grid.Interval {
			return grid, wrongUsage("--phase %q is not allowed; a duration below the interval of %s, such as 5s", f.phase, grid.Interval)
		}
		grid.Phase = time.Duration(d)
	}
	return grid, nil
}

// selected gives the runbooks to replay, and the other version of one of them.
func (f *replayFlags) selected(c *config.Config) (present []*runbook.Snapshot, other *runbook.Snapshot, err error) {
	names := f.runbooks
	if f.against != "" {
		if other, err = otherVersion(f.against, c); err != nil {
			return nil, nil, err
		}
		name := other.Runbook.Name
		if len(names) > 0 && !slices.Equal(names, []string{name}) {
			return nil, nil, wrongUsage("--runbook %s: --against compares %s alone", strings.Join(names, ","), name)
		}
		names = []string{name}
	}
	var known []string
	for _, s := range c.Runbooks {
		known = append(known, s.Runbook.Name)
		if len(names) == 0 || slices.Contains(names, s.Runbook.Name) {
			present = append(present, s)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, nil, wrongUsage("no runbook is named %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return present, other, nil
}

// otherVersion reads a runbook by the signals and roles of the settings.
func otherVersion(path string, c *config.Config) (*runbook.Snapshot, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, wrongUsage("--against: %w", err)
	}
	report := &document.Report{}
	v, ok := document.Parse(path, text, report)
	if ok {
		r := runbook.Read(v)
		known := runbook.Known{Signals: c.Signals, Roles: []string{}, Connectors: []string{}}
		for name := range c.Settings.Roles {
			known.Roles = append(known.Roles, name)
		}
		for name := range c.Settings.Connectors {
			known.Connectors = append(known.Connectors, name)
		}
		r.Check(known)
		if err := report.Err(document.Error, document.Later); err == nil {
			return runbook.NewSnapshot(r, c.Signals), nil
		}
	}
	report.Sort()
	return nil, fmt.Errorf("%s is refused:\n%w", path, report.Err(document.Error, document.Later))
}

// openHistory opens the metric source for reading: the embedded one scrapes nothing meanwhile.
func openHistory(s *config.Settings) (source.Source, func() error, error) {
	if s.Prometheus != nil {
		p, err := source.NewPrometheus(source.PrometheusConfig{
			URL: s.Prometheus.URL, HTTPClient: s.Prometheus.HTTPClient, Timeout: replayTimeout, MaxSeries: s.Limits.Segments,
		})
		return p, func() error { return nil }, err
	}
	if _, err := os.Stat(s.Embedded.Path); err != nil {
		return nil, nil, fmt.Errorf("the embedded source holds no history: %w", err)
	}
	e, err := embedded.Open(embedded.Config{
		ScrapeInterval: s.Embedded.ScrapeInterval, Path: s.Embedded.Path, Retention: s.Embedded.Retention,
		MaxSeries: s.Limits.Segments, Timeout: replayTimeout, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%w; while a daemon has it open, replay a copy of its folder", err)
	}
	return e, e.Close, nil
}

// progress shows a bar on a terminal, and messages on anything.
func progress(w io.Writer) (show func(decided, all int64), tell func(string)) {
	file, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return nil, func(text string) { _, _ = fmt.Fprintln(w, text) }
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("replay"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetWidth(30))
	show = func(decided, all int64) {
		if bar.GetMax64() != all {
			bar.ChangeMax64(all)
		}
		_ = bar.Set64(decided)
	}
	tell = func(text string) {
		_ = bar.Clear()
		_, _ = fmt.Fprintln(w, text)
	}
	return show, tell
}
