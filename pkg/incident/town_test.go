package incident

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// town is a service with two runbooks and two groups of each, over a while of which everything is known beforehand.
type town struct {
	t         *rapid.T
	careless  bool // people do more than look
	store     *MemoryStore
	desk      *Desk
	policy    Policy
	inForce   []*runbook.Snapshot
	hashes    []string
	places    []spot
	began     time.Time
	now       time.Time
	walking   bool // the tick that is decided now
	touched   time.Time
	watches   map[string]*watched
	committed int
}

// spot is a runbook's group, and what can be known of it, tick by tick.
type spot struct {
	runbook int
	group   labels.Labels
	truth   []FindingObservation
}

// watched is an incident as the laws saw it so far.
type watched struct {
	record *Record
	events []Event
	facts  facts
}

func newTown(t *rapid.T, careless bool) *town {
	w := &town{t: t, careless: careless, began: clockTime("14:00"), now: clockTime("14:00"), policy: townPolicy(careless)}
	ticks := rapid.IntRange(20, 120).Draw(t, "ticks")
	label := rapid.SampledFrom([]string{"region", "tier"}).Draw(t, "label of the second runbook")
	for i, of := range []string{"region", label} {
		s := townRunbook(i)
		w.inForce, w.hashes = append(w.inForce, s), append(w.hashes, s.Hash())
		for _, value := range []string{"a", "b"} {
			w.places = append(w.places, spot{i, labels.FromStrings(of, value), drawTruth(t, ticks, w.began)})
		}
	}
	w.restart()
	return w
}

// twin is the same town, to which nothing has happened yet.
func (w *town) twin() *town {
	other := *w
	other.restart()
	other.store = nil
	other.restart()
	return &other
}

// townRunbook is one in which much happens in few ticks: a hold of 3m, unverified after 10m.
func townRunbook(i int) *runbook.Snapshot {
	s := refusedRunbook()
	book := &s.Runbook
	book.Name, book.Owner = fmt.Sprint("book-", i), []string{"oncall", "serving"}[i]
	book.ReopenWithin = []time.Duration{5 * time.Minute, 12 * time.Minute}[i]
	book.Communication = runbook.Communication{
		FirstUpdate: map[runbook.Severity]time.Duration{runbook.Sev1: 2 * time.Minute, runbook.Sev2: 3 * time.Minute},
		UpdateEvery: map[runbook.Severity]time.Duration{runbook.Sev1: 3 * time.Minute, runbook.Sev2: 5 * time.Minute, runbook.Sev3: 8 * time.Minute},
	}
	book.Recovery.Hold, book.Recovery.Timeout = townHold, 10*time.Minute
	book.Recovery.Key.Clause.Condition.AtLeast = 0.8
	book.Recovery.Business = runbook.Band{None: "nothing measures it"}
	for _, signal := range s.Signals {
		signal.Range = townLookBack
	}
	action := &runbook.Action{Connector: "prompts"}
	book.Rollback = []runbook.Step{
		{Artifact: fmt.Sprint("prompt-", i), Action: action, Settle: time.Minute, Approval: runbook.ApprovalOwner,
			Effective: &triggers.Clause{Condition: &triggers.Condition{Signal: "refusal_rate", Comparison: triggers.Above}}},
		{Artifact: fmt.Sprint("index-", i), Action: action, Approval: runbook.ApprovalTwoPerson},
	}
	book.Postmortem.Questions = []string{"Why?"}
	return s
}

const (
	townHold     = 3 * time.Minute
	townLookBack = 45 * time.Second
)

func townPolicy(careless bool) Policy {
	p := testPolicy()
	p.BlindAfter, p.Actions = time.Minute, ActionsEnabled
	for severity, asks := range p.Severities {
		asks.AcknowledgeWithin /= 5
		p.Severities[severity] = asks
	}
	p.Roles["serving"] = Role{Page: []string{"pager-serving", "chat"}, EscalateTo: []string{"lead", "gone"}}
	p.Carries = map[string]Carries{"chat": {Notices: true, Acknowledgements: true, Progress: true}}
	if careless {
		p.Quiet = []Quiet{{Runbooks: []string{"book-0"}, UpTo: runbook.Sev2, Contains: func(t time.Time) bool { return t.Minute()%10 < 2 }}}
	}
	return p
}

// restart is a kill: what the Desk knew is gone, what the store has stays.
func (w *town) restart() {
	if w.store == nil {
		w.store, w.watches, w.committed = NewMemoryStore(), map[string]*watched{}, 0
	}
	w.desk = NewDesk(Config{
		Store: w.store, Policy: func() Policy { return w.policy }, Now: func() time.Time { return w.now }, Log: zap.NewNop(),
		OnEvents: w.told, InForce: w.runbookInForce,
	})
}

// runbookInForce is the one of a name, nil for none.
func (w *town) runbookInForce(name string) *runbook.Snapshot {
	for _, s := range w.inForce {
		if s.Runbook.Name == name {
			return s
		}
	}
	return nil
}

