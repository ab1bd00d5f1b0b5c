package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// What is sent past the outbox: a test of a receiver, and a call about the daemon itself that the store can't keep. Both
// are counted nowhere.

// directTime is how long a message past the outbox may take, with the wait for what its receiver is being sent.
const directTime = 2 * sendTimeout

// Trial is how a test of a receiver went: the answer to its page, and how long it took to come. What went wrong with the
// end that followed a page which was delivered is told in Detail.
type Trial struct {
	Result
	Took time.Duration
}

// Test sends a page to a receiver at once and, when it is delivered, its end. By is who asks, whom the message names.
func (n *Notifier) Test(ctx context.Context, receiver, by string) Trial {
	now := n.now()
	key := fmt.Sprintf("%stest/%d", n.keyPrefix(), now.Unix())
	page := testPage(key, receiver, by, now)
	result, took := n.direct(ctx, receiver, page)
	trial := Trial{Result: result, Took: took}
	if result.Outcome != Delivered {
		return trial
	}
	end := page
	end.ID, end.Kind, end.SentAt = page.ID+"-end", incident.DeliverEnd, n.now()
	end.Thread, end.Receipt = result.Receipt, result.Receipt
	end.Title, end.Text = "TEST over: "+receiver+" has been reached", "Now     the test is over; nothing to do\n"
	end.Incident.State, end.Incident.ResolvedAt, end.Incident.Calling, end.Incident.Headline = incident.ResolvedState, &end.SentAt, false, end.Title
	if ended, _ := n.direct(ctx, receiver, end); ended.Outcome != Delivered {
		trial.Detail = strings.TrimPrefix(trial.Detail+"; the page arrived, but its end did not, so end it there by hand: "+ended.Detail, "; ")
	}
	return trial
}

// testPage is a page that looks like one of an incident that there isn't.
func testPage(key, receiver, by string, now time.Time) Message {
	title := fmt.Sprintf("TEST of the receiver %s, asked for by %s: nothing is broken", receiver, by)
	var t text
	t.line("Why", by+" asked for it, to see whether a page arrives here")
	t.line("Now", "nothing is broken; nothing to do")
	m := Message{
		ID: idOf(key), Kind: incident.DeliverPage, Key: key, Round: 1, Title: title, Text: t.String(),
		Causes: []string{incident.CauseOpened}, Severity: runbook.Sev2, StartedAt: now, CreatedAt: now, SentAt: now,
		Incident: incident.View{
			ID: fmt.Sprintf("test-%d", now.Unix()), Runbook: "test", Title: "TEST of the receiver " + receiver, Headline: title,
			Service: "irdaemon", Severity: runbook.Sev2, State: incident.Triggered, Owner: by, Calling: true, OpenedAt: &now,
			Impact: "none: this is a test",
		},
	}
	return m.finished()
}

// idOf makes the id of a message past the outbox of its key; an id may hold no dot.
func idOf(key string) string { return strings.NewReplacer("/", "-", ".", "-").Replace(key) }

// Call tells whoever is responsible for the daemon of a trouble of its own that the store can't keep, or that it is over,
// at all their receivers at once. An error says that none of them has taken it.
func (n *Notifier) Call(ctx context.Context, key, kind, trouble string, over bool) error {
	receivers := n.config.Owner()
	if len(receivers) == 0 {
		return errors.New("the settings' owner has no receiver")
	}
	message := n.callOfSelf(key, kind, trouble, over)
	var calling sync.WaitGroup
	errs := make([]error, len(receivers))
	for i, name := range receivers {
		calling.Go(func() { errs[i] = n.callOne(ctx, name, message) })
	}
	calling.Wait()
	reached := 0
	for i, err := range errs {
		if err == nil {
			reached++
			continue
		}
		n.log.Error("a call past the store was not taken", zap.String("receiver", receivers[i]), zap.String("key", key), zap.Error(err))
	}
	if reached == 0 {
		return errors.Join(errs...)
	}
	return nil
}

// callOne tells one receiver, and keeps its receipt for the end.
func (n *Notifier) callOne(ctx context.Context, name string, m Message) error {
	n.mu.Lock()
	m.Receipt = n.unkept[m.Key][name]
	m.Thread = m.Receipt
	n.mu.Unlock()
	result, _ := n.direct(ctx, name, m)
	if result.Outcome != Delivered {
		return fmt.Errorf("receiver %s: %s", name, result.Detail)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if m.Kind == incident.DeliverEnd {
		delete(n.unkept[m.Key], name)
		if len(n.unkept[m.Key]) == 0 {
			delete(n.unkept, m.Key)
		}
		return nil
	}
	if n.unkept[m.Key] == nil {
		n.unkept[m.Key] = map[string]string{}
	}
	n.unkept[m.Key][name] = cmp.Or(m.Receipt, result.Receipt)
	return nil
}

// callOfSelf is the message of a trouble that the store can't keep.
func (n *Notifier) callOfSelf(key, kind, trouble string, over bool) Message {
	now := n.now()
	view := incident.View{
		ID: "self-" + kind, Runbook: "self/" + kind, Title: "irdaemon itself is in trouble: " + kind, Service: "irdaemon",
		Class: incident.Self, Severity: runbook.Sev2, State: incident.Triggered, Calling: true, Rule: trouble,
	}
	m := Message{
		ID: idOf(key), Kind: incident.DeliverPage, Key: key, Round: 1,
		Causes: []string{incident.CauseOpened}, Severity: runbook.Sev2, StartedAt: now, CreatedAt: now, SentAt: now,
	}
	var t text
	if over {
		m.ID, m.Kind = m.ID+"-end", incident.DeliverEnd
		view.State, view.Calling, view.ResolvedAt = incident.ResolvedState, false, &now
		view.Headline = "OVER " + view.Title
		t.line("Now", "over; nothing to do")
	} else {
		view.Headline = view.Title + ": " + trouble
		t.line("Wrong", trouble)
		t.line("Note", "its store can't keep this, so it calls past it: incidents that open now may not be kept, nor paged. It is called again every minute until a receiver takes it; an acknowledgement can't be kept either")
		t.lookAtDaemon("on its machine, http://127.0.0.1:9847")
	}
	m.Title, m.Text, m.Incident = view.Headline, t.String(), view
	return m.finished()
}

// direct sends a message past the outbox, in turn with what the receiver gets from it, and gives how long the send took.
func (n *Notifier) direct(ctx context.Context, name string, m Message) (Result, time.Duration) {
	receiver, ok := n.config.Receivers()[name]
	if !ok {
		return Result{Outcome: Refused, Detail: fmt.Sprintf("there is no receiver %q in the settings", name)}, 0
	}
	ctx, cancel := context.WithTimeout(ctx, directTime)
	defer cancel()
	turn := n.turn(name)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return Result{Outcome: Retry, Detail: "the receiver is busy with another message, which it does not answer"}, 0
	}
	began := n.now()
	result := n.send(ctx, receiver, m, began, sendTimeout)
	took := n.now().Sub(began)
	n.noteResult(name, result, n.now())
	return result, took
}
