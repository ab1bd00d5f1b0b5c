package slack_test

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/slack"
)

// steps of the story.
const (
	opens = iota
	escalates
	isTaken
	rollsBack
	holds
	isDue
	relapses
	isTakenAgain
	ends
)

func TestWhatTheAPISaysOfAPage(t *testing.T) {
	no := func(word string) string { return `{"ok":false,"error":"` + word + `"}` }
	tests := map[string]struct {
		fault fault
		want  notify.Outcome
		after time.Duration
		says  string
	}{
		"limited, with a pause":                   {fault{429, "7", no("ratelimited"), false}, notify.Retry, 7 * time.Second, "429 Too Many Requests: ratelimited"},
		"limited, said with 200":                  {fault{200, "", no("ratelimited"), false}, notify.Retry, 0, "ratelimited"},
		"limited, in another word":                {fault{200, "", no("rate_limited"), false}, notify.Retry, 0, "rate_limited"},
		"a trouble of Slack's":                    {fault{200, "", no("internal_error"), false}, notify.Retry, 0, "internal_error"},
		"a worse one":                             {fault{200, "", no("fatal_error"), false}, notify.Retry, 0, "fatal_error"},
		"not in service":                          {fault{200, "", no("service_unavailable"), false}, notify.Retry, 0, "service_unavailable"},
		"too slow":                                {fault{200, "", no("request_timeout"), false}, notify.Retry, 0, "request_timeout"},
		"503 with a page of HTML":                 {fault{503, "", "<html>", false}, notify.Retry, 0, "503 Service Unavailable"},
		"a word that nobody knows":                {fault{200, "", no("brand_new_trouble"), false}, notify.Refused, 0, "brand_new_trouble"},
		"a word that nobody knows, and 500":       {fault{500, "", no("brand_new_trouble"), false}, notify.Retry, 0, "brand_new_trouble"},
		"no word at all":                          {fault{200, "", `{"ok":false}`, false}, notify.Refused, 0, "Slack did not take it"},
		"a word that is a sentence":               {fault{200, "", no("See https://canary"), false}, notify.Refused, 0, "Slack did not take it"},
		"a word that is a part of what is secret": {fault{200, "", no("canary"), false}, notify.Refused, 0, "Slack did not take it"},
		"a wrong token":                           {fault{200, "", no("invalid_auth"), false}, notify.Refused, 0, "write the bot's token to its file"},
		"a removed bot":                           {fault{200, "", no("account_inactive"), false}, notify.Refused, 0, "install the app anew"},
		"a missing scope":                         {fault{200, "", no("missing_scope"), false}, notify.Refused, 0, "chat:write"},
		"a foreign channel":                       {fault{200, "", no("not_in_channel"), false}, notify.Refused, 0, "invite the bot to the channel"},
		"somebody else's page with 200":           {fault{200, "", "<html>Sign in</html>", false}, notify.Retry, 0, "not one of Slack's"},
		"somebody else's page with 403":           {fault{403, "", "<html>Sign in</html>", false}, notify.Refused, 0, "403 Forbidden"},
		"a redirect":                              {fault{302, "", "", false}, notify.Refused, 0, "redirects are not followed"},
		"an answer that never came back":          {fault{lost: true}, notify.Retry, 0, "cut"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t)
			w.faults = []fault{test.fault}
			result := newTeller(t, w).tell(story()[opens].message)
			if result.Outcome != test.want || result.RetryAfter != test.after || !strings.Contains(result.Detail, test.says) {
				t.Errorf("%+v; want %s after %s that says %q", result, test.want, test.after, test.says)
			}
			if len(w.calls) != 1 {
				t.Errorf("%d requests, want 1: the outbox owns the retries: %v", len(w.calls), w.calls)
			}
		})
	}
}

