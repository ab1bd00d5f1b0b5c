package evaluator

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// watch is a runbook under observation: one in force, or one that an open incident was opened with.
type watch struct {
	snapshot *runbook.Snapshot
	hash     string
	inForce  bool
	feeds    map[*triggers.Condition]*feed // that follow the ticks
	past     map[pastKey]triggers.Past
	sources  map[*triggers.Condition][]*feed // all that a condition reads, now and in the past
	traffic  map[triggers.Expressions]*traffic
	trigger  *triggers.Trigger
	byText   map[string]*triggers.Condition // the trigger's conditions, by their words

	groups []triggers.GroupState // of the tick under evaluation
	sights map[string]*triggers.Sight
}

// sight is what the conditions of an incident's finding see, kept from tick to tick.
func (w *watch) sight(incident, runbook string) *triggers.Sight {
	key := incident + "\x00" + runbook
	if w.sights[key] == nil {
		w.sights[key] = triggers.NewSight()
	}
	return w.sights[key]
}

// pastKey names the past of a condition: the one that moves with the ticks, or the one before an incident.
type pastKey struct {
	condition *triggers.Condition
	until     time.Time
}

// bands gives the recovery clauses in the order of incident.BandNames; nil where nothing measures one.
func bands(r *runbook.Runbook) [3]*triggers.Clause {
	return [3]*triggers.Clause{r.Recovery.Key.Clause, r.Recovery.Safety.Clause, r.Recovery.Business.Clause}
}

// newWatch makes a watch over the feeds that its conditions need.
func newWatch(s *runbook.Snapshot, hash string, needs []need, feeds map[feedKey]*feed) *watch {
	w := &watch{
		snapshot: s, hash: hash, byText: map[string]*triggers.Condition{},
		feeds: map[*triggers.Condition]*feed{}, past: map[pastKey]triggers.Past{}, sights: map[string]*triggers.Sight{},
		sources: map[*triggers.Condition][]*feed{}, traffic: map[triggers.Expressions]*traffic{},
	}
	for _, c := range s.Runbook.Trigger.Conditions() {
		w.byText[c.String()] = c
	}
	for _, n := range needs {
		f := feeds[n.key]
		if n.part != ofCondition {
			w.carry(n, f)
			continue
		}
		w.sources[n.condition] = append(w.sources[n.condition], f)
		if !n.key.past {
			w.feeds[n.condition] = f
			continue
		}
		key := pastKey{n.condition, n.key.until}
		past := w.past[key]
		switch {
		case n.key.ago > 0 && slices.Contains(past.Periods, f.history): // for several incidents
		case n.key.ago > 0:
			past.Periods = append(past.Periods, f.history)
		default:
			past.Last = f.history
		}
		w.past[key] = past
	}
	w.trigger = triggers.NewTrigger(&s.Runbook.Trigger, s.Runbook.GroupBy, s.Runbook.Service,
		func(c *triggers.Condition) triggers.Reading { return w.reading(c, time.Time{}) })
	return w
}

// reading gives the points that a condition reads; the zero Reading for one that nothing feeds, which is unknown. since
// is when the impact of an incident began whose own time is no part of the condition's baseline; zero: none.
func (w *watch) reading(c *triggers.Condition, since time.Time) triggers.Reading {
	f := w.feeds[c]
	if f == nil {
		return triggers.Reading{}
	}
	past, ok := w.past[pastKey{c, since}]
	if !ok {
		past = w.past[pastKey{condition: c}]
	}
	return triggers.Reading{History: f.history, Past: past}
}

// group gives where the trigger stands for a group; a group without any segment is unknown.
func (w *watch) group(g labels.Labels) triggers.GroupState {
	for _, state := range w.groups {
		if labels.Equal(state.Group, g) {
			return state
		}
	}
	return triggers.GroupState{Group: g, Unknown: w.snapshot.Runbook.Trigger.Conditions()}
}

// scope is what rubric and recovery see of an incident with these breaches, whose impact began at since; zero: it is not
// open yet.
func (w *watch) scope(group labels.Labels, breached []triggers.Breached, since time.Time) triggers.Scope {
	return triggers.Scope{
		Group:    group,
		Service:  incident.ServiceOf(&w.snapshot.Runbook, group),
		Breached: breached,
		Since:    since,
		Reading:  func(c *triggers.Condition) triggers.Reading { return w.reading(c, since) },
	}
}

