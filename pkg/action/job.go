package action

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// job is the work on one action, from its approval to what is known of its effect where it was sent.
type job struct {
	executor *Executor
	record   *incident.Record
	action   incident.Action
	log      *zap.Logger

	request *Request
	runner  *Runner
	// uncertain: an attempt was made that may have been done, so that whatever comes now, it is not known to be undone.
	uncertain bool
}

// perform sends what was approved. The intent of each attempt is committed before it.
func (j *job) perform(ctx context.Context) {
	if why := j.overdue(); why != "" {
		j.lapse(ctx, incident.FailedExpired, why)
		return
	}
	for attempt := 1; ; attempt++ {
		if !j.ready(ctx) || !j.begin(ctx, attempt) || !j.allowed(ctx) {
			return
		}
		o := j.send(ctx, attempt)
		wait, again := o.Repeat(j.request, attempt)
		if again && wait <= j.executor.pace.repeatWithin && pause(ctx, wait) {
			continue
		}
		j.settle(ctx, o)
		return
	}
}

// overdue says why an approval isn't good any more: a daemon that was down must not act hours later on what people
// wanted then. Of two people the second may have approved as late as a quarter of an hour after the request.
func (j *job) overdue() string {
	good := j.executor.pace.approvalGood
	if j.action.Approval == runbook.ApprovalTwoPerson {
		good *= 2
	}
	if late := j.executor.config.Now().Sub(j.action.RequestedAt); late > good {
		return fmt.Sprintf("it was asked for %s ago and could not be begun since", late.Round(time.Minute))
	}
	return ""
}

// allowed asks the kill switch.
func (j *job) allowed(ctx context.Context) bool {
	if why := j.executor.barred(); why != "" {
		j.fail(ctx, incident.FailedDryRun, why)
		return false
	}
	return true
}

// ready renders the request anew and looks at what is live now: what is sent must be what was approved. Where all is
// set already nothing needs to be sent.
func (j *job) ready(ctx context.Context) bool {
	if !j.allowed(ctx) {
		return false
	}
	if err := j.render(); err != nil {
		j.fail(ctx, incident.FailedRefused, err.Error())
		return false
	}
	seen, err := j.runner.Observe(ctx, j.request)
	switch {
	case ctx.Err() != nil:
		return false
	case err == nil && seen.Already:
		how := incident.DoneSeen
		if j.uncertain {
			how = incident.DoneSent
		}
		j.set(ctx, how)
		return false
	}
	if why := j.changed(ctx, seen, err); why != "" {
		j.fail(ctx, incident.FailedRefused, why)
		return false
	}
	return true
}

// render makes the request and the runner from what the settings have now.
func (j *job) render() error {
	p, err := find(j.record, j.action.Step, j.action.Mitigate)
	if err != nil {
		return err
	}
	if p.action == nil {
		return errors.New("the runbook has no action for it")
	}
	connectors := j.executor.config.Connectors()
	j.request, err = connectors.Render(CallOf(p.action), p.values(j.record, j.action.From, j.action.To))
	if err != nil {
		return err
	}
	j.runner = j.executor.runner()
	return nil
}

// changed says why what was approved is not what would happen now; empty: it is. What nobody approved, since the
// runbook asks for no approval, goes ahead only where the version that is to be replaced is the one that is live.
func (j *job) changed(ctx context.Context, seen Observation, err error) string {
	if j.unattended() {
		return j.drifted(ctx)
	}
	switch {
	case j.request.Digest(seen.Seen) == j.action.Digest:
		return ""
	case err != nil:
		return "the live version can't be compared with the one when it was approved: " + err.Error()
	}
	return "the live version, or what would be sent, changed since it was approved; live is now " + shown(seen.Seen)
}

// unattended tells whether the daemon asked for the action itself.
func (j *job) unattended() bool {
	return j.action.Approval == runbook.ApprovalNone && j.action.RequestedBy == incident.Daemon && j.action.Digest == ""
}

