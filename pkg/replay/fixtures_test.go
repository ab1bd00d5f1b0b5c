package replay_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/replay"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// midnight is when the tests' history begins, and where a bubble of virtual time does.
var midnight = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// clock is a time of that day: "14:10:15".
func clock(text string) time.Time {
	t, err := time.Parse(time.DateTime, "2000-01-01 "+text)
	if err != nil {
		panic(err)
	}
	return t
}

// metric is an expression's value over time; NaN where it has none.
type metric func(t time.Time) float64

// always is one value for ever.
func always(v float64) metric { return func(time.Time) float64 { return v } }

// during is one value inside of spans of time, and another one outside: "14:00:00-14:40:00".
func during(inside, outside float64, spans ...string) metric {
	return func(t time.Time) float64 {
		for _, span := range spans {
			from, to, _ := strings.Cut(span, "-")
			if !t.Before(clock(from)) && t.Before(clock(to)) {
				return inside
			}
		}
		return outside
	}
}

// mean is the metric averaged over (t-window, t], as a rate over that range shows it.
func (m metric) mean(window time.Duration) metric {
	return func(t time.Time) float64 {
		sum := 0.0
		for s := t.Add(-window); s.Before(t); s = s.Add(time.Second) {
			sum += m(s)
		}
		return sum / window.Seconds()
	}
}

// asked is a question that the source got.
type asked struct {
	expr     string
	from, to time.Time
}

func (a asked) points() int { return int(a.to.Sub(a.from)/(15*time.Second)) + 1 }

// functions is a source whose history is functions of time, by expression and label set ("service=a,tier=paid").
type functions struct {
	series map[string]map[string]metric
	born   time.Time              // the oldest point
	now    func() time.Time       // points after it are not there yet; nil: all are
	fault  func(a asked) error    // what is answered instead
	warn   func(a asked) []string // what is warned of beside the data

	mu      sync.Mutex
	queries []asked
}

// source makes a source of expressions with their label sets: "latency{service=a}".
func newSource(named map[string]metric) *functions {
	f := &functions{series: map[string]map[string]metric{}}
	for name, m := range named {
		expr, set, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
		if f.series[expr] == nil {
			f.series[expr] = map[string]metric{}
		}
		f.series[expr][set] = m
	}
	return f
}

func (f *functions) Instant(ctx context.Context, expr string, t time.Time) (source.Answer, error) {
	return f.answer(ctx, asked{expr, t, t}, time.Second)
}

func (f *functions) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (source.Answer, error) {
	if err := source.CheckRange(expr, from, to, step); err != nil {
		return source.Answer{}, err
	}
	if to.Sub(from)/step >= 11_000 {
		return source.Answer{}, &source.Error{Reason: source.Query, Expr: expr, Status: 400, Detail: "exceeded maximum resolution of 11,000 points per timeseries"}
	}
	return f.answer(ctx, asked{expr, from, to}, step)
}

func (f *functions) answer(ctx context.Context, a asked, step time.Duration) (source.Answer, error) {
	f.mu.Lock()
	f.queries = append(f.queries, a)
	f.mu.Unlock()
	if ctx.Err() != nil {
		return source.Answer{}, &source.Error{Reason: source.Canceled, Expr: a.expr, Detail: "canceled", Err: ctx.Err()}
	}
	if f.fault != nil {
		if err := f.fault(a); err != nil {
			return source.Answer{}, err
		}
	}
	var answer source.Answer
	named := f.series[inner(a.expr)]
	for _, set := range slices.Sorted(maps.Keys(named)) {
		s := source.Series{Labels: labelSet(set)}
		for t := a.from; !t.After(a.to); t = t.Add(step) {
			if v := named[set](t); !math.IsNaN(v) && !t.Before(f.born) && (f.now == nil || !t.After(f.now())) {
				s.Points = append(s.Points, source.Point{T: t.UnixMilli(), V: v})
			}
		}
		if len(s.Points) > 0 {
			answer.Series = append(answer.Series, s)
		}
	}
	answer.Series = aggregated(a.expr, answer.Series)
	if f.warn != nil {
		answer.Warnings = f.warn(a)
	}
	return answer, nil
}

// inner is the expression inside of max( ) and min( ).
func inner(expr string) string {
	if rest, ok := strings.CutSuffix(expr, "\n)"); ok {
		return rest[len("max("):]
	}
	return expr
}

