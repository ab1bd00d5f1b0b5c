package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/action"
	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/store"
	"github.com/irdaemon/irdaemon/pkg/triggers"
	"github.com/irdaemon/irdaemon/pkg/watchdog"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// daemon is the rooms, wired together. newDaemon opens what can fail at a start, run starts what runs, close gives
// back what was opened.
type daemon struct {
	options   daemonOptions
	log       *zap.Logger
	registry  *prometheus.Registry
	metrics   *daemonMetrics
	source    source.Source
	store     *store.SQLite
	desk      *incident.Desk
	evaluator *evaluator.Evaluator
	notifier  *notify.Notifier
	watchdog  *watchdog.Watchdog
	gathering *gathering
	executor  *action.Executor
	listener  net.Listener
	links     *access.Links
	began     time.Time

	loaded    atomic.Pointer[config.Config]
	probed    atomic.Pointer[evaluator.Probe] // nil: not tried out yet
	tryOut    chan struct{}                   // a reload asks for another probe
	receivers atomic.Pointer[map[string]notify.Receiver]
	access    atomic.Pointer[access.Access]
	refused   atomic.Pointer[string] // why the files that are there are not in force; nil: they are
}

// daemonOptions is what a daemon is made of. The demo brings its own source, scale and eyes.
type daemonOptions struct {
	Config *config.Config
	// Reload reads the files again; nil: there is nothing to read.
	Reload func() (*config.Config, error)
	// Source is the metric source.
	Source source.Source
	Log    *zap.Logger
	// ImpactReach is how far back the beginning of impact is looked for; 0: a day.
	ImpactReach time.Duration
	// OnEvents is told what was committed; may be nil.
	OnEvents func(*incident.Record, []incident.Event)
}

func newDaemon(ctx context.Context, options daemonOptions) (*daemon, error) {
	d := &daemon{options: options, log: options.Log, source: options.Source, registry: prometheus.NewRegistry(), tryOut: make(chan struct{}, 1), began: time.Now()}
	d.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	d.metrics = newDaemonMetrics(d.registry, d)
	if err := d.adopt(options.Config); err != nil {
		return nil, err
	}
	settings := options.Config.Settings
	var err error
	d.store, err = store.Open(ctx, store.Options{
		Path: settings.Store.Path, AllowNetworkFS: settings.Store.AllowNetworkFS, Log: d.log, Now: time.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	d.desk = incident.NewDesk(incident.Config{
		Store: d.store, Policy: d.policy, Log: d.log, Now: time.Now,
		OnEvents: d.happened, InForce: d.runbookInForce,
		Live: func(id string) (incident.Live, bool) { return d.evaluator.Live(id) }, // asked once all is wired
	})
	d.evaluator = evaluator.New(evaluator.Config{
		Source: d.source, Desk: d.desk,
		Grid:        triggers.Grid{Interval: settings.Interval, Phase: settings.Phase},
		QueryOffset: settings.QueryOffset, Queries: settings.Limits.Queries, ImpactReach: options.ImpactReach,
		BlindAfter: settings.BlindAfter, Detect: detected(&settings), Changes: d.desk, ChangeLog: d.store.Changes,
		Now: time.Now, Log: d.log, Registry: d.registry,
	})
	d.evaluator.SetRunbooks(options.Config.Runbooks)
	if err := d.sign(ctx); err != nil {
		return nil, errors.Join(err, d.store.Close())
	}
	d.notifier = notify.New(notify.Config{
		Outbox: d.store, Desk: d.desk, Receivers: d.receiversInForce, Kind: d.receiverKind, Limits: d.pageLimits,
		Links: d.acknowledgeLink, Owner: d.ownersReceivers, Instance: settings.Instance,
		Metrics: notify.NewMetrics(d.registry, d.store.Depth, time.Now), Log: d.log, Now: time.Now,
	})
	d.watchdog = d.newWatchdog()
	d.gathering = d.newGathering()
	d.executor = d.newExecutor()
	d.listener, err = net.Listen("tcp", settings.Web.Listen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on web.listen %s: %w", settings.Web.Listen, err), d.store.Close())
	}
	return d, nil
}

// run serves until ctx ends, then finishes what is in flight.
func (d *daemon) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.evaluator.Run(ctx) })
	group.Go(func() error { return d.notifier.Run(ctx) })
	group.Go(func() error { return d.clock(ctx) })
	group.Go(func() error { return d.tidy(ctx) })
	group.Go(func() error { return d.probe(ctx) })
	group.Go(func() error { return d.watchdog.Run(ctx) })
	group.Go(func() error { return d.gathering.run(ctx) })
	group.Go(func() error { return d.executor.Run(ctx) })
	group.Go(func() error { return web.Serve(ctx, d.listener, d.handler(ctx.Done()), d.accessInForce, d.log) })
	return errors.Join(group.Wait(), d.store.Close())
}

