package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
)

// viaLink is how acknowledgements that came in here are told in the record.
const viaLink = "link"

// acknowledging is the page behind the signed link of a message. Programs that read mail follow links before people do, so
// a GET changes nothing, and the POST needs a name that somebody has typed.
type acknowledging struct {
	*incidents
	config Config
}

// addLinks adds what the signed links of messages lead to.
func addLinks(mux *router, config Config) {
	if config.Links == nil {
		return
	}
	a := &acknowledging{incidents: &incidents{desk: config.Desk, log: config.Log}, config: config}
	mux.HandleFunc("GET /acknowledge/{token}", a.show)
	mux.HandleFunc("POST /acknowledge/{token}", a.act)
}

// linkPage is what the page says.
type linkPage struct {
	Status   int
	Heading  string
	Said     []string       // sentences
	Incident *incident.View // nil: no incident may be told of
	TakenBy  string         // with the time
	Button   string         // empty: there is nothing to do here
	Name     string         // as it was typed
	Mistake  string         // what is wrong with that
}

// show says what the link would do.
func (a *acknowledging) show(w http.ResponseWriter, r *http.Request) {
	call, ok := a.open(w, r)
	if !ok {
		return
	}
	if view, ok := a.view(w, r, call); ok {
		write(w, a.asks(view, call))
	}
}

// act acknowledges the round that the link names, or says why there is nothing left to acknowledge.
func (a *acknowledging) act(w http.ResponseWriter, r *http.Request) {
	call, ok := a.open(w, r)
	if !ok {
		return
	}
	view, ok := a.view(w, r, call)
	if !ok {
		return
	}
	page := a.asks(view, call)
	if page.Button == "" { // somebody was faster, or the incident is over
		page.Said = append(page.Said, "Nothing was changed.")
		write(w, page)
		return
	}
	if page.Name, page.Mistake, page.Status = typedName(w, r); page.Mistake != "" {
		write(w, page)
		return
	}
	actor := page.Name + " (link to " + call.Receiver + ")"
	become(r.Context(), access.Identity{Name: actor, Via: access.ViaLink})
	after, err := a.desk.Command(r.Context(), call.Incident, commandOf(call, view, actor), incident.Idempotency{})
	var refused *incident.Refusal
	switch {
	case errors.As(err, &refused): // it ended between the two looks
		write(w, linkPage{Status: http.StatusConflict, Heading: fmt.Sprintf("%s was not acknowledged", called(view)),
			Said: []string{sentence(refused.Reason)}, Incident: &view})
	case err != nil:
		a.failed(w, r, call, err)
	default:
		write(w, a.done(after, call))
	}
}

// commandOf is what a link asks for: to acknowledge the round that it names. One whose round is over is noted, and
// the present one rings on, for this page may have been lying open since before it began.
func commandOf(call access.Call, view incident.View, actor string) incident.Command {
	if call.Round < view.Round {
		return incident.Note{By: actor, Text: fmt.Sprintf("acknowledged round %d, which was over; round %d was not", call.Round, view.Round)}
	}
	return incident.Acknowledge{By: actor, Via: viaLink, Round: call.Round}
}

// called is how people call an incident: #42, or the title of what has no number.
func called(view incident.View) string {
	if view.Number > 0 {
		return fmt.Sprintf("#%d", view.Number)
	}
	return fmt.Sprintf("%q", view.Title)
}

// open reads the link's token.
func (a *acknowledging) open(w http.ResponseWriter, r *http.Request) (access.Call, bool) {
	call, err := a.config.Links.Open(r.PathValue("token"), a.config.Now())
	if err == nil {
		return call, true
	}
	page := linkPage{
		Status: http.StatusNotFound, Heading: sentence(access.ErrLinkInvalid.Error()),
		Said: []string{"It may have lost its end on the way. Open the incident to acknowledge it."},
	}
	if errors.Is(err, access.ErrLinkExpired) {
		page = linkPage{Status: http.StatusGone, Heading: sentence(err.Error()), Said: []string{"Open the incident to acknowledge it."}}
	}
	write(w, page)
	return call, false
}

