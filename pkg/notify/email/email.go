// Package email sends messages as mail over one SMTP server.
//
// A delivery's Message-ID is the same in all its attempts, so that a mail that is sent again, because nobody knows
// whether it arrived, is dropped as a double by many mail systems. No two deliveries share one, or a page would be
// dropped as a double of another.
//
// Accepted means handed over: the server has the mail, and nobody may have read it.
package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
)

// Config says to whom mails go, from whom, and by which server.
type Config struct {
	To        []string // addresses, also with a name: On-call <oncall@example.org>
	From      string   // empty: irdaemon@ and the name of Hello
	Smarthost string   // host:port; on port 465 TLS comes first, elsewhere STARTTLS
	Hello     string   // name or address in brackets that the server is greeted with; empty: the host's name
	// Username logs in, with the password that the file holds; it is read at each attempt, so a password is changed by
	// writing it. Empty: no login. Neither is ever sent over a connection without encryption that leaves the machine.
	Username     string
	PasswordFile string
	// RequireTLS makes an attempt fail where the server offers no STARTTLS. Without it the mail goes in the clear there;
	// where STARTTLS is offered it is used, and certificates are verified, all the same.
	RequireTLS bool
	TLSConfig  *tls.Config   // of a private authority; nil: the system's roots
	Timeout    time.Duration // of an attempt, from the connection to the last answer; 0: 10 s
	Instance   string        // of the daemon: a part of the Message-ID

	Dialer func(ctx context.Context, network, address string) (net.Conn, error) // for tests; nil: the usual one
}

// Receiver mails to the addresses of one role.
type Receiver struct {
	config Config
	host   string // of the smarthost
	port   string
	from   *mail.Address
	to     []*mail.Address
	domain string // right of the @ in a Message-ID
}

var _ notify.Receiver = (*Receiver)(nil)

// New makes a receiver. Its errors name the setting that can't be used.
func New(config Config) (*Receiver, error) {
	r := &Receiver{config: config}
	if err := r.hello(); err != nil {
		return nil, err
	}
	if err := r.addresses(); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(config.Smarthost)
	number, notNumber := strconv.Atoi(port)
	if err != nil || host == "" || notNumber != nil || number < 1 || number > 65535 {
		return nil, fmt.Errorf("smarthost %q: a host and a port, as in mail.example.org:587", config.Smarthost)
	}
	if (config.Username == "") != (config.PasswordFile == "") {
		return nil, errors.New("a user name and a password file: both, or neither where the server asks for no login")
	}
	r.host, r.port = host, port
	r.domain = domain(config.Instance, r.from.Address)
	if config.Timeout == 0 {
		r.config.Timeout = 10 * time.Second
	}
	if config.Dialer == nil {
		r.config.Dialer = (&net.Dialer{}).DialContext
	}
	return r, nil
}

// Anything else in the greeting would be a second word, or a second line, of the command.
var helloPattern = regexp.MustCompile(`^[A-Za-z0-9.:_\[\]-]+$`)

func (r *Receiver) hello() error {
	if r.config.Hello == "" {
		name, err := os.Hostname()
		if err != nil || !helloPattern.MatchString(name) {
			name = "localhost"
		}
		r.config.Hello = name
	}
	if !helloPattern.MatchString(r.config.Hello) {
		return fmt.Errorf("hello %q: the name of a host, as in irdaemon.example.org", r.config.Hello)
	}
	return nil
}

func (r *Receiver) addresses() error {
	if r.config.From == "" {
		r.config.From = "irdaemon@" + r.config.Hello
	}
	from, err := address(r.config.From)
	if err != nil {
		return fmt.Errorf("from %w", err)
	}
	r.from = from
	if len(r.config.To) == 0 {
		return errors.New("to: at least one address")
	}
	for _, said := range r.config.To {
		to, err := address(said)
		if err != nil {
			return fmt.Errorf("to %w", err)
		}
		r.to = append(r.to, to)
	}
	return nil
}

func address(said string) (*mail.Address, error) {
	parsed, err := mail.ParseAddress(said)
	if err != nil || strings.ContainsAny(parsed.Address, " \t\r\n<>") {
		return nil, fmt.Errorf("%q: not a mail address; as in oncall@example.org, or On-call <oncall@example.org>", said)
	}
	return parsed, nil
}

// Carries implements notify.Receiver. Each message is a new mail, so the stations between a page and its end would be
// noise in the mailbox of somebody who is being called.
func (r *Receiver) Carries() incident.Carries { return incident.Carries{Notices: true} }

// Deliver implements notify.Receiver. The receipt is the mail's Message-ID, by which later mails join its thread.
func (r *Receiver) Deliver(ctx context.Context, m notify.Message) notify.Result {
	composed, err := r.compose(m)
	if err != nil {
		return notify.Result{Outcome: notify.Refused, Detail: "write the mail: " + err.Error()}
	}
	password, err := r.password()
	if err != nil {
		return notify.Result{Outcome: notify.Retry, Detail: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Timeout)
	defer cancel()
	refusals, err := r.send(ctx, composed, password)
	if err != nil {
		return judge(ctx, err)
	}
	return notify.Result{
		Outcome: notify.Delivered, Receipt: "<" + r.messageID(m) + ">", Detail: someRefused(refusals, len(r.to)),
	}
}

// password reads the file. One that can't be used now may be just being replaced.
func (r *Receiver) password() (string, error) {
	if r.config.Username == "" {
		return "", nil
	}
	content, err := os.ReadFile(r.config.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimRight(string(content), "\r\n")
	if password == "" {
		return "", errors.New("read the password: the file is empty")
	}
	return password, nil
}
