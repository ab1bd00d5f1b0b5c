// Package floors holds the one rule of the house: imports point down only. docs/ARCHITECTURE.md has the picture.
package floors

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/irdaemon/irdaemon/"

// floors gives each room its floor. A room may import those of lower floors and its own subfolders.
var floors = map[string]int{
	"pkg/document":    0,
	"pkg/source":      0,
	"internal/guard":  0,
	"pkg/access":      1,
	"pkg/triggers":    1,
	"pkg/changes":     2,
	"pkg/runbook":     2,
	"pkg/incident":    3,
	"pkg/action":      4,
	"pkg/evaluator":   4,
	"pkg/evidence":    4,
	"pkg/notify":      4,
	"pkg/store":       4,
	"pkg/watchdog":    4,
	"pkg/web":         5,
	"pkg/config":      5,
	"pkg/replay":      6,
	"pkg/unittest":    6,
	"pkg/online":      6,
	"internal/demo":   6,
	"internal/floors": 6,
	"cmd/irdaemon":    7,
	"configs":         7,
	"test/e2e":        7,
	"hack/guards":     7,
}

func TestImportsPointDownOnly(t *testing.T) {
	list := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from, known := room(words[0])
		if !known {
			t.Errorf("%s stands on no floor: give it one here and in docs/ARCHITECTURE.md", words[0])
			continue
		}
		for _, imported := range words[1:] {
			to, ours := room(imported)
			if ours && to != from && floors[to] >= floors[from] {
				t.Errorf("%s (floor %d) imports %s (floor %d): imports point down only", from, floors[from], to, floors[to])
			}
		}
	}
}

// room gives the room that a package belongs to: the folder itself, or the one that it lies in.
func room(pkg string) (string, bool) {
	path, ours := strings.CutPrefix(pkg, module)
	if !ours {
		return "", false
	}
	for path != "" {
		if _, known := floors[path]; known {
			return path, true
		}
		i := strings.LastIndex(path, "/")
		if i < 0 {
			break
		}
		path = path[:i]
	}
	return path, false
}
