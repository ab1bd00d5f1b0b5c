package client_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/access"
	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/client"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

var noon = webtest.At("14:12:24")

// daemon is the real handler behind a real connection, and a client of it.
type daemon struct {
	*client.Client
	desk      *webtest.Desk
	receivers *webtest.Receivers
	address   string
}

func newDaemon(t *testing.T, turn func(*web.Config)) *daemon {
	t.Helper()
	now := func() time.Time { return noon }
	d := &daemon{desk: webtest.NewDesk(now, webtest.Blind(), webtest.Refusals(), webtest.Costs()), receivers: &webtest.Receivers{}}
	config := web.Config{
		Desk: d.desk, Silences: d.desk, Drill: d.desk.Drill, Receivers: d.receivers, Overview: overview{},
		Backup: &web.Backup{Folder: t.TempDir(), Copy: func(_ context.Context, file string) error {
			return os.WriteFile(file, bytes.Repeat([]byte("x"), 1<<20), 0o600)
		}},
		Registry: prometheus.NewRegistry(), Log: zap.NewNop(), Now: now,
	}
	if turn != nil {
		turn(&config)
	}
	server := httptest.NewServer(web.New(config))
	t.Cleanup(server.Close)
	d.address = server.URL
	var err error
	if d.Client, err = client.New(server.URL, server.Client()); err != nil {
		t.Fatal(err)
	}
	return d
}

// overview is more runbooks, and more signals, than a page holds.
type overview struct{}

func (overview) Runbooks() []web.RunbookStatus {
	all := []web.RunbookStatus{{Name: "good-users-refused", GroupBy: []string{"service"}}}
	for i := range 2000 {
		all = append(all, web.RunbookStatus{Name: "book-" + strings.Repeat("x", i%7) + time.Duration(i).String()})
	}
	return all
}

func (overview) Signals() []web.SignalStatus {
	return []web.SignalStatus{{Name: "refusal_rate"}, {Name: "p95_latency"}}
}

func TestEachCommandArrives(t *testing.T) {
	until := noon.Add(30 * time.Minute)
	for _, test := range []struct {
		name  string
		do    func(context.Context, *client.Client) (incident.View, error)
		check func(incident.View) bool
	}{
		{"show", func(ctx context.Context, c *client.Client) (incident.View, error) { return c.Show(ctx, "#42") },
			func(v incident.View) bool { return v.Number == 42 && len(v.Timeline) == 3 }},
		{"acknowledge", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Acknowledge(ctx, "42", "alice")
		}, func(v incident.View) bool { return v.AcknowledgedBy == "alice" && !v.Calling }},
		{"unacknowledge", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Unacknowledge(ctx, "43", "alice")
		}, func(v incident.View) bool { return v.AcknowledgedBy == "" && v.Calling }},
		{"note", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Note(ctx, "42", "alice", "seen")
		}, func(v incident.View) bool { return v.Timeline[3].Text == "seen" }},
		{"answer", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Answer(ctx, "42", "alice", 2, "yes", "12 chats")
		}, func(v incident.View) bool { return v.Triage[1].Answer == "yes" && v.Triage[1].AnswerText == "12 chats" }},
		{"a severity", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.SetSeverity(ctx, "42", "alice", runbook.Sev3, "internal users only", "30m")
		}, func(v incident.View) bool { return v.Severity == runbook.Sev3 && v.PinnedUntil.Equal(until) }},
		{"an update", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Update(ctx, "42", "alice", "customer", "known", "30m")
		}, func(v incident.View) bool { return v.Updates[0].Audience == "customer" && v.NextUpdateAt.Equal(until) }},
		{"an update that leaves out what it may", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Update(ctx, "42", "alice", "", "known", "")
		}, func(v incident.View) bool { return v.Updates[0].Audience == "internal" }},
		{"mitigated", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Mitigated(ctx, "42", "alice", "routed away", noon.Add(-time.Minute))
		}, func(v incident.View) bool { return v.MitigatedAt.Equal(noon.Add(-time.Minute)) }},
		{"mitigated now", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Mitigated(ctx, "42", "alice", "routed away", time.Time{})
		}, func(v incident.View) bool { return v.MitigatedAt.Equal(noon) }},
		{"dismiss", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Dismiss(ctx, "42", "alice", incident.Duplicate, "the same", "43")
		}, func(v incident.View) bool { return v.Dismissal.DuplicateOf == webtest.Blind().ID }},
		{"reopen", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Reopen(ctx, "41", "alice", "not over")
		}, func(v incident.View) bool { return v.State == incident.Triggered && v.Number == 41 }},
		{"a drill", func(ctx context.Context, c *client.Client) (incident.View, error) {
			return c.Drill(ctx, "alice", "good-users-refused", map[string]string{"service": "search"}, runbook.Sev4)
		}, func(v incident.View) bool {
			return v.Class == incident.Drill && v.Group["service"] == "search" && v.Severity == runbook.Sev4
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			view, err := test.do(t.Context(), newDaemon(t, nil).Client)
			if err != nil || !test.check(view) {
				t.Errorf("%v, %+v", err, view)
			}
		})
	}
}

