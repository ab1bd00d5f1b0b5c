package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/irdaemon/irdaemon/pkg/incident"
	"github.com/irdaemon/irdaemon/pkg/web"
	"github.com/irdaemon/irdaemon/pkg/web/webtest"
)

// sink is a client's end of an event stream. One that is stuck takes nothing, and each write ends at its deadline.
type sink struct {
	mutex    sync.Mutex
	header   http.Header
	status   int
	text     strings.Builder
	stuck    bool
	deadline time.Time
	over     chan struct{} // closed when the handler has returned
	leave    func()
	unread   bool // nothing limits how long the request may take to be read
}

// SetReadDeadline is what the server has set to 15 s: when it passes, the client is taken for gone.
func (s *sink) SetReadDeadline(deadline time.Time) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.unread = deadline.IsZero()
	return nil
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) { s.status = status }

func (s *sink) Write(text []byte) (int, error) {
	for {
		s.mutex.Lock()
		stuck, deadline := s.stuck, s.deadline
		if !stuck {
			defer s.mutex.Unlock()
			return s.text.Write(text)
		}
		s.mutex.Unlock()
		if !time.Now().Before(deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *sink) Flush() {}

func (s *sink) SetWriteDeadline(deadline time.Time) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.deadline = deadline
	return nil
}

func (s *sink) setStuck(stuck bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.stuck = stuck
}

func (s *sink) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// block is an event of a stream as it is written; id is empty where it has none.
type block struct {
	id, kind string
	event    web.Event
}

// blocks are the events received so far, and the comments.
func (s *sink) blocks(t *testing.T) (blocks []block, first string, comments int) {
	t.Helper()
	s.mutex.Lock()
	parts := strings.Split(s.text.String(), "\n\n")
	s.mutex.Unlock()
	if parts[len(parts)-1] != "" {
		t.Fatalf("the last block has no end: %q", parts[len(parts)-1])
	}
	for i, part := range parts[:len(parts)-1] {
		var b block
		var data string
		for _, line := range strings.Split(part, "\n") {
			field, value, _ := strings.Cut(line, ": ")
			switch field {
			case "id":
				b.id = value
			case "event":
				b.kind = value
			case "data":
				data = value
			}
		}
		switch {
		case i == 0:
			first = b.id
		case part == ":":
			comments++
		default:
			if err := json.Unmarshal([]byte(data), &b.event); err != nil {
				t.Fatalf("%q: %v", part, err)
			}
			blocks = append(blocks, b)
		}
	}
	return blocks, first, comments
}

// listen opens a stream.
func (w *world) listen(target string, headers ...string) *sink {
	w.t.Helper()
	ctx, leave := context.WithCancel(w.t.Context())
	s := &sink{header: http.Header{}, over: make(chan struct{}), leave: leave}
	r := httptest.NewRequestWithContext(ctx, "GET", target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	go func() {
		defer close(s.over)
		w.handler.ServeHTTP(s, r)
	}()
	synctest.Wait()
	return s
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

func kindsOf(blocks []block) string {
	var kinds []string
	for _, b := range blocks {
		kinds = append(kinds, b.kind)
	}
	return strings.Join(kinds, " ")
}

func TestEventsComeInTheOrderOfTheirCommits(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.listen("/api/v1/events?after=0")
		w.must("POST", ofFirst+"acknowledge", `{"by":"alice"}`)
		w.must("POST", ofFirst+"notes", `{"by":"alice","text":"two\nlines"}`)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		blocks, first, _ := s.blocks(t)
		if kinds := kindsOf(blocks); first != "0" || kinds != "opened paged acknowledged noted" {
			t.Fatalf("from %s: %s", first, kinds)
		}
		for i, b := range blocks {
			e := b.event
			if e.Number != 1 || e.Incident != w.view().ID || e.Seq != int64(i+1) || e.Kind != b.kind || e.Severity != "sev2" || e.At.IsZero() || e.RecordedAt.IsZero() {
				t.Errorf("%+v", e)
			}
			wanted := fmt.Sprint(e.Position)
			if last := i+1 == len(blocks) || blocks[i+1].event.Position != e.Position; !last {
				wanted = ""
			}
			if b.id != wanted {
				t.Errorf("%s at %d has the id %q, want %q", b.kind, e.Position, b.id, wanted)
			}
		}
		if blocks[0].event.Position != blocks[1].event.Position || blocks[0].id != "" {
			t.Errorf("the opening and its page are two commits: %+v", blocks[:2])
		}
		if note := blocks[3].event; note.Text != "two\nlines" || note.Actor != "alice" || note.State != "acknowledged" {
			t.Errorf("%+v", note)
		}
		if kind := s.header.Get("Content-Type"); kind != "text/event-stream" {
			t.Errorf("Content-Type %s", kind)
		}
		s.leave()
		<-s.over
	})
}

func TestWhoComesBackMissesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.must("POST", ofFirst+"acknowledge", `{"by":"alice"}`)
		w.must("POST", ofFirst+"unacknowledge", `{"by":"alice"}`) // with a page in the same commit
		w.must("POST", ofFirst+"notes", `{"by":"alice","text":"x"}`)
		all := w.listen("/api/v1/events?after=0")
		blocks, start, _ := all.blocks(t)
		all.leave()
		<-all.over
		if len(blocks) != 6 {
			t.Fatalf("%s", kindsOf(blocks))
		}
		last := start
		for received := 0; received <= len(blocks); received++ {
			// The stream broke after so many blocks; the last id is what a browser then sends.
			if received > 0 && blocks[received-1].id != "" {
				last = blocks[received-1].id
			}
			rest := w.listen("/api/v1/events?after=0", "Last-Event-ID", last)
			more, _, _ := rest.blocks(t)
			rest.leave()
			<-rest.over
			seen := map[int64]bool{}
			for _, b := range slices.Concat(blocks[:received], more) {
				seen[b.event.Seq] = true
			}
			if len(seen) != len(blocks) {
				t.Errorf("broken off after %d, back with %s: %d of %d events", received, last, len(seen), len(blocks))
			}
			if received == len(blocks) && len(more) != 0 {
				t.Errorf("back with the newest: %s", kindsOf(more))
			}
		}
	})
}

