package runbook

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Known is what a runbook is checked against. What is nil is not at hand, and not checked.
type Known struct {
	Signals    map[string]*triggers.Signal // a nil entry: its file could not be read
	Roles      []string
	Connectors []string
}

// Check does what Read could not do alone: it reads the limits in the units of the signals, and notes names that
// don't exist, what doesn't fit together, and what is known to mislead. Afterwards the runbook is complete, and
// survives JSON unchanged.
func (r *Runbook) Check(known Known) {
	r.checkNames(known)
	for _, c := range r.clauses() {
		triggers.Resolve(c.clause, known.Signals, c.use)
	}
	for i := range r.Severity.Rules {
		r.Severity.Rules[i].Text = r.Severity.Rules[i].When.String()
	}
	r.checkRecovery(known.Signals)
	r.checkSteps()
	r.warnTrigger(known.Signals)
	r.warnRubric()
	r.warnHold(known.Signals)
	r.warnLabels(known.Signals)
	for _, c := range r.clauses() {
		triggers.Settle(c.clause)
	}
	r.source = document.Value{}
}

// CheckDates warns of what is true today and was not yesterday: approvals that are over, and a review that is overdue.
func (r *Runbook) CheckDates(now time.Time, reviewEvery time.Duration, report *document.Report) {
	for _, m := range r.Mitigate {
		for _, a := range m.Approved {
			if a.Expired(now) {
				report.Warn(a.Place, "the approval of "+a.Model+" was over on "+a.Until.Format(time.DateOnly), "approve it anew, or take it out")
			}
		}
	}
	if !r.Reviewed.IsZero() && reviewEvery > 0 && now.After(r.Reviewed.Add(reviewEvery)) {
		report.Warn(r.ReviewedAt, "last reviewed on "+r.Reviewed.Format(time.DateOnly),
			"a review every "+triggers.FormatDuration(reviewEvery)+": walk through it, then set the date")
	}
}

// checkNames notes roles, connectors and signals of evidence that there are not. Conditions see to their own.
func (r *Runbook) checkNames(known Known) {
	if owner := r.source.Get("owner"); known.Roles != nil && r.Owner != "" && !slices.Contains(known.Roles, r.Owner) {
		owner.Error("unknown role `"+r.Owner+"`", triggers.Suggest(r.Owner, known.Roles, "roles: in the settings defines none"))
	}
	for i, check := range r.Triage {
		at := r.source.Get("triage").Item(i).Get("evidence")
		if check.Evidence == nil || check.Evidence.Signal == "" || known.Signals == nil {
			continue
		}
		if _, there := known.Signals[check.Evidence.Signal]; !there {
			triggers.UnknownSignal(at.Get("signal"), check.Evidence.Signal, known.Signals)
		}
	}
	check := func(section string, i int, action *Action) {
		if known.Connectors == nil || action == nil || action.Connector == "" || slices.Contains(known.Connectors, action.Connector) {
			return
		}
		r.source.Get(section).Item(i).Get("action", "connector").Error("unknown connector `"+action.Connector+"`",
			triggers.Suggest(action.Connector, known.Connectors, "connectors: in the settings defines none"))
	}
	for i := range r.Mitigate {
		check("mitigate", i, r.Mitigate[i].Action)
	}
	for i := range r.Rollback {
		check("rollback", i, r.Rollback[i].Action)
	}
}

// checkSteps holds the names of rollback steps to be different, for a command names a step by it, and what nobody approves
// to be what can be repeated and read back.
func (r *Runbook) checkSteps() {
	seen := map[string]int{}
	for i, step := range r.Rollback {
		r.checkUnapproved(&step, r.source.Get("rollback").Item(i).Get("approval"))
		first, twice := seen[step.Name]
		if twice && step.Name != "" {
			r.source.Get("rollback").Item(i).Error("a second step named "+step.Name, fmt.Sprintf("name: another word; the first is on line %d",
				r.source.Get("rollback").Item(first).Place().Line))
			continue
		}
		seen[step.Name] = i
	}
}

