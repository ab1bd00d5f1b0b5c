package online

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// chunkTicks is how many points of a series are asked for in one go. Sources give 11,000 at most; fewer keep the room
// small that the points of many series take.
const chunkTicks = 2880

// span is ticks, both ends included.
type span struct{ first, last int64 }

// library has the points that were asked for: each expression once for each stretch of time.
type library struct {
	config *Config
	slots  chan struct{} // bounds the queries at once

	mu      sync.Mutex
	bounds  map[triggers.Grid]span // what is of use to anybody
	answers map[answerKey]*cell[source.Answer]
	columns map[columnsKey]*cell[[][]triggers.Point]
	round   int
	seen    map[string]bool // expressions that gave a series
	heard   map[string]bool // what the source said beside its data
}

type answerKey struct {
	expr  string
	grid  triggers.Grid
	chunk int64
}

type columnsKey struct {
	triggers.Expressions
	grid  triggers.Grid
	chunk int64
}

// cell is something that is worked out once, by whoever wants it first.
type cell[T any] struct {
	once  sync.Once
	value T
	err   error
	used  int // the round in which somebody wanted it
}

func (c *cell[T]) get(work func() (T, error)) (T, error) {
	c.once.Do(func() { c.value, c.err = work() })
	return c.value, c.err
}

func newLibrary(config *Config) *library {
	return &library{
		config: config, slots: make(chan struct{}, config.Queries), bounds: map[triggers.Grid]span{},
		answers: map[answerKey]*cell[source.Answer]{}, columns: map[columnsKey]*cell[[][]triggers.Point]{},
		seen: map[string]bool{}, heard: map[string]bool{},
	}
}

// chunkOf is the number of the chunk that a tick lies in. Chunks lie at the same places for everybody, so that those who
// ask for different times share them.
func chunkOf(tick int64) int64 {
	if tick < 0 {
		return (tick+1)/chunkTicks - 1
	}
	return tick / chunkTicks
}

// lastOf is the last tick of the chunk that a tick lies in.
func (l *library) lastOf(tick int64) int64 { return (chunkOf(tick)+1)*chunkTicks - 1 }

// use notes that somebody wants the ticks of a grid.
func (l *library) use(grid triggers.Grid, s span) {
	if had, ok := l.bounds[grid]; ok {
		s = span{min(s.first, had.first), max(s.last, had.last)}
	}
	l.bounds[grid] = s
}

// wanted is the part of a chunk that is of use.
func (l *library) wanted(grid triggers.Grid, chunk int64) span {
	b := l.bounds[grid]
	return span{max(b.first, chunk*chunkTicks), min(b.last, (chunk+1)*chunkTicks-1)}
}

// points gives the points of the wanted part of a chunk, tick by tick.
func (l *library) points(ctx context.Context, x triggers.Expressions, grid triggers.Grid, chunk int64) ([][]triggers.Point, error) {
	c := enter(l, l.columns, columnsKey{x, grid, chunk})
	return c.get(func() ([][]triggers.Point, error) {
		at := l.wanted(grid, chunk)
		var all [][][]triggers.Sample
		for _, expr := range x.List() {
			answer, err := l.ask(ctx, expr, grid, chunk)
			if err != nil {
				return nil, err
			}
			all = append(all, split(answer, grid, at))
		}
		columns := make([][]triggers.Point, at.last-at.first+1)
		samples := make([][]triggers.Sample, len(all))
		for i := range columns {
			for n := range all {
				samples[n] = all[n][i]
			}
			columns[i] = x.Points(samples)
		}
		return columns, nil
	})
}

func (l *library) ask(ctx context.Context, expr string, grid triggers.Grid, chunk int64) (source.Answer, error) {
	c := enter(l, l.answers, answerKey{expr, grid, chunk})
	return c.get(func() (source.Answer, error) {
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-ctx.Done():
			return source.Answer{}, ctx.Err()
		}
		at := l.wanted(grid, chunk)
		answer, err := l.config.Source.Range(ctx, expr, grid.Time(at.first), grid.Time(at.last), grid.Interval)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.seen[expr] = l.seen[expr] || len(answer.Series) > 0
		for _, w := range answer.Warnings {
			l.heard[w] = true
		}
		return answer, err
	})
}

// enter finds a cell, or makes it.
func enter[K comparable, T any](l *library, cells map[K]*cell[T], key K) *cell[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := cells[key]
	if c == nil {
		c = &cell[T]{}
		cells[key] = c
	}
	c.used = l.round
	return c
}

// forget drops what nobody wanted since it was called last.
func (l *library) forget() {
	maps.DeleteFunc(l.answers, func(_ answerKey, c *cell[source.Answer]) bool { return c.used < l.round })
	maps.DeleteFunc(l.columns, func(_ columnsKey, c *cell[[][]triggers.Point]) bool { return c.used < l.round })
	l.round++
}

// preload asks for what the surveys need up to a time. What goes wrong is told to those who then want it.
func (l *library) preload(ctx context.Context, surveys []*survey, to time.Time) {
	var group errgroup.Group
	group.SetLimit(l.config.Queries)
	for _, s := range surveys {
		for _, f := range s.feeds {
			for chunk := chunkOf(f.next); s.err == nil && chunk <= chunkOf(f.target(to)); chunk++ {
				group.Go(func() error {
					_, _ = l.points(ctx, f.Expressions, f.grid, chunk)
					return nil
				})
			}
		}
	}
	_ = group.Wait()
}

// warnings are what the source said beside its data.
func (l *library) warnings() []string { return slices.Sorted(maps.Keys(l.heard)) }

// split sorts the points of an answer by tick.
func split(a source.Answer, grid triggers.Grid, at span) [][]triggers.Sample {
	columns := make([][]triggers.Sample, at.last-at.first+1)
	for _, s := range a.Series {
		for _, p := range s.Points {
			if i := grid.Tick(time.UnixMilli(p.T)) - at.first; i >= 0 && i < int64(len(columns)) {
				columns[i] = append(columns[i], triggers.Sample{Labels: s.Labels, V: p.V})
			}
		}
	}
	return columns
}

// feedKey is what a feed brings in: the points of now, or those of so long ago, on a grid of their own.
type feedKey struct {
	triggers.Expressions
	grid triggers.Grid
	ago  time.Duration
	past bool
}

// feed brings points into a history as time goes on.
type feed struct {
	feedKey
	history *triggers.History
	reach   time.Duration
	next    int64 // the next tick of its grid that is to be fed
}

func (f *feed) target(t time.Time) int64 { return f.grid.Tick(t.Add(-f.ago)) }

// begin makes the history, once it is known how far back everybody looks.
func (f *feed) begin(lib *library) {
	f.history = triggers.NewHistory(f.grid, f.reach, f.Shape())
	f.next = f.target(lib.config.Grid.Time(lib.config.first()).Add(-f.reach))
	lib.use(f.grid, span{f.next, f.target(lib.config.Grid.Time(lib.config.last()))})
}

// advance feeds the history up to a time.
func (f *feed) advance(ctx context.Context, lib *library, t time.Time) error {
	for target := f.target(t); f.next <= target; {
		chunk := chunkOf(f.next)
		at := lib.wanted(f.grid, chunk)
		columns, err := lib.points(ctx, f.Expressions, f.grid, chunk)
		if err != nil {
			return err
		}
		for ; f.next <= min(target, at.last); f.next++ {
			f.history.Feed(f.grid.Time(f.next), columns[f.next-at.first])
		}
	}
	return nil
}
