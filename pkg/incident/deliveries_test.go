package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// chatty has a pager, which carries acknowledgements, a chat, which carries everything, and a mailbox, which carries
// notices, all of them the owner's.
func chatty() Policy {
	p := testPolicy()
	p.Roles["oncall"] = Role{Page: []string{"pager", "chat", "mail"}, EscalateTo: []string{"lead"}}
	p.Carries = map[string]Carries{
		"pager": {Acknowledgements: true}, "chat": {Notices: true, Acknowledgements: true, Progress: true}, "mail": {Notices: true},
		"pager-lead": {Acknowledgements: true},
	}
	return p
}

// chattyWorld is a world of that policy in which an incident has just opened at 14:10, with updates due.
func chattyWorld(t *testing.T) *world {
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	w.policy = chatty()
	w.snapshot.Runbook = commandedRunbook().Runbook
	w.live(clockTime("14:09:45"), clockTime("14:10"))
	return w
}

// rowsAfter describes the rows written since there were so many, but reminders: "page chat 1".
func (w *world) rowsAfter(n int) []string {
	var lines []string
	for _, row := range w.store.Rows()[n:] {
		if row.Reminds.IsZero() {
			lines = append(lines, fmt.Sprintf("%s %s %s", row.Kind, row.Receiver, row.Key[strings.LastIndex(row.Key, "/")+1:]))
		}
	}
	return lines
}

