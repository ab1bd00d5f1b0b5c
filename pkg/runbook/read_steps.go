package runbook

import (
	"mime"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// The ways of approving a rollback.
const (
	ApprovalOwner     = "owner"
	ApprovalNone      = "none"
	ApprovalTwoPerson = "two_person"
)

// The ways in which an action may be repeated.
const (
	SemanticsSet    = "set"
	SemanticsCreate = "create"
)

func readMitigation(v document.Value) Mitigation {
	var m Mitigation
	v.Object(
		document.Field{Key: "title", Required: true, Missing: "title: what it does for users", Read: document.Into(&m.Title, document.Value.Text)},
		document.Field{Key: "kind", Required: true, Missing: "kind: fallback, or another of the list", Read: document.Into(&m.Kind, document.Word(
			"fallback", "cached_answers", "reduced_features", "local", "traffic_shift", "quota", "repair", "other"))},
		document.Field{Key: "do", Required: true, Missing: "do: what a person does", Read: document.Into(&m.Do, template(updateFields, notInMitigation))},
		document.Field{Key: "approved", Read: func(v document.Value) {
			v.Items(func(v document.Value) { m.Approved = append(m.Approved, readApproval(v)) })
		}},
		document.Field{Key: "action", Read: func(v document.Value) { m.Action = readAction(v, updateFields) }},
		document.Field{Key: "effective", Read: func(v document.Value) { m.Effective = readEffective(v, updateFields) }},
	)
	return m
}

func readApproval(v document.Value) Approval {
	a := Approval{Place: v.Place()}
	v.Object(
		document.Field{Key: "model", Required: true, Missing: "model: its name in the registry", Read: document.Into(&a.Model, document.Value.Text)},
		document.Field{Key: "until", Required: true, Missing: "until: the last day of the approval, such as 2027-03-01", Read: document.Into(&a.Until, document.Value.Date)},
	)
	return a
}

func readStep(v document.Value) Step {
	s := Step{Approval: ApprovalOwner}
	v.Object(
		document.Field{Key: "artifact", Required: true, Missing: "artifact: code, prompt, weights, retrieval_index, router_policy, thresholds or another word",
			Read: document.Into(&s.Artifact, readArtifact)},
		document.Field{Key: "name", Read: document.Into(&s.Name, document.Value.Text)},
		document.Field{Key: "service", Read: document.Into(&s.Service, document.Value.Text)},
		document.Field{Key: "touches", Read: document.Into(&s.Touches, document.Value.Labels)},
		document.Field{Key: "do", Required: true, Missing: "do: what is set back to {{ .Previous }}, and where", Read: document.Into(&s.Do, template(stepFields, ""))},
		document.Field{Key: "action", Read: func(v document.Value) { s.Action = readAction(v, stepFields) }},
		document.Field{Key: "effective", Read: func(v document.Value) { s.Effective = readEffective(v, stepFields) }},
		document.Field{Key: "approval", Read: document.Into(&s.Approval, document.Word(ApprovalOwner, ApprovalNone, ApprovalTwoPerson))},
		document.Field{Key: "settle", Read: document.Into(&s.Settle, document.Value.Positive)},
	)
	if s.Name == "" {
		s.Name = s.Artifact
	}
	return s
}

// NeedsNobody tells whether an action may go ahead where nobody approves it: it can be repeated without harm, and what is
// live can be read before and after.
func (a *Action) NeedsNobody() bool {
	return a != nil && a.Semantics == SemanticsSet && a.Confirm != nil && a.Confirm.Method == "GET"
}

func readArtifact(v document.Value) (string, bool) {
	name, ok := v.Text()
	return name, ok && triggers.CheckName(v.Report(), v.Place(), name)
}

func readAction(v document.Value, allowed fields) *Action {
	a := &Action{}
	v.Object(
		document.Field{Key: "connector", Required: true, Missing: "connector: one of those in the settings", Read: document.Into(&a.Connector, document.Value.Text)},
		document.Field{Key: "method", Required: true, Missing: "method: PUT, or another", Read: document.Into(&a.Method,
			document.Word("GET", "POST", "PUT", "PATCH", "DELETE"))},
		document.Field{Key: "path", Required: true, Missing: "path: below the address of the connector, such as /labels/live", Read: document.Into(&a.Path, path(allowed))},
		document.Field{Key: "body", Read: document.Into(&a.Body, tree(allowed))},
		document.Field{Key: "content_type", Read: document.Into(&a.ContentType, jsonType)},
		document.Field{Key: "semantics", Read: document.Into(&a.Semantics, document.Word(SemanticsSet, SemanticsCreate))},
		document.Field{Key: "confirm", Read: func(v document.Value) { a.Confirm = readConfirm(v, allowed) }},
	)
	if v.Has("content_type") && !v.Has("body") {
		v.Report().Error(v.Key("content_type"), "content_type without body", "a body, or leave it out")
	}
	if a.Semantics == "" { // what may not be repeated safely is never repeated
		a.Semantics = SemanticsCreate
		if a.Method == "PUT" || a.Method == "DELETE" || a.Method == "GET" {
			a.Semantics = SemanticsSet
		}
	}
	return a
}

// jsonType reads which kind of JSON a body is, for services that tell their patches apart by it.
func jsonType(v document.Value) (string, bool) {
	text, ok := v.Text()
	if !ok {
		return "", false
	}
	kind, _, err := mime.ParseMediaType(text)
	if err != nil || kind != "application/json" && (!strings.HasPrefix(kind, "application/") || !strings.HasSuffix(kind, "+json")) {
		v.Error("`"+text+"` is no kind of JSON", "such as application/json, the default, or application/merge-patch+json")
		return "", false
	}
	return text, true
}

func readConfirm(v document.Value, allowed fields) *Confirm {
	c := &Confirm{Method: "GET"}
	v.Object(
		document.Field{Key: "method", Read: document.Into(&c.Method, document.Word("GET", "POST"))},
		document.Field{Key: "path", Required: true, Missing: "path: where the action's effect can be read", Read: document.Into(&c.Path, path(allowed))},
		document.Field{Key: "expect", Required: true, Missing: "expect: what the answer holds then", Read: document.Into(&c.Expect, tree(allowed))},
	)
	return c
}

// path reads a path below a connector's address.
func path(allowed fields) func(document.Value) (string, bool) {
	read := template(allowed, "")
	return func(v document.Value) (string, bool) {
		s, ok := read(v)
		if ok && !strings.HasPrefix(s, "/") {
			v.Error("`"+s+"` is not a path", "it begins with /; the host is the connector's")
			return "", false
		}
		return s, ok
	}
}

// tree reads a body, whose texts may be templates.
func tree(allowed fields) func(document.Value) (any, bool) {
	return func(v document.Value) (any, bool) {
		v.Scalars(func(leaf document.Value) {
			if text, ok := leaf.Optional(); ok {
				checkTemplate(leaf, text, allowed, "")
			}
		})
		return v.Tree()
	}
}

// readEffective reads the condition that says an action took effect; its label values may be templates.
func readEffective(v document.Value, allowed fields) *triggers.Clause {
	clause := triggers.ReadClause(v, false)
	v.Scalars(func(leaf document.Value) {
		if text, ok := leaf.Optional(); ok {
			checkTemplate(leaf, text, allowed, "")
		}
	})
	return &clause
}
