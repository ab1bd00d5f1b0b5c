package incident

import (
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// joined is an incident of two runbooks that each have a step named prompt: the second is of the gateway, needs two
// people and is done by hand, and shows on traffic.
func joined(t *testing.T) *Record {
	t.Helper()
	first, second := refusedRunbook(), refusedRunbook()
	first.Runbook.Name, second.Runbook.Name = "refused", "unsafe"
	first.Runbook.Rollback = []runbook.Step{{Artifact: "prompt", Name: "prompt", Approval: runbook.ApprovalOwner, Action: putPrompt()}}
	second.Runbook.Rollback = []runbook.Step{
		{Artifact: "prompt", Name: "prompt", Service: "gateway", Approval: runbook.ApprovalTwoPerson, Settle: 7 * time.Minute,
			Effective: &triggers.Clause{Condition: &triggers.Condition{Signal: "refusal_rate", Comparison: triggers.Above, Limit: 0.99}}},
		{Artifact: "weights", Name: "weights", Approval: runbook.ApprovalOwner},
	}
	p := testPolicy()
	p.Changes = ChangePolicy{Since: 24 * time.Hour, Log: []changes.Change{
		{ID: "c1", Artifact: "prompt", Service: "gateway", From: "g6", To: "g7", At: clockTime("13:50"), Source: changes.Reported},
	}}
	fires := func(s *runbook.Snapshot, hash string) Firing {
		return Firing{Snapshot: s, Hash: hash, Group: groupOfBot, Service: "support-bot", Severity: runbook.Sev2, BreachBegan: clockTime("14:00"), ImpactStartedAt: clockTime("13:59")}
	}
	d := openIncident(fires(first, "one"), nil, p, clockTime("14:10"))
	d.join(fires(second, "two"))
	return d.record
}

func putPrompt() *runbook.Action {
	return &runbook.Action{Connector: "prompts", Method: "PUT", Path: "/labels/live", Semantics: runbook.SemanticsSet,
		Confirm: &runbook.Confirm{Method: "GET", Path: "/labels/live", Expect: map[string]any{"version": "{{ .Previous }}"}}}
}

func TestTwoFindingsStepsOfOneNameAreToldApart(t *testing.T) {
	r := joined(t)
	var plan []string
	for _, step := range r.Plan() {
		plan = append(plan, step.Name()+":"+step.From+">"+step.To+" "+step.Approval)
	}
	if got, want := strings.Join(plan, ", "), "prompt (unsafe):g7>g6 two_person, prompt:> owner, weights:> owner"; got != want {
		t.Fatalf("plan %q, want %q", got, want)
	}
	if got := r.next(); got != "prompt (unsafe)" {
		t.Errorf("next is %q", got)
	}
	if own, other := r.StepCalled("prompt"), r.StepCalled("prompt (unsafe)"); own.Finding != 0 || other.Finding != 1 || other.Service != "gateway" || r.StepCalled("") != nil {
		t.Errorf("prompt is %+v, prompt (unsafe) %+v", own, other)
	}
	p := testPolicy()
	now := clockTime("14:20")
	done := run(t, r, p, now, RolledBack{By: "alice", Step: "prompt (unsafe)", From: "g7", To: "g6"})
	a := &done.Actions[0]
	if a.Step != "prompt (unsafe)" || a.Settle != 7*time.Minute || !a.EffectiveAt.IsZero() {
		t.Errorf("action %+v", a)
	}
	if clause, finding := done.EffectiveWhen(a); clause == nil || finding != 1 {
		t.Errorf("effective when %v of finding %d", clause, finding)
	}
	if got := done.next(); got != "prompt" {
		t.Errorf("next is %q", got)
	}
	own := run(t, r, p, now, RolledBack{By: "alice", Step: "prompt", From: "v7", To: "v6"})
	if a := own.Actions[0]; a.Step != "prompt" || a.EffectiveAt.IsZero() || own.next() != "prompt (unsafe)" {
		t.Errorf("action %+v, next %q", a, own.next())
	}
	_, err := DecideCommand(r, Request{By: "alice", Step: "prompt (unsafe)", To: "g6", Digest: "d"}, p, now, "seed")
	mustRefuse(t, err, `no action for "prompt (unsafe)"`)
	_, err = DecideCommand(r, RolledBack{By: "alice", Step: "index"}, p, now, "seed")
	mustRefuse(t, err, "its steps: prompt, prompt (unsafe), weights")
}

func TestAnotherServicesChangeIsNotTheStepDone(t *testing.T) {
	for service, want := range map[string]int{"gateway": 0, "support-bot": 1, "": 1} {
		w := changing(t)
		w.snapshot.Runbook.Rollback = append(w.snapshot.Runbook.Rollback, runbook.Step{Artifact: "code", Service: "gateway"})
		w.now = clockTime("13:50")
		w.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
		w.open()
		w.now = clockTime("14:18:10")
		back := changes.Change{ID: "d1", Artifact: "prompt", Service: service, From: "prompt-v7", To: "prompt-v6", At: clockTime("14:18"), Source: changes.Detected}
		if err := w.desk.Detected(t.Context(), []changes.Change{back}); err != nil {
			t.Fatal(err)
		}
		if r := w.record(); len(r.Actions) != want || len(r.Changes) != 1 {
			t.Errorf("of %q: actions %+v, changes %+v", service, r.Actions, r.Changes)
		}
	}
}

func TestAChangeThatNamesNoVersionSinceSaysNothingOfTheStep(t *testing.T) {
	w := changing(t)
	w.policy.Actions = ActionsEnabled
	w.snapshot.Runbook.Rollback[1].Approval = "none"
	w.snapshot.Runbook.Rollback[1].Action = putPrompt()
	w.now = clockTime("13:58")
	if _, err := w.desk.Report(t.Context(), changes.Change{Artifact: "prompt", Service: "support-bot", From: "evil", Note: "x", At: clockTime("13:57"), By: "mallory"}); err != nil {
		t.Fatal(err)
	}
	if v := w.open(); len(v.Rollbacks) != 3 || steps(v) != "weights! prompt retrieval_index" {
		t.Errorf("plan %q", steps(v))
	}
	if all := w.record().Actions; len(all) != 0 {
		t.Errorf("actions %+v", all)
	}

	w = changing(t)
	w.policy.Actions = ActionsEnabled
	w.snapshot.Runbook.Rollback[1].Approval = "none"
	w.snapshot.Runbook.Rollback[1].Action = putPrompt()
	w.now = clockTime("13:58")
	w.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
	if _, err := w.desk.Report(t.Context(), changes.Change{Artifact: "prompt", Service: "support-bot", From: "evil", Note: "x", At: clockTime("13:57"), By: "mallory"}); err != nil {
		t.Fatal(err)
	}
	w.open()
	if all := w.record().Actions; len(all) != 1 || all[0].From != "prompt-v7" || all[0].To != "prompt-v6" {
		t.Errorf("actions %+v", all)
	}
}

func TestNobodyIsAskedOnlyForWhatCanBeRepeatedAndReadBack(t *testing.T) {
	for name, spoil := range map[string]func(*runbook.Action){
		"it starts something":     func(a *runbook.Action) { a.Semantics = runbook.SemanticsCreate },
		"nothing reads it back":   func(a *runbook.Action) { a.Confirm = nil },
		"what reads it is no GET": func(a *runbook.Action) { a.Confirm.Method = "POST" },
	} {
		w := changing(t)
		w.policy.Actions = ActionsEnabled
		step := &w.snapshot.Runbook.Rollback[1]
		step.Approval, step.Action = "none", putPrompt()
		spoil(step.Action)
		w.now = clockTime("13:50")
		w.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
		w.open()
		if all := w.record().Actions; len(all) != 0 {
			t.Errorf("%s: actions %+v", name, all)
		}
	}
}

func TestTheVersionBeforeIsThatOfTheChangeBefore(t *testing.T) {
	w := changing(t)
	w.now = clockTime("13:50")
	w.reports("prompt", "", "prompt-v6", "12:30")
	w.reports("prompt", "", "prompt-v7", "13:30")
	if got, want := steps(w.open()), "prompt:prompt-v7>prompt-v6! weights retrieval_index"; got != want {
		t.Errorf("plan %q, want %q", got, want)
	}

	w = changing(t)
	w.now = clockTime("13:50")
	w.reports("prompt", "", "prompt-v6", "12:30")
	if _, err := w.desk.Report(t.Context(), changes.Change{Artifact: "prompt", Service: "support-bot", Note: "edited by hand", At: clockTime("13:00")}); err != nil {
		t.Fatal(err)
	}
	w.reports("prompt", "", "prompt-v7", "13:30")
	if got, want := steps(w.open()), "prompt:prompt-v7>! weights retrieval_index"; got != want {
		t.Errorf("nobody knows what the change in between set: plan %q, want %q", got, want)
	}
}

func TestALateReportKeepsWhatTheSignalsShowOfVersions(t *testing.T) {
	d := openWithExposure(t)
	verdict := func(r *Record) changes.Class { return r.ranking().Ranking.Suspects[0].Class }
	if got := verdict(d.record); got != changes.ClassExposure {
		t.Fatalf("at the opening: %q", got)
	}
	late := changes.Change{ID: "c2", Artifact: "weights", Service: "support-bot", From: "w1", To: "w2", At: clockTime("13:55"), Source: changes.Reported}
	d.policy.Changes.Log = append(d.policy.Changes.Log, late)
	d.t = clockTime("14:15")
	d.sees([]changes.Change{late})
	if n := len(d.record.Rankings); n != 2 || verdict(d.record) != changes.ClassExposure {
		t.Errorf("%d rankings, the last: %+v", n, d.record.ranking().Ranking.Suspects)
	}
	d.rank(CauseRelapsed, nil, nil)
	if verdict(d.record) != changes.ClassExposure {
		t.Errorf("after a relapse: %+v", d.record.ranking().Ranking.Suspects)
	}
}

// openWithExposure is an incident whose signal shows that those with the prompt's new version fare worse.
func openWithExposure(t *testing.T) *decision {
	t.Helper()
	p := testPolicy()
	p.Changes = ChangePolicy{Since: 24 * time.Hour, Log: []changes.Change{
		{ID: "c1", Artifact: "prompt", Service: "support-bot", From: "v6", To: "v7", At: clockTime("11:50"), Source: changes.Reported},
	}}
	return openIncident(Firing{
		Snapshot: refusedRunbook(), Hash: "one", Group: groupOfBot, Service: "support-bot", Severity: runbook.Sev2,
		BreachBegan: clockTime("14:00"), ImpactStartedAt: clockTime("13:59"),
		Exposures: []changes.Exposure{{Artifact: "prompt", Version: "v7", Service: "support-bot", Signal: "Refusal rate", WithBad: 200, With: 1000, WithoutBad: 20, Without: 1000}},
	}, nil, p, clockTime("14:10"))
}

func TestEvidenceThatComesAfterTheEndIsNotKept(t *testing.T) {
	w := changing(t)
	w.snapshot.Runbook.Triage = []runbook.Check{{Title: "Is it real?"}}
	w.open()
	w.now = clockTime("14:20")
	w.command(Dismiss{By: "alice", Reason: FalseAlarm})
	version := w.record().Version
	w.now = clockTime("14:21")
	if err := w.desk.Evidence(t.Context(), "1", EvidenceGathered{N: 1, Text: "paid 19%"}); err != nil {
		t.Fatal(err)
	}
	if r := w.record(); r.Version != version || len(r.Evidence) != 0 {
		t.Errorf("evidence %+v", r.Evidence)
	}
}
