package incident

import (
	"math"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/changes"
)

// rank adds what changed before impact, in the order in which it deserves a look. Where nothing was ever reported and no
// version is seen there is nothing to rank: the view says so. Without running versions of now, those of the first ranking
// count: impact began when it began. Without exposures of now, those of the last one count.
func (d *decision) rank(cause string, running []changes.Running, exposures []changes.Exposure) {
	r := d.record
	if len(running) == 0 && len(r.Rankings) > 0 {
		running = r.Rankings[0].Running
	}
	if r.Class != Real || len(d.policy.Changes.Log)+len(running) == 0 {
		return
	}
	known := changes.KnownOf(d.policy.Changes.Log, running)
	if len(exposures) == 0 && len(r.Rankings) > 0 {
		exposures = r.ranking().Exposures
	}
	running = changes.RunningAt(running, d.policy.Changes.Log, r.ImpactStartedAt)
	for i := range running {
		now := &running[i]
		if brought := (changes.Change{Artifact: now.Artifact, Service: now.Service, From: now.Was, To: now.Version, At: now.Since}); !now.Since.IsZero() {
			fillFrom(&brought, d.policy.Changes.Log)
			now.Was = brought.From
		}
	}
	ranking := changes.Rank(changes.SuspectInput{
		Impact: r.ImpactStartedAt, Services: r.services(), Since: d.policy.Changes.Since, SinceOf: d.policy.Changes.SinceOf,
		Order: r.order(), Changes: d.policy.Changes.Log, Running: running, Contrast: exposures, Known: known,
	})
	for i := range ranking.Suspects {
		fillFrom(&ranking.Suspects[i].Change, d.policy.Changes.Log)
	}
	d.add(SuspectsRanked{Cause: cause, Ranking: ranking, Running: running, Exposures: slices.DeleteFunc(slices.Clone(exposures), unsound)}, cause)
}

// fillFrom fills in the version before a change that names none: the one that the change before it in the log set.
// Where that one names none either, nobody knows.
func fillFrom(c *changes.Change, log []changes.Change) {
	if c.From != "" {
		return
	}
	var before *changes.Change
	for i := range log {
		other := &log[i]
		sameService := other.Service == c.Service || other.Service == "" || c.Service == ""
		if other.Artifact == c.Artifact && sameService && other.At.Before(c.At) && (before == nil || !other.At.Before(before.At)) {
			before = other
		}
	}
	if before != nil && before.To != c.To {
		c.From = before.To
	}
}

// unsound tells whether an exposure has a number that can't be kept: such a one says nothing either.
func unsound(e changes.Exposure) bool {
	return slices.ContainsFunc([]float64{e.WithBad, e.With, e.WithoutBad, e.Without, e.Dispersion}, func(n float64) bool {
		return math.IsNaN(n) || math.IsInf(n, 0)
	})
}

// services are those whose changes may have to do with the incident: its own, and those that its rollback steps name.
func (r *Record) services() []string {
	var all []string
	if r.Service != "" {
		all = append(all, r.Service)
	}
	for i := range r.Findings {
		for _, step := range r.Findings[i].runbook().Rollback {
			if step.Service != "" && !slices.Contains(all, step.Service) {
				all = append(all, step.Service)
			}
		}
	}
	return all
}

// order is that of the rollback stack.
func (r *Record) order() []changes.Step {
	var all []changes.Step
	for i := range r.Findings {
		for _, step := range r.Findings[i].runbook().Rollback {
			all = append(all, changes.Step{Artifact: step.Artifact, Service: step.Service})
		}
	}
	return all
}

// ranking is the newest one, nil for none.
func (r *Record) ranking() *SuspectsRanked {
	if len(r.Rankings) == 0 {
		return nil
	}
	return &r.Rankings[len(r.Rankings)-1]
}

// PlannedStep is a step of the rollback stack in the order to try, with the versions that it goes between.
type PlannedStep struct {
	NamedStep
	Runbook string           // name of the finding's runbook
	From    string           // the version that runs; empty: not known
	To      string           // the version to go back to; empty: not known
	Suspect *changes.Suspect // the change that it answers; nil: none is on record
}

// Name is the step's, which no other step of the incident has.
func (s *PlannedStep) Name() string { return s.Called }

// Plan is the rollback stack in the order to try: first the steps whose artifact changed before impact, then the rest, both
// in the runbook's order.
func (r *Record) Plan() []PlannedStep {
	var changed, rest []PlannedStep
	for _, step := range r.Steps() {
		planned := r.planned(step)
		if planned.Suspect != nil {
			changed = append(changed, planned)
		} else {
			rest = append(rest, planned)
		}
	}
	return append(changed, rest...)
}

// planned fills in a step's versions: those of the newest change of its artifact before impact, else those that ran then.
// A change that names no version since, or the same as before, says nothing of where to go back to.
func (r *Record) planned(step NamedStep) PlannedStep {
	planned := PlannedStep{NamedStep: step, Runbook: r.Findings[step.Finding].Name}
	ranked := r.ranking()
	if ranked == nil {
		return planned
	}
	for i := range ranked.Ranking.Suspects {
		s := &ranked.Ranking.Suspects[i]
		if s.Change.To == "" || s.Change.To == s.Change.From || !r.answers(step.Step, s.Change.Artifact, s.Change.Service) {
			continue
		}
		if planned.Suspect == nil || s.Change.At.After(planned.Suspect.Change.At) {
			planned.Suspect, planned.From, planned.To = s, s.Change.To, s.Change.From
		}
	}
	if planned.Suspect == nil {
		for _, running := range ranked.Running {
			if r.answers(step.Step, running.Artifact, running.Service) {
				planned.From, planned.To = running.Version, running.Was
			}
		}
	}
	return planned
}