func TestWithoutAPositionAStreamBeginsNow(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.listen("/api/v1/events")
		blocks, first, _ := s.blocks(t)
		if newest, _ := w.store.Position(t.Context()); len(blocks) != 0 || first != fmt.Sprint(newest) {
			t.Errorf("from %s: %s", first, kindsOf(blocks))
		}
		w.must("POST", ofFirst+"notes", `{"by":"alice","text":"x"}`)
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if blocks, _, _ := s.blocks(t); kindsOf(blocks) != "noted" {
			t.Errorf("%s", kindsOf(blocks))
		}
		s.leave()
		<-s.over
	})
}

func TestAStreamOfOneIncidentTellsOfNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.listen("/api/v1/events?after=0&incident=%232")
		<-s.over // there is none yet
		if s.status != 404 {
			t.Errorf("%d", s.status)
		}
		w.tick(w.firing("search"))
		s = w.listen("/api/v1/events?after=0&incident=%232")
		w.must("POST", ofFirst+"notes", `{"by":"alice","text":"one"}`)
		w.must("POST", "/api/v1/incidents/2/notes", `{"by":"alice","text":"two"}`)
		time.Sleep(time.Second)
		synctest.Wait()
		blocks, _, _ := s.blocks(t)
		for _, b := range blocks {
			if b.event.Number != 2 {
				t.Errorf("%+v", b.event)
			}
		}
		if kindsOf(blocks) != "opened paged noted" || blocks[2].id == "" {
			t.Errorf("%s", kindsOf(blocks))
		}
		s.leave()
		<-s.over
	})
}

func TestACommitOfAnySizeComesWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var firings []incident.Firing
		for i := range 300 {
			firings = append(firings, w.firing(fmt.Sprintf("service-%d", i)))
		}
		before, _ := w.store.Position(t.Context())
		for range 150 { // the big one begins in the middle of a page
			if _, err := w.desk.Command(t.Context(), "1", incident.Note{By: "alice", Text: "x"}, incident.Idempotency{}); err != nil {
				t.Fatal(err)
			}
		}
		w.tick(firings...)
		w.must("POST", ofFirst+"notes", `{"by":"alice","text":"x"}`)
		s := w.listen(fmt.Sprintf("/api/v1/events?after=%d", before))
		blocks, _, _ := s.blocks(t)
		s.leave()
		<-s.over
		ids := 0
		for _, b := range blocks {
			if b.id != "" {
				ids++
			}
		}
		if len(blocks) != 751 || ids != 152 || blocks[749].id == "" || blocks[750].kind != "noted" {
			t.Errorf("%d events, %d ids", len(blocks), ids)
		}
	})
}

func TestAQuietStreamIsKeptAlive(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.listen("/api/v1/events")
		time.Sleep(time.Minute)
		synctest.Wait()
		if blocks, _, comments := s.blocks(t); len(blocks) != 0 || comments != 4 || !s.unread {
			t.Errorf("%d comments in a minute, without a limit on reading: %t", comments, s.unread)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !s.isOver() {
			t.Error("it lasts longer than an hour")
		}
		s.leave()
	})
}

func TestASlowClientIsDroppedAndHoldsUpNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		slow, quick := w.listen("/api/v1/events"), w.listen("/api/v1/events")
		slow.setStuck(true)
		for i := range 20 {
			w.must("POST", ofFirst+"notes", fmt.Sprintf(`{"by":"alice","text":"%d"}`, i))
			time.Sleep(500 * time.Millisecond)
		}
		synctest.Wait()
		if blocks, _, _ := quick.blocks(t); len(blocks) < 19 {
			t.Errorf("the other stream has %d events of 20", len(blocks))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !slow.isOver() || quick.isOver() {
			t.Errorf("dropped: the slow one %t, the other one %t", slow.isOver(), quick.isOver())
		}
		quick.leave()
		<-quick.over
		slow.leave()
	})
}

func TestAStopEndsTheStreams(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		stopping := make(chan struct{})
		w.config.Stopping = stopping
		w.serve()
		quiet, stuck := w.listen("/api/v1/events"), w.listen("/api/v1/events")
		stuck.setStuck(true)
		w.must("POST", ofFirst+"notes", `{"by":"alice","text":"x"}`)
		time.Sleep(600 * time.Millisecond)
		close(stopping)
		synctest.Wait()
		if !quiet.isOver() {
			t.Error("a quiet stream goes on")
		}
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if !stuck.isOver() {
			t.Error("a client that takes nothing holds up the stop")
		}
		quiet.leave()
		stuck.leave()
	})
}

func TestTheStreamsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var open []*sink
		for range 100 {
			open = append(open, w.listen("/api/v1/events"))
		}
		answer := w.call("GET", "/api/v1/events", "")
		if problem := decode[web.Problem](t, answer); answer.Code != 503 || len(problem.Allowed) == 0 {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
		open[0].leave()
		<-open[0].over
		another := w.listen("/api/v1/events")
		if another.isOver() {
			t.Error("there is no room after one has ended")
		}
		for _, s := range append(open, another) {
			s.leave()
			<-s.over
		}
	})
}

// unreadable is a feed that tells its position and nothing else.
type unreadable struct{ *incident.MemoryStore }

func (unreadable) Feed(context.Context, int64, int) ([]incident.Positioned, error) {
	return nil, errors.New("disk")
}

func TestAFeedThatCannotBeReadEndsTheStream(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.config.Feed = unreadable{w.store}
		w.serve()
		s := w.listen("/api/v1/events")
		if !s.isOver() {
			t.Error("it goes on")
		}
		s.leave()
	})
}