// checkUnapproved holds an action that the daemon may begin by itself to be one that it can tell the outcome of.
func (r *Runbook) checkUnapproved(step *Step, at document.Value) {
	switch {
	case step.Approval != ApprovalNone || step.Action == nil:
	case step.Action.NeedsNobody():
		at.Warn("nobody looks before it runs, and whoever may report changes says which version it goes back to",
			"give the scope change to pipelines alone, or let changes.detect show the versions; or approval: owner")
	case step.Action.Semantics != SemanticsSet:
		at.Error("approval: none, and the action may not be repeated", "semantics: set, where the same request again changes nothing; or approval: owner")
	default:
		at.Error("approval: none, and nothing reads the live version", "a confirm by GET that holds {{ .Previous }}; or approval: owner")
	}
}

// checkRecovery holds the three bands to measure three things, and safety not to be the other side of key.
func (r *Runbook) checkRecovery(signals map[string]*triggers.Signal) {
	owner := map[string]string{}
	for _, band := range r.namedBands() {
		for _, name := range band.signals() {
			if other, taken := owner[name]; taken && other != band.name {
				r.source.Get("recovery", band.name).Error("measures "+name+" as "+other+" does",
					"key, safety and business are three different signals"+band.orNone())
				continue
			}
			owner[name] = band.name
		}
	}
	bands := r.namedBands()
	for _, safety := range bands[1].signals() {
		for _, key := range bands[0].signals() {
			if safety != key && sameNumerator(signals[safety], signals[key]) {
				r.source.Get("recovery", "safety").Error(safety+" counts the same events as "+key,
					"safety measures what key does not; or safety: {none: why nothing measures it}")
			}
		}
	}
}

type namedBand struct {
	name string
	band *Band
}

func (r *Runbook) namedBands() []namedBand {
	return []namedBand{{"key", &r.Recovery.Key}, {"safety", &r.Recovery.Safety}, {"business", &r.Recovery.Business}}
}

func (b namedBand) orNone() string {
	if b.name == "key" {
		return ""
	}
	return ", or " + b.name + ": {none: why nothing measures it}"
}

