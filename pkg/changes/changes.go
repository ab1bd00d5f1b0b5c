// Package changes is what was changed, when, and what of it may have to do with an incident: the one log of changes
// that people and pipelines report and of those that the metrics show, the versions that ran at a time, and the
// suspects of an incident, ranked.
//
// What the package guards: nothing here claims a cause. A change is a suspect with a reason in words and numbers that
// can be checked, or it is excluded with a reason. What nothing reports is said to be unknown, for silence is no proof.
//
// It is pure: no clock, no I/O. Times are passed in.
package changes

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Source says how a change came to be known.
type Source string

// Where changes come from.
const (
	Reported Source = "reported" // a person or a pipeline said so
	Detected Source = "detected" // an info metric showed it
	Both     Source = "both"     // reported, and seen in the metrics (Merge)
)

// Change gives an artifact of a service another version.
type Change struct {
	ID       string `json:"id" doc:"The same for the same change, however often it is told."`
	Artifact string `json:"artifact" doc:"What was changed: code, prompt, weights, retrieval_index, router_policy, thresholds or another word."`
	Service  string `json:"service,omitempty" doc:"Left out: it may be of any service."`
	From     string `json:"from,omitempty" doc:"The version before."`
	To       string `json:"to,omitempty" doc:"The version since."`

	// At is when the new version began to serve, as exactly as is known: of a detected change the first look that saw
	// it (Seen.LastWithout says how much earlier it may have been), of a reported one the time that it was given.
	At         time.Time `json:"at"`
	By         string    `json:"by,omitempty" doc:"Who did it: a person or a pipeline."`
	URL        string    `json:"url,omitempty"`
	Source     Source    `json:"source" enum:"reported,detected,both"`
	Note       string    `json:"note,omitempty"`
	Seen       Sight     `json:"seen,omitzero" doc:"What the metrics showed of it."`
	Also       []string  `json:"also,omitempty" doc:"Ids of reports of the same change."`
	RecordedAt time.Time `json:"recorded_at,omitzero" doc:"When it came to be known here; later than at where it was reported late."`

	disputed bool // reports of it name different versions before: none of them is believed
}

// Sight is what the metrics showed of a change, look by look.
type Sight struct {
	LastWithout time.Time `json:"last_without,omitzero" doc:"The last look that did not see the version."`
	FirstWith   time.Time `json:"first_with,omitzero" doc:"The first look that saw it: it began to serve in between."`
	HalfAt      time.Time `json:"half_at,omitzero" doc:"When half of the series ran it. Left out: never, as of a canary."`
	FullAt      time.Time `json:"full_at,omitzero" doc:"When no other version was left. Left out: never."`
	GoneAt      time.Time `json:"gone_at,omitzero" doc:"The first look without it, where it stayed away."`
}

// Is tells whether an id names this change, by its own report or by another one of the same change.
func (c *Change) Is(id string) bool { return c.ID == id || slices.Contains(c.Also, id) }

// Canary tells whether the change is known to have reached less than half of the series so far.
func (c *Change) Canary() bool { return !c.Seen.FirstWith.IsZero() && c.Seen.HalfAt.IsZero() }

// exact tells whether At is when it happened, not the first look after that.
func (c *Change) exact() bool {
	return c.Seen.FirstWith.IsZero() || c.Seen.LastWithout.IsZero() || !c.At.Equal(c.Seen.FirstWith)
}

// identify gives the change the id that follows from what it says. Who did it and where to read more are left out:
// a report that is repeated with more words is the same report. The version before is left out of a detected one,
// so that a restart that sees less of the past finds the same change. A note tells apart what has no version.
func (c *Change) identify() {
	parts := []string{string(c.Source), c.Artifact, c.Service, c.To, c.At.UTC().Format(time.RFC3339Nano)}
	if c.Source == Reported {
		parts = append(parts, c.From)
		if c.To == "" {
			parts = append(parts, c.Note)
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	c.ID = hex.EncodeToString(sum[:10])
}

// sameService tells whether two services may be one; one that is not named may be any.
func sameService(a, b string) bool { return a == b || a == "" || b == "" }
