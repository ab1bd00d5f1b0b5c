package triggers

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// String gives the clause in the words of the document: "refusal_rate above 30% and blast_radius above 50%".
func (c *Clause) String() string {
	switch {
	case c == nil:
		return ""
	case c.Condition != nil:
		return c.Condition.String()
	case len(c.All) > 0:
		return joinClauses(c.All, " and ")
	}
	return joinClauses(c.Any, " or ")
}

func joinClauses(clauses []Clause, word string) string {
	parts := make([]string, len(clauses))
	for i := range clauses {
		parts[i] = clauses[i].String()
		if clauses[i].Condition == nil && len(clauses[i].Any)+len(clauses[i].All) > 1 && len(clauses) > 1 {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, word)
}

// String gives the condition in the words of the document, with its limits in the unit of the signal.
func (c *Condition) String() string {
	parts := []string{c.Signal}
	if len(c.Where) > 0 {
		parts = append(parts, "("+whereText(c.Where)+")")
	}
	if len(c.By) > 0 {
		parts = append(parts, "by "+strings.Join(c.By, ", "))
	}
	parts = append(parts, c.comparisonText())
	if c.For > 0 {
		parts = append(parts, "for "+FormatDuration(c.For))
	}
	return strings.Join(parts, " ")
}

// Target is what the condition asks of a value, in words: below 6%.
func (c *Condition) Target() string { return c.comparisonText() }

func whereText(where map[string][]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(where)) {
		parts = append(parts, name+" "+strings.Join(where[name], " or "))
	}
	return strings.Join(parts, ", ")
}

func (c *Condition) comparisonText() string {
	limit := FormatLimit(c.Unit, c.Limit)
	switch c.Comparison {
	case Between:
		return "between " + FormatLimit(c.Unit, c.Low) + " and " + FormatLimit(c.Unit, c.High)
	case Rises:
		return "rises " + trimmed(c.Limit, 4) + "x" + c.Baseline.text()
	case Falls:
		return "falls " + FormatLimit(Ratio, c.Limit) + c.Baseline.text()
	case Within:
		return "within " + FormatLimit(Ratio, c.Limit) + " of its baseline" + c.Baseline.text()
	case Absent:
		return "absent"
	}
	return string(c.Comparison) + " " + limit
}

func (b *Baseline) text() string {
	switch {
	case b == nil:
		return ""
	case b.Last > 0:
		return " against the last " + FormatDuration(b.Last)
	}
	return " against the same time " + FormatDuration(b.SameTime) + " before"
}

// FormatDuration writes a duration as the documents do: 10m, 1h30m, 1d. Of one that is no whole number of seconds it
// keeps what people can use: 22.5s, 7m12s.
func FormatDuration(d time.Duration) string {
	switch {
	case d%time.Second == 0 || d < time.Second:
		return model.Duration(d).String()
	case d < time.Minute:
		return trimmed(d.Seconds(), 3) + "s"
	}
	return model.Duration(d.Round(time.Second)).String()
}

// FormatValue writes a measured value for people, rounded to what they can use: 19%, 8.5%, 5.2s, $12/h,
// 1.2k tokens.
func FormatValue(unit Unit, v float64) string { return format(unit, v, 3) }

// FormatLimit writes a limit, which people wrote themselves and want to read again unrounded.
func FormatLimit(unit Unit, v float64) string { return format(unit, v, 12) }

func format(unit Unit, v float64, digits int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "unknown"
	}
	if v < 0 {
		return "-" + format(unit, -v, digits)
	}
	switch unit {
	case Ratio:
		return share(v, digits)
	case Seconds:
		return seconds(v, digits)
	case USDPerHour:
		return "$" + scaled(v, digits, 1000, "", "k", "M") + "/h"
	case Tokens:
		return scaled(v, digits, 1000, " tokens", "k tokens", "M tokens", "G tokens")
	case TokensPerSecond:
		return scaled(v, digits, 1000, " tokens/s", "k tokens/s", "M tokens/s", "G tokens/s")
	case RequestsPerSecond:
		return scaled(v, digits, 1000, " req/s", "k req/s", "M req/s")
	case Bytes:
		return scaled(v, digits, 1024, " B", " KiB", " MiB", " GiB", " TiB")
	case Count:
		return scaled(v, digits, 1000, "", "k", "M", "G")
	}
	return trimmed(v, digits)
}

// share keeps two digits of a measured share, three from 10% on. Next to 100% it keeps what is missing: 99.97% is
// not 100%.
func share(v float64, digits int) string {
	percent := v * 100
	if digits > 3 {
		return trimmed(percent, digits) + "%"
	}
	rest := 100 - percent
	if percent < 100 && rest < 0.05 && rest > 1e-9 {
		return strconv.FormatFloat(percent, 'f', -int(math.Floor(math.Log10(rest))), 64) + "%"
	}
	if percent < 10 {
		digits = 2
	}
	return trimmed(percent, digits) + "%"
}

func seconds(v float64, digits int) string {
	switch {
	case v == 0:
		return "0s"
	case v < 1:
		return trimmed(v*1000, digits) + "ms"
	case v < 60:
		return trimmed(v, digits) + "s"
	}
	d := time.Duration(v * float64(time.Second)).Round(time.Second)
	if digits <= 3 && d >= time.Hour {
		d = d.Round(time.Minute)
	}
	days := ""
	if d > 48*time.Hour {
		days = fmt.Sprintf("%dd", d/(24*time.Hour))
		d %= 24 * time.Hour
	}
	text := days + d.String()
	text = strings.Replace(text, "m0s", "m", 1)
	text = strings.Replace(text, "h0m", "h", 1)
	if days != "" && d == 0 {
		return days
	}
	return text
}

func scaled(v float64, digits int, step float64, words ...string) string {
	i := 0
	for i+1 < len(words) && v >= step {
		v, i = v/step, i+1
	}
	return trimmed(v, digits) + words[i]
}

// trimmed writes a number with at most so many significant digits, all digits before the point kept.
func trimmed(v float64, digits int) string {
	if v == 0 {
		return "0"
	}
	decimals := max(0, digits-1-int(math.Floor(math.Log10(math.Abs(v)))))
	text := strconv.FormatFloat(v, 'f', min(decimals, 12), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
