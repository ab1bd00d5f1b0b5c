package incident

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// fullBreach has a value in every field.
var fullBreach = Breach{Condition: "refusal_rate above 15%", Signal: "refusal_rate", Title: "Refusal rate",
	Segment: labels.FromStrings("tier", "paid"), Limit: 0.15, BreachBegan: clockTime("14:00"), ImpactBegan: clockTime("13:59:15")}

// everyBody is one of each kind.
var everyBody = []Body{
	Opened{Class: Drill, NextUpdateAt: clockTime("14:20"), Normal: pointer(2.5), Runbook: "hash", Name: "name", Group: groupOfBot, Service: "support-bot", Severity: runbook.Sev2, Rule: "rule",
		RubricUnknown: true, Breaches: []Breach{fullBreach}, BreachBegan: clockTime("14:00"), ImpactStartedAt: clockTime("13:59:15"), Follows: "id"},
	BreachJoined{Runbook: "name", Breaches: []Breach{fullBreach}},
	TriggerCleared{Runbook: "name"},
	FindingJoined{Runbook: "other", Name: "slow", Group: groupOfBot, Service: "support-bot", Severity: runbook.Sev3,
		Breaches: []Breach{fullBreach}, BreachBegan: clockTime("14:05"), ImpactStartedAt: clockTime("14:04")},
	Reopened{Runbook: "newer", Name: "name", Group: groupOfBot, Severity: runbook.Sev2, Rule: "rule", Breaches: []Breach{fullBreach},
		NextUpdateAt: clockTime("16:20")},
	Reopened{Group: labels.EmptyLabels(), Severity: runbook.Sev2, Reason: "it came back", NextUpdateAt: clockTime("16:20"),
		Runbooks: map[string]string{"name": "newer"}},
	Relapsed{Runbook: "name", Breaches: []Breach{fullBreach}, NextUpdateAt: clockTime("14:30")},
	SeverityRaised{From: runbook.Sev2, To: runbook.Sev1, Rule: "rule", Breaches: []Breach{fullBreach}, NextUpdateAt: clockTime("14:30")},
	SeveritySet{From: runbook.Sev2, To: runbook.Sev3, Reason: "few users", Until: clockTime("14:50"), Floor: runbook.Sev1,
		NextUpdateAt: clockTime("14:40")},
	SeveritySet{From: runbook.Sev3, To: runbook.Sev1, Reason: "many users"},
	PinExpired{},
	HoldStarted{},
	HoldBroken{Why: HoldMissed, Band: "key"},
	Resolved{ImpactEndedAt: clockTime("14:36")},
	WentBlind{Conditions: []string{"key"}, Since: clockTime("14:40:15")},
	SightBack{},
	Unverified{},
	Paged{Round: 1, Key: "key", Causes: []string{CauseOpened}, Step: 1, Pass: 2, Severity: runbook.Sev2, Roles: []string{"oncall"},
		Receivers: []string{"pager"}, Skipped: []string{"gone"}, NextAt: clockTime("14:25"), EndsRound: 1},
	PageDelivered{Round: 1, Step: 1, Receiver: "pager", Receipt: "receipt", Ended: "key"},
	PageFailed{Round: 1, Step: 1, Receiver: "pager", Cause: "404", Permanent: true, NotSent: true},
	Acknowledged{Round: 1, Via: "api", Receiver: "pager", From: "bob", Resolved: true},
	Unacknowledged{Via: "pagerduty"},
	PageHeld{Causes: []string{CauseRaised}, Silence: "id", Until: clockTime("15:00")},
	Noted{Text: "text"},
	TriageAnswered{N: 1, Answer: "yes", Text: "paid English traffic"},
	UpdatePosted{Audience: Customer, Text: "text", NextUpdateAt: clockTime("14:49")},
	UpdateOverdue{Due: clockTime("14:49"), NextUpdateAt: clockTime("15:19")},
	Dismissed{Reason: Duplicate, Text: "text", DuplicateOf: "id", Severity: runbook.Sev2},
	PostmortemSaved{Postmortem{RootCause: "prompt", DetectionGap: "none", Notes: "notes", Answers: map[string]string{"Why?": "So."},
		Prevention: []Prevention{{Action: "a test", Owner: "alice", Due: clockTime("15:00")}}}},
	Closed{},
	EvidenceGathered{N: 1, Values: json.RawMessage(`[1]`), Text: "text", Error: "timeout"},
	ChangeSeen{ID: "id", Artifact: "prompt", Service: "support-bot", From: "v6", To: "v7", At: clockTime("13:58"), By: "bob", URL: "https://example.org"},
	ActionRequested{Action: "one", Step: "prompt", Title: "title", From: "v7", To: "v6", Digest: "digest", Approval: "two_person", Settle: 1},
	ActionRequested{Action: "two", Mitigate: "title", Title: "title", Approval: "owner"},
	ActionApproved{Action: "one", Digest: "digest"},
	ActionStarted{Action: "one", Attempt: 2},
	ActionDone{Action: "one", How: DoneByHand, Step: "prompt", Title: "title", From: "v7", To: "v6", Settle: 1},
	ActionEffective{Action: "one", Floor: clockTime("14:26")},
	ActionFailed{Action: "one", Why: FailedUnanswered, Cause: "timeout"},
	EffectMeasured{Action: "one", Effect: Effect{Verdict: EffectHelped, Metrics: []EffectMetric{{Band: "key", Signal: "refusal_rate",
		Before: &triggers.Value{V: 0.19}, After: &triggers.Value{V: 0.08}, Low: -0.12, High: -0.1, Target: "below 6%", Held: true}}}},
	SuspectsRanked{
		Cause: CauseOpened,
		Ranking: changes.Ranking{
			Suspects:  []changes.Suspect{{Change: changes.Change{ID: "c", Artifact: "prompt", From: "v6", To: "v7", At: clockTime("13:30")}, Rank: 1, Reason: "29 min before impact"}},
			Unchanged: []changes.Unchanged{{Artifact: "code", Since: 24 * time.Hour}},
		},
		Running: []changes.Running{{Artifact: "prompt", Version: "v7", Was: "v6"}},
	},
	Mitigated{Action: "three", Title: "Provider mended it", Floor: clockTime("14:26")},
	GapNoted{From: clockTime("10:00"), To: clockTime("14:00")},
	Unknown{Name: "sang", Raw: json.RawMessage(`{"Song": 1}`)},
}

