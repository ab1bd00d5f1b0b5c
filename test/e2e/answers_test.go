//go:build e2e

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// services are where people are reached beside the webhooks.
type services struct {
	pagerDuty  *pagerDuty
	slack      *slackWorkspace
	postOffice *postOffice
}

// reach adds PagerDuty, Slack and mail to the ways to reach the role on call.
func (r *railway) reach() *services {
	s := &services{startPagerDuty(r.t), startSlack(r.t), startPostOffice(r.t)}
	r.other.alone = true
	r.other.roles = `
  llm-oncall: {page: [oncall-hook, pager, chat, mail]}`
	r.other.receivers = fmt.Sprintf(`
  pager: {pagerduty: {routing_key_file: secrets/pager, url: %q, webhook_secret_file: secrets/pager-webhook}}
  chat: {slack: {token_file: secrets/chat, channel: %s, signing_secret_file: secrets/chat-signing, api_url: "%s/api"}}
  mail: {email: {to: ["On-call <oncall@example.org>"], from: irdaemon@example.org, smarthost: %q, require_tls: false}}
`, s.pagerDuty.server.URL, s.slack.channel, s.slack.server.URL, s.postOffice.address)
	r.other.files = map[string]string{
		"secrets/pager": s.pagerDuty.routingKey, "secrets/pager-webhook": s.pagerDuty.secret,
		"secrets/chat": s.slack.token, "secrets/chat-signing": s.slack.secret,
	}
	return s
}

// TestPeopleAnswerWhereTheyAreReached breaks three services at once. One incident is acknowledged at PagerDuty, one in
// Slack, one by the link of a mail; each receiver is told what happened elsewhere, and nothing that it knows already.
func TestPeopleAnswerWhereTheyAreReached(t *testing.T) {
	t.Parallel()
	var s *services
	r := startRailway(t, quickScale, func(r *railway) { s = r.reach() })
	for _, service := range []string{"support-bot", "sales-bot", "billing-bot"} {
		r.bot.behave(service, refusing)
	}
	pager, chat, link := r.isCalled("support-bot"), r.isCalled("sales-bot"), r.isCalled("billing-bot")
	for _, page := range []delivery{pager, chat, link} {
		s.pagerDuty.isTold(t, page.Data.DedupKey, "trigger")
	}
	t.Run("at PagerDuty", func(t *testing.T) { r.answersPagerDuty(t, s, pager) })
	t.Run("in Slack", func(t *testing.T) { r.answersSlack(t, s, chat) })
	t.Run("by the link of a mail", func(t *testing.T) { r.answersMail(t, s, link) })

	for _, service := range []string{"support-bot", "sales-bot", "billing-bot"} {
		r.bot.behave(service, usual)
	}
	for _, page := range []delivery{pager, chat, link} {
		r.daemon.waitForState(page.Data.Incident.ID, "resolved", r.resolvesWithin()+signalRange)
	}
	// What PagerDuty said itself it is not told back.
	s.pagerDuty.isTold(t, pager.Data.DedupKey, "trigger", "resolve")
	s.pagerDuty.isTold(t, chat.Data.DedupKey, "trigger", "acknowledge", "resolve")
	s.pagerDuty.isTold(t, link.Data.DedupKey, "trigger", "acknowledge", "resolve")
	over := s.postOffice.waitFor(t, "RESOLVED", "billing-bot")
	if called := s.postOffice.waitFor(t, "SEV2", "billing-bot"); called.thread == "" || !strings.HasPrefix(over.thread, strings.Fields(called.thread)[0]) {
		t.Errorf("the end's mail refers to %q, the call's to %q: they are no thread", over.thread, called.thread)
	}
	eventually(t, 10*time.Second, "Slack has one message for an incident, which shows the end", func() (struct{}, error) {
		messages := s.slack.about("sales-bot", false)
		if len(messages) != 1 || !strings.Contains(messages[0].Text, "RESOLVED") {
			return struct{}{}, fmt.Errorf("%v", messages)
		}
		return struct{}{}, nil
	})
}

func (r *railway) inbound(receiver string) string {
	return r.daemon.url + "/api/v1/receivers/" + receiver + "/inbound"
}

// isStillCalling fails the test unless an incident is as if nobody had answered.
func (r *railway) isStillCalling(t *testing.T, id, after string) {
	t.Helper()
	if i, err := r.daemon.incident(id); err != nil || !i.Calling || i.AcknowledgedBy != "" {
		t.Errorf("after %s: calling %t, taken by %q (%v)", after, i.Calling, i.AcknowledgedBy, err)
	}
}

// isTakenOnce waits until somebody has taken an incident, once.
func (r *railway) isTakenOnce(t *testing.T, id, by string) {
	t.Helper()
	eventually(t, 5*time.Second, "taken by "+by, func() (struct{}, error) {
		i, err := r.daemon.incident(id)
		if err == nil && (i.AcknowledgedBy != by || i.Calling || len(i.times("acknowledged")) != 1) {
			err = fmt.Errorf("taken by %q, calling %t:\n%s", i.AcknowledgedBy, i.Calling, i.story())
		}
		return struct{}{}, err
	})
}

