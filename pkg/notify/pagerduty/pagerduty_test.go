package pagerduty_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/notifytest"
	"github.com/irdaemon/irdaemon/pkg/notify/pagerduty"
)

func acknowledgement(m notify.Message) notify.Message {
	m.ID, m.Kind, m.EndsKey = m.ID+"a", incident.DeliverAcknowledge, ""
	return m
}

func end(m notify.Message) notify.Message {
	m.ID, m.Kind, m.EndsKey = m.ID+"e", incident.DeliverEnd, ""
	return m
}

func TestConformance(t *testing.T) {
	notifytest.Run(t, notifytest.Case{
		New: func(t *testing.T, address string) notify.Receiver {
			return pagerduty.New(pagerduty.Config{RoutingKeyFile: file(t, newKey+"\n"), URL: address + "/"})
		},
		Read: func(t *testing.T, _ notify.Message, r *http.Request, body []byte) []notifytest.Seen {
			if want := notifytest.Path + "/v2/enqueue"; r.URL.Path != want {
				t.Errorf("posted to %s, want %s", r.URL.Path, want)
			}
			var e request
			if err := json.Unmarshal(body, &e); err != nil || e.RoutingKey != newKey {
				t.Errorf("%v: %s", err, body)
			}
			return []notifytest.Seen{{Key: e.DedupKey, Ended: e.Action == "resolve"}}
		},
		Secrets: []string{newKey, "CANARY"},
	})
}

func TestItCarriesAcknowledgementsAlone(t *testing.T) {
	s := &service{}
	r := with(s, file(t, newKey))
	if got := r.Carries(); got != (incident.Carries{Acknowledgements: true}) {
		t.Errorf("%+v", got)
	}
	m := notifytest.Page()
	m.Kind = incident.DeliverNotice
	if got := deliver(t, r, m); got.Outcome != notify.Refused || len(s.events) != 0 {
		t.Errorf("a notice: %+v, %d sent", got, len(s.events))
	}
}

func TestAnIncidentAtPagerDuty(t *testing.T) {
	s := &service{}
	keys := file(t, oldKey+"\n")
	r := with(s, keys)
	receipts := map[string]string{} // as the daemon keeps them: the first of each key
	second := notifytest.NextRound()
	again := second
	again.Step, again.EndsKey = 1, ""
	for _, step := range []struct {
		what   string
		m      notify.Message
		rotate string
		stands string
		calls  int
	}{
		{"the page", notifytest.Page(), "", "1 old triggered", 1},
		{"an escalation triggers the alert that stands", notifytest.Escalation(), "", "1 old triggered", 1},
		{"so it does after the routing key was rotated", notifytest.Escalation(), newKey + "\n\n" + oldKey + "\n", "1 old triggered", 1},
		{"somebody has it", acknowledgement(notifytest.Escalation()), "", "1 old acknowledged", 1},
		{"a trigger that comes late calls nobody", notifytest.Escalation(), "", "1 old acknowledged", 1},
		{"a new round calls, through the newest key, and ends the older", second, "", "1 old resolved, 2 new triggered", 2},
		{"sent again it calls nobody twice", second, "", "1 old resolved, 2 new triggered", 2},
		{"its escalation, with the old key gone", again, newKey, "1 old resolved, 2 new triggered", 2},
		{"somebody has that", acknowledgement(again), "", "1 old resolved, 2 new acknowledged", 2},
		{"it is over", end(again), "", "1 old resolved, 2 new resolved", 2},
		{"the end again", end(again), "", "1 old resolved, 2 new resolved", 2},
		{"a page after the end opens a new alert", again, "", "1 old resolved, 2 new resolved, 2 new triggered", 3},
	} {
		if step.rotate != "" {
			rewrite(t, keys, step.rotate)
		}
		step.m.Receipt = receipts[step.m.Key]
		result := deliver(t, r, step.m)
		if result.Outcome != notify.Delivered || result.Detail != "" {
			t.Fatalf("%s: %+v", step.what, result)
		}
		if step.m.Kind == incident.DeliverPage {
			receipts[step.m.Key] = cmp.Or(step.m.Receipt, result.Receipt)
			if result.Receipt != receipts[step.m.Key] {
				t.Errorf("%s: another receipt, though the alert is the same", step.what)
			}
		}
		if got := s.stands(); got != step.stands || s.calls != step.calls {
			t.Fatalf("%s: %s, %d called; want %s, %d", step.what, got, s.calls, step.stands, step.calls)
		}
	}
}

func TestTheReceiptNamesTheRoutingKeyWithoutGivingItAway(t *testing.T) {
	// printf 0123456789abcdef0123456789ABCDEF | sha256sum
	r := with(&service{}, file(t, "0123456789abcdef0123456789ABCDEF"))
	if got := deliver(t, r, notifytest.Page()); got.Receipt != "f02ae380606c" {
		t.Errorf("receipt %q", got.Receipt)
	}
}

