package source

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/client_golang/api"
	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/prometheus/model/labels"
)

var everyKind = []resultKind{vectorResult, scalarResult, matrixResult}

// show writes an answer so that two of them can be compared and read; NaN equals NaN.
func show(a Answer) string {
	var b strings.Builder
	for _, s := range a.Series {
		b.WriteString(s.Labels.String())
		for _, p := range s.Points {
			fmt.Fprintf(&b, " %s@%d", strconv.FormatFloat(p.V, 'g', -1, 64), p.T)
		}
		b.WriteString("\n")
	}
	for _, w := range a.Warnings {
		fmt.Fprintf(&b, "warning %q\n", w)
	}
	return b.String()
}

func vector(result string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[` + result + `]}}`
}

func matrix(result string) string {
	return `{"status":"success","data":{"resultType":"matrix","result":[` + result + `]}}`
}

func TestDecodeReadsAnswers(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"a vector", vector(`{"metric":{"__name__":"up","job":"a"},"value":[1435781451.781,"1"]},{"metric":{"job":"b"},"value":[1435781451.781,"0.25"]}`),
			"{__name__=\"up\", job=\"a\"} 1@1435781451781\n{job=\"b\"} 0.25@1435781451781\n"},
		{"an empty vector", vector(``), ""},
		{"a result of null is an empty one", `{"status":"success","data":{"resultType":"vector","result":null}}`, ""},
		{"a scalar is one series without labels", `{"status":"success","data":{"resultType":"scalar","result":[3,"4.5"]}}`, "{} 4.5@3000\n"},
		{"a matrix", matrix(`{"metric":{"a":"b"},"values":[[1,"1"],[1.5,"2"],[2.007,"3"]]}`), "{a=\"b\"} 1@1000 2@1500 3@2007\n"},
		{"a scalar over a range", matrix(`{"metric":{},"values":[[1,"1"],[2,"1"]]}`), "{} 1@1000 1@2000\n"},
		{"keys in any order", `{"data":{"result":[{"value":[1,"2"],"metric":{"z":"1","a":"2"}}],"resultType":"vector"},"status":"success"}`, "{a=\"2\", z=\"1\"} 2@1000\n"},
		{"a scalar before its resultType", `{"data":{"result":[1,"2"],"resultType":"scalar"},"status":"success"}`, "{} 2@1000\n"},
		{"white space anywhere", " {\n\"status\" :\t\"success\", \"data\": { \"resultType\": \"vector\" ,\r\n\"result\": [ { \"metric\" : { \"a\" : \"b\" , \"c\":\"d\" } , \"value\" : [ 1 , \"2\" ] } ] } } \n", "{a=\"b\", c=\"d\"} 2@1000\n"},
		{"unknown keys are passed over", `{"status":"success","isPartial":false,"infos":["x"],"stats":{"a":[1,-2.5e3,true,false,null,{"b":{}},[]]},"data":{"resultType":"vector","other":[[]],"result":[{"group":1,"metric":{"a":"b"},"value":[1,"2"]}]}}`, "{a=\"b\"} 2@1000\n"},
		{"escapes and unicode in labels", vector(`{"metric":{"a":"q\"b\\s\/n\nt\tb\bf\fr\r","b":"\u00e9\u20AC\ud83d\ude00","c":"é€😀","d\u0064":"x"},"value":[1,"2"]}`),
			labels.FromStrings("a", "q\"b\\s/n\nt\tb\bf\fr\r", "b", "é€😀", "c", "é€😀", "dd", "x").String() + " 2@1000\n"},
		{"half a surrogate pair becomes the replacement character", vector(`{"metric":{"a":"\ud83dx","b":"\ude00","c":"\ud83d\u0041"},"value":[1,"2"]}`), "{a=\"\ufffdx\", b=\"\ufffd\", c=\"\ufffdA\"} 2@1000\n"},
		{"an escaped key", `{"st\u0061tus":"success","data":{"resultType":"vector","result":[]}}`, ""},
		{"values that are no numbers, and exponents", vector(`{"metric":{"a":"1"},"value":[1,"NaN"]},{"metric":{"a":"2"},"value":[1,"+Inf"]},{"metric":{"a":"3"},"value":[1,"-Inf"]},{"metric":{"a":"4"},"value":[1,"1e-05"]},{"metric":{"a":"5"},"value":[1,"-1.5E+300"]}`),
			"{a=\"1\"} NaN@1000\n{a=\"2\"} +Inf@1000\n{a=\"3\"} -Inf@1000\n{a=\"4\"} 1e-05@1000\n{a=\"5\"} -1.5e+300@1000\n"},
		{"times in every spelling", matrix(`{"metric":{},"values":[[-1.5,"1"],[0,"1"],[0.001,"1"],[0.0024,"1"],[1.435781451781e+09,"1"],[1435781451.7827,"1"]]}`),
			"{} 1@-1500 1@0 1@1 1@2 1@1435781451781 1@1435781451783\n"},
		{"an empty label is none", vector(`{"metric":{"a":"","b":"c"},"value":[1,"2"]}`), "{b=\"c\"} 2@1000\n"},
		{"warnings", `{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["a","b \"c\""],"infos":["no"]}`, "warning \"a\"\nwarning \"b \\\"c\\\"\"\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, reader := range readers(test.document) {
				got, _, err := decode(reader, newMemory(), everyKind, bounds{})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if show(got) != test.want {
					t.Errorf("%s: got\n%swant\n%s", name, show(got), test.want)
				}
			}
		})
	}
}

// readers hand the document out whole, and byte by byte, so that every place is once the end of the buffer.
func readers(document string) map[string]io.Reader {
	return map[string]io.Reader{
		"whole":         strings.NewReader(document),
		"byte by byte":  iotest.OneByteReader(strings.NewReader(document)),
		"end with data": iotest.DataErrReader(strings.NewReader(document)),
	}
}

func TestDecodeRefuses(t *testing.T) {
	one := `{"metric":{"a":"b"},"value":[1,"2"]}`
	tests := []struct {
		name, document string
		reason         Reason
		says           string
	}{
		{"nothing", ``, Malformed, "ends in the middle"},
		{"a page", `<html>sign in</html>`, Malformed, `'<' instead of '{'`},
		{"half a document", vector(one)[:60], Malformed, "ends in the middle"},
		{"a document without its last bracket", strings.TrimSuffix(vector(one), "}"), Malformed, "ends in the middle"},
		{"half a literal", `{"status":"success","isPartial":tr`, Malformed, "ends in the middle"},
		{"two documents", vector(one) + vector(one), Malformed, "after its end"},
		{"the same series twice", vector(one + "," + one), Malformed, `the series {a="b"} twice`},
		{"the same series twice in other bytes", vector(one + `,{"metric":{ "a":"\u0062"},"value":[1,"2"]}`), Malformed, `the series {a="b"} twice`},
		{"the same series twice but for an empty label", vector(one + `,{"metric":{"a":"b","c":""},"value":[1,"2"]}`), Malformed, `the series {a="b"} twice`},
		{"a label twice", vector(`{"metric":{"a":"b","a":"c"},"value":[1,"2"]}`), Malformed, `label "a" twice`},
		{"a label that is no string", vector(`{"metric":{"a":1},"value":[1,"2"]}`), Malformed, "the metric"},
		{"a label that is not UTF-8", vector("{\"metric\":{\"a\":\"\xff\"},\"value\":[1,\"2\"]}"), Malformed, "the metric"},
		{"a series without its metric", vector(`{"value":[1,"2"]}`), Malformed, "without its metric"},
		{"a series without a value", vector(`{"metric":{}}`), Malformed, "without a value"},
		{"a series without points", matrix(`{"metric":{},"values":[]}`), Malformed, "without a value"},
		{"a value that is no string", vector(`{"metric":{},"value":[1,2]}`), Malformed, `instead of '"'`},
		{"a value that is no number", vector(`{"metric":{},"value":[1,"x"]}`), Malformed, "no number"},
		{"a point of three", vector(`{"metric":{},"value":[1,"2",3]}`), Malformed, `',' instead of ']'`},
		{"a time that is no number", vector(`{"metric":{},"value":["1","2"]}`), Malformed, "instead of a digit"},
		{"a time beyond all years", vector(`{"metric":{},"value":[1e300,"2"]}`), Malformed, "the time"},
		{"points out of order", matrix(`{"metric":{},"values":[[2,"1"],[1,"1"]]}`), Malformed, "out of order"},
		{"more points than asked for", matrix(`{"metric":{},"values":[[1,"1"],[2,"1"],[3,"1"],[4,"1"]]}`), Malformed, "more than the 3 points"},
		{"more series than allowed", vector(one + `,{"metric":{"a":"c"},"value":[1,"2"]},{"metric":{"a":"d"},"value":[1,"2"]}`), Limit, "more than 2 series"},
		{"a key twice", `{"status":"success","status":"success","data":{"resultType":"vector","result":[]}}`, Malformed, `key "status" twice`},
		{"no status", `{"data":{"resultType":"vector","result":[]}}`, Malformed, `the status ""`},
		{"no data", `{"status":"success"}`, Malformed, "without a result"},
		{"no result", `{"status":"success","data":{"resultType":"vector"}}`, Malformed, "without a result"},
		{"no resultType", `{"status":"success","data":{"result":[]}}`, Malformed, "resultType"},
		{"a string", `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`, Malformed, `resultType "string"`},
		{"a scalar that is no number", `{"status":"success","data":{"resultType":"scalar","result":[1,"x"]}}`, Malformed, "no number"},
		{"a scalar called a vector", `{"status":"success","data":{"resultType":"vector","result":[1,"2"]}}`, Malformed, "another type"},
		{"a vector called a matrix", matrix(one), Malformed, "another type"},
		{"a matrix called a vector", vector(`{"metric":{},"values":[[1,"2"]]}`), Malformed, "another type"},
		{"a partial answer", `{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}`, Partial, "partial"},
		{"a native histogram", vector(`{"metric":{"a":"b"},"histogram":[1,{"count":"1","sum":"2","buckets":[[0,"1","2","1"]]}]}`), Query, "histogram_quantile"},
		{"native histograms over a range", matrix(`{"metric":{},"values":[[1,"1"]],"histograms":[[2,{}]]}`), Query, "histogram_quantile"},
		{"a control character", "{\"status\":\"succ\ness\"}", Malformed, "control character"},
		{"an unknown escape", `{"status":"\x"}`, Malformed, "escape"},
		{"a short escape", `{"status":"\u12"}`, Malformed, "escape"},
		{"a comma too many", `{"status":"success",}`, Malformed, `instead of '"'`},
		{"a number with a leading zero", `{"a":01}`, Malformed, "instead of ','"},
		{"nesting without end", `{"a":` + strings.Repeat("[", 100_000), Malformed, "deep"},
		{"a string without end", `{"a":"` + strings.Repeat("x", 2<<20), Malformed, "longer than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, reader := range readers(test.document) {
				got, _, err := decode(reader, newMemory(), everyKind, bounds{series: 2, points: 3})
				var failed *Error
				if !errors.As(err, &failed) {
					t.Fatalf("%s: answer %s, error %v, want an *Error", name, show(got), err)
				}
				if failed.Reason != test.reason || !strings.Contains(failed.Error(), test.says) {
					t.Errorf("%s: %s: %v; want %s: …%s…", name, failed.Reason, failed, test.reason, test.says)
				}
			}
		})
	}
}

