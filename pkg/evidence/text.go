package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const (
	labelRunes = 48  // of a label's value or a version that are shown
	namesBytes = 140 // of all labels of a segment, so that there is room for its value
	lineBytes  = 320 // of a line in a list
)

// clean makes foreign text one line of at most so many characters, without any that move others about or can't be seen.
func clean(s string, most int) string {
	s = cut(s, 8*most) // before anything looks at all of it
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// cut keeps the first bytes of a text, whole characters of them.
func cut(s string, most int) string {
	const rest = "…"
	if len(s) <= most {
		return s
	}
	end := most - len(rest)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + rest
}

// listed writes a head and as many of the lines below it as there is room for, and says how many more there are: those
// that were left out here and the ones left out before.
func listed(head string, lines []string, more int, tail ...string) string {
	const room = 40 // for "and 12,345 more"
	said := cut(head, textBytes/2)
	used := 0
	for _, t := range tail {
		used += len(t) + 1
	}
	for n, line := range lines {
		line = cut(line, lineBytes)
		if len(said)+used+len(line)+1 > textBytes-room {
			more += len(lines) - n
			break
		}
		said += "\n" + line
	}
	if more > 0 {
		said += "\nand " + count(float64(more)) + " more"
	}
	for _, t := range tail {
		said += "\n" + t
	}
	return said
}

// labelWords writes labels as people say them, tier paid, language en: those named first in their order, then the others;
// empty where there are none.
func labelWords(l labels.Labels, first []string) string {
	var names []string
	l.Range(func(one labels.Label) { names = append(names, one.Name) })
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(place(first, a), place(first, b)) })
	var words []string
	for _, name := range names {
		words = append(words, clean(name, labelRunes)+" "+clean(l.Get(name), labelRunes))
	}
	return strings.Join(words, ", ")
}

func place(list []string, s string) int {
	if n := slices.Index(list, s); n >= 0 {
		return n
	}
	return len(list)
}

// value writes a value with the counts behind it: 19% (406 of 2,140).
func value(s *triggers.Signal, v triggers.Value) string {
	text := triggers.FormatValue(s.Unit, v.V)
	switch {
	case s.IsRatio() && v.Of == 0:
		return "no events"
	case s.IsRatio():
		return text + " (" + count(v.Bad) + " of " + count(v.Of) + ")"
	case v.Of > 0:
		return text + " over " + count(v.Of) + " events"
	}
	return text
}

// count writes a number of events, which may be a fraction where the source had to reckon it: 2,140.
func count(n float64) string {
	if math.Abs(n) >= 1e15 {
		return strconv.FormatFloat(n, 'g', 3, 64)
	}
	digits := strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// points writes a difference of shares in percentage points, without its sign.
func points(difference float64) string {
	p := math.Abs(100 * difference)
	if p >= 9.95 {
		return strconv.FormatFloat(p, 'f', 0, 64)
	}
	return strconv.FormatFloat(math.Round(p*10)/10, 'f', -1, 64)
}

// lasting writes how long something lasted, rounded down: 29 min, 3h20m.
func lasting(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return triggers.FormatDuration(d.Truncate(time.Minute))
}

// clock writes a time, with its day where that is another one.
func clock(t, near time.Time) string {
	layout := "15:04 UTC"
	if t.UTC().Format(time.DateOnly) != near.UTC().Format(time.DateOnly) {
		layout = "2006-01-02 15:04 UTC"
	}
	return t.UTC().Format(layout)
}

func (g *Gatherer) late() string {
	return "no answer within " + triggers.FormatDuration(g.config.Timeout)
}

// why says why a question has no answer.
func (g *Gatherer) why(err error) string {
	var asked *source.Error
	switch {
	case errors.As(err, &asked) && asked.Reason == source.Timeout, errors.Is(err, context.DeadlineExceeded):
		return g.late()
	case errors.As(err, &asked) && asked.Reason == source.Canceled, errors.Is(err, context.Canceled):
		return "given up before an answer came"
	}
	return err.Error()
}