func TestWhatAWebhookSaysOfAPage(t *testing.T) {
	tests := map[string]struct {
		status int
		word   string
		want   notify.Outcome
		says   string
	}{
		"taken":             {200, "ok", notify.Delivered, ""},
		"not understood":    {400, "invalid_payload", notify.Refused, "400 Bad Request: invalid_payload"},
		"forbidden":         {403, "action_prohibited", notify.Refused, "doesn't let the webhook post"},
		"removed":           {404, "no_service\n", notify.Refused, "make a new one"},
		"archived":          {410, "channel_is_archived", notify.Refused, "the channel is archived"},
		"limited":           {429, "rate_limited", notify.Retry, "429"},
		"a trouble":         {500, "rollup_error", notify.Retry, "500 Internal Server Error: rollup_error"},
		"a part of the URL": {404, "canary", notify.Refused, "404 Not Found"},
		"a page of HTML":    {502, "<html>canary</html>", notify.Retry, "502 Bad Gateway"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			hook := func(r *http.Request) (*http.Response, error) { return respond(r, test.status, "", test.word), nil }
			receiver := slack.New(slack.Config{WebhookURLFile: file(t, "https://hooks.slack.test/services/T0/B0/canary"), Transport: roundTripper(hook)})
			result := (&teller{t: t, receiver: receiver, receipts: map[string]string{}}).tell(story()[opens].message)
			if result.Outcome != test.want || !strings.Contains(result.Detail, test.says) || result.Receipt != "" {
				t.Errorf("%+v; want %s that says %q", result, test.want, test.says)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAPageWhoseAnswerIsLostIsPostedAgainAndSaysSo(t *testing.T) {
	w := newWorkspace(t)
	l := newTeller(t, w)
	w.faults = []fault{{lost: true}}
	m := story()[opens].message
	if result := l.tell(m); result.Outcome != notify.Retry {
		t.Fatalf("%+v", result)
	}
	m.Resent = true
	if result := l.tell(m); result.Outcome != notify.Delivered || result.Receipt != "C0INCIDENTS/1763800002.000100" {
		t.Fatalf("%+v", result)
	}
	again := w.channel("#incidents").messages[1]
	if !strings.HasSuffix(again.text, "(sent again)") || !strings.Contains(again.String(), "sent again: an earlier attempt may have reached you already") {
		t.Errorf("%s\n%s", again.text, again)
	}
	l.tell(story()[isTaken].message)
	if read := again.String(); !strings.Contains(read, "alice has it") || strings.Contains(read, "sent again") {
		t.Errorf("the one whose receipt is known is not brought up to date:\n%s", read)
	}
}

func TestWhatIsRepeatedIsWhatMayBeRepeated(t *testing.T) {
	tests := map[string]struct {
		step  int
		fault []fault // from the update on
		first notify.Outcome
		lines int      // in the thread at last
		calls []string // after the page
	}{
		"an update that fails is repeated before anything is posted": {
			isTaken, []fault{{status: 503}}, notify.Retry, 1,
			[]string{"chat.update: 503", "chat.update", "chat.postMessage"},
		},
		"a reply that fails is repeated with the update": {
			ends, []fault{{}, {status: 429, retryAfter: "3"}}, notify.Retry, 1,
			[]string{"chat.update", "chat.postMessage: 429", "chat.update", "chat.postMessage"},
		},
		"a call does not wait for an update that fails": {
			escalates, []fault{{status: 503}}, notify.Delivered, 1,
			[]string{"chat.update: 503", "chat.postMessage"},
		},
		"a line whose answer is lost is doubled, and no more than that": {
			isTaken, []fault{{}, {lost: true}}, notify.Retry, 2,
			[]string{"chat.update", "chat.postMessage", "chat.update", "chat.postMessage"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t)
			l := newTeller(t, w)
			l.tell(story()[opens].message)
			w.faults = test.fault
			m := story()[test.step].message
			result := l.tell(m)
			if result.Outcome != test.first {
				t.Errorf("%+v, want %s", result, test.first)
			}
			if test.step == escalates && !strings.Contains(result.Detail, "could not be brought up to date: 503") {
				t.Errorf("nobody hears that the first message is stale: %q", result.Detail)
			}
			if m.Resent = true; test.first == notify.Retry {
				if result := l.tell(m); result.Outcome != notify.Delivered {
					t.Errorf("again: %+v", result)
				}
			}
			lines := w.channel("#incidents").messages[1:]
			if len(lines) != test.lines || !slices.Equal(w.calls[1:], test.calls) {
				t.Errorf("%d lines by %v; want %d by %v", len(lines), w.calls[1:], test.lines, test.calls)
			}
			if last := lines[len(lines)-1]; test.first == notify.Retry && !strings.HasSuffix(last.text, "(sent again)") {
				t.Errorf("the second one doesn't say so: %s", last.text)
			}
		})
	}
}

func TestAnUpdateThatHangsLeavesTimeToCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkspace(t)
		l := newTeller(t, w)
		l.tell(story()[opens].message)
		hangs := func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "chat.update") {
				<-r.Context().Done()
			}
			return w.RoundTrip(r)
		}
		l.receiver = slack.New(slack.Config{TokenFile: file(t, token), Channel: "#incidents", APIURL: "http://slack.test/api", Transport: roundTripper(hangs)})
		m := story()[escalates].message
		m.Thread = l.thread
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // as long as the notifier gives
		defer cancel()
		if result := l.receiver.Deliver(ctx, m); result.Outcome != notify.Delivered || !strings.Contains(result.Detail, "no answer in time") {
			t.Errorf("%+v", result)
		}
	})
}

