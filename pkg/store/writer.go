package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

// retries is how often a transaction that met a lock is run again, and firstPause how long after the first time;
// the pause doubles. SQLite has waited for the lock for 5 s before that: it means a backup or a shell.
const (
	retries    = 5
	firstPause = 10 * time.Millisecond
)

// writer is the one connection that writes, with its prepared statements. SQLite has one writer at a time anyway;
// who waits for this one is served in turn, while those who wait for SQLite's own lock poll, without a queue.
type writer struct {
	path     string
	turn     chan struct{} // holds a token while somebody uses the connection
	db       *sql.DB
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
	closed   bool // for good: the lock is given back, so the file must not be opened again
}

var errClosed = errors.New("the store is closed")

// open opens the file, without connecting yet.
func (w *writer) open() (err error) {
	if w.db, err = sql.Open(driver, writerDSN(w.path)); err != nil {
		return err
	}
	w.db.SetMaxOpenConns(1)
	w.db.SetConnMaxLifetime(0)
	return nil
}

// connect takes the connection for good. Where it was dropped after an error of the disk, the file is opened anew
// and checked first.
func (w *writer) connect(ctx context.Context) error {
	if w.closed {
		return errClosed
	}
	if w.conn != nil {
		return nil
	}
	if w.db == nil {
		if err := w.open(); err != nil {
			return err
		}
		if err := quickCheck(ctx, w.db); err != nil {
			return errors.Join(err, w.close())
		}
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn, w.prepared = conn, make(map[string]*sql.Stmt)
	return nil
}

// shut closes the writer for good, after the transaction that runs.
func (w *writer) shut() error {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	w.closed = true
	return w.close()
}

// close gives up the connection and what was prepared on it.
func (w *writer) close() error {
	var errs []error
	for _, statement := range w.prepared {
		errs = append(errs, statement.Close())
	}
	if w.conn != nil {
		errs = append(errs, w.conn.Close())
	}
	if w.db != nil {
		errs = append(errs, w.db.Close())
	}
	w.db, w.conn, w.prepared = nil, nil, nil
	return errors.Join(errs...)
}

// transact runs work in a transaction and commits it, durably. Where a lock was in the way it is run again, a few
// times; after an error of the disk once more, on a file opened anew, for then nobody knows whether the first
// attempt is in. So work must be able to run twice, even on its own result. What has begun is not cut off by ctx:
// it waits for nothing but the disk, and a transaction cut off in its commit would have an unknown outcome.
func (s *SQLite) transact(ctx context.Context, work func(*transaction) error) error {
	select {
	case s.writer.turn <- struct{}{}:
		defer func() { <-s.writer.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	opened := false
	for attempt := 0; ; attempt++ {
		err := s.writer.once(ctx, work)
		switch {
		case troubleKind(err) == Unreliable && !opened:
			opened = true
			s.log.Error("the store's disk gave an error, opening the file anew", zap.String("path", s.path), zap.Error(err))
		case !busy(err) || attempt == retries:
			return s.inWords(err)
		default:
			if err := pause(ctx, attempt); err != nil {
				return err
			}
		}
	}
}

// pause waits before the next attempt, half of it by chance.
func pause(ctx context.Context, attempt int) error {
	longest := firstPause << attempt
	timer := time.NewTimer(longest/2 + rand.N(longest/2)) // #nosec G404 -- spreads attempts, hides nothing
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once is one attempt. After an error of the disk, and where the connection's state is not known, the connection is
// dropped; a full disk, a lock and a caller who gave up keep it.
func (w *writer) once(ctx context.Context, work func(*transaction) error) (err error) {
	if err := w.connect(ctx); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	t := &transaction{w}
	began, committed := false, false
	defer func() {
		if !committed {
			// Where nothing began, or SQLite has rolled back by itself, it says that there is nothing to roll back.
			_, _ = t.exec("ROLLBACK")
		}
		if troubleKind(err) == Unreliable || !began && !busy(err) && ctx.Err() == nil {
			err = errors.Join(err, w.close())
		}
	}()
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	began = true
	if err := work(t); err != nil {
		return err
	}
	if _, err := t.exec("COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	return nil
}

// transaction runs statements of the transaction that is open on the writer.
type transaction struct{ w *writer }

// exec gives how many rows were written.
func (t *transaction) exec(query string, arguments ...any) (int64, error) {
	statement, err := t.w.statement(query)
	if err != nil {
		return 0, err
	}
	result, err := statement.Exec(arguments...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// row reads the one row that the statement answers; sql.ErrNoRows where it answers none.
func (t *transaction) row(query string, arguments []any, into ...any) error {
	statement, err := t.w.statement(query)
	if err != nil {
		return err
	}
	return statement.QueryRow(arguments...).Scan(into...)
}

// statement prepares a statement the first time it is used.
func (w *writer) statement(query string) (*sql.Stmt, error) {
	if statement := w.prepared[query]; statement != nil {
		return statement, nil
	}
	statement, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	w.prepared[query] = statement
	return statement, nil
}
