package runbook

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const signals = `signals:
  refusal_rate:
    unit: ratio
    ratio: {numerator: "sum by (service, tier) (increase(r[$range]))", denominator: "sum by (service, tier) (increase(a[$range]))"}
  unsafe_rate:
    unit: ratio
    ratio: {numerator: "sum by (service) (increase(u[$range]))", denominator: "sum by (service) (increase(a[$range]))"}
  latency: {unit: seconds, query: "max by (service) (l)"}
  unused: {query: up}
`

// load reads the runbook of testdata with some texts replaced.
func load(t *testing.T, replace ...string) (*Snapshot, *document.Report) {
	t.Helper()
	report := &document.Report{}
	v, _ := document.Parse("signals.yaml", []byte(signals), report)
	known := triggers.ReadSignals(v)
	text, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	v, ok := document.Parse("full.yaml", []byte(strings.NewReplacer(replace...).Replace(string(text))), report)
	if !ok {
		t.Fatal(report.Problems)
	}
	r := Read(v)
	r.Check(Known{Signals: known, Roles: []string{"oncall"}, Connectors: []string{"prompts"}})
	return NewSnapshot(r, known), report
}

func TestARunbookIsReadWhole(t *testing.T) {
	s, report := load(t)
	if err := report.Err(document.Error, document.Warning); err != nil {
		t.Fatal(err)
	}
	r := s.Runbook
	if got := r.Severity.Rules[0].Text; got != "refusal_rate above 30% and blast_radius above 50%" {
		t.Error(got)
	}
	if r.Severity.Rules[1].Severity != Sev2 || r.Severity.Default != Sev3 {
		t.Errorf("%+v", r.Severity)
	}
	step := r.Rollback[0]
	want := &Action{
		Connector: "prompts", Method: "PUT", Path: "/labels/live", Semantics: SemanticsSet,
		Body:    map[string]any{"version": "{{ .Previous }}", "weights": []any{1.0, 0.5, true, nil}},
		Confirm: &Confirm{Method: "GET", Path: "/labels/live", Expect: map[string]any{"version": "{{ .Previous }}"}},
	}
	if !reflect.DeepEqual(step.Action, want) || step.Name != "prompt" || step.Approval != ApprovalOwner || step.Settle != 5*time.Minute {
		t.Errorf("%+v %+v", step, step.Action)
	}
	if r.Rollback[1].Action.Semantics != SemanticsCreate {
		t.Error("what may not be repeated safely would be repeated")
	}
	if r.Recovery.Business.None == "" || r.Recovery.Business.Clause != nil || len(r.Recovery.Key.Clause.All) != 2 {
		t.Errorf("%+v", r.Recovery)
	}
	if len(r.Postmortem.Questions) != 4 || r.ReopenWithin != 4*time.Hour || r.Recovery.Timeout != 2*time.Hour {
		t.Error("defaults are not filled in")
	}
	if names := len(s.Signals); names != 3 || s.Signals["unused"] != nil {
		t.Errorf("%d signals in the snapshot", names)
	}
}

func TestASnapshotSurvivesJSONUnchanged(t *testing.T) {
	s, _ := load(t)
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Snapshot
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	clearPlaces(reflect.ValueOf(s))
	if !reflect.DeepEqual(s, &back) {
		t.Errorf("%+v\nwant %+v", &back, s)
	}
	again, err := json.Marshal(&back)
	if err != nil || string(again) != string(text) {
		t.Errorf("%s\nwant %s", again, text)
	}
	if s.Hash() != back.Hash() || len(s.Hash()) != 64 {
		t.Error("the hash does not survive")
	}
}

func TestTheHashFollowsWhatCountsAndNothingElse(t *testing.T) {
	s, _ := load(t)
	same, _ := load(t, "runbook: full", "# a comment\nrunbook: full")
	other, _ := load(t, "above: 30%", "above: 31%")
	if s.Hash() != same.Hash() {
		t.Error("a comment changes the hash")
	}
	if s.Hash() == other.Hash() {
		t.Error("a limit does not change the hash")
	}
}

