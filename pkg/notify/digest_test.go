package notify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

func TestADigestThatIsTriedAgainKeepsItsKeyAndItsIDAsLongAsItsRowsAreTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{answer: answers(busy, busy, busy, done)}
		for i := range 20 {
			h.add(page(fmt.Sprintf("i%02d", i), "chat", 1))
		}
		d := start(t, h, map[string]notify.Receiver{"chat": r}, storms)
		pass(2500 * time.Millisecond)
		tried := len(r.messages())
		for i := range 20 {
			h.add(page(fmt.Sprintf("later%02d", i), "chat", 1))
		}
		d.Wake()
		pass(time.Minute)
		got := r.messages()
		if tried != 2 || len(got) < 4 {
			t.Fatalf("%d attempts, then %q", tried, said(got))
		}
		if got[0].Key != got[1].Key || got[0].ID != got[1].ID || got[0].Resent || !got[1].Resent {
			t.Errorf("tried again: %s %s, then %s %s, resent %v", got[0].Key, got[0].ID, got[1].Key, got[1].ID, got[1].Resent)
		}
		seen := map[string]map[int]bool{}
		for _, m := range got {
			if m.Key != got[0].Key && m.Key != got[len(got)-1].Key {
				t.Errorf("a third key: %s", m.Key)
			}
			if seen[m.ID] == nil {
				seen[m.ID] = map[int]bool{}
			}
			seen[m.ID][m.Digested] = true
		}
		for id, sizes := range seen {
			if len(sizes) != 1 {
				t.Errorf("one id, %s, names digests of %v incidents", id, sizes)
			}
		}
		for _, row := range h.rows {
			if row.state != incident.RowSent {
				t.Errorf("%s is %s", row.ID, row.state)
			}
		}
	})
}

// storms lets six pages through.
func storms(c *notify.Config) { c.Limits = func() notify.Limits { return usual } }

func TestADigestThatKeepsFailingIsToldForEachOfItsPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{answer: answers(busy)}
		for i := range 8 {
			h.add(page(fmt.Sprint(i), "chat", 1))
		}
		start(t, h, map[string]notify.Receiver{"chat": r}, storms)
		pass(3 * time.Minute)
		counts := map[string]int{}
		for _, told := range h.heard() {
			counts[strings.Fields(told)[0]]++
		}
		if counts["awaited"] != 8 || counts["failing"] != 8 || len(counts) != 2 {
			t.Errorf("told %v", counts)
		}
		r.change(0, answers(notify.Result{Outcome: notify.Refused, Status: 403, Detail: "403 Forbidden"}))
		pass(time.Minute)
		for _, row := range h.rows {
			if row.state != incident.RowRefused {
				t.Errorf("%s is %s", row.ID, row.state)
			}
		}
	})
}

func TestADigestLeavesOutWhatSomebodyElseHasAndWhatNobodyNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := newCompany(t, m, "chat")
		r := &receiver{}
		var firings []incident.Firing
		for i := range 10 {
			firings = append(firings, firing("book", fmt.Sprint(i), runbook.Sev2))
		}
		c.fire(firings...)
		for _, row := range m.Rows() {
			if row.Kind == incident.DeliverPage && len(m.denied) < 2 {
				m.denied[row.ID] = true
			}
		}
		c.startOn(map[string]notify.Receiver{"chat": r}, usual)
		synctest.Wait()
		if got := said(r.messages()); !slices.Equal(got, []string{"digest page of 8, sev2"}) {
			t.Errorf("%q", got)
		}

		h, other := newHouse(), &receiver{}
		for i := range 8 {
			h.add(page(fmt.Sprint(i), "chat", 1))
		}
		h.briefings["0-chat-1"] = incident.Briefing{Needless: "it is over"}
		start(t, h, map[string]notify.Receiver{"chat": other}, storms)
		synctest.Wait()
		if got := said(other.messages()); !slices.Equal(got, []string{"digest page of 7, sev2"}) || h.state("0-chat-1") != incident.RowSuperseded {
			t.Errorf("%q", got)
		}
	})
}

