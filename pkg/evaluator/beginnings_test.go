package evaluator

import (
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestAClauseBeganWithTheEarliestOfAnyAndTheLatestOfAll(t *testing.T) {
	at := func(minute int) time.Time { return time.Unix(int64(minute)*60, 0).UTC() }
	conditions := map[string]*triggers.Condition{"a": {Signal: "a"}, "b": {Signal: "b"}, "c": {Signal: "c"}}
	leaf := func(name string) triggers.Clause { return triggers.Clause{Condition: conditions[name]} }
	began := map[string]int{"a": 10, "b": 20, "c": 30} // impact two minutes before
	for _, test := range []struct {
		name   string
		clause triggers.Clause
		fires  []string
		want   int
	}{
		{"one condition", leaf("b"), []string{"b"}, 20},
		{"any: the earliest that fires", triggers.Clause{Any: []triggers.Clause{leaf("a"), leaf("b"), leaf("c")}}, []string{"b", "c"}, 20},
		{"all: the latest", triggers.Clause{All: []triggers.Clause{leaf("a"), leaf("c")}}, []string{"a", "c"}, 30},
		{"an all beside another condition", triggers.Clause{Any: []triggers.Clause{
			{All: []triggers.Clause{leaf("a"), leaf("c")}}, leaf("b"),
		}}, []string{"a", "b", "c"}, 20},
		{"two segments of one condition", leaf("a"), []string{"a", "a"}, 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			var found []triggers.Breach
			var said []incident.Breach
			for n, name := range test.fires {
				found = append(found, triggers.Breach{Condition: conditions[name]})
				breach := at(began[name] + n)
				if name != test.fires[0] {
					breach = at(began[name])
				}
				said = append(said, incident.Breach{BreachBegan: breach, ImpactBegan: breach.Add(-2 * time.Minute)})
			}
			got := spanOf(&test.clause, found, said)
			if want := at(test.want); !got.breach.Equal(want) || !got.impact.Equal(want.Add(-2*time.Minute)) {
				t.Errorf("breach %s, impact %s; want %s and two minutes before", got.breach, got.impact, want)
			}
		})
	}
}
