package changes

import (
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// What a report may hold, in characters.
const (
	longestName = 200
	longestText = 1024
	longestURL  = 2000
)

// ahead is how far in the future a reported time may lie: clocks differ.
const ahead = 5 * time.Minute

// earliestReport is before anything that a report can mean: an earlier time is a mistake of units.
var earliestReport = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Problem is one thing that is wrong with a report.
type Problem struct {
	Field   string // as in JSON
	Wrong   string
	Allowed string
}

// Invalid is all that is wrong with a report. It is an error.
type Invalid []Problem

// Error says every problem with what is allowed.
func (i Invalid) Error() string {
	lines := make([]string, len(i))
	for n, p := range i {
		lines[n] = fmt.Sprintf("%s: %s; %s", p.Field, p.Wrong, p.Allowed)
	}
	return strings.Join(lines, "\n")
}

// Report makes a change of what somebody reported: white space around the texts is dropped, the time is UTC in whole
// milliseconds (as a metric's), now where none is given, and the id follows from what is said, so that a repeat is the
// same change. What the reporter can't know (id, source, what metrics showed, when it was recorded) is overwritten.
// The error is Invalid and has every problem.
func Report(c Change, now time.Time) (Change, error) {
	for _, text := range []*string{&c.Artifact, &c.Service, &c.From, &c.To, &c.By, &c.URL, &c.Note} {
		*text = strings.TrimSpace(*text)
	}
	if c.At.IsZero() {
		c.At = now
	}
	c.At = time.UnixMilli(c.At.UnixMilli()).UTC()
	c.Source, c.Seen, c.Also, c.RecordedAt = Reported, Sight{}, nil, time.Time{}
	if problems := check(&c, now); len(problems) > 0 {
		return Change{}, problems
	}
	c.identify()
	return c, nil
}

func check(c *Change, now time.Time) Invalid {
	var found Invalid
	wrong := func(field, what, allowed string) { found = append(found, Problem{field, what, allowed}) }
	switch {
	case c.Artifact == "":
		wrong("artifact", "missing", "what was changed: code, prompt, weights, retrieval_index, router_policy, thresholds or another word")
	case !triggers.ValidName(c.Artifact):
		wrong("artifact", quote(c.Artifact)+" is not a name", "letters, digits, _, - and ., at most 64, as the rollback steps of the runbooks name it")
	}
	for _, text := range []struct {
		field, text string
		longest     int
	}{
		{"service", c.Service, longestName}, {"from", c.From, longestName}, {"to", c.To, longestName},
		{"by", c.By, longestName}, {"note", c.Note, longestText},
	} {
		if !isText(text.text, text.longest) {
			wrong(text.field, quote(text.text)+" is not a text of one line", fmt.Sprintf("at most %d printable characters", text.longest))
		}
	}
	if c.To == "" && c.Note == "" {
		wrong("to", "missing", "the version since the change, or a note that says what was changed")
	}
	if c.URL != "" && !isWebAddress(c.URL) {
		wrong("url", quote(c.URL)+" is not a web address", "http:// or https:// and a host, without a password, at most 2000 characters")
	}
	switch {
	case c.At.After(now.Add(ahead)):
		wrong("at", c.At.Format(time.RFC3339)+" lies in the future", "the time of the change in RFC 3339, at most 5 minutes from now; left out: now")
	case c.At.Before(earliestReport) && now.After(earliestReport): // a played clock may stand before it
		wrong("at", c.At.Format(time.RFC3339)+" is before the year 2000", "the time of the change in RFC 3339; left out: now")
	}
	return found
}

// isText tells whether s is one line of at most so many characters that can be shown as they are: no control
// characters, none that turn the direction of what stands around them.
func isText(s string, longest int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= longest && strings.IndexFunc(s, notPrintable) < 0
}

func notPrintable(r rune) bool { return !unicode.IsPrint(r) }

func isWebAddress(s string) bool {
	if len(s) > longestURL || !isText(s, longestURL) || strings.ContainsRune(s, ' ') {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil
}

// quote shows the beginning of what somebody sent, with nothing in it that could act.
func quote(s string) string {
	const shown = 60
	if runes := []rune(s); len(runes) > shown {
		s = string(runes[:shown]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
