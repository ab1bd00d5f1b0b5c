package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
)

// Event is one event of the stream.
type Event struct {
	Incident   string    `json:"incident" doc:"Id."`
	Number     int64     `json:"number"`
	Position   int64     `json:"position" doc:"Where it stands among the events of all incidents; those of one commit share it."`
	Seq        int64     `json:"seq" doc:"Where it stands among those of its incident. An event sent twice has the same."`
	At         time.Time `json:"at"`
	RecordedAt time.Time `json:"recorded_at"`
	Kind       string    `json:"kind"`
	Actor      string    `json:"actor"`
	Text       string    `json:"text" doc:"As the timeline has it."`
	State      string    `json:"state" doc:"Of the incident when this is told: of an old event, what became of it."`
	Severity   string    `json:"severity" doc:"As state."`
}

// Limits of the event streams.
const (
	mostStreams = 100
	// keepAliveEvery keeps proxies from taking a quiet stream for a dead one.
	keepAliveEvery = 15 * time.Second
	// slowest is how long a client may leave what is sent to it lying. Then it is dropped, and may come back for the rest:
	// nothing is kept for it.
	slowest = 10 * time.Second
	// streamLasts is how long a stream lasts: who opens the next one is asked anew who they are.
	streamLasts = time.Hour
	// stoppedWithin is how long the last bytes of a stream may take when the daemon stops.
	stoppedWithin = time.Second
)

type eventsInput struct {
	After       string `query:"after" maxLength:"18" pattern:"^[0-9]+$" patternDescription:"a position" doc:"The position after which to begin; 0: with everything that ever happened. Left out: with what happens from now on."`
	LastEventID string `header:"Last-Event-ID" maxLength:"18" pattern:"^[0-9]*$" patternDescription:"the id of an event" doc:"The last id received. It counts more than after."`
	Incident    string `query:"incident" maxLength:"64" doc:"Only events of this one: an id or a number."`
}

// stream answers with the events of all incidents in the order of their commits.
func (s *streams) stream(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	only, after, err := s.asked(ctx, in)
	if err != nil {
		return nil, err
	}
	if !s.enter() {
		return nil, newProblem(http.StatusServiceUnavailable, fmt.Sprintf("%d event streams are open", mostStreams), "again when one of them has ended")
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer s.leave()
		_, w := humago.Unwrap(hctx)
		header := w.Header()
		header.Set("Content-Type", "text/event-stream")
		header.Set("X-Accel-Buffering", "no") // a proxy that collects an answer before it passes it on passes on nothing
		if hctx.Method() == http.MethodHead {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, streamLasts)
		defer cancel()
		out := &eventWriter{w: w, control: http.NewResponseController(w)}
		defer s.untilStopped(cancel, out)()
		if err := s.follow(ctx, out, after, only); err != nil && ctx.Err() == nil {
			s.log.Debug("event stream ended", zap.Error(err))
		}
	}}, nil
}

// asked reads what a stream is to begin with, and which incident it is about; empty: all.
func (s *streams) asked(ctx context.Context, in *eventsInput) (only string, after int64, err error) {
	if in.Incident != "" {
		view, err := s.desk.View(ctx, in.Incident)
		if err != nil {
			return "", 0, explain(ctx, in.Incident, err, s.log)
		}
		only = view.ID
	}
	newest, err := s.feed.Position(ctx)
	if err != nil {
		return "", 0, explain(ctx, in.Incident, err, s.log)
	}
	location, text := "header.Last-Event-ID", in.LastEventID
	if text == "" {
		location, text = "query.after", in.After
	}
	if text == "" {
		return only, newest, nil
	}
	if after, err = strconv.ParseInt(text, 10, 64); err != nil || after > newest {
		// The store is another one than before, such as a backup. Waiting for its positions to catch up would leave out
		// everything until then, and nobody would know.
		return "", 0, invalid("there is no position "+text+" in this store", location, fmt.Sprintf("expected at most %d, the newest", newest),
			"left out: what happens from now on", "0: everything")
	}
	return only, after, nil
}

// untilStopped ends a stream when the daemon stops. What it gives ends the watch.
func (s *streams) untilStopped(cancel func(), out *eventWriter) (unwatch func()) {
	over := make(chan struct{})
	go func() {
		select {
		case <-s.stopping:
			cancel()
			out.hurry()
		case <-over:
		}
	}()
	return func() { close(over) }
}

// follow sends what there is, then what comes, until the context ends or the client does not take it.
func (s *streams) follow(ctx context.Context, out *eventWriter, after int64, only string) error {
	if err := out.begin(ctx, after); err != nil {
		return err
	}
	keepAlive := time.NewTicker(keepAliveEvery)
	defer keepAlive.Stop()
	for ctx.Err() == nil {
		news := s.news()
		told, err := s.read(ctx, after)
		if err != nil {
			return err
		}
		if len(told) > 0 {
			if err := out.events(ctx, about(told, only)); err != nil {
				return err
			}
			after = told[len(told)-1].Position
			continue
		}
		select {
		case <-ctx.Done():
		case <-news:
		case <-keepAlive.C:
			if err := out.keepAlive(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// about leaves out the events of other incidents.
func about(told []Event, only string) []Event {
	if only == "" {
		return told
	}
	var kept []Event
	for _, e := range told {
		if e.Incident == only {
			kept = append(kept, e)
		}
	}
	return kept
}

func registerEvents(api huma.API, config Config) {
	s := newStreams(config)
	op := operation("stream-events", http.MethodGet, "/api/v1/events", "The events of all incidents as they happen: server-sent events", 404, 422, 500, 503)
	op.Description = "Each has event: its kind, data: an Event in JSON, and id: its position, which stands with the last one of each commit alone. " +
		"Whoever comes back with the last id (Last-Event-ID, or after) gets everything after it, some perhaps for a second time. " +
		"A stream ends after an hour, and when its client does not take what is sent."
	schema := api.OpenAPI().Components.Schemas.Schema(typeOfEvent, true, "Event")
	op.Responses["200"] = &huma.Response{Description: "A stream without end.", Content: map[string]*huma.MediaType{"text/event-stream": {
		Schema: &huma.Schema{Type: huma.TypeString, Description: "Lines of text/event-stream; the data of each event is an Event, " + schema.Ref + "."},
	}}}
	huma.Register(api, needs(access.Read, waits(op)), s.stream)
}
