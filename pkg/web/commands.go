package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// via is how commands that came in here are told in the record.
const via = "api"

// Write is what all commands share. It is exported, as Author is, because huma looks into exported fields alone.
type Write struct {
	IncidentRef
	Once
}

// Author is who does something.
type Author struct {
	By person `json:"by,omitempty" minLength:"1" maxLength:"100" doc:"Who does it: whoever is authenticated, and then it may be left out. Where nobody is, it is required." example:"alice"`
}

func (a Author) author() person { return a.By }

// commandBody is what a command is made of: the body of its request.
type commandBody interface {
	author() person
	// command gives the command that an author asks for; the error is a problem document.
	command(by string, now time.Time) (incident.Command, error)
}

type acknowledgeBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
}

type unacknowledgeBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
}

type noteBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	Text plainText `json:"text" minLength:"1" maxLength:"10000" doc:"Plain text, at most 10 kB. Line feeds and tabs are the only control characters." example:"The provider says that they see it too."`
}

type severityBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	To     string    `json:"to" enum:"sev1,sev2,sev3,sev4"`
	Reason plainText `json:"reason,omitempty" minLength:"1" maxLength:"1000" doc:"Why. Required to lower it." example:"Internal users only."`
	For    span      `json:"for,omitempty" minLength:"1" maxLength:"32" doc:"How long a lower one stays; then the rubric counts again. 30m where it is left out, at most 24h." example:"45m"`
}

type updateBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	Audience string     `json:"audience,omitempty" enum:"internal,customer" doc:"internal where it is left out."`
	Text     plainText  `json:"text" minLength:"1" maxLength:"10000" doc:"As it is told." example:"The prompt is rolled back; refusals are falling."`
	Next     *time.Time `json:"next,omitempty" doc:"When the next one is due, within 24 hours. Left out, as next_in is: after the time that the severity asks for."`
	NextIn   span       `json:"next_in,omitempty" minLength:"1" maxLength:"32" doc:"The same, counted from now; one of both." example:"30m"`
}

type mitigatedBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	Text plainText  `json:"text" minLength:"1" maxLength:"1000" doc:"What was done: the title of a mitigation of the runbook, or any words." example:"Route paid traffic to the approved fallback model"`
	At   *time.Time `json:"at,omitempty" doc:"When it was done, not before impact began. Left out: now."`
}

type dismissBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	Reason      string    `json:"reason" enum:"false_alarm,duplicate,expected,test"`
	Text        plainText `json:"text,omitempty" minLength:"1" maxLength:"10000"`
	DuplicateOf reference `json:"duplicate_of,omitempty" minLength:"1" maxLength:"64" doc:"Of a duplicate: the other incident's id or number." example:"41"`
}

type reopenBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	Reason plainText `json:"reason" minLength:"1" maxLength:"1000" example:"Refusals are back in the German cohort."`
}

type answerBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
	Answer plainText `json:"answer" minLength:"1" maxLength:"200" doc:"One of the item's words, or can't tell; any words where the item has none." example:"yes"`
	Text   plainText `json:"text,omitempty" minLength:"1" maxLength:"10000" doc:"What was seen."`

	n int // of the item, from the path
}

func (acknowledgeBody) command(by string, _ time.Time) (incident.Command, error) {
	return incident.Acknowledge{By: by, Via: via}, nil
}

func (unacknowledgeBody) command(by string, _ time.Time) (incident.Command, error) {
	return incident.Unacknowledge{By: by, Via: via}, nil
}

func (b noteBody) command(by string, _ time.Time) (incident.Command, error) {
	return incident.Note{By: by, Text: b.Text.plain()}, nil
}

func (b severityBody) command(by string, _ time.Time) (incident.Command, error) {
	return incident.SetSeverity{By: by, To: runbook.Severity(b.To), Reason: b.Reason.plain(), For: b.For.duration()}, nil
}

func (b updateBody) command(by string, now time.Time) (incident.Command, error) {
	c := incident.PostUpdate{By: by, Audience: b.Audience, Text: b.Text.plain()}
	switch {
	case b.Next != nil && b.NextIn != "":
		return nil, invalid("the update says twice when the next one is due", "body.next_in", "expected one of next and next_in",
			"next: a time", "next_in: a duration")
	case b.Next != nil:
		c.Next = b.Next.UTC()
	case b.NextIn != "":
		c.Next = now.UTC().Add(b.NextIn.duration())
	}
	return c, nil
}

func (b mitigatedBody) command(by string, _ time.Time) (incident.Command, error) {
	c := incident.Mitigate{By: by, Title: b.Text.plain()}
	if b.At != nil {
		c.At = b.At.UTC()
	}
	return c, nil
}

func (b dismissBody) command(by string, _ time.Time) (incident.Command, error) {
	return incident.Dismiss{By: by, Reason: b.Reason, Text: b.Text.plain(), DuplicateOf: string(b.DuplicateOf)}, nil
}

func (b reopenBody) command(by string, _ time.Time) (incident.Command, error) {
	return incident.Reopen{By: by, Reason: b.Reason.plain()}, nil
}

func (b answerBody) command(by string, _ time.Time) (incident.Command, error) {
	return incident.AnswerItem{By: by, N: b.n, Answer: b.Answer.plain(), Text: b.Text.plain()}, nil
}

type commandInput[B commandBody] struct {
	Write
	Body B
}

