package incident

import (
	"fmt"
	"slices"
	"time"
)

// page is step 9: a round for what is owed, else the next step of the round that calls. It adds at most one event.
func (d *decision) page() {
	r := d.record
	if !r.Open() || !d.policy.Severities[r.Severity].Page {
		return
	}
	calling := r.Round != nil && r.Round.Calling
	starts := slices.ContainsFunc(r.Owed, func(cause string) bool { return startsRound(cause, calling) })
	if starts {
		d.startRound()
		return
	}
	d.escalateIfDue()
}

// startsRound tells whether a cause starts a round. Blindness and a missing verification don't while somebody is being
// called already: its messages say it.
func startsRound(cause string, calling bool) bool {
	return !calling || cause != CauseBlind && cause != CauseUnverified
}

// startRound calls with a new key, for everything that is owed. It goes as far up as the farthest of its causes and,
// if somebody is still being called, as far as that round had got: a ladder never falls back.
func (d *decision) startRound() {
	r := d.record
	steps := ladder(r, d.policy)
	reach, ends := 0, 0
	if r.Round != nil {
		ends = r.Round.N
		if r.Round.Calling {
			reach = r.Round.Reached
		}
	}
	for _, cause := range r.Owed {
		reach = max(reach, d.reach(cause))
	}
	n := r.presentRound() + 1
	call := summon(steps, 0, min(reach, len(steps)-1), d.policy.Roles)
	d.add(Paged{
		Round: n, Key: fmt.Sprintf("irdaemon/%s/%s/%d", d.policy.Instance, r.ID, n),
		Causes: slices.Clone(r.Owed), Severity: r.Severity, EndsRound: ends,
		Step: call.step, Roles: call.roles, Receivers: call.receivers, Skipped: call.skipped, NextAt: d.nextAt(0),
	}, fmt.Sprint(n))
}

// reach is the highest step that a cause rings at once.
func (d *decision) reach(cause string) int {
	switch cause {
	case CauseRelapsed:
		return d.record.Reached
	case CauseUnverified:
		return 1
	}
	return 0
}

// escalateIfDue calls the next step when nobody acknowledged in time: from the end of the ladder again from the top,
// under the same key, as long as it takes. Where nobody can be called at all, that is said once, and the first role
// that gets a receiver is called at once.
func (d *decision) escalateIfDue() {
	r, round := d.record, d.record.Round
	if !r.Open() || round == nil || !round.Calling || !d.policy.Severities[r.Severity].Page {
		return
	}
	unheard := len(round.Receivers) == 0
	if !unheard && d.t.Before(round.NextAt) {
		return
	}
	steps := ladder(r, d.policy)
	call, pass := summon(steps, round.Step+1, round.Step+1, d.policy.Roles), round.Pass
	if len(call.receivers) == 0 {
		top := summon(steps, 0, 0, d.policy.Roles)
		top.skipped = append(call.skipped, top.skipped...)
		call = top
		if !unheard {
			pass++
		}
	}
	if !unheard || len(call.receivers) > 0 {
		d.escalate(call, pass)
	}
}

// escalateFailed calls the next step at once when no receiver of the present one takes the page. It doesn't go round
// from the top, or a ladder whose receivers all refuse would spin: that waits for its time.
func (d *decision) escalateFailed() {
	r, round := d.record, d.record.Round
	if !r.Open() || round == nil || !round.Calling || len(round.Receivers) == 0 || len(round.Failed) < len(round.Receivers) {
		return
	}
	call := summon(ladder(r, d.policy), round.Step+1, round.Step+1, d.policy.Roles)
	if len(call.receivers) > 0 {
		d.escalate(call, round.Pass)
	}
}

func (d *decision) escalate(call call, pass int) {
	round := d.record.Round
	d.add(Paged{
		Round: round.N, Key: round.Key, Severity: round.Severity,
		Step: call.step, Pass: pass, Roles: call.roles, Receivers: call.receivers, Skipped: call.skipped, NextAt: d.nextAt(pass),
	}, fmt.Sprintf("%d/%d/%d", round.N, pass, call.step))
}

// nextAt is when the next step is called if nobody acknowledges: after the wait of the severity as it is now, from the
// fourth time through the ladder on at least an hour.
func (d *decision) nextAt(pass int) time.Time {
	wait := d.policy.Severities[d.record.Severity].AcknowledgeWithin
	if wait <= 0 || pass >= 3 {
		wait = max(wait, time.Hour)
	}
	from := d.t
	if d.policy.Now.Sub(from) > d.policy.Interval {
		from = d.policy.Now // a tick decided late: nobody could acknowledge before the page
	}
	return from.Add(wait)
}

// ladder is who is called, step by step: the owners first, then whom they escalate to, the first one's before the
// others'. Each role stands in it once.
func ladder(r *Record, p Policy) [][]string {
	var owners []string
	for i := range r.Findings {
		if owner := r.Findings[i].runbook().Owner; !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	steps, known := [][]string{owners}, slices.Clone(owners)
	for _, owner := range owners {
		for _, role := range p.Roles[owner].EscalateTo {
			if !slices.Contains(known, role) {
				known = append(known, role)
				steps = append(steps, []string{role})
			}
		}
	}
	return steps
}

// call is who is called at once.
type call struct {
	step      int // the highest one
	roles     []string
	receivers []string
	skipped   []string // roles without receivers
}

// summon calls the steps from one to another. While the last of them has no receiver it is passed over and the next
// one is called too.
func summon(steps [][]string, from, to int, roles map[string]Role) call {
	c := call{step: max(from, 0)}
	for step := from; step < len(steps); step++ {
		c.step = step
		found := false
		for _, role := range steps[step] {
			if len(roles[role].Page) == 0 {
				c.skipped = append(c.skipped, role)
				continue
			}
			found = true
			c.roles = append(c.roles, role)
			for _, receiver := range roles[role].Page {
				if !slices.Contains(c.receivers, receiver) {
					c.receivers = append(c.receivers, receiver)
				}
			}
		}
		if step >= to && found {
			break
		}
	}
	return c
}
