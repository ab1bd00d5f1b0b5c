package email_test

import (
	"bytes"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/notify/email"
	"github.com/irdaemon/irdaemon/pkg/notify/notifytest"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// opened is a mail as its reader's program has it.
type opened struct {
	header     mail.Header
	subject    string
	text, html string
	raw        string
}

// send mails a message through a real server, and opens what arrives.
func send(t *testing.T, config func(*email.Config), m notify.Message) (opened, notify.Result) {
	t.Helper()
	office := &postOffice{}
	settings := basic(office.open(t, nil, false))
	if config != nil {
		config(&settings)
	}
	result := deliver(t.Context(), t, settings, m)
	if result.Outcome != notify.Delivered {
		t.Fatalf("%+v", result)
	}
	return read(t, office.mails()[0].mail), result
}

func read(t *testing.T, raw []byte) opened {
	t.Helper()
	for line := range strings.SplitSeq(string(raw), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("a line of %d bytes, or with a bare end of line: %q", len(line), line)
		}
		if strings.ContainsFunc(line, func(c rune) bool { return c > 126 }) {
			t.Errorf("not ASCII: %q", line)
		}
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	kind, parameters, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%q: %v", kind, err)
	}
	o := opened{header: m.Header, raw: string(raw)}
	if o.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, parameters["boundary"])
	for _, want := range []struct {
		kind string
		into *string
	}{{"text/plain", &o.text}, {"text/html", &o.html}} { // the plain one first: the last is the best
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		kind, parameters, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil || kind != want.kind || !strings.EqualFold(parameters["charset"], "utf-8") || part.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Errorf("a part %v, %v; want %s", part.Header, err, want.kind)
		}
		content, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		*want.into = strings.ReplaceAll(string(content), "\r\n", "\n")
	}
	if _, err := parts.NextRawPart(); err != io.EOF {
		t.Errorf("a third part: %v", err)
	}
	return o
}

func TestTheHeadersOfAPage(t *testing.T) {
	got, result := send(t, func(c *email.Config) { c.To = append(c.To, "Zoë <second@example.net>") }, notifytest.Page())
	for name, want := range map[string]string{
		"From":                     "<irdaemon@example.org>",
		"To":                       `"On-call" <oncall@example.org>, =?utf-8?q?Zo=C3=AB?= <second@example.net>`,
		"Subject":                  "SEV2 The safety layer refuses good users",
		"Date":                     "Mon, 23 Nov 2026 14:10:01 +0000",
		"Message-Id":               "<b0f3c61f5d2e@production.example.org>",
		"In-Reply-To":              "",
		"References":               "<incident.3f1c9a0d5b7e2a44@production.example.org>",
		"Auto-Submitted":           "auto-generated",
		"X-Auto-Response-Suppress": "All",
		"X-Irdaemon-Key":           "irdaemon/production/3f1c9a0d5b7e2a44/1",
		"X-Priority":               "1",
		"Importance":               "high",
		"User-Agent":               "",
		"Bcc":                      "",
		"Mime-Version":             "1.0",
	} {
		if values := got.header[name]; got.header.Get(name) != want || len(values) > 1 {
			t.Errorf("%s: %q, want %q", name, values, want)
		}
	}
	if result.Receipt != "<b0f3c61f5d2e@production.example.org>" {
		t.Errorf("receipt %q", result.Receipt)
	}
}

func TestMailsOfAnIncidentAreOneThread(t *testing.T) {
	page := notifytest.Page()
	first, result := send(t, nil, page)
	again := notifytest.Page()
	again.Resent, again.SentAt = true, again.SentAt.Add(time.Minute)
	double, _ := send(t, nil, again)
	if double.header.Get("Message-Id") != first.header.Get("Message-Id") || double.header.Get("Date") == first.header.Get("Date") {
		t.Errorf("another attempt: id %q of %q, date %q of %q", double.header.Get("Message-Id"), first.header.Get("Message-Id"), double.header.Get("Date"), first.header.Get("Date"))
	}
	ids := map[string]bool{first.header.Get("Message-Id"): true}
	root := first.header.Get("References")
	for _, m := range []notify.Message{notifytest.Escalation(), notifytest.NextRound(), notifytest.End()} {
		m.Thread, m.Receipt = result.Receipt, result.Receipt
		later, _ := send(t, nil, m)
		id := later.header.Get("Message-Id")
		if ids[id] || later.header.Get("In-Reply-To") != result.Receipt || later.header.Get("References") != root+" "+result.Receipt {
			t.Errorf("%s: id %q, reply to %q, references %q", m.Kind, id, later.header.Get("In-Reply-To"), later.header.Get("References"))
		}
		ids[id] = true
	}
	// The first page may have arrived without a word of it: the next one must not pass for its double.
	unknown, _ := send(t, nil, notifytest.Escalation())
	if unknown.header.Get("Message-Id") == first.header.Get("Message-Id") || unknown.header.Get("References") != root {
		t.Errorf("after a first page that nobody knows of: id %q, references %q", unknown.header.Get("Message-Id"), unknown.header.Get("References"))
	}
}

