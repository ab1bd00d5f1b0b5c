package email

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// subjectRunes is how much of a title the subject has; no mail program shows more, and the body has all.
const subjectRunes = 250

// compose writes the mail: headers, and the message as plain text and as HTML.
func (r *Receiver) compose(m notify.Message) ([]byte, error) {
	html, err := htmlBody(m)
	if err != nil {
		return nil, err
	}
	mail := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	mail.FromMailAddress(r.from)
	for _, to := range r.to {
		mail.AddToMailAddress(to)
	}
	mail.Subject(cut(oneLine(m.Title), subjectRunes))
	mail.SetDateWithValue(m.SentAt.UTC())
	mail.SetMessageIDWithValue(r.messageID(m))
	r.thread(mail, m)
	mail.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no holiday notices, please
	mail.SetGenHeader("X-Auto-Response-Suppress", "All")  // the same for Exchange
	mail.SetGenHeader("X-Irdaemon-Key", oneLine(m.Key))
	if m.Kind == incident.DeliverPage && (m.Severity == runbook.Sev1 || m.Severity == runbook.Sev2) {
		mail.SetGenHeader(gomail.HeaderImportance, "high")
		mail.SetGenHeader(gomail.HeaderXPriority, "1")
	}
	mail.SetBodyString(gomail.TypeTextPlain, plainBody(m))
	mail.AddAlternativeString(gomail.TypeTextHTML, html)
	var composed bytes.Buffer
	if _, err := mail.WriteTo(&composed); err != nil {
		return nil, err
	}
	return composed.Bytes(), nil
}

// thread joins the mail to the incident's. The root is an id that no mail has: mail programs thread by it all the
// same, and the first mail needs no Message-ID that a later one could have too.
func (r *Receiver) thread(mail *gomail.Msg, m notify.Message) {
	references := "<incident." + atom(m.Incident.ID) + "@" + r.domain + ">"
	if first := oneLine(m.Thread); first != "" {
		references += " " + first
		mail.SetGenHeader(gomail.HeaderInReplyTo, first)
	}
	mail.SetGenHeader(gomail.HeaderReferences, references)
}

func (r *Receiver) messageID(m notify.Message) string { return atom(m.ID) + "@" + r.domain }

// domain makes the right side of a Message-ID: the instance's name and the domain from which mails come.
func domain(instance, from string) string {
	domain := atom(from[strings.LastIndex(from, "@")+1:])
	if instance == "" {
		return domain
	}
	return atom(instance) + "." + domain
}

// atom makes a word that may stand in a Message-ID of any other, and never the same one of two.
func atom(word string) string {
	var b strings.Builder
	for i := range len(word) {
		c := word[i]
		inner := c == '.' && i > 0 && i < len(word)-1 && word[i-1] != '.'
		if inner || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02x", c)
		}
	}
	return b.String()
}

// plainBody is the message as it is, with the link that its text can't have.
func plainBody(m notify.Message) string {
	text := m.Title + "\n\n" + m.Text
	if m.AcknowledgeURL == "" || strings.Contains(text, m.AcknowledgeURL) {
		return text
	}
	return strings.TrimRight(text, "\n") + "\n\nAcknowledge here: the page asks once more\n  " + m.AcknowledgeURL + "\n"
}

// oneLine keeps what others wrote from becoming a second line, a second header, or words that read in another order
// than they were written in.
func oneLine(said string) string {
	said = strings.Map(func(c rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, c):
			return -1
		case unicode.IsControl(c), unicode.IsSpace(c):
			return ' '
		}
		return c
	}, said)
	return strings.Join(strings.Fields(said), " ")
}

func cut(said string, runes int) string {
	if long := []rune(said); len(long) > runes {
		return strings.TrimRight(string(long[:runes-1]), " ") + "…"
	}
	return said
}
