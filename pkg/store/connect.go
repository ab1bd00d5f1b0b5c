package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"go.uber.org/zap"
	"modernc.org/sqlite"
)

const (
	driver        = "sqlite"
	readers       = 4
	applicationID = 0x69726431 // "ird1": tells our files from those of other programs
	holder        = "local"    // of the one lease: a SQLite store has one process, by its lock
)

// setDriver makes two settings of the driver that hold for the whole process and must be made before the first file
// is opened. With POSIX locks, the default, any code of this process that opens and closes one of the three files,
// to copy or to hash it, strips SQLite of its locks; the next process then deletes the log under us.
func setDriver(log *zap.Logger) error {
	sqlite.StrictPragmas(true)
	_, err := sqlite.OFDLocking(true)
	if errors.Is(err, sqlite.ErrOFDLockingUnavailable) {
		log.Debug("no open file description locks here: no other program may open the store's files")
		return nil
	}
	if err != nil {
		return fmt.Errorf("lock the store by open file descriptions: %w", err)
	}
	return nil
}

// The names keep the file: prefix: without it the driver cuts their parameters off.

func writerDSN(path string) string {
	return fileURI(path) + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
		"&_pragma=foreign_keys(1)&_pragma=trusted_schema(0)&_pragma=journal_size_limit(67108864)&_txlock=immediate"
}

func readerDSN(path string) string {
	return fileURI(path) + "?mode=ro&_pragma=busy_timeout(5000)&_pragma=query_only(1)"
}

// probeDSN opens a file that may not be ours, or be damaged. VACUUM INTO needs it too: query_only forbids it.
func probeDSN(path string) string {
	return fileURI(path) + "?mode=ro&_pragma=busy_timeout(5000)"
}

func fileURI(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// prepareDirectory makes the directory, resolves links, so that two names of one file have one lock, and refuses
// what cannot hold a store.
func prepareDirectory(name string, allowNetworkFS bool) (string, error) {
	if name == "" {
		return "", errors.New("store: no path")
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("store %s: %w", name, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("store %s: make its directory as user %s: %w", path, userName(), err)
	}
	directory, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("store %s: %w", path, err)
	}
	path = filepath.Join(directory, filepath.Base(path))
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if allowNetworkFS {
		return path, nil
	}
	kind, err := networkFS(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("store %s: find out its file system: %w", path, err)
	}
	if kind != "" {
		return "", fmt.Errorf("store %s: lies on a network file system (%s), where locks and fsync cannot be relied on;"+
			" use a local disk, or set store.allow_network_fs", path, kind)
	}
	return path, nil
}

// create makes the file readable by its owner alone, and finds out whether it can be written. It runs under the lock
// and before the driver opens the file, so closing it here strips nobody of a lock.
func create(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("store %s: cannot be written by user %s: %w", path, userName(), err)
	}
	return errors.Join(file.Close(), syncDirectory(filepath.Dir(path)))
}

// openWriter opens the file for writing and makes sure that the settings on which durability rests took effect.
func openWriter(ctx context.Context, path string) (*writer, error) {
	w := &writer{path: path, turn: make(chan struct{}, 1)}
	if err := w.open(); err != nil {
		return nil, err
	}
	var mode string
	var synchronous int
	err := w.db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode)
	if err == nil {
		err = w.db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous)
	}
	if err == nil && (mode != "wal" || synchronous != 2) {
		err = fmt.Errorf("store %s: the file system refuses a write-ahead log (journal_mode %s, synchronous %d);"+
			" use a local disk", path, mode, synchronous)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// quickCheck reads the whole file and tells what is damaged.
func quickCheck(ctx context.Context, db *sql.DB) error {
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return err
	}
	if answer != "ok" {
		return &damage{answer}
	}
	return nil
}

// damage is what quick_check found.
type damage struct{ answer string }

func (d *damage) Error() string { return "quick_check: " + d.answer }

func userName() string {
	if current, err := user.Current(); err == nil {
		return current.Username
	}
	return strconv.Itoa(os.Getuid())
}

// syncDirectory makes a new name in the directory survive a power cut.
func syncDirectory(name string) error {
	directory, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
