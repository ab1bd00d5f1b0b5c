package incident

import (
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// Causes for a round of paging.
const (
	CauseOpened         = "opened"
	CauseJoined         = "joined" // by a finding whose owner had not been called yet
	CauseRaised         = "raised"
	CauseRelapsed       = "relapsed"
	CauseReopened       = "reopened"
	CauseUnverified     = "unverified"
	CauseBlind          = "blind"
	CauseOverdue        = "overdue"
	CauseUnacknowledged = "unacknowledged"
)

// Paged calls the roles of a step of a round.
type Paged struct {
	Round     int
	Key       string   // the round's dedup key
	Causes    []string `json:",omitempty"` // of a new round; none for an escalation
	Step      int
	Pass      int
	Severity  runbook.Severity // of the round: it stays what it was when the round began
	Roles     []string
	Receivers []string            // of all these roles, each once
	ByRole    map[string][]string `json:",omitempty"` // receivers of each role
	Skipped   []string            `json:",omitempty"` // roles passed over, for they have no receiver
	NextAt    time.Time           // when the next step is called
	EndsRound int                 `json:",omitempty"` // the round before, whose key ends at each receiver that accepts this page
}

// PageHeld says that causes for paging wait for the end of a silence.
type PageHeld struct {
	Causes  []string
	Silence string // id of the silence, or "quiet" for one of the settings' quiet times
	Until   time.Time
}

// PageDelivered says that a receiver accepted a page.
type PageDelivered struct {
	Round, Step int
	Receiver    string
	Receipt     string `json:",omitempty"`
	Ended       string `json:",omitempty"` // the key of an older round that this page ended there
	Digest      string `json:",omitempty"` // the key under which a storm's digest carried it; empty: it came by itself
}

// PageFailed says that a receiver refused a page for good, has not taken it yet, or was not sent it after all.
type PageFailed struct {
	Round, Step int
	Receiver    string
	Cause       string
	Permanent   bool
	NotSent     bool `json:",omitempty"` // nobody needed it any more
	Awaited     bool `json:",omitempty"` // not taken yet, and the ladder still waits for it: told so that people know
}

// Acknowledged says that a person took the incident; it stops the round that it names.
type Acknowledged struct {
	Round    int
	Via      string // api, command, link, or the kind of receiver
	Receiver string `json:",omitempty"` // through which it came: its service knows already
	From     string `json:",omitempty"` // who had it until then, where that is somebody else
	Resolved bool   `json:",omitempty"` // the person resolved it at the receiver's service; here it is still watched
}

// Unacknowledged gives the incident back.
type Unacknowledged struct {
	Via string `json:",omitempty"`
}

// Kind implements Body.
func (Paged) Kind() string { return "paged" }

// Kind implements Body.
func (PageHeld) Kind() string { return "page_held" }

// Kind implements Body.
func (PageDelivered) Kind() string { return "page_delivered" }

// Kind implements Body.
func (PageFailed) Kind() string { return "page_failed" }

// Kind implements Body.
func (Acknowledged) Kind() string { return "acknowledged" }

// Kind implements Body.
func (Unacknowledged) Kind() string { return "unacknowledged" }
