package access_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/irdaemon/irdaemon/pkg/access"
)

const password = "correct horse"

// file writes a file into the test's own folder.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func bcrypted(t testing.TB) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// everything is an Access with all ways to say who one is: a token of alice, one that expires on the second of January, the user
// root, and a proxy in 10.1.0.0/16.
func everything(t *testing.T, now time.Time) (a *access.Access, token, expiring string) {
	t.Helper()
	token, hash := access.NewToken()
	expiring, expiringHash := access.NewToken()
	entries := "tokens:\n" + access.Entry("alice", []access.Scope{access.Read, access.Respond}, hash) +
		access.Entry("old", []access.Scope{access.Read}, expiringHash) + "    expires: 2027-01-02\n"
	a, err := access.Load(access.Settings{
		TokensFile:    file(t, "tokens.yaml", entries),
		WebConfigFile: file(t, "web.yaml", "basic_auth_users:\n  root: "+bcrypted(t)+"\n"),
		UserHeader:    "x-forwarded-user", TrustedProxies: []string{"10.1.0.0/16", "fd00::/8"},
		Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, token, expiring
}

func basic(user, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func TestWhoSendsARequest(t *testing.T) {
	lastDay := time.Date(2027, 1, 1, 23, 59, 59, 0, time.UTC)
	a, token, expiring := everything(t, lastDay)
	expired, _, over := everything(t, lastDay.Add(time.Second))
	const stranger, proxy = "192.0.2.1:5000", "10.1.2.3:5000"
	for _, test := range []struct {
		name    string
		access  *access.Access
		from    string
		headers []string // in pairs
		who     string   // name, way, scopes
		err     error
	}{
		{"a token", a, stranger, []string{"Authorization", "Bearer " + token}, "alice token read, respond", nil},
		{"a token with its scheme in other letters", a, stranger, []string{"Authorization", "bearer  " + token + " "}, "alice token read, respond", nil},
		{"a token on its last day", a, stranger, []string{"Authorization", "Bearer " + expiring}, "old token read", nil},
		{"a token on the day it expires", expired, stranger, []string{"Authorization", "Bearer " + over}, "", access.ErrWrong},
		{"a token that there is not", a, stranger, []string{"Authorization", "Bearer " + token + "x"}, "", access.ErrWrong},
		{"no token", a, stranger, []string{"Authorization", "Bearer"}, "", access.ErrWrong},
		{"a token without its scheme", a, stranger, []string{"Authorization", token}, "", access.ErrWrong},
		{"the hash in place of the token", a, stranger, []string{"Authorization", "Bearer " + access.HashToken(token)}, "", access.ErrWrong},
		{"a token as a password", a, stranger, []string{"Authorization", basic("alice", token)}, "", access.ErrWrong},

		{"a user with the password", a, stranger, []string{"Authorization", basic("root", password)}, "root basic admin", nil},
		{"a user with another password", a, stranger, []string{"Authorization", basic("root", "guess")}, "", access.ErrWrong},
		{"a user without a password", a, stranger, []string{"Authorization", basic("root", "")}, "", access.ErrWrong},
		{"a user that there is not", a, stranger, []string{"Authorization", basic("mallory", password)}, "", access.ErrWrong},
		{"what is no base64", a, stranger, []string{"Authorization", "Basic ???"}, "", access.ErrWrong},
		{"another scheme", a, stranger, []string{"Authorization", "Digest x"}, "", access.ErrWrong},

		{"a person behind the proxy", a, proxy, []string{"X-Forwarded-User", "bob"}, "bob proxy read, respond, change", nil},
		{"a person behind a proxy that speaks IPv6", a, "[fd00::1]:5000", []string{"X-Forwarded-User", "bob"}, "bob proxy read, respond, change", nil},
		{"a person behind the proxy, its address written as IPv6", a, "[::ffff:10.1.2.3]:5000", []string{"X-Forwarded-User", "bob"}, "bob proxy read, respond, change", nil},
		{"a person whom somebody else names", a, stranger, []string{"X-Forwarded-User", "bob"}, "", access.ErrUntrusted},
		{"a person whom somebody else names, who has a token", a, stranger, []string{"X-Forwarded-User", "bob", "Authorization", "Bearer " + token}, "", access.ErrUntrusted},
		{"a person whom somebody else names, said to come from the proxy", a, stranger, []string{"X-Forwarded-User", "bob", "X-Forwarded-For", "10.1.2.3"}, "", access.ErrUntrusted},
		{"a connection without an address", a, "@", []string{"X-Forwarded-User", "bob"}, "", access.ErrUntrusted},
		{"a proxy that names nobody", a, proxy, []string{"X-Forwarded-User", ""}, "", access.ErrNoCredentials},
		{"a proxy that names nobody, and a token", a, proxy, []string{"X-Forwarded-User", "", "Authorization", "Bearer " + token}, "alice token read, respond", nil},
		{"a proxy and a token", a, proxy, []string{"X-Forwarded-User", "bob", "Authorization", "Bearer " + token}, "", access.ErrAmbiguous},
		{"a proxy that names two people", a, proxy, []string{"X-Forwarded-User", "bob", "X-Forwarded-User", "eve"}, "", access.ErrAmbiguous},
		{"a proxy that names an escape sequence", a, proxy, []string{"X-Forwarded-User", "bob\x1b[2J"}, "", access.ErrWrong},
		{"a proxy that names what turns text around", a, proxy, []string{"X-Forwarded-User", "b\u202eob"}, "", access.ErrWrong},
		{"a proxy with a name without end", a, proxy, []string{"X-Forwarded-User", strings.Repeat("b", 101)}, "", access.ErrWrong},

		{"two tokens", a, stranger, []string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token}, "", access.ErrAmbiguous},
		{"nothing", a, stranger, nil, "", access.ErrNoCredentials},
		{"nothing, from the proxy", a, proxy, nil, "", access.ErrNoCredentials},
		{"nothing, where nothing is configured", nil, stranger, nil, " anonymous admin", nil},
		{"a token, where nothing is configured", &access.Access{}, stranger, []string{"Authorization", "Bearer " + token}, " anonymous admin", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = test.from
			for i := 0; i < len(test.headers); i += 2 {
				r.Header.Add(test.headers[i], test.headers[i+1])
			}
			who, err := test.access.Identify(r)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			got := ""
			if err == nil {
				got = fmt.Sprintf("%s %s %s", who.Name, who.Via, who.Scopes)
			}
			if got != test.who {
				t.Errorf("%q, want %q", got, test.who)
			}
			if err != nil && (strings.Contains(err.Error(), "ird_") || strings.Contains(err.Error(), password) || strings.ContainsRune(err.Error(), '\x1b')) {
				t.Errorf("the error holds what was sent: %q", err)
			}
			if err != nil && who.Scopes.Has(access.Read) {
				t.Errorf("an unknown caller has %s", who.Scopes)
			}
		})
	}
}

func TestWhatAScopeHolds(t *testing.T) {
	for given, holds := range map[access.Scope]string{
		access.Read: "read", access.Respond: "read, respond", access.Change: "read, change", access.Admin: "read, respond, change, admin", "": "none",
	} {
		var has access.Scopes
		for _, scope := range access.AllScopes {
			if (access.Scopes{given}).Has(scope) {
				has = append(has, scope)
			}
		}
		if has.String() != holds {
			t.Errorf("%q holds %s, want %s", given, has, holds)
		}
	}
	if (access.Scopes{}).Has("") || (access.Scopes{}).Has(access.Read) {
		t.Error("no scopes hold something")
	}
}

func TestAPasswordIsComparedAtLengthOnlyOnce(t *testing.T) {
	a, _, _ := everything(t, time.Now())
	ask := func(user, password string) (costly, right bool) {
		r := httptest.NewRequest("GET", "/", nil)
		r.SetBasicAuth(user, password)
		costly = a.Costly(r)
		_, err := a.Identify(r)
		return costly, err == nil
	}
	for _, step := range []struct {
		name, user, password string
		costly, right        bool
	}{
		{"wrong", "root", "guess", true, false},
		{"wrong again", "root", "guess", true, false},
		{"right", "root", password, true, true},
		{"right again", "root", password, false, true},
		{"wrong after right", "root", "guess", true, false},
		{"still right", "root", password, false, true},
		{"nobody's", "mallory", password, true, false},
		{"nobody's again", "mallory", password, true, false},
	} {
		if costly, right := ask(step.user, step.password); costly != step.costly || right != step.right {
			t.Errorf("%s: compared at length %t, right %t", step.name, costly, right)
		}
	}
	access.LoseHashes(a)
	if _, right := ask("root", password); !right {
		t.Error("a password that was right is compared again")
	}
	if a.Costly(httptest.NewRequest("GET", "/", nil)) {
		t.Error("a request without a password is compared")
	}
}

func TestWhereARequestComesFrom(t *testing.T) {
	a, _, _ := everything(t, time.Now())
	for _, test := range []struct{ name, peer, forwarded, want string }{
		{"a stranger", "192.0.2.1:1", "", "192.0.2.1"},
		{"a stranger who says otherwise", "192.0.2.1:1", "198.51.100.7", "192.0.2.1"},
		{"behind the proxy", "10.1.0.1:1", "198.51.100.7", "198.51.100.7"},
		{"behind two proxies", "10.1.0.1:1", "198.51.100.7, 10.1.0.2", "198.51.100.7"},
		{"behind the proxy, with an address made up before it", "10.1.0.1:1", "203.0.113.9, 198.51.100.7", "198.51.100.7"},
		{"the proxy itself", "10.1.0.1:1", "", "10.1.0.1"},
		{"behind a proxy that writes what is no address", "10.1.0.1:1", "unknown", "10.1.0.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.peer
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := a.ClientAddress(r).String(); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestAProxyIsTrustedOnlyByItsNetwork(t *testing.T) {
	for name, test := range map[string]struct {
		settings access.Settings
		says     string
	}{
		"a header without proxies":      {access.Settings{UserHeader: "X-User"}, "anybody could set the header"},
		"a header that is none":         {access.Settings{UserHeader: "X User", TrustedProxies: []string{"10.0.0.0/8"}}, "not a header"},
		"the header of the credentials": {access.Settings{UserHeader: "authorization", TrustedProxies: []string{"10.0.0.0/8"}}, "not a header that can name a person"},
		"a network that is none":        {access.Settings{UserHeader: "X-User", TrustedProxies: []string{"10.0.0.1"}}, `"10.0.0.1" is not a network`},
		"files that are not there":      {access.Settings{TokensFile: "/nowhere/a", WebConfigFile: "/nowhere/b"}, "/nowhere/a: there is no such file; run needs it\n/nowhere/b: there is no such file; run needs it"},
	} {
		if _, err := access.Load(test.settings); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
