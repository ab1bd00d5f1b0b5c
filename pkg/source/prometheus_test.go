package source

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/config"
)

var at = time.Date(2026, 11, 25, 14, 0, 0, 781e6, time.UTC)

const oneSeries = `{"metric":{"service":"support-bot"},"value":[1795615200.781,"0.19"]}`

// prometheusAt asks a server that answers as the handler says.
func prometheusAt(t *testing.T, handler http.HandlerFunc, change ...func(*PrometheusConfig)) *Prometheus {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	cfg := PrometheusConfig{URL: server.URL, Timeout: 2 * time.Second, MaxSeries: 10}
	for _, c := range change {
		c(&cfg)
	}
	p, err := NewPrometheus(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func mustFail(t *testing.T, err error, reason Reason, says string) {
	t.Helper()
	var failed *Error
	if !errors.As(err, &failed) || failed.Reason != reason || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v, want the reason %s and …%s…", err, reason, says)
	}
}

func TestAQuestionCarriesAllThatTheEnginesNeed(t *testing.T) {
	var got *http.Request
	p := prometheusAt(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		got = r
		answer(http.StatusOK, vector(oneSeries))(w, r)
	}, func(c *PrometheusConfig) { c.URL += "/prometheus/?tenant=7" })
	reply, err := p.Instant(context.Background(), `sum by (service) (rate(x{a="b"}[5m]))`, at)
	if err != nil {
		t.Fatal(err)
	}
	if want := "{service=\"support-bot\"} 0.19@1795615200781\n"; show(reply) != want {
		t.Errorf("got %s, want %s", show(reply), want)
	}
	if got.Method != http.MethodPost || got.URL.Path != "/prometheus/api/v1/query" || got.URL.Query().Get("tenant") != "7" {
		t.Errorf("asked %s %s", got.Method, got.URL)
	}
	for key, want := range map[string]string{
		"query": `sum by (service) (rate(x{a="b"}[5m]))`, "time": "1795615200.781",
		"partial_response": "false", "deny_partial_response": "1", "nocache": "1",
	} {
		if got.PostForm.Get(key) != want {
			t.Errorf("%s is %q, want %q", key, got.PostForm.Get(key), want)
		}
	}
	if timeout, err := strconv.ParseFloat(got.PostForm.Get("timeout"), 64); err != nil || timeout < 1 || timeout > 2 {
		t.Errorf("timeout is %q, want what is left of 2 seconds", got.PostForm.Get("timeout"))
	}
}

func TestABadAnswerIsAnErrorWithItsReason(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // a server notices that the client has gone only once the request is read
		<-r.Context().Done()
	}
	half := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "500")
		_, _ = io.WriteString(w, vector(oneSeries)[:70])
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		reason  Reason
		says    string
	}{
		{"503", answer(503, "down"), HTTPStatus, "503 Service Unavailable from prometheus"},
		{"500 of the API", answer(500, `{"status":"error","errorType":"internal","error":"disk"}`), HTTPStatus, "500 Internal Server Error from prometheus: disk"},
		{"401", answer(401, "Unauthorized"), HTTPStatus, "401 Unauthorized"},
		{"404", answer(404, "no such page"), HTTPStatus, "404 Not Found"},
		{"a bad expression", answer(400, `{"status":"error","errorType":"bad_data","error":"parse error: unexpected \")\""}`), Query, `parse error: unexpected ")"`},
		{"a failing expression", answer(422, `{"status":"error","errorType":"execution","error":"found duplicate series"}`), Query, "found duplicate series"},
		{"a refusal by VictoriaMetrics", answer(422, `{"status":"error","errorType":"422","error":"too many points"}`), Query, "too many points"},
		{"a 400 that is not the API's", answer(400, `Bad Request`), HTTPStatus, "400 Bad Request"},
		{"the engine's own timeout", answer(503, `{"status":"error","errorType":"timeout","error":"query timed out"}`), Timeout, "query timed out"},
		{"an error under 200", answer(200, `{"status":"error","errorType":"execution","error":"no"}`), Query, "no"},
		{"a hanging source", hang, Timeout, "within"},
		{"half an answer", half, Malformed, "malformed"},
		{"half a document that claims to be whole", answer(200, vector(oneSeries)[:70]), Malformed, "ends in the middle"},
		{"a sign-in page", answer(200, "<!doctype html>"), Malformed, "malformed"},
		{"a matrix for an instant", answer(200, matrix(`{"metric":{},"values":[[1,"1"]]}`)), Malformed, `resultType "matrix"`},
		{"a string", answer(200, `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`), Malformed, `resultType "string"`},
		{"a partial answer", answer(200, strings.Replace(vector(oneSeries), "{", `{"isPartial":true,`, 1)), Partial, "partial"},
		{"more series than the limit", answer(200, string(bigAnswer(11))), Limit, "more than 10 series"},
		{"something packed that is not", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			answer(200, vector(oneSeries))(w, r)
		}, Malformed, "gzip"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := prometheusAt(t, test.handler, func(c *PrometheusConfig) { c.Timeout = 300 * time.Millisecond })
			_, err := p.Instant(context.Background(), "some_expression", at)
			mustFail(t, err, test.reason, test.says)
			mustFail(t, err, test.reason, `query "some_expression": `)
		})
	}
}