func TestDecodeHandsOnWhatTheReaderSaid(t *testing.T) {
	broken := errors.New("the line broke")
	_, _, err := decode(io.MultiReader(strings.NewReader(vector(`{"metric"`)[:40]), iotest.ErrReader(broken)), newMemory(), everyKind, bounds{})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestDecodeReadsTheEnvelopeOfAnError(t *testing.T) {
	_, said, err := decode(strings.NewReader(`{"status":"error","errorType":"bad_data","error":"parse error: \"x\""}`), newMemory(), everyKind, bounds{})
	if want := (envelope{"error", "bad_data", `parse error: "x"`}); err != nil || said != want {
		t.Errorf("got %+v, %v, want %+v", said, err, want)
	}
}

// Series come and go, move and change their bytes; whatever the memory holds, the answer must be that of a fresh one.
func TestMemoryNeverChangesAnAnswer(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	remembering := newMemory()
	present := rng.Perm(40)[:30]
	for round := range 300 {
		if rng.IntN(3) == 0 {
			present = rng.Perm(40)[:rng.IntN(41)]
		}
		var series []string
		for _, n := range present {
			space := strings.Repeat(" ", rng.IntN(12)/11)
			series = append(series, fmt.Sprintf(`{"metric":{%s"n":"%d","name":"x"},"value":[%d,"%d"]}`, space, n, round, n*round))
		}
		document := vector(strings.Join(series, ","))
		got, _, err := decode(strings.NewReader(document), remembering, everyKind, bounds{})
		want, _, freshErr := decode(strings.NewReader(document), newMemory(), everyKind, bounds{})
		if err != nil || freshErr != nil || show(got) != show(want) {
			t.Fatalf("round %d: %v, %v, got\n%swant\n%s", round, err, freshErr, show(got), show(want))
		}
	}
}

func TestTheOrderIsGuessedAgainAfterASeriesThatIsGone(t *testing.T) {
	m := newMemory()
	list := func(names ...string) string {
		var series []string
		for _, name := range names {
			series = append(series, fmt.Sprintf(`{"metric":{"n":%q},"value":[1,"1"]}`, name))
		}
		return vector(strings.Join(series, ","))
	}
	if _, _, err := decode(strings.NewReader(list("a", "b", "c", "d")), m, everyKind, bounds{}); err != nil {
		t.Fatal(err)
	}
	// Only b can still be looked up: what else is looked up will be built anew and remembered again.
	m.byBytes = map[string]*remembered{`{"n":"b"}`: m.byBytes[`{"n":"b"}`]}
	if _, _, err := decode(strings.NewReader(list("b", "c", "d")), m, everyKind, bounds{}); err != nil {
		t.Fatal(err)
	}
	if len(m.byBytes) != 1 {
		t.Errorf("%d label sets were built anew", len(m.byBytes)-1)
	}
}

func TestMemoryForgetsSeriesThatAreGone(t *testing.T) {
	m := newMemory()
	for round := range 100 {
		document := vector(fmt.Sprintf(`{"metric":{"pod":"%d"},"value":[1,"1"]},{"metric":{"pod":"stays"},"value":[1,"1"]}`, round))
		if _, _, err := decode(strings.NewReader(document), m, everyKind, bounds{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.byBytes) > 1+keptAnswers || len(m.byLabels) != len(m.byBytes) {
		t.Errorf("%d series by bytes and %d by labels are remembered, want at most %d", len(m.byBytes), len(m.byLabels), 1+keptAnswers)
	}
}

func TestMemoriesForgetTheExpressionsAskedLongestAgo(t *testing.T) {
	kept := memories{maxSeries: 100}
	for n := range 1000 {
		m := kept.take(strconv.Itoa(n))
		m.add(strconv.Itoa(n), labels.FromStrings("n", strconv.Itoa(n)))
		kept.put(strconv.Itoa(n), m)
		kept.put("asked all the time", kept.take("asked all the time"))
	}
	if kept.series > 100 || len(kept.kept) > 100 {
		t.Errorf("%d series of %d expressions are kept, want at most 100", kept.series, len(kept.kept))
	}
	if kept.kept["asked all the time"] == nil || kept.kept["999"] == nil || kept.kept["0"] != nil {
		t.Error("the expression asked longest ago must go first")
	}
}

// bigAnswer has the shape of peers.md: 10,000 series, some 220 bytes each.
func bigAnswer(series int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"status":"success","data":{"resultType":"vector","result":[`)
	for i := range series {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"metric":{"__name__":"llm_requests","instance":"10.0.%d.%d:8000","job":"support-bot","language":"en","model":"support-3.1-small","outcome":"refused","service":"support-bot-%d","tier":"paid"},"value":[1764093600.%03d,"%g"]}`,
			i/256, i%256, i, 781, float64(i)*1.25)
	}
	b.WriteString(`]}}`)
	return b.Bytes()
}

func TestARepeatedAnswerAllocatesNextToNothing(t *testing.T) {
	const series = 2000
	document := bigAnswer(series)
	m := newMemory()
	body := bytes.NewReader(nil)
	allocations := testing.AllocsPerRun(20, func() {
		body.Reset(document)
		if answer, _, err := decode(body, m, everyKind, bounds{}); err != nil || len(answer.Series) != series {
			t.Fatalf("%d series, %v", len(answer.Series), err)
		}
	})
	if allocations > 50 {
		t.Errorf("%.0f allocations for %d known series, want at most 50 in all", allocations, series)
	}
}

func BenchmarkDecode(b *testing.B) {
	const series = 10_000
	document := bigAnswer(series)
	perSeries := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/series")
		b.SetBytes(int64(len(document)))
		b.ReportAllocs()
	}
	streaming := func(b *testing.B, memory func() *memory) {
		body := bytes.NewReader(nil)
		for b.Loop() {
			body.Reset(document)
			if answer, _, err := decode(body, memory(), everyKind, bounds{}); err != nil || len(answer.Series) != series {
				b.Fatal(len(answer.Series), err)
			}
		}
		perSeries(b)
	}
	b.Run("streaming", func(b *testing.B) {
		m := newMemory()
		streaming(b, func() *memory { return m })
	})
	b.Run("streaming_other_order", func(b *testing.B) {
		m := newMemory()
		streaming(b, func() *memory { m.order = nil; return m })
	})
	b.Run("streaming_all_new", func(b *testing.B) { streaming(b, newMemory) })
	b.Run("client_golang", func(b *testing.B) {
		client, err := api.NewClient(api.Config{Address: "http://prometheus", RoundTripper: canned(document)})
		if err != nil {
			b.Fatal(err)
		}
		prometheus := apiv1.NewAPI(client)
		for b.Loop() {
			value, _, _, err := prometheus.Query(context.Background(), "up", time.Unix(1764093600, 0))
			if err != nil || strings.Count(value.Type().String(), "vector") != 1 {
				b.Fatal(err)
			}
		}
		perSeries(b)
	})
}

// canned is a transport that answers everything with the same document.
type canned []byte

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(c))}, nil
}

