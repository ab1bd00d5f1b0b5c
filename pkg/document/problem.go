// Package document reads YAML strictly and says where everything stands.
//
// Every document of irdaemon (settings, signals, runbooks) is read by the one walker here, so that every error of
// every file is found in one run and carries file, line, column, the path of its key, what is wrong and what is
// allowed. The package knows nothing of what a document means.
package document

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Place is where a value stands: a file, a line and a column (both from 1), and the path of its key, such as
// trigger.any[1].above.
type Place struct {
	File string
	Line int
	Col  int
	Path string
}

// String gives file:line:col: path, without the parts that are not known.
func (p Place) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Col)
	}
	if p.Path != "" {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(p.Path)
	}
	return b.String()
}

// Level says who has to do something about a problem.
type Level int

// An Error refuses the document. A Warning is shown by check. What is Later is right, but only a later release can
// evaluate it: check shows it, run refuses the file.
const (
	Error Level = iota
	Warning
	Later
)

// String names the level: error, warning, later.
func (l Level) String() string {
	switch l {
	case Warning:
		return "warning"
	case Later:
		return "later"
	}
	return "error"
}

// Problem is one thing that is wrong with a document.
type Problem struct {
	Place   Place
	Level   Level
	What    string
	Allowed string // what would be right; may be empty where What says it
	Secret  bool   // a secret's file is missing: a warning for check (a build machine has none), an error for run
}

// String gives the problem as one line: file:line:col: path: what is wrong; what is allowed.
func (p Problem) String() string {
	s := p.Place.String() + ": " + p.What
	if p.Allowed != "" {
		s += "; " + p.Allowed
	}
	return s
}

// Report collects the problems of any number of documents. The zero value is ready to use.
type Report struct {
	Problems []Problem
}

// Error notes what is wrong at a place and what is allowed there.
func (r *Report) Error(at Place, what, allowed string) {
	r.Problems = append(r.Problems, Problem{Place: at, Level: Error, What: what, Allowed: allowed})
}

// Warn notes what is allowed but known to mislead.
func (r *Report) Warn(at Place, what, allowed string) {
	r.Problems = append(r.Problems, Problem{Place: at, Level: Warning, What: what, Allowed: allowed})
}

// Later notes what is right but not yet evaluated by this release.
func (r *Report) Later(at Place, what string) {
	r.Problems = append(r.Problems, Problem{Place: at, Level: Later, What: what})
}

// MissingSecret notes that a file which holds a secret cannot be read.
func (r *Report) MissingSecret(at Place, what, allowed string) {
	r.Problems = append(r.Problems, Problem{Place: at, Level: Warning, What: what, Allowed: allowed, Secret: true})
}

// Sort puts the problems of each file in the order of their lines, files in the order in which they first appear,
// and drops what was noted twice.
func (r *Report) Sort() {
	files := map[string]int{}
	seen := map[string]bool{}
	kept := r.Problems[:0]
	for _, p := range r.Problems {
		if _, known := files[p.Place.File]; !known {
			files[p.Place.File] = len(files)
		}
		if line := p.String(); !seen[line] {
			seen[line] = true
			kept = append(kept, p)
		}
	}
	r.Problems = kept
	slices.SortStableFunc(r.Problems, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(files[a.Place.File], files[b.Place.File]),
			cmp.Compare(a.Place.Line, b.Place.Line),
			cmp.Compare(a.Place.Col, b.Place.Col),
		)
	})
}

// Count tells how many problems of a level there are.
func (r *Report) Count(level Level) int {
	n := 0
	for _, p := range r.Problems {
		if p.Level == level {
			n++
		}
	}
	return n
}

// Secrets gives the problems with missing secrets as one error, or nil: what run adds to Err(Error, Later).
func (r *Report) Secrets() error {
	var errs []error
	for _, p := range r.Problems {
		if p.Secret {
			errs = append(errs, errors.New(p.String()))
		}
	}
	return errors.Join(errs...)
}

// Err is nil when nothing of the given levels was noted, else one error with a line for each such problem.
func (r *Report) Err(levels ...Level) error {
	var errs []error
	for _, p := range r.Problems {
		for _, l := range levels {
			if p.Level == l {
				errs = append(errs, errors.New(p.String()))
			}
		}
	}
	return errors.Join(errs...)
}
