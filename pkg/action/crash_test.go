package action

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// mortal stands between an executor and what it works with, and ends it at one of the points that it passes: before or
// after each call. From then on nothing that the executor does comes to anything, as of a process that was killed.
type mortal struct {
	desk    Desk
	records Records
	mode    func() string

	mutex sync.Mutex
	armed bool // points count
	point int  // passed so far
	endAt int
	dead  bool
	died  chan struct{}
}

func newMortal(endAt int) *mortal { return &mortal{endAt: endAt, died: make(chan struct{})} }

// pass passes a point. It doesn't tell whether the end came: what runs in the service goes on.
func (m *mortal) pass() (dead bool) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if !m.armed {
		return false
	}
	m.point++
	if m.point == m.endAt && !m.dead {
		m.dead = true
		close(m.died)
	}
	return m.dead
}

// live passes a point of the executor, whose goroutine ends there if it is the last one.
func (m *mortal) live() {
	if m.pass() {
		runtime.Goexit()
	}
}

func (m *mortal) Open(ctx context.Context) ([]*incident.Record, error) {
	m.live()
	all, err := m.desk.Open(ctx)
	m.live()
	return all, err
}

func (m *mortal) Action(ctx context.Context, ref string, o incident.ActionOutcome) error {
	m.live()
	err := m.desk.Action(ctx, ref, o)
	m.live()
	return err
}

func (m *mortal) Load(ctx context.Context, ref string) (*incident.Record, error) {
	m.live()
	r, err := m.records.Load(ctx, ref)
	m.live()
	return r, err
}

func (m *mortal) Mode() string {
	m.live()
	return m.mode()
}

// TestWhereverItEndsNothingIsSentTwice ends the executor at every point that it passes on its way through one action, in
// turn, and starts another one over the same store.
func TestWhereverItEndsNothingIsSentTwice(t *testing.T) {
	for _, test := range []struct {
		name, step string
		onSet      func(w http.ResponseWriter, set func()) bool
		sets       bool // what reaches the service is done
	}{
		{"a value that is set", "prompt", nil, true},
		{"what may not be repeated", "pipeline", nil, true},
		{"a value that is set and not answered", "prompt", func(w http.ResponseWriter, set func()) bool { set(); cut(w); return false }, true},
		{"a value that is neither set nor answered", "prompt", func(w http.ResponseWriter, _ func()) bool { cut(w); return false }, false},
		{"what may not be repeated and is not answered", "pipeline", func(w http.ResponseWriter, _ func()) bool { cut(w); return false }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sentOnce := 0
			for endAt := 1; ; endAt++ {
				m := newMortal(endAt)
				s := setUp(t)
				s.restart(m)
				s.service.onSet = func(w http.ResponseWriter, set func()) bool {
					m.pass()
					if test.onSet != nil {
						return test.onSet(w, set)
					}
					set()
					m.pass()
					return false
				}
				if err := s.ask(s.ids[0], "alice", test.step, "before"); err != nil {
					t.Fatal(err)
				}
				m.armed = true
				stop := s.run()
				ended := s.endedOrOver(m)
				stop()
				s.restart(nil)
				stop = s.run()
				a := s.await(s.ids[0], incident.DoneSent, incident.DoneSeen, incident.FailedUnanswered)
				s.sweeps()
				stop()
				sent := s.service.requests()
				what := fmt.Sprintf("it ended at point %d: %s, sent %v", endAt, standing(a), sent)
				if len(sent) > 1 {
					t.Fatal(what)
				}
				final := s.actions(s.ids[0])[0]
				if done := len(sent) == 1 && test.sets; done != !final.DoneAt.IsZero() {
					t.Errorf("%s, in the end %s", what, standing(final))
				}
				sentOnce += len(sent)
				if !ended {
					if endAt < 8 || sentOnce == 0 {
						t.Errorf("only %d points were passed, %d requests seen", endAt, sentOnce)
					}
					return
				}
			}
		})
	}
}

// endedOrOver waits until the executor was ended, or its action is over; it tells which.
func (s *stage) endedOrOver(m *mortal) (ended bool) {
	for {
		select {
		case <-m.died:
			return true
		case <-time.After(2 * time.Millisecond):
		}
		if a := s.actions(s.ids[0])[0]; !a.Requested() && standing(a) != "in flight" {
			return false
		}
	}
}