type answerInput struct {
	Write
	N    int `path:"n" minimum:"1" maximum:"1000" doc:"The item's number, from 1."`
	Body answerBody
}

// registerCommands adds what people ask of an incident. The answer to each is the incident after it.
func registerCommands(s *incidents, api huma.API) {
	addCommand[acknowledgeBody](s, api, "acknowledge", "acknowledge-incident", "Take an incident: whoever is being called no longer is")
	addCommand[unacknowledgeBody](s, api, "unacknowledge", "unacknowledge-incident", "Give an incident back: people are called again")
	addCommand[noteBody](s, api, "notes", "note-on-incident", "Add a note to the timeline")
	addCommand[severityBody](s, api, "severity", "set-severity", "Say how bad it is: a higher one calls, a lower one stays for a time")
	addCommand[updateBody](s, api, "updates", "post-update", "Tell those who wait for news, and when they hear next")
	addCommand[mitigatedBody](s, api, "mitigated", "mitigated-by-hand", "Say what was done by hand to stop the harm")
	addCommand[dismissBody](s, api, "dismiss", "dismiss-incident", "End an incident that was none")
	addCommand[reopenBody](s, api, "reopen", "reopen-incident", "Open an incident again that was resolved or dismissed too soon")
	huma.Register(api, needs(access.Respond, operation("answer-triage", http.MethodPost, "/api/v1/incidents/{id}/triage/{n}",
		"Answer an item of the checklist; the last answer counts", writeErrors...)),
		func(ctx context.Context, in *answerInput) (*incidentOutput, error) {
			in.Body.n = in.N
			return s.run(ctx, &in.Write, "triage/"+strconv.Itoa(in.N), in.Body)
		})
}

// commandNames are what can be posted below an incident's path.
var commandNames = []string{"acknowledge", "unacknowledge", "notes", "severity", "updates", "mitigated", "dismiss", "reopen", "triage/{n}", "evidence", "rollbacks", "approve"}

var belowIncident = regexp.MustCompile(`^/api/v1/incidents/[^/]+/.+`)

// thereIsBelow says what can be asked near a path at which there is nothing, as far as that is known.
func thereIsBelow(path string) []string {
	if !belowIncident.MatchString(path) {
		return nil
	}
	return []string{"POST of " + strings.Join(commandNames, ", ") + " below an incident"}
}

// addCommand adds a command under its name below an incident's path.
func addCommand[B commandBody](s *incidents, api huma.API, name, id, summary string) {
	huma.Register(api, needs(access.Respond, operation(id, http.MethodPost, "/api/v1/incidents/{id}/"+name, summary, writeErrors...)),
		func(ctx context.Context, in *commandInput[B]) (*incidentOutput, error) {
			return s.run(ctx, &in.Write, name, in.Body)
		})
}

// run has the Desk decide what a request asks for.
func (s *incidents) run(ctx context.Context, in *Write, name string, body commandBody) (*incidentOutput, error) {
	by, err := actor(ctx, body.author())
	if err != nil {
		return nil, err
	}
	command, err := body.command(by, s.now())
	if err != nil {
		return nil, err
	}
	view, err := s.desk.Command(ctx, in.ID, command, in.idempotency(by, body, name, strings.TrimPrefix(in.ID, "#")))
	return s.answer(ctx, in.ID, view, err)
}

// writeErrors are what a command can be answered with instead.
var writeErrors = []int{400, 403, 404, 409, 413, 415, 422, 500, 503}

// Once is the key under which a write is done once.
type Once struct {
	Key string `header:"Idempotency-Key" maxLength:"200" doc:"A write with the same key is done once; the answer is the first one's. Another request with the key is refused."`
}

// Resolve implements huma.Resolver.
func (o *Once) Resolve(huma.Context) []error {
	if i := strings.IndexFunc(o.Key, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		return []error{&huma.ErrorDetail{
			Location: "header.Idempotency-Key", Message: "expected letters, digits and signs of ASCII, such as a UUID", Value: o.Key,
		}}
	}
	return nil
}

// idempotency names a write by its key and by everything that makes it what it is: who, what, and on what. Whether the
// body repeats who it is makes no difference, nor does how it is written.
func (o *Once) idempotency(by string, body any, on ...string) incident.Idempotency {
	if o.Key == "" {
		return incident.Idempotency{}
	}
	said := map[string]any{}
	text, err := json.Marshal(body)
	if err == nil {
		err = json.Unmarshal(text, &said)
	}
	said["by"] = by
	if err == nil {
		text, err = json.Marshal([]any{on, said})
	}
	if err != nil {
		panic(fmt.Sprintf("a request that was read cannot be written: %v", err)) // it came as JSON
	}
	sum := sha256.Sum256(text)
	return incident.Idempotency{Key: o.Key, RequestHash: hex.EncodeToString(sum[:])}
}

// invalid is the problem of a request that is well-formed and cannot be meant.
func invalid(detail, location, message string, allowed ...string) error {
	problem := newProblem(http.StatusUnprocessableEntity, detail, allowed...)
	problem.Errors = []*huma.ErrorDetail{{Location: location, Message: message}}
	return problem
}

// actorNamed is actor for a write that names its author elsewhere than in its body.
func actorNamed(ctx context.Context, by person, location string) (string, error) {
	name, err := actor(ctx, by)
	var problem *Problem
	if errors.As(err, &problem) {
		for _, detail := range problem.Errors {
			detail.Location = location
		}
	}
	return name, err
}