// drifted says why the version that is live is not known to be the one that the change log has; empty: it is. Where that
// can't be seen nothing is sent: a change log holds what anybody reported.
func (j *job) drifted(ctx context.Context) string {
	p, err := find(j.record, j.action.Step, j.action.Mitigate)
	switch {
	case err != nil:
		return err.Error()
	case j.action.From == "":
		return "nobody approves it, and the version that it replaces is not known"
	case !p.action.NeedsNobody() && p.action.Semantics != runbook.SemanticsSet:
		return "nobody approves it, and it starts something that may not be started twice"
	case !p.action.NeedsNobody():
		return "nobody approves it, and nothing reads the live version"
	}
	present, err := j.executor.config.Connectors().Render(CallOf(p.action), p.values(j.record, j.action.From, j.action.From))
	if err != nil {
		return err.Error()
	}
	switch seen, err := j.runner.Observe(ctx, present); {
	case err != nil:
		return "nobody approves it, and the live version can't be read: " + err.Error()
	case !seen.Already:
		return fmt.Sprintf("nobody approves it, and the live version is not %s, which the change log has: live is %s", j.action.From, shown(seen.Seen))
	}
	return ""
}

// begin commits the intent of an attempt. Without that nothing is sent.
func (j *job) begin(ctx context.Context, attempt int) bool {
	err := j.executor.config.Desk.Action(ctx, j.record.ID, incident.ActionOutcome{
		Action: j.action.ID, What: incident.ActionBegan, Attempt: attempt,
	})
	mine := j.executor.claim(intention{j.record.ID, j.action.ID, attempt})
	var refusal *incident.Refusal
	switch {
	case errors.As(err, &refusal):
		j.fail(ctx, incident.FailedRefused, refusal.Error())
		return false
	case err != nil:
		if ctx.Err() == nil {
			j.log.Error("the intent of an action could not be written: nothing is sent; looked at again soon", zap.Error(err))
		}
		return false
	case !mine:
		j.log.Warn("an attempt was begun elsewhere: nothing is sent here", zap.Int("attempt", attempt))
		return false
	}
	j.log.Info("action begins",
		zap.Int("attempt", attempt), zap.String("connector", j.request.Connector), zap.String("method", j.request.Method),
		zap.String("url", j.request.URL), zap.String("from", j.action.From), zap.String("to", j.action.To),
		zap.String("requested_by", j.action.RequestedBy), zap.Strings("approved_by", j.action.Approvers), zap.String("digest", j.action.Digest))
	return true
}

// send makes one attempt. A stop of the daemon waits for its answer.
func (j *job) send(ctx context.Context, attempt int) Outcome {
	began := time.Now()
	o := j.runner.Do(context.WithoutCancel(ctx), j.request, fmt.Sprintf("irdaemon-%s-%s-%d", j.record.ID, j.action.ID, attempt))
	j.uncertain = j.uncertain || o.State == Unknown
	j.log.Info("action answered",
		zap.Int("attempt", attempt), zap.String("outcome", string(o.State)), zap.Int("status", o.Status),
		zap.String("reason", o.Reason), zap.Duration("took", time.Since(began)))
	return o
}

// settle tells what came of the last attempt.
func (j *job) settle(ctx context.Context, o Outcome) {
	switch o.State {
	case Applied:
		j.confirm(ctx, o)
	case Unsent:
		j.fail(ctx, incident.FailedRefused, "nothing was sent: "+o.Reason)
	default:
		j.fail(ctx, incident.FailedRefused, o.Reason)
	}
}

