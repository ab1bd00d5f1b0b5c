package triggers

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
)

const allowedName = "letters, digits, _, - and ., at most 64"

// ValidName tells whether a signal, runbook, role, receiver or connector may have the name: it stands in addresses
// and in label values.
func ValidName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune("_-.", r) {
			return false
		}
	}
	return true
}

// CheckName notes a name that may not be one.
func CheckName(report *document.Report, at document.Place, name string) bool {
	if ValidName(name) {
		return true
	}
	report.Error(at, "`"+name+"` is not a name", allowedName)
	return false
}

// ReadSignals reads a document of signals. Signals that are broken are left out, and noted.
func ReadSignals(v document.Value) map[string]*Signal {
	signals := map[string]*Signal{}
	read := func(name string, at document.Place, v document.Value) {
		if !CheckName(v.Report(), at, name) {
			return
		}
		if name == BlastRadius {
			v.Report().Error(at, "the name is taken", "blast_radius is a built-in signal of every incident; choose another name")
			return
		}
		signals[name] = readSignal(name, at, v)
	}
	v.Object(document.Field{
		Key: "signals", Required: true, Missing: "signals: {refusal_rate: {unit: ratio, ratio: {numerator: …, denominator: …}}}",
		Read: func(v document.Value) { v.Named(read) },
	})
	return signals
}

// readSignal reads one signal. It gives a signal even where something is wrong with it, so that the conditions on it
// are checked in the same run.
func readSignal(name string, at document.Place, v document.Value) *Signal {
	s := &Signal{Place: at, Name: name, Title: name, Worse: Both, Range: DefaultRange}
	var exprs expressions
	v.Object(
		document.Field{Key: "title", Read: document.Into(&s.Title, document.Value.Text)},
		document.Field{Key: "help", Read: document.Into(&s.Help, document.Value.Optional)},
		document.Field{Key: "unit", Read: document.Into(&s.Unit, document.Word(
			Ratio, Seconds, USDPerHour, Tokens, TokensPerSecond, RequestsPerSecond, Bytes, Count, NoUnit))},
		document.Field{Key: "worse", Read: document.Into(&s.Worse, document.Word(Up, Down, Both))},
		document.Field{Key: "range", Read: document.Into(&s.Range, document.Value.Positive)},
		document.Field{Key: "ratio", Read: func(v document.Value) {
			v.Object(
				document.Field{Key: "numerator", Required: true, Missing: "the count of bad events, as PromQL", Read: exprs.read(&exprs.numerator)},
				document.Field{Key: "denominator", Required: true, Missing: "the count of all events, as PromQL", Read: exprs.read(&exprs.denominator)},
			)
		}},
		document.Field{Key: "query", Read: exprs.read(&exprs.query)},
		document.Field{Key: "traffic", Read: exprs.read(&exprs.traffic)},
	)
	if v.IsMap() {
		s.assemble(v, &exprs)
	}
	return s
}

// expressions are those of one signal, as far as they parse.
type expressions struct {
	query, numerator, denominator, traffic *Expression
	broken                                 bool
}

func (e *expressions) read(into **Expression) func(document.Value) {
	return func(v document.Value) {
		text, ok := v.Text()
		if !ok {
			e.broken = true
			return
		}
		parsed, ok := CheckExpression(v, text)
		if !ok { // what the signal is doesn't hang on it: the conditions are checked all the same
			e.broken = true
			parsed = &Expression{Text: text, HasRange: true}
		}
		*into = parsed
	}
}

// CheckExpression parses the expression that stands at v, and notes what is wrong with it where that stands.
func CheckExpression(v document.Value, text string) (*Expression, bool) {
	parsed, err := ParseExpression(strings.TrimRight(text, " \t\r\n"))
	var wrong *ExpressionError
	if !errors.As(err, &wrong) {
		return parsed, err == nil
	}
	at, what := v.At(wrong.Offset), wrong.What
	if at == v.Place() && wrong.Offset > 0 {
		what = wrong.at() + ": " + what
	}
	v.Report().Error(at, what, wrong.Allowed)
	return nil, false
}

// all gives those that decide how far back the signal looks.
func (e *expressions) all() []*Expression {
	return slices.DeleteFunc([]*Expression{e.query, e.numerator, e.denominator}, func(x *Expression) bool { return x == nil })
}

