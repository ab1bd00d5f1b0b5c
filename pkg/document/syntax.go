package document

import (
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// quoteless is a line with a text that begins with a template's braces.
var quoteless = regexp.MustCompile(`^\s*(- )?([A-Za-z_]+: )?\{\{`)

var yamlErrorLine = regexp.MustCompile(`^line (\d+): `)

// advice says what to do about the syntax errors that people make, by the library's own words for them.
var advice = []struct{ message, allowed string }{
	{"mapping values are not allowed", "a text that holds `: ` needs quotes; a key needs a line of its own"},
	{"did not find expected key", "check the indentation of this line and the quotes before it"},
	{"did not find expected '-' indicator", "all items of a list begin with - in the same column"},
	{"did not find expected ',' or ']'", "close the list that is opened with ["},
	{"did not find expected ',' or '}'", "close the map that is opened with {, and quote texts that hold [ ] { } or a comma"},
	{"did not find expected node content", "a value between two commas, or none"},
	{"found character that cannot start any token", "quote texts that begin with @, ` or %"},
	{"found unexpected end of stream", "close the quote that is opened here"},
	{"unknown anchor", "an alias (*name) needs its anchor (&name) before it"},
	{"could not find expected ':'", "a key is followed by `: `"},
}

// syntaxError notes an error of the YAML library, which knows a line at best, often the one where the enclosing
// block began.
func (s *source) syntaxError(text []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if found := yamlErrorLine.FindStringSubmatch(message); found != nil {
		line, _ = strconv.Atoi(found[1])
		message = strings.TrimPrefix(message, found[0])
	}
	line = s.failingLine(line)
	allowed := ""
	for _, a := range advice {
		if strings.Contains(message, a.message) {
			allowed = a.allowed
			break
		}
	}
	content := s.lines[line-1]
	if quoteless.MatchString(content) {
		allowed = "a text that begins with {{ needs quotes"
	}
	indent := len(content) - len(strings.TrimLeft(content, " \t"))
	if strings.Contains(content[:indent], "\t") {
		message, allowed = "a tab in the indentation", tabAdvice
		indent = strings.Index(content, "\t")
	}
	s.errorAt(line, indent+1, message, allowed)
}

// failingLine gives the line after the longest beginning of the file that is still valid YAML. Whatever is longer
// is broken, so this is where a person has to look.
func (s *source) failingLine(reported int) int {
	last := len(s.lines)
	for last > 1 && strings.TrimSpace(s.lines[last-1]) == "" {
		last--
	}
	broken, work := last, 0 // s.lines[:broken] does not parse
	for broken > 1 && !s.parses(broken-1) {
		broken--
		if work += broken; work > maxProbed {
			return min(max(reported, 1), last)
		}
	}
	for broken < last && skippable(s.lines[broken-1]) {
		broken++
	}
	return broken
}

func skippable(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "#")
}

func (s *source) parses(lines int) bool {
	decoder := yaml.NewDecoder(strings.NewReader(strings.Join(s.lines[:lines], "\n")))
	for {
		var n yaml.Node
		if err := decoder.Decode(&n); err != nil {
			return err == io.EOF //nolint:errorlint // the decoder returns it bare
		}
	}
}
