//go:build e2e

package e2e_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// quickScale is for tests of what comes after an incident was found.
var quickScale = scale{window: 2 * time.Second, hold: 5 * time.Second, acknowledgeWithin: time.Minute, blindAfter: 3 * time.Second}

// TestPeopleLeadAnIncidentThroughItsLife plays an incident by the command line alone, with tokens, over TLS: each step is
// in the record under the name of whoever's token it was, and in the event stream in the order of the record.
func TestPeopleLeadAnIncidentThroughItsLife(t *testing.T) {
	t.Parallel()
	var people map[string]*person
	var trusted *x509.CertPool
	r := newRailway(t, quickScale, func(r *railway) {
		people = r.askForTokens()
		trusted = r.encrypt()
	})
	r.daemon.overTLS(trusted)
	anonymous := r.daemon.client
	r.daemon.meets(people)
	r.daemon.startReady()
	r.waitForHistory()
	life := r.daemon.follow("")

	r.breach()
	first := r.oncall.waitFor(t, "incident.page", r.firesWithin())
	number := strconv.Itoa(first.Data.Incident.Number)
	r.checkCredentials(anonymous, people, number)
	if list := people["carol"].run("incidents"); !strings.Contains(list, "#"+number) || !strings.Contains(list, "refuses good users") {
		t.Errorf("incidents does not list #%s:\n%s", number, list)
	}

	r.isLed(people["alice"], people["bob"], first)
	dismissed := r.isEnded(people["alice"], people["bob"], first)
	checkStory(t, people["carol"].run("incidents", "show", number), dismissed)
	r.checkStream(life, dismissed)
}

// isLed has two people do all that people do with an open incident, and looks at what each step does.
func (r *railway) isLed(alice, bob *person, first delivery) {
	r.t.Helper()
	id, number := first.Data.Incident.ID, strconv.Itoa(first.Data.Incident.Number)
	alice.run("ack", number)
	r.daemon.waitForState(id, "acknowledged", 5*time.Second)
	alice.run("triage", number, "2", "yes", "paid users in English")
	alice.run("update", number, "we look at the prompt", "--next", "30m")
	alice.run("severity", number, "sev3", "--reason", "internal users only", "--for", "1h")
	lowered, err := r.daemon.incident(id)
	if err != nil || lowered.Severity != "sev3" || time.Until(lowered.PinnedUntil).Round(time.Hour) != time.Hour {
		r.t.Errorf("lowered to %s until %s (%v), want sev3 for an hour", lowered.Severity, lowered.PinnedUntil, err)
	}
	bob.run("severity", number, "sev1", "--reason", "regulators call")
	r.checkRaised(id, first)
	bob.run("ack", number)
	bob.run("note", number, "the provider sees it too")
	bob.run("mitigated", number, "routed paid traffic to the fallback model")
	if done, err := r.daemon.incident(id); err != nil || done.AcknowledgedBy != "bob" || done.State != "mitigating" {
		r.t.Errorf("mitigated: %s, taken by %q (%v), want mitigating and bob", done.State, done.AcknowledgedBy, err)
	}
}

// isEnded lets an incident recover, has it opened again by a person and dismissed by another, and gives it.
func (r *railway) isEnded(alice, bob *person, first delivery) incident {
	r.t.Helper()
	id, number := first.Data.Incident.ID, strconv.Itoa(first.Data.Incident.Number)
	r.heal()
	checkTimes(r.t, r.daemon.waitForState(id, "resolved", r.resolvesWithin()+signalRange))
	r.waitForEnds(1)
	alice.run("reopen", number, "--reason", "refusals are back in German")
	again := r.pageOfRound(3)
	if again.Data.Reasons[0] != "reopened" || again.Data.Incident.ID != id {
		r.t.Errorf("the page of round 3 is for %v of %s, want reopened of %s", again.Data.Reasons, again.Data.Incident.ID, id)
	}
	bob.run("dismiss", number, "--reason", "false_alarm", "--text", "a test account")
	dismissed := r.daemon.waitForState(id, "dismissed", 5*time.Second)
	r.waitForEnds(2)
	if said := bob.isRefused("ack", number); !strings.Contains(said, "dismissed") || !strings.Contains(said, "reopen") {
		r.t.Errorf("acknowledging a dismissed incident says neither why not nor what is allowed instead: %s", said)
	}
	return dismissed
}

