package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/common/model"
)

const (
	maxTextBytes = 10_000
	maxReadBytes = 16 << 20 // of standard input
)

// said is a text that a person gives as arguments, or by - on standard input.
type said struct {
	what       string // it is, for people
	endMatters bool   // of a text that is too long on standard input the end is kept, as of a log
}

// read joins the arguments to a text, or reads standard input for a single -.
func (s said) read(in io.Reader, args []string) (string, error) {
	written, piped := strings.Join(args, " "), len(args) == 1 && args[0] == "-"
	if piped {
		read, err := io.ReadAll(io.LimitReader(in, maxReadBytes))
		if err != nil {
			return "", fmt.Errorf("%s from standard input: %w", s.what, err)
		}
		written = strings.ToValidUTF8(string(read), "\uFFFD")
	}
	written = strings.TrimSpace(plain(written))
	switch {
	case written == "":
		return "", wrongUsage("the %s is empty; give a text, or - and a text on standard input", s.what)
	case len(written) <= maxTextBytes:
		return written, nil
	case piped && s.endMatters:
		return endOf(written), nil
	}
	return "", wrongUsage("the %s is longer than %d bytes; put the rest where a link can name it", s.what, maxTextBytes)
}

// endOf keeps the end of a text that is too long, for it is what a log tells last that matters.
func endOf(text string) string {
	const room = 64 // for the line that tells it
	left := len(text) - (maxTextBytes - room)
	for left < len(text) && !utf8.RuneStart(text[left]) {
		left++
	}
	return fmt.Sprintf("(cut: the first %d bytes are left out)\n%s", left, strings.TrimSpace(text[left:]))
}

// escapes are the sequences by which a program steers a terminal: colours, the cursor, its title.
var escapes = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[ -/]*[0-~])")

// plain leaves out whatever would steer a terminal; line feeds and tabs stay.
func plain(said string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, escapes.ReplaceAllString(said, ""))
}

// checkDuration refuses what is no duration above 0, as runbooks write them. An empty one is left to the daemon.
func checkDuration(flag, written string) error {
	if d, err := model.ParseDuration(written); written != "" && (err != nil || d <= 0) {
		return wrongUsage("%s %q is not a duration; one above 0s such as 30m, 1h30m, 2d", flag, written)
	}
	return nil
}

// timeAhead reads when something is due, as a duration from now: 30m, or a time. A time of day is the next one in UTC, as
// all times are shown. An empty one is left to the daemon.
func timeAhead(flag, written string, now time.Time) (in string, err error) {
	if d, err := model.ParseDuration(written); written == "" || err == nil && d > 0 {
		return written, nil
	}
	at, ok := timeOfDay(written, now)
	if ok && !at.After(now) {
		at = at.AddDate(0, 0, 1)
	}
	if !ok {
		at, err = time.Parse(time.RFC3339, written)
	}
	switch ahead := at.Sub(now).Truncate(time.Millisecond); {
	case err != nil:
		return "", wrongUsage("%s %q is not a time; 30m, 15:15 (UTC) or 2026-11-03T15:15:00Z", flag, written)
	case ahead <= 0:
		return "", wrongUsage("%s %s is past; a time to come", flag, written)
	default:
		return model.Duration(ahead).String(), nil
	}
}

// timePast reads when something was: a time. A time of day is the last one in UTC.
func timePast(flag, written string, now time.Time) (time.Time, error) {
	if written == "" {
		return time.Time{}, nil
	}
	if at, ok := timeOfDay(written, now); ok {
		if at.After(now) {
			at = at.AddDate(0, 0, -1)
		}
		return at, nil
	}
	if at, err := time.Parse(time.RFC3339, written); err == nil {
		return at.UTC(), nil
	}
	return time.Time{}, wrongUsage("%s %q is not a time; 14:18 (UTC) or 2026-11-03T14:18:00Z", flag, written)
}

// timeOfDay reads 14:18 or 14:18:30 as a time of today in UTC.
func timeOfDay(written string, now time.Time) (time.Time, bool) {
	now = now.UTC()
	for _, layout := range []string{"15:04", "15:04:05"} {
		if clock, err := time.Parse(layout, written); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), clock.Second(), 0, time.UTC), true
		}
	}
	return time.Time{}, false
}
