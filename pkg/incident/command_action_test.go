package incident

import (
	"strings"
	"testing"
	"time"
)

func TestDoneByHand(t *testing.T) {
	p := testPolicy()
	now := clockTime("14:30")
	for _, test := range []struct {
		name    string
		before  []Command
		command Command
		want    string
		refused string
		state   State
	}{
		{"a step by its name", nil, RolledBack{By: "alice", Step: "support prompt", To: "v6"}, "acknowledged action_done action_effective", "", Mitigating},
		{"a step by its artifact", nil, RolledBack{By: "alice", Step: "weights"}, "acknowledged action_done action_effective", "", Mitigating},
		{"a step that shows on traffic", nil, RolledBack{By: "alice", Step: "router"}, "acknowledged action_done", "", Mitigating},
		{"no such step", nil, RolledBack{By: "alice", Step: "index"}, "", `no step "index"; its steps: support prompt, thresholds, weights, router`, Triggered},
		{"dated back into the impact", nil, RolledBack{By: "alice", Step: "prompt", At: clockTime("13:59")}, "acknowledged action_done action_effective", "", Mitigating},
		{"dated back before it", nil, RolledBack{By: "alice", Step: "prompt", At: clockTime("13:58:59")}, "", "lies before impact began", Triggered},
		{"in the future", nil, Mitigate{By: "alice", Title: "fallback", At: clockTime("14:31")}, "", "lies ahead", Triggered},
		{"any words", nil, Mitigate{By: "alice", Title: "turned it off and on"}, "acknowledged mitigated", "", Mitigating},
		{"no words", nil, Mitigate{By: "alice"}, "", "what was done is not said", Triggered},
		{"told twice is one", []Command{Mitigate{By: "alice", Title: "cache", At: clockTime("14:20")}}, Mitigate{By: "alice", Title: "cache", At: clockTime("14:20")}, "", "", Mitigating},
		{"done twice is two", []Command{Mitigate{By: "alice", Title: "cache", At: clockTime("14:20")}}, Mitigate{By: "alice", Title: "cache"}, "mitigated", "", Mitigating},
		{"who acts doesn't take it from who has it", []Command{Acknowledge{By: "bob"}}, Mitigate{By: "alice", Title: "cache"}, "mitigated", "", Mitigating},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, commanded(p), p, clockTime("14:25"), test.before...)
			r.Hold = nil
			events, err := DecideCommand(r, test.command, p, now, "seed")
			if got := kindsOf(events); got != test.want {
				t.Errorf("events %q, want %q", got, test.want)
			}
			if test.refused != "" {
				mustRefuse(t, err, test.refused)
			}
			if r = add(r, events); r.State() != test.state {
				t.Errorf("state %s, want %s", r.State(), test.state)
			}
		})
	}
}

func TestDoneByHandEndsTheHoldAndMovesItsFloor(t *testing.T) {
	p := testPolicy()
	r := commanded(p)
	stand(r, Verifying)
	r = run(t, r, p, clockTime("14:40"), RolledBack{By: "alice", Step: "thresholds", At: clockTime("14:38")})
	a := r.Actions[0]
	if r.Hold != nil || !r.Floor.Equal(clockTime("14:43")) || !a.EffectiveAt.Equal(clockTime("14:38")) || a.How != DoneByHand || a.DoneBy != "alice" {
		t.Errorf("hold %+v, floor %s, action %+v", r.Hold, r.Floor, a)
	}
	if events, err := DecideCommand(r, RolledBack{By: "alice", Step: "thresholds"}, p, clockTime("14:38:30"), "again"); len(events) > 0 || err != nil {
		t.Errorf("told again within a minute: %v, %v; want nothing", kindsOf(events), err)
	}
}

