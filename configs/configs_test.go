// Package configs_test holds the files that ship to what README.md promises: they load, run evaluates all of it, and
// the tables tell the truth.
package configs_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/irdaemon/irdaemon/pkg/config"
	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
	"github.com/irdaemon/irdaemon/pkg/unittest"
)

const settings = "irdaemon.yaml"

// want are the shipped runbooks, each with the signal that it is there for.
var want = map[string]string{
	"good-users-refused": "refusal_rate",
	"slow-answers":       "p95_latency",
	"deflection-drop":    "deflection_rate",
	"token-spend-spike":  "spend_usd_per_hour",
	"gpu-saturated":      "gpu_utilization",
	"traffic-drop":       "requests_per_second",
}

func load(t *testing.T) (*config.Config, *document.Report) {
	t.Helper()
	c, report := config.Load(settings)
	if err := report.Err(document.Error); err != nil {
		t.Fatal(err)
	}
	return c, report
}

func TestTheFilesLoadAndRunTakesThem(t *testing.T) {
	c, report := load(t)
	if err := report.Err(document.Later); err != nil {
		t.Errorf("run refuses the files:\n%v", err)
	}
	if err := report.Secrets(); err != nil {
		t.Errorf("run needs a secret that nobody has on the first day:\n%v", err)
	}
	if err := report.Err(document.Warning); err != nil {
		t.Errorf("what ships gives no warnings:\n%v", err)
	}
	for name, signal := range want {
		i := slices.IndexFunc(c.Runbooks, func(s *runbook.Snapshot) bool { return s.Runbook.Name == name })
		if i < 0 {
			t.Errorf("no runbook %s", name)
		} else if !slices.ContainsFunc(c.Runbooks[i].Runbook.Trigger.Conditions(), func(c *triggers.Condition) bool { return c.Signal == signal }) {
			t.Errorf("%s isn't triggered by %s", name, signal)
		}
	}
}

func TestNothingIsReachableFromOutsideOrNeedsTheInternet(t *testing.T) {
	c, _ := load(t)
	if !strings.HasPrefix(c.Settings.Web.Listen, "127.0.0.1:") {
		t.Errorf("web.listen is %s", c.Settings.Web.Listen)
	}
	if p := c.Settings.Prometheus; p == nil || p.URL != "http://127.0.0.1:9090" {
		t.Errorf("prometheus is %+v", p)
	}
}

