//go:build e2e

package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// streamed is one event of the daemon's event stream.
type streamed struct {
	id       string // where to go on; empty inside a commit
	kind     string
	Incident string `json:"incident"`
	Position int64  `json:"position"`
	Seq      int64  `json:"seq"`
	Kind     string `json:"kind"`
	Actor    string `json:"actor"`
	Text     string `json:"text"`
	State    string `json:"state"`
}

// stream follows the daemon's events until the test ends.
type stream struct {
	mutex  sync.Mutex
	events []streamed
	err    error
}

// follow opens the event stream. lastID is where an earlier one ended; empty: with everything that ever happened.
func (d *daemon) follow(lastID string) *stream {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d.t.Cleanup(cancel)
	url := d.url + "/api/v1/events?after=0"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	patient := *d.client
	patient.Timeout = 0
	response, err := patient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		d.t.Fatalf("GET %s: %s, %s", url, response.Status, kind)
	}
	s := &stream{}
	go func() {
		defer response.Body.Close()
		s.read(bufio.NewScanner(response.Body))
	}()
	return s
}

// read takes the stream apart as the HTML standard says.
func (s *stream) read(lines *bufio.Scanner) {
	lines.Buffer(nil, 1<<20)
	var next streamed
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			next.id = value
		case "event":
			next.kind = value
		case "data":
			if err := json.Unmarshal([]byte(value), &next); err != nil {
				s.fail(fmt.Errorf("%w: %s", err, value))
			}
		case "":
			if next.kind != "" {
				s.mutex.Lock()
				s.events = append(s.events, next)
				s.mutex.Unlock()
			}
			next = streamed{}
		}
	}
}

func (s *stream) fail(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// of gives the events of an incident so far, in the order in which they came; empty: of all.
func (s *stream) of(incident string) ([]streamed, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var found []streamed
	for _, e := range s.events {
		if incident == "" || e.Incident == incident {
			found = append(found, e)
		}
	}
	return found, s.err
}
