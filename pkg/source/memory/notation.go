package memory

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// maxPoints is how many points a series may have. The notation writes a billion in eleven bytes.
const maxPoints = 1_000_000

// Series is a label set with its points, from the epoch on.
type Series struct {
	Labels labels.Labels
	Points []parser.SequenceValue // one an interval; an omitted one is no point
}

// Span is how long a series of n points is: the time of the last one.
func Span(points int, interval time.Duration) time.Duration {
	return time.Duration(max(points-1, 0)) * interval
}

// Mistake is what is wrong with a text in the notation, and at which byte of it.
type Mistake struct {
	Offset int
	What   string
}

// Error says what is wrong.
func (m *Mistake) Error() string { return m.What }

// ParseLabels reads a metric with its labels: up{job="api"}. An error is a *Mistake.
func ParseLabels(text string) (labels.Labels, error) {
	set, err := parser.NewParser(parser.Options{}).ParseMetric(text)
	if err != nil {
		return labels.EmptyLabels(), mistake(err, text, 0)
	}
	if name, twice := set.HasDuplicateLabelNames(); twice {
		return labels.EmptyLabels(), &Mistake{What: fmt.Sprintf("the label %q is there twice", name)}
	}
	if set.IsEmpty() {
		return labels.EmptyLabels(), &Mistake{What: "neither a metric nor labels"}
	}
	return set.WithoutEmpty(), nil // as in Prometheus, an empty label is the same as none
}

var repeat = regexp.MustCompile(`x(\d+)`)

// ParseValues reads the points of a series: 1+2x3 _ 5. An error is a *Mistake.
func ParseValues(text string) ([]parser.SequenceValue, error) {
	if at := tooMany(text); at >= 0 {
		return nil, &Mistake{at, fmt.Sprintf("more than %d points", maxPoints)}
	}
	const anySeries = "{} "
	_, points, err := parser.NewParser(parser.Options{}).ParseSeriesDesc(anySeries + text)
	if err != nil {
		return nil, mistake(err, text, len(anySeries))
	}
	if len(points) == 0 {
		return nil, &Mistake{What: "no values"}
	}
	return points, nil
}

// tooMany gives the byte at which a text repeats more than a series may have; -1: nowhere. The parser itself would
// write them all down first.
func tooMany(text string) int {
	sum := 0
	for _, at := range repeat.FindAllStringSubmatchIndex(text, -1) {
		n, err := strconv.Atoi(text[at[2]:at[3]])
		if err != nil || n > maxPoints {
			return at[0]
		}
		if sum += n + 1; sum > maxPoints+1 {
			return at[0]
		}
	}
	return -1
}

// mistake puts the parser's first error in our words: its place counts from before.
func mistake(err error, text string, before int) *Mistake {
	var all parser.ParseErrors
	var one *parser.ParseErr
	switch {
	case errors.As(err, &all) && len(all) > 0:
		one = &all[0]
	case errors.As(err, &one):
	default:
		return &Mistake{What: err.Error()}
	}
	return &Mistake{min(max(int(one.PositionRange.Start)-before, 0), len(text)), one.Err.Error()}
}
