package incident

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// disturb does something that people, receivers and bad luck do between two ticks.
func (w *town) disturb() {
	w.now = w.now.Add(time.Second)
	what := rapid.SampledFrom([]string{"clock", "kill", "look", "send", "send", "send", "refuse", "late", "supersede", "act", "act", "act", "runner", "runner", "approve", "finish", "silence", "reload"}).Draw(w.t, "disturbance")
	switch what {
	case "clock":
		must(w.t, w.desk.Clock(w.t.Context()))
	case "kill":
		w.restart()
	case "look":
		w.command(w.anyone(), w.drawLook())
	case "send":
		w.settle(func(d Delivery) error { return w.desk.Delivered(w.t.Context(), d, "") })
	case "refuse":
		w.settle(func(d Delivery) error { return w.desk.Failed(w.t.Context(), d, "404", true) })
	case "late":
		w.settle(func(d Delivery) error { return w.desk.Failed(w.t.Context(), d, "503", false) })
	case "supersede":
		w.settle(func(d Delivery) error { return w.desk.Superseded(w.t.Context(), d, "taken") })
	}
	if !w.careless {
		return
	}
	switch what {
	case "act":
		w.command(w.anyone(), w.drawCommand())
	case "finish":
		w.finish()
	case "approve":
		w.command(w.waiting())
	case "runner":
		w.runner()
	case "silence":
		w.silence()
	case "reload":
		w.reload()
	}
}

// reload puts another version of a runbook in force.
func (w *town) reload() {
	i := rapid.IntRange(0, len(w.inForce)-1).Draw(w.t, "runbook")
	s := townRunbook(i)
	s.Runbook.Owner = rapid.SampledFrom([]string{"oncall", "serving", "lead"}).Draw(w.t, "owner")
	w.inForce[i], w.hashes[i] = s, s.Hash()
	w.touched = w.now
}

// silence adds one, or ends one.
func (w *town) silence() {
	w.touched = w.now
	if all, err := w.desk.Silences(w.t.Context()); err == nil && len(all) > 0 && rapid.Bool().Draw(w.t, "end it") {
		_, err := w.desk.EndSilence(w.t.Context(), all[0].ID, "alice")
		must(w.t, err)
		return
	}
	s := Silence{Runbook: rapid.SampledFrom([]string{"book-0", "book-1"}).Draw(w.t, "silenced"), Reason: "planned", By: "alice",
		UpTo:  rapid.SampledFrom(runbook.Severities).Draw(w.t, "up to"),
		Until: w.now.Add(time.Duration(rapid.IntRange(1, 600).Draw(w.t, "seconds")) * time.Second)}
	_, err := w.desk.AddSilence(w.t.Context(), s)
	must(w.t, err)
}

// anyone is some incident, in whatever state; nil where there is none.
func (w *town) anyone() *Record {
	records, _, err := w.store.List(w.t.Context(), Filter{})
	must(w.t, err)
	if len(records) == 0 {
		return nil
	}
	return records[min(rapid.IntRange(0, 3).Draw(w.t, "incident"), len(records)-1)]
}

// finish completes the postmortem of what is resolved, and closes it.
func (w *town) finish() {
	for _, id := range slices.Sorted(maps.Keys(w.watches)) {
		if r := w.watches[id].record; r.State() == ResolvedState {
			w.command(r, SavePostmortem{By: "alice", Postmortem: townPostmortem(w.now)})
			w.command(r, Close{By: "alice"})
			return
		}
	}
}

func townPostmortem(due time.Time) Postmortem {
	return Postmortem{
		RootCause: "prompt", DetectionGap: "none", Answers: map[string]string{"Why?": "So."},
		Prevention: []Prevention{{Action: "a test", Owner: "bob", Due: due}},
	}
}

// waiting is what somebody else approves of an action that waits for it, nil for none.
func (w *town) waiting() (*Record, Command) {
	for _, id := range slices.Sorted(maps.Keys(w.watches)) {
		r := w.watches[id].record
		for _, a := range r.Actions {
			if a.Requested() && !a.Approved() && r.Open() {
				other := map[string]string{"alice": "bob", "bob": "alice"}[a.RequestedBy]
				return r, Approve{By: other, Action: a.ID, Digest: a.Digest}
			}
		}
	}
	return nil, nil
}