func TestOnlyWhatWakesSomebodyIsUrgent(t *testing.T) {
	sev3 := notifytest.Page()
	sev3.Severity = runbook.Sev3
	sev1 := notifytest.Page()
	sev1.Severity = runbook.Sev1
	notice := notifytest.Page()
	notice.Kind = incident.DeliverNotice
	for name, test := range map[string]struct {
		m    notify.Message
		want string
	}{
		"sev1": {sev1, "high"}, "sev2": {notifytest.Page(), "high"}, "sev3": {sev3, ""}, "a notice": {notice, ""}, "an end": {notifytest.End(), ""},
	} {
		if got, _ := send(t, nil, test.m); got.header.Get("Importance") != test.want {
			t.Errorf("%s: %q, want %q", name, got.header.Get("Importance"), test.want)
		}
	}
}

func TestTheAcknowledgeLinkIsInBothBodiesOnce(t *testing.T) {
	m := notifytest.Page()
	m.AcknowledgeURL = "https://irdaemon.example/incidents/42/acknowledge?by=oncall&sig=a%2Fb"
	got, _ := send(t, nil, m)
	if !strings.HasPrefix(got.text, m.Title+"\n\n"+m.Text) || strings.Count(got.text, m.AcknowledgeURL) != 1 {
		t.Errorf("text:\n%s", got.text)
	}
	if strings.Count(got.html, `href="https://irdaemon.example/incidents/42/acknowledge?by=oncall&amp;sig=a%2Fb"`) != 1 {
		t.Errorf("html:\n%s", got.html)
	}
	m.Text += "\nAcknowledge\n  " + m.AcknowledgeURL + "\n"
	if got, _ := send(t, nil, m); got.text != m.Title+"\n\n"+m.Text {
		t.Errorf("a text that has the link already:\n%s", got.text)
	}
	end, _ := send(t, nil, notifytest.End())
	if strings.Contains(end.text+end.html, "Acknowledge") {
		t.Errorf("an end asks for an answer:\n%s\n%s", end.text, end.html)
	}
}

func TestNothingThatOthersWroteBecomesAHeaderOrMarkup(t *testing.T) {
	const hostile = "SEV2 \"x\" <b>bold</b>\r\nBcc: victim@example.com\r\n\r\n<script>alert(1)</script>\x00\x1b[31m \u202egnp\u202c \u2028 👩‍👩‍👧 שלום"
	m := notifytest.Page()
	m.Title, m.Key, m.ID, m.Thread = hostile, "k\r\nBcc: victim@example.com", "id>\r\nBcc: victim@example.com", "<x@y>\r\nBcc: victim@example.com"
	m.Text = "Impact  " + hostile + "\n"
	m.AcknowledgeURL = "javascript:alert(1)"
	view := &m.Incident
	view.ID, view.Title, view.URL = hostile, hostile, `http://x/"onclick="alert(1)`
	view.Severity = runbook.Severity(hostile)
	view.Segments = []incident.SegmentView{{Condition: hostile, Labels: map[string]string{hostile: hostile}, Text: hostile}}
	view.Triage = []incident.TriageView{{N: 1, Check: hostile}}
	view.Rollbacks = []incident.RollbackView{{Artifact: hostile, Do: hostile}}
	view.Recovery = []incident.BandView{{Band: "key", Target: hostile}}
	m.Digest = nil
	got, _ := send(t, func(c *email.Config) { c.Instance = "a b\r\nBcc: victim@example.com" }, m)
	if len(got.header["Bcc"]) != 0 || strings.Contains(got.raw[:strings.Index(got.raw, "\r\n\r\n")], "\r\nBcc") {
		t.Errorf("a header was planted:\n%s", got.raw)
	}
	if want := `SEV2 "x" <b>bold</b> Bcc: victim@example.com <script>alert(1)</script> [31m gnp 👩‍👩‍👧 שלום`; got.subject != want {
		t.Errorf("subject %q, want %q", got.subject, want)
	}
	for _, planted := range []string{"<script", "<b>", "\u202e", "\x1b", "javascript:", `"onclick`} {
		if strings.Contains(got.html, planted) {
			t.Errorf("the HTML has %q:\n%s", planted, got.html)
		}
	}
	for _, name := range []string{"Message-Id", "References", "In-Reply-To"} {
		for _, id := range strings.Fields(got.header.Get(name)) {
			if name != "In-Reply-To" && strings.HasPrefix(id, "<") && !regexp.MustCompile(`^<[A-Za-z0-9.=-]+@[A-Za-z0-9.=-]+>$`).MatchString(id) {
				t.Errorf("%s: %q", name, id)
			}
		}
	}
	m.Digest, m.Digested = []incident.View{*view, *view}, 2
	if got, _ := send(t, nil, m); strings.Contains(got.html, "<script") || strings.Contains(got.html, "<b>") {
		t.Errorf("the digest has markup:\n%s", got.html)
	}
}

