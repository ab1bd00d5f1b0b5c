package client_test

import (
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/client"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

func TestARollbackIsLookedAtAskedForAndApproved(t *testing.T) {
	d := newDaemon(t, func(c *web.Config) { c.Planner = &webtest.Planner{} })
	looked, err := d.Prepared(t.Context(), "#42", "support prompt", "prompt-v5")
	if err != nil || looked.To != "prompt-v5" || looked.Digest == "" {
		t.Fatalf("%+v, %v", looked, err)
	}
	if plan, err := d.Prepared(t.Context(), "42", "prompt", ""); err != nil || plan.To != "prompt-v6" {
		t.Errorf("%+v, %v", plan, err)
	}
	if _, err := d.Prepared(t.Context(), "42", "a/../b?c", ""); err == nil || !strings.Contains(err.Error(), `no step "a/../b?c"`) {
		t.Errorf("%v", err)
	}
	view, err := d.RollBack(t.Context(), "42", client.Rollback{By: "alice", Step: "support prompt", To: "prompt-v5", Digest: looked.Digest})
	if err != nil || len(view.Actions) != 1 || view.Actions[0].To != "prompt-v5" {
		t.Fatalf("%+v, %v", view.Actions, err)
	}
	if view, err = d.Approve(t.Context(), "42", "bob", "1", looked.Digest); err != nil || view.Actions[0].Approvers[0] != "bob" {
		t.Errorf("%+v, %v", view.Actions, err)
	}
	if _, err := d.Approve(t.Context(), "42", "bob", "1", "other"); err == nil || !strings.Contains(err.Error(), "changed since you looked") {
		t.Errorf("%v", err)
	}
}

func TestAMitigationIsLookedAtAndWhatAPersonDidIsSaid(t *testing.T) {
	d := newDaemon(t, func(c *web.Config) { c.Planner = &webtest.Planner{} })
	const title = "Route paid traffic to the approved fallback model"
	looked, err := d.PreparedMitigation(t.Context(), "42", title)
	if err != nil || looked.Mitigate != title {
		t.Fatalf("%+v, %v", looked, err)
	}
	at := webtest.At("14:11:00")
	view, err := d.RollBack(t.Context(), "42", client.Rollback{By: "alice", Mitigate: title, ByHand: true, At: at})
	if err != nil || view.Actions[0].How != incident.DoneByHand || !view.Actions[0].DoneAt.Equal(at) {
		t.Errorf("%+v, %v", view.Actions, err)
	}
}

func TestChangesAreReportedAndListedWhole(t *testing.T) {
	var log web.Changes
	d := newDaemon(t, func(c *web.Config) { log = webtest.NewChanges(c.Now); c.Changes = log })
	told := changes.Change{Artifact: "prompt", Service: "support-bot", From: "v6", To: "v7", At: webtest.At("13:30:00"), By: "alice", URL: "https://x.example", Note: "stricter"}
	kept, err := d.Report(t.Context(), told)
	if told.ID, told.Source, told.RecordedAt = kept.ID, changes.Reported, noon; err != nil || kept.ID == "" ||
		kept.Artifact != told.Artifact || kept.Service != told.Service || kept.From != told.From || kept.To != told.To || !kept.At.Equal(told.At) ||
		kept.By != told.By || kept.URL != told.URL || kept.Note != told.Note || !kept.RecordedAt.Equal(noon) {
		t.Errorf("%+v, %v", kept, err)
	}
	for range 1010 { // more than a page holds
		told.At = told.At.Add(-20 * time.Minute)
		if _, err := log.Report(t.Context(), told); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		since, service, artifact string
		want                     int
	}{{"60d", "", "", 1011}, {"", "", "", 70}, {"60d", "search", "", 0}, {"60d", "support-bot", "prompt", 1011}, {"60d", "", "code", 0}} {
		if all, err := d.Changes(t.Context(), test.since, test.service, test.artifact); err != nil || len(all) != test.want {
			t.Errorf("%+v: %d, %v", test, len(all), err)
		}
	}
}
