package web

import (
	"context"
	"sync"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// How long, and how many of, the first answers of writes are remembered that the Desk does not keep.
const (
	answersKept   = time.Hour
	answersAtOnce = 1000
)

// firstAnswers makes writes happen once that are no commands on an incident, and whose answers no store keeps: a silence,
// a drill, a test page. They are remembered as long as the process lives, for whoever sends again what got no answer does
// so within seconds.
type firstAnswers struct {
	now func() time.Time

	mutex sync.Mutex
	kept  map[string]*firstAnswer
}

type firstAnswer struct {
	requestHash string
	at          time.Time
	done        chan struct{} // closed when the value is there, or the write failed
	value       any
	failed      bool
}

func newFirstAnswers(now func() time.Time) *firstAnswers {
	return &firstAnswers{now: now, kept: map[string]*firstAnswer{}}
}

// doOnce does a write, or gives what the first one with its key was answered. One that failed may be tried again.
func doOnce[T any](ctx context.Context, f *firstAnswers, once incident.Idempotency, do func() (T, error)) (T, error) {
	if once.Key == "" {
		return do()
	}
	var none T
	for {
		first, mine := f.claim(once)
		switch {
		case mine:
			value, err := do()
			f.answered(once.Key, first, value, err != nil)
			return value, err
		case first.requestHash != once.RequestHash:
			return none, incident.ErrKeyReused
		}
		select {
		case <-first.done:
		case <-ctx.Done():
			return none, ctx.Err()
		}
		if !first.failed {
			return first.value.(T), nil // the same request has the same kind of answer
		}
	}
}

// claim gives the first write with the key; mine: it is this one.
func (f *firstAnswers) claim(once incident.Idempotency) (first *firstAnswer, mine bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	now := f.now()
	if first = f.kept[once.Key]; first != nil && now.Sub(first.at) < answersKept {
		return first, false
	}
	if len(f.kept) >= answersAtOnce {
		f.forget(now)
	}
	first = &firstAnswer{requestHash: once.RequestHash, at: now, done: make(chan struct{})}
	f.kept[once.Key] = first
	return first, true
}

func (f *firstAnswers) answered(key string, first *firstAnswer, value any, failed bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	first.value, first.failed = value, failed
	if failed && f.kept[key] == first {
		delete(f.kept, key)
	}
	close(first.done)
}

// forget makes room: answers that are too old go, and where there are none the oldest one.
func (f *firstAnswers) forget(now time.Time) {
	oldest := ""
	for key, first := range f.kept {
		if now.Sub(first.at) >= answersKept {
			delete(f.kept, key)
		} else if oldest == "" || first.at.Before(f.kept[oldest].at) {
			oldest = key
		}
	}
	if len(f.kept) >= answersAtOnce {
		delete(f.kept, oldest)
	}
}
