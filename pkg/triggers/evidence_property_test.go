package triggers_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// evidenceFilm is a film of a ratio of a minute's range, thin and thick, with bad times in it; and conditions over it,
// with baselines of minutes.
func evidenceFilm(t *rapid.T) drawn {
	film := make(drawn, rapid.IntRange(40, 160).Draw(t, "ticks"))
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	thick := rapid.SampledFrom([]float64{1, 5, 200}).Draw(t, "traffic")
	began := rapid.IntRange(0, len(film)).Draw(t, "bad from")
	ended := began + rapid.IntRange(0, 100).Draw(t, "bad for")
	gaps := rapid.SampledFrom([]float64{0, 0.02, 0.2}).Draw(t, "gaps")
	for n := range film {
		for _, service := range []string{"x", "y"} {
			if random.Float64() < gaps {
				continue
			}
			share := 0.03
			if n >= began && n < ended && service == "x" {
				share = 0.5
			}
			p := triggers.Point{Labels: segment("service=" + service + ",lang=de"), Of: math.Floor(2 * thick * random.Float64())}
			for range int(p.Of) {
				if random.Float64() < share {
					p.V++
				}
			}
			film[n] = append(film[n], p)
		}
	}
	return film
}

func evidenceCondition(t *rapid.T) triggers.Clause {
	c := &triggers.Condition{
		Signal:     "s",
		Comparison: rapid.SampledFrom([]triggers.Comparison{triggers.Above, triggers.Rises, triggers.Falls, triggers.Below, triggers.Absent}).Draw(t, "comparison"),
		For:        time.Duration(rapid.IntRange(0, 12).Draw(t, "for")) * step,
		AtLeast:    rapid.SampledFrom([]float64{0, 0.8}).Draw(t, "at_least"),
		Confidence: rapid.SampledFrom([]float64{0, 0.99, 0.9}).Draw(t, "confidence"),
		By:         rapid.SampledFrom([][]string{nil, {"service"}, {}}).Draw(t, "by"),
		Limit:      0.1,
	}
	switch c.Comparison {
	case triggers.Rises:
		c.Limit = 2
	case triggers.Falls:
		c.Limit = 0.25
	}
	last := &triggers.Baseline{Last: 10 * time.Minute}
	same := &triggers.Baseline{SameTime: 8 * time.Minute, Periods: 2, Width: 4 * time.Minute}
	if c.Comparison != triggers.Absent {
		c.Baseline = rapid.SampledFrom([]*triggers.Baseline{last, same}).Draw(t, "baseline")
	}
	if c.Comparison == triggers.Above && rapid.Bool().Draw(t, "bare") {
		c.Baseline = nil
	}
	return leafOf(c)
}

// observed is a trigger over a film, with the past that its conditions compare with.
type observed struct {
	*triggers.Trigger
	clause *triggers.Clause
	shape  triggers.Shape
	main   *triggers.History
	past   map[*triggers.Condition]triggers.Past
}

func observe(clause *triggers.Clause, reads time.Duration) observed {
	o := observed{clause: clause, shape: triggers.Shape{Ratio: true, Reads: reads}, past: map[*triggers.Condition]triggers.Past{}}
	span := time.Duration(0)
	for _, c := range clause.Conditions() {
		span = max(span, c.Reach(grid, o.shape))
		own, p := c.PastGrid(grid, o.shape), triggers.Past{}
		switch {
		case c.PastSpan() == 0:
		case c.Baseline == nil || c.Baseline.Last > 0:
			p.Last = triggers.NewHistory(own, c.PastSpan()+c.For, o.shape)
		default:
			for range c.Baseline.Periods {
				p.Periods = append(p.Periods, triggers.NewHistory(own, c.PastSpan(), o.shape))
			}
		}
		o.past[c] = p
	}
	o.main = triggers.NewHistory(grid, span, o.shape)
	o.Trigger = triggers.NewTrigger(clause, []string{groupLabel}, "", func(c *triggers.Condition) triggers.Reading {
		return triggers.Reading{History: o.main, Past: o.past[c]}
	})
	return o
}