func TestARefusalSaysWhatIsPossibleInstead(t *testing.T) {
	_, err := newDaemon(t, nil).Acknowledge(t.Context(), "41", "alice")
	var problem *client.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusConflict || !strings.HasSuffix(err.Error(), "; possible: notes are still taken") {
		t.Errorf("%v", err)
	}
}

func TestListsComeWhole(t *testing.T) {
	d := newDaemon(t, nil)
	if all, err := d.Runbooks(t.Context()); err != nil || len(all) != 2001 {
		t.Errorf("%d runbooks, %v", len(all), err)
	}
	if all, err := d.Signals(t.Context()); err != nil || len(all) != 2 || all[0].Name != "p95_latency" {
		t.Errorf("%+v, %v", all, err)
	}
	if list, err := d.List(t.Context(), incident.Filter{State: "open", Limit: 1}); err != nil || len(list.Incidents) != 1 || list.Next != "43" {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := d.List(t.Context(), incident.Filter{Self: true}); err != nil || len(list.Incidents) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestReceiversAreListedAndTested(t *testing.T) {
	d := newDaemon(t, nil)
	if all, err := d.Receivers(t.Context()); err != nil || len(all) != 2 || all[0].Name != "chat" {
		t.Errorf("%+v, %v", all, err)
	}
	if test, err := d.TestReceiver(t.Context(), "pager", "alice"); err != nil || !test.Delivered {
		t.Errorf("%+v, %v", test, err)
	}
	if test, err := d.TestReceiver(t.Context(), "chat", "alice"); err != nil || test.Delivered || test.Detail == "" {
		t.Errorf("%+v, %v", test, err)
	}
	if _, err := d.TestReceiver(t.Context(), "a/../b", "alice"); err == nil || !strings.Contains(err.Error(), `no receiver "a/../b"`) {
		t.Errorf("%v", err)
	}
}

func TestSilencesAreAddedListedAndEnded(t *testing.T) {
	d := newDaemon(t, nil)
	added, err := d.AddSilence(t.Context(), client.NewSilence{
		By: "alice", Runbook: "good-users-refused", Group: map[string]string{"service": "search"}, UpTo: runbook.Sev2,
		Reason: "load test", From: noon.Add(time.Hour), Until: noon.Add(2 * time.Hour),
	})
	if err != nil || added.InForce || added.Group["service"] != "search" || added.UpTo != runbook.Sev2 || !added.From.Equal(noon.Add(time.Hour)) || !added.Until.Equal(noon.Add(2*time.Hour)) {
		t.Fatalf("%+v, %v", added, err)
	}
	short, err := d.AddSilence(t.Context(), client.NewSilence{By: "alice", Runbook: "good-users-refused", Reason: "load test", For: "2h"})
	if err != nil || !short.InForce || !short.Until.Equal(noon.Add(2*time.Hour)) {
		t.Fatalf("%+v, %v", short, err)
	}
	if all, err := d.Silences(t.Context()); err != nil || len(all) != 2 || all[0].ID != short.ID {
		t.Errorf("%+v, %v", all, err)
	}
	if ended, err := d.EndSilence(t.Context(), short.ID, "bob"); err != nil || ended.EndedBy != "bob" {
		t.Errorf("%+v, %v", ended, err)
	}
	if all, err := d.Silences(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestABackupComesWholeOrSaysThatItDidNot(t *testing.T) {
	d := newDaemon(t, nil)
	var copied bytes.Buffer
	if n, err := d.Backup(t.Context(), &copied); err != nil || n != 1<<20 || copied.Len() != 1<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	failing := newDaemon(t, func(c *web.Config) {
		c.Backup.Copy = func(context.Context, string) error { return errors.New("disk full") }
	})
	if n, err := failing.Backup(t.Context(), &copied); err == nil || n != 0 || !strings.Contains(err.Error(), "the daemon's log says why") {
		t.Errorf("%d bytes, %v", n, err)
	}
	cut := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.sqlite3")
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
	}))
	defer cut.Close()
	short, err := client.New(cut.URL, cut.Client())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := short.Backup(t.Context(), &copied); err == nil || n != 4 {
		t.Errorf("cut off: %d bytes, %v", n, err)
	}
}

// feed is three events in two commits.
type feed struct{}

func (feed) Position(context.Context) (int64, error) { return 7, nil }

func (feed) Feed(_ context.Context, after int64, _ int) ([]incident.Positioned, error) {
	var all []incident.Positioned
	for i, position := range []int64{5, 7, 7} {
		if position > after {
			all = append(all, incident.Positioned{Position: position, Incident: webtest.Refusals().ID,
				Event: incident.Event{Seq: int64(i + 1), At: noon, RecordedAt: noon, Actor: "alice", Body: incident.Noted{Text: "x"}}})
		}
	}
	return all, nil
}

func TestEventsAreToldAndGoOnWhereTheyBrokeOff(t *testing.T) {
	enough := errors.New("enough")
	d := newDaemon(t, func(c *web.Config) { c.Feed = feed{} })
	for _, test := range []struct {
		name  string
		after int64
		most  int
		seqs  []int64
		last  int64
	}{
		{"the first commit", 0, 2, []int64{1, 2}, 5}, // the second one is not whole
		{"all", 0, 3, []int64{1, 2, 3}, 5},           // the one told last was not taken
		{"the rest", 5, 2, []int64{2, 3}, 5},
	} {
		var seqs []int64
		last, err := d.Events(t.Context(), test.after, "42", func(e web.Event) error {
			seqs = append(seqs, e.Seq)
			if len(seqs) == test.most {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || !slices.Equal(seqs, test.seqs) || last != test.last {
			t.Errorf("%s: %v up to %d, %v", test.name, seqs, last, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	told := 0
	last, err := d.Events(ctx, 0, "", func(web.Event) error { told++; return nil })
	if !errors.Is(err, context.DeadlineExceeded) || told != 3 || last != 7 {
		t.Errorf("%d told, up to %d: %v", told, last, err)
	}
	if _, err := d.Events(t.Context(), 9, "", func(web.Event) error { return nil }); err == nil || !strings.Contains(err.Error(), "no position 9") {
		t.Errorf("%v", err)
	}
	stopping := make(chan struct{})
	close(stopping)
	stopped := newDaemon(t, func(c *web.Config) { c.Feed, c.Stopping = feed{}, stopping })
	if last, err := stopped.Events(t.Context(), client.FromNow, "", func(web.Event) error { return nil }); err != nil || last < client.FromNow {
		t.Errorf("ended by the daemon: %d, %v", last, err)
	}
}

func TestWhoAsksIsSaidByTokenOrPassword(t *testing.T) {
	token, hash := access.NewToken()
	file := t.TempDir() + "/tokens.yaml"
	if err := os.WriteFile(file, []byte("tokens:\n"+access.Entry("carol", []access.Scope{access.Admin}, hash)), 0o600); err != nil {
		t.Fatal(err)
	}
	who, err := access.Load(access.Settings{TokensFile: file})
	if err != nil {
		t.Fatal(err)
	}
	d := newDaemon(t, func(c *web.Config) { c.Access = func() *access.Access { return who } })
	if _, err := d.Show(t.Context(), "42"); err == nil || !strings.Contains(err.Error(), "this needs the scope read") {
		t.Errorf("nobody: %v", err)
	}
	d.Token = token
	if view, err := d.Acknowledge(t.Context(), "42", ""); err != nil || view.AcknowledgedBy != "carol" {
		t.Errorf("%v, by %s", err, view.AcknowledgedBy)
	}
	if ended, err := d.AddSilence(t.Context(), client.NewSilence{Runbook: "good-users-refused", Reason: "x", For: "1h"}); err != nil || ended.By != "carol" {
		t.Errorf("%v, by %s", err, ended.By)
	}
	if _, err := d.Backup(t.Context(), &bytes.Buffer{}); err != nil {
		t.Errorf("a backup: %v", err)
	}
	var user, password string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { user, password, _ = r.BasicAuth() }))
	defer server.Close()
	basic, err := client.New(server.URL, server.Client())
	if err != nil {
		t.Fatal(err)
	}
	basic.User, basic.Password = "root", "correct horse"
	_, _ = basic.Show(t.Context(), "42")
	if user != "root" || password != "correct horse" {
		t.Errorf("sent %q, %q", user, password)
	}
}
