package incident

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// commandedRunbook is the worked example's with everything that commands are about.
func commandedRunbook() *runbook.Snapshot {
	s := refusedRunbook()
	b := &s.Runbook
	b.ReopenWithin, b.Communication = 4*time.Hour, runbook.Communication{}
	b.Triage = []runbook.Check{{Title: "Is user harm active now?", Decide: []string{"yes", "no"}}, {Title: "Look at the samples"}}
	b.Mitigate = []runbook.Mitigation{
		{Title: "Route to the fallback", Action: &runbook.Action{Connector: "router"}}, {Title: "Answer from the cache"},
	}
	b.Rollback = []runbook.Step{
		{Artifact: "prompt", Name: "support prompt", Action: &runbook.Action{Connector: "prompts"}, Approval: runbook.ApprovalOwner, Settle: 5 * time.Minute},
		{Artifact: "thresholds", Name: "thresholds", Approval: runbook.ApprovalOwner},
		{Artifact: "weights", Name: "weights", Action: &runbook.Action{Connector: "models"}, Approval: runbook.ApprovalTwoPerson},
		{Artifact: "router_policy", Name: "router", Approval: runbook.ApprovalOwner,
			Effective: &triggers.Clause{Condition: &triggers.Condition{Signal: "refusal_rate", Comparison: triggers.Above, Limit: 0.99}}},
	}
	b.Postmortem.Questions = []string{"Why was detection late?"}
	return s
}

// commanded is an incident of it that opened at 14:10 at sev2, with its first round.
func commanded(p Policy) *Record {
	f := Firing{Snapshot: commandedRunbook(), Hash: "hash", Group: groupOfBot, Service: "support-bot", Severity: runbook.Sev2}
	f.Breaches = []Breach{{Condition: "refusal_rate above 8%", BreachBegan: clockTime("14:00"), ImpactBegan: clockTime("13:59")}}
	d := openIncident(f, nil, p, clockTime("14:10"))
	d.page()
	d.record.Number = 42
	return d.record
}

// completePostmortem has all that a postmortem needs.
func completePostmortem() Postmortem {
	return Postmortem{
		RootCause: "a prompt", DetectionGap: "ten minutes", Answers: map[string]string{"Why was detection late?": "the window"},
		Prevention: []Prevention{{Action: "test it", Owner: "alice", Due: clockTime("15:00").AddDate(0, 0, 7)}},
	}
}

// run decides commands one after the other, and adds them up; each must be taken.
func run(t *testing.T, r *Record, p Policy, at time.Time, commands ...Command) *Record {
	t.Helper()
	for i, c := range commands {
		events, err := DecideCommand(r, c, p, at, fmt.Sprint("before ", i))
		if err != nil {
			t.Fatalf("%#v: %v", c, err)
		}
		r = add(r, events)
	}
	return r
}

// kindsOf are those of the events, in their order.
func kindsOf(events []Event) string {
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, e.Body.Kind())
	}
	return strings.Join(kinds, " ")
}

// mustRefuse holds that an error is a refusal that says something, and what is allowed instead.
func mustRefuse(t *testing.T, err error, want string) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Reason == "" || refusal.Allowed == "" || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want a refusal that says %q, and what is allowed", err, want)
	}
}

// stand puts a record where a state is.
func stand(r *Record, state State) {
	end := Event{Seq: r.Version + 1, At: clockTime("14:51")}
	switch state {
	case Verifying:
		r.Hold = &Hold{Since: clockTime("14:36")}
	case ResolvedState, ClosedState:
		end.Body = Resolved{ImpactEndedAt: clockTime("14:36")}
		apply(r, end)
		if state == ClosedState {
			r.ClosedAt = clockTime("14:53")
		}
	case DismissedState:
		end.Body = Dismissed{Reason: FalseAlarm, Severity: r.Severity}
		apply(r, end)
	}
}

