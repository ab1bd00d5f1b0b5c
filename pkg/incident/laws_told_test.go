package incident

import (
	"fmt"
	"slices"
	"time"
)

// drain empties the outbox and holds law 11.
func (w *town) drain() {
	w.now = w.now.Add(24 * time.Hour)
	for w.settle(func(d Delivery) error { return w.desk.Delivered(w.t.Context(), d, "") }) {
	}
	told := map[string][]Delivery{} // the endings that were sent, by incident
	for _, row := range w.store.Rows() {
		if row.State == RowSent && row.Kind == DeliverEnd {
			told[row.Incident] = append(told[row.Incident], row.Delivery)
		}
	}
	for id, known := range w.watches {
		w.checkTold(livesOf(known.events), told[id], known.record.Open())
	}
}

// life is what law 11 counts of an incident between its opening, or reopening, and its end.
type life struct {
	end      int64 // seq of the event that ended it; 0: it is open
	lowered  []int64
	accepted map[string]map[string]bool // by receiver, the keys of its pages
	replaced map[string]map[string]bool // by receiver, the keys that a later page ended there
}

// livesOf gathers an incident's lives from its events alone. A page is of the life in which its round began, whenever it
// was accepted.
func livesOf(events []Event) []*life {
	var lives []*life
	rounds, keys := map[int]*life{}, map[int]string{}
	for _, e := range events {
		var present *life
		if len(lives) > 0 {
			present = lives[len(lives)-1]
		}
		switch b := e.Body.(type) {
		case Opened, Reopened:
			lives = append(lives, &life{accepted: map[string]map[string]bool{}, replaced: map[string]map[string]bool{}})
		case SeveritySet:
			if b.EndsRound {
				present.lowered = append(present.lowered, e.Seq)
			}
		case Resolved, Dismissed:
			if present.end == 0 { // what was resolved has ended, though somebody calls it a false alarm afterwards
				present.end = e.Seq
			}
		case Paged:
			if rounds[b.Round] == nil {
				rounds[b.Round], keys[b.Round] = present, b.Key
			}
		case PageDelivered:
			note(rounds[b.Round].accepted, b.Receiver, keys[b.Round])
			if b.Ended != "" {
				note(rounds[b.Round].replaced, b.Receiver, b.Ended)
			}
		}
	}
	return lives
}

func note(keys map[string]map[string]bool, receiver, key string) {
	if keys[receiver] == nil {
		keys[receiver] = map[string]bool{}
	}
	keys[receiver][key] = true
}

// checkTold holds law 11: each time the incident ended, whoever accepted a page since it was opened or reopened was told
// so in one message, and nobody else; where a lower severity ended its call, in one at most; and no key was left open.
func (w *town) checkTold(lives []*life, told []Delivery, open bool) {
	count := func(receiver string, seq int64) (n int) {
		for _, d := range told {
			if d.Receiver == receiver && d.Seq == seq {
				n++
			}
		}
		return n
	}
	counted := 0
	for _, l := range lives {
		for _, receiver := range []string{"pager-oncall", "pager-serving", "pager-lead", "chat"} {
			want := 0
			if l.end != 0 && len(l.accepted[receiver]) > 0 {
				want = 1
			}
			if got := count(receiver, l.end); got != want {
				w.t.Fatalf("law 11: %s was told %d times that event %d ended it, want %d:\n%s%s", receiver, got, l.end, want, w.everything(), w.rows())
			}
			counted += want
			for _, seq := range l.lowered {
				n := count(receiver, seq)
				if n > 1 || n > len(l.accepted[receiver]) {
					w.t.Fatalf("law 11: %s was told %d times that event %d ended its call:\n%s%s", receiver, n, seq, w.everything(), w.rows())
				}
				counted += n
			}
			for key := range l.accepted[receiver] {
				ended := slices.ContainsFunc(told, func(d Delivery) bool { return d.Receiver == receiver && d.Key == key })
				if !open && !ended && !l.replaced[receiver][key] {
					w.t.Fatalf("law 11: %s stays open at %s:\n%s%s", key, receiver, w.everything(), w.rows())
				}
			}
		}
	}
	if counted != len(told) {
		w.t.Fatalf("law 11: %d endings were sent, %d of them of an end:\n%s%s", len(told), counted, w.everything(), w.rows())
	}
}

// rows are the outbox rows, for a failure's text.
func (w *town) rows() string {
	text := ""
	for _, row := range w.store.Rows() {
		text += fmt.Sprintf("%s %3d %s %s %s %s %s\n", row.Incident[:4], row.Seq, row.Receiver, row.Kind, row.Key, row.State, row.Error)
	}
	return text
}
