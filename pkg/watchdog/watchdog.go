// Package watchdog looks after the daemon itself: whether it sees, decides, writes and delivers. What lasts is a trouble
// of its own, which is paged as an incident is; and an outside dead man's switch hears from it only while all of that
// works, so that somebody learns of it even when nothing here can tell them.
package watchdog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	lookEvery  = 5 * time.Second
	answerIn   = 5 * time.Second // a look that takes longer is itself what is wrong
	callAgain  = time.Minute     // where the store can't keep a trouble, people are called so often until somebody has it
	writeTrial = 5 * time.Second
)

// Check is one thing that must be well.
type Check struct {
	Kind string // names the trouble: blind, stuck, store, undelivered, …
	// Look says what is wrong now; empty: nothing. It may take its time, and is never called twice at once.
	Look func(ctx context.Context) string
	// After is how long it must be wrong before somebody is told.
	After time.Duration
	// Vital says that the heartbeat stops at once while it is wrong.
	Vital bool
}

// Desk keeps the daemon's own troubles and pages them.
type Desk interface {
	// Trouble opens the trouble of a kind, or leaves it open.
	Trouble(ctx context.Context, kind, text string) error
	// TroubleOver ends it, if it is open.
	TroubleOver(ctx context.Context, kind string) error
}

// Caller calls people when the Desk can't, for it can't write.
type Caller interface {
	// Call tells whoever is responsible for the daemon of a trouble, or that it is over. key is the same for all calls
	// of the trouble and for its end. An error: nobody has taken it.
	Call(ctx context.Context, key, kind, text string, over bool) error
}

// Config is what a Watchdog works with.
type Config struct {
	Checks    []Check
	Desk      Desk
	Caller    Caller // nil: nobody is called past the Desk
	Instance  string
	Heartbeat *Heartbeat // nil: none
	Now       func() time.Time
	Log       *zap.Logger
	Registry  prometheus.Registerer
}

// Watchdog looks, tells and beats.
type Watchdog struct {
	config   Config
	troubled *prometheus.GaugeVec
	lastBeat prometheus.Gauge

	began time.Time // of Run

	mu     sync.Mutex
	states []*state
}

// state is how one check stands.
type state struct {
	Check
	looking bool      // a look has not answered yet
	asked   time.Time // when it began
	wrong   string    // what is wrong; empty: nothing
	since   time.Time
	told    bool      // the Desk has it, open
	clean   bool      // the Desk was told that it is over, since the process began
	called  time.Time // past the Desk, the last time
	taken   bool      // somebody has taken that call
}

// New makes a Watchdog.
func New(config Config) *Watchdog {
	w := &Watchdog{config: config, troubled: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "irdaemon_trouble", Help: "Whether the daemon has a trouble of its own that lasts, by kind.",
	}, []string{"kind"})}
	w.lastBeat = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "irdaemon_heartbeat_timestamp_seconds", Help: "When the outside dead man's switch last took a heartbeat; 0: never.",
	})
	config.Registry.MustRegister(w.troubled, w.lastBeat)
	for _, check := range config.Checks {
		w.states = append(w.states, &state{Check: check})
		w.troubled.WithLabelValues(check.Kind).Set(0)
	}
	return w
}

// Run looks every five seconds until the context ends.
func (w *Watchdog) Run(ctx context.Context) error {
	w.began = w.config.Now()
	w.look(ctx) // before the first heartbeat: nobody is calmed by a daemon that has not looked at itself
	var beating sync.WaitGroup
	if w.config.Heartbeat != nil {
		beating.Go(func() { w.beat(ctx) })
	}
	defer beating.Wait()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		w.tell(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		w.look(ctx)
	}
}

