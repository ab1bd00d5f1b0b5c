package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
)

// Changes implements incident.Store.
func (s *SQLite) Changes(ctx context.Context, after time.Time) ([]changes.Change, error) {
	var all []changes.Change
	err := s.each(ctx, func(rows *sql.Rows) error {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		var c changes.Change
		if err := json.Unmarshal(body, &c); err != nil {
			return err
		}
		all = append(all, c)
		return nil
	}, changesAfter, micros(after))
	if err != nil {
		return nil, fmt.Errorf("read the changes: %w", err)
	}
	slices.SortFunc(all, func(a, b changes.Change) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// PutChanges implements incident.Store.
func (s *SQLite) PutChanges(ctx context.Context, all []changes.Change) error {
	err := s.transact(ctx, func(t *transaction) error {
		for _, c := range all {
			body, err := json.Marshal(c)
			if err != nil {
				return err
			}
			if _, err := t.exec(putChange, c.ID, micros(c.At), string(body)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write changes: %w", err)
	}
	return nil
}
