package notify

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// attempt claims a row and makes the attempt that the claim allows; false: there was no claim to be had. The context is
// not cancelled by a stop: what has begun is finished.
func (n *Notifier) attempt(ctx context.Context, one []incident.Delivery) bool {
	d := one[0]
	log := n.log.With(zap.String("receiver", d.Receiver),
		zap.String("kind", d.Kind), zap.Int("round", d.Round), zap.Int("step", d.Step))
	ctx, cancel := context.WithTimeout(ctx, claimFor)
	defer cancel()
	claimed := n.now()
	attempt, ok, err := n.config.Outbox.Claim(ctx, d.ID, claimed.Add(claimFor), claimed)
	if err != nil {
		log.Error("claim a row of the outbox", zap.Error(err))
		return false
	}
	if !ok {
		return false
	}
	d.Attempt = attempt
	n.deliver(ctx, log.With(zap.Int("attempt", attempt)), d, claimed)
	return true
}

// deliver sends a claimed row, and tells what became of it; it gives that too, empty where nothing was sent.
func (n *Notifier) deliver(ctx context.Context, log *zap.Logger, d incident.Delivery, claimed time.Time) Outcome {
	unnamed := log.With(zap.String("incident", d.Incident))
	receiver, ok := n.config.Receivers()[d.Receiver]
	if !ok {
		n.settle(ctx, unnamed, d, incident.View{}, Result{Outcome: Refused, Detail: notInSettings(d.Receiver)})
		return ""
	}
	if why := uncarried(receiver, d.Kind); why != "" {
		n.supersede(ctx, unnamed, d, incident.View{}, why)
		return ""
	}
	briefing, ends, err := n.brief(ctx, d, receiver)
	view := briefing.View
	log = log.With(zap.String("incident", nameOf(d, view)))
	switch {
	case err != nil:
		n.settle(ctx, log, d, view, Result{Outcome: Retry, Detail: err.Error()})
		return ""
	case briefing.Needless != "":
		n.supersede(ctx, log, d, view, briefing.Needless)
		return ""
	case d.Kind == incident.DeliverEnd && briefing.Digest != "": // the page came in a digest after the end was written
		d.Digest = briefing.Digest
		n.foldClaimed(ctx, []incident.Delivery{d}, claimed, sendTimeout)
		return ""
	case n.slept(claimed, claimFor/2):
		// The process stood still. Somebody else may have sent this row meanwhile, and a page that comes after its end
		// would open the incident at the receiver anew: the claim runs out, then the row is read again.
		log.Warn("this process stood still before a send", zap.Duration("took", n.now().Round(0).Sub(claimed.Round(0))))
		return ""
	}
	message := compose(d, briefing, ends, n.now())
	if called(d.Kind) && open(view) {
		message.AcknowledgeURL = n.config.Links(view.ID, d.Round, d.Receiver)
	}
	result := n.send(ctx, receiver, message, claimed, sendTimeout)
	n.settle(ctx, log, d, view, result)
	return result.Outcome
}

func notInSettings(receiver string) string {
	return fmt.Sprintf("receiver %q is not in the settings any more", receiver)
}

// called tells whether whoever reads a message of that kind can be asked to acknowledge.
func called(kind string) bool {
	return kind == incident.DeliverPage || kind == incident.DeliverAcknowledge || kind == incident.DeliverProgress
}

// uncarried says why a receiver can't be told a message of that kind; empty: it can.
func uncarried(receiver Receiver, kind string) string {
	carries := receiver.Carries()
	carried, what := false, "messages of this kind"
	switch kind {
	case incident.DeliverPage, incident.DeliverEnd:
		return ""
	case incident.DeliverNotice:
		carried, what = carries.Notices, "notices"
	case incident.DeliverAcknowledge:
		carried, what = carries.Acknowledgements, "acknowledgements"
	case incident.DeliverProgress:
		carried, what = carries.Progress, "progress"
	}
	if carried {
		return ""
	}
	return "this kind of receiver carries no " + what
}

