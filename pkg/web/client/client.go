// Package client asks a running daemon over its HTTP API. Every write carries an idempotency key, so that it is done
// once even where its answer got lost and it is sent again.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/irdaemon/irdaemon/pkg/web"
)

// maxAnswerBytes bounds an answer: 200 incidents with everything in them stay far below it.
const maxAnswerBytes = 64 << 20

// Client asks the daemon at a URL. Without a token and without a user it says nothing of who asks.
type Client struct {
	Token          string // sent as Authorization: Bearer
	User, Password string // sent as Authorization: Basic, where there is no token

	base *url.URL
	http *http.Client
}

// New gives a client of the daemon at address, such as http://127.0.0.1:9847.
func New(address string, transport *http.Client) (*Client, error) {
	base, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil {
		return nil, fmt.Errorf("%q is not a URL; http://127.0.0.1:9847 is one", address)
	}
	if (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a daemon; http://127.0.0.1:9847 is one", address)
	}
	return &Client{base: base, http: transport}, nil
}

// Problem is what the daemon answered instead of doing it.
type Problem struct {
	web.Problem
}

// Error says what is wrong, where, and what is possible instead, in one line.
func (p *Problem) Error() string {
	parts := []string{p.Detail}
	for _, detail := range p.Errors {
		parts = append(parts, strings.TrimPrefix(detail.Location+": ", ": ")+detail.Message)
	}
	text := strings.Join(parts, "; ")
	if len(p.Allowed) > 0 {
		text += "; possible: " + strings.Join(p.allowed(), ", ")
	}
	return text
}

// allowed is what is possible instead, in the words of the command line where the daemon names a route.
func (p *Problem) allowed() []string {
	all := slices.Clone(p.Allowed)
	for i, said := range all {
		if strings.HasPrefix(said, "GET /api/v1/incidents ") {
			all[i] = "`irdaemon incidents` lists them"
		}
	}
	return all
}

// Unreachable says that no daemon answered at all.
type Unreachable struct {
	URL   string
	Cause error
}

// Error implements error.
func (e *Unreachable) Error() string {
	return fmt.Sprintf("cannot reach irdaemon at %s: %v", e.URL, e.Cause)
}

// Unwrap gives the cause.
func (e *Unreachable) Unwrap() error { return e.Cause }

// at gives an address of the API. A name that holds a slash or dots stays one part of the path.
func (c *Client) at(parts ...string) *url.URL {
	escaped := []string{"api", "v1"}
	for _, part := range parts {
		escaped = append(escaped, url.PathEscape(part))
	}
	return c.base.JoinPath(escaped...)
}

// do sends a request and decodes its answer into to. Where the connection breaks before there is an answer it is
// sent once more, with the same idempotency key.
func (c *Client) do(ctx context.Context, method string, target *url.URL, body, to any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	key := rand.Text()
	got, err := c.send(ctx, method, target, text, key)
	if connectionBroke(err) {
		got, err = c.send(ctx, method, target, text, key)
	}
	if err != nil {
		return c.unreachable(err)
	}
	return c.decode(got, to)
}

// answer is an HTTP answer, read whole.
type answer struct {
	code   int
	status string
	kind   string
	text   []byte
}

func (c *Client) send(ctx context.Context, method string, target *url.URL, body []byte, key string) (*answer, error) {
	request, err := c.request(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return read(response)
}

// request makes a request that says who asks.
func (c *Client) request(ctx context.Context, method string, target *url.URL, body io.Reader) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	switch {
	case err != nil:
		return nil, err
	case c.Token != "":
		request.Header.Set("Authorization", "Bearer "+c.Token)
	case c.User != "":
		request.SetBasicAuth(c.User, c.Password)
	}
	return request, nil
}

// read reads an answer whole.
func read(response *http.Response) (*answer, error) {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	return &answer{code: response.StatusCode, status: response.Status, kind: kind, text: text}, nil
}

// connectionBroke tells whether an answer may have been lost on its way.
func connectionBroke(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// unreachable leaves out the method and the address that net/http puts before the cause, and any password in the URL.
func (c *Client) unreachable(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var refused syscall.Errno
	if errors.As(err, &refused) && refused == syscall.ECONNREFUSED {
		err = refused
	}
	return &Unreachable{URL: c.base.Redacted(), Cause: err}
}

// decode reads an answer of the API into to; a problem document becomes a *Problem.
func (c *Client) decode(got *answer, to any) error {
	switch {
	case got.kind == "application/problem+json":
		problem := &Problem{}
		if err := json.Unmarshal(got.text, &problem.Problem); err == nil {
			return problem
		}
	case got.kind == "application/json" && got.code == http.StatusOK:
		if err := json.Unmarshal(got.text, to); err != nil {
			return fmt.Errorf("what %s answered is not what irdaemon's API says: %w", c.base.Redacted(), err)
		}
		return nil
	}
	return fmt.Errorf("what answers at %s is not irdaemon's API: %s", c.base.Redacted(),
		strings.TrimSuffix(got.status+", "+got.kind, ", "))
}