func (r *railway) answersPagerDuty(t *testing.T, s *services, page delivery) {
	id, key := page.Data.Incident.ID, page.Data.DedupKey
	if status := s.pagerDuty.acknowledges(t, r.inbound("pager"), "01EVENT1", key, "Mallory", "another secret"); status != http.StatusForbidden {
		t.Errorf("a webhook with a wrong signature: %d, want 403", status)
	}
	r.isStillCalling(t, id, "a wrong signature")
	for range 2 { // PagerDuty delivers at least once
		if status := s.pagerDuty.acknowledges(t, r.inbound("pager"), "01EVENT2", key, "Dana Duty", s.pagerDuty.secret); status/100 != 2 {
			t.Errorf("a signed webhook: %d, want it taken", status)
		}
	}
	r.isTakenOnce(t, id, "Dana Duty")
	eventually(t, 10*time.Second, "Slack shows who has it", func() (struct{}, error) {
		messages := s.slack.about(page.Data.Incident.Service, false)
		if len(messages) != 1 || !strings.Contains(string(messages[0].Blocks), "Dana Duty") {
			return struct{}{}, fmt.Errorf("%s", messages)
		}
		if _, value := messages[0].button(); value != "" {
			return struct{}{}, fmt.Errorf("it still has the button that acknowledges")
		}
		return struct{}{}, nil
	})
}

func (r *railway) answersSlack(t *testing.T, s *services, page delivery) {
	id := page.Data.Incident.ID
	message := eventually(t, 10*time.Second, "a message with a button", func() (slackMessage, error) {
		messages := s.slack.about(page.Data.Incident.Service, false)
		if len(messages) != 1 {
			return slackMessage{}, fmt.Errorf("%d messages", len(messages))
		}
		if _, value := messages[0].button(); value == "" {
			return slackMessage{}, fmt.Errorf("no button in %s", messages[0].Blocks)
		}
		return messages[0], nil
	})
	if status := s.slack.clicks(t, r.inbound("chat"), message, "mallory", time.Now().Add(-10*time.Minute)); status != http.StatusForbidden {
		t.Errorf("a click of ten minutes ago: %d, want 403", status)
	}
	r.isStillCalling(t, id, "an old click")
	now := time.Now()
	for range 2 { // Slack may deliver twice
		if status := s.slack.clicks(t, r.inbound("chat"), message, "sam.slack", now); status != http.StatusOK {
			t.Errorf("a click: %d, want 200", status)
		}
	}
	r.isTakenOnce(t, id, "sam.slack")
	s.pagerDuty.isTold(t, page.Data.DedupKey, "trigger", "acknowledge")
}

var acknowledgeLink = regexp.MustCompile(`https?://\S+/acknowledge/[A-Za-z0-9._-]+`)

func (r *railway) answersMail(t *testing.T, s *services, page delivery) {
	id := page.Data.Incident.ID
	called := s.postOffice.waitFor(t, "SEV2", page.Data.Incident.Service)
	link := acknowledgeLink.FindString(called.text)
	if called.to != "oncall@example.org" || called.key != page.Data.DedupKey || !strings.HasPrefix(link, r.daemon.url) {
		t.Fatalf("the mail to %s with the key %s has the link %q:\n%s", called.to, called.key, link, called.text)
	}
	if hook := page.Data.AcknowledgeURL; !strings.HasPrefix(hook, r.daemon.url+"/acknowledge/") || hook == link {
		t.Errorf("the webhook's acknowledge_url is %q, want a link of its own, for it names the receiver", hook)
	}
	status, body := r.opens(t, link)
	if status != http.StatusOK || !strings.Contains(body, `<form method="post">`) || !strings.Contains(body, page.Data.Incident.Title) {
		t.Errorf("the link shows %d:\n%s", status, body)
	}
	r.isStillCalling(t, id, "a look at the link, as programs that read mail take one")
	middle := len(link) - 20
	for what, broken := range map[string]string{
		"one letter is another": link[:middle] + swapCase(link[middle:middle+1]) + link[middle+1:],
		"its end is missing":    link[:middle],
	} {
		if status, _ := r.opens(t, broken); status != http.StatusNotFound {
			t.Errorf("a link of which %s shows %d, want 404", what, status)
		}
		if status, _ := r.sends(t, broken, "Mallory"); status != http.StatusNotFound {
			t.Errorf("a link of which %s is taken: %d, want 404", what, status)
		}
	}
	if status, _ := r.sends(t, link, ""); status != http.StatusUnprocessableEntity {
		t.Errorf("acknowledged by nobody: %d, want 422", status)
	}
	r.isStillCalling(t, id, "links that are wrong")

	if status, body := r.sends(t, link, "Erin <b>Mail"); status != http.StatusOK || !strings.Contains(body, "is acknowledged") {
		t.Errorf("acknowledged by Erin: %d:\n%s", status, body)
	}
	r.isTakenOnce(t, id, "Erin <b>Mail (link to mail)")
	status, body = r.sends(t, link, "Frank")
	if status != http.StatusOK || !strings.Contains(body, "already acknowledged") || !strings.Contains(body, "Erin &lt;b&gt;Mail") {
		t.Errorf("the second click does not say who has it: %d:\n%s", status, body)
	}
	r.isTakenOnce(t, id, "Erin <b>Mail (link to mail)")
}

// swapCase gives the other of the two letters that differ in one bit, or another sign.
func swapCase(letter string) string {
	if other := strings.ToUpper(letter); other != letter {
		return other
	}
	if other := strings.ToLower(letter); other != letter {
		return other
	}
	return "A"
}

// opens follows a link.
func (r *railway) opens(t *testing.T, link string) (int, string) {
	t.Helper()
	status, body, err := get(client, link)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(body)
}

// sends sends the form behind a link, in somebody's name.
func (r *railway) sends(t *testing.T, link, name string) (int, string) {
	t.Helper()
	response, err := client.PostForm(link, url.Values{"name": {name}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}
