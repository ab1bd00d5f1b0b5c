//go:build e2e

package e2e_test

import "syscall"

// diesWithParent has the kernel kill the process when the tests die without running their cleanups, for example by
// go test's own timeout.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
