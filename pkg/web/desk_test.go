package web_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

// realDesk is the handler over the real Desk, in which one incident has just opened.
func realDesk(t *testing.T) *fixture {
	t.Helper()
	now := webtest.At("14:10:00")
	desk := incident.NewDesk(incident.Config{
		Store: incident.NewMemoryStore(), Now: func() time.Time { return now }, Log: zap.NewNop(),
		Policy: func() incident.Policy {
			return incident.Policy{
				Instance: "test", Interval: 15 * time.Second, BlindAfter: 5 * time.Minute,
				Severities: map[runbook.Severity]incident.SeverityPolicy{runbook.Sev2: {Page: true, AcknowledgeWithin: 15 * time.Minute}},
				Roles:      map[string]incident.Role{"oncall": {Page: []string{"pager"}}},
			}
		},
	})
	if err := desk.Tick(t.Context(), incident.Tick{T: now, Firings: []incident.Firing{firing(now)}}); err != nil {
		t.Fatal(err)
	}
	return &fixture{handler: web.New(web.Config{Desk: desk, Registry: prometheus.NewRegistry(), Log: zap.NewNop()})}
}

// firing is a runbook whose refusal rate is past its limit.
func firing(at time.Time) incident.Firing {
	refusals := triggers.Clause{Condition: &triggers.Condition{Signal: "refusal_rate", Comparison: triggers.Above, Limit: 0.15}}
	group := labels.FromStrings("service", "support-bot")
	return incident.Firing{
		Snapshot: &runbook.Snapshot{
			Runbook: runbook.Runbook{
				Name: "good-users-refused", Title: "The safety layer refuses good users", Owner: "oncall", Trigger: refusals,
				Severity: runbook.Rubric{Default: runbook.Sev2},
				Recovery: runbook.Recovery{
					Hold: 15 * time.Minute, Key: runbook.Band{Clause: &refusals},
					Safety: runbook.Band{None: "nothing measures it"}, Business: runbook.Band{None: "nothing measures it"},
				},
			},
			Signals: map[string]*triggers.Signal{"refusal_rate": {Name: "refusal_rate", Unit: triggers.Ratio, Numerator: "a", Denominator: "b"}},
		},
		Hash: "snapshot", Group: group, Service: "support-bot", Severity: runbook.Sev2,
		Breaches: []incident.Breach{{
			Condition: "refusal_rate above 15% for 10m", Signal: "refusal_rate", Title: "Refusal rate", Segment: group,
			Value: triggers.Value{V: 0.19}, Limit: 0.15, Unit: triggers.Ratio, BreachBegan: at.Add(-10 * time.Minute), ImpactBegan: at.Add(-11 * time.Minute),
		}},
	}
}

func TestTheRealDeskIsReadAndCommanded(t *testing.T) {
	f := realDesk(t)
	list := decode[web.IncidentList](t, f.call("GET", "/api/v1/incidents?state=open&severity=sev2&limit=1", ""))
	if len(list.Incidents) != 1 || list.Incidents[0].Number != 1 || list.Incidents[0].State != incident.Triggered || !list.Incidents[0].Calling {
		t.Fatalf("listed %+v", list)
	}
	const ack, body = "/api/v1/incidents/1/acknowledge", `{"by":"alice"}`
	first, again := f.call("POST", ack, body, "Idempotency-Key", "k"), f.call("POST", ack, body, "Idempotency-Key", "k")
	view := decode[incident.View](t, first)
	if view.State != incident.AcknowledgedState || view.AcknowledgedBy != "alice" || view.Calling {
		t.Errorf("acknowledged: %s", first.Body)
	}
	if first.Body.String() != again.Body.String() {
		t.Errorf("the same write again is answered otherwise:\n%s\n%s", first.Body, again.Body)
	}
	f.call("POST", "/api/v1/incidents/"+view.ID+"/notes", `{"by":"alice","text":"the provider sees it too"}`)
	shown := decode[incident.View](t, f.call("GET", "/api/v1/incidents/%231", ""))
	if n := len(shown.Timeline); n != len(view.Timeline)+1 || shown.Timeline[n-1].Text != "the provider sees it too" || shown.Timeline[n-1].Actor != "alice" {
		t.Errorf("timeline %+v", shown.Timeline)
	}
	for name, test := range map[string]struct {
		answer *httptest.ResponseRecorder
		status int
	}{
		"an unknown incident":       {f.call("GET", "/api/v1/incidents/2", ""), 404},
		"a word that is no number":  {f.call("GET", "/api/v1/incidents/refusals", ""), 404},
		"a key of another request":  {f.call("POST", ack, `{"by":"bob"}`, "Idempotency-Key", "k"), 422},
		"an unknown incident taken": {f.call("POST", "/api/v1/incidents/2/acknowledge", body), 404},
	} {
		if problem := decode[web.Problem](t, test.answer); test.answer.Code != test.status || problem.Status != test.status {
			t.Errorf("%s: %d %s", name, test.answer.Code, test.answer.Body)
		}
	}
}
