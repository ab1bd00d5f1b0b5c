package access

import (
	"slices"
	"strings"
)

// Scope is something that a caller may do.
type Scope string

// The scopes. Admin holds all others; Respond and Change hold Read, for nobody can act on what they may not see.
// Neither of these two holds the other: whoever reports deployments need not be able to silence a page.
const (
	Read    Scope = "read"    // incidents, runbooks, signals, the event stream
	Respond Scope = "respond" // the on-call's commands, and silences
	Change  Scope = "change"  // report a change of an artifact
	Admin   Scope = "admin"   // reload, test pages, backup, and everything else
)

// AllScopes are the scopes that there are.
var AllScopes = []Scope{Read, Respond, Change, Admin}

// Scopes are what a caller may do.
type Scopes []Scope

// Has tells whether the scopes hold the one that is needed.
func (s Scopes) Has(needed Scope) bool {
	return slices.ContainsFunc(s, func(given Scope) bool {
		return given == needed || given == Admin || needed == Read && (given == Respond || given == Change)
	})
}

// String gives the scopes for people: read, respond.
func (s Scopes) String() string {
	if len(s) == 0 {
		return "none"
	}
	words := make([]string, len(s))
	for i, scope := range s {
		words[i] = string(scope)
	}
	return strings.Join(words, ", ")
}
