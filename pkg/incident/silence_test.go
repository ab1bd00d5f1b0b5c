package incident

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// planned is a silence of the worked example's runbook from 14:00 to a time, up to a severity.
func planned(until string, upTo runbook.Severity) Silence {
	return Silence{ID: "s", Runbook: "good-users-refused", UpTo: upTo, From: clockTime("14:00"), Until: clockTime(until)}
}

// heldBack describes the pages that were held back and made, in their order: "14:10:00 held opened".
func heldBack(events []Event) []string {
	var lines []string
	for _, e := range events {
		at := e.At.Format(time.TimeOnly)
		switch b := e.Body.(type) {
		case PageHeld:
			lines = append(lines, at+" held "+strings.Join(b.Causes, " ")+" by "+b.Silence)
		case Paged:
			lines = append(lines, at+" called "+strings.Join(b.Roles, " ")+" for "+strings.Join(b.Causes, " "))
		}
	}
	return lines
}

func TestSilences(t *testing.T) {
	quiet := func(from, to string) Quiet {
		return Quiet{Runbooks: []string{"other", "good-users-refused"}, UpTo: runbook.Sev2, Contains: func(t time.Time) bool {
			return !t.Before(clockTime(from)) && t.Before(clockTime(to))
		}}
	}
	ended, other, group := planned("16:00", runbook.Sev2), planned("16:00", runbook.Sev2), planned("16:00", runbook.Sev2)
	ended.EndedAt = clockTime("14:20")
	other.Runbook = "cost-spike"
	group.Group = map[string]string{"service": "other-bot"}
	mine := planned("14:30", runbook.Sev2)
	mine.Group = map[string]string{"service": "support-bot"}
	called := []string{"14:10:00 called oncall for opened", "14:25:00 called lead for ", "14:40:00 called oncall for "}
	for _, test := range []struct {
		name     string
		silences []Silence
		quiet    []Quiet
		do       func(d *decision, at time.Time) // what happens besides, each second
		want     []string                        // until 14:40
	}{
		{"until it is over", []Silence{planned("14:30", runbook.Sev2)}, nil, nil, []string{"14:10:00 held opened by s", "14:30:00 called oncall for opened"}},
		{"that a person ended", []Silence{ended}, nil, nil, []string{"14:10:00 held opened by s", "14:20:00 called oncall for opened", "14:35:00 called lead for "}},
		{"up to a better severity", []Silence{planned("14:30", runbook.Sev3)}, nil, nil, called},
		{"of another runbook", []Silence{other}, nil, nil, called},
		{"of another group", []Silence{group}, nil, nil, called},
		{"of this group", []Silence{mine}, nil, nil, []string{"14:10:00 held opened by s", "14:30:00 called oncall for opened"}},
		{"one after the other", []Silence{planned("14:20", runbook.Sev2), planned("14:30", runbook.Sev2)}, nil, nil, []string{"14:10:00 held opened by s", "14:30:00 called oncall for opened"}},
		{"a quiet time", nil, []Quiet{quiet("14:00", "14:20")}, nil, []string{"14:10:00 held opened by quiet", "14:20:00 called oncall for opened", "14:35:00 called lead for "}},
		{"a quiet time up to a better severity", nil, []Quiet{{Runbooks: []string{"good-users-refused"}, UpTo: runbook.Sev3, Contains: func(time.Time) bool { return true }}}, nil, called},
		{"a quiet time within the ladder", nil, []Quiet{quiet("14:20", "14:35")}, nil, []string{"14:10:00 called oncall for opened", "14:35:00 called lead for "}},
		{"a worse severity than it names", []Silence{planned("16:00", runbook.Sev2)}, nil, func(d *decision, at time.Time) {
			if at.Equal(clockTime("14:20")) {
				d.raise(runbook.Sev1, "", nil)
			}
		}, []string{"14:10:00 held opened by s", "14:20:00 called oncall for opened raised", "14:25:00 called lead for ", "14:30:00 called oncall for ", "14:35:00 called lead for ", "14:40:00 called oncall for "}},
		{"several causes are one round", []Silence{planned("14:30", runbook.Sev2)}, nil, func(d *decision, at time.Time) {
			if at.Equal(clockTime("14:20")) {
				d.add(TriggerCleared{Runbook: "good-users-refused"}, "")
				d.add(Relapsed{Runbook: "good-users-refused"}, "")
			}
		}, []string{"14:10:00 held opened by s", "14:20:00 held relapsed by s", "14:30:00 called oncall for opened relapsed"}},
		{"acknowledged meanwhile", []Silence{planned("14:30", runbook.Sev2)}, nil, func(d *decision, at time.Time) {
			if at.Equal(clockTime("14:20")) {
				d.add(Acknowledged{}, "")
			}
		}, []string{"14:10:00 held opened by s"}},
		{"resolved meanwhile", []Silence{planned("14:30", runbook.Sev2)}, nil, func(d *decision, at time.Time) {
			if at.Equal(clockTime("14:20")) {
				d.add(Resolved{ImpactEndedAt: at}, "")
			}
		}, []string{"14:10:00 held opened by s"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := testPolicy()
			p.Silences, p.Quiet = test.silences, test.quiet
			r, all := opening(p, runbook.Sev2)
			for at := clockTime("14:10"); !at.After(clockTime("14:40")); at = at.Add(time.Second) {
				d := newDecision(r, p, at)
				if test.do != nil {
					test.do(d, at)
				}
				d.page()
				r, all = add(r, d.events), append(all, d.events...)
				calling := r.calling() || len(r.Owed) > 0 || len(r.Held) > 0
				if r.Open() && r.Acknowledged == nil && !calling {
					t.Fatalf("at %s nobody is called, and nothing is held", at)
				}
			}
			sameLines(t, heldBack(all), test.want)
		})
	}
}