func TestAStreamOverARealConnectionEndsAtTheStop(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	w.config.Stopping = ctx.Done()
	w.serve()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(ctx, listener, w.handler, nil, zap.NewNop()) }()
	answer, err := http.Get("http://" + listener.Addr().String() + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	got := make([]byte, 256)
	n, err := answer.Body.Read(got)
	if err != nil || !strings.HasPrefix(string(got[:n]), "retry: 2000\nid: ") {
		t.Errorf("%q, %v", got[:n], err)
	}
	began := time.Now()
	stop()
	if err := <-served; err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("stopped after %s: %v", time.Since(began), err)
	}
}

func TestASilenceSaysWhatItHoldsBack(t *testing.T) {
	w := newWorld(t)
	added := decode[web.SilenceStatus](t, w.must("POST", "/api/v1/silences",
		`{"by":"alice","runbook":"good-users-refused","group":{"service":"search"},"up_to":"sev2","reason":"load test","for":"2h"}`))
	if !added.InForce || added.By != "alice" || !added.Until.Equal(webtest.At("16:12:24")) || added.ID == "" {
		t.Errorf("%+v", added)
	}
	later := decode[web.SilenceStatus](t, w.must("POST", "/api/v1/silences",
		`{"by":"bob","runbook":"good-users-refused","reason":"night","from":"2026-11-03T22:00:00Z","for":"2h"}`))
	if later.InForce || later.UpTo != "sev3" || !later.Until.Equal(webtest.At("22:00:00").Add(2*time.Hour)) {
		t.Errorf("%+v", later)
	}
	mail := decode[web.SilenceStatus](t, w.must("POST", "/api/v1/silences",
		`{"by":"alice","runbook":"good-users-refused","group":{"service":"mail"},"up_to":"sev2","reason":"move","for":"2h"}`))
	w.tick(w.firing("search"), w.firing("support-bot"), w.firing("mail"))
	list := decode[web.SilenceList](t, w.must("GET", "/api/v1/silences", ""))
	held := map[string][]web.HeldBack{}
	for _, s := range list.Silences {
		held[s.ID] = s.HoldsBack
	}
	if len(list.Silences) != 3 || list.Silences[0].ID != later.ID || len(held[later.ID]) != 0 || len(held[mail.ID]) != 1 || len(held[added.ID]) != 1 {
		t.Fatalf("%+v", list)
	}
	for id, service := range map[string]string{added.ID: "search", mail.ID: "mail"} {
		view := decode[incident.View](t, w.must("GET", "/api/v1/incidents/"+held[id][0].Incident, ""))
		if view.Service != service || view.Number != held[id][0].Number || !slices.Equal(held[id][0].Causes, []string{incident.CauseOpened}) {
			t.Errorf("%+v holds back #%d of %s", held[id], view.Number, view.Service)
		}
	}
	ended := decode[web.SilenceStatus](t, w.must("DELETE", "/api/v1/silences/"+added.ID+"?by=bob", ""))
	if ended.InForce || ended.EndedBy != "bob" {
		t.Errorf("%+v", ended)
	}
	w.must("DELETE", "/api/v1/silences/"+added.ID+"?by=carol", "")
	if list := decode[web.SilenceList](t, w.must("GET", "/api/v1/silences", "")); len(list.Silences) != 2 {
		t.Errorf("%+v", list)
	}
	unknown := w.call("DELETE", "/api/v1/silences/none?by=bob", "")
	if unknown.Code != 404 || !strings.Contains(unknown.Body.String(), later.ID) {
		t.Errorf("%d %s", unknown.Code, unknown.Body)
	}
}

