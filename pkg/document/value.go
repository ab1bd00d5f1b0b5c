package document

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Value is a node of a document: a map, a list or a scalar, with its place. Its readers note every problem in the
// report that the document was parsed with, and go on. The zero value stands nowhere and reads as nothing.
type Value struct {
	source *source
	node   *yaml.Node
	place  Place
}

// Field is a key that a map may have.
type Field struct {
	Key      string
	Required bool
	Missing  string // what to add where a required key is missing
	Read     func(Value)
}

// Place is where the value stands.
func (v Value) Place() Place { return v.place }

// Exists tells whether there is such a value at all.
func (v Value) Exists() bool { return v.node != nil }

// Error notes what is wrong with the value, and what is allowed.
func (v Value) Error(what, allowed string) {
	if v.source != nil {
		v.source.report.Error(v.place, what, allowed)
	}
}

// Warn notes what misleads.
func (v Value) Warn(what, allowed string) {
	if v.source != nil {
		v.source.report.Warn(v.place, what, allowed)
	}
}

// Later notes that only a later release can evaluate the value.
func (v Value) Later(what string) {
	if v.source != nil {
		v.source.report.Later(v.place, what)
	}
}

// Report is where the value notes its problems.
func (v Value) Report() *Report {
	if v.source == nil {
		return &Report{}
	}
	return v.source.report
}

// resolved is the node behind the alias, if there is one.
func (v Value) resolved() *yaml.Node {
	n := v.node
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// IsMap tells whether the value has keys.
func (v Value) IsMap() bool { n := v.resolved(); return n != nil && n.Kind == yaml.MappingNode }

// IsList tells whether the value is a list.
func (v Value) IsList() bool { n := v.resolved(); return n != nil && n.Kind == yaml.SequenceNode }

// IsScalar tells whether the value is a text, a number, or the like.
func (v Value) IsScalar() bool {
	n := v.resolved()
	return n != nil && n.Kind == yaml.ScalarNode && !v.IsNothing()
}

// IsNothing tells whether nothing stands after the key, or null.
func (v Value) IsNothing() bool {
	n := v.resolved()
	return n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// FromEnvironment tells whether the scalar came out of an environment variable, at least in part.
func (v Value) FromEnvironment() bool {
	n := v.resolved()
	return n != nil && v.source.expanded[n]
}

// entry is a key of a map and what stands there.
type entry struct {
	key   string
	at    Place // of the key
	value Value
}

// entries gives the keys of a map in their order, those of merged maps (<<) last. Keys written twice are noted.
func (v Value) entries() []entry {
	var all []entry
	var merged []Value
	seen := map[string]Place{}
	n := v.resolved()
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, node := n.Content[i], n.Content[i+1]
		at := Place{File: v.place.File, Line: key.Line, Col: key.Column, Path: join(v.place.Path, key.Value)}
		child := v.child(node, at.Path)
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			merged = append(merged, child)
			continue
		case key.Kind != yaml.ScalarNode:
			at.Path = v.place.Path
			v.source.report.Error(at, "a key must be a text", "quote a text that begins with { or [")
			continue
		}
		if first, twice := seen[key.Value]; twice {
			v.source.report.Error(at, "is here twice", fmt.Sprintf("the first is on line %d", first.Line))
			continue
		}
		seen[key.Value] = at
		all = append(all, entry{key.Value, at, child})
	}
	for _, m := range merged {
		all = m.merge(all, seen, v.place.Path)
	}
	return all
}

// merge adds the entries of a merged map that are not there yet, and of a list of such maps.
func (v Value) merge(all []entry, seen map[string]Place, path string) []entry {
	switch {
	case v.IsList():
		for _, node := range v.resolved().Content {
			all = v.child(node, v.place.Path).merge(all, seen, path)
		}
	case v.IsMap():
		for _, e := range v.entries() {
			if _, there := seen[e.key]; there {
				continue
			}
			seen[e.key] = e.at
			e.at.Path, e.value.place.Path = join(path, e.key), join(path, e.key)
			all = append(all, e)
		}
	default:
		v.Error("<< merges "+v.kind(), "a map, or a list of maps")
	}
	return all
}

func (v Value) child(n *yaml.Node, path string) Value {
	return Value{source: v.source, node: n, place: Place{File: v.place.File, Line: n.Line, Col: n.Column, Path: path}}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// kind names what the value is, for people.
func (v Value) kind() string {
	switch {
	case v.IsNothing():
		return "nothing"
	case v.IsMap():
		return "a map"
	case v.IsList():
		return "a list"
	}
	return v.quote(v.resolved().Value)
}

// quote shows a text of the value, unless it came out of the environment and may be a secret.
func (v Value) quote(s string) string {
	if v.FromEnvironment() {
		return "the expanded text"
	}
	return "`" + shorten(s) + "`"
}

func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > 40 {
		s = string([]rune(s)[:39]) + "…"
	}
	return s
}

// Expects notes that the value is of another kind than is wanted.
func (v Value) Expects(wanted string) {
	if v.IsNothing() {
		v.Error("nothing stands here", wanted)
		return
	}
	if n := v.resolved(); n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0 && strings.HasPrefix(v.raw(), "{{") {
		v.Error("YAML reads {{ as a map", "quote the text: \"{{ … }}\"")
		return
	}
	v.Error(v.kind()+" stands here", wanted)
}

// raw is the source text from where the value begins to the end of its line.
func (v Value) raw() string {
	line, ok := v.line(v.place.Line)
	if !ok {
		return ""
	}
	runes := []rune(line)
	return string(runes[min(max(v.place.Col-1, 0), len(runes)):])
}

