package source

import (
	"io"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
)

// resultKind is data.resultType of an answer.
type resultKind string

const (
	vectorResult resultKind = "vector"
	scalarResult resultKind = "scalar"
	matrixResult resultKind = "matrix"
)

// bounds are what an answer must stay within. 0: no bound.
type bounds struct {
	series int
	points int // of one series
}

// decoder reads one answer of the HTTP API as it arrives: no reflection, no value built that nobody wants,
// no label set built that the expression's last answers had. A general decoder makes some 50 allocations a series,
// this one some ten an answer (BenchmarkDecode).
type decoder struct {
	scanner
	memory *memory
	bounds bounds

	status, errorType, errorText string
	partial                      bool
	kind                         resultKind
	found                        bool // there was a result, were it null
	single                       bool // the result is a pair, as of a scalar or a string
	histograms                   bool // a series has native histograms
	points                       int  // series with point and with points, to be checked against kind
	lists                        int
	pair                         Point   // of a scalar
	pairErr                      error   // the pair holds no number
	scratch                      []Point // the series being read
	arena                        []Point // room for the points of many series
	series                       []Series
	warnings                     []string
	inner                        scanner // over the bytes of one label set
	flat                         []byte  // that label set's names and values, one behind the other
	ends                         []int   // in flat, of each name and value
	builder                      labels.ScratchBuilder
}

const maxWarnings = 100

var decoders = sync.Pool{New: func() any { return &decoder{builder: labels.NewScratchBuilder(16)} }}

// envelope is what an answer says beside its data.
type envelope struct {
	status, errorType, errorText string
}

// decode reads the whole answer from body. The envelope is filled as far as the document was read, the Answer only
// without an error. An error is an *Error without its Expr, or what body.Read returned.
func decode(body io.Reader, m *memory, want []resultKind, b bounds) (Answer, envelope, error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	d.begin(body, m, b)
	d.document()
	d.finish()
	said := envelope{d.status, d.errorType, d.errorText}
	if d.err != nil {
		return Answer{}, said, d.err
	}
	if d.status == "error" {
		return Answer{}, said, nil
	}
	d.check(want)
	if d.err != nil {
		return Answer{}, said, d.err
	}
	m.finish()
	if d.single {
		return Answer{Series: []Series{{Points: []Point{d.pair}}}, Warnings: d.warnings}, said, nil
	}
	return Answer{Series: d.series, Warnings: d.warnings}, said, nil
}

func (d *decoder) begin(body io.Reader, m *memory, b bounds) {
	buf, kept := d.buf, *d
	if cap(buf) == 0 || cap(buf) > 4*bufferBytes {
		buf = make([]byte, bufferBytes)
	}
	*d = decoder{memory: m, bounds: b, scratch: kept.scratch, inner: kept.inner, flat: kept.flat, ends: kept.ends, builder: kept.builder}
	d.reset(body, buf[:cap(buf)])
	m.begin()
}

// release gives the buffers back. The answer's slices are the caller's from here on.
func (d *decoder) release() {
	d.memory, d.in, d.inner.buf = nil, nil, nil
	d.series, d.arena, d.warnings = nil, nil, nil
	decoders.Put(d)
}

// once fails where a key stands twice in one object: which of the two was meant is anybody's guess.
func (d *decoder) once(seen *uint, field uint, key []byte) {
	if *seen&(1<<field) != 0 {
		d.fail("the key %q twice", key)
	}
	*seen |= 1 << field
}

func (d *decoder) document() {
	var seen uint
	d.object(func(key []byte) {
		switch string(key) {
		case "status":
			d.once(&seen, 0, key)
			d.status = d.text()
		case "data":
			d.once(&seen, 1, key)
			d.data()
		case "errorType":
			d.once(&seen, 2, key)
			d.errorType = d.text()
		case "error":
			d.once(&seen, 3, key)
			d.errorText = d.text()
		case "warnings":
			d.once(&seen, 4, key)
			d.readWarnings()
		case "isPartial":
			d.once(&seen, 5, key)
			d.partial = d.boolean()
		default:
			d.skip(0)
		}
	})
}

