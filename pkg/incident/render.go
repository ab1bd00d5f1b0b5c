package incident

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/template"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// What stands for the fields of a template that only the person who acts can fill in.
const (
	previousVersion = "<previous version>"
	currentVersion  = "<current version>"
)

// instruction fills in the fields of a step's text. check has refused what could fail; should it fail all the same, the
// text is shown as the runbook has it. Versions that are not known are left to the person who acts.
func instruction(text string, v *View, previous, current string) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	parsed, err := template.New("text").Parse(text)
	if err != nil {
		return text
	}
	started := "<when impact began>"
	if v.ImpactStartedAt != nil {
		started = Clock(*v.ImpactStartedAt, *v.ImpactStartedAt)
	}
	var filled strings.Builder
	err = parsed.Execute(&filled, map[string]any{
		"Severity": v.Severity, "Title": v.Title, "Service": v.Service, "Group": v.Group, "Impact": v.Impact,
		"StartedAt": started, "Owner": v.Owner, "Scope": cmp.Or(labelWords(v.Group), "<scope>"), "Action": "<action>",
		"NextUpdateAt": "<next update>", "Previous": cmp.Or(previous, previousVersion), "Current": cmp.Or(current, currentVersion),
	})
	if err != nil {
		return text
	}
	return filled.String()
}

// labelWords writes labels as people say them: tier paid, language en.
func labelWords(all map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		words = append(words, name+" "+all[name])
	}
	return strings.Join(words, ", ")
}

// evidenceInWords says what an item of the checklist is to be decided by; empty for one that names nothing.
func evidenceInWords(e *runbook.Evidence) string {
	switch {
	case e == nil:
		return ""
	case e.Changes > 0:
		return "changes of the last " + triggers.FormatDuration(e.Changes)
	case e.HTTP != "":
		return address(e.HTTP)
	}
	said := e.Signal
	var where []string
	for _, name := range slices.Sorted(maps.Keys(e.Where)) {
		where = append(where, name+" "+strings.Join(e.Where[name], " or "))
	}
	if len(where) > 0 {
		said += " of " + strings.Join(where, ", ")
	}
	if len(e.By) > 0 {
		said += " by " + strings.Join(e.By, ", ")
	}
	if e.Top > 0 {
		said += fmt.Sprintf(", the top %d", e.Top)
	}
	switch c := e.Compare; {
	case c == nil:
	case c.Artifact != "":
		said += fmt.Sprintf(", %s before and after the last change of %s", c.Label, c.Artifact)
	default:
		said += fmt.Sprintf(", %s %s against %s", c.Label, c.Treatment, c.Control)
	}
	return said
}

// address is a URL without what may be a secret: user, password and query.
func address(text string) string {
	parsed, err := url.Parse(text)
	if err != nil {
		return "an address"
	}
	return (&url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: parsed.Path}).String()
}
