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

var usual = notify.Limits{Pages: 6, PagesIn: 15 * time.Minute, OpenGroups: 50}

// said tells what a receiver got, in short: page 1, digest page 497.
func said(messages []notify.Message) []string {
	var said []string
	for _, m := range messages {
		if len(m.Digest) > 0 {
			said = append(said, fmt.Sprintf("digest %s of %d, %s", m.Kind, m.Digested, m.Severity))
		} else {
			said = append(said, fmt.Sprintf("%s of %s, %s", m.Kind, m.Incident.Group["provider"], m.Severity))
		}
	}
	return said
}

// storm is 500 firings, of which three are sev1.
func storm() []incident.Firing {
	var firings []incident.Firing
	for i := range 500 {
		severity := []runbook.Severity{runbook.Sev2, runbook.Sev3}[i%2]
		if i%200 == 7 {
			severity = runbook.Sev1
		}
		firings = append(firings, firing("good-users-refused", fmt.Sprintf("p%03d", i), severity))
	}
	return firings
}

func TestAStormIsOneMessageForEachReceiverAndNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := newCompany(t, m, "chat", "pager")
		down := func(int) notify.Result { return busy }
		chat, pager := &receiver{}, &receiver{answer: down}
		c.startOn(map[string]notify.Receiver{"chat": chat, "pager": pager}, usual)
		views := c.fire(storm()...)
		pass(time.Second)
		whole := []string{"page of p007, sev1", "page of p207, sev1", "page of p407, sev1", "digest page of 497, sev2"}
		singly := slices.Sorted(slices.Values(said(chat.messages())))
		if want := slices.Sorted(slices.Values(whole)); !slices.Equal(singly, want) {
			t.Fatalf("chat got %q", said(chat.messages()))
		}
		if last := chat.messages()[3]; len(last.Digest) != 50 || last.Digest[0].Severity != runbook.Sev2 || last.Incident.ID != last.Digest[0].ID ||
			!strings.HasPrefix(last.Key, "irdaemon/test/digest/chat/") || len(last.Text) > 6000 {
			t.Errorf("the digest: key %s, %d listed, %d bytes", last.Key, len(last.Digest), len(last.Text))
		}
		pass(3 * time.Minute)
		failed := pager.messages()
		for _, m := range failed {
			if len(m.Digest) == 0 && m.Severity != runbook.Sev1 {
				t.Fatalf("pager was tried with a single %s", m.Severity)
			}
		}
		pager.change(0, nil)
		pass(time.Minute)
		got := slices.DeleteFunc(pager.messages()[len(failed):], func(m notify.Message) bool { return m.Kind == incident.DeliverNotice })
		if again := slices.Sorted(slices.Values(said(got))); !slices.Equal(again, slices.Sorted(slices.Values(whole))) {
			t.Errorf("pager got %q when it was back", again)
		}
		c.settled(t, m)

		for _, view := range views {
			c.do(view.ID, incident.Acknowledge{By: "alice", Via: "api"})
		}
		pass(time.Minute)
		for _, view := range views {
			c.do(view.ID, incident.Dismiss{By: "alice", Reason: incident.Test})
		}
		pass(time.Minute)
		c.settled(t, m)
		for name, r := range map[string]*receiver{"chat": chat, "pager": pager} {
			counts := map[string]int{}
			var key string
			for _, m := range r.messages()[len(failed)*map[string]int{"pager": 1}[name]:] {
				what := "single " + m.Kind
				if len(m.Digest) > 0 {
					what = "digest " + m.Kind
				}
				if len(m.Digest) > 0 && m.Kind != incident.DeliverNotice {
					if key != "" && key != m.Key {
						t.Errorf("%s: %s under %s, the page was under %s", name, what, m.Key, key)
					}
					key = m.Key
				}
				counts[what]++
			}
			want := map[string]int{
				"single page": 3, "digest page": 1, "single acknowledge": 3, "digest acknowledge": 1, "single end": 3, "digest end": 1,
				"single notice": 3, "digest notice": 1, // of updates that fall due
			}
			if fmt.Sprint(counts) != fmt.Sprint(want) {
				t.Errorf("%s got %v, want %v", name, counts, want)
			}
		}
	})
}

func TestPagesComeSinglyWithinTheLimitThenAtMostOnceAMinuteAndNeverLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := newCompany(t, m, "chat")
		r := &receiver{}
		c.startOn(map[string]notify.Receiver{"chat": r}, usual)
		opened := map[string]time.Time{}
		var firings []incident.Firing
		for i := range 60 { // one every ten seconds
			firings = append(firings, firing(fmt.Sprintf("book%02d", i), fmt.Sprintf("p%02d", i), runbook.Sev2))
			for _, view := range c.fire(firings...) {
				if opened[view.ID].IsZero() {
					opened[view.ID] = time.Now()
				}
			}
			pass(10 * time.Second)
		}
		pass(time.Minute)
		c.settled(t, m)
		var digests []time.Time
		told := 0
		for i, message := range r.messages() {
			if message.Kind != incident.DeliverPage {
				continue
			}
			about := max(1, message.Digested)
			if told < 6 && about > 1 {
				t.Errorf("page %d is a digest", told)
			}
			if told >= 6 {
				digests = append(digests, r.at[i])
			}
			told += about
			for _, view := range append(slices.Clone(message.Digest), message.Incident) {
				if waited := r.at[i].Sub(opened[view.ID]); waited > time.Minute+time.Second {
					t.Errorf("%s waited %s", view.Group["provider"], waited)
				}
			}
		}
		if told != 60 || len(digests) > 12 {
			t.Errorf("%d incidents told, %d messages beyond the limit", told, len(digests))
		}
		for i := range digests[1:] {
			if apart := digests[i+1].Sub(digests[i]); apart < time.Minute {
				t.Errorf("two digests %s apart", apart)
			}
		}
	})
}

