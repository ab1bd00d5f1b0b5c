package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/web"
)

// FromNow begins an event stream with what happens from now on.
const FromNow = -1

// maxLineBytes bounds a line of an event stream: an event with a text of 10 kB stays far below it.
const maxLineBytes = 1 << 20

// Events tells of the events after a position as they happen: of all incidents, or of one where ref names it. It returns
// when the stream ends, when tell gives an error, which it gives back, and when the context ends; err is nil where the
// daemon ended the stream. last is the position to go on from: an event after it may be told a second time then, none is
// left out.
func (c *Client) Events(ctx context.Context, after int64, ref string, tell func(web.Event) error) (last int64, err error) {
	query := url.Values{}
	if after >= 0 {
		query.Set("after", strconv.FormatInt(after, 10))
	}
	if ref != "" {
		query.Set("incident", ref)
	}
	target := c.at("events")
	target.RawQuery = query.Encode()
	response, err := c.stream(ctx, target, "text/event-stream")
	if err != nil {
		return after, err
	}
	defer response.Body.Close()
	return readEvents(response.Body, after, tell)
}

// readEvents reads a stream as the HTML standard has it: an id counts once its block has ended.
func readEvents(body io.Reader, last int64, tell func(web.Event) error) (int64, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLineBytes)
	id, data := last, ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if data != "" {
				var event web.Event
				if err := json.Unmarshal([]byte(data), &event); err != nil {
					return last, fmt.Errorf("the event stream is not what irdaemon's API says: %w", err)
				}
				if err := tell(event); err != nil {
					return last, err
				}
			}
			last, data = id, ""
		case field == "id":
			if position, err := strconv.ParseInt(value, 10, 64); err == nil {
				id = position
			}
		case field == "data":
			data += value
		}
	}
	return last, lines.Err()
}

// stream asks for an answer that may take long. Another kind of answer is read whole and explained.
func (c *Client) stream(ctx context.Context, target *url.URL, kind string) (*http.Response, error) {
	request, err := c.request(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", kind+", application/problem+json")
	patient := *c.http
	patient.Timeout = 0 // it counts until the last byte
	response, err := patient.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if got, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); got == kind && response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	got, err := read(response)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if err := c.decode(got, nil); err != nil {
		return nil, err
	}
	return nil, errors.New("the daemon answered something else than was asked for")
}
