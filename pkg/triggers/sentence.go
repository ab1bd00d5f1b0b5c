package triggers

import (
	"fmt"
	"math"
	"time"
)

// Sentence says why the counts of a ratio were enough: "8 of 20 in 20m (40%), limit 8%; were it 6%, chance would show so
// many once in 91,000 windows". Empty for what was not judged by counts.
func (e Evidence) Sentence() string {
	if e.Over == 0 || e.Of == 0 {
		return ""
	}
	events, harmless, so := e.Bad, e.Harmless, "many"
	if e.Below {
		events, harmless, so = e.Of-e.Bad, 1-e.Harmless, "few"
	}
	return fmt.Sprintf("%s of %s in %s (%s), limit %s; were it %s, chance would show so %s %s",
		count(events), count(e.Of), FormatDuration(e.Over), FormatValue(Ratio, events/e.Of), FormatLimit(Ratio, e.Limit),
		FormatValue(Ratio, harmless), so, once(e.Chance))
}

// Waiting says what a breach lacks whose events are too few to tell: "3 of 11 in 40m, limit 8%: not enough to tell; 6 of
// them would be".
func (b Breach) Waiting() string {
	e, enough := b.Evidence, b.Enough()
	events, wanted := e.Bad, enough
	if e.Below {
		events, wanted = e.Of-e.Bad, max(0, e.Of-enough)
	}
	said := fmt.Sprintf("%s of %s in %s, limit %s", count(events), count(e.Of), FormatDuration(e.Over), FormatLimit(Ratio, e.Limit))
	if e.Baseline != 0 {
		said += ", usually " + FormatValue(Ratio, e.Baseline)
	}
	if enough <= e.Bad {
		return said + ": not enough to tell, for a single " + FormatDuration(max(b.Series.history.reads(), time.Second)) + " has most of them"
	}
	return said + fmt.Sprintf(": not enough to tell; %s of them would be", count(wanted))
}

// count rounds events for people; increase() gives fractions of them.
func count(n float64) string { return FormatValue(Count, math.Round(n)) }

// once puts a chance into words.
func once(chance float64) string {
	if chance < 1e-9 {
		return "less than once in a thousand million windows"
	}
	n := 1 / chance
	step := math.Pow(10, math.Floor(math.Log10(n))-1)
	return "once in " + thousands(int64(math.Round(n/step)*step)) + " windows"
}

// thousands writes a number with commas.
func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
