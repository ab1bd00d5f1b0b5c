package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// ErrNoReceiver says that there is no receiver of that name.
var ErrNoReceiver = errors.New("no such receiver")

// Receivers are the ways to reach people. Its methods are safe for concurrent use.
type Receivers interface {
	// Status gives the receivers of the settings in force, and how they do.
	Status(ctx context.Context) ([]ReceiverStatus, error)
	// Test sends a test page in somebody's name. A page that was not delivered is no error. ErrNoReceiver: there is none
	// of that name.
	Test(ctx context.Context, name, by string) (ReceiverTest, error)
	// Hear takes what a receiver's service posts: it checks the signature, does what people asked for there, and gives the
	// answer for the service; an empty one with a status of an error is answered with a problem document.
	Hear(ctx context.Context, name string, header http.Header, body []byte) (status int, answer []byte)
}

// ReceiverStatus is a receiver and how it does.
type ReceiverStatus struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind" doc:"webhook, alertmanager, pagerduty, slack, email."`
	Carries []string `json:"carries" nullable:"false" doc:"What it can be told beside a page and its end: notices, acknowledgements, progress."`
	Answers bool     `json:"answers" doc:"Whether people can acknowledge there."`
	Roles   []string `json:"roles" nullable:"false" doc:"The roles that are called by it."`

	LastDelivered *time.Time `json:"last_delivered,omitempty" doc:"Since the daemon's start; missing: nothing was delivered."`
	FailingSince  *time.Time `json:"failing_since,omitempty" doc:"First failure since the last delivery."`
	Error         string     `json:"error,omitempty" doc:"Of the last attempt that failed."`
	Waiting       int        `json:"waiting" doc:"Messages that it has not taken yet."`
}

// ReceiverList is a page of receivers.
type ReceiverList struct {
	Receivers []ReceiverStatus `json:"receivers" nullable:"false"`
	Next      string           `json:"next" doc:"Give it as after for the next page; empty on the last page."`
}

// ReceiverTest is what became of a test page.
type ReceiverTest struct {
	Receiver    string  `json:"receiver"`
	Delivered   bool    `json:"delivered" doc:"Whether the receiver took it. Whether a person saw it, a person has to say."`
	Status      int     `json:"status,omitempty" doc:"Of HTTP; missing: no answer, or another protocol."`
	Detail      string  `json:"detail,omitempty" doc:"What went wrong, or what did in spite of the delivery."`
	TookSeconds float64 `json:"took_seconds"`
}

type testBody struct {
	_ struct{} `json:"-" additionalProperties:"false"`
	Author
}

// ReceiverName is a receiver in a path. It is exported because huma looks into exported fields alone.
type ReceiverName struct {
	Name reference `path:"name" maxLength:"200" doc:"The receiver's name in the settings."`
}

type testInput struct {
	ReceiverName
	Once
	Body testBody
}

// maxInboundBytes is what a receiver's service may post: a button of a long message comes with the whole message.
const maxInboundBytes = 256 << 10

type inboundInput struct {
	ReceiverName
	RawBody []byte `contentType:"*/*"`
	header  http.Header
}

// Resolve implements huma.Resolver.
func (in *inboundInput) Resolve(ctx huma.Context) []error {
	r, _ := humago.Unwrap(ctx)
	in.header = r.Header
	return nil
}

// takesAnything tells whether an operation's requests may be of any type.
func takesAnything(op *huma.Operation) bool {
	if op.RequestBody == nil {
		return false
	}
	_, anything := op.RequestBody.Content["*/*"]
	return anything
}

type (
	receiversOutput struct{ Body ReceiverList }
	testOutput      struct{ Body ReceiverTest }
)

// receivers are the operations on receivers.
type receivers struct {
	kept  Receivers
	first *firstAnswers
	log   *zap.Logger
}

