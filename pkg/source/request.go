package source

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/prometheus/common/config"
)

// question is one request to the API.
type question struct {
	expr   string
	url    string
	form   url.Values
	want   []resultKind
	bounds bounds
	within time.Duration // how long there was when it was asked
}

// ask sends the question, once more if that may help, and reads the answer, all within the timeout.
func (p *Prometheus) ask(ctx context.Context, q question) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	deadline, _ := ctx.Deadline() // the caller's, if that is the earlier one
	q.within = time.Until(deadline)
	response, err := p.send(ctx, q)
	if err != nil {
		return Answer{}, transportError(ctx, q, err)
	}
	defer response.Body.Close()
	p.noteClock(response)
	body, err := uncompressed(response)
	if err != nil {
		return Answer{}, bodyError(ctx, q, response, err)
	}
	defer body.Close()
	if response.StatusCode != http.StatusOK {
		return Answer{}, statusError(q, response, body)
	}
	key := q.url + "\n" + q.expr
	memory := p.memories.take(key)
	answer, said, err := decode(body, memory, q.want, q.bounds)
	if err != nil {
		return Answer{}, bodyError(ctx, q, response, err)
	}
	if said.status == "error" {
		return Answer{}, refusal(q, response, said)
	}
	p.memories.put(key, memory)
	return answer, nil
}

func (p *Prometheus) send(ctx context.Context, q question) (*http.Response, error) {
	q.form.Set("query", q.expr)
	// An engine that answers in part has to say so: Thanos and VictoriaMetrics fail the query when asked like this.
	q.form.Set("partial_response", "false")
	q.form.Set("deny_partial_response", "1")
	// VictoriaMetrics moves the bounds of a cached range to multiples of the step, and with them every window.
	q.form.Set("nocache", "1")
	q.form.Set("timeout", strconv.FormatFloat(max(q.within.Seconds(), 0.001), 'f', 3, 64))
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, q.url, []byte(q.form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "irdaemon")
	if p.compress {
		request.Header.Set("Accept-Encoding", "gzip")
	}
	return p.client.Do(request)
}

