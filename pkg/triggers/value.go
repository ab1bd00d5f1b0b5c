package triggers

// Value is a point that counts: the value, and for a ratio the counts behind it.
type Value struct {
	V   float64
	Bad float64 `json:",omitempty"` // a ratio's numerator
	Of  float64 `json:",omitempty"` // a ratio's denominator
}

// Verdict is the answer of a condition or of a clause at one tick.
type Verdict int

// The verdicts. No and Yes are known; Unknown is neither, and never stands in for one of them.
const (
	Unknown Verdict = iota
	No
	Yes
)

// State is the answer of a trigger at one tick.
type State int

// The states of a trigger. Between firing and clear it is elevated: neither opens an incident nor lets one end.
const (
	StateUnknown State = iota
	Clear
	Elevated
	Fires
)
