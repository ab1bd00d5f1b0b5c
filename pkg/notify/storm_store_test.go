package notify_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/store"
)

// On a real store, in real time: 500 pages for a receiver are claimed, sent as one message and settled within seconds. On a
// machine that is too busy for that they come in two.
func TestAStormIsSettledWithinSecondsOnTheStore(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "store.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c := newCompany(t, s, "chat", "pager")
	chat, pager := &receiver{}, &receiver{answer: answers(busy, busy, busy, busy, done)}
	began := time.Now()
	c.fire(storm()...)
	opened := time.Now()
	d := c.startOn(map[string]notify.Receiver{"chat": chat, "pager": pager}, usual)
	const patience = 3 * time.Minute
	for pages := 1; pages > 0; time.Sleep(50 * time.Millisecond) {
		if pages, _, err = s.Pages(t.Context()); err != nil {
			t.Fatal(err)
		}
		if time.Since(opened) > patience {
			t.Fatalf("%d pages wait after %s", pages, patience)
		}
	}
	d.stop()
	t.Logf("opened in %s, settled in %s", opened.Sub(began), time.Since(opened))
	for name, r := range map[string]*receiver{"chat": chat, "pager": pager} {
		told, sizes := map[string]bool{}, map[string]int{}
		for _, m := range r.messages() {
			told[m.Incident.ID] = true
			if m.Digested > 0 {
				sizes[m.Key] = m.Digested
			}
		}
		if len(sizes) == 0 || len(sizes) > 2 {
			t.Errorf("%s: digests of %v", name, sizes)
		}
		standing, err := c.Standing(t.Context(), name)
		if err != nil || len(standing) != 500 {
			t.Errorf("%s: %d rounds stand there, %v", name, len(standing), err)
		}
		for _, one := range standing {
			if one.Digest == "" && !told[one.View.ID] {
				t.Errorf("%s never got %s", name, one.View.Group["provider"])
			}
		}
	}
}
