package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/irdaemon/irdaemon/pkg/source"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, cfg Config) *Embedded {
	t.Helper()
	if cfg.Path == "" {
		cfg.Path = t.TempDir()
	}
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// line makes a series with a point every step, ending before end.
func line(end time.Time, step time.Duration, values []float64, names ...string) source.Series {
	s := source.Series{Labels: labels.FromStrings(names...)}
	start := end.Add(-time.Duration(len(values)) * step)
	for i, v := range values {
		s.Points = append(s.Points, source.Point{T: start.Add(time.Duration(i) * step).UnixMilli(), V: v})
	}
	return s
}

func ramp(n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = float64(i)
	}
	return values
}

// exporter is a metric page with a counter of its scrapes.
func exporter(t *testing.T) (address string, scrapes *atomic.Int64) {
	t.Helper()
	scrapes = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/probe" || r.URL.Query().Get("module") != "bot" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = fmt.Fprintf(w, "# TYPE scrapes_total counter\nscrapes_total{tier=\"paid\"} %d\n", scrapes.Add(1))
	}))
	t.Cleanup(server.Close)
	return server.URL + "/probe?module=bot", scrapes
}

// run scrapes until the test calls what it returns.
func run(t *testing.T, e *Embedded) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

// until asks again and again, for real time passes here, until the answer is as wanted.
func until(t *testing.T, e *Embedded, expr string, fine func(source.Answer) bool) source.Answer {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		answer, err := e.Instant(context.Background(), expr, time.Now())
		if err == nil && fine(answer) {
			return answer
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %+v, %v", expr, answer, err)
		}
	}
}

func TestTargetsAreScrapedMoreOftenThanASecond(t *testing.T) {
	address, scrapes := exporter(t)
	const interval = 94 * time.Millisecond
	e := open(t, Config{ScrapeInterval: interval, Targets: []string{address}, LookbackDelta: time.Minute})
	stop := run(t, e)
	answer := until(t, e, `scrapes_total`, func(a source.Answer) bool { return len(a.Series) == 1 && a.Series[0].Points[0].V >= 6 })
	stop()
	want := labels.FromStrings("__name__", "scrapes_total", "instance", strings.Split(address, "/")[2], "job", "embedded", "tier", "paid")
	if !labels.Equal(answer.Series[0].Labels, want) {
		t.Errorf("labels are %s, want %s", answer.Series[0].Labels, want)
	}
	// The points' own times tell whether the interval was kept and nothing was moved onto another grid.
	now := time.Now()
	first, err := e.Instant(context.Background(), `min_over_time(timestamp(scrapes_total)[1m:1ms])`, now)
	if err != nil {
		t.Fatal(err)
	}
	last, err := e.Instant(context.Background(), `timestamp(scrapes_total)`, now)
	if err != nil {
		t.Fatal(err)
	}
	took := (last.Series[0].Points[0].V - first.Series[0].Points[0].V) * 1000
	if n := float64(scrapes.Load() - 1); math.Abs(took-n*94) > 94 {
		t.Errorf("%v scrapes took %v ms, want %v", n, took, n*94)
	}
	if before := scrapes.Load(); func() bool { time.Sleep(3 * interval); return scrapes.Load() != before }() {
		t.Error("scraped on after Run had ended")
	}
}

func TestATargetThatIsDownGoesStaleAtOnce(t *testing.T) {
	address, _ := exporter(t)
	down := httptest.NewServer(http.NotFoundHandler())
	defer down.Close()
	e := open(t, Config{ScrapeInterval: 50 * time.Millisecond, Targets: []string{address, down.URL}})
	stop := run(t, e)
	defer stop()
	until(t, e, `up`, func(a source.Answer) bool {
		return len(a.Series) == 2 && a.Series[0].Points[0].V+a.Series[1].Points[0].V == 1
	})
}

