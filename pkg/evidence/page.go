package evidence

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/irdaemon/irdaemon/internal/guard"
)

const (
	pageBytes     = 256 << 10
	mostRedirects = 3
	pageDepth     = 4 // of objects within objects in which a status is looked for
	pageRunes     = 160
	connectWithin = 5 * time.Second
)

// PageValues is what a status page says.
type PageValues struct {
	Host       string `json:"host"`
	HTTPStatus int    `json:"http_status"`

	// As pages of statuspage.io have them.
	Indicator   string         `json:"indicator,omitempty" doc:"none, minor, major or critical."`
	Description string         `json:"description,omitempty"`
	Incidents   []PageIncident `json:"incidents,omitempty"`
	More        int            `json:"more,omitempty" doc:"Incidents that are not listed."`

	// Of other pages: the first texts of these names.
	Status string `json:"status,omitempty"`
	State  string `json:"state,omitempty"`
}

// PageIncident is an incident that a status page tells of and that is not over.
type PageIncident struct {
	Name   string `json:"name"`
	Status string `json:"status,omitempty"`
	Impact string `json:"impact,omitempty"`
}

func (v *PageValues) shorten() bool {
	if len(v.Incidents) == 0 {
		return false
	}
	v.Incidents, v.More = v.Incidents[:len(v.Incidents)-1], v.More+1
	return true
}

// page asks a status page for its JSON. The address may hold what is secret: it is sent where it leads, but for user and
// password, and never told.
func (g *Gatherer) page(ctx context.Context, address string) Found {
	at, err := url.Parse(address)
	if err != nil || at.Host == "" {
		return Found{Err: "the item's http is no address"}
	}
	host := clean(at.Hostname(), pageRunes)
	response, err := g.get(ctx, at)
	if err != nil {
		return Found{Err: host + ": " + g.unanswered(ctx, err)}
	}
	defer response.Body.Close()
	v := &PageValues{Host: host, HTTPStatus: response.StatusCode}
	body, err := io.ReadAll(io.LimitReader(response.Body, pageBytes+1))
	switch {
	case err != nil:
		return Found{Values: v, Err: fmt.Sprintf("%s: HTTP %d, and then %s", host, v.HTTPStatus, g.unanswered(ctx, err))}
	case len(body) > pageBytes:
		return Found{Values: v, Err: fmt.Sprintf("%s: HTTP %d, and an answer larger than %d KiB", host, v.HTTPStatus, pageBytes>>10)}
	}
	var root map[string]any
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), &root) != nil {
		return Found{Values: v, Text: fmt.Sprintf("%s: HTTP %d, and an answer that is no JSON object", host, v.HTTPStatus)}
	}
	v.read(root)
	return Found{Values: v, Text: v.text()}
}

// get follows redirects within the same host, for who wrote the address trusts that host alone. What a redirect's request
// carries is the address alone.
func (g *Gatherer) get(ctx context.Context, at *url.URL) (*http.Response, error) {
	for redirects := 0; ; redirects++ {
		at.User, at.Fragment = nil, ""
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
		if err != nil {
			return nil, errRequest
		}
		request.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"irdaemon"}}
		response, err := g.config.HTTP.RoundTrip(request) // not a Client's Do, which would say where it came from
		if err != nil {
			return nil, err
		}
		where := response.Header.Get("Location")
		if where == "" || !slices.Contains([]int{301, 302, 303, 307, 308}, response.StatusCode) {
			return response, nil
		}
		_ = response.Body.Close()
		next, err := at.Parse(where)
		switch {
		case redirects == mostRedirects:
			return nil, errRedirects
		case err != nil || !within(at, next):
			return nil, errElsewhere
		}
		at = next
	}
}

// within tells whether a redirect stays with a host: its port may be left out for that of https.
func within(from, to *url.URL) bool {
	return (to.Scheme == "https" || to.Scheme == from.Scheme) &&
		(strings.EqualFold(to.Host, from.Host) || strings.EqualFold(to.Hostname(), from.Hostname()) && to.Port() == "")
}

// Why a page was not read, in words of our own.
var (
	errRequest   = errors.New("the address makes no request")
	errRedirects = fmt.Errorf("it redirects more than %d times", mostRedirects)
	errElsewhere = errors.New("it redirects elsewhere; only the same host, by https or as before, is followed")
)