// assemble checks what holds between the keys of a signal, and fills in what follows from its expressions.
func (s *Signal) assemble(v document.Value, e *expressions) {
	ratio, query := v.Has("ratio"), v.Has("query")
	switch {
	case ratio && query:
		v.Report().Error(v.Key("query"), "a signal is a ratio or a query, not both", "leave one out")
	case !ratio && !query:
		v.Error("neither ratio nor query", "ratio: {numerator: …, denominator: …} for a share of counts, else query: …")
	}
	if ratio && s.Unit != "" && s.Unit != Ratio {
		v.Report().Error(v.Get("unit").Place(), "a ratio has no unit "+string(s.Unit), "unit: ratio, or leave it out")
	}
	if ratio && v.Has("traffic") {
		v.Report().Error(v.Key("traffic"), "a ratio counts its own events", "traffic goes beside query only")
	}
	switch {
	case ratio:
		s.Unit = Ratio
	case s.Unit == "":
		s.Unit = NoUnit
	}
	s.setExpressions(v, e)
	s.checkRange(v, e)
	s.checkLabels(v, e)
}

func (s *Signal) setExpressions(v document.Value, e *expressions) {
	for _, x := range []struct {
		text *string
		from *Expression
	}{{&s.Query, e.query}, {&s.Numerator, e.numerator}, {&s.Denominator, e.denominator}, {&s.Traffic, e.traffic}} {
		if x.from != nil {
			*x.text = x.from.Text
		}
	}
	for _, x := range e.all() {
		s.HasRange = s.HasRange || x.HasRange
	}
	if v.Has("ratio") && s.Numerator == "" {
		s.Numerator = "missing" // and noted: it is a ratio all the same
	}
	if e.numerator != nil {
		s.ZeroBorn, s.Labels = e.numerator.ZeroBorn, e.numerator.Labels
	}
	if e.query != nil {
		s.Labels = e.query.Labels
	}
}

// checkRange settles what the range of the signal is. A traffic expression alone may name $range.
func (s *Signal) checkRange(v document.Value, e *expressions) {
	if e.broken || len(e.all()) == 0 {
		s.HasRange = true // who knows: no error about a range on top of one about the expression
		return
	}
	named := s.HasRange || e.traffic != nil && e.traffic.HasRange
	if v.Has("range") && !named {
		v.Report().Error(v.Key("range"), "no expression of the signal names $range", "write $range in it, such as [$range], or leave range out")
	}
	if !named {
		s.Range = 0
		for _, x := range e.all() {
			s.Range = max(s.Range, x.Range)
		}
	}
	if e.numerator != nil && e.denominator != nil && e.numerator.HasRange != e.denominator.HasRange {
		v.Report().Warn(v.Key("ratio"), "numerator and denominator count over different times", "$range in both")
	}
	s.HasRange = named
}

// checkLabels refuses denominators that are finer than their numerator: one count of bad events would then be held
// against several counts of all.
func (s *Signal) checkLabels(v document.Value, e *expressions) {
	if e.numerator == nil || e.denominator == nil || e.numerator.Labels == nil || e.denominator.Labels == nil {
		return
	}
	if extra := without(e.denominator.Labels, e.numerator.Labels); len(extra) > 0 {
		v.Report().Error(v.Get("ratio").Key("denominator"), "carries labels that the numerator lacks: "+strings.Join(extra, ", "),
			"the numerator has at least the labels of the denominator: "+strings.Join(e.denominator.Labels, ", "))
	}
}

// ReadClause reads conditions: one, a list, any: or all:, nested. A plain list means any, under recovery all.
// Limits wait for Resolve.
func ReadClause(v document.Value, defaultAll bool) Clause {
	c := Clause{Place: v.Place()}
	switch {
	case v.IsList() && defaultAll:
		c.All = readClauses(v, defaultAll)
	case v.IsList():
		c.Any = readClauses(v, defaultAll)
	case v.Has("any") || v.Has("all"):
		v.Object(
			document.Field{Key: "any", Read: func(v document.Value) { c.Any = readClauses(v, defaultAll) }},
			document.Field{Key: "all", Read: func(v document.Value) { c.All = readClauses(v, defaultAll) }},
		)
		if v.Has("any") && v.Has("all") {
			v.Error("any and all beside each other", "one of them; nest the other in its list")
			c.All = nil
		}
	case v.IsMap():
		c.Condition = ReadCondition(v)
	default:
		v.Expects("a condition such as {signal: refusal_rate, above: 15%, for: 10m}, or a list of them")
	}
	return c
}

