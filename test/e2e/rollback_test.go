//go:build e2e

package e2e_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTwoRollbacksEndAnIncidentAndEachEffectIsMeasured plays the story of the documentation, in seconds: a newer prompt
// and a newer index, set before users ask what they are bad at, are set back one after the other.
func TestTwoRollbacksEndAnIncidentAndEachEffectIsMeasured(t *testing.T) {
	t.Parallel()
	bot := startAssistant(t, "support-bot", "kb-2")
	r := newRollbackRailway(t, "enabled", []*assistant{bot})
	r.daemon.startReady()
	r.changed("support-bot")
	r.waitForHistory()
	bot.ask()
	number := r.pagedFor("support-bot")
	r.checkSuspects(number)
	r.checkPlan(number)
	r.checkEvidence(number)
	eventually(t, 15*time.Second, "deflection breaches too", func() (struct{}, error) {
		i, err := r.daemon.led(number)
		if err == nil && len(i.times("breach_joined")) == 0 {
			err = errNotYet
		}
		return struct{}{}, err
	})

	r.setBack(bot, number)
	i, err := r.daemon.led(number)
	if err != nil {
		t.Fatal(err)
	}
	resolved := r.daemon.waitForState(i.ID, "resolved", r.resolvesWithin()+20*time.Second)
	checkTimes(t, resolved)
	checkStations(t, resolved)
	if status, answer := r.daemon.post("/api/v1/incidents/"+number+"/rollbacks", map[string]string{"by": "bob", "step": "prompt"}); status != 409 || !strings.Contains(answer, "resolved") {
		t.Errorf("a rollback of a resolved incident: %d: %s, want 409 and why", status, answer)
	}
	if err := bot.wasAsked(2); err != nil {
		t.Error(err)
	}
}

// setBack has both steps done, one after the other, and reads what is said of their effects.
func (r *railway) setBack(bot *assistant, number string) {
	r.t.Helper()
	said := r.daemon.command("rollback", number, "prompt", "--yes", "--by", "alice")
	for _, part := range []string{"PUT " + bot.server.URL + "/labels/live", `"version": "prompt-v6"`, `set now   {"version":"prompt-v7"}`, "75% of the traffic"} {
		if !strings.Contains(said, part) {
			r.t.Errorf("rollback does not show %s before it is sent:\n%s", part, said)
		}
	}
	r.daemon.waitForAction(number, "1", 20*time.Second, "takes effect on traffic", isEffective)
	if live := bot.version(promptPointer); live != "prompt-v6" {
		r.t.Errorf("the live prompt is %s, want prompt-v6", live)
	}
	helped := r.daemon.waitForAction(number, "1", 20*time.Second, "is measured", isMeasured)
	if helped.Effect.Verdict != "Helped, not enough" {
		r.t.Errorf("the verdict on the prompt is %q, want that it helped, not enough", helped.Effect.Verdict)
	}
	r.checkNext(number)

	r.daemon.command("rollback", number, "retrieval_index", "--yes", "--by", "alice")
	normal := r.daemon.waitForAction(number, "2", 20*time.Second, "is measured", isMeasured)
	if normal.Effect.Verdict != "Normal again" || bot.version(indexPointer) != "kb-1" {
		r.t.Errorf("the verdict on the index is %q, which is %s; want normal again and kb-1", normal.Effect.Verdict, bot.version(indexPointer))
	}
}

