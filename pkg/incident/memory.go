package incident

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// MemoryStore is a Store that ends with the process: for replay, for unit tests of runbooks, and for tests. It keeps
// records and events encoded, as a database does, so nothing that is read is shared with what was written.
type MemoryStore struct {
	mutex     sync.Mutex
	numbers   map[string]int64
	versions  map[string]int64
	open      map[string]bool
	holders   map[string]string // the open incident of each finding
	records   map[string][]byte
	snapshots map[string]*runbook.Snapshot
	events    map[string][]storedEvent
	eventIDs  map[string]bool
	rows      []Row
	answers   map[string]Answer
	walkedTo  time.Time
	position  int64
	positions map[string][]int64 // of the events of each incident
	silences  map[string]Silence
	changes   map[string]changes.Change
	keys      map[string][]byte
}

// Row is an outbox row of a MemoryStore.
type Row struct {
	Delivery
	State string
	Error string
}

type storedEvent struct {
	event Event // without its body
	kind  string
	body  []byte
}

// NewMemoryStore gives an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{
		numbers: map[string]int64{}, versions: map[string]int64{}, open: map[string]bool{}, holders: map[string]string{},
		records: map[string][]byte{}, snapshots: map[string]*runbook.Snapshot{},
		events: map[string][]storedEvent{}, eventIDs: map[string]bool{}, answers: map[string]Answer{},
		positions: map[string][]int64{}, silences: map[string]Silence{}, changes: map[string]changes.Change{}, keys: map[string][]byte{},
	}
}

// Rows gives the outbox rows in the order in which they were written.
func (s *MemoryStore) Rows() []Row {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.rows)
}

// Versions implements Store.
func (s *MemoryStore) Versions(context.Context) (map[string]int64, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	versions := make(map[string]int64, len(s.open))
	for id := range s.open {
		versions[id] = s.versions[id]
	}
	return versions, nil
}

// Load implements Store.
func (s *MemoryStore) Load(_ context.Context, ref string) (*Record, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, ok := s.records[ref]; ok {
		return s.load(ref)
	}
	number, err := strconv.ParseInt(strings.TrimPrefix(ref, "#"), 10, 64)
	if err == nil {
		for id, n := range s.numbers {
			if n == number {
				return s.load(id)
			}
		}
	}
	return nil, fmt.Errorf("%q: %w", ref, ErrNotFound)
}

func (s *MemoryStore) load(id string) (*Record, error) {
	r, err := DecodeRecord(s.records[id])
	if err != nil {
		return nil, err
	}
	r.Number = s.numbers[id]
	for i := range r.Findings {
		r.Findings[i].Snapshot = s.snapshots[r.Findings[i].Runbook]
	}
	return r, nil
}

// Recent implements Store.
func (s *MemoryStore) Recent(_ context.Context, findings []string, since time.Time) ([]*Record, error) {
	return s.sorted(func(r *Record) bool {
		return r.Class == Real && !r.Open() && r.endedAt().After(since) && slices.ContainsFunc(r.Findings, func(f Finding) bool {
			return slices.Contains(findings, f.Key())
		})
	})
}

// List implements Store. The mark of a page is the number of its last incident; numbers run in the order of opening.
func (s *MemoryStore) List(_ context.Context, filter Filter) ([]*Record, string, error) {
	after := int64(0)
	if filter.After != "" {
		number, err := strconv.ParseInt(filter.After, 10, 64)
		if err != nil {
			return nil, "", fmt.Errorf("after %q: not the mark of a page", filter.After)
		}
		after = number
	}
	records, err := s.sorted(func(r *Record) bool {
		return (after == 0 || newerFirst(&Record{Number: after}, r) < 0) && filter.matches(r)
	})
	if err != nil || filter.Limit <= 0 || len(records) <= filter.Limit {
		return records, "", err
	}
	records = records[:filter.Limit]
	return records, strconv.FormatInt(records[filter.Limit-1].Number, 10), nil
}

func (f Filter) matches(r *Record) bool {
	if f.Self != (r.Class == Self) || !f.EndedAfter.IsZero() && !r.endedAt().After(f.EndedAfter) {
		return false
	}
	state := f.State == "" || f.State == string(r.State()) || f.State == "open" && r.Open()
	named := f.Runbook == "" || r.finding(f.Runbook) != nil
	return state && named && (f.Severity == "" || f.Severity == r.Severity)
}

// sorted gives the records that are wanted, newest first.
func (s *MemoryStore) sorted(wanted func(*Record) bool) ([]*Record, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var records []*Record
	for id := range s.records {
		r, err := s.load(id)
		if err != nil {
			return nil, err
		}
		if wanted(r) {
			records = append(records, r)
		}
	}
	slices.SortFunc(records, newerFirst)
	return records, nil
}

// newerFirst orders records by their numbers, which run up from 1, those of the daemon's own troubles down from -1.
func newerFirst(a, b *Record) int {
	if a.Number < 0 && b.Number < 0 {
		return cmp.Compare(a.Number, b.Number)
	}
	return cmp.Compare(b.Number, a.Number)
}

// Events implements Store.
func (s *MemoryStore) Events(_ context.Context, id string, after int64, limit int) ([]Event, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var events []Event
	for _, stored := range s.events[id] {
		if stored.event.Seq <= after || limit > 0 && len(events) == limit {
			continue
		}
		body, err := DecodeBody(stored.kind, stored.body)
		if err != nil {
			return nil, err
		}
		e := stored.event
		e.Body = body
		events = append(events, e)
	}
	return events, nil
}

