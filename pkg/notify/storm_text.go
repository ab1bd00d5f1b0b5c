package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	plain "github.com/irdaemon/irdaemon/pkg/incident/text"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// shownInDigest is how many incidents a digest's text lists.
const shownInDigest = 20

// inTheList is where the rest is.
const inTheList = "in the list of incidents"

// composeDigest makes the one message of many rows, the worst of which stand first.
func composeDigest(key string, all []told, now time.Time) Message {
	m := manyAsOne(key, all, now)
	for _, one := range all {
		m.Digest = append(m.Digest, one.View)
	}
	m.Incident, m.Digested = m.Digest[0], len(all)
	what := fmt.Sprintf("%d incidents call at once", len(all))
	if m.Kind == incident.DeliverNotice {
		what = fmt.Sprintf("%d notices at once", len(all))
	}
	m.Title = fmt.Sprintf("%s, the worst: %s", what, m.Incident.Headline)
	m.Text = digestText(m, all, now)
	m.Digest = m.Digest[:min(listed, len(m.Digest))]
	return m.finished()
}

// composeDigestOver makes the message that says of all incidents of a digest that somebody has them, or that they are
// over. views are those that it is about, the worst first.
func composeDigestOver(key string, all []told, views []incident.View, now time.Time) Message {
	m := manyAsOne(key, all, now)
	m.Receipt = all[0].Receipt
	m.Thread = cmp.Or(m.Receipt, all[0].Thread)
	m.Digest, m.Digested, m.Incident = views[:min(listed, len(views))], len(views), views[0]
	storm := "the storm" + stormOf(key, now)
	var t text
	if m.Kind == incident.DeliverEnd {
		m.Title = "OVER " + storm + ": none of its incidents is open any more"
		t.line("Now", "none of its incidents is open any more; nothing to do")
	} else {
		m.Title = fmt.Sprintf("somebody has each of the %d incidents of %s that are still open", len(views), storm)
		t.line("Now", fmt.Sprintf("somebody has each of its %d incidents that are still open: nobody is called any more", len(views)))
	}
	t.part("The worst first", "1", headlines(views, now), shownInDigest, inTheList)
	t.lookAtAll(m.Incident)
	m.Text = t.String()
	return m.finished()
}

// manyAsOne begins a message that stands for many rows. It is practice only if all of them are.
func manyAsOne(key string, all []told, now time.Time) Message {
	first := all[0]
	m := Message{
		ID: digestID(key, first.row.Kind, all), Kind: first.row.Kind, Key: key, Round: 1, Severity: first.row.Severity,
		StartedAt: first.row.StartedAt, CreatedAt: first.row.CreatedAt, SentAt: now, Drill: true,
	}
	for _, one := range all {
		for _, cause := range one.row.Causes {
			if !slices.Contains(m.Causes, cause) {
				m.Causes = append(m.Causes, cause)
			}
		}
		m.Resent = m.Resent || one.row.Attempt > 1
		m.Drill = m.Drill && one.View.Class == incident.Drill
		m.CreatedAt = earlier(m.CreatedAt, one.row.CreatedAt)
		m.StartedAt = earlier(m.StartedAt, one.row.StartedAt)
		if one.row.Severity < m.Severity {
			m.Severity = one.row.Severity
		}
	}
	return m
}

// earlier gives the earlier of two times that are known.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// digestText is what follows a digest's first line.
func digestText(m Message, all []told, now time.Time) string {
	views := m.Digest
	var t text
	if m.Kind == incident.DeliverNotice {
		t.line("Why", "more notices are due than you should get one by one, so these come as one message")
	} else {
		t.line("Why", "a storm: more calls are due than you should get one by one, so these come as one message; each is escalated as ever unless somebody takes it")
	}
	t.line("How bad", counted(views, func(v incident.View) string { return string(v.Severity) }, len(runbook.Severities)))
	t.line("Of", counted(views, func(v incident.View) string { return v.Runbook }, 3))
	t.line("Owners", counted(views, func(v incident.View) string { return v.Owner }, 3))
	items := headlines(views, now)
	for i, one := range all {
		if m.Kind == incident.DeliverNotice && !one.row.Reminds.IsZero() {
			items[i] = "an update is due " + incident.Clock(one.row.Reminds, now) + ": " + items[i]
		}
	}
	t.part("The worst first", "1", items, shownInDigest, inTheList)
	if m.Kind == incident.DeliverPage {
		t.heading("Acknowledge")
		t.item("  ", "each by its number, such as "+plain.Command(m.Incident, "ack")+"; a pager's own button, where it has one, takes all that are in this message")
	}
	t.lookAtAll(m.Incident)
	return t.String()
}

// counted counts what the incidents have in common, the most frequent first: good-users-refused 480, slow-answers 20.
func counted(views []incident.View, of func(incident.View) string, shown int) string {
	counts := map[string]int{}
	var names []string
	for _, v := range views {
		name := cmp.Or(of(v), "none")
		if counts[name]++; counts[name] == 1 {
			names = append(names, name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	var said []string
	for _, name := range names[:min(shown, len(names))] {
		said = append(said, fmt.Sprintf("%s %d", name, counts[name]))
	}
	if more := len(names) - shown; more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(said, ", ")
}

// headlines are the incidents as a list shows them: numbered as people name them, without their links and the first one's
// owner, and with who has those that somebody has.
func headlines(views []incident.View, now time.Time) []string {
	items := make([]string, 0, len(views))
	for _, v := range views {
		said := cmp.Or(strings.TrimSuffix(v.Headline, " · "+v.URL), v.Title, v.Runbook)
		said = strings.TrimSuffix(said, " · owner "+views[0].Owner)
		if v.Number > 0 {
			said = fmt.Sprintf("#%d %s", v.Number, said)
		}
		if open(v) && v.AcknowledgedBy != "" {
			said += " (" + whoHasIt(v, now) + ")"
		}
		items = append(items, said)
	}
	return items
}

// stormOf says when a digest was sent, which its key ends in.
func stormOf(key string, now time.Time) string {
	seconds, err := strconv.ParseInt(key[strings.LastIndex(key, "/")+1:], 10, 64)
	if err != nil {
		return ""
	}
	return " of " + incident.Clock(time.Unix(seconds, 0).Truncate(time.Minute), now)
}

// lookAtAll leads to the list of incidents.
func (t *text) lookAtAll(view incident.View) {
	if address, found := strings.CutSuffix(view.URL, "/"+view.Ref()); found {
		t.heading("Look")
		t.item("  ", address)
	}
}
