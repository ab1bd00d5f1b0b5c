// Package runbook is the runbook document: eight sections, the severity rubric, the templates and the fields that
// they may use, and the checks that hold between them.
//
// A runbook that lacks a section does not load. What loads is complete: names that it uses exist, its expressions
// parse, its templates take only fields that there are.
package runbook

import (
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Severity is one of sev1 to sev4. sev1 is the worst.
type Severity string

// The severities, worst first.
const (
	Sev1 Severity = "sev1"
	Sev2 Severity = "sev2"
	Sev3 Severity = "sev3"
	Sev4 Severity = "sev4"
)

// Severities lists the severities, worst first.
var Severities = []Severity{Sev1, Sev2, Sev3, Sev4}

// Worse tells whether s is worse than other. An empty severity is better than every other.
func (s Severity) Worse(other Severity) bool {
	return s != "" && (other == "" || s < other)
}

// Runbook is one file: what starts an incident, how bad it is, who owns it, what is checked, what is rolled back,
// what is said, when it is over and what is learned.
type Runbook struct {
	Place        document.Place `json:"-"`
	Name         string
	Title        string
	Service      string // empty: the group's service label says it
	Branch       string
	GroupBy      []string
	Reviewed     time.Time
	ReviewedAt   document.Place `json:"-"` // where the file says so
	Owner        string
	ReopenWithin time.Duration

	Trigger       triggers.Clause
	Severity      Rubric
	Triage        []Check
	Mitigate      []Mitigation
	Rollback      []Step
	Communication Communication
	Recovery      Recovery
	Postmortem    Postmortem

	// Pace divides the durations that follow from the severity (0: 1). Scale sets it.
	Pace float64 `json:",omitempty"`

	source document.Value // until Check is through: where each key stands
}

// Rubric is the severity decided beforehand: the first rule that holds, from sev1 down, else Default.
type Rubric struct {
	Rules   []Rule // worst first
	Default Severity
}

// Rule says that an incident is of a severity when its clause holds.
type Rule struct {
	Severity Severity
	When     triggers.Clause
	Text     string // the rule in the words of the document, for the record and for people
}

// Check is an item of the triage checklist.
type Check struct {
	Title    string
	Evidence *Evidence
	Decide   []string
}

// Evidence is what the daemon gathers for an item of the checklist. One of Signal, Changes, HTTP is set.
type Evidence struct {
	Signal  string
	Where   map[string][]string
	By      []string
	Top     int
	Compare *Compare
	Changes time.Duration
	HTTP    string
}

// Compare sets two values of a label against each other: control and treatment, or the versions before and after
// an artifact's last change.
type Compare struct {
	Label     string
	Control   string
	Treatment string
	Artifact  string
}

// Mitigation buys time before or beside a rollback.
type Mitigation struct {
	Title     string
	Kind      string
	Do        string
	Approved  []Approval
	Action    *Action
	Effective *triggers.Clause
}

// Approval says until when a fallback model is approved for production.
type Approval struct {
	Place document.Place `json:"-"`
	Model string
	Until time.Time
}

// Expired tells whether the last day of the approval is over.
func (a *Approval) Expired(now time.Time) bool {
	return !a.Until.IsZero() && now.After(a.Until.AddDate(0, 0, 1))
}

// Step rolls one artifact back.
type Step struct {
	Artifact  string
	Name      string // default: the artifact
	Service   string
	Touches   map[string][]string
	Do        string
	Action    *Action
	Effective *triggers.Clause
	Approval  string // owner, none, two_person
	Settle    time.Duration
}

// Action is the HTTP call of a step, made through a connector of the settings.
type Action struct {
	Connector   string
	Method      string
	Path        string
	Body        any
	ContentType string `json:",omitempty"` // of the body: a kind of JSON; empty: application/json
	Semantics   string // set, create
	Confirm     *Confirm
}

// Confirm reads back whether an action took effect.
type Confirm struct {
	Method string
	Path   string
	Expect any
}

// Communication is the shape of what is said, and when.
type Communication struct {
	FirstUpdate map[Severity]time.Duration // 0: none; not in the map: the default
	UpdateEvery map[Severity]time.Duration
	Internal    string
	Customer    string
}

// Recovery says when user impact has stopped.
type Recovery struct {
	Hold     time.Duration // 0: the default of the severity
	Timeout  time.Duration
	Key      Band
	Safety   Band
	Business Band
}

// Band is one of the three recovery conditions, or the stated reason why nothing measures it.
type Band struct {
	Clause *triggers.Clause
	None   string
}

// Postmortem is what an incident leaves behind.
type Postmortem struct {
	Due       time.Duration // 0: the default of the severity
	Questions []string
}

// Snapshot is a runbook whole with the signals that it uses: what an open incident keeps, whatever happens to the
// files.
type Snapshot struct {
	Runbook Runbook
	Signals map[string]*triggers.Signal
}
