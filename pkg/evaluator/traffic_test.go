package evaluator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// shares is a runbook that opens when the share of refusals is above 15% for ten minutes, and recovers when it is below
// 6% for fifteen. Its incidents have a service.
func shares(change ...func(*runbook.Snapshot)) *runbook.Snapshot {
	return book("shares", append([]func(*runbook.Snapshot){func(s *runbook.Snapshot) {
		s.Signals = map[string]*triggers.Signal{"refusal_rate": {
			Name: "refusal_rate", Unit: triggers.Ratio, Range: 5 * time.Minute, HasRange: true, Numerator: "refused", Denominator: "chats",
		}}
		s.Runbook.Service = "bot"
		trigger := above("refusal_rate", 0.15, 10*time.Minute)
		trigger.Where = map[string][]string{"tier": {"paid"}}
		s.Runbook.Trigger = condition(trigger)
		s.Runbook.Recovery.Key.Clause = pointer(condition(&triggers.Condition{
			Signal: "refusal_rate", Where: map[string][]string{"tier": {"paid"}}, Comparison: triggers.Below, Limit: 0.06,
		}))
	}}, change...)...)
}

// daysLater shifts a metric that is written for the bubble's first day; before, it is what it was at midnight.
func daysLater(days int, m metric) metric {
	return func(t time.Time) (float64, bool) { return m(t.Add(-time.Duration(days) * 24 * time.Hour)) }
}

// either is one metric until a day, and another one from then on.
func either(days int, before, after metric) metric {
	return func(t time.Time) (float64, bool) {
		if t.Before(at("00:00:00").Add(time.Duration(days) * 24 * time.Hour)) {
			return before(t)
		}
		return after(t)
	}
}

// chats are those of a service in five minutes: of two tiers, a third and two thirds of them; the share is of paid ones.
func chats(all, share metric) map[string]metric {
	part := func(of float64) metric { return all.times(of) }
	refused := func(t time.Time) (float64, bool) {
		n, known := part(1.0 / 3)(t)
		s, _ := share(t)
		return n * s, known
	}
	return map[string]metric{
		"refused{service=bot,tier=paid}": refused, "chats{service=bot,tier=paid}": part(1.0 / 3),
		"refused{service=bot,tier=free}": always(0), "chats{service=bot,tier=free}": part(2.0 / 3),
		"refused{service=other,tier=paid}": always(0), "chats{service=other,tier=paid}": always(1e6),
	}
}

const harm = "0.04 02:00:00 0.40 02:40:00 0.02"

func TestTheTrafficOfAHold(t *testing.T) {
	undisturbed := []string{"02:10:00 opened", "02:40:00 hold_started", "02:50:00 trigger_cleared", "02:55:00 resolved"}
	// Of the three points of a hold, five minutes apart, two are of the time after 02:40 from 02:45 on.
	stands := append(slices.Clone(undisturbed[:3]), "03:00:00 hold_broken", "03:00:15 hold_started", "03:15:30 hold_broken", "03:15:45 hold_started")
	const day = 8 // so that there is a week before
	plenty := always(30_000)
	leave := daysLater(day, steps("30000 02:40:00 3000"))
	night := daysLater(day, steps("30000 02:30:00 6000"))
	nightBefore := daysLater(day-7, steps("30000 02:30:00 6000"))
	for _, test := range []struct {
		name   string
		all    metric
		normal string // events a second before impact
		want   []string
	}{
		{"stays", plenty, "100", undisturbed},
		{"falls to a tenth as users leave: the clock stands, and the hold breaks", leave, "100", stands},
		{"falls as it did at the same time a week before, for night falls", either(day-3, nightBefore, night), "100", undisturbed},
		{"falls without any history: the hour before impact counts", either(day, func(time.Time) (float64, bool) { return 0, false }, leave), "100", stands},
		{"is low for ten minutes: they pause the hold", daysLater(day, steps("30000 02:40:00 3000 02:50:00 30000")), "100",
			append(slices.Clone(undisturbed[:3]), "03:05:00 resolved")},
	} {
		for stop, restart := range map[string][]string{"never stopped": nil, "stopped in the hold": {"02:47:05", "02:48:20"}, "stopped at its end": {"02:54:50", "02:56:10"}} {
			bubble(t, test.name+", "+stop, func(t *testing.T) {
				w := newWorld(t, chats(test.all, daysLater(day, steps(harm))), shares())
				time.Sleep(day * 24 * time.Hour)
				for i := 0; i < len(restart); i += 2 {
					w.start()
					time.Sleep(time.Until(at(restart[i]).Add(day * 24 * time.Hour)))
					w.stop()
					time.Sleep(time.Until(at(restart[i+1]).Add(day * 24 * time.Hour)))
				}
				w.start()
				time.Sleep(time.Until(at("03:30:05").Add(day * 24 * time.Hour)))
				w.stop()
				w.wantEvents(test.want...)
				equal(t, "normal", fmt.Sprintf("%.0f", *w.one().Normal), test.normal)
			})
		}
	}
}

