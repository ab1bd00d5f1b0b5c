package notify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
)

// listener is a receiver at whose service people answer.
type listener struct {
	receiver
	heard notify.Heard
	err   error
}

func (l *listener) Hear(header http.Header, _ []byte, _ time.Time) (notify.Heard, error) {
	if header.Get("Signature") != "right" {
		return notify.Heard{}, notify.ErrSignature
	}
	return l.heard, l.err
}

var signed = http.Header{"Signature": {"right"}}

// hears runs a notifier with one such receiver, pd, of the kind pagerduty.
func hears(t *testing.T, h *house, l *listener) *daemon {
	return start(t, h, map[string]notify.Receiver{"pd": l, "deaf": &receiver{}}, func(c *notify.Config) {
		c.Kind = func(string) string { return "pagerduty" }
	})
}

func TestWhatSomebodyDoesAtAServiceIsDoneHere(t *testing.T) {
	trouble := incident.View{ID: "t1", Runbook: "self/blind", Class: incident.Self, State: incident.Triggered}
	over := incident.View{ID: "t2", Runbook: "self/stuck", Class: incident.Self, State: incident.ClosedState}
	standing := []incident.Standing{
		{View: incident.View{ID: "a"}, Round: 3, Key: "irdaemon/test/a/3"},
		{View: incident.View{ID: "b"}, Round: 1, Key: "irdaemon/test/b/1", Digest: "irdaemon/test/digest/pd/1764100000"},
		{View: incident.View{ID: "c"}, Round: 2, Key: "irdaemon/test/c/2", Digest: "irdaemon/test/digest/pd/1764100000"},
		{View: incident.View{ID: "d"}, Round: 1, Key: "irdaemon/test/d/1", Digest: "irdaemon/test/digest/pd/1764100099"},
	}
	took := `incident.Acknowledge{By:"Alice", Via:"pagerduty", Round:%d, Receiver:"pd", Resolved:%v}`
	gave := `incident.Unacknowledge{By:"Alice", Via:"pagerduty"}`
	for what, test := range map[string]struct {
		key, action string
		want        []string
	}{
		"acknowledges a round":               {"irdaemon/test/a/2", notify.HeardAcknowledge, []string{"a: " + fmt.Sprintf(took, 2, false) + " once heard/pd/n1"}},
		"resolves it there":                  {"irdaemon/test/a/3", notify.HeardResolve, []string{"a: " + fmt.Sprintf(took, 3, true) + " once heard/pd/n1"}},
		"gives it back":                      {"irdaemon/test/a/3", notify.HeardUnacknowledge, []string{"a: " + gave + " once heard/pd/n1"}},
		"gives an older round back":          {"irdaemon/test/a/2", notify.HeardUnacknowledge, nil},
		"acknowledges a digest":              {"irdaemon/test/digest/pd/1764100000", notify.HeardAcknowledge, []string{"b: " + fmt.Sprintf(took, 1, false) + " once heard/pd/n1/b", "c: " + fmt.Sprintf(took, 2, false) + " once heard/pd/n1/c"}},
		"acknowledges a digest that is over": {"irdaemon/test/digest/pd/1", notify.HeardAcknowledge, nil},
		"acknowledges the daemon's trouble":  {"irdaemon/test/self/blind/4", notify.HeardAcknowledge, []string{"t1: " + fmt.Sprintf(took, 4, false) + " once heard/pd/n1"}},
		"acknowledges one that is over":      {"irdaemon/test/self/stuck/4", notify.HeardAcknowledge, nil},
		"acknowledges one never kept":        {"irdaemon/test/self/store/unkept-1764100000", notify.HeardAcknowledge, nil},
		"answers another daemon's page":      {"irdaemon/other/a/2", notify.HeardAcknowledge, nil},
		"answers what is nobody's page":      {"irdaemon/test/nonsense", notify.HeardAcknowledge, nil},
		"answers a round that can't be":      {"irdaemon/test/a/0", notify.HeardAcknowledge, nil},
		"answers somebody else's alert":      {"8f3a", notify.HeardResolve, nil},
		"does what concerns nobody":          {"", "", nil},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				h.standing = standing
				h.views = map[string]incident.View{"t1": trouble, "t2": over}
				heard := notify.Heard{ID: "n1", Key: test.key, Action: test.action, By: "Alice", Answer: []byte("{}")}
				d := hears(t, h, &listener{heard: heard})
				for range 2 { // what is heard twice has one idempotency key
					status, answer := d.Hear(t.Context(), "pd", signed, nil)
					if status != http.StatusOK || string(answer) != "{}" {
						t.Errorf("%d %s", status, answer)
					}
				}
				if want := slices.Concat(test.want, test.want); !slices.Equal(h.commands, want) {
					t.Errorf("%q, want %q", h.commands, want)
				}
			})
		})
	}
}

