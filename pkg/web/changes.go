package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/incident"
)

// Changes is the log of what was changed. Its methods are safe for concurrent use.
type Changes interface {
	// Report checks a change that somebody reports, keeps it and gives it as it is kept. What was reported before is one:
	// the first is given. changes.Invalid: everything that is wrong with it; nothing was kept.
	Report(ctx context.Context, change changes.Change) (changes.Change, error)
	// Changes gives the log after a time: what was reported and what was detected, merged.
	Changes(ctx context.Context, since time.Time) ([]changes.Change, error)
}

var _ Changes = (*incident.Desk)(nil)

// ChangeList is a page of the log.
type ChangeList struct {
	Changes []changes.Change `json:"changes" nullable:"false" doc:"Newest first."`
	Next    string           `json:"next" doc:"Give it as after for the next page; empty on the last page."`
}

// changeBody is a report. What its texts may hold is said by package changes alone, so that every problem is told at once.
type changeBody struct {
	_        struct{}   `json:"-" additionalProperties:"false"`
	Artifact string     `json:"artifact,omitempty" doc:"Required. What was changed, as the rollback steps of the runbooks name it: code, prompt, weights, retrieval_index, router_policy, thresholds or another word." example:"prompt"`
	Service  string     `json:"service,omitempty" doc:"Left out: it may be of any service." example:"support-bot"`
	From     string     `json:"from,omitempty" doc:"The version before." example:"prompt-v6"`
	To       string     `json:"to,omitempty" doc:"The version since; required where there is no note." example:"prompt-v7"`
	At       *time.Time `json:"at,omitempty" doc:"When the new version began to serve, as exactly as is known. Left out: now."`
	By       string     `json:"by,omitempty" doc:"Who did it, a person or a pipeline. Left out: whoever is authenticated. The daemon's log tells who reported it." example:"alice"`
	URL      string     `json:"url,omitempty" doc:"Where to read more." example:"https://git.example.com/prompts/pull/7"`
	Note     string     `json:"note,omitempty" doc:"In words, on one line." example:"Be stricter with medical questions."`
}

func (b changeBody) change() changes.Change {
	c := changes.Change{Artifact: b.Artifact, Service: b.Service, From: b.From, To: b.To, By: b.By, URL: b.URL, Note: b.Note}
	if b.At != nil {
		c.At = *b.At
	}
	return c
}

type reportInput struct {
	Once
	Body changeBody
}

type changesInput struct {
	Since    pastTime  `query:"since" maxLength:"40" doc:"A time, or how far to look back from now, such as 24h, which is the default." example:"7d"`
	Service  reference `query:"service" maxLength:"200" doc:"Only of this service, and of none that is named: those may be of any."`
	Artifact reference `query:"artifact" maxLength:"64"`
	After    string    `query:"after" maxLength:"100" pattern:"^[0-9]{1,19}-[0-9A-Za-z]+$" patternDescription:"the next of the page before" doc:"The next of the page before."`
	Limit    int       `query:"limit" minimum:"1" maximum:"1000" default:"200"`
}

type (
	changeOutput  struct{ Body changes.Change }
	changesOutput struct{ Body ChangeList }
)

// pastTime is a time in RFC 3339, or a duration that is counted back from now.
type pastTime string

// defaultLookBack is how far the log is read where nobody says it.
const defaultLookBack = 24 * time.Hour

// Resolve implements huma.ResolverWithPath.
func (t pastTime) Resolve(_ huma.Context, prefix *huma.PathBuffer) []error {
	if _, err := t.before(time.Time{}); err == nil {
		return nil
	}
	return []error{&huma.ErrorDetail{
		Location: prefix.String(), Message: "expected a time such as 2026-11-03T14:10:00Z, or a duration above 0s such as 24h, 7d", Value: string(t),
	}}
}

