package web_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

// world is the handler over the real Desk and its store.
type world struct {
	*fixture
	t        *testing.T
	store    *incident.MemoryStore
	desk     *incident.Desk
	snapshot *runbook.Snapshot
	now      time.Time
	config   web.Config
	planner  *webtest.Planner
	actions  string // as the settings have it
}

// ofFirst is below the one incident that a new world has.
const ofFirst = "/api/v1/incidents/1/"

// newWorld has one incident, which opened at 14:10 and has called oncall; it is 14:12:24.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, actions: incident.ActionsEnabled, store: incident.NewMemoryStore(), now: webtest.At("14:10:00")}
	paged := incident.SeverityPolicy{Page: true, AcknowledgeWithin: 15 * time.Minute}
	w.desk = incident.NewDesk(incident.Config{
		Store: w.store, Now: func() time.Time { return w.now }, Log: zap.NewNop(),
		Policy: func() incident.Policy {
			return incident.Policy{
				Instance: "test", Interval: 15 * time.Second, BlindAfter: 5 * time.Minute, Owner: "oncall",
				Severities: map[runbook.Severity]incident.SeverityPolicy{runbook.Sev1: paged, runbook.Sev2: paged, runbook.Sev3: paged},
				Roles:      map[string]incident.Role{"oncall": {Page: []string{"pager"}}},
				Actions:    w.actions,
				Changes:    incident.ChangePolicy{Since: 24 * time.Hour},
			}
		},
	})
	w.planner = &webtest.Planner{}
	w.config = web.Config{
		Desk: w.desk, Planner: w.planner, Changes: w.desk, Overview: overview{}, Silences: w.desk, Feed: w.store, Log: zap.NewNop(), Now: func() time.Time { return w.now },
		Drill: func(ctx context.Context, _ string, group map[string]string, severity runbook.Severity, by string) (incident.View, error) {
			return w.desk.Drill(ctx, w.snapshot, labels.FromMap(group), severity, by)
		},
	}
	w.serve()
	first := w.firing("support-bot")
	w.snapshot = first.Snapshot
	w.tick(first)
	w.now = webtest.At("14:12:24")
	return w
}

// serve makes the handler anew.
func (w *world) serve() {
	w.config.Registry = prometheus.NewRegistry()
	w.fixture = &fixture{handler: web.New(w.config)}
}

// fallback is the title of a mitigation.
const fallback = "Route paid traffic to the approved fallback model"

// firing is the trigger's for a service. Its checklist has two items, its rollback stack the steps of webtest.Planner.
func (w *world) firing(service string) incident.Firing {
	f := firing(w.now)
	book := &f.Snapshot.Runbook
	book.GroupBy, book.ReopenWithin = []string{"service"}, time.Hour
	book.Triage = []runbook.Check{{Title: "Confirm that it is real"}, {Title: "Is harm active now?", Decide: []string{"yes", "no"}}}
	called := &runbook.Action{Connector: "prompts", Method: "PUT", Path: "/labels/live", Semantics: runbook.SemanticsSet}
	book.Rollback = []runbook.Step{
		{Artifact: "prompt", Name: "support prompt", Action: called, Approval: runbook.ApprovalOwner},
		{Artifact: "retrieval_index", Name: "retrieval_index", Approval: runbook.ApprovalOwner},
		{Artifact: "weights", Name: "weights", Action: called, Approval: runbook.ApprovalTwoPerson},
		{Artifact: "thresholds", Name: "thresholds", Action: called, Approval: runbook.ApprovalOwner},
	}
	book.Mitigate = []runbook.Mitigation{{Title: fallback, Action: called}}
	f.Service, f.Group = service, labels.FromStrings("service", service)
	return f
}

func (w *world) tick(firings ...incident.Firing) {
	w.t.Helper()
	if err := w.desk.Tick(w.t.Context(), incident.Tick{T: w.now, Firings: firings}); err != nil {
		w.t.Fatal(err)
	}
}

// must sends a request that has to be done.
func (w *world) must(method, target, body string) *httptest.ResponseRecorder {
	w.t.Helper()
	answer := w.call(method, target, body)
	if answer.Code != 200 {
		w.t.Fatalf("%s %s: %d %s", method, target, answer.Code, answer.Body)
	}
	return answer
}

func (w *world) view() incident.View {
	w.t.Helper()
	view, err := w.desk.View(w.t.Context(), "1")
	if err != nil {
		w.t.Fatal(err)
	}
	return view
}

// stand brings the incident into a state, as far as what may be asked goes.
func (w *world) stand(state string) {
	w.t.Helper()
	switch state {
	case "dismissed":
		w.must("POST", ofFirst+"dismiss", `{"by":"alice","reason":"test"}`)
	case "resolved", "closed":
		r, err := w.store.Load(w.t.Context(), "1")
		if err != nil {
			w.t.Fatal(err)
		}
		before := r.Version
		r.ResolvedAt, r.ImpactEndedAt, r.Round = w.now, w.now, nil
		bodies := []incident.Body{incident.Resolved{ImpactEndedAt: w.now}}
		if state == "closed" {
			r.ClosedAt = w.now
			bodies = append(bodies, incident.Closed{})
		}
		var events []incident.Event
		for _, body := range bodies {
			r.Version++
			events = append(events, incident.Event{ID: body.Kind(), Seq: r.Version, At: w.now, RecordedAt: w.now, Actor: incident.Daemon, Body: body})
		}
		if err := w.store.Commit(w.t.Context(), incident.Commit{Changes: []incident.Change{{Before: before, Record: r, Events: events}}}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// offer makes a fixture's handler anew, with what a test turns.
func (f *fixture) offer(turn func(*web.Config)) {
	core, logs := observer.New(zap.DebugLevel)
	f.registry, f.logs = prometheus.NewPedanticRegistry(), logs
	f.config.Registry, f.config.Log = f.registry, zap.New(core)
	turn(&f.config)
	f.handler = web.New(f.config)
}

func backupThatFails(context.Context, string) error { return errDisk }