func TestARequestThatIsNotHeardIsAnsweredAccordingly(t *testing.T) {
	heard := notify.Heard{ID: "n1", Key: "irdaemon/test/a/1", Action: notify.HeardAcknowledge, By: "Alice"}
	for what, test := range map[string]struct {
		receiver string
		header   http.Header
		listener *listener
		change   func(*house)
		status   int
		reason   string
	}{
		"an unknown receiver":        {"gone", signed, &listener{}, nil, 404, ""},
		"one that hears nothing":     {"deaf", signed, &listener{}, nil, 404, ""},
		"a wrong signature":          {"pd", http.Header{}, &listener{heard: heard}, nil, 403, "signature"},
		"one not understood":         {"pd", signed, &listener{err: fmt.Errorf("%w: no id", notify.ErrUnheard)}, nil, 202, "unheard"},
		"a secret that is not there": {"pd", signed, &listener{err: errors.New("read the webhook secret: no such file")}, nil, 503, "unready"},
		"a store that is broken":     {"pd", signed, &listener{heard: heard}, func(h *house) { h.down = errDeaf }, 503, "unready"},
		"an incident that is over": {"pd", signed, &listener{heard: heard}, func(h *house) {
			h.answers = map[string]error{"a": &incident.Refusal{Reason: "#42 is resolved", Allowed: "notes are still taken"}}
		}, 200, ""},
		"an incident that isn't there": {"pd", signed, &listener{heard: heard}, func(h *house) {
			h.answers = map[string]error{"a": fmt.Errorf("load incident: %w", incident.ErrNotFound)}
		}, 200, ""},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse()
				d := hears(t, h, test.listener)
				synctest.Wait()
				h.mu.Lock()
				if test.change != nil {
					test.change(h)
				}
				h.mu.Unlock()
				if status, _ := d.Hear(t.Context(), test.receiver, test.header, nil); status != test.status {
					t.Errorf("%d, want %d", status, test.status)
				}
				want := ""
				if test.reason != "" {
					want = fmt.Sprintf(`
						# HELP irdaemon_inbound_rejected_total Requests of receivers' services that were not heard, by receiver and reason: signature, unheard (not understood), unready (a secret or the store can't be read or written now).
						# TYPE irdaemon_inbound_rejected_total counter
						irdaemon_inbound_rejected_total{reason=%q,receiver="pd"} 1
					`, test.reason)
				}
				if err := testutil.GatherAndCompare(d.registry, strings.NewReader(want), "irdaemon_inbound_rejected_total"); err != nil {
					t.Error(err)
				}
				if problems, err := testutil.GatherAndLint(d.registry); err != nil || len(problems) != 0 {
					t.Errorf("%v, %v", problems, err)
				}
			})
		})
	}
}

func TestAServiceDoesNotWaitForTheWorkLongerThanItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse()
		h.slow = 100 * time.Millisecond
		for i := range 100 {
			h.standing = append(h.standing, incident.Standing{View: incident.View{ID: fmt.Sprint(i)}, Round: 1, Digest: "irdaemon/test/digest/pd/1"})
		}
		d := hears(t, h, &listener{heard: notify.Heard{ID: "n1", Key: "irdaemon/test/digest/pd/1", Action: notify.HeardAcknowledge, By: "Alice"}})
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		status, _ := d.Hear(ctx, "pd", signed, nil)
		cancel() // the request is over
		if took := time.Since(began); status != http.StatusOK || took > 2900*time.Millisecond {
			t.Errorf("%d after %s", status, took)
		}
		pass(time.Minute)
		if len(h.commands) != 100 {
			t.Errorf("%d of 100 were taken", len(h.commands))
		}
	})
}

// From the button of a storm's digest to the record.
func TestAnAcknowledgedDigestStopsEveryCallOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		c := newCompany(t, m, "pd")
		l := &listener{}
		d := c.startOn(map[string]notify.Receiver{"pd": l}, usual)
		var firings []incident.Firing
		for i := range 20 {
			firings = append(firings, firing("book", fmt.Sprint(i), "sev2"))
		}
		c.fire(firings...)
		pass(time.Second)
		l.heard = notify.Heard{ID: "n1", Key: l.messages()[0].Key, Action: notify.HeardAcknowledge, By: "Alice"}
		if status, _ := d.Hear(t.Context(), "pd", signed, nil); status != http.StatusOK {
			t.Fatal(status)
		}
		takers := map[string]int{}
		for _, view := range c.views() {
			takers[fmt.Sprintf("%s, calling %v", view.AcknowledgedBy, view.Calling)]++
		}
		if !maps.Equal(takers, map[string]int{"Alice, calling false": 20}) {
			t.Errorf("%v", takers)
		}
		pass(time.Minute)
		for _, m := range l.messages()[1:] {
			if m.Kind == incident.DeliverAcknowledge {
				t.Error("the service is told what it said itself")
			}
		}
	})
}
