package unittest_test

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/unittest"
)

func TestWhatIsWrongIsTold(t *testing.T) {
	results := run(t, read(t, "testdata/failing.yaml"), options())
	for _, r := range results {
		if len(r.Failures) == 0 {
			t.Errorf("%s: passed", r.Name)
		}
	}
	golden(t, "failing.golden", text(t, results))
}

func TestEveryErrorOfEveryFileIsFoundInOneRun(t *testing.T) {
	files := []string{
		"testdata/broken/tests.yaml", "testdata/broken/names.yaml", "testdata/broken/sets.yaml", "testdata/broken/nothing.yaml",
		"testdata/broken/loose.yaml", "testdata/broken/runbook.yaml", "testdata/broken/not-there.yaml",
	}
	_, report := unittest.Read(files, load)
	var lines []string
	for _, p := range report.Problems {
		if p.Level == document.Error {
			lines = append(lines, p.String())
		}
	}
	golden(t, "broken.golden", strings.Join(lines, "\n")+"\n")
}

func TestAFileThatIsNamedTwiceIsRunOnce(t *testing.T) {
	once := run(t, read(t, "testdata/passing.yaml"), options())
	twice := run(t, read(t, "testdata/passing.yaml", "./testdata/passing.yaml"), options())
	if len(once) != len(twice) {
		t.Errorf("%d tests, want %d", len(twice), len(once))
	}
}

func TestOnlyTheTestsThatMatchAreRun(t *testing.T) {
	o := options()
	o.Only = regexp.MustCompile("^a blip")
	results := run(t, read(t, "testdata/passing.yaml"), o)
	if len(results) != 1 || results[0].Name != "a blip of two minutes opens nothing" {
		t.Errorf("ran %+v", results)
	}
}

func TestARunThatTestsNothingIsAnError(t *testing.T) {
	o := options()
	o.Only = regexp.MustCompile("no such test")
	if _, err := read(t, "testdata/passing.yaml").Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no such test") {
		t.Errorf("got %v", err)
	}
}

func TestThePhaseMovesEveryTick(t *testing.T) {
	o := options()
	o.Phase = 20 * time.Second
	o.Only = regexp.MustCompile("nobody acknowledges")
	failures := run(t, read(t, "testdata/passing.yaml"), o)[0].Failures
	told := ""
	if len(failures) > 0 {
		told = strings.Join(failures[0].Lines, "\n")
	}
	if !strings.Contains(told, "at 1h13m: want open good-users-refused") {
		t.Errorf("with ticks at 20 seconds past, the incident of 1h13m was not late: %q", told)
	}
	o.Phase = time.Minute
	if _, err := read(t, "testdata/passing.yaml").Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not below the interval") {
		t.Errorf("a phase of a whole interval: got %v", err)
	}
}

func TestTheJUnitXMLParses(t *testing.T) {
	results := run(t, read(t, "testdata/failing.yaml", "testdata/passing.yaml"), options())
	results[0].Failures[0].Lines[0] += " <&\x00\">"
	results[0].Took = 1500 * time.Millisecond
	var out bytes.Buffer
	if err := unittest.WriteJUnit(&out, results); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Cases    []struct {
				Name     string  `xml:"name,attr"`
				File     string  `xml:"file,attr"`
				Line     int     `xml:"line,attr"`
				Time     float64 `xml:"time,attr"`
				Failures []struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != len(results) || got.Failures != unittest.Failed(results) || len(got.Suites) != 2 {
		t.Fatalf("%d tests, %d failures, %d suites; want %d, %d, 2", got.Tests, got.Failures, len(got.Suites), len(results), unittest.Failed(results))
	}
	first := got.Suites[0]
	if first.Name != "testdata/failing.yaml" || first.Failures != first.Tests || got.Suites[1].Failures != 0 {
		t.Errorf("the suites are %q with %d of %d failed, and one with %d", first.Name, first.Failures, first.Tests, got.Suites[1].Failures)
	}
	c := first.Cases[0]
	if c.Name != results[0].Name || c.File != first.Name || c.Line != results[0].Line || c.Time != 1.5 {
		t.Errorf("the first case is %+v", c)
	}
	if !strings.HasSuffix(c.Failures[0].Message, " <&\uFFFD\">") || !strings.Contains(c.Failures[0].Text, "testdata/failing.yaml:") {
		t.Errorf("its failure is %+v", c.Failures[0])
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{"testdata/passing.yaml", "testdata/failing.yaml", "testdata/broken/tests.yaml"} {
		text, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "tests.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, report := unittest.Read([]string{path}, func(string, []string) (*unittest.Set, *document.Report) {
			return &unittest.Set{Policy: policy()}, &document.Report{}
		})
		for _, p := range report.Problems {
			if p.Place.File != path || p.What == "" {
				t.Errorf("a problem without a place: %s", p)
			}
		}
	})
}
