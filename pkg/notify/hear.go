package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

const (
	// hearPatience is how long a service waits for what it asked for: Slack shows an error after three seconds, PagerDuty
	// asks again after five. The work goes on.
	hearPatience = 2500 * time.Millisecond
	hearTime     = time.Minute // that the work may take
)

// Why a request was not heard.
const (
	rejectedSignature = "signature"
	rejectedUnheard   = "unheard"
	rejectedUnready   = "unready"
)

// answerTo is whom somebody's word at a service is about.
type answerTo struct {
	ref   string // of the incident
	round int
}

// Hear takes a request that a receiver's service sent, and gives the answer: 200 where it was heard, whatever came of it,
// for a service gives up on an address that answers otherwise; 202 where it can't be understood; 403 where its signature
// is wrong; 404 for a receiver that hears nothing; 503 where it can't be heard now, and should be sent again. What is
// heard twice is done once.
func (n *Notifier) Hear(ctx context.Context, receiver string, header http.Header, body []byte) (status int, answer []byte) {
	answerer, ok := n.config.Receivers()[receiver].(Answerer)
	if !ok {
		return http.StatusNotFound, nil
	}
	log := n.log.With(zap.String("receiver", receiver))
	heard, err := answerer.Hear(header, body, n.now())
	switch {
	case errors.Is(err, ErrSignature):
		n.config.Metrics.reject(receiver, rejectedSignature)
		if n.warns(receiver) {
			log.Warn("a request whose signature is missing or wrong was refused")
		}
		return http.StatusForbidden, nil
	case errors.Is(err, ErrUnheard):
		n.config.Metrics.reject(receiver, rejectedUnheard)
		log.Warn("a request of the receiver's service can't be understood", zap.Error(err))
		return http.StatusAccepted, nil
	case err != nil:
		n.config.Metrics.reject(receiver, rejectedUnready)
		log.Error("what people answer can't be heard", zap.Error(err))
		return http.StatusServiceUnavailable, nil
	case heard.Action == "":
		return http.StatusOK, heard.Answer
	}
	log = log.With(zap.String("action", heard.Action), zap.String("key", heard.Key), zap.String("by", heard.By))
	if err := n.patiently(ctx, func(ctx context.Context) error { return n.obey(ctx, log, receiver, heard) }, log); err != nil {
		n.config.Metrics.reject(receiver, rejectedUnready)
		log.Error("what somebody answered can't be kept; the service should send it again", zap.Error(err))
		return http.StatusServiceUnavailable, nil
	}
	return http.StatusOK, heard.Answer
}

// warnEvery is how often it is logged that signatures are wrong: anybody can send such requests.
const warnEvery = time.Minute

func (n *Notifier) warns(receiver string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, now := n.lane(receiver), n.now()
	if !l.warned.IsZero() && now.Sub(l.warned) < warnEvery {
		return false
	}
	l.warned = now
	return true
}

// patiently does work that ends even when nobody waits for it any more: then what goes wrong is logged alone.
func (n *Notifier) patiently(ctx context.Context, work func(context.Context) error, log *zap.Logger) error {
	working, cancel := context.WithTimeout(context.WithoutCancel(ctx), hearTime)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- work(working)
	}()
	timer := time.NewTimer(hearPatience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
	case <-ctx.Done():
	}
	go func() {
		if err := <-done; err != nil {
			log.Error("what somebody answered can't be kept, and the service doesn't wait for that any more", zap.Error(err))
		}
	}()
	return nil
}