func (s *receivers) list(ctx context.Context, in *PageInput) (*receiversOutput, error) {
	all, err := s.kept.Status(ctx)
	if err != nil {
		return nil, explain(ctx, "", err, s.log)
	}
	out := &receiversOutput{}
	out.Body.Receivers, out.Body.Next = page(all, func(r ReceiverStatus) string { return r.Name }, *in)
	for i := range out.Body.Receivers {
		notNil(&out.Body.Receivers[i].Carries)
		notNil(&out.Body.Receivers[i].Roles)
	}
	return out, nil
}

func (s *receivers) test(ctx context.Context, in *testInput) (*testOutput, error) {
	by, err := actor(ctx, in.Body.By)
	if err != nil {
		return nil, err
	}
	name := string(in.Name)
	test, err := doOnce(ctx, s.first, in.idempotency(by, in.Body, "test", name), func() (ReceiverTest, error) {
		return s.kept.Test(ctx, name, by)
	})
	switch {
	case errors.Is(err, ErrNoReceiver):
		return nil, s.unknown(ctx, name)
	case err != nil:
		return nil, explain(ctx, "", err, s.log)
	}
	return &testOutput{Body: test}, nil
}

// unknown says which receivers there are.
func (s *receivers) unknown(ctx context.Context, name string) error {
	all, err := s.kept.Status(ctx)
	if err != nil {
		return explain(ctx, "", err, s.log)
	}
	var names []string
	for _, r := range all {
		names = append(names, r.Name)
	}
	return newProblem(http.StatusNotFound, "there is no receiver "+quoteShort(name), triggers.Suggest(name, names, "no receiver is in the settings"))
}

// hear hands what a receiver's service posts to whoever understands it.
func (s *receivers) hear(ctx context.Context, in *inboundInput) (*huma.StreamResponse, error) {
	status, answer := s.kept.Hear(ctx, string(in.Name), in.header, in.RawBody)
	if status >= http.StatusBadRequest && len(answer) == 0 {
		return nil, newProblem(status, inboundProblems[status], "what the receiver's service sends, signed with its secret")
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		kind := "text/plain; charset=utf-8"
		if json.Valid(bytes.TrimSpace(answer)) {
			kind = "application/json"
		}
		hctx.SetHeader("Content-Type", kind)
		hctx.SetStatus(status)
		_, _ = hctx.BodyWriter().Write(answer) // the service is gone; it is going to ask again
	}}, nil
}

// inboundProblems say why what a service posts is not taken. The same for each receiver: whoever holds no secret learns
// nothing of them.
var inboundProblems = map[int]string{
	http.StatusNotFound:            "there is no receiver of this name that takes answers",
	http.StatusUnauthorized:        "the signature is missing or wrong",
	http.StatusForbidden:           "the signature is missing or wrong",
	http.StatusBadRequest:          "the request can't be understood",
	http.StatusUnprocessableEntity: "the request can't be understood",
	http.StatusInternalServerError: "the daemon could not do it; its log says why",
	http.StatusServiceUnavailable:  "the daemon could not do it now; send it again",
}

func registerReceivers(api huma.API, config Config, first *firstAnswers) {
	s := &receivers{kept: config.Receivers, first: first, log: config.Log}
	huma.Register(api, needs(access.Read, operation("list-receivers", http.MethodGet, "/api/v1/receivers",
		"The ways to reach people, and how they do", 422, 500)), s.list)
	huma.Register(api, needs(access.Admin, waits(operation("test-receiver", http.MethodPost, "/api/v1/receivers/{name}/test",
		"Send a test page; one that is not delivered is told in the answer", 400, 403, 404, 413, 415, 422, 500, 503))), s.test)
	inbound := operation("hear-receiver", http.MethodPost, "/api/v1/receivers/{name}/inbound",
		"What the service of a receiver posts: the answers of people there", 400, 403, 404, 413, 422, 500, 503)
	inbound.MaxBodyBytes = maxInboundBytes
	inbound.Responses["200"] = &huma.Response{Description: "What the service wants to hear.", Content: map[string]*huma.MediaType{"*/*": {}}}
	huma.Register(api, bySignature(inbound), s.hear)
}
