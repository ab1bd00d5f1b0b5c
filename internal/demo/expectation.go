package demo

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Expectation is the timeline that the daemon must produce from a scenario.
type Expectation struct {
	Events []Expected // in order; each happens exactly once
	Never  []string   // events that must not happen; those named nowhere may
	// Tolerance is how far an event may be off, in story time.
	Tolerance time.Duration
}

// Expected is one event of the timeline.
type Expected struct {
	Event    string // its type on the record: opened, breach_joined, …
	At       time.Time
	Severity string // empty: not compared
}

// Seen is an event that the daemon put on a record. At is story time.
type Seen struct {
	Event    string
	At       time.Time
	Severity string
}

// Check compares what was seen with what is expected, over all incidents together. Its error names every difference,
// one a line; nil says that the story went as it should.
func (e Expectation) Check(events []Seen) error {
	var differences []error
	for _, expected := range e.Events {
		differences = append(differences, e.compare(expected, events))
	}
	for _, seen := range events {
		if slices.Contains(e.Never, seen.Event) {
			differences = append(differences, fmt.Errorf("%s at %s: should not have happened", seen.Event, clockTime(seen.At)))
		}
	}
	return errors.Join(differences...)
}

// compare gives the difference between one expected event and what was seen of it, nil for none.
func (e Expectation) compare(expected Expected, events []Seen) error {
	var found []Seen
	for _, seen := range events {
		if seen.Event == expected.Event {
			found = append(found, seen)
		}
	}
	switch len(found) {
	case 0:
		return fmt.Errorf("%s: expected at %s, but it never happened", expected.Event, clockTime(expected.At))
	case 1:
		return errors.Join(e.compareTime(expected, found[0]), compareSeverity(expected, found[0]))
	}
	var times []string
	for _, seen := range found {
		times = append(times, clockTime(seen.At))
	}
	return fmt.Errorf("%s: expected once, at %s, but it happened %d times: at %s",
		expected.Event, clockTime(expected.At), len(found), strings.Join(times, ", "))
}

func (e Expectation) compareTime(expected Expected, seen Seen) error {
	off := seen.At.Sub(expected.At)
	if off.Abs() <= e.Tolerance {
		return nil
	}
	word := "late"
	if off < 0 {
		word = "early"
	}
	return fmt.Errorf("%s: expected at %s, but it happened at %s, %s too %s (%s is allowed)", expected.Event,
		clockTime(expected.At), clockTime(seen.At), off.Abs().Round(time.Second), word, e.Tolerance)
}

func compareSeverity(expected Expected, seen Seen) error {
	if expected.Severity == "" || expected.Severity == seen.Severity {
		return nil
	}
	return fmt.Errorf("%s at %s: expected as %s, but it was %s",
		expected.Event, clockTime(seen.At), expected.Severity, orNone(seen.Severity))
}

func orNone(severity string) string {
	if severity == "" {
		return "of no severity"
	}
	return severity
}

func clockTime(t time.Time) string { return t.UTC().Format(time.TimeOnly) }
