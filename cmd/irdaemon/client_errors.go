package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/web/client"
)

// usageError is an error of how the program was called (exit code 2), not of what it found (exit code 1).
type usageError struct{ cause error }

func (e *usageError) Error() string { return e.cause.Error() }
func (e *usageError) Unwrap() error { return e.cause }

func wrongUsage(format string, arguments ...any) error {
	return &usageError{cause: fmt.Errorf(format, arguments...)}
}

// advised is an error in one line that a terminal can show, with what can be done about it.
type advised struct {
	text  string
	cause error
}

func (e *advised) Error() string { return e.text }
func (e *advised) Unwrap() error { return e.cause }

// longestError is the characters of an error that are shown: whoever answers may not be the daemon.
const longestError = 1000

// advise adds to an error what can be done about it. What the other side wrote cannot steer the terminal.
func (s *clientSettings) advise(err error) error {
	var usage *usageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	said := err.Error()
	var unreachable *client.Unreachable
	var problem *client.Problem
	switch {
	case errors.As(err, &unreachable):
		said += "; " + adviceUnreachable(err)
	case errors.As(err, &problem) && problem.Status == http.StatusUnauthorized:
		said = s.adviceUnauthorized(problem)
	case errors.As(err, &problem) && problem.Status == http.StatusForbidden && strings.Contains(problem.Detail, "scope"):
		said += "; irdaemon token makes one"
	}
	return &advised{text: cut(oneLine(text.Clean(said)), longestError), cause: err}
}

func adviceUnreachable(err error) string {
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return "name the file with its authority's certificate: --ca-file or " + caVariable
	}
	return "is it running? set --url or " + urlVariable
}

// hopeless tells whether an error is no incident's own: the next one would be answered with the same.
func hopeless(err error) bool {
	var unreachable *client.Unreachable
	var problem *client.Problem
	return errors.As(err, &unreachable) ||
		errors.As(err, &problem) && (problem.Status == http.StatusUnauthorized || problem.Status == http.StatusForbidden)
}

// oneLine is a text without line feeds and tabs, and without the spaces around them.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// cut shortens a text that is longer than so many characters.
func cut(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return strings.TrimRight(string(runes[:width-1]), " ") + "…"
	}
	return text
}