// accept tells of every row that is due by now that its receiver took it, with a receipt that names it.
func (w *world) accept() {
	w.t.Helper()
	for _, row := range w.store.Rows() {
		if row.State == RowDue && !row.Due.After(w.now) {
			if err := w.desk.Delivered(w.t.Context(), row.Delivery, row.Receiver+" has "+row.Key); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

func TestWhoIsToldOfWhat(t *testing.T) {
	pages := []string{"page pager 2", "page chat 2", "page mail 2"}
	for _, test := range []struct {
		name   string
		before []Command
		do     Command
		want   []string
	}{
		{"acknowledged: who carries it, and accepted the page", nil, Acknowledge{By: "alice"}, []string{"acknowledge pager 1", "acknowledge chat 1"}},
		{"not where it came from", nil, Acknowledge{By: "alice", Receiver: "pager"}, []string{"acknowledge chat 1"}},
		{"a hand-over is told too", []Command{Acknowledge{By: "alice"}}, Acknowledge{By: "bob"}, []string{"acknowledge pager 1", "acknowledge chat 1"}},
		{"an older round's is told to nobody", []Command{SetSeverity{By: "bob", To: runbook.Sev1}}, Acknowledge{By: "alice", Round: 1}, nil},
		{"given back: the page says it", []Command{Acknowledge{By: "alice"}}, Unacknowledge{By: "alice"}, pages},
		{"raised: the page says it", nil, SetSeverity{By: "alice", To: runbook.Sev1}, pages},
		{"lowered: progress", nil, SetSeverity{By: "alice", To: runbook.Sev3, Reason: "few users"}, []string{"progress chat 1"}},
		{"lowered to what calls nobody: the key ends everywhere", nil, SetSeverity{By: "alice", To: runbook.Sev4, Reason: "one user"},
			[]string{"end pager 1", "end chat 1", "end mail 1"}},
		{"an update: progress", []Command{Acknowledge{By: "alice"}}, PostUpdate{By: "alice", Text: "rolling back"}, []string{"progress chat 1"}},
		{"mitigated: progress", []Command{Acknowledge{By: "alice"}}, Mitigate{By: "alice", Title: "cache"}, []string{"progress chat 1"}},
		{"who acts takes it: both are told", nil, Mitigate{By: "alice", Title: "cache"}, []string{"acknowledge pager 1", "acknowledge chat 1", "progress chat 1"}},
		{"a note is told to nobody", nil, Note{By: "alice", Text: "looking"}, nil},
		{"dismissed: everybody who accepted a page", nil, Dismiss{By: "alice", Reason: FalseAlarm}, []string{"end pager 1", "end chat 1", "end mail 1"}},
		{"dismissed after its call was over: all the same, under the key that they had",
			[]Command{SetSeverity{By: "bob", To: runbook.Sev4, Reason: "one user"}}, Dismiss{By: "alice", Reason: FalseAlarm},
			[]string{"end pager 1", "end chat 1", "end mail 1"}},
		{"after two rounds: the one that stands", []Command{SetSeverity{By: "bob", To: runbook.Sev1}}, Dismiss{By: "alice", Reason: FalseAlarm},
			[]string{"end pager 2", "end chat 2", "end mail 2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := chattyWorld(t)
			for _, c := range append([]Command{Note{By: "alice", Text: "begin"}}, test.before...) {
				w.accept()
				w.now = w.now.Add(time.Second)
				w.command(c)
			}
			w.accept()
			n := len(w.store.Rows())
			w.now = w.now.Add(time.Second)
			w.command(test.do)
			sameLines(t, w.rowsAfter(n), test.want)
		})
	}
}

func TestWhoMayStillAcceptThePageIsToldThatItIsTaken(t *testing.T) {
	w := chattyWorld(t)
	w.command(Acknowledge{By: "alice"})
	if got := w.rowsAfter(3); !slices.Contains(got, "acknowledge pager 1") {
		t.Errorf("rows %v, want an acknowledge behind the page that is still to be sent", got)
	}
}

func TestAPageSaysWhichRolesItCalls(t *testing.T) {
	p := chatty()
	p.Roles["lead"] = Role{Page: []string{"pager-lead", "chat"}}
	r, _ := opening(p, runbook.Sev2)
	r.Reached, r.Findings[0].Cleared = 1, true
	d := newDecision(r, p, clockTime("14:20"))
	d.add(Relapsed{Runbook: "good-users-refused"}, "")
	d.page()
	got := map[string]string{}
	for _, row := range change(r, d.events, p, d.t).Deliveries {
		if row.Kind == DeliverPage {
			got[row.Receiver] = strings.Join(row.Roles, " ")
		}
	}
	want := map[string]string{"pager": "oncall", "chat": "oncall lead", "mail": "oncall", "pager-lead": "lead"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("roles %v, want %v", got, want)
	}
}

// reminders gives the reminders among the rows: "mail at 14:15:00 of 14:20:00".
func (w *world) reminders() []string {
	var lines []string
	for _, row := range w.store.Rows() {
		if !row.Reminds.IsZero() {
			lines = append(lines, fmt.Sprintf("%s at %s of %s", row.Receiver, row.Due.Format(time.TimeOnly), row.Reminds.Format(time.TimeOnly)))
		}
	}
	return lines
}

func TestTheOwnerIsRemindedOfUpdates(t *testing.T) {
	w := chattyWorld(t)
	sameLines(t, w.reminders(), []string{"chat at 14:15:00 of 14:20:00", "mail at 14:15:00 of 14:20:00"})
	w.now = clockTime("14:12")
	w.command(Note{By: "alice", Text: "which sets no time"})
	w.command(PostUpdate{By: "alice", Text: "rolling back", Next: clockTime("14:16")})
	sameLines(t, w.reminders()[2:], []string{"chat at 14:14:00 of 14:16:00", "mail at 14:14:00 of 14:16:00"})
	w.command(SetSeverity{By: "alice", To: runbook.Sev4, Reason: "one user"})
	w.command(Note{By: "alice", Text: "no reminder"})
	if got := w.reminders(); len(got) != 4 {
		t.Errorf("reminders %v, want no more of them", got)
	}
}

func TestNobodyIsRemindedAtASeverityThatPagesNobody(t *testing.T) {
	p := chatty()
	p.Severities[runbook.Sev2] = SeverityPolicy{}
	d := openIncident(Firing{Snapshot: commandedRunbook(), Hash: "hash", Severity: runbook.Sev2}, nil, p, clockTime("14:10"))
	c := change(&Record{}, d.events, p, d.t, d.firings...)
	if len(c.Deliveries) > 0 || c.Record.NextUpdateAt.IsZero() {
		t.Errorf("rows %+v, next update %s", c.Deliveries, c.Record.NextUpdateAt)
	}
}

func TestAnUpdateStopsTheCallForIt(t *testing.T) {
	w := chattyWorld(t)
	w.now = clockTime("14:12")
	w.command(Acknowledge{By: "alice"})
	w.accept()
	w.live(clockTime("14:10"), clockTime("14:20"))
	w.accept()
	if r := w.record(); r.Round.N != 2 || !r.calling() || !slices.Equal(r.Round.Causes, []string{CauseOverdue}) {
		t.Fatalf("round %+v, want one for the update", r.Round)
	}
	n := len(w.store.Rows())
	w.now = clockTime("14:21")
	w.command(PostUpdate{By: "alice", Text: "rolling back"})
	if r := w.record(); r.calling() || !r.OverdueSince.IsZero() {
		t.Errorf("round %+v, overdue since %s; want neither", r.Round, r.OverdueSince)
	}
	sameLines(t, w.rowsAfter(n), []string{"acknowledge pager 2", "acknowledge chat 2", "progress chat 2"})
}

func TestWhatEndedStaysEndedWhenItIsReopened(t *testing.T) {
	w := chattyWorld(t)
	w.accept()
	w.now = clockTime("14:12")
	w.command(Dismiss{By: "alice", Reason: FalseAlarm})
	if r := w.record(); slices.ContainsFunc(r.Pages, func(receipt Receipt) bool { return !receipt.Ended }) {
		t.Errorf("after its end something stands: %+v", r.Pages)
	}
	w.accept()
	n := len(w.store.Rows())
	w.command(Reopen{By: "bob"})
	sameLines(t, w.rowsAfter(n), []string{"page pager 2", "page chat 2", "page mail 2"})
	for _, row := range w.store.Rows()[n:] {
		if row.EndsKey != "" {
			t.Errorf("the new page ends %s, which ended before", row.EndsKey)
		}
	}
	w.accept()
	n = len(w.store.Rows())
	w.command(Dismiss{By: "alice", Reason: FalseAlarm})
	sameLines(t, w.rowsAfter(n), []string{"end pager 2", "end chat 2", "end mail 2"})
}

func TestAPageThatIsAcceptedAfterItsEndGetsThatEndAlone(t *testing.T) {
	w := chattyWorld(t)
	w.now = clockTime("14:12")
	w.command(Dismiss{By: "alice", Reason: FalseAlarm})
	w.command(Reopen{By: "bob"})
	page := w.store.Rows()[0].Delivery
	if err := w.desk.Delivered(t.Context(), page, ""); err != nil {
		t.Fatal(err)
	}
	w.command(Dismiss{By: "alice", Reason: Expected})
	ends := 0
	for _, row := range w.store.Rows() {
		if row.Kind == DeliverEnd && row.Receiver == page.Receiver && row.Key == page.Key && row.State == RowDue {
			ends++
		}
	}
	if ends != 1 {
		t.Errorf("%d endings of the first page, want one", ends)
	}
}

// endStates are what became of the endings to a receiver, in their order: "1 sent" for the one of round 1.
func (w *world) endStates(receiver string) []string {
	var states []string
	for _, row := range w.store.Rows() {
		if row.Kind == DeliverEnd && row.Receiver == receiver {
			states = append(states, row.Key[strings.LastIndex(row.Key, "/")+1:]+" "+row.State)
		}
	}
	return states
}

func TestWhoAcceptedAPageIsToldTheEndOnceThoughItsCallWasOver(t *testing.T) {
	lower, raise := SetSeverity{By: "bob", To: runbook.Sev4, Reason: "one user"}, SetSeverity{By: "bob", To: runbook.Sev2}
	took := func(w *world, row Delivery) error { return w.desk.Delivered(w.t.Context(), row, "") }
	refused := func(w *world, row Delivery) error { return w.desk.Failed(w.t.Context(), row, "404", true) }
	for _, test := range []struct {
		name   string
		second func(w *world, page Delivery) error // what becomes of the page of the second round, after the end
		want   []string
	}{
		{"a later page that is accepted ends what came before", took, []string{"1 sent", "1 superseded", "2 due"}},
		{"one that is refused leaves it to the earlier key", refused, []string{"1 sent", "1 due", "2 superseded"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := chattyWorld(t)
			for _, c := range []Command{lower, raise, Dismiss{By: "alice", Reason: Test}} {
				if _, ends := c.(Dismiss); !ends { // the page of the second round waits until after the end
					w.accept()
				}
				w.now = w.now.Add(time.Minute)
				w.command(c)
			}
			if err := test.second(w, w.rowOf(DeliverPage, "pager")); err != nil {
				t.Fatal(err)
			}
			sameLines(t, w.endStates("pager"), test.want)
		})
	}
}

func TestTheEndIsToldOnce(t *testing.T) {
	w := chattyWorld(t)
	w.accept()
	w.now = w.now.Add(time.Minute)
	w.command(SetSeverity{By: "alice", To: runbook.Sev4, Reason: "one user"})
	over := w.rowOf(DeliverEnd, "pager")
	if got := w.brief(over).Needless; got != "" {
		t.Errorf("that its call is over: %q", got)
	}
	w.now = w.now.Add(time.Minute)
	w.happen("14:20", Daemon, Resolved{ImpactEndedAt: w.now})
	if got, want := w.brief(over).Needless, "a later message tells the end"; got != want {
		t.Errorf("that its call is over, after the end: %q, want %q", got, want)
	}
	n := len(w.store.Rows())
	w.now = clockTime("14:21")
	w.command(Dismiss{By: "alice", Reason: FalseAlarm})
	sameLines(t, w.rowsAfter(n), nil)
	w.command(Reopen{By: "bob"}) // at the lower severity, which calls nobody
	n = len(w.store.Rows())
	w.now = clockTime("14:22")
	w.command(Dismiss{By: "alice", Reason: FalseAlarm})
	sameLines(t, w.rowsAfter(n), nil)
}

func TestAPageAfterTheEndEndsWhatStoodThoughTheRoundBetweenWasRefused(t *testing.T) {
	w := chattyWorld(t)
	w.accept()
	w.now = w.now.Add(time.Minute)
	w.command(SetSeverity{By: "alice", To: runbook.Sev1})
	between := w.rowOf(DeliverPage, "pager")
	w.command(Acknowledge{By: "alice"})
	w.command(Unacknowledge{By: "alice"})
	w.command(Dismiss{By: "alice", Reason: Test})
	if err := w.desk.Failed(t.Context(), between, "404", true); err != nil {
		t.Fatal(err)
	}
	if err := w.desk.Delivered(t.Context(), w.rowOf(DeliverPage, "pager"), ""); err != nil {
		t.Fatal(err)
	}
	sameLines(t, w.endStates("pager"), []string{"1 superseded", "2 superseded", "3 due"})
}

func TestAPageThatWasSentBeforeTheEndEndsTheOlderKeyAlone(t *testing.T) {
	for _, test := range []struct {
		name   string
		tell   func(w *world, page Delivery) error
		states []string // of the ends of both rounds
	}{
		{"by itself", func(w *world, page Delivery) error { return w.desk.Delivered(w.t.Context(), page, "") }, []string{RowSuperseded, RowDue}},
		{"in a digest", func(w *world, page Delivery) error {
			return w.desk.DeliveredIn(w.t.Context(), []Delivery{page}, "digest/1", "")
		}, []string{RowDue, RowDue}},
		{"refused", func(w *world, page Delivery) error { return w.desk.Failed(w.t.Context(), page, "404", true) }, []string{RowDue, RowSuperseded}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := chattyWorld(t)
			w.accept()
			w.now = clockTime("14:12")
			w.command(SetSeverity{By: "alice", To: runbook.Sev1})
			page := w.rowOf(DeliverPage, "pager")
			if b := w.brief(page); b.EndsKey != page.EndsKey || page.EndsKey == "" {
				t.Errorf("it ends %q, planned %q", b.EndsKey, page.EndsKey)
			}
			w.command(Dismiss{By: "alice", Reason: Test})
			if err := test.tell(w, page); err != nil {
				t.Fatal(err)
			}
			var states []string
			for _, row := range w.store.Rows() {
				if row.Kind == DeliverEnd && row.Receiver == "pager" {
					states = append(states, row.State)
				}
			}
			sameLines(t, states, test.states)
		})
	}
}

func TestAPageEndsWhatStandsWhereTheRoundBetweenWasRefused(t *testing.T) {
	w := chattyWorld(t)
	w.accept()
	first := w.rowOf(DeliverPage, "pager")
	w.now = w.now.Add(time.Minute)
	w.command(SetSeverity{By: "alice", To: runbook.Sev1})
	between := w.rowOf(DeliverPage, "pager")
	w.command(Acknowledge{By: "alice"})
	w.command(Unacknowledge{By: "alice"})
	if err := w.desk.Failed(t.Context(), between, "404", true); err != nil {
		t.Fatal(err)
	}
	third := w.rowOf(DeliverPage, "pager")
	if b := w.brief(third); b.EndsKey != first.Key || third.EndsKey == first.Key {
		t.Errorf("it ends %q, planned %q; want %q", b.EndsKey, third.EndsKey, first.Key)
	}
	if err := w.desk.Delivered(t.Context(), third, ""); err != nil {
		t.Fatal(err)
	}
	standing, err := w.desk.Standing(t.Context(), "pager")
	if err != nil || len(standing) != 1 || standing[0].Key != third.Key {
		t.Errorf("standing %+v, %v; want the third round alone", standing, err)
	}
}

func TestADigestCarriesManyPages(t *testing.T) {
	w := chattyWorld(t)
	row := w.store.Rows()[0].Delivery
	if err := w.desk.DeliveredIn(t.Context(), []Delivery{row}, "digest/1", "ts-1"); err != nil {
		t.Fatal(err)
	}
	standing, err := w.desk.Standing(t.Context(), row.Receiver)
	if err != nil || len(standing) != 1 || standing[0].Digest != "digest/1" || standing[0].Receipt != "ts-1" {
		t.Fatalf("standing %+v, %v", standing, err)
	}
	n := len(w.store.Rows())
	w.now = w.now.Add(time.Second)
	w.command(SetSeverity{By: "alice", To: runbook.Sev1})
	at := slices.IndexFunc(w.store.Rows()[n:], func(next Row) bool { return next.Receiver == row.Receiver })
	next := w.store.Rows()[n+at]
	if next.EndsKey != "" {
		t.Errorf("the next page ends %s, which no page by itself opened", next.EndsKey)
	}
	if err := w.desk.Delivered(t.Context(), next.Delivery, "ts-2"); err != nil {
		t.Fatal(err)
	}
	n = len(w.store.Rows())
	w.command(Dismiss{By: "alice", Reason: FalseAlarm})
	var ends []string
	for _, end := range w.store.Rows()[n:] {
		if end.Receiver == row.Receiver {
			ends = append(ends, fmt.Sprintf("%s of round %d in %q", end.Kind, end.Round, end.Digest))
		}
	}
	sameLines(t, ends, []string{`end of round 1 in "digest/1"`, `end of round 2 in ""`})
}

func TestADigestSettlesTheRowsOfManyIncidents(t *testing.T) {
	w := chattyWorld(t)
	var rows []Delivery
	for i := range 101 {
		f := Firing{Snapshot: w.snapshot, Hash: "hash", Service: "support-bot", Severity: runbook.Sev2, Group: groupNamed(i)}
		d := openIncident(f, nil, w.policy, clockTime("14:10"))
		d.page()
		c := change(&Record{}, d.events, w.policy, w.now, f)
		if err := w.store.Commit(t.Context(), Commit{Changes: []Change{c}}); err != nil {
			t.Fatal(err)
		}
		for _, row := range c.Deliveries {
			if row.Receiver == "pager" {
				rows = append(rows, row)
			}
		}
	}
	before, _ := w.store.Position(t.Context())
	for range 2 { // told twice, as after a crash
		if err := w.desk.DeliveredIn(t.Context(), rows, "digest/1", "ts-1"); err != nil {
			t.Fatal(err)
		}
	}
	after, _ := w.store.Position(t.Context())
	if after-before != 6 {
		t.Errorf("%d transactions, want three each time", after-before)
	}
	standing, err := w.desk.Standing(t.Context(), "pager")
	if err != nil || len(standing) != len(rows) {
		t.Errorf("%d stand, %v; want %d", len(standing), err, len(rows))
	}
}
