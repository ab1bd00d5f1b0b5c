package evidence_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/evidence"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// paid is a bot whose paid English chats are refused since impact, its free ones and another service's always.
func paid() []string {
	return join(
		chats(`service="bot",tier="paid",language="en"`, 4, 100, 20, 100),
		chats(`service="bot",tier="paid",language="de"`, 2, 50, 2, 50),
		[]string{`refused{service="bot",tier="paid",language="fr"}`, "_x73 0 1", `chats{service="bot",tier="paid",language="fr"}`, "_x73 0 1"},
		chats(`service="bot",tier="free",language="en"`, 90, 100, 90, 100),
		chats(`service="shop",tier="paid",language="en"`, 90, 100, 90, 100),
	)
}

func anyGroup(a *evidence.About) { a.Group = labels.EmptyLabels() }

func TestASignalBySegment(t *testing.T) {
	for _, c := range []struct {
		name   string
		series []string
		item   runbook.Evidence
		change func(*evidence.About)
		want   string
	}{
		{
			"one segment is one sentence, with what it was before impact", paid(),
			runbook.Evidence{Signal: "refusal_rate", Where: map[string][]string{"language": {"en"}}}, nil,
			"Refusal rate (language en, tier paid): 20% (100 of 500), before impact 4% (20 of 500)",
		},
		{
			"segments of the incident's service and group are listed, the surely worst first", paid(),
			runbook.Evidence{Signal: "refusal_rate", By: []string{"language"}}, nil,
			`Refusal rate, all together: 14.9% (112 of 752), before impact 4% (30 of 750); the worst first:
language en: 20% (100 of 500), was 4% (20 of 500)
language fr: 100% (2 of 2), no data before impact
language de: 4% (10 of 250), was 4% (10 of 250)`,
		},
		{
			"what was selected is said where the values don't show it", paid(),
			runbook.Evidence{Signal: "refusal_rate", By: []string{"tier"}, Where: map[string][]string{"language": {"en", "de"}}}, anyGroup,
			`Refusal rate (language en or de), all together: 44.8% (560 of 1,250), before impact 38.4% (480 of 1,250); the worst first:
tier free: 90% (450 of 500), was 90% (450 of 500)
tier paid: 14.7% (110 of 750), was 4% (30 of 750)`,
		},
		{
			"without a known beginning of impact nothing is compared", paid(),
			runbook.Evidence{Signal: "refusal_rate", Where: map[string][]string{"language": {"en"}}},
			func(a *evidence.About) { a.ImpactStartedAt = time.Time{} },
			"Refusal rate (language en, tier paid): 20% (100 of 500)",
		},
		{
			"a top list says each one's share of all bad events", paid(),
			runbook.Evidence{Signal: "refusal_rate", By: []string{"language"}, Top: 1}, nil,
			`Refusal rate, all together: 14.9% (112 of 752), before impact 4% (30 of 750); the worst first, the top 1 of 3:
language en: 20% (100 of 500), was 4% (20 of 500); 89.3% of all bad ones
and 2 more`,
		},
		{
			"where less is worse the lowest is first, and what is missing is shared out", paid(),
			runbook.Evidence{Signal: "answered_rate", By: []string{"language"}, Where: map[string][]string{"language": {"en", "de"}}, Top: 2}, nil,
			`Answered (language en or de), all together: 14.7% (110 of 750), before impact 4% (30 of 750); the worst first:
language de: 4% (10 of 250), was 4% (10 of 250); 37.5% of all bad ones
language en: 20% (100 of 500), was 4% (20 of 500); 62.5% of all bad ones`,
		},
		{
			"of values that can't be added up the worst stands for the others",
			[]string{`p95{tier="paid",zone="a"}`, level(2, 3), `p95{tier="paid",zone="b"}`, level(2, 6.2), `p95{tier="paid",zone="c",language="x"}`, level(1, 1)},
			runbook.Evidence{Signal: "p95", By: []string{"tier", "language"}}, nil,
			`p95 latency (tier paid), now and before impact, the worst first:
the rest: 6.2s, was 2s (the worst of 2)
language x: 1s, was 1s`,
		},
		{
			"a top list of counts says each one's share of the sum",
			[]string{`appeals{intent="refund"}`, level(14, 120), `appeals{intent="login"}`, level(10, 60), `appeals{intent="other"}`, level(20, 20)},
			runbook.Evidence{Signal: "appeals", By: []string{"intent"}, Top: 2}, nil,
			`appeals, now and before impact, the worst first, the top 2 of 3:
intent refund: 120, was 14; 60% of the sum
intent login: 60, was 10; 30% of the sum
and 1 more`,
		},
		{
			"parts of one whole are not added up",
			join(chats(`service="bot",version="v6"`, 0, 100, 0, 20), chats(`service="bot",version="v7"`, 0, 0, 0, 80)),
			runbook.Evidence{Signal: "version_share"}, nil,
			`Share of traffic, now and before impact, the worst first:
version v7: 80% (400 of 500), was 0% (0 of 500)
version v6: 20% (100 of 500), was 100% (500 of 500)`,
		},
		{
			"a segment that is gone is told", []string{`p95{tier="paid",zone="a"}`, level(2, 3), `p95{tier="paid",zone="b"}`, "2+0x60 stale"},
			runbook.Evidence{Signal: "p95"}, nil,
			"p95 latency (tier paid, zone a): 3s, before impact 2s\n1 segment with data before impact: none now",
		},
		{
			"no traffic is no share", chats(`service="bot",tier="paid"`, 4, 100, 0, 0),
			runbook.Evidence{Signal: "refusal_rate"}, nil,
			"Refusal rate (tier paid): no events, before impact 4% (20 of 500)",
		},
		{"no data is told", nil, runbook.Evidence{Signal: "refusal_rate"}, nil, "Refusal rate: no data now"},
		{
			"a selection that meets nothing is told apart from no data at all", paid(),
			runbook.Evidence{Signal: "refusal_rate", Where: map[string][]string{"language": {"xx"}}}, nil,
			"Refusal rate (language xx): no segment has data now; 5 with other labels do",
		},
		{"a signal that the runbook lacks is an error", nil, runbook.Evidence{Signal: "gone"}, nil, "!the incident's runbook has no signal gone"},
		{
			"a query that the source refuses is an error without an address", paid(), runbook.Evidence{Signal: "bad"},
			func(a *evidence.About) {
				a.Snapshot.Signals["bad"] = &triggers.Signal{Name: "bad", Title: "Bad", Query: "chats + ignoring(tier, language) chats"}
			},
			`!Bad is unknown: query "chats + ignoring(tier, language) chats": …`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := about()
			if c.change != nil {
				c.change(&a)
			}
			found := evidence.New(evidence.Config{Source: world(t, c.series...)}).Gather(t.Context(), c.item, a)
			text := found.Text
			if found.Err != "" {
				text += "!" + found.Err
			}
			if want, begun := strings.CutSuffix(c.want, "…"); begun && strings.HasPrefix(text, want) {
				return
			}
			same(t, "text", text, c.want)
		})
	}
}

