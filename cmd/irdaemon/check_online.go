package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/common/model"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/online"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// onlineFlags are what a person typed of check --online.
type onlineFlags struct {
	online        bool
	config, since string

	span time.Duration
}

// check reads what was typed.
func (f *onlineFlags) check() error {
	if !f.online && f.config != "" {
		return wrongUsage("--config names the metric source for --online, which is missing")
	}
	d, err := model.ParseDuration(f.since)
	if err != nil || d <= 0 {
		return wrongUsage("--since %q is not a duration; allowed is 7d, 36h", f.since)
	}
	f.span = time.Duration(d)
	return nil
}

// ask asks the metric source, and notes in the report what misleads.
func (f *onlineFlags) ask(ctx context.Context, c *config.Config, report *document.Report, now time.Time, messages io.Writer) (result *online.Result, err error) {
	settings, err := f.settings(c)
	if err != nil {
		return nil, err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	source, closeSource, err := openHistory(settings)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	to := now.Add(-settings.QueryOffset)
	result, err = online.Run(ctx, online.Config{
		Source: source, Grid: triggers.Grid{Interval: settings.Interval, Phase: settings.Phase}, From: to.Add(-f.span), To: to,
		Runbooks: c.Runbooks, Queries: settings.Limits.Queries, Progress: onlineProgress(messages),
	})
	if err != nil {
		return nil, err
	}
	report.Problems = append(report.Problems, result.Warnings...)
	for _, r := range result.Runbooks {
		if r.Err != nil {
			report.Error(r.At, r.Error, "an expression that the source answers")
		}
	}
	return result, nil
}

// settings gives those that name the source.
func (f *onlineFlags) settings(c *config.Config) (*config.Settings, error) {
	if f.config != "" {
		named, report := config.Load(f.config)
		if err := report.Err(document.Error); err != nil {
			return nil, fmt.Errorf("%s is refused:\n%w", f.config, err)
		}
		return &named.Settings, nil
	}
	if c.Settings.Prometheus == nil && c.Settings.Embedded == nil {
		return nil, wrongUsage("no settings among the files, so --online has no source to ask; --config irdaemon.yaml names it")
	}
	return &c.Settings, nil
}

// onlineProgress shows a bar on a terminal, and nothing elsewhere.
func onlineProgress(w io.Writer) func(done, all int64) {
	file, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("asking"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetWidth(30))
	return func(done, all int64) {
		if bar.GetMax64() != all {
			bar.ChangeMax64(all)
		}
		_ = bar.Set64(done)
	}
}
