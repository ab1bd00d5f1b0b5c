package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// opened is a world whose incident has just opened, at 14:10.
func opened(t *testing.T) *world {
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	w.live(clockTime("14:09:45"), clockTime("14:10"))
	return w
}

func TestACommandIsDoneOnce(t *testing.T) {
	w := opened(t)
	w.now = clockTime("14:12")
	once := Idempotency{Key: "key", RequestHash: "hash"}
	first, err := w.desk.Command(t.Context(), "1", Note{By: "alice", Text: "looking"}, once)
	if err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.now = clockTime("14:13")
	again, err := w.desk.Command(t.Context(), "#1", Note{By: "alice", Text: "looking"}, once)
	if err != nil || asJSON(t, again) != asJSON(t, first) {
		t.Errorf("again\n %+v, %v\nwant\n %+v", again, err, first)
	}
	if notes := w.timeline("noted"); len(notes) != 1 {
		t.Errorf("notes %v, want one", notes)
	}
	if _, err := w.desk.Command(t.Context(), "#1", Note{By: "alice", Text: "other"}, Idempotency{Key: "key", RequestHash: "other"}); !errors.Is(err, ErrKeyReused) {
		t.Errorf("another request under the key: %v, want ErrKeyReused", err)
	}
	if _, err := w.desk.Command(t.Context(), "#2", Note{By: "alice", Text: "other"}, Idempotency{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an incident that isn't there: %v, want ErrNotFound", err)
	}
}

func TestACommandThatChangedNothingKeepsItsAnswer(t *testing.T) {
	w := opened(t)
	w.command(Acknowledge{By: "alice"})
	once := Idempotency{Key: "key", RequestHash: "hash"}
	if _, err := w.desk.Command(t.Context(), "#1", Acknowledge{By: "alice"}, once); err != nil {
		t.Fatal(err)
	}
	w.command(Unacknowledge{By: "bob"})
	if _, err := w.desk.Command(t.Context(), "#1", Acknowledge{By: "alice"}, once); err != nil {
		t.Fatal(err)
	}
	if r := w.record(); r.Acknowledged != nil {
		t.Errorf("a late repeat took the incident again: %+v", r.Acknowledged)
	}
}

func TestTwoEqualCommandsAtOnceHaveOneEffect(t *testing.T) {
	for _, test := range []struct {
		name    string
		command Command
		once    Idempotency
		kind    string
	}{
		{"the same acknowledge", Acknowledge{By: "alice"}, Idempotency{}, "acknowledged"},
		{"the same dismissal under one key", Dismiss{By: "alice", Reason: FalseAlarm}, Idempotency{Key: "key", RequestHash: "hash"}, "dismissed"},
		{"the same severity", SetSeverity{By: "alice", To: "sev1"}, Idempotency{}, "severity_set"},
		{"the same deed", Mitigate{By: "alice", Title: "cache"}, Idempotency{}, "mitigated"},
		{"the same note under one key", Note{By: "alice", Text: "looking"}, Idempotency{Key: "key", RequestHash: "hash"}, "noted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := opened(t)
			var replicas []*Desk
			for range 2 {
				w.restart()
				replicas = append(replicas, w.desk)
			}
			var group sync.WaitGroup
			errs := make(chan error, 8)
			for i := range 8 {
				group.Go(func() {
					_, err := replicas[i%2].Command(context.Background(), "#1", test.command, test.once)
					errs <- err
				})
			}
			group.Wait()
			for range 8 {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			if done := w.timeline(test.kind); len(done) != 1 {
				t.Errorf("%d events, want one", len(done))
			}
		})
	}
}

// racing is a store in which somebody else commits first, as often as is said.
type racing struct {
	*MemoryStore
	first []func()
}

func (s *racing) Commit(ctx context.Context, commit Commit) error {
	if len(s.first) > 0 {
		do := s.first[0]
		s.first = s.first[1:]
		do()
	}
	return s.MemoryStore.Commit(ctx, commit)
}

func TestWhoLosesDecidesAgainOnTheNewerRecord(t *testing.T) {
	w := opened(t)
	w.now = clockTime("14:12")
	other := w.desk
	take := func(by string) func() {
		return func() {
			if _, err := other.Command(context.Background(), "#1", Acknowledge{By: by}, Idempotency{}); err != nil {
				t.Error(err)
			}
		}
	}
	store := &racing{MemoryStore: w.store, first: []func(){take("bob")}}
	config := other.config
	config.Store = store
	w.desk = NewDesk(config)
	w.command(Acknowledge{By: "alice"})
	if r := w.record(); r.Acknowledged.By != "alice" || len(w.timeline("acknowledged")) != 2 {
		t.Errorf("acknowledged %+v, %v; want alice's after bob's", r.Acknowledged, w.timeline("acknowledged"))
	}
	for i := range 7 {
		store.first = append(store.first, take(fmt.Sprint("person ", i)))
	}
	if _, err := w.desk.Command(t.Context(), "#1", Acknowledge{By: "carol"}, Idempotency{}); !errors.Is(err, ErrConflict) {
		t.Errorf("late five times: %v, want ErrConflict", err)
	}
}

func TestATickHandedOverAgainChangesNothing(t *testing.T) {
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	for at := clockTime("14:09"); !at.After(clockTime("14:55")); at = at.Add(interval) {
		w.tick(at, false)
		if at.Second() == 30 {
			w.restart()
		}
		before := w.everything()
		w.tick(at, false)
		w.tick(at.Add(-12*time.Minute), true)
		w.tick(at, false)
		if after := w.everything(); after != before {
			t.Fatalf("tick %s again:\n %s\nafter\n %s", at, after, before)
		}
	}
	before := w.everything()
	for at := clockTime("14:09"); !at.After(clockTime("14:55")); at = at.Add(interval) {
		w.tick(at, true)
	}
	if after := w.everything(); after != before {
		t.Errorf("old ticks again:\n %s\nafter\n %s", after, before)
	}
}

// everything is all incidents with their events and rows, as text.
func (w *world) everything() string {
	w.t.Helper()
	records, _, err := w.store.List(w.t.Context(), Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	all := []any{records, w.store.Rows()}
	for _, r := range records {
		events, err := w.store.Events(w.t.Context(), r.ID, 0, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, events)
	}
	return asJSON(w.t, all)
}

func asJSON(t interface {
	Helper()
	Fatal(...any)
}, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestTheMarkOfTheWalkIsWrittenOnceAMinute(t *testing.T) {
	w := newWorld(t, clockTime("13:00"), workedExampleAt)
	marks := map[time.Time]bool{}
	for at := clockTime("13:00:15"); !at.After(clockTime("13:05")); at = at.Add(interval) {
		w.tick(at, false)
		mark, err := w.desk.WalkedTo(t.Context())
		if err != nil || at.Sub(mark) >= markEvery {
			t.Errorf("at %s the mark is %s, %v", at, mark, err)
		}
		marks[mark] = true
	}
	if len(marks) != 5 {
		t.Errorf("%d marks in 5 minutes", len(marks))
	}
}

func TestWhatFiresAgainAfterItsIncidentEnded(t *testing.T) {
	fires := workedExampleAt(clockTime("14:10"))
	again := func(from string) truth {
		return func(t time.Time) FindingObservation {
			if !t.Before(clockTime(from)) {
				return fires
			}
			return workedExampleAt(t)
		}
	}
	w := newWorld(t, clockTime("13:58"), again("15:00"))
	w.snapshot.Runbook.ReopenWithin = 10 * time.Minute
	w.live(clockTime("14:09"), clockTime("15:01"))
	records, _, err := w.store.List(t.Context(), Filter{})
	if err != nil || len(records) != 2 || records[0].Follows != records[1].ID || !records[0].OpenedAt.Equal(clockTime("15:00")) {
		t.Fatalf("records %+v, %v; want a second one that follows the first", records, err)
	}
	t.Run("after more than a week it follows nothing", func(t *testing.T) {
		f := Firing{Snapshot: w.snapshot, Group: groupOfBot, Breaches: fires.Breaches}
		events := placed(f, records[1:], w.policy, records[1].ResolvedAt.Add(followsWithin+interval))
		if follows := events[0].Body.(Opened).Follows; follows != "" {
			t.Errorf("follows %s, want nothing", follows)
		}
	})
}

func TestEndingsGoToWhoAcceptedAPage(t *testing.T) {
	for _, test := range []struct {
		name string
		page func(w *world, row Row) error // what becomes of the page once the incident is over
		want string
	}{
		{"it is delivered after all", func(w *world, row Row) error { return w.desk.Delivered(w.t.Context(), row.Delivery, "") }, RowDue},
		{"it is not sent any more", func(w *world, row Row) error { return w.desk.Superseded(w.t.Context(), row.Delivery, "taken") }, RowSuperseded},
		{"it is refused", func(w *world, row Row) error { return w.desk.Failed(w.t.Context(), row.Delivery, "404", true) }, RowSuperseded},
		{"it is late", func(w *world, row Row) error { return w.desk.Failed(w.t.Context(), row.Delivery, "503", false) }, RowDue},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := opened(t)
			w.command(Acknowledge{By: "alice"})
			w.live(clockTime("14:10"), clockTime("14:50"))
			rows := w.store.Rows()
			if len(rows) != 2 || rows[1].Kind != DeliverEnd {
				t.Fatalf("rows %+v, want a page and its end", rows)
			}
			if err := test.page(w, rows[0]); err != nil {
				t.Fatal(err)
			}
			if got := w.store.Rows()[1].State; got != test.want {
				t.Errorf("the end is %s, want %s", got, test.want)
			}
		})
	}
}

func TestAPageThatWasNotSentGetsNoEnding(t *testing.T) {
	w := opened(t)
	w.command(Acknowledge{By: "alice"})
	if err := w.desk.Superseded(t.Context(), w.store.Rows()[0].Delivery, "alice has it"); err != nil {
		t.Fatal(err)
	}
	w.live(clockTime("14:10"), clockTime("14:50"))
	if rows := w.store.Rows(); len(rows) != 1 {
		t.Errorf("rows %+v, want the page alone", rows)
	}
}

func TestADeliveryToldTwiceIsOne(t *testing.T) {
	w := opened(t)
	row := w.store.Rows()[0]
	for range 2 {
		if err := w.desk.Delivered(t.Context(), row.Delivery, "ok"); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Second)
	}
	if delivered := w.timeline("page_delivered"); len(delivered) != 1 {
		t.Errorf("delivered %v, want once", delivered)
	}
	standing, err := w.desk.Standing(t.Context(), "pager-oncall")
	if err != nil || len(standing) != 1 || standing[0].Key != row.Key {
		t.Errorf("standing %+v, %v; want the round's key", standing, err)
	}
	if others, _ := w.desk.Standing(t.Context(), "pager-lead"); len(others) != 0 {
		t.Errorf("standing at the lead %+v, want none", others)
	}
}

