//go:build linux || darwin

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// closedCleanly is what the lock file says while nobody holds it. Anything else, an empty or a missing file too,
// means that the store was not closed.
const closedCleanly = "closed cleanly"

// lock keeps a second process away. It is a flock on a file of its own: closing any descriptor of the file drops an
// fcntl lock. It ends with the process, however that ends; the file stays, for removing it would let two processes
// hold two files of one name.
type lock struct{ file *os.File }

// acquire takes the lock of the store at path, and makes the store's file under it. It tells whether the store was
// closed properly the last time.
func acquire(path string, now time.Time) (_ *lock, clean bool, err error) {
	name := path + ".lock"
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("store %s: its lock cannot be written by user %s: %w", path, userName(), err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	text, readErr := io.ReadAll(io.LimitReader(file, 1024))
	said := strings.TrimSpace(string(text))
	if errors.Is(err, syscall.EWOULDBLOCK) {
		if said == "" || said == closedCleanly || readErr != nil {
			said = "a process that starts or stops at this moment"
		}
		return nil, false, fmt.Errorf("store %s: held by %s; one daemon uses a store", path, said)
	}
	if err = errors.Join(err, readErr); err != nil {
		return nil, false, fmt.Errorf("lock %s: %w", name, err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, false, fmt.Errorf("lock %s: %w", name, err)
	}
	l := &lock{file}
	since := now.UTC().Format(time.RFC3339)
	if err = l.say(fmt.Sprintf("pid %d on host %s since %s", os.Getpid(), host, since)); err != nil {
		return nil, false, fmt.Errorf("lock %s: %w", name, err)
	}
	if err = create(path); err != nil {
		return nil, false, err
	}
	return l, said == closedCleanly, nil
}

// say replaces what the file says, durably.
func (l *lock) say(text string) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	if _, err := l.file.WriteAt([]byte(text+"\n"), 0); err != nil {
		return err
	}
	return l.file.Sync()
}

// release gives the lock back with the mark of a clean stop.
func (l *lock) release() error {
	return errors.Join(l.say(closedCleanly), l.file.Close())
}

// abandon gives the lock back; the store will be checked when it is opened again.
func (l *lock) abandon() error { return l.file.Close() }
