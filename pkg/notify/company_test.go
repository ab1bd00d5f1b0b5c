package notify_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
	"github.com/irdaemon/irdaemon/pkg/runbook"
)

// storeOfRows is a store with its outbox.
type storeOfRows interface {
	incident.Store
	notify.Outbox
}

// memory is a store in memory, with an outbox.
type memory struct {
	*incident.MemoryStore
	mu       sync.Mutex
	again    map[string]time.Time
	claimed  map[string]time.Time
	attempts map[string]int
	denied   map[string]bool // rows that somebody else has
}

func newMemory() *memory {
	return &memory{
		MemoryStore: incident.NewMemoryStore(), again: map[string]time.Time{}, claimed: map[string]time.Time{},
		attempts: map[string]int{}, denied: map[string]bool{},
	}
}

func (m *memory) Due(_ context.Context, now time.Time, limit int) ([]incident.Delivery, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	waits := map[string]bool{} // incident and receiver, of a row before
	var due []incident.Delivery
	for _, row := range m.Rows() {
		if row.State != incident.RowDue || len(due) == limit {
			continue
		}
		line := row.Incident + "/" + row.Receiver
		if waits[line] && row.Kind != incident.DeliverNotice {
			continue
		}
		waits[line] = waits[line] || row.Kind != incident.DeliverNotice
		if again, ok := m.again[row.ID]; ok {
			row.Due = again
		}
		if !row.Due.After(now) && !m.claimed[row.ID].After(now) {
			due = append(due, row.Delivery)
		}
	}
	return due, nil
}

func (m *memory) Claim(_ context.Context, id string, until, now time.Time) (int, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.denied[id] || m.claimed[id].After(now) {
		return 0, false, nil
	}
	m.claimed[id] = until
	m.attempts[id]++
	return m.attempts[id], true, nil
}

func (m *memory) Retry(_ context.Context, id string, dueAt time.Time, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.again[id] = dueAt
	delete(m.claimed, id)
	return nil
}

// company is a desk with its outbox, whose only role is called at each of its receivers.
type company struct {
	*incident.Desk
	t      *testing.T
	store  storeOfRows
	policy incident.Policy
	wake   atomic.Pointer[func()]
	t0     time.Time
	ticks  int
}

func newCompany(t *testing.T, store storeOfRows, receivers ...string) *company {
	c := &company{t: t, store: store, t0: time.Now().UTC().Truncate(time.Second)}
	c.policy = incident.Policy{
		Instance: "test", ExternalURL: "http://irdaemon.example", Interval: time.Second, BlindAfter: time.Hour,
		Severities: map[runbook.Severity]incident.SeverityPolicy{},
		Roles:      map[string]incident.Role{"oncall": {Page: receivers}}, Owner: "oncall",
		Carries: map[string]incident.Carries{},
	}
	for _, severity := range runbook.Severities {
		c.policy.Severities[severity] = incident.SeverityPolicy{Page: true, AcknowledgeWithin: 24 * time.Hour}
	}
	for _, name := range receivers {
		c.policy.Carries[name] = incident.Carries{Notices: true, Acknowledgements: true, Progress: true}
	}
	c.Desk = incident.NewDesk(incident.Config{
		Store: store, Policy: func() incident.Policy { return c.policy }, Now: time.Now, Log: zap.NewNop(),
		OnEvents: func(*incident.Record, []incident.Event) {
			if wake := c.wake.Load(); wake != nil {
				(*wake)()
			}
		},
	})
	return c
}

// firing is of one provider's group of a runbook.
func firing(book, provider string, severity runbook.Severity) incident.Firing {
	group := labels.FromStrings("provider", provider)
	return incident.Firing{
		Snapshot: &runbook.Snapshot{Runbook: runbook.Runbook{Name: book, Title: "The title of " + book, Service: book, Owner: "oncall"}},
		Hash:     "hash of " + book, Group: group, Service: book, Severity: severity,
		Breaches: []incident.Breach{{Condition: "refusal_rate above 8%", Signal: "refusal_rate", Segment: group}},
	}
}

// fire lets triggers fire at one tick, and gives the incidents of all ticks so far.
func (c *company) fire(firings ...incident.Firing) []incident.View {
	c.t.Helper()
	c.ticks++
	if err := c.Tick(c.t.Context(), incident.Tick{T: c.t0.Add(time.Duration(c.ticks) * time.Millisecond), Firings: firings}); err != nil {
		c.t.Fatal(err)
	}
	return c.views()
}

func (c *company) views() []incident.View {
	c.t.Helper()
	views, _, err := c.List(c.t.Context(), incident.Filter{})
	if err != nil {
		c.t.Fatal(err)
	}
	return views
}

func (c *company) do(ref string, command incident.Command) {
	c.t.Helper()
	if _, err := c.Command(c.t.Context(), ref, command, incident.Idempotency{}); err != nil {
		c.t.Fatal(err)
	}
}

// startOn runs a notifier on the desk of a company.
func (c *company) startOn(receivers map[string]notify.Receiver, limits notify.Limits) *daemon {
	d := start(c.t, newHouse(), receivers, func(config *notify.Config) {
		config.Outbox, config.Desk, config.Limits = c.store, c.Desk, func() notify.Limits { return limits }
	})
	wake := d.Wake
	c.wake.Store(&wake)
	return d
}

// settled fails the test for each row that is due.
func (c *company) settled(t *testing.T, m *memory) {
	t.Helper()
	for _, row := range m.Rows() {
		if row.State == incident.RowDue && !row.Due.After(time.Now()) {
			t.Errorf("a row of %s for %s waits: %s", row.Incident, row.Receiver, row.Kind)
		}
	}
}
