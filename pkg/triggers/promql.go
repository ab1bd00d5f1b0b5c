package triggers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// placeholder stands for $range while an expression is parsed to be checked. It is a duration as long as the word,
// so that the parser's positions are those of the text that the user wrote.
const placeholder = "00300s"

// promQL parses what any Prometheus of today evaluates: no experimental functions.
var promQL = parser.NewParser(parser.Options{})

// Expression is a checked PromQL expression and what can be told of it without asking for data.
type Expression struct {
	Text      string
	HasRange  bool          // it names $range
	Range     time.Duration // its longest selector, enclosing subqueries added, offsets apart; $range counts as 5m
	Labels    []string      // the labels that its series carry, sorted; nil: not known
	ZeroBorn  bool          // an aggregation of plain increase or rate selections
	Canonical string        // as the parser prints it: equal for texts that differ in blanks alone
}

// ExpressionError is what is wrong with an expression, and at which byte.
type ExpressionError struct {
	Offset  int
	What    string
	Allowed string
}

func (e *ExpressionError) Error() string {
	if e.Allowed == "" {
		return e.What
	}
	return e.What + "; " + e.Allowed
}

// ParseExpression parses and checks an expression in which $range may stand for a duration. Its error is an
// *ExpressionError.
func ParseExpression(text string) (*Expression, error) {
	expanded, hasRange, err := substitute(text, placeholder)
	if err != nil {
		return nil, err
	}
	root, err := promQL.ParseExpr(expanded)
	if err != nil {
		return nil, parserError(err)
	}
	if kind := root.Type(); kind != parser.ValueTypeVector {
		return nil, &ExpressionError{0, "yields " + typeName(kind), "an instant vector: one value per series"}
	}
	if comparison, ok := bare(root).(*parser.BinaryExpr); ok && comparison.Op.IsComparisonOperator() && !comparison.ReturnBool {
		at := int(comparison.LHS.PositionRange().End)
		at += len(text[min(at, len(text)):]) - len(strings.TrimLeft(text[min(at, len(text)):], " \t\n)"))
		return nil, &ExpressionError{
			at, "the outermost operation is the comparison " + comparison.Op.String(),
			"leave it out: it makes \"fine\" and \"blind\" look alike; conditions compare",
		}
	}
	return &Expression{
		Text:      text,
		HasRange:  hasRange,
		Range:     longestRange(root, 0),
		Labels:    yields(root),
		ZeroBorn:  zeroBorn(root),
		Canonical: root.String(),
	}, nil
}

// Expand puts a duration in the place of $range. Prometheus knows milliseconds and nothing finer.
func Expand(expression string, rangeOf time.Duration) string {
	expanded, _, err := substitute(expression, promDuration(rangeOf))
	if err != nil {
		return expression
	}
	return expanded
}

// promDuration writes a duration as Prometheus does, at least 1ms.
func promDuration(d time.Duration) string {
	return model.Duration(max(d.Round(time.Millisecond), time.Millisecond)).String()
}

// substitute replaces $range outside of quotes and comments.
func substitute(text, duration string) (expanded string, found bool, err error) {
	var out strings.Builder
	for i := 0; i < len(text); {
		switch text[i] {
		case '"', '\'', '`', '#':
			end := skipQuoted(text, i)
			out.WriteString(text[i:end])
			i = end
		case '$':
			word := variable(text[i:])
			if word != RangeVariable {
				return "", false, &ExpressionError{i, "unknown variable " + word, "$range is the only one"}
			}
			out.WriteString(duration)
			found = true
			i += len(word)
		default:
			out.WriteByte(text[i])
			i++
		}
	}
	return out.String(), found, nil
}

// skipQuoted gives the end of the quoted text or comment that begins at i.
func skipQuoted(text string, i int) int {
	quote := text[i]
	if quote == '#' {
		if end := strings.IndexByte(text[i:], '\n'); end >= 0 {
			return i + end
		}
		return len(text)
	}
	for j := i + 1; j < len(text); j++ {
		if text[j] == '\\' && quote != '`' {
			j++
			continue
		}
		if text[j] == quote {
			return j + 1
		}
	}
	return len(text)
}

func variable(text string) string {
	end := 1
	for end < len(text) && (text[end] == '_' || text[end] >= '0' && text[end] <= '9' ||
		text[end] >= 'a' && text[end] <= 'z' || text[end] >= 'A' && text[end] <= 'Z') {
		end++
	}
	return text[:end]
}

