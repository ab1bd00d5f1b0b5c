// Package notify delivers what the outbox holds, and hears what people answer. Who is called, and when, is decided in
// package incident.
//
// It guarantees: a row is sent at least once, with a dedup key that is the same for a whole round of calling and an id
// that is the same in all its attempts; rows of one incident go to one receiver in their order; a receiver that is slow
// or gone holds up no other one. A message is made at the moment of sending, so it tells what is true then.
//
// In a storm a receiver gets one message for many incidents, a digest; see storm.go.
package notify

import (
	"cmp"
	"context"
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
	readTimeout = 5 * time.Second
	// dueLimit is far above what can be due at once, a storm's rows for each receiver, so that the rows of a receiver
	// that is gone never hide those of the others.
	dueLimit = 5000
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

// Desk is whom the notifier asks what to say, and tells what became of it and what people answered.
type Desk interface {
	// Brief gives what must be known to send a row now.
	Brief(ctx context.Context, d incident.Delivery) (incident.Briefing, error)
	// Standing gives the rounds that the receiver has accepted and not ended, of incidents that are open.
	Standing(ctx context.Context, receiver string) ([]incident.Standing, error)
	// Open gives the open incidents. The records must not be changed.
	Open(ctx context.Context) ([]*incident.Record, error)
	// List gives incidents without their timelines, newest first.
	List(ctx context.Context, filter incident.Filter) (views []incident.View, next string, err error)

	// Delivered settles the row: the receiver has it.
	Delivered(ctx context.Context, d incident.Delivery, receipt string) error
	// DeliveredIn settles the rows that one message carried to a receiver, or stood for, under a digest's key.
	DeliveredIn(ctx context.Context, rows []incident.Delivery, digest, receipt string) error
	// Awaited tells that a page has been failing for ten seconds and goes on being tried; it is told once (once more after
	// a restart).
	Awaited(ctx context.Context, d incident.Delivery, cause string) error
	// Failed settles the row, if permanent: the receiver refuses it for good. If not, the delivery has been failing for
	// two minutes and goes on being tried; this is told once (once more after a restart).
	Failed(ctx context.Context, d incident.Delivery, cause string, permanent bool) error
	// Superseded settles the row without sending it: nobody needs it any more.
	Superseded(ctx context.Context, d incident.Delivery, why string) error

	// Command does what somebody asked for at a receiver's service.
	Command(ctx context.Context, ref string, command incident.Command, once incident.Idempotency) (incident.View, error)
}

// Limits say what a storm is.
type Limits struct {
	Pages      int           // that a receiver gets singly in PagesIn, and as many notices; 0: as many as there are
	PagesIn    time.Duration // the window that slides
	OpenGroups int           // of one runbook, above which its pages come in digests; 0: no limit
}

// Config is what a Notifier works with.
type Config struct {
	Outbox Outbox
	Desk   Desk
	// Receivers are asked for before each attempt, so a reload takes effect at once.
	Receivers func() map[string]Receiver
	Kind      func(receiver string) string // what the settings call the kind of a receiver: slack, pagerduty, …; nil: not known
	Limits    func() Limits                // nil: none
	// Links gives a signed link by which a round is acknowledged, to be put into a message to a receiver. Nil: there are none.
	Links    func(incident string, round int, receiver string) string
	Owner    func() []string // receivers of whoever is responsible for the daemon itself; nil: nobody is
	Instance string          // of the daemon: the second part of every dedup key
	Metrics  *Metrics
	Log      *zap.Logger
	Now      func() time.Time
}

// Notifier sends the outbox's rows, one message at a time to each receiver.
type Notifier struct {
	config  Config
	log     *zap.Logger
	now     func() time.Time
	wake    chan struct{}
	working sync.WaitGroup

	mu        sync.Mutex
	lanes     map[string]*lane       // by receiver
	failing   map[string]failingTime // deliveries that are being retried, by id
	polled    time.Time
	pollFails bool
	unkept    map[string]map[string]string // receipts of calls past the outbox, by key and receiver
}

// lane is what is remembered of one receiver. A restart forgets it, which costs a storm one more digest at most.
type lane struct {
	turn   chan struct{}          // holds a token while somebody sends
	kept   time.Time              // when a Keeper was last reminded
	sent   map[string][]time.Time // what was sent singly of late, by kind
	storms map[string]*storm      // by kind
	lastN  int64                  // of a digest's key
	over   map[string]over        // what was said of all incidents of a digest, by kind and key
	due    map[string]bool        // ids of the rows that the last look found due
	warned time.Time              // of a request with a wrong signature, the last time

	delivered    time.Time // the last time
	failingSince time.Time // zero: the last attempt did not fail
	lastError    string
}

// New makes a Notifier.
func New(config Config) *Notifier {
	if config.Kind == nil {
		config.Kind = func(string) string { return "" }
	}
	if config.Limits == nil {
		config.Limits = func() Limits { return Limits{} }
	}
	if config.Links == nil {
		config.Links = func(string, int, string) string { return "" }
	}
	if config.Owner == nil {
		config.Owner = func() []string { return nil }
	}
	return &Notifier{
		config: config, log: config.Log, now: config.Now,
		wake: make(chan struct{}, 1), lanes: map[string]*lane{}, failing: map[string]failingTime{},
		unkept: map[string]map[string]string{},
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
// returns nil. In a storm that is the time of a digest. Rows that it could not send stay in the outbox.
func (n *Notifier) Run(ctx context.Context) error {
	for name := range n.config.Receivers() {
		n.config.Metrics.expect(name)
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

// poll gives each receiver that is idle one thing to do: to be reminded, if it is time, else what is most urgent of its
// rows. Each row is read afresh before it is sent; when a receiver is done, poll is called again.
func (n *Notifier) poll(ctx context.Context) {
	for name, receiver := range n.config.Receivers() {
		if keeper, ok := receiver.(Keeper); ok && ctx.Err() == nil {
			n.keepIfDue(ctx, name, keeper)
		}
	}
	rows, err := n.config.Outbox.Due(ctx, n.now(), dueLimit)
	n.notePoll(ctx, err)
	own := map[string][]incident.Delivery{}
	for _, row := range rows {
		own[row.Receiver] = append(own[row.Receiver], row)
	}
	n.noteDue(own)
	for name, rows := range own {
		if ctx.Err() != nil {
			return
		}
		n.start(name, func() bool { return n.serve(ctx, name, rows) })
	}
}

// notePoll logs when the outbox can't be read, once, and when it can again.
func (n *Notifier) notePoll(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	n.mu.Lock()
	changed := (err != nil) != n.pollFails
	n.pollFails = err != nil
	if err == nil {
		n.polled = n.now()
	}
	n.mu.Unlock()
	switch {
	case changed && err != nil:
		n.log.Error("the outbox can't be read: nobody is paged", zap.Error(err))
	case changed:
		n.log.Info("the outbox can be read again")
	}
}

// lane gives what is remembered of a receiver. The caller holds the mutex.
func (n *Notifier) lane(receiver string) *lane {
	l := n.lanes[receiver]
	if l == nil {
		l = &lane{
			turn: make(chan struct{}, 1), sent: map[string][]time.Time{}, storms: map[string]*storm{}, over: map[string]over{},
		}
		n.lanes[receiver] = l
	}
	return l
}

// turn gives the token of a receiver's lane: whoever has put one in may send.
func (n *Notifier) turn(receiver string) chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lane(receiver).turn
}

// start runs work for a receiver, unless it is at work already. When the work says that it got somewhere, the next is
// looked for at once, else at the next tick: an outbox that refuses claims is not asked in a circle.
func (n *Notifier) start(receiver string, work func() bool) {
	turn := n.turn(receiver)
	select {
	case turn <- struct{}{}:
	default:
		return
	}
	n.working.Go(func() {
		again := work()
		<-turn
		if again {
			n.Wake()
		}
	})
}

// urgency ranks the kinds: who is called first, then what lets others rest.
var urgency = map[string]int{
	incident.DeliverPage: 0, incident.DeliverAcknowledge: 1, incident.DeliverEnd: 2,
	incident.DeliverProgress: 3, incident.DeliverNotice: 4,
}

// moreUrgent puts pages first and notices last, the worse severity first, then what waits longest.
func moreUrgent(a, b incident.Delivery) int {
	return cmp.Or(
		cmp.Compare(urgency[a.Kind], urgency[b.Kind]),
		cmp.Compare(a.Severity, b.Severity),
		a.Due.Compare(b.Due),
		cmp.Compare(a.ID, b.ID),
	)
}

// serve sends a receiver what is due, the most urgent first, until it must be looked for anew: something more urgent may
// have come. What a stop finds begun is finished. False: nothing could be done.
func (n *Notifier) serve(ctx context.Context, name string, rows []incident.Delivery) bool {
	slices.SortStableFunc(rows, moreUrgent)
	looked, flooded := n.now(), n.flooded(ctx, rows)
	for served := 0; ; served++ {
		if len(rows) == 0 || served > 0 && (ctx.Err() != nil || n.now().Sub(looked) >= pollEvery) {
			return served > 0
		}
		some, send := n.next(name, rows, flooded)
		if len(some) == 0 || !send(context.WithoutCancel(ctx), some) {
			return false
		}
		rows = without(rows, some)
	}
}

// next gives the rows of the most urgent message, and how they are sent: single pages, a storm's digest, then all else.
// No rows: nothing may be sent now.
func (n *Notifier) next(name string, rows []incident.Delivery, flooded map[string]bool) ([]incident.Delivery, func(context.Context, []incident.Delivery) bool) {
	calm, pages, notices := n.part(name, rows, flooded)
	switch {
	case len(calm) > 0 && calm[0].Kind == incident.DeliverPage:
		return calm[:1], n.attempt
	case n.mayDigest(name, pages):
		return pages, n.digest
	case len(calm) > 0 && calm[0].Digest != "":
		return alike(calm), n.fold
	case len(calm) > 0:
		return calm[:1], n.attempt
	case n.mayDigest(name, notices):
		return notices, n.digest
	}
	return nil, nil
}

// alike gives the rows of the first one's kind that one digest stands for.
func alike(rows []incident.Delivery) []incident.Delivery {
	var all []incident.Delivery
	for _, row := range rows {
		if row.Kind == rows[0].Kind && row.Digest == rows[0].Digest {
			all = append(all, row)
		}
	}
	return all
}

// without gives the rows that are not among others, in their order.
func without(rows, others []incident.Delivery) []incident.Delivery {
	if len(others) == 0 {
		return rows
	}
	known := make(map[string]bool, len(others))
	for _, row := range others {
		known[row.ID] = true
	}
	var rest []incident.Delivery
	for _, row := range rows {
		if !known[row.ID] {
			rest = append(rest, row)
		}
	}
	return rest
}
