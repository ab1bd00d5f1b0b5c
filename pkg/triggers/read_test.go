package triggers

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
)

func TestAnExpressionTellsWhatItsTextTells(t *testing.T) {
	for _, test := range []struct {
		text     string
		hasRange bool
		span     time.Duration
		labels   []string
		zeroBorn bool
	}{
		{`sum by (b, a) (increase(x_total{q="$range"}[$range]))`, true, 5 * time.Minute, []string{"a", "b"}, true},
		{`sum(rate(x_total[1h] offset 1d))`, false, time.Hour, []string{}, true},
		{`sum by (a) (sum by (a, b) (rate(x_total[5m])))`, false, 5 * time.Minute, []string{"a"}, true},
		{`sum by (a) (increase(x_count[5m]) - increase(x_bucket{le="5"}[5m]))`, false, 5 * time.Minute, []string{"a"}, false},
		{`sum by (a) (increase(x[5m])) - sum by (a) (increase(y[5m]))`, false, 5 * time.Minute, []string{"a"}, false},
		{`count by (a) (increase(x[5m]))`, false, 5 * time.Minute, []string{"a"}, false},
		{`sum by (a) (increase(x[5m:1m]))`, false, 5 * time.Minute, []string{"a"}, false},
		{`increase(x[5m])`, false, 5 * time.Minute, nil, false},
		{`max_over_time(sum by (a) (rate(x[5m]))[1h:1m])`, false, 65 * time.Minute, []string{"a"}, false},
		{`max_over_time(gauge[10m:])`, false, 10 * time.Minute, nil, false},
		{`gauge`, false, 0, nil, false},
		{`histogram_quantile(0.95, sum by (le, s) (rate(x_bucket[$range])))`, true, 5 * time.Minute, []string{"s"}, false},
		{`100 * sum without (a) (sum by (a, b) (gauge))`, false, 0, []string{"b"}, false},
		{`sum by (a, b) (x) / on (a) group_left sum by (a) (y)`, false, 0, nil, false},
		{`sum by (a) (x) / on (a) sum by (a, c) (y)`, false, 0, []string{"a"}, false},
		{`topk(3, sum by (a) (x))`, false, 0, []string{"a"}, false},
		{`label_replace(sum by (a) (x), "b", "$1", "a", "(.*)") # $range`, false, 0, nil, false},
		{`gauge > bool 5`, false, 0, nil, false},
		{`sum by (a) (gauge > 5)`, false, 0, []string{"a"}, false},
	} {
		got, err := ParseExpression(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if got.HasRange != test.hasRange || got.Range != test.span || !reflect.DeepEqual(got.Labels, test.labels) || got.ZeroBorn != test.zeroBorn {
			t.Errorf("%s: range %v %v, labels %#v, zero-born %v", test.text, got.HasRange, got.Range, got.Labels, got.ZeroBorn)
		}
	}
}

func TestABrokenExpressionIsToldWhereItBreaks(t *testing.T) {
	for text, want := range map[string]struct {
		offset int
		what   string
	}{
		`sum(increas(x[$range]))`: {4, "unknown function"},
		`gauge > 5`:               {6, "comparison >"},
		`(gauge) == 5`:            {8, "comparison =="},
		`(gauge > 5)`:             {7, "comparison >"},
		`rate(x[$interval])`:      {7, "unknown variable $interval"},
		`rate(x[$ranges])`:        {7, "unknown variable $ranges"},
		`1 + 2`:                   {0, "a single number"},
		`x[5m]`:                   {0, "ranges of points"},
		`"text"`:                  {0, "a string"},
		``:                        {0, "no expression"},
	} {
		_, err := ParseExpression(text)
		wrong, ok := err.(*ExpressionError) //nolint:errorlint // the contract
		if !ok || wrong.Offset != want.offset || !strings.Contains(wrong.What, want.what) {
			t.Errorf("%s: %#v", text, err)
		}
	}
}

func TestExpandPutsTheRangeWhereItIsNamed(t *testing.T) {
	const text = "rate(x{a=\"$range\", b='\\'$range', c=`$range`}[$range]) # $range"
	if got, want := Expand(text, 7500*time.Millisecond), "rate(x{a=\"$range\", b='\\'$range', c=`$range`}[7s500ms]) # $range"; got != want {
		t.Errorf("%s", got)
	}
	if got := Expand("rate(x[$range])", time.Minute+time.Nanosecond); got != "rate(x[1m])" {
		t.Errorf("%s", got)
	}
}

// FuzzParseExpression: no text makes checking panic, and what is accepted can be asked for with any range.
func FuzzParseExpression(f *testing.F) {
	for _, seed := range []string{"rate(x[$range])", "sum by (a) (x) > 5", "\"$range", "x{a='\\", "$", "# $range", "(((x))) == bool 1", "histogram_quantile(0.9, x)", "a / on(b) c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ParseExpression(text); err == nil {
			if _, err := promQL.ParseExpr(Expand(text, 90*time.Second)); err != nil {
				t.Fatalf("%q expands to what does not parse: %v", text, err)
			}
		}
	})
}