// checkCredentials asks without and with the wrong ones.
func (r *railway) checkCredentials(anonymous *http.Client, people map[string]*person, number string) {
	r.t.Helper()
	if _, err := client.Get(r.daemon.url + "/-/healthy"); err == nil || !strings.Contains(err.Error(), "certificate") {
		r.t.Errorf("a client that trusts no certificate of ours: %v, want an error", err)
	}
	status := func(asker *http.Client, method, path string) int {
		request, err := http.NewRequest(method, r.daemon.url+path, strings.NewReader("{}"))
		if err != nil {
			r.t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := asker.Do(request)
		if err != nil {
			r.t.Fatal(err)
		}
		defer response.Body.Close()
		if challenge := response.Header.Get("WWW-Authenticate"); response.StatusCode == http.StatusUnauthorized && !strings.HasPrefix(challenge, "Bearer") {
			r.t.Errorf("401 with the challenge %q, want Bearer", challenge)
		}
		return response.StatusCode
	}
	with := func(token string) *http.Client {
		return &http.Client{Timeout: patience, Transport: bearer{token, anonymous.Transport}}
	}
	acknowledge := "/api/v1/incidents/" + number + "/acknowledge"
	for _, test := range []struct {
		who          string
		asker        *http.Client
		method, path string
		want         int
	}{
		{"nobody", anonymous, http.MethodGet, "/api/v1/incidents", http.StatusUnauthorized},
		{"nobody", anonymous, http.MethodPost, acknowledge, http.StatusUnauthorized},
		{"a token that is none", with("ird_" + strings.Repeat("A", 43)), http.MethodGet, "/api/v1/incidents", http.StatusUnauthorized},
		{"carol, who may read", with(people["carol"].token), http.MethodGet, "/api/v1/incidents", http.StatusOK},
		{"carol, who may read", with(people["carol"].token), http.MethodPost, acknowledge, http.StatusForbidden},
		{"alice, who may respond", with(people["alice"].token), http.MethodPost, "/-/reload", http.StatusForbidden},
		{"alice, who may respond", with(people["alice"].token), http.MethodGet, "/api/v1/backup", http.StatusForbidden},
		{"nobody", anonymous, http.MethodGet, "/-/healthy", http.StatusOK},
	} {
		if got := status(test.asker, test.method, test.path); got != test.want {
			r.t.Errorf("%s: %s %s: %d, want %d", test.who, test.method, test.path, got, test.want)
		}
	}
	if said := people["carol"].isRefused("ack", number); !strings.Contains(said, "respond") {
		r.t.Errorf("carol, who may read, acknowledges: %s", said)
	}
	if said := people["alice"].isRefused("ack", number, "--by", "bob"); !strings.Contains(said, "you are alice") {
		r.t.Errorf("alice acknowledges as bob: %s", said)
	}
}

// checkRaised looks at the round that a person's higher severity starts.
func (r *railway) checkRaised(id string, first delivery) {
	r.t.Helper()
	second := r.pageOfRound(2)
	if second.Data.Reasons[0] != "raised" || second.Data.Incident.Severity != "sev1" || second.Data.DedupKey == first.Data.DedupKey {
		r.t.Errorf("the page of round 2 is for %v at %s with key %s", second.Data.Reasons, second.Data.Incident.Severity, second.Data.DedupKey)
	}
	if second.Data.EndsKey != first.Data.DedupKey {
		r.t.Errorf("the page of round 2 ends the key %q, want that of round 1, %s", second.Data.EndsKey, first.Data.DedupKey)
	}
	eventually(r.t, 5*time.Second, "Alertmanager shows the alert of round 2 alone", func() (struct{}, error) {
		alerts, err := r.alertmanager.shown()
		if err == nil && (len(alerts) != 1 || alerts[0].Labels["round"] != "2" || alerts[0].Labels["severity"] != "sev1") {
			err = fmt.Errorf("%v", alerts)
		}
		return struct{}{}, err
	})
	if i, err := r.daemon.incident(id); err != nil || !i.Calling || i.AcknowledgedBy != "alice" {
		r.t.Errorf("raised: calling %t, taken by %q (%v), want calling, for alice has it at another severity", i.Calling, i.AcknowledgedBy, err)
	}
}

// pageOfRound waits for a page of a round at the role on call.
func (r *railway) pageOfRound(round int) delivery {
	r.t.Helper()
	return eventually(r.t, 10*time.Second, fmt.Sprintf("a page of round %d", round), func() (delivery, error) {
		pages := r.oncall.got("incident.page")
		for _, page := range pages {
			if page.Data.Round == round {
				return page, nil
			}
		}
		return delivery{}, fmt.Errorf("there are:\n%s", describe(pages))
	})
}

// waitForEnds waits for so many messages to the role on call that an incident has ended.
func (r *railway) waitForEnds(want int) {
	r.t.Helper()
	eventually(r.t, 10*time.Second, fmt.Sprintf("%d ends", want), func() (struct{}, error) {
		if ends := r.oncall.got("incident.resolved"); len(ends) != want {
			return struct{}{}, fmt.Errorf("there are:\n%s", describe(ends))
		}
		return struct{}{}, nil
	})
}

// life is what happened, in its order: by whom, and in which words a person finds it.
var life = []struct{ kind, actor, words string }{
	{"opened", "irdaemon", "opened"},
	{"paged", "irdaemon", "round 1 calls llm-oncall"},
	{"acknowledged", "alice", "took the incident"},
	{"triage_answered", "alice", "paid users in English"},
	{"update_posted", "alice", "we look at the prompt"},
	{"severity_set", "alice", "internal users only"},
	{"severity_set", "bob", "regulators call"},
	{"acknowledged", "bob", "took over from alice"},
	{"noted", "bob", "the provider sees it too"},
	{"mitigated", "bob", "routed paid traffic to the fallback model"},
	{"hold_started", "irdaemon", "recovery must hold"},
	{"resolved", "irdaemon", "recovery verified"},
	{"reopened", "alice", "refusals are back in German"},
	{"paged", "irdaemon", "round 3 calls llm-oncall"},
	{"dismissed", "bob", "a test account"},
}

// checkStory looks for the life in the timeline, and in what a person is shown.
func checkStory(t *testing.T, shown string, i incident) {
	t.Helper()
	shown = regexp.MustCompile(`\s+`).ReplaceAllString(shown, " ")
	at := 0
	for _, step := range life {
		found := slices.IndexFunc(i.Timeline[at:], func(e timelineEntry) bool {
			return e.Kind == step.kind && strings.Contains(e.Text, step.words) && e.Actor == step.actor
		})
		if found < 0 {
			t.Fatalf("the timeline has no %s by %s with %q after entry %d:\n%s", step.kind, step.actor, step.words, at, i.story())
		}
		at += found + 1
		if !strings.Contains(shown, step.words) {
			t.Errorf("incidents show does not show %q:\n%s", step.words, shown)
		}
	}
}

// checkStream compares the event stream with the timeline, and takes it up again in the middle.
func (r *railway) checkStream(life *stream, i incident) {
	r.t.Helper()
	all := eventually(r.t, 10*time.Second, "the stream has the whole timeline", func() ([]streamed, error) {
		events, err := life.of(i.ID)
		if err == nil && len(events) < len(i.Timeline) {
			err = fmt.Errorf("%d events, the timeline has %d", len(events), len(i.Timeline))
		}
		return events, err
	})
	for n, e := range i.Timeline {
		got := all[n]
		if got.Seq != e.Seq || got.Kind != e.Kind || got.kind != e.Kind || got.Actor != e.Actor || got.Text != e.Text {
			r.t.Errorf("event %d of the stream is %+v, the timeline has %+v", n, got, e)
		}
		if n > 0 && got.Position < all[n-1].Position {
			r.t.Errorf("event %d of the stream has position %d after %d", n, got.Position, all[n-1].Position)
		}
	}
	middle := slices.IndexFunc(all, func(e streamed) bool { return e.Kind == "severity_set" })
	for all[middle].id == "" {
		middle++
	}
	rest := r.daemon.follow(all[middle].id)
	resumed := eventually(r.t, 10*time.Second, "a stream that is taken up again has the rest", func() ([]streamed, error) {
		events, err := rest.of(i.ID)
		if err == nil && len(events) < len(i.Timeline)-middle-1 {
			err = fmt.Errorf("%d events", len(events))
		}
		return events, err
	})
	if resumed[0].Seq != all[middle].Seq+1 {
		r.t.Errorf("the stream that was taken up after seq %d begins with %d, want the next one", all[middle].Seq, resumed[0].Seq)
	}
}