func TestAFailedAnswerLeavesNothingBehind(t *testing.T) {
	documents := []string{vector(oneSeries), vector(oneSeries)[:70], vector(oneSeries + "," + strings.Replace(oneSeries, "support", "sales", 1))}
	p := prometheusAt(t, func(w http.ResponseWriter, r *http.Request) {
		answer(200, documents[0])(w, r)
		documents = documents[1:]
	})
	for i, want := range []string{"{service=\"support-bot\"} 0.19@1795615200781\n", "", "{service=\"support-bot\"} 0.19@1795615200781\n{service=\"sales-bot\"} 0.19@1795615200781\n"} {
		got, err := p.Instant(context.Background(), "x", at)
		if show(got) != want || (err != nil) != (want == "") {
			t.Errorf("answer %d: %v, got\n%swant\n%s", i, err, show(got), want)
		}
		if remembers := len(p.memories.kept) == 1; remembers != (want != "") {
			t.Errorf("answer %d: label sets are remembered: %t", i, remembers)
		}
	}
}

func TestAPackedAnswerIsUnpacked(t *testing.T) {
	p := prometheusAt(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding is %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		packer := gzip.NewWriter(w)
		_, _ = packer.Write(bigAnswer(10))
		_ = packer.Close()
	})
	p.compress = true // which it is not asked for on loopback
	for range 3 {
		if got, err := p.Instant(context.Background(), "x", at); err != nil || len(got.Series) != 10 {
			t.Fatalf("%d series, %v", len(got.Series), err)
		}
	}
}

func TestCredentialsAreSentAndNeverShown(t *testing.T) {
	const secret = "hunter2-secret"
	handler := func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "alice" || password != secret {
			answer(401, "who?")(w, r)
			return
		}
		answer(200, vector(oneSeries))(w, r)
	}
	settings := func(c *PrometheusConfig) {
		c.HTTPClient.BasicAuth = &config.BasicAuth{Username: "alice", Password: secret}
	}
	inURL := func(c *PrometheusConfig) {
		c.URL = strings.Replace(c.URL, "//", "//alice:"+secret+"@", 1) + "?token=" + secret
	}
	for name, change := range map[string]func(*PrometheusConfig){"in the settings": settings, "in the URL": inURL} {
		t.Run(name, func(t *testing.T) {
			if _, err := prometheusAt(t, handler, change).Instant(context.Background(), "x", at); err != nil {
				t.Error(err)
			}
			for _, fault := range []http.RoundTripper{nil, broken{}} {
				p := prometheusAt(t, answer(503, ""), change, func(c *PrometheusConfig) { c.Transport = fault })
				if _, err := p.Instant(context.Background(), "x", at); err == nil || strings.Contains(err.Error(), secret) {
					t.Errorf("got %v, want an error without the secret", err)
				}
			}
		})
	}
	for _, bad := range []string{"http://alice:" + secret + "/x@host", "ftp://alice:" + secret + "@host", "http://[" + secret, "alice:" + secret, ""} {
		if _, err := NewPrometheus(PrometheusConfig{URL: bad}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: got %v, want an error without the secret", bad, err)
		}
	}
}

