package document

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// expansion replaces ${NAME} in the scalars of a document, once each.
type expansion struct {
	*source
	lookup func(name string) (string, bool)
	done   map[*yaml.Node]bool
}

func (e *expansion) expand(n *yaml.Node, path string) {
	if e.done[n] {
		return
	}
	e.done[n] = true
	switch n.Kind {
	case yaml.AliasNode:
		e.expand(n.Alias, path)
	case yaml.MappingNode:
		for i := 1; i < len(n.Content); i += 2 {
			e.expand(n.Content[i], join(path, n.Content[i-1].Value))
		}
	case yaml.SequenceNode:
		for i, child := range n.Content {
			e.expand(child, fmt.Sprintf("%s[%d]", path, i))
		}
	case yaml.ScalarNode:
		if strings.Contains(n.Value, "${") {
			e.scalar(n, path)
		}
	}
}

// scalar replaces what is known; what is not is noted and stays as it is written. A plain scalar is afterwards what
// its new text looks like: ${PORT} may become a number.
func (e *expansion) scalar(n *yaml.Node, path string) {
	at := Place{File: e.file, Line: n.Line, Col: n.Column, Path: path}
	var out strings.Builder
	rest := n.Value
	for {
		before, after, found := strings.Cut(rest, "${")
		if !found {
			break
		}
		if strings.HasSuffix(before, "$") {
			out.WriteString(strings.TrimSuffix(before, "$") + "${")
			rest = after
			continue
		}
		out.WriteString(before)
		name, tail, closed := strings.Cut(after, "}")
		value, set := e.lookup(name)
		switch {
		case !closed:
			e.report.Error(at, "${ without }", "${NAME} of an environment variable, or $${ for a plain ${")
			value = "${" + name
		case !set:
			e.report.Error(at, "environment variable "+name+" is not set", "set it, or write $${ for a plain ${")
			value = "${" + name + "}"
		}
		out.WriteString(value)
		rest = tail
	}
	out.WriteString(rest)
	n.Value = out.String()
	if n.Style == 0 {
		n.Tag = ""
	}
	if e.expanded == nil {
		e.expanded = map[*yaml.Node]bool{}
	}
	e.expanded[n] = true
}
