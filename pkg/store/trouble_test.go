package store

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

func mustBeTrouble(t *testing.T, err error, kind TroubleKind, says string) {
	t.Helper()
	var trouble *Trouble
	if !errors.As(err, &trouble) || trouble.Kind != kind {
		t.Fatalf("%v, want trouble of kind %s", err, kind)
	}
	if !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), trouble.Path) {
		t.Errorf("%v, want it to name the file and to say %q", err, says)
	}
}

func TestAFullDiskIsToldAndTheStoreGoesOnWhenThereIsRoom(t *testing.T) {
	s := newStore(t)
	mustCommit(t, s, newIncident("before", opened))
	connection := s.writer.conn
	limit := func(pages string) {
		if _, err := s.writer.conn.ExecContext(t.Context(), "PRAGMA max_page_count="+pages); err != nil {
			t.Fatal(err)
		}
	}
	limit("1") // SQLite takes the number of pages that there are
	big := newIncident("big", opened)
	big.Events[0].Body = incident.Unknown{Name: "long", Raw: []byte(`"` + strings.Repeat("x", 100_000) + `"`)}
	for range 2 {
		mustBeTrouble(t, s.Commit(t.Context(), incident.Commit{Changes: []incident.Change{big}}), Full, "make room")
	}
	if versions, err := s.Versions(t.Context()); err != nil || len(versions) != 1 {
		t.Errorf("while full: open %v, %v; want it readable, without the commit", versions, err)
	}
	limit("1000000")
	mustCommit(t, s, big)
	if s.writer.conn != connection {
		t.Error("the connection was dropped")
	}
	if versions, err := s.Versions(t.Context()); err != nil || len(versions) != 2 {
		t.Errorf("with room: open %v, %v", versions, err)
	}
}

// limitFiles makes writing beyond a size fail, as a broken disk does, while work runs.
func limitFiles(t *testing.T, size uint64, work func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	small := before
	small.Cur = size
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Skipf("cannot limit the size of files: %v", err)
	}
	work()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
}

func TestAfterAnErrorOfTheDiskTheFileIsOpenedAnew(t *testing.T) {
	s := newStore(t)
	mustCommit(t, s, newIncident("before", opened))
	connection := s.writer.conn
	size, err := s.WALBytes()
	if err != nil {
		t.Fatal(err)
	}
	change := newIncident("during", opened)
	limitFiles(t, uint64(size), func() { // opened anew, the log begins from its start, and has room
		err = s.Commit(t.Context(), incident.Commit{Changes: []incident.Change{change}})
	})
	if err != nil || s.writer.conn == connection {
		t.Errorf("commit: %v, on the same connection: %v", err, s.writer.conn == connection)
	}
	if versions, err := s.Versions(t.Context()); err != nil || len(versions) != 2 {
		t.Errorf("afterwards: open %v, %v", versions, err)
	}
}

func TestADiskThatGoesOnGivingErrorsIsTold(t *testing.T) {
	s := newStore(t)
	mustCommit(t, s, newIncident("before", opened))
	change := newIncident("during", opened)
	var err error
	limitFiles(t, 1, func() {
		err = s.Commit(t.Context(), incident.Commit{Changes: []incident.Change{change}})
	})
	mustBeTrouble(t, err, Unreliable, "disk gives errors")
	mustCommit(t, s, change)
	if versions, err := s.Versions(t.Context()); err != nil || len(versions) != 2 {
		t.Errorf("afterwards: open %v, %v", versions, err)
	}
}

func TestWhetherItCanBeWrittenIsFoundOutByAWrite(t *testing.T) {
	s := newStore(t)
	for range 2 { // the second would write what the first has written
		if err := s.Writable(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	limitFiles(t, 1, func() { err = s.Writable(t.Context()) })
	mustBeTrouble(t, err, Unreliable, "disk gives errors")
	if err := s.Writable(t.Context()); err != nil {
		t.Errorf("with room: %v", err)
	}
}

func TestALockOfAnotherProgramIsWaitedFor(t *testing.T) {
	s := newStore(t)
	if _, err := s.writer.conn.ExecContext(t.Context(), "PRAGMA busy_timeout=1"); err != nil {
		t.Fatal(err)
	}
	shell, err := openWriter(t.Context(), s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer shell.close()
	tx, err := shell.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	attempts := 0
	err = s.transact(t.Context(), func(*transaction) error { attempts++; return nil })
	if !busy(err) || attempts != 0 {
		t.Errorf("while it holds the lock: %v after %d attempts, want busy", err, attempts)
	}
	if _, err := s.writer.conn.ExecContext(t.Context(), "PRAGMA busy_timeout=60000"); err != nil {
		t.Fatal(err)
	}
	connection := s.writer.conn
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Commit(ctx, incident.Commit{WalkedTo: opened}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who waits no longer: %v, want context.DeadlineExceeded", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, newIncident("refused", opened))
	if s.writer.conn != connection {
		t.Error("the connection was dropped")
	}
}

func TestTroubleIsToldApart(t *testing.T) {
	for _, test := range []struct {
		err  error
		want TroubleKind
	}{
		{fmt.Errorf("write: %w", syscall.ENOSPC), Full},
		{fmt.Errorf("write: %w", syscall.EROFS), ReadOnly},
		{&damage{"row missing"}, Damaged},
		{incident.ErrConflict, ""},
		{nil, ""},
	} {
		if got := troubleKind(test.err); got != test.want {
			t.Errorf("%v is %q, want %q", test.err, got, test.want)
		}
	}
	s := newStore(t)
	if _, err := s.writer.conn.ExecContext(t.Context(), "PRAGMA query_only=1"); err != nil {
		t.Fatal(err)
	}
	mustBeTrouble(t, s.Commit(t.Context(), incident.Commit{WalkedTo: opened}), ReadOnly, "by user "+userName())
}
