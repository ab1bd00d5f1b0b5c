package action

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// Desk is where it is decided and kept what became of an action.
type Desk interface {
	// Open gives the open incidents. The records must not be changed.
	Open(ctx context.Context) ([]*incident.Record, error)
	// Action commits what became of an action. *incident.Refusal: it can't be started as things stand.
	Action(ctx context.Context, ref string, outcome incident.ActionOutcome) error
}

// Records gives an incident as it stands; ref is an id or a number.
type Records interface {
	Load(ctx context.Context, ref string) (*incident.Record, error)
}

// ExecutorConfig is what an Executor works with.
type ExecutorConfig struct {
	Desk       Desk
	Records    Records
	Connectors func() Connectors // those in force
	// Mode is what the settings let the daemon do: incident.ActionsEnabled, ActionsDryRun or ActionsOff. It is asked right
	// before each request, so that it stops also what was approved before.
	Mode func() string
	// Touches gives the share of the service's traffic that labels select, nil where that is not known. Nil: it never is.
	Touches  func(ctx context.Context, r *incident.Record, labels map[string][]string) *float64
	Now      func() time.Time
	Log      *zap.Logger
	Registry prometheus.Registerer
}

// Executor performs what people asked for and approved, one action at a time in an incident. A store has one Executor
// at a time: what another one has in flight would look to it like what a crash left behind.
//
// What it guarantees, wherever the process ends: the intent is committed before anything is sent, so that what was
// begun and has no answer is looked at and never sent again by itself; what is sent is the request that was approved,
// while the live value is the one that was seen then.
//
// It remembers nothing that the record doesn't tell: whatever is left to be done is found anew at a start.
type Executor struct {
	config  ExecutorConfig
	pace    pace
	metrics *executorMetrics
	wake    chan struct{}

	mutex   sync.Mutex
	waiting map[string]bool    // incidents to be seen to; true: also to what was never answered
	busy    map[string]bool    // incidents that are seen to at this moment
	begun   map[intention]bool // attempts whose intent was committed here
}

// intention names an attempt.
type intention struct {
	incident, action string
	attempt          int
}

// pace is how long everything may take.
type pace struct {
	attempt      time.Duration // as of Runner
	repeatWithin time.Duration // the longest wait before the same is sent again
	confirmEvery time.Duration // after an answer that says yes
	confirmFor   time.Duration
	lookEvery    time.Duration // after no answer
	lookFor      time.Duration // from when it was begun
	tellAgain    time.Duration // while the store can't be written
	approvalGood time.Duration // from an approval until the action is begun
}

var usualPace = pace{
	attempt:      attemptTimeout,
	repeatWithin: time.Minute,
	confirmEvery: 5 * time.Second,
	confirmFor:   time.Minute,
	lookEvery:    30 * time.Second,
	lookFor:      time.Hour,
	tellAgain:    time.Second,
	approvalGood: 15 * time.Minute,
}

// incidentsAtOnce is how many incidents are seen to at the same time.
const incidentsAtOnce = 16

// NewExecutor makes an executor and registers its metrics. Run starts it.
func NewExecutor(config ExecutorConfig) *Executor {
	return &Executor{
		config: config, pace: usualPace, metrics: newExecutorMetrics(config.Registry, config.Connectors()),
		wake: make(chan struct{}, 1), waiting: map[string]bool{}, busy: map[string]bool{}, begun: map[intention]bool{},
	}
}

// Happened is told of every commit of this process, in their order. It doesn't wait.
func (e *Executor) Happened(r *incident.Record, events []incident.Event) {
	concerns := false
	for _, event := range events {
		switch body := event.Body.(type) {
		case incident.ActionStarted:
			e.mutex.Lock()
			e.begun[intention{r.ID, body.Action, body.Attempt}] = true
			e.mutex.Unlock()
		case incident.ActionRequested, incident.ActionApproved, incident.ActionFailed:
			concerns = true
		}
	}
	if concerns {
		e.ask(r.ID, false)
	}
}

// claim tells, once, whether the intent of an attempt was committed here. Told twice an intent is one, so that without
// this two who begin the same attempt would both believe that it is theirs.
func (e *Executor) claim(i intention) bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	mine := e.begun[i]
	delete(e.begun, i)
	return mine
}

