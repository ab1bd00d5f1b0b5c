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
	"strconv"
	"strings"
	"syscall"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// maxAnswerBytes bounds an answer: 200 incidents with everything in them stay far below it.
const maxAnswerBytes = 64 << 20

// Client asks the daemon at a URL.
type Client struct {
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
		text += "; possible: " + strings.Join(p.Allowed, ", ")
	}
	return text
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

// List gives a page of incidents, newest first. The zero filter lists all.
func (c *Client) List(ctx context.Context, filter incident.Filter) (web.IncidentList, error) {
	query := url.Values{}
	for name, value := range map[string]string{
		"state": filter.State, "runbook": filter.Runbook, "severity": string(filter.Severity), "after": filter.After,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if filter.Limit > 0 {
		query.Set("limit", strconv.Itoa(filter.Limit))
	}
	target := c.base.JoinPath("api", "v1", "incidents")
	target.RawQuery = query.Encode()
	var list web.IncidentList
	return list, c.do(ctx, http.MethodGet, target, nil, &list)
}

// Show gives an incident with its timeline; ref is an id or a number, with or without #.
func (c *Client) Show(ctx context.Context, ref string) (incident.View, error) {
	var view incident.View
	return view, c.do(ctx, http.MethodGet, c.incident(ref), nil, &view)
}

// Acknowledge takes an incident for somebody and gives it as it is then.
func (c *Client) Acknowledge(ctx context.Context, ref, by string) (incident.View, error) {
	var view incident.View
	body := map[string]string{"by": by}
	return view, c.do(ctx, http.MethodPost, c.incident(ref, "acknowledge"), body, &view)
}

// Note adds a note to an incident's timeline and gives the incident as it is then.
func (c *Client) Note(ctx context.Context, ref, by, text string) (incident.View, error) {
	var view incident.View
	body := map[string]string{"by": by, "text": text}
	return view, c.do(ctx, http.MethodPost, c.incident(ref, "notes"), body, &view)
}

// incident gives the address of an incident, or of something below it. An id that holds a slash or dots stays one
// part of the path.
func (c *Client) incident(ref string, below ...string) *url.URL {
	return c.base.JoinPath(append([]string{"api", "v1", "incidents", url.PathEscape(ref)}, below...)...)
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
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
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
