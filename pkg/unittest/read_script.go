package unittest

import (
	"maps"
	"slices"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// verbs are what a person can do. One of them makes an action.
var verbs = []string{"acknowledge", "unacknowledge", "note", "rolled_back"}

// somebody does what a script lets nobody do by name.
const somebody = "somebody"

func (r *reader) readAction(t *test, v document.Value) {
	a := action{place: v.Place()}
	by := somebody
	does := func(verb string, command func(text string) incident.Command) document.Field {
		return document.Field{Key: verb, Read: func(v document.Value) {
			if text, ok := v.Text(); ok {
				a.words, a.command = verb+" "+text, command(text)
			}
		}}
	}
	v.Object(
		t.at(&a.at),
		document.Field{Key: "by", Read: document.Into(&by, document.Value.Text)},
		document.Field{Key: "incident", Read: document.Into(&a.runbook, r.runbook)},
		r.group(&a.group, &a.runbook),
		does("acknowledge", func(name string) incident.Command { return incident.Acknowledge{By: name, Via: "test"} }),
		does("unacknowledge", func(name string) incident.Command { return incident.Unacknowledge{By: name} }),
		does("note", func(text string) incident.Command { return incident.Note{By: by, Text: text} }),
		does("rolled_back", func(step string) incident.Command { return incident.RolledBack{By: by, Step: step} }),
	)
	written := slices.DeleteFunc(slices.Clone(verbs), func(verb string) bool { return !v.Has(verb) })
	switch {
	case !v.IsMap():
	case len(written) == 0:
		v.Error("nobody does anything", "acknowledge: NAME, unacknowledge: NAME, note: TEXT or rolled_back: STEP")
	case len(written) > 1:
		v.Error(strings.Join(written, " and ")+" in one action", "an action for each")
	case v.Has("by") && !v.Has("note") && !v.Has("rolled_back"):
		v.Report().Error(v.Key("by"), "is for notes and rollbacks", written[0]+": NAME says who it is")
	case a.group != nil && a.runbook == "":
		v.Report().Error(v.Key("group"), "without incident", "incident: the runbook beside it")
	}
	t.actions = append(t.actions, a)
}

func (r *reader) readExpectation(t *test, v document.Value) {
	e := expectation{place: v.Place()}
	v.Object(
		t.at(&e.at),
		document.Field{Key: "open", Read: func(v document.Value) {
			e.open = []expected{}
			r.each(v, func(v document.Value) { e.open = append(e.open, r.readExpected(v)) })
		}},
		document.Field{Key: "resolved", Read: func(v document.Value) {
			e.resolved = []string{}
			r.each(v, func(v document.Value) {
				if name, ok := r.runbook(v); ok {
					e.resolved = append(e.resolved, name)
				}
			})
		}},
	)
	if v.IsMap() && !v.Has("open") && !v.Has("resolved") {
		v.Error("nothing is expected", "open: or resolved: lists of incidents; open: [] says that nothing is open")
	}
	t.expects = append(t.expects, e)
}

// each reads the items of a list that may be empty.
func (r *reader) each(v document.Value, read func(document.Value)) {
	if v.IsList() && !v.Item(0).Exists() {
		return
	}
	v.Items(read)
}

// states are those of an incident that is open.
var states = []string{
	string(incident.Triggered), string(incident.AcknowledgedState), string(incident.Mitigating), string(incident.Verifying),
}

func (r *reader) readExpected(v document.Value) expected {
	var e expected
	v.Object(
		document.Field{Key: "runbook", Required: true, Missing: "runbook: the name of the runbook", Read: document.Into(&e.runbook, r.runbook)},
		r.group(&e.group, &e.runbook),
		document.Field{Key: "severity", Read: document.Into(&e.severity, document.Word(runbook.Severities...))},
		document.Field{Key: "state", Read: func(v document.Value) {
			word, _ := v.OneOf(states...)
			e.state = incident.State(word)
		}},
		document.Field{Key: "acknowledged_by", Read: document.Into(&e.acknowledgedBy, document.Value.Text)},
		document.Field{Key: "paged", Read: func(v document.Value) { e.paged = r.readRoles(v) }},
		document.Field{Key: "suspects", Read: func(v document.Value) {
			e.suspects = []string{}
			r.each(v, func(v document.Value) {
				if artifact, ok := v.Text(); ok {
					e.suspects = append(e.suspects, artifact)
				}
			})
		}},
	)
	return e
}

// readRoles reads the roles that were paged: names of the settings.
func (r *reader) readRoles(v document.Value) []string {
	roles, _ := v.Texts()
	if r.file.set == nil {
		return roles
	}
	names := slices.Sorted(maps.Keys(r.file.set.Policy.Roles))
	for i, role := range roles {
		if !slices.Contains(names, role) {
			v.Item(i).Error("unknown role `"+role+"`", triggers.Suggest(role, names, "no role is defined"))
		}
	}
	return roles
}