func TestALongTitleIsCutInTheSubjectAlone(t *testing.T) {
	m := notifytest.Page()
	m.Title = strings.Repeat("x", 3000)
	got, _ := send(t, nil, m)
	if runes := []rune(got.subject); len(runes) != 250 || runes[249] != '…' || !strings.Contains(got.text, m.Title) {
		t.Errorf("subject %q", got.subject)
	}
}

// golden reads a text that package notify writes, so that the mails shown here are what people get.
func golden(t *testing.T, name string) (title, text string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "testdata", name+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	title, text, _ = strings.Cut(string(content), "\n\n")
	return title, text
}

// refusals is a page with all that a page may have.
func refusals(t *testing.T) notify.Message {
	m := notifytest.Page()
	m.Title, m.Text = golden(t, "page-opened")
	m.Incident.Headline = m.Title
	m.AcknowledgeURL = "https://irdaemon.example/acknowledge?t=eyJpIjo0Mn0.c2ln"
	now, yes := 0.214, true
	m.Incident.Impact = "Refusal rate 19.1% (limit 8%) for tier paid and deflection rate 25.3% (limit 31.5%)"
	m.Incident.Segments = []incident.SegmentView{
		{Condition: "refusal_rate above 8%", Labels: map[string]string{"tier": "paid", "service": "support-bot"}, Text: "19.1%", Now: &now, NowText: "21.4%", Breaching: &yes},
		{Condition: "deflection_rate below 31.5%", Labels: map[string]string{"service": "support-bot"}, Text: "25.3%"},
	}
	m.Incident.Triage = []incident.TriageView{
		{N: 1, Check: "Confirm the alert is real on paid English traffic", Evidence: "refusal_rate by tier, language"},
		{N: 2, Check: "Decide whether user harm is active now", Decide: []string{"yes", "no"}},
	}
	m.Incident.Mitigations = []incident.MitigationView{{Title: "Route paid traffic to the fallback", Kind: "fallback", Do: "Set the router policy to fallback-approved."}}
	m.Incident.Rollbacks = []incident.RollbackView{
		{Artifact: "prompt", Name: "support prompt", Do: "Set the live prompt label of the support bot back to <previous version>, in the prompt registry."},
		{Artifact: "retrieval_index", Do: "Point the alias kb-live from <current version> to <previous version>."},
	}
	m.Incident.Recovery = []incident.BandView{
		{Band: "key", Target: "refusal_rate below 6%"}, {Band: "safety", None: "unsafe answers are judged by hand, weekly"},
	}
	return m
}

func storm(t *testing.T) notify.Message {
	m := refusals(t)
	m.Title = "6 incidents call at once, the worst: SEV1 The assistant answers in the wrong language · http://irdaemon.example/incidents/42"
	m.Text = "Why     there are more calls than you should get one by one, so these come as one\n        message\nHow bad sev1 1, sev2 2, sev3 3\n\nThe worst first\n"
	m.Digested = 6
	for i, said := range []struct {
		severity     runbook.Severity
		title, words string
	}{
		{runbook.Sev1, "The assistant answers in the wrong language", "Wrong language in 41% (limit 2%) of answers for locale de"},
		{runbook.Sev2, "The safety layer refuses good users", "Refusal rate 19.1% (limit 8%) for tier paid"},
		{runbook.Sev3, "The first token is late", "p95 of the first token 2.4 s (limit 1.5 s)"},
	} {
		view := m.Incident
		view.Number, view.Severity, view.Title, view.Impact = int64(42+i), said.severity, said.title, said.words
		view.URL = "http://irdaemon.example/incidents/4" + string(rune('2'+i))
		m.Digest = append(m.Digest, view)
	}
	m.Incident = m.Digest[0]
	return m
}

