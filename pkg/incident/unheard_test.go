package incident

import (
	"testing"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

func TestWhatNobodyTakesIsUnheard(t *testing.T) {
	w := opened(t)
	first := func() Delivery {
		t.Helper()
		for _, row := range w.store.Rows() {
			if row.State == RowDue && row.Kind == DeliverPage {
				return row.Delivery
			}
		}
		t.Fatal("no page is due")
		return Delivery{}
	}
	unheard := func(want bool, when string) {
		t.Helper()
		if r := w.record(); r.Unheard() != want || r.notDelivered() != want {
			t.Errorf("%s: unheard %t, not delivered %t, want %t", when, r.Unheard(), r.notDelivered(), want)
		}
	}
	unheard(false, "before an attempt has failed")
	w.now = clockTime("14:10:10")
	if err := w.desk.Awaited(t.Context(), first(), "503"); err != nil {
		t.Fatal(err)
	}
	unheard(true, "its only receiver has not taken it")
	w.now = clockTime("14:10:20")
	w.command(SetSeverity{By: "alice", To: runbook.Sev1, Reason: "everybody is hit"}) // a new round, behind the page of the first
	unheard(true, "a new round waits behind what was not taken")
	w.now = clockTime("14:10:30")
	if err := w.desk.Delivered(t.Context(), first(), ""); err != nil {
		t.Fatal(err)
	}
	if err := w.desk.Delivered(t.Context(), first(), ""); err != nil {
		t.Fatal(err)
	}
	unheard(false, "delivered")
}