func TestEveryExpressionParsesAsPrometheusWillGetIt(t *testing.T) {
	c, _ := load(t)
	promQL := parser.NewParser(parser.Options{})
	for name, s := range c.Signals {
		for _, expression := range expressions(s) {
			if _, err := promQL.ParseExpr(triggers.Expand(expression, s.Range)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(s.Help) < 40 || s.Title == name {
			t.Errorf("%s: title and help are what somebody reads in a page at 3 a.m.", name)
		}
	}
}

func expressions(s *triggers.Signal) []string {
	all := []string{s.Query, s.Numerator, s.Denominator, s.Traffic}
	return slices.DeleteFunc(all, func(text string) bool { return text == "" })
}

// variantLine is a comment that shows the expression of another exporter.
var variantLine = regexp.MustCompile(`^\s*# (query|traffic|numerator|denominator) \[([^\]]+)\]: (.+)$`)

func TestTheExpressionsForOtherExportersFitInTheirPlace(t *testing.T) {
	found := map[string]bool{}
	for _, file := range glob(t, "signals/*.yaml") {
		numerator := (*triggers.Expression)(nil)
		for i, line := range strings.Split(read(t, file), "\n") {
			m := variantLine.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			found[m[2]] = true
			e, err := triggers.ParseExpression(m[3])
			switch {
			case err != nil:
				t.Errorf("%s:%d: %v", file, i+1, err)
			case m[1] == "numerator":
				numerator = e
			case m[1] == "denominator":
				for _, label := range e.Labels {
					if !slices.Contains(numerator.Labels, label) {
						t.Errorf("%s:%d: the numerator has no label %s", file, i+1, label)
					}
				}
			}
		}
	}
	for _, exporter := range []string{"SGLang", "TGI", "NIM", "Triton", "LiteLLM", "Kong AI", "OTel GenAI client", "OpenLLMetry", "Envoy AI Gateway"} {
		if !found[exporter] {
			t.Errorf("no expression for %s; found %v", exporter, slices.Sorted(maps.Keys(found)))
		}
	}
}

func TestEveryRunbookIsWhole(t *testing.T) {
	c, _ := load(t)
	for _, snapshot := range c.Runbooks {
		r := &snapshot.Runbook
		t.Run(r.Name, func(t *testing.T) {
			checkTrigger(t, r, c.Signals)
			checkRollback(t, r)
			checkMessages(t, r)
			checkRecovery(t, r, c.Signals)
			if len(r.Triage) < 6 || len(r.Mitigate) == 0 || len(r.Postmortem.Questions) < 4 {
				t.Errorf("%d checks, %d mitigations, %d questions", len(r.Triage), len(r.Mitigate), len(r.Postmortem.Questions))
			}
			if !slices.ContainsFunc(r.Triage, func(c runbook.Check) bool { return c.Evidence != nil && c.Evidence.Changes > 0 }) {
				t.Error("nobody is told what changed")
			}
		})
	}
}

func checkTrigger(t *testing.T, r *runbook.Runbook, signals map[string]*triggers.Signal) {
	t.Helper()
	fixed, relative := map[string]bool{}, map[string]bool{}
	for _, c := range r.Trigger.Conditions() {
		s := signals[c.Signal]
		if s == nil {
			t.Errorf("the trigger asks for %s, which is no signal", c.Signal)
			continue
		}
		fixed[c.Signal] = fixed[c.Signal] || c.Comparison == triggers.Above || c.Comparison == triggers.Below
		relative[c.Signal] = relative[c.Signal] || c.Comparison == triggers.Rises || c.Comparison == triggers.Falls
		if (c.Comparison == triggers.Above || c.Comparison == triggers.Below) && (c.Clears == nil || c.Clears.Comparison == "") {
			t.Errorf("%s: doesn't say where it clears", c)
		}
		// A label in the trigger's where that nobody carries leaves it unknown for ever.
		if len(c.Where) > 0 {
			t.Errorf("%s: asks for a label", c)
		}
		if s.IsRatio() {
			checkShare(t, c, s)
		}
	}
	for signal := range relative {
		if !fixed[signal] {
			t.Errorf("%s is compared with its own past alone: a slow drift never doubles", signal)
		}
	}
}

// checkShare: a share is that of a service, long enough for a blip to pass, with what is usual beside it.
func checkShare(t *testing.T, c *triggers.Condition, s *triggers.Signal) {
	t.Helper()
	switch {
	case !slices.Contains(c.By, "service"):
		t.Errorf("%s: judges every segment", c)
	case c.For < 9*time.Minute || 2*c.RangeOf(s) > c.For:
		t.Errorf("%s: a blip of two minutes may fire it", c)
	case c.Baseline == nil:
		t.Errorf("%s: doesn't know what is usual", c)
	case c.Comparison == triggers.Rises && c.MinDelta == 0, c.Comparison == triggers.Falls && c.MinDelta == 0:
		t.Errorf("%s: a doubled 0.1%% is no incident", c)
	}
}

// TestAP95IsNeverAskedAlone: longer answers are slower without anything being wrong.
func TestAP95IsNeverAskedAlone(t *testing.T) {
	c, _ := load(t)
	var walk func(clause *triggers.Clause, beside []*triggers.Condition)
	walk = func(clause *triggers.Clause, beside []*triggers.Condition) {
		if clause.Condition != nil && clause.Condition.Signal == "p95_latency" &&
			!slices.ContainsFunc(beside, func(c *triggers.Condition) bool { return c.Signal == "seconds_per_output_token" }) {
			t.Errorf("%s stands alone", clause.Condition)
		}
		for i := range clause.Any {
			walk(&clause.Any[i], beside)
		}
		for i := range clause.All {
			others := slices.Clone(beside)
			for k := range clause.All {
				if k != i {
					others = append(others, clause.All[k].Conditions()...)
				}
			}
			walk(&clause.All[i], others)
		}
	}
	for _, snapshot := range c.Runbooks {
		walk(&snapshot.Runbook.Trigger, nil)
	}
}

func checkRollback(t *testing.T, r *runbook.Runbook) {
	t.Helper()
	missing := map[string]bool{"code": true, "prompt": true, "weights": true, "retrieval_index": true, "router_policy": true, "thresholds": true}
	for _, step := range r.Rollback {
		delete(missing, step.Artifact)
		if !strings.Contains(step.Do, "{{ .Previous }}") {
			t.Errorf("rollback of %s doesn't say to which version", step.Artifact)
		}
	}
	for artifact := range missing {
		t.Errorf("no rollback of %s", artifact)
	}
}

func checkMessages(t *testing.T, r *runbook.Runbook) {
	t.Helper()
	for _, field := range []string{"Impact", "StartedAt", "Scope", "Action", "NextUpdateAt", "Owner"} {
		if !strings.Contains(r.Communication.Internal, "{{ ."+field+" }}") {
			t.Errorf("the internal update lacks %s", field)
		}
		// What users see stands in a customer's text in words: numbers and limits are ours.
		if field != "Impact" && !strings.Contains(r.Communication.Customer, "{{ ."+field+" }}") {
			t.Errorf("the customer's update lacks %s", field)
		}
	}
}

func checkRecovery(t *testing.T, r *runbook.Runbook, signals map[string]*triggers.Signal) {
	t.Helper()
	longest := time.Duration(0)
	for _, band := range []runbook.Band{r.Recovery.Key, r.Recovery.Safety, r.Recovery.Business} {
		if band.Clause == nil {
			t.Errorf("a band is not measured: %s", band.None)
		}
		for _, c := range band.Clause.Conditions() {
			longest = max(longest, c.RangeOf(signals[c.Signal]))
		}
	}
	if r.Recovery.Hold < 2*longest {
		t.Errorf("hold %s is below twice the longest range %s", r.Recovery.Hold, longest)
	}
}

// tests are the unit tests of the runbooks, as irdaemon test runs them.
func tests(t *testing.T) []string { return glob(t, "tests/*_test.yaml") }

func TestEachRunbookFiresOnItsFailureAndOnNothingElse(t *testing.T) {
	suite, report := unittest.Read(tests(t), func(path string, _ []string) (*unittest.Set, *document.Report) {
		c, report := config.Load(path)
		return &unittest.Set{Runbooks: c.Runbooks, Policy: policy(c), MaxSeries: c.Settings.Limits.Segments}, report
	})
	if err := report.Err(document.Error); err != nil {
		t.Fatal(err)
	}
	results, err := suite.Run(t.Context(), unittest.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range results {
		t.Run(filepath.Base(result.File)+"/"+result.Name, func(t *testing.T) {
			for _, failure := range result.Failures {
				t.Errorf("%s: %s", failure.Place, strings.Join(failure.Lines, "\n"))
			}
		})
	}
}

// policy is how the shipped settings page.
func policy(c *config.Config) incident.Policy {
	p := incident.Policy{
		Instance: c.Settings.Instance, BlindAfter: c.Settings.BlindAfter,
		Severities: map[runbook.Severity]incident.SeverityPolicy{}, Roles: map[string]incident.Role{},
	}
	for name, s := range c.Settings.Severities {
		p.Severities[name] = incident.SeverityPolicy{Page: s.Page, AcknowledgeWithin: s.AcknowledgeWithin}
	}
	for name, r := range c.Settings.Roles {
		p.Roles[name] = incident.Role{Page: r.Page, EscalateTo: r.EscalateTo}
	}
	return p
}

func TestEachRunbookHasItsTests(t *testing.T) {
	for name := range want {
		text := read(t, filepath.Join("tests", name+"_test.yaml"))
		for what, pattern := range map[string]string{
			"its failure":             `open: \[\{runbook: ` + name + `,`,
			"healing":                 `resolved: \[` + name + `\]`,
			"a blip of two minutes":   `name: a blip of two minutes opens nothing`,
			"a daily peak":            `name: .*(peak|evening)`,
			"low traffic":             `name: .*(handful|quiet night)`,
			"data that are missing":   `name: missing data open nothing`,
			"data that stop too soon": `name: .*ends? nothing`,
		} {
			if !regexp.MustCompile(pattern).MatchString(text) {
				t.Errorf("%s: no test of %s", name, what)
			}
		}
	}
}

// signalRow is a row of README.md's table of signals: name, unit, uses, metrics.
var signalRow = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| [^|]+ \\| ([TRSC ]+) \\| ([^|]+) \\| [^|]+ \\|$")

func TestTheTableOfSignalsTellsTheTruth(t *testing.T) {
	c, _ := load(t)
	rows := map[string][]string{}
	for _, row := range signalRow.FindAllStringSubmatch(read(t, "README.md"), -1) {
		rows[row[1]] = row
	}
	uses := usesOf(c)
	for name, s := range c.Signals {
		row := rows[name]
		if row == nil {
			t.Errorf("%s is not in the table", name)
			continue
		}
		if row[2] != uses[name] {
			t.Errorf("%s is used as %q, the table says %q", name, uses[name], row[2])
		}
		if metrics := metricsOf(t, s); metrics != row[3] {
			t.Errorf("%s asks for %s, the table says %s", name, metrics, row[3])
		}
	}
	for name := range rows {
		if c.Signals[name] == nil {
			t.Errorf("the table has %s, which is no signal", name)
		}
	}
}

// usesOf tells what each signal is used for, in the letters of the table.
func usesOf(c *config.Config) map[string]string {
	letters := map[string]map[string]bool{}
	use := func(letter string, names ...string) {
		for _, name := range names {
			if letters[name] == nil {
				letters[name] = map[string]bool{}
			}
			letters[name][letter] = true
		}
	}
	named := func(clause *triggers.Clause) (names []string) {
		for _, c := range clause.Conditions() {
			names = append(names, c.Signal)
		}
		return names
	}
	for _, snapshot := range c.Runbooks {
		r := &snapshot.Runbook
		use("T", named(&r.Trigger)...)
		for i := range r.Severity.Rules {
			use("S", named(&r.Severity.Rules[i].When)...)
		}
		for _, band := range []runbook.Band{r.Recovery.Key, r.Recovery.Safety, r.Recovery.Business} {
			use("R", named(band.Clause)...)
		}
		for _, check := range r.Triage {
			if check.Evidence != nil && check.Evidence.Signal != "" {
				use("C", check.Evidence.Signal)
			}
		}
	}
	uses := map[string]string{}
	for name, set := range letters {
		var all []string
		for _, letter := range []string{"T", "R", "S"} {
			if set[letter] {
				all = append(all, letter)
			}
		}
		if all == nil {
			all = []string{"C"}
		}
		uses[name] = strings.Join(all, " ")
	}
	return uses
}

// metricsOf gives the metrics of a signal as the table writes them, histograms without _bucket, _sum and _count.
func metricsOf(t *testing.T, s *triggers.Signal) string {
	t.Helper()
	var metrics []string
	for _, expression := range expressions(s) {
		root, err := parser.NewParser(parser.Options{}).ParseExpr(triggers.Expand(expression, s.Range))
		if err != nil {
			t.Fatal(err)
		}
		parser.Inspect(root, func(node parser.Node, _ []parser.Node) error {
			if v, ok := node.(*parser.VectorSelector); ok {
				name := v.Name
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					name = strings.TrimSuffix(name, suffix)
				}
				if quoted := fmt.Sprintf("`%s`", name); !slices.Contains(metrics, quoted) {
					metrics = append(metrics, quoted)
				}
			}
			return nil
		})
	}
	return strings.Join(metrics, ", ")
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