func TestMailsLookWell(t *testing.T) {
	tests := map[string]func() notify.Message{
		"page": func() notify.Message { return refusals(t) },
		"page-without-a-link-as-a-drill-sent-again": func() notify.Message {
			m := refusals(t)
			m.AcknowledgeURL, m.Drill, m.Resent = "", true, true
			m.Text = "DRILL   this is practice, nothing is broken\n" + m.Text
			return m
		},
		"page-with-more-than-a-mail-shows": func() notify.Message {
			m := refusals(t)
			for range 9 {
				m.Incident.Segments = append(m.Incident.Segments, m.Incident.Segments[1])
				m.Incident.Triage = append(m.Incident.Triage, m.Incident.Triage[0])
			}
			return m
		},
		"end": func() notify.Message {
			m := refusals(t)
			m.Kind, m.AcknowledgeURL, m.Incident.State = incident.DeliverEnd, "", incident.ResolvedState
			m.Title, m.Text = golden(t, "end-resolved")
			m.Incident.Headline = m.Title
			m.Incident.Postmortem.Questions = []string{"Which rollback path was missing?", "Which signal would have told us five minutes earlier?"}
			return m
		},
		"notice-with-news": func() notify.Message {
			m := refusals(t)
			m.Kind, m.AcknowledgeURL = incident.DeliverNotice, ""
			m.Title, m.Text = golden(t, "notice")
			m.Incident.Headline, m.Title = m.Title, "update due at 14:40 UTC: "+m.Title
			return m
		},
		"digest": func() notify.Message { return storm(t) },
	}
	for name, message := range tests {
		t.Run(name, func(t *testing.T) {
			got, _ := send(t, nil, message())
			if strings.Contains(got.html, "ZgotmplZ") || regexp.MustCompile(`(?i)<(img|link|script|style)|url\(|@import`).MatchString(got.html) {
				t.Errorf("something is fetched, or can't be shown:\n%s", got.html)
			}
			path := filepath.Join("testdata", name+".html")
			if *update {
				if err := os.WriteFile(path, []byte(got.html), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got.html != string(want) {
				t.Errorf("differs from %s (-update rewrites it):\n%s", path, got.html)
			}
		})
	}
}

func TestBothBodiesSayTheSame(t *testing.T) {
	got, _ := send(t, nil, refusals(t))
	for _, said := range []string{
		"opened at sev2", "sev2, refusal_rate above 15%", "impact began 13:59:15 UTC, opened 10m45s later at 14:10 UTC",
		"nobody has acknowledged; next call at 14:25 UTC", "ml-platform-oncall",
	} {
		if !strings.Contains(got.text, said) || !strings.Contains(got.html, "<bdi>"+said+"</bdi>") {
			t.Errorf("%q is not in both", said)
		}
	}
	for text, want := range map[string]string{
		"": "", "\n": "", "OK\n": "<bdi>OK</bdi>", "Some words of prose\nin two lines\n": "<bdi>Some words of prose</bdi>", "How bad sev1 3\n": "<bdi>sev1 3</bdi>",
		"Grüße an alle\n": "<bdi>Grüße an alle</bdi>", "Impact  \n": "<bdi>Impact</bdi>", "        indented\n": "<bdi>indented</bdi>",
	} {
		m := notifytest.Page()
		m.Text = text
		if got, _ := send(t, nil, m); !strings.Contains(got.html, want) || want == "" && strings.Contains(got.html, "<td") {
			t.Errorf("%q is shown as\n%s", text, got.html)
		}
	}
	if long := "Refusal rate 19.1% (limit 8%) for tier paid and deflection rate 25.3% (limit 31.5%)"; !strings.Contains(got.html, "<bdi>"+long+"</bdi>") {
		t.Errorf("a fact of two lines is not whole:\n%s", got.html)
	}
}
