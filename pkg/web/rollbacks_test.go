package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

func TestWhatARollbackCannotMeanIsRefused(t *testing.T) {
	const back, approve = of42 + "rollbacks", of42 + "approve"
	long := strings.Repeat("x", 201)
	for _, test := range []struct {
		name, method, target, body string
		status                     int
		says                       []string
	}{
		{"nothing", "POST", back, `{"by":"alice"}`, 422, []string{"body.step", "either step or mitigate"}},
		{"both", "POST", back, `{"by":"alice","step":"prompt","mitigate":"x"}`, 422, []string{"either step or mitigate"}},
		{"a rollback by nobody", "POST", back, `{"step":"prompt"}`, 422, []string{"body.by"}},
		{"a misspelt step", "POST", back, `{"by":"alice","step":"support promt"}`, 422, []string{`no step \"support promt\"`, "body.step", "did you mean support prompt?", "retrieval_index"}},
		{"a step that clears the screen", "POST", back, `{"by":"alice","step":"\u001b[2J"}`, 422, []string{"body.step", "control"}},
		{"a step without end", "POST", back, `{"by":"alice","step":"` + long + `"}`, 422, []string{"body.step", "200"}},
		{"a mitigation that there is not", "POST", back, `{"by":"alice","mitigate":"Pray"}`, 422, []string{`no mitigation \"Pray\"`, "body.mitigate", "Route paid traffic"}},
		{"a mitigation to a version", "POST", back, `{"by":"alice","mitigate":"x","to":"v1"}`, 422, []string{"body.to", "a mitigation has no versions"}},
		{"a version with a line feed", "POST", back, `{"by":"alice","step":"prompt","to":"a\nb"}`, 422, []string{"body.to", "control"}},
		{"a version that is empty", "POST", back, `{"by":"alice","step":"prompt","to":""}`, 422, []string{"body.to"}},
		{"a version that is a number", "POST", back, `{"by":"alice","step":"prompt","to":6}`, 422, []string{"body.to", "string"}},
		{"a time of what nobody did", "POST", back, `{"by":"alice","step":"prompt","at":"2026-11-03T14:11:00Z"}`, 422, []string{"body.at", "by_hand: true"}},
		{"a digest of what a person did", "POST", back, `{"by":"alice","step":"prompt","by_hand":true,"digest":"x"}`, 422, []string{"body.digest"}},
		{"a digest of what has no request", "POST", back, `{"by":"alice","step":"retrieval_index","digest":"x"}`, 409, []string{"changed since you looked", "look at what would be sent"}},
		{"by hand in words", "POST", back, `{"by":"alice","step":"prompt","by_hand":"yes"}`, 422, []string{"body.by_hand", "boolean"}},
		{"a key that there is not", "POST", back, `{"by":"alice","step":"prompt","force":true}`, 422, []string{"body.force"}},
		{"a rollback of another version than runs", "POST", back, `{"by":"alice","step":"prompt","from":"prompt-v8"}`, 409, []string{`the version now is \"prompt-v7\", not \"prompt-v8\"`}},
		{"a rollback of what is over", "POST", "/api/v1/incidents/41/rollbacks", `{"by":"alice","step":"prompt"}`, 422, []string{"no step"}},
		{"a rollback of an unknown incident", "POST", "/api/v1/incidents/99/rollbacks", `{"by":"alice","step":"prompt"}`, 404, []string{`no incident \"99\"`}},

		{"an approval of nothing", "POST", approve, `{"by":"alice"}`, 422, []string{"action"}},
		{"an approval of what there is not", "POST", approve, `{"by":"alice","action":"7"}`, 409, []string{`no action \"7\"`}},
		{"an approval by nobody", "POST", approve, `{"action":"1"}`, 422, []string{"body.by"}},
		{"an approval in an unknown incident", "POST", "/api/v1/incidents/99/approve", `{"by":"alice","action":"1"}`, 404, []string{"99"}},

		{"a look at a misspelt step", "GET", back + "/promt", "", 404, []string{`no step \"promt\"`, "support prompt"}},
		{"a look at a step that clears the screen", "GET", back + "/%1b%5b2J", "", 422, []string{"path.step", "control"}},
		{"a look at a version that turns around", "GET", back + "/prompt?to=v%E2%80%AE", "", 422, []string{"query.to"}},
		{"a look at a mitigation that there is not", "GET", of42 + "mitigations/Pray", "", 404, []string{`no mitigation \"Pray\"`}},
		{"a look in an unknown incident", "GET", "/api/v1/incidents/99/rollbacks/prompt", "", 404, []string{"99"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			answer := f.call(test.method, test.target, test.body)
			problem := decode[web.Problem](t, answer)
			if answer.Code != test.status || answer.Header().Get("Content-Type") != "application/problem+json" || problem.Detail == "" {
				t.Errorf("%d, want %d: %s", answer.Code, test.status, answer.Body)
			}
			for _, part := range test.says {
				if !strings.Contains(answer.Body.String(), part) {
					t.Errorf("the problem does not say %s:\n%s", part, answer.Body)
				}
			}
			nothingWasWritten(t, f)
		})
	}
}

