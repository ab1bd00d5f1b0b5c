package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Backup writes a consistent copy of the store to file while the store is in use, and replaces a file of that name.
// The copy appears under its name only once it is whole and on the disk. While it runs, the write-ahead log grows.
func (s *SQLite) Backup(ctx context.Context, file string) error {
	if err := copyTo(ctx, s.path, file); err != nil {
		return fmt.Errorf("back up the store to %s: %w", file, s.inWords(err))
	}
	return nil
}

// backupBefore keeps the store as it is at a schema, beside it.
func (s *SQLite) backupBefore(ctx context.Context, version int) error {
	return s.Backup(ctx, fmt.Sprintf("%s.v%d", s.path, version))
}

func copyTo(ctx context.Context, path, file string) (err error) {
	// SQLite writes into an empty file, and so the copy is readable by its owner alone from the first byte on.
	copied, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, copied.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(copied.Name()))
		}
	}()
	source, err := sql.Open(driver, probeDSN(path))
	if err != nil {
		return err
	}
	_, err = source.ExecContext(ctx, "VACUUM INTO ?1", copied.Name())
	if err = errors.Join(err, source.Close()); err != nil {
		return err
	}
	if err := copied.Sync(); err != nil {
		return err
	}
	if err := os.Rename(copied.Name(), file); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(file))
}
