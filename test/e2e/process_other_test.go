//go:build e2e && !linux

package e2e_test

import "syscall"

// diesWithParent does nothing here: only Linux can bind a process to its parent's life.
func diesWithParent() *syscall.SysProcAttr { return nil }
