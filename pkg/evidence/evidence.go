// Package evidence gathers what the items of a triage checklist are to be decided by: values of a signal by segment, top
// lists, the change log, a provider's status page, control against treatment.
//
// What the package guards: each item has a time limit of its own, and one that hangs delays no other. What could not be
// found out is said, never left out: an item has a text, an error, or both. Texts and values are bounded in size and
// free of control characters, whatever a label or a foreign page holds; no text carries what may be a secret in an
// address. It decides nothing: people answer the checklist.
package evidence

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/irdaemon/irdaemon/pkg/changes"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

const (
	textBytes  = 1 << 10
	valueBytes = 16 << 10
	errorBytes = 400
	mostShown  = 20 // segments, changes or incidents of a page that are listed

	// grace is how long after its time limit an item may still hand over what it has: half of an answer is more than
	// none.
	grace = time.Second
)

// Config is what a Gatherer works with.
type Config struct {
	// Source answers the signals' expressions.
	Source source.Source

	// HTTP sends the requests to status pages; a redirect is a request of its own. Default: a transport without a proxy
	// that refuses the addresses of package guard when it connects.
	HTTP http.RoundTripper

	// Changes gives the changes of a service since a time, reported and detected ones as one log (changes.Merge), in any
	// order. nil: there is no log, and whoever asks for changes is told so.
	Changes func(ctx context.Context, service string, since time.Time) ([]changes.Change, error)

	// Timeout bounds each item by itself. Default 10s.
	Timeout time.Duration

	// Now is asked where About says no time. Default time.Now.
	Now func() time.Time
}

// Gatherer gathers evidence. It is safe for concurrent use.
type Gatherer struct{ config Config }

// New makes a Gatherer. It connects to nothing yet.
func New(config Config) *Gatherer {
	if config.Timeout <= 0 {
		config.Timeout = 10 * time.Second
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.HTTP == nil {
		config.HTTP = newTransport()
	}
	return &Gatherer{config}
}

// About is the incident, or its finding, that evidence is gathered for.
type About struct {
	Snapshot        *runbook.Snapshot // of the finding: its signals and its rollback steps
	Service         string            // incident.ServiceOf; empty: any
	Group           labels.Labels     // of the finding
	ImpactStartedAt time.Time         // zero: not known, and nothing is compared with the time before
	At              time.Time         // the tick at which is looked; zero: now

	// Running is the versions that metrics showed when impact began. It tells which artifacts are looked at although
	// none of their changes is on record: without it they are said to be reported by nothing.
	Running []changes.Running
}

// Found is what was found for an item.
type Found struct {
	Values any    // *SignalValues, *Comparison, *ChangeValues or *PageValues; at most 16 kB as JSON; nil: none
	Text   string // one sentence or a few short lines, at most 1 kB; empty: Err says why
	Err    string // what could not be found out, without addresses and secrets; empty: nothing
}

// Gather gathers the evidence of one item. It returns a little more than the time limit after its call at the latest,
// even where a source pays no heed to its context.
func (g *Gatherer) Gather(ctx context.Context, item runbook.Evidence, about About) Found {
	if about.At.IsZero() {
		about.At = g.config.Now()
	}
	about.At = about.At.UTC().Truncate(time.Millisecond)
	ctx, cancel := context.WithTimeout(ctx, g.config.Timeout)
	defer cancel()
	done := make(chan Found, 1)
	go func() { done <- g.gather(ctx, item, &about).bounded() }()
	late := time.NewTimer(g.config.Timeout + grace)
	defer late.Stop()
	select {
	case found := <-done:
		return found
	case <-late.C:
		return Found{Err: g.late()}
	}
}

// GatherAll gathers the evidence of several items at the same time, each with its own limit, and tells of each as soon as
// it is there: n is the item's place in items, from 0. Calls of each follow one another, in the caller's goroutine; it
// returns after the last.
func (g *Gatherer) GatherAll(ctx context.Context, about About, items []runbook.Evidence, each func(n int, found Found)) {
	type result struct {
		n     int
		found Found
	}
	results := make(chan result, len(items))
	for n, item := range items {
		go func() { results <- result{n, g.Gather(ctx, item, about)} }()
	}
	for range items {
		r := <-results
		each(r.n, r.found)
	}
}

func (g *Gatherer) gather(ctx context.Context, item runbook.Evidence, about *About) Found {
	switch {
	case item.HTTP != "":
		return g.page(ctx, item.HTTP)
	case item.Changes > 0:
		return g.changes(ctx, item.Changes, about)
	}
	s := about.signal(item.Signal)
	switch {
	case s == nil:
		return Found{Err: "the incident's runbook has no signal " + clean(item.Signal, labelRunes)}
	case item.Compare == nil:
		return g.signal(ctx, s, &item, about)
	case item.Compare.Artifact != "":
		return g.compareVersions(ctx, s, &item, about)
	}
	return g.compareArms(ctx, s, &item, about)
}

func (a *About) signal(name string) *triggers.Signal {
	if a.Snapshot == nil {
		return nil
	}
	return a.Snapshot.Signals[name]
}

// steps are the rollback steps of the finding's runbook.
func (a *About) steps() []runbook.Step {
	if a.Snapshot == nil {
		return nil
	}
	return a.Snapshot.Runbook.Rollback
}

// sees gives the segments that the incident sees, as its recovery does: those that agree with its service and group on
// the labels that they carry. The label whose values are compared is no part of that.
func (a *About) sees(where map[string][]string, compared string) func(labels.Labels) bool {
	want := labels.NewBuilder(a.Group)
	if a.Service != "" {
		want.Set("service", a.Service)
	}
	if compared != "" {
		want.Del(compared)
	}
	agreed := want.Labels()
	return func(l labels.Labels) bool { return triggers.Matches(l, where) && triggers.Agrees(l, agreed) }
}

// list is values with a list that can be made shorter.
type list interface{ shorten() bool }

// bounded keeps what was found within its limits: the ends of lists go first.
func (f Found) bounded() Found {
	f.Text, f.Err = cut(f.Text, textBytes), clean(f.Err, errorBytes)
	for f.Values != nil {
		text, err := json.Marshal(f.Values)
		if err == nil && len(text) <= valueBytes {
			break
		}
		if l, ok := f.Values.(list); !ok || err != nil || !l.shorten() {
			f.Values = nil
		}
	}
	return f
}
