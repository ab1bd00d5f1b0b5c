package email_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/email"
	"github.com/irdaemon/irdaemon/pkg/notify/notifytest"
)

const (
	password = "canary-in-the-password"
	user     = "canary-user"
)

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// basic are the settings for a server that needs neither TLS nor login.
func basic(address string) email.Config {
	return email.Config{
		To: []string{"On-call <oncall@example.org>"}, From: "irdaemon@example.org", Smarthost: address,
		Hello: "irdaemon.example.org", Instance: "production",
	}
}

// toName dials an address whatever name is asked for.
func toName(address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

// deliver makes one attempt, and looks whether its result, or anything printed, gives something away.
func deliver(ctx context.Context, t *testing.T, config email.Config, m notify.Message) notify.Result {
	t.Helper()
	receiver, err := email.New(config)
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	printed, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	os.Stderr = printed
	result := receiver.Deliver(ctx, m)
	os.Stderr = stderr
	_ = printed.Close() // it was only written to be read below
	content, err := os.ReadFile(printed.Name())
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(config.Smarthost)
	told := result.Detail + string(content)
	for _, secret := range []string{
		password, base64.StdEncoding.EncodeToString([]byte(password)), user, host, "canary", "oncall", "@", "127.0.0.1",
	} {
		if strings.Contains(told, secret) {
			t.Errorf("gives %q away: %s", secret, told)
		}
	}
	if result.Outcome != notify.Delivered && (result.Detail == "" || result.Receipt != "") {
		t.Errorf("not delivered: %+v", result)
	}
	return result
}

func TestAMailGoesOutTheWayTheServerOffers(t *testing.T) {
	trusted, client := authority(t, "mail.example.org", tomorrow())
	tests := map[string]struct {
		port      string
		implicit  bool
		server    *tls.Config
		offered   []string
		config    func(*email.Config)
		encrypted bool
		user      string
	}{
		"STARTTLS and PLAIN":            {port: "587", server: trusted, offered: []string{"PLAIN"}, encrypted: true, user: user},
		"STARTTLS and LOGIN":            {port: "587", server: trusted, offered: []string{"LOGIN"}, encrypted: true, user: user},
		"PLAIN before others":           {port: "587", server: trusted, offered: []string{"CRAM-MD5", "LOGIN", "PLAIN"}, encrypted: true, user: user},
		"TLS first on port 465":         {port: "465", implicit: true, server: trusted, offered: []string{"PLAIN"}, encrypted: true, user: user},
		"TLS without login":             {port: "25", server: trusted, encrypted: true, config: func(c *email.Config) { c.Username, c.PasswordFile = "", "" }},
		"STARTTLS though not required":  {port: "25", server: trusted, offered: []string{"PLAIN"}, encrypted: true, user: user, config: func(c *email.Config) { c.RequireTLS = false }},
		"in the clear where that is so": {port: "25", config: func(c *email.Config) { c.RequireTLS, c.Username, c.PasswordFile = false, "", "" }},
		"login in the clear over loopback": {port: "25", offered: []string{"LOGIN"}, user: user, config: func(c *email.Config) {
			c.RequireTLS = false
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			office := &postOffice{offered: test.offered, password: password}
			config := basic("mail.example.org:" + test.port)
			config.Dialer = toName(office.open(t, test.server, test.implicit))
			config.TLSConfig, config.RequireTLS, config.Username, config.PasswordFile = client, true, user, file(t, password+"\n")
			config.To = append(config.To, "second@example.net")
			if test.config != nil {
				test.config(&config)
			}
			if result := deliver(t.Context(), t, config, notifytest.Page()); result.Outcome != notify.Delivered || result.Detail != "" {
				t.Fatalf("%+v", result)
			}
			mails := office.mails()
			if len(mails) != 1 {
				t.Fatalf("%d mails, want one to all", len(mails))
			}
			got := mails[0]
			if got.from != "irdaemon@example.org" || !slices.Equal(got.to, []string{"oncall@example.org", "second@example.net"}) ||
				got.tls != test.encrypted || got.user != test.user || got.utf8 {
				t.Errorf("from %q to %q, TLS %v, user %q, UTF8 %v", got.from, got.to, got.tls, got.user, got.utf8)
			}
		})
	}
}

func TestAnAddressBeyondASCIIAsksForSMTPUTF8(t *testing.T) {
	office := &postOffice{}
	config := basic(office.open(t, nil, false))
	config.To = []string{"dežurný@example.org"}
	if result := deliver(t.Context(), t, config, notifytest.Page()); result.Outcome != notify.Delivered || !office.mails()[0].utf8 {
		t.Errorf("%+v, %+v", result, office.mails())
	}
}

func TestAPasswordThatWasReplacedIsUsedAtOnce(t *testing.T) {
	trusted, client := authority(t, "mail.example.org", tomorrow())
	office := &postOffice{offered: []string{"PLAIN"}, password: password}
	config := basic("mail.example.org:587")
	config.Dialer, config.TLSConfig, config.Username = toName(office.open(t, trusted, false)), client, user
	config.PasswordFile = file(t, "canary-old")
	receiver, err := email.New(config)
	if err != nil {
		t.Fatal(err)
	}
	result := receiver.Deliver(t.Context(), notifytest.Page())
	if result.Outcome != notify.Refused || result.Detail != "535 5.7.8 the login is refused, at the login" {
		t.Errorf("with the old one: %+v", result)
	}
	if err := os.WriteFile(config.PasswordFile, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	if result := receiver.Deliver(t.Context(), notifytest.Page()); result.Outcome != notify.Delivered {
		t.Errorf("with the new one: %+v", result)
	}
}

func TestAPasswordFileThatCanNotBeUsedIsTriedAgain(t *testing.T) {
	server := &script{}
	for name, test := range map[string]struct{ file, want string }{
		"missing": {"no/such/file", "no/such/file"},
		"empty":   {file(t, "\n"), "the file is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			config := basic(server.start(t))
			config.Username, config.PasswordFile = user, test.file
			result := deliver(t.Context(), t, config, notifytest.Page())
			if result.Outcome != notify.Retry || !strings.Contains(result.Detail, test.want) || server.commands() != "" {
				t.Errorf("%+v, said %q", result, server.commands())
			}
		})
	}
}

// farAway is a connection that seems to leave the machine.
type farAway struct{ net.Conn }

func (farAway) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

func TestAPasswordNeverLeavesTheMachineInTheClear(t *testing.T) {
	server := &script{extensions: []string{"AUTH PLAIN LOGIN CRAM-MD5"}}
	address := server.start(t)
	config := basic("localhost:25")
	config.Username, config.PasswordFile = user, file(t, password)
	config.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return farAway{conn}, err
	}
	result := deliver(t.Context(), t, config, notifytest.Page())
	if result.Outcome != notify.Retry || !strings.Contains(result.Detail, "no encryption") || strings.Contains(server.commands(), "AUTH") {
		t.Errorf("%+v, said:\n%s", result, server.commands())
	}
}