// observe says what tick t found of a finding of an open incident. over says that its hold is over with this tick, if
// all goes well: then the bands must be proven.
func (w *watch) observe(r *incident.Record, f *incident.Finding, t time.Time, over bool) incident.FindingObservation {
	group := w.group(f.Group)
	o := incident.FindingObservation{Trigger: group.State}
	for _, b := range group.Breaches {
		o.Breaches = append(o.Breaches, w.breach(b, t))
	}
	scope := w.scope(f.Group, w.breached(f, group), r.ImpactStartedAt)
	scope.Sight = w.sight(r.ID, f.Name)
	scope.BlastRadius, scope.BlastRadiusKnown = w.trigger.BlastRadius(&group, scope.Service, t)
	o.Severity, o.Rule, _ = w.rubric(scope, t)
	for _, c := range group.Unknown {
		o.Unknown = append(o.Unknown, incident.Missing{What: missingTrigger(c)})
	}
	o.Bands = w.bands(r, f, t)
	if over {
		w.prove(&o, r, f, t)
	}
	for i, b := range o.Bands {
		if b.State == incident.BandUnknown {
			o.Unknown = append(o.Unknown, incident.Missing{What: missingBand(i, bands(&w.snapshot.Runbook)[i])})
		}
	}
	return o
}

// missingTrigger and missingBand name what is unknown.
func missingTrigger(c *triggers.Condition) string { return "trigger: " + c.String() }

func missingBand(i int, clause *triggers.Clause) string {
	return incident.BandNames[i] + ": " + clause.String()
}

// bands says what tick t found of a finding's recovery bands.
func (w *watch) bands(r *incident.Record, f *incident.Finding, t time.Time) [3]incident.BandObservation {
	scope := w.scope(f.Group, w.breached(f, triggers.GroupState{}), r.ImpactStartedAt)
	scope.Sight = w.sight(r.ID, f.Name)
	var found [3]incident.BandObservation
	for i, clause := range bands(&w.snapshot.Runbook) {
		if clause == nil {
			found[i].State = incident.BandNone
			continue
		}
		state, value := scope.Band(clause, t)
		found[i] = incident.BandObservation{State: bandStates[state], Value: value, Dense: scope.Dense(clause, r.HoldFor(), t)}
	}
	return found
}

// prove asks the counts of each band whether they prove it.
func (w *watch) prove(o *incident.FindingObservation, r *incident.Record, f *incident.Finding, t time.Time) {
	scope := w.scope(f.Group, w.breached(f, triggers.GroupState{}), r.ImpactStartedAt)
	scope.Sight = w.sight(r.ID, f.Name)
	for i, clause := range bands(&w.snapshot.Runbook) {
		if clause == nil {
			continue
		}
		if proven, missing := scope.Prove(clause, r.Floor, r.HoldFor(), t); !proven {
			o.Bands[i].Unproven = missing
		}
	}
}

var bandStates = map[triggers.BandState]incident.BandState{
	triggers.BandUnknown: incident.BandUnknown,
	triggers.BandHeld:    incident.BandHeld,
	triggers.BandMissed:  incident.BandMissed,
	triggers.BandEmpty:   incident.BandEmpty,
}

// breached gives what breached in the incident so far, this tick's breaches included.
func (w *watch) breached(f *incident.Finding, now triggers.GroupState) []triggers.Breached {
	var all []triggers.Breached
	for _, b := range f.Breaches {
		c := w.byText[b.Condition]
		if c == nil { // another version wrote it, in other words: its segment must recover all the same
			c = &triggers.Condition{Signal: b.Signal}
		}
		all = append(all, triggers.Breached{Condition: c, Labels: b.Segment})
	}
	return append(all, breachedNow(now)...)
}

func breachedNow(g triggers.GroupState) []triggers.Breached {
	var all []triggers.Breached
	for _, b := range g.Breaches {
		all = append(all, triggers.Breached{Condition: b.Condition, Labels: b.Series.Labels})
	}
	return all
}

// rubric gives the first rule that holds, from sev1 down, else the default. A rule that is unknown does not hold.
func (w *watch) rubric(scope triggers.Scope, t time.Time) (severity runbook.Severity, rule string, unknown bool) {
	rubric := &w.snapshot.Runbook.Severity
	for i := range rubric.Rules {
		switch scope.Rubric(&rubric.Rules[i].When, t) {
		case triggers.Yes:
			return rubric.Rules[i].Severity, rubric.Rules[i].Text, unknown
		case triggers.Unknown:
			unknown = true
		}
	}
	return rubric.Default, "", unknown
}

// breach puts a firing condition into the record's words.
func (w *watch) breach(b triggers.Breach, t time.Time) incident.Breach {
	signal := w.snapshot.Signals[b.Condition.Signal]
	value, _ := b.Series.Latest(t)
	began, impact, _ := b.Beginnings(t, b.Normal(w.snapshot.Runbook.Recovery.Key.Clause))
	return incident.Breach{
		Condition:   b.Condition.String(),
		Signal:      signal.Name,
		Title:       signal.Title,
		Segment:     b.Series.Labels,
		Value:       value,
		Limit:       b.Evidence.Limit,
		Absent:      b.Condition.Comparison == triggers.Absent,
		Evidence:    b.Evidence,
		Unit:        signal.Unit,
		BreachBegan: began,
		ImpactBegan: impact,
	}
}
