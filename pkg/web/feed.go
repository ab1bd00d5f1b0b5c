package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// Feed is where the event stream comes from.
type Feed interface {
	// Feed gives events of all incidents in the order of their commits, with a position above after.
	Feed(ctx context.Context, after int64, limit int) ([]incident.Positioned, error)
	// Position is that of the newest commit.
	Position(ctx context.Context) (int64, error)
}

var typeOfEvent = reflect.TypeFor[Event]()

const (
	// pollEvery is how often the store is asked whether something was committed, whoever did it: another replica, too. One
	// poll serves all streams, and there is none while no stream is open.
	pollEvery = 500 * time.Millisecond
	// readAtOnce is how many events are read at a time.
	readAtOnce = 200
)

// streams are the open event streams. Each has its own place in the feed and reads on from it by itself; so a slow one
// holds up nobody, and nothing is buffered for it.
type streams struct {
	desk     Desk
	feed     Feed
	log      *zap.Logger
	stopping <-chan struct{}

	mutex   sync.Mutex
	open    int
	waiting chan struct{} // closed at the next commit
	quit    func()        // ends the poller, which runs while a stream is open

	reading sync.Mutex // one reads at a time
	from    int64      // the place at which the last reading began, and what it found: most streams stand at the same place
	last    []Event
}

func newStreams(config Config) *streams {
	return &streams{desk: config.Desk, feed: config.Feed, log: config.Log, stopping: config.Stopping, waiting: make(chan struct{})}
}

// enter counts a stream in, if there is room for it.
func (s *streams) enter() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.open >= mostStreams {
		return false
	}
	if s.open++; s.open == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		s.quit = cancel
		go s.poll(ctx)
	}
	return true
}

func (s *streams) leave() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.open--; s.open == 0 {
		s.quit()
	}
}

// news is closed when something was committed after it was asked for.
func (s *streams) news() <-chan struct{} {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.waiting
}

// poll tells the streams of commits. The first look tells always: something may have come in before it.
func (s *streams) poll(ctx context.Context) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	known, troubled := int64(-1), false
	for {
		position, err := s.feed.Position(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !troubled:
			s.log.Warn("the event streams stand still; tried again every "+pollEvery.String(), zap.Error(err))
		case err == nil && position != known:
			known = position
			s.tell()
		}
		troubled = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *streams) tell() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	close(s.waiting)
	s.waiting = make(chan struct{})
}

// read gives the next events after a position, none where there are none. It never ends in the middle of a commit.
func (s *streams) read(ctx context.Context, after int64) ([]Event, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if after == s.from && len(s.last) > 0 {
		return s.last, nil
	}
	positioned, err := s.wholeCommits(ctx, after)
	if err != nil {
		return nil, err
	}
	told, err := s.inWords(ctx, positioned)
	if err != nil {
		return nil, err
	}
	s.from, s.last = after, told
	return told, nil
}

// wholeCommits reads on until the end of a commit.
func (s *streams) wholeCommits(ctx context.Context, after int64) ([]incident.Positioned, error) {
	for limit := readAtOnce; ; limit *= 2 {
		read, err := s.feed.Feed(ctx, after, limit)
		if err != nil {
			return nil, fmt.Errorf("read the events: %w", err)
		}
		if len(read) < limit {
			return read, nil
		}
		newest := read[len(read)-1].Position
		whole := slices.IndexFunc(read, func(p incident.Positioned) bool { return p.Position == newest })
		if whole > 0 {
			return read[:whole], nil
		}
	}
}

// inWords tells events as their incidents' timelines do.
func (s *streams) inWords(ctx context.Context, positioned []incident.Positioned) ([]Event, error) {
	views := map[string]incident.View{}
	var told []Event
	for _, p := range positioned {
		view, ok := views[p.Incident]
		if !ok {
			var err error
			if view, err = s.desk.View(ctx, p.Incident); err != nil {
				return nil, err
			}
			views[p.Incident] = view
		}
		e := Event{
			Incident: p.Incident, Number: view.Number, Position: p.Position, Seq: p.Event.Seq, At: p.Event.At, RecordedAt: p.Event.RecordedAt,
			Kind: p.Event.Body.Kind(), Actor: p.Event.Actor, State: string(view.State), Severity: string(view.Severity),
		}
		at := slices.IndexFunc(view.Timeline, func(entry incident.TimelineEntry) bool { return entry.Seq == e.Seq })
		if at >= 0 {
			e.Text = view.Timeline[at].Text
		}
		told = append(told, e)
	}
	return told, nil
}

// eventWriter writes an event stream as the HTML standard has it.
type eventWriter struct {
	w       io.Writer
	control *http.ResponseController
}

// begin tells the client where it stands, so that it can come back even if nothing happens before it loses the stream.
func (e *eventWriter) begin(ctx context.Context, after int64) error {
	return e.send(ctx, fmt.Sprintf("retry: 2000\nid: %d\n\n", after))
}

func (e *eventWriter) keepAlive(ctx context.Context) error { return e.send(ctx, ":\n\n") }

// events writes events. The id stands with the last one of its commit alone: whoever comes back with it has all of the
// commit, and whoever lost the stream in the middle of one gets it whole.
func (e *eventWriter) events(ctx context.Context, told []Event) error {
	var blocks []string
	for i, event := range told {
		data, err := json.Marshal(event)
		if err != nil {
			return err
		}
		kind, id := event.Kind, ""
		if strings.ContainsAny(kind, "\r\n") {
			kind = "unknown"
		}
		if i+1 == len(told) || told[i+1].Position != event.Position {
			id = fmt.Sprintf("id: %d\n", event.Position)
		}
		blocks = append(blocks, fmt.Sprintf("%sevent: %s\ndata: %s\n\n", id, kind, data))
	}
	if len(blocks) == 0 {
		return nil
	}
	return e.send(ctx, blocks...)
}

// send writes blocks, and has the time for each anew: a client that is slow and reads is no slow client.
func (e *eventWriter) send(ctx context.Context, blocks ...string) error {
	for _, block := range blocks {
		// An error: the writer knows no limits, and so has none. The limit is set before the context is looked at: hurry
		// sets a shorter one once the context has ended.
		_ = e.control.SetWriteDeadline(time.Now().Add(slowest))
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.WriteString(e.w, block); err != nil {
			return err
		}
	}
	return e.control.Flush()
}

// hurry leaves the client little time for what is on its way.
func (e *eventWriter) hurry() { _ = e.control.SetWriteDeadline(time.Now().Add(stoppedWithin)) }
