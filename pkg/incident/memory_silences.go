package incident

import (
	"cmp"
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"time"
)

// Silences implements Store.
func (s *MemoryStore) Silences(_ context.Context, after time.Time) ([]Silence, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var silences []Silence
	for _, silence := range s.silences {
		if silence.Until.After(after) {
			silences = append(silences, silence)
		}
	}
	slices.SortFunc(silences, func(a, b Silence) int { return cmp.Or(b.From.Compare(a.From), cmp.Compare(a.ID, b.ID)) })
	return silences, nil
}

// PutSilence implements Store.
func (s *MemoryStore) PutSilence(_ context.Context, silence Silence) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	silence.Group = maps.Clone(silence.Group)
	s.silences[silence.ID] = silence
	return nil
}

// Key implements Store.
func (s *MemoryStore) Key(_ context.Context, name string) ([]byte, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.keys[name] == nil {
		s.keys[name] = make([]byte, 32)
		_, _ = rand.Read(s.keys[name]) // it never fails
	}
	return slices.Clone(s.keys[name]), nil
}