// WalkedTo implements Store.
func (s *MemoryStore) WalkedTo(context.Context) (time.Time, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.walkedTo, nil
}

// Answered implements Store.
func (s *MemoryStore) Answered(_ context.Context, key string) (*Answer, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	answer, ok := s.answers[key]
	if !ok {
		return nil, nil
	}
	answer.Response = slices.Clone(answer.Response)
	return &answer, nil
}

// Commit implements Store.
func (s *MemoryStore) Commit(_ context.Context, commit Commit) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var changes []encodedChange
	for _, change := range commit.Changes {
		if s.isIn(change) {
			continue
		}
		if err := s.guard(change); err != nil {
			return err
		}
		encoded, err := encodeChange(change)
		if err != nil {
			return err
		}
		changes = append(changes, encoded)
	}
	repeated := len(commit.Changes) > 0 && len(changes) == 0
	if answer := commit.Idempotent; answer != nil && !repeated {
		if _, taken := s.answers[answer.Key]; taken {
			return fmt.Errorf("idempotency key %q is taken: %w", answer.Key, ErrConflict)
		}
		s.answers[answer.Key] = *answer
	}
	s.position++
	for _, change := range changes {
		s.write(change)
	}
	s.settle(commit.Settled)
	if commit.WalkedTo.After(s.walkedTo) {
		s.walkedTo = commit.WalkedTo
	}
	return nil
}

// isIn tells whether the change was committed before, by somebody who never learned of it.
func (s *MemoryStore) isIn(change Change) bool {
	return !slices.ContainsFunc(change.Events, func(e Event) bool { return !s.eventIDs[e.ID] })
}

// guard refuses a change that was decided on another version, or that takes a finding of another open incident.
func (s *MemoryStore) guard(change Change) error {
	id := change.Record.ID
	if version := s.versions[id]; version != change.Before {
		return fmt.Errorf("incident %s: version %d, not %d: %w", id, version, change.Before, ErrConflict)
	}
	for _, f := range change.Record.Findings {
		if holder := s.holders[f.Key()]; change.Record.Open() && holder != "" && holder != id {
			return fmt.Errorf("incident %s: %s stands in %s: %w", id, f.Name, holder, ErrConflict)
		}
	}
	if slices.ContainsFunc(change.Events, func(e Event) bool { return s.eventIDs[e.ID] }) {
		return fmt.Errorf("incident %s: an event is in already: %w", id, ErrConflict)
	}
	return nil
}

type encodedChange struct {
	Change
	record []byte
	events []storedEvent
}

func encodeChange(change Change) (encodedChange, error) {
	record, err := EncodeRecord(change.Record)
	if err != nil {
		return encodedChange{}, err
	}
	encoded := encodedChange{Change: change, record: record}
	for _, e := range change.Events {
		body, err := EncodeBody(e.Body)
		if err != nil {
			return encodedChange{}, err
		}
		stored := storedEvent{event: e, kind: e.Body.Kind(), body: body}
		stored.event.Body = nil
		encoded.events = append(encoded.events, stored)
	}
	return encoded, nil
}

func (s *MemoryStore) write(change encodedChange) {
	id := change.Record.ID
	if s.numbers[id] == 0 {
		s.numbers[id] = s.nextNumber(change.Record.Class)
	}
	s.records[id], s.versions[id] = change.record, change.Record.Version
	s.open[id] = true
	if !change.Record.Open() {
		delete(s.open, id)
	}
	for _, f := range change.Record.Findings {
		if key := f.Key(); change.Record.Open() {
			s.holders[key] = id
		} else if s.holders[key] == id {
			delete(s.holders, key)
		}
		if f.Snapshot != nil {
			s.snapshots[f.Runbook] = f.Snapshot
		}
	}
	s.events[id] = append(s.events[id], change.events...)
	for _, e := range change.events {
		s.eventIDs[e.event.ID] = true
		s.positions[id] = append(s.positions[id], s.position)
	}
	for _, d := range change.Deliveries {
		s.rows = append(s.rows, Row{Delivery: d, State: RowDue})
	}
}

// nextNumber counts incidents and drills up from 1, and the daemon's own troubles down from -1: people count incidents.
func (s *MemoryStore) nextNumber(class Class) int64 {
	step := int64(1)
	if class == Self {
		step = -1
	}
	last := int64(0)
	for _, number := range s.numbers {
		if number*step > last*step {
			last = number
		}
	}
	return last + step
}

func (s *MemoryStore) settle(settled []Settlement) {
	for _, settlement := range settled {
		for i := range s.rows {
			if s.rows[i].ID == settlement.ID && s.rows[i].State == RowDue {
				s.rows[i].State, s.rows[i].Error = settlement.State, settlement.Error
			}
		}
	}
}

// Feed implements Store.
func (s *MemoryStore) Feed(_ context.Context, after int64, limit int) ([]Positioned, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var feed []Positioned
	for id, events := range s.events {
		for i, stored := range events {
			if s.positions[id][i] <= after {
				continue
			}
			body, err := DecodeBody(stored.kind, stored.body)
			if err != nil {
				return nil, err
			}
			e := stored.event
			e.Body = body
			feed = append(feed, Positioned{Position: s.positions[id][i], Incident: id, Event: e})
		}
	}
	slices.SortFunc(feed, func(a, b Positioned) int {
		return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.Incident, b.Incident), cmp.Compare(a.Event.Seq, b.Event.Seq))
	})
	if limit > 0 && len(feed) > limit {
		feed = feed[:limit]
	}
	return feed, nil
}

// Position implements Store.
func (s *MemoryStore) Position(context.Context) (int64, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.position, nil
}