func TestASilenceMustCoverEveryFinding(t *testing.T) {
	p := testPolicy()
	p.Silences = []Silence{planned("16:00", runbook.Sev2)}
	r, _ := opening(p, runbook.Sev2)
	d := newDecision(r, p, clockTime("14:12"))
	other := refusedRunbook()
	other.Runbook.Name, other.Runbook.Owner = "cost-spike", "lead"
	d.join(Firing{Snapshot: other, Hash: "other", Group: labels.EmptyLabels(), Service: "support-bot", Severity: runbook.Sev2})
	d.page()
	sameLines(t, heldBack(d.events), []string{"14:12:00 called oncall lead for opened"})
}

func TestThePageIsHeldUntilTheLastSilenceOfAFindingEnds(t *testing.T) {
	p := testPolicy()
	p.Silences = []Silence{planned("14:30", runbook.Sev2), planned("14:20", runbook.Sev2)}
	_, events := opening(p, runbook.Sev2)
	if b, ok := events[len(events)-1].Body.(PageHeld); !ok || !b.Until.Equal(clockTime("14:30")) {
		t.Errorf("%+v, want it held until 14:30", events[len(events)-1].Body)
	}
}

func TestUnderASilenceTheLadderWaitsThoughNobodyTakesThePage(t *testing.T) {
	p := testPolicy()
	r, _ := opening(p, runbook.Sev2)
	p.Silences = []Silence{planned("14:30", runbook.Sev2)}
	page := Delivery{ID: "1", Kind: DeliverPage, Receiver: "pager-oncall", Round: 1}
	refused := decideOutcome(r, outcome{delivery: page, result: resultRefused}, p, clockTime("14:11"))
	if got := kindsOf(refused); got != "page_failed" {
		t.Errorf("%s, want no call", got)
	}
	for _, walking := range []bool{false, true} {
		if events := DecideClock(r, p, clockTime("14:26"), walking); len(events) > 0 {
			t.Errorf("walking %v: %v", walking, heldBack(events))
		}
	}
}

func TestAFindingThatJoinsCallsItsOwnerOnce(t *testing.T) {
	for _, test := range []struct {
		name, owner string
		want        []string
	}{
		{"an owner not yet called", "head", []string{"14:12:00 called oncall head for joined"}},
		{"an owner who is called already", "oncall", nil},
		{"an owner whom nobody can call", "gone", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := testPolicy()
			p.Roles["head"] = Role{Page: []string{"pager-head"}}
			r, _ := opening(p, runbook.Sev2)
			r = run(t, r, p, clockTime("14:11"), Acknowledge{By: "alice"})
			other := refusedRunbook()
			other.Runbook.Name, other.Runbook.Owner = "cost-spike", test.owner
			d := newDecision(r, p, clockTime("14:12"))
			d.join(Firing{Snapshot: other, Hash: "other", Service: "support-bot", Severity: runbook.Sev2})
			d.page()
			sameLines(t, heldBack(d.events), test.want)
			if _, more := ring(d.record, p, clockTime("14:12:01"), clockTime("14:20")); len(more) > 0 {
				t.Errorf("and then %v", heldBack(more))
			}
		})
	}
}

