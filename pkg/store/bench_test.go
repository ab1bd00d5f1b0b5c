package store

import (
	"fmt"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// BenchmarkCommit shows what one transaction for all that a tick decided gains: each change is an event, a record
// and a row of the outbox.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("changes=%d", size), func(b *testing.B) {
			s := newStore(b)
			incidents := make([]incident.Change, size)
			for i := range incidents {
				incidents[i] = newIncident(fmt.Sprintf("runbook-%d", i), opened)
			}
			mustCommit(b, s, incidents...)
			round := 0
			for b.Loop() {
				round++
				if err := s.Commit(b.Context(), incident.Commit{Changes: nextRound(incidents, round), WalkedTo: opened}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(round)/b.Elapsed().Seconds(), "tx/s")
			b.ReportMetric(float64(round*size)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}

// nextRound adds an event to each incident, without folding the ones before again.
func nextRound(incidents []incident.Change, round int) []incident.Change {
	changes := make([]incident.Change, len(incidents))
	for i, first := range incidents {
		record := *first.Record
		record.Version = int64(round + 1)
		id := fmt.Sprintf("%s-%d", record.ID, round)
		changes[i] = incident.Change{
			Before: int64(round), Record: &record,
			Events: []incident.Event{{ID: id, Seq: record.Version, At: opened, RecordedAt: opened, Actor: "alice",
				Body: incident.Noted{Text: "a note of some length, as people write them"}}},
			Deliveries: []incident.Delivery{delivery(first, id, "pager", record.Version)},
		}
	}
	return changes
}

// BenchmarkLastEvents reads the last 200 of an incident's 5,000 events, a page of its timeline.
func BenchmarkLastEvents(b *testing.B) {
	s := newStore(b)
	first := newIncident("refused", opened)
	mustCommit(b, s, first)
	notes := make([]incident.Body, 4_999)
	for i := range notes {
		notes[i] = incident.Noted{Text: fmt.Sprintf("note %d, as people write them", i)}
	}
	mustCommit(b, s, then(first, notes...))
	for b.Loop() {
		events, err := s.Events(b.Context(), first.Record.ID, 4_800, 200)
		if err != nil || len(events) != 200 || events[199].Seq != 5_000 {
			b.Fatalf("%d events, %v", len(events), err)
		}
	}
}

// BenchmarkDue reads the head of an outbox with 1,000 rows that wait for one another.
func BenchmarkDue(b *testing.B) {
	s := newStore(b)
	change := newIncident("refused", opened)
	for i := range 1_000 {
		change.Deliveries = append(change.Deliveries, delivery(change, fmt.Sprint(i), fmt.Sprintf("receiver-%d", i%10), int64(i)))
	}
	mustCommit(b, s, change)
	for b.Loop() {
		if rows, err := s.Due(b.Context(), opened, 50); err != nil || len(rows) != 10 {
			b.Fatalf("%d rows, %v", len(rows), err)
		}
	}
}