// drawTruth draws what can be known of a while: runs of ticks that are alike, mostly healthy, firing or unseen.
func drawTruth(t *rapid.T, ticks int, began time.Time) []FindingObservation {
	var points []FindingObservation
	since := map[string]time.Time{}
	for len(points) < ticks {
		drawn := drawObservation(t)
		for range rapid.IntRange(1, 24).Draw(t, "alike") {
			at := began.Add(time.Duration(len(points)+1) * interval)
			points = append(points, sinceWhen(drawn, since, at))
		}
	}
	return points[:ticks]
}

// sinceWhen fills in since when what is unknown has been unknown.
func sinceWhen(o FindingObservation, since map[string]time.Time, at time.Time) FindingObservation {
	o.Unknown = slices.Clone(o.Unknown)
	unknown := map[string]bool{}
	for i, missing := range o.Unknown {
		if since[missing.What].IsZero() {
			since[missing.What] = at
		}
		o.Unknown[i].Since, unknown[missing.What] = since[missing.What], true
	}
	for what := range since {
		if !unknown[what] {
			delete(since, what)
		}
	}
	return o
}

func drawObservation(t *rapid.T) FindingObservation {
	held := BandObservation{State: BandHeld}
	o := FindingObservation{Trigger: triggers.Clear, Severity: runbook.Sev3, Bands: [3]BandObservation{held, held, {State: BandNone}}}
	switch rapid.SampledFrom([]string{"healthy", "healthy", "healthy", "firing", "mixed"}).Draw(t, "what") {
	case "firing":
		o.Trigger = triggers.Fires
		o.Bands[0].State = BandMissed
	case "mixed":
		o.Trigger = rapid.SampledFrom([]triggers.State{triggers.Clear, triggers.Elevated, triggers.Fires, triggers.StateUnknown}).Draw(t, "trigger")
		for band := range 2 {
			o.Bands[band].State = rapid.SampledFrom([]BandState{BandHeld, BandHeld, BandMissed, BandEmpty, BandUnknown}).Draw(t, "band")
		}
		o.Low = rapid.IntRange(0, 3).Draw(t, "low") == 0
		if rapid.IntRange(0, 3).Draw(t, "unproven") == 0 {
			o.Bands[0].Unproven = "too few"
		}
	}
	o.Severity = rapid.SampledFrom([]runbook.Severity{"", runbook.Sev4, runbook.Sev3, runbook.Sev3, runbook.Sev2, runbook.Sev1}).Draw(t, "severity")
	if o.Trigger == triggers.Fires {
		for _, tier := range rapid.SampledFrom([][]string{{"paid"}, {"free"}, {"paid", "free"}}).Draw(t, "segments") {
			o.Breaches = append(o.Breaches, Breach{Condition: "refused", Segment: labels.FromStrings("tier", tier)})
		}
		if o.Severity == "" {
			o.Severity = runbook.Sev4
		}
	}
	if o.Trigger == triggers.StateUnknown {
		o.Unknown = append(o.Unknown, Missing{What: "trigger"})
	}
	for band, b := range o.Bands {
		if b.State == BandUnknown {
			o.Unknown = append(o.Unknown, Missing{What: BandNames[band]})
		}
	}
	return o
}

// end is the last tick of which something is known.
func (w *town) end() time.Time {
	return w.began.Add(time.Duration(len(w.places[0].truth)) * interval)
}

// truth is what can be known of a spot at a tick; after the end nothing is.
func (w *town) truth(s spot, at time.Time) FindingObservation {
	i := int(at.Sub(w.began)/interval) - 1
	if i < 0 || i >= len(s.truth) {
		return FindingObservation{Unknown: []Missing{{What: "trigger", Since: w.end().Add(interval)}}}
	}
	return s.truth[i]
}

// spotOf is where a finding stands.
func (w *town) spotOf(f *Finding) spot {
	return w.places[slices.IndexFunc(w.places, func(s spot) bool {
		return w.inForce[s.runbook].Runbook.Name == f.Name && labels.Equal(s.group, f.Group)
	})]
}

// findings are the observations of an incident's findings at a tick.
func (w *town) findings(r *Record, at time.Time) []FindingObservation {
	var all []FindingObservation
	for i := range r.Findings {
		all = append(all, w.truth(w.spotOf(&r.Findings[i]), at))
	}
	return all
}

func (w *town) observe(r *Record, at time.Time) Observation {
	o := Observation{Findings: w.findings(r, at), Actions: map[string]ActionObservation{}}
	for i := range r.Actions {
		a := &r.Actions[i]
		seen := ActionObservation{Effective: triggers.No}
		delay := []time.Duration{2 * time.Minute, 11 * time.Minute, 0, 12 * time.Minute}[i%4]
		when, _ := r.EffectiveWhen(a)
		if begun := a.begun(); when != nil && !begun.IsZero() && !at.Before(begun.Add(delay)) {
			seen.Effective = triggers.Yes
		}
		if due := r.EffectDue(a); !due.IsZero() && !at.Before(due) {
			seen.Effect = &Effect{Verdict: EffectHelped}
		}
		o.Actions[a.ID] = seen
	}
	if r.Hold != nil {
		o.Hold = Progress{Since: r.Hold.Since, Through: r.Hold.Since}
		for tick := r.Hold.Since.Add(interval); tick.Before(at); tick = tick.Add(interval) {
			o.Hold = o.Hold.Add(tick, interval, w.findings(r, tick))
		}
	}
	return o
}
