package triggers

import (
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Point is what a signal said of one segment at one tick: a value, or for a ratio the counts behind it.
type Point struct {
	Labels labels.Labels
	V      float64 // the value; a ratio's numerator
	Of     float64 // a ratio's denominator
}

// History keeps the last points of a signal, tick by tick, for every segment. What a condition says at a tick is a
// function of it alone, so that points fed one by one and points refilled in one go give the same verdicts.
//
// A tick that was never fed, or at which a segment had no point, is no data there.
type History struct {
	grid     Grid
	shape    Shape
	length   int64  // ticks kept
	newest   int64  // the newest tick that is over; noTick: none
	answered []bool // by slot: the tick was fed, if only with no point at all
	segments []*segment
	byHash   map[uint64][]*segment
	next     int    // where the next point's segment probably stands: answers keep their order
	version  uint64 // rises when a segment is added or dropped
}

// segment is a ring of points, two numbers a tick for a ratio. What lies beyond written is no data.
type segment struct {
	labels    labels.Labels
	values    []float64
	of        []float64
	index     int   // in History.segments
	written   int64 // the newest tick in the ring
	first     int64 // the oldest tick that may have a point; born moves it on
	lastKnown int64
}

// noTick is older than every tick.
const noTick = math.MinInt64 / 2

// noData stands in the ring where a segment had no point. A value never is NaN: NaN and Inf are no data.
var noData = math.NaN()

// Shape is what the points of a signal are.
type Shape struct {
	Ratio   bool          // two counts: bad ones, of so many
	Traffic bool          // a value, and how many events stand behind it
	Reads   time.Duration // the range that each point adds up; 0: one interval
}

// two tells whether a point is two numbers.
func (s Shape) two() bool { return s.Ratio || s.Traffic }

// NewHistory keeps the points of the last span, both ends included.
func NewHistory(grid Grid, span time.Duration, shape Shape) *History {
	length := grid.Steps(span) + 1
	return &History{
		grid:     grid,
		shape:    shape,
		length:   length,
		answered: make([]bool, length),
		newest:   noTick,
		byHash:   map[uint64][]*segment{},
	}
}

// reads is the range that each point adds up.
func (h *History) reads() time.Duration { return max(h.shape.Reads, h.grid.Interval) }

// Span is how far back the history reaches.
func (h *History) Span() time.Duration { return time.Duration(h.length-1) * h.grid.Interval }

// Segments is the number of segments that have a point in the history.
func (h *History) Segments() int { return len(h.segments) }

// Feed takes the points of tick t, and makes them all that is known of it: what an earlier feeding of the same tick
// gave is forgotten. Ticks in between that are never fed are no data. One that lies before the span is of no use.
func (h *History) Feed(t time.Time, points []Point) {
	tick := h.tick(t)
	again := tick <= h.newest
	if again {
		h.erase(tick)
	}
	h.next = 0
	for _, p := range points {
		v, of, known := h.clean(p)
		if known {
			h.segment(p.Labels, tick).write(tick, v, of)
		}
	}
	if !again {
		h.Pass(t)
	}
	if tick > h.newest-h.length {
		h.answered[slot(tick, h.length)] = true
	}
	if again {
		h.drop()
	}
}

// Pass says that tick t is over. What was fed of it stands; where nothing was, there is no data.
func (h *History) Pass(t time.Time) {
	tick := h.tick(t)
	if tick <= h.newest {
		return
	}
	for i := max(h.newest+1, tick-h.length+1); i <= tick; i++ {
		h.answered[slot(i, h.length)] = false
	}
	h.newest = tick
	h.drop()
}

// wasAnswered tells whether the source said anything of a tick, if only that there is nothing.
func (h *History) wasAnswered(tick int64) bool {
	return tick <= h.newest && tick > h.newest-h.length && h.answered[slot(tick, h.length)]
}

func (h *History) erase(tick int64) {
	for _, s := range h.segments {
		s.erase(tick)
	}
}

// clean tells whether a point counts. NaN, Inf and counts below zero are no data; a numerator is cut to its
// denominator, which extrapolation and late scrapes can leave behind it.
func (h *History) clean(p Point) (v, of float64, known bool) {
	if math.IsNaN(p.V) || math.IsInf(p.V, 0) {
		return 0, 0, false
	}
	if h.shape.Traffic && (math.IsNaN(p.Of) || math.IsInf(p.Of, 0)) {
		return p.V, 0, true // no traffic that anybody knows of
	}
	if !h.shape.Ratio {
		return p.V, p.Of, true
	}
	if math.IsNaN(p.Of) || math.IsInf(p.Of, 0) || p.Of < 0 || p.V < 0 {
		return 0, 0, false
	}
	return math.Min(p.V, p.Of), p.Of, true
}

func (h *History) tick(t time.Time) int64 { return h.grid.Tick(t) }

func (h *History) time(tick int64) time.Time { return h.grid.Time(tick) }

// segment finds the segment of a label set, or makes it.
func (h *History) segment(l labels.Labels, tick int64) *segment {
	if h.next >= len(h.segments) {
		h.next = 0
	}
	if h.next < len(h.segments) && labels.Equal(h.segments[h.next].labels, l) {
		h.next++
		return h.segments[h.next-1]
	}
	key := l.Hash()
	for _, s := range h.byHash[key] {
		if labels.Equal(s.labels, l) {
			h.next = s.index + 1
			return s
		}
	}
	s := &segment{
		labels: l, values: make([]float64, h.length), index: len(h.segments),
		written: tick - h.length, first: tick, lastKnown: tick,
	}
	if h.shape.two() {
		s.of = make([]float64, h.length)
	}
	h.segments = append(h.segments, s)
	h.byHash[key] = append(h.byHash[key], s)
	h.version++
	return s
}

func (s *segment) slot(tick int64) int { return slot(tick, int64(len(s.values))) }

// slot is the place of a tick in a ring. Ticks before the epoch are below zero.
func slot(tick, length int64) int {
	slot := int(tick % length)
	if slot < 0 {
		slot += int(length)
	}
	return slot
}

func (s *segment) write(tick int64, v, of float64) {
	length := int64(len(s.values))
	if tick <= s.written-length {
		return
	}
	for missing := max(s.written+1, tick-length+1); missing < tick; missing++ {
		s.values[s.slot(missing)] = noData
	}
	slot := s.slot(tick)
	s.values[slot] = v
	if s.of != nil {
		s.of[slot] = of
	}
	s.written = max(s.written, tick)
	s.first = min(s.first, tick)
	s.lastKnown = max(s.lastKnown, tick)
}

// known tells whether the ring has a point of that tick.
func (s *segment) known(tick int64) bool {
	return tick <= s.written && tick > s.written-int64(len(s.values)) && !math.IsNaN(s.values[s.slot(tick)])
}

func (s *segment) erase(tick int64) {
	if !s.known(tick) {
		return
	}
	s.values[s.slot(tick)] = noData
	for s.lastKnown > s.written-int64(len(s.values)) && !s.known(s.lastKnown) {
		s.lastKnown--
	}
}

// born is the oldest tick from oldest on of which the segment has a point.
func (s *segment) born(oldest int64) int64 {
	s.first = max(s.first, oldest)
	for s.first < s.lastKnown && !s.known(s.first) {
		s.first++
	}
	return s.first
}

// drop forgets the segments that have no point left in the history.
func (h *History) drop() {
	kept := h.segments[:0]
	for _, s := range h.segments {
		if h.newest-s.lastKnown < h.length {
			s.index = len(kept)
			kept = append(kept, s)
			continue
		}
		key := s.labels.Hash()
		list := h.byHash[key]
		for i := range list {
			if list[i] == s {
				h.byHash[key] = append(list[:i:i], list[i+1:]...)
				break
			}
		}
		if len(h.byHash[key]) == 0 {
			delete(h.byHash, key)
		}
		h.version++
	}
	clear(h.segments[len(kept):])
	h.segments = kept
}

// at gives the point of a segment at a tick.
func (h *History) at(s *segment, tick int64) point {
	if tick > h.newest || tick <= h.newest-h.length || !s.known(tick) {
		return point{}
	}
	slot := s.slot(tick)
	v := s.values[slot]
	switch {
	case h.shape.Ratio:
		return ratioPoint(v, s.of[slot])
	case h.shape.Traffic:
		return point{state: isValue, v: v, of: s.of[slot]}
	}
	return point{state: isValue, v: v}
}

// point is what is known of a series at a tick.
type point struct {
	state   pointState
	v       float64 // the value, in the signal's unit
	bad, of float64
}

type pointState uint8

// A point is one of these. Only a value counts, for or against; an empty one is a ratio of nothing: known, but
// neither for nor against.
const (
	isNoData pointState = iota
	isEmpty
	isValue
)

func ratioPoint(bad, of float64) point {
	if of == 0 {
		return point{state: isEmpty}
	}
	return point{state: isValue, v: bad / of, bad: bad, of: of}
}

func (p point) value() Value { return Value{V: p.v, Bad: p.bad, Of: p.of} }
