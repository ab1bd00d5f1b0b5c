package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/storetest"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

var opened = time.Date(2026, 3, 1, 14, 10, 0, 123456000, time.UTC)

// newStore opens a store in a directory of the test, and closes it when the test ends.
func newStore(t testing.TB) *SQLite {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "store.db"))
}

func openAt(t testing.TB, path string) *SQLite {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.writer != nil {
			closeStore(t, s)
		}
	})
	return s
}

func closeStore(t testing.TB, s *SQLite) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	s.writer = nil
}

// newIncident opens an incident of the runbook, with a page to a receiver.
func newIncident(name string, at time.Time) incident.Change {
	events := []incident.Event{{
		ID: fmt.Sprintf("%s-opened-%d", name, at.UnixMicro()), Seq: 1, At: at, RecordedAt: at.Add(time.Second),
		Actor: incident.Daemon, Body: incident.Opened{
			Runbook: "hash-of-" + name, Name: name, Group: labels.FromStrings("service", "bot"), Service: "bot",
			Severity: runbook.Sev2, BreachBegan: at.Add(-10 * time.Minute), ImpactStartedAt: at.Add(-11 * time.Minute),
		},
	}}
	record := incident.Fold(events)
	record.Findings[0].Snapshot = &runbook.Snapshot{Runbook: runbook.Runbook{Name: name, Owner: "oncall"}}
	return incident.Change{Record: record, Events: events}
}

// then goes on with the incident of a change.
func then(before incident.Change, bodies ...incident.Body) incident.Change {
	events := append([]incident.Event(nil), before.Events...)
	for _, body := range bodies {
		seq := int64(len(events) + 1)
		events = append(events, incident.Event{
			ID: fmt.Sprintf("%s-%d", before.Record.ID, seq), Seq: seq, At: opened, RecordedAt: opened, Actor: "alice", Body: body,
		})
	}
	record := incident.Fold(events)
	record.Findings[0].Snapshot = before.Record.Findings[0].Snapshot
	return incident.Change{Before: int64(len(before.Events)), Record: record, Events: events[len(before.Events):]}
}

func mustCommit(t testing.TB, s *SQLite, changes ...incident.Change) {
	t.Helper()
	if err := s.Commit(t.Context(), incident.Commit{Changes: changes}); err != nil {
		t.Fatal(err)
	}
}

func TestSQLiteConforms(t *testing.T) {
	storetest.Test(t, func(t *testing.T) incident.Store { return newStore(t) })
}

func TestWhatIsCommittedIsThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a dir", "we?ird #1% 'ü'.db")
	s := openAt(t, path)
	change := newIncident(`"quoted" 'runbook'; DROP TABLE events; -- 日本 🔥`, opened)
	note := then(change, incident.Noted{Text: "It's \"over\" \\ \n\t\u0000 – ναι, 承知 😀"})
	mustCommit(t, s, change)
	mustCommit(t, s, note)
	closeStore(t, s)

	again := openAt(t, path)
	record, err := again.Load(t.Context(), "#1")
	if err != nil {
		t.Fatal(err)
	}
	if record.Findings[0].Name != change.Record.Findings[0].Name || record.Version != 2 {
		t.Errorf("record %+v", record)
	}
	if snapshot := record.Findings[0].Snapshot; snapshot == nil || snapshot.Runbook.Owner != "oncall" {
		t.Errorf("snapshot %+v", snapshot)
	}
	events, err := again.Events(t.Context(), record.ID, 1, 0)
	if err != nil || len(events) != 1 || events[0].Body != note.Events[0].Body {
		t.Errorf("events %+v, %v; want %+v", events, err, note.Events)
	}
}

func TestFilesBelongToTheOwnerAlone(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "new")
	s := openAt(t, filepath.Join(directory, "store.db"))
	mustCommit(t, s, newIncident("refused", opened))
	for name, want := range map[string]os.FileMode{
		directory: 0o700 | os.ModeDir, s.path: 0o600, s.path + "-wal": 0o600, s.path + "-shm": 0o600, s.path + ".lock": 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	if size, err := s.WALBytes(); err != nil || size == 0 {
		t.Errorf("the log has %d bytes, %v", size, err)
	}
}

