package action

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// State is what came of one attempt.
type State string

// The states of an attempt.
const (
	// Applied: a 2xx. It says that the request was taken, not that anything follows it: Confirm asks for that.
	Applied State = "applied"
	// Refused: nothing was changed, and sending the same again would be refused again.
	Refused State = "refused"
	// Unsent: nothing left this machine, so the attempt may be repeated.
	Unsent State = "unsent"
	// Unknown: it may have left and may have been done. Only looking (Confirm) helps.
	Unknown State = "unknown"
)

// Outcome is what came of one attempt.
type Outcome struct {
	State      State
	Status     int           // of the answer; 0: none came
	Reason     string        // why it wasn't applied, for people; without secrets
	RetryAfter time.Duration // as the answer says; 0: not at all
}

const (
	mostRepeats  = 2 // beside the first attempt
	unsentWait   = 2 * time.Second
	mostWaitSaid = time.Hour
)

// Repeat tells whether the same request may be sent again by itself after its nth attempt (from 1), and how long to
// wait before. Only what sets a value may, at most twice, when nothing left this machine or the answer was 503 with a
// time to come back at.
func (o Outcome) Repeat(request *Request, attempts int) (wait time.Duration, again bool) {
	if request.Semantics != runbook.SemanticsSet || attempts > mostRepeats {
		return 0, false
	}
	switch {
	case o.State == Unsent:
		return unsentWait, true
	case o.Status == http.StatusServiceUnavailable && o.RetryAfter > 0:
		return o.RetryAfter, true
	}
	return 0, false
}

// retryAfter reads the header's seconds or date; 0 where there is none, or none that makes sense.
func retryAfter(header http.Header) time.Duration {
	said := strings.TrimSpace(header.Get("Retry-After"))
	if seconds, err := strconv.ParseFloat(said, 64); err == nil {
		if math.IsNaN(seconds) || seconds <= 0 {
			return 0
		}
		return time.Duration(min(seconds, mostWaitSaid.Seconds()) * float64(time.Second))
	}
	until, err := http.ParseTime(said)
	if err != nil {
		return 0
	}
	// Counted from the sender's own clock, so that a difference between the two clocks doesn't matter.
	sent, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0
	}
	return min(max(0, until.Sub(sent)), mostWaitSaid)
}
