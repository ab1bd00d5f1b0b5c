package notify_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/zap/zapcore"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/webhook"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// page is a row for a page of an incident's first round, due now.
func page(incidentID, receiver string, seq int64) incident.Delivery {
	return incident.Delivery{
		ID: fmt.Sprintf("%s-%s-%d", incidentID, receiver, seq), Incident: incidentID, Receiver: receiver, Seq: seq,
		Kind: incident.DeliverPage, Round: 1, Key: "irdaemon/test/" + incidentID + "/1", Causes: []string{incident.CauseOpened},
		Severity: runbook.Sev2, StartedAt: time.Now(), CreatedAt: time.Now(), Due: time.Now(),
	}
}

func end(incidentID, receiver string, seq int64) incident.Delivery {
	d := page(incidentID, receiver, seq)
	d.Kind, d.Causes = incident.DeliverEnd, nil
	return d
}

func TestWhatIsWrittenIsSentAtOnceWhenWokenAndWithinASecondElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{}
		d := start(t, h, map[string]notify.Receiver{"hook": r})
		synctest.Wait()
		h.add(page("a", "hook", 1))
		d.Wake()
		synctest.Wait()
		if got := h.heard(); !slices.Equal(got, []string{"delivered a-hook-1 r1"}) {
			t.Fatalf("woken: %q", got)
		}
		h.add(page("b", "hook", 1))
		pass(time.Second)
		synctest.Wait()
		if got := r.ids(); !slices.Equal(got, []string{"a-hook-1", "b-hook-1"}) {
			t.Errorf("not woken: %q", got)
		}
	})
}

func TestAMessageTellsWhatIsTrueWhenItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(page("a", "hook", 1)), &receiver{}
		view := h.views["a"]
		view.Headline = "it is mended"
		h.views["a"] = view
		start(t, h, map[string]notify.Receiver{"hook": r})
		synctest.Wait()
		m := r.messages()[0]
		if m.Title != "it is mended" || m.Key != "irdaemon/test/a/1" || m.Kind != incident.DeliverPage || m.Resent || !m.SentAt.Equal(time.Now()) {
			t.Errorf("%+v", m)
		}
	})
}

func TestPausesGrowAndAreSpread(t *testing.T) {
	for severity, want := range map[runbook.Severity][]float64{
		runbook.Sev1: {1, 2, 4, 8, 15, 15, 15, 15},
		runbook.Sev2: {1, 2, 4, 8, 15, 15, 15, 15},
		runbook.Sev3: {1, 2, 4, 8, 16, 32, 60, 60},
	} {
		synctest.Test(t, func(t *testing.T) {
			row := page("a", "hook", 1)
			row.Severity = severity
			r := &receiver{answer: answers(busy)}
			start(t, newHouse(row), map[string]notify.Receiver{"hook": r})
			pass(10 * time.Minute)
			exact := 0
			for i, seconds := range want {
				got := r.at[i+1].Sub(r.at[i]).Seconds()
				// It is looked for what is due every second.
				if got < 0.8*seconds || got > 1.2*seconds+1 {
					t.Errorf("%s: pause %d is %.2f s, want %.0f s give or take a fifth", severity, i+1, got, seconds)
				}
				if got == seconds {
					exact++
				}
			}
			if exact == len(want) {
				t.Errorf("%s: no pause is spread", severity)
			}
		})
	}
}

func TestRetryAfterIsHonouredUpToFiveMinutes(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{40 * time.Second: 40 * time.Second, time.Hour: 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			asking := busy
			asking.RetryAfter = asked
			r := &receiver{answer: answers(asking, done)}
			start(t, newHouse(page("a", "hook", 1)), map[string]notify.Receiver{"hook": r})
			pass(10 * time.Minute)
			if got := r.at[1].Sub(r.at[0]); got < want || got > want+time.Second {
				t.Errorf("asked for %s: tried again after %s, want %s", asked, got, want)
			}
		})
	}
}

func TestRowsOfAnIncidentGoToAReceiverInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: answers(busy, busy, busy, done)}
		h := newHouse(end("a", "hook", 9), page("a", "hook", 3))
		start(t, h, map[string]notify.Receiver{"hook": r})
		pass(time.Minute)
		want := []string{"a-hook-3", "a-hook-3", "a-hook-3", "a-hook-3", "a-hook-9"}
		if got := r.ids(); !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
	})
}

func TestAReceiverThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := &receiver{took: time.Hour}, &receiver{}
		h := newHouse()
		for i := range 200 {
			h.add(page(fmt.Sprintf("old%d", i), "slow", 1))
		}
		d := start(t, h, map[string]notify.Receiver{"slow": slow, "quick": quick})
		pass(time.Minute)
		h.add(page("a", "quick", 1))
		d.Wake()
		synctest.Wait()
		if len(quick.messages()) != 1 {
			t.Error("the other receiver waits")
		}
		if at := slow.at; len(at) < 5 || at[1].Sub(at[0]) < 10*time.Second {
			t.Errorf("%d attempts in a minute, want one after another, 10 s each", len(at))
		}
	})
}

func TestASendEndsFiveSecondsBeforeItsClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(page("a", "hook", 1)), &receiver{took: time.Hour}
		start(t, h, map[string]notify.Receiver{"hook": r})
		began := time.Now()
		synctest.Wait()
		if got := h.get("a-hook-1").claimedUntil.Sub(began); got != 15*time.Second {
			t.Errorf("claimed for %s, want 15s", got)
		}
		pass(10 * time.Second)
		synctest.Wait()
		if cause := h.get("a-hook-1").cause; cause != "no answer in time" {
			t.Errorf("after 10 s the row says %q", cause)
		}
	})
}

func TestAfterACrashARowIsSentAgainUnderTheSameKeyAndID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(page("a", "hook", 1)), &receiver{}
		h.deaf = true // the receiver takes it, but nobody lives to write that down
		first := start(t, h, map[string]notify.Receiver{"hook": r})
		synctest.Wait()
		first.stop()
		h.deaf = false
		start(t, h, map[string]notify.Receiver{"hook": r})
		pass(14 * time.Second)
		if len(r.messages()) != 1 {
			t.Fatal("sent again while the claim of the one before stands")
		}
		pass(2 * time.Second)
		m := r.messages()
		if len(m) != 2 || m[1].ID != m[0].ID || m[1].Key != m[0].Key || m[0].Resent || !m[1].Resent || !strings.Contains(m[1].Text, "Sent again") {
			t.Errorf("%+v", m)
		}
		if h.state("a-hook-1") != incident.RowSent {
			t.Errorf("the row is %s", h.state("a-hook-1"))
		}
	})
}

func TestARefusedRowIsSettledAndTheNextOneGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: answers(notify.Result{Outcome: notify.Refused, Status: 403, Detail: "403 Forbidden"}, done)}
		h := newHouse(page("a", "hook", 1), end("a", "hook", 2))
		start(t, h, map[string]notify.Receiver{"hook": r})
		synctest.Wait()
		if got := h.heard(); !slices.Equal(got, []string{"refused a-hook-1: 403 Forbidden", "delivered a-hook-2 "}) {
			t.Errorf("%q", got)
		}
	})
}

func TestAReceiverThatIsGoneFromTheSettingsIsARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(page("a", "pager", 1))
		start(t, h, nil)
		synctest.Wait()
		if got := h.heard(); !slices.Equal(got, []string{`refused a-pager-1: receiver "pager" is not in the settings any more`}) {
			t.Errorf("%q", got)
		}
	})
}

func TestADeliveryThatFailsForTwoMinutesIsToldOnceAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(page("a", "hook", 1)), &receiver{answer: answers(busy)}
		start(t, h, map[string]notify.Receiver{"hook": r})
		pass(9 * time.Second)
		if got := h.heard(); len(got) != 0 {
			t.Errorf("told before ten seconds: %q", got)
		}
		pass(110 * time.Second)
		if got := h.heard(); !slices.Equal(got, []string{"awaited a-hook-1: 503 Service Unavailable"}) {
			t.Errorf("told %q before two minutes, want that it is awaited", got)
		}
		pass(20 * time.Minute)
		if got := h.heard(); !slices.Equal(got, []string{"awaited a-hook-1: 503 Service Unavailable", "failing a-hook-1: 503 Service Unavailable"}) {
			t.Errorf("told %q, want it once", got)
		}
		if tries := len(r.messages()); tries < 60 {
			t.Errorf("%d attempts in 22 minutes", tries)
		}
		r.change(0, answers(done))
		pass(time.Minute)
		if h.state("a-hook-1") != incident.RowSent {
			t.Errorf("the row is %s", h.state("a-hook-1"))
		}
	})
}

func TestAFailureThatBeganBeforeARestartCountsFromItsRow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(page("a", "hook", 1)), &receiver{answer: answers(busy)}
		first := start(t, h, map[string]notify.Receiver{"hook": r})
		pass(100 * time.Second)
		first.stop()
		start(t, h, map[string]notify.Receiver{"hook": r})
		pass(45 * time.Second)
		if got := h.heard(); len(got) != 3 || got[2] != "failing a-hook-1: 503 Service Unavailable" {
			t.Errorf("told %q after 145 s", got)
		}
	})
}

