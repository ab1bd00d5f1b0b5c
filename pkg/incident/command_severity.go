package incident

import (
	"fmt"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

const (
	// defaultPin is how long a lowered severity stays where the person who lowered it names no time.
	defaultPin = 30 * time.Minute
	// longestPin is how long it may.
	longestPin = 24 * time.Hour
)

// SetSeverity is a person's word on how bad it is. A lower one needs a reason and stays for a time, after which the rubric
// counts again; a higher one calls, as the rubric's would.
type SetSeverity struct {
	By     string
	To     runbook.Severity
	Reason string
	For    time.Duration // of a lower one; 0: 30m
}

// Actor implements Command.
func (c SetSeverity) Actor() string { return c.By }

func (SetSeverity) called() string { return "severity" }

func (c SetSeverity) run(d *decision) error {
	r := d.record
	if !slices.Contains(runbook.Severities, c.To) {
		return &Refusal{fmt.Sprintf("%q is no severity", c.To), "sev1, sev2, sev3 or sev4"}
	}
	again := c.To == r.Severity && r.Pin != nil && c.For != 0 // how long it stays is said anew
	switch {
	case c.To.Worse(r.Severity):
		d.add(SeveritySet{From: r.Severity, To: c.To, Reason: c.Reason, NextUpdateAt: r.updateWhenRaised(c.To, d.t)}, "")
		d.call()
		return nil
	case c.To == r.Severity && !again:
		return nil
	}
	if err := someText(c.Reason, "a severity is lowered without a reason", "say why it is less bad than the rubric has it"); err != nil {
		return err
	}
	if c.For == 0 {
		c.For = defaultPin
	}
	if c.For < 0 || c.For > longestPin {
		return &Refusal{fmt.Sprintf("a lower severity can't stay for %s", c.For), "up to 24h, after which the rubric counts again"}
	}
	body := SeveritySet{
		From: r.Severity, To: c.To, Reason: c.Reason, Until: d.t.Add(c.For), Floor: r.Severity,
		NextUpdateAt: r.updateWhenLowered(c.To, d.t),
		EndsRound:    d.policy.Severities[r.Severity].Page && !d.policy.Severities[c.To].Page,
	}
	if r.Pin != nil {
		body.Floor = r.Pin.Floor
	}
	d.add(body, "")
	return nil
}