func TestASecondDaemonIsToldWhoHoldsTheStore(t *testing.T) {
	directory := t.TempDir()
	s := openAt(t, filepath.Join(directory, "store.db"))
	link := filepath.Join(directory, "other-name.db")
	if err := os.Symlink(s.path, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{s.path, link} {
		_, err := Open(t.Context(), Options{Path: path})
		want := fmt.Sprintf("held by pid %d on host ", os.Getpid())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), " since 20") {
			t.Errorf("open %s: %v, want it to say %q", path, err, want)
		}
	}
	mustCommit(t, s, newIncident("refused", opened)) // the first one goes on
	closeStore(t, s)
	openAt(t, s.path)
}

func TestRefusedFiles(t *testing.T) {
	for _, test := range []struct {
		name string
		path func(t *testing.T) string
		want string
		kind TroubleKind
	}{
		{"garbage instead of a database", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "store.db")
			write(t, path, strings.Repeat("this is no database ", 1000))
			return path
		}, "damaged", Damaged},
		{"a page overwritten, after a stop that was not clean", damagedStore, "damaged", Damaged},
		{"a database of another program", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "store.db")
			execute(t, path, "CREATE TABLE foreigners(id TEXT)")
			return path
		}, "another program", ""},
		{"a schema that only a newer release can work on", func(t *testing.T) string {
			s := newStore(t)
			closeStore(t, s)
			execute(t, s.path, "UPDATE schema_version SET version=9, min_binary=8")
			return s.path
		}, "store is schema 9, this program knows 3; run a release that knows schema 8", ""},
		{"a directory that nobody can write", func(t *testing.T) string {
			if runtime.GOOS != "linux" {
				t.Skip("needs /sys")
			}
			return "/sys/store.db"
		}, "/sys/store.db: its lock cannot be written by user " + userName(), ""},
		{"a directory below a file", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "file")
			write(t, path, "")
			return filepath.Join(path, "store.db")
		}, "make its directory as user " + userName(), ""},
		{"no path", func(*testing.T) string { return "" }, "no path", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := test.path(t)
			before, _ := os.ReadFile(path)
			_, err := Open(t.Context(), Options{Path: path})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("open: %v, want it to say %q", err, test.want)
			}
			var trouble *Trouble
			if errors.As(err, &trouble) != (test.kind != "") || trouble != nil && trouble.Kind != test.kind {
				t.Errorf("open: trouble %v, want kind %q", trouble, test.kind)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the refused file was changed")
			}
		})
	}
}

