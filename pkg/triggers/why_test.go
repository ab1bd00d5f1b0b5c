package triggers_test

import (
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestWhyABaselineIsUnknown(t *testing.T) {
	last, like := triggers.Baseline{Last: day}, triggers.Baseline{SameTime: 7 * day, Periods: 1, Width: time.Hour}
	rises := func(b triggers.Baseline) triggers.Condition { return relative(triggers.Rises, 2, b) }
	above := above8(func(c *triggers.Condition) { c.Baseline = &last })
	hot := []tape{{"", ranges("40/200", "40/200", "40/200")}}
	gap := []tape{{"", ranges("40/200", "_", "40/200")}}
	for _, test := range []struct {
		name  string
		stage ratioStage
		want  string
	}{
		{"its past is too short", ratioStage{condition: rises(last), tapes: hot, past: past{points: "8/200x140"}}, "no history: less than half of the last 1d is known"},
		{"it has none", ratioStage{condition: rises(last), tapes: hot}, "no history: less than half of the last 1d is known"},
		{"its events are too few", ratioStage{condition: rises(last), tapes: hot, past: past{points: "0/0x280 1/6x8"}}, "too few events in the last 1d: fewer than 50"},
		{"points are missing, not it", ratioStage{condition: rises(last), tapes: gap, past: past{points: "8/200x288"}}, ""},
		{"a fixed limit stands without it", ratioStage{condition: above, tapes: gap}, ""},
		{"an earlier period has too few events", ratioStage{condition: rises(like), tapes: hot, past: past{periods: []string{"1/4x12"}}}, "too few events at the same time 1w before: fewer than 50"},
		{"no earlier period is known", ratioStage{condition: rises(like), tapes: hot, past: past{periods: []string{"1/100x2"}}}, "no history: of the same time 1w before less than half is known"},
	} {
		t.Run(test.name, func(t *testing.T) {
			trigger, _, now := test.stage.trigger(t)
			g := trigger.Judge(now)[0]
			if g.State != triggers.StateUnknown || len(g.Unknown) != 1 {
				t.Fatalf("the trigger is %s", states[g.State])
			}
			if got := trigger.Why(g.Group, g.Unknown[0], now); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
