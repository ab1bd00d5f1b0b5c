package evaluator

import (
	"strings"
	"text/template"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// soughtEffect is an action of an open incident whose effect on traffic is looked for, and the condition by which it is
// seen, with the versions of this action filled in.
type soughtEffect struct {
	action  string           // id
	finding int              // whose runbook has the condition
	clause  *triggers.Clause // nil: a label's value could not be filled in
}

// isSought tells whether the effect of an action is looked for: it is in flight, or was given up as ineffective, for a
// late effect counts.
func isSought(a *incident.Action) bool { return a.InFlight() || a.Ineffective() }

// soughtEffects gives the effects that are looked for in an incident. What has no condition is effective once it is
// done.
func soughtEffects(r *incident.Record) []soughtEffect {
	var all []soughtEffect
	for i := range r.Actions {
		a := &r.Actions[i]
		if !isSought(a) {
			continue
		}
		clause, finding := r.EffectiveWhen(a)
		if clause == nil {
			continue
		}
		filled, ok := clause.Filled(func(value string) (string, bool) { return fillIn(value, r, finding, a) })
		if !ok {
			filled = nil
		}
		all = append(all, soughtEffect{a.ID, finding, filled})
	}
	return all
}

// fillIn fills the fields of a template in; not ok: one of them has no value that a label could be compared with.
func fillIn(text string, r *incident.Record, finding int, a *incident.Action) (string, bool) {
	if !strings.Contains(text, "{{") {
		return text, true
	}
	parsed, err := template.New("label").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", false
	}
	f := &r.Findings[finding]
	fields := map[string]any{
		"Severity": r.Severity, "Title": f.Snapshot.Runbook.Title, "Owner": f.Snapshot.Runbook.Owner,
		"Service": incident.ServiceOf(&f.Snapshot.Runbook, f.Group), "Group": f.Group.Map(),
	}
	if a.To != "" {
		fields["Previous"] = a.To
	}
	if a.From != "" {
		fields["Current"] = a.From
	}
	var filled strings.Builder
	if err := parsed.Execute(&filled, fields); err != nil {
		return "", false
	}
	return filled.String(), true
}

// soughtIn names the actions of an incident whose effects are looked for: watches are made anew when it changes.
func soughtIn(r *incident.Record) string {
	var parts []string
	for i := range r.Actions {
		if a := &r.Actions[i]; isSought(a) {
			parts = append(parts, a.ID, a.From, a.To)
		}
	}
	return strings.Join(parts, "\x00")
}

// actionNeeds gives the feeds by which the actions of an incident are seen to take effect, of one runbook.
func (e *Evaluator) actionNeeds(s hashed, r *incident.Record) []need {
	var all []need
	for _, a := range e.sought[r.ID] {
		if r.Findings[a.finding].Runbook != s.hash {
			continue
		}
		for _, c := range a.clause.Conditions() {
			all = append(all, e.needsOf(s.Snapshot, c, window(c), r.ImpactStartedAt)...)
		}
	}
	return all
}

// observeActions says whether the actions of an incident are seen to have taken effect at tick t.
func (e *Evaluator) observeActions(r *incident.Record, t time.Time) map[string]incident.ActionObservation {
	sought := e.sought[r.ID]
	if len(sought) == 0 {
		return nil
	}
	found := make(map[string]incident.ActionObservation, len(sought))
	for _, a := range sought {
		verdict := triggers.Unknown
		if a.clause != nil {
			f := &r.Findings[a.finding]
			verdict = e.byHash[f.Runbook].effective(r, f, a.clause, t)
		}
		found[a.action] = incident.ActionObservation{Effective: verdict}
	}
	return found
}

// effective judges whether an action took effect as a band is judged: all that it looks at must show it.
func (w *watch) effective(r *incident.Record, f *incident.Finding, clause *triggers.Clause, t time.Time) triggers.Verdict {
	scope := w.scope(f.Group, w.breached(f, w.group(f.Group)), r.ImpactStartedAt)
	switch state, _ := scope.Band(clause, t); state {
	case triggers.BandHeld:
		return triggers.Yes
	case triggers.BandMissed:
		return triggers.No
	}
	return triggers.Unknown
}

// seek keeps the effects that are looked for in the open incidents.
func (e *Evaluator) seek(open map[string][]*incident.Record) {
	e.sought = map[string][]soughtEffect{}
	for _, records := range open {
		for _, r := range records {
			if e.sought[r.ID] == nil {
				e.sought[r.ID] = soughtEffects(r)
			}
		}
	}
}