// FuzzDecode holds the decoder against encoding/json: what it accepts is JSON and means what encoding/json says,
// and a valid answer of the API is accepted.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		vector(`{"metric":{"__name__":"up","job":"a"},"value":[1435781451.781,"1"]},{"metric":{"a":"\u00e9\ud83d\ude00\n"},"value":[1,"NaN"]}`),
		matrix(`{"metric":{},"values":[[1,"1"],[1.5,"-Inf"],[2.007,"1e-05"]]}`),
		`{"status":"success","data":{"resultType":"scalar","result":[3,"4.5"]},"warnings":["w"],"isPartial":false}`,
		`{"data":{"result":[ ],"resultType":"vector"},"x":[1,-2.5E3,true,null,{"b":{}}],"status":"success"}`,
		`{"status":"error","errorType":"bad_data","error":"x"}`,
		vector(`{"metric":{"a":"b"},"histogram":[1,{}]}`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		m := newMemory()
		got, said, err := decode(bytes.NewReader(document), m, everyKind, bounds{})
		again, _, errAgain := decode(iotest.OneByteReader(bytes.NewReader(document)), m, everyKind, bounds{})
		if (err == nil) != (errAgain == nil) || show(got) != show(again) {
			t.Fatalf("remembered and byte by byte: %v, %v\n%s\n%s", err, errAgain, show(got), show(again))
		}
		if err == nil && !json.Valid(document) {
			t.Fatal("accepted what is not JSON")
		}
		want, ok := referenceDecode(document)
		if ok && err != nil {
			t.Fatalf("refused a valid answer: %v", err)
		}
		if err == nil && said.status == "success" && ok && show(got) != want {
			t.Fatalf("got\n%swant\n%s", show(got), want)
		}
	})
}