func TestASilenceIsAddedOnceUnderAKey(t *testing.T) {
	w := newWorld(t)
	const body = `{"by":"alice","runbook":"good-users-refused","reason":"load test","for":"2h"}`
	first := w.call("POST", "/api/v1/silences", body, "Idempotency-Key", "k")
	w.now = w.now.Add(time.Minute)
	again := w.call("POST", "/api/v1/silences", body, "Idempotency-Key", "k")
	if first.Code != 200 || first.Body.String() != again.Body.String() {
		t.Errorf("%d %s\n%d %s", first.Code, first.Body, again.Code, again.Body)
	}
	if other := w.call("POST", "/api/v1/silences", strings.Replace(body, "2h", "3h", 1), "Idempotency-Key", "k"); other.Code != 422 {
		t.Errorf("%d %s", other.Code, other.Body)
	}
	if list := decode[web.SilenceList](t, w.must("GET", "/api/v1/silences", "")); len(list.Silences) != 1 {
		t.Errorf("%+v", list)
	}
	tooLong := w.call("POST", "/api/v1/silences", strings.Replace(body, "2h", "8d", 1), "Idempotency-Key", "k2")
	if tooLong.Code != 422 || !strings.Contains(tooLong.Body.String(), "7 days") {
		t.Errorf("%d %s", tooLong.Code, tooLong.Body)
	}
	if mended := w.call("POST", "/api/v1/silences", body, "Idempotency-Key", "k2"); mended.Code != 200 {
		t.Errorf("a key whose write failed is spent: %d %s", mended.Code, mended.Body)
	}
}

func TestADrillIsMarkedEverywhereAndOpenOnce(t *testing.T) {
	w := newWorld(t)
	const body = `{"by":"alice","runbook":"good-users-refused","group":{"service":"search"},"severity":"sev3"}`
	first := w.call("POST", "/api/v1/drills", body, "Idempotency-Key", "k")
	view := decode[incident.View](t, first)
	if first.Code != 200 || view.Class != incident.Drill || view.Severity != "sev3" || view.Group["service"] != "search" || view.Timeline[0].Actor != "alice" {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	if again := w.call("POST", "/api/v1/drills", body, "Idempotency-Key", "k"); again.Body.String() != first.Body.String() {
		t.Errorf("%d %s", again.Code, again.Body)
	}
	if second := w.call("POST", "/api/v1/drills", body); second.Code != 409 || !strings.Contains(second.Body.String(), "#2") {
		t.Errorf("%d %s", second.Code, second.Body)
	}
	for target, says := range map[string]string{
		"/": "[DRILL", "/incidents/2": "[DRILL", "/api/v1/incidents/2": `"class":"drill"`, "/api/v1/incidents": `"class":"drill"`,
	} {
		if answer := w.must("GET", target, ""); !strings.Contains(answer.Body.String(), says) {
			t.Errorf("%s: %s", target, answer.Body)
		}
	}
}

func TestTheDaemonsOwnTroublesStandApart(t *testing.T) {
	w := newWorld(t)
	if err := w.desk.Trouble(t.Context(), incident.TroubleBlind, "prometheus does not answer"); err != nil {
		t.Fatal(err)
	}
	if list := decode[web.IncidentList](t, w.must("GET", "/api/v1/incidents", "")); len(list.Incidents) != 1 || list.Incidents[0].Number != 1 {
		t.Errorf("%+v", list)
	}
	own := decode[web.IncidentList](t, w.must("GET", "/api/v1/incidents?self=true&state=open", ""))
	if len(own.Incidents) != 1 || own.Incidents[0].Class != incident.Self {
		t.Fatalf("%+v", own)
	}
	id := own.Incidents[0].ID
	for target, says := range map[string][]string{
		"/":                       {"The daemon is in trouble itself:", id, "#1  sev2"},
		"/incidents/" + id:        {"irdaemon is blind"},
		"/api/v1/incidents/" + id: {`"class":"self"`},
	} {
		for _, part := range says {
			if answer := w.must("GET", target, ""); !strings.Contains(answer.Body.String(), part) {
				t.Errorf("%s does not say %s: %s", target, part, answer.Body)
			}
		}
	}
	w.must("POST", "/api/v1/incidents/"+id+"/acknowledge", `{"by":"alice"}`)
	if answer := w.call("POST", "/api/v1/incidents/"+id+"/dismiss", `{"by":"alice","reason":"test"}`); answer.Code != 409 {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}