func TestEveryBodySurvivesTheStore(t *testing.T) {
	for _, body := range everyBody {
		raw, err := EncodeBody(body)
		if err != nil {
			t.Fatal(err)
		}
		back, err := DecodeBody(body.Kind(), raw)
		if err != nil || !reflect.DeepEqual(back, body) {
			t.Errorf("%s: %+v, %v; want %+v", body.Kind(), back, err, body)
		}
	}
	if _, err := DecodeBody("opened", []byte(`{"Severity": 3}`)); err == nil {
		t.Error("a broken body is read without an error")
	}
}

// TestEveryBodyIsKnown holds decoders and everyBody complete: each type of event*.go with a Kind method is in them.
func TestEveryBodyIsKnown(t *testing.T) {
	names, err := filepath.Glob("event*.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, body := range everyBody {
		listed[reflect.TypeOf(body).Name()] = true
		if _, ok := decoders[body.Kind()]; !ok && body.Kind() != "sang" {
			t.Errorf("no decoder of %s", body.Kind())
		}
	}
	found := 0
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			method, ok := decl.(*ast.FuncDecl)
			if !ok || method.Recv == nil || method.Name.Name != "Kind" {
				continue
			}
			found++
			if name := method.Recv.List[0].Type.(*ast.Ident).Name; !listed[name] {
				t.Errorf("%s is not tested", name)
			}
		}
	}
	if found != len(listed) {
		t.Errorf("%d kinds, but %d are listed", found, len(listed))
	}
}

func pointer(v float64) *float64 { return &v }

// TestApplyOnACopyLeavesTheOriginal adds every event to a copy of a record in which everything is set.
func TestApplyOnACopyLeavesTheOriginal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &Record{}
		bodies := append([]Body{everyBody[0]}, rapid.SliceOfN(rapid.SampledFrom(everyBody[1:]), 0, 12).Draw(t, "before")...)
		for i, body := range bodies {
			apply(r, Event{Seq: int64(i + 1), At: clockTime("14:10"), Body: body})
		}
		before := recordJSON(t, r)
		c := r.clone()
		if got := recordJSON(t, c); got != before {
			t.Fatalf("the copy is\n %s\nwant\n %s", got, before)
		}
		for _, body := range rapid.SliceOfN(rapid.SampledFrom(everyBody[1:]), 1, 6).Draw(t, "after") {
			apply(c, Event{Seq: c.Version + 1, At: clockTime("14:20"), Actor: "alice", Body: body})
		}
		if got := recordJSON(t, r); got != before {
			t.Fatalf("the original became\n %s\nfrom\n %s", got, before)
		}
	})
}

func recordJSON(t interface{ Fatal(...any) }, r *Record) string {
	raw, err := EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeRecord(raw)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := EncodeRecord(back); err != nil || !bytes.Equal(again, raw) {
		t.Fatal("a record changes in the store:\n", string(raw), "\n", string(again), err)
	}
	return string(raw)
}
