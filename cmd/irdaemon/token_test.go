package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/access"
)

// tokens runs the command that makes tokens.
func tokens(args ...string) ran {
	command := tokenCommand()
	var out bytes.Buffer
	command.SilenceErrors, command.SilenceUsage = true, true
	command.SetOut(&out)
	command.SetArgs(args)
	err := command.Execute()
	return ran{out: out.String(), err: err}
}

// whose gives who a token is good for, by the entries of a tokens file.
func whose(t *testing.T, token, entries string) access.Identity {
	t.Helper()
	known, err := access.Load(access.Settings{TokensFile: written(t, "tokens.yaml", "tokens:\n"+entries)})
	if err != nil {
		t.Fatalf("%v in\n%s", err, entries)
	}
	who, err := known.Identify(&http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		t.Fatal(err)
	}
	return who
}

func TestATokenIsGoodWithTheEntryBesideIt(t *testing.T) {
	for _, args := range [][]string{
		{"alice", "--scope", "respond,change"},
		{`O'Hara "al" \ice: #1`, "--scope", "respond", "--scope", "change", "--scope", "change", "--expires", "2999-01-01"},
	} {
		got := tokens(args...)
		if got.err != nil {
			t.Fatal(got.err)
		}
		token, entry := "", got.out[strings.Index(got.out, "  - name:"):]
		for line := range strings.Lines(got.out) {
			if strings.HasPrefix(line, "ird_") {
				token = strings.TrimSpace(line)
			}
			if len(line) > 80 {
				t.Errorf("%d columns: %s", len(line), line)
			}
		}
		if who := whose(t, token, entry); who.Name != args[0] || who.Scopes.String() != "respond, change" {
			t.Errorf("it is %+v's", who)
		}
		if strings.Count(got.out, token) != 1 {
			t.Errorf("the token is shown more than once:\n%s", got.out)
		}
		var made tokenMade
		if got := tokens(append(args, "-o", "json")...); got.err != nil || json.Unmarshal([]byte(got.out), &made) != nil {
			t.Fatalf("%q, %v", got.out, got.err)
		}
		if who := whose(t, made.Token, made.Entry); who.Name != args[0] || made.Token == token {
			t.Errorf("it is %+v's", who)
		}
	}
}

func TestATokenForNobodyOrNothingIsNotMade(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		says string
	}{
		{"nobody", []string{"--scope", "read"}, "one name: who holds the token"},
		{"what is no name", []string{"a\x1b[2Jb", "--scope", "read"}, "is not a name"},
		{"nothing", []string{"alice"}, "--scope is missing: what may it do? read, respond, change, admin"},
		{"what is no scope", []string{"alice", "--scope", "root"}, `--scope "root" is not known; read, respond, change, admin`},
		{"what is no day", []string{"alice", "--scope", "read", "--expires", "soon"}, `--expires "soon" is not a day`},
		{"yesterday", []string{"alice", "--scope", "read", "--expires", "2020-01-01"}, "--expires 2020-01-01 is past"},
		{"another output", []string{"alice", "--scope", "read", "-o", "yaml"}, "text or json"},
	} {
		if got := tokens(test.args...); got.code() != 2 || got.out != "" || !strings.Contains(got.err.Error(), test.says) {
			t.Errorf("%s: %q, %v", test.name, got.out, got.err)
		}
	}
}