const signals = `signals:
  refused:
    unit: ratio
    ratio: {numerator: "sum by (s, t) (increase(r[$range]))", denominator: "sum by (s) (increase(a[$range]))"}
  latency: {unit: seconds, worse: up, range: 3m, query: "max by (s) (rate(l[$range]))", traffic: "sum by (s) (increase(n[$range]))"}
  age: {unit: seconds, query: "time() - max_over_time(built[2h])"}
`

func parse(t *testing.T, text string) (document.Value, *document.Report) {
	t.Helper()
	report := &document.Report{}
	v, ok := document.Parse("f", []byte(text), report)
	if !ok {
		t.Fatal(report.Problems)
	}
	return v, report
}

func TestSignalsAreReadWithWhatFollowsFromTheirExpressions(t *testing.T) {
	v, report := parse(t, signals)
	got := ReadSignals(v)
	if err := report.Err(document.Error, document.Warning); err != nil {
		t.Fatal(err)
	}
	refused, latency, age := got["refused"], got["latency"], got["age"]
	if !refused.IsRatio() || !refused.ZeroBorn || refused.Range != DefaultRange || !refused.HasRange || refused.Worse != Both || refused.Title != "refused" {
		t.Errorf("%+v", refused)
	}
	if latency.Range != 3*time.Minute || latency.Traffic == "" || latency.Unit != Seconds || !reflect.DeepEqual(latency.Labels, []string{"s"}) {
		t.Errorf("%+v", latency)
	}
	if age.HasRange || age.Range != 2*time.Hour {
		t.Errorf("%+v", age)
	}
}