// signals gives the names of the band's signals, each once.
func (b namedBand) signals() []string {
	names := map[string]bool{}
	for _, c := range b.band.Clause.Conditions() {
		names[c.Signal] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func sameNumerator(a, b *triggers.Signal) bool {
	if a == nil || b == nil || !a.IsRatio() || !b.IsRatio() {
		return false
	}
	first, err := triggers.ParseExpression(a.Numerator)
	if err != nil {
		return false
	}
	second, err := triggers.ParseExpression(b.Numerator)
	return err == nil && first.Canonical == second.Canonical
}

// warnTrigger warns of triggers that are known to page twice, or wrongly.
func (r *Runbook) warnTrigger(signals map[string]*triggers.Signal) {
	report := r.source.Report()
	absolute := map[string]bool{}
	for _, c := range r.Trigger.Conditions() {
		switch c.Comparison {
		case triggers.Above, triggers.Below, triggers.Between:
			absolute[c.Signal] = true
		}
	}
	for _, c := range r.Trigger.Conditions() {
		s := signals[c.Signal]
		if s == nil {
			continue
		}
		if span := c.RangeOf(s); c.Comparison != triggers.Absent && c.For > 0 && span > c.For/2 {
			report.Warn(c.At("for"), "the range "+triggers.FormatDuration(span)+" is longer than half of it: a short blip lasts long enough to fire",
				"a range of at most "+triggers.FormatDuration(c.For/2)+", or a longer for")
		}
		switch c.Comparison {
		case triggers.Rises, triggers.Falls:
			if !absolute[c.Signal] {
				report.Warn(c.Place, "a relative comparison alone: a slow drift never doubles against its own last day", "an above or below on "+c.Signal+" beside it")
			}
			if s.IsRatio() && c.MinDelta == 0 {
				report.Warn(c.Place, "no min_delta: a doubled 0.1% is no incident", "min_delta: 2%, or what would hurt")
			}
		case triggers.Above, triggers.Below:
			if s.IsRatio() && c.Baseline == nil {
				report.Warn(c.Place, "no baseline: real failures come in bursts, and only a baseline shows how clumped", "baseline: {last: 1d}")
			}
			if c.Clears == nil {
				report.Warn(c.Place, "no clears: a value that wavers about the limit pages twice", clearsExample(c))
			}
		}
	}
}

// clearsExample shows what clears would look like.
func clearsExample(c *triggers.Condition) string {
	if c.Comparison == triggers.Above {
		return "clears: {below: …}, on the good side of " + triggers.FormatLimit(c.Unit, c.Limit)
	}
	return "clears: {above: …}, on the good side of " + triggers.FormatLimit(c.Unit, c.Limit)
}

// warnHold warns of holds that measure the past, and of recovery limits at which the trigger is not yet over.
func (r *Runbook) warnHold(signals map[string]*triggers.Signal) {
	longest, by := time.Duration(0), ""
	for _, band := range r.namedBands() {
		for _, c := range band.band.Clause.Conditions() {
			if s := signals[c.Signal]; s != nil && c.RangeOf(s) > longest {
				longest, by = c.RangeOf(s), c.Signal
			}
			r.warnRoom(c)
		}
	}
	hold, at := r.Recovery.Hold, r.source.Get("recovery").Key("hold")
	if hold == 0 {
		hold = shortestHold
	}
	if hold < 2*longest {
		r.source.Report().Warn(at, "a hold of "+triggers.FormatDuration(hold)+" is shorter than twice the range of "+by,
			"at least "+triggers.FormatDuration(2*longest))
	}
}

// firing gives the conditions that fire the clause each by itself. One that needs others beside it (a floor under a
// relative one, say) tells nothing of when the trigger is over.
func firing(clause *triggers.Clause) []*triggers.Condition {
	if clause.Condition != nil {
		return []*triggers.Condition{clause.Condition}
	}
	members := clause.Any
	if len(clause.All) == 1 {
		members = clause.All
	}
	var all []*triggers.Condition
	for i := range members {
		all = append(all, firing(&members[i])...)
	}
	return all
}

// warnRoom warns of a recovery limit that is not on the good side of where its own trigger clears.
func (r *Runbook) warnRoom(band *triggers.Condition) {
	for _, c := range firing(&r.Trigger) {
		if c.Signal != band.Signal || !maps.EqualFunc(c.Where, band.Where, slices.Equal) {
			continue
		}
		clear := c.Limit
		if c.Clears != nil && c.Clears.Comparison != "" {
			clear = c.Clears.Limit
		}
		upper, lower := band.Limit, band.Limit
		if band.Comparison == triggers.Between {
			upper, lower = band.High, band.Low
		}
		tooHigh := c.Comparison == triggers.Above && (band.Comparison == triggers.Below || band.Comparison == triggers.Between) && upper > clear
		tooLow := c.Comparison == triggers.Below && (band.Comparison == triggers.Above || band.Comparison == triggers.Between) && lower < clear
		if tooHigh || tooLow {
			r.source.Report().Warn(band.Place, "in band while the trigger isn't clear yet ("+c.String()+", clear at "+
				triggers.FormatLimit(c.Unit, clear)+")", "a limit on the good side of "+triggers.FormatLimit(c.Unit, clear))
			return
		}
	}
}

// warnLabels warns where a signal is known to lack a label that a runbook groups or looks by.
func (r *Runbook) warnLabels(signals map[string]*triggers.Signal) {
	warned := map[string]bool{}
	for _, c := range r.Trigger.Conditions() {
		s := signals[c.Signal]
		if s == nil || s.Labels == nil || warned[c.Signal] {
			continue
		}
		warned[c.Signal] = true
		carried := s.Labels
		if c.By != nil {
			carried = c.By
		}
		for _, label := range r.GroupBy {
			if !slices.Contains(carried, label) {
				r.source.Report().Warn(c.Place, c.Signal+" has no label "+label+" to group by: its incidents are those of the empty value",
					"group_by among "+strings.Join(carried, ", "))
			}
		}
	}
	for i, check := range r.Triage {
		if check.Evidence == nil || signals[check.Evidence.Signal] == nil {
			continue
		}
		s, at := signals[check.Evidence.Signal], r.source.Get("triage").Item(i).Get("evidence")
		for _, label := range check.Evidence.labels() {
			if s.Labels != nil && !slices.Contains(s.Labels, label) {
				at.Warn(s.Name+" has no label "+label, "it carries "+strings.Join(s.Labels, ", "))
			}
		}
	}
}

// labels gives all labels that the evidence looks at.
func (e *Evidence) labels() []string {
	all := slices.Clone(e.By)
	all = append(all, slices.Sorted(maps.Keys(e.Where))...)
	if e.Compare != nil {
		all = append(all, e.Compare.Label)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
