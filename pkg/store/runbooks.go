package store

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// runbooks remembers which snapshots the store has, and those that were read. A hash names one text for ever, so
// nothing here grows old. Snapshots are shared between records: nobody changes one.
type runbooks struct {
	mutex sync.Mutex
	kept  map[string]bool
	read  map[string]*runbook.Snapshot
}

func (r *runbooks) isKept(hash string) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.kept[hash]
}

func (r *runbooks) markKept(hashes []string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.kept == nil {
		r.kept = make(map[string]bool)
	}
	for _, hash := range hashes {
		r.kept[hash] = true
	}
}

// fillIn gives each finding of the record the snapshot that it was opened with.
func (s *SQLite) fillIn(ctx context.Context, record *incident.Record) error {
	for i := range record.Findings {
		finding := &record.Findings[i]
		snapshot, err := s.snapshot(ctx, finding.Runbook)
		if err != nil {
			return fmt.Errorf("runbook %s of incident %s: %w", finding.Name, record.ID, err)
		}
		finding.Snapshot = snapshot
	}
	return nil
}

func (s *SQLite) snapshot(ctx context.Context, hash string) (*runbook.Snapshot, error) {
	s.runbooks.mutex.Lock()
	defer s.runbooks.mutex.Unlock()
	if snapshot := s.runbooks.read[hash]; snapshot != nil {
		return snapshot, nil
	}
	var body string
	if err := s.reader.QueryRowContext(ctx, runbookBody, hash).Scan(&body); err != nil {
		return nil, err
	}
	snapshot := new(runbook.Snapshot)
	if err := json.Unmarshal([]byte(body), snapshot); err != nil {
		return nil, err
	}
	if s.runbooks.read == nil {
		s.runbooks.read = make(map[string]*runbook.Snapshot)
	}
	s.runbooks.read[hash] = snapshot
	return snapshot, nil
}
