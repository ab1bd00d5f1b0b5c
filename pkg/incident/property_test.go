package incident

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// drawTruth draws what can be known of a while: runs of ticks that are alike, mostly healthy, firing or unseen.
func drawTruth(t *rapid.T, ticks int) []FindingObservation {
	var points []FindingObservation
	for len(points) < ticks {
		o := drawObservation(t)
		for range rapid.IntRange(1, 20).Draw(t, "alike") {
			points = append(points, o)
		}
	}
	return points[:ticks]
}

func drawObservation(t *rapid.T) FindingObservation {
	held := BandObservation{State: BandHeld}
	o := FindingObservation{Trigger: triggers.Clear, Severity: runbook.Sev3, Bands: [3]BandObservation{held, held, {State: BandNone}}}
	switch rapid.SampledFrom([]string{"healthy", "healthy", "firing", "mixed"}).Draw(t, "what") {
	case "firing":
		o.Trigger = triggers.Fires
		o.Bands[0].State = BandMissed
	case "mixed":
		o.Trigger = rapid.SampledFrom([]triggers.State{triggers.Clear, triggers.Elevated, triggers.Fires, triggers.StateUnknown}).Draw(t, "trigger")
		for band := range 2 {
			o.Bands[band].State = rapid.SampledFrom([]BandState{BandHeld, BandHeld, BandMissed, BandEmpty, BandUnknown}).Draw(t, "band")
		}
	}
	o.Severity = rapid.SampledFrom([]runbook.Severity{"", runbook.Sev4, runbook.Sev3, runbook.Sev3, runbook.Sev2, runbook.Sev1}).Draw(t, "severity")
	if o.Trigger == triggers.Fires {
		for _, tier := range rapid.SampledFrom([][]string{{"paid"}, {"free"}, {"paid", "free"}}).Draw(t, "segments") {
			o.Breaches = append(o.Breaches, Breach{Condition: "refused", Segment: labels.FromStrings("tier", tier)})
		}
		if o.Severity == "" {
			o.Severity = runbook.Sev4
		}
	}
	if o.Trigger == triggers.StateUnknown {
		o.Unknown = append(o.Unknown, Missing{What: "trigger"})
	}
	for band, b := range o.Bands {
		if b.State == BandUnknown {
			o.Unknown = append(o.Unknown, Missing{What: BandNames[band]})
		}
	}
	return o
}

// quick is a world in which much happens in few ticks: a hold of 3m, blind after 1m, unverified after 10m.
func quick(t *rapid.T, points []FindingObservation) *world {
	began := clockTime("14:00")
	w := newWorld(t, began, func(at time.Time) FindingObservation {
		i := int(at.Sub(began)/interval) - 1
		if i < 0 || i >= len(points) {
			return FindingObservation{Unknown: []Missing{{What: "trigger"}}}
		}
		o := points[i]
		o.Unknown = slices.Clone(o.Unknown)
		return o
	})
	w.snapshot.Runbook.Recovery.Hold, w.snapshot.Runbook.Recovery.Timeout = 3*time.Minute, 10*time.Minute
	w.snapshot.Runbook.Recovery.Key.Clause.Condition.AtLeast = 0.8
	w.snapshot.Runbook.Recovery.Business = runbook.Band{None: "nothing measures it"}
	w.policy.BlindAfter = time.Minute
	for severity, policy := range w.policy.Severities {
		policy.AcknowledgeWithin /= 5
		w.policy.Severities[severity] = policy
	}
	w.told = func(r *Record, events []Event) { checkCommit(w, r, events) }
	return w
}

