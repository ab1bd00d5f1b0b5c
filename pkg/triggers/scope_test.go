package triggers_test

import (
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// incidentOf is a stage with what breached in an incident.
type incidentOf struct {
	group    string
	service  string
	breached map[string]*triggers.Condition // by segment
	signals  map[string][]tape
}

func (i incidentOf) scope(t *testing.T) (triggers.Scope, time.Time) {
	t.Helper()
	histories, now := stage{signals: i.signals}.histories(t)
	scope := triggers.Scope{
		Group: segment(i.group), Service: i.service,
		Reading: func(c *triggers.Condition) triggers.Reading { return triggers.Reading{History: histories[c.Signal]} },
	}
	for labels, c := range i.breached {
		scope.Breached = append(scope.Breached, triggers.Breached{Condition: c, Labels: segment(labels)})
	}
	return scope, now
}

func limit(signal string, comparison triggers.Comparison, limit float64) triggers.Clause {
	return leafOf(&triggers.Condition{Signal: signal, Comparison: comparison, Limit: limit})
}

func TestRubric(t *testing.T) {
	refusals := &triggers.Condition{Signal: "refusals", Comparison: triggers.Above, Limit: 0.1}
	latency := &triggers.Condition{Signal: "latency", Comparison: triggers.Above, Limit: 5}
	worse := func(v float64) triggers.Clause { return limit("refusals", triggers.Above, v) }
	tests := []struct {
		name     string
		incident incidentOf
		rule     triggers.Clause
		want     triggers.Verdict
	}{
		{
			"of a ratio, the segments that breached are added up",
			incidentOf{
				breached: map[string]*triggers.Condition{"lang=en": refusals, "lang=de": refusals},
				signals:  map[string][]tape{"refusals": {{"lang=en", "40/100"}, {"lang=de", "2/10"}, {"lang=fr", "0/1000"}}},
			},
			worse(42.0 / 110), triggers.Yes,
		},
		{
			"and no more than they are",
			incidentOf{
				breached: map[string]*triggers.Condition{"lang=en": refusals, "lang=de": refusals},
				signals:  map[string][]tape{"refusals": {{"lang=en", "40/100"}, {"lang=de", "2/10"}, {"lang=fr", "100/100"}}},
			},
			worse(0.39), triggers.No,
		},
		{
			"of a query, the worst of them decides",
			incidentOf{
				breached: map[string]*triggers.Condition{"lang=en": latency, "lang=de": latency},
				signals:  map[string][]tape{"latency": {{"lang=en", "6"}, {"lang=de", "11"}, {"lang=fr", "99"}}},
			},
			limit("latency", triggers.Above, 10), triggers.Yes,
		},
		{
			"of a query, one that did not breach does not count",
			incidentOf{
				breached: map[string]*triggers.Condition{"lang=en": latency},
				signals:  map[string][]tape{"latency": {{"lang=en", "6"}, {"lang=fr", "99"}}},
			},
			limit("latency", triggers.Above, 10), triggers.No,
		},
		{
			"of a ratio that is not the trigger's, all segments of the group are added up",
			incidentOf{
				group: "service=x", breached: map[string]*triggers.Condition{"service=x": latency},
				signals: map[string][]tape{"refusals": {{"service=x,lang=en", "10/100"}, {"service=x,lang=de", "90/100"}, {"service=y", "0/800"}}},
			},
			worse(0.5), triggers.Yes,
		},
		{
			"of a query that is not the trigger's, the worst of the group",
			incidentOf{
				group: "service=x", breached: map[string]*triggers.Condition{"service=x": refusals},
				signals: map[string][]tape{"latency": {{"service=x,lang=en", "1"}, {"service=x,lang=de", "11"}, {"service=y", "99"}}},
			},
			limit("latency", triggers.Above, 12), triggers.No,
		},
		{
			"a signal without the group's label is seen whole",
			incidentOf{
				group: "service=x", breached: map[string]*triggers.Condition{"service=x": refusals},
				signals: map[string][]tape{"latency": {{"lang=de", "11"}}},
			},
			limit("latency", triggers.Above, 10), triggers.Yes,
		},
		{
			"the incident's service selects too",
			incidentOf{
				service: "x", breached: map[string]*triggers.Condition{"": refusals},
				signals: map[string][]tape{"latency": {{"service=x", "1"}, {"service=y", "11"}}},
			},
			limit("latency", triggers.Above, 10), triggers.No,
		},
		{
			"no data is unknown",
			incidentOf{signals: map[string][]tape{"latency": {{"", "11 _"}}}},
			limit("latency", triggers.Above, 10), triggers.Unknown,
		},
		{
			"a signal without a segment is unknown",
			incidentOf{signals: map[string][]tape{"refusals": {{"", "1/2"}}, "latency": {{"", "_"}}}},
			limit("latency", triggers.Above, 10), triggers.Unknown,
		},
		{
			"a signal that nothing feeds is unknown",
			incidentOf{signals: map[string][]tape{"refusals": {{"", "1/2"}}}},
			limit("latency", triggers.Above, 10), triggers.Unknown,
		},
		{
			"any holds whatever is unknown beside it",
			incidentOf{signals: map[string][]tape{"refusals": {{"", "9/10"}}}},
			anyOf(worse(0.5), limit("latency", triggers.Above, 10)), triggers.Yes,
		},
		{
			"any with an unknown beside a no is unknown",
			incidentOf{signals: map[string][]tape{"refusals": {{"", "1/10"}}}},
			anyOf(worse(0.5), limit("latency", triggers.Above, 10)), triggers.Unknown,
		},
		{
			"all fails when one fails, whatever is unknown beside it",
			incidentOf{signals: map[string][]tape{"refusals": {{"", "1/10"}}}},
			allOf(worse(0.5), limit("latency", triggers.Above, 10)), triggers.No,
		},
		{
			"all with an unknown beside a yes is unknown",
			incidentOf{signals: map[string][]tape{"refusals": {{"", "9/10"}}}},
			allOf(worse(0.5), limit("latency", triggers.Above, 10)), triggers.Unknown,
		},
		{
			"all holds when all hold",
			incidentOf{signals: map[string][]tape{"refusals": {{"", "9/10"}}, "latency": {{"", "11"}}}},
			allOf(worse(0.5), limit("latency", triggers.Above, 10)), triggers.Yes,
		},
		{
			"a rule with a for asks for its window",
			incidentOf{signals: map[string][]tape{"latency": {{"", "11x20"}}}},
			leafOf(&triggers.Condition{Signal: "latency", Comparison: triggers.Above, Limit: 10, For: ten}), triggers.Unknown,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			scope, now := test.incident.scope(t)
			if got := scope.Rubric(&test.rule, now); got != test.want {
				t.Errorf("%s, want %s", verdicts[got], verdicts[test.want])
			}
		})
	}
}

