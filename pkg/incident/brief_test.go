package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// rowOf is the last row of a kind to a receiver.
func (w *world) rowOf(kind, receiver string) Delivery {
	w.t.Helper()
	rows := w.store.Rows()
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].Kind == kind && rows[i].Receiver == receiver {
			return rows[i].Delivery
		}
	}
	w.t.Fatalf("no %s to %s among %+v", kind, receiver, rows)
	return Delivery{}
}

func (w *world) brief(d Delivery) Briefing {
	w.t.Helper()
	b, err := w.desk.Brief(w.t.Context(), d)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func TestWhatNeedNotBeSentAnyMore(t *testing.T) {
	took := func(w *world, kind, receiver string) {
		if err := w.desk.Delivered(w.t.Context(), w.rowOf(kind, receiver), "ok"); err != nil {
			w.t.Fatal(err)
		}
	}
	refused := func(w *world, receiver string) {
		if err := w.desk.Failed(w.t.Context(), w.rowOf(DeliverPage, receiver), "404", true); err != nil {
			w.t.Fatal(err)
		}
	}
	const (
		elsewhere = "round 1 is over, and was delivered elsewhere"
		notDue    = "that update isn't due any more"
	)
	for _, test := range []struct {
		name           string
		do             func(w *world)
		kind, receiver string
		want           string
	}{
		{"a page of the round that calls", func(*world) {}, DeliverPage, "mail", ""},
		{"a page whose role has it elsewhere, while it calls", func(w *world) { took(w, DeliverPage, "pager") }, DeliverPage, "mail", ""},
		{"a page whose role has it elsewhere", func(w *world) {
			took(w, DeliverPage, "pager")
			w.command(Acknowledge{By: "alice"})
		}, DeliverPage, "mail", elsewhere},
		{"a page whose role nobody has reached", func(w *world) { w.command(Acknowledge{By: "alice"}) }, DeliverPage, "mail", ""},
		{"a page whose round is over though another calls", func(w *world) {
			took(w, DeliverPage, "pager")
			first := w.rowOf(DeliverPage, "mail")
			w.command(SetSeverity{By: "alice", To: runbook.Sev1})
			if got := w.brief(first).Needless; got != elsewhere {
				w.t.Errorf("the first page: %q", got)
			}
		}, DeliverPage, "mail", ""},
		{"a page of another role that nobody has reached", func(w *world) {
			took(w, DeliverPage, "pager")
			w.now = clockTime("14:25")
			if err := w.desk.Clock(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			w.command(Acknowledge{By: "alice"})
		}, DeliverPage, "pager-lead", ""},
		{"a page after the end, of a role that nobody has reached", func(w *world) { w.command(Dismiss{By: "alice", Reason: Test}) }, DeliverPage, "mail", ""},
		{"an acknowledge of the round that was taken", func(w *world) {
			took(w, DeliverPage, "pager")
			w.command(Acknowledge{By: "alice"})
		}, DeliverAcknowledge, "pager", ""},
		{"an acknowledge after it was given back", func(w *world) {
			took(w, DeliverPage, "pager")
			w.command(Acknowledge{By: "alice"})
			w.command(Unacknowledge{By: "alice"})
		}, DeliverAcknowledge, "pager", "round 1 is not the present one any more"},
		{"an acknowledge where the page was refused", func(w *world) {
			w.command(Acknowledge{By: "alice"})
			refused(w, "pager")
		}, DeliverAcknowledge, "pager", "no page of this round stands there"},
		{"an acknowledge after the end", func(w *world) {
			took(w, DeliverPage, "pager")
			w.command(Acknowledge{By: "alice"})
			w.command(Dismiss{By: "alice", Reason: Test})
		}, DeliverAcknowledge, "pager", "it is over; the end has been told"},
		{"progress after the end", func(w *world) {
			took(w, DeliverPage, "chat")
			w.command(Mitigate{By: "alice", Title: "cache"})
			w.command(Dismiss{By: "alice", Reason: Test})
		}, DeliverProgress, "chat", "it is over; the end has been told"},
		{"a reminder of what is due", func(*world) {}, DeliverNotice, "mail", ""},
		{"a reminder of what was posted", func(w *world) {
			first := w.rowOf(DeliverNotice, "mail")
			w.command(PostUpdate{By: "alice", Text: "rolling back"})
			if got := w.brief(first).Needless; got != notDue {
				w.t.Errorf("the first reminder: %q", got)
			}
		}, DeliverNotice, "mail", ""},
		{"a reminder after the end", func(w *world) { w.command(Dismiss{By: "alice", Reason: Test}) }, DeliverNotice, "mail", notDue},
		{"a reminder at a severity that pages nobody", func(w *world) {
			w.command(SetSeverity{By: "alice", To: runbook.Sev4, Reason: "one user"})
		}, DeliverNotice, "mail", notDue},
		{"a reminder once the settings page nobody at its severity", func(w *world) {
			w.policy.Severities[runbook.Sev2] = SeverityPolicy{}
		}, DeliverNotice, "mail", notDue},
		{"an end, always", func(w *world) {
			took(w, DeliverPage, "pager")
			w.command(Dismiss{By: "alice", Reason: Test})
			w.command(Reopen{By: "alice"})
		}, DeliverEnd, "pager", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := chattyWorld(t)
			w.t = t
			w.now = w.now.Add(time.Second)
			test.do(w)
			if got := w.brief(w.rowOf(test.kind, test.receiver)).Needless; got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestAReceiverThatWasDownGetsACallOnce(t *testing.T) {
	w := chattyWorld(t)
	w.policy.Roles["lead"] = Role{Page: []string{"pager-lead", "mail"}}
	for _, at := range []string{"14:25", "14:40", "14:55"} { // the lead, then both from the top
		w.now = clockTime(at)
		if err := w.desk.Clock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	w.now = clockTime("14:56")
	const later = "a later page of round 1 calls the same there"
	check := func(want ...string) {
		t.Helper()
		var got []string
		for _, row := range w.store.Rows() {
			if row.Kind == DeliverPage && row.Receiver == "mail" {
				got = append(got, strings.Join(row.Roles, " ")+": "+w.brief(row.Delivery).Needless)
			}
		}
		sameLines(t, got, want)
	}
	check("oncall: "+later, "lead: "+later, "oncall: ", "lead: ")
	w.command(Acknowledge{By: "alice"})
	check("oncall: "+later, "lead: "+later, "oncall: ", "lead: ")
	w.command(Unacknowledge{By: "alice"}) // another round
	check("oncall: "+later, "lead: "+later, "oncall: ", "lead: ", "oncall: ")
}

func TestAPageOfWhichNobodyKnowsTheRolesIsSent(t *testing.T) {
	w := chattyWorld(t)
	w.accept()
	w.command(Acknowledge{By: "alice"})
	page := w.rowOf(DeliverPage, "pager")
	page.Roles = nil // written by an earlier release
	if got := w.brief(page).Needless; got != "" {
		t.Errorf("%q, want it sent", got)
	}
}

func TestABriefingKnowsWhatTheReceiverAnswered(t *testing.T) {
	w := chattyWorld(t)
	first := w.rowOf(DeliverPage, "chat")
	if b := w.brief(first); b.Thread != "" || b.Receipt != "" || b.View.Number != 1 {
		t.Errorf("before anything was accepted: %+v", b)
	}
	if err := w.desk.Delivered(t.Context(), first, "ts-1"); err != nil {
		t.Fatal(err)
	}
	w.now = clockTime("14:12")
	w.command(SetSeverity{By: "alice", To: runbook.Sev1})
	second := w.rowOf(DeliverPage, "chat")
	if b := w.brief(second); b.Thread != "ts-1" || b.Receipt != "" {
		t.Errorf("before the second page: thread %q, receipt %q", b.Thread, b.Receipt)
	}
	if err := w.desk.Delivered(t.Context(), second, "ts-2"); err != nil {
		t.Fatal(err)
	}
	w.command(Dismiss{By: "alice", Reason: Test})
	if b := w.brief(w.rowOf(DeliverEnd, "chat")); b.Thread != "ts-1" || b.Receipt != "ts-2" {
		t.Errorf("at the end: thread %q, receipt %q", b.Thread, b.Receipt)
	}
	if b := w.brief(w.rowOf(DeliverPage, "mail")); b.Thread != "" {
		t.Errorf("another receiver's thread %q", b.Thread)
	}
}

func TestABriefingKnowsTheDigestThatCameAfterTheEnd(t *testing.T) {
	w := chattyWorld(t)
	page := w.rowOf(DeliverPage, "pager")
	w.command(Dismiss{By: "alice", Reason: Test})
	if err := w.desk.DeliveredIn(t.Context(), []Delivery{page}, "digest/1", "ok"); err != nil {
		t.Fatal(err)
	}
	end := w.rowOf(DeliverEnd, "pager")
	if b := w.brief(end); end.Digest != "" || b.Digest != "digest/1" {
		t.Errorf("row's digest %q, briefing's %q", end.Digest, b.Digest)
	}
}

func TestABriefingTellsWhatItsCommitBrought(t *testing.T) {
	w := chattyWorld(t)
	w.accept()
	w.now = clockTime("14:12")
	w.command(RolledBack{By: "alice", Step: "thresholds"})
	progress := w.rowOf(DeliverProgress, "chat")
	w.now = clockTime("14:13")
	w.command(Note{By: "alice", Text: "later"})
	var kinds []string
	for _, entry := range w.brief(progress).Happened {
		kinds = append(kinds, entry.Kind)
	}
	if want := []string{"acknowledged", "action_done", "action_effective"}; !slices.Equal(kinds, want) {
		t.Errorf("happened %v, want %v", kinds, want)
	}
}