func TestWhatNobodyNeedsAnyMoreIsSettledWithoutBeingSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(page("a", "hook", 1), page("b", "hook", 1)), &receiver{}
		h.briefings["a-hook-1"] = incident.Briefing{Needless: "round 1 is over, and was delivered elsewhere"}
		start(t, h, map[string]notify.Receiver{"hook": r})
		synctest.Wait()
		want := []string{"superseded a-hook-1: round 1 is over, and was delivered elsewhere", "delivered b-hook-1 r1"}
		if got := h.heard(); !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

func TestAReceiverIsOnlyToldWhatItCarries(t *testing.T) {
	everything := incident.Carries{Notices: true, Acknowledgements: true, Progress: true}
	for kind, test := range map[string]struct {
		carries incident.Carries
		without string // why it is left out, by one that carries nothing; empty: it never is
	}{
		incident.DeliverPage:        {incident.Carries{}, ""},
		incident.DeliverEnd:         {incident.Carries{}, ""},
		incident.DeliverNotice:      {incident.Carries{Notices: true}, "this kind of receiver carries no notices"},
		incident.DeliverAcknowledge: {incident.Carries{Acknowledgements: true}, "this kind of receiver carries no acknowledgements"},
		incident.DeliverProgress:    {incident.Carries{Progress: true}, "this kind of receiver carries no progress"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, receivers := newHouse(), map[string]notify.Receiver{}
			lacks := everything
			switch kind {
			case incident.DeliverNotice:
				lacks.Notices = false
			case incident.DeliverAcknowledge:
				lacks.Acknowledgements = false
			case incident.DeliverProgress:
				lacks.Progress = false
			}
			for name, carries := range map[string]incident.Carries{"whole": test.carries, "lacking": lacks} {
				row := page("a", name, 1)
				row.Kind = kind
				h.add(row)
				receivers[name] = &receiver{carries: &carries}
			}
			start(t, h, receivers)
			synctest.Wait()
			got := h.heard()
			slices.Sort(got)
			want := []string{"delivered a-lacking-1 r1", "delivered a-whole-1 r1"}
			if test.without != "" {
				want = []string{"delivered a-whole-1 r1", "superseded a-lacking-1: " + test.without}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q", kind, got)
			}
		})
	}
}

func TestAMessageHasItsThreadItsReceiptAndALinkByWhichAPersonCanTakeIt(t *testing.T) {
	for _, test := range []struct {
		kind  string
		state incident.State
		link  string
	}{
		{incident.DeliverPage, incident.Triggered, "https://irdaemon.example/acknowledge/a-1-hook"},
		{incident.DeliverProgress, incident.Verifying, "https://irdaemon.example/acknowledge/a-1-hook"},
		{incident.DeliverPage, incident.ResolvedState, ""},
		{incident.DeliverNotice, incident.Triggered, ""},
		{incident.DeliverEnd, incident.ResolvedState, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			row := page("a", "hook", 1)
			row.Kind = test.kind
			h, r := newHouse(row), &receiver{}
			view := h.views["a"]
			view.State, view.Class = test.state, incident.Drill
			h.views["a"] = view
			h.briefings[row.ID] = incident.Briefing{Thread: "first", Receipt: "present"}
			start(t, h, map[string]notify.Receiver{"hook": r}, func(c *notify.Config) {
				c.Links = func(incident string, round int, receiver string) string {
					return fmt.Sprintf("https://irdaemon.example/acknowledge/%s-%d-%s", incident, round, receiver)
				}
			})
			synctest.Wait()
			m := r.messages()[0]
			if m.Thread != "first" || m.Receipt != "present" || m.AcknowledgeURL != test.link || !m.Drill {
				t.Errorf("%s while %s: %+v", test.kind, test.state, m)
			}
		})
	}
}

func TestAStopFinishesWhatIsInFlightAndBeginsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{took: 3 * time.Second}
		h := newHouse(page("a", "hook", 1), page("b", "hook", 1))
		d := start(t, h, map[string]notify.Receiver{"hook": r})
		synctest.Wait()
		began := time.Now()
		d.stop()
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("stopped after %s, want 3s", took)
		}
		if got := h.heard(); !slices.Equal(got, []string{"delivered a-hook-1 "}) && !slices.Equal(got, []string{"delivered a-hook-1 r1"}) {
			t.Errorf("%q", got)
		}
		if len(r.messages()) != 1 || h.state("b-hook-1") != incident.RowDue {
			t.Errorf("%d sent, the other row is %s", len(r.messages()), h.state("b-hook-1"))
		}
	})
}

func TestAStopBeginsNothingOfWhatIsDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{took: 100 * time.Millisecond}
		for i := range 20 {
			h.add(page(fmt.Sprint(i), "hook", 1))
		}
		d := start(t, h, map[string]notify.Receiver{"hook": r})
		pass(250 * time.Millisecond)
		d.stop()
		if sent := len(r.messages()); sent != 3 {
			t.Errorf("%d sent, want the three that had begun", sent)
		}
	})
}

func TestWhatIsMoreUrgentWaitsNoLongerThanASecondBehindWhatIsDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(), &receiver{took: 100 * time.Millisecond}
		for i := range 100 {
			h.add(page(fmt.Sprint(i), "hook", 1))
		}
		start(t, h, map[string]notify.Receiver{"hook": r})
		pass(250 * time.Millisecond)
		grave := page("grave", "hook", 1)
		grave.Severity = runbook.Sev1
		h.add(grave)
		added := time.Now()
		pass(20 * time.Second)
		at := slices.Index(r.ids(), grave.ID)
		if waited := r.at[at].Sub(added); waited > time.Second {
			t.Errorf("it waited %s", waited)
		}
	})
}

func TestAfterStandingStillARowIsReadAgainBeforeItIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(page("a", "hook", 1)), &receiver{}
		asleep := time.Duration(0) // suspended: the wall's clock has moved, timers haven't
		h.views["a"] = incident.View{ID: "a", Headline: "before"}
		h.onBrief = func() { // it is read, then the machine sleeps and the incident changes
			h.onBrief = func() { h.views["a"] = incident.View{ID: "a", Headline: "after"} }
			asleep = time.Hour
		}
		d := start(t, h, map[string]notify.Receiver{"hook": r}, func(c *notify.Config) {
			c.Now = func() time.Time { return time.Now().Round(0).Add(asleep) }
		})
		synctest.Wait()
		if len(d.logs.FilterMessage("this process stood still before a send").All()) != 1 {
			t.Fatal("nobody noticed")
		}
		if m := r.messages(); len(m) != 1 || m[0].Title != "after" {
			t.Errorf("%+v", m)
		}
	})
}

func TestTheMostUrgentGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		notice, over, mild, grave := page("a", "hook", 1), end("b", "hook", 1), page("c", "hook", 1), page("d", "hook", 1)
		notice.Kind, grave.Severity, grave.Due = incident.DeliverNotice, runbook.Sev1, time.Now()
		r := &receiver{took: time.Second}
		start(t, newHouse(notice, over, mild, grave), map[string]notify.Receiver{"hook": r})
		pass(10 * time.Second)
		if got, want := r.ids(), []string{"d-hook-1", "c-hook-1", "b-hook-1", "a-hook-1"}; !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
	})
}

func TestABrokenStoreIsLoggedOnceAndNotAskedInACircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(page("a", "hook", 1)), &receiver{}
		h.down = errDeaf
		d := start(t, h, map[string]notify.Receiver{"hook": r})
		pass(time.Minute)
		synctest.Wait()
		if polls := h.polls; polls > 65 {
			t.Errorf("asked %d times in a minute", polls)
		}
		if got := d.logs.FilterMessage("the outbox can't be read: nobody is paged").Len(); got != 1 {
			t.Errorf("logged %d times", got)
		}
		h.mu.Lock()
		h.down = nil
		h.mu.Unlock()
		pass(20 * time.Second)
		if h.state("a-hook-1") != incident.RowSent || d.logs.FilterMessage("the outbox can be read again").Len() != 1 {
			t.Error("not sent when the store was back")
		}
	})
}