func readClauses(v document.Value, defaultAll bool) []Clause {
	var all []Clause
	v.Items(func(item document.Value) { all = append(all, ReadClause(item, defaultAll)) })
	return all
}

// ReadCondition reads one condition. What depends on the unit of its signal waits for Resolve.
func ReadCondition(v document.Value) *Condition {
	c := &Condition{Place: v.Place(), source: v}
	fields := []document.Field{
		{Key: "signal", Required: true, Missing: "signal: the name of a signal", Read: document.Into(&c.Signal, document.Value.Text)},
		{Key: "where", Read: document.Into(&c.Where, document.Value.Labels)},
		{Key: "by", Read: document.Into(&c.By, document.Value.LabelNames)},
		{Key: "range", Read: document.Into(&c.Range, document.Value.Positive)},
	}
	for _, name := range comparisons {
		fields = append(fields, document.Field{Key: string(name)})
	}
	v.Object(append(fields,
		document.Field{Key: "for", Read: document.Into(&c.For, document.Value.Duration)},
		document.Field{Key: "at_least", Read: document.Into(&c.AtLeast, aboveZero)},
		document.Field{Key: "clears", Read: func(v document.Value) { c.Clears = readClears(v) }},
		document.Field{Key: "baseline", Read: func(v document.Value) { c.Baseline = readBaseline(v) }},
		document.Field{Key: "min_delta"},
		document.Field{Key: "min_traffic", Read: document.Into(&c.MinTraffic, document.Value.Number)},
		document.Field{Key: "confidence", Read: document.Into(&c.Confidence, readConfidence)},
		document.Field{Key: "widen_to", Read: document.Into(&c.WidenTo, document.Value.Positive)},
	)...)
	return c
}

var comparisons = []Comparison{Above, Below, Between, Rises, Falls, Within, Absent}

func aboveZero(v document.Value) (float64, bool) {
	share, ok := v.Share()
	if ok && share == 0 {
		v.Error("0 asks for nothing", "a share above 0, such as 80%")
		return 0, false
	}
	return share, ok
}

func readConfidence(v document.Value) (float64, bool) {
	share, ok := v.Share()
	if ok && (share < 0.5 || share >= 1) {
		v.Error("is out of bounds", "a share from 50% to below 100%, such as 99.9%")
		return 0, false
	}
	return share, ok
}

func readClears(v document.Value) *Clears {
	c := &Clears{}
	v.Object(
		document.Field{Key: "above"},
		document.Field{Key: "below"},
		document.Field{Key: "for", Read: document.Into(&c.For, document.Value.Duration)},
	)
	return c
}

// The defaults of a same_time baseline.
const (
	defaultPeriods = 4
	defaultWidth   = time.Hour
)

func readBaseline(v document.Value) *Baseline {
	b := &Baseline{}
	v.Object(
		document.Field{Key: "last", Read: document.Into(&b.Last, document.Value.Positive)},
		document.Field{Key: "same_time", Read: document.Into(&b.SameTime, document.Value.Positive)},
		document.Field{Key: "periods", Read: document.Into(&b.Periods, document.Value.PositiveInt)},
		document.Field{Key: "width", Read: document.Into(&b.Width, document.Value.Positive)},
	)
	last, sameTime := v.Has("last"), v.Has("same_time")
	switch {
	case !v.IsMap():
	case last == sameTime:
		v.Error("a baseline is either last or same_time", "{last: 1d}, or {same_time: 7d, periods: 4, width: 1h}")
	case last && (v.Has("periods") || v.Has("width")):
		v.Error("periods and width go with same_time", "{last: 1d} alone")
	case sameTime:
		if b.Periods == 0 {
			b.Periods = defaultPeriods
		}
		if b.Width == 0 {
			b.Width = defaultWidth
		}
	}
	return b
}
