//go:build e2e

package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a program that a test started. It is killed at the end of the test, however the test ends.
type process struct {
	t       testing.TB
	name    string
	command *exec.Cmd
	logFile string
	exited  chan struct{}
	exitErr error // valid once exited is closed
}

// startProcess starts a program whose output is appended to a file, so that a restart goes on in the same log.
func startProcess(t testing.TB, logFile, program string, arguments ...string) *process {
	t.Helper()
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{t: t, name: program, logFile: logFile, exited: make(chan struct{})}
	p.command = exec.Command(program, arguments...)
	p.command.Stdout, p.command.Stderr = log, log
	p.command.SysProcAttr = diesWithParent()
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.exitErr = p.command.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9, and waits until the process is gone.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may be gone already
	<-p.exited
}

func (p *process) signal(signal syscall.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(signal); err != nil {
		p.t.Fatalf("signal %s to %s: %v", signal, p.name, err)
	}
}

// terminate sends SIGTERM and gives what the process made of it: nil when it exited with 0.
func (p *process) terminate() error {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		return p.exitErr
	case <-time.After(15 * time.Second):
		p.t.Fatalf("%s still runs 15s after SIGTERM; its log ends:\n%s", p.name, p.logTail(40))
		return nil
	}
}

func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// waitUntilReady waits until the URL answers 200, and fails at once when the process ends before.
func (p *process) waitUntilReady(asker *http.Client, url string) {
	p.t.Helper()
	eventually(p.t, 40*time.Second, p.name+" is ready", func() (struct{}, error) {
		if p.hasExited() {
			p.t.Fatalf("%s ended before it was ready: %v; its log ends:\n%s", p.name, p.exitErr, p.logTail(40))
		}
		return struct{}{}, answers(asker, url)
	})
}

func (p *process) log() string {
	text, err := os.ReadFile(p.logFile)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (p *process) logTail(lines int) string {
	all := strings.Split(strings.TrimRight(p.log(), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
