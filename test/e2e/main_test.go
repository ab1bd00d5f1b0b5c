//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs are the paths of the real peers, set by hack/prepare.
var programs = struct{ prometheus, alertmanager string }{
	os.Getenv("IRDAEMON_PROMETHEUS"), os.Getenv("IRDAEMON_ALERTMANAGER"),
}

// buildFolder is where the daemon is built to, once for all tests.
var buildFolder string

func TestMain(m *testing.M) {
	if programs.prometheus == "" || programs.alertmanager == "" {
		fmt.Fprintln(os.Stderr, "IRDAEMON_PROMETHEUS and IRDAEMON_ALERTMANAGER must name the programs; "+
			"`make e2e` builds them, sets both and runs these tests")
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "irdaemon-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	buildFolder = folder
	return m.Run()
}

// builtDaemon builds the daemon at its first call and gives the program's path.
var builtDaemon = sync.OnceValues(func() (string, error) {
	program := filepath.Join(buildFolder, "irdaemon")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "../../cmd/irdaemon")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the daemon: %w\n%s", err, output)
	}
	return program, nil
})