func TestAClauseIsReadWholeAndReadsLikeItsDocument(t *testing.T) {
	v, _ := parse(t, signals)
	known := ReadSignals(v)
	for _, test := range []struct {
		yaml, text string
		want       Condition
	}{
		{"{signal: refused, where: {t: [paid, free]}, by: [s], above: 15%, for: 10m, at_least: 80%, clears: {below: 12%, for: 5m}, baseline: {last: 1d}}",
			"refused (t paid or free) by s above 15% for 10m",
			Condition{
				Signal: "refused", Where: map[string][]string{"t": {"paid", "free"}}, By: []string{"s"}, Comparison: Above, Limit: 0.15, For: 10 * time.Minute,
				AtLeast: 0.8, Clears: &Clears{Below, 0.12, 5 * time.Minute}, Baseline: &Baseline{Last: 24 * time.Hour}, Unit: Ratio,
			}},
		{"{signal: refused, rises: 50%, min_delta: 2%, baseline: {same_time: 7d}, confidence: 99.9%, widen_to: 2h, range: 10m}",
			"refused rises 1.5x against the same time 1w before",
			Condition{
				Signal: "refused", Comparison: Rises, Limit: 1.5, MinDelta: 0.02, Confidence: 0.999, WidenTo: 2 * time.Hour, Range: 10 * time.Minute,
				Baseline: &Baseline{SameTime: 7 * 24 * time.Hour, Periods: 4, Width: time.Hour}, Unit: Ratio,
			}},
		{"{signal: age, above: 26h}", "age above 26h", Condition{Signal: "age", Comparison: Above, Limit: 93600, Unit: Seconds}},
		{"{signal: latency, between: [500ms, 2.5], min_traffic: 50}", "latency between 500ms and 2.5s",
			Condition{Signal: "latency", Comparison: Between, Low: 0.5, High: 2.5, MinTraffic: 50, Unit: Seconds}},
		{"{signal: latency, absent: true, for: 5m}", "latency absent for 5m", Condition{Signal: "latency", Comparison: Absent, For: 5 * time.Minute, Unit: Seconds}},
	} {
		v, report := parse(t, test.yaml)
		got := ReadClause(v, false)
		Resolve(&got, known, InTrigger)
		Settle(&got)
		if err := report.Err(document.Error); err != nil {
			t.Errorf("%s: %v", test.yaml, err)
		}
		got.Condition.Place = document.Place{}
		test.want.Worse = known[test.want.Signal].Worse
		if !reflect.DeepEqual(*got.Condition, test.want) {
			t.Errorf("%s:\n%+v\nwant\n%+v", test.yaml, *got.Condition, test.want)
		}
		if got.String() != test.text {
			t.Errorf("%q, want %q", got.String(), test.text)
		}
	}
}

func TestAPlainListIsAnyAndUnderRecoveryAll(t *testing.T) {
	const text = "[{signal: a, above: 1}, {all: [{signal: b, above: 2}, {any: [{signal: c, below: 3}, {signal: d, below: 4}]}]}]"
	v, _ := parse(t, text)
	any, all := ReadClause(v, false), ReadClause(v, true)
	for _, c := range []*Clause{&any, &all} {
		Resolve(c, nil, InRecovery)
	}
	if got := any.String(); got != "a above 1 or (b above 2 and (c below 3 or d below 4))" {
		t.Error(got)
	}
	if got := all.String(); got != "a above 1 and (b above 2 and (c below 3 or d below 4))" {
		t.Error(got)
	}
}

func TestValuesAreWrittenForPeople(t *testing.T) {
	for _, test := range []struct {
		unit Unit
		v    float64
		want string
	}{
		{Ratio, 0.1897, "19%"}, {Ratio, 0.085, "8.5%"}, {Ratio, 0.315, "31.5%"}, {Ratio, 0.001, "0.1%"}, {Ratio, 0.0604, "6%"},
		{Ratio, 0, "0%"}, {Ratio, 1, "100%"}, {Ratio, 0.9997, "99.97%"}, {Ratio, 0.000034, "0.0034%"},
		{Seconds, 5.2, "5.2s"}, {Seconds, 0.85, "850ms"}, {Seconds, 93600, "26h"}, {Seconds, 90, "1m30s"}, {Seconds, 180000, "2d2h"}, {Seconds, 259200, "3d"},
		{USDPerHour, 12, "$12/h"}, {USDPerHour, 1234, "$1.23k/h"}, {Tokens, 1200, "1.2k tokens"}, {TokensPerSecond, 85.26, "85.3 tokens/s"},
		{RequestsPerSecond, 0.5, "0.5 req/s"}, {Bytes, 1610612736, "1.5 GiB"}, {Count, 12, "12"}, {Count, 12_345_678, "12.3M"}, {NoUnit, -0.93, "-0.93"},
	} {
		if got := FormatValue(test.unit, test.v); got != test.want {
			t.Errorf("%v of %s: %s, want %s", test.v, test.unit, got, test.want)
		}
	}
	if got := FormatLimit(Ratio, 0.12345); got != "12.345%" {
		t.Error(got)
	}
}
