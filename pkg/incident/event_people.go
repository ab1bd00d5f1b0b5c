package incident

import (
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Noted is a person's note.
type Noted struct{ Text string }

// GapNoted says that ticks were not decided at all, for they lie too far back.
type GapNoted struct{ From, To time.Time }

// TriageAnswered is a person's answer to an item of the checklist; the last one counts.
type TriageAnswered struct {
	N      int // from 1
	Answer string
	Text   string `json:",omitempty"`
}

// Audiences of an update.
const (
	Internal = "internal"
	Customer = "customer"
)

// UpdatePosted is what a person told those who wait for news.
type UpdatePosted struct {
	Audience     string // Internal or Customer
	Text         string
	NextUpdateAt time.Time `json:",omitzero"` // the author's word, else after the severity's update_every; zero: none is due
}

// UpdateOverdue says that an update fell due and was not posted.
type UpdateOverdue struct {
	Due          time.Time
	NextUpdateAt time.Time `json:",omitzero"`
}

// Reasons to dismiss an incident.
const (
	FalseAlarm = "false_alarm"
	Duplicate  = "duplicate"
	Expected   = "expected"
	Test       = "test"
)

// DismissReasons are all reasons to dismiss an incident.
var DismissReasons = []string{FalseAlarm, Duplicate, Expected, Test}

// Dismissed ends an incident that was none.
type Dismissed struct {
	Reason      string // FalseAlarm, Duplicate, Expected or Test
	Text        string `json:",omitempty"`
	DuplicateOf string `json:",omitempty"` // id of the other incident
	Severity    runbook.Severity
}

// Prevention is what keeps an incident from coming back.
type Prevention struct {
	Action string    `json:"action"`
	Owner  string    `json:"owner"`
	Due    time.Time `json:"due"`
}

// Postmortem is what people fill in.
type Postmortem struct {
	RootCause    string            `json:"root_cause"`
	DetectionGap string            `json:"detection_gap"`
	Prevention   []Prevention      `json:"prevention"`
	Answers      map[string]string `json:"answers"` // by question
	Notes        string            `json:"notes,omitempty"`
}

// PostmortemSaved is the postmortem as it is from now on, whole.
type PostmortemSaved struct{ Postmortem Postmortem }

// Closed ends the incident's life.
type Closed struct{}

// Kind implements Body.
func (Noted) Kind() string { return "noted" }

// Kind implements Body.
func (GapNoted) Kind() string { return "gap_noted" }

// Kind implements Body.
func (TriageAnswered) Kind() string { return "triage_answered" }

// Kind implements Body.
func (UpdatePosted) Kind() string { return "update_posted" }

// Kind implements Body.
func (UpdateOverdue) Kind() string { return "update_overdue" }

// Kind implements Body.
func (Dismissed) Kind() string { return "dismissed" }

// Kind implements Body.
func (PostmortemSaved) Kind() string { return "postmortem_saved" }

// Kind implements Body.
func (Closed) Kind() string { return "closed" }
