package store

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

func TestEveryMigrationOfTheFolderIsRun(t *testing.T) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for i, step := range migrations {
		listed = append(listed, step.file)
		if step.version != i+1 || step.minBinary > step.version {
			t.Errorf("%s has version %d and min_binary %d", step.file, step.version, step.minBinary)
		}
	}
	if !slices.Equal(names, listed) {
		t.Errorf("files %v, listed %v", names, listed)
	}
}

// later is the migration of a release to come.
func later(script string) []migration {
	return append(slices.Clone(migrations), migration{
		version: len(migrations) + 1, minBinary: 1, file: "later.sql", files: fstest.MapFS{"later.sql": {Data: []byte(script)}},
	})
}

func TestAMigrationKeepsTheStoreOfBefore(t *testing.T) {
	s := newStore(t)
	mustCommit(t, s, newIncident("refused", opened))
	closeStore(t, s)
	migrated, err := open(t.Context(), Options{Path: s.path}, later("CREATE TABLE novelties(id TEXT PRIMARY KEY)"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrated.reader.Exec("SELECT id FROM novelties"); err != nil {
		t.Errorf("the new table: %v", err)
	}
	closeStore(t, migrated)
	for _, path := range []string{s.path, fmt.Sprintf("%s.v%d", s.path, len(migrations))} { // this release works on both
		again := openAt(t, path)
		if _, err := again.Load(t.Context(), "1"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAMigrationThatBreaksLeavesTheStoreAsItWas(t *testing.T) {
	s := newStore(t)
	closeStore(t, s)
	_, err := open(t.Context(), Options{Path: s.path}, later("CREATE TABLE novelties(id TEXT); CREATE TABEL typo(id TEXT)"))
	if err == nil {
		t.Fatal("a broken migration succeeded")
	}
	again := openAt(t, s.path)
	version, _, err := schemaVersion(context.Background(), again.reader)
	if err != nil || version != len(migrations) {
		t.Errorf("version %d, %v", version, err)
	}
	if _, err := again.reader.Exec("SELECT id FROM novelties"); err == nil {
		t.Error("half of the migration is in")
	}
	if copies, _ := filepath.Glob(fmt.Sprintf("%s.v%d", s.path, len(migrations))); len(copies) != 1 {
		t.Errorf("copies %v", copies)
	}
}

func TestAStoreOfAnOlderReleaseIsReadOn(t *testing.T) {
	for first := range migrations[1:] {
		path := filepath.Join(t.TempDir(), "store.db")
		old, err := open(t.Context(), Options{Path: path}, migrations[:first+1])
		if err != nil {
			t.Fatal(err)
		}
		change := newIncident("refused", opened)
		document, err := incident.EncodeRecord(change.Record)
		if err != nil {
			t.Fatal(err)
		}
		closeStore(t, old)
		execute(t, path, fmt.Sprintf(`INSERT INTO incidents(id, number, runbook, runbook_hash, state, severity, opened_at, updated_at, version, record)
			VALUES('%s', 1, 'refused', '%s', 'triggered', 'sev2', 1, 1, %d, '%s')`,
			change.Record.ID, change.Record.Findings[0].Runbook, change.Record.Version, document))
		execute(t, path, fmt.Sprintf(`INSERT INTO runbooks(hash, body) VALUES('%s', '{}')`, change.Record.Findings[0].Runbook))
		again := openAt(t, path)
		if records, _, err := again.List(t.Context(), incident.Filter{}); err != nil || len(records) != 1 {
			t.Errorf("from schema %d: %d incidents, %v", first+1, len(records), err)
		}
		if versions, err := again.Versions(t.Context()); err != nil || len(versions) != 1 {
			t.Errorf("from schema %d: open %v, %v", first+1, versions, err)
		}
	}
}
