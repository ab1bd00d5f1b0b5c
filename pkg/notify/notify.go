// Package notify delivers what the outbox holds. Who is called, and when, is decided in package incident.
//
// It guarantees: a row is sent at least once, with a dedup key that is the same for a whole round of calling and an id
// that is the same in all its attempts; rows of one incident go to one receiver in their order; a receiver that is slow
// or gone holds up no other one. A message is made at the moment of sending, so it tells what is true then.
package notify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

const (
	pollEvery   = time.Second
	sendTimeout = 10 * time.Second
	claimFor    = sendTimeout + 5*time.Second // the send has ended 5 s before anybody else may try
	awaitAfter  = 10 * time.Second            // a page that has been failing for so long is told: somebody may be looking
	tellAfter   = 2 * time.Minute             // then it is told as one that nobody waits for
	readTimeout = 5 * time.Second
	// dueLimit is far above what can be due at once (limits.open_groups for each receiver), so that the rows of a
	// receiver that is gone never hide those of the others.
	dueLimit = 1000
)

// Outbox is where the rows wait.
type Outbox interface {
	// Due gives the rows to be sent: due, not claimed, and of each incident and receiver only the first in order of seq.
	Due(ctx context.Context, now time.Time, limit int) ([]incident.Delivery, error)
	// Claim keeps a row from everybody else until the time given, and counts the attempt. Not ok: it is no longer due,
	// or somebody else has it.
	Claim(ctx context.Context, id string, until, now time.Time) (attempt int, ok bool, err error)
	// Retry gives a claimed row back, to be due again at the time given.
	Retry(ctx context.Context, id string, dueAt time.Time, cause string) error
}

// Desk is whom the notifier asks what to say, and tells what became of it.
type Desk interface {
	// View gives the incident as it is now.
	View(ctx context.Context, ref string) (incident.View, error)
	// Standing gives the rounds that the receiver has accepted and not ended, of incidents that are open.
	Standing(ctx context.Context, receiver string) ([]incident.Standing, error)
	// Delivered settles the row: the receiver has it.
	Delivered(ctx context.Context, d incident.Delivery, receipt string) error
	// Awaited tells that a page has been failing for ten seconds and goes on being tried; it is told once (once more after
	// a restart).
	Awaited(ctx context.Context, d incident.Delivery, cause string) error
	// Failed settles the row, if permanent: the receiver refuses it for good. If not, the delivery has been failing for
	// two minutes and goes on being tried; this is told once (once more after a restart).
	Failed(ctx context.Context, d incident.Delivery, cause string, permanent bool) error
	// Superseded settles the row without sending it: nobody needs it any more.
	Superseded(ctx context.Context, d incident.Delivery, why string) error
}

// Notifier sends the outbox's rows, one at a time to each receiver.
type Notifier struct {
	outbox    Outbox
	desk      Desk
	receivers func() map[string]Receiver
	metrics   *Metrics
	log       *zap.Logger
	now       func() time.Time
	wake      chan struct{}
	working   sync.WaitGroup

	mu        sync.Mutex
	busy      map[string]bool        // receivers at work
	kept      map[string]time.Time   // when a Keeper was last reminded
	failing   map[string]failingTime // deliveries that are being retried, by id
	pollFails bool
}

// failingTime says since when a delivery fails, and what the Desk was told.
type failingTime struct {
	since   time.Time
	awaited bool // that it isn't there yet
	told    bool // that nobody waits for it any more
}

// New makes a Notifier. Receivers is asked before each attempt, so a reload takes effect at once.
func New(outbox Outbox, desk Desk, receivers func() map[string]Receiver, metrics *Metrics, log *zap.Logger, now func() time.Time) *Notifier {
	return &Notifier{
		outbox: outbox, desk: desk, receivers: receivers, metrics: metrics, log: log, now: now,
		wake:    make(chan struct{}, 1),
		busy:    map[string]bool{},
		kept:    map[string]time.Time{},
		failing: map[string]failingTime{},
	}
}

// Wake makes Run look at once: something was written to the outbox.
func (n *Notifier) Wake() {
	select {
	case n.wake <- struct{}{}:
	default: // it is going to look anyway
	}
}

// Run delivers until the context ends; then it finishes what is in flight, which takes at most the time of one send, and
// returns nil. Rows that it could not send stay in the outbox.
func (n *Notifier) Run(ctx context.Context) error {
	for name := range n.receivers() {
		n.metrics.expect(name)
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		n.poll(ctx)
		select {
		case <-ctx.Done():
			n.working.Wait()
			return nil
		case <-ticker.C:
		case <-n.wake:
		}
	}
}

