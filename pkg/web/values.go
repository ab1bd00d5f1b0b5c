package web

import (
	"strings"
	"time"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/common/model"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// The types below are texts of requests that are not any text. What is wrong with one is told with its place.

// person is who does something, as the caller says; actor tells whose word counts.
type person string

// Resolve implements huma.ResolverWithPath.
func (p person) Resolve(_ huma.Context, prefix *huma.PathBuffer) []error {
	if strings.EqualFold(string(p), incident.Daemon) {
		return []error{&huma.ErrorDetail{Location: prefix.String(), Message: "expected a person: nobody writes in the daemon's own name", Value: string(p)}}
	}
	return line(string(p), prefix, "a name")
}

// reference is an id, a number or a name of something that there is.
type reference string

// Resolve implements huma.ResolverWithPath.
func (r reference) Resolve(_ huma.Context, prefix *huma.PathBuffer) []error {
	return line(string(r), prefix, "an id or a name")
}

func line(text string, prefix *huma.PathBuffer, what string) []error {
	if strings.TrimSpace(text) == text && strings.IndexFunc(text, func(r rune) bool { return !isShown(r) }) < 0 {
		return nil
	}
	return []error{&huma.ErrorDetail{
		Location: prefix.String(), Message: "expected " + what + " without control characters and without spaces around it", Value: text,
	}}
}

// labelValue is the value of a label.
type labelValue string

const maxLabelBytes = 500

// Resolve implements huma.ResolverWithPath.
func (v labelValue) Resolve(_ huma.Context, prefix *huma.PathBuffer) []error {
	if len(v) <= maxLabelBytes && strings.IndexFunc(string(v), func(r rune) bool { return !isShown(r) }) < 0 {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: prefix.String(), Message: "expected at most 500 bytes without control characters"}}
}

// labelsOf gives the labels that a request names; nil where it names none.
func labelsOf(values map[string]labelValue) map[string]string {
	if len(values) == 0 {
		return nil
	}
	labels := make(map[string]string, len(values))
	for name, value := range values {
		labels[name] = string(value)
	}
	return labels
}

// maxTextBytes is 10 kB: what people write here is a remark in a timeline, not a document.
const maxTextBytes = 10_000

// plainText is what people write: what shows it escapes it, and nothing in it may steer a terminal.
type plainText string

// Resolve implements huma.ResolverWithPath.
func (t plainText) Resolve(_ huma.Context, prefix *huma.PathBuffer) []error {
	refuse := func(message string) []error {
		return []error{&huma.ErrorDetail{Location: prefix.String(), Message: message}}
	}
	text := string(t)
	switch {
	case text == "": // the schema has said so already, where it must not be
		return nil
	case len(text) > maxTextBytes:
		return refuse("expected at most 10000 bytes")
	case strings.TrimSpace(text) == "":
		return refuse("expected more than blank space")
	case strings.IndexFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r'
	}) >= 0:
		return refuse("expected no control characters but line feeds and tabs")
	}
	return nil
}

// plain is the text with line feeds as the only ends of lines.
func (t plainText) plain() string { return strings.ReplaceAll(string(t), "\r", "") }

// span is a duration as runbooks write them: 30m, 1h30m, 2d.
type span string

// Resolve implements huma.ResolverWithPath.
func (s span) Resolve(_ huma.Context, prefix *huma.PathBuffer) []error {
	if s == "" || s.duration() > 0 {
		return nil
	}
	return []error{&huma.ErrorDetail{
		Location: prefix.String(), Message: "expected a duration above 0s such as 30m, 1h30m, 2d", Value: string(s),
	}}
}

// duration is 0 where there is none.
func (s span) duration() time.Duration {
	d, err := model.ParseDuration(string(s))
	if err != nil {
		return 0
	}
	return time.Duration(d)
}

// isShown tells whether a character is one that can be seen, or a plain space. Line feeds, escapes and what turns
// the direction of text around are not.
func isShown(r rune) bool { return unicode.IsPrint(r) }
