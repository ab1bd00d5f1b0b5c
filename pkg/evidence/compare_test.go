package evidence_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/evidence"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

func TestControlAgainstTreatment(t *testing.T) {
	arms := func(treatment, of, control, ofControl int) []string {
		return join(chats(`service="bot",tier="paid",arm="treatment"`, 4, 100, treatment, of), chats(`service="bot",tier="paid",arm="control"`, 4, 100, control, ofControl))
	}
	for _, c := range []struct {
		name    string
		series  []string
		signal  string
		change  func(*evidence.About)
		want    string
		verdict evidence.Verdict
	}{
		{
			"a difference beyond chance is said with its interval, over the time since impact", arms(27, 143, 6, 139), "refusal_rate", nil,
			"Refusal rate over 15m: treatment 18.9% of 2,145, control 4.3% of 2,085: 15 points more (13 to 16): more than chance explains if requests are independent. Split 51% to 49%.", evidence.Differs,
		},
		{
			"a difference that chance explains is said as such", arms(6, 100, 5, 100), "refusal_rate", nil,
			"Refusal rate over 15m: treatment 6% of 1,500, control 5% of 1,500: no difference seen; 1 point more (-0.6 to 2.6) could be chance. Split 50% to 50%.", evidence.NoDifference,
		},
		{
			"a treatment that has less is turned around", arms(2, 100, 10, 100), "refusal_rate", nil,
			"Refusal rate over 15m: treatment 2% of 1,500, control 10% of 1,500: 8 points less (6.4 to 9.7): more than chance explains if requests are independent. Split 50% to 50%.", evidence.Differs,
		},
		{
			"too few events tell nothing", arms(3, 20, 1, 3), "refusal_rate", nil,
			"Refusal rate over 15m: treatment 15% of 300, control 33.3% of 45: too few to tell, each needs 100. Split 87% to 13%.", evidence.TooFew,
		},
		{
			"within the first minutes it is the signal's own range", arms(20, 100, 4, 100), "refusal_rate",
			func(a *evidence.About) { a.ImpactStartedAt = minute(74) },
			"Refusal rate over 5m: treatment 20% of 500, control 4% of 500: 16 points more (12 to 20): more than chance explains if requests are independent. Split 50% to 50%.", evidence.Differs,
		},
		{
			"what else the traffic differs in is said",
			join(chats(`service="bot",language="en",arm="treatment"`, 4, 100, 24, 80), chats(`service="bot",language="de",arm="treatment"`, 4, 100, 1, 20),
				chats(`service="bot",language="en",arm="control"`, 4, 100, 12, 40), chats(`service="bot",language="de",arm="control"`, 4, 100, 2, 60)),
			"refusal_rate", nil,
			"Refusal rate over 15m: treatment 25% of 1,500, control 14% of 1,500: 11 points more (8.2 to 14): more than chance explains if requests are independent. Split 50% to 50%. Their traffic differs in language too: en is 80% of treatment and 40% of control.", evidence.Differs,
		},
		{
			"the label that is compared is no part of the incident's group", arms(20, 100, 4, 100), "refusal_rate",
			func(a *evidence.About) { a.Group = labels.FromStrings("arm", "treatment") },
			"Refusal rate over 15m: treatment 20% of 1,500, control 4% of 1,500: 16 points more (14 to 18): more than chance explains if requests are independent. Split 50% to 50%.", evidence.Differs,
		},
		{
			"values without counts are said alone", []string{`p95{arm="treatment",zone="a"}`, level(2, 6.2), `p95{arm="treatment",zone="b"}`, level(2, 3), `p95{arm="control"}`, level(2, 2.1)}, "p95", nil,
			"p95 latency: treatment 6.2s, control 2.1s: 4.1s more. There are no counts behind these values that would tell whether it is chance.", "",
		},
		{
			"a side without traffic is nothing to compare with", arms(20, 100, 0, 0), "refusal_rate", nil,
			"Refusal rate over 15m: treatment 20% (300 of 1,500); control has no data: nothing to compare with", "",
		},
		{
			"a treatment that is not there is told", chats(`service="bot",arm="control"`, 4, 100, 4, 100), "refusal_rate", nil,
			"Refusal rate over 15m: control 4% (60 of 1,500); treatment has no data: nothing to compare", "",
		},
		{
			"other arms are neither", chats(`service="bot",arm="a"`, 4, 100, 4, 100), "refusal_rate", nil,
			"Refusal rate over 15m: neither treatment nor control of arm has data now: nothing to compare", "",
		},
		{
			"no control arm at all is an honest answer", chats(`service="bot"`, 4, 100, 4, 100), "refusal_rate", nil,
			"Refusal rate over 15m: no segment carries the label arm now: nothing here measures the two apart", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := about()
			if c.change != nil {
				c.change(&a)
			}
			found := evidence.New(evidence.Config{Source: world(t, c.series...)}).Gather(t.Context(), runbook.Evidence{
				Signal: c.signal, Compare: &runbook.Compare{Label: "arm", Control: "control", Treatment: "treatment"},
			}, a)
			same(t, "text", found.Text+found.Err, c.want)
			same(t, "verdict", string(found.Values.(*evidence.Comparison).Verdict), string(c.verdict))
		})
	}
}

