package triggers

import (
	"math"
	"testing"
)

// near compares to the digits that are written.
func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestChanceIsTheExactBinomialTail(t *testing.T) {
	const clears = 0.06
	byRule := 0.08 / (1.25 - 0.25*0.08) // four fifths of the limit's odds
	for _, c := range []struct {
		name    string
		x, n, h float64
		want    float64
	}{
		{"4 of 10", 4, 10, clears, 2.029e-3},
		{"6 of 15", 6, 15, clears, 1.455e-4},
		{"8 of 20", 8, 20, clears, 1.099e-5},
		{"1 of 10", 1, 10, clears, 0.4614},
		{"8 of 25", 8, 25, clears, 7.196e-5},
		{"3 of 11", 3, 11, clears, 2.476e-2},
		{"5 of 11", 5, 11, clears, 2.644e-4},
		{"6 of 11", 6, 11, clears, 1.656e-5},
		{"7 of 20 without clears", 7, 20, byRule, 1.790e-4},
		{"8 of 20 without clears", 8, 20, byRule, 1.981e-5},
		{"160 of 1000 against 15%", 160, 1000, 0.15 / (1.25 - 0.25*0.15), 4.469e-4},
		{"240 of 1500 against 15%", 240, 1500, 0.15 / (1.25 - 0.25*0.15), 2.231e-5},
		{"5 of 20", 5, 20, clears, 5.634e-3},
		{"fractions of increase()", 5 * 20.0 / 19, 20 * 20.0 / 19, clears, 4.520e-3},
		{"20 of 60 in clumps", 20 / 2.4691, 60 / 2.4691, clears, 4.633e-5},
		{"20 of 60", 20, 60, clears, 1.467e-10},
		{"75 of 100 lost", 75, 100, 0.6325, 8.492e-3},
		{"85 of 100 lost", 85, 100, 0.6325, 1.325e-6},
	} {
		near(t, c.name, chanceOfAtLeast(c.x, c.n, c.h), c.want, 0.0006*c.want)
	}
	far := 2 * 0.06 / 1.06
	near(t, "far", far, 0.1132, 5e-5)
	near(t, "2 of 50 in band", chanceOfAtMost(2, 50, far), 0.0673, 5e-5)
	near(t, "2 of 62 in band", chanceOfAtMost(2, 62, far), 0.0231, 5e-5)
	near(t, "4 of 100 in band", chanceOfAtMost(4, 100, far), 0.0089, 5e-5)
}

func TestChanceAtTheEdges(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"nothing bad", chanceOfAtLeast(0, 10, 0.1), 1},
		{"of nothing", chanceOfAtLeast(3, 0, 0.1), 1},
		{"more bad than there are is all of them", chanceOfAtLeast(12, 10, 0.5), math.Pow(0.5, 10)},
		{"all bad", chanceOfAtLeast(10, 10, 0.5), math.Pow(0.5, 10)},
		{"one bad, were none harmless", chanceOfAtLeast(1, 10, 0), 0},
		{"all were harmless", chanceOfAtLeast(5, 10, 1), 1},
		{"at most all", chanceOfAtMost(10, 10, 0.5), 1},
		{"at most none", chanceOfAtMost(0, 10, 0.5), math.Pow(0.5, 10)},
	} {
		near(t, c.name, c.got, c.want, 1e-12)
	}
}

// TestEnoughEvents: the least x of n whose chance is at most 1 in 10,000.
func TestEnoughEvents(t *testing.T) {
	sizes := []float64{10, 20, 60, 200}
	for h, want := range map[float64][]float64{
		0.01: {4, 4, 6, 10}, 0.03: {5, 6, 9, 18}, 0.06: {6, 8, 13, 27}, 0.12: {7, 10, 19, 44}, 0.30: {10, 15, 33, 86},
	} {
		for i, n := range sizes {
			x := 4.0 // fewer are never enough
			for chanceOfAtLeast(x, n, h) > 1e-4 {
				x++
			}
			if x != want[i] {
				t.Errorf("of %v at %v: %v are enough, want %v", n, h, x, want[i])
			}
		}
	}
	for x, want := range []float64{31, 47, 62, 75, 88} {
		n := float64(x + 1)
		for chanceOfAtMost(float64(x), n, 2*0.06/1.06) > 0.025 {
			n++
		}
		if n != want {
			t.Errorf("%d bad: %v events prove below 6%%, want %v", x, n, want)
		}
	}
}

func TestDispersion(t *testing.T) {
	var clumped, smooth []counts
	for _, x := range []float64{0, 3, 0, 0, 4, 0, 1, 0, 0, 2} {
		clumped = append(clumped, counts{x, 10})
	}
	near(t, "the formula", overdispersion(clumped, 0.1, 10), 2.4691, 5e-5)
	near(t, "too few points", dispersion(clumped), 1, 0)
	for range 3 {
		smooth = append(smooth, clumped...)
	}
	near(t, "thirty points", dispersion(smooth), 2.4691*9*3/29, 1e-3)
	near(t, "points without events don't count", dispersion(append(smooth, counts{}, counts{})), 2.4691*9*3/29, 1e-3)
}

func TestIntervalsForPeople(t *testing.T) {
	for _, c := range []struct{ x, n, low, high float64 }{
		{81, 263, .2553, .3662}, {15, 148, .0624, .1605}, {0, 20, 0, .1611}, {1, 29, .0061, .1718},
		{3, 11, .0975, .5656}, {8, 20, .2188, .6134}, {10, 10, .7225, 1},
	} {
		low, high := Wilson(c.x, c.n)
		near(t, "Wilson low", low, c.low, 6e-5)
		near(t, "Wilson high", high, c.high, 6e-5)
	}
	for _, c := range []struct{ x1, n1, x2, n2, d, low, high float64 }{
		{56, 70, 48, 80, .2000, .0524, .3339}, {9, 10, 3, 10, .6000, .1705, .8090}, {6, 7, 2, 7, .5714, .0582, .8062},
		{5, 56, 0, 29, .0893, -.0381, .1926}, {0, 10, 0, 20, 0, -.1611, .2775}, {12, 60, 58, 1440, .1597, .0772, .2779},
	} {
		d, low, high := Newcombe(c.x1, c.n1, c.x2, c.n2)
		near(t, "difference", d, c.d, 6e-5)
		near(t, "Newcombe low", low, c.low, 6e-5)
		near(t, "Newcombe high", high, c.high, 6e-5)
	}
}