func TestWhatFollowsAPage(t *testing.T) {
	receipt := func(key string) string {
		return with(&service{}, file(t, key)).Deliver(t.Context(), notifytest.Page()).Receipt
	}
	for name, test := range map[string]struct {
		keys, receipt string
		revoked       string
		through       []string
		detail        string
	}{
		"goes through the page's key":                   {newKey + "\n" + oldKey, receipt(oldKey), "", []string{oldKey}, ""},
		"through the newest key, if that is the page's": {newKey + "\n" + oldKey, receipt(newKey), "", []string{newKey}, ""},
		"through the newest key, if the page's is gone, and says what that means": {
			newKey, receipt(oldKey), "", []string{newKey}, "resolve the alert there by hand, or keep the old key below the new one"},
		"through the newest key, if the page's was revoked":      {newKey + "\n" + oldKey, receipt(oldKey), oldKey, []string{newKey}, ""},
		"through every key, if no page is known to have arrived": {newKey + "\n" + oldKey + "\n" + newKey, "", "", []string{newKey, oldKey}, ""},
		"through every key, and tells of one that is refused": {
			newKey + "\n" + oldKey, "", oldKey, []string{newKey}, "resolve through routing key 2 of 2: 400 Bad Request: Invalid routing key"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{revoked: []string{test.revoked}}
			keys := file(t, test.keys)
			m := notifytest.End()
			m.Receipt = test.receipt
			result := deliver(t, with(s, keys), m)
			if result.Outcome != notify.Delivered || !strings.HasSuffix(result.Detail, test.detail) || (test.detail == "") != (result.Detail == "") {
				t.Errorf("%+v", result)
			}
			if strings.Contains(result.Detail, "by hand") && !strings.Contains(result.Detail, keys) {
				t.Errorf("the detail doesn't name the file: %q", result.Detail)
			}
			var through []string
			for _, e := range s.events {
				through = append(through, e.RoutingKey)
			}
			if fmt.Sprint(through) != fmt.Sprint(test.through) {
				t.Errorf("through %v, want %v", through, test.through)
			}
		})
	}
}

func TestACallIsNotLostByAKeyThatWasRevoked(t *testing.T) {
	s := &service{}
	keys := file(t, oldKey)
	r := with(s, keys)
	first := deliver(t, r, notifytest.Page())
	rewrite(t, keys, newKey+"\n"+oldKey)
	s.revoked = []string{oldKey}
	m := notifytest.Escalation()
	m.Receipt = first.Receipt
	if got := deliver(t, r, m); got.Outcome != notify.Delivered || got.Receipt == first.Receipt || s.stands() != "1 old triggered, 1 new triggered" {
		t.Errorf("%+v, %s", got, s.stands())
	}
}

func TestTheOlderRoundThatCanNotBeEnded(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		want   notify.Outcome
		detail string
	}{
		"now is tried again, with the page":            {503, notify.Retry, "both are sent again, which calls nobody twice: 503 Service Unavailable"},
		"in this minute is tried again, after a pause": {429, notify.Retry, "both are sent again, which calls nobody twice: 429 Too Many Requests"},
		"at all is told, and holds no call up":         {400, notify.Delivered, "resolve it by hand: 400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{}
			s.answer = func(w http.ResponseWriter, e request) bool {
				if e.Action == "resolve" {
					w.Header().Set("Retry-After", "7")
					w.WriteHeader(test.status)
				}
				return e.Action == "resolve"
			}
			got := deliver(t, with(s, file(t, newKey)), notifytest.NextRound())
			if got.Outcome != test.want || !strings.HasSuffix(got.Detail, test.detail) || !strings.HasPrefix(got.Detail, "PagerDuty has the page") {
				t.Errorf("%+v", got)
			}
			if pause := 7 * time.Second; test.want == notify.Retry && got.RetryAfter != pause {
				t.Errorf("after %s, want %s", got.RetryAfter, pause)
			}
			if (got.Receipt != "") != (test.want == notify.Delivered) {
				t.Errorf("receipt %q", got.Receipt)
			}
		})
	}
}

func TestThePageComesFirstAndEndsNothingIfItFails(t *testing.T) {
	s := &service{}
	s.answer = func(w http.ResponseWriter, e request) bool {
		s.events = append(s.events, e)
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}
	got := deliver(t, with(s, file(t, newKey)), notifytest.NextRound())
	if got.Outcome != notify.Retry || len(s.events) != 1 || s.events[0].Action != "trigger" {
		t.Errorf("%+v, sent %d", got, len(s.events))
	}
}

func TestAnyAnswerOfTwoHundredIsADelivery(t *testing.T) {
	for status, want := range map[int]notify.Outcome{
		200: notify.Delivered, 201: notify.Delivered, 202: notify.Delivered, 204: notify.Delivered,
		400: notify.Refused, 401: notify.Refused, 403: notify.Refused, 404: notify.Refused, 413: notify.Refused,
		408: notify.Retry, 429: notify.Retry, 500: notify.Retry, 502: notify.Retry, 503: notify.Retry, 504: notify.Retry,
	} {
		for _, m := range []notify.Message{notifytest.Page(), acknowledgement(notifytest.Page()), notifytest.End()} {
			s := &service{answer: func(w http.ResponseWriter, _ request) bool { w.WriteHeader(status); return true }}
			if got := deliver(t, with(s, file(t, newKey)), m); got.Outcome != want || got.Status != status {
				t.Errorf("%s, %d: %+v, want %s", m.Kind, status, got, want)
			}
		}
	}
}

