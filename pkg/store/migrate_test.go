package store

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
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
		version: 2, minBinary: 1, file: "0002.sql", files: fstest.MapFS{"0002.sql": {Data: []byte(script)}},
	})
}

func TestAMigrationKeepsTheStoreOfBefore(t *testing.T) {
	s := newStore(t)
	mustCommit(t, s, newIncident("refused", opened))
	closeStore(t, s)
	migrated, err := open(t.Context(), Options{Path: s.path}, later("CREATE TABLE silences(id TEXT PRIMARY KEY)"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrated.reader.Exec("SELECT id FROM silences"); err != nil {
		t.Errorf("the new table: %v", err)
	}
	closeStore(t, migrated)
	for _, path := range []string{s.path, s.path + ".v1"} { // this release works on both
		again := openAt(t, path)
		if _, err := again.Load(t.Context(), "1"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAMigrationThatBreaksLeavesTheStoreAsItWas(t *testing.T) {
	s := newStore(t)
	closeStore(t, s)
	_, err := open(t.Context(), Options{Path: s.path}, later("CREATE TABLE silences(id TEXT); CREATE TABEL typo(id TEXT)"))
	if err == nil {
		t.Fatal("a broken migration succeeded")
	}
	again := openAt(t, s.path)
	version, _, err := schemaVersion(context.Background(), again.reader)
	if err != nil || version != 1 {
		t.Errorf("version %d, %v", version, err)
	}
	if _, err := again.reader.Exec("SELECT id FROM silences"); err == nil {
		t.Error("half of the migration is in")
	}
	if copies, _ := filepath.Glob(s.path + ".v1"); len(copies) != 1 {
		t.Errorf("copies %v", copies)
	}
}
