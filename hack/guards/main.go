// Command guards shows that each guard of pkg/incident is needed: it takes them out one by one and expects that the laws
// of an incident's states break, or else a story about them. A guard whose loss nothing notices is either not needed or
// not tested.
//
// Run it at the root of the repository: go run ./hack/guards [name part…].
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// room is the package whose guards are taken out.
const room = "pkg/incident"

// towns is how many towns are played without each guard.
const towns = "-rapid.checks=600"

func main() {
	failed := false
	for _, g := range guards {
		if !wanted(g.name) {
			continue
		}
		broken, err := without(g)
		switch {
		case err != nil:
			fmt.Printf("%-62s %v\n", g.name, err)
			failed = true
		case broken == "":
			fmt.Printf("%-62s NOTHING BREAKS\n", g.name)
			failed = true
		default:
			fmt.Printf("%-62s %s\n", g.name, broken)
		}
	}
	if failed {
		os.Exit(1)
	}
}

func wanted(name string) bool {
	if len(os.Args) == 1 {
		return true
	}
	for _, part := range os.Args[1:] {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// without plays the laws on the package without a guard, and gives the first line of what breaks; empty: nothing does.
func without(g guard) (broken string, err error) {
	path, err := filepath.Abs(filepath.Join(room, g.file))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if strings.Count(string(source), g.old) != 1 {
		return "", fmt.Errorf("%s has not exactly one %q: mend the table", g.file, g.old)
	}
	folder, err := os.MkdirTemp("", "guards")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	changed, overlay := filepath.Join(folder, g.file), filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(source), g.old, g.new, 1)), 0o600); err != nil { //nolint:gosec // a file of this table's
		return "", err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", err
	}
	broken, err = play(overlay, "-run", laws, towns, "-rapid.nofailfile", "-rapid.shrinktime=0s")
	if broken == "" && err == nil { // what towns seldom bring about, a story tells
		broken, err = play(overlay, "-skip", laws)
	}
	return broken, err
}

// laws are the tests that play towns.
const laws = "TestLaws|TestAWalkedGap"

// play runs tests on the changed package, and gives the first line of what breaks; empty: nothing does.
func play(overlay string, arguments ...string) (broken string, err error) {
	tests := exec.Command("go", append([]string{"test", "-overlay", overlay, "-failfast", "./" + room}, arguments...)...) //nolint:gosec // of constants alone
	output, err := tests.CombinedOutput()
	if err == nil {
		return "", nil
	}
	if strings.Contains(string(output), "[build failed]") {
		return "", fmt.Errorf("it doesn't build: %.300s", output)
	}
	for _, said := range []*regexp.Regexp{law, test} {
		if line := said.FindString(string(output)); line != "" {
			return line, nil
		}
	}
	return fmt.Sprintf("another failure: %.200s", output), nil
}

var (
	law  = regexp.MustCompile(`law \d+: [^\n]{0,90}|somebody else changed it first`)
	test = regexp.MustCompile(`--- FAIL: Test[^\n]*`)
)
