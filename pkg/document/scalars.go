package document

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"
)

const (
	allowedDuration = "a duration such as 30s, 10m, 1h30m, 1d"
	allowedShare    = "a share such as 15% or 0.15"
)

// Into makes a reader of a field that stores what was read. What could not be read stays as it was.
func Into[T any](destination *T, read func(Value) (T, bool)) func(Value) {
	return func(v Value) {
		if got, ok := read(v); ok {
			*destination = got
		}
	}
}

// scalar gives the text of a scalar as it is written; wanted tells what should stand there if none does.
func (v Value) scalar(wanted string) (string, bool) {
	if !v.IsScalar() {
		v.Expects(wanted)
		return "", false
	}
	n := v.resolved()
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
		return n.Value, true
	}
	v.Error("tag "+n.Tag, wanted)
	return "", false
}

// Text reads a text that is not empty. Numbers and the like are taken as they are written.
func (v Value) Text() (string, bool) {
	s, ok := v.scalar("a text")
	if ok && strings.TrimSpace(s) == "" {
		v.Error("the text is empty", "a text")
		return "", false
	}
	return s, ok
}

// Optional reads a text that may be empty.
func (v Value) Optional() (string, bool) {
	return v.scalar("a text")
}

// Bool reads true or false.
func (v Value) Bool() (bool, bool) {
	s, ok := v.scalar("true or false")
	if !ok {
		return false, false
	}
	if s != "true" && s != "false" {
		v.Error(v.quote(s)+" is neither", "true or false")
		return false, false
	}
	return s == "true", true
}

// Int reads a whole number from low to high.
func (v Value) Int(low, high int) (int, bool) {
	allowed := fmt.Sprintf("a whole number from %d to %d", low, high)
	if high == math.MaxInt {
		allowed = fmt.Sprintf("a whole number of at least %d", low)
	}
	s, ok := v.scalar(allowed)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		v.Error(v.quote(s)+" is not allowed", allowed)
		return 0, false
	}
	return n, true
}

// PositiveInt reads a whole number of at least 1.
func (v Value) PositiveInt() (int, bool) { return v.Int(1, math.MaxInt) }

// Number reads a finite number without a unit.
func (v Value) Number() (float64, bool) {
	s, ok := v.scalar("a number")
	if !ok {
		return 0, false
	}
	f, ok := finite(s)
	if !ok {
		v.Error(v.quote(s)+" is not a number", "a number such as 12 or 0.5")
	}
	return f, ok
}

// finite parses a decimal number: no hexadecimal, no underscores, no NaN, no infinity.
func finite(s string) (float64, bool) {
	if s == "" || strings.ContainsAny(s, "_xXpPnN") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// Duration reads a Prometheus duration, 0s included.
func (v Value) Duration() (time.Duration, bool) {
	s, ok := v.scalar(allowedDuration)
	if !ok {
		return 0, false
	}
	d, err := model.ParseDuration(s)
	if err == nil {
		return time.Duration(d), true
	}
	if _, number := finite(s); number {
		v.Error(v.quote(s)+" has no unit", allowedDuration)
	} else {
		v.Error(v.quote(s)+" is not a duration", allowedDuration)
	}
	return 0, false
}

// Positive reads a duration above 0s.
func (v Value) Positive() (time.Duration, bool) {
	d, ok := v.Duration()
	if ok && d == 0 {
		v.Error("0s is not allowed", allowedDuration)
		return 0, false
	}
	return d, ok
}

// ParseShare reads 15% or 0.15; it tells nothing of the range.
func ParseShare(s string) (float64, bool) {
	if percent, found := strings.CutSuffix(s, "%"); found {
		percent = strings.TrimSpace(percent)
		if _, ok := finite(percent); !ok || strings.ContainsAny(percent, "eE") {
			return 0, false
		}
		return finite(percent + "e-2") // the float nearest to the share: 99.9 / 100 is not 0.999
	}
	return finite(s)
}

// Share reads a share from 0 to 1.
func (v Value) Share() (float64, bool) {
	s, ok := v.scalar(allowedShare)
	if !ok {
		return 0, false
	}
	f, ok := ParseShare(s)
	switch {
	case !ok:
		v.Error(v.quote(s)+" is not a share", allowedShare)
	case f > 1 && !strings.HasSuffix(s, "%"):
		v.Error(v.quote(s)+" is more than the whole", "write "+s+"%, or a share from 0 to 1")
		return 0, false
	case f < 0 || f > 1:
		v.Error(v.quote(s)+" is not between 0 and the whole", allowedShare)
		return 0, false
	}
	return f, ok
}

// Multiple reads by how much something rises, as a factor above 1: 2x is 2, 50% and 0.5 are 1.5.
func (v Value) Multiple() (float64, bool) {
	const allowed = "a multiple such as 2x, or a share to rise by such as 50%"
	s, ok := v.scalar(allowed)
	if !ok {
		return 0, false
	}
	if times, found := strings.CutSuffix(s, "x"); found {
		f, ok := finite(strings.TrimSpace(times))
		if !ok || f <= 1 {
			v.Error(v.quote(s)+" does not rise", "a multiple above 1x, such as 2x")
			return 0, false
		}
		return f, true
	}
	f, ok := ParseShare(s)
	switch {
	case !ok || f <= 0:
		v.Error(v.quote(s)+" does not rise", allowed)
		return 0, false
	case f >= 1 && !strings.HasSuffix(s, "%"):
		v.Error(v.quote(s)+" may mean a multiple or a share", fmt.Sprintf("%sx or %s00%%", s, s))
		return 0, false
	}
	return 1 + f, true
}

// Date reads a day, in UTC.
func (v Value) Date() (time.Time, bool) {
	const allowed = "a date such as 2027-03-01"
	s, ok := v.scalar(allowed)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		v.Error(v.quote(s)+" is not a date", allowed)
		return time.Time{}, false
	}
	return t.UTC(), true
}

