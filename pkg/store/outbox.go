package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// payload is what a row of the outbox carries beside what it is found by.
type payload struct {
	Round     int              `json:"round,omitempty"`
	Step      int              `json:"step"`
	Causes    []string         `json:"causes,omitempty"`
	Severity  runbook.Severity `json:"severity,omitempty"`
	StartedAt time.Time        `json:"started_at,omitzero"`
	EndsKey   string           `json:"ends_key,omitempty"`
	Roles     []string         `json:"roles,omitempty"`
	Digest    string           `json:"digest,omitempty"`
	Reminds   time.Time        `json:"reminds,omitzero"`
}

// writeDelivery queues a row. Its id is made of the event and the receiver: one that is there already was queued, or
// sent, by an earlier attempt, and is not sent twice.
func writeDelivery(t *transaction, d *incident.Delivery, now time.Time) error {
	carried, err := json.Marshal(payload{d.Round, d.Step, d.Causes, d.Severity, d.StartedAt, d.EndsKey, d.Roles, d.Digest, d.Reminds})
	if err != nil {
		return fmt.Errorf("delivery %s: %w", d.ID, err)
	}
	due := d.Due
	if due.IsZero() {
		due = now
	}
	_, err = t.exec(insertDelivery, d.ID, d.Incident, d.Receiver, d.Seq, d.Kind, d.Key, string(carried),
		micros(now), micros(due))
	return err
}

// Due gives rows to send, those due longest first: due, claimed by nobody, and the first per incident and receiver
// that is not settled, for messages never overtake one another.
func (s *SQLite) Due(ctx context.Context, now time.Time, limit int) ([]incident.Delivery, error) {
	var due []incident.Delivery
	err := s.each(ctx, func(rows *sql.Rows) error {
		delivery, err := scanDelivery(rows)
		due = append(due, delivery)
		return err
	}, dueDeliveries, micros(now), limit)
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	return due, nil
}

func scanDelivery(rows *sql.Rows) (d incident.Delivery, err error) {
	var document []byte
	var created, due int64
	err = rows.Scan(&d.ID, &d.Incident, &d.Receiver, &d.Seq, &d.Kind, &d.Key, &document, &created, &due, &d.Attempt)
	if err != nil {
		return d, err
	}
	var carried payload
	if err := json.Unmarshal(document, &carried); err != nil {
		return d, fmt.Errorf("delivery %s: %w", d.ID, err)
	}
	d.Round, d.Step, d.Causes = carried.Round, carried.Step, carried.Causes
	d.Severity, d.StartedAt, d.EndsKey = carried.Severity, carried.StartedAt, carried.EndsKey
	d.Roles, d.Digest, d.Reminds = carried.Roles, carried.Digest, carried.Reminds
	d.CreatedAt, d.Due = moment(created), moment(due)
	return d, nil
}

// Claim takes a row for sending until a time, and counts the attempt, from 1. ok is false where the row is settled or
// claimed by somebody. It returns incident.ErrFenced where another process leads: then nothing may be sent.
func (s *SQLite) Claim(ctx context.Context, id string, until, now time.Time) (attempt int, ok bool, err error) {
	err = s.transact(ctx, func(t *transaction) error {
		if _, err := leaderMayWrite(t, s.epoch, time.Time{}); err != nil {
			return err
		}
		return t.row(claimDelivery, []any{s.claimant(), micros(until), id, micros(now)}, &attempt)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("claim delivery %s: %w", id, err)
	}
	return attempt, true, nil
}

// Retry gives a claimed row back, to be sent again when it is due. A row that was settled, or claimed by another
// process, meanwhile is left as it is.
func (s *SQLite) Retry(ctx context.Context, id string, dueAt time.Time, cause string) error {
	err := s.transact(ctx, func(t *transaction) error {
		_, err := t.exec(retryDelivery, micros(dueAt), cause, id, s.claimant())
		return err
	})
	if err != nil {
		return fmt.Errorf("put off delivery %s: %w", id, err)
	}
	return nil
}

// claimant names this process in the rows that it sends.
func (s *SQLite) claimant() string { return fmt.Sprintf("%s/%d", holder, s.epoch) }

// Depth gives how many rows are due or being tried again (a reminder of tomorrow is not), and since when the oldest of them has been waiting; zero: none is.
func (s *SQLite) Depth(ctx context.Context) (rows int, oldest time.Time, err error) {
	return s.waiting(ctx, outboxDepth, micros(s.now()))
}

// Pages gives the same of the pages alone: while one waits, somebody who is called doesn't hear it.
func (s *SQLite) Pages(ctx context.Context) (rows int, oldest time.Time, err error) {
	return s.waiting(ctx, pagesWaiting)
}

func (s *SQLite) waiting(ctx context.Context, query string, arguments ...any) (rows int, oldest time.Time, err error) {
	var created int64
	if err := s.reader.QueryRowContext(ctx, query, arguments...).Scan(&rows, &created); err != nil {
		return 0, time.Time{}, fmt.Errorf("read the outbox's depth: %w", s.inWords(err))
	}
	return rows, moment(created), nil
}

// Prune deletes rows that were settled before a time, and answers that have expired, at most limit of each, so that
// nobody waits long for the writer. It gives how many rows of the outbox it deleted: fewer than limit were all.
func (s *SQLite) Prune(ctx context.Context, before time.Time, limit int) (int, error) {
	var deleted int64
	err := s.transact(ctx, func(t *transaction) (err error) {
		if deleted, err = t.exec(pruneOutbox, micros(before), limit); err != nil {
			return err
		}
		_, err = t.exec(pruneAnswers, micros(s.now()), limit)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("prune the outbox: %w", err)
	}
	return int(deleted), nil
}
