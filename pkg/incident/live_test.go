package incident

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// seen makes a live look at the incident: the values of its breaches now, by signal; one that is missing can't be seen.
func seen(r *Record, at time.Time, values map[string]float64) Live {
	live := Live{At: at, Findings: []LiveFinding{{}}}
	for _, b := range r.Findings[0].Breaches {
		breach := LiveBreach{Condition: b.Condition, Segment: b.Segment}
		if v, ok := values[b.Signal]; ok {
			breach.Value, breach.Fires = &triggers.Value{V: v}, (v > b.Limit) == (b.Value.V > b.Limit)
		}
		live.Findings[0].Breaches = append(live.Findings[0].Breaches, breach)
	}
	return live
}

func TestNumbersAreThoseOfNow(t *testing.T) {
	w := opened(t)
	w.live(clockTime("14:10"), clockTime("14:12"))
	r := w.record()
	for _, test := range []struct {
		name             string
		live             *Live
		impact, headline string
	}{
		{
			"before the first look since they are those of the firing", nil,
			"Refusal rate 19% (limit 8%) and deflection rate 25% (limit 31.5%)", "Refusal rate 19% (limit 8%) since",
		},
		{
			"it got worse", ptr(seen(r, w.now, map[string]float64{"refusal_rate": 0.48, "deflection_rate": 0.25})),
			"Refusal rate 48% now (limit 8%, 19% when it fired) and deflection rate 25% now (limit 31.5%)", "Refusal rate 48% now (limit 8%) since",
		},
		{
			"what is back in its limits stands behind", ptr(seen(r, w.now, map[string]float64{"refusal_rate": 0.05, "deflection_rate": 0.24})),
			"Deflection rate 24% now (limit 31.5%, 25% when it fired) and refusal rate 5% now (limit 8%, 19% when it fired)", "Deflection rate 24% now (limit 31.5%) since",
		},
		{
			"what can't be seen is said to be", ptr(seen(r, w.now, map[string]float64{"deflection_rate": 0.25})),
			"Refusal rate 19% when last told (limit 8%), not seen now and deflection rate 25% now (limit 31.5%)", "Refusal rate 19% when last told (limit 8%), not seen now since",
		},
	} {
		v := LiveView(r, nil, "http://irdaemon.example", w.now, test.live)
		if v.Impact != test.impact {
			t.Errorf("%s: impact\n %s\nwant\n %s", test.name, v.Impact, test.impact)
		}
		if !strings.Contains(v.Headline, test.headline) {
			t.Errorf("%s: headline %s\nlacks %s", test.name, v.Headline, test.headline)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestTheViewShowsWhatTheLastTickSaw(t *testing.T) {
	w := opened(t)
	w.live(clockTime("14:10"), clockTime("14:36"))
	r := w.record()
	share := 0.6
	live := seen(r, w.now, map[string]float64{"refusal_rate": 0.05})
	live.Findings[0].BlastRadius = &share
	live.Hold = Progress{Since: r.Hold.Since, Elapsed: 90 * time.Second}
	live.Findings[0].Bands = [3]BandObservation{
		{State: BandHeld, Value: &triggers.Value{V: 0.05}, Unproven: "3 more"}, {State: BandEmpty}, {State: BandUnknown},
	}
	v := LiveView(r, nil, "", w.now, &live)
	refusals, deflection := v.Segments[0], v.Segments[1]
	if refusals.Text != "19%" || *refusals.Now != 0.05 || refusals.NowText != "5%" || *refusals.Breaching {
		t.Errorf("refusals %+v", refusals)
	}
	if deflection.Now != nil || deflection.NowText != "unknown" || *deflection.Breaching {
		t.Errorf("deflection %+v", deflection)
	}
	key, safety, business := v.Recovery[0], v.Recovery[1], v.Recovery[2]
	if key.State != "held" || *key.Value != 0.05 || key.Text != "5%" || !key.HeldSince.Equal(r.Hold.Since) || key.Missing != "3 more" {
		t.Errorf("key %+v", key)
	}
	if safety.State != "empty" || safety.HeldSince != nil || business.State != "unknown" || business.Value != nil {
		t.Errorf("safety %+v, business %+v", safety, business)
	}
	if *v.BlastRadius != share || !v.SeenAt.Equal(w.now) || v.HoldSeconds != 900 || *v.HoldElapsedSeconds != 90 {
		t.Errorf("blast radius %v, seen %v, hold %v of %v s", v.BlastRadius, v.SeenAt, v.HoldElapsedSeconds, v.HoldSeconds)
	}
	live.Hold.Since = clockTime("14:01") // of a hold that broke since
	if v := LiveView(r, nil, "", w.now, &live); v.HoldElapsedSeconds != nil {
		t.Errorf("elapsed %v s of another hold", *v.HoldElapsedSeconds)
	}
}

func TestWhatIsOverHasNoNumbersOfNow(t *testing.T) {
	w := opened(t)
	live := seen(w.record(), w.now, map[string]float64{"refusal_rate": 0.48})
	w.live(clockTime("14:10"), clockTime("14:50"))
	v := LiveView(w.record(), nil, "", w.now, &live)
	if v.ResolvedAt == nil || v.SeenAt != nil || v.Segments[0].Now != nil || strings.Contains(v.Impact, "now") {
		t.Errorf("resolved %v: seen %v, %+v, %s", v.ResolvedAt, v.SeenAt, v.Segments[0], v.Impact)
	}
}

func TestTheDeskShowsWhatIsSeenNow(t *testing.T) {
	w := opened(t)
	config := w.desk.config
	live := seen(w.record(), w.now, map[string]float64{"refusal_rate": 0.48})
	config.Live = func(id string) (Live, bool) { return live, id == w.record().ID }
	w.desk = NewDesk(config)
	shown, err := w.desk.View(t.Context(), "#1")
	if err != nil {
		t.Fatal(err)
	}
	listed, _, err := w.desk.List(t.Context(), Filter{})
	if err != nil {
		t.Fatal(err)
	}
	commanded, err := w.desk.Command(t.Context(), "#1", Note{By: "alice", Text: "looking"}, Idempotency{})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]View{"show": shown, "list": listed[0], "command": commanded} {
		if v.Segments[0].NowText != "48%" {
			t.Errorf("%s: %+v", name, v.Segments[0])
		}
	}
}

func TestARaiseTellsTheValuesThatRaiseIt(t *testing.T) {
	p := testPolicy()
	r, _ := opening(p, runbook.Sev3)
	worse := with(firing("paid"), func(o *FindingObservation) { o.Severity, o.Rule = runbook.Sev1, "refusal_rate above 30%" })
	worse.Breaches[0].Title, worse.Breaches[0].Unit = "Refusal rate", triggers.Ratio
	worse.Breaches[0].Value, worse.Breaches[0].Limit = triggers.Value{V: 0.48}, 0.08
	events := Decide(r, Observation{Findings: []FindingObservation{worse}}, p, clockTime("14:11"), false)
	for _, e := range events {
		if _, raised := e.Body.(SeverityRaised); raised {
			want := "raised from SEV3 to SEV1: Refusal rate 48% (limit 8%) for tier paid; rule: refusal_rate above 30%"
			if got := inWords(r, e); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			return
		}
	}
	t.Errorf("not raised: %v", events)
}

func TestACallThatReachesNobodyIsNotDelivered(t *testing.T) {
	p := testPolicy()
	opened, _ := opening(p, runbook.Sev2)
	page := Delivery{ID: "a", Kind: DeliverPage, Round: 1, Receiver: "pager-oncall"}
	tell := func(r *Record, result string) *Record {
		return add(r, decideOutcome(r, outcome{delivery: page, result: result, cause: "503"}, p, clockTime("14:10:10")))
	}
	awaited := tell(opened, resultAwaited)
	for _, test := range []struct {
		name   string
		record *Record
		want   bool
	}{
		{"no attempt has been made", opened, false},
		{"an attempt has failed", awaited, true},
		{"refused for good", tell(opened, resultRefused), true},
		{"a later attempt arrived", tell(awaited, resultDelivered), false},
		{"somebody took it all the same", add(awaited, []Event{{Seq: awaited.Version + 1, At: clockTime("14:11"), Actor: "zoe", Body: Acknowledged{Round: 1}}}), false},
	} {
		if v := NewView(test.record, nil, "", clockTime("14:12")); v.NotDelivered != test.want {
			t.Errorf("%s: not delivered %t", test.name, v.NotDelivered)
		}
	}
	if len(awaited.Round.Failed) != 0 || awaited.Round.Step != 0 {
		t.Errorf("the ladder goes on before its time: %+v", awaited.Round)
	}
	if late := tell(awaited, resultLate); late.Round.Step != 1 {
		t.Errorf("after two minutes the ladder still waits: %+v", late.Round)
	}
}

func TestAHandOverIsTold(t *testing.T) {
	w := opened(t)
	for _, by := range []string{"zoe", "yan", "yan"} {
		w.now = w.now.Add(time.Minute)
		w.command(Acknowledge{By: by, Via: "api"})
	}
	v, err := w.desk.View(t.Context(), "#1")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, entry := range v.Timeline {
		if entry.Kind == "acknowledged" {
			lines = append(lines, entry.Actor+" "+entry.Text)
		}
	}
	sameLines(t, lines, []string{"zoe took the incident", "yan took over from zoe"})
	if v.AcknowledgedBy != "yan" || v.TakenAt.Sub(*v.AcknowledgedAt) != time.Minute {
		t.Errorf("%s has it since %v, first acknowledged %v", v.AcknowledgedBy, v.TakenAt, v.AcknowledgedAt)
	}
}

func TestStepsAreShownAsAPersonFollowsThem(t *testing.T) {
	r, _ := opening(testPolicy(), runbook.Sev2)
	book := &r.Findings[0].Snapshot.Runbook
	book.Mitigate = []runbook.Mitigation{{Title: "Fall back", Kind: "fallback", Do: "Route {{ .Service }} to the fallback."}}
	book.Rollback = []runbook.Step{
		{Artifact: "prompt", Name: "prompt", Do: "From {{.Current}} to {{- .Previous -}}, for {{ .Group.service }}{{ if .Owner }}, say {{ .Owner }}{{ end }}."},
		{Artifact: "code", Name: "code", Do: "A broken {{ .Previous"},
	}
	book.Triage = []runbook.Check{
		{Title: "a", Evidence: &runbook.Evidence{Signal: "refusal_rate", Where: map[string][]string{"tier": {"paid"}, "language": {"de", "en"}}}},
		{Title: "b", Evidence: &runbook.Evidence{Signal: "refusals_by_intent", By: []string{"intent"}, Top: 10}},
		{Title: "c", Evidence: &runbook.Evidence{Signal: "refusal_rate", Compare: &runbook.Compare{Label: "arm", Control: "control", Treatment: "treatment"}}},
		{Title: "d", Evidence: &runbook.Evidence{Signal: "shadow", Compare: &runbook.Compare{Label: "version", Artifact: "prompt"}}},
		{Title: "e", Evidence: &runbook.Evidence{Changes: 2 * time.Hour}},
		{Title: "f", Evidence: &runbook.Evidence{HTTP: "https://user:secret@status.example/api?token=secret"}},
		{Title: "g"},
	}
	v := NewView(r, nil, "", clockTime("14:12"))
	var lines []string
	for _, m := range v.Mitigations {
		lines = append(lines, m.Do)
	}
	for _, step := range v.Rollbacks {
		lines = append(lines, step.Do)
	}
	for _, item := range v.Triage {
		lines = append(lines, item.Evidence)
	}
	sameLines(t, lines, []string{
		"Route support-bot to the fallback.",
		"From <current version> to<previous version>, for support-bot, say oncall.",
		"A broken {{ .Previous",
		"refusal_rate of language de or en, tier paid",
		"refusals_by_intent by intent, the top 10",
		"refusal_rate, arm treatment against control",
		"shadow, version before and after the last change of prompt",
		"changes of the last 2h",
		"https://status.example/api",
		"",
	})
}

func TestTheHeadlineNamesTheGroupBeyondItsService(t *testing.T) {
	w := opened(t)
	r := w.record()
	if v := NewView(r, nil, "", w.now); strings.Contains(v.Headline, "service") || v.GroupWords() != "" {
		t.Errorf("%q: %s", v.GroupWords(), v.Headline)
	}
	r.Findings[0].Group = labels.FromStrings("service", "support-bot", "tier", "paid", "language", "en")
	if v := NewView(r, nil, "", w.now); !strings.Contains(v.Headline, " · support-bot · language en, tier paid · owner oncall") {
		t.Errorf("%s", v.Headline)
	}
}