func TestBand(t *testing.T) {
	refusals := &triggers.Condition{Signal: "refusals", Comparison: triggers.Above, Limit: 0.1}
	paid := &triggers.Condition{Signal: "refusals", Comparison: triggers.Above, Limit: 0.1, Where: map[string][]string{"tier": {"paid"}}}
	byService := &triggers.Condition{Signal: "refusals", Comparison: triggers.Above, Limit: 0.1, By: []string{"service"}}
	latency := &triggers.Condition{Signal: "latency", Comparison: triggers.Above, Limit: 5}
	key := limit("refusals", triggers.Below, 0.06)
	keyOf := func(tier string) triggers.Clause {
		return leafOf(&triggers.Condition{Signal: "refusals", Comparison: triggers.Below, Limit: 0.06, Where: map[string][]string{"tier": {tier}}})
	}
	only := func(c *triggers.Condition, segments ...string) map[string]*triggers.Condition {
		all := map[string]*triggers.Condition{}
		for _, s := range segments {
			all[s] = c
		}
		return all
	}
	tests := []struct {
		name     string
		incident incidentOf
		band     triggers.Clause
		want     triggers.BandState
		value    float64 // -1: none
	}{
		{
			"what breached is in band",
			incidentOf{breached: only(refusals, "lang=en"), signals: map[string][]tape{"refusals": {{"lang=en", "5/100"}, {"lang=fr", "50/100"}}}},
			key, triggers.BandHeld, 0.05,
		},
		{
			"every segment that breached must be in band",
			incidentOf{breached: only(refusals, "lang=en", "lang=de"), signals: map[string][]tape{"refusals": {{"lang=en", "5/1000"}, {"lang=de", "9/100"}}}},
			key, triggers.BandMissed, 0.09,
		},
		{
			"and all of them added up",
			incidentOf{breached: only(byService, "service=x"), signals: map[string][]tape{"refusals": {{"service=x,lang=en", "5/100"}, {"service=x,lang=de", "9/100"}}}},
			key, triggers.BandMissed, 0.07,
		},
		{
			"a sum that breached does not ask each of its members",
			incidentOf{breached: only(byService, "service=x"), signals: map[string][]tape{"refusals": {{"service=x,lang=en", "5/1000"}, {"service=x,lang=de", "9/100"}}}},
			key, triggers.BandHeld, 14.0 / 1100,
		},
		{
			"a segment that breached and is gone is unknown, never held",
			incidentOf{breached: only(refusals, "lang=en", "lang=de"), signals: map[string][]tape{"refusals": {{"lang=en", "5/1000"}}}},
			key, triggers.BandUnknown, 0.005,
		},
		{
			"so is one of a query",
			incidentOf{breached: only(latency, "lang=en", "lang=de"), signals: map[string][]tape{"latency": {{"lang=en", "1"}}}},
			limit("latency", triggers.Below, 2), triggers.BandUnknown, 1,
		},
		{
			"one that is out of band is a miss, whatever is unknown beside it",
			incidentOf{breached: only(refusals, "lang=en", "lang=de"), signals: map[string][]tape{"refusals": {{"lang=en", "50/100"}}}},
			key, triggers.BandMissed, 0.5,
		},
		{
			"a key with the breach's where looks at its segments",
			incidentOf{breached: only(paid, "tier=paid"), signals: map[string][]tape{"refusals": {{"tier=paid", "5/100"}, {"tier=free", "50/100"}}}},
			keyOf("paid"), triggers.BandHeld, 0.05,
		},
		{
			"a key whose where the breach contradicts is judged as of a signal that is not the trigger's",
			incidentOf{breached: only(paid, "tier=paid"), signals: map[string][]tape{"refusals": {{"tier=paid", "50/100"}, {"tier=free", "5/100"}}}},
			keyOf("free"), triggers.BandHeld, 0.05,
		},
		{
			"of a breach with a where, a key without one looks at no more than breached",
			incidentOf{
				breached: only(&triggers.Condition{Signal: "refusals", By: []string{"service"}, Where: map[string][]string{"tier": {"paid"}}}, "service=x"),
				signals:  map[string][]tape{"refusals": {{"service=x,tier=paid", "5/100"}, {"service=x,tier=free", "50/100"}}},
			},
			key, triggers.BandHeld, 0.05,
		},
		{
			"the same where the segment that breached is of another tier",
			incidentOf{breached: only(refusals, "tier=paid"), signals: map[string][]tape{"refusals": {{"tier=paid", "50/100"}, {"tier=free", "5/100"}}}},
			keyOf("free"), triggers.BandHeld, 0.05,
		},
		{
			"the same where the breach was a sum over the tier that its where named",
			incidentOf{
				breached: only(&triggers.Condition{Signal: "refusals", By: []string{}, Where: map[string][]string{"tier": {"paid"}}}, ""),
				signals:  map[string][]tape{"refusals": {{"tier=paid", "50/100"}, {"tier=free", "5/100"}}},
			},
			keyOf("free"), triggers.BandHeld, 0.05,
		},
		{
			"of a ratio that is not the trigger's, all segments added up",
			incidentOf{breached: only(latency, "lang=en"), signals: map[string][]tape{"refusals": {{"lang=en", "9/100"}, {"lang=de", "0/100"}}}},
			key, triggers.BandHeld, 0.045,
		},
		{
			"of a query that is not the trigger's, the worst",
			incidentOf{breached: only(refusals, "lang=en"), signals: map[string][]tape{"latency": {{"lang=de", "3"}, {"lang=en", "1"}}}},
			limit("latency", triggers.Below, 2), triggers.BandMissed, 3,
		},
		{
			"another group's segments are not seen",
			incidentOf{group: "service=x", breached: only(latency, "service=x"), signals: map[string][]tape{"refusals": {{"service=x", "5/100"}, {"service=y", "90/100"}}}},
			key, triggers.BandHeld, 0.05,
		},
		{
			"a ratio of nothing is neither held nor missed",
			incidentOf{breached: only(refusals, "lang=en"), signals: map[string][]tape{"refusals": {{"lang=en", "0/0"}}}},
			key, triggers.BandEmpty, -1,
		},
		{
			"no data is unknown",
			incidentOf{breached: only(refusals, "lang=en"), signals: map[string][]tape{"refusals": {{"lang=en", "5/100 _"}}}},
			key, triggers.BandUnknown, -1,
		},
		{
			"nothing there at all is unknown",
			incidentOf{signals: map[string][]tape{"refusals": {{"", "_"}}}},
			key, triggers.BandUnknown, -1,
		},
		{
			"all: a miss beside an unknown is a miss",
			incidentOf{signals: map[string][]tape{"latency": {{"", "9"}}}},
			allOf(key, limit("latency", triggers.Below, 2)), triggers.BandMissed, 9,
		},
		{
			"all: held beside unknown is unknown",
			incidentOf{signals: map[string][]tape{"latency": {{"", "1"}}}},
			allOf(key, limit("latency", triggers.Below, 2)), triggers.BandUnknown, 1,
		},
		{
			"any: held beside unknown is held",
			incidentOf{signals: map[string][]tape{"latency": {{"", "1"}}}},
			anyOf(key, limit("latency", triggers.Below, 2)), triggers.BandHeld, 1,
		},
		{
			"any: missed beside unknown is unknown",
			incidentOf{signals: map[string][]tape{"latency": {{"", "9"}}}},
			anyOf(key, limit("latency", triggers.Below, 2)), triggers.BandUnknown, 9,
		},
		{
			"any: missed by all is missed",
			incidentOf{signals: map[string][]tape{"latency": {{"", "9"}}, "refusals": {{"", "9/100"}}}},
			anyOf(key, limit("latency", triggers.Below, 2)), triggers.BandMissed, 0.09,
		},
		{
			"a band with a for asks for its window: not yet",
			incidentOf{signals: map[string][]tape{"latency": {{"", "9x20 1x20"}}}},
			leafOf(&triggers.Condition{Signal: "latency", Comparison: triggers.Below, Limit: 2, For: 5 * time.Minute}), triggers.BandMissed, 1,
		},
		{
			"a band with a for asks for its window: held",
			incidentOf{signals: map[string][]tape{"latency": {{"", "9x20 1x21"}}}},
			leafOf(&triggers.Condition{Signal: "latency", Comparison: triggers.Below, Limit: 2, For: 5 * time.Minute}), triggers.BandHeld, 1,
		},
		{
			"a window of nothing is as empty as a point",
			incidentOf{signals: map[string][]tape{"refusals": {{"", "0/0x30"}}}},
			leafOf(&triggers.Condition{Signal: "refusals", Comparison: triggers.Below, Limit: 0.06, For: 5 * time.Minute}), triggers.BandEmpty, -1,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			scope, now := test.incident.scope(t)
			got, value := scope.Band(&test.band, now)
			if got != test.want {
				t.Errorf("%s, want %s", bandStates[got], bandStates[test.want])
			}
			switch {
			case value == nil && test.value >= 0:
				t.Errorf("no value, want %v", test.value)
			case value != nil && value.V != test.value:
				t.Errorf("value %v, want %v", value.V, test.value)
			}
		})
	}
}
