package runbook

import (
	"regexp"
	"slices"
	"strings"
	texttemplate "text/template"
	"text/template/parse"

	"github.com/irdaemon/irdaemon/pkg/document"
)

// fields are the names that a template may use.
type fields []string

// The fields of an update to colleagues; a customer's text has fewer, a rollback step more.
var (
	updateFields   = fields{"Severity", "Title", "Service", "Group", "Impact", "StartedAt", "Scope", "Action", "NextUpdateAt", "Owner"}
	customerFields = fields{"Severity", "Title", "Service", "Impact", "StartedAt", "Scope", "Action", "NextUpdateAt", "Owner"}
	stepFields     = append(slices.Clone(updateFields), "Previous", "Current")
)

const notInMitigation = "a mitigation sets no version back"

// template makes a reader of a text whose fields are among those allowed. reason says why known fields are not.
func template(allowed fields, reason string) func(document.Value) (string, bool) {
	return func(v document.Value) (string, bool) {
		text, ok := v.Text()
		return text, ok && checkTemplate(v, text, allowed, reason)
	}
}

var templateErrorPlace = regexp.MustCompile(`^template: text:(\d+): `)

// checkTemplate parses a template and notes each use of what isn't allowed, where it stands.
func checkTemplate(v document.Value, text string, allowed fields, reason string) bool {
	if !strings.Contains(text, "{{") {
		return true
	}
	parsed, err := texttemplate.New("text").Parse(text)
	if err != nil {
		what := templateErrorPlace.ReplaceAllString(err.Error(), "line $1 of the text: ")
		v.Report().Error(v.At(max(strings.Index(text, "{{"), 0)), what, "fields such as {{ .Severity }}")
		return false
	}
	c := &templateCheck{v: v, allowed: allowed, reason: reason, fine: true}
	if parsed.Tree != nil {
		c.list(parsed.Root)
	}
	if len(parsed.Templates()) > 1 {
		c.refuse(0, "`define` is not allowed", "fields and if alone")
	}
	return c.fine
}

// templateCheck walks a parsed template. It allows fields, if, and the functions of text/template; whatever would
// change the dot (range, with) or print all of it is refused.
type templateCheck struct {
	v       document.Value
	allowed fields
	reason  string
	fine    bool
}

func (c *templateCheck) list(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.TextNode, *parse.CommentNode:
		case *parse.ActionNode:
			c.pipe(n.Pipe)
		case *parse.IfNode:
			c.pipe(n.Pipe)
			c.list(n.List)
			c.list(n.ElseList)
		default:
			c.refuse(int(node.Position()), "`"+shortened(node.String())+"` is not allowed", "fields and if alone")
		}
	}
}

func (c *templateCheck) pipe(pipe *parse.PipeNode) {
	for _, command := range pipe.Cmds {
		for _, argument := range command.Args {
			c.argument(argument)
		}
	}
}

func (c *templateCheck) argument(node parse.Node) {
	switch n := node.(type) {
	case *parse.FieldNode:
		c.field(n.Ident, int(n.Position()))
	case *parse.VariableNode:
		if n.Ident[0] == "$" && len(n.Ident) > 1 {
			c.field(n.Ident[1:], int(n.Position()))
		}
	case *parse.PipeNode:
		c.pipe(n)
	case *parse.DotNode:
		c.refuse(int(n.Position()), "{{ . }} prints everything", "one field, such as {{ .Severity }}")
	case *parse.ChainNode:
		c.refuse(int(n.Position()), "`"+shortened(n.String())+"` is not allowed", "fields and if alone")
	}
}

// field checks a field. A label of the group (.Group.tier) is the only thing below one.
func (c *templateCheck) field(names []string, at int) {
	field, known := names[0], slices.Contains(c.allowed, names[0])
	if known && (len(names) == 1 || field == "Group" && len(names) == 2) {
		return
	}
	what, allowed := "unknown field ."+strings.Join(names, "."), ""
	switch {
	case !known && slices.Contains(stepFields, field) && c.reason != "":
		what, allowed = "."+field+" is not allowed here: "+c.reason, ""
	case !known && slices.Contains(stepFields, field):
		what = "." + field + " stands in rollback steps only"
	case !known:
		if nearest := document.Nearest(field, c.allowed); nearest != "" {
			allowed = "did you mean ." + nearest + "? "
		}
	}
	c.refuse(at, what, allowed+"allowed are ."+strings.Join(c.allowed, " ."))
}

// refuse notes a problem at a byte of the text.
func (c *templateCheck) refuse(at int, what, allowed string) {
	c.fine = false
	c.v.Report().Error(c.v.At(at), what, allowed)
}

func shortened(s string) string {
	if runes := []rune(s); len(runes) > 40 {
		return string(runes[:39]) + "…"
	}
	return s
}