// newClient makes the HTTP client of the settings.
func newClient(cfg PrometheusConfig, host string) (*http.Client, error) {
	client := &http.Client{Transport: cfg.Transport}
	if cfg.Transport == nil {
		// Validate moves the older bearer_token keys to where the client looks for them.
		if err := cfg.HTTPClient.Validate(); err != nil {
			return nil, err
		}
		made, err := config.NewClientFromConfig(cfg.HTTPClient, "prometheus")
		if err != nil {
			return nil, err
		}
		client = made
	}
	client.CheckRedirect = func(next *http.Request, sent []*http.Request) error {
		if !cfg.HTTPClient.FollowRedirects || len(sent) > 3 || next.Method != sent[0].Method || next.URL.Host != host {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return client, nil
}

// newRetrying wraps the client so that a query is sent at most twice. The library's own defaults would go on for
// half a minute, obey a Retry-After of an hour, and log the URL.
func newRetrying(client *http.Client, timeout time.Duration) *retryablehttp.Client {
	pause := min(100*time.Millisecond, timeout/10)
	return &retryablehttp.Client{
		HTTPClient: client,
		RetryMax:   1,
		CheckRetry: func(ctx context.Context, response *http.Response, err error) (bool, error) {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			if err == nil && !passing(response.StatusCode) {
				return false, nil
			}
			// As much again as the pause is the least in which a second try could be answered.
			deadline, _ := ctx.Deadline()
			return time.Until(deadline) > retryAfter(response, 2*pause)+2*pause, nil
		},
		Backoff: func(_, _ time.Duration, _ int, response *http.Response) time.Duration {
			// Half of the pause is left to chance, so that the queries of one tick do not all come back at once.
			return retryAfter(response, pause/2+rand.N(pause/2+1)) //nolint:gosec // no secret, only a spread
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

// passing reports whether a status is likely to be another one a moment later.
func passing(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// retryAfter returns how long the source asks to wait, at least the fallback.
func retryAfter(response *http.Response, fallback time.Duration) time.Duration {
	if response == nil {
		return fallback
	}
	header := response.Header.Get("Retry-After")
	if s, err := strconv.ParseFloat(header, 64); err == nil {
		return max(fallback, time.Duration(min(s, 1e6)*float64(time.Second)))
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(fallback, time.Until(t))
	}
	return fallback
}

// uncompressed returns the response's body, unpacked. Closing it gives the unpacker back, not the body.
func uncompressed(response *http.Response) (io.ReadCloser, error) {
	if !strings.EqualFold(response.Header.Get("Content-Encoding"), "gzip") {
		return io.NopCloser(response.Body), nil
	}
	u := unpackers.Get().(*unpacker)
	if err := u.Reset(response.Body); err != nil {
		unpackers.Put(u)
		return nil, err
	}
	return u, nil
}

var unpackers = sync.Pool{New: func() any { return new(unpacker) }}

// unpacker is a gzip reader that goes back to its pool when it is closed.
type unpacker struct{ gzip.Reader }

func (u *unpacker) Close() error {
	err := u.Reader.Close()
	unpackers.Put(u)
	return err
}

// statusError makes an error of a response that is not 200. A body of the API's own form says more than the status.
func statusError(q question, response *http.Response, body io.Reader) error {
	if response.StatusCode/100 == 3 {
		return &Error{Reason: HTTPStatus, Expr: q.expr, Status: response.StatusCode, Detail: redirected(response)}
	}
	_, said, err := decode(io.LimitReader(body, 2*bufferBytes), newMemory(), q.want, q.bounds)
	if err != nil || said.status != "error" {
		return &Error{Reason: HTTPStatus, Expr: q.expr, Status: response.StatusCode, Detail: statusText(response)}
	}
	return refusal(q, response, said)
}

// refusal makes an error of an answer whose status is "error".
func refusal(q question, response *http.Response, said envelope) error {
	reason := HTTPStatus
	status := response.StatusCode
	switch said.errorType {
	case "timeout":
		reason = Timeout
	case "canceled", "internal", "unavailable", "not_found", "not_acceptable":
		// Nothing is wrong with the expression.
	case "bad_data", "execution", "cost_limit":
		reason = Query
	default: // VictoriaMetrics repeats the status here
		if status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusOK {
			reason = Query
		}
	}
	detail := statusText(response)
	if said.errorText != "" {
		detail += ": " + shorten(said.errorText, textShown)
	}
	return &Error{Reason: reason, Expr: q.expr, Status: status, Detail: detail}
}

func statusText(response *http.Response) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, http.StatusText(response.StatusCode))) + " from prometheus"
}

// redirected says where the source pointed to: its host alone, for the rest may hold a token.
func redirected(response *http.Response) string {
	detail := statusText(response)
	if to, err := response.Location(); err == nil && to.Host != "" {
		detail += fmt.Sprintf(": redirected to %s://%s", to.Scheme, to.Host)
	}
	return detail + "; a redirect is followed only with follow_redirects, to the same host and with the same method: set the final URL"
}

// transportError makes an error of a request that got no response.
func transportError(ctx context.Context, q question, err error) error {
	if failed := contextError(ctx, q, err); failed != nil {
		return failed
	}
	cause := withoutURL(err)
	return &Error{Reason: Unreachable, Expr: q.expr, Detail: "prometheus is unreachable: " + firstLine(cause), Err: cause}
}

// bodyError makes an error of an answer that could not be read to its end.
func bodyError(ctx context.Context, q question, response *http.Response, err error) error {
	if failed := contextError(ctx, q, err); failed != nil {
		return failed
	}
	var known *Error
	if errors.As(err, &known) {
		said := *known
		said.Expr, said.Status = q.expr, response.StatusCode
		return &said
	}
	cause := withoutURL(err)
	var network *net.OpError
	if errors.As(err, &network) {
		return &Error{Reason: Unreachable, Expr: q.expr, Status: response.StatusCode, Detail: "the connection broke during the answer: " + firstLine(cause), Err: cause}
	}
	return &Error{Reason: Malformed, Expr: q.expr, Status: response.StatusCode, Detail: "malformed answer: " + firstLine(cause), Err: cause}
}

// contextError tells the end of our time from the caller's giving up; nil when neither is the case.
func contextError(ctx context.Context, q question, err error) error {
	var slow net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Reason: Canceled, Expr: q.expr, Detail: "canceled", Err: context.Canceled}
	case ctx.Err() != nil, errors.As(err, &slow) && slow.Timeout():
		return &Error{Reason: Timeout, Expr: q.expr, Detail: fmt.Sprintf("no whole answer from prometheus within %s", q.within.Round(time.Millisecond)), Err: context.DeadlineExceeded}
	}
	return nil
}
