package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/store"
)

func TestTheLogTellsTheStationsOfAnIncident(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	d := &daemon{log: zap.New(core)}
	began := time.Date(2026, 11, 3, 14, 10, 0, 0, time.UTC)
	r := &incident.Record{
		Number: 42, Severity: runbook.Sev1, ImpactStartedAt: began,
		Findings: []incident.Finding{{Name: "good-users-refused", Group: labels.FromStrings("service", "support-bot")}},
	}
	d.station(r, []incident.Event{
		{Actor: incident.Daemon, Body: incident.SeverityRaised{From: runbook.Sev2, To: runbook.Sev1, Rule: "refusal_rate above 30%"}},
		{Actor: incident.Daemon, Body: incident.PageDelivered{Receiver: "pager"}},
		{Actor: incident.Daemon, Body: incident.PageFailed{Receiver: "pager"}},
		{Actor: "zoe", Body: incident.Acknowledged{Round: 1}},
		{Actor: "zoe", Body: incident.Noted{Text: "a secret of the person's own"}},
		{Actor: incident.Daemon, Body: incident.HoldStarted{}},
		{Actor: incident.Daemon, Body: incident.Resolved{ImpactEndedAt: began.Add(26 * time.Minute)}},
	})
	var told []string
	for _, line := range logs.All() {
		told = append(told, line.Message)
		fields := line.ContextMap()
		if fields["incident"] != "#42" || fields["runbook"] != "good-users-refused" || fields["severity"] != "sev1" {
			t.Errorf("%s: %v", line.Message, fields)
		}
	}
	if want := []string{"severity raised", "acknowledged", "hold started", "resolved"}; !slices.Equal(told, want) {
		t.Fatalf("told %q, want %q", told, want)
	}
	all := logs.All()
	if by := all[1].ContextMap()["by"]; by != "zoe" {
		t.Errorf("acknowledged by %v", by)
	}
	if impact := all[3].ContextMap()["impact"]; impact != "26m0s" {
		t.Errorf("impact lasted %v", impact)
	}
}

func TestWhatCouldNeverWorkIsToldOnce(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	d := &daemon{log: zap.New(core)}
	d.tellProbe(nil, nil)
	if logs.Len() != 0 {
		t.Errorf("told %v of nothing", logs.All())
	}
	d.tellProbe([]string{"mistyped", "unscraped"}, map[string][]string{"slow": {"key", "business"}, "refused": {"safety"}})
	all := logs.All()
	if len(all) != 3 || all[1].ContextMap()["runbook"] != "refused" || all[2].ContextMap()["runbook"] != "slow" {
		t.Fatalf("told %v", all)
	}
	if got := all[0].ContextMap()["signals"]; len(got.([]any)) != 2 {
		t.Errorf("signals %v", got)
	}
}

func TestASignalShowsWhatItAnsweredWhenItWasTriedOut(t *testing.T) {
	d := &daemon{}
	o := overview{d}
	if got := o.probe("refusals"); got != nil {
		t.Errorf("before it was tried out: %+v", got)
	}
	d.probed.Store(&evaluator.Probe{Signals: []evaluator.ProbedSignal{{Name: "refusals", Series: 3}, {Name: "spend", Err: errors.New("503")}}})
	if got := o.probe("refusals"); got == nil || got.Series != 3 || got.Error != "" {
		t.Errorf("%+v", got)
	}
	if got := o.probe("spend"); got == nil || got.Error != "503" {
		t.Errorf("%+v", got)
	}
	if got := o.probe("unread"); got != nil {
		t.Errorf("of a signal that no runbook reads: %+v", got)
	}
}

func TestAPageThatIsNotDeliveredForAMinuteIsAReasonNotToBeReady(t *testing.T) {
	for _, test := range []struct {
		name string
		late time.Duration
		want string
	}{
		{"half a minute", 30 * time.Second, ""},
		{"two minutes", 2 * time.Minute, "pages are not delivered: 1 page, the oldest since "},
	} {
		t.Run(test.name, func(t *testing.T) {
			then := time.Now().Add(-test.late)
			s, err := store.Open(t.Context(), store.Options{
				Path: filepath.Join(t.TempDir(), "irdaemon.db"), Log: zap.NewNop(), Now: func() time.Time { return then },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			d := &daemon{store: s}
			if got := d.undelivered(); got != nil {
				t.Errorf("without any page: %q", got)
			}
			openOne(t, s, then)
			got := strings.Join(d.undelivered(), "\n")
			if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// openOne opens an incident that pages one receiver.
func openOne(t *testing.T, s *store.SQLite, at time.Time) {
	t.Helper()
	policy := incident.Policy{
		Instance: "test", Interval: 15 * time.Second,
		Severities: map[severity]incident.SeverityPolicy{runbook.Sev2: {Page: true, AcknowledgeWithin: time.Hour}},
		Roles:      map[string]incident.Role{"oncall": {Page: []string{"hook"}}},
	}
	snapshot := &runbook.Snapshot{Runbook: runbook.Runbook{Name: "refused", Title: "Refused", Owner: "oncall"}}
	desk := incident.NewDesk(incident.Config{
		Store: s, Policy: func() incident.Policy { return policy }, Now: func() time.Time { return at }, Log: zap.NewNop(),
	})
	err := desk.Tick(t.Context(), incident.Tick{T: at, Firings: []incident.Firing{{
		Snapshot: snapshot, Hash: snapshot.Hash(), Severity: runbook.Sev2,
	}}})
	if err != nil {
		t.Fatal(err)
	}
}
