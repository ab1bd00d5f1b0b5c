package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

func delivery(change incident.Change, id, receiver string, seq int64) incident.Delivery {
	return incident.Delivery{
		ID: id, Incident: change.Record.ID, Receiver: receiver, Seq: seq, Kind: incident.DeliverPage, Round: 1, Step: 2,
		Key: "irdaemon/test/" + change.Record.ID + "/1", Causes: []string{incident.CauseOpened}, Severity: runbook.Sev2,
		StartedAt: opened, EndsKey: "irdaemon/test/before/1", Due: opened,
	}
}

// queue commits an incident with rows, named receiver:seq, in the order given.
func queue(t testing.TB, s *SQLite, rows ...string) incident.Change {
	t.Helper()
	change := newIncident("refused", opened)
	for _, row := range rows {
		receiver, seq, _ := strings.Cut(row, ":")
		change.Deliveries = append(change.Deliveries, delivery(change, row, receiver, int64(seq[0]-'0')))
	}
	mustCommit(t, s, change)
	return change
}

func due(t testing.TB, s *SQLite, now time.Time) []string {
	t.Helper()
	deliveries, err := s.Due(t.Context(), now, 50)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, d := range deliveries {
		ids = append(ids, d.ID)
	}
	slices.Sort(ids)
	return ids
}

func mustBeDue(t testing.TB, s *SQLite, now time.Time, want ...string) {
	t.Helper()
	if got := due(t, s, now); !slices.Equal(got, want) {
		t.Errorf("due %v, want %v", got, want)
	}
}

func mustClaim(t testing.TB, s *SQLite, id string, until, now time.Time, wantAttempt int) {
	t.Helper()
	attempt, ok, err := s.Claim(t.Context(), id, until, now)
	if err != nil || ok != (wantAttempt > 0) || attempt != wantAttempt {
		t.Errorf("claim %s: attempt %d, %v, %v; want attempt %d", id, attempt, ok, err, wantAttempt)
	}
}

