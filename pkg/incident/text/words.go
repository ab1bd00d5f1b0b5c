package text

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// When gives an instant as people read it: 14:10 UTC (12m ago).
func When(at *time.Time, now time.Time) string {
	if at == nil || at.IsZero() {
		return "-"
	}
	distance := now.Sub(*at)
	if distance < 0 {
		return fmt.Sprintf("%s (in %s)", incident.Clock(*at, now), about(-distance))
	}
	return fmt.Sprintf("%s (%s ago)", incident.Clock(*at, now), about(distance))
}

// age gives how long ago a time was.
func age(at *time.Time, now time.Time) string {
	if at == nil || at.IsZero() {
		return "-"
	}
	return about(max(0, now.Sub(*at)))
}

// about gives a duration in its two largest units at most.
func about(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func labelText(labels map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, name+"="+labels[name])
	}
	return strings.Join(parts, ", ")
}

// Clean keeps what other people and other systems wrote from steering the terminal: line feeds and tabs stay, any
// other character that cannot be seen is shown as one that can.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

// cut shortens a line that does not fit.
func cut(line string, width int) string {
	line = strings.NewReplacer("\n", " ", "\t", " ").Replace(line)
	if runes := []rune(line); len(runes) > width {
		return strings.TrimRight(string(runes[:width-1]), " ") + "…"
	}
	return line
}

// wrapWords breaks a text between words into lines of at most width characters. A line feed starts a new line. A
// word longer than a line gets one of its own, whole: it may be a link.
func wrapWords(text string, width int) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		lines = append(lines, line)
	}
	return lines
}
