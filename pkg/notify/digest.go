package notify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

const (
	// digestTime is how long it may take to claim a storm's rows, to read their incidents and to send the message. The
	// first two have a limit each: what a slow store doesn't get done in it comes in the next digest, and not never.
	digestTime  = 40 * time.Second
	claimTime   = 10 * time.Second
	briefTime   = 20 * time.Second           // since the claims began
	digestClaim = digestTime + 5*time.Second // then anybody may try
	settleTime  = time.Minute                // to write what became of hundreds of rows
	// listed is how many incidents a digest lists; it says how many there are.
	listed = 50
	// overKept is how long it is remembered what was said of a digest.
	overKept = 24 * time.Hour
)

// over is what was said of all incidents of a digest, and when: who has them, or nothing more when they are over.
type over struct {
	takers string
	at     time.Time
}

// told is a claimed row with what is true now.
type told struct {
	row incident.Delivery
	incident.Briefing
}

// digest sends rows of a kind as one message; false: none of them could be claimed. Those that can't be are left out:
// somebody else sends them.
func (n *Notifier) digest(ctx context.Context, rows []incident.Delivery) bool {
	name, claimed := rows[0].Receiver, n.now()
	rows = n.claimAll(ctx, rows, claimed)
	if len(rows) == 0 {
		return false
	}
	log := n.log.With(zap.String("receiver", name), zap.String("kind", rows[0].Kind))
	if len(rows) == 1 { // alone it is told as what it is, and takes the digest's place in this minute
		outcome := n.deliver(ctx, log.With(zap.Int("attempt", rows[0].Attempt)), rows[0], claimed)
		n.digestOver(name, rows[0].Kind, cmp.Or(outcome, Retry), claimed)
		return true
	}
	all := n.briefAll(ctx, log, rows, claimed)
	if len(all) == 0 {
		return true
	}
	key, now := n.digestKey(name, rows[0].Kind), n.now()
	n.sendAll(ctx, log, key, all, composeDigest(key, all, now), claimed, digestTime)
	return true
}

// claimAll claims rows, each for itself, and gives those that could be.
func (n *Notifier) claimAll(ctx context.Context, rows []incident.Delivery, now time.Time) []incident.Delivery {
	var claimed []incident.Delivery
	for _, row := range rows {
		if n.now().Sub(now) > claimTime {
			break
		}
		attempt, ok, err := n.config.Outbox.Claim(ctx, row.ID, now.Add(digestClaim), now)
		if err != nil {
			n.log.Error("claim a row of the outbox", zap.String("receiver", row.Receiver), zap.Error(err))
			break
		}
		if ok {
			row.Attempt = attempt
			claimed = append(claimed, row)
		}
	}
	return claimed
}

// briefAll reads what is true now of each row, the worst first. What nobody needs any more is settled; what can't be
// read is given back, and what can't be read in time is left until its claim runs out.
func (n *Notifier) briefAll(ctx context.Context, log *zap.Logger, rows []incident.Delivery, claimed time.Time) []told {
	var all []told
	for _, row := range rows {
		if len(all) > 0 && n.now().Sub(claimed) > briefTime {
			log.Warn("the store is slow: a digest goes out with a part of its rows", zap.Int("rows", len(rows)), zap.Int("ready", len(all)))
			break
		}
		briefing, _, err := n.brief(ctx, row, nil)
		of := log.With(zap.String("incident", nameOf(row, briefing.View)))
		switch {
		case err != nil:
			n.settle(ctx, of, row, briefing.View, Result{Outcome: Retry, Detail: err.Error()})
		case briefing.Needless != "":
			n.supersede(ctx, of, row, briefing.View, briefing.Needless)
		default:
			all = append(all, told{row, briefing})
		}
	}
	slices.SortStableFunc(all, func(a, b told) int {
		return cmp.Or(cmp.Compare(a.View.Severity, b.View.Severity), a.row.StartedAt.Compare(b.row.StartedAt), cmp.Compare(a.View.Number, b.View.Number))
	})
	return all
}

