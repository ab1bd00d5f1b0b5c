package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// The bounds of a document. They are far beyond what a person writes, and keep a hostile file from taking the
// memory of the machine that checks it.
const (
	MaxBytes    = 1 << 20  // of a file
	maxNodes    = 200_000  // once all aliases are followed
	maxText     = 16 << 20 // bytes of all scalars, once all aliases are followed
	maxDepth    = 100      // of nesting
	maxProbed   = 400_000  // lines parsed while the line of a syntax error is looked for
	tabAdvice   = "indent with spaces, YAML allows no tabs there"
	oneDocument = "one document a file"
)

// source is the text that values come from, and what was learned while it was parsed.
type source struct {
	file     string
	lines    []string
	report   *Report
	expanded map[*yaml.Node]bool // scalars that held an environment variable
}

// Option changes how a document is parsed.
type Option func(*parsing)

type parsing struct {
	environment func(name string) (string, bool)
}

// WithEnvironment expands ${NAME} in all scalars. A variable that lookup does not know is an error; $${ stands for
// a plain ${.
func WithEnvironment(lookup func(name string) (string, bool)) Option {
	return func(p *parsing) { p.environment = lookup }
}

// Parse reads one YAML document. What is wrong with its text goes to the report, and ok is false: the value is
// then of no use. The value notes in the same report whatever its readers find.
func Parse(file string, text []byte, report *Report, options ...Option) (v Value, ok bool) {
	var p parsing
	for _, option := range options {
		option(&p)
	}
	s := &source{file: file, report: report}
	if !s.readable(text) {
		return Value{}, false
	}
	s.lines = strings.Split(string(text), "\n")
	root, ok := s.decode(text)
	if !ok || !s.bounded(root) {
		return Value{}, false
	}
	if p.environment != nil {
		(&expansion{s, p.environment, map[*yaml.Node]bool{}}).expand(root, "")
	}
	return Value{source: s, node: root, place: Place{File: file, Line: root.Line, Col: root.Column}}, true
}

// readable refuses what is not text before the YAML library sees it, for the library names no place for it.
func (s *source) readable(text []byte) bool {
	if len(text) > MaxBytes {
		s.errorAt(1, 1, fmt.Sprintf("the file has %d bytes", len(text)), "at most 1 MiB")
		return false
	}
	line, col := 1, 1
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			s.errorAt(line, col, fmt.Sprintf("byte 0x%02x is not UTF-8", rest[0]), "save the file as UTF-8")
			return false
		case r == '\n':
			line, col = line+1, 0
		case r == '\t' || r == '\r':
		case r < ' ', r >= 0x7f && r < 0xa0 && r != 0x85:
			s.errorAt(line, col, fmt.Sprintf("control character %U", r), "YAML allows none but tab and line break")
			return false
		}
		rest, col = rest[size:], col+1
	}
	return true
}

// decode gives the root of the one document in the text.
func (s *source) decode(text []byte) (*yaml.Node, bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		s.errorAt(1, 1, "the file is empty", "")
		return nil, false
	}
	if err != nil {
		s.syntaxError(text, err)
		return nil, false
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		s.errorAt(max(second.Line, 1), max(second.Column, 1), "a second document begins here", oneDocument)
		return nil, false
	case !errors.Is(err, io.EOF):
		s.syntaxError(text, err)
		return nil, false
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" && root.Value == "" {
		s.errorAt(1, 1, "the file is empty", "")
		return nil, false
	}
	return root, true
}

// weight is how much a node amounts to once its aliases are followed.
type weight struct{ nodes, text int }

// bounded refuses documents that are small on disk and huge, or endless, once their aliases are followed.
func (s *source) bounded(root *yaml.Node) bool {
	known := map[*yaml.Node]weight{}
	open := map[*yaml.Node]bool{}
	var weigh func(n *yaml.Node, depth int) (weight, bool)
	weigh = func(n *yaml.Node, depth int) (weight, bool) {
		if depth > maxDepth {
			return weight{}, s.refuse(n, "is nested too deep", fmt.Sprintf("at most %d levels", maxDepth))
		}
		if open[n] {
			return weight{}, s.refuse(n, "contains itself by an alias", "an alias may name only what is complete")
		}
		if w, ok := known[n]; ok {
			return w, true
		}
		open[n] = true
		defer delete(open, n)
		sum := weight{nodes: 1, text: len(n.Value)}
		children := n.Content
		if n.Kind == yaml.AliasNode {
			children = []*yaml.Node{n.Alias}
		}
		for _, child := range children {
			w, ok := weigh(child, depth+1)
			if !ok {
				return weight{}, false
			}
			sum.nodes, sum.text = sum.nodes+w.nodes, sum.text+w.text
		}
		if sum.nodes > maxNodes || sum.text > maxText {
			return weight{}, s.refuse(n, "grows too large by its aliases", fmt.Sprintf("at most %d values", maxNodes))
		}
		known[n] = sum
		return sum, true
	}
	_, ok := weigh(root, 0)
	return ok
}

func (s *source) refuse(n *yaml.Node, what, allowed string) bool {
	s.errorAt(n.Line, n.Column, what, allowed)
	return false
}

func (s *source) errorAt(line, col int, what, allowed string) {
	s.report.Error(Place{File: s.file, Line: line, Col: col}, what, allowed)
}
