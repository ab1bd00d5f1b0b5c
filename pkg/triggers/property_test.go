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

var languages = []string{"de", "en", "fr"}

// drawn is a random film of a ratio: of each tick, the points of some segments.
type drawn [][]triggers.Point

func drawFilm(t *rapid.T, longest int) drawn {
	share := rapid.SampledFrom([]float64{0, 0.04, 0.08, 0.12, 0.5, 0.5, 0.5, math.NaN()})
	of := rapid.SampledFrom([]float64{0, 50, 50, 50, 50, 100, math.Inf(1)})
	film := make(drawn, rapid.IntRange(1, longest).Draw(t, "ticks"))
	for n := range film {
		for _, service := range []string{"x", "y"} {
			for _, language := range languages {
				if rapid.IntRange(0, 9).Draw(t, "there") == 0 {
					continue
				}
				total := of.Draw(t, "of")
				film[n] = append(film[n], triggers.Point{
					Labels: segment("service=" + service + ",lang=" + language), V: share.Draw(t, "share") * total, Of: total,
				})
			}
		}
	}
	return film
}

func drawCondition(t *rapid.T) *triggers.Condition {
	limit := rapid.SampledFrom([]float64{0.04, 0.08, 0.1, 0.3})
	c := &triggers.Condition{
		Signal:     "s",
		Comparison: rapid.SampledFrom([]triggers.Comparison{triggers.Above, triggers.Below, triggers.Between}).Draw(t, "comparison"),
		Limit:      limit.Draw(t, "limit"),
		Low:        0.04, High: limit.Draw(t, "high"),
		For:     time.Duration(rapid.IntRange(0, 130).Draw(t, "for")) * time.Second,
		AtLeast: rapid.SampledFrom([]float64{0, 0.5, 0.8}).Draw(t, "at_least"),
		By:      rapid.SampledFrom([][]string{nil, {"service"}, {}}).Draw(t, "by"),
	}
	if rapid.Bool().Draw(t, "clears") {
		c.Clears = &triggers.Clears{
			Comparison: triggers.Below, Limit: 0.04, For: time.Duration(rapid.IntRange(0, 130).Draw(t, "clears.for")) * time.Second,
		}
	}
	return c
}

func drawClause(t *rapid.T, depth int) triggers.Clause {
	kind := rapid.IntRange(0, 2).Draw(t, "kind")
	if depth == 0 || kind == 0 {
		return leafOf(drawCondition(t))
	}
	members := make([]triggers.Clause, rapid.IntRange(1, 3).Draw(t, "members"))
	for i := range members {
		members[i] = drawClause(t, depth-1)
	}
	if kind == 1 {
		return anyOf(members...)
	}
	return allOf(members...)
}

// observer is a trigger, a rubric and a recovery band over one history.
type observer struct {
	clause  *triggers.Clause
	history *triggers.History
	trigger *triggers.Trigger
}

const groupLabel = "service"

func newObserver(clause *triggers.Clause) observer {
	span := time.Duration(0)
	for _, c := range clause.Conditions() {
		span = max(span, c.Reach(grid, triggers.Shape{Ratio: true}))
	}
	h := triggers.NewHistory(grid, span, triggers.Shape{Ratio: true})
	return observer{clause, h, triggers.NewTrigger(clause, []string{groupLabel}, "", func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} })}
}

// sees writes down all that is found at a tick.
func (o observer) sees(at time.Time) string {
	var all strings.Builder
	for _, g := range o.trigger.Judge(at) {
		fmt.Fprintln(&all, g.Group, states[g.State])
		scope := triggers.Scope{Group: g.Group, Reading: func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: o.history} }}
		for _, b := range g.Breaches {
			scope.Breached = append(scope.Breached, triggers.Breached{Condition: b.Condition, Labels: b.Series.Labels})
			value, _ := b.Series.Latest(at)
			fmt.Fprintln(&all, " ", b.Condition, b.Series.Labels, value)
		}
		band, value := scope.Band(o.clause, at)
		fmt.Fprintln(&all, "  rubric", verdicts[scope.Rubric(o.clause, at)], "band", bandStates[band], value)
	}
	return all.String()
}

func (o observer) feed(film drawn, from, to int) {
	for n := from; n <= to; n++ {
		o.history.Feed(tick(n), film[n])
	}
}

func TestPointByPointIsTheWholeLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clause, film := drawClause(t, 2), drawFilm(t, 30)
		last := len(film) - 1
		live, late := newObserver(&clause), newObserver(&clause)
		found := ""
		for n := range film {
			live.feed(film, n, n)
			found = live.sees(tick(n))
		}
		late.feed(film, 0, last)
		if got := late.sees(tick(last)); got != found {
			t.Fatalf("whole:\n%s\npoint by point:\n%s", got, found)
		}
	})
}

func TestARestartChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clause, film := drawClause(t, 2), drawFilm(t, 40)
		last := len(film) - 1
		never, restarted := newObserver(&clause), newObserver(&clause)
		never.feed(film, 0, last)
		restarted.feed(film, max(0, last-int(grid.Steps(never.history.Span()))), last)
		if got, want := restarted.sees(tick(last)), never.sees(tick(last)); got != want {
			t.Fatalf("restarted:\n%s\nnever stopped:\n%s", got, want)
		}
	})
}

func TestOrderChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { orderChangesNothing(t, 20) })
}

func FuzzOrderChangesNothing(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { orderChangesNothing(t, 20) }))
}

// orderChangesNothing feeds the ticks in any order, their points in any order, some ticks with something else before.
func orderChangesNothing(t *rapid.T, longest int) {
	clause, film := drawClause(t, 2), drawFilm(t, longest)
	last := len(film) - 1
	ordered, mixed := newObserver(&clause), newObserver(&clause)
	ordered.feed(film, 0, last)
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0))
	for range random.IntN(10) {
		mixed.history.Feed(tick(random.IntN(len(film))), film[random.IntN(len(film))])
	}
	for _, n := range random.Perm(len(film)) {
		points := slices.Clone(film[n])
		random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		mixed.history.Feed(tick(n), points)
		if random.IntN(4) == 0 {
			mixed.sees(tick(last))
		}
	}
	if got, want := mixed.sees(tick(last)), ordered.sees(tick(last)); got != want {
		t.Fatalf("mixed:\n%s\nin order:\n%s", got, want)
	}
}

func TestNothingFiresOrClearsOnTheUnknownAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clause, film := drawClause(t, 2), drawFilm(t, 30)
		o := newObserver(&clause)
		o.feed(film, 0, len(film)-1)
		o.sees(tick(len(film) - 1))
		for n := range rapid.IntRange(3, 60).Draw(t, "ticks without data") {
			at := tick(len(film) + n)
			o.history.Pass(at)
			if n < 2 {
				continue
			}
			for _, g := range o.trigger.Judge(at) {
				if g.State != triggers.StateUnknown || len(g.Breaches) > 0 {
					t.Fatalf("after %d ticks without data: %s %s", n+1, g.Group, states[g.State])
				}
			}
			scope := triggers.Scope{Breached: nil, Reading: func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: o.history} }}
			band, _ := scope.Band(&clause, at)
			if verdict := scope.Rubric(&clause, at); verdict != triggers.Unknown || band != triggers.BandUnknown {
				t.Fatalf("after %d ticks without data: rubric %s, band %s", n+1, verdicts[verdict], bandStates[band])
			}
		}
	})
}

// told is the sentence of the language about a window, word by word.
func told(c *triggers.Condition, points map[time.Time]triggers.Point, at time.Time) triggers.Verdict {
	var values []float64
	all, known, gap, reaches := 0, 0, 0, false
	for t := at.Add(-time.Hour); !t.After(at); t = t.Add(step) {
		if t.Add(step).Add(-1).Before(at.Add(-c.For)) { // the next point still reaches back to t-D
			continue
		}
		all++
		p, there := points[t]
		there = there && !math.IsNaN(p.V) && !math.IsInf(p.Of, 0)
		if !there {
			if gap++; gap > 2 {
				return triggers.Unknown
			}
			continue
		}
		known, gap, reaches = known+1, 0, reaches || all == 1
		if p.Of > 0 {
			values = append(values, p.V/p.Of)
		}
	}
	if !reaches || float64(known) < 0.8*float64(all)-1e-9 {
		return triggers.Unknown
	}
	satisfied, last := 0, false
	for _, v := range values {
		above, below := v >= c.Limit*(1-1e-9), v <= c.Limit*(1+1e-9)
		last = c.Comparison == triggers.Above && above || c.Comparison == triggers.Below && below ||
			c.Comparison == triggers.Between && v >= c.Low*(1-1e-9) && v <= c.High*(1+1e-9)
		if last {
			satisfied++
		}
	}
	share := c.AtLeast
	if share == 0 {
		share = 1
	}
	if last && float64(satisfied) >= share*float64(len(values))-1e-9 {
		return triggers.Yes
	}
	return triggers.No
}

func TestAWindowIsWhatTheLanguageSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, film := drawCondition(t), drawFilm(t, 30)
		c.By = nil
		last := tick(len(film) - 1)
		h := triggers.NewHistory(grid, c.Reach(grid, triggers.Shape{Ratio: true}), triggers.Shape{Ratio: true})
		points := map[string]map[time.Time]triggers.Point{}
		for n := range film {
			h.Feed(tick(n), film[n])
			for _, p := range film[n] {
				if points[p.Labels.String()] == nil {
					points[p.Labels.String()] = map[time.Time]triggers.Point{}
				}
				points[p.Labels.String()][tick(n)] = p
			}
		}
		for _, s := range c.Select(h, "") {
			if got, want := c.Holds(s, last), told(c, points[s.Labels.String()], last); got != want {
				t.Fatalf("%s for %s: %s, the language says %s", c, s.Labels, verdicts[got], verdicts[want])
			}
		}
	})
}
