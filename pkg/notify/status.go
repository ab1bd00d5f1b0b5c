package notify

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// ReceiverStatus is how a receiver does.
type ReceiverStatus struct {
	Name          string
	Kind          string
	LastDelivered time.Time // zero: nothing since this process began
	LastError     string    // of the last attempt that failed; it stays after one that didn't
	FailingSince  time.Time // zero: the last attempt did not fail
	Waiting       int       // messages that are due, or are being tried again
}

// Polled is when the outbox was last read: a while ago, paging is stuck.
func (n *Notifier) Polled() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.polled
}

// Status tells how the receivers of the settings do, by name.
func (n *Notifier) Status() []ReceiverStatus {
	receivers := n.config.Receivers()
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []ReceiverStatus
	for _, name := range slices.Sorted(maps.Keys(receivers)) {
		l := n.lane(name)
		waiting := maps.Clone(l.due)
		if waiting == nil {
			waiting = map[string]bool{}
		}
		for id, failing := range n.failing {
			if failing.receiver == name {
				waiting[id] = true
			}
		}
		all = append(all, ReceiverStatus{
			Name: name, Kind: n.config.Kind(name), LastDelivered: l.delivered, LastError: l.lastError,
			FailingSince: l.failingSince, Waiting: len(waiting),
		})
	}
	return all
}

// noteDue keeps which rows are due.
func (n *Notifier) noteDue(own map[string][]incident.Delivery) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, l := range n.lanes {
		if own[name] == nil {
			l.due = nil
		}
	}
	for name, rows := range own {
		due := make(map[string]bool, len(rows))
		for _, row := range rows {
			due[row.ID] = true
		}
		n.lane(name).due = due
	}
}

// noteResult keeps how an attempt went.
func (n *Notifier) noteResult(receiver string, result Result, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.lane(receiver)
	if result.Outcome == Delivered {
		l.delivered, l.failingSince = now, time.Time{}
		return
	}
	l.lastError = result.Detail
	if l.failingSince.IsZero() {
		l.failingSince = now
	}
}

// noteKept keeps how a Keeper took its reminders.
func (n *Notifier) noteKept(receiver string, err error) {
	result := Result{Outcome: Delivered}
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n") // there is a line for each incident
		result = Result{Outcome: Retry, Detail: "remind it of the open incidents: " + first}
	}
	n.noteResult(receiver, result, n.now())
}
