package action

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// open stands for a leaf of an expected tree that holds values: it may be anything.
type open struct{}

// openLeaves is a tree with every text that is a template left open.
func openLeaves(tree any) any {
	switch t := tree.(type) {
	case string:
		if strings.Contains(t, "{{") {
			return open{}
		}
	case map[string]any:
		opened := make(map[string]any, len(t))
		for key, child := range t {
			opened[key] = openLeaves(child)
		}
		return opened
	case []any:
		opened := make([]any, len(t))
		for i := range t {
			opened[i] = openLeaves(t[i])
		}
		return opened
	}
	return tree
}

// readJSON reads one JSON document whole. Numbers stay as they are written.
func readJSON(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return nil, errors.New("the answer is no JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the answer is more than one JSON document")
	}
	return tree, nil
}

// contains tells whether an answer holds all that is expected:
//   - of a map, the keys that are expected; others don't matter;
//   - of a list of maps, for each that is expected one that contains it, in any order; of another list, the very same
//     items in the same order, for [a] is not [a, b] where the order is one of preference;
//   - a text where the same text stands, or a number that is written like it: versions are texts to a runbook, and 6 to
//     many services. Numbers, true, false and null only where just they stand; null is not the same as missing.
func contains(answer, expected any) bool {
	switch e := expected.(type) {
	case map[string]any:
		a, ok := answer.(map[string]any)
		if !ok {
			return false
		}
		for key, child := range e {
			if value, has := a[key]; !has || !contains(value, child) {
				return false
			}
		}
		return true
	case []any:
		a, ok := answer.([]any)
		return ok && containsItems(a, e)
	case open:
		return true
	case string:
		if number, ok := answer.(json.Number); ok {
			return number.String() == e
		}
		return answer == any(e)
	case float64:
		number, ok := answer.(json.Number)
		if !ok {
			return false
		}
		f, err := number.Float64()
		return err == nil && f == e
	default:
		return answer == expected
	}
}

func containsItems(answer, expected []any) bool {
	if !allMaps(expected) {
		if len(answer) != len(expected) {
			return false
		}
		for i := range expected {
			if !contains(answer[i], expected[i]) {
				return false
			}
		}
		return true
	}
	for _, e := range expected {
		found := false
		for i := 0; i < len(answer) && !found; i++ {
			found = contains(answer[i], e)
		}
		if !found {
			return false
		}
	}
	return true
}

func allMaps(list []any) bool {
	for _, item := range list {
		if _, ok := item.(map[string]any); !ok {
			return false
		}
	}
	return len(list) > 0
}

// project is what an answer holds at the places of an expected tree. Of a list of maps these are the items that agree
// with an expected one in all but its open leaves: the alias of that name, whatever it points to.
func project(answer, places any) any {
	switch p := places.(type) {
	case map[string]any:
		a, ok := answer.(map[string]any)
		if !ok {
			return answer
		}
		seen := map[string]any{}
		for key, child := range p {
			if value, has := a[key]; has {
				seen[key] = project(value, child)
			}
		}
		return seen
	case []any:
		a, ok := answer.([]any)
		if !ok || !allMaps(p) {
			return answer
		}
		seen := []any{}
		for _, place := range p {
			for _, item := range a {
				if contains(item, place) {
					seen = append(seen, project(item, place))
				}
			}
		}
		return seen
	}
	return answer
}

// seenBytes is the most that is shown of what was seen.
const seenBytes = 400

// show is what was seen, for people and for the digest: JSON on one line with nothing in it that can't be seen. What is
// too long is cut, with a hash of the whole, so that two such values differ still.
func show(tree any) string {
	whole := encode(tree)
	var b strings.Builder
	for _, r := range string(whole) {
		if b.Len() > seenBytes {
			sum := sha256.Sum256(whole)
			return b.String() + "… (sha256 " + hex.EncodeToString(sum[:8]) + ")"
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
