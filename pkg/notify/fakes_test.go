package notify_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/notify"
)

// The real desk is one that a notifier can work with.
var _ notify.Desk = (*incident.Desk)(nil)

// row is a row of the outbox in memory.
type row struct {
	incident.Delivery
	state        string
	claimedUntil time.Time
	cause        string
}

// house is an outbox and a desk in memory, with the rules of the real ones. It outlives a notifier, as a store does.
type house struct {
	mu        sync.Mutex
	rows      []*row
	views     map[string]incident.View
	briefings map[string]incident.Briefing // of a row, by its id; its view is the incident's
	standing  []incident.Standing
	records   []*incident.Record
	commands  []string
	answers   map[string]error // of a command, by incident
	slow      time.Duration    // that a command takes
	told      []string         // what the desk was told, in order
	down      error            // what each call answers while the store is broken
	deaf      bool             // the desk can't write what became of a delivery
	polls     int
	claimable bool

	claimTakes time.Duration
	onBrief    func()
}

func newHouse(rows ...incident.Delivery) *house {
	h := &house{views: map[string]incident.View{}, briefings: map[string]incident.Briefing{}, claimable: true}
	h.add(rows...)
	return h
}

func (h *house) add(rows ...incident.Delivery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range rows {
		h.rows = append(h.rows, &row{Delivery: d, state: incident.RowDue})
		if _, ok := h.views[d.Incident]; !ok {
			h.views[d.Incident] = incident.View{ID: d.Incident, Number: 42, Headline: "it is broken", State: incident.Triggered, Calling: true, Round: d.Round}
		}
	}
}

func (h *house) Due(_ context.Context, now time.Time, limit int) ([]incident.Delivery, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.polls++
	var due []incident.Delivery
	for _, r := range h.rows {
		if r.state == incident.RowDue && !r.Due.After(now) && !r.claimedUntil.After(now) && h.head(r) && len(due) < limit {
			d := r.Delivery
			d.Attempt = 0 // the claim gives it
			due = append(due, d)
		}
	}
	return due, h.down
}

// head tells whether no earlier row of the same incident and receiver is due.
func (h *house) head(r *row) bool {
	return !slices.ContainsFunc(h.rows, func(p *row) bool {
		return p.Incident == r.Incident && p.Receiver == r.Receiver && p.Seq < r.Seq && p.state == incident.RowDue
	})
}

func (h *house) Claim(_ context.Context, id string, until, now time.Time) (int, bool, error) {
	if h.claimTakes > 0 {
		time.Sleep(h.claimTakes)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.row(id)
	if !h.claimable || r.state != incident.RowDue || r.claimedUntil.After(now) {
		return 0, false, h.down
	}
	r.claimedUntil = until
	r.Attempt++
	return r.Attempt, true, h.down
}

func (h *house) Retry(_ context.Context, id string, dueAt time.Time, cause string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.row(id)
	r.Due, r.claimedUntil, r.cause = dueAt, time.Time{}, cause
	return h.down
}

func (h *house) row(id string) *row {
	return h.rows[slices.IndexFunc(h.rows, func(r *row) bool { return r.ID == id })]
}

func (h *house) state(id string) string { return h.get(id).state }

func (h *house) get(id string) row {
	h.mu.Lock()
	defer h.mu.Unlock()
	return *h.row(id)
}

func (h *house) Brief(_ context.Context, d incident.Delivery) (incident.Briefing, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.onBrief != nil {
		h.onBrief()
	}
	b := h.briefings[d.ID]
	view, ok := h.views[d.Incident]
	if !ok {
		return b, incident.ErrNotFound
	}
	b.View = view
	if b.Digest == "" {
		b.Digest = d.Digest
	}
	return b, h.down
}

func (h *house) Open(context.Context) ([]*incident.Record, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.records), h.down
}

func (h *house) List(_ context.Context, filter incident.Filter) ([]incident.View, string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var views []incident.View
	for _, view := range h.views {
		if filter.Self == (view.Class == incident.Self) && view.Runbook == filter.Runbook {
			views = append(views, view)
		}
	}
	return views, "", h.down
}

func (h *house) Command(ctx context.Context, ref string, command incident.Command, once incident.Idempotency) (incident.View, error) {
	h.mu.Lock()
	slow := h.slow
	h.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return incident.View{}, ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commands = append(h.commands, fmt.Sprintf("%s: %#v once %s", ref, command, once.Key))
	return h.views[ref], cmp.Or(h.answers[ref], h.down)
}

func (h *house) Standing(_ context.Context, receiver string) ([]incident.Standing, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.standing), h.down
}

var errDeaf = errors.New("disk I/O error")