func TestTheIntervalIsNewcombes(t *testing.T) { // published: 56/70 - 48/80 = .2000 (.0524, .3339)
	s := ratio("r", "R", "sum by (arm) (x)", "sum by (arm) (n)")
	s.HasRange = false
	a := about()
	a.Snapshot.Signals["r"] = s
	source := world(t, `x{arm="t"}`, level(0, 560), `n{arm="t"}`, level(0, 700), `x{arm="c"}`, level(0, 480), `n{arm="c"}`, level(0, 800))
	found := evidence.New(evidence.Config{Source: source}).Gather(t.Context(), runbook.Evidence{
		Signal: "r", Compare: &runbook.Compare{Label: "arm", Control: "c", Treatment: "t"},
	}, a)
	difference, low, high := triggers.Newcombe(560, 700, 480, 800)
	v := found.Values.(*evidence.Comparison)
	if *v.Difference != difference || *v.Low != low || *v.High != high || v.Minimum != 100 {
		t.Errorf("%v (%v to %v), at least %d", *v.Difference, *v.Low, *v.High, v.Minimum)
	}
}

func TestVersionsOfAnArtifact(t *testing.T) {
	shadow := join(chats(`service="bot",version="v6"`, 4, 100, 4, 100), chats(`service="bot",version="v7"`, 0, 0, 20, 100))
	v7 := changes.Change{Artifact: "prompt", Service: "bot", From: "v6", To: "v7", At: minute(31)}
	for _, c := range []struct {
		name   string
		series []string
		log    []changes.Change
		signal string
		want   string
	}{
		{
			"the newest two are compared at the same time, where both have traffic", shadow, []changes.Change{v7}, "",
			"Refusal rate over 15m: v7 (prompt since 00:31 UTC) 20% of 1,500, v6 4% of 1,500: 16 points more (14 to 18): more than chance explains if requests are independent. Split 50% to 50%.",
		},
		{
			"the version before may be known from the log alone", shadow, []changes.Change{
				{Artifact: "prompt", To: "v6", At: minute(5)}, {Artifact: "code", To: "c9", At: minute(40)}, {Artifact: "prompt", Service: "bot", To: "v7", At: minute(61)},
			}, "",
			"Refusal rate over 14m: v7 (prompt since 01:01 UTC) 20% of 1,400, v6 4% of 1,400: 16 points more (14 to 18): more than chance explains if requests are independent. Split 50% to 50%.",
		},
		{
			"a version that is gone is measured as it was before the change, which is said",
			[]string{`refused{version="v6"}`, "0+4x60 stale", `chats{version="v6"}`, "0+100x60 stale", `refused{version="v7"}`, "_x61 0+20x40", `chats{version="v7"}`, "_x61 0+100x40"},
			[]changes.Change{{Artifact: "prompt", From: "v6", To: "v7", At: minute(62), Seen: changes.Sight{LastWithout: minute(60), FirstWith: minute(62)}}}, "",
			"Refusal rate over 13m: v7 (prompt since 01:02 UTC) 20% of 1,300, v6 4% of 1,300: 16 points more (14 to 18), measured at different times. Split 50% to 50%. v6 was measured before, up to 01:00 UTC: whatever else changed since then counts too.",
		},
		{
			"no change on record is nothing to compare", shadow, []changes.Change{{Artifact: "code", To: "c9", At: minute(40)}}, "",
			"no change of prompt to a version on record in 8d: nothing to compare",
		},
		{
			"a version before that nobody knows is said to be unknown", shadow, []changes.Change{{Artifact: "prompt", To: "v7", At: minute(31)}}, "",
			"prompt to v7 29 min before impact: which version was there before is not on record",
		},
		{
			"shares of one whole have no interval", shadow, []changes.Change{v7}, "version_share",
			"Share of traffic over 15m: v7 (prompt since 00:31 UTC) 50%, v6 50%: the same. There are no counts behind these values that would tell whether it is chance.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			item := runbook.Evidence{Signal: "refusal_rate", Compare: &runbook.Compare{Label: "version", Artifact: "prompt"}}
			if c.signal != "" {
				item.Signal = c.signal
			}
			found := evidence.New(evidence.Config{Source: world(t, c.series...), Changes: logged(c.log)}).Gather(t.Context(), item, about())
			same(t, "text", found.Text+found.Err, c.want)
		})
	}
}