func TestTheValuesOfASignalAreWhatTheTextSays(t *testing.T) {
	found := evidence.New(evidence.Config{Source: world(t, paid()...)}).Gather(t.Context(),
		runbook.Evidence{Signal: "refusal_rate", By: []string{"language"}, Top: 1}, about())
	text, err := json.Marshal(found.Values)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "values", string(text), `{"signal":"refusal_rate","title":"Refusal rate","unit":"ratio","worse":"up",`+
		`"at":"1970-01-01T01:15:00Z","before_at":"1970-01-01T00:55:00Z",`+
		`"all":{"now":{"value":0.14893617021276595,"count":112,"of":752,"text":"14.9% (112 of 752)"},"before":{"value":0.04,"count":30,"of":750,"text":"4% (30 of 750)"}},`+
		`"segments":[{"labels":{"language":"en"},"now":{"value":0.2,"count":100,"of":500,"text":"20% (100 of 500)"},"before":{"value":0.04,"count":20,"of":500,"text":"4% (20 of 500)"},"share":0.8928571428571429}],"more":2}`)
}

func TestWhatLabelsHoldIsCleanedAndBounded(t *testing.T) {
	var series []string
	for n := range 50 {
		hostile := fmt.Sprintf(`\u202e\u0007\n<!channel>\t%02d `, n) + strings.Repeat("é", 4000)
		series = append(series, `appeals{intent="`+hostile+`",service="bot"}`, level(1, float64(100-n)))
	}
	found := evidence.New(evidence.Config{Source: world(t, series...)}).Gather(t.Context(), runbook.Evidence{Signal: "appeals"}, about())
	if len(found.Text) > 1<<10 || strings.ContainsAny(found.Text, "\u202e\u0007\t") {
		t.Errorf("%d bytes: %q", len(found.Text), found.Text)
	}
	lines := strings.Split(found.Text, "\n")
	if last := lines[len(lines)-1]; last != fmt.Sprintf("and %d more", 50-(len(lines)-2)) {
		t.Errorf("of %d lines the last is %q", len(lines), last)
	}
	values := found.Values.(*evidence.SignalValues)
	if text, err := json.Marshal(values); err != nil || len(text) > 16<<10 || len(values.Segments) != 20 || values.More != 30 {
		t.Errorf("%d bytes, %d segments and %d more, %v", len(text), len(values.Segments), values.More, err)
	}
}

func TestManyLabelsLeaveRoomForTheValue(t *testing.T) {
	var set []string
	for l := range 20 {
		set = append(set, fmt.Sprintf(`label_%02d="%s"`, l, strings.Repeat("v", 60)))
	}
	one := "appeals{" + strings.Join(set, ",") + "}"
	another := "appeals{" + strings.ReplaceAll(strings.Join(set, ","), "v\"", "w\"") + "}"
	for _, series := range [][]string{{one, level(1, 7)}, {one, level(1, 7), another, level(1, 2)}} {
		found := evidence.New(evidence.Config{Source: world(t, series...)}).Gather(t.Context(), runbook.Evidence{Signal: "appeals"}, about())
		if !strings.Contains(found.Text, ": 7, ") {
			t.Errorf("the value is lost: %s", found.Text)
		}
	}
}

func TestValuesThatWouldBeTooLargeAreShortened(t *testing.T) {
	var series []string
	for n := range 30 {
		var set []string
		for l := range 20 {
			set = append(set, fmt.Sprintf(`label_%02d_%s="%02d%s"`, l, strings.Repeat("n", 40), n, strings.Repeat("v", 60)))
		}
		series = append(series, "appeals{"+strings.Join(set, ",")+"}", level(1, float64(n)))
	}
	found := evidence.New(evidence.Config{Source: world(t, series...)}).Gather(t.Context(), runbook.Evidence{Signal: "appeals"}, about())
	values := found.Values.(*evidence.SignalValues)
	text, err := json.Marshal(values)
	if err != nil || len(text) > 16<<10 || len(values.Segments) == 0 || len(values.Segments)+values.More != 30 {
		t.Errorf("%d bytes, %d segments and %d more, %v", len(text), len(values.Segments), values.More, err)
	}
}