// view gives the incident of the link.
func (a *acknowledging) view(w http.ResponseWriter, r *http.Request, call access.Call) (incident.View, bool) {
	view, err := a.desk.View(r.Context(), call.Incident)
	if err != nil {
		a.failed(w, r, call, err)
		return view, false
	}
	return view, true
}

// failed says what the API says in a problem document.
func (a *acknowledging) failed(w http.ResponseWriter, r *http.Request, call access.Call, err error) {
	problem := newProblem(http.StatusInternalServerError, "the daemon could not do it; its log says why")
	errors.As(explain(r.Context(), call.Incident, err, a.log), &problem)
	write(w, linkPage{Status: problem.Status, Heading: "That did not work", Said: []string{sentence(problem.Detail)}})
}

// asks says how the incident stands, and what acknowledging through the link would do.
func (a *acknowledging) asks(view incident.View, call access.Call) linkPage {
	page := linkPage{Status: http.StatusOK, Incident: &view, TakenBy: a.takenBy(view)}
	switch over := endedAt(view); {
	case over != nil:
		page.Heading = fmt.Sprintf("%s is %s", called(view), view.State)
		page.Said = []string{"Since " + a.clock(*over) + "."}
	case view.AcknowledgedBy != "" && !view.Calling:
		page.Heading = fmt.Sprintf("%s is already acknowledged", called(view))
		page.Said = []string{"By " + page.TakenBy + ". To take it over, open the incident."}
	case call.Round < view.Round:
		page.Heading = fmt.Sprintf("Round %d of %s is over", call.Round, called(view))
		page.Said = []string{fmt.Sprintf("This link is for round %d. Round %d calls now, and goes on calling: open the incident to acknowledge it.", call.Round, view.Round),
			"Here you can say that you have seen the earlier one."}
		page.Button = "Note it"
	default:
		page.Heading = fmt.Sprintf("Acknowledge %s?", called(view))
		page.Said = []string{"You take the incident, and nobody else is called for it."}
		page.Button = fmt.Sprintf("Acknowledge %s", called(view))
	}
	return page
}

// done says what is true after the command.
func (a *acknowledging) done(view incident.View, call access.Call) linkPage {
	page := linkPage{Status: http.StatusOK, Incident: &view, TakenBy: a.takenBy(view)}
	if view.Calling {
		page.Heading = "Noted"
		page.Said = []string{fmt.Sprintf("Round %d is over. Round %d calls, and goes on calling: open the incident to acknowledge it.", call.Round, view.Round)}
		return page
	}
	page.Heading = fmt.Sprintf("%s is acknowledged", called(view))
	page.Said = []string{"By " + page.TakenBy + ". Nobody is called for it any more."}
	return page
}

func endedAt(view incident.View) *time.Time {
	switch view.State {
	case incident.ResolvedState:
		return view.ResolvedAt
	case incident.ClosedState:
		return view.ClosedAt
	case incident.DismissedState:
		return view.DismissedAt
	}
	return nil
}

// takenBy says who has it and since when.
func (a *acknowledging) takenBy(view incident.View) string {
	if view.AcknowledgedBy == "" || view.TakenAt == nil {
		return view.AcknowledgedBy
	}
	return view.AcknowledgedBy + " at " + a.clock(*view.TakenAt)
}

// clock gives a time of today without its date.
func (a *acknowledging) clock(at time.Time) string {
	if at = at.UTC(); at.Format(time.DateOnly) == a.config.Now().UTC().Format(time.DateOnly) {
		return at.Format("15:04 UTC")
	}
	return at.Format("2006-01-02 15:04 UTC")
}

func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }

// typedName reads the name from the form, and from nowhere else.
func typedName(w http.ResponseWriter, r *http.Request) (name, mistake string, status int) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return "", "Use the form of this page.", http.StatusUnsupportedMediaType
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
	var tooLarge *http.MaxBytesError
	switch err := r.ParseForm(); {
	case errors.As(err, &tooLarge):
		return "", "Use the form of this page.", http.StatusRequestEntityTooLarge
	case err != nil:
		return "", "Use the form of this page.", http.StatusBadRequest
	}
	name = strings.TrimSpace(r.PostForm.Get("name"))
	switch {
	case name == "":
		return "", "Say who you are.", http.StatusUnprocessableEntity
	case !access.IsName(name):
		return name, "A name has at most 100 characters, on one line.", http.StatusUnprocessableEntity
	}
	return name, "", http.StatusOK
}

const linkStyle = `:root{color-scheme:light dark;--ink:#16181b;--ground:#f7f6f2;--quiet:#606368;--line:#84827a;--act:#1b4db3;--on:#fff;--stop:#b3231a}
@media(prefers-color-scheme:dark){:root{--ink:#eceef0;--ground:#0f1215;--quiet:#979ea7;--line:#78808b;--act:#93b6ff;--on:#0a1730;--stop:#ff8e7f}}
body{margin:0;background:var(--ground);color:var(--ink);font:1.125rem/1.5 system-ui,sans-serif;overflow-wrap:break-word}
main{max-width:34rem;margin:0 auto;padding:1.5rem 1rem}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:1rem 0}
dt{color:var(--quiet)}dd{margin:0;min-width:0}
label{display:block;font-weight:600;margin-top:1.5rem}
input,button{box-sizing:border-box;width:100%;min-height:3rem;font:inherit;border-radius:.375rem;padding:.5rem .75rem}
input{border:1px solid var(--line);background:transparent;color:inherit;margin:.25rem 0 1rem}
button{border:0;background:var(--act);color:var(--on);font-weight:600;cursor:pointer}
:focus-visible{outline:3px solid var(--act);outline-offset:2px}
a{color:var(--act)}.mistake{color:var(--stop);font-weight:600;margin:.25rem 0 0}`

// linkPolicy lets the page have its own style and send its own form, and nothing else.
var linkPolicy = func() string {
	sum := sha256.Sum256([]byte(linkStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

var linkTemplate = template.Must(template.New("acknowledge").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Heading}}</title>
<style>` + linkStyle + `</style>
</head>
<body>
<main>
<h1>{{.Heading}}</h1>
{{with .Incident}}<p>{{.Title}}</p>
<dl>
<dt>Severity</dt><dd>{{.Severity}}</dd>
<dt>State</dt><dd>{{.State}}</dd>
<dt>Taken by</dt><dd>{{or $.TakenBy "nobody"}}</dd>
</dl>
{{end}}{{range .Said}}<p>{{.}}</p>
{{end}}{{if .Button}}<form method="post">
<label for="name">Your name</label>
{{with .Mistake}}<p class="mistake" id="mistake" role="alert">{{.}}</p>
{{end}}<input id="name" name="name" value="{{.Name}}" required maxlength="100" autocomplete="name"{{if .Mistake}} aria-invalid="true" aria-describedby="mistake"{{end}}>
<button>{{.Button}}</button>
</form>
{{end}}{{with .Incident}}<p><a href="{{.URL}}">Open {{if gt .Number 0}}incident #{{.Number}}{{else}}it{{end}}</a></p>
{{end}}</main>
</body>
</html>
`))

// write answers with the page. The link is in its address, so it is told to no other site; to this one the browser has to
// say where a form comes from.
func write(w http.ResponseWriter, page linkPage) {
	var text bytes.Buffer
	if err := linkTemplate.Execute(&text, page); err != nil {
		panic(fmt.Sprintf("the acknowledge page: %v", err)) // it is made of this package's types alone
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", linkPolicy)
	header.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(page.Status)
	_, _ = text.WriteTo(w) // the client is gone; there is nobody to tell
}