// clearPlaces takes out what JSON leaves out: where things stand in their files.
func clearPlaces(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			clearPlaces(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			clearPlaces(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if e := v.MapIndex(key); e.Kind() == reflect.Pointer {
				clearPlaces(e)
			}
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[document.Place]() {
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type() != reflect.TypeFor[time.Time]() {
				clearPlaces(v.Field(i))
			}
		}
	}
}

func TestDefaultsFollowFromTheSeverity(t *testing.T) {
	s, _ := load(t, "hold: 20m", "timeout: 2h", "{due: 5d}", "{}")
	r := &s.Runbook
	for severity, want := range map[Severity][5]time.Duration{
		Sev1: {30 * time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour, 72 * time.Hour},
		Sev2: {30 * time.Minute, 10 * time.Minute, 30 * time.Minute, 30 * time.Minute, 120 * time.Hour},
		Sev3: {15 * time.Minute, 30 * time.Minute, 2 * time.Hour, 2 * time.Hour, 240 * time.Hour},
		Sev4: {15 * time.Minute, 0, 0, 0, 0},
	} {
		got := [5]time.Duration{r.HoldFor(severity), r.FirstUpdate(severity), r.UpdateEvery(severity, time.Hour), r.UpdateEvery(severity, 2*time.Hour), r.PostmortemDue(severity)}
		if got != want {
			t.Errorf("%s: %v, want %v", severity, got, want)
		}
	}
}

func TestScalingDividesDefaultsAndWhatIsWritten(t *testing.T) {
	s, _ := load(t)
	r := &s.Runbook
	r.Scale(40)
	s.Signals["refusal_rate"].Scale(40)
	s.Signals["latency"].Scale(40)
	for name, test := range map[string]struct{ got, want time.Duration }{
		"for":                {r.Trigger.Conditions()[0].For, 15 * time.Second},
		"baseline":           {r.Trigger.Conditions()[0].Baseline.Last, 36 * time.Minute},
		"clears.for":         {r.Trigger.Conditions()[0].Clears.For, 7500 * time.Millisecond},
		"hold":               {r.HoldFor(Sev1), 30 * time.Second},
		"first update":       {r.FirstUpdate(Sev1), 7500 * time.Millisecond},
		"update every":       {r.UpdateEvery(Sev1, time.Minute), 30 * time.Second},
		"update every, late": {r.UpdateEvery(Sev1, 3*time.Minute), 90 * time.Second},
		"settle":             {r.Rollback[0].Settle, 7500 * time.Millisecond},
		"changes":            {r.Triage[1].Evidence.Changes, 3 * time.Minute},
		"reopen within":      {r.ReopenWithin, 6 * time.Minute},
		"range":              {s.Signals["refusal_rate"].Range, 7500 * time.Millisecond},
		"no range":           {s.Signals["latency"].Range, 0},
	} {
		if test.got != test.want {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
}

func TestDatesAreCheckedAgainstToday(t *testing.T) {
	s, _ := load(t)
	for day, want := range map[string]string{
		"2026-11-01": "",
		"2027-02-28": "full.yaml:21:11: reviewed: last reviewed on 2026-11-01; a review every 90d: walk through it, then set the date",
		"2027-03-03": "full.yaml:21:11: reviewed: last reviewed on 2026-11-01; a review every 90d: walk through it, then set the date\n" +
			"full.yaml:40:16: mitigate[0].approved[0]: the approval of support-3.1-small was over on 2027-03-01; approve it anew, or take it out",
	} {
		now, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		report := &document.Report{}
		s.Runbook.CheckDates(now, 90*24*time.Hour, report)
		report.Sort()
		got := ""
		if err := report.Err(document.Warning); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", day, got, want)
		}
	}
}

func TestARecoveryLimitIsHeldAgainstItsOwnTriggerAlone(t *testing.T) {
	for name, test := range map[string]struct {
		trigger, key string
		warned       bool
	}{
		"past the limit at which the trigger clears":  {"[{signal: refusal_rate, above: 15%, baseline: {last: 1d}, clears: {below: 5%}}]", "below: 6%", true},
		"on its good side":                            {"[{signal: refusal_rate, above: 15%, baseline: {last: 1d}, clears: {below: 6%}}]", "below: 6%", false},
		"the other end of a band":                     {"[{signal: refusal_rate, below: 5%, baseline: {last: 1d}, clears: {above: 6%}}]", "between: [5%, 90%]", true},
		"a floor that does not fire by itself":        {"[{all: [{signal: refusal_rate, above: 2%, baseline: {last: 1d}, clears: {below: 1%}}, {signal: latency, above: 5s, clears: {below: 4s}}]}]", "below: 6%", false},
		"another part of the traffic than was broken": {"[{signal: refusal_rate, where: {tier: free}, above: 3%, baseline: {last: 1d}, clears: {below: 2%}}]", "below: 6%", false},
	} {
		before := "any:\n    - signal: refusal_rate\n      where: {tier: paid}\n      by: [service]\n      above: 15%\n      for: 10m\n      baseline: {last: 1d}\n      clears: {below: 10%, for: 5m}"
		_, report := load(t, before, "any: "+test.trigger, "where: {tier: paid}, below: 6%", test.key)
		if err := report.Err(document.Error); err != nil {
			t.Fatal(err)
		}
		if warned := report.Count(document.Warning) > 0; warned != test.warned {
			t.Errorf("%s: %v", name, report.Problems)
		}
	}
}

func TestWhatNobodyApprovesMustBeRepeatableAndReadBack(t *testing.T) {
	const settle, confirm = "settle: 5m", `      confirm: {path: /labels/live, expect: {version: "{{ .Previous }}"}}`
	for name, test := range map[string]struct {
		replace []string
		want    string
	}{
		"it is":                     {[]string{settle, "approval: none"}, ""},
		"it starts something":       {[]string{settle, "approval: none", "method: PUT", "method: POST"}, "approval: none, and the action may not be repeated; semantics: set"},
		"nothing reads it back":     {[]string{settle, "approval: none", confirm, ""}, "approval: none, and nothing reads the live version; a confirm by GET"},
		"what reads it is no GET":   {[]string{settle, "approval: none", "confirm: {path", "confirm: {method: POST, path"}, "approval: none, and nothing reads the live version; a confirm by GET"},
		"somebody approves it":      {[]string{confirm, ""}, ""},
		"no action, so by a person": {[]string{"    do: Point the alias back.\n    action: {connector: prompts, method: POST, path: /alias}", "    do: Point the alias back.\n    approval: none"}, ""},
	} {
		_, report := load(t, test.replace...)
		said := ""
		if err := report.Err(document.Error); err != nil {
			said = err.Error()
		}
		if !strings.Contains(said, test.want) || test.want == "" && said != "" {
			t.Errorf("%s: %q, want %q", name, said, test.want)
		}
	}
}
