package changes

import (
	"fmt"
	"math"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// Exposure is how those who have a version fare against those who don't, at the same time: counts of one window that
// lies after impact began. A share at the same time is honest where before and after is not: whatever else changed,
// changed for both.
type Exposure struct {
	Artifact, Version, Service string
	Signal                     string  // its title, for people: Refusal rate
	WithBad, With              float64 // events with the version: bad, all
	WithoutBad, Without        float64
	// Better says that the counted events are the good ones, as with a deflection rate: fewer of them are worse.
	Better bool
	// Dispersion is how clumped the events come (quasi-binomial phi); below 1: as 1, independent ones.
	Dispersion float64
}

// Verdict is what a contrast says.
type Verdict string

// What contrasts say.
const (
	Differs      Verdict = "differs"            // worse with the version, by more than chance explains
	NoDifference Verdict = "no difference seen" // most of what is bad with the version is bad without it too
	CantTell     Verdict = "too few to tell"
)

// Contrast is a difference between those with a version and those without it.
type Contrast struct {
	Verdict    Verdict `json:"verdict" enum:"differs,no difference seen,too few to tell"`
	With       float64 `json:"with" doc:"Share with the version, 0 to 1."`
	Without    float64 `json:"without"`
	Difference float64 `json:"difference" doc:"With less without."`
	Low        float64 `json:"low" doc:"Of the 95% interval of the difference (Newcombe)."`
	High       float64 `json:"high"`
	Text       string  `json:"text"`
}

// fewest is how many independent events each side must have for its share to be worth a comparison.
const fewest = 30

// contrast gives what is known of a change's version against the others; nil where nothing is.
func (in *SuspectInput) contrast(c *Change) *Contrast {
	for _, e := range in.Contrast {
		if c.To != "" && e.Artifact == c.Artifact && e.Version == c.To && sameService(e.Service, c.Service) && e.valid() {
			return e.compare()
		}
	}
	return nil
}

// valid tells whether there are events on both sides: a version that everybody has contrasts with nothing.
func (e Exposure) valid() bool {
	side := func(x, n float64) bool { return n > 0 && x >= 0 && x <= n && !math.IsInf(n, 0) }
	return side(e.WithBad, e.With) && side(e.WithoutBad, e.Without)
}

func (e Exposure) compare() *Contrast {
	phi := max(1, e.Dispersion)
	var c Contrast
	c.With, c.Without = e.WithBad/e.With, e.WithoutBad/e.Without
	c.Difference, c.Low, c.High = triggers.Newcombe(e.WithBad/phi, e.With/phi, e.WithoutBad/phi, e.Without/phi)
	worseLow, worseHigh, bad := c.Low, c.High, c.With
	if e.Better {
		worseLow, worseHigh, bad = -c.High, -c.Low, 1-c.With
	}
	switch {
	case min(e.With, e.Without) < fewest*phi:
		c.Verdict = CantTell
	case worseLow > 0:
		c.Verdict = Differs
	case worseHigh < bad/2:
		c.Verdict = NoDifference
	default:
		c.Verdict = CantTell
	}
	c.Text = e.text(&c)
	return &c
}

func (e Exposure) text(c *Contrast) string {
	said := fmt.Sprintf("%s %s with it (%.0f of %.0f), %s without (%.0f of %.0f)",
		e.Signal, percent(c.With), e.WithBad, e.With, percent(c.Without), e.WithoutBad, e.Without)
	switch c.Verdict {
	case Differs:
		return fmt.Sprintf("%s: a difference of %s points, %s to %s", said, points(c.Difference), points(c.Low), points(c.High))
	case NoDifference:
		return fmt.Sprintf("%s: no difference seen, %s to %s points", said, points(c.Low), points(c.High))
	}
	return said + ": too few to tell them apart"
}

// place is where a verdict stands in the order: what can't be told stands between what differs and what doesn't.
func (c *Contrast) place() int {
	switch {
	case c == nil || c.Verdict == CantTell:
		return 1
	case c.Verdict == Differs:
		return 0
	}
	return 2
}
