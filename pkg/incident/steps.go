package incident

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// NamedStep is a step of the rollback stack with the name that no other step of its incident has.
type NamedStep struct {
	*runbook.Step
	Called  string // what commands and actions name it by
	Finding int    // number of the finding whose runbook has it
}

// Steps are the steps of the rollback stacks of all findings, in the findings' order. A step is called what its runbook
// calls it, by default its artifact; where an earlier finding has a step of that name, its runbook is told too:
// "prompt (unsafe answers)". Two steps of one name would be taken for each other, and one be done under the approval of
// the other.
func (r *Record) Steps() []NamedStep {
	var all []NamedStep
	for i := range r.Findings {
		book := r.Findings[i].runbook()
		for n := range book.Rollback {
			step := &book.Rollback[n]
			name := cmp.Or(step.Name, step.Artifact)
			for slices.ContainsFunc(all, func(s NamedStep) bool { return s.Called == name }) {
				name += " (" + r.Findings[i].Name + ")"
			}
			all = append(all, NamedStep{step, name, i})
		}
	}
	return all
}

// StepCalled is the step of a name, nil for none.
func (r *Record) StepCalled(name string) *NamedStep {
	for _, step := range r.Steps() {
		if step.Called == name && name != "" {
			return &step
		}
	}
	return nil
}

// step is a step of the rollback stack by its name, or by its artifact where only one step has that.
func (r *Record) step(name string) (NamedStep, error) {
	if step := r.StepCalled(name); step != nil {
		return *step, nil
	}
	var names []string
	var byArtifact []NamedStep
	for _, step := range r.Steps() {
		if step.Artifact == name {
			byArtifact = append(byArtifact, step)
		}
		names = append(names, step.Called)
	}
	if len(byArtifact) == 1 {
		return byArtifact[0], nil
	}
	return NamedStep{}, &Refusal{fmt.Sprintf("the rollback stack has no step %q", name), "its steps: " + orNone(names)}
}

// answers tells whether a step is the one for an artifact of a service; a service that is not named may be any.
func (r *Record) answers(step *runbook.Step, artifact, service string) bool {
	own := cmp.Or(step.Service, r.Service)
	return artifact == step.Artifact && (service == "" || own == "" || service == own)
}