func (d *decoder) text() string {
	if d.null() {
		return ""
	}
	raw, escaped := d.string()
	return string(d.unquote(raw, escaped))
}

func (d *decoder) boolean() bool {
	switch d.space() {
	case 't':
		d.literal("true")
		return d.err == nil
	case 'n':
		d.literal("null")
	default:
		d.literal("false")
	}
	return false
}

func (d *decoder) readWarnings() {
	if d.null() {
		return
	}
	d.array(func() {
		text := d.text()
		if len(d.warnings) < maxWarnings && d.err == nil {
			d.warnings = append(d.warnings, text)
		}
	})
}

func (d *decoder) data() {
	if d.null() {
		return
	}
	var seen uint
	d.object(func(key []byte) {
		switch string(key) {
		case "resultType":
			d.once(&seen, 0, key)
			d.kind = resultKind(d.text())
		case "result":
			d.once(&seen, 1, key)
			d.found = true
			d.result()
		default:
			d.skip(0)
		}
	})
}

// result reads a list of series or, for a scalar or a string, one pair: which of them can be seen
// by its first element, whether or not resultType came before.
func (d *decoder) result() {
	if d.null() || !d.expect('[') {
		return
	}
	switch d.space() {
	case ']':
		d.pos++
	case '{':
		expected := len(d.memory.order)
		d.series = make([]Series, 0, expected)
		d.arena = make([]Point, 0, max(expected, 1))
		for d.err == nil {
			d.oneSeries()
			if d.after(']') {
				return
			}
		}
	default:
		d.single = true
		d.pair, d.pairErr = d.rest()
	}
}

func (d *decoder) oneSeries() {
	var seen uint
	var known *remembered
	d.scratch = d.scratch[:0]
	d.object(func(key []byte) {
		switch string(key) {
		case "metric":
			d.once(&seen, 0, key)
			known = d.metric()
		case "value":
			d.once(&seen, 1, key)
			d.points++
			d.scratch = append(d.scratch, d.point())
		case "values":
			d.once(&seen, 2, key)
			d.lists++
			d.array(d.nextPoint)
		case "histogram", "histograms":
			d.histograms = true
			d.skip(0)
		default:
			d.skip(0)
		}
	})
	if d.err != nil {
		return
	}
	if known == nil {
		d.fail("a series without its metric")
		return
	}
	d.keep(known)
}

// keep takes the series just read into the answer.
func (d *decoder) keep(known *remembered) {
	switch {
	case d.bounds.series > 0 && len(d.series) == d.bounds.series:
		d.err = TooManySeries("", d.bounds.series)
	case !d.memory.see(known):
		d.fail("the series %s twice", shorten(known.labels.String(), textShown))
	case d.histograms:
		d.err = NativeHistograms("")
	case len(d.scratch) == 0:
		d.fail("the series %s without a value", shorten(known.labels.String(), textShown))
	default:
		d.series = append(d.series, Series{Labels: known.labels, Points: d.place()})
	}
}

// check holds the document as a whole against what was asked for.
func (d *decoder) check(want []resultKind) {
	if d.status != "success" {
		d.fail("the status %q", shorten(d.status, textShown))
		return
	}
	if !d.found {
		d.fail("success without a result")
		return
	}
	if d.partial {
		d.err = &Error{Reason: Partial, Detail: "partial answer: the source says that some of its data is missing"}
		return
	}
	for _, kind := range want {
		if d.kind != kind {
			continue
		}
		if d.single != (kind == scalarResult) || d.lists > 0 && kind != matrixResult || d.points > 0 && kind != vectorResult {
			d.fail("the resultType %q over a result of another type", kind)
		} else if d.single && d.pairErr != nil {
			d.fail("%v", d.pairErr)
		}
		return
	}
	d.fail("the resultType %q instead of %q", shorten(string(d.kind), textShown), want)
}