func TestTheLimitOfPagesSlides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{}
		d := start(t, h, map[string]notify.Receiver{"chat": r}, func(c *notify.Config) {
			c.Limits = func() notify.Limits { return notify.Limits{Pages: 2, PagesIn: 15 * time.Minute} }
		})
		for i := range 4 {
			h.add(page(fmt.Sprint(i), "chat", 1))
			d.Wake()
			pass(8 * time.Minute)
		}
		pass(8 * time.Minute)
		for _, pair := range []string{"x", "y"} { // 16 minutes after the last one, then at once
			h.add(page(pair+"1", "chat", 1), page(pair+"2", "chat", 1))
			d.Wake()
			pass(time.Second)
		}
		want := []string{"page", "page", "page", "page", "page", "page", "digest page of 2"}
		got := said(r.messages())
		for i := range want {
			if len(got) != len(want) || !strings.HasPrefix(got[i], want[i]) {
				t.Fatalf("%q", got)
			}
		}
	})
}

func TestAPageThatWouldBeAloneInItsDigestIsSentAsWhatItIsAndTakesItsMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(page("a", "chat", 1)), &receiver{answer: answers(done, busy, done)}
		d := start(t, h, map[string]notify.Receiver{"chat": r}, func(c *notify.Config) {
			c.Limits = func() notify.Limits { return notify.Limits{Pages: 1, PagesIn: time.Hour} }
		})
		for _, id := range []string{"b", "c"} {
			pass(10 * time.Second)
			h.add(page(id, "chat", 1))
			d.Wake()
		}
		pass(time.Hour / 2)
		var keys []string
		for _, m := range r.messages() {
			keys = append(keys, m.Key)
		}
		if want := []string{"irdaemon/test/a/1", "irdaemon/test/b/1", "irdaemon/test/b/1", "irdaemon/test/c/1"}; !slices.Equal(keys, want) {
			t.Fatalf("%q", keys)
		}
		if again := r.at[2].Sub(r.at[1]); again > 3*time.Second {
			t.Errorf("what had failed waited %s", again)
		}
		if apart := r.at[3].Sub(r.at[1]); apart < time.Minute || apart > time.Minute+3*time.Second {
			t.Errorf("the next one came %s later", apart)
		}
	})
}

func TestSev1AndTheDaemonsOwnTroublesNeverWaitInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{}
		for i := range 30 {
			row := page(fmt.Sprintf("%02d", i), "chat", 1)
			row.Severity = runbook.Sev1
			h.add(row)
		}
		self := page("trouble", "chat", 1)
		self.Key = "irdaemon/test/self/blind/1"
		h.add(self, page("x", "chat", 1), page("y", "chat", 1))
		start(t, h, map[string]notify.Receiver{"chat": r}, storms)
		synctest.Wait()
		got := r.messages()
		if len(got) != 32 || len(got[31].Digest) != 2 {
			t.Fatalf("%q", said(got))
		}
		for _, m := range got[:31] {
			if len(m.Digest) > 0 {
				t.Errorf("%s stands in a digest", m.Key)
			}
		}
	})
}

func TestARunbookWithTooManyOpenIncidentsComesInDigestsAndHoldsNoOtherUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := newCompany(t, m, "chat")
		r := &receiver{}
		limits := notify.Limits{Pages: 100, PagesIn: time.Hour, OpenGroups: 3}
		c.startOn(map[string]notify.Receiver{"chat": r}, limits)
		var firings []incident.Firing
		for i := range 4 {
			firings = append(firings, firing("flood", fmt.Sprint("f", i), runbook.Sev2))
		}
		c.fire(append(firings, firing("other", "o", runbook.Sev3))...)
		pass(time.Second)
		if got := said(r.messages()); !slices.Equal(got, []string{"page of o, sev3", "digest page of 4, sev2"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestWithoutLimitsAndForAKeeperEveryPageComesSingly(t *testing.T) {
	for name, r := range map[string]interface {
		notify.Receiver
		messages() []notify.Message
	}{"no limits": &receiver{}, "keeper": &keeper{}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse()
			for i := range 20 {
				h.add(page(fmt.Sprint(i), "am", 1))
			}
			start(t, h, map[string]notify.Receiver{"am": r}, func(c *notify.Config) {
				if name == "keeper" {
					storms(c)
				}
			})
			synctest.Wait()
			if got := r.messages(); len(got) != 20 {
				t.Errorf("%s: %q", name, said(got))
			}
		})
	}
}
