// Package httpclient makes a receiver's HTTP requests: one attempt each, redirects not followed, the answer put into
// the words of package notify.
//
// No error that leaves it holds a URL, for a receiver's address is often itself the secret; nor a body, for an
// endpoint may send back what it was sent.
package httpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/irdaemon/irdaemon/pkg/notify"
)

// answerBytes is how much of an answer is read: some services send back, with their verdict, the message they were sent.
const answerBytes = 256 << 10

// Client posts to one receiver. Each receiver has its own: a failure closes the idle connections of its client.
type Client struct{ http *retryablehttp.Client }

// Transport is what a client without settings of its own uses.
func Transport() http.RoundTripper {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        4,
		IdleConnTimeout:     90 * time.Second,
	}
}

// New makes a client. The outbox owns the retries, so it makes none itself.
func New(transport http.RoundTripper) *Client {
	return &Client{http: &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		Logger:       nil, // the library logs URLs
		RetryMax:     0,
		CheckRetry:   func(context.Context, *http.Response, error) (bool, error) { return false, nil },
		Backoff:      retryablehttp.DefaultBackoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}}
}

// Post makes one attempt, within the context's time. The answer's beginning is given for a receiver that knows its
// peer's answers; nothing else may show it.
func (c *Client) Post(ctx context.Context, address string, header http.Header, body []byte) (notify.Result, []byte) {
	target, err := url.Parse(address)
	if err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return notify.Result{Outcome: notify.Retry, Detail: "the address is not an http or https URL"}, nil
	}
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		return notify.Result{Outcome: notify.Retry, Detail: "the address makes no request"}, nil
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("User-Agent", "irdaemon")
	response, err := c.http.Do(request)
	if err != nil {
		return notify.Result{Outcome: notify.Retry, Detail: inWords(ctx, err)}, nil
	}
	defer response.Body.Close()
	// A status is an answer, even if the connection breaks in the body that follows.
	answer, _ := io.ReadAll(io.LimitReader(response.Body, answerBytes))
	return judge(response), answer
}

// judge says what a status means for the delivery.
func judge(response *http.Response) notify.Result {
	status := response.StatusCode
	result := notify.Result{Status: status, Detail: strconv.Itoa(status) + " " + http.StatusText(status)}
	switch {
	case status >= 200 && status < 300:
		result.Outcome, result.Detail = notify.Delivered, ""
	case status >= 300 && status < 400:
		// Followed, a POST would turn into a GET, and that page's 200 would pass for a delivery.
		result.Outcome = notify.Refused
		result.Detail += ": redirects are not followed; name the final address"
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		result.Outcome = notify.Retry
		result.RetryAfter = retryAfter(response.Header)
	default:
		result.Outcome = notify.Refused
	}
	return result
}

// retryAfter reads the header's seconds or date; 0 where there is none, or none that makes sense. An hour is the most,
// which keeps absurd numbers from overflowing; the notifier's own limit is lower.
func retryAfter(header http.Header) time.Duration {
	const most = time.Hour
	said := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(said, 64); err == nil {
		switch {
		case seconds > most.Seconds():
			return most
		case seconds > 0:
			return time.Duration(seconds * float64(time.Second))
		default:
			return 0
		}
	}
	until, err := http.ParseTime(said)
	if err != nil {
		return 0
	}
	// Counted from the sender's own clock, so that a difference between the two clocks doesn't matter.
	sent, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	return min(max(0, until.Sub(sent)), most)
}

// inWords says what went wrong on the way, without the foreign text of an error where it may hold an address.
func inWords(ctx context.Context, err error) string {
	var nameError *net.DNSError
	var certificate *tls.CertificateVerificationError
	var file *fs.PathError
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(ctx.Err(), context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "the attempt was given up"
	case errors.As(err, &nameError):
		return "the host's name does not resolve"
	case errors.As(err, &certificate):
		return "the host's certificate is not trusted"
	case errors.As(err, &file): // of the client's settings: a credential, a certificate
		return "read a file of the client's settings: " + file.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "the host can't be reached"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was cut before an answer came"
	default:
		return "no answer: the request could not be made"
	}
}
