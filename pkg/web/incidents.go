package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"unicode"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// via is how commands that came in here are told in the record.
const via = "api"

// IncidentList is a page of incidents.
type IncidentList struct {
	Incidents []incident.View `json:"incidents" nullable:"false" doc:"Newest first. Timelines are left empty here; ask for the incident itself."`
	Next      string          `json:"next" doc:"Give it as after for the next page; empty on the last page."`
}

type listInput struct {
	State    string `query:"state" enum:"open,triggered,acknowledged,mitigating,verifying,resolved,closed,dismissed,all" doc:"A state, or open: neither resolved, closed nor dismissed. Default: all."`
	Runbook  string `query:"runbook" maxLength:"200" doc:"Name of a runbook."`
	Severity string `query:"severity" enum:"sev1,sev2,sev3,sev4"`
	After    string `query:"after" maxLength:"18" pattern:"^[0-9]+$" patternDescription:"the next of the page before" doc:"The next of the page before."`
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

type listOutput struct{ Body IncidentList }

// IncidentRef is an incident in a path. It is exported, as Write is, because huma looks into exported fields alone.
type IncidentRef struct {
	ID string `path:"id" maxLength:"64" doc:"The incident's id or number (42 or #42)." example:"42"`
}

type incidentOutput struct{ Body incident.View }

// Write is what all commands share.
type Write struct {
	IncidentRef
	Key string `header:"Idempotency-Key" maxLength:"200" doc:"A write with the same key is done once; the answer is the first one's. Another request with the key is refused."`
}

// Resolve implements huma.Resolver.
func (in *Write) Resolve(huma.Context) []error {
	if i := strings.IndexFunc(in.Key, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		return []error{&huma.ErrorDetail{
			Location: "header.Idempotency-Key", Message: "expected letters, digits and signs of ASCII, such as a UUID", Value: in.Key,
		}}
	}
	return nil
}

// once names the write by its key and by everything that makes it what it is.
func (in *Write) once(command string, parts ...string) incident.Idempotency {
	if in.Key == "" {
		return incident.Idempotency{}
	}
	parts = append([]string{command, strings.TrimPrefix(in.ID, "#")}, parts...)
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return incident.Idempotency{Key: in.Key, RequestHash: hex.EncodeToString(sum[:])}
}

// person is who does something. There is no authentication yet: it is what the caller says.
type person string

// Resolve implements huma.ResolverWithPath.
func (p person) Resolve(_ huma.Context, prefix *huma.PathBuffer) []error {
	name := string(p)
	if strings.TrimSpace(name) == name && strings.IndexFunc(name, func(r rune) bool { return !isShown(r) }) < 0 {
		return nil
	}
	return []error{&huma.ErrorDetail{
		Location: prefix.String(), Message: "expected a name without control characters and without spaces around it", Value: name,
	}}
}

type acknowledgeInput struct {
	Write
	Body struct {
		_  struct{} `json:"-" additionalProperties:"false"`
		By person   `json:"by" minLength:"1" maxLength:"100" doc:"Who takes the incident. Nobody checks it yet." example:"alice"`
	}
}

type noteInput struct {
	Write
	Body struct {
		_    struct{} `json:"-" additionalProperties:"false"`
		By   person   `json:"by" minLength:"1" maxLength:"100" doc:"Who notes it. Nobody checks it yet." example:"alice"`
		Text noteText `json:"text" minLength:"1" maxLength:"10000" doc:"Plain text, at most 10 kB. Line feeds and tabs are the only control characters." example:"The provider says that they see it too."`
	}
}

// maxNoteBytes is 10 kB: a note is a remark in a timeline, not a document.
const maxNoteBytes = 10_000

// noteText is plain text: what shows it escapes it, and nothing in it may steer a terminal.
type noteText string

// Resolve implements huma.ResolverWithPath.
func (t noteText) Resolve(_ huma.Context, prefix *huma.PathBuffer) []error {
	refuse := func(message string) []error {
		return []error{&huma.ErrorDetail{Location: prefix.String(), Message: message}}
	}
	text := string(t)
	switch {
	case text == "": // the schema has said so already
		return nil
	case len(text) > maxNoteBytes:
		return refuse("expected at most 10000 bytes")
	case strings.TrimSpace(text) == "":
		return refuse("expected more than blank space")
	case strings.IndexFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r'
	}) >= 0:
		return refuse("expected no control characters but line feeds and tabs")
	}
	return nil
}