// referenceDecode reads a vector or matrix with encoding/json. It knows only plain answers: not ok means no opinion.
func referenceDecode(document []byte) (shown string, ok bool) {
	if !json.Valid(document) || hasRepeatedKeys(document) {
		return "", false
	}
	var top map[string]json.RawMessage
	var data map[string]json.RawMessage
	var status, kind string
	var series []map[string]json.RawMessage
	if json.Unmarshal(document, &top) != nil || json.Unmarshal(top["status"], &status) != nil || status != "success" ||
		json.Unmarshal(top["data"], &data) != nil || json.Unmarshal(data["resultType"], &kind) != nil ||
		json.Unmarshal(data["result"], &series) != nil || bytes.Contains(document, []byte("[[[[")) {
		return "", false
	}
	for _, key := range []string{"isPartial", "warnings", "error", "errorType"} {
		if _, extra := top[key]; extra {
			return "", false
		}
	}
	var answer Answer
	seen := map[string]bool{}
	for _, one := range series {
		decoded, fine := referenceSeries(one, kind)
		if !fine || seen[decoded.Labels.String()] {
			return "", false
		}
		seen[decoded.Labels.String()] = true
		answer.Series = append(answer.Series, decoded)
	}
	return show(answer), kind == "vector" || kind == "matrix"
}

