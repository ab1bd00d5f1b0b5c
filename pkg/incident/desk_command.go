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
		r, history, err := d.load(ctx, ref)
		if err != nil {
			return Commit{}, err
		}
		command, err := d.lookUp(ctx, r, command)
		if err != nil {
			return Commit{}, err
		}
		policy, now := d.policy(ctx), d.now()
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

// lookUp fills in what a command must know of other incidents.
func (d *Desk) lookUp(ctx context.Context, r *Record, command Command) (Command, error) {
	switch c := command.(type) {
	case Dismiss:
		if c.DuplicateOf == "" {
			return c, nil
		}
		other, err := d.config.Store.Load(ctx, c.DuplicateOf)
		if errors.Is(err, ErrNotFound) || err == nil && other.Class != Real {
			return nil, &Refusal{fmt.Sprintf("there is no incident %s", c.DuplicateOf), "name the one that this is a duplicate of"}
		}
		if err != nil {
			return nil, fmt.Errorf("load incident: %w", err)
		}
		c.DuplicateOf = other.ID
		return c, nil
	case Reopen:
		open, err := d.openAll(ctx)
		if err != nil {
			return nil, err
		}
		c.elsewhere = ""
		for _, other := range open {
			stands := func(f Finding) bool { return other.holds(f.Key()) }
			if slices.ContainsFunc(r.Findings, stands) {
				c.elsewhere = other.String()
			}
		}
		return c, nil
	}
	return command, nil
}

// Action decides and commits what became of an action; ref is the incident's id or number. What is told twice is one.
func (d *Desk) Action(ctx context.Context, ref string, outcome ActionOutcome) error {
	return d.decide(ctx, func() (Commit, error) {
		r, err := d.config.Store.Load(ctx, ref)
		if err != nil {
			return Commit{}, fmt.Errorf("load incident: %w", err)
		}
		policy, now := d.policy(ctx), d.now()
		events, err := DecideAction(r, outcome, policy, now)
		if err != nil || len(events) == 0 {
			return Commit{}, err
		}
		return Commit{Changes: []Change{change(r, events, policy, now)}}, nil
	})
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