// poll gives each receiver that is idle one thing to do: to be reminded, if it is time, else the most urgent row. Each
// row is read afresh before it is sent; when a receiver is done, poll is called again.
func (n *Notifier) poll(ctx context.Context) {
	receivers := n.receivers()
	for name, receiver := range receivers {
		if keeper, ok := receiver.(Keeper); ok && ctx.Err() == nil {
			n.keepIfDue(ctx, name, keeper)
		}
	}
	rows, err := n.outbox.Due(ctx, n.now(), dueLimit)
	n.notePoll(ctx, err)
	slices.SortStableFunc(rows, moreUrgent)
	for _, row := range rows {
		if ctx.Err() != nil {
			return
		}
		n.start(row.Receiver, func() bool { return n.attempt(context.WithoutCancel(ctx), row) })
	}
}

// moreUrgent puts pages before ends and ends before notices, the worse severity first, then what waits longest.
func moreUrgent(a, b incident.Delivery) int {
	rank := map[string]int{incident.DeliverPage: 0, incident.DeliverEnd: 1, incident.DeliverNotice: 2}
	return cmp.Or(
		cmp.Compare(rank[a.Kind], rank[b.Kind]),
		cmp.Compare(a.Severity, b.Severity),
		a.Due.Compare(b.Due),
		cmp.Compare(a.ID, b.ID),
	)
}

// notePoll logs when the outbox can't be read, once, and when it can again.
func (n *Notifier) notePoll(ctx context.Context, err error) {
	if ctx.Err() != nil || (err != nil) == n.pollFails {
		return
	}
	n.pollFails = err != nil
	if err != nil {
		n.log.Error("the outbox can't be read: nobody is paged", zap.Error(err))
		return
	}
	n.log.Info("the outbox can be read again")
}

// start runs work for a receiver, unless it is at work already. When the work says that it got somewhere, the next is
// looked for at once, else at the next tick: an outbox that refuses claims is not asked in a circle.
func (n *Notifier) start(receiver string, work func() bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.busy[receiver] {
		return
	}
	n.busy[receiver] = true
	n.working.Go(func() {
		again := work()
		n.mu.Lock()
		delete(n.busy, receiver)
		n.mu.Unlock()
		if again {
			n.Wake()
		}
	})
}

