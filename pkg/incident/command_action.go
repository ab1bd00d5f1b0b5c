package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// What the settings let the daemon do of the runbooks' actions.
const (
	ActionsDryRun  = "dry_run" // shown, and not done
	ActionsEnabled = "enabled"
	ActionsOff     = "off"
)

// toldTwice is how soon an equal deed of the same person is taken for the same one, told twice.
const toldTwice = time.Minute

// RolledBack says that a person did a step of the rollback stack by hand.
type RolledBack struct {
	By       string
	Step     string    // its name, or its artifact where no other step has it
	From, To string    // versions
	At       time.Time // when it was done, not before impact began; zero: now
}

// Mitigate says that a person did something by hand that buys time. It counts from when it was done.
type Mitigate struct {
	By    string
	Title string    // of the runbook's mitigation, or any words
	At    time.Time // as of RolledBack
}

// Request asks for a step of the rollback stack, or for a mitigation of the runbook, to be done by the daemon.
type Request struct {
	By       string
	Step     string // as of RolledBack
	Mitigate string // title of a mitigation; one of both
	From, To string // versions
	Digest   string // of the rendered request and of the version observed: what is approved
}

// Approve is a second person's approval of what the digest names.
type Approve struct {
	By     string
	Action string // id
	Digest string
}

// Actor implements Command.
func (c RolledBack) Actor() string { return c.By }

// Actor implements Command.
func (c Mitigate) Actor() string { return c.By }

// Actor implements Command.
func (c Request) Actor() string { return c.By }

// Actor implements Command.
func (c Approve) Actor() string { return c.By }

func (RolledBack) called() string { return "rolled back" }
func (Mitigate) called() string   { return "mitigated" }
func (Request) called() string    { return "rollback" }
func (Approve) called() string    { return "approve" }

func (c RolledBack) run(d *decision) error {
	step, err := d.record.step(c.Step)
	if err != nil {
		return err
	}
	at, err := d.doneAt(c.At)
	if err != nil {
		return err
	}
	body := ActionDone{
		Action: d.record.nextAction(), How: DoneByHand, Step: step.Called, Title: step.Called, From: c.From, To: c.To, Settle: step.Settle,
	}
	if d.told(Action{Step: body.Step, Title: body.Title, From: c.From, To: c.To, DoneBy: c.By, DoneAt: at}, c.At) {
		return nil
	}
	d.acknowledge(c.By)
	d.addAt(at, body, body.Action)
	d.effectiveOnceDone(d.record.action(body.Action))
	return nil
}

func (c Mitigate) run(d *decision) error {
	title := strings.TrimSpace(c.Title)
	if err := someText(title, "what was done is not said", "a mitigation of the runbook, or a few words"); err != nil {
		return err
	}
	at, err := d.doneAt(c.At)
	if err != nil {
		return err
	}
	if d.told(Action{Title: title, DoneBy: c.By, DoneAt: at}, c.At) {
		return nil
	}
	d.acknowledge(c.By)
	id := d.record.nextAction()
	d.addAt(at, Mitigated{Action: id, Title: title, Floor: at.Add(d.record.lookBack())}, id)
	return nil
}

// doneAt is when something was done by hand: it may be dated back, into the time of impact.
func (d *decision) doneAt(at time.Time) (time.Time, error) {
	at = at.UTC().Truncate(time.Microsecond)
	began := d.record.ImpactStartedAt
	switch {
	case at.IsZero():
		return d.t, nil
	case at.After(d.t):
		return d.t, &Refusal{fmt.Sprintf("%s lies ahead", at.Format(time.RFC3339)), "say it when it is done"}
	case at.Before(began):
		return d.t, &Refusal{
			fmt.Sprintf("%s lies before impact began", at.Format(time.RFC3339)), "a time from " + began.Format(time.RFC3339) + " on",
		}
	}
	return at, nil
}

// told tells whether the same person told the same deed before: of the same stated time or, where none is stated, within
// the last minute.
func (d *decision) told(deed Action, stated time.Time) bool {
	return slices.ContainsFunc(d.record.Actions, func(a Action) bool {
		same := a.How == DoneByHand && a.Acted && a.Step == deed.Step && a.Title == deed.Title &&
			a.From == deed.From && a.To == deed.To && a.DoneBy == deed.DoneBy
		return same && (a.DoneAt.Equal(deed.DoneAt) || stated.IsZero() && deed.DoneAt.Sub(a.DoneAt) < toldTwice)
	})
}

// acknowledge takes the incident for who acts, where nobody has it or people are still called.
func (d *decision) acknowledge(by string) {
	r := d.record
	if r.Acknowledged != nil && !r.calling() {
		return
	}
	body := Acknowledged{Round: r.presentRound()}
	if r.Acknowledged != nil && r.Acknowledged.By != by {
		body.From = r.Acknowledged.By
	}
	d.add(body, "")
}

