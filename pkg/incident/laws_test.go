package incident

import (
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// The laws, as the documentation of an incident's states numbers them:
//
//  1. The state is that of the facts after every event; replaying the events gives the record.
//  2. A finding stands in at most one open incident; after each tick what fires stands in one, or is spent.
//  3. A tick decided again gives nothing; a walked gap is as if the daemon had never been gone.
//  4. What is resolved has been seen to be well for as long as it must.
//  5. Of what nobody can see nothing is resolved, relapsed or raised.
//  6. The severity falls by a person's word alone, the peak never.
//  7. What must be told is told in the same transaction; a tick calls at most once.
//  8. At most one key of an incident is open at a receiver, none after its end, and no new round takes an old key.
//  9. What nobody has taken calls, is held or owed; and who is called is called again in time.
//  10. What has ended has ended: only a reopening opens it again, with the runbooks in force, and nothing a closed one. An
//     update is due while open.
//  11. Who accepted a page is told exactly once, each time the incident ends.
//  12. The times of an incident are in their order.
//  13. Two equal commands are one.

// facts are those of which the first table of the document makes the state, and those of which its section on holds makes
// the floor, gathered from the events alone.
type facts struct {
	dismissed, closed, resolved, hold, acknowledged bool
	acted                                           map[string]bool
	floor, since                                    time.Time
	begun, flying, effective                        map[string]bool
}

// fold adds an event to the facts.
func (f *facts) fold(e Event) {
	floor := func(at time.Time) {
		f.floor = latest(f.floor, at)
		f.hold = f.hold && !f.since.Before(f.floor)
	}
	switch b := e.Body.(type) {
	case Opened:
		*f = facts{acted: map[string]bool{}, begun: map[string]bool{}, flying: map[string]bool{}, effective: map[string]bool{}, floor: e.At}
	case Reopened:
		*f = facts{acted: map[string]bool{}, begun: f.begun, flying: map[string]bool{}, effective: f.effective, floor: e.At}
	case FindingJoined, Relapsed, HoldBroken:
		f.hold = false
	case HoldStarted:
		f.hold, f.since = true, e.At
	case Resolved:
		f.resolved, f.hold = true, false
	case Dismissed:
		f.dismissed, f.hold = true, false
	case Closed:
		f.closed = true
	case Acknowledged:
		f.acknowledged = true
	case Unacknowledged:
		f.acknowledged = false
	case ActionStarted:
		f.act(b.Action)
	case ActionDone:
		f.act(b.Action)
	case Mitigated:
		f.act(b.Action)
		delete(f.flying, b.Action)
		floor(e.At.Add(townLookBack))
	case ActionEffective:
		delete(f.flying, b.Action)
		f.effective[b.Action] = true
		floor(e.At.Add(townLookBack))
	case ActionFailed:
		if f.begun[b.Action] {
			floor(e.At)
		}
		delete(f.flying, b.Action)
		if b.Why != FailedUnanswered && b.Why != FailedIneffective {
			delete(f.acted, b.Action)
		}
	}
}

func (f *facts) act(action string) {
	f.acted[action], f.begun[action], f.hold = true, true, false
	if !f.effective[action] { // its answer may come after it has shown on traffic
		f.flying[action] = true
	}
}

func (f *facts) state() State {
	for _, row := range []struct {
		holds bool
		state State
	}{
		{f.dismissed, DismissedState}, {f.closed, ClosedState}, {f.resolved, ResolvedState}, {f.hold, Verifying},
		{len(f.acted) > 0, Mitigating}, {f.acknowledged, AcknowledgedState},
	} {
		if row.holds {
			return row.state
		}
	}
	return Triggered
}

// checkState holds law 1 for the state.
func (w *town) checkState(known *watched) {
	if got, want := known.record.State(), known.facts.state(); got != want {
		w.t.Fatalf("law 1: state %s, by the facts %s:\n%s", got, want, w.everything())
	}
}

// checkEvent holds the laws of single events; known is the incident before it, r the record after the commit.
func (w *town) checkEvent(known *watched, r *Record, e Event) {
	before := known.record
	if e.Seq != before.Version+1 {
		w.t.Fatalf("law 1: event %d after %d: %s %s\n%s", e.Seq, before.Version, e.Body.Kind(), asJSON(w.t, e.Body), w.everything())
	}
	if before.Peak.Worse(r.Peak) {
		w.t.Fatalf("law 6: the peak fell from %s to %s", before.Peak, r.Peak)
	}
	if !before.ClosedAt.IsZero() && slices.Contains([]string{"reopened", "opened", "finding_joined", "paged"}, e.Body.Kind()) {
		w.t.Fatalf("law 10: %s of a closed incident", e.Body.Kind())
	}
	if before.Version > 0 && !before.Open() && !afterTheEnd[e.Body.Kind()] {
		w.t.Fatalf("law 10: %s after the end:\n%s", e.Body.Kind(), w.everything())
	}
	if tickKinds[e.Body.Kind()] && e.At.Before(before.ReopenedAt) {
		w.t.Fatalf("law 3: %s at %s was found in what was opened again at %s", e.Body.Kind(), e.At, before.ReopenedAt)
	}
	blind := e.At.After(w.end())
	switch b := e.Body.(type) {
	case Opened:
		w.checkPlaced(before, b, e.At)
	case FindingJoined:
		w.checkPlaced(before, Opened(b), e.At)
	case Relapsed, HoldStarted:
		if blind {
			w.t.Fatalf("law 5: %s at %s, when nothing was known", e.Body.Kind(), e.At)
		}
	case SeverityRaised:
		if blind {
			w.t.Fatalf("law 5: raised at %s, when nothing was known", e.At)
		}
		if !b.To.Worse(before.Severity) || before.Pin != nil && !b.To.Worse(before.Pin.Floor) {
			w.t.Fatalf("law 6: raised from %s to %s, pin %+v", before.Severity, b.To, before.Pin)
		}
	case Paged:
		if w.walking {
			w.t.Fatalf("law 7: paged on the way through missed ticks:\n%s", w.everything())
		}
		w.checkPaged(before, b)
	case Acknowledged:
		if b.Round != before.presentRound() && before.calling() != r.calling() {
			w.t.Fatalf("law 9: who acknowledged round %d stopped round %d", b.Round, before.presentRound())
		}
	case Resolved:
		if blind {
			w.t.Fatalf("law 5: resolved at %s, when nothing was known", e.At)
		}
		w.checkResolved(known, r, e.At)
	}
}

// afterTheEnd are the events that an ended incident still takes.
var afterTheEnd = map[string]bool{
	"trigger_cleared": true, "effect_measured": true, "closed": true, "reopened": true, "noted": true, "triage_answered": true,
	"update_posted": true, "dismissed": true, "postmortem_saved": true, "page_delivered": true, "page_failed": true,
}

func (w *town) checkPaged(before *Record, b Paged) {
	fresh := before.Round == nil || b.Round != before.Round.N
	switch {
	case fresh && before.Round != nil && b.Round != before.Round.N+1:
		w.t.Fatalf("law 8: round %d after %d", b.Round, before.Round.N)
	case fresh && slices.ContainsFunc(slices.Concat(before.Pages, before.Awaited), func(p Receipt) bool { return p.Key == b.Key }):
		w.t.Fatalf("law 8: round %d takes the old key %s", b.Round, b.Key)
	case !fresh && (b.Key != before.Round.Key || !before.Round.Calling):
		w.t.Fatalf("law 8: %+v goes on with the round %+v", b, before.Round)
	case !w.policy.Severities[before.Severity].Page:
		w.t.Fatalf("law 11: paged at %s, which doesn't page", before.Severity)
	case fresh && before.calling() && len(without(before.Round.Called, b.Roles)) > 0:
		w.t.Fatalf("law 9: the ladder fell back from %v to %v", before.Round.Called, b.Roles)
	}
}

// checkResolved holds law 4: it judges a resolution by the truth alone.
func (w *town) checkResolved(known *watched, r *Record, at time.Time) {
	since := known.facts.since
	var elapsed, paused time.Duration
	missed := [2]int{}
	for tick := since; !tick.After(at); tick = tick.Add(interval) {
		out, unseen := [2]bool{}, false
		for _, o := range w.findings(r, tick) {
			if o.Trigger == triggers.Fires {
				w.t.Fatalf("law 4: resolved at %s, the trigger fired at %s, within the hold since %s", at, tick, since)
			}
			for band := range out {
				out[band] = out[band] || o.Bands[band].State == BandMissed
				unseen = unseen || o.Bands[band].State == BandUnknown
			}
			unseen = unseen || o.Low
			last := tick.Equal(at) && (o.Trigger != triggers.Clear || o.Low || o.Bands[0].State != BandHeld || o.Bands[0].Unproven != "")
			if last || (tick.Equal(at) || tick.Equal(since)) && (out[0] || out[1] || o.Bands[1].State == BandUnknown) {
				w.t.Fatalf("law 4: resolved at %s since %s, and at %s %+v:\n%s", at, since, tick, o, w.everything())
			}
		}
		if tick.Equal(since) {
			continue
		}
		for band := range out {
			if out[band] {
				missed[band]++
			}
		}
		if unseen && !out[0] && !out[1] {
			paused += interval
		} else {
			elapsed += interval
		}
	}
	if len(known.facts.flying) > 0 {
		w.t.Fatalf("law 4: resolved at %s with an action in flight:\n%s", at, w.everything())
	}
	if !known.facts.hold || elapsed < townHold || paused > townHold || missed[0] > 2 || missed[1] > 0 || since.Before(known.facts.floor) {
		w.t.Fatalf("law 4: resolved at %s: since %s, floor %s, hold %v, elapsed %s, paused %s, missed %v:\n%s",
			at, since, known.facts.floor, known.facts.hold, elapsed, paused, missed, w.everything())
	}
}

// checkCommit holds the laws of what is committed together.
func (w *town) checkCommit(known *watched, r *Record, events []Event) {
	if got, want := asJSON(w.t, known.record), asJSON(w.t, r); got != want {
		w.t.Fatalf("law 1: the events add up to\n %s\nthe record is\n %s", got, want)
	}
	paged, held, cause, joined := 0, false, "", ""
	for _, e := range events {
		if _, ok := e.Body.(Reopened); ok {
			w.checkRenewed(r)
		}
		switch b := e.Body.(type) {
		case Paged:
			paged++
		case PageHeld:
			held = true
		case Opened, Relapsed, Reopened, SeverityRaised:
			cause = e.Body.Kind()
		case FindingJoined:
			joined = b.Name
		case SeveritySet:
			if b.To.Worse(b.From) {
				cause = e.Body.Kind()
			}
		}
	}
	if paged > 1 {
		w.t.Fatalf("law 7: %d pages in one commit", paged)
	}
	if f := r.finding(joined); f != nil && r.Round != nil && r.Open() && w.policy.Severities[r.Severity].Page && !held && !slices.Contains(r.Owed, CauseOpened) {
		owed := w.walking && slices.Contains(r.Owed, CauseJoined)
		if !owed && !slices.Contains(r.Round.Called, f.runbook().Owner) {
			w.t.Fatalf("law 7: %s joined, and its owner %s is not called:\n%s", joined, f.runbook().Owner, w.everything())
		}
	}
	if cause == "" || paged > 0 || held || !r.Open() || !w.policy.Severities[r.Severity].Page || w.walking && len(r.Owed) > 0 {
		return
	}
	w.t.Fatalf("law 7: %s, and nobody is called:\n%s", cause, w.everything())
}

// checkRenewed holds that what was reopened goes on with the runbooks in force.
func (w *town) checkRenewed(r *Record) {
	for i := range r.Findings {
		f := &r.Findings[i]
		if want := w.runbookInForce(f.Name).Hash(); f.Runbook != want || f.Snapshot.Hash() != want {
			w.t.Fatalf("law 10: reopened with the runbook %s of %s, in force is %s:\n%s", f.Runbook, f.runbook().Owner, want, w.everything())
		}
	}
}

// checkRecord holds the laws of what events add up to.
func (w *town) checkRecord(r *Record) {
	pages := w.policy.Severities[r.Severity].Page
	calling := r.calling()
	wait := max(w.policy.Severities[r.Severity].AcknowledgeWithin, time.Hour)
	switch {
	case r.Severity.Worse(r.Peak):
		w.t.Fatalf("law 6: severity %s is worse than the peak %s", r.Severity, r.Peak)
	case r.Open() && pages && r.Acknowledged == nil && !calling && len(r.Owed) == 0 && len(r.Held) == 0:
		w.t.Fatalf("law 9: open, and nobody is called:\n%s", w.everything())
	case calling && (r.Round.NextAt.IsZero() || r.Round.NextAt.After(w.now.Add(wait))):
		w.t.Fatalf("law 9: calling, and the next call is at %s, now is %s:\n%s", r.Round.NextAt, w.now, w.everything())
	case r.Open() && r.NextUpdateAt.IsZero() && r.Findings[0].runbook().UpdateEvery(r.Severity, 0) > 0:
		w.t.Fatalf("law 10: open at %s, and no update is due:\n%s", r.Severity, w.everything())
	}
	if !r.Open() {
		goesOn := calling || r.Hold != nil || r.Blind != nil || r.Pin != nil || len(r.Owed)+len(r.Held) > 0 || r.inFlight() != nil ||
			!r.NextUpdateAt.IsZero() || r.Round != nil && !r.Round.NextAt.IsZero()
		if goesOn {
			w.t.Fatalf("law 10: ended, and something goes on: %s\n%s", asJSON(w.t, r), w.everything())
		}
	}
	w.checkTimes(r)
	for _, receiver := range []string{"pager-oncall", "pager-serving", "pager-lead", "chat"} {
		keys := map[string]bool{}
		for _, page := range r.Pages {
			if page.Receiver == receiver && !page.Ended {
				keys[page.Key] = true
			}
		}
		if len(keys) > 1 {
			w.t.Fatalf("law 8: %s has the keys %v open:\n%s", receiver, keys, w.everything())
		}
	}
}

// checkTimes holds law 12.
func (w *town) checkTimes(r *Record) {
	inOrder := func(times ...time.Time) bool {
		times = slices.DeleteFunc(times, time.Time.IsZero)
		return slices.IsSortedFunc(times, time.Time.Compare)
	}
	if !inOrder(r.ImpactStartedAt, r.BreachBegan, r.OpenedAt, r.DetectedAt, r.PagedAt) ||
		!inOrder(r.DetectedAt, r.AcknowledgedAt) || !inOrder(r.ImpactEndedAt, r.ResolvedAt, r.ClosedAt) {
		w.t.Fatalf("law 12: times out of order: %s", asJSON(w.t, r))
	}
}

// checkPlaced holds that what fires and is spent says nothing, and that nothing unknown is placed.
func (w *town) checkPlaced(before *Record, b Opened, at time.Time) {
	if at.After(w.end()) {
		w.t.Fatalf("law 5: %s fires at %s, when nothing was known", b.Name, at)
	}
	last := w.home(FindingKey(b.Name, b.Group))
	if last != nil && last.ID != before.ID && last.saysNothingOf(b) {
		w.t.Fatalf("law 2: %s fires at %s, is spent, and opened or joined something:\n%s", b.Name, at, w.everything())
	}
}

// home is the incident in which a finding fired last.
func (w *town) home(key string) (last *Record) {
	for _, known := range w.watches {
		if f := known.record.findingOf(key); f != nil && (last == nil || f.FiredAt.After(last.findingOf(key).FiredAt)) {
			last = known.record
		}
	}
	return last
}

// saysNothingOf tells whether a firing was dismissed here, not clear since, and no worse.
func (r *Record) saysNothingOf(b Opened) bool {
	return r.Dismissal != nil && !r.findingOf(FindingKey(b.Name, b.Group)).Cleared && !b.Severity.Worse(r.Dismissal.Severity)
}

// checkHomes holds law 2.
func (w *town) checkHomes(at time.Time) {
	for _, s := range w.places {
		name := w.inForce[s.runbook].Runbook.Name
		key := FindingKey(name, s.group)
		open, fires, excused := 0, w.truth(s, at), false
		for _, known := range w.watches {
			r := known.record
			switch {
			case !r.holds(key):
			case r.Open():
				open++
			case !r.endedAt().Before(at), !r.LastTick.Before(at): // it knows more than this tick does
				excused = true
			}
		}
		if open > 1 {
			w.t.Fatalf("law 2: %d open incidents of one finding:\n%s", open, w.everything())
		}
		if fires.Trigger != triggers.Fires || open == 1 || excused {
			continue
		}
		if last := w.home(key); last == nil || !last.saysNothingOf(Opened{Name: name, Group: s.group, Severity: fires.Severity}) {
			w.t.Fatalf("law 2: %s %s fires at %s, and no incident is open:\n%s", name, s.group, at, w.everything())
		}
	}
}
