package slack_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/notifytest"
	"github.com/irdaemon/irdaemon/pkg/notify/slack"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	key    = "irdaemon/production/3f1c9a0d5b7e2a44/"
	page   = "http://irdaemon.example/incidents/42"
	secret = "8f742231b10e8888abcd99yyyzzz85a5"
)

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// bot makes a receiver that posts to the workspace's channel.
func bot(t *testing.T, w *workspace) *slack.Receiver {
	t.Helper()
	return slack.New(slack.Config{
		TokenFile: file(t, token+"\n"), Channel: "#incidents", SigningSecretFile: file(t, secret),
		APIURL: "http://slack.test/api", Transport: w,
	})
}

// clock gives a time of the day of the story.
func clock(s string) *time.Time {
	at, err := time.Parse("2006-01-02 15:04:05", "2026-11-23 "+s)
	if err != nil {
		panic(err)
	}
	return &at
}

// broken is the story's incident when it opens.
func broken() incident.View {
	return incident.View{
		ID: "3f1c9a0d5b7e2a44", Number: 42, Runbook: "good-users-refused", Title: "The safety layer refuses good users",
		Service: "support-bot", Group: map[string]string{"service": "support-bot", "tier": "paid"},
		Severity: runbook.Sev2, Rule: "refusal_rate above 15%", State: incident.Triggered, Owner: "ml-platform-oncall",
		Impact:   "Refusal rate 19.1% (limit 8%) for tier paid and deflection rate 25.3% (limit 31.5%)",
		Headline: "SEV2 The safety layer refuses good users: Refusal rate 19.1% (limit 8%) since 13:59 UTC · support-bot · owner ml-platform-oncall · " + page,
		URL:      page,
		Segments: []incident.SegmentView{
			{Condition: "refusal_rate above 8%", Labels: map[string]string{"tier": "paid"}, Text: "19.1%"},
			{Condition: "deflection_rate below 31.5%", Text: "25.3%"},
		},
		Triage:      []incident.TriageView{{N: 1, Check: "Confirm the alert is real on paid English traffic"}, {N: 2, Check: "Inspect the blast radius"}},
		Mitigations: []incident.MitigationView{{Title: "Answer from the knowledge base alone", Kind: "flag", Do: "Turn on kb_only."}},
		Rollbacks: []incident.RollbackView{
			{Artifact: "prompt", Name: "support prompt", Do: "Set the live prompt label back to <previous version>."},
			{Artifact: "retrieval_index", Do: "Point the alias kb-live to <previous version>."},
		},
		Recovery: []incident.BandView{{Band: "key", Target: "refusal_rate below 6%"}, {Band: "business", Target: "deflection_rate above 38%"}},
		Calling:  true, Round: 1, Called: []string{"ml-platform-oncall"}, NextCallAt: clock("14:25:00"),
		ImpactStartedAt: clock("13:59:15"), OpenedAt: clock("14:10:00"),
	}
}

// told is a message about the incident as it is; its text is what notify would make of it.
func told(kind string, round int, at string, view incident.View, text string) notify.Message {
	return notify.Message{
		ID: kind + at, Kind: kind, Key: fmt.Sprint(key, round), Round: round, Severity: view.Severity,
		StartedAt: *clock("14:10:00"), CreatedAt: *clock(at), SentAt: *clock(at), Title: view.Headline, Text: text, Incident: view,
	}
}

// step is what happens next in a story.
type step struct {
	name    string
	message notify.Message
}

// story is an incident's whole life.
func story() []step {
	view := broken()
	var steps []step
	then := func(name, kind string, round int, at, text string, change func(*incident.View)) {
		change(&view)
		steps = append(steps, step{name, told(kind, round, at, view, text)})
	}
	none := func(*incident.View) {}
	then("it opens", incident.DeliverPage, 1, "14:10:01", "Impact  Refusal rate\nWhy     opened at sev2\nRule    sev2\n", none)
	then("nobody acknowledges: the lead is called", incident.DeliverPage, 1, "14:25:00",
		"Impact  Refusal rate\nWhy     opened at sev2; nobody acknowledged for 15m: escalated to\n        ml-platform-lead\nRule    sev2\n",
		func(v *incident.View) {
			v.Called, v.NextCallAt = append(v.Called, "ml-platform-lead"), clock("14:40:00")
		})
	then("alice takes it", incident.DeliverAcknowledge, 1, "14:27:10", "News    alice acknowledged: nobody else is called\nNow     alice has it\nImpact  Refusal rate\n",
		func(v *incident.View) {
			v.State, v.Calling, v.NextCallAt = incident.AcknowledgedState, false, nil
			v.AcknowledgedBy, v.AcknowledgedAt, v.TakenAt = "alice", clock("14:27:09"), clock("14:27:09")
		})
	then("she rolls back", incident.DeliverProgress, 1, "14:31:00",
		"News    alice rolled back the support prompt from prompt-v7 to prompt-v6, which\n        is on all traffic since 14:30\n        the trigger is clear\nNow     mitigating\n",
		func(v *incident.View) { v.State = incident.Mitigating })
	then("all bands hold", incident.DeliverProgress, 1, "14:36:00", "all bands held: being verified for 15m\n\nLook\n",
		func(v *incident.View) { v.State, v.HoldSince = incident.Verifying, clock("14:36:00") })
	then("an update is due", incident.DeliverNotice, 0, "14:40:00", "Impact  Refusal rate\nWhy     an update is due at 14:45\n", none)
	then("it relapses", incident.DeliverPage, 2, "14:46:00", "Impact  Refusal rate\nWhy     relapsed: the trigger fires again\n",
		func(v *incident.View) {
			v.State, v.HoldSince, v.Round, v.Calling, v.Called, v.NextCallAt = incident.Mitigating, nil, 2, true, v.Called[:1], clock("15:01:00")
		})
	then("bob takes it", incident.DeliverAcknowledge, 2, "14:47:00", "News    bob acknowledged: nobody else is called\n",
		func(v *incident.View) {
			v.Calling, v.NextCallAt, v.AcknowledgedBy, v.TakenAt = false, nil, "bob", clock("14:47:00")
		})
	then("it is over", incident.DeliverEnd, 2, "15:20:00", "Now     resolved at 15:20 UTC; nothing to do\n",
		func(v *incident.View) {
			v.State, v.ResolvedAt, v.ImpactEndedAt = incident.ResolvedState, clock("15:20:00"), clock("15:05:00")
			v.Headline = "RESOLVED SEV2 The safety layer refuses good users: impact lasted 65m45s, from 13:59 UTC to 15:05 UTC, recovery verified for 15m · support-bot · owner ml-platform-oncall · " + page
		})
	return steps
}