func TestALookShowsWhatWouldBeSentAndDoesNothing(t *testing.T) {
	w := newWorld(t)
	w.must("POST", changesPath, `{"artifact":"prompt","service":"support-bot","from":"prompt-v5","to":"prompt-v7","at":"2026-11-03T13:30:00Z"}`)
	before := len(w.view().Timeline)
	for _, target := range []string{"rollbacks/prompt", "rollbacks/support%20prompt"} {
		p := decode[web.Prepared](t, w.must("GET", ofFirst+target, ""))
		if p.Step != "support prompt" || p.From != "prompt-v7" || p.To != "prompt-v5" || !strings.HasPrefix(p.Request, "PUT https://prompts.internal/labels/live\nAuthorization: ***") ||
			!strings.Contains(p.Request, `"prompt-v5"`) || p.Observed != `{"version":"prompt-v7"}` || p.Already || p.Digest == "" || p.Approval != "owner" || *p.Touches != 0.4 {
			t.Errorf("%s: %+v", target, p)
		}
	}
	if p := decode[web.Prepared](t, w.must("GET", ofFirst+"rollbacks/prompt?to=prompt-v7", "")); !p.Already || p.To != "prompt-v7" {
		t.Errorf("to the version that runs: %+v", p)
	}
	byHand := w.must("GET", ofFirst+"rollbacks/retrieval_index?to=kb-1", "")
	if p := decode[web.Prepared](t, byHand); p.HasAction() || p.Digest != "" || p.To != "kb-1" || strings.Contains(byHand.Body.String(), "null") {
		t.Errorf("a step without an action: %s", byHand.Body)
	}
	p := decode[web.Prepared](t, w.must("GET", ofFirst+"mitigations/"+url.PathEscape(fallback), ""))
	if p.Mitigate != fallback || !strings.Contains(p.Request, "router/policy") || len(p.Warnings) != 1 {
		t.Errorf("a mitigation: %+v", p)
	}
	if after := len(w.view().Timeline); after != before {
		t.Errorf("a look left %d events", after-before)
	}
}

func TestARollbackIsAskedForAsItWasLookedAt(t *testing.T) {
	w := newWorld(t)
	looked := decode[web.Prepared](t, w.must("GET", ofFirst+"rollbacks/prompt", ""))
	view := decode[incident.View](t, w.must("POST", ofFirst+"rollbacks", `{"by":"alice","step":"prompt","from":"prompt-v7","digest":"`+looked.Digest+`"}`))
	if len(view.Actions) != 1 || view.AcknowledgedBy != "alice" {
		t.Fatalf("%+v", view.Actions)
	}
	a := view.Actions[0]
	if a.ID != "1" || a.Step != "support prompt" || a.From != "prompt-v7" || a.To != "prompt-v6" || a.State != "requested" || a.By != "alice" {
		t.Errorf("%+v", a)
	}
	r, err := w.store.Load(t.Context(), "1")
	if err != nil || r.Actions[0].Digest != looked.Digest {
		t.Errorf("kept digest %q, %v", r.Actions[0].Digest, err)
	}
	other := w.call("POST", ofFirst+"rollbacks", `{"by":"bob","step":"prompt"}`)
	if problem := decode[web.Problem](t, other); other.Code != 409 || !strings.Contains(problem.Detail, "action 1, support prompt, is under way") || len(problem.Allowed) == 0 {
		t.Errorf("a second one: %d %s", other.Code, other.Body)
	}
	if again := decode[incident.View](t, w.must("POST", ofFirst+"rollbacks", `{"by":"alice","step":"prompt"}`)); len(again.Actions) != 1 {
		t.Errorf("the same again: %+v", again.Actions)
	}
}

