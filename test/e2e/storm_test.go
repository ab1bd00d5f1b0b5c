//go:build e2e

package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// queues is an exporter of many queues, all of which fill up at once.
type queues struct {
	server *httptest.Server
	depth  atomic.Int64 // of each
	worst  atomic.Int64 // of the first
}

// crowd is how many queues there are beside the first.
const crowd = 500

func startQueues(t testing.TB) *queues {
	t.Helper()
	q := &queues{}
	q.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var page strings.Builder
		fmt.Fprintf(&page, "queue_depth{queue=\"first\"} %d\n", q.worst.Load())
		for i := range crowd {
			fmt.Fprintf(&page, "queue_depth{queue=\"q%03d\"} %d\n", i, q.depth.Load())
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprint(w, page.String())
	}))
	t.Cleanup(q.server.Close)
	return q
}

func (q *queues) fill(worst, depth int64) {
	q.worst.Store(worst)
	q.depth.Store(depth)
}

const queueSignals = `
signals:
  queue_depth:
    title: Queue depth
    help: Messages that wait for an answer.
    unit: count
    worse: up
    query: max by (queue) (queue_depth)
`

const queuesFull = `
runbook: queues-full
title: A queue is not worked off
service: inbox
group_by: [queue]
trigger: {signal: queue_depth, above: 100, for: 2s, clears: {below: 50}}
severity:
  sev1: {signal: queue_depth, above: 5000}
  default: sev3
owner: llm-oncall
triage: [{check: Look at the workers of the queue}]
rollback: [{artifact: prompt, do: Set the live prompt label back.}]
communication: {internal: "{{ .Severity }} {{ .Title }}: {{ .Impact }} since {{ .StartedAt }}."}
recovery:
  hold: 3s
  key: {signal: queue_depth, below: 50}
  safety: {none: nothing unsafe is said by a queue}
  business: {none: nothing measures it}
postmortem: {due: 5d}
`

// TestAStormIsOnePageAndNothingIsLost lets 500 groups of a runbook breach in one tick, and one more that is sev1.
func TestAStormIsOnePageAndNothingIsLost(t *testing.T) {
	t.Parallel()
	q := startQueues(t)
	r := &railway{t: t, scale: quickScale, oncall: startWebhookReceiver(t), lead: startWebhookReceiver(t), owner: startWebhookReceiver(t)}
	r.prometheus = startPrometheus(t, q.server)
	r.way = startFaultProxy(t, r.prometheus.url)
	r.other = settings{
		alone: true,
		roles: `  llm-oncall: {page: [oncall-hook, lead-hook]}`,
		top:   "limits: {pages: 6/15m, open_groups: 50}",
		files: map[string]string{"signals/support.yaml": queueSignals, "runbooks/refusals.yaml": queuesFull, "runbooks/deflection.yaml": ""},
	}
	r.daemon = newDaemon(t, r.files)
	r.daemon.startReady()
	events := r.daemon.follow("")

	q.fill(9000, 800)
	r.areAllListed(crowd + 1)
	for name, receiver := range map[string]*webhookReceiver{"oncall-hook": r.oncall, "lead-hook": r.lead} {
		checkStorm(t, name, receiver)
	}
	r.areAllTold(events, "page_delivered", 2*(crowd+1))

	q.fill(0, 0)
	r.areAllTold(events, "resolved", crowd+1)
	for name, receiver := range map[string]*webhookReceiver{"oncall-hook": r.oncall, "lead-hook": r.lead} {
		checkStormOver(t, name, receiver)
	}
	r.areAllListed(0)
	r.checkRecords(events)
}

