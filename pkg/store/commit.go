package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Commit writes all that was decided in one transaction, durably: it is on the disk when Commit returns nil.
//
// A commit that is in the store already, whole or in part, is a success: a change whose events are all there, by
// their ids, is left out, and the rest is written. So the same commit may be given again after an error that leaves
// its outcome open, and two equal commands at once have one effect; load the record again to see it.
//
// It returns incident.ErrConflict, incident.ErrFenced, a *Trouble, or the error of a commit that contradicts itself,
// which no repetition mends. After an error nothing is written, except as TroubleKind says.
func (s *SQLite) Commit(ctx context.Context, commit incident.Commit) error {
	if err := check(commit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	// Every change that turns out to be in already costs one more transaction, and then is never looked at again.
	in := make([]bool, len(commit.Changes))
	for {
		attempt := &attempt{commit: commit, in: in, lead: s.epoch, now: s.now(), runbooks: &s.runbooks}
		err := s.transact(ctx, attempt.write)
		if err == nil {
			s.runbooks.markKept(attempt.kept)
			return nil
		}
		if !errors.Is(err, errTaken) {
			return err
		}
		known, err := s.changeIsIn(ctx, commit.Changes, attempt.at)
		if err != nil {
			return err
		}
		if !known {
			return incident.ErrConflict
		}
		in[attempt.at] = true
	}
}

// check finds what contradicts the contract before anything is written.
func check(commit incident.Commit) error {
	for _, change := range commit.Changes {
		record := change.Record
		if record == nil || record.ID == "" || len(record.Findings) == 0 {
			return errors.New("a change without a record, an id or a finding")
		}
		for i, event := range change.Events {
			if want := change.Before + 1 + int64(i); event.Seq != want {
				return fmt.Errorf("incident %s: event %s has seq %d, not %d", record.ID, event.ID, event.Seq, want)
			}
		}
		if want := change.Before + int64(len(change.Events)); record.Version != want {
			return fmt.Errorf("incident %s: the record has version %d, but its events end at %d", record.ID, record.Version, want)
		}
	}
	return nil
}

// errTaken says that a version, a finding, an event or a key is taken: by somebody else, or by this very commit in
// an earlier attempt.
var errTaken = errors.New("taken")

// attempt is one run of a commit's transaction.
type attempt struct {
	commit   incident.Commit
	in       []bool // changes that are in the store already
	lead     int64
	now      time.Time
	runbooks *runbooks

	at   int      // the change that is being written
	pos  int64    // of this transaction
	kept []string // runbooks that are in the store once it is committed
}

// write is the hot path: the fence, every change, what became of rows of the outbox, the answer.
func (a *attempt) write(t *transaction) error {
	a.kept = nil
	if err := a.fence(t); err != nil {
		return err
	}
	for i, change := range a.commit.Changes {
		if a.in[i] {
			continue
		}
		a.at = i
		if err := a.change(t, change); err != nil {
			return fmt.Errorf("write incident %s: %w", change.Record.ID, err)
		}
	}
	for _, settled := range a.commit.Settled {
		// A row that is settled already is not an error: a delivery that happened is a fact, whoever learned of it.
		if _, err := t.exec(settleDelivery, settled.State, micros(settled.At), settled.Error, settled.ID); err != nil {
			return fmt.Errorf("settle delivery %s: %w", settled.ID, err)
		}
	}
	if a.commit.Idempotent != nil {
		return a.answer(t, a.commit.Idempotent)
	}
	return nil
}

// fence must be the first statement. What a tick decided needs the lead, what people did does not.
func (a *attempt) fence(t *transaction) (err error) {
	if a.commit.WalkedTo.IsZero() {
		err = t.row(peopleFence, nil, &a.pos)
	} else {
		a.pos, err = leaderMayWrite(t, a.lead, a.commit.WalkedTo)
	}
	return err
}

// leaderMayWrite is the fence for what only the leader may do; zero leaves the mark of the last tick as it is.
func leaderMayWrite(t *transaction, epoch int64, walkedTo time.Time) (pos int64, err error) {
	err = t.row(leaderFence, []any{micros(walkedTo), holder, epoch}, &pos)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, incident.ErrFenced
	}
	return pos, err
}

// change writes the record, which findings it holds, its new events, and what must be sent because of them.
func (a *attempt) change(t *transaction, change incident.Change) error {
	if err := a.keepRunbooks(t, change.Record); err != nil {
		return err
	}
	if err := writeRecord(t, change, a.now); err != nil {
		return err
	}
	if err := writeFindings(t, change.Record); err != nil {
		return err
	}
	for i := range change.Events {
		if err := writeEvent(t, change.Record.ID, a.pos, &change.Events[i]); err != nil {
			return err
		}
	}
	for i := range change.Deliveries {
		if err := writeDelivery(t, &change.Deliveries[i], a.now); err != nil {
			return err
		}
	}
	return nil
}