// parserError keeps the first error of the parser, with its place in the expression.
func parserError(err error) error {
	var several parser.ParseErrors
	if errors.As(err, &several) && len(several) > 0 {
		first := several[0]
		return &ExpressionError{int(first.PositionRange.Start), "PromQL: " + first.Err.Error(), ""}
	}
	return &ExpressionError{0, "PromQL: " + err.Error(), ""}
}

func typeName(kind parser.ValueType) string {
	switch kind {
	case parser.ValueTypeScalar:
		return "a single number"
	case parser.ValueTypeMatrix:
		return "ranges of points"
	}
	return "a " + string(kind)
}

// bare takes off the parentheses.
func bare(e parser.Expr) parser.Expr {
	for {
		inner, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = inner.Expr
	}
}

// longestRange tells how far back from its time the expression looks, beyond an offset: the longest of its
// selectors, each with the subqueries that enclose it.
func longestRange(node parser.Node, enclosing time.Duration) time.Duration {
	longest := time.Duration(0)
	switch n := node.(type) {
	case *parser.MatrixSelector:
		return enclosing + n.Range
	case *parser.VectorSelector:
		return enclosing
	case *parser.SubqueryExpr:
		return longestRange(n.Expr, enclosing+n.Range)
	}
	for child := range parser.ChildrenIter(node) {
		longest = max(longest, longestRange(child, enclosing))
	}
	return longest
}

// zeroBorn tells whether a series that is missing means that nothing was counted: true for aggregations of plain
// increase or rate selections. With arithmetic in it a missing series may as well be a renamed one.
func zeroBorn(e parser.Expr) bool {
	aggregate, ok := bare(e).(*parser.AggregateExpr)
	if !ok {
		return false
	}
	switch aggregate.Op {
	case parser.SUM, parser.AVG, parser.MAX, parser.MIN:
	default:
		return false
	}
	switch inner := bare(aggregate.Expr).(type) {
	case *parser.AggregateExpr:
		return zeroBorn(inner)
	case *parser.Call:
		if inner.Func.Name != "increase" && inner.Func.Name != "rate" {
			return false
		}
		_, plain := bare(inner.Args[0]).(*parser.MatrixSelector)
		return plain
	}
	return false
}

// yields gives the labels that the series of an expression carry, sorted, where its text alone tells it; else nil.
func yields(e parser.Expr) []string {
	switch n := bare(e).(type) {
	case *parser.AggregateExpr:
		return aggregateYields(n)
	case *parser.UnaryExpr:
		return yields(n.Expr)
	case *parser.BinaryExpr:
		return binaryYields(n)
	case *parser.Call:
		return callYields(n)
	}
	return nil
}

func aggregateYields(n *parser.AggregateExpr) []string {
	switch n.Op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return yields(n.Expr)
	case parser.COUNT_VALUES:
		return nil
	}
	if n.Without {
		return without(yields(n.Expr), n.Grouping)
	}
	names := slices.Clone(n.Grouping)
	if names == nil {
		names = []string{}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func without(names, removed []string) []string {
	if names == nil {
		return nil
	}
	kept := []string{}
	for _, name := range names {
		if !slices.Contains(removed, name) {
			kept = append(kept, name)
		}
	}
	return kept
}

func binaryYields(n *parser.BinaryExpr) []string {
	left, right := yields(n.LHS), yields(n.RHS)
	switch {
	case n.LHS.Type() == parser.ValueTypeScalar:
		return right
	case n.RHS.Type() == parser.ValueTypeScalar:
		return left
	case n.VectorMatching == nil || n.Op == parser.LOR:
		return nil
	case n.Op.IsSetOperator():
		return left
	case n.VectorMatching.Card != parser.CardOneToOne:
		return nil
	case n.VectorMatching.On:
		names := slices.Clone(n.VectorMatching.MatchingLabels)
		if names == nil {
			names = []string{}
		}
		slices.Sort(names)
		return names
	}
	return without(left, n.VectorMatching.MatchingLabels)
}

func callYields(n *parser.Call) []string {
	switch n.Func.Name {
	case "label_replace", "label_join", "info", "absent", "absent_over_time":
		return nil
	case "vector", "scalar", "time":
		return []string{}
	case "histogram_quantile", "histogram_fraction":
		return without(yields(n.Args[len(n.Args)-1]), []string{labels.BucketLabel})
	}
	for _, arg := range n.Args {
		if arg.Type() == parser.ValueTypeVector {
			return yields(arg)
		}
		if subquery, ok := bare(arg).(*parser.SubqueryExpr); ok {
			return yields(subquery.Expr)
		}
	}
	return nil
}

// String of an error's place in a longer expression: "at character 14".
func (e *ExpressionError) at() string { return fmt.Sprintf("at character %d", e.Offset+1) }
