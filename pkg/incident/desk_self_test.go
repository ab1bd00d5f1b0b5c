package incident

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// troubled is a world with an owner for the daemon's own troubles.
func troubled(t *testing.T) *world {
	w := newWorld(t, clockTime("14:00"), workedExampleAt)
	w.policy.Owner = "oncall"
	return w
}

func (w *world) trouble(kind, text string) {
	w.t.Helper()
	if err := w.desk.Trouble(w.t.Context(), kind, text); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) over(kind string) {
	w.t.Helper()
	if err := w.desk.TroubleOver(w.t.Context(), kind); err != nil {
		w.t.Fatal(err)
	}
}

// clock lets the seconds after one time up to another pass.
func (w *world) clock(after, to time.Time) {
	w.t.Helper()
	for w.now = after.Add(time.Second); !w.now.After(to); w.now = w.now.Add(time.Second) {
		if err := w.desk.Clock(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	w.now = to
}

func (w *world) self(t *testing.T) []*Record {
	t.Helper()
	records, _, err := w.store.List(t.Context(), Filter{Self: true})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestATroubleOfTheDaemonsOwnCallsItsOwner(t *testing.T) {
	w := troubled(t)
	w.policy.Severities = nil // whatever the settings say of incidents
	w.trouble(TroubleBlind, "prometheus: connection refused")
	w.trouble(TroubleBlind, "prometheus: connection refused, still")
	records := w.self(t)
	if len(records) != 1 || records[0].Number != -1 || records[0].Class != Self || records[0].Rule != "prometheus: connection refused" {
		t.Fatalf("records %+v, want one", records)
	}
	w.clock(clockTime("14:00"), clockTime("14:31"))
	var rows []string
	for _, row := range w.store.Rows() {
		rows = append(rows, fmt.Sprintf("%s %s %s %s", row.Due.Format(time.TimeOnly), row.Kind, row.Receiver, row.Key))
	}
	const key = "irdaemon/test/self/blind/1"
	sameLines(t, rows, []string{
		"14:00:00 page pager-oncall " + key, "14:15:00 page pager-lead " + key, "14:30:00 page pager-oncall " + key,
	})
	w.send()
	n := len(w.store.Rows())
	w.over(TroubleBlind)
	w.over(TroubleBlind)
	if ends := w.store.Rows()[n:]; len(ends) != 2 || ends[0].Kind != DeliverEnd || ends[0].Key != key || ends[1].Kind != DeliverEnd {
		t.Errorf("rows %+v, want an end to each", ends)
	}
	if r := w.self(t)[0]; r.State() != ClosedState || r.calling() {
		t.Errorf("state %s, calling %v", r.State(), r.calling())
	}
}

func TestTheRoundsOfAKindOfTroubleAreCountedForEver(t *testing.T) {
	w := troubled(t)
	w.trouble(TroubleStuck, "no tick for a minute")
	if _, err := w.desk.Command(t.Context(), "-1", Acknowledge{By: "alice"}, Idempotency{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.desk.Command(t.Context(), "#-1", Unacknowledge{By: "alice"}, Idempotency{}); err != nil {
		t.Fatal(err)
	}
	w.over(TroubleStuck)
	w.restart()
	w.now = w.now.Add(time.Minute)
	w.trouble(TroubleStuck, "no tick for a minute")
	w.trouble(TroubleBlind, "prometheus is gone")
	var keys []string
	for _, row := range w.store.Rows() {
		if row.Kind == DeliverPage {
			keys = append(keys, row.Key)
		}
	}
	sameLines(t, keys, []string{"irdaemon/test/self/stuck/1", "irdaemon/test/self/stuck/2", "irdaemon/test/self/stuck/3", "irdaemon/test/self/blind/1"})
	var numbers []int64
	for _, r := range w.self(t) {
		numbers = append(numbers, r.Number)
	}
	if !slices.Equal(numbers, []int64{-3, -2, -1}) {
		t.Errorf("numbers %v, want the newest first", numbers)
	}
	page, next, err := w.store.List(t.Context(), Filter{Self: true, Limit: 2})
	if err != nil || len(page) != 2 || next != "-2" {
		t.Errorf("a page %v, %q, %v", page, next, err)
	}
	if rest, _, err := w.store.List(t.Context(), Filter{Self: true, Limit: 2, After: next}); err != nil || len(rest) != 1 || rest[0].Number != -1 {
		t.Errorf("the next page %v, %v", rest, err)
	}
}

func TestATroubleIsNoIncident(t *testing.T) {
	w := troubled(t)
	w.trouble(TroubleBlind, "prometheus is gone")
	if open, err := w.desk.Open(t.Context()); err != nil || len(open) > 0 {
		t.Errorf("open incidents %v, %v", open, err)
	}
	if all, _, err := w.desk.List(t.Context(), Filter{}); err != nil || len(all) > 0 {
		t.Errorf("listed %v, %v", all, err)
	}
	if standing, err := w.desk.Standing(t.Context(), "pager-oncall"); err != nil || len(standing) > 0 {
		t.Errorf("standing before it was accepted: %v, %v", standing, err)
	}
	w.send()
	if standing, err := w.desk.Standing(t.Context(), "pager-oncall"); err != nil || len(standing) != 1 {
		t.Errorf("standing %v, %v; want it", standing, err)
	}
	for _, c := range []Command{
		Dismiss{By: "alice", Reason: Test}, Close{By: "alice"}, SetSeverity{By: "alice", To: "sev1"}, Mitigate{By: "alice", Title: "x"},
	} {
		_, err := w.desk.Command(t.Context(), "-1", c, Idempotency{})
		mustRefuse(t, err, "acknowledge, unacknowledge and note are taken")
	}
	if _, err := w.desk.Command(t.Context(), "-1", Note{By: "alice", Text: "restarting it"}, Idempotency{}); err != nil {
		t.Error(err)
	}
	w.live(clockTime("14:09:45"), clockTime("14:10"))
	if r := w.record(); r.Number != 1 || r.Class != Real {
		t.Errorf("the first incident is %+v", r)
	}
}

func TestATroubleWithoutAnOwnerIsLoggedOnce(t *testing.T) {
	w := newWorld(t, clockTime("14:00"), workedExampleAt)
	core, logs := observer.New(zap.ErrorLevel)
	config := w.desk.config
	config.Log = zap.New(core)
	w.desk = NewDesk(config)
	w.trouble(TroubleBlind, "prometheus is gone")
	w.trouble(TroubleBlind, "prometheus is gone")
	if logs.Len() != 1 || len(w.self(t)) != 0 {
		t.Errorf("%d lines, records %v", logs.Len(), w.self(t))
	}
	w.over(TroubleBlind)
	w.trouble(TroubleBlind, "prometheus is gone again")
	if logs.Len() != 2 {
		t.Errorf("%d lines after it came back, want two", logs.Len())
	}
	w.policy.Owner = "oncall"
	w.trouble(TroubleBlind, "prometheus is gone again")
	if len(w.self(t)) != 1 {
		t.Error("once the settings name an owner, it is not told")
	}
}

func TestASilenceHoldsNoTroubleBack(t *testing.T) {
	w := troubled(t)
	if _, err := w.desk.AddSilence(t.Context(), Silence{Runbook: troubleName(TroubleBlind), UpTo: "sev1", Reason: "sleep", By: "alice", Until: clockTime("16:00")}); err != nil {
		t.Fatal(err)
	}
	w.trouble(TroubleBlind, "prometheus is gone")
	if rows := w.store.Rows(); len(rows) != 1 || rows[0].Kind != DeliverPage {
		t.Errorf("rows %+v, want a page", rows)
	}
}

func TestThatNobodyHearsAnIncidentIsTold(t *testing.T) {
	w := newWorld(t, clockTime("13:58"), workedExampleAt)
	w.policy.Roles = map[string]Role{"oncall": {EscalateTo: []string{"lead"}}}
	var told []string
	config := w.desk.config
	config.OnUnheard = func(r *Record) { told = append(told, fmt.Sprint(r.Number)) }
	w.desk = NewDesk(config)
	w.live(clockTime("14:09"), clockTime("14:30"))
	if !slices.Equal(told, []string{"1"}) {
		t.Errorf("told %v, want it once", told)
	}
}
