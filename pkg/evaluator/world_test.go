package evaluator_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// The tests run in bubbles of virtual time, which begin at midnight.

const step = 15 * time.Second

// at is a time of the bubble's first day: "14:10:15".
func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2000-01-01 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func sleepUntil(clock string) { time.Sleep(time.Until(at(clock))) }

// metric is an expression's value over time; known is false where it has none.
type metric func(t time.Time) (v float64, known bool)

func always(v float64) metric { return func(time.Time) (float64, bool) { return v, true } }

// steps is a value that changes at given times: "1 00:20:00 9 00:40:00 1"; _ is no data.
func steps(text string) metric {
	words := strings.Fields(text)
	return func(t time.Time) (float64, bool) {
		now := words[0]
		for i := 1; i+1 < len(words) && !t.Before(at(words[i])); i += 2 {
			now = words[i+1]
		}
		var v float64
		_, err := fmt.Sscan(now, &v)
		return v, err == nil
	}
}

// mean is the metric averaged over (t-range, t], as a rate over that range shows it.
func (m metric) mean(window time.Duration) metric {
	return func(t time.Time) (float64, bool) {
		sum, n := 0.0, 0
		for s := t.Add(-window + time.Second); !s.After(t); s = s.Add(time.Second) {
			v, known := m(s.Add(-time.Second)) // what changed at s shows in the second after it
			if !known {
				return 0, false
			}
			sum, n = sum+v, n+1
		}
		return sum / float64(n), true
	}
}

// query is a question that the source was asked.
type query struct {
	expr     string
	from, to time.Time // equal: an instant
	asked    time.Time
}

func (q query) instant() bool { return q.from.Equal(q.to) }

// memorySource evaluates named expressions from functions of time.
type memorySource struct {
	metrics map[string]map[string]metric // by expression and label set
	delay   func(q query) time.Duration
	fault   func(q query) error

	mu      sync.Mutex
	queries []query
	atOnce  int
	most    int // queries at once
}

func (s *memorySource) Instant(ctx context.Context, expr string, t time.Time) (source.Answer, error) {
	return s.answer(ctx, query{expr, t, t, time.Now()}, step)
}

func (s *memorySource) Range(ctx context.Context, expr string, from, to time.Time, interval time.Duration) (source.Answer, error) {
	if err := source.CheckRange(expr, from, to, interval); err != nil {
		return source.Answer{}, err
	}
	if to.Sub(from)/interval >= 11_000 {
		return source.Answer{}, &source.Error{Reason: source.Query, Expr: expr, Detail: "exceeded maximum resolution of 11,000 points per timeseries"}
	}
	return s.answer(ctx, query{expr, from, to, time.Now()}, interval)
}

// becomes changes how the source answers from now on.
func (s *memorySource) becomes(fault func(query) error, delay func(query) time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.delay = fault, delay
}

func (s *memorySource) answer(ctx context.Context, q query, interval time.Duration) (source.Answer, error) {
	s.mu.Lock()
	s.queries = append(s.queries, q)
	s.atOnce++
	s.most = max(s.most, s.atOnce)
	fault, delay := s.fault, s.delay
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.atOnce--
		s.mu.Unlock()
	}()
	wait := time.Duration(0)
	if delay != nil {
		wait = delay(q)
	}
	if wait > 0 { // a timer due at once crashed the race detector's runtime in a synctest bubble
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return source.Answer{}, &source.Error{Reason: source.Canceled, Expr: q.expr, Detail: "canceled", Err: ctx.Err()}
		}
	}
	if fault != nil {
		if err := fault(q); err != nil {
			return source.Answer{}, err
		}
	}
	var a source.Answer
	for _, set := range slices.Sorted(maps.Keys(s.metrics[q.expr])) {
		series := source.Series{Labels: parse(set)}
		for t := q.from; !t.After(q.to); t = t.Add(interval) {
			if v, known := s.metrics[q.expr][set](t); known && !t.After(time.Now()) {
				series.Points = append(series.Points, source.Point{T: t.UnixMilli(), V: v})
			}
		}
		if len(series.Points) > 0 {
			a.Series = append(a.Series, series)
		}
	}
	return a, nil
}

// parse reads a label set: "service=a,lang=en".
func parse(text string) labels.Labels {
	var pairs []string
	for pair := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			pairs = append(pairs, name, value)
		}
	}
	return labels.FromStrings(pairs...)
}

