// Package embedded is Prometheus inside this process: its own scrape manager, TSDB and PromQL engine behind the
// source interface, so that the daemon runs alone where there is no Prometheus at hand.
//
// What the package guards: an expression means here what it means in Prometheus (staleness, lookback, native
// histograms refused alike), and nothing is read from a database that has been closed.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/source/engine"
)

// Config says what is scraped, how often, and where it is kept.
type Config struct {
	// ScrapeInterval is how often every target is scraped, in whole milliseconds; a scrape may take as long. 1s by default.
	ScrapeInterval time.Duration

	// Targets are the URLs of metric pages: http://127.0.0.1:8000/metrics. Their series carry job="embedded" and
	// instance="host:port". May be empty: then there is only what Backfill wrote.
	Targets []string

	// Path is the database's directory; it is made if it is missing, and locked while it is open.
	Path string

	// Retention is how long points are kept; 15 days by default.
	Retention time.Duration

	// LookbackDelta is how far back an instant looks for a series' last point; 5m by default, as in Prometheus.
	LookbackDelta time.Duration

	// Timeout bounds one query; 30s by default.
	Timeout time.Duration

	// MaxSeries is how many series an answer may have; 0: any number. More is an error, never a shorter answer.
	MaxSeries int

	// Logger gets what Prometheus' packages have to say. nil: nobody does.
	Logger *zap.Logger
}

const (
	defaultScrapeInterval = time.Second
	defaultRetention      = 15 * 24 * time.Hour
	defaultTimeout        = 30 * time.Second
	maxSamples            = 50_000_000 // held by one query at a time, as in Prometheus
)

// Embedded is a Prometheus in this process. It is safe for concurrent use.
type Embedded struct {
	cfg     Config
	targets []target
	db      *tsdb.DB
	engine  *promql.Engine
	queries *engine.Source // what the engine answers from the database
	logger  *slog.Logger

	stop    chan struct{}  // closed by Close, ends Run
	running sync.WaitGroup // Run

	mu     sync.RWMutex // held for reading while the database is in use
	closed bool
}

// Open opens the database, or makes it, and reads back what it held. An error says which setting is wrong or what
// kept the database from opening. Scraping begins with Run.
func Open(cfg Config) (*Embedded, error) {
	cfg, targets, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	logger := slog.New(slog.DiscardHandler)
	if cfg.Logger != nil {
		logger = slog.New(zapHandler{core: cfg.Logger.Core()})
	}
	db, err := tsdb.Open(cfg.Path, logger, nil, storageOptions(cfg), nil)
	if err != nil {
		return nil, fmt.Errorf("open the metrics database %s: %w", cfg.Path, err)
	}
	prom := promql.NewEngine(promql.EngineOpts{
		Logger:                   logger,
		MaxSamples:               maxSamples,
		Timeout:                  cfg.Timeout,
		LookbackDelta:            cfg.LookbackDelta,
		NoStepSubqueryIntervalFn: func(int64) int64 { return cfg.ScrapeInterval.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   parser.NewParser(parser.Options{}),
	})
	return &Embedded{
		cfg: cfg, targets: targets, db: db, engine: prom, logger: logger, stop: make(chan struct{}),
		queries: &engine.Source{Engine: prom, Storage: db, MaxSeries: cfg.MaxSeries},
	}, nil
}

// checked returns the settings with their defaults.
func (cfg Config) checked() (Config, []target, error) {
	setDefault(&cfg.ScrapeInterval, defaultScrapeInterval)
	setDefault(&cfg.Retention, defaultRetention)
	setDefault(&cfg.Timeout, defaultTimeout)
	switch {
	case cfg.Path == "":
		return cfg, nil, errors.New("embedded path: is missing; a directory for the metrics database")
	case cfg.ScrapeInterval < time.Millisecond || cfg.ScrapeInterval%time.Millisecond != 0:
		return cfg, nil, fmt.Errorf("embedded scrape_interval: %s; allowed are whole milliseconds, at least 1ms", cfg.ScrapeInterval)
	case cfg.Retention < 0 || cfg.LookbackDelta < 0 || cfg.Timeout < 0 || cfg.MaxSeries < 0:
		return cfg, nil, errors.New("embedded: retention, lookback delta, timeout and series limit must not be negative")
	}
	var targets []target
	for _, address := range cfg.Targets {
		t, err := parseTarget(address)
		if err != nil {
			return cfg, nil, err
		}
		targets = append(targets, t)
	}
	return cfg, targets, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// storageOptions are Prometheus' own but for the size of a small installation's tables, and for points that come late:
// a day of history written into a database that already has today's must not be refused.
func storageOptions(cfg Config) *tsdb.Options {
	options := tsdb.DefaultOptions()
	options.RetentionDuration = cfg.Retention.Milliseconds()
	options.OutOfOrderTimeWindow = cfg.Retention.Milliseconds()
	options.StripeSize = 1 << 10
	return options
}

// Run scrapes the targets until ctx ends or the database is closed. It may be called once.
func (e *Embedded) Run(ctx context.Context) error {
	e.mu.RLock()
	if e.closed {
		e.mu.RUnlock()
		return errors.New("the metrics database is closed")
	}
	e.running.Add(1)
	e.mu.RUnlock()
	defer e.running.Done()

	// The registry is needed by the scraper and read by nobody: its metrics speak of Prometheus, not of the daemon.
	manager, err := scrape.NewManager(&scrape.Options{DiscoveryReloadOnStartup: true}, e.logger, nil, nil, e.db, prometheus.NewRegistry())
	if err != nil {
		return fmt.Errorf("make the scraper: %w", err)
	}
	if err := configure(manager, e.cfg.ScrapeInterval); err != nil {
		return fmt.Errorf("configure the scraper: %w", err)
	}
	groups := targetGroups(e.targets)
	done := make(chan error, 1)
	go func() { done <- manager.Run(groups) }()
	select {
	case <-ctx.Done():
	case <-e.stop:
	}
	manager.Stop() // waits for the scrapes under way
	return <-done
}

// Close ends Run, waits for the queries under way, and closes the database. What was scraped stays in it.
func (e *Embedded) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	close(e.stop)
	e.running.Wait()
	if err := errors.Join(e.engine.Close(), e.db.Close()); err != nil {
		return fmt.Errorf("close the metrics database %s: %w", e.cfg.Path, err)
	}
	return nil
}

var _ source.Source = (*Embedded)(nil)