func TestSettingsThatCanNotBeUsedAreRefusedAtTheStart(t *testing.T) {
	tests := map[string]struct {
		config func(*email.Config)
		want   string
	}{
		"no recipient":                 {func(c *email.Config) { c.To = nil }, "to: at least one address"},
		"a recipient without a domain": {func(c *email.Config) { c.To = []string{"a@example.org", "oncall"} }, `to "oncall": not a mail address`},
		"a second line":                {func(c *email.Config) { c.To = []string{"a@example.org\r\nRCPT TO:<b@example.org>"} }, "not a mail address"},
		"a quoted space":               {func(c *email.Config) { c.To = []string{`"a b"@example.org`} }, "not a mail address"},
		"a sender that is none":        {func(c *email.Config) { c.From = "irdaemon at example" }, `from "irdaemon at example"`},
		"a smarthost without port":     {func(c *email.Config) { c.Smarthost = "mail.example.org" }, `smarthost "mail.example.org"`},
		"a smarthost without host":     {func(c *email.Config) { c.Smarthost = ":25" }, "smarthost"},
		"a port that is none":          {func(c *email.Config) { c.Smarthost = "mail.example.org:smtp" }, "smarthost"},
		"a port beyond all ports":      {func(c *email.Config) { c.Smarthost = "mail.example.org:70000" }, "smarthost"},
		"a greeting of two words":      {func(c *email.Config) { c.Hello = "a b" }, `hello "a b"`},
		"a greeting of two lines":      {func(c *email.Config) { c.Hello = "a\r\nQUIT" }, "hello"},
		"a user without password":      {func(c *email.Config) { c.Username = "u" }, "both, or neither"},
		"a password without user":      {func(c *email.Config) { c.PasswordFile = "f" }, "both, or neither"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := basic("mail.example.org:587")
			test.config(&config)
			if _, err := email.New(config); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestTheHostGreetsAndSendsInItsOwnName(t *testing.T) {
	server := &script{}
	config := basic(server.start(t))
	config.From, config.Hello = "", ""
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	deliver(t.Context(), t, config, notifytest.Page())
	if got := server.commands(); !strings.Contains(got, "EHLO "+name) || !strings.Contains(got, "MAIL FROM:<irdaemon@"+name+">") {
		t.Errorf("said:\n%s", got)
	}
}

func TestItCarriesNoticesAlone(t *testing.T) {
	receiver, err := email.New(basic("mail.example.org:587"))
	if err != nil {
		t.Fatal(err)
	}
	if got := receiver.Carries(); got != (incident.Carries{Notices: true}) {
		t.Errorf("%+v", got)
	}
}

func TestTheContextBoundsTheWholeConversation(t *testing.T) {
	for _, word := range []string{"greeting", "EHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "dot"} {
		t.Run("a server that hangs at "+word, func(t *testing.T) {
			server := &script{answers: map[string]string{word: hang}, extensions: []string{"STARTTLS", "AUTH PLAIN"}}
			if word != "STARTTLS" {
				server.extensions = server.extensions[1:]
			}
			config := basic(server.start(t))
			config.Username, config.PasswordFile = user, file(t, password)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			began := time.Now()
			result := deliver(ctx, t, config, notifytest.Page())
			if result.Outcome != notify.Retry || !strings.HasPrefix(result.Detail, "no answer in time, at ") || time.Since(began) > 3*time.Second {
				t.Errorf("%+v after %s", result, time.Since(began))
			}
			if unsure := strings.Contains(result.Detail, "may have been taken"); unsure != (word == "dot") {
				t.Errorf("%q", result.Detail)
			}
		})
	}
}

func TestTheTimeoutBoundsAnAttemptToo(t *testing.T) {
	for name, server := range map[string]*script{
		"in the clear":         {answers: map[string]string{"MAIL": hang}},
		"in the TLS handshake": {answers: map[string]string{"greeting": hang}},
	} {
		t.Run(name, func(t *testing.T) {
			config := basic("mail.example.org:25")
			if strings.Contains(name, "TLS") {
				config.Smarthost = "mail.example.org:465"
			}
			config.Dialer, config.Timeout = toName(server.start(t)), 100*time.Millisecond
			if result := deliver(t.Context(), t, config, notifytest.Page()); result.Outcome != notify.Retry || !strings.HasPrefix(result.Detail, "no answer in time") {
				t.Errorf("%+v", result)
			}
		})
	}
}

func TestAnAttemptThatIsGivenUpEndsAtOnce(t *testing.T) {
	server := &script{answers: map[string]string{"dot": hang}}
	config := basic(server.start(t))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if result := deliver(ctx, t, config, notifytest.Page()); result.Outcome != notify.Retry || !strings.HasPrefix(result.Detail, "the attempt was given up") {
		t.Errorf("%+v", result)
	}
}

func TestAServerThatHangsAtTheGoodbyeHasTheMail(t *testing.T) {
	server := &script{answers: map[string]string{"QUIT": hang}}
	began := time.Now()
	if result := deliver(t.Context(), t, basic(server.start(t)), notifytest.Page()); result.Outcome != notify.Delivered || time.Since(began) > 5*time.Second {
		t.Errorf("%+v after %s", result, time.Since(began))
	}
}
