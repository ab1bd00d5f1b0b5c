//go:build e2e && !linux

package e2e_test

import (
	"syscall"
	"testing"
)

// diesWithParent does nothing here: only Linux can bind a process to its parent's life.
func diesWithParent() *syscall.SysProcAttr { return nil }

// fillDisk skips the test: only Linux limits another process.
func (p *process) fillDisk(t testing.TB) {
	t.Helper()
	t.Skip("another process's files can be limited on Linux alone")
}

func (p *process) emptyDisk(testing.TB) {}
