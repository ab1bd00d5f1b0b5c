package incident

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// fullBreach has a value in every field.
var fullBreach = Breach{Condition: "refusal_rate above 15%", Signal: "refusal_rate", Title: "Refusal rate",
	Segment: labels.FromStrings("tier", "paid"), Limit: 0.15, BreachBegan: clockTime("14:00"), ImpactBegan: clockTime("13:59:15")}

// everyBody is one of each kind.
var everyBody = []Body{
	Opened{Runbook: "hash", Name: "name", Group: groupOfBot, Service: "support-bot", Severity: runbook.Sev2, Rule: "rule",
		RubricUnknown: true, Breaches: []Breach{fullBreach}, BreachBegan: clockTime("14:00"), ImpactStartedAt: clockTime("13:59:15"), Follows: "id"},
	BreachJoined{Runbook: "name", Breaches: []Breach{fullBreach}},
	TriggerCleared{Runbook: "name"},
	Relapsed{Runbook: "name", Breaches: []Breach{fullBreach}},
	SeverityRaised{From: runbook.Sev2, To: runbook.Sev1, Rule: "rule"},
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
	Acknowledged{Round: 1, Via: "api"},
	Unacknowledged{},
	Noted{Text: "text"},
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

// TestEveryBodyIsKnown holds decoders and everyBody complete: each type of event.go with a Kind method is in them.
func TestEveryBodyIsKnown(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, body := range everyBody {
		listed = append(listed, reflect.TypeOf(body).Name())
		if _, ok := decoders[body.Kind()]; !ok && body.Kind() != "sang" {
			t.Errorf("no decoder of %s", body.Kind())
		}
	}
	found := 0
	for _, decl := range file.Decls {
		method, ok := decl.(*ast.FuncDecl)
		if !ok || method.Recv == nil || method.Name.Name != "Kind" {
			continue
		}
		found++
		if name := method.Recv.List[0].Type.(*ast.Ident).Name; !slices.Contains(listed, name) {
			t.Errorf("%s is not tested", name)
		}
	}
	if found != len(everyBody) {
		t.Errorf("%d kinds, but %d are listed", found, len(everyBody))
	}
}

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
