package triggers

import (
	"math"
	"slices"
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
	place    int    // of newest in the rings
	answered []bool // by place: the tick was fed, if only with no point at all
	segments []*segment
	byHash   map[uint64]*segment // the first of those with that hash
	next     int                 // where the next point's segment probably stands: answers keep their order
	version  uint64              // rises when a segment is added or dropped
	fed      uint64              // rises when points come in

	rings []float64 // room for the next segments' rings
	spare []segment // and for themselves
}

// segment is a ring of points, two numbers a tick for a ratio. What lies beyond written is no data.
type segment struct {
	labels    labels.Labels
	ring      []float64
	same      *segment // the next one with the same hash
	written   int64    // the newest tick in the ring
	unbroken  int64    // from here to written every tick has a point
	first     int64    // the oldest tick that may have a point; born moves it on
	lastKnown int64
	index     int // in History.segments
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

func (s Shape) numbers() int {
	if s.two() {
		return 2
	}
	return 1
}

// NewHistory keeps the points of the last span, both ends included.
func NewHistory(grid Grid, span time.Duration, shape Shape) *History {
	length := grid.Steps(span) + 1
	return &History{
		grid:     grid,
		shape:    shape,
		length:   length,
		answered: make([]bool, length),
		newest:   noTick,
		byHash:   map[uint64]*segment{},
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
	} else {
		h.turn(tick)
	}
	h.fed++
	h.next = 0
	if tick > h.newest-h.length {
		for _, p := range points {
			if v, of, known := h.clean(p); known {
				h.write(h.segment(p.Labels, tick), tick, v, of)
			}
		}
		h.answered[h.slot(tick)] = true
	}
	h.drop()
}

// Pass says that tick t is over. What was fed of it stands; where nothing was, there is no data.
func (h *History) Pass(t time.Time) {
	if tick := h.tick(t); tick > h.newest {
		h.turn(tick)
		h.drop()
	}
}

// turn moves the rings on to a tick.
func (h *History) turn(tick int64) {
	for i := max(h.newest+1, tick-h.length+1); i <= tick; i++ {
		h.answered[modulo(i, h.length)] = false
	}
	h.newest, h.place = tick, modulo(tick, h.length)
}

// slot is the place of a tick that the history keeps.
func (h *History) slot(tick int64) int {
	slot := h.place - int(h.newest-tick)
	if slot < 0 {
		slot += int(h.length)
	}
	return slot
}

// modulo is the place of a tick in a ring. Ticks before the epoch are below zero.
func modulo(tick, length int64) int {
	slot := int(tick % length)
	if slot < 0 {
		slot += int(length)
	}
	return slot
}

// keeps tells whether the history reaches from a tick to now.
func (h *History) keeps(tick int64) bool { return tick <= h.newest && tick > h.newest-h.length }

// everAnswered tells whether the source said anything of any tick that is kept.
func (h *History) everAnswered() bool { return slices.Contains(h.answered, true) }

// wasAnswered tells whether the source said anything of a tick, if only that there is nothing.
func (h *History) wasAnswered(tick int64) bool {
	return h.keeps(tick) && h.answered[h.slot(tick)]
}

func (h *History) erase(tick int64) {
	for _, s := range h.segments {
		if !h.known(s, tick) {
			continue
		}
		s.ring[h.slot(tick)*h.shape.numbers()] = noData
		if tick >= s.unbroken {
			s.unbroken = tick + 1
		}
		for s.lastKnown > h.newest-h.length && !h.known(s, s.lastKnown) {
			s.lastKnown--
		}
	}
}

// clean tells whether a point counts. NaN, Inf and counts below zero are no data; a numerator is cut to its
// denominator, which extrapolation and late scrapes can leave behind it.
func (h *History) clean(p Point) (v, of float64, known bool) {
	if math.IsNaN(p.V) || math.IsInf(p.V, 0) {
		return 0, 0, false
	}
	if h.shape.Traffic && (math.IsNaN(p.Of) || math.IsInf(p.Of, 0) || p.Of < 0) {
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
	for s := h.byHash[key]; s != nil; s = s.same {
		if labels.Equal(s.labels, l) {
			h.next = s.index + 1
			return s
		}
	}
	s := h.room()
	*s = segment{
		labels: l, ring: s.ring, same: h.byHash[key], index: len(h.segments),
		written: tick - h.length, unbroken: tick, first: tick, lastKnown: tick,
	}
	h.segments = append(h.segments, s)
	h.byHash[key] = s
	h.version++
	return s
}

// roomFor is how many segments room is made for at once: many small pieces of memory take more than they hold.
const roomFor = 16

// room gives a segment with a ring of its own.
func (h *History) room() *segment {
	numbers := int(h.length) * h.shape.numbers()
	if len(h.spare) == 0 {
		n := min(roomFor, len(h.segments)+1)
		h.spare, h.rings = make([]segment, n), make([]float64, n*numbers)
	}
	s := &h.spare[0]
	s.ring = h.rings[:numbers:numbers]
	h.spare, h.rings = h.spare[1:], h.rings[numbers:]
	return s
}

// write puts a point into a ring, at a tick that the history keeps.
func (h *History) write(s *segment, tick int64, v, of float64) {
	numbers := h.shape.numbers()
	for missing := max(s.written+1, h.newest-h.length+1); missing < tick; missing++ {
		s.ring[h.slot(missing)*numbers] = noData
	}
	i := h.slot(tick) * numbers
	s.ring[i] = v
	if numbers > 1 {
		s.ring[i+1] = of
	}
	switch {
	case tick > s.written+1:
		s.unbroken = tick
	case tick == s.unbroken-1:
		s.unbroken = tick
	}
	s.written = max(s.written, tick)
	s.first = min(s.first, tick)
	s.lastKnown = max(s.lastKnown, tick)
}

// known tells whether the ring has a point of that tick.
func (h *History) known(s *segment, tick int64) bool {
	return tick <= s.written && h.keeps(tick) && !math.IsNaN(s.ring[h.slot(tick)*h.shape.numbers()])
}

// born is the oldest tick of which the history has a point of the segment.
func (h *History) born(s *segment) int64 {
	s.first = max(s.first, h.newest-h.length+1)
	for s.first < s.lastKnown && !h.known(s, s.first) {
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
		h.forget(s)
		h.version++
	}
	clear(h.segments[len(kept):])
	h.segments = kept
}

func (h *History) forget(gone *segment) {
	key := gone.labels.Hash()
	at := h.byHash[key]
	if at != gone {
		for at.same != gone {
			at = at.same
		}
		at.same = gone.same
		return
	}
	if gone.same == nil {
		delete(h.byHash, key)
		return
	}
	h.byHash[key] = gone.same
}

// at gives the point of a segment at a tick.
func (h *History) at(s *segment, tick int64) point {
	if tick > s.written || !h.keeps(tick) {
		return point{}
	}
	slot := h.slot(tick)
	if !h.shape.two() {
		if v := s.ring[slot]; !math.IsNaN(v) {
			return point{state: isValue, v: v}
		}
		return point{}
	}
	v, of := s.ring[2*slot], s.ring[2*slot+1]
	switch {
	case math.IsNaN(v):
		return point{}
	case h.shape.Ratio:
		return ratioPoint(v, of)
	}
	return point{state: isValue, v: v, of: of}
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
