package action

import (
	"encoding/json"
	"strings"
	"testing"
)

// tree reads JSON as a runbook's YAML is read: numbers as float64.
func tree(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestAnAnswerContainsWhatIsExpected(t *testing.T) {
	for _, test := range []struct {
		expected, answer string
		want             bool
	}{
		{`{"version":"6"}`, `{"version":"6","more":1}`, true},
		{`{"version":"6"}`, `{"version":6}`, true},
		{`{"version":"6"}`, `{"version":6.0}`, false},
		{`{"version":"6"}`, `{"version":60}`, false},
		{`{"version":"06"}`, `{"version":6}`, false},
		{`{"version":6}`, `{"version":6.0}`, true},
		{`{"version":6}`, `{"version":"6"}`, false},
		{`{"on":"true"}`, `{"on":true}`, false},
		{`{"on":false}`, `{"on":false}`, true},
		{`{"on":false}`, `{"on":null}`, false},
		{`{"on":false}`, `{}`, false},
		{`{"on":null}`, `{"on":null}`, true},
		{`{"on":null}`, `{}`, false},
		{`{"a":{"b":"x"}}`, `{"a":{"b":"x","c":1},"d":2}`, true},
		{`{"a":{"b":"x"}}`, `{"a":"x"}`, false},
		{`{}`, `[]`, false},
		{`{}`, `{"a":1}`, true},
		{`["a"]`, `["a"]`, true},
		{`["a"]`, `["a","b"]`, false},
		{`["a","b"]`, `["b","a"]`, false},
		{`[]`, `["a"]`, false},
		{`[]`, `[]`, true},
		{`["a"]`, `"a"`, false},
		{`[{"n":"kb","c":"old"}]`, `[{"n":"x","c":"y"},{"n":"kb","c":"old","z":1}]`, true},
		{`[{"n":"kb","c":"old"}]`, `[{"n":"kb","c":"new"},{"n":"x","c":"old"}]`, false},
		{`[{"n":"a"},{"n":"b"}]`, `[{"n":"b"},{"n":"a"}]`, true},
		{`[{"n":"a"}]`, `[]`, false},
		{`[["a"]]`, `[["a"]]`, true},
		{`"x"`, `"x"`, true},
		{`9007199254740992`, `9007199254740992`, true},
		{`"9007199254740993"`, `9007199254740992`, false},
		{`1`, `1e400`, false},
	} {
		answer, err := readJSON([]byte(test.answer))
		if err != nil {
			t.Fatal(err)
		}
		if got := contains(answer, tree(t, test.expected)); got != test.want {
			t.Errorf("%s in %s: %v", test.expected, test.answer, got)
		}
	}
}

func TestWhatIsSeenIsWhatStandsAtThePlacesThatAreExpected(t *testing.T) {
	for _, test := range []struct{ template, answer, want string }{
		{`{"version":"{{ .Previous }}"}`, `{"version":7,"secret":"x"}`, `{"version":7}`},
		{`{"version":"{{ .Previous }}"}`, `{"secret":"x"}`, `{}`},
		{`{"version":"{{ .Previous }}"}`, `"gone"`, `"gone"`},
		{`{"a":[{"name":"kb","to":"{{ .Previous }}"}]}`, `{"a":[{"name":"x","to":"v6"},{"name":"kb","to":"v7","id":1}]}`, `{"a":[{"name":"kb","to":"v7"}]}`},
		{`{"a":[{"name":"kb","to":"{{ .Previous }}"}]}`, `{"a":[{"name":"x","to":"v6"}]}`, `{"a":[]}`},
		{`{"a":["{{ .Previous }}"]}`, `{"a":["x","y"]}`, `{"a":["x","y"]}`},
		{`{"a":"{{ .Previous }}"}`, `{"a":"\u202e\u0007<b>"}`, `{"a":"\u202e\u0007<b>"}`},
	} {
		answer, err := readJSON([]byte(test.answer))
		if err != nil {
			t.Fatal(err)
		}
		if got := show(project(answer, openLeaves(tree(t, test.template)))); got != test.want {
			t.Errorf("%s in %s: %s", test.template, test.answer, got)
		}
	}
}

func TestLongValuesAreCutAndDifferStill(t *testing.T) {
	one, other := show(strings.Repeat("x", 10_000)+"1"), show(strings.Repeat("x", 10_000)+"2")
	if one == other || len(one) > seenBytes+60 || !strings.Contains(one, "… (sha256 ") {
		t.Error(one, other)
	}
}
