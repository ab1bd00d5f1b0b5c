package incident

import (
	"fmt"
	"slices"
	"time"
)

// longWait is the least that a step of the ladder waits from the fourth time through it on.
const longWait = time.Hour

// selfWait is how long somebody has to acknowledge a trouble of the daemon's own.
const selfWait = 15 * time.Minute

// page is step 9: a round for what is owed or was held back, else the next step of the round that calls. It adds at
// most one event. Under a silence nobody is called, and the ladder waits.
func (d *decision) page() {
	r := d.record
	if !r.Open() || !d.policy.asks(r).Page {
		return
	}
	calling := r.Round != nil && r.Round.Calling
	starts := func(cause string) bool { return startsRound(cause, calling) }
	fresh := d.freshCauses()
	if silence, silenced := d.silenced(); silenced {
		if slices.ContainsFunc(fresh, starts) {
			d.add(PageHeld{Causes: fresh, Silence: silence.ID, Until: silence.Until}, "")
		}
		return
	}
	all := slices.Concat(r.Held, without(fresh, r.Held))
	if slices.ContainsFunc(all, starts) {
		d.startRound(all)
		return
	}
	d.escalateIfDue()
}

// freshCauses are the causes that no round has taken up and no silence holds. That a finding joined is one only if
// nobody has called its owner yet.
func (d *decision) freshCauses() []string {
	if d.joinedUncalled() {
		return slices.Clone(d.record.Owed)
	}
	return without(d.record.Owed, []string{CauseJoined})
}

// joinedUncalled tells whether a finding joined since the last round began, whose owner that round has not called.
func (d *decision) joinedUncalled() bool {
	r := d.record
	if r.Round == nil || !slices.Contains(r.Owed, CauseJoined) {
		return false
	}
	return slices.ContainsFunc(ladder(r, d.policy)[0], func(owner string) bool {
		return len(d.policy.Roles[owner].Page) > 0 && !slices.Contains(r.Round.Called, owner)
	})
}

// without gives the elements that are not among others.
func without(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(one string) bool { return slices.Contains(others, one) })
}

// startsRound tells whether a cause starts a round. Blindness, a missing verification and an overdue update don't while
// somebody is being called already: its messages say it.
func startsRound(cause string, calling bool) bool {
	return !calling || cause != CauseBlind && cause != CauseUnverified && cause != CauseOverdue
}

// startRound calls with a new key. It goes as far up as the farthest of its causes and, if somebody is still being
// called, as far as that round had got: a ladder never falls back.
func (d *decision) startRound(causes []string) {
	r := d.record
	steps := ladder(r, d.policy)
	reach, ends := 0, 0
	if r.Round != nil {
		ends = r.Round.N
		if r.Round.Calling {
			reach = r.Round.Reached
		}
	}
	for _, cause := range causes {
		reach = max(reach, d.reach(cause))
	}
	n := max(r.presentRound(), d.roundsBefore) + 1
	call := summon(steps, 0, min(reach, len(steps)-1), d.policy.Roles)
	d.add(Paged{
		Round: n, Key: d.policy.key(r, n),
		Causes: slices.Clone(causes), Severity: r.Severity, EndsRound: ends,
		Step: call.step, Roles: call.roles, Receivers: call.receivers, ByRole: call.byRole, Skipped: call.skipped, NextAt: d.nextAt(0),
	}, fmt.Sprint(n))
}

// key is the dedup key of a round. The rounds of a trouble of the daemon's own are counted by its kind, for ever.
func (p Policy) key(r *Record, round int) string {
	of := r.ID
	if r.Class == Self {
		of = r.Findings[0].Name
	}
	return fmt.Sprintf("irdaemon/%s/%s/%d", p.Instance, of, round)
}

// asks is what the settings ask of people for the record's severity. The daemon's own troubles always page.
func (p Policy) asks(r *Record) SeverityPolicy {
	if r.Class == Self {
		return SeverityPolicy{Page: true, AcknowledgeWithin: selfWait}
	}
	return p.Severities[r.Severity]
}

// reach is the highest step that a cause rings at once.
func (d *decision) reach(cause string) int {
	switch cause {
	case CauseRelapsed, CauseReopened:
		return d.record.Reached
	case CauseUnverified:
		return 1
	}
	return 0
}

// mayEscalate gives the round that calls, nil where none does or it must wait.
func (d *decision) mayEscalate() *Round {
	r := d.record
	if !r.Open() || r.Round == nil || !r.Round.Calling || !d.policy.asks(r).Page {
		return nil
	}
	if _, silenced := d.silenced(); silenced {
		return nil
	}
	return r.Round
}

// escalateIfDue calls the next step when nobody acknowledged in time: from the end of the ladder again from the top,
// under the same key, as long as it takes. Where nobody can be called at all, that is said once, and the first role
// that gets a receiver is called at once.
func (d *decision) escalateIfDue() {
	round := d.mayEscalate()
	if round == nil {
		return
	}
	unheard := len(round.Receivers) == 0
	if !unheard && d.t.Before(round.NextAt) {
		return
	}
	steps := ladder(d.record, d.policy)
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
	round := d.mayEscalate()
	if round == nil || len(round.Receivers) == 0 || len(round.Failed) < len(round.Receivers) {
		return
	}
	call := summon(ladder(d.record, d.policy), round.Step+1, round.Step+1, d.policy.Roles)
	if len(call.receivers) > 0 {
		d.escalate(call, round.Pass)
	}
}

func (d *decision) escalate(call call, pass int) {
	round := d.record.Round
	d.add(Paged{
		Round: round.N, Key: round.Key, Severity: round.Severity, Step: call.step, Pass: pass,
		Roles: call.roles, Receivers: call.receivers, ByRole: call.byRole, Skipped: call.skipped, NextAt: d.nextAt(pass),
	}, fmt.Sprintf("%d/%d/%d", round.N, pass, call.step))
}

// nextAt is when the next step is called if nobody acknowledges: after the wait of the severity as it is now, from the
// fourth time through the ladder on at least an hour.
func (d *decision) nextAt(pass int) time.Time {
	wait := d.policy.asks(d.record).AcknowledgeWithin
	if wait <= 0 || pass >= 3 {
		wait = max(wait, longWait)
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
	owners := r.owners()
	if r.Class == Self && p.Owner != "" {
		owners = []string{p.Owner} // of now: settings that were mended help at once
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

// owners are the roles that own the findings, the incident's own first.
func (r *Record) owners() []string {
	var owners []string
	for i := range r.Findings {
		if owner := r.Findings[i].runbook().Owner; !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
	}
	return owners
}

// call is who is called at once.
type call struct {
	step      int // the highest one
	roles     []string
	receivers []string
	byRole    map[string][]string
	skipped   []string // roles without receivers
}

// summon calls the steps from one to another. While the last of them has no receiver it is passed over and the next
// one is called too.
func summon(steps [][]string, from, to int, roles map[string]Role) call {
	c := call{step: max(from, 0), byRole: map[string][]string{}}
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
			c.byRole[role] = slices.Clone(roles[role].Page)
			c.receivers = append(c.receivers, without(roles[role].Page, c.receivers)...)
		}
		if step >= to && found {
			break
		}
	}
	return c
}