// feed feeds what a source that has the film tells up to tick last, of as much time before it as the histories keep.
func (o observed) feed(film drawn, from, last int, shuffle *rand.Rand) {
	give := func(h *triggers.History, g triggers.Grid, from, to time.Time) {
		for at := g.Floor(from); !at.After(to); at = at.Add(g.Interval) {
			n := int(at.Sub(start) / step)
			if at.Before(start) || n >= len(film) {
				continue
			}
			points := slices.Clone(film[n])
			if shuffle != nil {
				shuffle.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
			}
			h.Feed(at, points)
		}
		h.Pass(g.Floor(to))
	}
	give(o.main, grid, later(tick(from), tick(last).Add(-o.main.Span())), tick(last))
	for _, c := range o.clause.Conditions() {
		p, own := o.past[c], c.PastGrid(grid, o.shape)
		if p.Last != nil {
			give(p.Last, own, later(tick(from), tick(last).Add(-p.Last.Span())), tick(last))
		}
		for k, h := range p.Periods {
			ago := time.Duration(k+1)*c.Baseline.SameTime - c.Baseline.Width/2
			give(h, own, later(tick(from).Add(-ago), tick(last).Add(-ago-h.Span())), tick(last).Add(-ago))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (o observed) sees(n int) (string, []triggers.GroupState) {
	groups := o.Judge(tick(n))
	text := ""
	for _, g := range groups {
		text += fmt.Sprintln(g.Group, onWhat([]triggers.GroupState{g}), g.Frozen)
		share, known := o.BlastRadius(&g, "", tick(n))
		text += fmt.Sprintln(share, known, g.Unknown)
	}
	return text, groups
}

// TestEvidencePointByPointIsTheWhole plays a film tick by tick, and beside it starts anew at a random tick, with what is
// frozen restored: from there on both see the same.
func TestEvidencePointByPointIsTheWhole(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) { pointByPoint(t, seen) })
	for _, what := range []string{"fires", "clear", "elevated", "unknown"} {
		if seen[what] == 0 {
			t.Errorf("no film in which a trigger is %s: the property says nothing of it", what)
		}
	}
}

func FuzzEvidence(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { pointByPoint(t, map[string]int{}) }))
}

func pointByPoint(t *rapid.T, seen map[string]int) {
	reads := time.Duration(rapid.SampledFrom([]int{15, 20, 60}).Draw(t, "range")) * time.Second
	film := evidenceFilm(t)
	clause := evidenceCondition(t)
	if rapid.Bool().Draw(t, "two") {
		clause = rapid.SampledFrom([]func(...triggers.Clause) triggers.Clause{anyOf, allOf}).Draw(t, "tree")(clause, evidenceCondition(t))
	}
	never, again := observe(&clause, reads), observed{}
	restart := rapid.IntRange(1, len(film)-1).Draw(t, "restart")
	random := rand.New(rand.NewPCG(uint64(restart), 1))
	frozen := map[string]triggers.GroupState{}
	for n := range film {
		never.feed(film, n, n, nil)
		want, groups := never.sees(n)
		for _, g := range groups {
			seen[states[g.State]]++
		}
		switch {
		case n == restart:
			again = observe(&clause, reads)
			again.feed(film, 0, n, random)
			for _, g := range frozen {
				again.Freeze(g.Group, g.Frozen, time.Time{})
			}
		case n > restart:
			again.feed(film, n, n, random)
		}
		if n >= restart {
			if got, _ := again.sees(n); got != want {
				t.Fatalf("%s\nat tick %d, started at %d:\n%s\nnever stopped:\n%s", &clause, n, restart, got, want)
			}
		}
		for _, g := range groups {
			if g.State == triggers.Fires {
				frozen[g.Group.String()] = g
			}
			if g.State == triggers.Clear {
				never.Thaw(g.Group)
				delete(frozen, g.Group.String())
				if n >= restart {
					again.Thaw(g.Group)
				}
			}
		}
	}
}

// TestEvidenceFiresOnlyOnWhatIsKnown: a film that ends in a gap neither fires nor clears once its window is unknown,
// whatever its past says.
func TestEvidenceFiresOnlyOnWhatIsKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		film, clause := evidenceFilm(t), evidenceCondition(t)
		if clause.Condition.Comparison == triggers.Absent {
			clause.Condition.Comparison = triggers.Above
		}
		o := observe(&clause, time.Minute)
		for n := range film {
			o.feed(film, n, n, nil)
			o.sees(n)
		}
		for n := len(film); n < len(film)+rapid.IntRange(3, 100).Draw(t, "ticks without data"); n++ {
			o.main.Pass(tick(n))
			for _, p := range o.past {
				for _, h := range append(p.Periods, p.Last) {
					if h != nil {
						h.Pass(tick(n))
					}
				}
			}
			text, groups := o.sees(n)
			for _, g := range groups {
				if n >= len(film)+2 && (g.State != triggers.StateUnknown || strings.Contains(text, "fires")) {
					t.Fatalf("%s\nafter %d ticks without data:\n%s", &clause, n-len(film)+1, text)
				}
			}
		}
	})
}