// damagedStore is a store with a page of rubbish in its middle, as a process left it that was killed.
func damagedStore(t *testing.T) string {
	s := newStore(t)
	for i := range 50 {
		mustCommit(t, s, newIncident(fmt.Sprintf("runbook-%d", i), opened))
	}
	closeStore(t, s)
	write(t, s.path+".lock", "pid 1 on host gone since yesterday\n")
	file, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, page := range []int64{3, 5, 7, 9} {
		if _, err := file.WriteAt([]byte(strings.Repeat("\xa5", 4096)), page*4096); err != nil {
			t.Fatal(err)
		}
	}
	return s.path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// execute changes a store that is closed.
func execute(t *testing.T, path, query string) {
	t.Helper()
	if err := setDriver(zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open(driver, fileURI(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

func TestANewerReleaseThatThisOneCanWorkWith(t *testing.T) {
	s := newStore(t)
	closeStore(t, s)
	execute(t, s.path, "UPDATE schema_version SET version=9, min_binary=1")
	mustCommit(t, openAt(t, s.path), newIncident("refused", opened))
}

func TestWhoNoLongerLeadsIsFenced(t *testing.T) {
	s := newStore(t)
	if err := s.Commit(t.Context(), incident.Commit{WalkedTo: opened}); err != nil {
		t.Fatal(err)
	}
	page := newIncident("refused", opened)
	page.Deliveries = []incident.Delivery{delivery(page, "d1", "pager", 1)}
	mustCommit(t, s, page)
	execute(t, s.path, "UPDATE leases SET epoch=epoch+1")

	err := s.Commit(t.Context(), incident.Commit{Changes: []incident.Change{newIncident("other", opened)}, WalkedTo: opened.Add(time.Minute)})
	if !errors.Is(err, incident.ErrFenced) {
		t.Errorf("commit of a tick: %v, want ErrFenced", err)
	}
	if _, _, err := s.Claim(t.Context(), "d1", opened.Add(time.Minute), opened); !errors.Is(err, incident.ErrFenced) {
		t.Errorf("claim: %v, want ErrFenced", err)
	}
	if versions, err := s.Versions(t.Context()); err != nil || len(versions) != 1 {
		t.Errorf("open: %v, %v; the fenced commit must not be in", versions, err)
	}
	if walked, err := s.WalkedTo(t.Context()); err != nil || !walked.Equal(opened) {
		t.Errorf("walked to %v, %v", walked, err)
	}
	mustCommit(t, s, then(page, incident.Noted{Text: "people need no lead"}))
}

func TestTwoConflictingWritersHaveAnOrder(t *testing.T) {
	s := newStore(t)
	first := newIncident("refused", opened)
	mustCommit(t, s, first)
	const each = 50
	var conflicts, done sync.Map
	var writers sync.WaitGroup
	for writer := range 2 {
		writers.Go(func() {
			for i := range each {
				addNote(t, s, first.Record.ID, fmt.Sprintf("writer %d note %d", writer, i), &conflicts, &done)
			}
		})
	}
	writers.Wait()
	events, err := s.Events(t.Context(), first.Record.ID, 1, 0)
	if err != nil || len(events) != 2*each {
		t.Fatalf("%d events, %v; want %d", len(events), err, 2*each)
	}
	for i, event := range events {
		if event.Seq != int64(i+2) {
			t.Fatalf("event %d has seq %d: a gap", i, event.Seq)
		}
		done.Delete(event.Body.(incident.Noted).Text)
	}
	done.Range(func(text, _ any) bool { t.Errorf("%v was confirmed and is lost", text); return true })
}

// addNote is what the desk does: load, decide, commit, and decide again on a conflict.
func addNote(t *testing.T, s *SQLite, id, text string, conflicts, done *sync.Map) {
	for {
		events, err := s.Events(t.Context(), id, 0, 0)
		if err != nil {
			t.Error(err)
			return
		}
		loaded, err := s.Load(t.Context(), id)
		if err != nil {
			t.Error(err)
			return
		}
		if int64(len(events)) != loaded.Version {
			continue // somebody committed between the two reads
		}
		change := then(incident.Change{Record: loaded, Events: events}, incident.Noted{Text: text})
		change.Events[0].ID = text
		err = s.Commit(t.Context(), incident.Commit{Changes: []incident.Change{change}})
		if err == nil {
			done.Store(text, true)
			return
		}
		if !errors.Is(err, incident.ErrConflict) {
			t.Error(err)
			return
		}
		conflicts.Store(text, true)
	}
}

func TestACommitThatContradictsItselfIsRefused(t *testing.T) {
	s := newStore(t)
	gap := newIncident("refused", opened)
	gap.Events[0].Seq = 2
	version := newIncident("refused", opened)
	version.Record.Version = 7
	unknown := newIncident("refused", opened)
	unknown.Record.Findings[0].Snapshot = nil
	for name, test := range map[string]struct {
		change incident.Change
		want   string
	}{
		"a seq with a gap":              {gap, "has seq 2, not 1"},
		"a version beyond its events":   {version, "version 7, but its events end at 1"},
		"no record":                     {incident.Change{}, "without a record"},
		"a runbook that nobody has got": {unknown, "neither the finding nor the store has it"},
	} {
		err := s.Commit(t.Context(), incident.Commit{Changes: []incident.Change{test.change}})
		if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, incident.ErrConflict) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestRestOfACommitThatIsPartlyInIsWritten(t *testing.T) {
	s := newStore(t)
	first, second := newIncident("one", opened), newIncident("two", opened)
	mustCommit(t, s, first)
	answer := &incident.Answer{Key: "key", RequestHash: "hash", Expires: time.Now().Add(time.Hour)}
	for range 2 {
		err := s.Commit(t.Context(), incident.Commit{
			Changes: []incident.Change{first, second}, WalkedTo: opened, Idempotent: answer})
		if err != nil {
			t.Fatal(err)
		}
	}
	versions, err := s.Versions(t.Context())
	if err != nil || len(versions) != 2 {
		t.Errorf("open: %v, %v", versions, err)
	}
	if walked, err := s.WalkedTo(t.Context()); err != nil || !walked.Equal(opened) {
		t.Errorf("walked to %v, %v", walked, err)
	}
}

func TestAnEventOfAnotherIncidentIsNotTakenForOurs(t *testing.T) {
	s := newStore(t)
	first, second := newIncident("one", opened), newIncident("two", opened)
	mustCommit(t, s, first)
	second.Events[0].ID = first.Events[0].ID
	err := s.Commit(t.Context(), incident.Commit{Changes: []incident.Change{second}})
	if !errors.Is(err, incident.ErrConflict) {
		t.Errorf("commit: %v, want ErrConflict", err)
	}
}

func TestAnAnswerExpires(t *testing.T) {
	now := opened
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "store.db"), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	keep := func(hash string) error {
		return s.Commit(t.Context(), incident.Commit{Idempotent: &incident.Answer{
			Key: "key", RequestHash: hash, Status: 200, Response: []byte("{}"), Expires: now.Add(time.Hour)}})
	}
	if err := keep("first"); err != nil {
		t.Fatal(err)
	}
	if err := keep("second"); !errors.Is(err, incident.ErrConflict) {
		t.Errorf("the key is taken by another request: %v, want ErrConflict", err)
	}
	now = now.Add(time.Hour)
	if answer, err := s.Answered(t.Context(), "key"); err != nil || answer != nil {
		t.Errorf("expired answer %+v, %v", answer, err)
	}
	if err := keep("second"); err != nil {
		t.Errorf("the key is free again: %v", err)
	}
}

func TestACallerWhoGivesUpWaitsNoLonger(t *testing.T) {
	s := newStore(t)
	s.writer.turn <- struct{}{} // somebody writes
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Commit(ctx, incident.Commit{WalkedTo: opened})
	<-s.writer.turn
	if !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v, want context.Canceled", err)
	}
}

func TestAClosedStoreStaysClosed(t *testing.T) {
	s := newStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openAt(t, s.path) // by the next process
	if err := s.Commit(t.Context(), incident.Commit{WalkedTo: opened}); !errors.Is(err, errClosed) {
		t.Errorf("commit: %v, want that it is closed", err)
	}
	if _, err := s.Versions(t.Context()); err == nil {
		t.Error("a closed store was read")
	}
	s.writer = nil
}

func TestBackupIsAStoreOfItsOwn(t *testing.T) {
	s := newStore(t)
	mustCommit(t, s, newIncident("refused", opened))
	file := filepath.Join(t.TempDir(), "backup.db")
	for range 2 { // the second one replaces the first
		if err := s.Backup(t.Context(), file); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := filepath.Glob(file + ".*"); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("backup %v, %v", info.Mode(), err)
	}
	copied := openAt(t, file)
	if record, err := copied.Load(t.Context(), "1"); err != nil || record.Findings[0].Name != "refused" {
		t.Errorf("loaded %+v, %v", record, err)
	}
	if err := s.Backup(t.Context(), filepath.Join(file, "below-a-file")); err == nil {
		t.Error("a backup below a file succeeded")
	}
}