// unanswered says what went wrong on the way, without the foreign text of an error, which may hold an address.
func (g *Gatherer) unanswered(ctx context.Context, err error) string {
	var barred *guard.Barred
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var timeout net.Error
	for _, own := range []error{errRequest, errRedirects, errElsewhere} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	switch {
	case errors.As(err, &barred):
		return barred.Error() + ": it may not be asked"
	case errors.Is(ctx.Err(), context.Canceled):
		return "given up before an answer came"
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return g.late()
	case errors.As(err, &name):
		return "the host's name does not resolve"
	case errors.As(err, &certificate), errors.As(err, &authority):
		return "the host's certificate is not trusted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "the host can't be reached"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was cut before a whole answer came"
	}
	return "no answer that is HTTP"
}

// newTransport makes connections of their own for each request: status pages are asked rarely.
func newTransport() *http.Transport {
	dialer := &net.Dialer{
		Timeout: connectWithin,
		Control: func(_, address string, _ syscall.RawConn) error { return guard.Check(address) },
	}
	return &http.Transport{
		Proxy:                  nil, // a proxy would resolve names by itself, behind the check of the address
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectWithin,
		DisableKeepAlives:      true,
		DisableCompression:     true, // what is small on the wire may not be large here
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// read takes what the page says: as statuspage.io has it, else the first texts named status, state, description.
func (v *PageValues) read(root map[string]any) {
	if status, ok := root["status"].(map[string]any); ok && status["indicator"] != nil {
		v.Indicator, v.Description = plain(status["indicator"]), plain(status["description"])
		v.readIncidents(root["incidents"])
		return
	}
	v.Status, v.State, v.Description = first(root, "status"), first(root, "state"), first(root, "description")
}

func (v *PageValues) readIncidents(all any) {
	listed, _ := all.([]any)
	for _, one := range listed {
		incident, _ := one.(map[string]any)
		i := PageIncident{Name: plain(incident["name"]), Status: plain(incident["status"]), Impact: plain(incident["impact"])}
		switch {
		case i.Name == "", i.Status == "resolved", i.Status == "postmortem", i.Status == "completed":
		case len(v.Incidents) == mostShown:
			v.More++
		default:
			v.Incidents = append(v.Incidents, i)
		}
	}
}

// first gives the first text of a name in a tree, those nearest to the root first.
func first(root map[string]any, name string) string {
	level := []map[string]any{root}
	for range pageDepth {
		var below []map[string]any
		for _, object := range level {
			if text := plain(object[name]); text != "" {
				return text
			}
			for _, key := range slices.Sorted(maps.Keys(object)) {
				switch child := object[key].(type) {
				case map[string]any:
					below = append(below, child)
				case []any:
					for _, item := range child {
						if one, ok := item.(map[string]any); ok {
							below = append(below, one)
						}
					}
				}
			}
		}
		level = below
	}
	return ""
}

var tag = regexp.MustCompile(`<[^<>]*>`)

// plain makes a text of a page's value: without markup, on one line, short. Empty for what is no text.
func plain(value any) string {
	text, ok := value.(string)
	if !ok {
		return ""
	}
	text = html.UnescapeString(cut(text, 8*pageRunes))
	return clean(tag.ReplaceAllString(text, " "), pageRunes)
}

func (v *PageValues) text() string {
	var said []string
	failed := v.HTTPStatus < 200 || v.HTTPStatus > 299
	if v.Indicator == "" || failed {
		said = append(said, fmt.Sprintf("HTTP %d", v.HTTPStatus))
	}
	switch {
	case v.Indicator != "" && v.Description != "":
		said = append(said, v.Description+" ("+v.Indicator+")")
	case v.Indicator != "":
		said = append(said, v.Indicator)
	case v.Status+v.State+v.Description == "":
		said = append(said, "nothing in it says status, state or description")
	default:
		for _, field := range [][2]string{{"status ", v.Status}, {"state ", v.State}, {"", v.Description}} {
			if field[1] != "" {
				said = append(said, field[0]+field[1])
			}
		}
	}
	head := v.Host + ": " + strings.Join(said, ", ")
	var lines []string
	for _, i := range v.Incidents {
		about := strings.Join(slices.DeleteFunc([]string{i.Status, i.Impact}, func(s string) bool { return s == "" }), ", ")
		if about != "" {
			about = " (" + about + ")"
		}
		lines = append(lines, i.Name+about)
	}
	return listed(head, lines, v.More)
}