// checkSuspects looks at what an incident says of changes, as it opens.
func (r *railway) checkSuspects(number string) {
	r.t.Helper()
	i, err := r.daemon.led(number)
	if err != nil {
		r.t.Fatal(err)
	}
	var suspects []string
	for _, s := range i.Suspects {
		suspects = append(suspects, fmt.Sprintf("%d %s %s %s %s %s", s.Rank, s.Change.Artifact, s.Change.From, s.Change.To, s.Change.Source, s.Class))
	}
	want := []string{
		"1 prompt prompt-v6 prompt-v7 reported within 60m",
		"2 retrieval_index kb-1 kb-2 detected within 60m",
	}
	if !slices.Equal(suspects, want) || len(i.Excluded) != 0 {
		r.t.Errorf("the suspects are\n%s\nand %d are excluded, want\n%s", strings.Join(suspects, "\n"), len(i.Excluded), strings.Join(want, "\n"))
	}
	for n, part := range []string{"29 min before impact; was prompt-v6", "min before impact; was kb-1"} {
		if n < len(i.Suspects) && !strings.Contains(i.Suspects[n].Reason, part) {
			r.t.Errorf("suspect %d: %q, want that it came %s", n+1, i.Suspects[n].Reason, part)
		}
	}
	// The metrics know the versions of the last hour alone, so no more is said of them.
	wantUnchanged := regexp.MustCompile(`^no code deploy, no weights deploy in \d+ (h|min)( \d+ min)?, not known before\nunknown: nothing reports router_policy$`)
	if said := strings.Join(i.Unchanged, "\n"); !wantUnchanged.MatchString(said) {
		r.t.Errorf("what did not change: %q, want %s", said, wantUnchanged)
	}
	var running []string
	for _, a := range i.Artifacts {
		running = append(running, a.Artifact+" "+a.Version)
	}
	if want := []string{"code 1.4.2", "prompt prompt-v7", "retrieval_index kb-2", "weights support-3.1"}; !slices.Equal(running, want) {
		r.t.Errorf("the versions that ran: %q, want %q", running, want)
	}
}

// checkPlan looks at the rollback stack as an incident opens.
func (r *railway) checkPlan(number string) {
	r.t.Helper()
	i, err := r.daemon.led(number)
	if err != nil {
		r.t.Fatal(err)
	}
	var plan []string
	for _, s := range i.Rollbacks {
		plan = append(plan, fmt.Sprintf("%s %s→%s changed=%t runs=%t next=%t", s.Artifact, s.From, s.To, s.Changed != "", s.Runs, s.Next))
	}
	want := []string{
		"prompt prompt-v7→prompt-v6 changed=true runs=true next=true",
		"retrieval_index kb-2→kb-1 changed=true runs=true next=false",
		"router_policy → changed=false runs=false next=false",
	}
	if !slices.Equal(plan, want) {
		r.t.Errorf("the plan is\n%s\nwant\n%s", strings.Join(plan, "\n"), strings.Join(want, "\n"))
	}
}

// checkEvidence waits for the evidence of the checklist's items and looks for the numbers of the story in it.
func (r *railway) checkEvidence(number string) {
	r.t.Helper()
	i := eventually(r.t, 15*time.Second, "evidence for each item that asks for some", func() (ledIncident, error) {
		i, err := r.daemon.led(number)
		for _, item := range i.Triage {
			if item.Evidence != "" && item.Found == "" && item.FoundError == "" {
				err = fmt.Errorf("item %d has none", item.N)
			}
		}
		return i, err
	})
	for n, parts := range map[int][]string{
		1: {"(language en)", "before impact 4% ("},
		2: {"language en: ", "language de: ", "before impact 4% ("},
		3: {"prompt", "prompt-v7", "retrieval_index", "kb-2"},
		4: {"0.1%"},
		5: {"All Systems Operational"},
		6: {"treatment", "control 4", "more than chance explains"},
		7: {"medication", "travel"},
	} {
		item := i.Triage[n-1]
		for _, part := range parts {
			if !strings.Contains(item.Found, part) || item.FoundError != "" {
				r.t.Errorf("the evidence for item %d (%s) is %q, error %q; want %s in it", n, item.Evidence, item.Found, item.FoundError, part)
			}
		}
	}
	if last := i.Triage[7]; last.Found != "" || strings.Contains(i.Triage[6].Found, "billing") {
		r.t.Errorf("evidence that nobody asked for: %q, %q", last.Found, i.Triage[6].Found)
	}
}

