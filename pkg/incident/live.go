package incident

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Live is what the last tick saw of an open incident. The record holds the numbers as they were when something
// happened; these are the ones of now. They are never stored: the next tick sees them again.
type Live struct {
	At       time.Time     // the tick
	Findings []LiveFinding // in the order of the record's findings
	Hold     Progress      // of the hold that runs, with this tick; zero without one
}

// LiveFinding is what the last tick saw of one finding.
type LiveFinding struct {
	Breaches    []LiveBreach       // everything that breached so far
	Bands       [3]BandObservation // key, safety, business
	BlastRadius *float64           // share of traffic in segments that breach; nil: unknown
}

// LiveBreach is a condition and a segment that breached, as it is now.
type LiveBreach struct {
	Condition string
	Segment   labels.Labels
	Value     *triggers.Value // nil: it can't be seen
	Fires     bool
}

// breach gives what is seen of a breach of the finding; nil: nothing is known.
func (l *Live) breach(finding int, b Breach) *LiveBreach {
	if l == nil || finding >= len(l.Findings) {
		return nil
	}
	all := l.Findings[finding].Breaches
	at := slices.IndexFunc(all, func(seen LiveBreach) bool {
		return seen.Condition == b.Condition && labels.Equal(seen.Segment, b.Segment)
	})
	if at < 0 {
		return nil
	}
	return &all[at]
}

// bands gives what is seen of a finding's bands; nil: nothing is known.
func (l *Live) bands(finding int) *[3]BandObservation {
	if l == nil || finding >= len(l.Findings) {
		return nil
	}
	return &l.Findings[finding].Bands
}

// bandWords are the states of a band in the view.
var bandWords = map[BandState]string{
	BandUnknown: "unknown", BandHeld: "held", BandMissed: "missed", BandEmpty: "empty", BandNone: "none",
}
