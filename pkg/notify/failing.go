package notify

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

const (
	awaitAfter = 10 * time.Second // a page that has been failing for so long is told: somebody may be looking
	tellAfter  = 2 * time.Minute  // then it is told as one that nobody waits for
)

// failingTime says since when a delivery fails, and what the Desk was told.
type failingTime struct {
	receiver string
	since    time.Time
	awaited  bool // that it isn't there yet
	told     bool // that nobody waits for it any more
}

// tell lets the Desk know of a delivery that keeps failing: of a page after ten seconds that it isn't there yet, of any
// after two minutes that nobody waits for it. What can't be written is told at the next failure.
func (n *Notifier) tell(ctx context.Context, log *zap.Logger, d incident.Delivery, cause string, now time.Time) {
	failing := n.failingSince(d, now)
	lasts := now.Sub(failing.since)
	var err error
	switch {
	case lasts >= tellAfter && !failing.told:
		err = n.config.Desk.Failed(ctx, d, cause, false)
		failing.told, failing.awaited = err == nil, true
	case lasts >= awaitAfter && !failing.awaited && d.Kind == incident.DeliverPage:
		err = n.config.Desk.Awaited(ctx, d, cause)
		failing.awaited = err == nil
	}
	if err != nil {
		log.Error("write that a delivery keeps failing", zap.Error(err))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failing[d.ID] = failing
}

// failingSince says since when a delivery fails. What had been tried before this process began has been failing since its
// row was written.
func (n *Notifier) failingSince(d incident.Delivery, now time.Time) failingTime {
	n.mu.Lock()
	defer n.mu.Unlock()
	failing, known := n.failing[d.ID]
	if !known {
		failing = failingTime{receiver: d.Receiver, since: now}
		if d.Attempt > 1 && !d.CreatedAt.IsZero() {
			failing.since = d.CreatedAt
		}
	}
	return failing
}

func (n *Notifier) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.failing, id)
}
