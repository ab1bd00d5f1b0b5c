package email_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/email"
	"github.com/irdaemon/irdaemon/pkg/notify/notifytest"
)

var stages = map[string]string{
	"greeting": "the greeting", "EHLO": "EHLO", "STARTTLS": "STARTTLS", "AUTH": "the login", "MAIL": "MAIL FROM",
	"RCPT": "RCPT TO", "DATA": "DATA", "dot": "the end of the mail",
}

// scripted is a server that does something at one stage, and the settings by which that stage is reached.
func scripted(t *testing.T, word, answer string) (*script, email.Config) {
	server := &script{answers: map[string]string{word: answer}, extensions: []string{"AUTH LOGIN PLAIN"}}
	switch word {
	case "STARTTLS":
		server.extensions = append(server.extensions, "STARTTLS")
	case "EHLO":
		server.answers["HELO"] = answer
	}
	config := basic(server.start(t))
	config.Username, config.PasswordFile = user, file(t, password)
	return server, config
}

func TestEachAnswerMeansWhatItShouldAtEachStage(t *testing.T) {
	const echo = "canary: oncall@example.org of 127.0.0.1 said " + password
	for word, stage := range stages {
		for _, code := range []int{421, 432, 450, 451, 452, 454, 455, 471, 500, 502, 503, 521, 530, 534, 535, 538, 550, 551, 552, 553, 554, 599} {
			want, enhanced := notify.Retry, "4.7.1"
			if code >= 500 {
				want, enhanced = notify.Refused, "5.7.1"
			}
			_, config := scripted(t, word, fmt.Sprintf("%d-%s %s\r\n%d %s %s", code, enhanced, echo, code, enhanced, echo))
			result := deliver(t.Context(), t, config, notifytest.Page())
			if result.Outcome != want || !strings.HasPrefix(result.Detail, fmt.Sprintf("%d %s ", code, enhanced)) || !strings.HasSuffix(result.Detail, ", at "+stage) {
				t.Errorf("%d at %s: %+v, want %s", code, word, result, want)
			}
			if result.Status != 0 {
				t.Errorf("status %d: it is of HTTP", result.Status)
			}
		}
	}
}

func TestAConnectionThatIsCutIsTriedAgain(t *testing.T) {
	for word := range stages {
		for _, how := range []string{cut, reset} {
			_, config := scripted(t, word, how)
			result := deliver(t.Context(), t, config, notifytest.Page())
			stage := stages[word]
			if word == "greeting" && how == reset { // it may come as early as that
				stage = ""
			}
			if result.Outcome != notify.Retry || !strings.HasPrefix(result.Detail, "the connection was cut before an answer came, at "+stage) {
				t.Errorf("%s at %s: %+v", how, word, result)
			}
			if unsure := strings.Contains(result.Detail, "may have been taken"); unsure != (word == "dot") {
				t.Errorf("%s at %s: %q", how, word, result.Detail)
			}
		}
	}
}

func TestAnAnswerThatMakesNoSenseIsTriedAgain(t *testing.T) {
	for name, test := range map[string]struct{ word, answer, want string }{
		"a greeting of another protocol": {"greeting", "canary speaks something else", "the answer is not SMTP, at the greeting"},
		"a web server":                   {"greeting", "HTTP/1.1 400 Bad Request", "the answer is not SMTP, at the greeting"},
		"a yes where data should go on":  {"DATA", "250 canary", "250 is no answer that belongs here, at DATA"},
		"a greeting that is a challenge": {"greeting", "334 Y2FuYXJ5", "334 is no answer that belongs here, at the greeting"},
		"codes that don't agree":         {"MAIL", "450 5.1.1 canary", "450 mailbox not available for now, at MAIL FROM"},
		"a code that is an address":      {"MAIL", "450 4.1.1.1 canary", "450 mailbox not available for now, at MAIL FROM"},
		"no enhanced code":               {"MAIL", "450 canary", "450 mailbox not available for now, at MAIL FROM"},
		"a challenge without end":        {"AUTH", "334 Y2FuYXJ5", "no answer: the conversation could not be had, at the login"},
	} {
		t.Run(name, func(t *testing.T) {
			_, config := scripted(t, test.word, test.answer)
			if result := deliver(t.Context(), t, config, notifytest.Page()); result.Outcome != notify.Retry || result.Detail != test.want {
				t.Errorf("%+v, want %q", result, test.want)
			}
		})
	}
}

func TestAnyYesAfterTheMailIsADelivery(t *testing.T) {
	for _, code := range []int{250, 251, 252, 200} {
		_, config := scripted(t, "dot", strconv.Itoa(code)+" taken")
		if result := deliver(t.Context(), t, config, notifytest.Page()); result.Outcome != notify.Delivered || result.Receipt == "" {
			t.Errorf("%d: %+v", code, result)
		}
	}
}

