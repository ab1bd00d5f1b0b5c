package replay

import (
	"context"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// The bounds of a chunk: what is fetched of each expression in one go.
const (
	maxTicks    = 11_000         // points of a series: Prometheus gives no more at once
	maxTime     = 24 * time.Hour // so that a source that loads its days from afar loads one at a time
	maxPoints   = 8 << 20        // of all series together: 128 MB
	firstTicks  = 4 * stepTicks  // of the first chunk, from which is learned how many series there are
	readAhead   = 8 * stepTicks  // of what is asked for now and then
	chunksAhead = 2              // so that the source works on one while another one is on its way
)

// chunk is the ticks that are fetched in one go.
type chunk struct{ first, last int64 }

func (c chunk) has(tick int64) bool { return c.first <= tick && tick <= c.last }

// history is the source that the evaluator sees: it fetches each expression chunk by chunk, the next one ahead of
// time, asks again what was not answered, and answers from what it has. When a query fails for good it ends the run:
// to the evaluator a failed query is a fact about the moment, here it says nothing of the past.
type history struct {
	config  *Config
	ctx     context.Context //nolint:containedctx // of the run: what one question fetches, others wait for
	stop    context.CancelCauseFunc
	running sync.WaitGroup
	slots   chan struct{} // bounds the queries at once

	mu      sync.Mutex
	present chunk
	number  int // of the present chunk
	tapes   map[tapeKey]*tape
}

// tapeKey tells the ticks of the runbooks from the coarser ones of their baselines.
type tapeKey struct {
	expr string
	step time.Duration
}

// tape is what is known of one expression at the ticks of one grid.
type tape struct {
	expr   string
	grid   triggers.Grid
	pieces []*piece // in order, apart from each other
	steady bool     // asked for all the time, and so fetched ahead
	series int      // the most that an answer had
	begun  int64    // the newest tick of any piece: what is begun anew up to here was counted before
	coverage
}

// piece is the answer for a stretch of ticks. It may be read when done is closed.
type piece struct {
	chunk
	fresh  int64 // the first of its ticks that coverage has not counted
	used   int   // the number of the last chunk in which it was read
	done   chan struct{}
	series []source.Series
	points int
	err    error
}

func newHistory(ctx context.Context, config *Config, stop context.CancelCauseFunc) *history {
	h := &history{config: config, ctx: ctx, stop: stop, slots: make(chan struct{}, config.Queries), tapes: map[tapeKey]*tape{}}
	return h
}

// steady makes an expression one that is asked for all the time.
func (h *history) steady(expr string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tape(expr, h.config.Grid.Interval).steady = true
}

// close ends what is being fetched and waits for it.
func (h *history) close() {
	h.stop(nil)
	h.running.Wait()
}

// enter makes the next chunk the present one, and begins to fetch those after it.
func (h *history) enter(first int64) chunk {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.number++
	if h.number == 1 {
		h.present = chunk{first, min(first+firstTicks-1, h.config.last())}
		h.fetch(h.present)
		return h.present
	}
	h.present = h.next(first)
	h.forget()
	h.fetch(h.present)
	for c, n := h.present, 0; n < chunksAhead && c.last < h.config.last(); n++ {
		c = h.next(c.last + 1)
		h.fetch(c)
	}
	return h.present
}

// next is the chunk that starts with a tick: whole steps, and so long that all series together stay within bounds.
func (h *history) next(first int64) chunk {
	series := 0
	for _, t := range h.tapes {
		if t.steady {
			series += t.series
		}
	}
	ticks := min(maxTicks, int64(maxTime/h.config.Grid.Interval), maxPoints/int64(max(series, 1)))
	return chunk{first, min(first+max(ticks/stepTicks, 1)*stepTicks-1, h.config.last())}
}

// fetch begins to fetch a chunk of every expression that is asked for all the time.
func (h *history) fetch(c chunk) {
	for _, t := range h.tapes {
		if t.steady {
			h.cover(t, c)
		}
	}
}

// forget drops what lies too far back, and more of it where there is more than fits.
func (h *history) forget() {
	total := 0
	for _, t := range h.tapes {
		oldest := t.grid.Tick(h.config.Grid.Time(h.present.first).Add(-longestReach))
		t.pieces = slices.DeleteFunc(t.pieces, func(p *piece) bool {
			return p.isDone() && p.last < oldest && p.used < h.number-1
		})
		for _, p := range t.pieces {
			if p.isDone() {
				total += p.points
			}
		}
	}
	for _, t := range h.tapes {
		for total > 2*maxPoints && t.grid == h.config.Grid && len(t.pieces) > 0 && t.pieces[0].isDone() && t.pieces[0].last < h.present.first-1 {
			total -= t.pieces[0].points
			t.pieces = slices.Delete(t.pieces, 0, 1)
		}
	}
}

func (p *piece) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (h *history) tape(expr string, step time.Duration) *tape {
	key := tapeKey{expr, step}
	t := h.tapes[key]
	if t == nil {
		t = &tape{expr: expr, grid: triggers.Grid{Interval: step, Phase: h.config.Grid.Phase}, begun: h.config.first() - 1}
		h.tapes[key] = t
	}
	return t
}

// cover gives the pieces that hold a stretch of ticks, in order. Those that there are not yet are begun.
func (h *history) cover(t *tape, c chunk) []*piece {
	var pieces []*piece
	for tick := c.first; tick <= c.last; {
		i := sort.Search(len(t.pieces), func(i int) bool { return t.pieces[i].last >= tick })
		if i == len(t.pieces) || !t.pieces[i].has(tick) {
			last := min(c.last, tick+maxTicks-1)
			if i < len(t.pieces) {
				last = min(last, t.pieces[i].first-1)
			}
			p := &piece{chunk: chunk{tick, last}, fresh: max(tick, t.begun+1), done: make(chan struct{})}
			t.begun = max(t.begun, last)
			t.pieces = slices.Insert(t.pieces, i, p)
			h.running.Go(func() { h.load(t, p) })
		}
		t.pieces[i].used = h.number
		pieces = append(pieces, t.pieces[i])
		tick = t.pieces[i].last + 1
	}
	return pieces
}

// load fetches a piece.
func (h *history) load(t *tape, p *piece) {
	defer close(p.done)
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-h.ctx.Done():
		p.err = context.Cause(h.ctx)
		return
	}
	answer, err := h.persist(t.expr, func() (source.Answer, error) {
		return h.config.Source.Range(h.ctx, t.expr, t.grid.Time(p.first), t.grid.Time(p.last), t.grid.Interval)
	})
	if err != nil {
		p.err = err
		return
	}
	p.series = answer.Series
	for _, s := range p.series {
		p.points += len(s.Points)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t.series = max(t.series, len(p.series))
	if t.grid == h.config.Grid {
		t.count(p, h.config.last())
	}
}

// Range answers from what is known, and fetches what is not.
func (h *history) Range(_ context.Context, expr string, from, to time.Time, step time.Duration) (source.Answer, error) {
	if err := source.CheckRange(expr, from, to, step); err != nil {
		return source.Answer{}, err
	}
	grid := triggers.Grid{Interval: step, Phase: h.config.Grid.Phase}
	if step%h.config.Grid.Interval != 0 || !grid.Floor(from).Equal(from) {
		return h.persist(expr, func() (source.Answer, error) { return h.config.Source.Range(h.ctx, expr, from, to, step) })
	}
	return h.answer(expr, step, from, grid.Floor(to))
}

// Instant answers as Range does, with a range of one tick.
func (h *history) Instant(_ context.Context, expr string, t time.Time) (source.Answer, error) {
	if !h.config.Grid.Floor(t).Equal(t) {
		return h.persist(expr, func() (source.Answer, error) { return h.config.Source.Instant(h.ctx, expr, t) })
	}
	return h.answer(expr, h.config.Grid.Interval, t, t)
}

// answer cuts the answer for a stretch of time out of the pieces.
func (h *history) answer(expr string, step time.Duration, from, to time.Time) (source.Answer, error) {
	var parts []*piece
	for _, p := range h.pieces(expr, step, from, to) {
		<-p.done
		if p.err != nil {
			return source.Answer{}, p.err
		}
		parts = append(parts, p)
	}
	return source.Answer{Series: cut(parts, from.UnixMilli(), to.UnixMilli(), step.Milliseconds(), step == h.config.Grid.Interval)}, nil
}

// pieces gives the pieces that hold a stretch of time, in order. The coarser ticks of a baseline are taken out of what
// there is of every tick, as far as that goes.
func (h *history) pieces(expr string, step time.Duration, from, to time.Time) []*piece {
	h.mu.Lock()
	defer h.mu.Unlock()
	every := h.config.Grid
	if step == every.Interval {
		t := h.tape(expr, step)
		c := chunk{every.Tick(from), every.Tick(to)}
		if t.steady {
			return h.ahead(t, c, h.present.last)
		}
		return h.ahead(t, c, min(c.last+readAhead, h.present.last))
	}
	var near []*piece
	if t := h.tapes[tapeKey{expr, every.Interval}]; t != nil {
		near = t.upTo(every.Tick(to), every.Tick(from))
	}
	far := h.tape(expr, step)
	c := chunk{far.grid.Tick(from), far.grid.Tick(to)}
	if len(near) > 0 {
		c.last = far.grid.Tick(every.Time(near[0].first - 1))
	}
	if c.first > c.last {
		return near
	}
	length := every.Time(h.present.last).Sub(every.Time(h.present.first))
	end := min(far.grid.Tick(far.grid.Time(c.last).Add(length)), far.grid.Tick(h.config.To))
	return append(h.ahead(far, c, end), near...)
}

// ahead gives the pieces that hold some ticks. Where the last of them is not there yet it is fetched in one go with
// those up to end, for which is going to be asked next.
func (h *history) ahead(t *tape, c chunk, end int64) []*piece {
	pieces := h.cover(t, chunk{c.first, max(c.last, end)})
	i := slices.IndexFunc(pieces, func(p *piece) bool { return p.first > c.last })
	if i >= 0 {
		pieces = pieces[:i]
	}
	return pieces
}

// upTo gives the unbroken run of pieces that holds the ticks up to last, as far back as first.
func (t *tape) upTo(last, first int64) []*piece {
	var run []*piece
	for _, p := range slices.Backward(t.pieces) {
		if p.has(last) && last >= first {
			run = append(run, p)
			last = p.first - 1
		}
	}
	slices.Reverse(run)
	return run
}

// cut gives the series of the pieces with their points at every step from from to to, in milliseconds. Points of a
// single piece that are all wanted are not copied: whoever asks only reads them.
func cut(pieces []*piece, from, to, step int64, all bool) []source.Series {
	var answer []source.Series
	places := map[string]int{}
	var key []byte
	for _, p := range pieces {
		for _, s := range p.series {
			points := between(s.Points, from, to)
			if !all {
				points = every(points, from, step)
			}
			if len(points) == 0 {
				continue
			}
			if len(pieces) == 1 {
				answer = append(answer, source.Series{Labels: s.Labels, Points: points})
				continue
			}
			key = s.Labels.Bytes(key)
			i, known := places[string(key)]
			if !known {
				i = len(answer)
				places[string(key)] = i
				answer = append(answer, source.Series{Labels: s.Labels})
			}
			answer[i].Points = append(answer[i].Points, points...)
		}
	}
	return answer
}

// every gives the points that lie whole steps after from.
func every(points []source.Point, from, step int64) []source.Point {
	var some []source.Point
	for _, p := range points {
		if (p.T-from)%step == 0 {
			some = append(some, p)
		}
	}
	return some
}

// between gives the points of [from, to].
func between(points []source.Point, from, to int64) []source.Point {
	if len(points) == 0 || points[0].T > to || points[len(points)-1].T < from {
		return nil
	}
	first, last := 0, len(points)
	if points[0].T < from {
		first = sort.Search(len(points), func(i int) bool { return points[i].T >= from })
	}
	if points[last-1].T > to {
		last = sort.Search(len(points), func(i int) bool { return points[i].T > to })
	}
	return points[first:last:last]
}