// keepRunbooks stores the text that each finding was opened with, once.
func (a *attempt) keepRunbooks(t *transaction, record *incident.Record) error {
	for _, finding := range record.Findings {
		if a.runbooks.isKept(finding.Runbook) || slices.Contains(a.kept, finding.Runbook) {
			continue
		}
		if err := writeRunbook(t, finding.Runbook, finding.Snapshot); err != nil {
			return fmt.Errorf("keep runbook %s: %w", finding.Name, err)
		}
		a.kept = append(a.kept, finding.Runbook)
	}
	return nil
}

func writeRunbook(t *transaction, hash string, snapshot *runbook.Snapshot) error {
	if snapshot == nil {
		var found int
		if err := t.row(runbookKept, []any{hash}, &found); err != nil || found == 1 {
			return err
		}
		return errors.New("neither the finding nor the store has it")
	}
	body, err := json.Marshal(snapshot)
	if err != nil {
		return err
	}
	_, err = t.exec(keepRunbook, hash, string(body))
	return err
}

// writeRecord inserts a new incident, or replaces the record in the version on which the change was decided.
func writeRecord(t *transaction, change incident.Change, now time.Time) error {
	record := change.Record
	document, err := incident.EncodeRecord(record)
	if err != nil {
		return err
	}
	state, severity, first := string(record.State()), string(record.Severity), record.Findings[0]
	ended, updated := endOf(record), micros(now)
	var rows int64
	if change.Before == 0 {
		rows, err = t.exec(insertIncident, record.ID, first.Name, first.Runbook, state, severity,
			micros(record.OpenedAt), ended, updated, record.Version, string(document), string(record.Class))
	} else {
		rows, err = t.exec(updateIncident, state, severity, ended, updated, record.Version, string(document),
			record.ID, change.Before)
	}
	return oneRow(rows, err)
}

// endOf is when the incident was resolved or, if later, dismissed; nil while it is open.
func endOf(record *incident.Record) any {
	if record.Open() {
		return nil
	}
	if record.DismissedAt.After(record.ResolvedAt) {
		return micros(record.DismissedAt)
	}
	return micros(record.ResolvedAt)
}

// writeFindings makes an open incident the holder of each of its findings, and frees those of one that has ended.
func writeFindings(t *transaction, record *incident.Record) error {
	if !record.Open() {
		_, err := t.exec(freeFindings, record.ID)
		return err
	}
	for i := range record.Findings {
		if err := hold(t, record.Findings[i].Key(), record.ID); err != nil {
			return fmt.Errorf("finding %s: %w", record.Findings[i].Name, err)
		}
	}
	return nil
}

func hold(t *transaction, finding, id string) error {
	var standing string
	err := t.row(findingHolder, []any{finding}, &standing)
	if errors.Is(err, sql.ErrNoRows) {
		return oneRow(t.exec(holdFinding, finding, id))
	}
	if err == nil && standing != id {
		return errTaken
	}
	return err
}

func writeEvent(t *transaction, id string, pos int64, event *incident.Event) error {
	body, err := incident.EncodeBody(event.Body)
	if err != nil {
		return fmt.Errorf("event %s: %w", event.ID, err)
	}
	return oneRow(t.exec(insertEvent, id, event.Seq, event.ID, pos, micros(event.At), micros(event.RecordedAt),
		event.Body.Kind(), event.Actor, string(body)))
}

// answer stores the answer of a write. A key that is taken by the same write, whose changes are in, is fine.
func (a *attempt) answer(t *transaction, answer *incident.Answer) error {
	rows, err := t.exec(insertAnswer, answer.Key, answer.RequestHash, answer.Status, string(answer.Response),
		micros(answer.Expires), micros(a.now))
	if err != nil {
		return fmt.Errorf("keep the answer of %s: %w", answer.Key, err)
	}
	if rows == 1 {
		return nil
	}
	var hash string
	if err := t.row(answerHash, []any{answer.Key}, &hash); err != nil {
		return fmt.Errorf("read the answer of %s: %w", answer.Key, err)
	}
	if hash != answer.RequestHash || slices.Contains(a.in, false) {
		return incident.ErrConflict
	}
	return nil
}

func oneRow(rows int64, err error) error {
	if err == nil && rows != 1 {
		return errTaken
	}
	return err
}

// changeIsIn tells whether every event of the change is in the store, so that the change is done.
func (s *SQLite) changeIsIn(ctx context.Context, changes []incident.Change, at int) (bool, error) {
	change := changes[at]
	for _, event := range change.Events {
		var id string
		err := s.reader.QueryRowContext(ctx, eventHolder, event.ID).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) || err == nil && id != change.Record.ID {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look for event %s: %w", event.ID, s.inWords(err))
		}
	}
	return len(change.Events) > 0, nil
}
