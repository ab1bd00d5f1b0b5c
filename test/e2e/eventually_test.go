//go:build e2e

package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

const pollEvery = 50 * time.Millisecond

// errNotYet is what a probe answers when nothing is wrong but what it waits for has not happened.
var errNotYet = errors.New("not yet")

// eventually polls until the probe answers without an error, and gives its answer. The test fails with the probe's last
// error when that takes too long.
func eventually[T any](t testing.TB, within time.Duration, what string, probe func() (T, error)) T {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		answer, err := probe()
		if err == nil {
			return answer
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s: %v", within, what, err)
		}
		time.Sleep(pollEvery)
	}
}

// always fails the test when the probe answers with an error at any time until then.
func always(t testing.TB, until time.Time, what string, probe func() error) {
	t.Helper()
	for {
		if err := probe(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if time.Now().After(until) {
			return
		}
		time.Sleep(pollEvery)
	}
}

// patience is how long an answer of a process on this machine may take.
const patience = 15 * time.Second

// client asks processes that take everybody's word.
var client = &http.Client{Timeout: patience}

// getJSON reads a JSON document. Every status but 200 is an error that carries the body.
func getJSON(asker *http.Client, url string, into any) error {
	status, body, err := get(asker, url)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("GET %s: %d: %s", url, status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: %w in %s", url, err, body)
	}
	return nil
}

func get(asker *http.Client, url string) (status int, body []byte, err error) {
	response, err := asker.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// answers is nil when the URL answers 200.
func answers(asker *http.Client, url string) error {
	status, body, err := get(asker, url)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: %d: %s", url, status, body)
	}
	return err
}

// nextPort counts the ports that freeAddress tries; it starts elsewhere in each run, so that two runs seldom meet.
var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(1 << 30)) }

// freeAddress gives an address on loopback on which nobody listens, each time another one. Its port is below those that
// systems give to who asks for any (from 32768 on Linux, 49152 elsewhere): so neither a stub nor an outgoing connection
// takes it before the process that it is for, or while that process is being restarted.
func freeAddress(t testing.TB) string {
	t.Helper()
	const first, count = 20_000, 12_000
	for range count {
		address := fmt.Sprintf("127.0.0.1:%d", first+nextPort.Add(1)%count)
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			return address
		}
	}
	t.Fatalf("every port from %d to %d is taken", first, first+count-1)
	return ""
}