// OneOf reads one of a few words.
func (v Value) OneOf(words ...string) (string, bool) {
	s, ok := v.scalar("one of " + list(words))
	if !ok {
		return "", false
	}
	if !slices.Contains(words, s) {
		v.Error("unknown word "+v.quote(s), didYouMean(s, words)+"allowed are "+list(words))
		return "", false
	}
	return s, true
}

// Word makes a reader of one of a few words, for Into.
func Word[T ~string](words ...T) func(Value) (T, bool) {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return func(v Value) (T, bool) {
		s, ok := v.OneOf(texts...)
		return T(s), ok
	}
}

// Texts reads a list of different texts. The list may be empty.
func (v Value) Texts() ([]string, bool) {
	if !v.IsList() {
		v.Expects("a list of texts, such as [a, b]")
		return nil, false
	}
	all, fine := []string{}, true
	v.each(func(item Value) {
		s, ok := item.Text()
		if ok && slices.Contains(all, s) {
			item.Error(v.quote(s)+" is in the list twice", "once")
			ok = false
		}
		fine = fine && ok
		all = append(all, s)
	})
	return all, fine
}

// SomeTexts reads a list with at least one text.
func (v Value) SomeTexts() ([]string, bool) {
	all, ok := v.Texts()
	if ok && len(all) == 0 {
		v.Error("the list is empty", "at least one item")
		return nil, false
	}
	return all, ok
}

// Labels reads a map of label names to a value or a list of values.
func (v Value) Labels() (map[string][]string, bool) {
	labels, fine := map[string][]string{}, true
	ok := v.Named(func(name string, at Place, v Value) {
		if !model.LegacyValidation.IsValidLabelName(name) {
			v.source.report.Error(at, "`"+shorten(name)+"` is not a label name", "letters, digits and _")
			fine = false
		}
		if v.IsList() {
			values, ok := v.SomeTexts()
			labels[name], fine = values, fine && ok
			return
		}
		s, ok := v.scalar("a label value, or a list of them")
		labels[name], fine = []string{s}, fine && ok
	})
	if ok && len(labels) == 0 {
		v.Error("the map is empty", "labels such as {tier: paid}")
		return nil, false
	}
	return labels, ok && fine
}

// LabelNames reads a list with at least one label name.
func (v Value) LabelNames() ([]string, bool) {
	names, ok := v.SomeTexts()
	for _, name := range names {
		if ok && !model.LegacyValidation.IsValidLabelName(name) {
			v.Error("`"+shorten(name)+"` is not a label name", "letters, digits and _")
			return nil, false
		}
	}
	return names, ok
}

// Tree reads anything, as encoding/json would have: maps, lists, texts, float64, bool, nil. A number that JSON would
// change is noted.
func (v Value) Tree() (any, bool) {
	n := v.resolved()
	switch {
	case v.IsNothing():
		return nil, true
	case v.IsMap():
		tree, fine := map[string]any{}, true
		for _, e := range v.entries() {
			child, ok := e.value.Tree()
			tree[e.key], fine = child, fine && ok
		}
		return tree, fine
	case v.IsList():
		tree, fine := []any{}, true
		v.each(func(item Value) {
			child, ok := item.Tree()
			tree, fine = append(tree, child), fine && ok
		})
		return tree, fine
	}
	return v.leaf(n)
}

func (v Value) leaf(n *yaml.Node) (any, bool) {
	switch n.ShortTag() {
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), true
	case "!!int", "!!float":
		f, ok := finite(n.Value)
		if !ok || math.Abs(f) > 1<<53 {
			v.Error("number "+v.quote(n.Value)+" does not survive JSON", "quotes around it")
			return nil, false
		}
		return f, true
	}
	return v.scalar("a text, number, list or map")
}

// YAML is the value written anew, for a library that decodes it by itself.
func (v Value) YAML() string {
	n := v.resolved()
	if n == nil {
		return ""
	}
	out, err := yaml.Marshal(v.plain(n))
	if err != nil {
		return ""
	}
	return string(out)
}

// plain is the node without aliases and anchors, which would point outside of it.
func (v Value) plain(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	c := *n
	c.Anchor, c.HeadComment, c.LineComment, c.FootComment = "", "", "", ""
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, child := range n.Content {
		c.Content[i] = v.plain(child)
	}
	return &c
}

// list joins words for people.
func list(words []string) string { return strings.Join(words, ", ") }

// Address reads an http or https address.
func (v Value) Address() (string, bool) {
	const allowed = "an address such as http://prometheus:9090"
	s, ok := v.scalar(allowed)
	if !ok {
		return "", false
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		v.Error(v.quote(s)+" is not an http address", allowed)
		return "", false
	}
	return s, true
}

// Scalars visits every scalar below the value, aliases followed. It notes nothing.
func (v Value) Scalars(visit func(Value)) {
	switch {
	case v.IsScalar():
		visit(v)
	case v.IsList():
		v.each(func(item Value) { item.Scalars(visit) })
	case v.IsMap():
		n := v.resolved()
		for i := 0; i+1 < len(n.Content); i += 2 {
			v.child(n.Content[i+1], join(v.place.Path, n.Content[i].Value)).Scalars(visit)
		}
	}
}