// confirm reads back, for a while, whether what was taken is set. A stop of the daemon waits for the look that is under
// way.
func (j *job) confirm(ctx context.Context, o Outcome) {
	if j.request.Confirm == nil {
		j.set(ctx, incident.DoneSent)
		return
	}
	began := time.Now()
	for {
		confirmed, seen, err := j.runner.Confirm(context.WithoutCancel(ctx), j.request)
		switch {
		case confirmed:
			j.set(ctx, incident.DoneSent)
			return
		case time.Since(began) < j.executor.pace.confirmFor:
			if !pause(ctx, j.executor.pace.confirmEvery) {
				return
			}
			continue
		}
		cause := fmt.Sprintf("it was taken (%s), and after %s live is still %s", statusWords(o.Status), j.executor.pace.confirmFor, shown(seen))
		if err != nil {
			cause = fmt.Sprintf("it was taken (%s), and after %s that can't be read back: %s", statusWords(o.Status), j.executor.pace.confirmFor, err)
		}
		j.lapse(ctx, incident.FailedUnanswered, cause)
		return
	}
}

// resume takes up what was begun and has no outcome: the process ended, or the store could not be written. It may have
// been sent, so it is looked at and not sent.
func (j *job) resume(ctx context.Context) {
	j.uncertain = true
	cause := "whether it was sent is not known, for irdaemon stopped in between"
	if err := j.render(); err != nil {
		j.lapse(ctx, incident.FailedUnanswered, cause+"; it can't be looked at: "+err.Error())
		return
	}
	j.log.Warn("an action was begun and nothing is known of its answer: looked at, not sent again")
	j.fail(ctx, incident.FailedUnanswered, cause)
}

// look asks whether what was never answered is set after all.
func (j *job) look(ctx context.Context) {
	if err := j.render(); err != nil {
		return // it was told when it was given up
	}
	if confirmed, _, _ := j.runner.Confirm(ctx, j.request); confirmed {
		j.set(ctx, incident.DoneSent)
	}
}

// fail tells that the action failed. Where an earlier attempt may have been done it is looked at first, and unless it
// shows there, nobody knows.
func (j *job) fail(ctx context.Context, why, cause string) {
	if !j.uncertain {
		j.lapse(ctx, why, cause)
		return
	}
	if j.request != nil && j.request.Confirm != nil {
		if confirmed, _, _ := j.runner.Confirm(ctx, j.request); confirmed {
			j.set(ctx, incident.DoneSent)
			return
		}
	}
	if ctx.Err() == nil { // else the next start looks
		j.lapse(ctx, incident.FailedUnanswered, cause)
	}
}

func (j *job) set(ctx context.Context, how string) {
	j.tell(ctx, incident.ActionOutcome{What: incident.ActionSet, How: how}, how)
}

func (j *job) lapse(ctx context.Context, why, cause string) {
	j.tell(ctx, incident.ActionOutcome{What: incident.ActionLapsed, Why: why, Cause: cause}, why)
}

// tell commits what became of the action, for as long as it takes: what is known must not be forgotten. A stop of the
// daemon leaves it at one try; the next start finds the action begun and looks at it.
func (j *job) tell(ctx context.Context, o incident.ActionOutcome, outcome string) {
	o.Action = j.action.ID
	var refusal *incident.Refusal
	for try := 1; ; try++ {
		err := j.executor.config.Desk.Action(context.WithoutCancel(ctx), j.record.ID, o)
		switch {
		case err == nil:
			j.executor.metrics.count(j.connector(), outcome)
			j.log.Info("action over", zap.String("outcome", outcome), zap.String("cause", o.Cause))
			return
		case errors.As(err, &refusal), errors.Is(err, incident.ErrNotFound):
			j.log.Error("what became of an action is not taken", zap.String("outcome", outcome), zap.String("cause", o.Cause), zap.Error(err))
			return
		case try == 1:
			j.log.Error("what became of an action could not be written; tried until it is", zap.String("outcome", outcome), zap.Error(err))
		}
		if !pause(ctx, j.executor.pace.tellAgain) {
			return
		}
	}
}

// connector names the connector of the action, as its runbook does.
func (j *job) connector() string {
	p, err := find(j.record, j.action.Step, j.action.Mitigate)
	if err != nil || p.action == nil {
		return ""
	}
	return p.action.Connector
}

// shown is a live value for people.
func shown(seen string) string {
	if seen == "" {
		return "unknown"
	}
	return seen
}

// pause waits; false: ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
