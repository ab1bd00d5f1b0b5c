package store

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// TroubleKind is what ails a store.
type TroubleKind string

// The kinds of trouble.
const (
	// Full: nothing was written. The store stays readable, and commits again as soon as there is room.
	Full TroubleKind = "full"
	// ReadOnly: nothing was written, and nothing will be until somebody changes permissions or the mount.
	ReadOnly TroubleKind = "read_only"
	// Unreliable: reading, writing or fsync gave an error, twice, with the file opened anew in between. Whether the
	// last transaction is in the store is not known; running it again is harmless.
	Unreliable TroubleKind = "unreliable"
	// Damaged: the file is not a whole database. Nothing was changed.
	Damaged TroubleKind = "damaged"
)

// inWords says what to do about each kind.
var inWords = map[TroubleKind]string{
	Full:       "the disk is full; make room, the store then goes on by itself",
	ReadOnly:   "the file cannot be written by user " + userName() + "; look at its permissions and its mount",
	Unreliable: "the disk gives errors; look at the kernel's log, move the store to a sound disk and start again",
	Damaged:    "the file is damaged and was left as it is; move it aside with its -wal, and restore the newest backup",
}

// Trouble says that the store cannot do its work, what is the matter, and what to do. Find it with errors.As.
type Trouble struct {
	Kind TroubleKind
	Path string
	Err  error // what SQLite said
}

// Error implements error.
func (t *Trouble) Error() string {
	return fmt.Sprintf("store %s: %s (%v)", t.Path, inWords[t.Kind], t.Err)
}

// Unwrap gives what SQLite said.
func (t *Trouble) Unwrap() error { return t.Err }

// inWords makes a Trouble of an error that is one, and leaves all others as they are.
func (s *SQLite) inWords(err error) error {
	var trouble *Trouble
	kind := troubleKind(err)
	if kind == "" || errors.As(err, &trouble) {
		return err
	}
	return &Trouble{Kind: kind, Path: s.path, Err: err}
}

// troubleKind tells what an error means for the store; empty: no trouble.
func troubleKind(err error) TroubleKind {
	var found *damage
	switch code := primaryCode(err); {
	case code == codes.SQLITE_FULL, errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return Full
	case code == codes.SQLITE_READONLY, errors.Is(err, syscall.EROFS):
		return ReadOnly
	case code == codes.SQLITE_IOERR:
		return Unreliable
	case code == codes.SQLITE_CORRUPT, code == codes.SQLITE_NOTADB, errors.As(err, &found):
		return Damaged
	}
	return ""
}

// busy tells whether another connection held a lock, so that nothing happened and it may be tried again.
func busy(err error) bool {
	code := primaryCode(err)
	return code == codes.SQLITE_BUSY || code == codes.SQLITE_LOCKED
}

// primaryCode is SQLite's result code without the extension; 0: not an error of SQLite.
func primaryCode(err error) int {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return 0
	}
	return failed.Code() & 0xff
}
