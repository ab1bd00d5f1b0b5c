//go:build e2e

package e2e_test

import (
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// postOffice is a real SMTP server that keeps the mails that it takes over.
type postOffice struct {
	address string

	mutex sync.Mutex
	mails []letter
}

// letter is a mail as its reader sees it.
type letter struct {
	to      string
	subject string
	key     string // X-Irdaemon-Key
	thread  string // References
	text    string // the plain part
}

func startPostOffice(t testing.TB) *postOffice {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{address: listener.Addr().String()}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &smtpSession{t: t, office: p}, nil }))
	server.Domain = "mx.example"
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return p
}

type smtpSession struct {
	t      testing.TB
	office *postOffice
	to     []string
}

func (s *smtpSession) Mail(string, *smtp.MailOptions) error { return nil }

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *smtpSession) Data(r io.Reader) error {
	read, err := readLetter(r)
	if err != nil {
		s.t.Errorf("a mail that can't be read: %v", err)
		return err
	}
	read.to = strings.Join(s.to, ", ")
	s.office.mutex.Lock()
	defer s.office.mutex.Unlock()
	s.office.mails = append(s.office.mails, read)
	return nil
}

func (s *smtpSession) Reset()        { s.to = nil }
func (s *smtpSession) Logout() error { return nil }

// readLetter finds the plain part of a mail.
func readLetter(r io.Reader) (letter, error) {
	message, err := mail.ReadMessage(r)
	if err != nil {
		return letter{}, err
	}
	subject, err := (&mime.WordDecoder{}).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		return letter{}, err
	}
	read := letter{subject: subject, key: message.Header.Get("X-Irdaemon-Key"), thread: message.Header.Get("References")}
	_, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		return letter{}, err
	}
	parts := multipart.NewReader(message.Body, parameters["boundary"])
	for {
		part, err := parts.NextPart() // which decodes quoted-printable
		if err != nil {
			return letter{}, err
		}
		if kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); kind == "text/plain" {
			text, err := io.ReadAll(part)
			read.text = string(text)
			return read, err
		}
	}
}

// waitFor waits for a mail whose subject has all of these words.
func (p *postOffice) waitFor(t testing.TB, words ...string) letter {
	t.Helper()
	return eventually(t, 10*time.Second, "a mail about "+strings.Join(words, ", "), func() (letter, error) {
		p.mutex.Lock()
		defer p.mutex.Unlock()
	next:
		for _, m := range p.mails {
			for _, word := range words {
				if !strings.Contains(m.subject, word) {
					continue next
				}
			}
			return m, nil
		}
		return letter{}, errNotYet
	})
}
