package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/irdaemon/irdaemon/pkg/document"
)

var update = flag.Bool("update", false, "rewrite the golden reports")

// TestBrokenFiles holds every archive of testdata/broken to its report. An archive is a sentence, lines of changes to
// testdata/base (replace FILE: OLD => NEW), files to put beside or in the place of those of the base, and the report.
func TestBrokenFiles(t *testing.T) {
	archives, err := filepath.Glob("testdata/broken/*.txtar")
	if err != nil || len(archives) < 40 {
		t.Fatalf("%d archives, %v", len(archives), err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			path, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, want := check(t, archive), ""
			for _, f := range archive.Files {
				if f.Name == "report" {
					want = string(f.Data)
				}
			}
			if got == want {
				return
			}
			if !*update {
				t.Fatalf("%s\ngot:\n%s\nwant:\n%s", archive.Comment, got, want)
			}
			files := archive.Files[:0]
			for _, f := range archive.Files {
				if f.Name != "report" {
					files = append(files, f)
				}
			}
			archive.Files = append(files, txtar.File{Name: "report", Data: []byte(got)})
			if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// check writes the files of an archive over the base, loads them, and gives the report.
func check(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{}
	for _, name := range []string{"irdaemon.yaml", "signals.yaml", "runbook.yaml"} {
		content, err := os.ReadFile(filepath.Join("testdata/base", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	args := []string{"irdaemon.yaml"}
	for line := range strings.Lines(string(archive.Comment)) {
		line = strings.TrimSuffix(line, "\n")
		if list, ok := strings.CutPrefix(line, "check "); ok {
			args = strings.Fields(list)
		}
		if list, ok := strings.CutPrefix(line, "without "); ok {
			for _, name := range strings.Fields(list) {
				delete(files, name)
			}
		}
		if change, ok := strings.CutPrefix(line, "replace "); ok {
			name, change, _ := strings.Cut(change, ": ")
			before, after, found := strings.Cut(change, " => ")
			escapes := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\xff`, "\xff", `\x01`, "\x01")
			before, after = escapes.Replace(before), escapes.Replace(after)
			if !found || !strings.Contains(files[name], before) {
				t.Fatalf("%s has no %q", name, before)
			}
			files[name] = strings.Replace(files[name], before, after, 1)
		}
	}
	for _, f := range archive.Files {
		if f.Name != "report" {
			files[f.Name] = string(f.Data)
		}
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	var report *document.Report
	if len(args) == 1 && args[0] == "irdaemon.yaml" {
		_, report = Load(args[0])
	} else {
		_, report = LoadFiles(args...)
	}
	return render(report)
}

// render is the report as check shows it.
func render(report *document.Report) string {
	var b strings.Builder
	for _, p := range report.Problems {
		b.WriteString([]string{"", "warning: ", "later: "}[p.Level] + p.String() + "\n")
	}
	return b.String()
}

func TestTheBaseHasNoProblems(t *testing.T) {
	_, report := Load("testdata/base/irdaemon.yaml")
	if got := render(report); got != "" {
		t.Fatal(got)
	}
}

func TestTheExamplesOfTheLanguageLoad(t *testing.T) {
	c, report := Load("testdata/language/irdaemon.yaml")
	for _, p := range report.Problems {
		if p.Level == document.Error {
			t.Error(p)
		} else {
			t.Log(p.Level, p)
		}
	}
	if len(c.Runbooks) != 3 {
		t.Fatalf("%d runbooks", len(c.Runbooks))
	}
	if later := report.Err(document.Later); later != nil {
		t.Errorf("nothing in it is for a later release: %v", later)
	}
}