// broken is a line that nothing goes through.
type broken struct{}

func (broken) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: errors.New("connection refused\nResponse: " + r.URL.String())}
}

func TestARedirectIsFollowedOnlyToTheSameHostWithTheSameMethod(t *testing.T) {
	reached := 0
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached++
		answer(200, vector(oneSeries))(w, r)
	}))
	defer other.Close()
	tests := []struct {
		name   string
		follow bool
		status int
		to     string
		fails  bool
	}{
		{"followed when the settings say so", true, 307, "/moved", false},
		{"not followed when they do not", false, 307, "/moved", true},
		{"not followed where POST becomes GET", true, 302, "/moved", true},
		{"not followed to another host", true, 307, other.URL, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := prometheusAt(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/moved" {
					if r.FormValue("query") != "x" {
						t.Error("the expression was lost on the way")
					}
					answer(200, vector(oneSeries))(w, r)
					return
				}
				http.Redirect(w, r, test.to, test.status)
			}, func(c *PrometheusConfig) { c.HTTPClient.FollowRedirects = test.follow })
			_, err := p.Instant(context.Background(), "x", at)
			if test.fails {
				mustFail(t, err, HTTPStatus, "redirect")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	if reached > 0 {
		t.Error("the other host was asked")
	}
}

// script is a transport that answers one attempt after the other as told, and records when they came.
type script struct {
	mu      sync.Mutex
	replies []func(*http.Request) (*http.Response, error)
	began   time.Time
	at      []time.Duration
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	reply := s.replies[min(len(s.at), len(s.replies)-1)]
	s.at = append(s.at, time.Since(s.began))
	s.mu.Unlock()
	return reply(r)
}

func says(status int, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func breaks(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }

func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func breaksAfter(d time.Duration) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		time.Sleep(d)
		return breaks(r)
	}
}

type slowBody struct{ ctx context.Context }

func (b slowBody) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

func stallsInTheBody(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(io.MultiReader(strings.NewReader(vector(oneSeries)[:50]), slowBody{r.Context()}))}, nil
}

