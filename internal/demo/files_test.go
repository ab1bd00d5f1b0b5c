package demo

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"gopkg.in/yaml.v3"
)

type signalFile struct {
	Signals map[string]struct {
		Query, Traffic string
		Ratio          struct{ Numerator, Denominator string }
	}
}

// shippedSignals reads the expressions of the worked example's signals, at a range of five minutes: "name" for a
// query, "name/numerator" and "name/denominator" for a ratio.
func shippedSignals(t *testing.T) map[string]string {
	t.Helper()
	text, err := fs.ReadFile(WorkedExample().Files, "signals/support-bot.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file signalFile
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	expressions := map[string]string{}
	for name, signal := range file.Signals {
		for key, expression := range map[string]string{
			name: signal.Query, name + "/traffic": signal.Traffic,
			name + "/numerator": signal.Ratio.Numerator, name + "/denominator": signal.Ratio.Denominator,
		} {
			if expression != "" {
				expressions[key] = expression
			}
		}
	}
	return expressions
}

func TestTheShippedExpressionsAskForMetricsThatTheBotHas(t *testing.T) {
	exposed := map[string]bool{}
	for _, sample := range workedBot().Metrics(storyTime(14, 0, 0)) {
		exposed[sample.Name] = true
	}
	expressions := shippedSignals(t)
	if len(expressions) < 10 {
		t.Fatalf("only %d expressions found in the signals' file", len(expressions))
	}
	for name, expression := range expressions {
		parsed, err := parser.NewParser(parser.Options{}).ParseExpr(strings.ReplaceAll(expression, "$range", "5m"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok && !exposed[selector.Name] {
				t.Errorf("%s: the bot has no metric %s", name, selector.Name)
			}
			return nil
		})
	}
}

func TestTheShippedRunbookHasAllEightSectionsAndSixArtifacts(t *testing.T) {
	text, err := fs.ReadFile(WorkedExample().Files, "runbooks/good-users-refused.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{
		"trigger", "severity", "owner", "triage", "rollback", "communication", "recovery", "postmortem",
	} {
		if document[section] == nil {
			t.Errorf("section %s is missing", section)
		}
	}
	var stack []string
	steps, _ := document["rollback"].([]any)
	for _, step := range steps {
		stack = append(stack, step.(map[string]any)["artifact"].(string))
	}
	want := "prompt retrieval_index router_policy thresholds weights code"
	if got := strings.Join(stack, " "); got != want {
		t.Errorf("rollback order is %s, want %s", got, want)
	}
}
