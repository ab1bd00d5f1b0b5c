package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// opening gives an incident that opened at 14:10 with a severity, its first round included.
func opening(p Policy, severity runbook.Severity) (*Record, []Event) {
	f := Firing{Snapshot: refusedRunbook(), Hash: "hash", Group: groupOfBot, Service: "support-bot", Severity: severity}
	events := placed(f, nil, p, clockTime("14:10"))
	r := Fold(events)
	r.Findings[0].Snapshot = f.Snapshot
	return r, events
}

// add folds events into a copy of the record.
func add(r *Record, events []Event) *Record {
	r = r.clone()
	for _, e := range events {
		apply(r, e)
	}
	return r
}

// calls describes the pages among events: "14:25:00 round 1 step 1 pass 0: lead".
func calls(events []Event) []string {
	var lines []string
	for _, e := range events {
		if b, ok := e.Body.(Paged); ok {
			line := fmt.Sprintf("%s round %d step %d pass %d: %s", e.At.Format(time.TimeOnly), b.Round, b.Step, b.Pass, strings.Join(b.Roles, " "))
			if len(b.Skipped) > 0 {
				line += ", without " + strings.Join(b.Skipped, " ")
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// ring lets the clock run, second by second, and gives who is called.
func ring(r *Record, p Policy, from, to time.Time) (*Record, []Event) {
	var all []Event
	for now := from; !now.After(to); now = now.Add(time.Second) {
		events := DecideClock(r, p, now, false)
		r, all = add(r, events), append(all, events...)
	}
	return r, all
}

func TestLadder(t *testing.T) {
	longer := testPolicy()
	longer.Roles["oncall"] = Role{Page: []string{"pager-oncall", "chat"}, EscalateTo: []string{"lead", "gone", "oncall", "head", "lead"}}
	longer.Roles["head"] = Role{Page: []string{"pager-head", "chat"}}
	silent := testPolicy()
	silent.Roles = map[string]Role{"oncall": {EscalateTo: []string{"lead"}}}
	ownerless := testPolicy()
	ownerless.Roles = map[string]Role{"oncall": {EscalateTo: []string{"lead"}}, "lead": {Page: []string{"pager-lead"}}}
	for _, test := range []struct {
		name     string
		policy   Policy
		severity runbook.Severity
		until    string
		want     []string
	}{
		{"the owner, then the lead, then from the top", testPolicy(), runbook.Sev2, "15:00", []string{
			"14:10:00 round 1 step 0 pass 0: oncall", "14:25:00 round 1 step 1 pass 0: lead",
			"14:40:00 round 1 step 0 pass 1: oncall", "14:55:00 round 1 step 1 pass 1: lead"}},
		{"from the fourth time on a step waits an hour", testPolicy(), runbook.Sev1, "16:45", []string{
			"14:10:00 round 1 step 0 pass 0: oncall", "14:15:00 round 1 step 1 pass 0: lead",
			"14:20:00 round 1 step 0 pass 1: oncall", "14:25:00 round 1 step 1 pass 1: lead",
			"14:30:00 round 1 step 0 pass 2: oncall", "14:35:00 round 1 step 1 pass 2: lead",
			"14:40:00 round 1 step 0 pass 3: oncall", "15:40:00 round 1 step 1 pass 3: lead",
			"16:40:00 round 1 step 0 pass 4: oncall"}},
		{"each role once, one that is gone is passed over", longer, runbook.Sev2, "15:00", []string{
			"14:10:00 round 1 step 0 pass 0: oncall", "14:25:00 round 1 step 1 pass 0: lead",
			"14:40:00 round 1 step 3 pass 0: head, without gone", "14:55:00 round 1 step 0 pass 1: oncall"}},
		{"an owner without receivers is passed over at once", ownerless, runbook.Sev2, "14:30", []string{
			"14:10:00 round 1 step 1 pass 0: lead, without oncall", "14:25:00 round 1 step 1 pass 1: lead, without oncall"}},
		{"that nobody can be called is said once", silent, runbook.Sev2, "16:00", []string{
			"14:10:00 round 1 step 1 pass 0: , without oncall lead"}},
		{"a severity that doesn't page calls nobody", testPolicy(), runbook.Sev4, "20:00", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, events := opening(test.policy, test.severity)
			_, more := ring(r, test.policy, clockTime("14:10"), clockTime(test.until))
			sameLines(t, calls(slices.Concat(events, more)), test.want)
		})
	}
}

func TestWhoGetsAReceiverIsCalledAtOnceWhereNobodyCouldBe(t *testing.T) {
	silent := testPolicy()
	silent.Roles = map[string]Role{"oncall": {EscalateTo: []string{"lead"}}}
	r, _ := opening(silent, runbook.Sev2)
	_, events := ring(r, testPolicy(), clockTime("14:11"), clockTime("14:20"))
	sameLines(t, calls(events), []string{"14:11:00 round 1 step 0 pass 0: oncall"})
}

func TestKeysOfRounds(t *testing.T) {
	p := testPolicy()
	r, events := opening(p, runbook.Sev2)
	first := events[1].Body.(Paged)
	if want := "irdaemon/test/" + r.ID + "/1"; first.Key != want || !slices.Equal(first.Causes, []string{CauseOpened}) {
		t.Errorf("first round %+v, want key %s", first, want)
	}
	r, events = ring(r, p, clockTime("14:10"), clockTime("14:25"))
	if escalation := events[0].Body.(Paged); escalation.Key != first.Key || len(escalation.Causes) > 0 {
		t.Errorf("escalation %+v, want the key of the round and no cause", escalation)
	}
	raised := Observation{Findings: []FindingObservation{{Trigger: triggers.Fires, Severity: runbook.Sev1}}}
	events = Decide(r, raised, p, clockTime("14:30"), false)
	second := events[1].Body.(Paged)
	if want := "irdaemon/test/" + r.ID + "/2"; second.Key != want || second.EndsRound != 1 || second.Severity != runbook.Sev1 {
		t.Errorf("second round %+v, want key %s", second, want)
	}
}

func TestHowFarARoundRings(t *testing.T) {
	p := testPolicy()
	p.Roles["oncall"] = Role{Page: []string{"pager-oncall"}, EscalateTo: []string{"lead", "head"}}
	p.Roles["head"] = Role{Page: []string{"pager-head"}}
	fires := FindingObservation{Trigger: triggers.Fires, Severity: runbook.Sev2, Bands: [3]BandObservation{{State: BandMissed}, {State: BandMissed}, {State: BandMissed}}}
	clear, raised, blind := fires, fires, fires
	clear.Trigger = triggers.Clear
	raised.Severity = runbook.Sev1
	blind.Unknown = []Missing{{What: "refusal_rate", Since: clockTime("14:00")}}
	blind.Bands = [3]BandObservation{}
	relapsedAndRaised := raised
	due := func(r *Record) { r.NextUpdateAt = clockTime("15:30") }
	for _, test := range []struct {
		name         string
		escalated    string // how long the first round went unheard
		acknowledged bool
		before       func(*Record) // what was so when the tick came
		o            FindingObservation
		want         []string
	}{
		{"a raise begins at the owner", "14:12", true, nil, raised, []string{"15:30:00 round 2 step 0 pass 0: oncall"}},
		{"a ladder never falls back", "14:30", false, nil, raised, []string{"15:30:00 round 2 step 1 pass 0: oncall lead"}},
		{"a ladder that went round from the top stays at its end", "15:00", false, nil, raised,
			[]string{"15:30:00 round 2 step 2 pass 0: oncall lead head"}},
		{"a relapse rings whom the incident called so far", "14:30", true, cleared, fires, []string{"15:30:00 round 2 step 1 pass 0: oncall lead"}},
		{"several causes are one round, the farthest of their steps", "14:30", true, cleared, relapsedAndRaised,
			[]string{"15:30:00 round 2 step 1 pass 0: oncall lead"}},
		{"unverified rings the next role too", "14:12", true, held, clear, []string{"15:30:00 round 2 step 1 pass 0: oncall lead"}},
		{"unverified rings nobody while somebody is called", "14:12", false, held, clear, nil},
		{"an overdue update rings the owner", "14:30", true, due, fires, []string{"15:30:00 round 2 step 0 pass 0: oncall"}},
		{"an overdue update rings nobody while somebody is called", "14:30", false, due, fires, nil},
		{"a reopening rings whom the incident called so far", "14:30", true, reopened, fires, []string{"15:30:00 round 2 step 1 pass 0: oncall lead"}},
		{"blindness rings the owner", "14:12", true, nil, blind, []string{"15:30:00 round 2 step 0 pass 0: oncall"}},
		{"blindness rings nobody while somebody is called", "14:12", false, nil, blind, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := opening(p, runbook.Sev2)
			r, _ = ring(r, p, clockTime("14:10"), clockTime(test.escalated))
			if test.acknowledged {
				events, err := DecideCommand(r, Acknowledge{By: "alice"}, p, clockTime(test.escalated), "seed")
				if err != nil {
					t.Fatal(err)
				}
				r = add(r, events)
			} else {
				r.Round.NextAt = clockTime("16:00")
			}
			if test.before != nil {
				test.before(r)
			}
			events := Decide(r, Observation{Findings: []FindingObservation{test.o}}, p, clockTime("15:30"), false)
			sameLines(t, calls(events), test.want)
		})
	}
}

func cleared(r *Record) { r.Findings[0].Cleared = true }

func reopened(r *Record) {
	apply(r, Event{Seq: r.Version + 1, At: clockTime("15:00"), Body: Resolved{ImpactEndedAt: clockTime("14:45")}})
	apply(r, Event{Seq: r.Version + 1, At: clockTime("15:29"), Body: Reopened{Severity: r.Severity}})
}

func held(r *Record) { r.RecoveryBegan, r.Findings[0].Cleared = clockTime("13:30"), true }

func TestAStepThatFellDueInAGapIsTakenOnce(t *testing.T) {
	p := testPolicy()
	r, _ := opening(p, runbook.Sev2)
	_, events := ring(r, p, clockTime("17:00"), clockTime("17:20"))
	sameLines(t, calls(events), []string{"17:00:00 round 1 step 1 pass 0: lead", "17:15:00 round 1 step 0 pass 1: oncall"})
}

func TestWhenAReceiverDoesNotTakeThePage(t *testing.T) {
	p := testPolicy()
	p.Roles["oncall"] = Role{Page: []string{"pager-oncall", "chat"}, EscalateTo: []string{"lead"}}
	page := func(receiver string, step int) Delivery {
		return Delivery{ID: receiver + fmt.Sprint(step), Kind: DeliverPage, Receiver: receiver, Round: 1, Step: step}
	}
	type told struct {
		delivery Delivery
		result   string
	}
	for _, test := range []struct {
		name string
		told []told
		want []string
	}{
		{"one of two has it", []told{{page("chat", 0), resultRefused}, {page("pager-oncall", 0), resultDelivered}}, nil},
		{"none has it: the next step at once", []told{{page("chat", 0), resultRefused}, {page("pager-oncall", 0), resultLate}},
			[]string{"14:11:00 round 1 step 1 pass 0: lead"}},
		{"none has it for another reason than its receivers", []told{{page("chat", 0), resultRefused}, {page("pager-oncall", 0), resultSuperseded}}, nil},
		{"it came late after all", []told{{page("chat", 0), resultLate}, {page("chat", 0), resultDelivered}, {page("pager-oncall", 0), resultRefused}}, nil},
		{"told twice is told once", []told{{page("chat", 0), resultRefused}, {page("chat", 0), resultRefused}}, nil},
		{"a ladder whose receivers all refuse doesn't spin", []told{
			{page("chat", 0), resultRefused}, {page("pager-oncall", 0), resultRefused}, {page("pager-lead", 1), resultRefused}},
			[]string{"14:11:00 round 1 step 1 pass 0: lead"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := opening(p, runbook.Sev2)
			var all []Event
			for _, told := range test.told {
				events := decideOutcome(r, outcome{delivery: told.delivery, result: told.result}, p, clockTime("14:11"))
				r, all = add(r, events), append(all, events...)
			}
			sameLines(t, calls(all), test.want)
		})
	}
}

func TestSeverityThatDoesNotPage(t *testing.T) {
	p := testPolicy()
	r, _ := opening(p, runbook.Sev4)
	observe := func(severity runbook.Severity) Observation {
		return Observation{Findings: []FindingObservation{{Trigger: triggers.Fires, Severity: severity}}}
	}
	if events := Decide(r, observe(runbook.Sev4), p, clockTime("14:11"), false); len(events) > 0 {
		t.Errorf("events %v, want none", events)
	}
	events := Decide(r, observe(runbook.Sev3), p, clockTime("14:12"), false)
	sameLines(t, calls(events), []string{"14:12:00 round 1 step 0 pass 0: oncall"})
}

func TestARoundEndsTheOlderKeyWhereItIsAccepted(t *testing.T) {
	p := testPolicy()
	r, _ := opening(p, runbook.Sev2)
	now := clockTime("14:11")
	first := r.Round.Key
	r = add(r, decideOutcome(r, outcome{delivery: Delivery{ID: "1", Kind: DeliverPage, Receiver: "pager-oncall", Round: 1, Key: first}, result: resultDelivered}, p, now))
	for _, c := range []Command{Acknowledge{By: "alice"}, Unacknowledge{By: "alice"}} {
		events, err := DecideCommand(r, c, p, now, fmt.Sprintf("%T", c))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := c.(Acknowledge); ok {
			r = add(r, events)
			continue
		}
		changed := change(r, events, p, now)
		r = changed.Record
		if rows := changed.Deliveries; len(rows) != 1 || rows[0].EndsKey != first || rows[0].Key == first {
			t.Fatalf("rows %+v, want one page that ends %s", rows, first)
		}
		r = add(r, decideOutcome(r, outcome{delivery: changed.Deliveries[0], result: resultDelivered}, p, now))
	}
	var open []string
	for _, receipt := range r.Pages {
		if !receipt.Ended {
			open = append(open, receipt.Key)
		}
	}
	if !slices.Equal(open, []string{r.Round.Key}) {
		t.Errorf("open keys %v, want only %s", open, r.Round.Key)
	}
}

func TestAPageThatComesLateGivesTheWholeTimeToAcknowledge(t *testing.T) {
	late := testPolicy()
	late.Now = clockTime("14:30")
	_, events := opening(late, runbook.Sev2)
	for _, e := range events {
		if paged, ok := e.Body.(Paged); ok && !paged.NextAt.Equal(clockTime("14:45")) {
			t.Errorf("the next call is at %s, want 15 minutes after the page at 14:30", paged.NextAt)
		}
	}
}
