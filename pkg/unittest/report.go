package unittest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Failed is how many tests did not pass.
func Failed(results []Result) int {
	n := 0
	for _, r := range results {
		if len(r.Failures) > 0 {
			n++
		}
	}
	return n
}

// WriteText writes a line for each test, the differences of those that failed, and a line that adds them up.
func WriteText(w io.Writer, results []Result) error {
	var b strings.Builder
	path := ""
	for _, r := range results {
		if r.File != path {
			path = r.File
			fmt.Fprintf(&b, "%s\n", path)
		}
		if len(r.Failures) == 0 {
			fmt.Fprintf(&b, "  ok    %s\n", r.Name)
			continue
		}
		fmt.Fprintf(&b, "  FAIL  %s\n", r.Name)
		for _, f := range r.Failures {
			fmt.Fprintf(&b, "        %s\n", f.text("\n          "))
		}
	}
	failed := Failed(results)
	fmt.Fprintf(&b, "%s: %d ok, %d failed\n", count(len(results)), len(results)-failed, failed)
	_, err := io.WriteString(w, b.String())
	return err
}

// text gives where it failed, and how: the lines after the first one begin with indent.
func (f Failure) text(indent string) string {
	return fmt.Sprintf("%s:%d:%d: %s", f.Place.File, f.Place.Line, f.Place.Col, strings.Join(f.Lines, indent))
}

func count(n int) string {
	if n == 1 {
		return "1 test"
	}
	return fmt.Sprintf("%d tests", n)
}

// What JUnit's readers understand: a suite for each file, a case for each test.
type (
	junitSuites struct {
		XMLName  xml.Name      `xml:"testsuites"`
		Tests    int           `xml:"tests,attr"`
		Failures int           `xml:"failures,attr"`
		Errors   int           `xml:"errors,attr"`
		Time     string        `xml:"time,attr"`
		Suites   []*junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
		took     time.Duration
	}
	junitCase struct {
		Name      string         `xml:"name,attr"`
		ClassName string         `xml:"classname,attr"`
		File      string         `xml:"file,attr"`
		Line      int            `xml:"line,attr"`
		Time      string         `xml:"time,attr"`
		Failures  []junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the results as JUnit XML.
func WriteJUnit(w io.Writer, results []Result) error {
	all := junitSuites{Tests: len(results), Failures: Failed(results)}
	total := time.Duration(0)
	byFile := map[string]*junitSuite{}
	for _, r := range results {
		suite := byFile[r.File]
		if suite == nil {
			suite = &junitSuite{Name: r.File}
			byFile[r.File] = suite
			all.Suites = append(all.Suites, suite)
		}
		c := junitCase{Name: r.Name, ClassName: r.File, File: r.File, Line: r.Line, Time: seconds(r.Took)}
		for _, f := range r.Failures {
			c.Failures = append(c.Failures, junitFailure{f.Lines[0], f.text("\n")})
		}
		suite.Cases = append(suite.Cases, c)
		suite.Tests++
		if len(r.Failures) > 0 {
			suite.Failures++
		}
		suite.took += r.Took
		suite.Time = seconds(suite.took)
		total += r.Took
	}
	all.Time = seconds(total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
