package triggers

import (
	"math"

	"github.com/prometheus/prometheus/model/labels"
)

// Sample is a value that a query gave for a label set at one tick.
type Sample struct {
	Labels labels.Labels
	V      float64
}

// Values turns a query's samples into points.
func Values(samples []Sample) []Point {
	points := make([]Point, len(samples))
	for i, s := range samples {
		points[i] = Point{Labels: s.Labels, V: s.V}
	}
	return points
}

// Share turns the samples of a ratio's two queries into points. A numerator meets the denominator of the same label
// set, else the one that agrees on the labels they share. A denominator without a numerator is a share of nothing
// bad where zeroBorn says that the counter may not have been born yet; else it is no data, as is a numerator without
// a denominator. Beside numerators with more labels than their denominators zeroBorn says nothing: the label sets of
// those that are not born are not known.
func Share(numerator, denominator []Sample, zeroBorn bool) []Point {
	points := make([]Point, 0, max(len(numerator), len(denominator)))
	met := make([]bool, len(denominator))
	index := index{samples: denominator}
	wider := false
	for _, n := range numerator {
		d := index.find(n.Labels)
		if d < 0 {
			if d = agreeing(denominator, n.Labels); d < 0 {
				continue
			}
			wider = true
		}
		met[d] = true
		points = append(points, Point{n.Labels, n.V, denominator[d].V})
	}
	if !zeroBorn || wider {
		return points
	}
	for i, d := range denominator {
		if !met[i] {
			points = append(points, Point{d.Labels, 0, d.V})
		}
	}
	return points
}

// index finds samples by their labels.
type index struct {
	samples []Sample
	next    int            // answers keep their order: what is asked for next usually stands here
	byHash  map[uint64]int // made when it is first needed: the last sample with that hash
	same    []int          // of each sample, the one before it with the same hash; -1: none
}

func (x *index) find(l labels.Labels) int {
	if x.next < len(x.samples) && labels.Equal(x.samples[x.next].Labels, l) {
		x.next++
		return x.next - 1
	}
	if x.byHash == nil {
		x.byHash = make(map[uint64]int, len(x.samples))
		x.same = make([]int, len(x.samples))
		for i, s := range x.samples {
			hash := s.Labels.Hash()
			x.same[i] = -1
			if before, ok := x.byHash[hash]; ok {
				x.same[i] = before
			}
			x.byHash[hash] = i
		}
	}
	i, ok := x.byHash[l.Hash()]
	if !ok {
		return -1
	}
	for ; i >= 0; i = x.same[i] {
		if labels.Equal(x.samples[i].Labels, l) {
			x.next = i + 1
			return i
		}
	}
	return -1
}

// agreeing finds the one denominator whose labels the numerator has too; -1 if there is none, or more than one.
func agreeing(denominator []Sample, l labels.Labels) int {
	found := -1
	for i, d := range denominator {
		agrees := true
		d.Labels.Range(func(want labels.Label) {
			if l.Get(want.Name) != want.Value {
				agrees = false
			}
		})
		if !agrees {
			continue
		}
		if found >= 0 {
			return -1
		}
		found = i
	}
	return found
}

// Measured joins a query's values with the traffic behind them. A value of which no traffic is known has NaN: whoever
// asks for traffic does not count it.
func Measured(values, traffic []Sample) []Point {
	index := index{samples: traffic}
	points := make([]Point, len(values))
	for i, v := range values {
		points[i] = Point{Labels: v.Labels, V: v.V, Of: math.NaN()}
		if t := index.find(v.Labels); t >= 0 {
			points[i].Of = traffic[t].V
		}
	}
	return points
}