// before is the time that is meant, now being what it is.
func (t pastTime) before(now time.Time) (time.Time, error) {
	if t == "" {
		return now.Add(-defaultLookBack), nil
	}
	if d := span(t).duration(); d > 0 {
		return now.Add(-d), nil
	}
	return time.Parse(time.RFC3339, string(t))
}

// changeLog are the operations on the log of changes.
type changeLog struct {
	kept  Changes
	first *firstAnswers
	log   *zap.Logger
	now   func() time.Time
}

func (s *changeLog) report(ctx context.Context, in *reportInput) (*changeOutput, error) {
	who := IdentityOf(ctx).Name
	said := in.Body
	said.By = cmp.Or(said.By, who)
	kept, err := doOnce(ctx, s.first, in.idempotency(said.By, said, "change", who), func() (changes.Change, error) {
		return s.kept.Report(ctx, said.change())
	})
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	return &changeOutput{Body: kept}, nil
}

// explain is explain for changes: every problem of a report is told with its place and what is allowed there.
func (s *changeLog) explain(ctx context.Context, err error) error {
	var invalid changes.Invalid
	if !errors.As(err, &invalid) {
		return explain(ctx, "", err, s.log)
	}
	problem := newProblem(http.StatusUnprocessableEntity, "the change cannot be taken as it is reported")
	for _, p := range invalid {
		problem.Errors = append(problem.Errors, &huma.ErrorDetail{Location: "body." + p.Field, Message: p.Wrong + "; " + p.Allowed})
	}
	return problem
}

func (s *changeLog) list(ctx context.Context, in *changesInput) (*changesOutput, error) {
	since, _ := in.Since.before(s.now()) // Resolve has refused what is none
	all, err := s.kept.Changes(ctx, since)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	all = slices.DeleteFunc(slices.Clone(all), func(c changes.Change) bool { return !in.selects(c) })
	slices.SortFunc(all, newestFirst)
	out := &changesOutput{Body: ChangeList{Changes: []changes.Change{}}}
	for _, c := range all {
		if len(out.Body.Changes) == in.Limit {
			out.Body.Next = placeOf(out.Body.Changes[in.Limit-1]).String()
			break
		}
		out.Body.Changes = append(out.Body.Changes, c)
	}
	return out, nil
}

// selects tells whether a change is asked for, and comes after the page before.
func (in *changesInput) selects(c changes.Change) bool {
	if in.Artifact != "" && c.Artifact != string(in.Artifact) || in.Service != "" && c.Service != "" && c.Service != string(in.Service) {
		return false
	}
	nanos, id, paged := strings.Cut(in.After, "-")
	if !paged {
		return true
	}
	at, _ := strconv.ParseInt(nanos, 10, 64) // digits; too many of them are the latest time that there is
	return place{at, id}.before(placeOf(c))
}

// place is where a change stands in the log, so that a page goes on at the same place although others came meanwhile.
type place struct {
	nanos int64
	id    string
}

func placeOf(c changes.Change) place { return place{c.At.UnixNano(), c.ID} }

// before tells whether the place is nearer to the beginning, at which the newest stand.
func (p place) before(other place) bool {
	return p.nanos > other.nanos || p.nanos == other.nanos && p.id < other.id
}

// String is the place as a page names it.
func (p place) String() string { return strconv.FormatInt(p.nanos, 10) + "-" + p.id }

func newestFirst(a, b changes.Change) int {
	return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.ID, b.ID))
}

func registerChanges(api huma.API, config Config, first *firstAnswers) {
	s := &changeLog{kept: config.Changes, first: first, log: config.Log, now: config.Now}
	huma.Register(api, needs(access.Change, operation("report-change", http.MethodPost, "/api/v1/changes",
		"Report a change of an artifact; told twice it is one", 400, 413, 415, 422, 500, 503)), s.report)
	huma.Register(api, needs(access.Read, operation("list-changes", http.MethodGet, "/api/v1/changes",
		"What was changed, reported and detected, newest first", 422, 500, 503)), s.list)
}
