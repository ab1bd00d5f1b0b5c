package action

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Marks inside of segments and parameters. None of them can be written in a document: control characters are refused.
const (
	placeholder = "\x00" // a value that isn't known yet
	anySegment  = "\x01" // *
	anyRest     = "\x02" // **
)

// rule is one entry of a connector's allow list.
type rule struct {
	method string
	target target
}

var methods = []string{"GET", "POST", "PUT", "PATCH", "DELETE"}

// parseRule reads an entry such as "GET /labels/*".
func parseRule(text string) (rule, error) {
	method, path, _ := strings.Cut(text, " ")
	if !slices.Contains(methods, method) {
		return rule{}, fmt.Errorf("no method; one of %s, then a path", strings.Join(methods, ", "))
	}
	path, query, hasQuery := strings.Cut(path, "?")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		switch {
		case s == "*":
			segments[i] = anySegment
		case s == "**" && i == len(segments)-1:
			segments[i] = anyRest
		case s == "**":
			return rule{}, errors.New("** stands at the end alone")
		case strings.Contains(s, "*"):
			return rule{}, errors.New("* stands for a whole segment")
		}
	}
	parameters := strings.Split(query, "&")
	for i, p := range parameters {
		name, value, _ := strings.Cut(p, "=")
		switch {
		case value == "*":
			parameters[i] = name + "=" + anySegment
		case strings.Contains(p, "*"):
			return rule{}, errors.New("* stands for the whole value of a parameter")
		}
	}
	path = strings.Join(segments, "/")
	if hasQuery {
		path += "?" + strings.Join(parameters, "&")
	}
	t, err := parseTarget(path)
	return rule{method, t}, err
}

// target is a path and its query, in pieces.
type target struct {
	// A service, or a proxy before it, may or may not read %2F as a slash. Both readings must be allowed.
	asSent  []string // segments, each decoded by itself
	decoded []string // segments of the path decoded as a whole
	query   map[string]string
}

// parseTarget takes a path with its values encoded, or with marks in their place, apart. It refuses what a service may
// take for another path.
func parseTarget(text string) (target, error) {
	path, query, hasQuery := strings.Cut(text, "?")
	if !strings.HasPrefix(path, "/") {
		return target{}, errors.New("it must begin with /")
	}
	switch {
	case strings.Contains(text, "#"):
		return target{}, errors.New("# begins a fragment, which is never sent")
	case strings.Contains(text, "%0"): // decoded, it would also pass for a mark
		return target{}, errors.New("a control character")
	}
	t := target{asSent: strings.Split(path[1:], "/")}
	for i, s := range t.asSent {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return target{}, errors.New("a % that is no escape")
		}
		if plain == "" && i < len(t.asSent)-1 {
			return target{}, errors.New("an empty segment")
		}
		t.asSent[i] = plain
	}
	t.decoded = strings.Split(strings.Join(t.asSent, "/"), "/")
	for i, s := range t.decoded {
		if err := checkSegment(s, i == len(t.decoded)-1); err != nil {
			return target{}, err
		}
	}
	if hasQuery {
		return t, t.parseQuery(query)
	}
	return t, nil
}

// checkSegment refuses what some service takes for a way up or for nothing: "..", also with a backslash for a slash, or
// with a parameter behind it, as in Tomcat's "..;".
func checkSegment(s string, last bool) error {
	if s == "" && !last {
		return errors.New("an empty segment")
	}
	if strings.IndexFunc(s, func(r rune) bool { return unicode.IsControl(r) && r > 2 }) >= 0 {
		return errors.New("a control character")
	}
	for part := range strings.SplitSeq(s, `\`) {
		if name, _, _ := strings.Cut(part, ";"); name == "." || name == ".." {
			return fmt.Errorf("a segment %q", s)
		}
	}
	return nil
}

func (t *target) parseQuery(query string) error {
	t.query = map[string]string{}
	for parameter := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(parameter, "=")
		plainName, err := url.QueryUnescape(name)
		plainValue, err2 := url.QueryUnescape(value)
		if err != nil || err2 != nil || strings.Contains(parameter, ";") {
			return errors.New("a query that is not encoded")
		}
		if _, twice := t.query[plainName]; twice || plainName == "" || strings.ContainsAny(plainName, "\x00\x01\x02") {
			return errors.New("a query needs parameters with names, each once")
		}
		t.query[plainName] = plainValue
	}
	return nil
}

// matches tells whether the rule allows the call.
func (r rule) matches(method string, t target) bool {
	if method != r.method || len(t.query) != len(r.target.query) {
		return false
	}
	for name, allowed := range r.target.query {
		value, given := t.query[name]
		if !given || allowed != anySegment && (value != allowed || strings.Contains(value, placeholder)) {
			return false
		}
	}
	return segmentsMatch(r.target.asSent, t.asSent) && segmentsMatch(r.target.decoded, t.decoded)
}

func segmentsMatch(pattern, segments []string) bool {
	for i, p := range pattern {
		switch {
		case i >= len(segments):
			return false
		case p == anyRest:
			return segments[i] != ""
		case p == anySegment:
			if segments[i] == "" {
				return false
			}
		case p != segments[i] || strings.Contains(segments[i], placeholder):
			return false
		}
	}
	return len(pattern) == len(segments)
}
