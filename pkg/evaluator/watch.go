package evaluator

import (
	"fmt"
	"slices"
	"strings"
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
	feeds    map[*triggers.Condition]*feed
	trigger  *triggers.Trigger
	byText   map[string]*triggers.Condition // the trigger's conditions, by their words

	groups []triggers.GroupState // of the tick under evaluation
}

// bands gives the recovery clauses in the order of incident.BandNames; nil where nothing measures one.
func bands(r *runbook.Runbook) [3]*triggers.Clause {
	return [3]*triggers.Clause{r.Recovery.Key.Clause, r.Recovery.Safety.Clause, r.Recovery.Business.Clause}
}

// watched gives the conditions that must be fed: the trigger's and the rubric's always, the recovery's while an
// incident of the runbook is open.
func watched(r *runbook.Runbook, open bool) []*triggers.Condition {
	all := r.Trigger.Conditions()
	for i := range r.Severity.Rules {
		all = append(all, r.Severity.Rules[i].When.Conditions()...)
	}
	if open {
		for _, c := range bands(r) {
			all = append(all, c.Conditions()...)
		}
	}
	return all
}

func newWatch(s *runbook.Snapshot, hash string, feeds map[*triggers.Condition]*feed) *watch {
	w := &watch{snapshot: s, hash: hash, feeds: feeds, byText: map[string]*triggers.Condition{}}
	for _, c := range s.Runbook.Trigger.Conditions() {
		w.byText[c.String()] = c
	}
	w.trigger = triggers.NewTrigger(&s.Runbook.Trigger, s.Runbook.GroupBy, s.Runbook.Service, w.history)
	return w
}

// history gives the points that a condition reads; nil for one that nothing feeds, which is unknown.
func (w *watch) history(c *triggers.Condition) *triggers.History {
	if f := w.feeds[c]; f != nil {
		return f.history
	}
	return nil
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

// scope is what rubric and recovery see of an incident with these breaches.
func (w *watch) scope(group labels.Labels, breached []triggers.Breached) triggers.Scope {
	return triggers.Scope{
		Group:    group,
		Service:  incident.ServiceOf(&w.snapshot.Runbook, group),
		Breached: breached,
		History:  w.history,
	}
}

// observe says what tick t found of a finding of an open incident.
func (w *watch) observe(f *incident.Finding, t time.Time) incident.FindingObservation {
	group := w.group(f.Group)
	o := incident.FindingObservation{Trigger: group.State}
	for _, b := range group.Breaches {
		o.Breaches = append(o.Breaches, w.breach(b, t))
	}
	breached := w.breached(f, group)
	o.Severity, o.Rule, _ = w.rubric(w.scope(f.Group, breached), t)
	for _, c := range group.Unknown {
		o.Unknown = append(o.Unknown, incident.Missing{What: "trigger: " + c.String()})
	}
	o.Bands = w.bands(f, t)
	for i, b := range o.Bands {
		if b.State == incident.BandUnknown {
			o.Unknown = append(o.Unknown, incident.Missing{What: incident.BandNames[i] + ": " + bands(&w.snapshot.Runbook)[i].String()})
		}
	}
	return o
}

// bands says what tick t found of a finding's recovery bands.
func (w *watch) bands(f *incident.Finding, t time.Time) [3]incident.BandObservation {
	scope := w.scope(f.Group, w.breached(f, triggers.GroupState{}))
	var found [3]incident.BandObservation
	for i, clause := range bands(&w.snapshot.Runbook) {
		if clause == nil {
			found[i].State = incident.BandNone
			continue
		}
		state, value := scope.Band(clause, t)
		found[i] = incident.BandObservation{State: bandStates[state], Value: value}
	}
	return found
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
	began, impact, _ := b.Beginnings(t, b.Condition.Normal(w.snapshot.Runbook.Recovery.Key.Clause))
	return incident.Breach{
		Condition:   b.Condition.String(),
		Signal:      signal.Name,
		Title:       signal.Title,
		Segment:     b.Series.Labels,
		Value:       value,
		Limit:       limitOf(b.Condition),
		Unit:        signal.Unit,
		BreachBegan: began,
		ImpactBegan: impact,
	}
}

func limitOf(c *triggers.Condition) float64 {
	if c.Comparison == triggers.Between {
		return c.High
	}
	return c.Limit
}

// hashed is a snapshot with its hash.
type hashed struct {
	*runbook.Snapshot
	hash string
}

// prepare makes the watches and feeds that this tick needs: those of the runbooks in force and of the incidents that
// are open. Feeds that are needed on keep their points.
func (e *Evaluator) prepare(open []*incident.Record) {
	e.mu.Lock()
	wanted := slices.Clone(e.inForce)
	e.mu.Unlock()
	inForce := len(wanted)
	isOpen := map[string]bool{}
	for _, r := range open {
		for i := range r.Findings {
			if f := &r.Findings[i]; !isOpen[f.Runbook] {
				isOpen[f.Runbook] = true
				wanted = append(wanted, hashed{f.Snapshot, f.Runbook})
			}
		}
	}
	var made strings.Builder
	for i, w := range wanted {
		fmt.Fprintln(&made, w.hash, i < inForce, isOpen[w.hash])
	}
	if made.String() == e.made {
		return
	}
	e.made = made.String()
	e.makeFeeds(wanted, isOpen)
	e.makeWatches(wanted, inForce, isOpen)
}

func (e *Evaluator) makeFeeds(wanted []hashed, isOpen map[string]bool) {
	spans := map[expressions]time.Duration{}
	names := map[expressions]string{}
	for _, s := range wanted {
		for _, c := range watched(&s.Runbook, isOpen[s.hash]) {
			if signal := s.Signals[c.Signal]; signal != nil {
				x := expressionsOf(signal, c)
				// One tick more than a window: the point before a run tells that it began there.
				spans[x] = max(spans[x], c.Reach()+e.config.Grid.Interval)
				names[x] = signal.Name
			}
		}
	}
	feeds := make(map[expressions]*feed, len(spans))
	for x, span := range spans {
		if f := e.feeds[x]; f != nil && f.span >= span {
			feeds[x] = f
			continue
		}
		feeds[x] = newFeed(x, names[x], e.config.Grid, span)
	}
	e.feeds = feeds
}

func (e *Evaluator) makeWatches(wanted []hashed, inForce int, isOpen map[string]bool) {
	e.watches, e.byHash = nil, map[string]*watch{}
	e.metrics.unknown.Reset() // those that are watched on are set again at the end of the tick
	for i, s := range wanted {
		if e.byHash[s.hash] != nil {
			continue
		}
		own := map[*triggers.Condition]*feed{}
		for _, c := range watched(&s.Runbook, isOpen[s.hash]) {
			if signal := s.Signals[c.Signal]; signal != nil {
				own[c] = e.feeds[expressionsOf(signal, c)]
			}
		}
		w := newWatch(s.Snapshot, s.hash, own)
		w.inForce = i < inForce
		e.byHash[s.hash] = w
		e.watches = append(e.watches, w)
	}
	slices.SortStableFunc(e.watches, func(a, b *watch) int {
		return strings.Compare(a.snapshot.Runbook.Name, b.snapshot.Runbook.Name)
	})
}
