package action

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/template/parse"
	"unicode"
	"unicode/utf8"
)

// Values are what an action's templates may take. Title, impact, scope and the like are prose, and change between
// asking and approving, which would void the approval each time: they are no part of what is sent.
type Values struct {
	Previous string // the version to set back to; empty: not known
	Current  string // the version that is live; empty: not known
	Service  string
	Group    map[string]string // labels of the incident's group
}

const (
	allowedFields = ".Previous .Current .Service .Group.<label>"
	valueBytes    = 512 // an image with its digest, or a long path; longer is no version
)

// lookup gives the value of a field such as "Previous" or "Group.tier".
func (v Values) lookup(field string) (string, error) {
	value := ""
	switch label, isGroup := strings.CutPrefix(field, "Group."); {
	case isGroup:
		value = v.Group[label]
	case field == "Previous":
		value = v.Previous
	case field == "Current":
		value = v.Current
	case field == "Service":
		value = v.Service
	}
	if err := checkValue(value); err != nil {
		return "", fmt.Errorf(".%s %w", field, err)
	}
	return value, nil
}

// checkValue refuses what is no version or label, wherever it would stand. What people approve must look like what is
// sent, so that invisible characters are refused too.
func checkValue(value string) error {
	switch {
	case value == "":
		return errors.New("has no value")
	case value == "." || value == "..":
		return fmt.Errorf("is %q, which is no version", value)
	case len(value) > valueBytes:
		return fmt.Errorf("is %d bytes long; at most %d", len(value), valueBytes)
	case !printable(value):
		return errors.New("holds a control character or one that can't be seen")
	}
	return nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// piece is a part of a template: text as written, or a field.
type piece struct{ text, field string }

// parseTemplate takes a text apart. Only plain fields are allowed: no if, no functions.
func parseTemplate(text string) ([]piece, error) {
	if !strings.Contains(text, "{{") {
		return []piece{{text: text}}, nil
	}
	tree := parse.New("text")
	tree.Mode = parse.SkipFuncCheck
	parsed, err := tree.Parse(text, "", "", map[string]*parse.Tree{})
	if err != nil {
		return nil, fmt.Errorf("%s: not a template: %s", quoted(text), strings.TrimPrefix(err.Error(), "template: text:"))
	}
	var pieces []piece
	if parsed.Root == nil {
		return pieces, nil
	}
	for _, node := range parsed.Root.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
			pieces = append(pieces, piece{text: string(n.Text)})
		case *parse.CommentNode:
		default:
			field, ok := plainField(n)
			if !ok {
				return nil, fmt.Errorf("%s is not allowed in an action; allowed are %s", quoted(n.String()), allowedFields)
			}
			pieces = append(pieces, piece{field: field})
		}
	}
	return pieces, nil
}

// plainField gives the field of a node that is nothing else, and that an action may take.
func plainField(node parse.Node) (string, bool) {
	action, ok := node.(*parse.ActionNode)
	if !ok || len(action.Pipe.Decl) > 0 || len(action.Pipe.Cmds) != 1 || len(action.Pipe.Cmds[0].Args) != 1 {
		return "", false
	}
	field, ok := action.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok {
		return "", false
	}
	switch {
	case len(field.Ident) == 2 && field.Ident[0] == "Group":
		return "Group." + field.Ident[1], true
	case len(field.Ident) == 1 && slices.Contains([]string{"Previous", "Current", "Service"}, field.Ident[0]):
		return field.Ident[0], true
	}
	return "", false
}

// render puts the values in, as they are: for a text that is encoded as a whole afterwards.
func render(pieces []piece, values func(string) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.text)
		if p.field == "" {
			continue
		}
		value, err := values(p.field)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// renderTarget puts values into a path with its query. What the runbook's author wrote stays as written, so that it may
// hold escapes; values are encoded by their place. escape, if not nil, encodes them instead.
func renderTarget(pieces []piece, values func(string) (string, error), escape func(string) string) (string, error) {
	var b strings.Builder
	inQuery := false
	for _, p := range pieces {
		inQuery = inQuery || strings.Contains(p.text, "?")
		if err := checkWritten(p.text); err != nil {
			return "", err
		}
		b.WriteString(p.text)
		if p.field == "" {
			continue
		}
		value, err := values(p.field)
		switch {
		case err != nil:
			return "", fmt.Errorf("path: %w", err)
		case escape != nil:
			b.WriteString(escape(value))
		case inQuery:
			b.WriteString(url.QueryEscape(value))
		default:
			b.WriteString(url.PathEscape(value))
		}
	}
	return b.String(), nil
}

// checkWritten refuses what an author can't write into an address as it is sent.
func checkWritten(text string) error {
	plain, err := url.PathUnescape(text)
	switch {
	case err != nil:
		return fmt.Errorf("path %s: a %% that is no escape; %%25 stands for one", quoted(text))
	case !printable(plain):
		return fmt.Errorf("path %s: a control character", quoted(text))
	case strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r >= utf8.RuneSelf || strings.ContainsRune("\"<>\\^`{|}", r) }) >= 0:
		return fmt.Errorf("path %s: a character that an address can't hold; write its escape, such as %%20", quoted(text))
	}
	return nil
}

// quoted shows a foreign text, shortened, with nothing in it that could not be seen.
func quoted(s string) string {
	const most = 120
	if len(s) > most {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:most], ""))
	}
	return fmt.Sprintf("%q", s)
}