// sendAll sends one message for many rows, and tells what became of them; it gives that too, empty where nothing was sent.
func (n *Notifier) sendAll(ctx context.Context, log *zap.Logger, key string, all []told, m Message, claimed time.Time, within time.Duration) Outcome {
	name := all[0].row.Receiver
	log = log.With(zap.Int("rows", len(all)), zap.String("key", key))
	receiver, known := n.config.Receivers()[name]
	switch {
	case !known:
		result := Result{Outcome: Refused, Detail: notInSettings(name)}
		n.settleAll(ctx, log, key, all, result)
		return result.Outcome
	case n.slept(claimed, within-sendTimeout/2):
		log.Warn("getting a digest ready took too long; its rows are read again when their claims run out")
		return ""
	}
	result := n.send(ctx, receiver, m, claimed, within)
	n.settleAll(ctx, log, key, all, result)
	return result.Outcome
}

// settleAll tells what became of the rows of one message, of each as if it had gone by itself. They are tried again at
// one time, and under the same key.
func (n *Notifier) settleAll(ctx context.Context, log *zap.Logger, key string, all []told, result Result) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	first, now := all[0].row, n.now()
	n.config.Metrics.digested(all, result.Outcome, now)
	n.noteResult(first.Receiver, result, now)
	if first.Kind == incident.DeliverPage || first.Kind == incident.DeliverNotice {
		n.digestOver(first.Receiver, first.Kind, result.Outcome, now)
	}
	attempt := slices.MaxFunc(all, func(a, b told) int { return cmp.Compare(a.row.Attempt, b.row.Attempt) }).row.Attempt
	wait := pause(first, attempt, result.RetryAfter)
	log = log.With(zap.Int("status", result.Status), zap.String("detail", result.Detail))
	switch {
	case result.Outcome == Delivered:
		log.Info("delivered as one message")
	case result.Outcome == Refused:
		log.Error("refused")
	case rarely(attempt):
		log.Warn("not delivered yet", zap.Int("attempt", attempt), zap.Stringer("next", wait.Round(100*time.Millisecond)))
	}
	if err := n.writeAll(ctx, log, key, all, result, now.Add(wait)); err != nil {
		log.Error("write what became of a digest; what isn't written will be sent again", zap.Error(err))
	}
}

func (n *Notifier) writeAll(ctx context.Context, log *zap.Logger, key string, all []told, result Result, again time.Time) error {
	if result.Outcome == Delivered {
		for _, one := range all {
			n.forget(one.row.ID)
		}
		return n.config.Desk.DeliveredIn(ctx, rowsOf(all), key, result.Receipt)
	}
	for _, one := range all {
		var err error
		if result.Outcome == Refused {
			n.forget(one.row.ID)
			err = n.config.Desk.Failed(ctx, one.row, result.Detail, true)
		} else {
			// Given back before anything is told: that may take its time, and they must come back together.
			err = n.config.Outbox.Retry(ctx, one.row.ID, again, result.Detail)
		}
		if err != nil {
			return err
		}
	}
	if result.Outcome != Refused {
		for _, one := range all {
			n.tell(ctx, log, one.row, result.Detail, n.now())
		}
	}
	return nil
}

func rowsOf(all []told) []incident.Delivery {
	rows := make([]incident.Delivery, len(all))
	for i, one := range all {
		rows[i] = one.row
	}
	return rows
}

// fold settles rows about incidents that stand under a digest's key, all of one kind.
func (n *Notifier) fold(ctx context.Context, rows []incident.Delivery) bool {
	claimed := n.now()
	rows = n.claimAll(ctx, rows, claimed)
	if len(rows) == 0 {
		return false
	}
	n.foldClaimed(ctx, rows, claimed, digestTime)
	return true
}