func TestEachCommandInEachState(t *testing.T) {
	const refused = "refused"
	everywhere := func(kinds string) [4]string { return [4]string{kinds, kinds, kinds, kinds} }
	openOnly := func(kinds string) [4]string { return [4]string{kinds, refused, refused, refused} }
	other := Postmortem{RootCause: "another"}
	for _, test := range []struct {
		command Command
		want    [4]string // open and verifying, resolved, closed, dismissed
	}{
		{Acknowledge{By: "alice"}, openOnly("acknowledged")},
		{Unacknowledge{By: "alice"}, openOnly("")},
		{Note{By: "alice", Text: "looking"}, everywhere("noted")},
		{AnswerItem{By: "alice", N: 1, Answer: "yes"}, [4]string{"triage_answered", "triage_answered", refused, refused}},
		{PostUpdate{By: "alice", Text: "rolling back"}, [4]string{"update_posted", "update_posted", refused, refused}},
		{Request{By: "alice", Step: "prompt", Digest: "d"}, openOnly("acknowledged action_requested")},
		{Approve{By: "bob", Action: "1", Digest: "d"}, openOnly("action_approved")},
		{SetSeverity{By: "alice", To: runbook.Sev1}, openOnly("severity_set paged")},
		{SetSeverity{By: "alice", To: runbook.Sev3, Reason: "few users"}, openOnly("severity_set")},
		{RolledBack{By: "alice", Step: "prompt", To: "v6"}, openOnly("acknowledged action_done action_effective")},
		{Mitigate{By: "alice", Title: "Answer from the cache"}, openOnly("acknowledged mitigated")},
		{Dismiss{By: "alice", Reason: FalseAlarm}, [4]string{"dismissed", "dismissed", refused, refused}},
		{Reopen{By: "alice", Reason: "still broken"}, [4]string{refused, "reopened paged", refused, "reopened paged"}},
		{SavePostmortem{By: "alice", Postmortem: completePostmortem()}, [4]string{"postmortem_saved", "postmortem_saved", "postmortem_saved", refused}},
		{SavePostmortem{By: "alice", Postmortem: other}, [4]string{"postmortem_saved", "postmortem_saved", refused, refused}},
		{Close{By: "alice"}, [4]string{refused, refused, "", refused}},
	} {
		for state, column := range map[State]int{Triggered: 0, Verifying: 0, ResolvedState: 1, ClosedState: 2, DismissedState: 3} {
			t.Run(fmt.Sprintf("%#v when %s", test.command, state), func(t *testing.T) {
				p := testPolicy()
				p.Actions = ActionsEnabled
				r := commanded(p)
				if _, ok := test.command.(Approve); ok {
					r = run(t, r, p, clockTime("14:50"), Request{By: "alice", Step: "weights", Digest: "d"})
				}
				stand(r, state)
				events, err := DecideCommand(r, test.command, p, clockTime("14:55"), "seed")
				got := kindsOf(events)
				if err != nil {
					mustRefuse(t, err, "")
					got = refused
				}
				if got != test.want[column] {
					t.Errorf("%s (%v), want %s", got, err, test.want[column])
				}
			})
		}
	}
}

