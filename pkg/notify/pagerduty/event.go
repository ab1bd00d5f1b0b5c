package pagerduty

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// PagerDuty's limits, in the strictest reading of its documentation, which counts characters.
const (
	eventBytes    = 512_000
	summaryBytes  = 1024
	dedupKeyBytes = 255
)

// Our own, for what PagerDuty names no limit of.
const (
	fieldBytes  = 255
	detailBytes = 4000
	linkBytes   = 2000
)

// What an event does.
const (
	trigger     = "trigger"
	acknowledge = "acknowledge"
	resolve     = "resolve"
)

// event is a request of the Events API v2.
type event struct {
	RoutingKey string   `json:"routing_key"`
	Action     string   `json:"event_action"`
	DedupKey   string   `json:"dedup_key"`
	Payload    *payload `json:"payload,omitempty"` // of a trigger
	Client     string   `json:"client,omitempty"`
	ClientURL  string   `json:"client_url,omitempty"`
	Links      []link   `json:"links,omitempty"`
}

type link struct {
	Href string `json:"href"`
	Text string `json:"text"`
}

// payload is in PagerDuty's common event format.
type payload struct {
	Summary   string    `json:"summary"`
	Source    string    `json:"source"`
	Severity  string    `json:"severity"`
	Timestamp time.Time `json:"timestamp,omitzero"`
	Component string    `json:"component,omitempty"`
	Group     string    `json:"group,omitempty"`
	Class     string    `json:"class,omitempty"`
	Details   *details  `json:"custom_details,omitempty"`
}

// details are what the pager shows below the summary, in the words of people.
type details struct {
	Severity    string   `json:"severity,omitempty"`
	State       string   `json:"state,omitempty"`
	Impact      string   `json:"impact,omitempty"`
	Why         string   `json:"why,omitempty"`
	Rule        string   `json:"rule,omitempty"`
	Since       string   `json:"since,omitempty"`
	Owner       string   `json:"owner,omitempty"`
	Acknowledge string   `json:"acknowledge,omitempty"` // the command
	Drill       string   `json:"drill,omitempty"`
	Triage      []string `json:"triage,omitempty"`
	Mitigations []string `json:"mitigations,omitempty"`
	Rollback    []string `json:"rollback,omitempty"`
	Digest      []string `json:"digest,omitempty"` // the incidents that a storm put into this page
	Digested    int      `json:"digested,omitempty"`
	LeftOut     string   `json:"left_out,omitempty"` // which lists, because the event was too long
}

var severities = map[runbook.Severity]string{
	runbook.Sev1: "critical", runbook.Sev2: "error", runbook.Sev3: "warning", runbook.Sev4: "info",
}

// trigger makes the event of a page.
func (r *Receiver) trigger(m notify.Message) event {
	view := m.Incident
	e := event{
		Action: trigger, DedupKey: dedupKey(m.Key), Client: "irdaemon", ClientURL: address(view.URL),
		Payload: &payload{
			Summary:   cmp.Or(oneLine(m.Title, summaryBytes), fmt.Sprintf("Incident %d", view.Number)),
			Source:    cmp.Or(oneLine(r.config.Instance, fieldBytes), oneLine(view.Service, fieldBytes), "irdaemon"),
			Severity:  cmp.Or(severities[m.Severity], "error"),
			Timestamp: m.StartedAt.UTC(),
			Component: oneLine(view.Service, fieldBytes),
			Group:     oneLine(group(view.Group), fieldBytes),
			Class:     oneLine(view.Runbook, fieldBytes),
			Details:   newDetails(m),
		},
	}
	for _, l := range []link{
		{view.URL, fmt.Sprintf("Incident %d", view.Number)},
		{m.AcknowledgeURL, "Acknowledge"},
	} {
		if address(l.Href) != "" {
			e.Links = append(e.Links, l)
		}
	}
	return e
}

func newDetails(m notify.Message) *details {
	view := m.Incident
	d := &details{
		Severity: short(string(m.Severity)), State: short(string(view.State)), Impact: short(view.Impact), Why: short(why(m)),
		Rule: short(view.Rule), Owner: short(view.Owner), Digested: m.Digested,
	}
	if began := cmp.Or(view.ImpactStartedAt, view.OpenedAt); began != nil {
		d.Since = began.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	if text.Open(view) {
		d.Acknowledge = short(text.Command(view, "ack"))
	}
	if m.Drill {
		d.Drill = "this is practice"
	}
	for _, item := range view.Triage {
		d.Triage = append(d.Triage, text.Clean(text.Check(item)))
	}
	for _, mitigation := range view.Mitigations {
		d.Mitigations = append(d.Mitigations, text.Clean(text.Mitigation(mitigation)))
	}
	for _, step := range view.Rollbacks {
		d.Rollback = append(d.Rollback, text.Clean(text.Rollback(step)))
	}
	for _, one := range m.Digest {
		d.Digest = append(d.Digest, text.Clean(cmp.Or(one.Headline, one.Title)))
	}
	return d
}

// why tells what the call is for.
func why(m notify.Message) string {
	reasons := slices.Clone(m.Causes)
	if m.Step > 0 {
		reasons = append(reasons, "escalated")
	}
	return strings.Join(reasons, ", ")
}

// group writes the labels of an incident's group; empty ones are left out.
func group(labels map[string]string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if labels[name] != "" {
			pairs = append(pairs, name+"="+labels[name])
		}
	}
	return strings.Join(pairs, ", ")
}

// encode gives the request's body. A page that is too long goes without its longest lists, which is said in it, rather
// than not at all.
func (e event) encode() ([]byte, error) {
	for {
		var body bytes.Buffer
		encoder := json.NewEncoder(&body)
		encoder.SetEscapeHTML(false) // it would make six bytes of one
		if err := encoder.Encode(e); err != nil {
			return nil, err
		}
		if body.Len() <= eventBytes || e.Payload == nil || !e.Payload.Details.leaveOut() {
			return body.Bytes(), nil
		}
	}
}

// leaveOut drops the longest list; false: there is none any more.
func (d *details) leaveOut() bool {
	lists := map[string]*[]string{"triage": &d.Triage, "mitigations": &d.Mitigations, "rollback": &d.Rollback, "digest": &d.Digest}
	longest, most := "", 0
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		size := len(*lists[name])
		for _, item := range *lists[name] {
			size += len(item)
		}
		if size > most {
			longest, most = name, size
		}
	}
	if longest == "" {
		return false
	}
	*lists[longest] = nil
	if d.LeftOut == "" {
		d.LeftOut = "too long for PagerDuty, see the incident's page: "
	} else {
		d.LeftOut += ", "
	}
	d.LeftOut += longest
	return true
}

// dedupKey is the key as PagerDuty takes it.
func dedupKey(key string) string {
	if len(key) <= dedupKeyBytes {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// address gives an address that can be a link, else nothing.
func address(link string) string {
	web := strings.HasPrefix(link, "https://") || strings.HasPrefix(link, "http://")
	if !web || len(link) > linkBytes {
		return ""
	}
	return link
}

// short gives a detail in its limit.
func short(said string) string { return cut(text.Clean(said), detailBytes) }

// oneLine keeps what can be seen of a text, in one line.
func oneLine(said string, limit int) string {
	seen := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		default:
			return -1
		}
	}, said)
	return cut(strings.Join(strings.Fields(seen), " "), limit)
}

// cut shortens a text to so many bytes, between two characters.
func cut(said string, limit int) string {
	const more = "…"
	if len(said) <= limit {
		return said
	}
	end := limit - len(more)
	for !utf8.RuneStart(said[end]) {
		end--
	}
	return said[:end] + more
}