func TestWhatChangedSinceTheLookIsNotSent(t *testing.T) {
	w := newWorld(t)
	looked := decode[web.Prepared](t, w.must("GET", ofFirst+"rollbacks/prompt", ""))
	w.planner.Serve("support prompt", "prompt-v8")
	before := len(w.view().Timeline)
	answer := w.call("POST", ofFirst+"rollbacks", `{"by":"alice","step":"prompt","digest":"`+looked.Digest+`"}`)
	if problem := decode[web.Problem](t, answer); answer.Code != 409 || !strings.Contains(problem.Detail, "changed since you looked") || strings.Contains(answer.Body.String(), w.digest("prompt")) {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if after := len(w.view().Timeline); after != before {
		t.Errorf("%d events", after-before)
	}
}

// digest is that of a look now.
func (w *world) digest(step string) string {
	w.t.Helper()
	return decode[web.Prepared](w.t, w.must("GET", ofFirst+"rollbacks/"+step, "")).Digest
}

func TestWhatAPersonDidIsRecordedAndNothingPrepared(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       incident.ActionView
	}{
		{"a step that the daemon could do", `{"by":"alice","step":"prompt","by_hand":true,"to":"prompt-v6","from":"prompt-v7","at":"2026-11-03T14:11:00Z"}`,
			incident.ActionView{Step: "support prompt", Title: "support prompt", From: "prompt-v7", To: "prompt-v6"}},
		{"a step with the plan's versions", `{"by":"alice","step":"prompt","by_hand":true,"at":"2026-11-03T14:11:00Z"}`,
			incident.ActionView{Step: "support prompt", Title: "support prompt", From: "prompt-v9", To: "prompt-v5"}},
		{"a step without an action, said to be by hand", `{"by":"alice","step":"retrieval_index","by_hand":true,"at":"2026-11-03T14:11:00Z"}`,
			incident.ActionView{Step: "retrieval_index", Title: "retrieval_index"}},
		{"a mitigation", `{"by":"alice","mitigate":"` + fallback + `","by_hand":true,"at":"2026-11-03T14:11:00Z"}`, incident.ActionView{Title: fallback}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.must("POST", changesPath, `{"artifact":"prompt","service":"support-bot","from":"prompt-v5","to":"prompt-v9","at":"2026-11-03T13:30:00Z"}`)
			view := decode[incident.View](t, w.must("POST", ofFirst+"rollbacks", test.body))
			if len(view.Actions) != 1 || view.State != incident.Mitigating {
				t.Fatalf("%s, %+v", view.State, view.Actions)
			}
			a := view.Actions[0]
			if a.Step != test.want.Step || a.Title != test.want.Title || a.From != test.want.From || a.To != test.want.To ||
				a.How != incident.DoneByHand || a.By != "alice" || !a.DoneAt.Equal(webtest.At("14:11:00")) {
				t.Errorf("%+v", a)
			}
			if w.planner.Prepared() != 0 {
				t.Error("it was prepared")
			}
		})
	}
	t.Run("a step without an action", func(t *testing.T) {
		w := newWorld(t)
		view := decode[incident.View](t, w.must("POST", ofFirst+"rollbacks", `{"by":"alice","step":"retrieval_index","to":"kb-1"}`))
		if a := view.Actions[0]; a.How != incident.DoneByHand || a.To != "kb-1" || !a.DoneAt.Equal(w.now) || w.planner.Prepared() != 0 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("before impact began", func(t *testing.T) {
		w := newWorld(t)
		if answer := w.call("POST", ofFirst+"rollbacks", `{"by":"alice","step":"prompt","by_hand":true,"at":"2026-11-03T09:00:00Z"}`); answer.Code != 409 || !strings.Contains(answer.Body.String(), "before impact began") {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	})
}

func TestAMitigationIsAskedForLikewise(t *testing.T) {
	w := newWorld(t)
	view := decode[incident.View](t, w.must("POST", ofFirst+"rollbacks", `{"by":"alice","mitigate":"`+fallback+`"}`))
	if len(view.Actions) != 1 || view.Actions[0].Title != fallback || view.Actions[0].Step != "" || view.Actions[0].State != "requested" {
		t.Errorf("%+v", view.Actions)
	}
}

func TestWhyNothingIsSentIsTold(t *testing.T) {
	const step = `{"by":"alice","step":"prompt"}`
	for _, test := range []struct {
		name, body string
		make       func(*world)
		status     int
		says       []string
	}{
		{"no version is known to go back to", `{"by":"alice","step":"thresholds"}`, nil, 409, []string{"no version of thresholds is known", "say to: "}},
		{"the connector does not allow it", step, func(w *world) {
			w.planner.Fail(&incident.Refusal{Reason: "the connector prompts does not allow PUT /labels/live", Allowed: "its allow in the settings"})
		}, 409, []string{"does not allow", "its allow"}},
		{"the planner is broken", step, func(w *world) { w.planner.Fail(errors.New("open /secret/token: no such file")) }, 500, []string{"its log says why"}},
		{"no planner", step, func(w *world) { w.config.Planner = nil; w.serve() }, 409, []string{"performs no actions", "by_hand"}},
		{"it is over", step, func(w *world) { w.stand("resolved") }, 409, []string{"#1 is resolved: nothing is changed", "reopen it"}},
		{"it is closed", step, func(w *world) { w.stand("closed") }, 409, []string{"#1 is closed"}},
		{"it is dismissed", step, func(w *world) { w.stand("dismissed") }, 409, []string{"#1 is dismissed"}},
		{"it is over, by hand", `{"by":"alice","step":"prompt","by_hand":true}`, func(w *world) { w.stand("resolved") }, 409, []string{"#1 is resolved since"}},
		{"two people whom nothing proves", `{"by":"alice","step":"weights"}`, nil, 403, []string{"needs two people", "web.tokens_file", "web.user_header"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			if test.make != nil {
				test.make(w)
			}
			before := len(w.view().Timeline)
			answer := w.call("POST", ofFirst+"rollbacks", test.body)
			if answer.Code != test.status || strings.Contains(answer.Body.String(), "secret") {
				t.Errorf("%d, want %d: %s", answer.Code, test.status, answer.Body)
			}
			for _, part := range test.says {
				if !strings.Contains(answer.Body.String(), part) {
					t.Errorf("does not say %s: %s", part, answer.Body)
				}
			}
			if after := len(w.view().Timeline); after != before {
				t.Errorf("%d events", after-before)
			}
			if test.status == 409 && strings.HasPrefix(test.name, "it is") && !strings.Contains(test.body, "by_hand") {
				if look := w.call("GET", ofFirst+"rollbacks/prompt", ""); look.Code != 409 || w.planner.Prepared() != 0 {
					t.Errorf("a look: %d %s", look.Code, look.Body)
				}
			}
		})
	}
}

func TestADryRunIsSaid(t *testing.T) {
	for _, actions := range []string{incident.ActionsDryRun, incident.ActionsOff} {
		w := newWorld(t)
		w.actions = actions
		view := decode[incident.View](t, w.must("POST", ofFirst+"rollbacks", `{"by":"alice","step":"prompt"}`))
		if a := view.Actions[0]; a.State != "failed" || a.Why != incident.FailedDryRun || a.Cause != "the settings have actions: "+actions {
			t.Errorf("%s: %+v", actions, a)
		}
	}
}

func TestTheSameRollbackUnderAKeyIsPreparedAndAskedForOnce(t *testing.T) {
	w := newWorld(t)
	body := `{"by":"alice","step":"prompt","digest":"` + w.digest("prompt") + `"}`
	prepared := w.planner.Prepared()
	var group sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 10)
	for i := range answers {
		group.Go(func() { answers[i] = w.call("POST", ofFirst+"rollbacks", body, "Idempotency-Key", "k") })
	}
	group.Wait()
	w.planner.Serve("support prompt", "prompt-v6") // it took effect: what would be sent now is something else
	answers = append(answers, w.call("POST", ofFirst+"rollbacks", body, "Idempotency-Key", "k"))
	for _, answer := range answers {
		if answer.Code != 200 || answer.Body.String() != answers[0].Body.String() {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
	if n := w.planner.Prepared() - prepared; n != 1 || len(w.view().Actions) != 1 {
		t.Errorf("prepared %d times, %d actions", n, len(w.view().Actions))
	}
	if other := w.call("POST", ofFirst+"rollbacks", `{"by":"alice","step":"weights"}`, "Idempotency-Key", "k"); other.Code != 422 {
		t.Errorf("another request with the key: %d", other.Code)
	}
}

func TestOfTwoPeoplePressingAtOnceOneIsTaken(t *testing.T) {
	w := newWorld(t)
	var group sync.WaitGroup
	answers := make([]*httptest.ResponseRecorder, 20)
	for i := range answers {
		group.Go(func() {
			answers[i] = w.call("POST", ofFirst+"rollbacks", `{"by":"`+[]string{"alice", "bob"}[i%2]+`","step":"prompt"}`)
		})
	}
	group.Wait()
	taken := map[string]bool{}
	for i, answer := range answers {
		switch answer.Code {
		case http.StatusOK:
			taken[[]string{"alice", "bob"}[i%2]] = true
		case http.StatusConflict:
			if !strings.Contains(answer.Body.String(), "action 1") && !strings.Contains(answer.Body.String(), "at the same moment") {
				t.Errorf("does not say which: %s", answer.Body)
			}
		default:
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
	if view := w.view(); len(view.Actions) != 1 || len(taken) != 1 || !taken[view.Actions[0].By] {
		t.Errorf("told %v, %+v", taken, view.Actions)
	}
}

// twoPeople is a world in which the callers of guarded prove who they are.
func twoPeople(t *testing.T) (*world, *guarded) {
	t.Helper()
	w, g := newWorld(t), newGuarded(t)
	w.config.Access = func() *access.Access { return g.access }
	w.serve()
	g.handler = w.handler
	return w, g
}

func TestASecondPersonApprovesWhatWouldBeSentNow(t *testing.T) {
	w, g := twoPeople(t)
	alice, bob := allCredentials[2], allCredentials[9] // the token respond, and bob behind the proxy
	look := func() web.Prepared {
		return decode[web.Prepared](t, g.send(bob, "GET", ofFirst+"rollbacks/weights", ""))
	}
	approve := func(c credentials, body string) *httptest.ResponseRecorder {
		return g.send(c, "POST", ofFirst+"approve", body)
	}
	if answer := g.send(alice, "POST", ofFirst+"rollbacks", `{"step":"weights","digest":"`+look().Digest+`"}`); answer.Code != 200 {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	for _, test := range []struct {
		name, body string
		c          credentials
		says       string
	}{
		{"by the same person", `{"action":"1"}`, alice, "somebody else approves it"},
		{"of something else", `{"action":"1","digest":"other"}`, bob, "changed since you looked"},
		{"of another action", `{"action":"2"}`, bob, `no action \"2\"`},
	} {
		if answer := approve(test.c, test.body); answer.Code != 409 || !strings.Contains(answer.Body.String(), test.says) {
			t.Errorf("%s: %d %s", test.name, answer.Code, answer.Body)
		}
	}
	looked := look().Digest
	w.planner.Serve("weights", "w3")
	if answer := approve(bob, `{"action":"1","digest":"`+looked+`"}`); answer.Code != 409 || !strings.Contains(answer.Body.String(), "changed since you looked") {
		t.Errorf("of what changed since the look: %d %s", answer.Code, answer.Body)
	}
	if answer := approve(bob, `{"action":"1"}`); answer.Code != 409 || !strings.Contains(answer.Body.String(), "is not what was looked at") {
		t.Errorf("of what changed since the request: %d %s", answer.Code, answer.Body)
	}
	w.planner.Serve("weights", "w2")
	answer := approve(bob, `{"action":"1","digest":"`+looked+`"}`)
	if view := decode[incident.View](t, answer); answer.Code != 200 || strings.Join(view.Actions[0].Approvers, " ") != "bob" {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if again := approve(bob, `{"action":"1"}`); again.Code != 200 {
		t.Errorf("again: %d %s", again.Code, again.Body)
	}
	if r, err := w.store.Load(t.Context(), "1"); err != nil || !r.Actions[0].Approved() {
		t.Errorf("%+v, %v", r.Actions[0], err)
	}
}

func TestAnApprovalWithoutADigestIsOfWhatWouldBeSent(t *testing.T) {
	w, g := twoPeople(t)
	if answer := g.send(allCredentials[2], "POST", ofFirst+"rollbacks", `{"step":"weights"}`); answer.Code != 200 {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	if answer := g.send(allCredentials[9], "POST", ofFirst+"approve", `{"action":"1"}`); answer.Code != 200 || strings.Join(w.view().Actions[0].Approvers, " ") != "bob" {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestAnApprovalThatNothingProvesIsRefused(t *testing.T) {
	w, g := twoPeople(t)
	if answer := g.send(allCredentials[2], "POST", ofFirst+"rollbacks", `{"step":"weights"}`); answer.Code != 200 {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	w.config.Access = nil // as after a restart with other settings
	w.serve()
	if answer := w.call("POST", ofFirst+"approve", `{"by":"mallory","action":"1"}`); answer.Code != 403 || !strings.Contains(answer.Body.String(), "web.tokens_file") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if r, err := w.store.Load(t.Context(), "1"); err != nil || r.Actions[0].Approved() {
		t.Errorf("%+v, %v", r.Actions[0], err)
	}
}

func TestAnActionThatOnePersonDecidesWaitsForNoApproval(t *testing.T) {
	w := newWorld(t)
	w.must("POST", ofFirst+"rollbacks", `{"by":"alice","step":"prompt"}`)
	if answer := w.call("POST", ofFirst+"approve", `{"by":"bob","action":"1"}`); answer.Code != 409 || !strings.Contains(answer.Body.String(), "doesn't wait for approval") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

// slowPlanner lets nobody go who looks at a mitigation, until it is told.
type slowPlanner struct {
	webtest.Planner
	entered, release chan struct{}
}

// PrepareMitigation implements web.Planner.
func (p *slowPlanner) PrepareMitigation(ctx context.Context, ref, title string) (web.Prepared, error) {
	p.entered <- struct{}{}
	<-p.release
	return p.Planner.PrepareMitigation(ctx, ref, title)
}

func TestThoseWhoLookDoNotKeepOutThoseWhoAct(t *testing.T) {
	w := newWorld(t)
	slow := &slowPlanner{entered: make(chan struct{}), release: make(chan struct{})}
	w.config.Planner = slow
	w.serve()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() { w.call("GET", ofFirst+"mitigations/"+url.PathEscape(fallback), "") })
		<-slow.entered
	}
	if answer := w.call("GET", ofFirst+"rollbacks/prompt", ""); answer.Code != 429 || !strings.Contains(answer.Body.String(), "again in a few seconds") {
		t.Errorf("one more look: %d %s", answer.Code, answer.Body)
	}
	if answer := w.call("POST", ofFirst+"rollbacks", `{"by":"alice","step":"prompt"}`); answer.Code != 200 {
		t.Errorf("an act: %d %s", answer.Code, answer.Body)
	}
	close(slow.release)
	group.Wait()
	if answer := w.call("GET", ofFirst+"rollbacks/prompt", ""); answer.Code != 200 {
		t.Errorf("a look afterwards: %d", answer.Code)
	}
}
