package webtest

import (
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
)

// NewChanges gives an empty log of changes: the real Desk, in which no incident is open.
func NewChanges(now func() time.Time) *incident.Desk {
	return incident.NewDesk(incident.Config{
		Store: incident.NewMemoryStore(), Now: now, Log: zap.NewNop(), Policy: func() incident.Policy { return incident.Policy{} },
	})
}
