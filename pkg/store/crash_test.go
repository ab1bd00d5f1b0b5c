package store

import (
	"bufio"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// visitedStore names the store that this process, started by the test below, opens and closes.
const visitedStore = "IRDAEMON_TEST_VISITED_STORE"

// With POSIX locks, reading the three files strips us of our locks; the visitor then takes itself for the last one,
// deletes the log, and what is committed into it afterwards is lost.
func TestNothingIsLostWhenTheFilesAreReadWhileInUse(t *testing.T) {
	if path := os.Getenv(visitedStore); path != "" {
		execute(t, path, "UPDATE leases SET expires_at=0")
		return
	}
	s := newStore(t)
	for round := range 3 {
		mustCommit(t, s, newIncident(fmt.Sprintf("before-%d", round), opened))
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if _, err := os.ReadFile(s.path + suffix); err != nil {
				t.Fatal(err)
			}
		}
		visitor := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingIsLostWhenTheFilesAreReadWhileInUse$")
		visitor.Env = append(os.Environ(), visitedStore+"="+s.path)
		if output, err := visitor.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		mustCommit(t, s, newIncident(fmt.Sprintf("after-%d", round), opened))
	}
	fresh, err := sql.Open(driver, readerDSN(s.path))
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	var found int
	if err := fresh.QueryRow("SELECT COUNT(*) FROM incidents").Scan(&found); err != nil || found != 6 {
		t.Errorf("%d incidents, %v; want 6", found, err)
	}
}

// crashingStore names the store that this process, started by the test below, writes until it is killed.
const crashingStore = "IRDAEMON_TEST_CRASHING_STORE"

func TestWhatWasConfirmedSurvivesAKill(t *testing.T) {
	if path := os.Getenv(crashingStore); path != "" {
		writeUntilKilled(t, path)
	}
	path := filepath.Join(t.TempDir(), "store.db")
	confirmed := make(map[string]bool)
	for _, kill := range []int{1, 20, 137} { // more than one round: a killed process's store is killed again
		collect(t, path, kill, confirmed)
		s := openAt(t, path)
		versions, err := s.Versions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for id := range confirmed {
			if versions[id] != 1 {
				t.Errorf("%s was confirmed and is lost", id)
			}
		}
		if unheard := len(versions) - len(confirmed); unheard > 3 {
			t.Errorf("%d incidents that nobody confirmed", unheard)
		}
		if rows, _, err := s.Depth(t.Context()); err != nil || rows != len(versions) {
			t.Errorf("%d incidents with %d rows of the outbox, %v", len(versions), rows, err)
		}
		closeStore(t, s)
	}
}

// writeUntilKilled prints the id of every incident after its commit was confirmed.
func writeUntilKilled(t *testing.T, path string) {
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		change := newIncident(fmt.Sprintf("runbook-%d-%d", os.Getpid(), i), opened)
		change.Deliveries = []incident.Delivery{delivery(change, change.Record.ID, "pager", 1)}
		if err := s.Commit(t.Context(), incident.Commit{Changes: []incident.Change{change}, WalkedTo: opened}); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("confirmed %s\n", change.Record.ID)
	}
}

// collect starts the writer, kills it after some confirmations, and adds all that it had confirmed.
func collect(t *testing.T, path string, kill int, confirmed map[string]bool) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWhatWasConfirmedSurvivesAKill$")
	child.Env = append(os.Environ(), crashingStore+"="+path)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines, seen := bufio.NewScanner(output), 0
	for lines.Scan() {
		id, ok := strings.CutPrefix(lines.Text(), "confirmed ")
		if !ok {
			t.Errorf("the writer said %q", lines.Text())
			continue
		}
		confirmed[id] = true
		if seen++; seen == kill {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seen < kill {
		t.Errorf("the writer ended after %d of %d", seen, kill)
	}
	_ = child.Wait() // it was killed
}
