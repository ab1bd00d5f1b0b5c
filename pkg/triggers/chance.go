package triggers

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// chanceOfAtLeast is the chance of x or more bad events of n, were the harmless share h: the exact binomial tail as a
// regularized incomplete beta function (DLMF 8.17.5), which is smooth between whole numbers, so that the fractions of
// increase() need no rounding. chanceOfAtLeast <= 1-c says the same as "the one-sided Clopper-Pearson interval of
// confidence c lies above h".
func chanceOfAtLeast(x, n, h float64) float64 {
	x = min(max(x, 0), n)
	switch {
	case x <= 0 || n <= 0 || h >= 1:
		return 1
	case h <= 0:
		return 0
	case x >= n:
		return math.Pow(h, n)
	}
	return mathext.RegIncBeta(x, n-x+1, h)
}

// chanceOfAtMost is the chance of x or fewer bad events of n, were the share h.
func chanceOfAtMost(x, n, h float64) float64 {
	x = min(max(x, 0), n)
	switch {
	case x >= n || n <= 0 || h <= 0:
		return 1
	case h >= 1:
		return 0
	}
	return mathext.RegIncBeta(n-x, x+1, 1-h)
}

// counts is x bad events of n.
type counts struct{ x, n float64 }

func (c counts) share() float64 { return c.x / c.n }

func (c counts) add(d counts) counts { return counts{c.x + d.x, c.n + d.n} }

func (c counts) less(d counts) counts { return counts{c.x - d.x, c.n - d.n} }

// mirrored turns the good events into the bad ones: what falls below a limit is a share of the others that rises
// above one less that limit.
func (c counts) mirrored() counts { return counts{c.n - c.x, c.n} }

// leastForDispersion is how many points with events it takes to tell clumps from noise.
const leastForDispersion = 30

// dispersion is how clumped events come: the quasi-binomial phi, chi squared over its degrees of freedom, of points
// with events; at least 1, which is what independent events have (McCullagh and Nelder 1989, chapter 4).
func dispersion(points []counts) float64 {
	var sum counts
	m := 0
	for _, p := range points {
		if p.n > 0 {
			sum = sum.add(p)
			m++
		}
	}
	if m < leastForDispersion {
		return 1
	}
	return max(1, overdispersion(points, sum.share(), m))
}

// overdispersion is chi squared over m-1 of points around the pooled share p.
func overdispersion(points []counts, p float64, m int) float64 {
	if p <= 0 || p >= 1 {
		return 1
	}
	chi := 0.0
	for _, c := range points {
		if c.n > 0 {
			d := c.x - c.n*p
			chi += d * d / (c.n * p * (1 - p))
		}
	}
	return chi / float64(m-1)
}

// z95 is the two-sided 95% point of the normal distribution.
const z95 = 1.959964

// Wilson is the 95% score interval of a share (Wilson 1927), for display; nothing is decided by it.
func Wilson(x, n float64) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	p, z2 := x/n, z95*z95
	middle := (p + z2/(2*n)) / (1 + z2/n)
	half := z95 / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	return max(0, middle-half), min(1, middle+half)
}

// Newcombe is the 95% interval of the difference of two independent shares, x1/n1 - x2/n2 (Newcombe 1998, method 10),
// for comparisons that people read.
func Newcombe(x1, n1, x2, n2 float64) (difference, low, high float64) {
	p1, p2 := x1/n1, x2/n2
	l1, u1 := Wilson(x1, n1)
	l2, u2 := Wilson(x2, n2)
	d := p1 - p2
	return d, d - math.Hypot(p1-l1, u2-p2), d + math.Hypot(u1-p1, p2-l2)
}