func TestWhatIsGoneIsMadeAnew(t *testing.T) {
	const first, second = "C0INCIDENTS/1763800001.000100", "C0INCIDENTS/1763800002.000100"
	tests := map[string]struct {
		happens func(w *workspace, root *message)
		step    int
		receipt string
		shows   string // of the newest message
		says    string
	}{
		"the first message was deleted, and the lead is called": {
			func(_ *workspace, root *message) { root.deleted = true }, escalates, "C0INCIDENTS/1763800003.000100", "*Check first*", "",
		},
		"the same, where Slack posts the reply in the channel instead": {
			func(w *workspace, root *message) { root.deleted, w.unthreads = true, true }, escalates, second, "*Check first*", "",
		},
		"the first message was deleted, and somebody takes it": {
			func(_ *workspace, root *message) { root.deleted = true }, isTaken, "C0INCIDENTS/1763800003.000100", "*News*  alice acknowledged: nobody else is called", "",
		},
		"the channel was archived and another one is named": {
			func(w *workspace, _ *message) {
				w.channels[0].archived, w.channels[0].name, w.channels[1].name = true, "incidents-old", "incidents"
			}, relapses, "C0OTHER/1763800002.000100", "*Check first*", "",
		},
		"the first message can't be edited any more": {
			func(w *workspace, _ *message) {
				w.faults = []fault{{status: 200, body: `{"ok":false,"error":"edit_window_closed"}`}}
			}, relapses, first, "*Why*  relapsed", "edit_window_closed",
		},
		"the first message is another app's": {
			func(w *workspace, _ *message) {
				w.faults = []fault{{status: 200, body: `{"ok":false,"error":"cant_update_message"}`}}
			}, relapses, first, "*Why*  relapsed", "cant_update_message",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t)
			l := newTeller(t, w)
			l.tell(story()[opens].message)
			test.happens(w, w.channels[0].messages[0])
			m := story()[test.step].message
			result := l.tell(m)
			if result.Outcome != notify.Delivered || result.Receipt != test.receipt || (test.says == "") != (result.Detail == "") || !strings.Contains(result.Detail, test.says) {
				t.Errorf("%+v; want the receipt %s, and %q", result, test.receipt, test.says)
			}
			newest := w.channel("#incidents").messages
			if read := newest[len(newest)-1].String(); !strings.Contains(read, test.shows) {
				t.Errorf("the newest message reads:\n%s\nand not: %s", read, test.shows)
			}
		})
	}
}

func TestAChannelThatIsArchivedRefusesAtLast(t *testing.T) {
	w := newWorkspace(t)
	l := newTeller(t, w)
	l.tell(story()[opens].message)
	w.channels[0].archived = true
	result := l.tell(story()[escalates].message)
	if result.Outcome != notify.Refused || !strings.Contains(result.Detail, "is_archived (the channel is archived: name another one)") {
		t.Errorf("%+v", result)
	}
}

func TestAPageIsNotLostForItsLayout(t *testing.T) {
	for _, word := range []string{"invalid_blocks", "msg_blocks_too_long", "msg_too_long"} {
		w := newWorkspace(t)
		l := newTeller(t, w)
		w.faults = []fault{{status: 200, body: `{"ok":false,"error":"` + word + `"}`}}
		m := story()[opens].message
		m.AcknowledgeURL = "http://irdaemon.example/a/1"
		result := l.tell(m)
		if result.Outcome != notify.Delivered || !strings.Contains(result.Detail, "sent as plain text, for Slack refused its layout: "+word) || result.Receipt == "" {
			t.Fatalf("%s: %+v", word, result)
		}
		read := w.channels[0].messages[0]
		if len(read.blocks) != 0 || !strings.HasPrefix(read.text, "Acknowledge: http://irdaemon.example/a/1\nSEV2 The safety") || !strings.Contains(read.text, "Why     opened at sev2") {
			t.Errorf("%s: %s", word, read.text)
		}
	}
}

