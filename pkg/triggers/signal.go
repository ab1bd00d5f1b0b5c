package triggers

import (
	"time"

	"github.com/irdaemon/irdaemon/pkg/document"
)

// Unit is the unit of a signal's values. Limits are read in it, and people are shown it.
type Unit string

// The units that a signal may have.
const (
	Ratio             Unit = "ratio"
	Seconds           Unit = "seconds"
	USDPerHour        Unit = "usd_per_hour"
	Tokens            Unit = "tokens"
	TokensPerSecond   Unit = "tokens_per_second" //nolint:gosec // no credential
	RequestsPerSecond Unit = "requests_per_second"
	Bytes             Unit = "bytes"
	Count             Unit = "count"
	NoUnit            Unit = "none"
)

// Worse says which way of a signal hurts users.
type Worse string

// The ways in which a signal can get worse.
const (
	Up   Worse = "up"
	Down Worse = "down"
	Both Worse = "both"
)

// DefaultRange is what $range stands for where neither signal nor condition says it.
const DefaultRange = 5 * time.Minute

// RangeVariable is the word in an expression that the range of the signal or of the condition replaces.
const RangeVariable = "$range"

// Signal is a named PromQL expression: a query, or a ratio of two. It yields one series per label set, a segment.
type Signal struct {
	Place       document.Place `json:"-"`
	Name        string
	Title       string
	Help        string
	Unit        Unit
	Worse       Worse
	Range       time.Duration // what $range stands for; without $range the longest selector of the expression, 0 for none
	HasRange    bool          // an expression names $range, so that a condition may ask for another one
	Query       string        // either this
	Numerator   string        // or these two
	Denominator string
	Traffic     string // optional beside Query: how many events stand behind each value
	ZeroBorn    bool   // a missing numerator beside a present denominator is 0 (an aggregation of plain increase or rate)

	// Labels are those that the series carry, sorted, where the expression alone tells it (sum by (…)); nil: not known.
	Labels []string
}

// IsRatio tells whether the signal is a share of two counts.
func (s *Signal) IsRatio() bool { return s.Numerator != "" }
