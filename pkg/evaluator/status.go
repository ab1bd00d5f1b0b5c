package evaluator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Status is what the last tick saw: for readiness, the API and the pages.
type Status struct {
	Tick     time.Time // the last one decided; zero: none yet
	Signals  []SignalStatus
	Runbooks []RunbookStatus
	Awaited  *Awaited // nil: nothing is waited for
	Detect   []DetectStatus
}

// DetectStatus says how an info metric that shows versions is seen. Where it is not, triggers are judged all the same,
// and changes are missing among the suspects.
type DetectStatus struct {
	Query      string
	AnsweredAt time.Time // when its query was last answered
	Failing    time.Time // since when something is wrong with it; zero: nothing is
	Error      string    // why its query is not answered, or what had to be left out of the answer
}

// Awaited is a walk through missed ticks that waits for the metric source before it decides them.
type Awaited struct {
	From         time.Time // the first tick that waits
	Since, Until time.Time // it waits at most
}

// SignalStatus says how a signal is seen.
type SignalStatus struct {
	Name        string
	Expressions []string
	Segments    int
	AnsweredAt  time.Time // when its queries were last answered
	Failing     time.Time // since when they are not; zero: they are
	Error       string
}

// RunbookStatus says where a runbook's trigger stands.
type RunbookStatus struct {
	Name   string
	Groups []GroupStatus
}

// GroupStatus is a trigger's state for a group, and what is unknown about it.
type GroupStatus struct {
	Group   labels.Labels
	State   triggers.State
	Unknown []UnknownCondition
	Waiting []string // what would fire, were its events enough to tell
}

// UnknownCondition is a condition that cannot be judged.
type UnknownCondition struct {
	What  string    // in words
	Since time.Time // first tick of the run in which it is unknown
	Why   string    // what its baseline lacks; empty: points are missing
}

// Status gives what the last tick saw.
func (e *Evaluator) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

const clock = "15:04:05 UTC"

// Blind gives a line for each reason why the daemon does not see what it should: no tick yet, missed ticks that wait for
// the metric source, or a signal whose queries are not answered.
func (s Status) Blind() []string {
	var reasons []string
	switch {
	case s.Awaited != nil:
		reasons = append(reasons, fmt.Sprintf("the ticks missed since %s wait for the metric source, until %s at the latest",
			s.Awaited.From.UTC().Format(clock), s.Awaited.Until.UTC().Format(clock)))
	case s.Tick.IsZero():
		return []string{"no tick has been decided yet"}
	}
	byError := map[string][]string{}
	var order []string
	for _, signal := range s.Signals {
		if signal.Error == "" {
			continue
		}
		reason := fmt.Sprintf("since %s: %s", signal.Failing.UTC().Format(clock), signal.Error)
		if byError[reason] == nil {
			order = append(order, reason)
		}
		if !slices.Contains(byError[reason], signal.Name) {
			byError[reason] = append(byError[reason], signal.Name)
		}
	}
	for _, reason := range order {
		reasons = append(reasons, fmt.Sprintf("blind for %s %s", strings.Join(byError[reason], ", "), reason))
	}
	return reasons
}

// publish puts what tick t saw where others read it.
func (e *Evaluator) publish(t time.Time) {
	status := Status{Tick: t, Signals: e.signals(), Detect: e.detectStatus()}
	windows := map[string]time.Time{}
	for _, w := range e.watches {
		if w.inForce {
			status.Runbooks = append(status.Runbooks, e.runbookStatus(w, t, windows))
		}
	}
	e.unknownWindows = windows
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
}

// publishWaiting tells what missed ticks wait for, beside what the last tick saw.
func (e *Evaluator) publishWaiting(awaited Awaited) {
	signals := e.signals()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status.Signals, e.status.Awaited = signals, &awaited
}

// signals says how each signal is seen.
func (e *Evaluator) signals() []SignalStatus {
	var all []SignalStatus
	series, failing := 0, 0
	for _, f := range e.feedList() {
		s := SignalStatus{Name: f.signal, Expressions: f.List(), Segments: f.history.Segments(), AnsweredAt: f.answered, Failing: f.failing}
		if f.err != nil && !f.spare {
			s.Error = f.err.Error()
			failing++
		}
		series += f.history.Segments()
		all = append(all, s)
	}
	e.metrics.series.Set(float64(series))
	e.metrics.blind.Set(float64(failing))
	return all
}

func (e *Evaluator) runbookStatus(w *watch, t time.Time, windows map[string]time.Time) RunbookStatus {
	name := w.snapshot.Runbook.Name
	status := RunbookStatus{Name: name}
	unknown := 0
	for _, g := range w.groups {
		group := GroupStatus{Group: g.Group, State: g.State}
		for _, c := range g.Unknown {
			what := c.String()
			since := since(e.unknownWindows, windows, name+"\x00"+g.Group.String()+"\x00"+what, t)
			group.Unknown = append(group.Unknown, UnknownCondition{What: what, Since: since, Why: w.trigger.Why(g.Group, c, t)})
		}
		for _, b := range g.Thin {
			group.Waiting = append(group.Waiting, b.Condition.String()+": "+b.Waiting())
		}
		if g.State == triggers.StateUnknown {
			unknown++
		}
		status.Groups = append(status.Groups, group)
	}
	if len(w.groups) == 0 {
		unknown = 1 // not a segment of any group is seen
	}
	e.metrics.unknown.WithLabelValues(name).Set(float64(unknown))
	e.metrics.evaluations.WithLabelValues(name).Inc()
	failures := e.metrics.failures.WithLabelValues(name) // there from the start, at 0
	for _, f := range w.feeds {
		if f.err != nil {
			failures.Inc()
			break
		}
	}
	return status
}

// feedList gives the feeds in the order of their signals' names.
func (e *Evaluator) feedList() []*feed {
	list := make([]*feed, 0, len(e.feeds))
	for _, f := range e.feeds {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b *feed) int {
		if c := strings.Compare(a.signal, b.signal); c != 0 {
			return c
		}
		return strings.Compare(strings.Join(a.List(), "\n"), strings.Join(b.List(), "\n"))
	})
	return list
}
