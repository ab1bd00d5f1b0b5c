package incident

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// undismissWithin is how long a dismissal can be taken back: a thumb slips.
const undismissWithin = time.Hour

// Dismiss ends an incident that was none.
type Dismiss struct {
	By          string
	Reason      string // one of DismissReasons
	Text        string
	DuplicateOf string // of a duplicate: the other incident; the Desk takes its id or number
}

// Reopen makes an incident open again that was resolved within its runbook's reopen_within, or dismissed within an hour.
type Reopen struct {
	By     string
	Reason string

	elsewhere string // filled in by the Desk: the open incident in which a finding of it stands by now
}

// SavePostmortem keeps the postmortem whole, as it is from now on.
type SavePostmortem struct {
	By         string
	Postmortem Postmortem
}

// Close ends the life of a resolved incident whose postmortem is complete.
type Close struct{ By string }

// Actor implements Command.
func (c Dismiss) Actor() string { return c.By }

// Actor implements Command.
func (c Reopen) Actor() string { return c.By }

// Actor implements Command.
func (c SavePostmortem) Actor() string { return c.By }

// Actor implements Command.
func (c Close) Actor() string { return c.By }

func (Dismiss) called() string        { return "dismiss" }
func (Reopen) called() string         { return "reopen" }
func (SavePostmortem) called() string { return "postmortem" }
func (Close) called() string          { return "close" }

func (c Dismiss) run(d *decision) error {
	r := d.record
	switch {
	case !slices.Contains(DismissReasons, c.Reason):
		return &Refusal{fmt.Sprintf("%q is no reason to dismiss", c.Reason), "one of: " + strings.Join(DismissReasons, ", ")}
	case c.Reason == Duplicate && c.DuplicateOf == "":
		return &Refusal{"a duplicate of what is not said", "name the other incident"}
	case c.Reason != Duplicate && c.DuplicateOf != "":
		return &Refusal{fmt.Sprintf("%s is no duplicate, and names another incident", c.Reason), "reason " + Duplicate}
	case c.DuplicateOf == r.ID:
		return &Refusal{fmt.Sprintf("%s is no duplicate of itself", r), "name another incident"}
	}
	d.add(Dismissed{Reason: c.Reason, Text: c.Text, DuplicateOf: c.DuplicateOf, Severity: r.Severity}, "")
	return nil
}

func (c Reopen) run(d *decision) error {
	r := d.record
	within, since, what := r.reopenWithin(), r.ResolvedAt, "resolved"
	if !r.DismissedAt.IsZero() {
		within, since, what = undismissWithin, r.DismissedAt, "dismissed"
	}
	if d.t.After(since.Add(within)) {
		return &Refusal{
			fmt.Sprintf("%s was %s more than %s ago", r, what, duration(within)),
			"what fires again opens an incident that follows it",
		}
	}
	if c.elsewhere != "" {
		return &Refusal{fmt.Sprintf("what fires in %s stands in %s by now", r, c.elsewhere), "go on there"}
	}
	d.renew(Reopened{Severity: r.Severity, Rule: r.Rule, Reason: c.Reason}, "")
	d.actor = Daemon
	d.rank(CauseReopened, nil, nil)
	d.call()
	return nil
}

func (c SavePostmortem) run(d *decision) error {
	r := d.record
	if r.Postmortem != nil && reflect.DeepEqual(*r.Postmortem, c.Postmortem) {
		return nil
	}
	if missing := r.missing(&c.Postmortem); !r.ClosedAt.IsZero() && len(missing) > 0 {
		return &Refusal{fmt.Sprintf("%s is closed: its postmortem stays complete", r), "missing: " + strings.Join(missing, "; ")}
	}
	d.add(PostmortemSaved{Postmortem: c.Postmortem}, "")
	return nil
}

func (c Close) run(d *decision) error {
	r := d.record
	if !r.ClosedAt.IsZero() {
		return nil
	}
	missing := r.missing(r.Postmortem)
	if len(missing) > 0 && r.Class == Real && !r.postmortemOptional() {
		return &Refusal{fmt.Sprintf("the postmortem of %s is not complete", r), "missing: " + strings.Join(missing, "; ")}
	}
	d.add(Closed{}, "")
	return nil
}

// missing says what a postmortem lacks to be complete, empty for nothing: a root cause, a detection gap, what keeps it
// from coming back with who does it by when, an answer to each question.
func (r *Record) missing(p *Postmortem) []string {
	var missing []string
	if p == nil {
		p = &Postmortem{}
	}
	lacks := func(text, what string) {
		if strings.TrimSpace(text) == "" {
			missing = append(missing, what)
		}
	}
	lacks(p.RootCause, "the root cause")
	lacks(p.DetectionGap, "the detection gap")
	if !slices.ContainsFunc(p.Prevention, Prevention.complete) {
		missing = append(missing, "a prevention action with an owner and a date")
	}
	for _, question := range r.questions() {
		lacks(p.Answers[question], "an answer to: "+question)
	}
	return missing
}

func (p Prevention) complete() bool {
	return strings.TrimSpace(p.Action) != "" && strings.TrimSpace(p.Owner) != "" && !p.Due.IsZero()
}
