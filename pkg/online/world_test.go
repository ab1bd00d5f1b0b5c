package online_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/source/memory"
)

const minute = time.Minute

// The week that is looked at begins two days after the epoch, so that baselines have their day.
var (
	begin = time.Unix(0, 0).UTC().Add(48 * time.Hour)
	end   = begin.Add(7 * 24 * time.Hour)
)

// load reads the runbooks of a folder.
func load(t *testing.T, path string) []*runbook.Snapshot {
	t.Helper()
	c, report := config.LoadFiles(path)
	if err := report.Err(document.Error); err != nil {
		t.Fatal(err)
	}
	return c.Runbooks
}

// counter is a counter to which events come by chance, of a mean a minute, always the same ones.
func counter(t *testing.T, labels string, seed uint64, mean func(at time.Duration) float64) memory.Series {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, seed))
	sum := 0.0
	return series(t, labels, func(at time.Duration) float64 {
		left := math.Exp(-mean(at))
		for p := random.Float64(); p > left; p *= random.Float64() {
			sum++
		}
		return sum
	})
}

// series has a value each minute.
func series(t *testing.T, labels string, value func(at time.Duration) float64) memory.Series {
	t.Helper()
	set, err := memory.ParseLabels(labels)
	if err != nil {
		t.Fatal(err)
	}
	s := memory.Series{Labels: set}
	for at := time.Duration(0); at <= end.Sub(time.Unix(0, 0)); at += minute {
		s.Points = append(s.Points, parser.SequenceValue{Value: value(at)})
	}
	return s
}

// during gives one value inside of a span of the time, another one outside.
func during(from, to time.Duration, inside, outside float64) func(time.Duration) float64 {
	return func(at time.Duration) float64 {
		if at >= from && at < to {
			return inside
		}
		return outside
	}
}

func always(v float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return v }
}

const day = 24 * time.Hour

// shop is a week of a support bot: paid users are refused for an hour on the fifth day (4% become 19%), and there are
// few free ones.
func shop(t *testing.T) []memory.Series {
	var all []memory.Series
	requests := func(tier string, seed uint64, minutely float64, share func(time.Duration) float64) {
		for i, outcome := range []string{"refused", "ok"} {
			all = append(all, counter(t, fmt.Sprintf(`requests_total{service="support-bot",tier=%q,outcome=%q}`, tier, outcome), seed+uint64(i),
				func(at time.Duration) float64 {
					bad := minutely * share(at)
					if outcome == "ok" {
						return minutely - bad
					}
					return bad
				}))
		}
	}
	requests("paid", 10, 20, during(6*day+3*time.Hour, 6*day+4*time.Hour, 0.19, 0.04))
	requests("free", 20, 0.4, always(0.04))
	for i, by := range []string{"bot", "person"} {
		all = append(all, counter(t, fmt.Sprintf(`closed_total{service="support-bot",by=%q}`, by), uint64(30+i), always([]float64{4.2, 5.8}[i])))
	}
	for i, tier := range []string{"paid", "free"} {
		slow := during(4*day, 4*day+40*time.Minute, 6, 2+float64(i))
		all = append(all, series(t, fmt.Sprintf(`latency_seconds{service="support-bot",tier=%q}`, tier), slow))
	}
	return all
}

// asked counts what a source is asked.
type asked struct {
	source.Source
	mu     sync.Mutex
	times  map[string]int
	points int // the most of a series in one answer
	fail   func(expr string) error
}

func (a *asked) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (source.Answer, error) {
	a.mu.Lock()
	if a.times == nil {
		a.times = map[string]int{}
	}
	a.times[fmt.Sprint(expr, from.Unix(), step)]++
	a.points = max(a.points, int(to.Sub(from)/step)+1)
	a.mu.Unlock()
	if a.fail != nil {
		if err := a.fail(expr); err != nil {
			return source.Answer{}, err
		}
	}
	return a.Source.Range(ctx, expr, from, to, step)
}
