package action

import (
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"path"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// prompts is a connector that a test's actions go through.
func prompts() Connectors {
	return Connectors{"prompts": {Name: "prompts", URL: "https://prompts.internal/api", BearerTokenFile: "secrets/prompts",
		Allow: []string{"GET /labels/*", "PUT /labels/*", "PATCH /versions/*/live", "GET /search?label=*&limit=1", "POST /any/**"}}}
}

// setLabel is the action that LANGUAGE's example has.
func setLabel() Call {
	return Call{Action: &runbook.Action{
		Connector: "prompts", Method: "PUT", Path: "/labels/live", Semantics: runbook.SemanticsSet,
		Body:    map[string]any{"version": "{{ .Previous }}", "reason": "back from {{ .Current }} for {{ .Service }}", "weights": []any{1.0, 0.5, true, nil}},
		Confirm: &runbook.Confirm{Method: "GET", Path: "/labels/live", Expect: map[string]any{"version": "{{ .Previous }}"}},
	}}
}

func at(method, path string) Call {
	return Call{Action: &runbook.Action{Connector: "prompts", Method: method, Path: path, Semantics: runbook.SemanticsSet}}
}

var values = Values{Previous: "v6", Current: "v7", Service: "support-bot", Group: map[string]string{"tier": "paid"}}

func TestTheRequestIsShownAsItIsSentWithoutItsSecrets(t *testing.T) {
	request, err := prompts().Render(setLabel(), values)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/request.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(request.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if request.String() != string(want) {
		t.Errorf("shown is\n%s\nwanted\n%s", request, want)
	}
}

func TestAValueStaysInItsPlace(t *testing.T) {
	for name, test := range map[string]struct{ value, segment string }{
		"a plain version":                  {"v6", "v6"},
		"a quote and a brace":              {`v6","admin":true}`, "v6%22%2C%22admin%22:true%7D"},
		"a query":                          {"v6?force=1&x=y", "v6%3Fforce=1&x=y"},
		"a fragment":                       {"v6#x", "v6%23x"},
		"an escape is escaped again":       {"%2e%2e", "%252e%252e"},
		"a slash as an escape":             {"%2f..%2f", "%252f..%252f"},
		"another host":                     {"@evil.example", "@evil.example"},
		"letters of other scripts":         {"förderung-版本", "f%C3%B6rderung-%E7%89%88%E6%9C%AC"},
		"a template":                       {"{{ .Current }}", "%7B%7B%20.Current%20%7D%7D"},
		"HTML":                             {"<b>&amp;</b>-", ""},
		"dots within":                      {"v1..2", "v1..2"},
		"a value at the bound of length":   {strings.Repeat("v", valueBytes), strings.Repeat("v", valueBytes)},
		"an image with registry and port ": {"registry:5000", "registry:5000"},
	} {
		t.Run(name, func(t *testing.T) {
			v := Values{Previous: test.value, Current: "v7", Service: "bot"}
			if test.segment != "" {
				request, err := prompts().Render(at("PATCH", "/versions/{{ .Previous }}/live"), v)
				if err != nil {
					t.Fatal(err)
				}
				if want := "https://prompts.internal/api/versions/" + test.segment + "/live"; request.URL != want {
					t.Errorf("%s, wanted %s", request.URL, want)
				}
			}
			request, err := prompts().Render(setLabel(), v)
			if err != nil {
				t.Fatal(err)
			}
			var body map[string]any
			if err := json.Unmarshal(request.Body, &body); err != nil || len(body) != 3 || body["version"] != test.value {
				t.Errorf("%s: %v", request.Body, err)
			}
		})
	}
}

func TestAValueThatIsNoVersionIsRefused(t *testing.T) {
	for name, value := range map[string]string{
		"empty": "", "a dot": ".", "two dots": "..", "a newline": "v6\n", "CR and LF": "v6\r\nX-Admin: 1", "NUL": "v6\x00",
		"a tab": "v\t6", "not UTF-8": "v\xff", "10 kB": strings.Repeat("v", 10<<10), "text turned around": "v6\u202e7v",
		"a space of no width": "v6\u200b", "a line separator": "v6\u2028", "DEL": "v6\x7f", "a control character of C1": "v6\u0085",
	} {
		t.Run(name, func(t *testing.T) {
			v := Values{Previous: value, Current: "v7", Service: "bot"}
			for _, call := range []Call{setLabel(), at("PATCH", "/versions/{{ .Previous }}/live")} {
				request, err := prompts().Render(call, v)
				if err == nil || !strings.Contains(err.Error(), ".Previous") {
					t.Errorf("%v: %v", request, err)
				}
				if err != nil && !printable(err.Error()) {
					t.Errorf("the error holds what can't be seen: %q", err)
				}
			}
		})
	}
}

func TestAValueLeadsNowhereElse(t *testing.T) {
	for name, value := range map[string]string{
		"a slash":                        "a/b",
		"up and away":                    "../../admin",
		"up inside":                      "a/../../admin",
		"up with a backslash":            `..\admin`,
		"up with a parameter":            "..;a",
		"up and down with parameters":    "a/..;x=1/b",
		"an empty segment":               "a//b",
		"a slash alone":                  "/",
		"a whole path that it allows":    "x/live/../../labels/y",
		"the same segments once decoded": "a/live/versions/b",
	} {
		for _, path := range []string{"/versions/{{ .Previous }}/live", "/labels/{{ .Previous }}"} {
			method := map[bool]string{true: "PUT", false: "PATCH"}[strings.HasPrefix(path, "/labels")]
			if request, err := prompts().Render(at(method, path), Values{Previous: value}); err == nil {
				t.Errorf("%s: %s", name, request.URL)
			}
		}
	}
	if request, err := prompts().Render(at("POST", "/any/{{ .Previous }}"), Values{Previous: "a/b"}); err != nil || !strings.HasSuffix(request.URL, "/any/a%2Fb") {
		t.Errorf("** allows a slash, and it stays in its segment: %v %v", request, err)
	}
	for _, value := range []string{"../x", "a/../b", "..", `a\..\b`} {
		if request, err := prompts().Render(at("POST", "/any/{{ .Previous }}"), Values{Previous: value}); err == nil {
			t.Errorf("** leads up: %s", request.URL)
		}
	}
	if request, err := prompts().Render(at("POST", "/any/.{{ .Previous }}"), Values{Previous: ".x"}); err != nil || request == nil {
		t.Errorf("dots that lead nowhere: %v", err)
	}
}

func TestAQueryIsEncodedAsOne(t *testing.T) {
	request, err := prompts().Render(at("GET", "/search?label={{ .Previous }}&limit=1"), Values{Previous: "a&limit=9+ü/?#"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(request.URL)
	if err != nil {
		t.Fatal(err)
	}
	if want := (url.Values{"label": {"a&limit=9+ü/?#"}, "limit": {"1"}}); !reflect.DeepEqual(u.Query(), want) || u.Fragment != "" {
		t.Errorf("%s", request.URL)
	}
}

func TestATemplateTakesPlainFieldsAlone(t *testing.T) {
	for _, text := range []string{
		"{{ .Title }}", "{{ .Impact }}", "{{ .Severity }}", "{{ if .Previous }}x{{ end }}", "{{ printf .Previous }}", "{{ .Previous | urlquery }}",
		"{{ . }}", "{{ $ }}", "{{ .Group }}", "{{ .Group.a.b }}", "{{ .Previous.x }}", "{{ range .Group }}{{ end }}", `{{ "x" }}`,
		"{{ $x := .Previous }}", "{{ .Previous", `{{ template "x" }}`, `{{ define "x" }}{{ end }}{{ .Title }}`,
	} {
		body := setLabel()
		body.Action.Body = map[string]any{"a": []any{map[string]any{"b": text}}}
		path, expect := at("PUT", "/labels/"+strings.ReplaceAll(text, " ", "")), setLabel()
		expect.Action.Confirm.Expect = text
		for place, call := range map[string]Call{"body": body, "path": path, "expect": expect} {
			if err := prompts().Check(call); err == nil {
				t.Errorf("%s in a %s is taken", text, place)
			}
		}
	}
	key := setLabel()
	key.Action.Body = map[string]any{"{{ .Previous }}": 1.0}
	if err := prompts().Check(key); err == nil {
		t.Error("a key is a template")
	}
	fine := setLabel()
	fine.Action.Body = "{{- .Previous -}} {{/* a comment */}}{{ .Current }} {{ .Service }} {{ .Group.tier }} }}"
	request, err := prompts().Render(fine, values)
	if err != nil || string(request.Body) != `"v6v7 support-bot paid }}"` {
		t.Errorf("%v %v", request, err)
	}
}

func TestOnlyWhatTheConnectorAllowsIsRendered(t *testing.T) {
	for _, test := range []struct{ method, path, allow, refused string }{
		{"PUT", "/labels/live", "PUT /labels/*", ""},
		{"PUT", "/labels/{{ .Previous }}", "PUT /labels/*", ""},
		{"PUT", "/labels/v{{ .Previous }}-x", "PUT /labels/*", ""},
		{"PUT", "/labels/live", "PUT /labels/live", ""},
		{"GET", "/labels/live", "PUT /labels/*", "doesn't allow GET /labels/live; it allows PUT /labels/*"},
		{"PUT", "/labels", "PUT /labels/*", "doesn't allow"},
		{"PUT", "/labels/", "PUT /labels/*", "doesn't allow"},
		{"PUT", "/labels/a/b", "PUT /labels/*", "doesn't allow"},
		{"PUT", "/labels/a/b", "PUT /labels/**", ""},
		{"PUT", "/labels", "PUT /labels/**", "doesn't allow"},
		{"PUT", "/labels/{{ .Previous }}", "PUT /labels/live", "doesn't allow"},
		{"PUT", "/{{ .Previous }}/live", "PUT /labels/*", "doesn't allow"},
		{"PUT", "/labels/a%2Fb", "PUT /labels/*", "doesn't allow"},
		{"PUT", "/labels/a%2Fb", "PUT /labels/a%2Fb", ""},
		{"PUT", "/labels/a/b", "PUT /labels/a%2Fb", "doesn't allow"},
		{"PUT", "/labels/../admin", "PUT /labels/**", `a segment ".."`},
		{"PUT", "/labels/%2e%2e/admin", "PUT /labels/**", `a segment ".."`},
		{"PUT", "/labels//x", "PUT /labels/**", "an empty segment"},
		{"PUT", "//evil.example/x", "PUT /**", "an empty segment"},
		{"PUT", "/labels/x#y", "PUT /labels/*", "fragment"},
		{"PUT", "/labels/%00", "PUT /labels/*", "control character"},
		{"PUT", "/labels/%0a", "PUT /labels/*", "control character"},
		{"PUT", "/labels/%zz", "PUT /labels/*", "no escape"},
		{"PUT", "/labels/%2{{ .Previous }}", "PUT /labels/*", "no escape"},
		{"PUT", "/labels/a b", "PUT /labels/*", "can't hold"},
		{"PUT", "/labels/x?force=true", "PUT /labels/*", "doesn't allow"},
		{"PUT", "/labels/x?force=true", "PUT /labels/*?force=*", ""},
		{"PUT", "/labels/x?force=true", "PUT /labels/*?force=true", ""},
		{"PUT", "/labels/x?force={{ .Previous }}", "PUT /labels/*?force=true", "doesn't allow"},
		{"PUT", "/labels/x?force={{ .Previous }}", "PUT /labels/*?force=*", ""},
		{"PUT", "/labels/x", "PUT /labels/*?dryRun=All", "doesn't allow"},
		{"PUT", "/labels/x?a=1&a=2", "PUT /labels/*?a=*", "each once"},
		{"PUT", "/labels/x?{{ .Previous }}=1", "PUT /labels/*?a=*", "with names"},
		{"PUT", "/labels/x?a=%1b", "PUT /labels/*?a=*", "control character"},
		{"PUT", "/labels/x?a=1;b=2", "PUT /labels/*?a=*", "not encoded"},
		{"PUT", "/labels/x", "PUT /lab*/x", "* stands for a whole segment"},
		{"PUT", "/labels/x", "PUT /**/x", "** stands at the end alone"},
		{"PUT", "/labels/x", "LIST /labels/x", "no method"},
		{"PUT", "/labels/x", "PUT labels", "must begin with /"},
	} {
		c := Connectors{"prompts": {Name: "prompts", URL: "https://prompts.internal", Allow: []string{test.allow}}}
		for step, err := range map[string]error{
			"check":  c.Check(at(test.method, test.path)),
			"render": func() error { _, err := c.Render(at(test.method, test.path), Values{Previous: "true"}); return err }(),
		} {
			switch {
			case test.refused == "" && err != nil:
				t.Errorf("%s of %s %s, allowed %s: %v", step, test.method, test.path, test.allow, err)
			case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)):
				t.Errorf("%s of %s %s, allowed %s: %v", step, test.method, test.path, test.allow, err)
			}
		}
	}
}

func TestUnknownConnectorsAndKindsOfBodyAreRefused(t *testing.T) {
	call := setLabel()
	call.Action.Connector = "prompt"
	if err := prompts().Check(call); err == nil || err.Error() != `unknown connector "prompt"; there are prompts` {
		t.Error(err)
	}
	if err := (Connectors{}).Check(call); err == nil || err.Error() != `unknown connector "prompt": the settings have none` {
		t.Error(err)
	}
	for text, fine := range map[string]bool{
		"": true, "application/json": true, "application/strategic-merge-patch+json": true,
		"application/json; domain-model=launchdarkly.semanticpatch": true,
		"text/plain": false, "application/x-www-form-urlencoded": false, "json": false, "application/json\r\nX: y": false, "text/x+json": false,
	} {
		call := setLabel()
		call.ContentType = text
		if err := prompts().Check(call); (err == nil) != fine {
			t.Errorf("%q: %v", text, err)
		}
	}
	large := setLabel()
	large.Action.Body = strings.Repeat("x", bodyBytes)
	if _, err := prompts().Render(large, values); err == nil {
		t.Error("a body without bounds")
	}
}

func TestAConnectorIsCheckedByItself(t *testing.T) {
	good := Connector{Name: "c", URL: "https://c.internal", Allow: []string{"PUT /x"}}
	for name, test := range map[string]struct {
		change func(*Connector)
		want   string // empty: fine
	}{
		"as it is":                   {func(*Connector) {}, ""},
		"http to loopback":           {func(c *Connector) { c.URL = "http://127.0.0.1:8000/api/" }, ""},
		"http to localhost":          {func(c *Connector) { c.URL = "http://localhost:8000" }, ""},
		"http to IPv6 loopback":      {func(c *Connector) { c.URL = "http://[::1]:8000" }, ""},
		"http elsewhere":             {func(c *Connector) { c.URL = "http://prompts.internal" }, "must be https"},
		"http to a likely name":      {func(c *Connector) { c.URL = "http://localhost.evil.example" }, "must be https"},
		"another scheme":             {func(c *Connector) { c.URL = "ftp://c.internal" }, "must be https"},
		"no host":                    {func(c *Connector) { c.URL = "https:///x" }, "no address"},
		"a password in the address":  {func(c *Connector) { c.URL = "https://u:hunter2@c.internal" }, "holds a user"},
		"a query in the address":     {func(c *Connector) { c.URL = "https://c.internal?token=hunter2" }, "holds a query"},
		"up in the address":          {func(c *Connector) { c.URL = "https://c.internal/a/../b" }, `a segment ".."`},
		"nothing allowed":            {func(c *Connector) { c.Allow = nil }, "allows nothing"},
		"two credentials":            {func(c *Connector) { c.BearerTokenFile = "a"; c.HeaderFiles = map[string]string{"authorization": "b"} }, "more than one"},
		"a user without a password":  {func(c *Connector) { c.Username = "u" }, "go together"},
		"a header that is the host":  {func(c *Connector) { c.HeaderFiles = map[string]string{"host": "a"} }, "can't be set"},
		"a header that is no header": {func(c *Connector) { c.HeaderFiles = map[string]string{"a: b\r\n": "a"} }, "can't be set"},
		"a header for a key":         {func(c *Connector) { c.HeaderFiles = map[string]string{"api-key": "a"} }, ""},
	} {
		c := good
		test.change(&c)
		_, err := NewConnectors(c)
		switch {
		case test.want == "" && err != nil, test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v", name, err)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error holds a secret", name)
		}
	}
}

func TestTheDigestChangesWithAllThatIsApproved(t *testing.T) {
	digest := func(change func(*Request), observed string) string {
		request, err := prompts().Render(setLabel(), values)
		if err != nil {
			t.Fatal(err)
		}
		change(request)
		return request.Digest(observed)
	}
	same := func(*Request) {}
	first := digest(same, `{"version":"v7"}`)
	if first != digest(same, `{"version":"v7"}`) || len(first) != 64 {
		t.Error("the same request has another digest")
	}
	for name, other := range map[string]string{
		"observed":     digest(same, `{"version":"v8"}`),
		"method":       digest(func(r *Request) { r.Method = "POST" }, `{"version":"v7"}`),
		"url":          digest(func(r *Request) { r.URL += "x" }, `{"version":"v7"}`),
		"body":         digest(func(r *Request) { r.Body = append(r.Body, ' ') }, `{"version":"v7"}`),
		"content type": digest(func(r *Request) { r.ContentType += ";x=y" }, `{"version":"v7"}`),
		"semantics":    digest(func(r *Request) { r.Semantics = "create" }, `{"version":"v7"}`),
		"connector":    digest(func(r *Request) { r.Connector = "other" }, `{"version":"v7"}`),
		"expect":       digest(func(r *Request) { r.Confirm.Expect = nil }, `{"version":"v7"}`),
		"confirm url":  digest(func(r *Request) { r.Confirm.URL += "x" }, `{"version":"v7"}`),
		"no confirm":   digest(func(r *Request) { r.Confirm = nil }, `{"version":"v7"}`),
	} {
		if other == first {
			t.Errorf("%s is no part of what is approved", name)
		}
	}
}

// FuzzRender holds, for every value, that it is refused, or that the request goes to the connector, to a path with the
// same number of segments however it is read, and with a body in which it is one text.
func FuzzRender(f *testing.F) {
	for _, seed := range []string{"v6", "..", "a/b", "%2e%2e", "a\\..\\b", `"}`, "\r\n", "é", "\u202e", "{{ .Previous }}", "..;", "?", "#", "*", "\x00"} {
		f.Add(seed)
	}
	connectors := prompts()
	f.Fuzz(func(t *testing.T, value string) {
		call := at("PATCH", "/versions/{{ .Previous }}/live")
		call.Action.Body = map[string]any{"a": "{{ .Previous }}"}
		request, err := connectors.Render(call, Values{Previous: value})
		if err != nil {
			if !utf8.ValidString(err.Error()) || !printable(err.Error()) {
				t.Fatalf("%q", err)
			}
			return
		}
		u, err := url.Parse(request.URL)
		if err != nil || u.Scheme != "https" || u.Host != "prompts.internal" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			t.Fatalf("%q: %s: %v", value, request.URL, err)
		}
		for _, p := range []string{u.Path, u.EscapedPath()} {
			if !strings.HasPrefix(p, "/api/versions/") || !strings.HasSuffix(p, "/live") || strings.Count(p, "/") != 4 {
				t.Fatalf("%q: %s", value, p)
			}
		}
		if clean := path.Clean(u.Path); clean != u.Path {
			t.Fatalf("%q leads to %s", value, clean)
		}
		var body map[string]any
		if err := json.Unmarshal(request.Body, &body); err != nil || len(body) != 1 || body["a"] != value {
			t.Fatalf("%q: %s", value, request.Body)
		}
	})
}