func settle(t testing.TB, s *SQLite, state string, at time.Time, ids ...string) {
	t.Helper()
	var commit incident.Commit
	for _, id := range ids {
		commit.Settled = append(commit.Settled, incident.Settlement{ID: id, State: state, At: at})
	}
	if err := s.Commit(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
}

func TestADeliveryIsReadBackWhole(t *testing.T) {
	s := newStore(t)
	change := queue(t, s, "pager:1")
	rows, err := s.Due(t.Context(), opened, 50)
	if err != nil || len(rows) != 1 {
		t.Fatalf("due %v, %v", rows, err)
	}
	got, want := rows[0], change.Deliveries[0]
	if got.CreatedAt.IsZero() {
		t.Error("the store does not say since when the row waits")
	}
	got.CreatedAt = want.CreatedAt
	if !slices.Equal(got.Causes, want.Causes) {
		t.Errorf("causes %v, want %v", got.Causes, want.Causes)
	}
	got.Causes, want.Causes = nil, nil
	if !sameDelivery(got, want) {
		t.Errorf("delivery\n %+v\nwant\n %+v", got, want)
	}
}

func sameDelivery(a, b incident.Delivery) bool {
	return a.ID == b.ID && a.Incident == b.Incident && a.Receiver == b.Receiver && a.Seq == b.Seq && a.Kind == b.Kind &&
		a.Round == b.Round && a.Step == b.Step && a.Key == b.Key && a.Severity == b.Severity &&
		a.StartedAt.Equal(b.StartedAt) && a.EndsKey == b.EndsKey && a.Due.Equal(b.Due) && a.Attempt == b.Attempt
}

func TestMessagesOfAReceiverNeverOvertakeOneAnother(t *testing.T) {
	s := newStore(t)
	queue(t, s, "pager:3", "pager:1", "slack:2", "pager:2")
	mustBeDue(t, s, opened.Add(-time.Microsecond))
	mustBeDue(t, s, opened, "pager:1", "slack:2")
	mustClaim(t, s, "pager:1", opened.Add(15*time.Second), opened, 1)
	mustBeDue(t, s, opened, "slack:2")
	settle(t, s, incident.RowSent, opened, "pager:1")
	mustBeDue(t, s, opened, "pager:2", "slack:2")
	settle(t, s, incident.RowSuperseded, opened, "pager:2")
	settle(t, s, incident.RowRefused, opened, "slack:2")
	mustBeDue(t, s, opened, "pager:3")
	if rows, err := s.Due(t.Context(), opened, 0); err != nil || len(rows) != 0 {
		t.Errorf("at most none: %v, %v", rows, err)
	}
}

func TestAClaimHoldsUntilItsEnd(t *testing.T) {
	s := newStore(t)
	queue(t, s, "pager:1")
	until := opened.Add(15 * time.Second)
	mustClaim(t, s, "pager:1", until, opened, 1)
	mustClaim(t, s, "pager:1", until.Add(time.Second), until.Add(-time.Microsecond), 0)
	mustBeDue(t, s, until.Add(-time.Microsecond))
	mustBeDue(t, s, until, "pager:1")
	mustClaim(t, s, "pager:1", until.Add(15*time.Second), until, 2)
	mustClaim(t, s, "nosuch", until, opened, 0)
	settle(t, s, incident.RowSent, until, "pager:1")
	mustClaim(t, s, "pager:1", until.Add(time.Hour), until.Add(time.Minute), 0)
}

func TestARetryIsDueWhenItSays(t *testing.T) {
	s := newStore(t)
	queue(t, s, "pager:1")
	mustClaim(t, s, "pager:1", opened.Add(15*time.Second), opened, 1)
	later := opened.Add(4 * time.Second)
	if err := s.Retry(t.Context(), "pager:1", later, "503 from the pager"); err != nil {
		t.Fatal(err)
	}
	mustBeDue(t, s, later.Add(-time.Microsecond))
	mustBeDue(t, s, later, "pager:1")
	mustClaim(t, s, "pager:1", later.Add(15*time.Second), later, 2)
}

func TestARetryThatComesTooLateChangesNothing(t *testing.T) {
	s := newStore(t)
	queue(t, s, "pager:1", "slack:1")
	until := opened.Add(15 * time.Second)
	mustClaim(t, s, "pager:1", until, opened, 1)
	settle(t, s, incident.RowSent, opened, "pager:1")
	mustClaim(t, s, "slack:1", until, opened, 1)
	if _, err := s.writer.conn.ExecContext(t.Context(), "UPDATE outbox SET claimed_by='local/99' WHERE id='slack:1'"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"pager:1", "slack:1", "nosuch"} {
		if err := s.Retry(t.Context(), id, opened, "too late"); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	mustBeDue(t, s, opened) // one is sent, the other one is claimed by somebody else
	var changed int
	if err := s.reader.QueryRow("SELECT COUNT(*) FROM outbox WHERE last_error<>''").Scan(&changed); err != nil || changed != 0 {
		t.Errorf("%d rows were changed, %v", changed, err)
	}
}

func TestASettledRowStaysAsItIs(t *testing.T) {
	s := newStore(t)
	change := queue(t, s, "pager:1")
	settle(t, s, incident.RowSent, opened, "pager:1")
	settle(t, s, incident.RowRefused, opened.Add(time.Hour), "pager:1", "nosuch")
	mustCommit(t, s, change) // the commit that queued it, again
	var state string
	if err := s.reader.QueryRow("SELECT state FROM outbox").Scan(&state); err != nil || state != incident.RowSent {
		t.Errorf("state %q, %v; want sent", state, err)
	}
}

func TestClaimsOfAKilledProcessEndWithIt(t *testing.T) {
	s := newStore(t)
	queue(t, s, "pager:1")
	mustClaim(t, s, "pager:1", opened.Add(time.Hour), opened, 1)
	closeStore(t, s)
	again := openAt(t, s.path)
	mustBeDue(t, again, opened, "pager:1")
	mustClaim(t, again, "pager:1", opened.Add(time.Hour), opened, 2)
}

func TestDepthCountsWhatIsNotSettled(t *testing.T) {
	now := opened
	s := newStore(t)
	s.now = func() time.Time { return now }
	if rows, oldest, err := s.Depth(t.Context()); err != nil || rows != 0 || !oldest.IsZero() {
		t.Errorf("empty: %d, %v, %v", rows, oldest, err)
	}
	queue(t, s, "pager:1", "pager:2", "slack:1")
	settle(t, s, incident.RowSent, opened, "slack:1")
	if rows, oldest, err := s.Depth(t.Context()); err != nil || rows != 2 || !oldest.Equal(opened) {
		t.Errorf("depth %d since %v, %v; want 2 since %v", rows, oldest, err, opened)
	}
	if rows, oldest, err := s.Pages(t.Context()); err != nil || rows != 2 || !oldest.Equal(opened) {
		t.Errorf("%d pages since %v, %v; want 2 since %v", rows, oldest, err, opened)
	}
	settle(t, s, incident.RowSent, opened, "pager:1", "pager:2")
	if rows, oldest, err := s.Pages(t.Context()); err != nil || rows != 0 || !oldest.IsZero() {
		t.Errorf("all settled: %d pages since %v, %v", rows, oldest, err)
	}
}

func TestPruneTakesSettledRowsAlone(t *testing.T) {
	s := newStore(t)
	queue(t, s, "a:1", "b:1", "c:1", "d:1", "e:1")
	week := opened.Add(7 * 24 * time.Hour)
	settle(t, s, incident.RowSent, opened, "a:1", "b:1")
	settle(t, s, incident.RowRefused, opened, "c:1")
	settle(t, s, incident.RowSent, week, "d:1")
	for _, want := range []int{2, 1, 0} {
		if deleted, err := s.Prune(t.Context(), week, 2); err != nil || deleted != want {
			t.Errorf("pruned %d, %v; want %d", deleted, err, want)
		}
	}
	mustBeDue(t, s, opened, "e:1")
}

func TestQueriesUseTheirIndexes(t *testing.T) {
	s := newStore(t)
	list, _, err := listQuery(incident.Filter{After: "7", Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	own, _, err := listQuery(incident.Filter{Self: true, Runbook: "self/blind", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, query string
		arguments   int
		want        []string
	}{
		{"due rows", dueDeliveries, 2, []string{"o USING INDEX outbox_due (due_at<?)", "p USING INDEX outbox_order (incident=? AND receiver=? AND seq<?)"}},
		{"settled rows", pruneOutbox, 2, []string{"outbox USING INDEX outbox_settled"}},
		{"open incidents", openVersions, 0, []string{"incidents USING INDEX incidents_open (state=?)"}},
		{"ended incidents", endedIncidents, 1, []string{"incidents USING INDEX incidents_ended (ended_at>?)"}},
		{"the last events", incidentEvents + " LIMIT ?3", 3, []string{"events USING INDEX sqlite_autoindex_events_2 (incident=? AND seq>?)"}},
		{"a page of the list", list, 2, []string{"incidents USING INDEX sqlite_autoindex_incidents_2 (number<?)"}},
		{"the newest of the daemon's own troubles", own, 2, []string{"incidents USING INDEX incidents_class (class=?)"}},
		{"the feed", eventFeed, 1, []string{"events USING INDEX events_pos (pos>?)"}},
		{"silences", silencesAfter, 1, []string{"silences USING INDEX silences_until (until_at>?)"}},
		{"the next number", insertIncident, 11, []string{"SEARCH incidents USING COVERING INDEX"}},
	} {
		plan := queryPlan(t, s, test.query, test.arguments)
		for _, want := range test.want {
			if !strings.Contains(plan, want) {
				t.Errorf("%s: the plan lacks %q:\n%s", test.name, want, plan)
			}
		}
		if strings.Contains(plan, "SCAN o") || strings.Contains(plan, "TEMP B-TREE FOR ORDER BY") {
			t.Errorf("%s: the plan scans or sorts:\n%s", test.name, plan)
		}
	}
}

func queryPlan(t *testing.T, s *SQLite, query string, arguments int) string {
	t.Helper()
	rows, err := s.reader.Query("EXPLAIN QUERY PLAN "+query, make([]any, arguments)...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	return plan.String()
}

func TestACallWaitsForNoNews(t *testing.T) {
	s := newStore(t)
	change := newIncident("refused", opened)
	news := delivery(change, "news", "slack", 1)
	news.Kind = incident.DeliverProgress
	page := delivery(change, "page", "slack", 2)
	reminder := delivery(change, "reminder", "slack", 1)
	reminder.Kind, reminder.Due = incident.DeliverNotice, time.Now().Add(24*time.Hour)
	own := delivery(change, "own", "mail", 1)
	own.Key = "irdaemon/test/self/undelivered/1"
	change.Deliveries = []incident.Delivery{news, page, reminder, own}
	mustCommit(t, s, change)
	var due []string
	rows, err := s.Due(t.Context(), opened.Add(time.Minute), 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		due = append(due, row.ID)
	}
	slices.Sort(due)
	if want := []string{"news", "own", "page"}; !slices.Equal(due, want) {
		t.Errorf("due %q, want %q", due, want)
	}
	if n, _, err := s.Depth(t.Context()); err != nil || n != 3 {
		t.Errorf("%d rows wait, %v: a reminder of tomorrow doesn't", n, err)
	}
	if n, _, err := s.Pages(t.Context()); err != nil || n != 1 {
		t.Errorf("%d pages wait, %v: the daemon's own word about that is none of them", n, err)
	}
}
