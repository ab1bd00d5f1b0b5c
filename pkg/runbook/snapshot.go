package runbook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// NewSnapshot takes the signals that a runbook uses out of all there are.
func NewSnapshot(r *Runbook, signals map[string]*triggers.Signal) *Snapshot {
	s := &Snapshot{Runbook: *r, Signals: map[string]*triggers.Signal{}}
	for _, name := range r.SignalNames() {
		if signal := signals[name]; signal != nil {
			s.Signals[name] = signal
		}
	}
	return s
}

// Hash tells whether two snapshots are the same: the SHA-256 of their JSON, in hex. Where a file stands, and its
// comments, are no part of it.
func (s *Snapshot) Hash() string {
	text, err := json.Marshal(s)
	if err != nil {
		// A tree holds only what JSON has: Tree of pkg/document sees to it.
		panic(fmt.Sprintf("runbook %s: %v", s.Runbook.Name, err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// clauses gives all clauses of a runbook with the use that each is put to.
func (r *Runbook) clauses() []usedClause {
	all := []usedClause{{&r.Trigger, triggers.InTrigger}}
	for i := range r.Severity.Rules {
		all = append(all, usedClause{&r.Severity.Rules[i].When, triggers.InRubric})
	}
	for _, band := range r.Recovery.bands() {
		if band.Clause != nil {
			all = append(all, usedClause{band.Clause, triggers.InRecovery})
		}
	}
	for i := range r.Mitigate {
		if r.Mitigate[i].Effective != nil {
			all = append(all, usedClause{r.Mitigate[i].Effective, triggers.InEffect})
		}
	}
	for i := range r.Rollback {
		if r.Rollback[i].Effective != nil {
			all = append(all, usedClause{r.Rollback[i].Effective, triggers.InEffect})
		}
	}
	return all
}

type usedClause struct {
	clause *triggers.Clause
	use    triggers.Use
}

func (r *Recovery) bands() []*Band { return []*Band{&r.Key, &r.Safety, &r.Business} }

// SignalNames gives the names of all signals that the runbook uses.
func (r *Runbook) SignalNames() []string {
	var names []string
	for _, c := range r.clauses() {
		for _, condition := range c.clause.Conditions() {
			names = append(names, condition.Signal)
		}
	}
	for _, check := range r.Triage {
		if check.Evidence != nil && check.Evidence.Signal != "" {
			names = append(names, check.Evidence.Signal)
		}
	}
	return names
}

// Scale divides every duration of the runbook by k, the defaults included: for demos. Its signals are scaled by
// themselves.
func (r *Runbook) Scale(k float64) {
	r.Pace = r.pace() * k
	divide := func(durations ...*time.Duration) {
		for _, d := range durations {
			*d = time.Duration(float64(*d) / k)
		}
	}
	divide(&r.ReopenWithin, &r.Recovery.Hold, &r.Recovery.Timeout, &r.Postmortem.Due)
	for _, updates := range []map[Severity]time.Duration{r.Communication.FirstUpdate, r.Communication.UpdateEvery} {
		for severity, d := range updates {
			divide(&d)
			updates[severity] = d
		}
	}
	for i := range r.Rollback {
		divide(&r.Rollback[i].Settle)
	}
	for i := range r.Triage {
		if r.Triage[i].Evidence != nil {
			divide(&r.Triage[i].Evidence.Changes)
		}
	}
	for _, c := range r.clauses() {
		for _, condition := range c.clause.Conditions() {
			condition.Scale(k)
		}
	}
}
