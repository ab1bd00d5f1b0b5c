package changes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// LongestEvent is how many bytes a change event may have.
const LongestEvent = 64 << 10

// What stands in custom_details; the first key that is there counts.
var (
	artifactKeys = []string{"artifact", "kind"}
	serviceKeys  = []string{"service"}
	fromKeys     = []string{"from", "previous_version"}
	toKeys       = []string{"to", "version"}
	byKeys       = []string{"by", "author"}
)

// unnamedArtifact is what an event changed that doesn't say what: this shape is what deploy pipelines send.
const unnamedArtifact = "code"

// changeEvent is a change event of PagerDuty's Events API v2.
type changeEvent struct {
	RoutingKey string `json:"routing_key"`
	Payload    *struct {
		Summary       string          `json:"summary"`
		Source        string          `json:"source"`
		Timestamp     string          `json:"timestamp"`
		CustomDetails json.RawMessage `json:"custom_details"`
	} `json:"payload"`
	Links []struct {
		Href string `json:"href"`
	} `json:"links"`
}

// PagerDuty reads a change event in the shape of PagerDuty's Events API v2, so that a pipeline that sends these needs
// another address alone. It gives the event's routing key beside the change, for the caller to check.
//
// custom_details may say artifact (or kind), service, from (or previous_version), to (or version) and by (or author);
// these are checked as in any report, but that an artifact that is no name (an image, some words), as custom_details that
// are no object, goes into the note. An event that names no artifact is a change of code, for deploy pipelines send this
// shape; one that names no service may be of any. The summary is the note, cut to what a note may hold; who did it is by
// default the event's source; the first web address among the links is kept. Without a timestamp it is now.
//
// The error is Invalid, with PagerDuty's names for the fields.
func PagerDuty(body io.Reader, now time.Time) (c Change, routingKey string, err error) {
	event, err := readEvent(body)
	if err != nil {
		return Change{}, "", err
	}
	c, found := event.change()
	routingKey = event.RoutingKey
	report, err := Report(c, now)
	var invalid Invalid
	if errors.As(err, &invalid) {
		found = append(found, eventFields(invalid)...)
	}
	if len(found) > 0 {
		return Change{}, routingKey, found
	}
	return report, routingKey, nil
}

func readEvent(body io.Reader) (*changeEvent, error) {
	raw, err := io.ReadAll(io.LimitReader(body, LongestEvent+1))
	if err != nil {
		return nil, fmt.Errorf("read the change event: %w", err)
	}
	if len(raw) > LongestEvent {
		return nil, Invalid{{"event", "it is too long", fmt.Sprintf("at most %d bytes", LongestEvent)}}
	}
	var event changeEvent
	if err := json.Unmarshal(raw, &event); err != nil {
		return nil, Invalid{{"event", "it can't be read: " + quote(err.Error()), "a change event of the Events API v2: routing_key, payload, links"}}
	}
	if event.Payload == nil {
		return nil, Invalid{{"payload", "missing", "an object with summary, source, timestamp and custom_details"}}
	}
	return &event, nil
}

// change is what the event says, before it is checked.
func (e *changeEvent) change() (c Change, found Invalid) {
	p := e.Payload
	if oneLine(p.Summary, longestText) == "" {
		found = append(found, Problem{"payload.summary", "missing", "what was changed, in words"})
	}
	details, rest := readDetails(p.CustomDetails)
	artifact, more := artifactOf(details)
	c.Note = oneLine(p.Summary+rest+more, longestText)
	detail := func(keys []string) string {
		for _, key := range keys {
			if text := scalar(details[key]); text != "" {
				return text
			}
		}
		return ""
	}
	c.Artifact, c.Service, c.From, c.To, c.By = artifact, detail(serviceKeys), detail(fromKeys), detail(toKeys), detail(byKeys)
	if c.By == "" {
		c.By = oneLine(p.Source, longestName)
	}
	for _, link := range e.Links {
		if isWebAddress(link.Href) {
			c.URL = link.Href
			break
		}
	}
	if p.Timestamp != "" {
		at, ok := eventTime(p.Timestamp)
		if !ok {
			found = append(found, Problem{"payload.timestamp", quote(p.Timestamp) + " is not a time", "ISO 8601, as 2026-11-01T13:30:00.000Z; left out: now"})
		}
		c.At = at
	}
	return c, found
}

// readDetails reads custom_details; what is no object is the rest, for the note.
func readDetails(raw json.RawMessage) (details map[string]json.RawMessage, rest string) {
	if len(raw) == 0 || json.Unmarshal(raw, &details) == nil {
		return details, ""
	}
	if text := scalar(raw); text != "" {
		return nil, "; " + text
	}
	return nil, "; " + string(raw)
}

// artifactOf is the first artifact that is a name, else that of an event which doesn't say; those before it are for the note.
func artifactOf(details map[string]json.RawMessage) (artifact, rest string) {
	for _, key := range artifactKeys {
		switch text := scalar(details[key]); {
		case triggers.ValidName(text):
			return text, rest
		case text != "":
			rest += "; " + key + ": " + text
		}
	}
	return unnamedArtifact, rest
}

// eventTime reads a time as PagerDuty's documentation writes it, 2020-07-17T08:42:58.315+0000, or as RFC 3339 does.
func eventTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// scalar is a text or a number as it is written; anything else is none.
func scalar(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return strings.TrimSpace(text)
	}
	var number json.Number
	if json.Unmarshal(raw, &number) == nil {
		return number.String()
	}
	return ""
}

// oneLine makes a text that was written for another system fit: what can't be printed is a space, what is too long
// ends with an ellipsis.
func oneLine(text string, longest int) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == utf8.RuneError || notPrintable(r) }), " ")
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest-1]) + "…"
	}
	return text
}

// eventFields names the fields of a report as the event does.
func eventFields(problems Invalid) Invalid {
	for i := range problems {
		switch field := &problems[i].Field; *field {
		case "at":
			*field = "payload.timestamp"
		case "artifact", "service", "from", "to", "by":
			*field = "payload.custom_details." + *field
		}
	}
	return problems
}