func referenceSeries(one map[string]json.RawMessage, kind string) (Series, bool) {
	var metric map[string]string
	var nulls map[string]*string
	if json.Unmarshal(one["metric"], &metric) != nil || metric == nil || json.Unmarshal(one["metric"], &nulls) != nil {
		return Series{}, false
	}
	for name, value := range nulls {
		if value == nil {
			return Series{}, false
		}
		if *value == "" {
			delete(metric, name)
		}
	}
	if one["histogram"] != nil || one["histograms"] != nil || (kind == "vector") != (one["value"] != nil) || (kind == "matrix") != (one["values"] != nil) {
		return Series{}, false
	}
	pairs := []json.RawMessage{one["value"]}
	if kind == "matrix" && (json.Unmarshal(one["values"], &pairs) != nil || len(pairs) == 0) {
		return Series{}, false
	}
	series := Series{Labels: labels.FromMap(metric)}
	for _, pair := range pairs {
		p, fine := referencePoint(pair)
		if n := len(series.Points); !fine || n > 0 && series.Points[n-1].T >= p.T {
			return Series{}, false
		}
		series.Points = append(series.Points, p)
	}
	return series, true
}

func referencePoint(pair json.RawMessage) (Point, bool) {
	var parts []json.RawMessage
	var number json.Number
	var text *string
	if json.Unmarshal(pair, &parts) != nil || len(parts) != 2 || parts[0][0] == '"' || json.Unmarshal(parts[0], &number) != nil ||
		json.Unmarshal(parts[1], &text) != nil || text == nil {
		return Point{}, false
	}
	t, timeErr := number.Float64()
	v, valueErr := strconv.ParseFloat(*text, 64)
	if timeErr != nil || valueErr != nil || math.Abs(t) > 1<<42 {
		return Point{}, false
	}
	return Point{T: int64(math.Round(t * 1000)), V: v}, true
}

// hasRepeatedKeys also has no opinion on replaced bytes: encoding/json reads what is not UTF-8, the decoder does not.
func hasRepeatedKeys(document []byte) bool {
	if bytes.Contains(document, []byte("\xef\xbf\xbd")) || !json.Valid(document) || strings.ToValidUTF8(string(document), "") != string(document) {
		return true
	}
	d := json.NewDecoder(bytes.NewReader(document))
	var open []map[string]bool // nil: an array
	key := false
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		top := len(open) - 1
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{':
				open, key = append(open, map[string]bool{}), true
				continue
			case '[':
				open, key = append(open, nil), false
				continue
			}
			open = open[:top]
			top--
		case string:
			if key && open[top] != nil {
				if open[top][token] {
					return true
				}
				open[top][token] = true
				key = false
				continue
			}
		}
		key = top >= 0 && open[top] != nil
	}
}