func TestNewsWithoutAFirstMessageStandsAlone(t *testing.T) {
	for _, test := range []struct {
		step  int
		shows []string
		hides string
	}{
		{isDue, []string{"*Why*  an update is due at 14:45", "*Impact*"}, "[Acknowledge"},
		{isTaken, []string{"*News*  alice acknowledged: nobody else is called", "alice has it"}, "[Acknowledge"},
		{ends, []string{"▌ RESOLVED SEV2 The safety layer refuses good users", "nothing to do"}, "[Acknowledge"},
	} {
		w := newWorkspace(t)
		result := newTeller(t, w).tell(story()[test.step].message)
		read := w.channel("#incidents").String()
		if result.Outcome != notify.Delivered || result.Receipt == "" || len(w.channels[0].messages) != 1 || strings.Contains(read, test.hides) {
			t.Errorf("%+v\n%s", result, read)
		}
		for _, shows := range test.shows {
			if !strings.Contains(read, shows) {
				t.Errorf("%q is missing from:\n%s", shows, read)
			}
		}
	}
}

func TestAnEndOfACallAloneDoesNotCallTheIncidentOver(t *testing.T) {
	w := newWorkspace(t)
	l := newTeller(t, w)
	l.tell(story()[opens].message)
	m := story()[relapses].message // how things stand
	m.Kind, m.Key = incident.DeliverEnd, story()[opens].message.Key
	m.Text = "Note    nobody is called for it any more: carol lowered the severity to sev4\nNow     bob has it\n"
	l.tell(m)
	m.Text = ""
	l.tell(m)
	for i, want := range []string{"nobody is called for it any more: carol lowered the severity to sev4", "the call is over; the incident is not"} {
		if line := w.channels[0].messages[i+1].text; line != want {
			t.Errorf("%q, want %q", line, want)
		}
	}
	if read := w.channels[0].messages[0].String(); strings.Contains(read, "RESOLVED") || strings.Contains(read, "[Acknowledge") {
		t.Errorf("%s", read)
	}
}

func TestFilesThatCanNotBeUsedNow(t *testing.T) {
	for name, content := range map[string]string{"empty": "\n", "two lines": "canary\ncanary", "a space": "xoxb canary"} {
		for kind, config := range map[string]slack.Config{
			"bot":     {TokenFile: file(t, content), Channel: "#incidents"},
			"webhook": {WebhookURLFile: file(t, content)},
		} {
			config.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
				t.Errorf("%s, %s: something was sent", name, kind)
				return nil, os.ErrInvalid
			})
			result := (&teller{t: t, receiver: slack.New(config), receipts: map[string]string{}}).tell(story()[opens].message)
			if result.Outcome != notify.Retry || !strings.Contains(result.Detail, "must hold one line") {
				t.Errorf("%s, %s: %+v", name, kind, result)
			}
		}
	}
	result := slack.New(slack.Config{TokenFile: "no/such/file"}).Deliver(t.Context(), story()[opens].message)
	if result.Outcome != notify.Retry || !strings.Contains(result.Detail, "no/such/file") {
		t.Errorf("%+v", result)
	}
}

func TestATokenThatWasReplacedIsUsedAtOnce(t *testing.T) {
	w := newWorkspace(t)
	name := file(t, "xoxb-canary-old")
	receiver := slack.New(slack.Config{TokenFile: name, Channel: "C0INCIDENTS", APIURL: "http://slack.test/api/", Transport: w})
	if result := receiver.Deliver(t.Context(), story()[opens].message); result.Outcome != notify.Refused || !strings.Contains(result.Detail, "the token is wrong") {
		t.Errorf("%+v", result)
	}
	if err := os.WriteFile(name, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	if result := receiver.Deliver(t.Context(), story()[opens].message); result.Outcome != notify.Delivered {
		t.Errorf("%+v", result)
	}
}