// checkNext looks at what is said of the first step's effect, and to be tried next.
func (r *railway) checkNext(number string) {
	r.t.Helper()
	i, err := r.daemon.led(number)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, part := range []string{"refusal rate 19% → 8%", "needed below 6%", "helped, not enough"} {
		if !strings.Contains(i.Rollbacks[0].Effect, part) {
			r.t.Errorf("the effect of the prompt is told as %q, want %q in it", i.Rollbacks[0].Effect, part)
		}
	}
	if i.Rollbacks[0].Next || !i.Rollbacks[1].Next {
		r.t.Errorf("next is not the index alone: %+v", i.Rollbacks)
	}
	if story := i.story(); !strings.Contains(story, "next: retrieval_index") {
		r.t.Errorf("the timeline does not name the next step:\n%s", story)
	}
}

// stations are the events of the story in their order.
var stations = []string{
	"opened", "suspects_ranked", "paged", "breach_joined",
	"acknowledged", "action_requested", "action_started", "action_done", "action_effective", "effect_measured",
	"action_requested", "action_started", "action_done", "action_effective", "effect_measured",
	"hold_started", "resolved",
}

// besides are events of the story that fall where the load of the machine lets them, and how often they do.
var besides = map[string]int{"page_delivered": 1, "evidence_gathered": 7, "trigger_cleared": 1, "change_seen": -1}

// checkStations compares the whole timeline with the story.
func checkStations(t *testing.T, i incident) {
	t.Helper()
	var kinds []string
	times := map[string]int{}
	for _, e := range i.Timeline {
		if _, beside := besides[e.Kind]; beside {
			times[e.Kind]++
			continue
		}
		kinds = append(kinds, e.Kind)
	}
	if !slices.Equal(kinds, stations) {
		t.Errorf("the timeline is\n%q\nwant\n%q\n%s", kinds, stations, i.story())
	}
	for kind, want := range besides {
		if want >= 0 && times[kind] != want {
			t.Errorf("%s: %d times, want %d:\n%s", kind, times[kind], want, i.story())
		}
	}
}

// TestKilledBetweenIntentAndAnswerNothingIsSentAgain kills the daemon while the service holds its answer.
func TestKilledBetweenIntentAndAnswerNothingIsSentAgain(t *testing.T) {
	t.Parallel()
	bot := startAssistant(t, "support-bot", "kb-2") // so that the prompt alone ends nothing
	bot.be(holdsIt)
	r := newRollbackRailway(t, "enabled", []*assistant{bot})
	r.daemon.startReady()
	r.changed("support-bot")
	r.waitForHistory()
	bot.ask()
	number := r.pagedFor("support-bot")
	r.daemon.command("rollback", number, "prompt", "--yes", "--by", "alice")
	eventually(t, 10*time.Second, "the request arrives", func() (struct{}, error) { return struct{}{}, bot.wasAsked(1) })
	r.daemon.kill()
	r.daemon.startReady()

	unanswered := r.daemon.waitForAction(number, "1", 15*time.Second, "is given up", hasFailed)
	if unanswered.Why != "unanswered" || !strings.Contains(unanswered.Cause, "stopped in between") {
		t.Errorf("after the restart the action is %+v, want that nobody knows whether it was sent", unanswered)
	}
	bot.release()
	done := r.daemon.waitForAction(number, "1", 45*time.Second, "is seen to be set", isDone)
	if done.How != "sent" || done.Why != "" || bot.version(promptPointer) != "prompt-v6" {
		t.Errorf("the action is %+v with %s live, want it sent, with nothing left of the failure", done, bot.version(promptPointer))
	}
	i, err := r.daemon.led(number)
	if err != nil {
		t.Fatal(err)
	}
	if err := bot.wasAsked(1); err != nil {
		t.Error(err)
	}
	if key := bot.log()[0].idempotencyKey; key != "irdaemon-"+i.ID+"-1-1" {
		t.Errorf("the request's Idempotency-Key is %q", key)
	}
}
