// Package storetest is the conformance test of incident.Store. Every implementation runs it.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Test runs the conformance test. open gives an empty store, closed by t.Cleanup.
func Test(t *testing.T, open func(t *testing.T) incident.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s incident.Store)
	}{
		{"an empty store has nothing", emptyStore},
		{"a new incident is read back whole, with a number and its snapshots", readBack},
		{"numbers run", numbersRun},
		{"events are read in order, by pages", eventsInOrder},
		{"a change goes on from the version it was decided on", versionsGuard},
		{"a finding stands in at most one open incident", findingTaken},
		{"an ended incident gives its finding back", findingFreed},
		{"a commit is written whole or not at all", atomic},
		{"the same commit again is done already", repeated},
		{"of many that change one version, one wins", race},
		{"what ended is found by its finding", recent},
		{"lists are filtered and paged, newest first", list},
		{"the mark of the walk never goes back", walkedTo},
		{"an idempotent answer is kept, and its key is taken", answers},
		{"an event of a later release survives", unknownEvent},
		{"the daemon's own troubles stand apart from the incidents", apart},
		{"events of all incidents are read in the order of their commits", feed},
		{"a silence is kept, changed and forgotten at its end", silences},
		{"a key is made once", keys},
		{"changes are kept, replaced and read in order of time", changesKept},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// opened is when the incidents of the test open. It has microseconds, which every store keeps.
var opened = time.Date(2026, 3, 1, 14, 10, 0, 123456000, time.UTC)

// snapshot is a small runbook.
func snapshot(name string) *runbook.Snapshot {
	condition := func(signal string) triggers.Clause {
		return triggers.Clause{Condition: &triggers.Condition{Signal: signal, Comparison: triggers.Above, Limit: 0.15}}
	}
	key := condition("refusal_rate")
	return &runbook.Snapshot{
		Runbook: runbook.Runbook{
			Name: name, Title: "Good users are refused", Owner: "oncall", Trigger: condition("refusal_rate"),
			Severity: runbook.Rubric{Default: runbook.Sev2},
			Recovery: runbook.Recovery{Hold: 15 * time.Minute, Key: runbook.Band{Clause: &key}, Safety: runbook.Band{None: "none"}},
		},
		Signals: map[string]*triggers.Signal{
			"refusal_rate": {Name: "refusal_rate", Unit: triggers.Ratio, Numerator: "a", Denominator: "b", Range: 5 * time.Minute},
		},
	}
}

var group = labels.FromStrings("service", "support-bot")

// newIncident opens an incident of the runbook at a time.
func newIncident(name string, at time.Time) incident.Change {
	breach := incident.Breach{
		Condition: "refusal_rate above 15% for 10m", Signal: "refusal_rate", Title: "Refusal rate", Segment: group,
		Value: triggers.Value{V: 0.19, Bad: 190, Of: 1000}, Limit: 0.15, Unit: triggers.Ratio,
		BreachBegan: at.Add(-10 * time.Minute), ImpactBegan: at.Add(-11 * time.Minute),
	}
	events := []incident.Event{{
		ID: fmt.Sprintf("%s-opened-%d", name, at.UnixMicro()), Seq: 1, At: at, RecordedAt: at.Add(time.Second),
		Actor: incident.Daemon, Body: incident.Opened{
			Runbook: "hash-of-" + name, Name: name, Group: group, Service: "support-bot", Severity: runbook.Sev2,
			Breaches: []incident.Breach{breach}, BreachBegan: breach.BreachBegan, ImpactStartedAt: breach.ImpactBegan,
		},
	}}
	record := incident.Fold(events)
	record.Findings[0].Snapshot = snapshot(name)
	return incident.Change{Record: record, Events: events}
}

// then goes on with an incident: the change that adds the bodies to the events so far.
func then(id string, history []incident.Event, at time.Time, bodies ...incident.Body) incident.Change {
	var events []incident.Event
	for i, body := range bodies {
		seq := int64(len(history) + i + 1)
		events = append(events, incident.Event{
			ID: fmt.Sprintf("%s-%d-%s-%d", id, seq, body.Kind(), at.UnixMicro()), Seq: seq, At: at, RecordedAt: at, Actor: "alice", Body: body,
		})
	}
	all := slices.Concat(history, events)
	record := incident.Fold(all)
	record.Findings[0].Snapshot = snapshot(record.Findings[0].Name)
	return incident.Change{Before: int64(len(history)), Record: record, Events: events}
}

func commit(t *testing.T, s incident.Store, changes ...incident.Change) {
	t.Helper()
	if err := s.Commit(t.Context(), incident.Commit{Changes: changes}); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func mustConflict(t *testing.T, s incident.Store, c incident.Commit) {
	t.Helper()
	if err := s.Commit(t.Context(), c); !errors.Is(err, incident.ErrConflict) {
		t.Fatalf("commit: %v, want ErrConflict", err)
	}
}

func emptyStore(t *testing.T, s incident.Store) {
	versions, err := s.Versions(t.Context())
	if err != nil || len(versions) != 0 {
		t.Errorf("versions %v, %v", versions, err)
	}
	for _, ref := range []string{"#1", "1", "nosuch", ""} {
		if _, err := s.Load(t.Context(), ref); !errors.Is(err, incident.ErrNotFound) {
			t.Errorf("load %q: %v, want ErrNotFound", ref, err)
		}
	}
	if walked, err := s.WalkedTo(t.Context()); err != nil || !walked.IsZero() {
		t.Errorf("walked to %v, %v", walked, err)
	}
	if answer, err := s.Answered(t.Context(), "key"); err != nil || answer != nil {
		t.Errorf("answer %v, %v", answer, err)
	}
	if records, next, err := s.List(t.Context(), incident.Filter{}); err != nil || len(records) != 0 || next != "" {
		t.Errorf("list %v, %q, %v", records, next, err)
	}
}

func readBack(t *testing.T, s incident.Store) {
	change := newIncident("refused", opened)
	commit(t, s, change)
	for _, ref := range []string{change.Record.ID, "#1", "1"} {
		got, err := s.Load(t.Context(), ref)
		if err != nil {
			t.Fatalf("load %q: %v", ref, err)
		}
		sameRecord(t, got, change.Record)
		if got.Number != 1 {
			t.Errorf("number %d, want 1", got.Number)
		}
		if got.Findings[0].Snapshot == nil {
			t.Fatalf("load %q gives no snapshot", ref)
		}
		if got, want := asJSON(t, got.Findings[0].Snapshot), asJSON(t, snapshot("refused")); got != want {
			t.Errorf("snapshot\n %s\nwant\n %s", got, want)
		}
	}
	sameEvents(t, s, change.Record.ID, change.Events)
}

func numbersRun(t *testing.T, s incident.Store) {
	first, second := newIncident("one", opened), newIncident("two", opened)
	commit(t, s, first, second)
	commit(t, s, then(first.Record.ID, first.Events, opened, incident.Noted{Text: "numbers stay"}))
	third := newIncident("three", opened)
	commit(t, s, third)
	for i, change := range []incident.Change{first, second, third} {
		got, err := s.Load(t.Context(), change.Record.ID)
		if err != nil || got.Number != int64(i+1) {
			t.Errorf("incident %d: %v, %v", i+1, got, err)
		}
	}
}

func eventsInOrder(t *testing.T, s incident.Store) {
	first := newIncident("refused", opened)
	more := then(first.Record.ID, first.Events, opened.Add(time.Minute), incident.Noted{Text: "a"}, incident.Acknowledged{Via: "api"},
		incident.Noted{Text: "b"})
	commit(t, s, first)
	commit(t, s, more)
	all := slices.Concat(first.Events, more.Events)
	sameEvents(t, s, first.Record.ID, all)
	page, err := s.Events(t.Context(), first.Record.ID, 1, 2)
	if err != nil || len(page) != 2 || page[0].Seq != 2 || page[1].Seq != 3 {
		t.Errorf("two after the first: %v, %v", page, err)
	}
	if events, err := s.Events(t.Context(), "nosuch", 0, 0); err != nil || len(events) != 0 {
		t.Errorf("events of no incident: %v, %v", events, err)
	}
}

func versionsGuard(t *testing.T, s incident.Store) {
	first := newIncident("refused", opened)
	commit(t, s, first)
	alice := then(first.Record.ID, first.Events, opened.Add(time.Minute), incident.Noted{Text: "alice"})
	bob := then(first.Record.ID, first.Events, opened.Add(2*time.Minute), incident.Noted{Text: "bob"})
	commit(t, s, alice)
	mustConflict(t, s, incident.Commit{Changes: []incident.Change{bob}})
	mustConflict(t, s, incident.Commit{Changes: []incident.Change{
		then("nosuch", newIncident("other", opened).Events, opened, incident.Noted{Text: "of an incident that isn't there"}),
	}})
	versions, err := s.Versions(t.Context())
	if err != nil || len(versions) != 1 || versions[first.Record.ID] != 2 {
		t.Errorf("versions %v, %v", versions, err)
	}
}

func findingTaken(t *testing.T, s incident.Store) {
	commit(t, s, newIncident("refused", opened))
	mustConflict(t, s, incident.Commit{Changes: []incident.Change{newIncident("refused", opened.Add(time.Minute))}})
}

func findingFreed(t *testing.T, s incident.Store) {
	first := newIncident("refused", opened)
	commit(t, s, first)
	commit(t, s, then(first.Record.ID, first.Events, opened.Add(time.Hour), incident.Resolved{ImpactEndedAt: opened.Add(time.Minute)}))
	second := newIncident("refused", opened.Add(2*time.Hour))
	commit(t, s, second)
	versions, err := s.Versions(t.Context())
	if _, ok := versions[second.Record.ID]; err != nil || !ok || len(versions) != 1 {
		t.Errorf("open: %v, %v; want the second one alone", versions, err)
	}
}

func atomic(t *testing.T, s incident.Store) {
	first := newIncident("refused", opened)
	commit(t, s, first)
	stale := then(first.Record.ID, nil, opened, incident.Opened{Name: "refused", Group: group})
	mustConflict(t, s, incident.Commit{
		Changes:    []incident.Change{newIncident("other", opened), stale},
		WalkedTo:   opened,
		Idempotent: &incident.Answer{Key: "key", Expires: opened.AddDate(10, 0, 0)},
	})
	versions, err := s.Versions(t.Context())
	if err != nil || len(versions) != 1 {
		t.Errorf("open after a conflict: %v, %v", versions, err)
	}
	if walked, err := s.WalkedTo(t.Context()); err != nil || !walked.IsZero() {
		t.Errorf("walked to %v after a conflict, %v", walked, err)
	}
	if answer, err := s.Answered(t.Context(), "key"); err != nil || answer != nil {
		t.Errorf("answer %v after a conflict, %v", answer, err)
	}
}

func repeated(t *testing.T, s incident.Store) {
	first := newIncident("refused", opened)
	more := then(first.Record.ID, first.Events, opened.Add(time.Minute), incident.Noted{Text: "once"})
	last := then(first.Record.ID, slices.Concat(first.Events, more.Events), opened.Add(2*time.Minute), incident.Noted{Text: "after"})
	for _, change := range []incident.Change{first, more, more, last, more, first} {
		commit(t, s, change)
	}
	sameEvents(t, s, first.Record.ID, slices.Concat(first.Events, more.Events, last.Events))
	got, err := s.Load(t.Context(), first.Record.ID)
	if err != nil {
		t.Fatal(err)
	}
	sameRecord(t, got, last.Record)
}

func race(t *testing.T, s incident.Store) {
	first := newIncident("refused", opened)
	commit(t, s, first)
	const writers = 8
	results := make(chan error, writers)
	var group sync.WaitGroup
	for i := range writers {
		change := then(first.Record.ID, first.Events, opened.Add(time.Duration(i+1)*time.Minute), incident.Noted{Text: "me"})
		group.Go(func() { results <- s.Commit(context.Background(), incident.Commit{Changes: []incident.Change{change}}) })
	}
	group.Wait()
	won := 0
	for range writers {
		if err := <-results; err == nil {
			won++
		} else if !errors.Is(err, incident.ErrConflict) {
			t.Errorf("commit: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d writers won, want 1", won, writers)
	}
}

func recent(t *testing.T, s incident.Store) {
	ended := newIncident("refused", opened)
	commit(t, s, ended)
	resolved := opened.Add(time.Hour)
	commit(t, s, then(ended.Record.ID, ended.Events, resolved, incident.Resolved{ImpactEndedAt: opened.Add(time.Minute)}))
	commit(t, s, newIncident("open", opened))
	refused, open := incident.FindingKey("refused", group), incident.FindingKey("open", group)
	for _, test := range []struct {
		name     string
		findings []string
		since    time.Time
		want     int
	}{
		{"it ended after that", []string{refused, open}, opened, 1},
		{"it ended before that", []string{refused}, resolved, 0},
		{"it is open", []string{open}, opened, 0},
		{"another finding", []string{"nosuch"}, opened, 0},
		{"no finding", nil, opened, 0},
	} {
		records, err := s.Recent(t.Context(), test.findings, test.since)
		if err != nil || len(records) != test.want {
			t.Errorf("%s: %d records, %v; want %d", test.name, len(records), err, test.want)
		}
		for _, r := range records {
			if r.ID != ended.Record.ID || r.Number != 1 || r.Findings[0].Snapshot == nil {
				t.Errorf("%s: %+v", test.name, r)
			}
		}
	}
}

func list(t *testing.T, s incident.Store) {
	var ids []string
	for i := range 5 {
		change := newIncident(fmt.Sprintf("runbook-%d", i), opened.Add(time.Duration(i)*time.Hour))
		commit(t, s, change)
		ids = append(ids, change.Record.ID)
		if i == 0 {
			commit(t, s, then(change.Record.ID, change.Events, opened.Add(time.Minute), incident.Resolved{ImpactEndedAt: opened}))
		}
	}
	slices.Reverse(ids)
	var paged []string
	filter := incident.Filter{Limit: 2}
	for range 3 {
		records, next, err := s.List(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			paged = append(paged, r.ID)
		}
		filter.After = next
	}
	if filter.After != "" || !slices.Equal(paged, ids) {
		t.Errorf("three pages of two: %v and then %q, want %v", paged, filter.After, ids)
	}
	for _, test := range []struct {
		filter incident.Filter
		want   int
	}{
		{incident.Filter{}, 5},
		{incident.Filter{State: "open"}, 4},
		{incident.Filter{State: "triggered"}, 4},
		{incident.Filter{State: "resolved"}, 1},
		{incident.Filter{State: "closed"}, 0},
		{incident.Filter{Runbook: "runbook-3"}, 1},
		{incident.Filter{Severity: runbook.Sev2}, 5},
		{incident.Filter{Severity: runbook.Sev1}, 0},
	} {
		if records, _, err := s.List(t.Context(), test.filter); err != nil || len(records) != test.want {
			t.Errorf("list %+v: %d, %v; want %d", test.filter, len(records), err, test.want)
		}
	}
}

func walkedTo(t *testing.T, s incident.Store) {
	for _, step := range []struct{ mark, want time.Time }{
		{opened, opened}, {time.Time{}, opened}, {opened.Add(-time.Minute), opened}, {opened.Add(time.Minute), opened.Add(time.Minute)},
	} {
		if err := s.Commit(t.Context(), incident.Commit{WalkedTo: step.mark}); err != nil {
			t.Fatalf("commit mark %v: %v", step.mark, err)
		}
		if got, err := s.WalkedTo(t.Context()); err != nil || !got.Equal(step.want) {
			t.Errorf("after mark %v: walked to %v, %v; want %v", step.mark, got, err, step.want)
		}
	}
}

func answers(t *testing.T, s incident.Store) {
	answer := incident.Answer{Key: "key", RequestHash: "abc", Status: 200, Response: []byte(`{"a":1}`), Expires: time.Now().UTC().Add(24 * time.Hour).Truncate(time.Microsecond)}
	if err := s.Commit(t.Context(), incident.Commit{Idempotent: &answer}); err != nil {
		t.Fatalf("commit an answer alone: %v", err)
	}
	got, err := s.Answered(t.Context(), "key")
	if err != nil || got == nil || asJSON(t, got) != asJSON(t, answer) {
		t.Errorf("answer %+v, %v; want %+v", got, err, answer)
	}
	change := newIncident("refused", opened)
	mustConflict(t, s, incident.Commit{Changes: []incident.Change{change}, Idempotent: &answer})
	if _, err := s.Load(t.Context(), change.Record.ID); !errors.Is(err, incident.ErrNotFound) {
		t.Errorf("load after a taken key: %v, want ErrNotFound", err)
	}
}

func unknownEvent(t *testing.T, s incident.Store) {
	first := newIncident("refused", opened)
	commit(t, s, first)
	later := then(first.Record.ID, first.Events, opened.Add(time.Minute),
		incident.Unknown{Name: "sang", Raw: json.RawMessage(`{"Song":"of a later release"}`)})
	commit(t, s, later)
	sameEvents(t, s, first.Record.ID, slices.Concat(first.Events, later.Events))
}

func apart(t *testing.T, s incident.Store) {
	trouble := newIncident("self/blind", opened)
	trouble.Record.Class = incident.Self
	drill := newIncident("refused-drill", opened.Add(time.Minute))
	drill.Record.Class = incident.Drill
	commit(t, s, newIncident("refused", opened), trouble, drill)
	for _, test := range []struct {
		filter incident.Filter
		want   []string
	}{
		{incident.Filter{}, []string{"2 refused-drill", "1 refused"}},
		{incident.Filter{State: "open"}, []string{"2 refused-drill", "1 refused"}},
		{incident.Filter{Self: true}, []string{"-1 self/blind"}},
		{incident.Filter{Self: true, Runbook: "self/stuck"}, nil},
	} {
		records, _, err := s.List(t.Context(), test.filter)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range records {
			got = append(got, fmt.Sprintf("%d %s", r.Number, r.Findings[0].Name))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: %q, want %q", test.filter, got, test.want)
		}
	}
	versions, err := s.Versions(t.Context())
	if err != nil || len(versions) != 3 {
		t.Errorf("open: %v, %v", versions, err)
	}
}

func feed(t *testing.T, s incident.Store) {
	began, err := s.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, second := newIncident("refused", opened), newIncident("slow", opened.Add(time.Minute))
	commit(t, s, first)
	middle, err := s.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, second)
	all, err := s.Feed(t.Context(), began, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(first.Events), second.Events...)
	if len(all) != len(want) {
		t.Fatalf("%d events, want %d", len(all), len(want))
	}
	for i, p := range all {
		if p.Event.ID != want[i].ID || asJSON(t, p.Event.Body) != asJSON(t, want[i].Body) || !p.Event.At.Equal(want[i].At) {
			t.Errorf("event %d: %+v, want %+v", i, p.Event, want[i])
		}
	}
	rest, err := s.Feed(t.Context(), middle, 1)
	if err != nil || len(rest) != 1 || rest[0].Incident != second.Record.ID || rest[0].Position <= middle {
		t.Errorf("after the first commit: %+v, %v", rest, err)
	}
	if none, err := s.Feed(t.Context(), all[len(all)-1].Position, 0); err != nil || len(none) != 0 {
		t.Errorf("after the last: %+v, %v", none, err)
	}
}

func silences(t *testing.T, s incident.Store) {
	silence := incident.Silence{
		ID: "s1", Runbook: "refused", Group: map[string]string{"tier": "paid"}, UpTo: runbook.Sev3, Reason: "a migration", By: "alice",
		From: opened, Until: opened.Add(time.Hour),
	}
	put := func(s2 incident.Silence) {
		t.Helper()
		if err := s.PutSilence(t.Context(), s2); err != nil {
			t.Fatal(err)
		}
	}
	put(silence)
	later := silence
	later.ID, later.From, later.Until = "s2", opened.Add(time.Minute), opened.Add(2*time.Hour)
	put(later)
	silence.EndedAt, silence.EndedBy = opened.Add(time.Minute), "bob"
	put(silence)
	all, err := s.Silences(t.Context(), opened)
	if err != nil || asJSON(t, all) != asJSON(t, []incident.Silence{later, silence}) {
		t.Errorf("silences %+v, %v", all, err)
	}
	rest, err := s.Silences(t.Context(), opened.Add(time.Hour))
	if err != nil || len(rest) != 1 || rest[0].ID != "s2" {
		t.Errorf("after the first one's end: %+v, %v", rest, err)
	}
}

func changesKept(t *testing.T, s incident.Store) {
	put := func(all ...changes.Change) {
		t.Helper()
		if err := s.PutChanges(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	prompt := changes.Change{ID: "c1", Artifact: "prompt", Service: "bot", From: "v6", To: "v7", At: opened, By: "alice", Source: changes.Reported}
	index := changes.Change{ID: "c2", Artifact: "retrieval_index", To: "kb-2", At: opened.Add(-time.Hour), Source: changes.Detected}
	put(prompt, index)
	prompt.Note = "a typo mended"
	put(prompt)
	all, err := s.Changes(t.Context(), opened.Add(-2*time.Hour))
	if err != nil || asJSON(t, all) != asJSON(t, []changes.Change{index, prompt}) {
		t.Errorf("changes %+v, %v", all, err)
	}
	if rest, err := s.Changes(t.Context(), opened.Add(-time.Hour)); err != nil || len(rest) != 1 || rest[0].ID != "c1" {
		t.Errorf("after the first: %+v, %v", rest, err)
	}
}

func keys(t *testing.T, s incident.Store) {
	key := func(name string) string {
		t.Helper()
		bytes, err := s.Key(t.Context(), name)
		if err != nil || len(bytes) != 32 {
			t.Fatalf("key %s: %d bytes, %v", name, len(bytes), err)
		}
		return string(bytes)
	}
	if first := key("links"); first != key("links") || first == key("others") {
		t.Error("a key changes, or two are the same")
	}
}

func sameRecord(t *testing.T, got, want *incident.Record) {
	t.Helper()
	if got, want := asJSON(t, got), asJSON(t, want); got != want {
		t.Errorf("record\n %s\nwant\n %s", got, want)
	}
}

func sameEvents(t *testing.T, s incident.Store, id string, want []incident.Event) {
	t.Helper()
	got, err := s.Events(t.Context(), id, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := asJSON(t, got), asJSON(t, want); got != want {
		t.Errorf("events\n %s\nwant\n %s", got, want)
	}
	for i := range got {
		if i < len(want) && got[i].Body.Kind() != want[i].Body.Kind() {
			t.Errorf("event %d is %s, want %s", i, got[i].Body.Kind(), want[i].Body.Kind())
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