func TestChanges(t *testing.T) {
	prompt := changes.Change{Artifact: "prompt", Service: "bot", From: "v6", To: "v7", At: minute(31), By: "alice"}
	known := []changes.Change{
		{Artifact: "weights", Service: "bot", To: "w1", At: minute(-3000)},
		{Artifact: "retrieval_index", Service: "search", To: "kb-1", At: minute(-3000)},
		{Artifact: "prompt", Service: "bot", To: "v6", At: minute(-3000)},
	}
	for _, c := range []struct {
		name   string
		log    []changes.Change
		change func(*evidence.About)
		want   string
	}{
		{"one change is one sentence", append(known, prompt), nil, "prompt v6 → v7 29 min before impact, by alice"},
		{
			"several are listed, the newest first, with those of other services that a step answers for",
			append(known, prompt,
				changes.Change{Artifact: "code", Service: "bot", Note: "hot\u202efix", At: minute(65)},
				changes.Change{Artifact: "thresholds", To: "0.7", At: minute(60)},
				changes.Change{Artifact: "retrieval_index", Service: "search", To: "kb-2", At: minute(10), Seen: changes.Sight{LastWithout: minute(2), FirstWith: minute(10)}},
				changes.Change{Artifact: "code", Service: "search", To: "x", At: minute(50)},
				changes.Change{Artifact: "weights", To: "w2", At: minute(80)}), nil,
			`4 changes in 2h, the newest first:
code (hot fix) 5 min after impact began
thresholds to 0.7 as impact began
prompt v6 → v7 29 min before impact, by alice
retrieval_index to kb-2 50 min before impact, or up to 8 min earlier, of search, on less than half`,
		},
		{"what nothing reports is said beside what changed", []changes.Change{prompt}, nil, "1 change in 2h, the newest first:\nprompt v6 → v7 29 min before impact, by alice\nnothing reports retrieval_index, weights"},
		{"no change, and all is reported", known, nil, "no change on record in 2h"},
		{"no change says what nothing reports", known[:1], nil, "no change on record in 2h (nothing reports prompt, retrieval_index)"},
		{
			"what metrics show is known", nil,
			func(a *evidence.About) {
				a.Running = []changes.Running{{Artifact: "prompt", Service: "bot", Version: "v6"}, {Artifact: "retrieval_index", Service: "search", Version: "k"}}
			},
			"no change on record in 2h (nothing reports weights)",
		},
		{"without a known beginning of impact it is reckoned from now", append(known, prompt), func(a *evidence.About) { a.ImpactStartedAt = time.Time{} }, "prompt v6 → v7 44 min ago, by alice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := about()
			if c.change != nil {
				c.change(&a)
			}
			found := evidence.New(evidence.Config{Changes: logged(c.log)}).Gather(t.Context(), runbook.Evidence{Changes: 2 * time.Hour}, a)
			same(t, "text", found.Text+found.Err, c.want)
		})
	}
}

func TestAChangeLogThatCantBeReadIsToldAsUnknown(t *testing.T) {
	item := runbook.Evidence{Changes: time.Hour}
	found := evidence.New(evidence.Config{}).Gather(t.Context(), item, about())
	same(t, "error", found.Text+found.Err, "the change log can't be read: there is none")
	found = evidence.New(evidence.Config{Changes: func(context.Context, string, time.Time) ([]changes.Change, error) {
		return nil, errors.New("disk I/O error")
	}}).Gather(t.Context(), item, about())
	same(t, "error", found.Text+found.Err, "the change log can't be read: disk I/O error")
}