// checkCommit holds the laws that every commit must keep.
func checkCommit(w *world, r *Record, events []Event) {
	stored, err := w.store.Events(w.t.Context(), r.ID, 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	if got, want := asJSON(w.t, Fold(stored)), asJSON(w.t, r); got != want {
		w.t.Fatalf("the events add up to\n %s\nthe record is\n %s", got, want)
	}
	paged := 0
	for i, e := range stored {
		if e.Seq != int64(i+1) {
			w.t.Fatalf("event %d has seq %d", i+1, e.Seq)
		}
	}
	before := stored[:len(stored)-len(events)]
	for _, e := range events {
		checkEvent(w, Fold(before), e)
		before = append(slices.Clone(before), e)
		if e.Body.Kind() == "paged" {
			paged++
		}
	}
	if paged > 1 {
		w.t.Fatalf("%d pages in one commit", paged)
	}
	checkRecord(w, r)
}

// checkEvent holds the laws of single events; r is the record before it.
func checkEvent(w *world, r *Record, e Event) {
	switch b := e.Body.(type) {
	case SeverityRaised:
		if !b.To.Worse(r.Severity) {
			w.t.Fatalf("raised from %s to %s", r.Severity, b.To)
		}
	case Paged:
		newRound := r.Round == nil || b.Round != r.Round.N
		if newRound && r.Round != nil && (b.Round != r.Round.N+1 || b.Key == r.Round.Key) {
			w.t.Fatalf("round %+v after %+v", b, r.Round)
		}
		if !w.policy.Severities[r.Severity].Page {
			w.t.Fatalf("paged at %s, which doesn't page", r.Severity)
		}
		if newRound && r.Round != nil && r.Round.Calling && b.Step < r.Round.Reached {
			w.t.Fatalf("the ladder fell back from step %d to %d", r.Round.Reached, b.Step)
		}
	case Resolved:
		checkResolved(w, r, e.At)
	}
}

// checkResolved judges a resolution by the truth alone.
func checkResolved(w *world, r *Record, at time.Time) {
	since, now := r.Hold.Since, w.truth(at)
	if now.Trigger != triggers.Clear || now.Bands[0].State != BandHeld || now.Bands[1].State == BandMissed || now.Bands[1].State == BandUnknown {
		w.t.Fatalf("resolved at %s, at which %+v", at, now)
	}
	var elapsed, paused time.Duration
	missed := [2]int{}
	for tick := since; !tick.After(at); tick = tick.Add(interval) {
		o := w.truth(tick)
		if o.Trigger == triggers.Fires {
			w.t.Fatalf("the trigger fired at %s, within the hold since %s", tick, since)
		}
		if tick.Equal(since) {
			continue
		}
		out, unseen := false, false
		for band := range missed {
			if o.Bands[band].State == BandMissed {
				missed[band]++
				out = true
			}
			unseen = unseen || o.Bands[band].State == BandUnknown
		}
		if unseen && !out {
			paused += interval
		} else {
			elapsed += interval
		}
	}
	if hold := 3 * time.Minute; elapsed < hold || paused > hold || missed[0] > 2 || missed[1] > 0 || since.Before(r.Floor) {
		w.t.Fatalf("resolved at %s: since %s, floor %s, elapsed %s, paused %s, missed %v", at, since, r.Floor, elapsed, paused, missed)
	}
}

// checkRecord holds the laws of what events add up to.
func checkRecord(w *world, r *Record) {
	calling := r.Round != nil && r.Round.Calling
	pages := w.policy.Severities[r.Severity].Page
	switch {
	case r.Severity.Worse(r.Peak):
		w.t.Fatalf("severity %s is worse than the peak %s", r.Severity, r.Peak)
	case r.Open() && pages && r.Acknowledged == nil && !calling && len(r.Owed) == 0:
		w.t.Fatalf("open, and nobody is called: %+v", r)
	case calling && (r.Round.NextAt.IsZero() || r.Round.NextAt.After(w.now.Add(time.Hour))):
		w.t.Fatalf("calling, and the next call is at %s, now is %s", r.Round.NextAt, w.now)
	case !r.Open() && (calling || r.Hold != nil || len(r.Owed) > 0 || r.Blind != nil || r.Round != nil && !r.Round.NextAt.IsZero()):
		w.t.Fatalf("ended, and something goes on: %s", asJSON(w.t, r))
	}
	ordered := []time.Time{r.ImpactStartedAt, r.BreachBegan, r.OpenedAt, r.DetectedAt}
	if !slices.IsSortedFunc(ordered, time.Time.Compare) || !r.PagedAt.IsZero() && r.PagedAt.Before(r.DetectedAt) ||
		!r.AcknowledgedAt.IsZero() && r.AcknowledgedAt.Before(r.DetectedAt) || r.ImpactEndedAt.After(r.ResolvedAt) {
		w.t.Fatalf("times out of order: %s", asJSON(w.t, r))
	}
}

// disturb does what people, receivers and bad luck do between two ticks.
func disturb(t *rapid.T, w *world) {
	for range rapid.IntRange(0, 2).Draw(t, "disturbances") {
		w.now = w.now.Add(time.Second)
		switch rapid.SampledFrom([]string{"clock", "kill", "acknowledge", "unacknowledge", "note", "send", "send", "refuse", "late", "supersede"}).Draw(t, "what") {
		case "clock":
			must(t, w.desk.Clock(t.Context()))
		case "kill":
			w.restart()
		case "acknowledge":
			commandAny(t, w, Acknowledge{By: rapid.SampledFrom([]string{"alice", "bob"}).Draw(t, "who")})
		case "unacknowledge":
			commandAny(t, w, Unacknowledge{By: "alice"})
		case "note":
			commandAny(t, w, Note{By: "alice", Text: "looking"})
		case "send":
			settle(t, w, func(d Delivery) error { return w.desk.Delivered(t.Context(), d, "") })
		case "refuse":
			settle(t, w, func(d Delivery) error { return w.desk.Failed(t.Context(), d, "404", true) })
		case "late":
			settle(t, w, func(d Delivery) error { return w.desk.Failed(t.Context(), d, "503", false) })
		case "supersede":
			settle(t, w, func(d Delivery) error { return w.desk.Superseded(t.Context(), d, "taken") })
		}
	}
}

func commandAny(t *rapid.T, w *world, c Command) {
	open, err := w.desk.Open(t.Context())
	must(t, err)
	if len(open) > 0 {
		_, err = w.desk.Command(t.Context(), open[0].ID, c, Idempotency{})
		must(t, err)
	}
}

func must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// settle handles the first row that is due: a page as is said, while every other message is accepted.
func settle(t *rapid.T, w *world, page func(Delivery) error) bool {
	for _, row := range w.store.Rows() {
		if row.State != RowDue {
			continue
		}
		if row.Kind == DeliverPage {
			must(t, page(row.Delivery))
		} else {
			must(t, w.desk.Delivered(t.Context(), row.Delivery, ""))
		}
		return true
	}
	return false
}

// checkEndings drains the outbox and counts: who accepted a page under a key that nothing ended there got one ending,
// and nobody else got one.
func checkEndings(t *rapid.T, w *world) {
	for settle(t, w, func(d Delivery) error { return w.desk.Delivered(t.Context(), d, "") }) {
	}
	records, _, err := w.store.List(t.Context(), Filter{})
	must(t, err)
	for _, r := range records {
		want, got := map[string]int{}, map[string]int{}
		for _, receipt := range r.Pages {
			if !receipt.Ended && !r.Open() {
				want[receipt.Receiver+" "+receipt.Key]++
			}
		}
		for _, row := range w.store.Rows() {
			if row.Kind == DeliverEnd && row.State == RowSent && row.Incident == r.ID {
				got[row.Receiver+" "+row.Key]++
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("incident #%d: endings %v, want %v; all:\n%s", r.Number, got, want, w.everything())
		}
	}
}

// checkHomes holds that a finding stands in at most one open incident, and after a tick a firing in one.
func checkHomes(t *rapid.T, w *world, at time.Time) {
	open, err := w.desk.Open(t.Context())
	must(t, err)
	if len(open) > 1 {
		t.Fatalf("%d open incidents of one finding", len(open))
	}
	if len(open) == 0 && w.truth(at).Trigger == triggers.Fires {
		t.Fatalf("it fires at %s, and no incident is open", at)
	}
}

// found is what the ticks found, over all incidents: the events that only a tick adds.
func found(t *rapid.T, w *world) []string {
	records, _, err := w.store.List(t.Context(), Filter{})
	must(t, err)
	var lines []string
	for _, r := range records {
		events, err := w.store.Events(t.Context(), r.ID, 0, 0)
		must(t, err)
		for _, e := range events {
			if tickKinds[e.Body.Kind()] {
				lines = append(lines, fmt.Sprintf("%s %s %s %s", r.ID, e.ID, e.At.Format(time.TimeOnly), asJSON(t, e.Body)))
			}
		}
	}
	return lines
}

// TestLaws plays a world with kills, gaps, people and receivers against one that was never disturbed.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points := drawTruth(t, rapid.IntRange(40, 160).Draw(t, "ticks"))
		undisturbed, w := quick(t, points), quick(t, points)
		began := clockTime("14:00")
		undisturbed.live(began, began.Add(time.Duration(len(points))*interval))

		last := began.Add(time.Duration(len(points)) * interval)
		for at := began; at.Before(last); {
			if rapid.IntRange(0, 14).Draw(t, "gone") == 0 {
				back := at.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "for")) * interval)
				back = earlier(back, last)
				w.walk(at, back)
				at = back
			} else {
				at = at.Add(interval)
				w.tick(at, false)
			}
			checkHomes(t, w, at)
			if rapid.IntRange(0, 9).Draw(t, "again") == 0 {
				before := w.everything()
				w.tick(at, false)
				if after := w.everything(); after != before {
					t.Fatalf("tick %s again:\n %s\nafter\n %s", at, after, before)
				}
			}
			if at.Before(last) {
				disturb(t, w)
			}
		}
		sameLines(t, found(t, w), found(t, undisturbed))

		w.live(last, last.Add(30*time.Minute)) // and then nothing is known any more
		checkBlind(t, w, last)
		checkEndings(t, w)
	})
}

// checkBlind holds that of what nobody can see nothing is resolved, relapsed, raised or opened.
func checkBlind(t *rapid.T, w *world, since time.Time) {
	records, _, err := w.store.List(t.Context(), Filter{})
	must(t, err)
	for _, r := range records {
		events, err := w.store.Events(t.Context(), r.ID, 0, 0)
		must(t, err)
		for _, e := range events {
			if kind := e.Body.Kind(); e.At.After(since) && slices.Contains([]string{"opened", "resolved", "relapsed", "severity_raised", "hold_started"}, kind) {
				t.Fatalf("%s at %s, when nothing was known", kind, e.At)
			}
		}
	}
}
