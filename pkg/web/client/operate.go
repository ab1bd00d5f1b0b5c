package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// Runbooks gives all runbooks in force and the state of their triggers.
func (c *Client) Runbooks(ctx context.Context) ([]web.RunbookStatus, error) {
	return everything(func(after string) ([]web.RunbookStatus, string, error) {
		var list web.RunbookList
		err := c.do(ctx, http.MethodGet, c.listed("runbooks", after), nil, &list)
		return list.Runbooks, list.Next, err
	})
}

// Signals gives all signals in force and whether their queries are answered.
func (c *Client) Signals(ctx context.Context) ([]web.SignalStatus, error) {
	return everything(func(after string) ([]web.SignalStatus, string, error) {
		var list web.SignalList
		err := c.do(ctx, http.MethodGet, c.listed("signals", after), nil, &list)
		return list.Signals, list.Next, err
	})
}

// Receivers gives all ways to reach people, and how they do.
func (c *Client) Receivers(ctx context.Context) ([]web.ReceiverStatus, error) {
	return everything(func(after string) ([]web.ReceiverStatus, string, error) {
		var list web.ReceiverList
		err := c.do(ctx, http.MethodGet, c.listed("receivers", after), nil, &list)
		return list.Receivers, list.Next, err
	})
}

// TestReceiver sends a test page. One that was not delivered is no error.
func (c *Client) TestReceiver(ctx context.Context, name, by string) (web.ReceiverTest, error) {
	var test web.ReceiverTest
	return test, c.do(ctx, http.MethodPost, c.at("receivers", name, "test"), words{"by": by}.said(), &test)
}

// Silences gives the silences that are not over, and what they hold back.
func (c *Client) Silences(ctx context.Context) ([]web.SilenceStatus, error) {
	var list web.SilenceList
	return list.Silences, c.do(ctx, http.MethodGet, c.at("silences"), nil, &list)
}

// NewSilence is a silence that is asked for. From is now where it is zero; either Until or For is when it ends.
type NewSilence struct {
	By          string
	Runbook     string
	Group       map[string]string // empty: every group
	UpTo        runbook.Severity  // empty: sev3
	Reason      string
	From, Until time.Time
	For         string // such as 2h
}

// AddSilence holds back the calls of a runbook, or of a group of it, for planned work.
func (c *Client) AddSilence(ctx context.Context, s NewSilence) (web.SilenceStatus, error) {
	body := words{
		"by": s.By, "runbook": s.Runbook, "up_to": string(s.UpTo), "reason": s.Reason,
		"from": moment(s.From), "until": moment(s.Until), "for": s.For,
	}.said()
	if len(s.Group) > 0 {
		body["group"] = s.Group
	}
	var silence web.SilenceStatus
	return silence, c.do(ctx, http.MethodPost, c.at("silences"), body, &silence)
}

// EndSilence ends a silence before its time.
func (c *Client) EndSilence(ctx context.Context, id, by string) (web.SilenceStatus, error) {
	target := c.at("silences", id)
	if by != "" {
		target.RawQuery = url.Values{"by": {by}}.Encode()
	}
	var silence web.SilenceStatus
	return silence, c.do(ctx, http.MethodDelete, target, nil, &silence)
}

// Backup writes a consistent copy of the daemon's store. An error may come after part of it was written.
func (c *Client) Backup(ctx context.Context, w io.Writer) (bytes int64, err error) {
	response, err := c.stream(ctx, c.at("backup"), "application/vnd.sqlite3")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	bytes, err = io.Copy(w, response.Body)
	if err != nil {
		err = fmt.Errorf("the copy broke off after %d bytes: %w", bytes, err)
	}
	return bytes, err
}

// listed is a page of a list.
func (c *Client) listed(name, after string) *url.URL {
	query := url.Values{"limit": {strconv.Itoa(1000)}}
	if after != "" {
		query.Set("after", after)
	}
	target := c.at(name)
	target.RawQuery = query.Encode()
	return target
}

// everything gives the items of all pages. A page without items, and one that names itself as the next, is the last.
func everything[T any](page func(after string) (items []T, next string, err error)) ([]T, error) {
	all := []T{}
	for after := ""; ; {
		items, next, err := page(after)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if next == "" || next == after || len(items) == 0 {
			return all, nil
		}
		after = next
	}
}