func TestAQueryIsSentAtMostTwiceAndWithinItsTimeout(t *testing.T) {
	good := says(200, vector(oneSeries))
	type replies = []func(*http.Request) (*http.Response, error)
	tests := []struct {
		name     string
		replies  replies
		attempts int
		took     [2]time.Duration // at least, at most
		reason   Reason           // empty: an answer
	}{
		{"a good answer is asked for once", replies{good}, 1, [2]time.Duration{0, 0}, ""},
		{"a 503 is asked again soon", replies{says(503, ""), good}, 2, [2]time.Duration{50 * time.Millisecond, 100 * time.Millisecond}, ""},
		{"a broken connection is asked again soon", replies{breaks, good}, 2, [2]time.Duration{50 * time.Millisecond, 100 * time.Millisecond}, ""},
		{"429, 502 and 504 as well", replies{says(429, ""), says(504, "")}, 2, [2]time.Duration{50 * time.Millisecond, 100 * time.Millisecond}, HTTPStatus},
		{"a source that stays down is not asked a third time", replies{says(502, "")}, 2, [2]time.Duration{50 * time.Millisecond, 100 * time.Millisecond}, HTTPStatus},
		{"a connection that stays broken is not tried a third time", replies{breaks}, 2, [2]time.Duration{50 * time.Millisecond, 100 * time.Millisecond}, Unreachable},
		{"a 500 is not asked again", replies{says(500, ""), good}, 1, [2]time.Duration{0, 0}, HTTPStatus},
		{"a refused expression is not asked again", replies{says(422, `{"status":"error","errorType":"execution","error":"x"}`), good}, 1, [2]time.Duration{0, 0}, Query},
		{"Retry-After within the timeout is obeyed", replies{says(503, "", "Retry-After", "2"), good}, 2, [2]time.Duration{2 * time.Second, 2 * time.Second}, ""},
		{"Retry-After beyond the timeout is an error at once", replies{says(503, "", "Retry-After", "3600"), good}, 1, [2]time.Duration{0, 0}, HTTPStatus},
		{"Retry-After beyond all numbers too", replies{says(429, "", "Retry-After", "99999999999999999999"), good}, 1, [2]time.Duration{0, 0}, HTTPStatus},
		{"a hanging source is given the whole timeout, once", replies{hangs}, 1, [2]time.Duration{5 * time.Second, 5 * time.Second}, Timeout},
		{"so is one that stalls in its answer", replies{stallsInTheBody}, 1, [2]time.Duration{5 * time.Second, 5 * time.Second}, Timeout},
		{"a hang after a 503 ends with the same timeout", replies{says(503, ""), hangs}, 2, [2]time.Duration{5 * time.Second, 5 * time.Second}, Timeout},
		{"no second try where no time is left for it", replies{breaksAfter(4900 * time.Millisecond), good}, 1, [2]time.Duration{4900 * time.Millisecond, 4900 * time.Millisecond}, Unreachable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line := &script{replies: test.replies, began: time.Now()}
				p, err := NewPrometheus(PrometheusConfig{URL: "http://prometheus:9090", Timeout: 5 * time.Second, Transport: line})
				if err != nil {
					t.Fatal(err)
				}
				_, err = p.Instant(context.Background(), "x", at)
				took := time.Since(line.began)
				if test.reason != "" {
					mustFail(t, err, test.reason, "")
				} else if err != nil {
					t.Error(err)
				}
				if len(line.at) != test.attempts || took < test.took[0] || took > test.took[1] {
					t.Errorf("%d attempts in %s, want %d in %s", len(line.at), took, test.attempts, test.took)
				}
			})
		})
	}
}

func TestTheCallersEndIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPrometheus(PrometheusConfig{URL: "http://prometheus:9090", Transport: &script{replies: []func(*http.Request) (*http.Response, error){hangs}, began: time.Now()}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = p.Instant(ctx, "x", at)
		mustFail(t, err, Timeout, "within 1s")

		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		_, err = p.Instant(ctx, "x", at)
		mustFail(t, err, Canceled, "canceled")
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v is not context.Canceled", err)
		}
	})
}

// history answers a range with one point a step, and one more series from its second half on.
func history(t *testing.T, asked *[]url.Values, failing int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		*asked = append(*asked, r.PostForm)
		if len(*asked) == failing {
			answer(422, `{"status":"error","errorType":"execution","error":"too much"}`)(w, r)
			return
		}
		start, _ := strconv.ParseFloat(r.PostForm.Get("start"), 64)
		end, _ := strconv.ParseFloat(r.PostForm.Get("end"), 64)
		step, err := time.ParseDuration(r.PostForm.Get("step"))
		if err != nil {
			step, err = time.ParseDuration(r.PostForm.Get("step") + "s")
		}
		if err != nil || (end-start)/step.Seconds() > 11_000 {
			t.Errorf("from %f to %f in steps of %q: more than Prometheus allows", start, end, r.PostForm.Get("step"))
		}
		var points []string
		for ms := int64(start*1000 + 0.5); ms <= int64(end*1000+0.5); ms += step.Milliseconds() {
			points = append(points, fmt.Sprintf(`[%d.%03d,"1"]`, ms/1000, ms%1000))
		}
		series := fmt.Sprintf(`{"metric":{"a":"first"},"values":[%s]}`, strings.Join(points, ","))
		if len(*asked) > 1 {
			series += "," + strings.Replace(series, "first", "second", 1)
		}
		answer(200, strings.TrimSuffix(matrix(series), "}")+`,"warnings":["w"]}`)(w, r)
	}
}

