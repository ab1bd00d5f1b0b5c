package online

import (
	"math"
	"slices"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// What it takes to say what is usual; as for a baseline.
const (
	blocks          = 24
	fewEvents       = 50
	eventsPerBlock  = 10
	leastForClumps  = 30
	fewestForMedian = 8
)

// usual adds up the points of a series that do not overlap: what it usually shows, and how many events stand behind a
// point. An hour of trouble does not change it: it is a median of blocks.
type usual struct {
	ratio    bool
	blocks   [blocks]struct{ x, n float64 } // a ratio's counts; of values their sum and number
	points   float64
	events   float64
	busy     float64 // points with events
	squares  float64 // of a ratio: the sum of x²/n
	below    float64 // points with less traffic than the condition asks for
	measured float64 // points of which the traffic is known
}

// add takes a point. at says how much of the time is over, from 0 to 1.
func (u *usual) add(at float64, v triggers.Value) {
	b := &u.blocks[min(int(at*blocks), blocks-1)]
	u.points++
	u.events += v.Of
	if !u.ratio {
		b.x, b.n = b.x+v.V, b.n+1
		return
	}
	b.x, b.n = b.x+v.Bad, b.n+v.Of
	if v.Of > 0 {
		u.busy++
		u.squares += v.Bad * v.Bad / v.Of
	}
}

// empty takes a point without events.
func (u *usual) empty() { u.points++ }

func (u *usual) sums() (x, n float64) {
	for _, b := range u.blocks {
		x, n = x+b.x, n+b.n
	}
	return x, n
}

// value is what is usual; ok is false where too little is known.
func (u *usual) value() (v float64, ok bool) {
	x, n := u.sums()
	if n == 0 || u.ratio && n < fewEvents {
		return 0, false
	}
	parts := blocks
	if u.ratio {
		parts = int(min(x, n-x) / eventsPerBlock)
	}
	if parts < fewestForMedian {
		return x / n, true
	}
	together := max(1, (blocks+parts-1)/parts) // blocks that are added up to have events enough
	var all []float64
	for i := 0; i < blocks; i += together {
		x, n := 0.0, 0.0
		for _, b := range u.blocks[i:min(i+together, blocks)] {
			x, n = x+b.x, n+b.n
		}
		if n > 0 {
			all = append(all, x/n)
		}
	}
	return median(all), true
}

// usually is what a ratio's condition has to do with.
func (u *usual) usually() (triggers.Usual, bool) {
	share, ok := u.value()
	if !ok || u.points == 0 {
		return triggers.Usual{}, false
	}
	return triggers.Usual{Share: share, Events: u.events / u.points, Phi: u.phi()}, true
}

// phi is how clumped events come: chi squared over its degrees of freedom, as for a baseline.
func (u *usual) phi() float64 {
	x, n := u.sums()
	if u.busy < leastForClumps || x <= 0 || x >= n {
		return 1
	}
	p := x / n
	return max(1, (u.squares-2*p*x+p*p*n)/(p*(1-p))/(u.busy-1))
}

// merge adds what another series shows.
func (u *usual) merge(o *usual) {
	for i, b := range o.blocks {
		u.blocks[i].x += b.x
		u.blocks[i].n += b.n
	}
	u.points = max(u.points, o.points)
	u.events += o.events
	u.squares += o.squares
	u.busy += o.busy
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}
