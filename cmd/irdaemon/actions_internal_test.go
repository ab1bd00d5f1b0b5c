package main

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/source"
)

func TestTheShareThatAStepTouchesIsToldOnlyWhereTheSeriesShowIt(t *testing.T) {
	series := func(value float64, pairs ...string) source.Series {
		return source.Series{Labels: labels.FromStrings(pairs...), Points: []source.Point{{V: value}}}
	}
	tiers := []source.Series{series(30, "tier", "paid"), series(60, "tier", "free"), series(10), series(900, "service", "search", "tier", "paid")}
	for _, test := range []struct {
		name     string
		all      []source.Series
		selected map[string][]string
		want     float64 // below 0: it can't be told
	}{
		{"the series that have the label count, of this service", tiers, map[string][]string{"tier": {"paid"}}, 0.3},
		{"several values", tiers, map[string][]string{"tier": {"paid", "free"}}, 0.9},
		{"the service need not be named", tiers, map[string][]string{"service": {"bot"}, "tier": {"paid"}}, 0.3},
		{"no series carries the label", tiers, map[string][]string{"region": {"eu"}}, -1},
		{"no series carries one of the labels", tiers, map[string][]string{"tier": {"paid"}, "region": {"eu"}}, -1},
		{"another service's labels tell nothing", []source.Series{series(10), series(900, "service", "search", "tier", "paid")}, map[string][]string{"tier": {"paid"}}, -1},
		{"nothing at all", nil, map[string][]string{"service": {"bot"}}, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := shareOf(test.all, "bot", test.selected)
			if (got == nil) != (test.want < 0) || got != nil && *got != test.want {
				t.Errorf("it is %v, want %v", got, test.want)
			}
		})
	}
}
