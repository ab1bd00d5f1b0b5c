package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// slowRunbook is another runbook of the same service, with another owner and a window of 5m.
func slowRunbook() *runbook.Snapshot {
	s := refusedRunbook()
	s.Runbook.Name, s.Runbook.Title, s.Runbook.Owner = "too-slow", "Answers are slow", "serving"
	s.Runbook.Trigger = triggers.Clause{Condition: &triggers.Condition{Signal: "refusal_rate", For: 5 * time.Minute}}
	return s
}

func firingOf(s *runbook.Snapshot, severity runbook.Severity, group ...string) Firing {
	return Firing{Snapshot: s, Hash: s.Runbook.Name, Group: labels.FromStrings(group...), Service: "support-bot", Severity: severity}
}

// home is an incident that opened at 14:10 with a firing, and what happened to it since.
func home(f Firing, since ...func(d *decision)) *Record {
	events := placed(f, nil, testPolicy(), clockTime("14:10"))
	r := Fold(events)
	r.take(f)
	for _, happened := range since {
		d := newDecision(r, testPolicy(), clockTime("14:10"))
		happened(d)
		r = d.record
	}
	return r
}

func at(when string, body Body) func(*decision) {
	return func(d *decision) { d.addAt(clockTime(when), body, when) }
}

func TestWhereAFiringStands(t *testing.T) {
	refused, slow := refusedRunbook(), slowRunbook()
	refused.Runbook.ReopenWithin = time.Hour
	wide := slowRunbook()
	wide.Runbook.Trigger.Condition.For = 30 * time.Minute
	newer := refusedRunbook()
	newer.Runbook.Owner, newer.Runbook.ReopenWithin = "others", time.Hour
	sev2 := firingOf(refused, runbook.Sev2)
	cleared, again := TriggerCleared{Runbook: "good-users-refused"}, at("14:30", Resolved{ImpactEndedAt: clockTime("14:20")})
	dismissed := at("14:30", Dismissed{Reason: FalseAlarm, Severity: runbook.Sev2})
	other := func(service string) Firing {
		f := firingOf(slow, runbook.Sev2)
		f.Service = service
		return f
	}
	drill := home(sev2)
	drill.Class = Drill
	for _, test := range []struct {
		name        string
		firing      Firing
		t           string
		open, ended []*Record
		want        string
	}{
		{"a firing without a home opens an incident", sev2, "14:40", nil, nil, "opened sev2"},
		{"one that stands in an open incident says nothing", sev2, "14:40", []*Record{home(sev2)}, nil, ""},

		{"a dismissed one that was never clear is spent", sev2, "14:40", nil, []*Record{home(sev2, dismissed)}, ""},
		{"a better one is spent too", firingOf(refused, runbook.Sev3), "14:40", nil, []*Record{home(sev2, dismissed)}, ""},
		{"a worse one opens", firingOf(refused, runbook.Sev1), "14:40", nil, []*Record{home(sev2, dismissed)}, "opened sev1, follows"},
		{"a worse one than was dismissed joins", firingOf(refused, runbook.Sev1), "14:40",
			[]*Record{home(firingOf(slow, runbook.Sev2), at("14:35", Reopened{Severity: runbook.Sev2}))}, []*Record{home(sev2, dismissed)},
			"finding_joined severity_raised sev1"},
		{"a dismissed one that has been clear since opens", sev2, "14:40", nil,
			[]*Record{home(sev2, dismissed, at("14:35", cleared))}, "opened sev2, follows"},
		{"a tick from before the dismissal says nothing", firingOf(refused, runbook.Sev1), "14:29:45", nil, []*Record{home(sev2, dismissed)}, ""},

		{"a resolved one is opened again", sev2, "15:30", nil, []*Record{home(sev2, at("14:20", cleared), again)}, "reopened sev2"},
		{"at the severity of its end, where that is worse", firingOf(refused, runbook.Sev3), "15:30", nil, []*Record{home(sev2, again)}, "reopened sev2"},
		{"at the severity of now, where that is worse", firingOf(refused, runbook.Sev1), "15:30", nil, []*Record{home(sev2, again)}, "reopened sev1"},
		{"a resolved one is not opened again later", sev2, "15:30:15", nil, []*Record{home(sev2, again)}, "opened sev2, follows"},
		{"a closed one is not opened again", sev2, "14:40", nil, []*Record{home(sev2, again, at("14:35", Closed{}))}, "opened sev2, follows"},
		{"a dismissed one is not opened again", sev2, "14:40", nil,
			[]*Record{home(sev2, at("14:20", cleared), again, at("14:35", Dismissed{Reason: FalseAlarm, Severity: runbook.Sev2}))}, "opened sev2, follows"},
		{"nor one whose other finding stands elsewhere", sev2, "15:20",
			[]*Record{home(firingOf(slow, runbook.Sev2), at("14:35", Reopened{Severity: runbook.Sev2}))},
			[]*Record{home(sev2, at("14:12", FindingJoined(other("support-bot").opened(clockTime("14:12")))), again)}, "opened sev2, follows"},
		{"a tick from before the end says nothing", sev2, "14:30", nil, []*Record{home(sev2, again)}, ""},
		{"home is the one in which it fired last", sev2, "14:40", nil, []*Record{
			home(sev2, at("14:20", Relapsed{Runbook: "good-users-refused"}), again),
			home(firingOf(refused, runbook.Sev4), at("14:25", Dismissed{Severity: runbook.Sev4}), at("14:35", cleared))}, "reopened sev2"},
		{"with the runbook in force now", firingOf(newer, runbook.Sev2), "15:00", nil, []*Record{home(sev2, again)}, "reopened sev2 of others"},

		{"another runbook joins", other("support-bot"), "14:20", []*Record{home(sev2)}, nil, "finding_joined"},
		{"a worse one raises right behind", firingOf(slow, runbook.Sev1), "14:20", []*Record{home(sev2)}, nil, "finding_joined severity_raised sev1"},
		{"a worse one than what a person pinned does not raise", firingOf(slow, runbook.Sev2), "14:20",
			[]*Record{home(sev2, at("14:15", SeveritySet{From: "sev2", To: "sev3", Until: clockTime("14:45"), Floor: "sev2"}))}, nil, "finding_joined"},
		{"unless it is worse than the severity before", firingOf(slow, runbook.Sev1), "14:20",
			[]*Record{home(sev2, at("14:15", SeveritySet{From: "sev2", To: "sev3", Until: clockTime("14:45"), Floor: "sev2"}))}, nil,
			"finding_joined severity_raised sev1"},
		{"10 minutes is the shortest meeting", other("support-bot"), "14:20:15", []*Record{home(sev2)}, nil, "opened sev2"},
		{"the longer window counts", firingOf(wide, runbook.Sev2), "14:40", []*Record{home(sev2)}, nil, "finding_joined"},
		{"the longer window of the incident counts", sev2, "14:40", []*Record{home(firingOf(wide, runbook.Sev2))}, nil, "finding_joined"},
		{"but no longer", firingOf(wide, runbook.Sev2), "14:40:15", []*Record{home(sev2)}, nil, "opened sev2"},
		{"it counts from the last joining", other("support-bot"), "14:25",
			[]*Record{home(sev2, at("14:15", FindingJoined{Name: "third", Runbook: "third"}))}, nil, "finding_joined"},
		{"it counts from the last reopening", other("support-bot"), "14:50",
			[]*Record{home(sev2, again, at("14:40", Reopened{Severity: runbook.Sev2}))}, nil, "finding_joined"},
		{"another service does not join", other("search"), "14:20", []*Record{home(sev2)}, nil, "opened sev2"},
		{"nor one without a service", other(""), "14:20", []*Record{home(sev2)}, nil, "opened sev2"},
		{"nor what contradicts the group", firingOf(slow, runbook.Sev2, "provider", "a"), "14:20",
			[]*Record{home(firingOf(refused, runbook.Sev2, "provider", "b"))}, nil, "opened sev2"},
		{"other labels don't contradict", firingOf(slow, runbook.Sev2, "tier", "paid"), "14:20",
			[]*Record{home(firingOf(refused, runbook.Sev2, "provider", "b"))}, nil, "finding_joined"},
		{"groups of one runbook never join", firingOf(refused, runbook.Sev2, "provider", "a"), "14:20", []*Record{home(sev2)}, nil, "opened sev2"},
		{"nor what joined before as another group", firingOf(slow, runbook.Sev2, "provider", "a"), "14:20",
			[]*Record{home(sev2, at("14:15", FindingJoined(other("support-bot").opened(clockTime("14:15")))))}, nil, "opened sev2"},
		{"practice is joined by nothing", other("support-bot"), "14:20", []*Record{drill}, nil, "opened sev2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			when := clockTime(test.t)
			var open, ended []*decision
			for _, r := range test.open {
				open = append(open, decideTick(r, Observation{}, testPolicy(), when))
			}
			for _, r := range test.ended {
				ended = append(ended, newDecision(r, testPolicy(), when))
			}
			got := ""
			if d := place(test.firing, open, ended, testPolicy(), when); d != nil {
				got = summary(d)
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// summary says what a placing did: "opened sev2, follows".
func summary(d *decision) string {
	var kinds []string
	for _, e := range d.events {
		kinds = append(kinds, e.Body.Kind())
		switch b := e.Body.(type) {
		case Opened:
			kinds = append(kinds, string(b.Severity))
			if b.Follows != "" {
				kinds[len(kinds)-1] += ","
				kinds = append(kinds, "follows")
			}
		case Reopened:
			kinds = append(kinds, string(b.Severity))
			if owner := d.record.finding(b.Name).runbook().Owner; owner != "oncall" {
				kinds = append(kinds, "of", owner)
			}
		case SeverityRaised:
			kinds = append(kinds, string(b.To))
		}
	}
	return strings.Join(kinds, " ")
}

func TestAFiringJoinsTheOldest(t *testing.T) {
	refused, third := refusedRunbook(), refusedRunbook()
	third.Runbook.Name = "third"
	younger, older := home(firingOf(refused, runbook.Sev2, "provider", "a")), home(firingOf(third, runbook.Sev2))
	younger.OpenedAt = clockTime("14:12")
	var open []*decision
	for _, r := range []*Record{younger, older} {
		open = append(open, decideTick(r, Observation{}, testPolicy(), clockTime("14:15")))
	}
	if d := place(firingOf(slowRunbook(), runbook.Sev2), open, nil, testPolicy(), clockTime("14:15")); d != open[1] {
		t.Errorf("joined %v, want the older one", d)
	}
}

// TestFiringsOfOneTick plays a tick in which several triggers fire at once, through a Desk.
func TestFiringsOfOneTick(t *testing.T) {
	began := func(f Firing, when string) Firing {
		f.Breaches = []Breach{{Condition: f.Snapshot.Runbook.Name, BreachBegan: clockTime(when), ImpactBegan: clockTime(when)}}
		return f
	}
	refused, slow := refusedRunbook(), slowRunbook()
	elsewhere := firingOf(slow, runbook.Sev2, "provider", "a")
	elsewhere.Service = "search"
	for _, test := range []struct {
		name    string
		firings []Firing
		want    []string
	}{
		{"the earliest harm opens, the other joins", []Firing{began(firingOf(refused, runbook.Sev1), "14:05"), began(firingOf(slow, runbook.Sev3), "14:00")},
			[]string{"opened sev3 finding_joined severity_raised sev1 paged opened raised: serving oncall"}},
		{"the worse one opens, where both began at once", []Firing{began(firingOf(slow, runbook.Sev3), "14:00"), began(firingOf(refused, runbook.Sev2), "14:00")},
			[]string{"opened sev2 finding_joined paged opened: oncall serving"}},
		{"each group is its own", []Firing{began(firingOf(refused, runbook.Sev2, "provider", "b"), "14:00"), began(firingOf(refused, runbook.Sev2, "provider", "a"), "14:00")},
			[]string{"opened sev2 paged opened: oncall", "opened sev2 paged opened: oncall"}},
		{"each service is its own", []Firing{began(firingOf(refused, runbook.Sev2), "14:00"), began(elsewhere, "14:00")},
			[]string{"opened sev2 paged opened: oncall", "opened sev2 paged opened: serving"}},
		{"a group joins the incident that it doesn't contradict", []Firing{
			began(firingOf(refused, runbook.Sev2, "provider", "a"), "14:00"), began(firingOf(refused, runbook.Sev2, "provider", "b"), "14:01"),
			began(firingOf(slow, runbook.Sev2, "provider", "b"), "14:02")},
			[]string{"opened sev2 paged opened: oncall", "opened sev2 finding_joined paged opened: oncall serving"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, clockTime("14:00"), workedExampleAt)
			w.policy.Roles["serving"] = Role{Page: []string{"pager-serving"}}
			w.now = clockTime("14:10")
			if err := w.desk.Tick(t.Context(), Tick{T: w.now, Firings: test.firings}); err != nil {
				t.Fatal(err)
			}
			open, err := w.desk.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(open, func(a, b *Record) int { return int(a.Number - b.Number) })
			var got []string
			for _, r := range open {
				got = append(got, whole(t, w, r))
				if r.Findings[len(r.Findings)-1].Snapshot == nil {
					t.Errorf("%s lacks a runbook", r)
				}
			}
			sameLines(t, got, test.want)
		})
	}
}

// whole says everything that happened to an incident, in a line.
func whole(t *testing.T, w *world, r *Record) string {
	events, err := w.store.Events(t.Context(), r.ID, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	line := summary(&decision{record: r, events: events})
	for _, e := range events {
		if paged, ok := e.Body.(Paged); ok {
			line += fmt.Sprintf(" %s: %s", strings.Join(paged.Causes, " "), strings.Join(paged.Roles, " "))
		}
	}
	return line
}

func TestAJoinedFindingsOwnerIsCalledInTheSameRoundAsWhatTheTickFound(t *testing.T) {
	w := newWorld(t, clockTime("13:58"), workedExampleWith("14:15", "23:00", func(o *FindingObservation) { o.Severity = runbook.Sev1 }))
	w.policy.Roles["serving"] = Role{Page: []string{"pager-serving"}}
	w.live(clockTime("14:09"), clockTime("14:14:45"))
	w.command(Acknowledge{By: "alice"})
	w.now = clockTime("14:15")
	r := w.record()
	tick := Tick{T: w.now, Observations: map[string]Observation{r.ID: w.observe(r, w.now)}, Firings: []Firing{firingOf(slowRunbook(), runbook.Sev3)}}
	if err := w.desk.Tick(t.Context(), tick); err != nil {
		t.Fatal(err)
	}
	sameLines(t, w.timeline()[4:], []string{"14:15:00 severity_raised", "14:15:00 finding_joined", "14:15:00 paged"})
	if round := w.record().Round; !slices.Equal(round.Called, []string{"oncall", "serving"}) {
		t.Errorf("called %v, want both owners", round.Called)
	}
}

// TestWhatIsSpentIsClearedAndThenSaysSomethingNew plays a dismissal, through a Desk that is killed in between.
func TestWhatIsSpentIsClearedAndThenSaysSomethingNew(t *testing.T) {
	for _, killed := range []bool{false, true} {
		fires := workedExampleAt(clockTime("14:10"))
		w := newWorld(t, clockTime("13:58"), func(t time.Time) FindingObservation {
			if t.After(clockTime("14:15")) && t.Before(clockTime("14:30")) {
				return FindingObservation{Trigger: triggers.Clear}
			}
			return fires
		})
		w.live(clockTime("14:09:45"), clockTime("14:12"))
		w.happen("14:12:01", "alice", Dismissed{Reason: FalseAlarm, Severity: runbook.Sev2})
		if killed {
			w.restart()
		}
		w.live(clockTime("14:12"), clockTime("14:31"))
		sameLines(t, w.timeline("opened", "dismissed", "trigger_cleared"), []string{"14:10:00 opened", "14:12:01 dismissed", "14:15:15 trigger_cleared"})
		records, _, err := w.store.List(t.Context(), Filter{})
		if err != nil || len(records) != 2 || !records[0].OpenedAt.Equal(clockTime("14:30")) {
			t.Errorf("killed %v: records %v, %v; want a second one that opened at 14:30", killed, records, err)
		}
	}
}

func TestTheDaemonClosesWhatNeedsNoPostmortem(t *testing.T) {
	for _, test := range []struct {
		name   string
		class  Class
		peak   runbook.Severity
		closed string
	}{
		{"sev4, once it can't be opened again", Real, runbook.Sev4, "15:00:15"},
		{"sev3 never", Real, runbook.Sev3, ""},
		{"a drill", Drill, runbook.Sev1, "15:00:15"},
		{"a trouble of its own", Self, runbook.Sev1, "15:00:15"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, clockTime("14:00"), func(time.Time) FindingObservation { return FindingObservation{} })
			f := firingOf(refusedRunbook(), test.peak)
			f.Snapshot.Runbook.ReopenWithin = 30 * time.Minute
			body := f.opened(clockTime("14:10"))
			body.Class = test.class
			d := newDecision(&Record{}, w.policy, clockTime("14:10"))
			d.add(body, "")
			d.addAt(clockTime("14:30"), Resolved{ImpactEndedAt: clockTime("14:20")}, "")
			c := change(&Record{}, d.events, w.policy, clockTime("14:30"), f)
			if err := w.store.Commit(t.Context(), Commit{Changes: []Change{c}}); err != nil {
				t.Fatal(err)
			}
			w.live(clockTime("14:58"), clockTime("15:02"))
			r, err := w.store.Load(t.Context(), c.Record.ID)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if !r.ClosedAt.IsZero() {
				got = r.ClosedAt.Format(time.TimeOnly)
			}
			if got != test.closed {
				t.Errorf("closed at %q, want %q", got, test.closed)
			}
		})
	}
}
