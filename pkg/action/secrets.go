package action

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

// credentialHeaders are the headers in which the connector's secrets travel.
func (c Connector) credentialHeaders() []string {
	var names []string
	if c.BearerTokenFile != "" || c.PasswordFile != "" {
		names = append(names, "Authorization")
	}
	for _, name := range slices.Sorted(maps.Keys(c.HeaderFiles)) {
		names = append(names, http.CanonicalHeaderKey(name))
	}
	return names
}

// header makes the headers of a request, and tells which secrets stand in them.
func (c Connector) header(m message) (http.Header, []string, error) {
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {"irdaemon"}}
	if m.contentType != "" {
		header.Set("Content-Type", m.contentType)
	}
	if m.attempt != "" {
		header.Set("Idempotency-Key", m.attempt)
	}
	var secrets []string
	set := func(name, before, file string, shape func(string) string) error {
		secret, err := readSecret(file)
		if err != nil {
			return err
		}
		header.Set(name, before+shape(secret))
		secrets = append(secrets, secret, shape(secret))
		return nil
	}
	plain := func(s string) string { return s }
	if c.BearerTokenFile != "" {
		if err := set("Authorization", "Bearer ", c.BearerTokenFile, plain); err != nil {
			return nil, nil, err
		}
	}
	if c.PasswordFile != "" {
		basic := func(password string) string {
			return base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + password))
		}
		if err := set("Authorization", "Basic ", c.PasswordFile, basic); err != nil {
			return nil, nil, err
		}
	}
	for name, file := range c.HeaderFiles {
		if err := set(name, "", file, plain); err != nil {
			return nil, nil, err
		}
	}
	return header, secrets, nil
}

// readSecret reads the one line that a file holds.
func readSecret(path string) (string, error) {
	text, err := readFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	if !printable(secret) || strings.ContainsFunc(secret, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", fmt.Errorf("%s holds more than one line, or what a header can't carry", path)
	}
	return secret, nil
}

// saidRunes is the most that is shown of what a service says.
const saidRunes = 200

// inWords is an answer's status, and what the service says about it where that can be read.
func (a answer) inWords() string {
	said := a.said()
	if said == "" {
		return statusWords(a.status)
	}
	return statusWords(a.status) + ": " + said
}

// said is what a service says, on one line, shortened, and without the secrets that it was sent: some services send
// back the request that they refuse. Pages for a browser say nothing.
func (a answer) said() string {
	text := ""
	switch kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); {
	case kind == "text/plain":
		text = string(a.body)
	case strings.HasSuffix(kind, "json"):
		var tree any
		if json.Unmarshal(a.body, &tree) == nil {
			text = messageOf(tree, 0)
		}
	}
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }), " ")
	text = redact(text, a.secrets)
	if runes := []rune(text); len(runes) > saidRunes {
		text = string(runes[:saidRunes-1]) + "…"
	}
	return text
}

// messageOf finds the sentence in an error's JSON.
func messageOf(tree any, depth int) string {
	const mostDepth = 3
	switch t := tree.(type) {
	case string:
		return t
	case map[string]any:
		if depth == mostDepth {
			return ""
		}
		for _, key := range []string{"message", "detail", "error", "reason", "title", "status", "code"} {
			if said := messageOf(t[key], depth+1); said != "" {
				return said
			}
		}
	case []any:
		if len(t) > 0 && depth < mostDepth {
			return messageOf(t[0], depth+1)
		}
	}
	return ""
}

// redact takes secrets out of a text: whole ones, and words that are a part of one or have one in them.
func redact(text string, secrets []string) string {
	const telling = 6 // a shorter part of a secret is a word like any other
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	isPart := func(word string) bool {
		return len(word) >= telling && slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(s, word) })
	}
	words := strings.Split(text, " ")
	for i, word := range words {
		for _, part := range strings.FieldsFunc(word, func(r rune) bool { return strings.ContainsRune(`"'<>()[]{},;:=…`, r) }) {
			if isPart(part) || isPart(strings.TrimRight(part, ".")) {
				words[i] = strings.ReplaceAll(words[i], part, "***")
			}
		}
	}
	return strings.Join(words, " ")
}