// asked gives the queries since a time, of an expression or of all.
func (s *memorySource) asked(expr string, since time.Time) (instants, ranges []query) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.queries {
		switch {
		case q.asked.Before(since) || expr != "" && q.expr != expr:
		case q.instant():
			instants = append(instants, q)
		default:
			ranges = append(ranges, q)
		}
	}
	return instants, ranges
}

func down(from, to string) func(query) error {
	return func(q query) error {
		if now := time.Now(); now.Before(at(from)) || !now.Before(at(to)) {
			return nil
		}
		return &source.Error{Reason: source.HTTPStatus, Expr: q.expr, Status: 503, Detail: "503 Service Unavailable"}
	}
}

// world is a daemon's evaluator over an in-memory source and store. It can be stopped and started again.
type world struct {
	t        *testing.T
	source   *memorySource
	store    *incident.MemoryStore
	runbooks []*runbook.Snapshot
	config   evaluator.Config

	evaluator *evaluator.Evaluator
	desk      *recordingDesk
	registry  *prometheus.Registry
	logs      *observer.ObservedLogs
	noting    sync.Mutex // guards ticks and latest
	ticks     []incident.Tick
	detected  []changes.Change // that were kept
	latest    time.Duration    // how late the latest tick was
	faults    faults
	reworded  bool       // another version wrote the records, in other words
	ended     chan error // what Run returns
	stop      func()
}

// faults is what the store says to ticks and gaps instead of taking them.
type faults struct {
	mu  sync.Mutex
	all map[string]error
}

func (f *faults) of(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all[what]
}

func (f *faults) set(err error, what ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = map[string]error{}
	for _, w := range what {
		f.all[w] = err
	}
}

// recordingDesk is the real one; it keeps what it was told.
type recordingDesk struct {
	*incident.Desk
	world *world
}

func (d *recordingDesk) Open(ctx context.Context) ([]*incident.Record, error) {
	records, err := d.Desk.Open(ctx)
	if !d.world.reworded {
		return records, err
	}
	all := make([]*incident.Record, len(records))
	for i, r := range records {
		other := *r
		other.Findings = slices.Clone(r.Findings)
		for n := range other.Findings {
			other.Findings[n].Breaches = slices.Clone(other.Findings[n].Breaches)
			for b := range other.Findings[n].Breaches {
				other.Findings[n].Breaches[b].Condition = "in other words"
			}
		}
		all[i] = &other
	}
	return all, err
}

func (d *recordingDesk) Tick(ctx context.Context, tick incident.Tick) error {
	if err := d.world.faults.of("tick"); err != nil {
		return err
	}
	d.world.noting.Lock()
	d.world.ticks = append(d.world.ticks, tick)
	d.world.latest = max(d.world.latest, time.Since(tick.T))
	d.world.noting.Unlock()
	return d.Desk.Tick(ctx, tick)
}

// decided is how many ticks were decided so far, for a test that looks while the evaluator runs.
func (w *world) decided() int {
	w.noting.Lock()
	defer w.noting.Unlock()
	return len(w.ticks)
}

func (d *recordingDesk) Detected(ctx context.Context, found []changes.Change) error {
	if err := d.world.faults.of("detected"); err != nil {
		return err
	}
	d.world.detected = append(d.world.detected, found...)
	return d.Desk.Detected(ctx, found)
}

func (d *recordingDesk) Gap(ctx context.Context, from, to time.Time) error {
	if err := d.world.faults.of("gap"); err != nil {
		return err
	}
	return d.Desk.Gap(ctx, from, to)
}

func newWorld(t *testing.T, metrics map[string]metric, runbooks ...*runbook.Snapshot) *world {
	w := &world{t: t, source: &memorySource{metrics: map[string]map[string]metric{}}, store: incident.NewMemoryStore(), runbooks: runbooks}
	for name, m := range metrics {
		expr, set, _ := strings.Cut(name, "{")
		if w.source.metrics[expr] == nil {
			w.source.metrics[expr] = map[string]metric{}
		}
		w.source.metrics[expr][strings.TrimSuffix(set, "}")] = m
	}
	w.config.Grid, w.config.BlindAfter = triggers.Grid{Interval: step}, 5*time.Minute
	return w
}