func TestRowsThatCanNotBeClaimedAreNotAskedForInACircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, r := newHouse(page("a", "hook", 1)), &receiver{}
		h.claimable = false
		start(t, h, map[string]notify.Receiver{"hook": r})
		pass(time.Minute)
		synctest.Wait()
		if h.polls > 65 || len(r.messages()) != 0 {
			t.Errorf("asked %d times in a minute, sent %d", h.polls, len(r.messages()))
		}
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(page("a", "hook", 1), end("b", "hook", 1), page("c", "gone", 1), page("drill", "hook", 1), page("self", "hook", 1))
		h.views["drill"], h.views["self"] = incident.View{ID: "drill", Class: incident.Drill}, incident.View{ID: "self", Class: incident.Self}
		detected := time.Now().Add(-3 * time.Second)
		h.views["a"] = incident.View{ID: "a", DetectedAt: &detected}
		r := &receiver{answer: answers(busy, done)}
		d := start(t, h, map[string]notify.Receiver{"hook": r})
		pass(100 * time.Millisecond) // a, b, the drill and the trouble are served in the order of their ids
		if problems, err := testutil.GatherAndLint(d.registry); err != nil || len(problems) != 0 {
			t.Errorf("%v, %v", problems, err)
		}
		want := `
			# HELP irdaemon_outbox_oldest_row_age_seconds How long the message that waits longest has been waiting; 0 when none does.
			# TYPE irdaemon_outbox_oldest_row_age_seconds gauge
			irdaemon_outbox_oldest_row_age_seconds 0.1
			# HELP irdaemon_outbox_rows Messages that wait to be delivered.
			# TYPE irdaemon_outbox_rows gauge
			irdaemon_outbox_rows 1
		`
		if err := testutil.GatherAndCompare(d.registry, strings.NewReader(want), "irdaemon_outbox_rows", "irdaemon_outbox_oldest_row_age_seconds"); err != nil {
			t.Error(err)
		}
		pass(time.Minute)
		want = `
			# HELP irdaemon_pages_total Attempts to page, by receiver and outcome: delivered, retry (tried again), refused (for good), superseded (not needed any more), digested (a storm's digest, itself one that was delivered, carried it). Drills and the daemon's own troubles are not counted.
			# TYPE irdaemon_pages_total counter
			irdaemon_pages_total{outcome="delivered",receiver="hook"} 1
			irdaemon_pages_total{outcome="digested",receiver="hook"} 0
			irdaemon_pages_total{outcome="refused",receiver="gone"} 1
			irdaemon_pages_total{outcome="refused",receiver="hook"} 0
			irdaemon_pages_total{outcome="retry",receiver="hook"} 1
			irdaemon_pages_total{outcome="superseded",receiver="hook"} 0
		`
		if err := testutil.GatherAndCompare(d.registry, strings.NewReader(want), "irdaemon_pages_total"); err != nil {
			t.Error(err)
		}
		families, err := d.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if family.GetName() == "irdaemon_page_delivery_delay_seconds" {
				// Detected 3 s before the row was written, tried again after about a second.
				if sum := family.Metric[0].Histogram.GetSampleSum(); family.Metric[0].Histogram.GetSampleCount() != 1 || sum < 3.8 || sum > 5.2 {
					t.Errorf("delays: %v", family.Metric[0].Histogram)
				}
			}
		}
	})
}

// wire is a peer behind a webhook: it notes requests and answers with one status after another.
type wire struct {
	statuses []int
	ids      []string
	times    []string
	verified []error
	oracle   *standardwebhooks.Webhook
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.ids, w.times = append(w.ids, r.Header.Get("webhook-id")), append(w.times, r.Header.Get("webhook-timestamp"))
	w.verified = append(w.verified, w.oracle.Verify(body, r.Header))
	status := w.statuses[min(len(w.ids), len(w.statuses))-1]
	if status == 0 {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, nil
}

func TestThroughAWebhookEveryAttemptIsSignedAnewUnderOneID(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 0o600); err != nil {
		t.Fatal(err)
	}
	oracle, err := standardwebhooks.NewWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &wire{statuses: []int{503, 0, 429, 200}, oracle: oracle}
		h := newHouse(page("a", "hook", 1))
		d := start(t, h, map[string]notify.Receiver{"hook": webhook.New(webhook.Config{
			URL: "http://hook.example/canary", SigningSecretFile: secret, Transport: w,
		})})
		pass(time.Minute)
		if want := []string{"a-hook-1", "a-hook-1", "a-hook-1", "a-hook-1"}; !slices.Equal(w.ids, want) {
			t.Errorf("ids %q", w.ids)
		}
		if len(slices.Compact(slices.Clone(w.times))) != 4 {
			t.Errorf("times %q, want each attempt's own", w.times)
		}
		if !reflect.DeepEqual(w.verified, []error{nil, nil, nil, nil}) {
			t.Errorf("signatures: %v", w.verified)
		}
		if h.state("a-hook-1") != incident.RowSent {
			t.Errorf("the row is %s", h.state("a-hook-1"))
		}
		for _, entry := range d.logs.All() {
			if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, "canary") || strings.Contains(text, "http://") || strings.Contains(text, "whsec") {
				t.Errorf("a log line gives something away: %s", text)
			}
		}
		if got := d.logs.FilterLevelExact(zapcore.WarnLevel).Len(); got != 2 {
			t.Errorf("%d warnings for 3 failed attempts, want the 1st and the 2nd", got)
		}
	})
}