// clock lets escalation go on between ticks: a slow source delays nobody's call.
func (d *daemon) clock(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := d.desk.Clock(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("escalation not decided; tried again in a second", zap.Error(err))
		}
	}
}

// Rows of the outbox are kept for a while after they were sent, for whoever asks what went where.
const (
	sentKept   = 7 * 24 * time.Hour
	tidyEvery  = time.Hour
	tidyAtOnce = 500
)

// tidy deletes what the store need not keep, a few rows at a time.
func (d *daemon) tidy(ctx context.Context) error {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		for {
			n, err := d.store.Prune(ctx, time.Now().Add(-sentKept), tidyAtOnce)
			if err != nil && ctx.Err() == nil {
				d.log.Warn("sent rows not deleted; tried again in an hour", zap.Error(err))
			}
			if err != nil || n < tidyAtOnce {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (d *daemon) handler(stopping <-chan struct{}) http.Handler {
	settings := d.options.Config.Settings
	c := web.Config{
		Desk: d.desk, Overview: overview{d}, Ready: d.ready, Registry: d.registry, Log: d.log,
		Version: buildVersion(), ExternalURL: settings.Web.ExternalURL,
		Access: d.accessInForce, Links: d.links, Silences: d.desk, Receivers: receiverDesk{d}, Drill: d.drill,
		Backup: &web.Backup{Folder: filepath.Dir(settings.Store.Path), Copy: d.store.Backup},
		Feed:   d.store, Stopping: stopping,
		Changes: d.desk, Planner: planner{d.executor}, Evidence: d.gathering.again,
	}
	if d.options.Reload != nil {
		c.Reload = func(context.Context) ([]string, error) { return d.reload() }
	}
	return web.New(c)
}

// adopt puts a configuration in force. Nothing is changed when it returns an error.
func (d *daemon) adopt(c *config.Config) error {
	receivers, err := buildReceivers(c.Settings)
	if err != nil {
		return err
	}
	who, err := access.Load(access.Settings{
		TokensFile: c.Settings.Web.TokensFile, WebConfigFile: c.Settings.Web.ConfigFile,
		UserHeader: c.Settings.Web.UserHeader, TrustedProxies: c.Settings.Web.TrustedProxies,
	})
	if err != nil {
		return err
	}
	d.loaded.Store(c)
	d.receivers.Store(&receivers)
	d.access.Store(who)
	return nil
}

// runbookInForce gives the runbook of a name as the files that were taken last have it, nil for none.
func (d *daemon) runbookInForce(name string) *runbook.Snapshot {
	for _, s := range d.loaded.Load().Runbooks {
		if s.Runbook.Name == name {
			return s
		}
	}
	return nil
}

func (d *daemon) accessInForce() *access.Access { return d.access.Load() }

// reload reads the files again, and names the settings that take effect at the next start only. A broken file is refused
// whole, and the old ones stay in force.
func (d *daemon) reload() (atNextStart []string, err error) {
	c, err := d.options.Reload()
	if err == nil {
		err = d.adopt(c)
	}
	d.metrics.reloaded(err == nil)
	if err != nil {
		why := firstLine(err.Error())
		d.refused.Store(&why)
		d.log.Error("reload refused; the files loaded before stay in force", zap.Error(err))
		return nil, &web.FilesRefused{Problems: err}
	}
	d.refused.Store(nil)
	atNextStart = config.NeedsRestart(&d.options.Config.Settings, &c.Settings)
	for _, key := range atNextStart {
		d.log.Warn("a changed setting takes effect at the next start", zap.String("setting", key))
	}
	d.evaluator.SetRunbooks(c.Runbooks)
	select {
	case d.tryOut <- struct{}{}:
	default: // one is asked for already, and will see these
	}
	d.log.Info("reloaded", zap.Int("runbooks", len(c.Runbooks)), zap.Int("signals", len(c.Signals)))
	return atNextStart, nil
}

// happened is told of every commit.
func (d *daemon) happened(r *incident.Record, events []incident.Event) {
	d.notifier.Wake()
	d.metrics.happened(r, events)
	d.station(r, events)
	d.gathering.happened(r, events)
	d.executor.Happened(r, events)
	d.logRollbacks(r, events)
	if d.options.OnEvents != nil {
		d.options.OnEvents(r, events)
	}
}

// ready gives the reasons why the daemon cannot do its work.
func (d *daemon) ready() []string {
	status := d.evaluator.Status()
	reasons := status.Blind()
	started := d.options.Config.Settings
	switch late := time.Since(status.Tick); {
	case status.Tick.IsZero():
	case late > 3*started.Interval+started.QueryOffset:
		reasons = append(reasons, fmt.Sprintf("no tick was decided for %s; due every %s", late.Round(time.Second), started.Interval))
	case late < -started.Interval:
		reasons = append(reasons, fmt.Sprintf("the last tick lies %s ahead of this machine's clock, which was set back", (-late).Round(time.Second)))
	}
	if clock, ok := d.source.(interface{ ClockAhead() time.Duration }); ok {
		if ahead := clock.ClockAhead(); ahead.Abs() > max(2*started.Interval, 5*time.Second) {
			reasons = append(reasons, fmt.Sprintf("the metric source's clock and this machine's are %s apart: what is asked for now is not there", ahead.Abs()))
		}
	}
	return append(reasons, d.undelivered()...)
}

// pageLate is how long a page may wait for its receiver before the daemon is not ready.
const pageLate = time.Minute

// undelivered gives the reason why nobody may hear of an incident: a page that its receiver has not taken for a minute.
func (d *daemon) undelivered() []string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	rows, oldest, err := d.store.Pages(ctx)
	if err != nil {
		return []string{"the outbox can't be read: " + err.Error()}
	}
	if late := time.Since(oldest); rows > 0 && late > pageLate {
		return []string{fmt.Sprintf("pages are not delivered: %s, the oldest since %s", count(rows, "page"), oldest.UTC().Format("15:04:05 UTC"))}
	}
	return nil
}

// policy is the settings in force that deciding needs.
func (d *daemon) policy() incident.Policy {
	p := policyOf(&d.loaded.Load().Settings)
	for name, receiver := range d.receiversInForce() {
		p.Carries[name] = receiver.Carries()
	}
	// These take effect at the next start, as for the evaluator.
	started := d.options.Config.Settings
	p.Instance, p.Interval = started.Instance, started.Interval
	return p
}

func policyOf(s *config.Settings) incident.Policy {
	p := incident.Policy{
		Instance: s.Instance, Interval: s.Interval, BlindAfter: s.BlindAfter,
		ExternalURL: strings.TrimSuffix(s.Web.ExternalURL, "/"),
		Severities:  map[severity]incident.SeverityPolicy{},
		Roles:       map[string]incident.Role{},
		Owner:       s.Owner, Carries: map[string]incident.Carries{}, Actions: s.Actions,
		Changes: incident.ChangePolicy{Since: s.Changes.Since, SinceOf: s.Changes.ByArtifact},
	}
	for _, q := range s.Quiet {
		p.Quiet = append(p.Quiet, incident.Quiet{Runbooks: q.Runbooks, UpTo: q.UpTo, Contains: q.Contains})
	}
	for name, v := range s.Severities {
		p.Severities[name] = incident.SeverityPolicy{Page: v.Page, AcknowledgeWithin: v.AcknowledgeWithin}
	}
	for name, v := range s.Roles {
		p.Roles[name] = incident.Role{Page: v.Page, EscalateTo: v.EscalateTo}
	}
	return p
}

// load reads settings, signals and runbooks for run: what check only warns of, a missing secret and what a later
// release evaluates, refuses them.
func load(path string) (*config.Config, error) {
	c, report := config.Load(path)
	if err := errors.Join(report.Err(document.Error, document.Later), report.Secrets()); err != nil {
		return nil, err
	}
	return c, nil
}
