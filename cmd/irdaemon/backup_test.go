package main

import (
	"context"
	"encoding/binary"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/store"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

func openStore(t *testing.T, path string) *store.SQLite {
	t.Helper()
	opened, err := store.Open(t.Context(), store.Options{Path: path, Log: zap.NewNop(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// serveBackup is a daemon with a store.
func serveBackup(t *testing.T) (address string) {
	t.Helper()
	folder := t.TempDir()
	kept := openStore(t, filepath.Join(folder, "irdaemon.db"))
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(web.New(web.Config{
		Desk: webtest.NewDesk(clientNow), Registry: prometheus.NewRegistry(), Log: zap.NewNop(),
		Backup: &web.Backup{Folder: folder, Copy: func(ctx context.Context, file string) error { return kept.Backup(ctx, file) }},
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// only asserts that nothing but the named files is in a folder.
func only(t *testing.T, folder string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	if strings.Join(found, " ") != strings.Join(names, " ") {
		t.Errorf("in the folder: %v, want %v", found, names)
	}
}

func TestABackupIsAStoreThatItsOwnerAloneCanRead(t *testing.T) {
	address, folder := serveBackup(t), t.TempDir()
	file := filepath.Join(folder, "copy.db")
	got := irdaemon(t, address, "", "backup", file)
	if got.err != nil || !strings.HasPrefix(got.out, file+" holds the store: ") {
		t.Fatalf("%q, %v", got.out, got.err)
	}
	only(t, folder, "copy.db")
	if info, err := os.Stat(file); err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := irdaemon(t, address, "", "backup", file, "-o", "json", "--force"); got.err != nil || !strings.Contains(got.out, `"bytes": `) {
		t.Errorf("in its place: %q, %v", got.out, got.err)
	}
	only(t, folder, "copy.db")
	if err := openStore(t, file).Close(); err != nil {
		t.Error(err)
	}
}

func TestABackupWritesOverNothingThatItWasNotTold(t *testing.T) {
	address, folder := serveBackup(t), t.TempDir()
	for name, content := range map[string]string{"there": "a", "used.db": "b", "used.db-wal": "c"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		file string
		args []string
		says string
	}{
		{"there", nil, "there is there already; another name, or --force"},
		{".", []string{"--force"}, "is a folder"},
		{"used.db", []string{"--force"}, "used.db is a store in use: used.db-wal is beside it"},
		{"nowhere/copy.db", nil, "no such file or directory"},
	} {
		got := irdaemon(t, address, "", append([]string{"backup", filepath.Join(folder, test.file)}, test.args...)...)
		if got.code() != 2 || !strings.Contains(got.err.Error(), test.says) {
			t.Errorf("%s: %v", test.file, got.err)
		}
	}
	only(t, folder, "there", "used.db", "used.db-wal")
	if kept, err := os.ReadFile(filepath.Join(folder, "there")); err != nil || string(kept) != "a" {
		t.Errorf("%q, %v", kept, err)
	}
}

func TestWhatIsNoWholeDatabaseIsNotKept(t *testing.T) {
	database := make([]byte, 2*4096)
	copy(database, "SQLite format 3\x00")
	binary.BigEndian.PutUint16(database[16:], 4096)
	binary.BigEndian.PutUint32(database[28:], 2)
	short, long := database[:4096], append(database[:len(database):len(database)], 0)
	for _, test := range []struct {
		name   string
		kind   string
		body   []byte
		length int    // that is announced; 0: what is sent
		says   string // empty: it is kept
	}{
		{"a whole one", "application/vnd.sqlite3", database, 0, ""},
		{"half of one", "application/vnd.sqlite3", short, 0, "not whole: 8192 bytes were expected"},
		{"one with something behind it", "application/vnd.sqlite3", long, 0, "not whole"},
		{"one that breaks off", "application/vnd.sqlite3", short, len(database), "broke off after 4096 bytes"},
		{"something else", "application/vnd.sqlite3", []byte("hello\x1b[2J"), 0, "is no database"},
		{"nothing", "application/vnd.sqlite3", nil, 0, "is no database"},
		{"a header of no pages", "application/vnd.sqlite3", append([]byte("SQLite format 3\x00"), make([]byte, 84)...), 0, "not whole"},
		{"a page", "text/html", []byte("<h1>hello</h1>"), 0, "is not irdaemon's API"},
		{"a problem", "application/problem+json", []byte(`{"status": 409, "detail": "a backup is being made"}`), 0, "a backup is being made"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.kind)
				if test.length > 0 {
					w.Header().Set("Content-Length", strconv.Itoa(test.length))
				}
				_, _ = w.Write(test.body)
			}))
			defer server.Close()
			folder := t.TempDir()
			got := irdaemon(t, server.URL, "", "backup", filepath.Join(folder, "copy.db"))
			if test.says == "" {
				if got.err != nil {
					t.Error(got.err)
				}
				only(t, folder, "copy.db")
				return
			}
			if got.code() != 1 || !strings.Contains(got.err.Error(), test.says) {
				t.Errorf("%v, want %s", got.err, test.says)
			}
			only(t, folder)
		})
	}
}

func TestSizesAsPeopleReadThem(t *testing.T) {
	for size, want := range map[int64]string{7: "7 bytes", 4096: "4.1 kB", 1_234_567: "1.2 MB", 5_000_000_000_000: "5000.0 GB"} {
		if got := bytesText(size); got != want {
			t.Errorf("%d: %s, want %s", size, got, want)
		}
	}
}