func (v Value) line(number int) (string, bool) {
	if number < 1 || number > len(v.source.lines) {
		return "", false
	}
	return strings.TrimSuffix(v.source.lines[number-1], "\r"), true
}

// Object reads a map by the table of the keys that it may have. Unknown, repeated and missing keys are noted. The
// fields are read in the order of the table.
func (v Value) Object(fields ...Field) bool {
	allowed := make([]string, len(fields))
	for i, f := range fields {
		allowed[i] = f.Key
	}
	if !v.IsMap() {
		v.Expects("a map with the keys " + list(allowed))
		return false
	}
	found := map[string]Value{}
	for _, e := range v.entries() {
		if !slices.Contains(allowed, e.key) {
			v.source.report.Error(e.at, "unknown key", didYouMean(e.key, allowed)+"allowed are "+list(allowed))
			continue
		}
		found[e.key] = e.value
	}
	complete := true
	for _, f := range fields {
		value, there := found[f.Key]
		switch {
		case there && f.Read != nil:
			f.Read(value)
		case !there && f.Required:
			complete = false
			at := v.place
			at.Path = join(at.Path, f.Key)
			v.source.report.Error(at, "is missing", f.Missing)
		}
	}
	return complete
}

// Get gives the value of a key of a map, or a value that doesn't exist. It notes nothing.
func (v Value) Get(path ...string) Value {
	for _, key := range path {
		_, v = v.find(key)
	}
	return v
}

// Has tells whether a map has a key.
func (v Value) Has(key string) bool { return v.Get(key).Exists() }

// find gives a key of a map, or of one merged into it, and its value.
func (v Value) find(key string) (*yaml.Node, Value) {
	n := v.resolved()
	if !v.IsMap() {
		return nil, Value{}
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch {
		case n.Content[i].Value == key:
			return n.Content[i], v.child(n.Content[i+1], join(v.place.Path, key))
		case n.Content[i].ShortTag() == "!!merge":
			merged = append(merged, n.Content[i+1])
		}
	}
	for i := 0; i < len(merged); i++ {
		inner := v.child(merged[i], v.place.Path)
		if inner.IsList() {
			merged = append(merged, inner.resolved().Content...)
			continue
		}
		if node, found := inner.find(key); node != nil {
			return node, found
		}
	}
	return nil, Value{}
}

// Key is where a key of a map stands, else where the map stands, with the key in its path.
func (v Value) Key(key string) Place {
	at := v.place
	if node, _ := v.find(key); node != nil {
		at.Line, at.Col = node.Line, node.Column
	}
	at.Path = join(at.Path, key)
	return at
}

// Keys gives the keys of a map, in their order, without merged ones. It notes nothing.
func (v Value) Keys() []string {
	if !v.IsMap() {
		return nil
	}
	var keys []string
	n := v.resolved()
	for i := 0; i+1 < len(n.Content); i += 2 {
		keys = append(keys, n.Content[i].Value)
	}
	return keys
}

// Named reads a map whose keys are names that the user chose.
func (v Value) Named(read func(name string, at Place, v Value)) bool {
	if !v.IsMap() {
		v.Expects("a map of names")
		return false
	}
	for _, e := range v.entries() {
		read(e.key, e.at, e.value)
	}
	return true
}

// Items reads a list with at least one item.
func (v Value) Items(read func(Value)) bool {
	if !v.IsList() {
		v.Expects("a list")
		return false
	}
	n := v.resolved()
	if len(n.Content) == 0 {
		v.Error("the list is empty", "at least one item")
		return false
	}
	v.each(read)
	return true
}

// Item gives one item of a list, or a value that doesn't exist. It notes nothing.
func (v Value) Item(index int) Value {
	if n := v.resolved(); v.IsList() && index >= 0 && index < len(n.Content) {
		return v.child(n.Content[index], fmt.Sprintf("%s[%d]", v.place.Path, index))
	}
	return Value{}
}

// each reads the items of a list, which may be empty.
func (v Value) each(read func(Value)) {
	for i, node := range v.resolved().Content {
		read(v.child(node, fmt.Sprintf("%s[%d]", v.place.Path, i)))
	}
}

// At is the place of a byte of the scalar, where the source shows it plainly; else of the scalar's beginning.
func (v Value) At(offset int) Place {
	at := v.place
	n := v.resolved()
	if n == nil || n.Kind != yaml.ScalarNode || n != v.node || offset < 0 || offset > len(n.Value) {
		return at
	}
	if n.Style&yaml.LiteralStyle != 0 {
		return v.inLiteral(n, offset)
	}
	raw := v.raw()
	skip := 0
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		skip = 1
	}
	if len(raw) < skip || !strings.HasPrefix(raw[skip:], n.Value) {
		return at
	}
	at.Col += skip + utf8.RuneCountInString(n.Value[:offset])
	return at
}

// inLiteral finds the byte of a block scalar (|): its lines are those of the source, less an indentation.
func (v Value) inLiteral(n *yaml.Node, offset int) Place {
	at := v.place
	before := n.Value[:offset]
	down := strings.Count(before, "\n")
	start := strings.LastIndex(before, "\n") + 1
	content, _, _ := strings.Cut(n.Value[start:], "\n")
	line, ok := v.line(n.Line + 1 + down)
	if !ok || !strings.HasSuffix(line, content) {
		return at
	}
	at.Line += 1 + down
	at.Col = len(line) - len(content) + 1 + utf8.RuneCountInString(before[start:])
	return at
}
