// Package store keeps events, records and the outbox in SQLite, durably: what Commit has confirmed is there after a
// kill and after a power cut.
//
// Its invariants:
//   - One transaction per Commit, whatever it holds; all of it is written, or nothing.
//   - The first statement of a transaction moves the one row of leases. Who no longer leads fails there, before
//     anything else has run, and positions stand in the order of the commits.
//   - A record is replaced only in the version on which the change was decided.
//   - Identifiers are made before the transaction, and an event is in the store once. So a transaction with an
//     unknown outcome can simply be run again.
//   - Nothing but the SQL driver opens the files of a store that is in use.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// SQLite is a store in one file, for one process at a time.
type SQLite struct {
	path     string
	log      *zap.Logger
	now      func() time.Time
	lock     *lock
	writer   *writer
	reader   *sql.DB
	runbooks runbooks
	epoch    int64 // of this process's lead; a process that opens the store later has a higher one
}

var _ incident.Store = (*SQLite)(nil)

// Options are what Open needs.
type Options struct {
	// Path is the database file. Its directory is made where it is missing. Beside it stand -wal and -shm, which
	// belong to it, and .lock, which names the process that uses it.
	Path string
	// AllowNetworkFS opens a store on NFS, SMB, 9p or FUSE all the same. Their locks and their durability are what
	// the server makes of them: stores there have been corrupted.
	AllowNetworkFS bool
	// Log gets what an operator should know of opening and closing; nil: nothing.
	Log *zap.Logger
	// Now is the clock for when rows were queued and answers expire; nil: the machine's.
	Now func() time.Time
}

// Open opens the store, or makes it. It refuses, in words for the operator: a file that another process holds, that
// cannot be written, lies on a network file system, is damaged, belongs to another program, or was written by a
// newer release. A refused file is left as it was.
func Open(ctx context.Context, options Options) (*SQLite, error) {
	return open(ctx, options, migrations)
}

func open(ctx context.Context, options Options, steps []migration) (_ *SQLite, err error) {
	s := &SQLite{log: options.Log, now: options.Now}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := setDriver(s.log); err != nil {
		return nil, err
	}
	if s.path, err = prepareDirectory(options.Path, options.AllowNetworkFS); err != nil {
		return nil, err
	}
	var clean bool
	if s.lock, clean, err = acquire(s.path, s.now()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(s.inWords(err), s.abandon())
		}
	}()
	if err := s.inspect(ctx, clean); err != nil {
		return nil, err
	}
	if s.writer, err = openWriter(ctx, s.path); err != nil {
		return nil, err
	}
	version, err := migrate(ctx, s.writer.db, steps, s.backupBefore)
	if err != nil {
		return nil, err
	}
	if err := s.writer.connect(ctx); err != nil {
		return nil, err
	}
	if s.reader, err = sql.Open(driver, readerDSN(s.path)); err != nil {
		return nil, err
	}
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	if err := s.lead(ctx); err != nil {
		return nil, err
	}
	s.log.Info("store opened", zap.String("path", s.path), zap.Int("schema", version), zap.Int64("epoch", s.epoch))
	return s, nil
}

// inspect looks at a file that is there already, before anything is written to it. A store that was not closed is
// checked whole: damage is found there even where reading still works.
func (s *SQLite) inspect(ctx context.Context, clean bool) error {
	info, err := os.Stat(s.path)
	if err != nil || info.Size() == 0 {
		return err
	}
	probe, err := sql.Open(driver, probeDSN(s.path))
	if err != nil {
		return err
	}
	defer probe.Close()
	var application, objects int64
	if err := probe.QueryRowContext(ctx, "PRAGMA application_id").Scan(&application); err != nil {
		return err
	}
	if err := probe.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_schema").Scan(&objects); err != nil {
		return err
	}
	if application != applicationID && (application != 0 || objects != 0) {
		return fmt.Errorf("store %s: this is a database of another program (application_id %d); name another file",
			s.path, application)
	}
	if clean {
		return nil
	}
	started := time.Now()
	s.log.Warn("store was not closed, checking it", zap.String("path", s.path), zap.Int64("bytes", info.Size()))
	if err := quickCheck(ctx, probe); err != nil {
		return err
	}
	s.log.Info("store is whole", zap.String("path", s.path), zap.Duration("took", time.Since(started)))
	return nil
}

// lead takes the lead with a new epoch, and frees the rows of the outbox that the process before had claimed: the
// lock proves that it sends no more, so nobody has to wait for its claims to end.
func (s *SQLite) lead(ctx context.Context) error {
	return s.transact(ctx, func(t *transaction) error {
		now := micros(s.now())
		if err := t.row(takeLead, []any{holder, now}, &s.epoch); err != nil {
			return fmt.Errorf("take the lead: %w", err)
		}
		_, err := t.exec(freeClaims)
		return err
	})
}

// Close writes everything into the one file and lets it go. What is asked of the store afterwards is refused.
func (s *SQLite) Close() error {
	if err := errors.Join(s.reader.Close(), s.writer.shut()); err != nil {
		return errors.Join(s.inWords(err), s.lock.abandon())
	}
	s.log.Info("store closed", zap.String("path", s.path))
	return s.lock.release()
}

// abandon lets go of what Open had got hold of when it failed, without the mark of a clean stop.
func (s *SQLite) abandon() error {
	var errs []error
	if s.reader != nil {
		errs = append(errs, s.reader.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	return errors.Join(append(errs, s.lock.abandon())...)
}

// WALBytes is the size of the write-ahead log. It grows without end while a reader stays open; above 64 MiB somebody
// should look.
func (s *SQLite) WALBytes() (int64, error) {
	info, err := os.Stat(s.path + "-wal")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Writable tries a write that changes nothing that anybody reads; the error says why nothing can be written.
func (s *SQLite) Writable(ctx context.Context) error {
	return s.transact(ctx, func(t *transaction) error {
		_, err := t.exec(touchLead)
		return err
	})
}

// micros is how the store writes a time; a zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// moment reads what micros wrote.
func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
