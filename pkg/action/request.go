package action

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// bodyBytes is the most that a request carries.
const bodyBytes = 64 << 10

// Call is an action as a runbook has it.
type Call struct {
	Action *runbook.Action
	// ContentType says what kind of JSON the body is, where a service tells its patches apart by it; default:
	// application/json.
	ContentType string
}

// Request is an action with its values filled in: exactly what is sent, but for the credential and the attempt's id.
type Request struct {
	Connector   string
	Method      string
	URL         string
	ContentType string // empty: no body
	Body        []byte
	Semantics   string // as of the runbook: set, create
	Confirm     *Confirm

	credentials []string // headers that hold secrets, for String
}

// Confirm is how the action's effect is read back.
type Confirm struct {
	Method, URL string
	Expect      any // all of this stands in the answer then

	places any // Expect with the leaves that hold values left open: the places of an answer that are looked at
}

// Render fills in the values of an action. It gives an error where the connector doesn't allow the call, where a value
// is missing or can't stand in its place, or where the template takes what it may not.
func (all Connectors) Render(call Call, values Values) (*Request, error) {
	if err := all.Check(call); err != nil {
		return nil, err
	}
	a, c := call.Action, all[call.Action.Connector]
	address, err := c.address(a.Method, a.Path, values)
	if err != nil {
		return nil, err
	}
	r := &Request{Connector: a.Connector, Method: a.Method, URL: address, Semantics: a.Semantics, credentials: c.credentialHeaders()}
	if a.Body != nil {
		body, err := renderTree(a.Body, values.lookup)
		if err != nil {
			return nil, fmt.Errorf("body: %w", err)
		}
		r.Body = encode(body)
		r.ContentType, _ = contentType(call.ContentType)
		if len(r.Body) > bodyBytes {
			return nil, fmt.Errorf("body: %d bytes; at most %d", len(r.Body), bodyBytes)
		}
	}
	if a.Confirm != nil {
		r.Confirm, err = c.confirm(a.Confirm, values)
	}
	return r, err
}

func (c Connector) confirm(a *runbook.Confirm, values Values) (*Confirm, error) {
	address, err := c.address(a.Method, a.Path, values)
	if err != nil {
		return nil, fmt.Errorf("confirm: %w", err)
	}
	expect, err := renderTree(a.Expect, values.lookup)
	if err != nil {
		return nil, fmt.Errorf("confirm: expect: %w", err)
	}
	return &Confirm{Method: a.Method, URL: address, Expect: expect, places: openLeaves(a.Expect)}, nil
}

// address is the whole address of a call, whose path is allowed also with its values filled in.
func (c Connector) address(method, path string, values Values) (string, error) {
	base, err := c.base()
	if err != nil {
		return "", fmt.Errorf("connector %s: %w", c.Name, err)
	}
	pieces, err := parseTemplate(path)
	if err != nil {
		return "", err
	}
	text, err := renderTarget(pieces, values.lookup, nil)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(base.String(), "/") + text, c.allows(method, text, text)
}

// contentType reads the kind of JSON that a body is.
func contentType(text string) (string, error) {
	if text == "" {
		return "application/json", nil
	}
	kind, _, err := mime.ParseMediaType(text)
	if err != nil || !printable(text) || kind != "application/json" && (!strings.HasPrefix(kind, "application/") || !strings.HasSuffix(kind, "+json")) {
		return "", fmt.Errorf("content type %s is no kind of JSON; such as application/json or application/merge-patch+json", quoted(text))
	}
	return text, nil
}

// checkTree checks the templates of a tree.
func checkTree(tree any, what string) error {
	_, err := renderTree(tree, func(string) (string, error) { return "value", nil })
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// renderTree fills in the values of a tree's texts. Encoded afterwards as a whole, no value can break out of its place.
func renderTree(tree any, values func(string) (string, error)) (any, error) {
	switch t := tree.(type) {
	case string:
		pieces, err := parseTemplate(t)
		if err != nil {
			return nil, err
		}
		return render(pieces, values)
	case map[string]any:
		rendered := make(map[string]any, len(t))
		for _, key := range slices.Sorted(maps.Keys(t)) {
			if strings.Contains(key, "{{") {
				return nil, fmt.Errorf("key %s: a key is no template", quoted(key))
			}
			child, err := renderTree(t[key], values)
			if err != nil {
				return nil, err
			}
			rendered[key] = child
		}
		return rendered, nil
	case []any:
		rendered := make([]any, len(t))
		for i := range t {
			child, err := renderTree(t[i], values)
			if err != nil {
				return nil, err
			}
			rendered[i] = child
		}
		return rendered, nil
	case nil, bool, float64:
		return t, nil
	}
	return nil, errors.New("a value that JSON doesn't have")
}

// encode is a tree as JSON, its keys in order. A tree holds only what JSON has.
func encode(tree any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(tree); err != nil {
		panic(fmt.Sprintf("encode a tree: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Digest names what is approved: the request whole, how it is confirmed, and the value that was seen before. Should any
// of these change, so does the digest, and the approval is void.
func (r *Request) Digest(observed string) string {
	whole := map[string]any{
		"connector": r.Connector, "method": r.Method, "url": r.URL, "content_type": r.ContentType, "body": string(r.Body),
		"semantics": r.Semantics, "observed": observed,
	}
	if r.Confirm != nil {
		whole["confirm"] = map[string]any{"method": r.Confirm.Method, "url": r.Confirm.URL, "expect": r.Confirm.Expect}
	}
	sum := sha256.Sum256(encode(whole))
	return hex.EncodeToString(sum[:])
}

// String is the request for people, as it is sent; credentials are left out.
func (r *Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL)
	for _, header := range r.credentials {
		fmt.Fprintf(&b, "%s: ***\n", header)
	}
	if r.ContentType != "" {
		fmt.Fprintf(&b, "Content-Type: %s\n\n%s\n", r.ContentType, indented(r.Body))
	}
	if r.Confirm == nil {
		b.WriteString("\nNothing reads back whether it took effect.\n")
	} else {
		fmt.Fprintf(&b, "\nConfirmed once %s %s answers with\n%s\n", r.Confirm.Method, r.Confirm.URL, indented(encode(r.Confirm.Expect)))
	}
	if r.Semantics != runbook.SemanticsSet {
		b.WriteString("It is sent once and never repeated by itself.\n")
	}
	return b.String()
}

func indented(text []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return string(text)
	}
	return b.String()
}