// teller delivers messages as the notifier does: with the receipts of what was accepted before.
type teller struct {
	t        *testing.T
	receiver notify.Receiver
	thread   string
	receipts map[string]string
}

func (l *teller) tell(m notify.Message) notify.Result {
	l.t.Helper()
	m.Thread, m.Receipt = l.thread, l.receipts[m.Key]
	result := l.receiver.Deliver(l.t.Context(), m)
	if strings.Contains(result.Detail+result.Receipt, "canary") || strings.Contains(result.Detail, "://") {
		l.t.Errorf("gives a secret or an address away: %+v", result)
	}
	if result.Outcome != notify.Delivered && result.Detail == "" {
		l.t.Error("not delivered, and no word about why")
	}
	if result.Outcome == notify.Delivered && m.Kind == incident.DeliverPage {
		if l.thread == "" {
			l.thread = result.Receipt
		}
		l.receipts[m.Key] = result.Receipt
	}
	return result
}

func newTeller(t *testing.T, w *workspace) *teller {
	return &teller{t: t, receiver: bot(t, w), receipts: map[string]string{}}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what it was; it reads:\n%s", name, got)
	}
}

func TestTheChannelAsAPersonSeesItThroughAnIncidentsWholeLife(t *testing.T) {
	w := newWorkspace(t)
	l := newTeller(t, w)
	var seen strings.Builder
	for i, s := range story() {
		if result := l.tell(s.message); result.Outcome != notify.Delivered || result.Detail != "" || result.Receipt != "C0INCIDENTS/1763800001.000100" {
			t.Fatalf("%s: %+v", s.name, result)
		}
		if i == 1 || i == 2 || i == 6 || i == len(story())-1 {
			fmt.Fprintf(&seen, "══ %s ══\n%s\n", s.name, w.channel("#incidents"))
		}
	}
	golden(t, "story", seen.String())
	root := w.channel("#incidents").messages[0]
	if !strings.HasPrefix(root.text, "RESOLVED") || strings.Contains(root.String(), "Acknowledge") {
		t.Errorf("the first message is not calm at the end:\n%s\n%s", root.text, root)
	}
}

func TestConformanceOfTheWebhook(t *testing.T) {
	notifytest.Run(t, notifytest.Case{
		New: func(t *testing.T, address string) notify.Receiver {
			return slack.New(slack.Config{WebhookURLFile: file(t, address+"\n")})
		},
		// A channel's reader knows a call by the incident's name, and its end by what it says: there is no key in it.
		Read: func(t *testing.T, sent notify.Message, _ *http.Request, body []byte) []notifytest.Seen {
			var d demand
			if err := json.Unmarshal(body, &d); err != nil {
				t.Error(err)
			}
			if err := d.check(); err != nil {
				t.Error(err)
			}
			read := (&message{text: d.Text, blocks: d.Blocks}).String()
			if !strings.Contains(read, "#42") || d.Channel != "" || d.ThreadTS != "" {
				t.Errorf("%s", body)
			}
			seen := []notifytest.Seen{{Key: sent.Key, Ended: strings.Contains(read, "nothing to do") || strings.HasPrefix(d.Text, "OVER the storm")}}
			if sent.EndsKey != "" {
				seen = append(seen, notifytest.Seen{Key: sent.EndsKey, Ended: true})
			}
			return seen
		},
	})
}

func TestWhatItCarries(t *testing.T) {
	if got := slack.New(slack.Config{WebhookURLFile: "a"}).Carries(); got != (incident.Carries{Notices: true}) {
		t.Errorf("a webhook carries %+v", got)
	}
	if got := slack.New(slack.Config{TokenFile: "a"}).Carries(); got != (incident.Carries{Notices: true, Acknowledgements: true, Progress: true}) {
		t.Errorf("a bot carries %+v", got)
	}
}
