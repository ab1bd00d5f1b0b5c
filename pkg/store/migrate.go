package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
)

//go:embed migrations/*.sql
var files embed.FS

// migration brings the schema from the version before to its own. A release only adds; it removes what the release
// before the last one stopped using. So the release before still runs on the new schema.
type migration struct {
	version   int
	minBinary int // the schema that a program must know at least to work on the migrated store
	files     fs.FS
	file      string
}

// migrations stand in the order of their versions.
var migrations = []migration{
	{version: 1, minBinary: 1, files: files, file: "migrations/0001_initial.sql"},
	{version: 2, minBinary: 1, files: files, file: "migrations/0002_life.sql"},
	{version: 3, minBinary: 1, files: files, file: "migrations/0003_changes.sql"},
}

// migrate runs what the store lacks, each migration in its own transaction with its version, and gives the version
// that the store then has. Before it changes a store that holds something, it calls backup with the present version.
// A store from a newer release is left alone, and refused if that release says that this one cannot work on it.
func migrate(ctx context.Context, db *sql.DB, steps []migration, backup func(context.Context, int) error) (int, error) {
	version, minBinary, err := schemaVersion(ctx, db)
	if err != nil {
		return 0, fmt.Errorf("read the schema's version: %w", err)
	}
	known := steps[len(steps)-1].version
	if version > known {
		if minBinary > known {
			return 0, fmt.Errorf("store is schema %d, this program knows %d; run a release that knows schema %d,"+
				" or restore a backup", version, known, minBinary)
		}
		return version, nil
	}
	if version > 0 && version < known {
		if err := backup(ctx, version); err != nil {
			return 0, fmt.Errorf("copy the store before its schema changes: %w", err)
		}
	}
	for _, step := range steps {
		if step.version <= version {
			continue
		}
		if err := step.run(ctx, db); err != nil {
			return 0, fmt.Errorf("bring the store to schema %d: %w", step.version, err)
		}
	}
	return known, nil
}

// schemaVersion reads the version; a store that is empty has version 0.
func schemaVersion(ctx context.Context, db *sql.DB) (version, minBinary int, err error) {
	var tables int
	err = db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema WHERE name='schema_version'").Scan(&tables)
	if err != nil || tables == 0 {
		return 0, 0, err
	}
	err = db.QueryRowContext(ctx, "SELECT version, min_binary FROM schema_version WHERE id=1").Scan(&version, &minBinary)
	return version, minBinary, err
}

func (m migration) run(ctx context.Context, db *sql.DB) error {
	script, err := fs.ReadFile(m.files, m.file)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	if _, err := tx.ExecContext(ctx, string(script)); err != nil {
		return fmt.Errorf("%s: %w", m.file, err)
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id=%d", applicationID)); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE schema_version SET version=?1, min_binary=?2 WHERE id=1", m.version, m.minBinary)
	if err != nil {
		return err
	}
	return tx.Commit()
}
