package access_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/document"
)

func TestANewTokenIsAsTheFileWantsIt(t *testing.T) {
	token, hash := access.NewToken()
	other, _ := access.NewToken()
	if !strings.HasPrefix(token, "ird_") || len(token) != 4+43 || token == other || access.HashToken(token) != hash {
		t.Errorf("token of %d characters, hash %s", len(token), hash)
	}
	for _, name := range []string{"alice", `a "quoted" \ name`, "true", "ü: [x]"} {
		var report document.Report
		access.Check(file(t, "tokens.yaml", "tokens:\n"+access.Entry(name, []access.Scope{access.Respond, access.Change}, hash)), "", &report)
		if len(report.Problems) != 0 {
			t.Errorf("%s: %v", name, report.Problems)
		}
	}
}

// problems gives what Check says of a tokens file, with the file's path left out.
func problems(t testing.TB, path string) string {
	t.Helper()
	var report document.Report
	access.Check(path, "", &report)
	report.Sort()
	var lines []string
	for _, p := range report.Problems {
		lines = append(lines, p.Level.String()+" "+strings.ReplaceAll(p.String(), path, "F"))
	}
	return strings.Join(lines, "\n")
}

func TestWhatIsWrongWithATokensFile(t *testing.T) {
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	const secret = "ird_d29ybGQgcGVhY2UgaXMgbm90IGEgc2VjcmV0IQ"
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "tokens: [{name: x, scopes: [read], sha256: " + a + ", expires: 2999-01-01}]", ""},
		{"letters of the other case", "tokens: [{name: x, scopes: [read], sha256: " + strings.Repeat("A", 64) + "}]", ""},
		{"an empty file", "", "error F:1:1: the file is empty"},
		{"another key", "token: []", "error F:1:1: token: unknown key; did you mean tokens? allowed are tokens\nerror F:1:1: tokens: is missing; tokens: a list, each with name, scopes and sha256"},
		{"an empty list", "tokens: []", "error F:1:9: tokens: the list is empty; at least one item"},
		{"a token without anything", "tokens: [{}]", "error F:1:10: tokens[0].name: is missing; name: who holds it; it is the author of what is written with it\n" +
			"error F:1:10: tokens[0].scopes: is missing; scopes: [read, respond]\nerror F:1:10: tokens[0].sha256: is missing; sha256: the token's SHA-256, 64 hexadecimal digits"},
		{"a scope with a typo", "tokens:\n- {name: x, scopes: [raed], sha256: " + a + "}", "error F:2:22: tokens[0].scopes[0]: unknown word `raed`; did you mean read? allowed are read, respond, change, admin"},
		{"a scope twice", "tokens:\n- {name: x, scopes: [read, read], sha256: " + a + "}", "error F:2:28: tokens[0].scopes[1]: read is in the list twice; once"},
		{"no scopes", "tokens:\n- {name: x, scopes: [], sha256: " + a + "}", "error F:2:21: tokens[0].scopes: the list is empty; at least one item"},
		{"the token in place of its hash", "tokens:\n- {name: x, scopes: [read], sha256: " + secret + "}",
			"error F:2:37: tokens[0].sha256: that looks like the token itself; its SHA-256: " + access.HashToken(secret)},
		{"a password in place of a hash", "tokens:\n- {name: x, scopes: [read], sha256: hunter2}", "error F:2:37: tokens[0].sha256: that is no SHA-256; 64 hexadecimal digits, as irdaemon token prints them"},
		{"half a hash", "tokens:\n- {name: x, scopes: [read], sha256: " + a[:32] + "}", "error F:2:37: tokens[0].sha256: that is no SHA-256; 64 hexadecimal digits, as irdaemon token prints them"},
		{"a name twice", "tokens:\n- {name: x, scopes: [read], sha256: " + a + "}\n- {name: x, scopes: [read], sha256: " + b + "}", "error F:3:10: tokens[1].name: there are two tokens of this name; the first is on line 2; a name of its own for each"},
		{"a token twice", "tokens:\n- {name: x, scopes: [read], sha256: " + a + "}\n- {name: y, scopes: [read], sha256: " + strings.ToUpper(a) + "}", "error F:3:37: tokens[1].sha256: there are two entries for this token; the first is on line 2; a token of its own for each"},
		{"a name with a line feed", "tokens:\n- {name: \"x\\ny\", scopes: [read], sha256: " + a + "}", "error F:2:10: tokens[0].name: that is not a name; at most 100 characters, no control characters, no spaces around them"},
		{"an expired one", "tokens:\n- {name: x, scopes: [read], sha256: " + a + ", expires: 2020-01-01}", "warning F:2:112: tokens[0].expires: the token is refused since 2020-01-01; a new token, or no entry"},
		{"a date that is none", "tokens:\n- {name: x, scopes: [read], sha256: " + a + ", expires: tomorrow}", "error F:2:112: tokens[0].expires: `tomorrow` is not a date; a date such as 2027-03-01"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := problems(t, file(t, "tokens.yaml", test.text))
			if got != test.want {
				t.Errorf("says\n%s\nwant\n%s", got, test.want)
			}
			if strings.Contains(got, secret) || strings.Contains(got, "hunter2") {
				t.Error("a secret is shown")
			}
		})
	}
	if got := problems(t, "/nowhere/tokens.yaml"); got != "warning F: there is no such file; run needs it" {
		t.Errorf("a missing file: %s", got)
	}
}

// FuzzTokens holds that no tokens file is taken that would give somebody an empty name or no scopes, and that
// what is wrong is always said.
func FuzzTokens(f *testing.F) {
	a := strings.Repeat("a", 64)
	for _, seed := range []string{
		"tokens: [{name: x, scopes: [read], sha256: " + a + "}]", "tokens: []", "tokens:\n- &a {name: x, scopes: [read], sha256: " + a + "}\n- *a\n",
		"tokens: [{<<: {name: x}, scopes: [admin, read], sha256: '" + a + "', expires: 2027-01-01}]", "{", "tokens: [{name: 1, scopes: {}, sha256: 1e400}]",
	} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "tokens.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var report document.Report
		access.Check(path, "", &report)
		a, err := access.Load(access.Settings{TokensFile: path})
		if (err == nil) != (report.Count(document.Error) == 0) {
			t.Fatalf("Check says %v, Load %v", report.Problems, err)
		}
		if err != nil {
			return
		}
		if !a.Configured() {
			t.Error("a tokens file leaves the daemon open")
		}
		for hash, who := range access.TokensOf(a) {
			if !access.IsName(who.Name) || len(who.Scopes) == 0 {
				t.Errorf("%x is %+v", hash, who)
			}
		}
	})
}
