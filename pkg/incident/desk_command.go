package incident

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// answerKept is how long a write may be repeated under its idempotency key.
const answerKept = 24 * time.Hour

// ErrKeyReused says that the idempotency key was used for another request.
var ErrKeyReused = errors.New("this Idempotency-Key was used for another request")

// Idempotency makes a write happen once: the same key and request again get the first answer. The zero value asks for
// nothing.
type Idempotency struct {
	Key         string
	RequestHash string
}

// Command decides and commits what a person asks for, and gives the incident after it; ref is an id or a number. With
// an idempotency key it is done once: the same key and request again get the first answer. *Refusal: it is not allowed
// as the incident stands. ErrNotFound, ErrKeyReused: what they say. Nothing was written then.
func (d *Desk) Command(ctx context.Context, ref string, command Command, once Idempotency) (View, error) {
	seed := rand.Text()
	if once.Key != "" {
		seed = "key " + once.Key
	}
	var view View
	err := d.decide(ctx, func() (Commit, error) {
		if answered, err := d.answered(ctx, once, &view); err != nil || answered {
			return Commit{}, err
		}
		r, err := d.config.Store.Load(ctx, ref)
		if err != nil {
			return Commit{}, fmt.Errorf("load incident: %w", err)
		}
		history, err := d.config.Store.Events(ctx, r.ID, 0, 0)
		if err != nil {
			return Commit{}, fmt.Errorf("read the events of %s: %w", r, err)
		}
		policy, now := d.config.Policy(), d.now()
		events, err := DecideCommand(r, command, policy, now, seed)
		if err != nil {
			return Commit{}, err
		}
		var commit Commit
		if len(events) > 0 {
			c := change(r, events, policy, now)
			commit.Changes = []Change{c}
			r, history = c.Record, slices.Concat(history, c.Events)
		}
		view = d.view(r, history, policy, now)
		commit.Idempotent, err = answer(once, view, now)
		return commit, err
	})
	return view, err
}

// answered gives the first answer of a write under the key, if there was one.
func (d *Desk) answered(ctx context.Context, once Idempotency, view *View) (bool, error) {
	if once.Key == "" {
		return false, nil
	}
	first, err := d.config.Store.Answered(ctx, once.Key)
	if err != nil {
		return false, fmt.Errorf("look for an earlier answer: %w", err)
	}
	if first == nil {
		return false, nil
	}
	if first.RequestHash != once.RequestHash {
		return false, ErrKeyReused
	}
	if err := json.Unmarshal(first.Response, view); err != nil {
		return false, fmt.Errorf("read the earlier answer: %w", err)
	}
	return true, nil
}

func answer(once Idempotency, view View, now time.Time) (*Answer, error) {
	if once.Key == "" {
		return nil, nil
	}
	response, err := json.Marshal(view)
	if err != nil {
		return nil, fmt.Errorf("keep the answer: %w", err)
	}
	return &Answer{
		Key: once.Key, RequestHash: once.RequestHash, Status: 200, Response: response, Expires: now.Add(answerKept),
	}, nil
}