func TestGapIsNotedOnWhatIsOpen(t *testing.T) {
	w := opened(t)
	for range 2 {
		if err := w.desk.Gap(t.Context(), clockTime("14:15"), clockTime("14:20")); err != nil {
			t.Fatal(err)
		}
	}
	if gaps := w.timeline("gap_noted"); len(gaps) != 1 {
		t.Errorf("gaps %v, want one", gaps)
	}
}

func TestCommittedAndOnEvents(t *testing.T) {
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	var told []string
	w.told = func(r *Record, events []Event) {
		for _, e := range events {
			told = append(told, fmt.Sprintf("#%d %s", r.Number, e.Body.Kind()))
		}
	}
	w.tick(clockTime("14:09:45"), false)
	select {
	case <-w.desk.Committed():
		t.Error("a tick without rows was told to the outbox")
	default:
	}
	w.tick(clockTime("14:10"), false)
	select {
	case <-w.desk.Committed():
	default:
		t.Error("a page was not told to the outbox")
	}
	if want := []string{"#1 opened", "#1 paged"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestAnIncidentThatWasNotLookedAtIsLeftAlone(t *testing.T) {
	w := opened(t)
	w.live(clockTime("14:10"), clockTime("14:35"))
	r := w.record()
	if r.Hold == nil {
		t.Fatal("no hold")
	}
	if events := Decide(r, Observation{}, w.policy, clockTime("14:35:15"), false); len(events) > 0 {
		t.Errorf("events %+v, want none", events)
	}
	stale := Observation{
		Findings: []FindingObservation{{Trigger: triggers.Clear, Bands: [3]BandObservation{{State: BandHeld}, {State: BandHeld}, {State: BandHeld}}}},
		Hold:     Progress{Since: clockTime("14:00"), Through: clockTime("14:35"), Elapsed: time.Hour},
	}
	for _, e := range Decide(r, stale, w.policy, clockTime("14:35:15"), false) {
		if e.Body.Kind() != "trigger_cleared" {
			t.Errorf("%s on another hold's progress", e.Body.Kind())
		}
	}
}

func TestADuplicateNamesAnIncidentThatThereIs(t *testing.T) {
	w := opened(t)
	of := func(ref string) Command { return Dismiss{By: "alice", Reason: Duplicate, DuplicateOf: ref} }
	_, err := w.desk.Command(t.Context(), "#1", of("#7"), Idempotency{})
	mustRefuse(t, err, "there is no incident #7")
	_, err = w.desk.Command(t.Context(), "#1", of("1"), Idempotency{})
	mustRefuse(t, err, "is no duplicate of itself")
	other := openIncident(Firing{Snapshot: w.snapshot, Hash: "hash", Service: "other"}, nil, w.policy, w.now)
	c := change(&Record{}, other.events, w.policy, w.now, other.firings...)
	if err := w.store.Commit(t.Context(), Commit{Changes: []Change{c}}); err != nil {
		t.Fatal(err)
	}
	w.command(of("#2"))
	if got := w.record().Dismissal.DuplicateOf; got != c.Record.ID {
		t.Errorf("a duplicate of %q, want the id of #2", got)
	}
}

func TestWhatStandsInAnotherIncidentIsNotReopened(t *testing.T) {
	w := opened(t)
	w.command(Dismiss{By: "alice", Reason: FalseAlarm})
	w.now = w.now.Add(time.Minute)
	other := openIncident(Firing{Snapshot: w.snapshot, Hash: "hash", Group: groupOfBot, Service: "support-bot"}, nil, w.policy, w.now)
	c := change(&Record{}, other.events, w.policy, w.now, other.firings...)
	if err := w.store.Commit(t.Context(), Commit{Changes: []Change{c}}); err != nil {
		t.Fatal(err)
	}
	_, err := w.desk.Command(t.Context(), "#1", Reopen{By: "bob"}, Idempotency{})
	mustRefuse(t, err, "stands in incident #2 by now")
	if _, err := w.desk.Command(t.Context(), "#2", Dismiss{By: "alice", Reason: FalseAlarm}, Idempotency{}); err != nil {
		t.Fatal(err)
	}
	w.command(Reopen{By: "bob"})
	if r := w.record(); !r.Open() || !r.calling() {
		t.Errorf("reopened: %+v", r)
	}
}

func TestWhatTheActionRunnerTellsIsCommitted(t *testing.T) {
	w := opened(t)
	w.policy.Actions = ActionsEnabled
	w.snapshot.Runbook = commandedRunbook().Runbook
	w.command(Request{By: "alice", Step: "prompt"})
	for _, o := range []ActionOutcome{{Action: "1", What: ActionBegan}, {Action: "1", What: ActionSet}, {Action: "1", What: ActionSet}} {
		if err := w.desk.Action(t.Context(), "#1", o); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.timeline("action_started", "action_done", "action_effective"); len(got) != 3 {
		t.Errorf("timeline %v", got)
	}
	if r := w.record(); r.State() != Mitigating {
		t.Errorf("state %s", r.State())
	}
}
