package main

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

// written writes a file into the test's own folder.
func written(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// guardedAPI is a daemon that asks who calls: it knows a token of alice, who may respond, one of rita, who may read, and
// the user root.
type guardedAPI struct {
	handler     http.Handler
	desk        *webtest.Desk
	alice, rita string
}

const rootPassword = "correct horse"

func newGuardedAPI(t *testing.T) *guardedAPI {
	t.Helper()
	alice, aliceHash := access.NewToken()
	rita, ritaHash := access.NewToken()
	hash, err := bcrypt.GenerateFromPassword([]byte(rootPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	known, err := access.Load(access.Settings{
		TokensFile: written(t, "tokens.yaml", "tokens:\n"+
			access.Entry("alice", []access.Scope{access.Respond}, aliceHash)+access.Entry("rita", []access.Scope{access.Read}, ritaHash)),
		WebConfigFile: written(t, "web.yaml", "basic_auth_users: {root: "+string(hash)+"}\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	g := &guardedAPI{alice: alice, rita: rita, desk: webtest.NewDesk(clientNow, webtest.Refusals())}
	g.handler = web.New(web.Config{
		Desk: g.desk, Registry: prometheus.NewRegistry(), Log: zap.NewNop(), Now: clientNow,
		Access: func() *access.Access { return known },
	})
	return g
}

func TestWhoeverHasCredentialsIsTheAuthor(t *testing.T) {
	g := newGuardedAPI(t)
	server := httptest.NewServer(g.handler)
	defer server.Close()
	token, password := written(t, "token", g.alice+"\n"), written(t, "password", rootPassword+"\r\n")
	for _, test := range []struct {
		name      string
		variables map[string]string
		args      []string
		by        string
	}{
		{"a token in a file", nil, []string{"--token-file", token}, "alice"},
		{"a token in a file that a variable names", map[string]string{tokenFileVariable: token}, nil, "alice"},
		{"a token in a variable", map[string]string{tokenVariable: g.alice}, nil, "alice"},
		{"a user with a password", nil, []string{"--user", "root", "--password-file", password}, "root"},
		{"a user with a password that a variable names", map[string]string{passwordFileVariable: password}, []string{"--user", "root"}, "root"},
		{"a user of a variable", map[string]string{userVariable: "root", passwordFileVariable: password}, nil, "root"},
		{"a flag where a variable says something else", map[string]string{tokenVariable: g.rita}, []string{"--user", "root", "--password-file", password}, "root"},
		{"a name that is the same", nil, []string{"--token-file", token, "--by", "alice"}, "alice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("USER", "somebody")
			for name, value := range test.variables {
				t.Setenv(name, value)
			}
			got := irdaemon(t, server.URL, "", append([]string{"ack", "42"}, test.args...)...)
			if got.err != nil || !strings.HasPrefix(got.out, test.by+" has #42 now") {
				t.Errorf("%q, %v; want %s", got.out, got.err, test.by)
			}
		})
	}
}

func TestCredentialsThatAreRefusedSayWhatToGive(t *testing.T) {
	g := newGuardedAPI(t)
	server := httptest.NewServer(g.handler)
	defer server.Close()
	redirecting := httptest.NewServer(http.RedirectHandler("https://elsewhere.example.org/", http.StatusPermanentRedirect))
	defer redirecting.Close()
	read, wrong := written(t, "read", g.rita), written(t, "wrong", "ird_secret")
	for _, test := range []struct {
		name      string
		address   string
		variables map[string]string
		args      []string
		code      int
		says      string
	}{
		{"nothing", "", nil, nil, 1, "this needs the scope respond: the request does not say who sends it; give --token-file, IRDAEMON_TOKEN_FILE or IRDAEMON_TOKEN, or --user and --password-file"},
		{"a wrong token", "", map[string]string{tokenFileVariable: wrong}, nil, 1, "no such token (sent: IRDAEMON_TOKEN_FILE); give --token-file"},
		{"a wrong password", "", nil, []string{"--user", "root", "--password-file", wrong}, 1, "no such user with this password (sent: --user and --password-file); give"},
		{"a token that may only read", "", nil, []string{"--token-file", read}, 1, "this needs the scope respond; rita has read; possible: a caller with the scope respond; irdaemon token makes one"},
		{"a name that is somebody else's", "", map[string]string{tokenVariable: g.alice}, []string{"--by", "bob"}, 1, `you are alice; a write names its author from the authentication`},
		{"a token file that is not there", "", nil, []string{"--token-file", wrong + "er"}, 2, "--token-file: open "},
		{"a token file without a token", "", nil, []string{"--token-file", written(t, "empty", "\n")}, 2, "is empty"},
		{"a token file that is something else", "", nil, []string{"--token-file", written(t, "two", "ird_secret\nird_secret\n")}, 2, "holds more than a token or a password"},
		{"a token variable with an escape", "", map[string]string{tokenVariable: "ird_secret\x1b[2J"}, nil, 2, "IRDAEMON_TOKEN holds more than"},
		{"a token twice", "", map[string]string{tokenVariable: "ird_secret", tokenFileVariable: wrong}, nil, 2, "IRDAEMON_TOKEN and IRDAEMON_TOKEN_FILE both say who asks; one of them"},
		{"a token and a user", "", nil, []string{"--token-file", wrong, "--user", "root"}, 2, "--token-file and --user both say who asks"},
		{"a user without a password", "", nil, []string{"--user", "root"}, 2, "--user without --password-file"},
		{"a password without a user", "", nil, []string{"--password-file", wrong}, 2, "--password-file without --user"},
		{"a password in the URL", "", nil, []string{"--url", "http://root:ird_secret@127.0.0.1:9847"}, 2, "--url holds a user: leave out what stands before the @"},
		{"a password in the URL of the variable", "http://root:ird_secret@127.0.0.1:9847", nil, nil, 2, "IRDAEMON_URL holds a user"},
		{"a daemon that sends elsewhere", redirecting.URL, map[string]string{tokenVariable: "ird_secret"}, nil, 1, "it redirects to https://elsewhere.example.org/"},
		{"a file of certificates that is not there", "", nil, []string{"--ca-file", wrong + "er"}, 2, "--ca-file: open "},
		{"a file of no certificates", "", map[string]string{caVariable: wrong}, nil, 2, "IRDAEMON_CA_FILE: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("USER", "somebody")
			for name, value := range test.variables {
				t.Setenv(name, value)
			}
			if test.address == "" {
				test.address = server.URL
			}
			got := irdaemon(t, test.address, "", append([]string{"ack", "42"}, test.args...)...)
			if got.code() != test.code || !strings.Contains(got.err.Error(), test.says) {
				t.Errorf("code %d: %v\nwant %d: %s", got.code(), got.err, test.code, test.says)
			}
			if strings.Contains(got.err.Error()+got.out+got.stderr, "ird_secret") {
				t.Errorf("the secret is shown: %q %v", got.out, got.err)
			}
		})
	}
	if view, err := g.desk.View(t.Context(), "42"); err != nil || view.AcknowledgedBy != "" {
		t.Errorf("taken by %q, %v", view.AcknowledgedBy, err)
	}
}

func TestTheDaemonsCertificateIsTrustedWhereItIsNamed(t *testing.T) {
	desk := webtest.NewDesk(clientNow, webtest.Refusals())
	server := httptest.NewUnstartedServer(web.New(web.Config{Desk: desk, Registry: prometheus.NewRegistry(), Log: zap.NewNop(), Now: clientNow}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is refused
	server.StartTLS()
	defer server.Close()
	if got := irdaemon(t, server.URL, "", "incidents"); got.code() != 1 || !strings.Contains(got.err.Error(), "--ca-file or IRDAEMON_CA_FILE") {
		t.Errorf("a stranger's certificate: %v", got.err)
	}
	named := written(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if got := irdaemon(t, server.URL, "", "incidents", "--ca-file", named); got.err != nil || !strings.Contains(got.out, "#42") {
		t.Errorf("%q, %v", got.out, got.err)
	}
}