func TestHistoryWrittenBeforeIsSeenAndStaysAfterClosing(t *testing.T) {
	path := t.TempDir()
	day := 24 * time.Hour
	e := open(t, Config{Path: path})
	// 30 hours at 15s, longer than a head block, and a second series that begins in the middle.
	history := []source.Series{
		line(noon, 15*time.Second, ramp(30*240), "__name__", "requests", "tier", "paid"),
		line(noon, 15*time.Second, ramp(10*240), "__name__", "requests", "tier", "free"),
	}
	if err := e.Backfill(context.Background(), history); err != nil {
		t.Fatal(err)
	}
	check := func(e *Embedded) {
		t.Helper()
		got, err := e.Range(context.Background(), `requests{tier="paid"}`, noon.Add(-day), noon.Add(-15*time.Second), 15*time.Second)
		if err != nil || len(got.Series) != 1 || len(got.Series[0].Points) != 24*240 {
			t.Fatalf("%v, %d series", err, len(got.Series))
		}
		for i, p := range got.Series[0].Points {
			want := source.Point{T: noon.Add(-day).Add(time.Duration(i) * 15 * time.Second).UnixMilli(), V: float64(6*240 + i)}
			if p != want {
				t.Fatalf("point %d is %v, want %v", i, p, want)
			}
		}
		both, err := e.Instant(context.Background(), `requests`, noon.Add(-9*time.Hour))
		if err != nil || len(both.Series) != 2 {
			t.Errorf("%v, %d series, want 2", err, len(both.Series))
		}
	}
	check(e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = open(t, Config{Path: path})
	check(e)
	// History from before what is there already, and the same once more.
	older := []source.Series{line(noon.Add(-31*time.Hour), time.Minute, ramp(60), "__name__", "older")}
	for range 2 {
		if err := e.Backfill(context.Background(), older); err != nil {
			t.Fatal(err)
		}
	}
	got, err := e.Range(context.Background(), `older`, noon.Add(-32*time.Hour), noon.Add(-31*time.Hour-time.Minute), time.Minute)
	if err != nil || len(got.Series) != 1 || len(got.Series[0].Points) != 60 {
		t.Errorf("%v, %+v, want 60 points", err, got)
	}
}

func TestHistoryAndScrapesAreOneSeries(t *testing.T) {
	address, _ := exporter(t)
	e := open(t, Config{ScrapeInterval: 50 * time.Millisecond, Targets: []string{address}})
	instance := strings.Split(address, "/")[2]
	history := line(time.Now().Add(-time.Second), 50*time.Millisecond, make([]float64, 600), "__name__", "scrapes_total", "instance", instance, "job", "embedded", "tier", "paid")
	if err := e.Backfill(context.Background(), []source.Series{history}); err != nil {
		t.Fatal(err)
	}
	stop := run(t, e)
	defer stop()
	until(t, e, `count_over_time(scrapes_total[5m])`, func(a source.Answer) bool { return len(a.Series) == 1 && a.Series[0].Points[0].V > 603 })
}

func TestBackfillRefusesPointsOutOfOrder(t *testing.T) {
	e := open(t, Config{})
	for _, times := range [][]int64{{2, 1}, {1, 1}} {
		s := source.Series{Labels: labels.FromStrings("__name__", "x")}
		for _, ms := range times {
			s.Points = append(s.Points, source.Point{T: ms})
		}
		if err := e.Backfill(context.Background(), []source.Series{s}); err == nil || !strings.Contains(err.Error(), "not later") {
			t.Errorf("%v: got %v", times, err)
		}
	}
}

func TestLookbackIsAsConfigured(t *testing.T) {
	e := open(t, Config{LookbackDelta: 7500 * time.Millisecond})
	if err := e.Backfill(context.Background(), []source.Series{line(noon, time.Second, ramp(10), "__name__", "x")}); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]int{6 * time.Second: 1, 7 * time.Second: 0} { // the last point is a second before noon
		if got, err := e.Instant(context.Background(), `x`, noon.Add(after)); err != nil || len(got.Series) != want {
			t.Errorf("%s after noon: %v, %d series, want %d", after, err, len(got.Series), want)
		}
	}
}

func TestNothingIsReadFromAClosedDatabase(t *testing.T) {
	address, _ := exporter(t)
	e := open(t, Config{Targets: []string{address}})
	done := make(chan error, 1)
	go func() { done <- e.Run(context.Background()) }()
	time.Sleep(20 * time.Millisecond)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil && !strings.Contains(err.Error(), "closed") {
		t.Errorf("run: %v", err)
	}
	_, err := e.Instant(context.Background(), `up`, noon)
	mustFail(t, err, source.Unreachable)
	if e.Backfill(context.Background(), nil) == nil || e.Run(context.Background()) == nil || e.Close() != nil {
		t.Error("a closed database must refuse all but Close")
	}
}

func TestOpenSaysWhichSettingIsWrong(t *testing.T) {
	path := t.TempDir()
	held := open(t, Config{Path: path})
	tests := map[string]Config{
		"path: is missing":                  {},
		"scrape_interval: 1.5ms":            {Path: path, ScrapeInterval: 1500 * time.Microsecond},
		"must not be negative":              {Path: path, Retention: -1},
		"targets: not the address":          {Path: path, Targets: []string{"127.0.0.1:8000/metrics"}},
		"without user and password":         {Path: path, Targets: []string{"http://u:hunter2@x/metrics"}},
		"open the metrics database " + path: {Path: path},
	}
	for says, cfg := range tests {
		e, err := Open(cfg)
		if err == nil {
			_ = e.Close()
		}
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want …%s…", err, says)
		}
	}
	_ = held
}

func TestPrometheusLogsThroughOurs(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	logger := slog.New(zapHandler{core: core}).With("component", "tsdb").WithGroup("g")
	logger.Info("block written", "ulid", "01X")
	logger.Warn("slow")
	entries := logs.All()
	if len(entries) != 2 || entries[0].Level != zap.DebugLevel || entries[1].Level != zap.WarnLevel {
		t.Fatalf("got %+v", entries)
	}
	if got := entries[0].ContextMap(); got["component"] != "tsdb" || got["g.ulid"] != "01X" {
		t.Errorf("fields are %v", got)
	}
}

// withHistogram adds a native histogram to the database.
func withHistogram(t *testing.T, e *Embedded) {
	t.Helper()
	appender := e.db.AppenderV2(context.Background())
	h := &histogram.Histogram{Count: 3, Sum: 4, Schema: 0, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{3}}
	if _, err := appender.Append(0, labels.FromStrings("__name__", "native"), 0, noon.UnixMilli(), 0, h, nil, storage.AppendV2Options{}); err != nil {
		t.Fatal(err)
	}
	if err := appender.Commit(); err != nil {
		t.Fatal(err)
	}
}
