package client

import (
	"context"
	"net/http"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/web"
)

// Report tells that an artifact was changed. At is now where it is zero, By whoever is authenticated where it is empty;
// what only the daemon knows of a change is not sent. It gives the change as it is kept.
func (c *Client) Report(ctx context.Context, change changes.Change) (changes.Change, error) {
	body := words{
		"artifact": change.Artifact, "service": change.Service, "from": change.From, "to": change.To,
		"at": moment(change.At), "by": change.By, "url": change.URL, "note": change.Note,
	}
	var kept changes.Change
	return kept, c.do(ctx, http.MethodPost, c.at("changes"), body.said(), &kept)
}

// Changes gives what was changed, newest first. since is a time in RFC 3339 or how far to look back, such as 24h; empty:
// 24h. An empty service or artifact: of all.
func (c *Client) Changes(ctx context.Context, since, service, artifact string) ([]changes.Change, error) {
	return everything(func(after string) ([]changes.Change, string, error) {
		target := c.listed("changes", after)
		query := target.Query()
		for name, value := range map[string]string{"since": since, "service": service, "artifact": artifact} {
			if value != "" {
				query.Set(name, value)
			}
		}
		target.RawQuery = query.Encode()
		var list web.ChangeList
		err := c.do(ctx, http.MethodGet, target, nil, &list)
		return list.Changes, list.Next, err
	})
}
