package notify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// A storm is more pages for a receiver than it has left of its limit, or pages of a runbook that has too many open
// incidents. All that are due then go out as one message, a digest, under a key of its own; the next one comes a minute
// later. Pages of sev1 and of the daemon's own troubles never wait and never stand in a digest. A page that would be
// alone in its digest goes out as what it is. Of notices the same holds, with a limit of their own.
//
// A Keeper gets no digests: its alerts call nobody by themselves, and it groups them by its own rules.

// digestEvery is the least time between two digests for a receiver.
const digestEvery = time.Minute

// storm is what is remembered of a receiver's digests of a kind.
type storm struct {
	last time.Time // when one was delivered
	key  string    // of one that is being tried again; empty: none is
}

// storm gives what is remembered of digests of a kind. The caller holds the mutex.
func (l *lane) storm(kind string) *storm {
	if l.storms[kind] == nil {
		l.storms[kind] = &storm{}
	}
	return l.storms[kind]
}

// part tells the rows that go out one by one from pages and notices that a digest must carry. It keeps their order.
func (n *Notifier) part(name string, rows []incident.Delivery, flooded map[string]bool) (calm, pages, notices []incident.Delivery) {
	receiver, known := n.config.Receivers()[name]
	if _, keeps := receiver.(Keeper); keeps || !known {
		return rows, nil, nil
	}
	pages = n.crowd(name, rows, flooded, incident.DeliverPage)
	if receiver.Carries().Notices {
		notices = n.crowd(name, rows, flooded, incident.DeliverNotice)
	}
	return without(without(rows, pages), notices), pages, notices
}

// crowd gives the rows of a kind that are too many to go singly.
func (n *Notifier) crowd(name string, rows []incident.Delivery, flooded map[string]bool, kind string) []incident.Delivery {
	var all, flood []incident.Delivery
	for _, row := range rows {
		if row.Kind != kind || row.Severity == runbook.Sev1 || n.ofSelf(row) {
			continue
		}
		all = append(all, row)
		if flooded[row.Incident] {
			flood = append(flood, row)
		}
	}
	limits := n.config.Limits()
	if limits.Pages > 0 && len(all)-len(flood) > limits.Pages-n.sentSingly(name, kind, limits.PagesIn) {
		return all
	}
	return flood
}

// ofSelf tells whether a row is about a trouble of the daemon's own.
func (n *Notifier) ofSelf(d incident.Delivery) bool {
	return strings.HasPrefix(d.Key, n.keyPrefix()+"self/")
}

// keyPrefix is what all dedup keys of this daemon begin with.
func (n *Notifier) keyPrefix() string { return "irdaemon/" + n.config.Instance + "/" }

// flooded gives the open incidents of runbooks that have too many of them, if a page or a notice is among the rows.
func (n *Notifier) flooded(ctx context.Context, rows []incident.Delivery) map[string]bool {
	limits := n.config.Limits()
	calls := slices.ContainsFunc(rows, func(d incident.Delivery) bool {
		return d.Kind == incident.DeliverPage || d.Kind == incident.DeliverNotice
	})
	if limits.OpenGroups <= 0 || !calls {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	open, err := n.config.Desk.Open(ctx)
	if err != nil {
		n.log.Warn("count the open incidents of each runbook; a storm is known by the number of pages alone", zap.Error(err))
		return nil
	}
	counts := map[string]int{}
	for _, r := range open {
		counts[r.Findings[0].Name]++
	}
	flooded := map[string]bool{}
	for _, r := range open {
		if counts[r.Findings[0].Name] > limits.OpenGroups {
			flooded[r.ID] = true
		}
	}
	return flooded
}

// countSingle notes what was sent by itself.
func (n *Notifier) countSingle(d incident.Delivery, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.lane(d.Receiver)
	l.sent[d.Kind] = append(l.sent[d.Kind], now)
}

// sentSingly counts what was sent by itself of late, and forgets the rest.
func (n *Notifier) sentSingly(name, kind string, window time.Duration) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, from := n.lane(name), n.now().Add(-window)
	l.sent[kind] = slices.DeleteFunc(l.sent[kind], func(at time.Time) bool { return !at.After(from) })
	return len(l.sent[kind])
}

// mayDigest tells whether there are rows for a digest, and the one before lies a minute back.
func (n *Notifier) mayDigest(name string, rows []incident.Delivery) bool {
	if len(rows) == 0 {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	last := n.lane(name).storm(rows[0].Kind).last
	return last.IsZero() || n.now().Sub(last) >= digestEvery
}

// digestKey is that of the digest that is being tried again, else a new one: it ends in the time in seconds, and is never
// used for another.
func (n *Notifier) digestKey(name, kind string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.lane(name)
	s := l.storm(kind)
	if s.key == "" {
		l.lastN = max(n.now().Unix(), l.lastN+1)
		s.key = fmt.Sprintf("%sdigest/%s/%d", n.keyPrefix(), name, l.lastN)
	}
	return s.key
}

// digestOver notes that a digest is not tried again, and when one was delivered.
func (n *Notifier) digestOver(name, kind string, outcome Outcome, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.lane(name).storm(kind)
	if outcome != Retry {
		s.key = ""
	}
	if outcome == Delivered {
		s.last = now
	}
}
