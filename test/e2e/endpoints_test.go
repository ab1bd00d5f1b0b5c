//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestWhateverAnEndpointAnswersTheAnswerIsClearAndTheIncidentGoesOn plays endpoints that do not do what they should, each
// in an incident of its own.
func TestWhateverAnEndpointAnswersTheAnswerIsClearAndTheIncidentGoesOn(t *testing.T) {
	t.Parallel()
	bots := map[string]*assistant{}
	var all []*assistant
	for _, name := range []string{"lying-bot", "slow-bot", "failing-bot", "redirecting-bot", "prompt-bot", "own-bot"} {
		bots[name] = startAssistant(t, name, "kb-1")
		all = append(all, bots[name])
	}
	r := newRollbackRailway(t, "enabled", all, func(r *railway) {
		r.other.top += "limits: {pages: 20/15m}\n"
		own := "runbooks/own-bot.yaml"
		r.other.files[own] = strings.Replace(r.other.files[own], "settle: 4s", "approval: none", 1)
	})
	r.daemon.startReady()
	r.waitForHistoryOf("lying-bot")
	bots["lying-bot"].be(lies)
	bots["slow-bot"].be(swallowsIt)
	bots["failing-bot"].be(failsAt)
	bots["redirecting-bot"].be(redirectsIt)
	for name, bot := range bots {
		r.changed(name)
		bot.ask()
	}
	incidents := map[string]string{}
	for name := range bots {
		incidents[name] = r.pagedFor(name)
	}
	for name, plays := range map[string]func(*endpoint){
		"lying-bot": (*endpoint).lied, "slow-bot": (*endpoint).waited, "failing-bot": (*endpoint).failed,
		"redirecting-bot": (*endpoint).redirected, "prompt-bot": (*endpoint).hadIt, "own-bot": (*endpoint).neededNobody,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plays(&endpoint{r, t, bots[name], incidents[name]})
		})
	}
}

func (r *railway) waitForHistoryOf(service string) {
	r.t.Helper()
	eventually(r.t, 20*time.Second, "Prometheus has some seconds of history", func() (struct{}, error) {
		now := time.Now()
		points, err := r.prometheus.history(refusalShare(service), now.Add(-4*time.Second), now)
		if err == nil && len(points) < 4 {
			err = fmt.Errorf("%d points", len(points))
		}
		return struct{}{}, err
	})
}

// endpoint is one assistant and the incident of its service.
type endpoint struct {
	*railway
	t      *testing.T
	bot    *assistant
	number string
}

// press asks for a step, and gives the answer's status and text.
func (e *endpoint) press(by, step string) (int, string) {
	e.t.Helper()
	text, err := json.Marshal(map[string]string{"by": by, "step": step})
	if err != nil {
		e.t.Fatal(err)
	}
	status, answer, err := send(e.daemon.client, e.daemon.url+"/api/v1/incidents/"+e.number+"/rollbacks", text)
	if err != nil {
		e.t.Fatal(err)
	}
	return status, answer
}

// pressed is press for what is taken.
func (e *endpoint) pressed() {
	e.t.Helper()
	if status, answer := e.press("alice", "prompt"); status/100 != 2 {
		e.t.Fatalf("asking for the prompt: %d: %s", status, answer)
	}
}

// fails waits until an action has failed, and looks at what is said of it.
func (e *endpoint) fails(id, why, cause string, within time.Duration) {
	e.t.Helper()
	a := e.waitFor(id, within, "fails", hasFailed)
	if a.Why != why || !strings.Contains(a.Cause, cause) {
		e.t.Errorf("action %s: %s: %s; want %s, and in the cause: %s", id, a.Why, a.Cause, why, cause)
	}
}

func (e *endpoint) waitFor(id string, within time.Duration, what string, wanted func(ledAction) bool) ledAction {
	e.t.Helper()
	d := *e.daemon
	d.t = e.t
	return d.waitForAction(e.number, id, within, what, wanted)
}

// recovers asks once more with an endpoint that does what it should, and sees the incident to its end: what went before
// left nothing in the way.
func (e *endpoint) recovers(id string) {
	e.t.Helper()
	e.bot.be(setsIt)
	e.pressed()
	e.waitFor(id, 30*time.Second, "takes effect", func(a ledAction) bool { return isEffective(a) && a.How == "sent" })
	e.ends()
}