// attempt claims a row and makes the attempt that the claim allows; false: there was no claim to be had. The context is
// not cancelled by a stop: what has begun is finished.
func (n *Notifier) attempt(ctx context.Context, d incident.Delivery) bool {
	log := n.log.With(zap.String("receiver", d.Receiver),
		zap.String("kind", d.Kind), zap.Int("round", d.Round), zap.Int("step", d.Step))
	ctx, cancel := context.WithTimeout(ctx, claimFor)
	defer cancel()
	claimed := n.now()
	attempt, ok, err := n.outbox.Claim(ctx, d.ID, claimed.Add(claimFor), claimed)
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

// deliver sends a claimed row, and tells what became of it.
func (n *Notifier) deliver(ctx context.Context, log *zap.Logger, d incident.Delivery, claimed time.Time) {
	receiver, ok := n.receivers()[d.Receiver]
	if !ok {
		cause := fmt.Sprintf("receiver %q is not in the settings any more", d.Receiver)
		n.settle(ctx, log.With(zap.String("incident", d.Incident)), d, incident.View{}, Result{Outcome: Refused, Detail: cause})
		return
	}
	if _, only := receiver.(CallsOnly); only && d.Kind == incident.DeliverNotice {
		n.supersede(ctx, log.With(zap.String("incident", d.Incident)), d, "this kind of receiver carries no notices")
		return
	}
	message, view, err := n.prepare(ctx, d, receiver)
	log = log.With(zap.String("incident", nameOf(d, view)))
	if err != nil {
		n.settle(ctx, log, d, view, Result{Outcome: Retry, Detail: err.Error()})
		return
	}
	if why := superseded(d, view); why != "" {
		n.supersede(ctx, log, d, why)
		return
	}
	if n.slept(claimed) {
		// The process stood still. Somebody else may have sent this row meanwhile, and a page that comes after its end
		// would open the incident at the receiver anew: the claim runs out, then the row is read again.
		log.Warn("this process stood still before a send", zap.Duration("took", n.now().Round(0).Sub(claimed.Round(0))))
		return
	}
	n.settle(ctx, log, d, view, n.send(ctx, receiver, message, claimed))
}

// nameOf names a delivery's incident as people do, or by its id where nothing more is known.
func nameOf(d incident.Delivery, view incident.View) string {
	if view.Number == 0 {
		return d.Incident
	}
	return fmt.Sprintf("#%d", view.Number)
}

// slept tells whether more than half of the claim is over, on the clock of the wall: the monotonic one stands still in
// a suspended machine.
func (n *Notifier) slept(claimed time.Time) bool {
	return n.now().Round(0).Sub(claimed.Round(0)) > claimFor/2
}

// prepare makes the message from what is true now.
func (n *Notifier) prepare(ctx context.Context, d incident.Delivery, receiver Receiver) (Message, incident.View, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	view, err := n.desk.View(ctx, d.Incident)
	if err != nil {
		return Message{}, view, fmt.Errorf("read the incident: %w", err)
	}
	var ends []incident.Standing
	if _, ok := receiver.(Keeper); ok && d.Kind == incident.DeliverPage {
		standing, err := n.desk.Standing(ctx, d.Receiver)
		if err != nil {
			return Message{}, view, fmt.Errorf("read the rounds that stand at the receiver: %w", err)
		}
		for _, s := range standing {
			if s.View.ID == view.ID && s.Round < d.Round {
				ends = append(ends, s)
			}
		}
	}
	return compose(d, view, ends, n.now()), view, nil
}

// send makes the attempt, which must end 5 s before the claim does.
func (n *Notifier) send(ctx context.Context, receiver Receiver, m Message, claimed time.Time) Result {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout-n.now().Sub(claimed))
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
	n.metrics.attempted(d, view, result.Outcome, now)
	fields := []zap.Field{zap.Int("status", result.Status), zap.String("detail", result.Detail)}
	var err error
	switch result.Outcome {
	case Delivered:
		if result.Detail == "" {
			log.Info("delivered", fields...)
		} else {
			log.Warn("delivered, but not everywhere", fields...)
		}
		n.forget(d.ID)
		err = n.desk.Delivered(ctx, d, result.Receipt)
	case Refused:
		log.Error("refused", fields...)
		n.forget(d.ID)
		err = n.desk.Failed(ctx, d, result.Detail, true)
	default:
		wait := pause(d, d.Attempt, result.RetryAfter)
		fields = append(fields, zap.Stringer("next", wait.Round(100*time.Millisecond)))
		if d.Attempt&(d.Attempt-1) == 0 { // the 1st, 2nd, 4th, 8th …
			log.Warn("not delivered yet", fields...)
		} else {
			log.Debug("not delivered yet", fields...)
		}
		n.tell(ctx, log, d, result.Detail, now)
		err = n.outbox.Retry(ctx, d.ID, now.Add(wait), result.Detail)
	}
	if err != nil {
		log.Error("write what became of a delivery; it will be sent again", zap.Error(err))
	}
}

// supersede settles a row that nobody needs any more.
func (n *Notifier) supersede(ctx context.Context, log *zap.Logger, d incident.Delivery, why string) {
	log.Info("not sent any more", zap.String("why", why))
	n.metrics.superseded(d)
	n.forget(d.ID)
	if err := n.desk.Superseded(ctx, d, why); err != nil {
		log.Error("write that a delivery is not needed any more", zap.Error(err))
	}
}

// superseded says why a page needn't be sent any more, or nothing. A page may be left out only when somebody has taken
// the incident and the page's round did reach a receiver. Else it is sent late, with the present truth in its first
// line: whoever should have been called learns that it happened.
func superseded(d incident.Delivery, view incident.View) string {
	taken := view.AcknowledgedBy != "" && !view.Calling
	if d.Kind != incident.DeliverPage || !taken {
		return ""
	}
	for _, entry := range view.Timeline {
		if entry.Kind == (incident.PageDelivered{}).Kind() && !entry.At.Before(d.StartedAt) {
			return fmt.Sprintf("%s acknowledged it; the round was delivered elsewhere", view.AcknowledgedBy)
		}
	}
	return ""
}

// tell lets the Desk know of a delivery that keeps failing: of a page after ten seconds that it isn't there yet, of any
// after two minutes that nobody waits for it. What can't be written is told at the next failure.
func (n *Notifier) tell(ctx context.Context, log *zap.Logger, d incident.Delivery, cause string, now time.Time) {
	failing := n.failingSince(d, now)
	lasts := now.Sub(failing.since)
	var err error
	switch {
	case lasts >= tellAfter && !failing.told:
		err = n.desk.Failed(ctx, d, cause, false)
		failing.told, failing.awaited = err == nil, true
	case lasts >= awaitAfter && !failing.awaited && d.Kind == incident.DeliverPage:
		err = n.desk.Awaited(ctx, d, cause)
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
		failing.since = now
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