func TestAnIncidentOfADigestThatEscalatesComesByItselfAndEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := newCompany(t, m, "chat")
		c.policy.Severities[runbook.Sev2] = incident.SeverityPolicy{Page: true, AcknowledgeWithin: 5 * time.Minute}
		r := &receiver{}
		c.startOn(map[string]notify.Receiver{"chat": r}, usual)
		var firings []incident.Firing
		for i := range 8 {
			firings = append(firings, firing("book", fmt.Sprint(i), runbook.Sev2))
		}
		views := c.fire(firings...)
		pass(time.Minute)
		for _, view := range views[1:] {
			c.do(view.ID, incident.Acknowledge{By: "alice"})
		}
		pass(4*time.Minute + time.Second)
		if err := c.Clock(t.Context()); err != nil { // nobody took the first one: again from the top
			t.Fatal(err)
		}
		pass(time.Minute)
		for _, view := range views {
			c.do(view.ID, incident.Dismiss{By: "alice", Reason: incident.Test})
			pass(time.Second)
		}
		pass(time.Minute)
		c.settled(t, m)
		only := views[0].Group["provider"]
		got := slices.DeleteFunc(said(r.messages()), func(s string) bool { return strings.Contains(s, "notice") })
		want := []string{"digest page of 8, sev2", "page of " + only + ", sev2", "end of " + only + ", sev2", "digest end of 1, sev2"}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestAnEndThatWasWrittenBeforeItsPageCameInADigestEndsTheDigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := newCompany(t, m, "chat")
		r := &receiver{answer: answers(busy)}
		c.startOn(map[string]notify.Receiver{"chat": r}, usual)
		var firings []incident.Firing
		for i := range 8 {
			firings = append(firings, firing("book", fmt.Sprint(i), runbook.Sev2))
		}
		views := c.fire(firings...)
		pass(20 * time.Second)
		for _, view := range views {
			c.do(view.ID, incident.Dismiss{By: "alice", Reason: incident.Test})
		}
		r.change(0, nil)
		before := len(r.messages())
		pass(2 * time.Minute)
		c.settled(t, m)
		got := r.messages()[before:]
		if len(got) != 2 || got[0].Kind != incident.DeliverPage || got[1].Kind != incident.DeliverEnd || got[0].Key != got[1].Key {
			t.Errorf("%q", said(got))
		}
	})
}

func TestOnASlowStoreADigestGoesOutWithWhatIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{}
		for i := range 60 {
			h.add(page(fmt.Sprintf("%02d", i), "chat", 1))
		}
		h.claimTakes = 500 * time.Millisecond
		start(t, h, map[string]notify.Receiver{"chat": r}, storms)
		pass(10 * time.Minute)
		told := 0
		for _, m := range r.messages() {
			told += max(1, m.Digested)
		}
		if told != 60 || len(r.messages()) != 3 {
			t.Errorf("%q", said(r.messages()))
		}
	})
}

func TestProgressOfASingleIncidentOfADigestIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		row := page("a", "chat", 3)
		row.Kind, row.Digest = incident.DeliverProgress, "irdaemon/test/digest/chat/1"
		h, r := newHouse(row), &receiver{}
		d := start(t, h, map[string]notify.Receiver{"chat": r}, storms)
		synctest.Wait()
		if len(r.messages()) != 0 || !slices.Equal(h.heard(), []string{"delivered a-chat-3 in irdaemon/test/digest/chat/1 "}) {
			t.Errorf("%q, told %q", said(r.messages()), h.heard())
		}
		if got := value(t, d, "irdaemon_folded_messages_total", "chat"); got != 1 {
			t.Errorf("%v folded", got)
		}
	})
}

func TestTheEndOfADigestIsRefusedWhereItsReceiverIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		row := end("a", "chat", 3)
		row.Digest = "irdaemon/test/digest/chat/1"
		h := newHouse(row)
		start(t, h, nil, storms)
		pass(time.Minute)
		if got := h.heard(); !slices.Equal(got, []string{`refused a-chat-3: receiver "chat" is not in the settings any more`}) {
			t.Errorf("%q", got)
		}
	})
}

func TestADigestOfNoticesHasALimitOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{}
		for i := range 6 {
			h.add(page(fmt.Sprint("page", i), "chat", 1))
		}
		for i := range 6 {
			row := page(fmt.Sprint("notice", i), "chat", 1)
			row.Kind = incident.DeliverNotice
			h.add(row)
		}
		d := start(t, h, map[string]notify.Receiver{"chat": r}, storms)
		synctest.Wait()
		for _, id := range []string{"x", "y"} {
			row := page(id, "chat", 1)
			row.Kind = incident.DeliverNotice
			h.add(row)
		}
		d.Wake()
		pass(time.Second)
		if got := said(r.messages()); len(got) != 13 || !strings.HasPrefix(got[12], "digest notice of 2") {
			t.Errorf("%q", got)
		}
	})
}

// value is what a counter of a receiver says; the sum, where it has other labels too.
func value(t *testing.T, d *daemon, name, receiver string) float64 {
	t.Helper()
	families, err := d.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		for _, metric := range family.Metric {
			for _, label := range metric.Label {
				if family.GetName() == name && label.GetName() == "receiver" && label.GetValue() == receiver {
					sum += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

func TestPagesInADigestAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{}
		for i := range 10 {
			h.add(page(fmt.Sprint(i), "chat", 1))
		}
		h.views["0"] = incident.View{ID: "0", Class: incident.Drill}
		d := start(t, h, map[string]notify.Receiver{"chat": r}, storms)
		synctest.Wait()
		if got := value(t, d, "irdaemon_pages_total", "chat"); got != 1+9 {
			t.Errorf("counted %v, want the digest and the nine incidents in it", got)
		}
	})
}