// look runs every check that is not still running, and waits for their answers, but not for ever.
func (w *Watchdog) look(ctx context.Context) {
	patience, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	var looks sync.WaitGroup
	for _, s := range w.states {
		w.mu.Lock()
		busy := s.looking
		if !busy {
			s.looking, s.asked = true, w.config.Now()
		}
		w.mu.Unlock()
		if busy {
			continue
		}
		looks.Go(func() {
			answer := make(chan string, 1)
			go func() {
				wrong := s.Look(ctx)
				w.mu.Lock()
				s.looking = false
				w.mu.Unlock()
				answer <- wrong
			}()
			select {
			case wrong := <-answer:
				w.note(s, wrong)
			case <-patience.Done():
			}
		})
	}
	looks.Wait()
	for _, s := range w.states {
		w.mu.Lock()
		hangs := s.looking && w.config.Now().Sub(s.asked) >= answerIn
		asked := s.asked
		w.mu.Unlock()
		if hangs && ctx.Err() == nil {
			w.note(s, fmt.Sprintf("it has not answered since %s", asked.UTC().Format("15:04:05 UTC")))
		}
	}
}

// note keeps what a check says.
func (w *Watchdog) note(s *state, wrong string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wrong != "" && s.wrong == "" {
		s.since = w.config.Now()
	}
	s.wrong = wrong
}

// tell opens a trouble for what has lasted, and ends it for what is over. What is over is told once after a start too:
// the process before may have left it open.
func (w *Watchdog) tell(ctx context.Context) {
	for _, s := range w.states {
		w.mu.Lock()
		wrong, since := s.wrong, s.since
		w.mu.Unlock()
		lasts := wrong != "" && w.config.Now().Sub(since) >= s.After
		switch {
		case lasts:
			w.troubled.WithLabelValues(s.Kind).Set(1)
			w.open(ctx, s, wrong, since)
		case wrong == "":
			w.troubled.WithLabelValues(s.Kind).Set(0)
			// After a start nothing is known yet: a trouble that the process before left open ends once all has been well
			// for as long as it takes to be told.
			if s.told || w.config.Now().Sub(w.began) >= max(s.After, 2*lookEvery) {
				w.end(ctx, s)
			}
		}
	}
}

// open tells the Desk, and people past it while it can't write.
func (w *Watchdog) open(ctx context.Context, s *state, wrong string, since time.Time) {
	if !s.told {
		w.config.Log.Error("the daemon has a trouble of its own", zap.String("kind", s.Kind), zap.String("trouble", wrong))
	}
	bounded, cancel := context.WithTimeout(ctx, writeTrial)
	defer cancel()
	err := w.config.Desk.Trouble(bounded, s.Kind, wrong)
	s.told, s.clean = true, false
	if err == nil || ctx.Err() != nil || w.config.Caller == nil || s.taken {
		return
	}
	now := w.config.Now()
	if now.Sub(s.called) < callAgain {
		return
	}
	s.called = now
	w.config.Log.Error("a trouble can't be kept; people are called past the store", zap.String("kind", s.Kind), zap.Error(err))
	if err := w.config.Caller.Call(ctx, w.key(s, since), s.Kind, wrong, false); err != nil {
		w.config.Log.Error("nobody has taken the call", zap.String("kind", s.Kind), zap.Error(err))
		return
	}
	s.taken = true
}

func (w *Watchdog) end(ctx context.Context, s *state) {
	if s.taken {
		w.mu.Lock()
		since := s.since
		w.mu.Unlock()
		if err := w.config.Caller.Call(ctx, w.key(s, since), s.Kind, "", true); err != nil {
			w.config.Log.Warn("nobody has taken the end of a call", zap.String("kind", s.Kind), zap.Error(err))
			return
		}
		s.taken, s.called = false, time.Time{}
	}
	if s.clean {
		return
	}
	if err := w.config.Desk.TroubleOver(ctx, s.Kind); err != nil {
		w.config.Log.Warn("the end of a trouble can't be kept; tried again", zap.String("kind", s.Kind), zap.Error(err))
		return
	}
	if s.told {
		w.config.Log.Info("a trouble of the daemon's own is over", zap.String("kind", s.Kind))
	}
	s.told, s.clean = false, true
}

// key names the call past the Desk: the same until the trouble is over.
func (w *Watchdog) key(s *state, since time.Time) string {
	return fmt.Sprintf("irdaemon/%s/self/%s/unkept-%d", w.config.Instance, s.Kind, since.Unix())
}

// Wrong says what vital is wrong now; none: the daemon does its work.
func (w *Watchdog) Wrong() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var wrong []string
	for _, s := range w.states {
		if s.Vital && s.wrong != "" {
			wrong = append(wrong, s.Kind+": "+s.wrong)
		}
	}
	return wrong
}