// Run performs until ctx ends. What is being sent then is waited for; what was only to be confirmed is left to the next
// start.
func (e *Executor) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	defer workers.Wait()
	slots := make(chan struct{}, incidentsAtOnce)
	sweep := time.NewTicker(e.pace.lookEvery)
	defer sweep.Stop()
	e.sweep(ctx)
	for {
		for id, look := range e.take() {
			workers.Go(func() {
				defer e.free(id)
				select {
				case slots <- struct{}{}:
					defer func() { <-slots }()
					e.seeTo(ctx, id, look)
				case <-ctx.Done():
				}
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-sweep.C:
			e.sweep(ctx)
		}
	}
}

// sweep asks for every open incident with something left to be done: what a start finds, what was not answered, what
// could not be begun for want of the store.
func (e *Executor) sweep(ctx context.Context) {
	open, err := e.config.Desk.Open(ctx)
	if err != nil {
		if ctx.Err() == nil {
			e.config.Log.Error("the open incidents can't be read for their actions; tried again soon", zap.Error(err))
		}
		return
	}
	for _, r := range open {
		for i := range r.Actions {
			if e.due(r, i, true) != nothing {
				e.ask(r.ID, true)
			}
		}
	}
}

// ask has an incident seen to.
func (e *Executor) ask(id string, look bool) {
	e.mutex.Lock()
	e.waiting[id] = e.waiting[id] || look
	e.mutex.Unlock()
	select {
	case e.wake <- struct{}{}:
	default: // it is woken already
	}
}

// take gives the incidents that wait and that nobody sees to, and has them seen to.
func (e *Executor) take() map[string]bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	taken := map[string]bool{}
	for id, look := range e.waiting {
		if !e.busy[id] {
			taken[id], e.busy[id] = look, true
			delete(e.waiting, id)
		}
	}
	return taken
}

// free lets an incident be seen to again.
func (e *Executor) free(id string) {
	e.mutex.Lock()
	_, again := e.waiting[id]
	delete(e.busy, id)
	e.mutex.Unlock()
	if again {
		e.ask(id, false)
	}
}

// task is what is left to be done of an action.
type task int

const (
	nothing task = iota
	perform      // it is approved, and nothing was begun
	resume       // it was begun, and nobody knows what came of it
	look         // it was never answered; what is live may tell
)

// due says what is left to be done of the nth action of an incident. What was never answered is only looked at when
// asked for, and no longer than for a while, nor once the same was tried again: a yes would be of that one.
func (e *Executor) due(r *incident.Record, n int, looking bool) task {
	a := &r.Actions[n]
	switch {
	case !r.Open() || r.Class != incident.Real:
	case a.Requested() && a.Approved():
		return perform
	case a.InFlight() && a.DoneAt.IsZero():
		return resume
	case looking && a.Why == incident.FailedUnanswered && a.DoneAt.IsZero() && e.config.Now().Before(a.StartedAt.Add(e.pace.lookFor)):
		for _, later := range r.Actions[n+1:] {
			if later.Step == a.Step && later.Mitigate == a.Mitigate && (!later.StartedAt.IsZero() || !later.DoneAt.IsZero()) {
				return nothing
			}
		}
		return look
	}
	return nothing
}

// seeTo does what is left to be done in an incident.
func (e *Executor) seeTo(ctx context.Context, id string, looking bool) {
	r, err := e.config.Records.Load(ctx, id)
	if err != nil {
		if ctx.Err() == nil {
			e.config.Log.Error("an incident can't be read for its actions; tried again soon", zap.String("incident", id), zap.Error(err))
		}
		return
	}
	for i := range r.Actions {
		switch e.due(r, i, looking) {
		case perform:
			e.job(r, i).perform(ctx)
			return // what it committed has the rest seen to
		case resume:
			e.job(r, i).resume(ctx)
			return
		case look:
			e.job(r, i).look(ctx)
		}
	}
}

// job is the work on one action.
func (e *Executor) job(r *incident.Record, n int) *job {
	a := r.Actions[n]
	return &job{
		executor: e, record: r, action: a,
		log: e.config.Log.With(zap.Int64("incident", r.Number), zap.String("action", a.ID), zap.String("title", a.Title)),
	}
}

// runner is one over the connectors in force.
func (e *Executor) runner() *Runner {
	runner := NewRunner(e.config.Connectors())
	runner.timeout = e.pace.attempt
	return runner
}

// barred says why nothing may be sent; empty: it may.
func (e *Executor) barred() string {
	if mode := e.config.Mode(); mode != incident.ActionsEnabled {
		return fmt.Sprintf("the settings have actions: %s", mode)
	}
	return ""
}