// isShown tells whether a character is one that can be seen, or a plain space. Line feeds, escapes and what turns
// the direction of text around are not.
func isShown(r rune) bool { return unicode.IsPrint(r) }

// incidents are the operations on incidents.
type incidents struct {
	desk Desk
	log  *zap.Logger
}

func (s *incidents) list(ctx context.Context, in *listInput) (*listOutput, error) {
	filter := incident.Filter{
		State: in.State, Runbook: in.Runbook, Severity: runbook.Severity(in.Severity), After: in.After, Limit: in.Limit,
	}
	if in.State == "all" {
		filter.State = ""
	}
	views, next, err := s.desk.List(ctx, filter)
	if err != nil {
		return nil, explain(ctx, "", err, s.log)
	}
	page := IncidentList{Incidents: make([]incident.View, 0, len(views)), Next: next}
	for _, view := range views {
		page.Incidents = append(page.Incidents, withoutNulls(view))
	}
	return &listOutput{Body: page}, nil
}

func (s *incidents) show(ctx context.Context, in *IncidentRef) (*incidentOutput, error) {
	view, err := s.desk.View(ctx, in.ID)
	return s.answer(ctx, in.ID, view, err)
}

func (s *incidents) acknowledge(ctx context.Context, in *acknowledgeInput) (*incidentOutput, error) {
	by := string(in.Body.By)
	view, err := s.desk.Command(ctx, in.ID, incident.Acknowledge{By: by, Via: via}, in.once("acknowledge", by))
	return s.answer(ctx, in.ID, view, err)
}

func (s *incidents) note(ctx context.Context, in *noteInput) (*incidentOutput, error) {
	by, text := string(in.Body.By), strings.ReplaceAll(string(in.Body.Text), "\r", "")
	view, err := s.desk.Command(ctx, in.ID, incident.Note{By: by, Text: text}, in.once("note", by, text))
	return s.answer(ctx, in.ID, view, err)
}

func (s *incidents) answer(ctx context.Context, ref string, view incident.View, err error) (*incidentOutput, error) {
	if err != nil {
		return nil, explain(ctx, ref, err, s.log)
	}
	return &incidentOutput{Body: withoutNulls(view)}, nil
}

// withoutNulls makes empty lists of those that are null: whoever loops over them need not ask.
func withoutNulls(view incident.View) incident.View {
	notNil(&view.Segments)
	notNil(&view.Recovery)
	notNil(&view.Triage)
	notNil(&view.Mitigations)
	notNil(&view.Rollbacks)
	notNil(&view.Timeline)
	notNil(&view.Postmortem.Questions)
	if view.Group == nil {
		view.Group = map[string]string{}
	}
	return view
}

func notNil[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

func (s *incidents) register(api huma.API) {
	huma.Register(api, operation("list-incidents", http.MethodGet, "/api/v1/incidents", "List incidents", 422, 500), s.list)
	huma.Register(api, operation("show-incident", http.MethodGet, "/api/v1/incidents/{id}",
		"An incident with its timeline", 404, 422, 500), s.show)
	huma.Register(api, operation("acknowledge-incident", http.MethodPost, "/api/v1/incidents/{id}/acknowledge",
		"Take an incident: whoever is being called no longer is", writeErrors...), s.acknowledge)
	huma.Register(api, operation("note-on-incident", http.MethodPost, "/api/v1/incidents/{id}/notes",
		"Add a note to the timeline", writeErrors...), s.note)
}

// writeErrors are what a command can be answered with instead.
var writeErrors = []int{400, 403, 404, 409, 413, 415, 422, 500, 503}
