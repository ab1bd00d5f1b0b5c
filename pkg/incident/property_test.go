package incident

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/irdaemon/irdaemon/pkg/triggers"
)

// ticksPlayed counts the ticks of all towns, kindsSeen the events by kind.
var (
	ticksPlayed atomic.Int64
	kindsSeen   sync.Map
)

// TestLaws plays towns in which everything goes wrong that can, and holds the laws of laws_test.go at every step: gaps,
// kills, silences, reloads, receivers that refuse or are late, people who do anything at any time. It plays some seconds;
// with -rapid.checks=N it plays N towns, of about a hundred ticks each.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTown(t, true)
		w.play()
		w.goBlind()
		w.drain()
	})
	t.Logf("%d ticks", ticksPlayed.Load())
	for kind := range decoders {
		if _, seen := kindsSeen.Load(kind); !seen && !elsewhere[kind] && ticksPlayed.Load() > 100_000 {
			t.Errorf("nothing was ever %s: the towns lack what brings it about", kind)
		}
	}
}

// elsewhere are the kinds of events that towns lack, for nothing that is decided depends on them.
var elsewhere = map[string]bool{"gap_noted": true, "triage_answered": true, "evidence_gathered": true, "change_seen": true, "suspects_ranked": true}

// TestAWalkedGapIsAsIfTheDaemonHadNeverBeenGone plays a town with kills, gaps and people who only look, against the same
// one undisturbed: what the ticks found is the same, to the id of each event.
func TestAWalkedGapIsAsIfTheDaemonHadNeverBeenGone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTown(t, false)
		undisturbed := w.twin()
		w.play()
		for at := w.began.Add(interval); !at.After(w.end()); at = at.Add(interval) {
			undisturbed.now = at
			undisturbed.tick(at, false)
		}
		sameLines(t, w.found(), undisturbed.found())
		w.drain()
	})
}

// tick evaluates a tick, late if the clock is ahead of it.
func (w *town) tick(at time.Time, walking bool) {
	ticksPlayed.Add(1)
	open, err := w.desk.Open(w.t.Context())
	must(w.t, err)
	measuring, err := w.desk.Measuring(w.t.Context(), at)
	must(w.t, err)
	tick := Tick{T: at, Walking: walking, Observations: map[string]Observation{}, Clear: map[string]bool{}}
	for _, r := range slices.Concat(open, measuring) {
		tick.Observations[r.ID] = w.observe(r, at)
	}
	for _, s := range w.places {
		now, snapshot := w.truth(s, at), w.inForce[s.runbook]
		tick.Clear[FindingKey(snapshot.Runbook.Name, s.group)] = now.Trigger == triggers.Clear
		if now.Trigger == triggers.Fires {
			tick.Firings = append(tick.Firings, Firing{
				Snapshot: snapshot, Hash: w.hashes[s.runbook], Group: s.group, Service: "support-bot",
				Severity: now.Severity, Breaches: now.Breaches,
			})
		}
	}
	w.walking = walking
	if err := w.desk.Tick(w.t.Context(), tick); err != nil {
		w.t.Fatalf("tick %s: %v\n%s", at, err, w.everything())
	}
	w.walking = false
	w.checkHomes(at)
}

// play lets time pass, with gaps.
func (w *town) play() {
	for at := w.began; at.Before(w.end()); {
		if rapid.IntRange(0, 14).Draw(w.t, "gone") == 0 {
			back := earlier(at.Add(time.Duration(rapid.IntRange(1, 30).Draw(w.t, "for"))*interval), w.end())
			w.now = back
			w.restart()
			for at.Before(back) {
				at = at.Add(interval)
				w.tick(at, at.Before(back))
				if at.Before(back) && rapid.IntRange(0, 9).Draw(w.t, "meanwhile") == 0 {
					w.disturb()
				}
			}
		} else {
			at = at.Add(interval)
			w.now = latest(w.now, at)
			w.tick(at, false)
		}
		w.again(at)
		for range rapid.IntRange(0, 2).Draw(w.t, "disturbances") {
			w.disturb()
		}
	}
}

// again hands over a tick a second time, the newest one or one that was decided since people last did something.
func (w *town) again(newest time.Time) {
	back := rapid.IntRange(0, 40).Draw(w.t, "again")
	old := newest.Add(-time.Duration(back) * interval)
	if back > 4 || old.Before(w.touched) || !old.After(w.began) {
		return
	}
	before, rows := w.committed, len(w.store.Rows())
	w.tick(old, false)
	if w.committed != before || len(w.store.Rows()) != rows {
		w.t.Fatalf("law 3: tick %s, decided again at %s, gave something:\n%s", old, newest, w.everything())
	}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// goBlind lets some time pass in which nothing is known any more.
func (w *town) goBlind() {
	for at := w.end().Add(interval); !at.After(w.end().Add(4 * townHold)); at = at.Add(interval) {
		w.now = latest(w.now, at)
		w.tick(at, false)
	}
}

// told holds the laws at every commit.
func (w *town) told(r *Record, events []Event) {
	w.committed += len(events)
	known := w.watches[r.ID]
	if known == nil {
		known = &watched{record: &Record{}, facts: facts{}}
		w.watches[r.ID] = known
	}
	for _, e := range events {
		kindsSeen.Store(e.Body.Kind(), true)
		w.checkEvent(known, r, e)
		apply(known.record, e)
		known.facts.fold(e)
		known.events = append(known.events, e)
		w.checkState(known)
	}
	w.checkCommit(known, r, events)
	w.checkRecord(r)
}

// found is what the ticks found, over all incidents: the events that only a tick adds.
func (w *town) found() []string {
	var lines []string
	for id, known := range w.watches {
		for _, e := range known.events {
			if tickKinds[e.Body.Kind()] {
				lines = append(lines, fmt.Sprintf("%s %s %s %s", id, e.ID, e.At.Format(time.TimeOnly), asJSON(w.t, e.Body)))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// everything is every event of every incident, for a failure's text.
func (w *town) everything() string {
	text := ""
	for id, known := range w.watches {
		for _, e := range known.events {
			text += fmt.Sprintf("%s %3d %s (%s) %s: %s %s\n", id[:4], e.Seq, e.At.Format(time.TimeOnly), e.RecordedAt.Format(time.TimeOnly), e.Actor, e.Body.Kind(), asJSON(w.t, e.Body))
		}
	}
	return text
}

func must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
