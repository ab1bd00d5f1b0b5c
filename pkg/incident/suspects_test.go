package incident

import (
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// changing is the worked example's world with a rollback stack, before anything fires.
func changing(t *testing.T) *world {
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	w.policy.Changes.Since = 24 * time.Hour
	w.snapshot.Runbook.Rollback = []runbook.Step{
		{Artifact: "weights", Do: "Load the weights before."},
		{Artifact: "prompt", Name: "support prompt", Do: "Set the live label back to {{ .Previous }}, it is {{ .Current }}.", Action: putPrompt(), Settle: 5 * time.Minute},
		{Artifact: "retrieval_index", Do: "Point kb-live at {{ .Previous }}."},
	}
	return w
}

// reports tells the desk of a change of the bot.
func (w *world) reports(artifact, from, to, at string) changes.Change {
	c, err := w.desk.Report(w.t.Context(), changes.Change{
		Artifact: artifact, Service: "support-bot", From: from, To: to, At: clockTime(at), By: "alice",
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// open lets the worked example fire.
func (w *world) open() View {
	w.live(clockTime("14:09:45"), clockTime("14:10"))
	v, err := w.desk.View(w.t.Context(), "1")
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) view() View {
	v, err := w.desk.View(w.t.Context(), "1")
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func suspects(v View) string {
	var all []string
	for _, s := range v.Suspects {
		all = append(all, s.Change.Artifact)
	}
	return strings.Join(all, " ")
}

func steps(v View) string {
	var all []string
	for _, step := range v.Rollbacks {
		said := step.Artifact
		if step.From != "" || step.To != "" {
			said += ":" + step.From + ">" + step.To
		}
		if step.Next {
			said += "!"
		}
		all = append(all, said)
	}
	return strings.Join(all, " ")
}

func TestWhatChangedBeforeImpactIsRankedAtTheOpening(t *testing.T) {
	w := changing(t)
	w.now = clockTime("13:50")
	w.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
	w.reports("retrieval_index", "kb-2025-02-08", "kb-2025-02-15", "13:40")
	v := w.open()
	if got := suspects(v); got != "prompt retrieval_index" {
		t.Errorf("suspects %q", got)
	}
	if want := "29 min before impact; was prompt-v6"; v.Suspects[0].Reason != want {
		t.Errorf("reason %q, want %q", v.Suspects[0].Reason, want)
	}
	if got, want := steps(v), "prompt:prompt-v7>prompt-v6! retrieval_index:kb-2025-02-15>kb-2025-02-08 weights"; got != want {
		t.Errorf("plan %q, want %q", got, want)
	}
	if want := "Set the live label back to prompt-v6, it is prompt-v7."; v.Rollbacks[0].Do != want || !v.Rollbacks[0].Runs || v.Rollbacks[1].Runs {
		t.Errorf("step %+v", v.Rollbacks[0])
	}
	said := v.Timeline[1]
	if said.Kind != "suspects_ranked" || !strings.HasPrefix(said.Text, "changes before impact: 1. prompt from prompt-v6 to prompt-v7 (29 min before impact") {
		t.Errorf("told as %+v", said)
	}
}

func TestWhereNothingIsReportedThatIsSaid(t *testing.T) {
	v := changing(t).open()
	if len(v.Suspects) != 0 || len(v.Unchanged) != 1 || v.Unchanged[0] != "unknown: nothing reports weights, prompt, retrieval_index" {
		t.Errorf("suspects %v, unchanged %q", v.Suspects, v.Unchanged)
	}
	if got := steps(v); got != "weights! prompt retrieval_index" {
		t.Errorf("plan %q", got)
	}
}

func TestAChangeThatIsReportedLateIsRankedBesideTheOldRanking(t *testing.T) {
	w := changing(t)
	w.now = clockTime("13:50")
	w.reports("retrieval_index", "kb-1", "kb-2", "13:40")
	w.open()
	w.now = clockTime("14:15")
	late := w.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
	v := w.view()
	if got := suspects(v); got != "prompt retrieval_index" {
		t.Errorf("suspects %q", got)
	}
	if n := len(w.record().Rankings); n != 2 {
		t.Errorf("%d rankings", n)
	}
	version := w.record().Version
	w.now = clockTime("14:16")
	if again := w.reports("prompt", "prompt-v6", "prompt-v7", "13:30"); again.ID != late.ID || !again.RecordedAt.Equal(late.RecordedAt) {
		t.Errorf("the same report again is %+v, not %+v", again, late)
	}
	if w.record().Version != version {
		t.Errorf("told twice:\n%s", w.everything())
	}
	w.reports("prompt", "prompt-v1", "prompt-v2", "14:00") // after impact began: told, no suspect
	if got := len(w.record().Changes); got != 2 {
		t.Errorf("%d changes seen", got)
	}
}

func TestAChangeBackIsTheStepDone(t *testing.T) {
	w := changing(t)
	w.now = clockTime("13:50")
	w.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
	w.open()
	w.now = clockTime("14:18:10")
	back := changes.Change{ID: "d1", Artifact: "prompt", Service: "support-bot", From: "prompt-v7", To: "prompt-v6", At: clockTime("14:18"), Source: changes.Detected}
	other := changes.Change{ID: "d2", Artifact: "code", Service: "support-bot", To: "2.0", At: clockTime("14:17"), Source: changes.Detected}
	for _, told := range [][]changes.Change{{back}, {back}, {back, other}} {
		if err := w.desk.Detected(t.Context(), told); err != nil {
			t.Fatal(err)
		}
	}
	r := w.record()
	if len(r.Changes) != 2 {
		t.Errorf("changes seen: %+v", r.Changes)
	}
	if len(r.Actions) != 1 || r.Actions[0].How != DoneSeen || r.Actions[0].Step != "support prompt" || !r.Actions[0].DoneAt.Equal(back.At) || r.State() != Mitigating {
		t.Fatalf("actions %+v, state %s", r.Actions, r.State())
	}
	if r.Acknowledged != nil {
		t.Error("a metric took the incident")
	}
	v := w.view()
	if v.Rollbacks[0].State != "effective" || v.Rollbacks[0].Next || !v.Rollbacks[1].Next {
		t.Errorf("steps %+v", v.Rollbacks)
	}

	byHand := changing(t)
	byHand.now = clockTime("13:50")
	byHand.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
	byHand.open()
	byHand.now = clockTime("14:18:05")
	byHand.command(RolledBack{By: "alice", Step: "prompt", From: "prompt-v7", To: "prompt-v6"})
	byHand.now = clockTime("14:18:10")
	if err := byHand.desk.Detected(t.Context(), []changes.Change{back}); err != nil {
		t.Fatal(err)
	}
	if r := byHand.record(); len(r.Actions) != 1 || r.Actions[0].How != DoneByHand || len(r.Changes) != 1 {
		t.Errorf("actions %+v, changes %+v", r.Actions, r.Changes)
	}
}

func TestAStepThatNobodyNeedsToApproveIsRequestedAtTheOpening(t *testing.T) {
	for _, test := range []struct {
		name, actions, approval string
		reported                bool
		want                    int
	}{
		{"enabled", ActionsEnabled, "none", true, 1},
		{"a dry run", ActionsDryRun, "none", true, 0},
		{"off", ActionsOff, "none", true, 0},
		{"the owner must approve", ActionsEnabled, "owner", true, 0},
		{"nothing changed", ActionsEnabled, "none", false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := changing(t)
			w.policy.Actions = test.actions
			w.snapshot.Runbook.Rollback[1].Approval = test.approval
			w.now = clockTime("13:50")
			if test.reported {
				w.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
			}
			w.open()
			actions := w.record().Actions
			if len(actions) != test.want {
				t.Fatalf("actions %+v", actions)
			}
			if test.want == 1 && (actions[0].To != "prompt-v6" || actions[0].RequestedBy != Daemon || !actions[0].Approved()) {
				t.Errorf("action %+v", actions[0])
			}
		})
	}
}

func TestWhereReportsContradictEachOtherAPersonDecides(t *testing.T) {
	for name, forged := range map[string]string{"minutes before": "13:20", "hours before": "11:00"} {
		t.Run(name, func(t *testing.T) {
			w := changing(t)
			w.policy.Actions = ActionsEnabled
			w.snapshot.Runbook.Rollback[1].Approval = "none"
			w.now = clockTime("13:50")
			w.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
			w.reports("prompt", "evil", "prompt-v7", forged)
			w.open()
			if actions := w.record().Actions; len(actions) != 0 {
				t.Errorf("asked for by itself: %+v", actions)
			}
		})
	}
}

func TestEvidenceStandsBesideItsItem(t *testing.T) {
	w := changing(t)
	w.snapshot.Runbook.Triage = []runbook.Check{{Title: "Is it real?"}, {Title: "Who is hit?"}}
	w.open()
	w.now = clockTime("14:10:05")
	err := w.desk.Evidence(t.Context(), "1",
		EvidenceGathered{N: 2, Text: "paid 19%, free 4%"}, EvidenceGathered{N: 1, Error: "no answer in time"})
	if err != nil {
		t.Fatal(err)
	}
	v := w.view()
	if v.Triage[1].Found != "paid 19%, free 4%" || v.Triage[0].FoundError != "no answer in time" || !v.Triage[1].FoundAt.Equal(w.now) {
		t.Errorf("triage %+v", v.Triage)
	}
	w.now = clockTime("14:20")
	if err := w.desk.Evidence(t.Context(), "1", EvidenceGathered{N: 2, Text: "paid 8%, free 4%"}); err != nil {
		t.Fatal(err)
	}
	if v := w.view(); v.Triage[1].Found != "paid 8%, free 4%" {
		t.Errorf("asked again: %+v", v.Triage[1])
	}
}

func TestAPersonsReopeningRanksAnew(t *testing.T) {
	w := changing(t)
	w.now = clockTime("13:50")
	w.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
	w.open()
	w.now = clockTime("14:20")
	w.command(Dismiss{By: "alice", Reason: FalseAlarm})
	w.now = clockTime("14:21")
	w.command(Reopen{By: "alice"})
	if r := w.record(); len(r.Rankings) != 2 || r.Rankings[1].Cause != CauseReopened {
		t.Errorf("rankings %+v", r.Rankings)
	}
}

func TestAnEffectIsOneSentence(t *testing.T) {
	w := changing(t)
	w.now = clockTime("13:50")
	w.reports("prompt", "prompt-v6", "prompt-v7", "13:30")
	w.reports("retrieval_index", "kb-1", "kb-2", "13:40")
	w.open()
	r := w.record()
	value := func(v float64) *triggers.Value { return &triggers.Value{V: v} }
	d := newDecision(r, w.policy, clockTime("14:18"))
	d.add(ActionDone{Action: "1", How: DoneByHand, Step: "support prompt", Title: "support prompt"}, "1")
	d.effectiveOnceDone(d.record.action("1"))
	d.t = clockTime("14:26")
	d.measure(d.record.action("1"), &Effect{Verdict: EffectHelped, Metrics: []EffectMetric{
		{Band: "key", Signal: "refusal_rate", Unit: triggers.Ratio, Before: value(0.19), After: value(0.08), Low: -0.142, High: -0.0777, Target: "refusal_rate below 6%"},
	}})
	last := d.events[len(d.events)-1]
	want := "effect of support prompt: refusal_rate 19% → 8% (difference −14 to −7.8 points), needed below 6%: helped, not enough; next: retrieval_index"
	if got := inWords(d.record, last); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTheIntervalOfAnEffectIsTold(t *testing.T) {
	w := changing(t)
	w.open()
	value := func(v float64) *triggers.Value { return &triggers.Value{V: v} }
	for _, test := range []struct {
		name    string
		metric  EffectMetric
		verdict string
		want    string
	}{
		{"of a share, and the verdict stays", EffectMetric{Unit: triggers.Ratio, Before: value(0.19), After: value(0.08), Low: -0.03, High: 0.25}, EffectNotSeparable,
			"refusal_rate 19% → 8% (difference −3 to +25 points), needed below 6%: not separable"},
		{"one end of it is nothing", EffectMetric{Unit: triggers.Ratio, Before: value(0.19), After: value(0.08), High: 0.25}, EffectHelped,
			"refusal_rate 19% → 8% (difference 0 to +25 points), needed below 6%: helped, not enough"},
		{"there is none", EffectMetric{Unit: triggers.Ratio, Before: value(0.19), After: value(0.08)}, EffectHelped,
			"refusal_rate 19% → 8%, needed below 6%: helped, not enough"},
		{"not of what is no share", EffectMetric{Unit: triggers.Seconds, Before: value(6), After: value(2), Low: -5, High: -3}, EffectHelped,
			"refusal_rate 6s → 2s, needed below 6%: helped, not enough"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.metric.Signal, test.metric.Target = "refusal_rate", "refusal_rate below 6%"
			effect := Effect{Verdict: test.verdict, Metrics: []EffectMetric{test.metric}}
			if got := effect.inWords(w.record()); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestARequestWhoseDigestIsVoidIsReplacedByANewOne(t *testing.T) {
	w := changing(t)
	w.policy.Actions = ActionsEnabled
	w.snapshot.Runbook.Rollback[1].Approval = "two_person"
	w.open()
	w.now = clockTime("14:12")
	w.command(Request{By: "alice", Step: "support prompt", To: "prompt-v6", Digest: "one"})
	w.command(Request{By: "bob", Step: "support prompt", To: "prompt-v6", Digest: "two"}) // the live version moved
	actions := w.record().Actions
	if len(actions) != 2 || actions[0].Why != FailedExpired || !actions[1].Requested() || actions[1].Digest != "two" {
		t.Fatalf("actions %+v", actions)
	}
	if _, err := w.desk.Command(t.Context(), "1", Request{By: "carol", Step: "support prompt", To: "prompt-v6", Digest: "two"}, Idempotency{}); err == nil {
		t.Error("a third person's equal request is a second action")
	}
	w.command(Approve{By: "alice", Action: actions[1].ID, Digest: "two"})
	if a := w.record().Actions[1]; !a.Approved() {
		t.Errorf("approved by alice: %+v", a)
	}
}

func TestEvidenceIsNewsForWhoeverWasPaged(t *testing.T) {
	w := changing(t)
	w.policy.Carries = map[string]Carries{"pager-oncall": {Progress: true}}
	w.snapshot.Runbook.Triage = []runbook.Check{{Title: "Is it real?"}}
	w.open()
	w.send()
	w.now = clockTime("14:10:05")
	if err := w.desk.Evidence(t.Context(), "1", EvidenceGathered{N: 1, Text: "paid 19%"}); err != nil {
		t.Fatal(err)
	}
	rows := w.store.Rows()
	if last := rows[len(rows)-1]; last.Kind != DeliverProgress || last.Receiver != "pager-oncall" {
		t.Errorf("the last row is %+v", last)
	}
}
