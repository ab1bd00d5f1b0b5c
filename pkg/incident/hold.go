package incident

import (
	"math"
	"slices"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// hold is step 5: it starts, breaks or ends the watch over the recovery bands. A tick does one of these at most, so
// after a break the next hold starts one tick later at the earliest.
func (d *decision) hold(o Observation) {
	r := d.record
	if r.Hold == nil {
		if !d.t.Before(r.Floor) && o.held() && !o.fires() && r.inFlight() == nil {
			d.add(HoldStarted{}, "")
		}
		return
	}
	progress, ok := d.progress(o)
	if !ok {
		return
	}
	if broken := d.broken(progress, o); broken != nil {
		d.add(*broken, "")
		return
	}
	if progress.Elapsed >= r.HoldFor() && o.held() && o.clear() && !o.low() && o.proven() {
		d.add(Resolved{ImpactEndedAt: r.Hold.Since}, "")
	}
}

// progress is how far the hold has come with this tick. An observation that was made for another hold, or that lacks
// ticks, says nothing: the next tick tells it again from the points.
func (d *decision) progress(o Observation) (Progress, bool) {
	since := d.record.Hold.Since
	before := o.Hold
	if before.Since.IsZero() {
		before.Since = since
	}
	if before.Through.IsZero() {
		before.Through = since
	}
	complete := !d.t.Add(-d.policy.Interval).After(before.Through) && before.Through.Before(d.t)
	if !before.Since.Equal(since) || !complete {
		return Progress{}, false
	}
	return before.Add(d.t, d.policy.Interval, o.Findings), true
}

// broken tells why the hold breaks at this tick, nil for not at all.
func (d *decision) broken(progress Progress, o Observation) *HoldBroken {
	if o.fires() {
		return &HoldBroken{Why: HoldFires}
	}
	for band, name := range BandNames {
		if progress.Missed[band] > d.record.allowedMisses(band, o, d.policy.Interval) {
			return &HoldBroken{Why: HoldMissed, Band: name, Value: o.value(band, BandMissed)}
		}
	}
	if progress.Paused > d.record.HoldFor() {
		return &HoldBroken{Why: HoldBlind, Band: o.firstUnknown()}
	}
	return nil
}

// drillHold is how long recovery is watched in practice: it must be seen, not waited for.
const drillHold = 2 * time.Minute

// HoldFor is how long every band must be held: the longest hold of the findings, by default that of the peak
// severity.
func (r *Record) HoldFor() time.Duration {
	if r.Class == Drill {
		return drillHold
	}
	longest := time.Duration(0)
	for i := range r.Findings {
		longest = max(longest, r.Findings[i].runbook().HoldFor(r.Peak))
	}
	return longest
}

// allowedMisses is how many ticks of a hold may be out of a band: those of its strictest finding.
func (r *Record) allowedMisses(band int, o Observation, interval time.Duration) int {
	fewest := math.MaxInt
	for i := range r.Findings {
		usual := 1.0
		if o.Findings[i].Bands[band].Dense {
			usual = denseAtLeast
		}
		bands := bandsOf(&r.Findings[i].runbook().Recovery)
		fewest = min(fewest, misses(atLeast(bands[band], usual), r.HoldFor(), interval))
	}
	return fewest
}

// denseAtLeast is the share of ticks at which a ratio of many events must be in band, where the runbook does not say it.
const denseAtLeast = 0.8

// misses is ⌊(1 - atLeast) · hold / interval⌋, with the language's tolerance of 1e-9: in plain floats 80% of 15m at
// 15s allows 11 instead of 12.
func misses(atLeast float64, hold, interval time.Duration) int {
	if interval <= 0 {
		return 0
	}
	return int(math.Floor((1 - atLeast) * (float64(hold) / float64(interval)) * (1 + 1e-9)))
}

// LookBack is the longest range of any recovery expression: how long after something changed the bands still see the
// time before.
func LookBack(s *runbook.Snapshot) time.Duration {
	longest := time.Duration(0)
	for _, band := range bandsOf(&s.Runbook.Recovery) {
		for _, condition := range band.Clause.Conditions() {
			look := condition.Range
			if signal := s.Signals[condition.Signal]; look == 0 && signal != nil {
				look = signal.Range
			}
			longest = max(longest, look)
		}
	}
	return longest
}

// lookBack is the longest one of the findings.
func (r *Record) lookBack() time.Duration {
	longest := time.Duration(0)
	for i := range r.Findings {
		if s := r.Findings[i].Snapshot; s != nil {
			longest = max(longest, LookBack(s))
		}
	}
	return longest
}

// bandsOf gives the bands in the order of BandNames.
func bandsOf(r *runbook.Recovery) [3]runbook.Band {
	return [3]runbook.Band{r.Key, r.Safety, r.Business}
}

// atLeast is the share of a hold's ticks at which the band must be held: the strictest that its conditions ask for, usual
// for one that does not say it.
// Which of them a tick missed is not known, so one that allows no miss allows none for all.
func atLeast(band runbook.Band, usual float64) float64 {
	strictest := 0.0
	for _, condition := range band.Clause.Conditions() {
		share := condition.AtLeast
		if share == 0 {
			share = usual
		}
		strictest = max(strictest, share)
	}
	if strictest == 0 {
		return 1
	}
	return strictest
}

// held tells whether every band of every finding is held at this tick. A safety or business band that is empty or that
// nothing measures is no obstacle; key has to show that users are well.
func (o Observation) held() bool {
	return !slices.ContainsFunc(o.Findings, func(f FindingObservation) bool {
		for band, b := range f.Bands {
			if b.State != BandHeld && (band == 0 || b.State != BandEmpty && b.State != BandNone) {
				return true
			}
		}
		return false
	})
}

// proven tells whether the counts prove every band; until they do, the hold lasts on.
func (o Observation) proven() bool {
	return !slices.ContainsFunc(o.Findings, func(f FindingObservation) bool {
		return slices.ContainsFunc(f.Bands[:], func(b BandObservation) bool { return b.Unproven != "" })
	})
}

func (o Observation) fires() bool {
	return slices.ContainsFunc(o.Findings, func(f FindingObservation) bool { return f.Trigger == triggers.Fires })
}

// low tells whether the traffic of a finding's service is so low that its bands prove nothing.
func (o Observation) low() bool {
	return slices.ContainsFunc(o.Findings, func(f FindingObservation) bool { return f.Low })
}

func (o Observation) clear() bool {
	return !slices.ContainsFunc(o.Findings, func(f FindingObservation) bool { return f.Trigger != triggers.Clear })
}

// value is that of a band in the first finding in which it is in the state, nil where none is.
func (o Observation) value(band int, state BandState) *triggers.Value {
	for _, f := range o.Findings {
		if f.Bands[band].State == state {
			return f.Bands[band].Value
		}
	}
	return nil
}

func (o Observation) firstUnknown() string {
	for _, f := range o.Findings {
		for band, b := range f.Bands {
			if b.State == BandUnknown {
				return BandNames[band]
			}
		}
	}
	return ""
}