// areAllListed waits until the list of open incidents, page by page, has so many.
func (r *railway) areAllListed(want int) {
	r.t.Helper()
	eventually(r.t, 60*time.Second, fmt.Sprintf("%d open incidents", want), func() (struct{}, error) {
		ids, after := map[string]bool{}, ""
		for {
			var page struct {
				Incidents []incident `json:"incidents"`
				Next      string     `json:"next"`
			}
			if err := getJSON(r.daemon.client, r.daemon.url+"/api/v1/incidents?state=open&limit=200&after="+after, &page); err != nil {
				return struct{}{}, err
			}
			for _, i := range page.Incidents {
				ids[i.ID] = true
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if len(ids) != want {
			return struct{}{}, fmt.Errorf("%d are listed", len(ids))
		}
		return struct{}{}, nil
	})
}

// checkStorm waits until a receiver has what it should have of the storm: sev1 by itself, the rest in one page.
func checkStorm(t *testing.T, name string, receiver *webhookReceiver) {
	t.Helper()
	digested := func(d delivery) int { return max(1, d.Data.Digested) }
	pages := eventually(t, 90*time.Second, name+" has the whole storm", func() ([]delivery, error) {
		sum, pages := 0, receiver.got("incident.page")
		for _, page := range pages {
			sum += digested(page)
		}
		if sum != crowd+1 {
			return nil, fmt.Errorf("%d pages about %d incidents", len(pages), sum)
		}
		return pages, nil
	})
	if len(pages) != 2 {
		t.Fatalf("%s has %d pages, want one of sev1 and one digest:\n%s", name, len(pages), describe(pages))
	}
	single := slices.IndexFunc(pages, func(d delivery) bool { return digested(d) == 1 })
	if single < 0 || pages[single].Data.Incident.Severity != "sev1" {
		t.Fatalf("%s was not called for sev1 by itself:\n%s", name, describe(pages))
	}
	digest := pages[1-single]
	if digest.Data.Digested != crowd || len(digest.Data.Digest) == 0 || !strings.Contains(digest.Data.Message.Title, fmt.Sprint(crowd)) {
		t.Errorf("%s has a digest of %d, which lists %d: %s", name, digest.Data.Digested, len(digest.Data.Digest), digest.Data.Message.Title)
	}
}

// checkStormOver waits for the two ends.
func checkStormOver(t *testing.T, name string, receiver *webhookReceiver) {
	t.Helper()
	keys := map[string]bool{}
	for _, page := range receiver.got("incident.page") {
		keys[page.Data.DedupKey] = true
	}
	ends := eventually(t, 60*time.Second, name+" is told that all is over", func() ([]delivery, error) {
		ends := receiver.got("incident.resolved")
		if len(ends) < 2 {
			return nil, fmt.Errorf("%d ends", len(ends))
		}
		return ends, nil
	})
	if len(ends) != 2 || ends[0].Data.DedupKey == ends[1].Data.DedupKey || !keys[ends[0].Data.DedupKey] || !keys[ends[1].Data.DedupKey] {
		t.Errorf("%s has the ends\n%s\nof the pages\n%s", name, describe(ends), describe(receiver.got("incident.page")))
	}
}

// areAllTold waits until the event stream has told so many events of a kind.
func (r *railway) areAllTold(events *stream, kind string, want int) {
	r.t.Helper()
	eventually(r.t, 90*time.Second, fmt.Sprintf("%d events %s", want, kind), func() (struct{}, error) {
		all, err := events.of("")
		n := 0
		for _, e := range all {
			if e.Kind == kind {
				n++
			}
		}
		if err == nil && n != want {
			err = fmt.Errorf("%d of %d events", n, len(all))
		}
		return struct{}{}, err
	})
}

// checkRecords holds the record of each incident against what it must say.
func (r *railway) checkRecords(events *stream) {
	r.t.Helper()
	all, err := events.of("")
	if err != nil {
		r.t.Fatal(err)
	}
	records := map[string]map[string]int{}
	for _, e := range all {
		if records[e.Incident] == nil {
			records[e.Incident] = map[string]int{}
		}
		records[e.Incident][e.Kind]++
	}
	if len(records) != crowd+1 {
		r.t.Errorf("there are %d incidents, want %d", len(records), crowd+1)
	}
	for id, kinds := range records {
		if kinds["opened"] != 1 || kinds["paged"] != 1 || kinds["page_delivered"] != 2 || kinds["page_failed"] != 0 || kinds["resolved"] != 1 {
			r.t.Errorf("incident %s has %v, want it opened, paged, delivered to both receivers and resolved", id, kinds)
			return
		}
	}
}
