package incident

import "slices"

// Unheard tells whether the incident calls and nobody can hear it: its whole ladder has no receiver, or every receiver
// that was called in this round has refused the page or not taken it, and none has.
func (r *Record) Unheard() bool {
	round := r.Round
	if !r.Open() || round == nil || !round.Calling {
		return false
	}
	if slices.ContainsFunc(r.Pages, func(receipt Receipt) bool { return receipt.Round == round.N }) {
		return false
	}
	for _, receivers := range round.ByRole {
		for _, receiver := range receivers {
			if !slices.Contains(round.Untaken, receiver) {
				return false
			}
		}
	}
	return true
}
