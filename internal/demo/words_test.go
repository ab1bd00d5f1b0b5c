package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

func TestEventsAreToldOnTheStorysClock(t *testing.T) {
	clock := NewClock(time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC), storyTime(13, 30, 0), DefaultSpeed, 15*time.Second)
	at := clock.Real(storyTime(14, 10, 0))
	r := &incident.Record{Findings: []incident.Finding{{Name: "refused", Snapshot: &runbook.Snapshot{
		Runbook: runbook.Runbook{Recovery: runbook.Recovery{Hold: 22500 * time.Millisecond}},
	}}}}
	paged := incident.Paged{Round: 1, Roles: []string{"oncall"}, NextAt: at.Add(15 * time.Minute)}
	scaled := incident.Paged{Round: 1, Roles: []string{"oncall"}, NextAt: at.Add(clock.Scale(15 * time.Minute))}
	for _, test := range []struct {
		name   string
		body   incident.Body
		manual bool
		want   string
	}{
		{"a call that a script answers", scaled, false, "the next call is at 14:25:00"},
		{"a call that a person answers", paged, true, "the next call is in 15m of your own time"},
		{"a hold", incident.HoldStarted{}, false, "must stay so for 15m"},
		{"blindness", incident.WentBlind{Conditions: []string{"key"}, Since: clock.Real(storyTime(14, 5, 0))}, false, "can't see key since 14:05:00"},
		{"no verification", incident.Unverified{}, false, "within the runbook's timeout"},
	} {
		got := Describe(clock, r, incident.Event{At: at, Actor: incident.Daemon, Body: test.body}, test.manual)
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
