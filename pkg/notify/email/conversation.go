package email

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail/smtp"
)

// The stations of a conversation, in their order.
const (
	stageConnect  = "connecting"
	stageGreeting = "the greeting"
	stageHello    = "EHLO"
	stageTLS      = "STARTTLS"
	stageLogin    = "the login"
	stageSender   = "MAIL FROM"
	stageTo       = "RCPT TO"
	stageData     = "DATA"
	stageMail     = "the end of the mail"
)

// What we ourselves break a conversation off for.
var (
	errNoTLS   = errors.New("the server offers no STARTTLS, and require_tls is on")
	errClear   = errors.New("the server offers no encryption, and a password is not sent without it")
	errNoLogin = errors.New("the server offers no login that is known here (PLAIN, LOGIN, CRAM-MD5)")
)

// stageError is what went wrong, and where.
type stageError struct {
	stage string
	err   error
}

func (e *stageError) Error() string { return e.err.Error() + ", at " + e.stage }
func (e *stageError) Unwrap() error { return e.err }

func at(stage string, err error) error {
	if err == nil {
		return nil
	}
	return &stageError{stage: stage, err: err}
}

// send has one conversation with the server, in which it takes over the mail. The refusals are of recipients that were
// left out; the others get it.
func (r *Receiver) send(ctx context.Context, composed []byte, password string) (refusals []*textproto.Error, err error) {
	conn, err := r.connect(ctx)
	if err != nil {
		return nil, at(stageConnect, err)
	}
	defer conn.Close()
	// The end of the context ends whatever read or write is waiting then, at any stage.
	release := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer release()
	client, err := smtp.NewClient(conn, r.host)
	if err != nil {
		return nil, at(stageGreeting, err)
	}
	if err := client.Hello(r.config.Hello); err != nil {
		return nil, at(stageHello, err)
	}
	if err := r.encrypt(client); err != nil {
		return nil, at(stageTLS, err)
	}
	if err := r.logIn(client, conn.RemoteAddr(), password); err != nil {
		return nil, at(stageLogin, err)
	}
	if err := r.sender(client); err != nil {
		return nil, at(stageSender, err)
	}
	if refusals, err = r.recipients(client); err != nil {
		return nil, at(stageTo, err)
	}
	if err := hand(client, composed); err != nil {
		return nil, err
	}
	// The server has the mail, whatever it says to the goodbye, and nobody waits for that.
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_ = client.Quit()
	return refusals, nil
}

// connect dials, with TLS first on port 465.
func (r *Receiver) connect(ctx context.Context) (net.Conn, error) {
	conn, err := r.config.Dialer(ctx, "tcp", net.JoinHostPort(r.host, r.port))
	if err != nil || r.port != "465" {
		return conn, err
	}
	secure := tls.Client(conn, r.tlsConfig())
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the handshake's error tells more
		return nil, err
	}
	return secure, nil
}

func (r *Receiver) tlsConfig() *tls.Config {
	config := r.config.TLSConfig.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName = r.host
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return config
}

// encrypt changes to TLS, unless it is there already or, where the settings allow that, the server doesn't offer it.
func (r *Receiver) encrypt(client *smtp.Client) error {
	if encrypted(client) {
		return nil
	}
	if offered, _ := client.Extension("STARTTLS"); offered {
		return client.StartTLS(r.tlsConfig())
	}
	if r.config.RequireTLS {
		return errNoTLS
	}
	return nil
}

func encrypted(client *smtp.Client) bool {
	_, err := client.GetTLSConnectionState()
	return err == nil
}

// logIn authenticates by the first way that the server offers. PLAIN comes first: the connection is encrypted, and
// many a server offers challenges for which it hasn't stored what they need.
func (r *Receiver) logIn(client *smtp.Client, peer net.Addr, password string) error {
	if r.config.Username == "" {
		return nil
	}
	if !encrypted(client) && !loopback(peer) {
		return errClear
	}
	_, said := client.Extension("AUTH")
	offered := strings.Fields(strings.ToUpper(said))
	user := r.config.Username
	switch {
	case slices.Contains(offered, "PLAIN"):
		return client.Auth(smtp.PlainAuth("", user, password, r.host, true))
	case slices.Contains(offered, "LOGIN"):
		return client.Auth(smtp.LoginAuth(user, password, r.host, true))
	case slices.Contains(offered, "CRAM-MD5"):
		return client.Auth(smtp.CRAMMD5Auth(user, password))
	default:
		return errNoLogin
	}
}

// loopback goes by the peer's real address: a name in the settings proves nothing.
func loopback(peer net.Addr) bool {
	tcp, ok := peer.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// sender opens the envelope. SMTPUTF8 is asked for only where an address needs it, for a mail that has it is sent back
// by the first server on its way that doesn't know it.
func (r *Receiver) sender(client *smtp.Client) error {
	ascii := isASCII(r.from.Address)
	for _, to := range r.to {
		ascii = ascii && isASCII(to.Address)
	}
	client.SkipSMTPUTF8(ascii)
	return client.Mail("<" + r.from.Address + ">")
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c > unicode.MaxASCII })
}

// recipients names everybody, and gives the refusals of those who are not taken. If nobody is, that is an error: one
// refusal, and of several one that may pass.
func (r *Receiver) recipients(client *smtp.Client) (refusals []*textproto.Error, err error) {
	for _, to := range r.to {
		err := client.Rcpt("<" + to.Address + ">")
		var refusal *textproto.Error
		switch {
		case err == nil:
		case errors.As(err, &refusal) && refusal.Code != closing:
			refusals = append(refusals, refusal)
		default:
			return nil, err
		}
	}
	if len(refusals) < len(r.to) {
		return refusals, nil
	}
	for _, refusal := range refusals {
		if outcome(refusal.Code) != refused {
			return nil, refusal
		}
	}
	return nil, refusals[0]
}

// hand gives the mail to the server. After the final dot its answer alone tells whether it took it.
func hand(client *smtp.Client, composed []byte) error {
	writer, err := client.Data()
	if err != nil {
		return at(stageData, err)
	}
	_, broken := writer.Write(composed)
	err = writer.Close()
	var answer *textproto.Error
	switch {
	case errors.As(err, &answer) && answer.Code/100 == 2: // not the 250 of the book, but a yes
		err = nil
	case err == nil || answer != nil: // an answer tells more than a write that broke while it was on its way
	case broken != nil:
		return at(stageData, broken)
	}
	return at(stageMail, err)
}