// foldClaimed tells what a digest's key can say: that somebody has all of its incidents, once that is so, and that all
// are over, when they are. What happens to a single one of them on the way is not told: whoever must act on it is called
// by itself.
func (n *Notifier) foldClaimed(ctx context.Context, rows []incident.Delivery, claimed time.Time, within time.Duration) {
	name, key, kind := rows[0].Receiver, rows[0].Digest, rows[0].Kind
	log := n.log.With(zap.String("receiver", name), zap.String("kind", kind), zap.String("digest", key))
	standing, err := n.standingUnder(ctx, name, key)
	if err != nil {
		log.Error("read what stands under a digest; tried again when the claims run out", zap.Error(err))
		return
	}
	takers := takersOf(standing)
	receiver, known := n.config.Receivers()[name]
	if known && uncarried(receiver, kind) != "" || n.goesOn(kind, standing) || n.said(name, kind, key, takers) {
		n.settleFolded(ctx, log, name, key, rows)
		return
	}
	all := n.briefAll(ctx, log, rows, claimed)
	if len(all) == 0 {
		return
	}
	m := composeDigestOver(key, all, viewsOf(standing, all), n.now())
	if n.sendAll(ctx, log, key, all, m, claimed, within) == Delivered {
		n.say(name, kind, key, takers)
	}
}

// viewsOf are the incidents that stand under a digest; when none does any more, those that its last rows are about.
func viewsOf(standing []incident.Standing, all []told) []incident.View {
	var views []incident.View
	for _, s := range standing {
		views = append(views, s.View)
	}
	if len(views) > 0 {
		return views
	}
	for _, one := range all {
		views = append(views, one.View)
	}
	return views
}

// goesOn tells whether a digest's key can't say yet what rows of a kind are about.
func (n *Notifier) goesOn(kind string, standing []incident.Standing) bool {
	switch kind {
	case incident.DeliverEnd:
		return len(standing) > 0
	case incident.DeliverAcknowledge:
		return slices.ContainsFunc(standing, func(s incident.Standing) bool { return s.View.AcknowledgedBy == "" || s.View.Calling })
	}
	return true
}

// takersOf names who has which incident since when.
func takersOf(standing []incident.Standing) string {
	var takers []string
	for _, s := range standing {
		taker := s.View.ID + " " + s.View.AcknowledgedBy
		if s.View.TakenAt != nil {
			taker += " " + s.View.TakenAt.String()
		}
		takers = append(takers, taker)
	}
	slices.Sort(takers)
	return strings.Join(takers, "\n")
}

// said tells whether a receiver has been told the same of a digest: rows that come late have no news then.
func (n *Notifier) said(name, kind, key, takers string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	last, known := n.lane(name).over[kind+" "+key]
	return known && last.takers == takers
}

// say remembers what a receiver was told of a digest.
func (n *Notifier) say(name, kind, key, takers string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, now := n.lane(name), n.now()
	maps.DeleteFunc(l.over, func(_ string, old over) bool { return now.Sub(old.at) > overKept })
	l.over[kind+" "+key] = over{takers, now}
}

// settleFolded settles rows without a message.
func (n *Notifier) settleFolded(ctx context.Context, log *zap.Logger, name, key string, rows []incident.Delivery) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	log.Debug("not told by itself: a digest stands for it", zap.Int("rows", len(rows)))
	n.config.Metrics.fold(name, len(rows))
	for _, row := range rows {
		n.forget(row.ID)
	}
	if err := n.config.Desk.DeliveredIn(ctx, rows, key, ""); err != nil {
		log.Error("write that a digest stands for rows", zap.Error(err))
	}
}

// standingUnder gives what stands at a receiver under a digest's key, the worst first.
func (n *Notifier) standingUnder(ctx context.Context, name, key string) ([]incident.Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	standing, err := n.config.Desk.Standing(ctx, name)
	standing = slices.DeleteFunc(standing, func(s incident.Standing) bool { return s.Digest != key })
	slices.SortStableFunc(standing, func(a, b incident.Standing) int { return cmp.Compare(a.View.Severity, b.View.Severity) })
	return standing, err
}

// digestID names a digest's delivery: the same rows under the same key are the same delivery, and with other rows it is
// another one, for a receiver may drop what it has seen.
func digestID(key, kind string, all []told) string {
	parts := []string{key, kind}
	for _, one := range all {
		parts = append(parts, one.row.ID)
	}
	slices.Sort(parts[2:])
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}