func TestCommands(t *testing.T) {
	p := testPolicy()
	p.Actions = ActionsEnabled
	at := clockTime("14:55")
	lowered := SetSeverity{By: "alice", To: runbook.Sev3, Reason: "few users"}
	for _, test := range []struct {
		name    string
		before  []Command
		state   State
		command Command
		want    string // the events' kinds
		refused string
	}{
		{"nobody's command", nil, "", Acknowledge{By: " "}, "", "nobody is named"},
		{"a resolved one says what it takes", nil, ResolvedState, Acknowledge{By: "alice"}, "", "incident #42 is resolved since 2025-02-17 14:51 UTC; note, answer, update, dismiss, reopen, postmortem and close are taken"},
		{"an open one says when it can be closed", nil, "", Close{By: "alice"}, "", "incident #42 is open since 2025-02-17 14:10 UTC; it can be closed once it is resolved"},

		{"acknowledge again changes nothing", []Command{Acknowledge{By: "alice"}}, "", Acknowledge{By: "alice"}, "", ""},
		{"another person's acknowledge is the hand-over", []Command{Acknowledge{By: "alice"}}, "", Acknowledge{By: "bob"}, "acknowledged", ""},
		{"what one resolved at the pager is noted", []Command{Acknowledge{By: "alice"}}, "", Acknowledge{By: "alice", Resolved: true}, "acknowledged", ""},
		{"a round that never was", nil, "", Acknowledge{By: "alice", Round: 2}, "", "has no round 2"},
		{"unacknowledge calls again", []Command{Acknowledge{By: "alice"}}, "", Unacknowledge{By: "alice"}, "unacknowledged paged", ""},
		{"a note without a text", nil, "", Note{By: "alice", Text: " "}, "", "a note has no text"},

		{"an item that isn't there", nil, "", AnswerItem{By: "alice", N: 3, Answer: "yes"}, "", "no item 3; its items are 1 to 2"},
		{"another word than the item takes", nil, "", AnswerItem{By: "alice", N: 1, Answer: "maybe"}, "", `"maybe" is no answer to "Is user harm active now?"; one of: yes, no, can't tell`},
		{"nobody can tell", nil, "", AnswerItem{By: "alice", N: 1, Answer: "Can't tell"}, "triage_answered", ""},
		{"any words where an item has none", nil, "", AnswerItem{By: "alice", N: 2, Answer: "done"}, "triage_answered", ""},
		{"no words at all", nil, "", AnswerItem{By: "alice", N: 2}, "", "is not answered"},
		{"the same answer again", []Command{AnswerItem{By: "alice", N: 1, Answer: "yes"}}, "", AnswerItem{By: "bob", N: 1, Answer: "yes"}, "", ""},
		{"another answer", []Command{AnswerItem{By: "alice", N: 1, Answer: "yes"}}, "", AnswerItem{By: "bob", N: 1, Answer: "no"}, "triage_answered", ""},

		{"an update without a text", nil, "", PostUpdate{By: "alice"}, "", "an update has no text"},
		{"an update for nobody we know", nil, "", PostUpdate{By: "alice", Text: "x", Audience: "press"}, "", `"press" is no audience; internal or customer`},
		{"a next update in the past", nil, "", PostUpdate{By: "alice", Text: "x", Next: at}, "", "can't be due at"},
		{"a next update in two days", nil, "", PostUpdate{By: "alice", Text: "x", Next: at.AddDate(0, 0, 2)}, "", "can't be due at"},
		{"a next update after the end", nil, ResolvedState, PostUpdate{By: "alice", Text: "x", Next: at.Add(time.Hour)}, "", "no further update is due"},

		{"the severity that it has", nil, "", SetSeverity{By: "alice", To: runbook.Sev2}, "", ""},
		{"no severity", nil, "", SetSeverity{By: "alice", To: "bad"}, "", `"bad" is no severity`},
		{"lower without a reason", nil, "", SetSeverity{By: "alice", To: runbook.Sev3}, "", "lowered without a reason"},
		{"lower for two days", nil, "", SetSeverity{By: "alice", To: runbook.Sev3, Reason: "r", For: 48 * time.Hour}, "", "can't stay for 48h"},
		{"lower for a negative time", nil, "", SetSeverity{By: "alice", To: runbook.Sev3, Reason: "r", For: -time.Hour}, "", "can't stay for -1h"},
		{"the pin is moved", []Command{lowered}, "", SetSeverity{By: "alice", To: runbook.Sev3, Reason: "r", For: time.Hour}, "severity_set", ""},
		{"the pin is left alone", []Command{lowered}, "", lowered, "", ""},

		{"a reason that there isn't", nil, "", Dismiss{By: "alice", Reason: "boring"}, "", "one of: false_alarm, duplicate, expected, test"},
		{"a duplicate of nothing", nil, "", Dismiss{By: "alice", Reason: Duplicate}, "", "name the other incident"},
		{"no duplicate, and of another one", nil, "", Dismiss{By: "alice", Reason: Test, DuplicateOf: "x"}, "", "test is no duplicate"},
		{"what stands elsewhere by now isn't reopened", nil, ResolvedState, Reopen{By: "alice", elsewhere: "incident #43"}, "", "stands in incident #43 by now"},

		{"a postmortem saved again", []Command{SavePostmortem{By: "alice", Postmortem: completePostmortem()}}, ResolvedState, SavePostmortem{By: "bob", Postmortem: completePostmortem()}, "", ""},
		{"closed when complete", []Command{SavePostmortem{By: "alice", Postmortem: completePostmortem()}}, ResolvedState, Close{By: "bob"}, "closed", ""},
		{"not closed without a postmortem", nil, ResolvedState, Close{By: "bob"}, "", "missing: the root cause; the detection gap; a prevention action with an owner and a date; an answer to: Why was detection late?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, commanded(p), p, clockTime("14:12"), test.before...)
			stand(r, test.state)
			events, err := DecideCommand(r, test.command, p, at, "seed")
			if got := kindsOf(events); got != test.want {
				t.Errorf("events %q, want %q", got, test.want)
			}
			if test.refused != "" {
				mustRefuse(t, err, test.refused)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAcknowledgingStopsTheRoundAndOwesNothing(t *testing.T) {
	p := testPolicy()
	r, _ := opening(p, runbook.Sev2)
	r.Owed = []string{CauseBlind}
	r = run(t, r, p, clockTime("14:12"), Acknowledge{By: "alice"})
	if _, later := ring(r, p, clockTime("14:12"), clockTime("18:00")); len(later) > 0 || r.Round.Calling || len(r.Owed) > 0 {
		t.Errorf("called again: %v; round %+v, owed %v", calls(later), r.Round, r.Owed)
	}
	if r.Acknowledged.By != "alice" || !r.AcknowledgedAt.Equal(clockTime("14:12")) {
		t.Errorf("acknowledged %+v at %s", r.Acknowledged, r.AcknowledgedAt)
	}
}

func TestAcknowledgingAnOlderRoundLeavesThePresentOneRinging(t *testing.T) {
	p := testPolicy()
	r := run(t, commanded(p), p, clockTime("14:12"), SetSeverity{By: "bob", To: runbook.Sev1})
	r = run(t, r, p, clockTime("14:13"), Acknowledge{By: "alice", Via: "link", Round: 1})
	if r.Round.N != 2 || !r.Round.Calling || r.Acknowledged == nil {
		t.Errorf("round %+v, acknowledged %+v; want the second one calling and acknowledged", r.Round, r.Acknowledged)
	}
	again, err := DecideCommand(r, Acknowledge{By: "alice", Round: 1}, p, clockTime("14:14"), "again")
	if len(again) > 0 || err != nil {
		t.Errorf("pressed again: %v, %v; want nothing", again, err)
	}
	r = run(t, r, p, clockTime("14:15"), Acknowledge{By: "alice", Round: 2})
	if r.Round.Calling {
		t.Error("the present round still calls")
	}
}

func TestALoweredSeverityIsPinned(t *testing.T) {
	p := testPolicy()
	r := commanded(p)
	r = run(t, r, p, clockTime("14:12"), SetSeverity{By: "alice", To: runbook.Sev3, Reason: "few users"})
	if want := (Pin{Until: clockTime("14:42"), Floor: runbook.Sev2}); r.Pin == nil || *r.Pin != want || r.Severity != runbook.Sev3 || r.Peak != runbook.Sev2 {
		t.Errorf("pin %+v, severity %s, peak %s; want %+v", r.Pin, r.Severity, r.Peak, want)
	}
	if !r.Round.Calling || !r.NextUpdateAt.Equal(clockTime("14:20")) {
		t.Errorf("round %+v, next update %s; want it calling, and the update as it was promised", r.Round, r.NextUpdateAt)
	}
	r = run(t, r, p, clockTime("14:20"), SetSeverity{By: "bob", To: runbook.Sev4, Reason: "one user", For: time.Hour})
	if want := (Pin{Until: clockTime("15:20"), Floor: runbook.Sev2}); *r.Pin != want {
		t.Errorf("lowered again: pin %+v, want %+v", *r.Pin, want)
	}
	if r.Round.Calling || !r.NextUpdateAt.IsZero() {
		t.Errorf("at a severity that doesn't page: round %+v, next update %s", r.Round, r.NextUpdateAt)
	}
	r = run(t, r, p, clockTime("14:30"), SetSeverity{By: "bob", To: runbook.Sev3})
	if r.Pin != nil || r.Round.N != 2 || !r.Round.Calling || r.Round.Step != 0 || !r.NextUpdateAt.Equal(clockTime("15:00")) {
		t.Errorf("raised into paging: pin %+v, round %+v, next update %s", r.Pin, r.Round, r.NextUpdateAt)
	}
}

func TestUpdatesAreDueWhenTheirAuthorSays(t *testing.T) {
	p := testPolicy()
	for _, test := range []struct {
		name string
		next time.Time
		want time.Time
	}{
		{"after the severity's time", time.Time{}, clockTime("14:45")},
		{"when the author says", clockTime("16:00"), clockTime("16:00")},
	} {
		r := run(t, commanded(p), p, clockTime("14:15"), PostUpdate{By: "alice", Text: "rolling back", Next: test.next})
		if !r.NextUpdateAt.Equal(test.want) || len(r.Updates) != 1 || r.Updates[0].Audience != Internal {
			t.Errorf("%s: next %s, updates %+v", test.name, r.NextUpdateAt, r.Updates)
		}
	}
	r := commanded(p)
	stand(r, ResolvedState)
	r = run(t, r, p, clockTime("14:55"), PostUpdate{By: "alice", Text: "it was the prompt"})
	if len(r.Updates) != 1 || !r.NextUpdateAt.IsZero() {
		t.Errorf("the last word: updates %+v, next %s", r.Updates, r.NextUpdateAt)
	}
}

// TestWhatIsReopenedGoesOnWithTheRunbooksInForce reopens an incident of two findings, by a person and by a tick, after the
// runbook of one and then of both had been changed.
func TestWhatIsReopenedGoesOnWithTheRunbooksInForce(t *testing.T) {
	owned := func(s *runbook.Snapshot, owner string) *runbook.Snapshot {
		s.Runbook.Owner, s.Runbook.ReopenWithin = owner, time.Hour
		return s
	}
	refused, slow := refusedRunbook(), slowRunbook()
	newRefused, newSlow := owned(refusedRunbook(), "lead"), owned(slowRunbook(), "managers")
	newRefused.Runbook.Communication = runbook.Communication{FirstUpdate: map[runbook.Severity]time.Duration{runbook.Sev2: 7 * time.Minute}}
	for _, test := range []struct {
		name    string
		inForce []*runbook.Snapshot
		byTick  bool
		want    []string // owners
		others  int      // that the event names beside the one that fires
	}{
		{"nothing was changed", []*runbook.Snapshot{refused, slow}, false, []string{"oncall", "serving"}, 0},
		{"one is another by now", []*runbook.Snapshot{newRefused, slow}, false, []string{"lead", "serving"}, 1},
		{"both are", []*runbook.Snapshot{newRefused, newSlow}, false, []string{"lead", "managers"}, 2},
		{"one is gone", []*runbook.Snapshot{newSlow}, false, []string{"oncall", "managers"}, 1},
		{"nobody knows what is in force", nil, false, []string{"oncall", "serving"}, 0},
		{"the other one fires", []*runbook.Snapshot{newRefused, newSlow}, true, []string{"lead", "managers"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, clockTime("14:00"), workedExampleAt)
			w.inForce = test.inForce
			w.policy.Roles["serving"], w.policy.Roles["managers"] = Role{Page: []string{"pager-serving"}}, Role{Page: []string{"pager-managers"}}
			tick := func(at string, firings ...Firing) {
				w.now = clockTime(at)
				for i := range firings {
					firings[i].Hash = firings[i].Snapshot.Hash()
				}
				if err := w.desk.Tick(t.Context(), Tick{T: w.now, Firings: firings}); err != nil {
					t.Fatal(err)
				}
			}
			tick("14:10", firingOf(refused, runbook.Sev2), firingOf(slow, runbook.Sev2))
			w.happen("14:20", Daemon, Resolved{ImpactEndedAt: clockTime("14:15")})
			w.now = clockTime("14:30")
			if test.byTick {
				tick("14:30", firingOf(newSlow, runbook.Sev2))
			} else {
				w.command(Reopen{By: "bob", Reason: "still broken"})
			}
			r := w.record() // as it was stored
			var owners []string
			for i := range r.Findings {
				owners = append(owners, r.Findings[i].runbook().Owner)
				if r.Findings[i].Runbook != r.Findings[i].Snapshot.Hash() {
					t.Errorf("%s has the hash of another runbook", r.Findings[i].Name)
				}
			}
			sameLines(t, owners, test.want)
			sameLines(t, r.Round.Called, test.want)
			if due := !r.NextUpdateAt.IsZero(); due != (test.want[0] == "lead") {
				t.Errorf("next update %s, by the runbook of %s", r.NextUpdateAt, test.want[0])
			}
			events, err := w.store.Events(t.Context(), r.ID, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(events, func(e Event) bool { return e.Body.Kind() == "reopened" })
			if got := len(events[at].Body.(Reopened).Runbooks); got != test.others {
				t.Errorf("%d other runbooks in the event, want %d", got, test.others)
			}
		})
	}
}

func TestHowLongAnIncidentCanBeReopened(t *testing.T) {
	p := testPolicy()
	for _, test := range []struct {
		state State
		at    string
		want  bool
	}{
		{ResolvedState, "18:51", true}, {ResolvedState, "18:51:01", false},
		{DismissedState, "15:51", true}, {DismissedState, "15:51:01", false},
	} {
		r := commanded(p)
		stand(r, test.state)
		_, err := DecideCommand(r, Reopen{By: "alice"}, p, clockTime(test.at), "seed")
		if (err == nil) != test.want {
			t.Errorf("%s, reopened at %s: %v, want done %v", test.state, test.at, err, test.want)
		}
	}
}

func TestEveryCommandHasItsRow(t *testing.T) {
	names := map[string]bool{}
	for _, row := range takenIn {
		names[row.command] = true
	}
	if len(names) != 14 || len(takenIn) != len(names) {
		t.Errorf("%d rows of %d commands: %v", len(takenIn), len(names), slices.Sorted(maps.Keys(names)))
	}
}
