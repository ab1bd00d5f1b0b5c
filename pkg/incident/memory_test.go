package incident_test

import (
	"testing"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/incident/storetest"
)

func TestMemoryStoreConforms(t *testing.T) {
	storetest.Test(t, func(*testing.T) incident.Store { return incident.NewMemoryStore() })
}
