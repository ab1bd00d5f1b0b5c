package email_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// authority makes a certificate for a name, and the settings of a client that trusts it.
func authority(t *testing.T, name string, until time.Time) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: roots}
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour) }

// received is a mail that a real server took over.
type received struct {
	from string
	to   []string
	user string
	tls  bool
	utf8 bool
	mail []byte
}

// postOffice is a real SMTP server that keeps what it takes over.
type postOffice struct {
	offered  []string // ways to log in
	password string
	mu       sync.Mutex
	got      []received
}

func (p *postOffice) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, isTLS := c.TLSConnectionState()
	return &session{office: p, mail: received{tls: isTLS}}, nil
}

// mails gives what arrived.
func (p *postOffice) mails() []received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got
}

type session struct {
	office *postOffice
	mail   received
}

func (s *session) AuthMechanisms() []string { return s.office.offered }

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	check := func(user, password string) error {
		if password != s.office.password {
			return smtp.ErrAuthFailed
		}
		s.mail.user = user
		return nil
	}
	if mechanism == sasl.Plain {
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	}
	return &loginServer{check: check}, nil
}

// loginServer is the server's side of AUTH LOGIN.
type loginServer struct {
	check  func(user, password string) error
	asked  int
	answer [2]string
}

func (l *loginServer) Next(response []byte) ([]byte, bool, error) {
	if response != nil && l.asked > 0 {
		l.answer[l.asked-1] = string(response)
	}
	l.asked++
	switch l.asked {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		return []byte("Password:"), false, nil
	default:
		return nil, true, l.check(l.answer[0], l.answer[1])
	}
}

func (s *session) Mail(from string, options *smtp.MailOptions) error {
	if len(s.office.offered) > 0 && s.mail.user == "" {
		return smtp.ErrAuthRequired
	}
	s.mail.from, s.mail.utf8 = from, options.UTF8
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.to = append(s.mail.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.mail.mail = content
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.got = append(s.office.got, s.mail)
	return nil
}

func (s *session) Reset()        { s.mail.from, s.mail.to, s.mail.mail = "", nil, nil }
func (s *session) Logout() error { return nil }

// open starts a post office; implicit: TLS comes first. It gives its address.
func (p *postOffice) open(t *testing.T, config *tls.Config, implicit bool) string {
	t.Helper()
	server := smtp.NewServer(p)
	server.Domain, server.TLSConfig, server.AllowInsecureAuth, server.EnableSMTPUTF8 = "mx.example", config, true, true
	server.ErrorLog = quiet{}
	listener := listen(t)
	address := listener.Addr().String()
	if implicit {
		listener, server.TLSConfig = tls.NewListener(listener, config), nil
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return address
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// What a scripted server may do beside answering.
const (
	hang  = "hang"  // say nothing more
	cut   = "cut"   // close the connection
	reset = "reset" // close it so that the peer gets a reset
)

// script is a server that answers as it is told, by the first word of a command, or "greeting" and "dot". What it isn't
// told goes well.
type script struct {
	answers    map[string]string
	recipients map[string]string // answer by address, before that of RCPT
	extensions []string          // of EHLO
	tls        *tls.Config

	mu   sync.Mutex
	said []string // commands that came
}

var goesWell = map[string]string{
	"greeting": "220 mx.example", "HELO": "250 mx.example", "STARTTLS": "220 go on", "AUTH": "235 2.7.0 welcome",
	"MAIL": "250 2.1.0 fine", "RCPT": "250 2.1.5 fine", "DATA": "354 go on", "dot": "250 2.0.0 taken", "QUIT": "221 2.0.0 bye",
}

// start gives the server's address.
func (s *script) start(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	over := make(chan struct{})
	var conversations sync.WaitGroup
	conversations.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conversations.Go(func() {
				defer conn.Close()
				s.talk(conn, over)
			})
		}
	})
	t.Cleanup(func() {
		close(over)
		_ = listener.Close()
		conversations.Wait()
	})
	return listener.Addr().String()
}

// commands gives the commands that came so far.
func (s *script) commands() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.said, "\n")
}

func (s *script) talk(conn net.Conn, over chan struct{}) {
	reader := bufio.NewReader(conn)
	if !s.answer(conn, over, "greeting", "") {
		return
	}
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.said = append(s.said, line)
		s.mu.Unlock()
		word, _, _ := strings.Cut(strings.ToUpper(line), " ")
		if !s.answer(conn, over, word, line) {
			return
		}
		switch {
		case word == "STARTTLS" && s.tls != nil && s.answers[word] == "":
			secure := tls.Server(conn, s.tls)
			conn, reader = secure, bufio.NewReader(secure)
		case word == "DATA" && s.answers[word] == "":
			for line != ".\r\n" {
				if line, err = reader.ReadString('\n'); err != nil {
					return
				}
			}
			if !s.answer(conn, over, "dot", "") {
				return
			}
		}
	}
}

// answer does what the script says, and tells whether the conversation goes on.
func (s *script) answer(conn net.Conn, over chan struct{}, word, line string) bool {
	said, told := s.answers[word]
	if !told {
		said = goesWell[word]
	}
	if word == "EHLO" && !told {
		said = "250-mx.example\r\n"
		for _, extension := range s.extensions {
			said += "250-" + extension + "\r\n"
		}
		said += "250 ENHANCEDSTATUSCODES"
	}
	for address, refusal := range s.recipients {
		if word == "RCPT" && strings.Contains(line, "<"+address+">") {
			said = refusal
		}
	}
	switch said {
	case hang:
		<-over
		return false
	case reset:
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		return false
	case cut:
		return false
	case "":
		said = "500 5.5.1 what"
	}
	_, err := fmt.Fprintf(conn, "%s\r\n", said)
	return err == nil
}
