package source

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"
)

// place copies the points just read to where the caller can keep them.
func (d *decoder) place() []Point {
	n := len(d.scratch)
	if cap(d.arena)-len(d.arena) < n {
		d.arena = make([]Point, 0, max(n, 1024))
	}
	start := len(d.arena)
	d.arena = append(d.arena, d.scratch...)
	return d.arena[start : start+n : start+n]
}

func (d *decoder) nextPoint() {
	p := d.point()
	if n := len(d.scratch); n > 0 && d.scratch[n-1].T >= p.T {
		d.fail("points out of order")
	}
	if d.bounds.points > 0 && len(d.scratch) == d.bounds.points {
		d.fail("a series with more than the %d points asked for", d.bounds.points)
	}
	d.scratch = append(d.scratch, p)
}

// point reads [seconds, "value"].
func (d *decoder) point() Point {
	d.expect('[')
	p, err := d.rest()
	if err != nil {
		d.fail("%v", err)
	}
	return p
}

// rest reads a pair after its bracket. The error says that its value is no number, which a string's is not.
func (d *decoder) rest() (Point, error) {
	t := d.milliseconds(d.number())
	d.expect(',')
	raw, escaped := d.string()
	if d.err != nil {
		return Point{}, nil
	}
	v, err := strconv.ParseFloat(string(d.unquote(raw, escaped)), 64)
	if err != nil {
		err = errValue
	}
	d.expect(']')
	return Point{T: t, V: v}, err
}

var errValue = errors.New("a value that is no number")

// maxSeconds keeps milliseconds within what a float64 holds exactly.
const maxSeconds = 1 << 43

// milliseconds reads seconds with a fraction, as 1435781451.781. Few engines write more than three decimals
// or an exponent: those go the slow way.
func (d *decoder) milliseconds(number []byte) int64 {
	whole, fraction, _ := bytes.Cut(number, []byte{'.'})
	if len(whole) > 0 && len(whole) <= 12 && len(fraction) <= 3 {
		ms, ok := int64(0), true
		for _, c := range whole {
			ok = ok && '0' <= c && c <= '9'
			ms = ms*10 + int64(c-'0')
		}
		for i := range 3 {
			digit := byte('0')
			if i < len(fraction) {
				digit = fraction[i]
			}
			ok = ok && '0' <= digit && digit <= '9'
			ms = ms*10 + int64(digit-'0')
		}
		if ok {
			return ms
		}
	}
	if d.err != nil {
		return 0
	}
	seconds, err := strconv.ParseFloat(string(number), 64)
	if err != nil || math.Abs(seconds) > maxSeconds {
		d.fail("the time %q", number)
		return 0
	}
	return int64(math.Round(seconds * 1000))
}

// metric reads a label set: guessed from the last answer's order, else found by its bytes, else built.
func (d *decoder) metric() *remembered {
	if d.space() != '{' {
		d.expect('{')
		return nil
	}
	if guess := d.memory.expected(); guess != nil && d.hasPrefix(guess.bytes) {
		d.pos += len(guess.bytes)
		return guess
	}
	d.held = d.offset()
	start := d.held
	d.skip(0)
	d.held = -1
	if d.err != nil {
		return nil
	}
	raw := d.buf[start-d.base : d.pos]
	if known, ok := d.memory.byBytes[string(raw)]; ok {
		return known
	}
	set, ok := d.labels(raw)
	if !ok {
		return nil
	}
	return d.memory.add(string(raw), set)
}

// labels builds the label set that stands in raw.
func (d *decoder) labels(raw []byte) (labels.Labels, bool) {
	d.flat, d.ends = d.flat[:0], d.ends[:0]
	d.inner.reset(nil, raw)
	d.inner.object(func(key []byte) {
		d.flat = append(d.flat, key...)
		d.ends = append(d.ends, len(d.flat))
		d.flat = append(d.flat, d.inner.unquote(d.inner.string())...)
		d.ends = append(d.ends, len(d.flat))
	})
	if d.inner.err != nil || !utf8.Valid(d.flat) {
		d.fail("the metric %s", shorten(string(raw), textShown))
		return labels.EmptyLabels(), false
	}
	d.builder.Reset()
	text, start := string(d.flat), 0 // one string for all of them
	for i := 0; i < len(d.ends); i += 2 {
		d.builder.Add(text[start:d.ends[i]], text[d.ends[i]:d.ends[i+1]])
		start = d.ends[i+1]
	}
	d.builder.Sort()
	set := d.builder.Labels()
	if name, twice := set.HasDuplicateLabelNames(); twice {
		d.fail("the label %q twice in one metric", name)
		return labels.EmptyLabels(), false
	}
	return set.WithoutEmpty(), true // as in Prometheus, an empty label is the same as none
}
