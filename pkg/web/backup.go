package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
)

// Backup is how the embedded store is copied.
type Backup struct {
	// Folder is where the copy is made before it is sent: the store's own, for there must be room for it.
	Folder string
	// Copy writes a consistent copy of the store to a file while the store is in use.
	Copy func(ctx context.Context, file string) error
}

// backups are the copies of the store. One is made at a time.
type backups struct {
	store *Backup
	log   *zap.Logger
	now   func() time.Time
	turn  sync.Mutex
}

// copyPattern names the folders of copies; those of an earlier process are leftovers.
const copyPattern = ".irdaemon-backup-*"

func (s *backups) backup(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	if !s.turn.TryLock() {
		return nil, newProblem(http.StatusConflict, "a backup is being made", "again when it is done")
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer s.turn.Unlock()
		_, w := humago.Unwrap(hctx)
		if hctx.Method() == http.MethodHead {
			return
		}
		began := s.now()
		bytes, err := s.send(ctx, w)
		fields := []zap.Field{zap.String("who", IdentityOf(ctx).Name), zap.Int64("bytes", bytes), zap.Duration("took", s.now().Sub(began))}
		if err != nil {
			s.log.Error("backup not sent", append(fields, zap.Error(err))...)
			return
		}
		s.log.Info("backup sent", fields...)
	}}, nil
}

// send makes the copy, sends it, and takes it away.
func (s *backups) send(ctx context.Context, w http.ResponseWriter) (sent int64, err error) {
	file, size, remove, err := s.copy(ctx)
	defer func() { err = errors.Join(err, remove()) }()
	if err != nil {
		writeProblem(w, newProblem(http.StatusInternalServerError, "the store could not be copied; the daemon's log says why"))
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w.Header().Set("Content-Type", "application/vnd.sqlite3")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="irdaemon-%s.db"`, s.now().UTC().Format("20060102T150405Z")))
	return io.Copy(&patient{w: w, control: http.NewResponseController(w)}, file)
}

// copy makes the copy and opens it. remove takes it away, and may be called after an error too.
func (s *backups) copy(ctx context.Context) (file *os.File, size int64, remove func() error, err error) {
	remove = func() error { return nil }
	leftovers, err := filepath.Glob(filepath.Join(s.store.Folder, copyPattern))
	for _, folder := range leftovers {
		err = errors.Join(err, os.RemoveAll(folder))
	}
	if err != nil {
		return nil, 0, remove, err
	}
	folder, err := os.MkdirTemp(s.store.Folder, copyPattern)
	if err != nil {
		return nil, 0, remove, err
	}
	remove = func() error { return os.RemoveAll(folder) }
	name := filepath.Join(folder, "copy.db")
	if err := s.store.Copy(ctx, name); err != nil {
		return nil, 0, remove, err
	}
	if file, err = os.Open(name); err != nil {
		return nil, 0, remove, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, remove, errors.Join(err, file.Close())
	}
	return file, info.Size(), remove, nil
}

// unhurried lifts the limits on how long a request may take. The one on reading is in the way of writing too: when it
// is over, the server takes the client for gone. What writes after this sets its own limit.
func unhurried(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	// An error: the writer knows no limits, and so has none.
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Time{})
}

// patient lets an answer take as long as it is getting on.
type patient struct {
	w       io.Writer
	control *http.ResponseController
}

// Write implements io.Writer.
func (p *patient) Write(part []byte) (int, error) {
	_ = p.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // as in unhurried
	return p.w.Write(part)
}

// waits lifts the limits for an operation that waits for somebody else.
func waits(op huma.Operation) huma.Operation {
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		_, w := humago.Unwrap(ctx)
		unhurried(w)
		next(ctx)
	})
	return op
}

func registerBackup(api huma.API, config Config) {
	s := &backups{store: config.Backup, log: config.Log, now: config.Now}
	op := operation("backup", http.MethodGet, "/api/v1/backup", "A consistent copy of the embedded store", 409, 422, 500)
	op.Responses["200"] = &huma.Response{
		Description: "The SQLite database.", Content: map[string]*huma.MediaType{"application/vnd.sqlite3": {
			Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"},
		}},
	}
	huma.Register(api, needs(access.Admin, waits(op)), s.backup)
}
