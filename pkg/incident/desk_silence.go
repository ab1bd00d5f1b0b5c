package incident

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// ErrNoSilence says that there is no such silence, or none any more.
var ErrNoSilence = errors.New("no such silence")

// silencesKept is how long silences are remembered: another replica may have added one.
const silencesKept = time.Second

// silences are those that are not over, as they were read last.
type silences struct {
	mutex  sync.Mutex
	all    []Silence
	readAt time.Time // zero: they must be read
}

// policy is the settings in force with the silences. Silences that can't be read stay as they were.
func (d *Desk) policy(ctx context.Context) Policy {
	p := d.config.Policy()
	p.Changes.Log, p.InForce = d.logOf(ctx, p.Changes), d.inForce()
	s, now := &d.silences, d.now()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if age := now.Sub(s.readAt); s.readAt.IsZero() || age < 0 || age >= silencesKept {
		all, err := d.config.Store.Silences(ctx, now)
		switch {
		case err == nil:
			s.all, s.readAt = all, now
		case ctx.Err() == nil:
			d.config.Log.Warn("silences not read; those known stay in force", zap.Error(err))
		}
	}
	p.Silences = s.all
	return p
}

// inForce gives the runbooks in force, each as it was when a decision first asked for it.
func (d *Desk) inForce() func(name string) *runbook.Snapshot {
	if d.config.InForce == nil {
		return nil
	}
	known := map[string]*runbook.Snapshot{}
	return func(name string) *runbook.Snapshot {
		s, ok := known[name]
		if !ok {
			s = d.config.InForce(name)
			known[name] = s
		}
		return s
	}
}

// forget makes the next decision read the silences anew.
func (s *silences) forget() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.readAt = time.Time{}
}

// Silences gives the silences that are not over, newest first.
func (d *Desk) Silences(ctx context.Context) ([]Silence, error) {
	now := d.now()
	all, err := d.config.Store.Silences(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("read the silences: %w", err)
	}
	return slices.DeleteFunc(all, func(s Silence) bool { return !s.EndedAt.IsZero() && !s.EndedAt.After(now) }), nil
}

// AddSilence puts a silence in force, from its beginning on: now, where that is not set or past. It names it, and gives
// it as it was kept. *Refusal: something is missing or not allowed, and nothing was kept.
func (d *Desk) AddSilence(ctx context.Context, s Silence) (Silence, error) {
	now := d.now()
	s.From, s.Until = s.From.UTC(), s.Until.UTC()
	if s.From.Before(now) {
		s.From = now
	}
	if s.UpTo == "" {
		s.UpTo = DefaultUpTo
	}
	s.EndedAt, s.EndedBy = time.Time{}, ""
	if err := s.check(now); err != nil {
		return Silence{}, err
	}
	s.ID, s.Group = strings.ToLower(rand.Text()[:12]), maps.Clone(s.Group)
	if err := d.config.Store.PutSilence(ctx, s); err != nil {
		return Silence{}, fmt.Errorf("keep the silence: %w", err)
	}
	d.silences.forget()
	return s, nil
}

func (s Silence) check(now time.Time) error {
	switch {
	case s.Runbook == "":
		return &Refusal{"the silence names no runbook", "name one, and perhaps a group of it"}
	case strings.TrimSpace(s.Reason) == "":
		return &Refusal{"the silence has no reason", "say what is planned"}
	case strings.TrimSpace(s.By) == "":
		return &Refusal{"nobody is named", "a silence says who wants it"}
	case !slices.Contains(runbook.Severities, s.UpTo):
		return &Refusal{fmt.Sprintf("up_to %q is no severity", s.UpTo), "sev1 to sev4: what is worse pages all the same"}
	case !s.Until.After(now):
		return &Refusal{"the silence ends in the past", "an end after " + now.Format(time.RFC3339)}
	case !s.Until.After(s.From):
		return &Refusal{"the silence ends before it begins", "an end after " + s.From.Format(time.RFC3339)}
	case s.Until.Sub(s.From) > LongestSilence:
		return &Refusal{"the silence lasts longer than 7 days", "an end by " + s.From.Add(LongestSilence).Format(time.RFC3339)}
	}
	return nil
}

// EndSilence ends a silence before its time, and gives it as it is then. One that was ended already stays as it is.
// ErrNoSilence: there is none with that id, or its time is over.
func (d *Desk) EndSilence(ctx context.Context, id, by string) (Silence, error) {
	if strings.TrimSpace(by) == "" {
		return Silence{}, &Refusal{"nobody is named", "say who ends the silence"}
	}
	now := d.now()
	all, err := d.config.Store.Silences(ctx, now)
	if err != nil {
		return Silence{}, fmt.Errorf("read the silences: %w", err)
	}
	at := slices.IndexFunc(all, func(s Silence) bool { return s.ID == id })
	if at < 0 {
		return Silence{}, fmt.Errorf("%q: %w", id, ErrNoSilence)
	}
	s := all[at]
	if !s.EndedAt.IsZero() {
		return s, nil
	}
	s.EndedAt, s.EndedBy = now, by
	if err := d.config.Store.PutSilence(ctx, s); err != nil {
		return Silence{}, fmt.Errorf("keep the silence's end: %w", err)
	}
	d.silences.forget()
	return s, nil
}