// start starts a new process over the same store.
func (w *world) start() {
	w.t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	w.logs, w.registry = logs, prometheus.NewRegistry()
	w.desk = &recordingDesk{world: w, Desk: incident.NewDesk(incident.Config{Store: w.store, Policy: policy, Now: time.Now, Log: zap.NewNop()})}
	config := w.config
	config.Source, config.Desk, config.Now = w.source, w.desk, time.Now
	config.Changes, config.ChangeLog = w.desk, w.store.Changes
	config.Log, config.Registry = zap.New(core), w.registry
	w.evaluator = evaluator.New(config)
	w.evaluator.SetRunbooks(w.runbooks)
	ctx, cancel := context.WithCancel(w.t.Context())
	run, ended := w.evaluator.Run, make(chan error, 1)
	w.ended = ended
	go func() { ended <- run(ctx) }()
	w.stop = func() {
		w.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("run: %v", err)
		}
	}
}

// play runs one process from midnight to a time.
func (w *world) play(to string) {
	w.t.Helper()
	w.start()
	sleepUntil(to)
	synctest.Wait()
	w.stop()
}

func policy() incident.Policy {
	severities := map[runbook.Severity]incident.SeverityPolicy{}
	for _, s := range runbook.Severities {
		severities[s] = incident.SeverityPolicy{Page: true, AcknowledgeWithin: 15 * time.Minute}
	}
	return incident.Policy{
		Changes:  incident.ChangePolicy{Since: 24 * time.Hour},
		Instance: "test", ExternalURL: "http://localhost", Interval: step, BlindAfter: 5 * time.Minute, Severities: severities,
		Roles: map[string]incident.Role{"oncall": {Page: []string{"hook"}}},
	}
}

// events gives what happened to all incidents, in order: "00:30:00 opened". Pages are told by pages, and that nobody
// writes updates is no matter here.
func (w *world) events() []string {
	w.t.Helper()
	return w.told(func(e incident.Event) bool { return e.Body.Kind() != "paged" && e.Body.Kind() != "update_overdue" })
}

func (w *world) pages() []string {
	w.t.Helper()
	return w.told(func(e incident.Event) bool { return e.Body.Kind() == "paged" })
}

func (w *world) told(wanted func(incident.Event) bool) []string {
	w.t.Helper()
	var all []string
	for _, r := range w.records() {
		events, err := w.store.Events(w.t.Context(), r.ID, 0, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range events {
			if wanted(e) {
				all = append(all, e.At.Format(time.TimeOnly)+" "+e.Body.Kind())
			}
		}
	}
	return all
}

// records gives the incidents, the oldest first.
func (w *world) records() []*incident.Record {
	w.t.Helper()
	records, _, err := w.store.List(w.t.Context(), incident.Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(records)
	return records
}

// one gives the only incident.
func (w *world) one() *incident.Record {
	w.t.Helper()
	records := w.records()
	if len(records) != 1 {
		w.t.Fatalf("%d incidents, want one", len(records))
	}
	return records[0]
}

func (w *world) value(name string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func (w *world) wantEvents(want ...string) {
	w.t.Helper()
	if got := w.events(); !slices.Equal(got, want) {
		w.t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: %s, want %s", what, g, w)
	}
}

// book is a runbook that opens when refusals are above 5 for ten minutes, and recovers when they are below 3 for
// fifteen.
func book(name string, change ...func(*runbook.Snapshot)) *runbook.Snapshot {
	s := &runbook.Snapshot{
		Signals: map[string]*triggers.Signal{"refusals": {Name: "refusals", Title: "Refusals", Unit: triggers.NoUnit, Range: 5 * time.Minute, Query: "refusals"}},
	}
	s.Runbook = runbook.Runbook{
		Name: name, Title: name, Owner: "oncall", Branch: "other", ReopenWithin: 4 * time.Hour,
		Trigger:  condition(above("refusals", 5, 10*time.Minute)),
		Severity: runbook.Rubric{Default: runbook.Sev2},
		Recovery: runbook.Recovery{
			Hold: 15 * time.Minute, Timeout: 20 * time.Hour,
			Key:    runbook.Band{Clause: pointer(condition(&triggers.Condition{Signal: "refusals", Comparison: triggers.Below, Limit: 3}))},
			Safety: runbook.Band{None: "a test"}, Business: runbook.Band{None: "a test"},
		},
	}
	for _, c := range change {
		c(s)
	}
	return s
}

func above(signal string, limit float64, duration time.Duration) *triggers.Condition {
	return &triggers.Condition{Signal: signal, Comparison: triggers.Above, Limit: limit, For: duration}
}

func condition(c *triggers.Condition) triggers.Clause { return triggers.Clause{Condition: c} }

func pointer[T any](v T) *T { return &v }

// bubble runs a test in virtual time.
func bubble(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}
