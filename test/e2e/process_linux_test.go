//go:build e2e

package e2e_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// diesWithParent has the kernel kill the process when the tests die without running their cleanups, for example by
// go test's own timeout.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// fillDisk lets the process write to no file any more, as on a disk that is full.
func (p *process) fillDisk(t testing.TB) { p.limitFiles(t, 0) }

// emptyDisk takes that back.
func (p *process) emptyDisk(t testing.TB) { p.limitFiles(t, unix.RLIM_INFINITY) }

func (p *process) limitFiles(t testing.TB, bytes uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(p.command.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatalf("limit the files of %s: %v", p.name, err)
	}
}