func TestTheTrafficIsAskedFor(t *testing.T) {
	bubble(t, "once a tick while an incident is open, once an hour of a week before, and before impact once whatever fires", func(t *testing.T) {
		metrics := chats(always(30_000), steps(harm))
		w := newWorld(t, metrics, shares(), shares(func(s *runbook.Snapshot) {
			s.Runbook.Name = "others"
			s.Runbook.GroupBy = []string{"tier"}
		}))
		w.play("04:00:00")
		equal(t, "findings", len(w.one().Findings), 2)
		instants, ranges := w.source.asked("chats", at("00:00:15"))
		equal(t, "instants: one a tick", len(instants), 959)
		var asked []string
		for _, r := range ranges {
			asked = append(asked, fmt.Sprintf("%s: %s to %s", r.asked.Format(time.TimeOnly), r.from.Format("02 15:04:05"), r.to.Format("02 15:04:05")))
		}
		slices.Sort(asked)
		equal(t, "ranges", strings.Join(asked, "\n"), strings.Join([]string{
			"02:10:00: 01 01:00:00 to 01 02:00:00", // before impact
			"02:10:15: 01 01:00:00 to 01 02:10:15", // for the recovery bands
			"02:10:15: 01 01:55:15 to 01 02:10:15", // of a hold
			"02:10:15: 25 01:55:00 to 25 03:10:00", // of a week before
		}, "\n"))
	})
	bubble(t, "in vain a week before: the hour before impact counts", func(t *testing.T) {
		w := newWorld(t, chats(steps("30000 02:40:00 3000"), steps(harm)), shares())
		w.source.fault = func(q query) error {
			if q.to.Before(at("00:00:00").Add(-24 * time.Hour)) {
				return &source.Error{Reason: source.Timeout, Expr: q.expr, Detail: "no answer"}
			}
			return nil
		}
		w.play("02:47:05")
		equal(t, "blind", w.evaluator.Status().Blind(), []string{})
		equal(t, "told", w.logs.FilterMessageSnippet("stands in").Len(), 1)
		sleepUntil("02:48:20")
		w.play("03:10:05")
		w.wantEvents("02:10:00 opened", "02:40:00 hold_started", "02:50:00 trigger_cleared", "03:00:00 hold_broken", "03:00:15 hold_started")
	})
	for traffic, want := range map[string][]string{
		"calls": {"00:30:00 opened", "00:40:00 hold_started", "00:50:00 trigger_cleared", "01:00:00 hold_broken", "01:00:15 hold_started"},
		"":      {"00:30:00 opened", "00:40:00 hold_started", "00:50:00 trigger_cleared", "00:55:00 resolved"},
	} {
		bubble(t, fmt.Sprintf("of a query by what is written beside it: %q", traffic), func(t *testing.T) {
			metrics := map[string]metric{"refusals": steps("1 00:20:00 9 00:40:00 1"), "calls": steps("900 00:40:00 30")}
			w := newWorld(t, metrics, book("one", func(s *runbook.Snapshot) { s.Signals["refusals"].Traffic = traffic }))
			w.play("01:10:05")
			w.wantEvents(want...)
		})
	}
}