func (h *house) settle(id, state, told string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.deaf {
		return errDeaf
	}
	if state != "" {
		h.row(id).state = state
	}
	if told != "" {
		h.told = append(h.told, told)
	}
	return h.down
}

func (h *house) Delivered(_ context.Context, d incident.Delivery, receipt string) error {
	return h.settle(d.ID, incident.RowSent, "delivered "+d.ID+" "+receipt)
}

func (h *house) DeliveredIn(_ context.Context, rows []incident.Delivery, digest, receipt string) error {
	var ids []string
	for _, d := range rows {
		ids = append(ids, d.ID)
	}
	slices.Sort(ids)
	told := fmt.Sprintf("delivered %s in %s %s", strings.Join(ids, " "), digest, receipt)
	for i, id := range ids {
		if i > 0 {
			told = ""
		}
		if err := h.settle(id, incident.RowSent, told); err != nil {
			return err
		}
	}
	return nil
}

func (h *house) Failed(_ context.Context, d incident.Delivery, cause string, permanent bool) error {
	if permanent {
		return h.settle(d.ID, incident.RowRefused, "refused "+d.ID+": "+cause)
	}
	return h.settle(d.ID, "", "failing "+d.ID+": "+cause)
}

func (h *house) Awaited(_ context.Context, d incident.Delivery, cause string) error {
	return h.settle(d.ID, "", "awaited "+d.ID+": "+cause)
}

func (h *house) Superseded(_ context.Context, d incident.Delivery, why string) error {
	return h.settle(d.ID, incident.RowSuperseded, "superseded "+d.ID+": "+why)
}

func (h *house) heard() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

// receiver is one that answers as it is told, and notes what it got and when.
type receiver struct {
	mu     sync.Mutex
	got    []notify.Message
	at     []time.Time
	took   time.Duration // until it answers
	answer func(attempt int) notify.Result

	carries *incident.Carries // nil: everything
}

func (r *receiver) Carries() incident.Carries {
	if r.carries != nil {
		return *r.carries
	}
	return incident.Carries{Notices: true, Acknowledgements: true, Progress: true}
}

func (r *receiver) Deliver(ctx context.Context, m notify.Message) notify.Result {
	r.mu.Lock()
	r.got, r.at = append(r.got, m), append(r.at, time.Now())
	attempt, took, answer := len(r.got), r.took, r.answer
	r.mu.Unlock()
	if took > 0 {
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return notify.Result{Outcome: notify.Retry, Detail: "no answer in time"}
		}
	}
	if answer == nil {
		return notify.Result{Outcome: notify.Delivered, Status: 200, Receipt: "r1"}
	}
	return answer(attempt)
}

// change makes the receiver another one while the notifier runs.
func (r *receiver) change(took time.Duration, answer func(int) notify.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took, r.answer = took, answer
}

func (r *receiver) messages() []notify.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

func (r *receiver) ids() []string {
	var ids []string
	for _, m := range r.messages() {
		ids = append(ids, m.ID)
	}
	return ids
}

// answers gives one answer after another; the last one stays.
func answers(results ...notify.Result) func(int) notify.Result {
	return func(attempt int) notify.Result { return results[min(attempt, len(results))-1] }
}

var (
	busy = notify.Result{Outcome: notify.Retry, Status: 503, Detail: "503 Service Unavailable"}
	done = notify.Result{Outcome: notify.Delivered, Status: 200}
)

// pass lets time pass, until nothing is left to do at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// daemon is a notifier that runs.
type daemon struct {
	*notify.Notifier
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
	stop     func() // ends it gracefully and waits
}

// start runs a notifier in the test's bubble of virtual time.
func start(t *testing.T, h *house, receivers map[string]notify.Receiver, changes ...func(*notify.Config)) *daemon {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	registry := prometheus.NewRegistry()
	depth := func(context.Context) (int, time.Time, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		rows, oldest := 0, time.Time{}
		for _, r := range h.rows {
			if r.state == incident.RowDue {
				rows++
				if oldest.IsZero() || r.CreatedAt.Before(oldest) {
					oldest = r.CreatedAt
				}
			}
		}
		return rows, oldest, h.down
	}
	config := notify.Config{
		Outbox: h, Desk: h, Receivers: func() map[string]notify.Receiver { return receivers }, Instance: "test",
		Log: zap.New(core), Now: time.Now,
	}
	for _, change := range changes {
		change(&config)
	}
	config.Metrics = notify.NewMetrics(registry, depth, config.Now)
	n := notify.New(config)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	d := &daemon{Notifier: n, logs: logs, registry: registry}
	d.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(d.stop)
	return d
}