func (c Request) run(d *decision) error {
	body, action, err := d.record.requested(c)
	if err != nil {
		return err
	}
	replaced := ""
	for i := range d.record.Actions {
		a := &d.record.Actions[i]
		if !a.InFlight() && !a.Requested() {
			continue
		}
		same := a.Step == body.Step && a.Mitigate == body.Mitigate
		if a.Requested() && same && a.Digest != c.Digest {
			replaced = a.ID // what it names is not what would be done now: nobody can approve it any more
			continue
		}
		if a.RequestedBy == c.By && a.Step == body.Step && a.Mitigate == body.Mitigate && a.From == c.From && a.To == c.To && a.Digest == c.Digest {
			return nil
		}
		return &Refusal{fmt.Sprintf("action %s, %s, is under way", a.ID, a.Title), "one at a time: wait for it, or do it by hand and say so"}
	}
	if action == nil {
		return &Refusal{fmt.Sprintf("the runbook has no action for %q", body.Title), "do it by hand, and say that it is done"}
	}
	body.Action, body.From, body.To, body.Digest = d.record.nextAction(), c.From, c.To, c.Digest
	d.acknowledge(c.By)
	if replaced != "" {
		d.add(ActionFailed{Action: replaced, Why: FailedExpired, Cause: "it was asked for anew, for what would be sent now"}, replaced)
	}
	d.add(body, body.Action)
	d.settle(body.Action)
	return nil
}

// requested is the event of a request, and what the runbook has the daemon do for it; nil: nothing.
func (r *Record) requested(c Request) (ActionRequested, *runbook.Action, error) {
	if (c.Step == "") == (c.Mitigate == "") {
		return ActionRequested{}, nil, &Refusal{"what is asked for is not clear", "name a step of the rollback stack, or a mitigation"}
	}
	if c.Step != "" {
		step, err := r.step(c.Step)
		if err != nil {
			return ActionRequested{}, nil, err
		}
		return ActionRequested{Step: step.Called, Title: step.Called, Approval: step.Approval, Settle: step.Settle}, step.Action, nil
	}
	var titles []string
	for i := range r.Findings {
		for _, m := range r.Findings[i].runbook().Mitigate {
			if m.Title == c.Mitigate {
				return ActionRequested{Mitigate: m.Title, Title: m.Title, Approval: runbook.ApprovalOwner}, m.Action, nil
			}
			titles = append(titles, m.Title)
		}
	}
	return ActionRequested{}, nil, &Refusal{fmt.Sprintf("the runbook has no mitigation %q", c.Mitigate), "its mitigations: " + orNone(titles)}
}

func (c Approve) run(d *decision) error {
	a := d.record.action(c.Action)
	switch {
	case a == nil:
		return &Refusal{fmt.Sprintf("there is no action %q", c.Action), "name one that waits for approval"}
	case a.Approval == runbook.ApprovalTwoPerson && slices.Contains(a.Approvers, c.By):
		return nil
	case !a.Requested() || a.Approved():
		return &Refusal{fmt.Sprintf("action %s doesn't wait for approval: it is %s", a.ID, a.state()), "only a request that needs two people is approved"}
	case a.RequestedBy == c.By:
		return &Refusal{fmt.Sprintf("%s asked for action %s", c.By, a.ID), "somebody else approves it"}
	case a.Digest != c.Digest:
		return &Refusal{fmt.Sprintf("action %s is not what was looked at", a.ID), "look at it again, and approve what is shown then"}
	case d.t.After(a.RequestedAt.Add(approvalWithin)):
		return &Refusal{fmt.Sprintf("action %s was asked for more than %s ago", a.ID, duration(approvalWithin)), "ask for it again"}
	}
	d.add(ActionApproved{Action: a.ID, Digest: c.Digest}, a.ID)
	d.settle(a.ID)
	return nil
}

// settle ends an action that everybody approved and that the settings don't let the daemon perform. A drill performs none.
func (d *decision) settle(action string) {
	a := d.record.action(action)
	if !a.Approved() || d.policy.Actions == ActionsEnabled && d.record.Class != Drill {
		return
	}
	cause := "the settings have actions: " + cmp.Or(d.policy.Actions, ActionsDryRun)
	if d.record.Class == Drill {
		cause = "a drill changes nothing"
	}
	d.actor = Daemon
	d.add(ActionFailed{Action: action, Why: FailedDryRun, Cause: cause}, action)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// nextAction is the id of the incident's next action, which people type.
func (r *Record) nextAction() string { return strconv.Itoa(len(r.Actions) + 1) }