func TestALongRangeIsAskedInPiecesAndJoined(t *testing.T) {
	tests := []struct {
		name   string
		steps  int // between from and to
		step   time.Duration
		pieces int
		param  string
	}{
		{"one point", 0, 15 * time.Second, 1, "15"},
		{"as many points as one answer has", 10_999, 15 * time.Second, 1, "15"},
		{"one point more", 11_000, 94 * time.Millisecond, 2, "94ms"},
		{"a month", 30 * 24 * 60, time.Minute, 4, "60"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var asked []url.Values
			p := prometheusAt(t, history(t, &asked, 0))
			to := at.Add(time.Duration(test.steps) * test.step)
			got, err := p.Range(context.Background(), "x", at, to.Add(test.step/2), test.step)
			if err != nil {
				t.Fatal(err)
			}
			if len(asked) != test.pieces || asked[0].Get("step") != test.param {
				t.Errorf("asked %d times, step %q, want %d and %q", len(asked), asked[0].Get("step"), test.pieces, test.param)
			}
			points := got.Series[0].Points
			if len(points) != test.steps+1 || len(got.Series) != min(test.pieces, 2) || len(got.Warnings) != 1 {
				t.Fatalf("%d points, %d series, warnings %q", len(points), len(got.Series), got.Warnings)
			}
			for i, p := range points {
				if want := at.Add(time.Duration(i) * test.step).UnixMilli(); p.T != want {
					t.Fatalf("point %d is at %d, want %d", i, p.T, want)
				}
			}
		})
	}
}

func TestALongRangeFailsWhenOneOfItsPiecesDoes(t *testing.T) {
	var asked []url.Values
	p := prometheusAt(t, history(t, &asked, 2))
	got, err := p.Range(context.Background(), "x", at, at.Add(30_000*time.Second), time.Second)
	mustFail(t, err, Query, "too much")
	if len(got.Series) > 0 || len(asked) != 2 {
		t.Errorf("%d series after %d pieces, want none after 2", len(got.Series), len(asked))
	}
	asked = nil
	few := prometheusAt(t, history(t, &asked, 0), func(c *PrometheusConfig) { c.MaxSeries = 1 })
	_, err = few.Range(context.Background(), "x", at, at.Add(30_000*time.Second), time.Second)
	mustFail(t, err, Limit, "more than 1 series")
}

func TestARangeThatCannotBeAnsweredExactlyIsRefused(t *testing.T) {
	p := prometheusAt(t, answer(200, matrix("")))
	for _, step := range []time.Duration{0, -time.Second, 1500 * time.Microsecond} {
		_, err := p.Range(context.Background(), "x", at, at, step)
		mustFail(t, err, Query, "whole number of milliseconds")
	}
	_, err := p.Range(context.Background(), "x", at, at.Add(-time.Second), time.Second)
	mustFail(t, err, Query, "before its start")
}

func TestReadyTellsWhyNot(t *testing.T) {
	if err := prometheusAt(t, answer(200, vector(`{"metric":{},"value":[1,"1"]}`))).Ready(context.Background()); err != nil {
		t.Error(err)
	}
	mustFail(t, prometheusAt(t, answer(404, "")).Ready(context.Background()), HTTPStatus, "404")
}

func TestManyQueriesAtOnceKeepApart(t *testing.T) {
	p := prometheusAt(t, func(w http.ResponseWriter, r *http.Request) {
		answer(200, vector(fmt.Sprintf(`{"metric":{"asked":%q},"value":[1,"1"]}`, r.FormValue("query"))))(w, r)
	})
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() {
			expr := "x" + strconv.Itoa(n%5)
			got, err := p.Instant(context.Background(), expr, at)
			if want := fmt.Sprintf("{asked=%q} 1@1000\n", expr); err != nil || show(got) != want {
				t.Errorf("got %s, %v, want %s", show(got), err, want)
			}
		})
	}
	all.Wait()
}

func TestALongExpressionIsShortenedInMessages(t *testing.T) {
	message := (&Error{Reason: Timeout, Expr: strings.Repeat("sum(é)\n", 100), Detail: "x"}).Error()
	if len(message) > 250 || strings.ContainsAny(message, "\n") || strings.Contains(message, "\ufffd") {
		t.Errorf("message is %q", message)
	}
}
