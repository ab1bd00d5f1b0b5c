package incident

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestHeadline(t *testing.T) {
	w := opened(t)
	headline := func() string {
		t.Helper()
		v, err := w.desk.View(t.Context(), "#1")
		if err != nil {
			t.Fatal(err)
		}
		return v.Headline
	}
	const tail = " · support-bot · owner oncall · http://irdaemon.example/incidents/1"
	want := "SEV2 The safety layer refuses good users: Refusal rate 19% (limit 8%) since 13:59 UTC" + tail
	if got := headline(); got != want {
		t.Errorf("open\n %s\nwant\n %s", got, want)
	}
	w.now = clockTime("14:12").AddDate(0, 0, 1)
	if got := headline(); !strings.Contains(got, "since 2025-02-17 13:59 UTC") {
		t.Errorf("a day later\n %s\nlacks the day", got)
	}
	w.now = clockTime("14:12")
	w.live(clockTime("14:10"), clockTime("14:50"))
	want = "RESOLVED SEV2 The safety layer refuses good users: impact lasted 35 min, from 13:59 UTC to 14:34 UTC, recovery verified for 15m" + tail
	if got := headline(); got != want {
		t.Errorf("resolved\n %s\nwant\n %s", got, want)
	}
}

func TestTimelineAndImpactInWords(t *testing.T) {
	w := opened(t)
	w.send()
	w.now = clockTime("14:10:10")
	w.command(Acknowledge{By: "alice", Via: "api"})
	w.live(clockTime("14:10"), clockTime("14:50"))
	v, err := w.desk.View(t.Context(), "#1")
	if err != nil {
		t.Fatal(err)
	}
	if want := "Refusal rate 19% (limit 8%) and deflection rate 25% (limit 31.5%)"; v.Impact != want {
		t.Errorf("impact %q, want %q", v.Impact, want)
	}
	var lines []string
	for _, entry := range v.Timeline {
		lines = append(lines, entry.At.Format("15:04:05 ")+entry.Actor+": "+entry.Text)
	}
	sameLines(t, lines, []string{
		"14:10:00 irdaemon: SEV2 opened: Refusal rate 19% (limit 8%), past the limit since 14:00 UTC; rule: refusal_rate above 15%",
		"14:10:00 irdaemon: round 1 calls oncall (pager-oncall): opened; next call 14:25 UTC",
		"14:10:00 irdaemon: pager-oncall accepted the page",
		"14:10:10 alice: took the incident",
		"14:11:45 irdaemon: also breaching: Deflection rate 25% (limit 31.5%)",
		"14:34:30 irdaemon: key, safety and business are in band: recovery must hold for 15m",
		"14:41:15 irdaemon: the trigger of good-users-refused is clear",
		"14:49:30 irdaemon: recovery verified; impact ended 14:34:30 UTC",
	})
}

func TestEveryEventHasWords(t *testing.T) {
	r := &Record{}
	apply(r, Event{Seq: 1, At: clockTime("14:10"), Body: everyBody[0]})
	for _, body := range everyBody {
		words := inWords(r, Event{Seq: 2, At: clockTime("14:20"), Body: body})
		if words == "" || words == body.Kind() || strings.Contains(words, "%!") {
			t.Errorf("%s is told as %q", body.Kind(), words)
		}
	}
	broken := HoldBroken{Why: HoldMissed, Band: "key", Value: &triggers.Value{V: 0.061}}
	r.Findings[0].Snapshot = refusedRunbook()
	if got, want := broken.inWords(r), "recovery didn't hold: key was out of band more often than it may be, now 6.1%"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAnApprovalHoldsThroughItsLastDay(t *testing.T) {
	r, _ := opening(testPolicy(), runbook.Sev2)
	last := clockTime("00:00")
	r.Findings[0].Snapshot.Runbook.Mitigate = []runbook.Mitigation{{Title: "Fall back", Kind: "fallback", Approved: []runbook.Approval{
		{Model: "small", Until: last}, {Model: "older", Until: last.AddDate(0, 0, -1)},
	}}}
	day := last.Format(time.DateOnly)
	for _, test := range []struct {
		name string
		now  time.Time
		want []ApprovalView
	}{
		{"on that day", clockTime("23:59"), []ApprovalView{{"small", day, false}, {"older", last.AddDate(0, 0, -1).Format(time.DateOnly), true}}},
		{"on the day after", clockTime("00:01").AddDate(0, 0, 1), []ApprovalView{{"small", day, true}, {"older", last.AddDate(0, 0, -1).Format(time.DateOnly), true}}},
	} {
		if got := NewView(r, nil, "", test.now).Mitigations[0].Approved; !slices.Equal(got, test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}
