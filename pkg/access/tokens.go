package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
)

// tokenPrefix tells people and scanners for leaked secrets what they look at.
const tokenPrefix = "ird_"

// token is what is known of a token; the token itself is known to its holder alone.
type token struct {
	name    string
	scopes  Scopes
	expires time.Time // the first moment at which it is refused; zero: never
}

// NewToken makes a token of 256 random bits, and its hash for the tokens file. The hash is a plain SHA-256: a slow one
// protects passwords, which can be guessed; what is as random as this cannot, and a fast one costs a request nothing.
func NewToken() (token, hash string) {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	return token, HashToken(token)
}

// HashToken gives what the tokens file holds in place of a token: its SHA-256 in hexadecimal.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Entry gives the entry of the tokens file for a token, to be put below tokens.
func Entry(name string, scopes []Scope, hash string) string {
	return fmt.Sprintf("  - name: %s\n    scopes: [%s]\n    sha256: %s\n", yamlText(name), Scopes(scopes), strconv.Quote(hash))
}

// yamlText quotes a text; what Go quotes beyond YAML's own escapes is nothing that a name may hold.
func yamlText(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// fromToken finds a token by its hash. The lookup need not take the same time for all hashes: how far a hash agrees with
// one of the file tells nothing about the token that has it.
func (a *Access) fromToken(sent string) (Identity, error) {
	found, ok := a.tokens[sha256.Sum256([]byte(sent))]
	switch {
	case !ok:
		return Identity{}, fmt.Errorf("%w: no such token", ErrWrong)
	case !found.expires.IsZero() && !a.now().Before(found.expires):
		return Identity{}, fmt.Errorf("%w: the token of %s expired on %s", ErrWrong, found.name, found.expires.Format(time.DateOnly))
	}
	return Identity{Name: found.name, Via: ViaToken, Scopes: found.scopes}, nil
}

// tokensReader reads a tokens file.
type tokensReader struct {
	tokens map[[32]byte]token
	names  map[string]document.Place
	hashes map[[32]byte]document.Place
	now    time.Time
}

// readTokens reads a tokens file; whatever is wrong with it goes to the report.
func readTokens(file string, now time.Time, report *document.Report) map[[32]byte]token {
	t := &tokensReader{
		tokens: map[[32]byte]token{}, names: map[string]document.Place{}, hashes: map[[32]byte]document.Place{}, now: now,
	}
	if v, ok := readDocument(file, report); ok {
		v.Object(document.Field{
			Key: "tokens", Required: true, Missing: "tokens: a list, each with name, scopes and sha256",
			Read: func(v document.Value) { v.Items(t.read) },
		})
	}
	return t.tokens
}

// readDocument opens a YAML document. One that is not there is a missing secret: where files are checked, such as on a
// build machine, it need not be.
func readDocument(file string, report *document.Report) (document.Value, bool) {
	content, err := os.ReadFile(file)
	switch at := (document.Place{File: file}); {
	case errors.Is(err, fs.ErrNotExist):
		report.MissingSecret(at, "there is no such file", "run needs it")
	case err != nil:
		report.MissingSecret(at, "the file cannot be read", "run needs it")
	default:
		return document.Parse(file, content, report)
	}
	return document.Value{}, false
}

// read reads one token.
func (t *tokensReader) read(v document.Value) {
	var one token
	var hash [32]byte
	hashed := false
	complete := v.Object(
		document.Field{Key: "name", Required: true, Missing: "name: who holds it; it is the author of what is written with it",
			Read: document.Into(&one.name, t.name)},
		document.Field{Key: "scopes", Required: true, Missing: "scopes: [read, respond]", Read: func(v document.Value) { one.scopes = t.scopes(v) }},
		document.Field{Key: "sha256", Required: true, Missing: "sha256: the token's SHA-256, 64 hexadecimal digits",
			Read: func(v document.Value) { hash, hashed = t.hash(v) }},
		document.Field{Key: "expires", Read: func(v document.Value) {
			document.Into(&one.expires, document.Value.Date)(v)
			if !one.expires.IsZero() && !t.now.Before(one.expires) {
				v.Warn("the token is refused since "+one.expires.Format(time.DateOnly), "a new token, or no entry")
			}
		}},
	)
	if complete && hashed {
		t.tokens[hash] = one
	}
}

// name reads the holder's name, which no other token may have: the record tells people apart by it.
func (t *tokensReader) name(v document.Value) (string, bool) {
	name, ok := v.Text()
	switch first, twice := t.names[name]; {
	case !ok:
		return "", false
	case !IsName(name):
		v.Error("that is not a name", "at most 100 characters, no control characters, no spaces around them")
		return "", false
	case twice:
		v.Error("there are two tokens of this name", fmt.Sprintf("the first is on line %d; a name of its own for each", first.Line))
		return "", false
	}
	t.names[name] = v.Place()
	return name, true
}

func (t *tokensReader) scopes(v document.Value) Scopes {
	var scopes Scopes
	v.Items(func(v document.Value) {
		scope, ok := document.Word(AllScopes...)(v)
		if !ok {
			return
		}
		for _, other := range scopes {
			if other == scope {
				v.Error(string(scope)+" is in the list twice", "once")
			}
		}
		scopes = append(scopes, scope)
	})
	return scopes
}

// hash reads a token's SHA-256. What stands there instead may be the token, so it is never shown.
func (t *tokensReader) hash(v document.Value) (hash [32]byte, ok bool) {
	text, ok := v.Text()
	if !ok {
		return hash, false
	}
	if strings.HasPrefix(text, tokenPrefix) {
		v.Error("that looks like the token itself", "its SHA-256: "+HashToken(text))
		return hash, false
	}
	decoded, err := hex.DecodeString(text)
	if err != nil || len(decoded) != len(hash) {
		v.Error("that is no SHA-256", "64 hexadecimal digits, as irdaemon token prints them")
		return hash, false
	}
	hash = [32]byte(decoded)
	if first, twice := t.hashes[hash]; twice {
		v.Error("there are two entries for this token", fmt.Sprintf("the first is on line %d; a token of its own for each", first.Line))
		return hash, false
	}
	t.hashes[hash] = v.Place()
	return hash, true
}
