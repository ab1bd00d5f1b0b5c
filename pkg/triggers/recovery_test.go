package triggers

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// TestAnyUnderRecoveryIsProvenByAMemberThatHolds: a member that is out of band proves nothing, wherever it stands.
func TestAnyUnderRecoveryIsProvenByAMemberThatHolds(t *testing.T) {
	grid := Grid{Interval: 15 * time.Second}
	start := time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC)
	refusals := &Condition{Signal: "refusals", Comparison: Below, Limit: 0.06}
	latency := &Condition{Signal: "latency", Comparison: Below, Limit: 2}
	trigger := &Condition{Signal: "refusals", Comparison: Above, Limit: 0.15}
	for _, test := range []struct {
		name       string
		events     float64 // in each point of five minutes
		seconds    float64
		latencyOut bool
		proven     bool
	}{
		{"few events, the other member out of band", 5, 9, true, false},
		{"events enough, the other member out of band", 200, 9, true, true},
		{"few events, the other member in band", 5, 1, false, true},
	} {
		for _, order := range [][]*Condition{{refusals, latency}, {latency, refusals}} {
			shares := NewHistory(grid, 2*time.Hour, Shape{Ratio: true, Reads: 5 * time.Minute})
			seconds := NewHistory(grid, 2*time.Hour, Shape{})
			now := start
			for ; now.Before(start.Add(20 * time.Minute)); now = now.Add(grid.Interval) {
				shares.Feed(now, []Point{{V: 0, Of: test.events}})
				seconds.Feed(now, []Point{{V: test.seconds}})
			}
			now = now.Add(-grid.Interval)
			scope := Scope{
				Breached: []Breached{{Condition: trigger, Labels: labels.EmptyLabels()}},
				Reading: func(c *Condition) Reading {
					if c.Signal == "latency" {
						return Reading{History: seconds}
					}
					return Reading{History: shares}
				},
			}
			clause := &Clause{Any: []Clause{{Condition: order[0]}, {Condition: order[1]}}}
			proven, missing := scope.Prove(clause, start, 15*time.Minute, now)
			if proven != test.proven || !proven && missing == "" {
				t.Errorf("%s, %s first: proven %t, missing %q; want %t, and a reason where not", test.name, order[0].Signal, proven, missing, test.proven)
			}
			if !proven && !strings.Contains(missing, "more good ones") {
				t.Errorf("%s: %q does not say what is missing", test.name, missing)
			}
		}
	}
}

// TestAbsenceIsUnknownWhileThePastIsNotAnswered: what was there in the last day is not known before the source says it.
func TestAbsenceIsUnknownWhileThePastIsNotAnswered(t *testing.T) {
	grid := Grid{Interval: 15 * time.Second}
	now := time.Date(2026, 11, 25, 14, 0, 0, 0, time.UTC)
	c := &Condition{Signal: "s", Comparison: Absent}
	here, past := NewHistory(grid, time.Minute, Shape{}), NewHistory(grid, time.Hour, Shape{})
	trigger := NewTrigger(&Clause{Condition: c}, nil, "", func(*Condition) Reading { return Reading{here, Past{Last: past}} })
	here.Feed(now, nil)
	past.Pass(now)
	if got := trigger.Judge(now)[0].State; got != StateUnknown {
		t.Errorf("state %v while the past is not answered, want unknown", got)
	}
	past.Feed(now, nil)
	if got := trigger.Judge(now)[0].State; got != Fires {
		t.Errorf("state %v once the past says that there was nothing, want it to fire", got)
	}
}