// lastOf is the last action of a step, nil for none.
func (r *Record) lastOf(step string) *Action {
	for i := len(r.Actions) - 1; i >= 0; i-- {
		if r.Actions[i].Step == step {
			return &r.Actions[i]
		}
	}
	return nil
}

// next is the first step of the plan that was not tried and is not in flight; empty: none is left.
func (r *Record) next() string {
	for _, step := range r.Plan() {
		if a := r.lastOf(step.Name()); a == nil || a.Why == FailedDryRun || a.Why == FailedExpired {
			return step.Name()
		}
	}
	return ""
}

// requestByItself asks for the first step of the plan whose runbook needs nobody's approval, whose artifact changed and of
// which both versions are known, and whose action may be repeated and is read back: where nobody looks, what is live is
// compared with the version that is to be replaced. It does so at the opening alone, and only where actions are enabled.
func (d *decision) requestByItself() {
	if d.policy.Actions != ActionsEnabled {
		return
	}
	for _, step := range d.record.Plan() {
		if step.Approval != approvalNone || step.Suspect == nil || step.From == "" || step.To == "" || !step.Action.NeedsNobody() || !d.agreed(step) {
			continue
		}
		id := d.record.nextAction()
		d.add(ActionRequested{
			Action: id, Step: step.Name(), Title: step.Name(), From: step.From, To: step.To, Approval: approvalNone, Settle: step.Settle,
		}, id)
		return
	}
}

// agreed tells whether every change on record that brought the version that runs says that it replaced the one to go back
// to. Where reports contradict each other, or leave it out, a person decides.
func (d *decision) agreed(step PlannedStep) bool {
	said := false
	for i := range d.policy.Changes.Log {
		c := &d.policy.Changes.Log[i]
		if c.To != step.From || !d.record.answers(step.Step, c.Artifact, c.Service) {
			continue
		}
		if c.From != step.To {
			return false
		}
		said = true
	}
	return said
}

// approvalNone is a step's approval that nobody has to give.
const approvalNone = "none"

// sees adds changes that came to be known while the incident is open. One that sets a step's artifact back is that step,
// done by somebody. What lies before impact ranks the suspects anew.
func (d *decision) sees(all []changes.Change) {
	late := false
	for i := range all {
		c := &all[i]
		if !d.record.concerns(c, d.policy.Changes, d.t) || d.record.knows(c) {
			continue
		}
		d.addAt(toldAt(c.At, d.record.ImpactStartedAt, d.t), ChangeSeen{
			ID: c.ID, Artifact: c.Artifact, Service: c.Service, From: c.From, To: c.To, At: c.At, By: c.By, URL: c.URL,
		}, c.ID)
		if c.At.After(d.record.ImpactStartedAt) {
			d.seenDone(c)
		} else {
			late = true
		}
	}
	if late {
		d.rank(RankedForChange, nil, nil)
	}
}

// toldAt is when a change is told of in the timeline: when it happened, but not before impact and not in the future.
func toldAt(at, impact, now time.Time) time.Time {
	if at.Before(impact) || at.After(now) {
		return now
	}
	return at
}

// concerns tells whether a change may have to do with the incident.
func (r *Record) concerns(c *changes.Change, p ChangePolicy, now time.Time) bool {
	since := p.Since
	if own, ok := p.SinceOf[c.Artifact]; ok {
		since = own
	}
	services := r.services()
	ours := c.Service == "" || len(services) == 0 || slices.Contains(services, c.Service)
	return ours && !c.At.Before(r.ImpactStartedAt.Add(-since)) && !c.At.After(now.Add(time.Minute))
}

// knows tells whether the incident has the change already: in a ranking, or as one that came later.
func (r *Record) knows(c *changes.Change) bool {
	if slices.ContainsFunc(r.Changes, func(seen ChangeSeen) bool { return c.Is(seen.ID) }) {
		return true
	}
	ranked := r.ranking()
	return ranked != nil && slices.ContainsFunc(slices.Concat(ranked.Ranking.Suspects, ranked.Ranking.Excluded), func(s changes.Suspect) bool {
		return c.Is(s.Change.ID) || s.Change.Is(c.ID)
	})
}

// seenDone takes a change that sets a step's artifact back to its version before for that step, done, unless somebody has
// said so already.
func (d *decision) seenDone(c *changes.Change) {
	for _, step := range d.record.Plan() {
		back := d.record.answers(step.Step, c.Artifact, c.Service) && step.To != "" && c.To == step.To && (c.From == "" || c.From == step.From)
		if !back {
			continue
		}
		if a := d.record.lastOf(step.Name()); a != nil && (a.InFlight() || a.Acted) {
			return
		}
		id := d.record.nextAction()
		d.addAt(toldAt(c.At, d.record.ImpactStartedAt, d.t), ActionDone{
			Action: id, How: DoneSeen, Step: step.Name(), Title: step.Name(), From: step.From, To: step.To, Settle: step.Settle,
		}, id)
		d.effectiveOnceDone(d.record.action(id))
		return
	}
}