// nameOf names a delivery's incident as people do, or by its id where nothing more is known.
func nameOf(d incident.Delivery, view incident.View) string {
	if view.Number <= 0 {
		return d.Incident
	}
	return fmt.Sprintf("#%d", view.Number)
}

// slept tells whether more time is over than getting ready may take, on the clock of the wall: the monotonic one stands
// still in a suspended machine.
func (n *Notifier) slept(claimed time.Time, most time.Duration) bool {
	return n.now().Round(0).Sub(claimed.Round(0)) > most
}

// brief reads what is true now. A Keeper's page needs the older rounds too, of which there are none in the first one.
func (n *Notifier) brief(ctx context.Context, d incident.Delivery, receiver Receiver) (incident.Briefing, []incident.Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	briefing, err := n.config.Desk.Brief(ctx, d)
	if err != nil {
		return briefing, nil, fmt.Errorf("read the incident: %w", err)
	}
	if _, ok := receiver.(Keeper); !ok || d.Kind != incident.DeliverPage || d.Round < 2 {
		return briefing, nil, nil
	}
	standing, err := n.config.Desk.Standing(ctx, d.Receiver)
	if err != nil {
		return briefing, nil, fmt.Errorf("read the rounds that stand at the receiver: %w", err)
	}
	var ends []incident.Standing
	for _, s := range standing {
		if s.View.ID == briefing.View.ID && s.Round < d.Round {
			ends = append(ends, s)
		}
	}
	return briefing, ends, nil
}

// send makes the attempt, which must end so long after the claim.
func (n *Notifier) send(ctx context.Context, receiver Receiver, m Message, claimed time.Time, within time.Duration) Result {
	ctx, cancel := context.WithTimeout(ctx, min(sendTimeout, within-n.now().Sub(claimed)))
	defer cancel()
	return receiver.Deliver(ctx, m)
}

// settle tells the Desk or the outbox what became of an attempt. When that can't be written, the claim runs out and the
// row is sent again under the same key and id: at least once.
func (n *Notifier) settle(ctx context.Context, log *zap.Logger, d incident.Delivery, view incident.View, result Result) {
	// The send may have used its time up; what came of it must be written all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	now := n.now()
	n.config.Metrics.attempted(d, view, result.Outcome, now)
	n.noteResult(d.Receiver, result, now)
	fields := []zap.Field{zap.Int("status", result.Status), zap.String("detail", result.Detail)}
	var err error
	switch result.Outcome {
	case Delivered:
		if result.Detail == "" {
			log.Info("delivered", fields...)
		} else {
			log.Warn("delivered, but not as it should be", fields...)
		}
		n.forget(d.ID)
		n.countSingle(d, now)
		err = n.config.Desk.Delivered(ctx, d, result.Receipt)
	case Refused:
		log.Error("refused", fields...)
		n.forget(d.ID)
		err = n.config.Desk.Failed(ctx, d, result.Detail, true)
	default:
		wait := pause(d, d.Attempt, result.RetryAfter)
		fields = append(fields, zap.Stringer("next", wait.Round(100*time.Millisecond)))
		if rarely(d.Attempt) {
			log.Warn("not delivered yet", fields...)
		} else {
			log.Debug("not delivered yet", fields...)
		}
		n.tell(ctx, log, d, result.Detail, now)
		err = n.config.Outbox.Retry(ctx, d.ID, now.Add(wait), result.Detail)
	}
	if err != nil {
		log.Error("write what became of a delivery; it will be sent again", zap.Error(err))
	}
}

// rarely tells which attempts are logged where people look: the 1st, 2nd, 4th, 8th …
func rarely(attempt int) bool { return attempt&(attempt-1) == 0 }

// supersede settles a row that nobody needs any more.
func (n *Notifier) supersede(ctx context.Context, log *zap.Logger, d incident.Delivery, view incident.View, why string) {
	log.Info("not sent any more", zap.String("why", why))
	n.config.Metrics.superseded(d, view)
	n.forget(d.ID)
	if err := n.config.Desk.Superseded(ctx, d, why); err != nil {
		log.Error("write that a delivery is not needed any more", zap.Error(err))
	}
}
