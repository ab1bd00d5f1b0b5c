package notify

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// keepIfDue reminds a Keeper of what is open, if it is time and it is idle.
func (n *Notifier) keepIfDue(ctx context.Context, name string, keeper Keeper) {
	n.mu.Lock()
	kept := n.lane(name).kept
	due := kept.IsZero() || n.now().Sub(kept) >= keeper.Every()
	n.mu.Unlock()
	if due {
		n.start(name, func() bool { n.keep(context.WithoutCancel(ctx), name, keeper); return true })
	}
}

// keep reads what stands at the receiver and reminds it of that. It runs as the receiver's only work: an end that is
// delivered is written before the next reading, so nothing that ended is lit again.
func (n *Notifier) keep(ctx context.Context, name string, keeper Keeper) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	now := n.now()
	n.mu.Lock()
	n.lane(name).kept = now
	n.mu.Unlock()
	standing, err := n.config.Desk.Standing(ctx, name)
	if err == nil && len(standing) > 0 {
		err = keeper.Keep(ctx, reminders(standing, now))
		n.noteKept(name, err)
	}
	if err != nil {
		n.log.Warn("remind a receiver of the open incidents", zap.String("receiver", name), zap.Error(err))
	}
}

// reminders are the messages of rounds that stand.
func reminders(standing []incident.Standing, now time.Time) []Message {
	messages := make([]Message, 0, len(standing))
	for _, s := range standing {
		messages = append(messages, Message{
			Kind: incident.DeliverPage, Key: s.Key, Round: s.Round, Severity: s.Severity,
			StartedAt: s.StartedAt, CreatedAt: s.StartedAt, SentAt: now,
			Title: s.View.Headline, Text: pageText(s.View, "", now), Incident: s.View,
		})
	}
	return messages
}