func TestRequests(t *testing.T) {
	weights := Request{By: "alice", Step: "weights", Digest: "d"}
	for _, test := range []struct {
		name    string
		actions string // of the settings
		before  []Command
		command Command
		want    string
		refused string
	}{
		{"the owner's request is the approval", ActionsEnabled, nil, Request{By: "alice", Step: "prompt"}, "acknowledged action_requested", ""},
		{"a dry run is shown", ActionsDryRun, nil, Request{By: "alice", Step: "prompt"}, "acknowledged action_requested action_failed", ""},
		{"off is too", ActionsOff, nil, Request{By: "alice", Mitigate: "Route to the fallback"}, "acknowledged action_requested action_failed", ""},
		{"settings that don't say are a dry run", "", nil, Request{By: "alice", Step: "prompt"}, "acknowledged action_requested action_failed", ""},
		{"two people's waits for the second", ActionsDryRun, nil, weights, "acknowledged action_requested", ""},
		{"the second person's", ActionsDryRun, []Command{weights}, Approve{By: "bob", Action: "1", Digest: "d"}, "action_approved action_failed", ""},
		{"and it may run", ActionsEnabled, []Command{weights}, Approve{By: "bob", Action: "1", Digest: "d"}, "action_approved", ""},
		{"not one's own", ActionsEnabled, []Command{weights}, Approve{By: "alice", Action: "1", Digest: "d"}, "", "somebody else approves it"},
		{"not of something else", ActionsEnabled, []Command{weights}, Approve{By: "bob", Action: "1", Digest: "e"}, "", "is not what was looked at"},
		{"not what isn't there", ActionsEnabled, nil, Approve{By: "bob", Action: "1"}, "", `no action "1"`},
		{"not what needs none", ActionsEnabled, []Command{Request{By: "alice", Step: "prompt"}}, Approve{By: "bob", Action: "1"}, "", "doesn't wait for approval"},
		{"approved twice is once", ActionsEnabled, []Command{weights, Approve{By: "bob", Action: "1", Digest: "d"}}, Approve{By: "bob", Action: "1", Digest: "d"}, "", ""},
		{"asked for twice is once", ActionsEnabled, []Command{weights}, weights, "", ""},
		{"one at a time", ActionsEnabled, []Command{weights}, Request{By: "bob", Step: "prompt"}, "", "action 1, weights, is under way"},
		{"what people do by hand is always taken", ActionsEnabled, []Command{weights}, RolledBack{By: "bob", Step: "thresholds"}, "action_done action_effective", ""},
		{"a step without an action", ActionsEnabled, nil, Request{By: "alice", Step: "thresholds"}, "", "do it by hand"},
		{"a mitigation without an action", ActionsEnabled, nil, Request{By: "alice", Mitigate: "Answer from the cache"}, "", "do it by hand"},
		{"a mitigation that isn't there", ActionsEnabled, nil, Request{By: "alice", Mitigate: "Pray"}, "", "its mitigations: Route to the fallback, Answer from the cache"},
		{"both at once", ActionsEnabled, nil, Request{By: "alice", Mitigate: "x", Step: "y"}, "", "not clear"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := testPolicy()
			p.Actions = test.actions
			r := run(t, commanded(p), p, clockTime("14:15"), test.before...)
			events, err := DecideCommand(r, test.command, p, clockTime("14:20"), "seed")
			if got := kindsOf(events); got != test.want {
				t.Errorf("events %q, want %q (%v)", got, test.want, err)
			}
			if test.refused != "" {
				mustRefuse(t, err, test.refused)
			}
			if r = add(r, events); strings.Contains(test.want, "action_failed") && (r.acted() || r.Hold != nil) {
				t.Error("a dry run acted")
			}
		})
	}
	t.Run("too late", func(t *testing.T) {
		p := testPolicy()
		p.Actions = ActionsEnabled
		r := run(t, commanded(p), p, clockTime("14:15"), weights)
		_, err := DecideCommand(r, Approve{By: "bob", Action: "1", Digest: "d"}, p, clockTime("14:30:01"), "seed")
		mustRefuse(t, err, "more than 15 min ago")
	})
}

func TestWhatTheRunnerTellsOfAnAction(t *testing.T) {
	p := testPolicy()
	p.Actions = ActionsEnabled
	type told = ActionOutcome
	began := told{Action: "1", What: ActionBegan, Attempt: 1}
	done := told{Action: "1", What: ActionSet}
	for _, test := range []struct {
		name    string
		step    string
		told    []told
		want    string
		refused string
	}{
		{"started, done, effective at once", "prompt", []told{began, done}, "action_started action_done action_effective", ""},
		{"told twice is once", "prompt", []told{began, began, done, done}, "action_started action_done action_effective", ""},
		{"another attempt", "prompt", []told{began, {Action: "1", What: ActionBegan, Attempt: 2}}, "action_started action_started", ""},
		{"refused", "prompt", []told{began, {Action: "1", What: ActionLapsed, Why: FailedRefused}}, "action_started action_failed", ""},
		{"a late yes", "prompt", []told{began, {Action: "1", What: ActionLapsed, Why: FailedUnanswered}, done}, "action_started action_failed action_done action_effective", ""},
		{"not approved yet", "weights", []told{began}, "", "is not approved"},
		{"what shows on traffic", "prompt", []told{began, {Action: "1", What: ActionShows}}, "action_started action_effective", ""},
		{"no such action", "prompt", []told{{Action: "7", What: ActionBegan}}, "", `no action "7"`},
		{"a reason that there isn't", "prompt", []told{began, {Action: "1", What: ActionLapsed, Why: "bored"}}, "action_started", "is not why an action fails"},
		{"after it failed", "prompt", []told{began, {Action: "1", What: ActionLapsed, Why: FailedRefused}, {Action: "1", What: ActionBegan, Attempt: 2}}, "action_started action_failed", "ask for it again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, commanded(p), p, clockTime("14:15"), Request{By: "alice", Step: test.step, Digest: "d"})
			var all []Event
			var last error
			for i, o := range test.told {
				events, err := DecideAction(r, o, p, clockTime("14:16").Add(time.Duration(i)*time.Minute))
				r, all, last = add(r, events), append(all, events...), err
			}
			if got := kindsOf(all); got != test.want {
				t.Errorf("events %q, want %q", got, test.want)
			}
			if test.refused != "" {
				mustRefuse(t, last, test.refused)
			} else if last != nil {
				t.Error(last)
			}
		})
	}
	t.Run("after the end nothing is started, and nothing is told", func(t *testing.T) {
		r := run(t, commanded(p), p, clockTime("14:15"), Request{By: "alice", Step: "prompt"})
		stand(r, ResolvedState)
		if events, err := DecideAction(r, done, p, clockTime("14:55")); len(events) > 0 || err != nil {
			t.Errorf("%v, %v", events, err)
		}
		_, err := DecideAction(r, began, p, clockTime("14:55"))
		mustRefuse(t, err, "is over")
	})
}

func TestADrillPerformsNothing(t *testing.T) {
	p := testPolicy()
	p.Actions = ActionsEnabled
	r := commanded(p)
	r.Class = Drill
	events, err := DecideCommand(r, Request{By: "alice", Step: "prompt"}, p, clockTime("14:15"), "seed")
	if got := kindsOf(events); err != nil || got != "acknowledged action_requested action_failed" {
		t.Errorf("%s, %v", got, err)
	}
}