func TestRecipientsWhoAreRefusedDoNotKeepTheMailFromTheOthers(t *testing.T) {
	const no, later, full, bye = "550 5.1.1 <canary>", "451 4.7.1 greylisted, canary", "552 5.2.2 canary", "421 4.3.2 canary"
	tests := map[string]struct {
		a, b, c string
		want    notify.Outcome
		detail  string
	}{
		"one of three":                   {no, "", "", notify.Delivered, "1 of 3 recipients refused: 550 5.1.1 no such mailbox, or not allowed"},
		"two for the same reason":        {no, no, "", notify.Delivered, "2 of 3 recipients refused: 550 5.1.1 no such mailbox, or not allowed"},
		"two for two reasons":            {no, "", full, notify.Delivered, "2 of 3 recipients refused: 550 5.1.1 no such mailbox, or not allowed; 552 5.2.2 the mail is too large, or the mailbox full"},
		"all for ever":                   {no, full, no, notify.Refused, "550 5.1.1 no such mailbox, or not allowed, at RCPT TO"},
		"all, one only for now":          {no, later, no, notify.Retry, "451 4.7.1 the server has a trouble of its own, at RCPT TO"},
		"the server hangs up in between": {"", bye, "", notify.Retry, "421 4.3.2 the server closes the connection for now, at RCPT TO"},
		"the connection is cut between":  {"", cut, "", notify.Retry, "the connection was cut before an answer came, at RCPT TO"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := &script{recipients: map[string]string{}}
			for who, answer := range map[string]string{"a@example.org": test.a, "b@example.org": test.b, "c@example.org": test.c} {
				if answer != "" {
					server.recipients[who] = answer
				}
			}
			config := basic(server.start(t))
			config.To = []string{"a@example.org", "b@example.org", "c@example.org"}
			result := deliver(t.Context(), t, config, notifytest.Page())
			if result.Outcome != test.want || result.Detail != test.detail {
				t.Errorf("%+v, want %s: %s", result, test.want, test.detail)
			}
			if sent := strings.Contains(server.commands(), "DATA"); sent != (test.want == notify.Delivered) {
				t.Errorf("the mail was sent: %v", sent)
			}
		})
	}
}

func TestAServerWithoutWhatTheSettingsAskForIsSaidToBe(t *testing.T) {
	tests := map[string]struct {
		extensions []string
		config     func(*email.Config)
		want       string
	}{
		"no STARTTLS": {nil, func(c *email.Config) { c.RequireTLS = true }, "the server offers no STARTTLS, and require_tls is on, at STARTTLS"},
		"no login":    {nil, func(*email.Config) {}, "the server offers no login that is known here (PLAIN, LOGIN, CRAM-MD5), at the login"},
		"another way to log in": {[]string{"AUTH XOAUTH2 GSSAPI"}, func(*email.Config) {},
			"the server offers no login that is known here (PLAIN, LOGIN, CRAM-MD5), at the login"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := &script{extensions: test.extensions}
			config := basic(server.start(t))
			config.Username, config.PasswordFile = user, file(t, password)
			test.config(&config)
			result := deliver(t.Context(), t, config, notifytest.Page())
			if result.Outcome != notify.Retry || result.Detail != test.want || strings.Contains(server.commands(), "MAIL") {
				t.Errorf("%+v, want %q", result, test.want)
			}
		})
	}
}

func TestACertificateMustBeTrusted(t *testing.T) {
	trusted, client := authority(t, "mail.example.org", tomorrow())
	expired, ofExpired := authority(t, "mail.example.org", time.Now().Add(-time.Hour))
	other, ofOther := authority(t, "other.example.org", tomorrow())
	old := trusted.Clone()
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10
	const untrusted = "the host's certificate is not trusted"
	for name, test := range map[string]struct {
		server, client *tls.Config
		want           string
	}{
		"of an authority that nobody knows": {trusted, nil, untrusted},
		"of another name":                   {other, ofOther, untrusted},
		"that has expired":                  {expired, ofExpired, untrusted},
		"under a protocol that is too old":  {old, client, "the two sides do not agree on TLS"},
	} {
		for _, port := range []string{"465", "587"} {
			t.Run(name+" on port "+port, func(t *testing.T) {
				office := &postOffice{offered: []string{"PLAIN"}, password: password}
				config := basic("mail.example.org:" + port)
				config.Dialer = toName(office.open(t, test.server, port == "465"))
				config.TLSConfig, config.Username, config.PasswordFile = test.client, user, file(t, password)
				result := deliver(t.Context(), t, config, notifytest.Page())
				if result.Outcome != notify.Retry || !strings.HasPrefix(result.Detail, test.want) || len(office.mails()) != 0 {
					t.Errorf("%+v, want %q", result, test.want)
				}
			})
		}
	}
}

func TestAPortWithoutTLSIsSaidToBe(t *testing.T) {
	server := &script{}
	config := basic("mail.example.org:465")
	config.Dialer = toName(server.start(t))
	if result := deliver(t.Context(), t, config, notifytest.Page()); result.Outcome != notify.Retry || result.Detail != "the server does not speak TLS here, at connecting" {
		t.Errorf("%+v", result)
	}
}

func TestAHostThatCanNotBeReachedIsTriedAgain(t *testing.T) {
	gone := listen(t)
	address := gone.Addr().String()
	_ = gone.Close()
	if result := deliver(t.Context(), t, basic(address), notifytest.Page()); result.Outcome != notify.Retry || result.Detail != "connection refused, at connecting" {
		t.Errorf("nobody listens: %+v", result)
	}
	for want, err := range map[string]error{
		"the host's name does not resolve":             &net.DNSError{Err: "no such host canary", Name: "canary", IsNotFound: true},
		"no answer in time":                            &net.OpError{Op: "dial canary", Err: context.DeadlineExceeded},
		"the host can't be reached":                    &net.OpError{Op: "dial canary", Err: syscall.EHOSTUNREACH},
		"no answer: the conversation could not be had": errors.New("canary"),
		"the connection was cut before an answer came": &net.OpError{Op: "dial canary", Err: syscall.ECONNRESET},
	} {
		config := basic("mail.example.org:587")
		config.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, err }
		if result := deliver(t.Context(), t, config, notifytest.Page()); result.Outcome != notify.Retry || result.Detail != want+", at connecting" {
			t.Errorf("%+v, want %q", result, want)
		}
	}
}
