package notify_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// keeper is a receiver that forgets.
type keeper struct {
	receiver
	reminded [][]notify.Message
	when     []time.Time
	refuses  error
}

func (k *keeper) Every() time.Duration { return time.Minute }

func (k *keeper) Keep(_ context.Context, open []notify.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reminded, k.when = append(k.reminded, open), append(k.when, time.Now())
	return k.refuses
}

// Carries implements notify.Receiver.
func (k *keeper) Carries() incident.Carries { return incident.Carries{} }

// standing is a round of incident a that the receiver has accepted.
func standing(round int) incident.Standing {
	return incident.Standing{
		View:  incident.View{ID: "a", Number: 42, Headline: "it is broken", State: incident.Triggered},
		Round: round, Key: "irdaemon/test/a/1", Severity: runbook.Sev3, StartedAt: time.Now(),
	}
}

func TestAKeeperIsRemindedAtTheStartAndEveryMinuteOfWhatStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, k := newHouse(), &keeper{refuses: errors.New("503")}
		h.standing = []incident.Standing{standing(1)}
		began := time.Now()
		d := start(t, h, map[string]notify.Receiver{"am": k, "hook": &receiver{}})
		pass(3*time.Minute + 30*time.Second)
		if len(k.when) != 4 || !k.when[0].Equal(began) {
			t.Fatalf("reminded at %v, want four times from %v on", k.when, began)
		}
		for i, m := range k.reminded {
			if len(m) != 1 || m[0].Key != "irdaemon/test/a/1" || m[0].Severity != runbook.Sev3 || m[0].Title != "it is broken" || !m[0].SentAt.Equal(k.when[i]) {
				t.Errorf("%+v", m)
			}
		}
		if got := d.logs.FilterMessage("remind a receiver of the open incidents").Len(); got != 4 {
			t.Errorf("%d log lines for 4 failures", got)
		}
		h.mu.Lock()
		h.standing = nil
		h.mu.Unlock()
		pass(5 * time.Minute)
		if len(k.when) != 4 {
			t.Error("reminded of nothing")
		}
	})
}

func TestAKeeperIsNotRemindedWhileADeliveryRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, k := newHouse(), &keeper{}
		h.standing = []incident.Standing{standing(1)}
		d := start(t, h, map[string]notify.Receiver{"am": k})
		pass(58 * time.Second)
		k.change(9*time.Second, nil)
		h.add(end("a", "am", 2))
		d.Wake()
		pass(8 * time.Second)
		h.mu.Lock()
		h.standing = nil // it ended, which is written when the delivery is
		h.mu.Unlock()
		pass(time.Minute)
		if len(k.when) != 1 {
			t.Errorf("reminded at %v: what had ended was lit again", k.when)
		}
	})
}

func TestAPageForAKeeperNamesTheOlderRoundsThatEndWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := standing(1)
		other.View.ID = "b"
		h, k := newHouse(), &keeper{}
		h.standing = []incident.Standing{standing(1), standing(2), standing(3), other}
		row := page("a", "am", 1)
		row.Round = 3
		h.add(row)
		start(t, h, map[string]notify.Receiver{"am": k})
		synctest.Wait()
		var rounds []int
		for _, s := range k.messages()[0].Ends {
			if s.View.ID != "a" || s.Severity != runbook.Sev3 {
				t.Errorf("%+v", s)
			}
			rounds = append(rounds, s.Round)
		}
		if !slices.Equal(rounds, []int{1, 2}) {
			t.Errorf("ends rounds %v, want 1 and 2", rounds)
		}
	})
}

func TestANoticeIsLeftOutWhereWhateverIsSentCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller, hook := page("a", "am", 1), page("a", "hook", 1)
		caller.Kind, hook.Kind = incident.DeliverNotice, incident.DeliverNotice
		h, k, r := newHouse(caller, hook), &keeper{}, &receiver{}
		start(t, h, map[string]notify.Receiver{"am": k, "hook": r})
		synctest.Wait()
		if len(k.messages()) != 0 || len(r.messages()) != 1 || h.state(caller.ID) != incident.RowSuperseded {
			t.Errorf("%d and %d sent, the row is %s", len(k.messages()), len(r.messages()), h.state(caller.ID))
		}
	})
}