// aggregated gives what max( ) and min( ) make of the series.
func aggregated(expr string, all []source.Series) []source.Series {
	if inner(expr) == expr || len(all) == 0 {
		return all
	}
	pick := math.Max
	if strings.HasPrefix(expr, "min(") {
		pick = math.Min
	}
	byTime := map[int64]float64{}
	for _, s := range all {
		for _, p := range s.Points {
			if v, known := byTime[p.T]; known {
				p.V = pick(v, p.V)
			}
			byTime[p.T] = p.V
		}
	}
	one := source.Series{}
	for _, t := range slices.Sorted(maps.Keys(byTime)) {
		one.Points = append(one.Points, source.Point{T: t, V: byTime[t]})
	}
	return []source.Series{one}
}

// asked gives the questions about an expression, in the order of their times.
func (f *functions) asked(expr string) []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []asked
	for _, a := range f.queries {
		if a.expr == expr {
			all = append(all, a)
		}
	}
	slices.SortStableFunc(all, func(a, b asked) int { return a.from.Compare(b.from) })
	return all
}

func labelSet(text string) labels.Labels {
	var pairs []string
	for pair := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(pair, "="); ok {
			pairs = append(pairs, name, value)
		}
	}
	return labels.FromStrings(pairs...)
}

// signals are those of all tests.
const signals = `signals:
  latency: {title: p95 latency, unit: seconds, worse: up, query: latency}
  refused_share: {title: Refused, unit: ratio, worse: up, query: refused_share}
  deflected_share: {title: Deflected, unit: ratio, worse: down, query: deflected_share}
  saturation: {title: Saturation, unit: none, worse: up, query: saturation}
  refusal_rate:
    title: Refusal rate
    unit: ratio
    worse: up
    range: 5m
    ratio: {numerator: "sum by (service) (increase(refused[$range]))", denominator: "sum by (service) (increase(asked[$range]))"}
`

const (
	refused  = "sum by (service) (increase(refused[5m]))"
	requests = "sum by (service) (increase(asked[5m]))"
)

// slow is a runbook for one slow service.
const slow = `runbook: slow
title: Answers are slow
branch: other
group_by: [service]
trigger: {signal: latency, above: 5s, for: 10m, clears: {below: 4s}}
severity: {sev1: {signal: latency, above: 20s}, default: sev3}
owner: oncall
triage: [{check: "Is the provider slow?"}]
rollback: [{artifact: prompt, do: "Set the live prompt back."}]
communication: {internal: "{{ .Title }}", customer: "Answers are slow."}
recovery:
  hold: 15m
  key: {signal: latency, below: 4s}
  safety: {none: a test}
  business: {none: a test}
postmortem: {due: 5d}
`

// changed is a document with some of its text replaced, by pairs of old and new.
func changed(t testing.TB, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q is not in the document", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

// read reads runbooks as the daemon does.
func read(t testing.TB, texts ...string) []*runbook.Snapshot {
	t.Helper()
	report := &document.Report{}
	v, _ := document.Parse("signals.yaml", []byte(signals), report)
	known := runbook.Known{Signals: triggers.ReadSignals(v), Roles: []string{"oncall"}, Connectors: []string{}}
	var all []*runbook.Snapshot
	for i, text := range texts {
		v, _ := document.Parse(fmt.Sprintf("runbook%d.yaml", i), []byte(text), report)
		r := runbook.Read(v)
		r.Check(known)
		all = append(all, runbook.NewSnapshot(r, known.Signals))
	}
	if err := report.Err(document.Error); err != nil {
		t.Fatal(err)
	}
	return all
}

// over is a replay over a span of time at 15 s.
func over(f *functions, from, to time.Time, runbooks ...*runbook.Snapshot) replay.Config {
	return replay.Config{
		Source: f, Grid: triggers.Grid{Interval: 15 * time.Second}, From: from, To: to, Runbooks: runbooks,
		Backoff: time.Millisecond,
	}
}

func run(t testing.TB, c replay.Config) *replay.Result {
	t.Helper()
	result, err := replay.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// lines says of each incident what a person compares: runbook, group, severity, impact, opening, end, segments.
func lines(incidents []*replay.Incident) []string {
	all := make([]string, 0, len(incidents))
	for _, i := range incidents {
		end := "open"
		if i.ResolvedAt != nil {
			end = i.ResolvedAt.Format(time.DateTime)
		}
		all = append(all, fmt.Sprintf("%s %s %s impact %s opened %s resolved %s %v", i.Runbook, i.Group, i.Severity,
			i.ImpactStartedAt.Format(time.DateTime), i.OpenedAt.Format(time.DateTime), end, i.Segments))
	}
	return all
}

func wantLines(t *testing.T, got []*replay.Incident, want ...string) {
	t.Helper()
	if g := lines(got); !slices.Equal(g, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(g, "\n"), strings.Join(want, "\n"))
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}
