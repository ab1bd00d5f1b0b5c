package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// Everything here reads a page into memory and ends its query before it returns: an open query keeps the
// write-ahead log from shrinking.

// Versions implements incident.Store.
func (s *SQLite) Versions(ctx context.Context) (map[string]int64, error) {
	versions := make(map[string]int64)
	err := s.each(ctx, func(rows *sql.Rows) error {
		var id string
		var version int64
		if err := rows.Scan(&id, &version); err != nil {
			return err
		}
		versions[id] = version
		return nil
	}, openVersions)
	if err != nil {
		return nil, fmt.Errorf("read the versions of open incidents: %w", err)
	}
	return versions, nil
}

// Load implements incident.Store.
func (s *SQLite) Load(ctx context.Context, ref string) (*incident.Record, error) {
	records, err := s.records(ctx, incidentByID, ref)
	if number, isNumber := incidentNumber(ref); err == nil && len(records) == 0 && isNumber {
		records, err = s.records(ctx, incidentByCount, number)
	}
	if err != nil {
		return nil, fmt.Errorf("load incident %s: %w", ref, err)
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: %s", incident.ErrNotFound, ref)
	}
	return records[0], nil
}

// incidentNumber reads 42 and #42.
func incidentNumber(ref string) (int64, bool) {
	number, err := strconv.ParseInt(strings.TrimPrefix(ref, "#"), 10, 64)
	return number, err == nil
}

// Recent implements incident.Store. The one that ended last comes first.
func (s *SQLite) Recent(ctx context.Context, findings []string, since time.Time) ([]*incident.Record, error) {
	ended, err := s.records(ctx, endedIncidents, micros(since))
	if err != nil {
		return nil, fmt.Errorf("read incidents that ended: %w", err)
	}
	var recent []*incident.Record
	for _, record := range ended {
		if slices.ContainsFunc(record.Findings, func(f incident.Finding) bool { return slices.Contains(findings, f.Key()) }) {
			recent = append(recent, record)
		}
	}
	return recent, nil
}

// List implements incident.Store. Newest first is by number; next is the last number of the page.
func (s *SQLite) List(ctx context.Context, filter incident.Filter) (records []*incident.Record, next string, err error) {
	query, arguments, err := listQuery(filter)
	if err != nil {
		return nil, "", err
	}
	records, err = s.records(ctx, query, arguments...)
	if err != nil {
		return nil, "", fmt.Errorf("list incidents: %w", err)
	}
	if filter.Limit > 0 && len(records) > filter.Limit {
		records = records[:filter.Limit]
		next = strconv.FormatInt(records[filter.Limit-1].Number, 10)
	}
	return records, next, nil
}

// listQuery asks for one record more than the page holds, to know whether there is a next one.
func listQuery(filter incident.Filter) (string, []any, error) {
	conditions, older, order := []string{"class<>'self'"}, "number<", " DESC"
	if filter.Self { // their numbers run down
		conditions, older, order = []string{"class='self'"}, "number>", ""
	}
	var arguments []any
	where := func(condition string, argument any) {
		arguments = append(arguments, argument)
		conditions = append(conditions, condition+"?"+strconv.Itoa(len(arguments)))
	}
	switch filter.State {
	case "":
	case "open":
		conditions = append(conditions, "state IN "+openStates)
	default:
		where("state=", filter.State)
	}
	if filter.Runbook != "" {
		where("runbook=", filter.Runbook)
	}
	if filter.Severity != "" {
		where("severity=", string(filter.Severity))
	}
	if filter.After != "" {
		after, err := strconv.ParseInt(filter.After, 10, 64)
		if err != nil {
			return "", nil, fmt.Errorf("list incidents: after %q: not the end of a page", filter.After)
		}
		where(older, after)
	}
	if !filter.EndedAfter.IsZero() {
		where("ended_at>", micros(filter.EndedAfter))
	}
	query := "SELECT number, record FROM incidents WHERE " + strings.Join(conditions, " AND ") + " ORDER BY number" + order
	if filter.Limit > 0 {
		arguments = append(arguments, filter.Limit+1)
		query += " LIMIT ?" + strconv.Itoa(len(arguments))
	}
	return query, arguments, nil
}

// Events implements incident.Store.
func (s *SQLite) Events(ctx context.Context, id string, after int64, limit int) ([]incident.Event, error) {
	query, arguments := incidentEvents, []any{id, after}
	if limit > 0 {
		query, arguments = query+" LIMIT ?3", append(arguments, limit)
	}
	var events []incident.Event
	err := s.each(ctx, func(rows *sql.Rows) error {
		event, err := scanEvent(rows)
		events = append(events, event)
		return err
	}, query, arguments...)
	if err != nil {
		return nil, fmt.Errorf("read events of incident %s: %w", id, err)
	}
	return events, nil
}

func scanEvent(rows *sql.Rows) (event incident.Event, err error) {
	var at, recorded int64
	var kind, body string
	if err := rows.Scan(&event.ID, &event.Seq, &at, &recorded, &kind, &event.Actor, &body); err != nil {
		return event, err
	}
	event.At, event.RecordedAt = moment(at), moment(recorded)
	if event.Body, err = incident.DecodeBody(kind, []byte(body)); err != nil {
		return event, fmt.Errorf("event %d: %w", event.Seq, err)
	}
	return event, nil
}

// WalkedTo implements incident.Store.
func (s *SQLite) WalkedTo(ctx context.Context) (time.Time, error) {
	var mark int64
	if err := s.reader.QueryRowContext(ctx, walkedTo).Scan(&mark); err != nil {
		return time.Time{}, fmt.Errorf("read the last decided tick: %w", s.inWords(err))
	}
	return moment(mark), nil
}

// Answered implements incident.Store. An answer that has expired is none.
func (s *SQLite) Answered(ctx context.Context, key string) (*incident.Answer, error) {
	answer := &incident.Answer{Key: key}
	var response string
	var expires int64
	err := s.reader.QueryRowContext(ctx, storedAnswer, key, micros(s.now())).
		Scan(&answer.RequestHash, &answer.Status, &response, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", key, s.inWords(err))
	}
	answer.Response, answer.Expires = []byte(response), moment(expires)
	return answer, nil
}

// records reads the records, whole, that a query for number and record answers.
func (s *SQLite) records(ctx context.Context, query string, arguments ...any) ([]*incident.Record, error) {
	var records []*incident.Record
	err := s.each(ctx, func(rows *sql.Rows) error {
		var number int64
		var document []byte
		if err := rows.Scan(&number, &document); err != nil {
			return err
		}
		record, err := incident.DecodeRecord(document)
		if err != nil {
			return fmt.Errorf("incident #%d: %w", number, err)
		}
		record.Number = number
		records = append(records, record)
		return nil
	}, query, arguments...)
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		if err := s.fillIn(ctx, record); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// each calls scan for every row of the answer, and ends the query.
func (s *SQLite) each(ctx context.Context, scan func(*sql.Rows) error, query string, arguments ...any) error {
	rows, err := s.reader.QueryContext(ctx, query, arguments...)
	if err != nil {
		return s.inWords(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return s.inWords(rows.Err())
}
