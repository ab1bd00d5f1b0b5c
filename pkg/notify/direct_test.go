package notify_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/watchdog"
)

// The watchdog calls through a notifier.
var _ watchdog.Caller = (*notify.Notifier)(nil)

func TestATestIsAPageAndItsEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{took: 2 * time.Second}
		d := start(t, h, map[string]notify.Receiver{"chat": r}, storms)
		trial := d.Test(t.Context(), "chat", "alice")
		got := r.messages()
		if trial.Outcome != notify.Delivered || trial.Status != 200 || trial.Took != 2*time.Second || trial.Detail != "" || len(got) != 2 {
			t.Fatalf("%+v, %d messages", trial, len(got))
		}
		page, end := got[0], got[1]
		if page.Kind != incident.DeliverPage || page.Key != "irdaemon/test/test/946684800" || !strings.HasPrefix(page.Title, "TEST of the receiver chat, asked for by alice") {
			t.Errorf("%+v", page)
		}
		if end.Kind != incident.DeliverEnd || end.Key != page.Key || end.Receipt != "r1" || end.ID == page.ID || end.Incident.State != incident.ResolvedState {
			t.Errorf("%+v", end)
		}
		if len(h.heard()) != 0 || value(t, d, "irdaemon_pages_total", "chat") != 0 {
			t.Errorf("told %q, counted %v", h.heard(), value(t, d, "irdaemon_pages_total", "chat"))
		}
	})
}

func TestATestThatFailsSaysHow(t *testing.T) {
	forbidden := notify.Result{Outcome: notify.Refused, Status: 403, Detail: "403 Forbidden"}
	for what, test := range map[string]struct {
		receiver string
		answer   func(int) notify.Result
		want     notify.Result
		messages int
	}{
		"a page that is refused": {"chat", answers(forbidden), forbidden, 1},
		"an end that is refused": {"chat", answers(done, forbidden), notify.Result{Outcome: notify.Delivered, Status: 200,
			Detail: "the page arrived, but its end did not, so end it there by hand: 403 Forbidden"}, 2},
		"a receiver that isn't there": {"gone", nil, notify.Result{Outcome: notify.Refused, Detail: `there is no receiver "gone" in the settings`}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{answer: test.answer}
			d := start(t, newHouse(), map[string]notify.Receiver{"chat": r})
			if got := d.Test(t.Context(), test.receiver, "alice"); got.Result != test.want || len(r.messages()) != test.messages {
				t.Errorf("%s: %+v, %d messages", what, got, len(r.messages()))
			}
		})
	}
}

func TestAReceiverIsNeverSentTwoThingsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{took: 3 * time.Second}
		for _, id := range []string{"a", "b", "c"} {
			h.add(page(id, "chat", 1))
		}
		d := start(t, h, map[string]notify.Receiver{"chat": r})
		synctest.Wait()
		d.Test(t.Context(), "chat", "alice") // in turn, though pages wait
		pass(time.Minute)
		for i := range r.at[1:] {
			if apart := r.at[i+1].Sub(r.at[i]); apart < 3*time.Second {
				t.Errorf("messages %d and %d are sent %s apart", i, i+1, apart)
			}
		}
		if ids := r.ids(); len(ids) != 5 || slices.Index(ids, "irdaemon-test-test-946684800") > 2 {
			t.Errorf("%q", ids)
		}
	})
}

func TestACallPastTheStoreReachesTheOwnersReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.down = errDeaf
		chat, pager, other := &receiver{answer: answers(busy)}, &receiver{}, &receiver{}
		d := start(t, h, map[string]notify.Receiver{"chat": chat, "pager": pager, "other": other}, func(c *notify.Config) {
			c.Owner = func() []string { return []string{"chat", "pager"} }
		})
		const key = "irdaemon/test/self/store/unkept-946684800"
		if err := d.Call(t.Context(), key, "store", "disk I/O error", false); err != nil {
			t.Fatal(err)
		}
		if err := d.Call(t.Context(), key, "store", "", true); err != nil {
			t.Fatal(err)
		}
		got := pager.messages()
		if len(got) != 2 || len(chat.messages()) != 2 || len(other.messages()) != 0 {
			t.Fatalf("%d, %d and %d messages", len(got), len(chat.messages()), len(other.messages()))
		}
		if m := got[0]; m.Kind != incident.DeliverPage || m.Key != key || m.Title != "irdaemon itself is in trouble: store: disk I/O error" || m.Receipt != "" {
			t.Errorf("%+v", m)
		}
		if m := got[1]; m.Kind != incident.DeliverEnd || m.Key != key || m.Receipt != "r1" || m.Title != "OVER irdaemon itself is in trouble: store" {
			t.Errorf("%+v", m)
		}
		pager.change(0, answers(busy))
		if err := d.Call(t.Context(), key, "store", "disk I/O error", false); err == nil || !strings.Contains(err.Error(), "receiver pager: 503 Service Unavailable") {
			t.Errorf("nobody took it: %v", err)
		}
	})
}

func TestACallWithoutAnOwnersReceiverIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := start(t, newHouse(), nil)
		if err := d.Call(t.Context(), "key", "store", "broken", false); err == nil {
			t.Error("no error")
		}
	})
}

func TestTheStatusTellsHowEachReceiverDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(page("a", "chat", 1), page("b", "chat", 1), page("c", "pager", 1))
		chat := &receiver{answer: answers(busy)}
		began := time.Now()
		d := start(t, h, map[string]notify.Receiver{"chat": chat, "pager": &receiver{}}, func(c *notify.Config) {
			c.Kind = func(name string) string { return map[string]string{"chat": "slack", "pager": "pagerduty"}[name] }
		})
		pass(30 * time.Second)
		want := []notify.ReceiverStatus{
			{Name: "chat", Kind: "slack", LastError: "503 Service Unavailable", FailingSince: began, Waiting: 2},
			{Name: "pager", Kind: "pagerduty", LastDelivered: began},
		}
		if got := d.Status(); !slices.Equal(got, want) {
			t.Errorf("%+v", got)
		}
		chat.change(0, nil)
		pass(time.Minute)
		if got := d.Status()[0]; got.Waiting != 0 || !got.FailingSince.IsZero() || got.LastDelivered.Before(began.Add(30*time.Second)) || got.LastError == "" {
			t.Errorf("when it was back: %+v", got)
		}
	})
}

func TestPolledIsWhenTheOutboxWasLastRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		d := start(t, h, nil)
		pass(10 * time.Second)
		if since := time.Since(d.Polled()); since > time.Second {
			t.Errorf("%s ago", since)
		}
		h.mu.Lock()
		h.down = errDeaf
		h.mu.Unlock()
		pass(time.Minute)
		if since := time.Since(d.Polled()); since < time.Minute-time.Second {
			t.Errorf("%s ago, though it can't be read", since)
		}
	})
}
