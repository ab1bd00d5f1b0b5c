package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// Silences implements incident.Store.
func (s *SQLite) Silences(ctx context.Context, after time.Time) ([]incident.Silence, error) {
	var silences []incident.Silence
	err := s.each(ctx, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		var silence incident.Silence
		if err := json.Unmarshal(body, &silence); err != nil {
			return err
		}
		silences = append(silences, silence)
		return nil
	}, silencesAfter, micros(after))
	if err != nil {
		return nil, fmt.Errorf("read the silences: %w", err)
	}
	slices.SortFunc(silences, func(a, b incident.Silence) int {
		return cmp.Or(b.From.Compare(a.From), cmp.Compare(a.ID, b.ID))
	})
	return silences, nil
}

// PutSilence implements incident.Store.
func (s *SQLite) PutSilence(ctx context.Context, silence incident.Silence) error {
	body, err := json.Marshal(silence)
	if err == nil {
		err = s.transact(ctx, func(t *transaction) error {
			_, err := t.exec(putSilence, silence.ID, micros(silence.Until), string(body))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("write silence %s: %w", silence.ID, err)
	}
	return nil
}

// keyBytes is how long the keys are.
const keyBytes = 32

// Key implements incident.Store. Of two processes that make a key at once, the first one's counts for both.
func (s *SQLite) Key(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, keyBytes)
	_, _ = rand.Read(fresh) // it never fails
	var kept string
	err := s.transact(ctx, func(t *transaction) error {
		if _, err := t.exec(makeKey, name, hex.EncodeToString(fresh)); err != nil {
			return err
		}
		return t.row(keyNamed, []any{name}, &kept)
	})
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	return hex.DecodeString(kept)
}

// Feed implements incident.Store.
func (s *SQLite) Feed(ctx context.Context, after int64, limit int) ([]incident.Positioned, error) {
	query, arguments := eventFeed, []any{after}
	if limit > 0 {
		query, arguments = query+" LIMIT ?2", append(arguments, limit)
	}
	var feed []incident.Positioned
	err := s.each(ctx, func(rows *sql.Rows) error {
		p := incident.Positioned{}
		e := &p.Event
		var at, recorded int64
		var kind, body string
		err := rows.Scan(&p.Position, &p.Incident, &e.ID, &e.Seq, &at, &recorded, &kind, &e.Actor, &body)
		if err != nil {
			return err
		}
		e.At, e.RecordedAt = moment(at), moment(recorded)
		if e.Body, err = incident.DecodeBody(kind, []byte(body)); err != nil {
			return fmt.Errorf("event %d of %s: %w", e.Seq, p.Incident, err)
		}
		feed = append(feed, p)
		return nil
	}, query, arguments...)
	if err != nil {
		return nil, fmt.Errorf("read the events after %d: %w", after, err)
	}
	return feed, nil
}

// Position implements incident.Store.
func (s *SQLite) Position(ctx context.Context) (int64, error) {
	var position int64
	if err := s.reader.QueryRowContext(ctx, newestPosition).Scan(&position); err != nil {
		return 0, fmt.Errorf("read the newest position: %w", s.inWords(err))
	}
	return position, nil
}
