package source

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Reason says what went wrong with a query, in one of a few words, so that it can be a metric's label.
type Reason string

// The reasons that there are.
const (
	Timeout     Reason = "timeout"     // no whole answer in time, ours or the source's
	Unreachable Reason = "unreachable" // no connection, or it broke
	HTTPStatus  Reason = "http_status" // an answer, but not 200
	Malformed   Reason = "malformed"   // an answer that is not what the API promises, half a document among them
	Partial     Reason = "partial"     // the source says that it did not see all of its data
	Query       Reason = "query"       // the engine refused the expression, or the expression yields what cannot be judged
	Limit       Reason = "limit"       // more series than allowed
	Canceled    Reason = "canceled"    // the caller gave up, as at shutdown: no fault of the source's
)

// Reasons are all values of Reason, for a metric that wants each of them from the start.
var Reasons = []Reason{Timeout, Unreachable, HTTPStatus, Malformed, Partial, Query, Limit, Canceled}

// Error is why a query has no answer. Its message never contains the source's URL or a credential.
type Error struct {
	Reason Reason
	Expr   string // whole; the message has it shortened
	Status int    // the HTTP status, where there was one
	Detail string // what is wrong, for a person
	Err    error  // the cause, where there is one; never a *url.Error, which would carry the URL
}

// Error returns the shortened expression and what is wrong with its query.
func (e *Error) Error() string {
	if e.Expr == "" {
		return "query: " + e.Detail
	}
	return fmt.Sprintf("query %s: %s", strconv.Quote(shorten(e.Expr, exprShown)), e.Detail)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// NativeHistograms is the error for an expression whose values are native histograms, which cannot be compared with a limit.
func NativeHistograms(expr string) *Error {
	return &Error{Reason: Query, Expr: expr, Detail: "expression yields native histograms; wrap it in histogram_quantile, histogram_fraction, histogram_count or histogram_sum"}
}

// TooManySeries is the error for an answer of more than max series. The answer is not cut short:
// the series left out would look healthy.
func TooManySeries(expr string, max int) *Error {
	return &Error{Reason: Limit, Expr: expr, Detail: fmt.Sprintf("answer has more than %d series, the limit (limits.segments); aggregate the expression or raise the limit", max)}
}

const (
	exprShown = 120 // bytes of an expression that a message shows
	textShown = 300 // bytes of a source's own words that a message shows
)

// shorten cuts s to about max bytes, at a rune, and puts it on one line.
func shorten(s string, max int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= max {
		return s
	}
	for max > 0 && !utf8.RuneStart(s[max]) {
		max--
	}
	return s[:max] + "…"
}

// withoutURL returns the cause inside the innermost *url.Error: its own message prints the URL with path and query,
// where a token may stand.
func withoutURL(err error) error {
	for {
		var outer *url.Error
		if !errors.As(err, &outer) {
			return err
		}
		err = outer.Err
	}
}

// firstLine is what a message shows of an error from the transport: an OAuth 2 error goes on
// with the token endpoint's whole answer in its later lines.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return shorten(line, textShown)
}
