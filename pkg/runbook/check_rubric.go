package runbook

import (
	"maps"
	"slices"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// warnRubric warns of rules that can never be reached, for a worse one holds whenever they do: sev1 above 15% hides sev2
// above 20%. Simple cases alone are seen.
func (r *Runbook) warnRubric() {
	for i := range r.Severity.Rules {
		milder := &r.Severity.Rules[i]
		for n := range r.Severity.Rules[:i] {
			worse := &r.Severity.Rules[n]
			if implies(&milder.When, &worse.When) {
				r.source.Report().Warn(r.source.Get("severity").Key(string(milder.Severity)),
					"can never be reached: whenever it holds, "+string(worse.Severity)+" does ("+worse.Text+")",
					"a "+string(worse.Severity)+" that asks for more than "+string(milder.Severity)+" does")
				break
			}
		}
	}
}

// implies tells whether b is known to hold whenever a does.
func implies(a, b *triggers.Clause) bool {
	switch {
	case len(a.Any) > 0:
		return !slices.ContainsFunc(a.Any, func(m triggers.Clause) bool { return !implies(&m, b) })
	case len(b.All) > 0:
		return !slices.ContainsFunc(b.All, func(m triggers.Clause) bool { return !implies(a, &m) })
	case len(a.All) > 0 && slices.ContainsFunc(a.All, func(m triggers.Clause) bool { return implies(&m, b) }):
		return true
	case len(b.Any) > 0:
		return slices.ContainsFunc(b.Any, func(m triggers.Clause) bool { return implies(a, &m) })
	case a.Condition == nil || b.Condition == nil:
		return false
	}
	return stronger(a.Condition, b.Condition)
}

// stronger tells whether two conditions look at the same values, and the first one's limit lies as far out or farther.
func stronger(a, b *triggers.Condition) bool {
	if a.Comparison != b.Comparison || !sameLook(a, b) {
		return false
	}
	switch a.Comparison {
	case triggers.Above:
		return a.Limit >= b.Limit
	case triggers.Below:
		return a.Limit <= b.Limit
	}
	return false
}

func sameLook(a, b *triggers.Condition) bool {
	return a.Signal == b.Signal && a.Range == b.Range && a.For == b.For && a.AtLeast == b.AtLeast &&
		maps.EqualFunc(a.Where, b.Where, slices.Equal) && slices.Equal(a.By, b.By)
}
