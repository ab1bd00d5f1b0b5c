package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/text"
)

// mostListed is how many open incidents the first page lists.
const mostListed = 200

// pages answer people who follow a link, in the words of the commands.
type pages struct {
	*incidents
	config Config
}

// addPages adds what a link in a message leads to. These answer in plain text.
func addPages(mux *router, config Config) {
	p := &pages{incidents: &incidents{desk: config.Desk, log: config.Log}, config: config}
	mux.HandleFunc("GET /{$}", p.list)
	mux.HandleFunc("GET /incidents", p.list)
	mux.HandleFunc("GET /incidents/{ref}", p.incident)
}

// list shows the open incidents.
func (p *pages) list(w http.ResponseWriter, r *http.Request) {
	views, next, err := p.desk.List(r.Context(), incident.Filter{State: "open", Limit: mostListed})
	if err != nil {
		p.fail(w, r, "", err)
		return
	}
	own, _, err := p.desk.List(r.Context(), incident.Filter{State: "open", Self: true, Limit: mostListed})
	if err != nil {
		p.fail(w, r, "", err)
		return
	}
	var lines []string
	if len(own) > 0 { // what the table below says may be old, then
		lines = append(lines, "The daemon is in trouble itself:", strings.TrimSuffix(text.Table(own, p.config.Now()), "\n"), "")
	}
	writeLines(w, http.StatusOK, append(lines, p.open(views, next)...)...)
}

// open lists the open incidents, drills among them.
func (p *pages) open(views []incident.View, next string) []string {
	if len(views) == 0 {
		return []string{"no open incidents", "irdaemon incidents list --state all   lists those that are over"}
	}
	lines := []string{strings.TrimSuffix(text.Table(views, p.config.Now()), "\n"), ""}
	if next != "" {
		lines = append(lines, fmt.Sprintf("There are more than %d; irdaemon incidents list --after %s goes on.", mostListed, next))
	}
	return append(lines, "An incident is at "+strings.TrimSuffix(p.config.ExternalURL, "/")+"/incidents/NUMBER.")
}

// incident shows one.
func (p *pages) incident(w http.ResponseWriter, r *http.Request) {
	ref := r.PathValue("ref")
	view, err := p.desk.View(r.Context(), ref)
	switch {
	case errors.Is(err, incident.ErrNotFound):
		writeLines(w, http.StatusNotFound, "there is no incident "+quoteShort(ref),
			"At the end of the link stands an incident's number or id, such as /incidents/42.",
			"/ lists the open incidents, irdaemon incidents list --state all lists all of them.")
	case err != nil:
		p.fail(w, r, ref, err)
	default:
		writeLines(w, http.StatusOK, strings.TrimSuffix(text.Incident(view, p.config.Now()), "\n"))
	}
}

// fail says in a line what the API says in a problem document.
func (p *pages) fail(w http.ResponseWriter, r *http.Request, ref string, err error) {
	problem := newProblem(http.StatusInternalServerError, "the daemon could not do it; its log says why")
	errors.As(explain(r.Context(), ref, err, p.log), &problem)
	writeLines(w, problem.Status, strings.Join(append([]string{problem.Detail}, problem.Allowed...), "; "))
}
