package notify

import (
	"hash/fnv"
	"strconv"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

const (
	firstBackoff    = time.Second
	longestBackoff  = time.Minute
	urgentBackoff   = 15 * time.Second // the longest one for sev1 and sev2
	longestAskedFor = 5 * time.Minute  // of Retry-After: a receiver doesn't decide how long nobody is called
)

// pause is how long a delivery waits after its attempt-th try: one second, doubled each time up to a minute (15 seconds
// where it is urgent), and not less than the receiver asked for.
func pause(d incident.Delivery, attempt int, asked time.Duration) time.Duration {
	longest := longestBackoff
	if d.Severity == runbook.Sev1 || d.Severity == runbook.Sev2 {
		longest = urgentBackoff
	}
	backoff := firstBackoff
	for i := 1; i < attempt && backoff < longest; i++ {
		backoff *= 2
	}
	return max(jitter(d.ID, attempt, min(backoff, longest)), min(asked, longestAskedFor))
}

// jitter moves a pause by up to 20%, so that what failed together doesn't come back together. It is drawn from the
// delivery's id, for nothing here needs a source of chance.
func jitter(id string, attempt int, pause time.Duration) time.Duration {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(id + "/" + strconv.Itoa(attempt)))
	share := float64(sum.Sum32()%4001)/10000 - 0.2
	return pause + time.Duration(share*float64(pause))
}
