package action

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	answerBytes   = 256 << 10 // of a body; a Kubernetes object with its managed fields fits
	headerBytes   = 64 << 10
	connectWithin = 5 * time.Second
)

// message is one request to be sent.
type message struct {
	method, url string
	contentType string
	body        []byte
	attempt     string // empty: a look, which changes nothing
}

// answer is what came of sending one.
type answer struct {
	sent    bool  // something may have left this machine
	err     error // no status came
	status  int
	header  http.Header
	body    []byte
	cut     error // the body is not whole
	secrets []string
}

// send makes one attempt. A status is an answer, even if the connection breaks in the body that follows.
//
// Each attempt has a connection of its own and speaks HTTP/1.1: Go sends a request anew, by itself, when a reused
// connection breaks and the request has an Idempotency-Key, and HTTP/2 has reasons of its own to do so. On a new
// connection it never does, and until there is one nothing has left.
func (c Connector) send(ctx context.Context, m message) answer {
	header, secrets, err := c.header(m)
	if err != nil {
		return answer{err: err}
	}
	transport, err := c.transport()
	if err != nil {
		return answer{err: err}
	}
	defer transport.CloseIdleConnections()
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	request, err := http.NewRequestWithContext(ctx, m.method, m.url, bytes.NewReader(m.body))
	if err != nil {
		return answer{err: errors.New("the address makes no request")}
	}
	if m.body == nil {
		request.Body, request.ContentLength = http.NoBody, 0
	}
	request.GetBody = nil
	request.Header = header
	response, err := transport.RoundTrip(request) // not a Client's Do, which would follow redirects
	if err != nil {
		return answer{sent: sent.Load(), err: inWords(ctx, err)}
	}
	defer response.Body.Close()
	a := answer{sent: true, status: response.StatusCode, header: response.Header, secrets: secrets}
	a.body, err = io.ReadAll(io.LimitReader(response.Body, answerBytes+1))
	switch {
	case err != nil:
		a.cut = inWords(ctx, err)
	case len(a.body) > answerBytes:
		a.body, a.cut = a.body[:answerBytes], fmt.Errorf("the answer is larger than %d KiB", answerBytes>>10)
	}
	return a
}

func (c Connector) transport() (*http.Transport, error) {
	trusted := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := readFile(c.CAFile)
		if err != nil {
			return nil, err
		}
		trusted.RootCAs = x509.NewCertPool()
		if !trusted.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", c.CAFile)
		}
	}
	dialer := &net.Dialer{
		Timeout: connectWithin,
		Control: func(_, address string, _ syscall.RawConn) error { return checkAddress(address, c.isPlain()) },
	}
	return &http.Transport{
		Proxy:                  nil, // a proxy would resolve names by itself, behind the check of the address
		DialContext:            dialer.DialContext,
		TLSClientConfig:        trusted,
		TLSHandshakeTimeout:    connectWithin,
		TLSNextProto:           map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 alone
		DisableKeepAlives:      true,
		DisableCompression:     true, // what is small on the wire may not be large here
		MaxResponseHeaderBytes: headerBytes,
	}, nil
}

// inWords says what went wrong on the way, without the foreign text of an error, which may hold an address.
func inWords(ctx context.Context, err error) error {
	var barred *barredError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &barred):
		return barred
	case errors.Is(err, context.Canceled), errors.Is(ctx.Err(), context.Canceled):
		return errors.New("the attempt was given up before an answer came")
	case errors.As(err, &name):
		return errors.New("the host's name does not resolve")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(ctx.Err(), context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer in time")
	case errors.As(err, &certificate):
		return errors.New("the host's certificate is not trusted")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("connection refused")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return errors.New("the host can't be reached")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection was cut before a whole answer came")
	default:
		return errors.New("no answer that is HTTP")
	}
}

// readFile reads a small file of the connector's settings. The error names the file, never what it holds.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer file.Close()
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return nil, fileError(path, err)
	}
	return text, nil
}

func fileError(path string, err error) error {
	var reason *fs.PathError
	if errors.As(err, &reason) {
		err = reason.Err
	}
	return fmt.Errorf("read %s: %w", path, err)
}
