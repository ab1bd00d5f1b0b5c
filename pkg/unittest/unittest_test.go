package unittest_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/evaluator"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
	"github.com/irdaemon/irdaemon/pkg/unittest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// load reads loose files, under settings in which the lead is called after a quarter of an hour.
func load(_ string, loose []string) (*unittest.Set, *document.Report) {
	report := &document.Report{}
	signals := map[string]*triggers.Signal{}
	var books []*runbook.Runbook
	for _, path := range loose {
		text, err := os.ReadFile(path)
		if err != nil {
			report.Error(document.Place{File: path}, err.Error(), "")
			continue
		}
		v, ok := document.Parse(path, text, report)
		switch {
		case !ok:
		case v.Has("runbook"):
			books = append(books, runbook.Read(v))
		default:
			for name, s := range triggers.ReadSignals(v) {
				signals[name] = s
			}
		}
	}
	set := &unittest.Set{Policy: policy(), MaxSeries: 100, Detect: []evaluator.Detect{{
		Query:  "count by (service, artifact, version) (llm_artifact_info > 0)",
		Labels: changes.Labels{Service: "service", Artifact: "artifact", Version: "version"},
	}}}
	for _, b := range books {
		b.Check(runbook.Known{Signals: signals})
		set.Runbooks = append(set.Runbooks, runbook.NewSnapshot(b, signals))
	}
	if report.Count(document.Error) > 0 {
		return nil, report
	}
	return set, report
}

func policy() incident.Policy {
	p := incident.Policy{
		Instance: "test", BlindAfter: 5 * time.Minute, Severities: map[runbook.Severity]incident.SeverityPolicy{},
		Roles: map[string]incident.Role{
			"ml-platform-oncall": {Page: []string{"pager"}, EscalateTo: []string{"ml-platform-lead"}},
			"ml-platform-lead":   {Page: []string{"phone"}},
			"nobody-yet":         {Page: []string{"mail"}, EscalateTo: []string{"ml-platform-oncall", "ml-platform-lead"}},
		},
	}
	for _, s := range runbook.Severities {
		p.Severities[s] = incident.SeverityPolicy{Page: s != runbook.Sev4, AcknowledgeWithin: 15 * time.Minute}
	}
	return p
}

func options() unittest.Options {
	return unittest.Options{Now: func() time.Time { return time.Unix(0, 0) }}
}

func read(t testing.TB, files ...string) *unittest.Suite {
	t.Helper()
	suite, report := unittest.Read(files, load)
	if err := report.Err(document.Error); err != nil {
		t.Fatal(err)
	}
	return suite
}

func run(t testing.TB, suite *unittest.Suite, o unittest.Options) []unittest.Result {
	t.Helper()
	results, err := suite.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func text(t *testing.T, results []unittest.Result) string {
	t.Helper()
	var b strings.Builder
	if err := unittest.WriteText(&b, results); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; -update writes it anew. Got:\n%s", path, got)
	}
}

func TestWhatIsRightPasses(t *testing.T) {
	for _, r := range run(t, read(t, "testdata/rises.yaml", "testdata/passing.yaml", "testdata/between-ticks.yaml"), options()) {
		t.Run(r.Name, func(t *testing.T) {
			if len(r.Failures) > 0 {
				t.Error(text(t, []unittest.Result{r}))
			}
		})
	}
}
