package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // quiet times name locations, and a container may have none

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/source/embedded"
	"github.com/irdaemon/irdaemon/pkg/web"
)

type severity = runbook.Severity

func runCommand() *cobra.Command {
	var path, level, format string
	var insecure bool
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "Run the daemon",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLog(level, format)
			if err != nil {
				return wrongUsage("%w", err)
			}
			c, err := load(path)
			if err != nil {
				return fmt.Errorf("%s is refused:\n%w", path, err)
			}
			if err := strangers(&c.Settings.Web, insecure); err != nil {
				return err
			}
			return runDaemon(cmd.Context(), path, c, insecure, log)
		},
	}
	cmd.Flags().StringVar(&path, "config", "irdaemon.yaml", "the settings file")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().StringVar(&format, "log-format", "json", "json or console")
	cmd.Flags().BoolVar(&insecure, "insecure-listen", false, "listen on an address that other machines can reach, without authentication")
	return cmd
}

// strangers refuses a listener that other machines reach and that asks nobody who they are.
func strangers(s *config.Web, insecure bool) error {
	if insecure || s.Authenticated() || web.IsLoopback(s.Listen) {
		return nil
	}
	return fmt.Errorf("web.listen %s can be reached from other machines, and nobody who calls the API is authenticated;"+
		" set web.tokens_file, basic_auth_users in web.config_file, or web.user_header, listen on a loopback address,"+
		" or start with --insecure-listen where the network itself keeps strangers out", s.Listen)
}

func runDaemon(ctx context.Context, path string, c *config.Config, insecure bool, log *zap.Logger) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	metricSource, closeSource, err := openSource(ctx, &c.Settings, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	d, err := newDaemon(ctx, daemonOptions{
		Config: c, Source: metricSource, Log: log,
		Reload: func() (*config.Config, error) {
			again, err := load(path)
			if err != nil {
				return nil, err
			}
			// The listener stays the one of the start, whatever the files say now.
			return again, strangers(&config.Web{Listen: c.Settings.Web.Listen, TokensFile: again.Settings.Web.TokensFile,
				Users: again.Settings.Web.Users, UserHeader: again.Settings.Web.UserHeader}, insecure)
		},
	})
	if err != nil {
		return err
	}
	defer d.reloadOnHangup()()
	log.Info("irdaemon runs", zap.String("version", buildVersion()), zap.String("instance", c.Settings.Instance),
		zap.String("listen", d.listener.Addr().String()), zap.Int("runbooks", len(c.Runbooks)), zap.Duration("interval", c.Settings.Interval))
	if err := d.run(ctx); err != nil {
		return err
	}
	log.Info("irdaemon has stopped")
	return nil
}

// reloadOnHangup reloads at each SIGHUP, until the function that it gives is called.
func (d *daemon) reloadOnHangup() (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-hangups:
				_, _ = d.reload() // refused: it is logged, and a metric
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(done)
	}
}

// openSource opens the metric source that the settings name: Prometheus' HTTP API, or the embedded one, which
// scrapes until ctx ends.
func openSource(ctx context.Context, s *config.Settings, log *zap.Logger) (source.Source, func() error, error) {
	if s.Prometheus != nil {
		p, err := source.NewPrometheus(source.PrometheusConfig{
			URL: s.Prometheus.URL, HTTPClient: s.Prometheus.HTTPClient,
			Timeout: queryTimeout(s.Interval), MaxSeries: s.Limits.Segments,
		})
		return p, func() error { return nil }, err
	}
	e, err := embedded.Open(embedded.Config{
		ScrapeInterval: s.Embedded.ScrapeInterval, Targets: s.Embedded.Targets,
		Path: s.Embedded.Path, Retention: s.Embedded.Retention, MaxSeries: s.Limits.Segments, Logger: log,
	})
	if err != nil {
		return nil, nil, err
	}
	scraping, stop := context.WithCancel(ctx)
	scraped := make(chan error, 1)
	go func() { scraped <- e.Run(scraping) }()
	return e, func() error {
		stop()
		return errors.Join(<-scraped, e.Close())
	}, nil
}

// queryTimeout leaves a query most of an interval, so that one that hangs is known before the next tick is due.
func queryTimeout(interval time.Duration) time.Duration {
	return min(10*time.Second, interval*4/5)
}

func newLog(level, format string) (*zap.Logger, error) {
	at, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("--log-level %q is not known; debug, info, warn or error", level)
	}
	if format != "json" && format != "console" {
		return nil, fmt.Errorf("--log-format %q is not known; json or console", format)
	}
	c := zap.NewProductionConfig()
	c.Level = zap.NewAtomicLevelAt(at)
	c.Encoding = format
	c.DisableCaller, c.DisableStacktrace = true, true
	c.Sampling = nil // nothing that happened to an incident is left out
	c.EncoderConfig.TimeKey = "time"
	c.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	c.EncoderConfig.EncodeDuration = zapcore.StringDurationEncoder
	return c.Build()
}
