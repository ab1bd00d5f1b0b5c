package incident

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
)

// Changes implements Store.
func (s *MemoryStore) Changes(_ context.Context, after time.Time) ([]changes.Change, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var all []changes.Change
	for _, c := range s.changes {
		if c.At.After(after) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b changes.Change) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// PutChanges implements Store.
func (s *MemoryStore) PutChanges(_ context.Context, all []changes.Change) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, c := range all {
		c.Also = slices.Clone(c.Also)
		s.changes[c.ID] = c
	}
	return nil
}