// obey does what was asked for, for each incident that the key stands for.
func (n *Notifier) obey(ctx context.Context, log *zap.Logger, receiver string, heard Heard) error {
	about, err := n.about(ctx, receiver, heard)
	if err != nil {
		return err
	}
	if len(about) == 0 {
		log.Info("somebody answered a call that is none of ours, or is over")
		return nil
	}
	for _, one := range about {
		once := incident.Idempotency{}
		if heard.ID != "" {
			once.Key = strings.Join([]string{"heard", receiver, heard.ID}, "/")
			if len(about) > 1 {
				once.Key += "/" + one.ref
			}
			once.RequestHash = heard.Action + " " + heard.Key
		}
		_, err := n.config.Desk.Command(ctx, one.ref, n.command(receiver, heard, one.round), once)
		var refusal *incident.Refusal
		switch {
		case errors.As(err, &refusal), errors.Is(err, incident.ErrNotFound), errors.Is(err, incident.ErrKeyReused):
			log.Info("what somebody answered changes nothing", zap.String("incident", one.ref), zap.String("why", err.Error()))
		case err != nil:
			return fmt.Errorf("incident %s: %w", one.ref, err)
		default:
			log.Info("heard", zap.String("incident", one.ref), zap.Int("round", one.round))
		}
	}
	return nil
}

// command is what somebody's doing at a service asks of an incident. What is resolved there is taken here, and still
// watched.
func (n *Notifier) command(receiver string, heard Heard, round int) incident.Command {
	via := n.config.Kind(receiver)
	if via == "" {
		via = receiver
	}
	if heard.Action == HeardUnacknowledge {
		return incident.Unacknowledge{By: heard.By, Via: via}
	}
	return incident.Acknowledge{
		By: heard.By, Via: via, Round: round, Receiver: receiver, Resolved: heard.Action == HeardResolve,
	}
}

// about gives the rounds that a key stands for: one, all of a digest, or none that is known here.
func (n *Notifier) about(ctx context.Context, receiver string, heard Heard) ([]answerTo, error) {
	rest, ours := strings.CutPrefix(heard.Key, n.keyPrefix())
	slash := strings.LastIndex(rest, "/")
	if !ours || slash <= 0 {
		return nil, nil
	}
	of, last := rest[:slash], rest[slash+1:]
	if strings.HasPrefix(of, "digest/") {
		return n.aboutDigest(ctx, receiver, heard.Key)
	}
	round, err := strconv.Atoi(last)
	if err != nil || round < 1 {
		return nil, nil
	}
	if strings.HasPrefix(of, "self/") {
		return n.aboutSelf(ctx, of, round)
	}
	if heard.Action == HeardUnacknowledge {
		return n.aboutLatest(ctx, receiver, of, round)
	}
	return []answerTo{{of, round}}, nil
}

func (n *Notifier) aboutDigest(ctx context.Context, receiver, key string) ([]answerTo, error) {
	standing, err := n.standingUnder(ctx, receiver, key)
	if err != nil {
		return nil, fmt.Errorf("read what stands under the digest: %w", err)
	}
	var about []answerTo
	for _, s := range standing {
		about = append(about, answerTo{s.View.ID, s.Round})
	}
	return about, nil
}

// aboutSelf finds the open trouble of a kind, whose rounds are counted by the kind for ever.
func (n *Notifier) aboutSelf(ctx context.Context, name string, round int) ([]answerTo, error) {
	views, _, err := n.config.Desk.List(ctx, incident.Filter{Self: true, Runbook: name, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("look for the trouble %s: %w", name, err)
	}
	if len(views) == 0 || !open(views[0]) {
		return nil, nil
	}
	return []answerTo{{views[0].ID, round}}, nil
}

// aboutLatest gives a round, unless the receiver has a later one of the incident: who gives an older one back doesn't give
// the incident back.
func (n *Notifier) aboutLatest(ctx context.Context, receiver, ref string, round int) ([]answerTo, error) {
	standing, err := n.config.Desk.Standing(ctx, receiver)
	if err != nil {
		return nil, fmt.Errorf("read what stands at the receiver: %w", err)
	}
	for _, s := range standing {
		if s.View.ID == ref && s.Round > round {
			return nil, nil
		}
	}
	return []answerTo{{ref, round}}, nil
}