// command gives a command twice under one key, now and then by two processes at once: it is done once, or refused.
func (w *town) command(r *Record, c Command) {
	if r == nil {
		return
	}
	w.touched = w.now
	once := Idempotency{Key: strconv.Itoa(int(w.store.position)), RequestHash: "same"}
	_, first := w.desk.Command(w.t.Context(), r.ID, c, once)
	after := w.committed
	if first == nil && rapid.IntRange(0, 2).Draw(w.t, "the other replica") == 0 {
		w.restart()
	}
	_, second := w.desk.Command(w.t.Context(), r.ID, c, once)
	var refused *Refusal
	switch {
	case first != nil && !errors.As(first, &refused):
		w.t.Fatal(first)
	case first == nil && (second != nil || w.committed != after):
		w.t.Fatalf("law 13: %T told twice: %v, %d events", c, second, w.committed-after)
	}
}

func (w *town) drawLook() Command {
	by := rapid.SampledFrom([]string{"alice", "bob"}).Draw(w.t, "who")
	switch rapid.IntRange(0, 3).Draw(w.t, "look") {
	case 0:
		return Unacknowledge{By: by}
	case 1:
		return Note{By: by, Text: "looking"}
	}
	return Acknowledge{By: by, Round: rapid.IntRange(0, 2).Draw(w.t, "round")}
}

// drawCommand draws what careless people do.
func (w *town) drawCommand() Command {
	by := rapid.SampledFrom([]string{"alice", "bob"}).Draw(w.t, "who")
	seconds := func(what string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(w.t, what)) * time.Second
	}
	book := rapid.SampledFrom([]string{"0", "1"}).Draw(w.t, "book")
	step := rapid.SampledFrom([]string{"prompt-", "index-"}).Draw(w.t, "step") + book
	switch rapid.IntRange(0, 12).Draw(w.t, "command") {
	case 0, 1:
		return SetSeverity{By: by, To: rapid.SampledFrom(runbook.Severities).Draw(w.t, "to"), Reason: "so", For: seconds("pin", 600)}
	case 2:
		return Dismiss{By: by, Reason: rapid.SampledFrom([]string{FalseAlarm, Expected, Test}).Draw(w.t, "why")}
	case 3:
		return Reopen{By: by, Reason: "not over"}
	case 4:
		return Mitigate{By: by, Title: "switched", At: w.now.Add(-seconds("ago", 120))}
	case 5:
		return RolledBack{By: by, Step: step, At: w.now.Add(-seconds("ago", 120))}
	case 6, 7:
		return Request{By: by, Step: step, From: "2", To: "1", Digest: step}
	case 8:
		return Approve{By: by, Action: strconv.Itoa(rapid.IntRange(1, 4).Draw(w.t, "action")), Digest: step}
	case 9, 10:
		c := PostUpdate{By: by, Text: "we are on it", Audience: rapid.SampledFrom([]string{Internal, Customer}).Draw(w.t, "audience")}
		if next := seconds("next", 900); next%2 == 0 && next > 0 {
			c.Next = w.now.Add(next)
		}
		return c
	case 11:
		p := townPostmortem(w.now)
		if rapid.Bool().Draw(w.t, "incomplete") {
			p.Prevention = nil
		}
		return SavePostmortem{By: by, Postmortem: p}
	}
	return Close{By: by}
}

// runner tells what became of an action.
func (w *town) runner() {
	r := w.anyone()
	if r == nil || len(r.Actions) == 0 {
		return
	}
	w.touched = w.now
	a := r.Actions[min(rapid.IntRange(0, 3).Draw(w.t, "action"), len(r.Actions)-1)]
	o := ActionOutcome{Action: a.ID, What: rapid.SampledFrom([]string{ActionBegan, ActionBegan, ActionSet, ActionSet, ActionLapsed}).Draw(w.t, "outcome"), Attempt: 1}
	if o.What == ActionLapsed {
		o.Why = rapid.SampledFrom([]string{FailedRefused, FailedUnanswered}).Draw(w.t, "why")
	}
	var refused *Refusal
	if err := w.desk.Action(w.t.Context(), r.ID, o); err != nil && !errors.As(err, &refused) {
		w.t.Fatal(err)
	}
}

// settle handles a row whose turn it is: one that nobody needs any more is not sent, a page is handled as is said, and every
// other message is accepted.
func (w *town) settle(page func(Delivery) error) bool {
	for _, row := range w.store.Rows() {
		if row.State != RowDue || row.Due.After(w.now) {
			continue
		}
		briefing, err := w.desk.Brief(w.t.Context(), row.Delivery)
		must(w.t, err)
		switch {
		case briefing.Needless != "":
			err = w.desk.Superseded(w.t.Context(), row.Delivery, briefing.Needless)
		case row.Kind == DeliverPage:
			err = page(row.Delivery)
		default:
			err = w.desk.Delivered(w.t.Context(), row.Delivery, "")
		}
		must(w.t, err)
		return true
	}
	return false
}
