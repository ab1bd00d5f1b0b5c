package triggers_test

import (
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestARatioClears(t *testing.T) {
	bare := func(c *triggers.Condition) { c.Clears = nil }
	quick := func(c *triggers.Condition) { c.Clears.For = 5 * time.Minute }
	narrow := func(c *triggers.Condition) { c.WidenTo = 30 * time.Minute }
	bad := ranges("40/200", "40/200", "40/200") + " "
	tests := []struct {
		name      string
		condition triggers.Condition
		points    string
		want      string
	}{
		{"back on the good side for as long as it took", above8(), bad + "2/200x41", "clear"},
		{"not before", above8(), bad + "2/200x40", "elevated"},
		{"clears.for says how long", above8(quick), bad + "2/200x32", "clear"},
		{"it is not clear while it still held within that time", above8(quick), bad + "2/200x20", "elevated"},
		{"a point that speaks between the limits", above8(), bad + "2/200x30 14/200 2/200x30", "elevated"},
		{"without clears that is the good side", above8(bare), bad + "2/200x30 14/200 2/200x30", "clear"},
		{"the limit of clears is on the good side", above8(), bad + "12/200x61", "clear"},
		{"a thin point has no vote", above8(), bad + "2/200x30 9/50 2/200x30", "clear"},
		{"thin: the shortest pool that speaks decides, and the good ranges outnumber the bad one", above8(), ranges("2/20", "0/20", "0/20", "0/20", "0/20"), "clear"},
		{"thin: where the pool that speaks is past clears it is elevated", above8(), ranges("0/20", "0/20", "3/20", "0/20", "1/20", "1/20"), "elevated"},
		{"thinner than widen_to can make speak: the widest pool decides", above8(narrow), ranges("0/3", "0/3", "0/3", "0/3", "0/3", "0/3"), "clear"},
		{"thinner, and one of it bad", above8(narrow), ranges("0/2", "1/2", "0/2", "0/2", "0/2", "0/2"), "elevated"},
		{"thinner, and the widest pool not known", above8(narrow), ranges("0/3", "0/3", "0/3", "0/3"), "elevated"},
		{"no events: not before all of widen_to is without", above8(narrow), "2/50 0/0x120", "elevated"},
		{"and then it is", above8(narrow), "2/50 0/0x121", "clear"},
		{"unless a part of it is not known", above8(narrow), "2/50 0/0x60 _ 0/0x60", "elevated"},
		{"unknown never clears", above8(), bad + "2/200x41 _x3", "unknown"},
		{"unknown is not holding: it clears on what is known", above8(), bad + "_x3 2/200x41", "clear"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := ratioStage{condition: test.condition, tapes: []tape{{"", test.points}}}
			trigger, _, now := r.trigger(t)
			if got := states[trigger.Judge(now)[0].State]; got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// TestAThinTriggerFiresOnceInAnIncident: an incident of three hours at 1.2 requests a minute, a quarter of them bad, in
// an order that a run of good luck makes look over.
func TestAThinTriggerFiresOnceInAnIncident(t *testing.T) {
	c := above8()
	h := triggers.NewHistory(grid, c.Reach(grid, triggers.Shape{Ratio: true, Reads: reads}), triggers.Shape{Ratio: true, Reads: reads})
	clause := leafOf(&c)
	trigger := triggers.NewTrigger(&clause, nil, "", func(*triggers.Condition) triggers.Reading { return triggers.Reading{History: h} })
	firings, elevated, was := 0, 0, triggers.Clear
	bad := []float64{2, 2, 3, 2, 0, 0, 0, 1, 2, 2, 1, 0, 0, 0, 2, 3, 1, 0, 0, 2, 2, 2, 0, 0, 0, 1, 3, 2, 2, 1, 0, 0, 2, 2, 1, 2}
	for n := range 20 * (12 + len(bad)) {
		p := triggers.Point{Of: 6}
		if n >= 20*12 {
			p.V = bad[n/20-12]
		}
		h.Feed(tick(n), []triggers.Point{p})
		switch state := trigger.Judge(tick(n))[0].State; state {
		case triggers.Fires:
			if was == triggers.Clear {
				firings++
			}
			was = state
		case triggers.Elevated:
			elevated++
		case triggers.Clear:
			was = state
		}
	}
	if firings != 1 || elevated < 100 {
		t.Errorf("fired %d times, elevated for %d ticks; want it to fire once, and to be elevated between its holding", firings, elevated)
	}
}
