package source

import (
	"slices"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// memory is what is kept of an expression's last answers, so that the next one costs no label sets: an engine gives
// an expression's series in the same order and the same bytes time after time. One answer uses it at a time.
type memory struct {
	byBytes  map[string]*remembered // by the metric object's bytes, as the source wrote it
	byLabels map[uint64]*remembered // by the label set's hash: the same set may come in other bytes
	order    []*remembered          // the last answer's series
	current  []*remembered          // this answer's series, so far
	next     int                    // in order: what is expected next
	answer   uint64                 // counts answers
}

// remembered is one series of an expression.
type remembered struct {
	bytes    string
	labels   labels.Labels
	hash     uint64
	sameHash *remembered
	position int    // in memory.order
	answer   uint64 // the last answer that had it
}

// keptAnswers is for how many answers a series that has gone is remembered: one missed scrape must not cost a new label set.
const keptAnswers = 3

func newMemory() *memory {
	return &memory{byBytes: make(map[string]*remembered), byLabels: make(map[uint64]*remembered)}
}

// begin prepares for the next answer.
func (m *memory) begin() {
	m.answer++
	m.next = 0
	m.current = m.current[:0]
}

// expected returns the series that came at this place last time, nil where the last answer had no more.
func (m *memory) expected() *remembered {
	if m.next < len(m.order) {
		return m.order[m.next]
	}
	return nil
}

// see takes the series into the answer and reports whether it is there for the first time.
func (m *memory) see(series *remembered) bool {
	if series.answer == m.answer {
		return false
	}
	if series.answer == m.answer-1 && series.position < len(m.order) {
		m.next = series.position + 1
	}
	series.answer = m.answer
	m.current = append(m.current, series)
	return true
}

// add remembers a label set, or its new spelling.
func (m *memory) add(bytes string, set labels.Labels) *remembered {
	hash := set.Hash()
	for known := m.byLabels[hash]; known != nil; known = known.sameHash {
		if labels.Equal(known.labels, set) {
			delete(m.byBytes, known.bytes)
			known.bytes = bytes
			m.byBytes[bytes] = known
			return known
		}
	}
	series := &remembered{bytes: bytes, labels: set, hash: hash, sameHash: m.byLabels[hash]}
	m.byLabels[hash] = series
	m.byBytes[bytes] = series
	return series
}

// finish makes this answer the last one and forgets what has not been seen for some answers.
func (m *memory) finish() {
	m.order, m.current = m.current, m.order
	for i, series := range m.order {
		series.position = i
	}
	if len(m.byBytes) == len(m.order) {
		return
	}
	for bytes, series := range m.byBytes {
		if series.answer+keptAnswers <= m.answer {
			delete(m.byBytes, bytes)
			m.forget(series)
		}
	}
	clear(m.current[:cap(m.current)]) // it would keep the forgotten alive
}

// forget takes a series out of byLabels.
func (m *memory) forget(series *remembered) {
	first := m.byLabels[series.hash]
	if first == series {
		if series.sameHash == nil {
			delete(m.byLabels, series.hash)
		} else {
			m.byLabels[series.hash] = series.sameHash
		}
		return
	}
	for ; first != nil; first = first.sameHash {
		if first.sameHash == series {
			first.sameHash = series.sameHash
		}
	}
}

// memories keeps the memory of each expression, up to a number of series in all.
type memories struct {
	maxSeries int // an expression counts as one more

	mu     sync.Mutex
	kept   map[string]*keptMemory
	series int
	uses   uint64
}

type keptMemory struct {
	*memory
	size    int
	lastUse uint64
}

// take hands out the expression's memory, an empty one where there is none.
// A second query for the same expression at the same time gets an empty one.
func (k *memories) take(key string) *memory {
	k.mu.Lock()
	defer k.mu.Unlock()
	held, ok := k.kept[key]
	if !ok {
		return newMemory()
	}
	k.drop(key, held)
	return held.memory
}

// put takes a memory back after a whole answer. After an error the memory is simply not put back.
func (k *memories) put(key string, m *memory) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = make(map[string]*keptMemory)
	}
	if other, ok := k.kept[key]; ok {
		k.drop(key, other)
	}
	k.uses++
	held := &keptMemory{memory: m, size: 1 + len(m.byBytes), lastUse: k.uses}
	k.kept[key] = held
	k.series += held.size
	if k.series > k.maxSeries {
		k.evict()
	}
}

func (k *memories) drop(key string, held *keptMemory) {
	delete(k.kept, key)
	k.series -= held.size
}

// evict drops the expressions that were not asked for the longest time, until a quarter of the room is free:
// so the sorting is paid for by many puts.
func (k *memories) evict() {
	keys := make([]string, 0, len(k.kept))
	for key := range k.kept {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if k.kept[a].lastUse < k.kept[b].lastUse {
			return -1
		}
		return 1
	})
	for _, key := range keys {
		if k.series <= k.maxSeries/4*3 {
			return
		}
		k.drop(key, k.kept[key])
	}
}