// ends waits for the verified end.
func (e *endpoint) ends() {
	e.t.Helper()
	eventually(e.t, e.resolvesWithin()+30*time.Second, "the incident is resolved", func() (struct{}, error) {
		i, err := e.daemon.led(e.number)
		if err == nil && i.State != "resolved" {
			err = fmt.Errorf("it is %s:\n%s", i.State, i.story())
		}
		return struct{}{}, err
	})
}

func (e *endpoint) askedFor(want int) {
	e.t.Helper()
	if err := e.bot.wasAsked(want); err != nil {
		e.t.Error(err)
	}
}

// lied: 200, and what is read back is the old version, until somebody sets it.
func (e *endpoint) lied() {
	e.pressed()
	e.waitFor("1", 10*time.Second, "is begun", isStarted)
	if status, answer := e.press("bob", "prompt"); status != 409 || !strings.Contains(answer, "action 1, prompt, is under way") {
		e.t.Errorf("another one asks while it is in flight: %d: %s, want 409 that names action 1", status, answer)
	}
	always(e.t, time.Now().Add(8*time.Second), "a yes that nothing follows is not believed", func() error {
		i, err := e.daemon.led(e.number)
		if err == nil && !isStarted(i.Actions[0]) {
			err = fmt.Errorf("the action is %+v", i.Actions[0])
		}
		return err
	})
	e.bot.set(promptPointer, "prompt-v6")
	e.waitFor("1", 15*time.Second, "is seen to be set", isDone)
	e.ends()
	e.askedFor(1)
}

// waited: no answer within the time that an attempt has, once without the deed and once after it.
func (e *endpoint) waited() {
	e.pressed()
	e.fails("1", "unanswered", "no answer in time", 30*time.Second)
	e.askedFor(1)
	e.bot.be(setsAndIsSilent)
	e.pressed()
	e.waitFor("2", 30*time.Second, "is seen to be set", isDone)
	e.ends()
	e.askedFor(2)
}

// failed: a 500 proves nothing, a 403 does.
func (e *endpoint) failed() {
	e.pressed()
	e.fails("1", "unanswered", "500 Internal Server Error", 15*time.Second)
	e.bot.be(forbidsIt)
	e.pressed()
	e.fails("2", "refused", "403 Forbidden", 15*time.Second)
	e.askedFor(2)
	e.recovers("3")
	e.askedFor(3)
}

// redirected: the request goes where the settings say, and nowhere else.
func (e *endpoint) redirected() {
	e.pressed()
	e.fails("1", "refused", "redirects are not followed", 15*time.Second)
	e.bot.be(movesIt)
	e.pressed()
	e.fails("2", "unanswered", "302 Found", 15*time.Second)
	e.recovers("3")
	e.askedFor(3)
	e.bot.mutex.Lock()
	defer e.bot.mutex.Unlock()
	if e.bot.strayed != 0 {
		e.t.Errorf("%d requests followed the redirect", e.bot.strayed)
	}
}

// hadIt: somebody set it back already; what there is not is refused; and so is everything after the end.
func (e *endpoint) hadIt() {
	if status, answer := e.press("alice", "weihgts"); status != 422 || !strings.Contains(answer, "prompt, retrieval_index, router_policy") {
		e.t.Errorf("an unknown artifact: %d: %s, want 422 and the steps that there are", status, answer)
	}
	e.bot.set(promptPointer, "prompt-v6")
	e.pressed()
	a := e.waitFor("1", 15*time.Second, "is done", isDone)
	if a.How != "seen" {
		e.t.Errorf("how it was done: %+v, want that it was seen to be set", a)
	}
	e.ends()
	e.askedFor(0)
	if status, answer := e.press("alice", "prompt"); status != 409 || !strings.Contains(answer, "resolved") {
		e.t.Errorf("after the end: %d: %s, want 409", status, answer)
	}
	e.askedFor(0)
}

// neededNobody: the runbook asks for nobody's approval.
func (e *endpoint) neededNobody() {
	a := e.waitFor("1", 20*time.Second, "takes effect", isEffective)
	if a.By != "irdaemon" || a.How != "sent" {
		e.t.Errorf("the action is %+v, want the daemon's own", a)
	}
	e.ends()
	e.askedFor(1)
}