func TestSilencesAreAddedListedAndEnded(t *testing.T) {
	w := newWorld(t, clockTime("14:00"), workedExampleAt)
	other := NewDesk(w.desk.config)
	if in := w.desk.policy(t.Context()).Silences; len(in) > 0 {
		t.Errorf("in force at first: %+v", in)
	}
	s, err := w.desk.AddSilence(t.Context(), Silence{Runbook: "good-users-refused", Reason: "migration", By: "alice", Until: clockTime("15:00")})
	if err != nil || s.ID == "" || s.UpTo != runbook.Sev3 || !s.From.Equal(clockTime("14:00")) {
		t.Fatalf("%+v, %v", s, err)
	}
	for name, desk := range map[string]*Desk{"the same process": w.desk, "another process": other} {
		if all, err := desk.Silences(t.Context()); err != nil || len(all) != 1 || all[0].ID != s.ID {
			t.Errorf("%s lists %+v, %v", name, all, err)
		}
		if in := desk.policy(t.Context()).Silences; len(in) != 1 {
			t.Errorf("%s has %+v in force", name, in)
		}
	}
	w.now = clockTime("14:10")
	ended, err := w.desk.EndSilence(t.Context(), s.ID, "bob")
	if err != nil || ended.EndedBy != "bob" || !ended.EndedAt.Equal(w.now) {
		t.Errorf("ended %+v, %v", ended, err)
	}
	if again, err := w.desk.EndSilence(t.Context(), s.ID, "carol"); err != nil || again.EndedBy != "bob" {
		t.Errorf("ended again %+v, %v; want bob's", again, err)
	}
	if all, err := w.desk.Silences(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("listed after its end: %+v, %v", all, err)
	}
	if _, err := w.desk.EndSilence(t.Context(), "nosuch", "bob"); !errors.Is(err, ErrNoSilence) {
		t.Errorf("one that isn't there: %v", err)
	}
	w.now = w.now.Add(silencesKept)
	if in := other.policy(t.Context()).Silences; len(in) != 1 || in[0].EndedBy != "bob" {
		t.Errorf("a second later another process has %+v", in)
	}
}

func TestSilencesThatAreRefused(t *testing.T) {
	w := newWorld(t, clockTime("14:00"), workedExampleAt)
	fine := Silence{Runbook: "r", Reason: "migration", By: "alice", Until: clockTime("15:00")}
	for _, test := range []struct {
		want   string
		change func(*Silence)
	}{
		{"names no runbook", func(s *Silence) { s.Runbook = "" }},
		{"has no reason", func(s *Silence) { s.Reason = " " }},
		{"nobody is named", func(s *Silence) { s.By = "" }},
		{"is no severity", func(s *Silence) { s.UpTo = "bad" }},
		{"ends in the past", func(s *Silence) { s.Until = clockTime("14:00") }},
		{"ends before it begins", func(s *Silence) { s.From = clockTime("15:00") }},
		{"lasts longer than 7 days; an end by 2025-02-24T14:00:00Z", func(s *Silence) { s.Until = clockTime("14:01").AddDate(0, 0, 7) }},
	} {
		s := fine
		test.change(&s)
		_, err := w.desk.AddSilence(t.Context(), s)
		mustRefuse(t, err, test.want)
	}
	_, err := w.desk.EndSilence(t.Context(), "s", "")
	mustRefuse(t, err, "nobody is named")
	if all, _ := w.desk.Silences(t.Context()); len(all) > 0 {
		t.Errorf("kept %+v", all)
	}
}

func TestASilencedIncidentIsRecordedAndCalledWhenItIsOver(t *testing.T) {
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	w.now = clockTime("14:00")
	if _, err := w.desk.AddSilence(t.Context(), Silence{Runbook: "good-users-refused", UpTo: runbook.Sev2, Reason: "migration", By: "alice", Until: clockTime("14:20")}); err != nil {
		t.Fatal(err)
	}
	w.live(clockTime("14:09"), clockTime("14:21"))
	sameLines(t, w.timeline("opened", "page_held", "paged"), []string{"14:10:00 opened", "14:10:00 page_held", "14:20:00 paged"})
	if rows := w.store.Rows(); slices.ContainsFunc(rows, func(row Row) bool { return row.Due.Before(clockTime("14:20")) }) {
		t.Errorf("rows %+v, want none before the silence's end", rows)
	}
}

// groupNamed is one of many groups.
func groupNamed(i int) labels.Labels { return labels.FromStrings("tenant", strconv.Itoa(i)) }
