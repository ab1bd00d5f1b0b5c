package incident

import "time"

// Progress is how far a hold has come. It is folded tick by tick from the points after its start, never stored, so
// that late points count as what they are.
type Progress struct {
	Since   time.Time
	Through time.Time // the last tick folded
	Elapsed time.Duration
	Paused  time.Duration
	Missed  [3]int // ticks out of band, by band
}

// Add folds the tick t, of which findings are the observations of the incident's findings. A tick with a band out of
// band is a miss of that band, and the clock goes on; one with an unknown band, or with too little traffic, pauses it,
// for missing data and users who have left are neither good nor bad. Ticks are added in order, one interval apart.
func (p Progress) Add(t time.Time, interval time.Duration, findings []FindingObservation) Progress {
	p.Through = t
	missed, unknown := false, len(findings) == 0 || (Observation{Findings: findings}).low()
	for band := range BandNames {
		out := false
		for _, finding := range findings {
			out = out || finding.Bands[band].State == BandMissed
			unknown = unknown || finding.Bands[band].State == BandUnknown
		}
		if out {
			p.Missed[band]++
			missed = true
		}
	}
	if unknown && !missed {
		p.Paused += interval
	} else {
		p.Elapsed += interval
	}
	return p
}