func TestWhatPagerDutySaysOfABadEventIsToldUnlessItGivesSomethingAway(t *testing.T) {
	for name, test := range map[string]struct{ answer, want string }{
		"its errors": {`{"status":"invalid event","message":"Event object is invalid","errors":["'payload.severity' is invalid","'payload.source' is missing or blank"]}`,
			": 'payload.severity' is invalid; 'payload.source' is missing or blank"},
		"its message, where there are no errors":     {`{"status":"invalid event","message":"Invalid routing\nkey"}`, ": Invalid routing key"},
		"not the routing key":                        {`{"errors":["unknown key ` + newKey + `"]}`, ""},
		"not the routing key in small letters":       {`{"errors":["unknown key ` + strings.ToLower(newKey) + `"]}`, ""},
		"nor in capital ones":                        {`{"errors":["unknown key ` + strings.ToUpper(newKey) + `"]}`, ""},
		"not a part of a key":                        {`{"errors":["unknown key ` + oldKey[4:16] + `…"]}`, ""},
		"not an address":                             {`{"message":"see https://events.example/v2/enqueue"}`, ""},
		"not any address":                            {`{"message":"see https://status.example/"}`, ""},
		"not a host":                                 {`{"message":"events.example knows nothing of it"}`, ""},
		"not a page of a proxy":                      {`<html>` + newKey, ""},
		"not what is of another kind":                {`{"errors":{"routing_key":"` + newKey + `"}}`, ""},
		"not more than two hundred characters of it": {`{"message":"` + strings.Repeat("a", 500) + `"}`, ": " + strings.Repeat("a", 197) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{answer: func(w http.ResponseWriter, _ request) bool {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(w, test.answer)
				return true
			}}
			got := deliver(t, with(s, file(t, newKey+"\n"+oldKey)), notifytest.Page())
			if want := "400 Bad Request" + test.want; got.Outcome != notify.Refused || got.Detail != want {
				t.Errorf("%s, %q; want refused, %q", got.Outcome, got.Detail, want)
			}
		})
	}
	s := &service{answer: func(w http.ResponseWriter, _ request) bool {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"message":"nothing below /secret-path"}`)
		return true
	}}
	r := pagerduty.New(pagerduty.Config{RoutingKeyFile: file(t, newKey), URL: "https://events.example/secret-path/", Transport: rooted{s}})
	if got := deliver(t, r, notifytest.Page()); got.Detail != "404 Not Found" {
		t.Errorf("an address' path: %+v", got)
	}
}

// rooted is a service below a path.
type rooted struct{ *service }

func (r rooted) RoundTrip(request *http.Request) (*http.Response, error) {
	request.URL.Path = strings.TrimPrefix(request.URL.Path, "/secret-path")
	return r.service.RoundTrip(request)
}

func TestWithAKeyThatCanNotBeUsedNothingIsSent(t *testing.T) {
	for name, test := range map[string]struct{ content, want string }{
		"an empty file":        {" \n", "is empty; it must hold a key of 32 letters and digits"},
		"a short key":          {newKey[:31], "key 1 of 1 is none (length 31)"},
		"a long key":           {newKey + "0", "key 1 of 1 is none (length 33)"},
		"two keys in one line": {newKey + " " + oldKey, "key 1 of 1 is none (length 65)"},
		"no letter nor digit":  {newKey[:31] + "-", "key 1 of 1 is none (length 32)"},
		"a broken second key":  {newKey + "\r\n\r\ncanary\r\n", "key 2 of 2 is none (length 6)"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &service{}
			keys := file(t, test.content)
			got := deliver(t, with(s, keys), notifytest.Page())
			if got.Outcome != notify.Retry || len(s.events) != 0 || !strings.Contains(got.Detail, keys) || !strings.HasSuffix(got.Detail, test.want) {
				t.Errorf("%+v, sent %d; want %q", got, len(s.events), test.want)
			}
		})
	}
	if got := deliver(t, with(&service{}, "no/such/file"), notifytest.Page()); got.Outcome != notify.Retry || !strings.Contains(got.Detail, "no/such/file") {
		t.Errorf("a missing file: %+v", got)
	}
}

func TestWithoutAnAddressItIsPagerDutys(t *testing.T) {
	var host string
	r := pagerduty.New(pagerduty.Config{RoutingKeyFile: file(t, newKey), Transport: transport(func(request *http.Request) { host = request.URL.Scheme + " " + request.URL.Host })})
	deliver(t, r, notifytest.Page())
	if host != "https events.pagerduty.com" {
		t.Errorf("posted to %s", host)
	}
}

// transport looks at a request and answers 202.
type transport func(*http.Request)

func (look transport) RoundTrip(r *http.Request) (*http.Response, error) {
	look(r)
	return &http.Response{StatusCode: http.StatusAccepted, Body: http.NoBody, Request: r}, nil
}
