package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/irdaemon/irdaemon/pkg/source"
)

func mustFail(t *testing.T, err error, reason source.Reason) {
	t.Helper()
	var failed *source.Error
	if !errors.As(err, &failed) || failed.Reason != reason || failed.Expr == "" {
		t.Errorf("got %v, want an error with the reason %s and its expression", err, reason)
	}
}

// served puts Prometheus' HTTP API, as far as queries go, before the engine of e.
func served(t *testing.T, e *Embedded) *source.Prometheus {
	t.Helper()
	parse := func(r *http.Request, name string) time.Time {
		s, err := strconv.ParseFloat(r.FormValue(name), 64)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return time.UnixMilli(int64(s*1000 + 0.5))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var query promql.Query
		var err error
		if strings.HasSuffix(r.URL.Path, "/query_range") {
			step, _ := strconv.Atoi(r.FormValue("step"))
			query, err = e.engine.NewRangeQuery(r.Context(), e.db, nil, r.FormValue("query"), parse(r, "start"), parse(r, "end"), time.Duration(step)*time.Second)
		} else {
			query, err = e.engine.NewInstantQuery(r.Context(), e.db, nil, r.FormValue("query"), parse(r, "time"))
		}
		if err != nil {
			respond(w, http.StatusBadRequest, map[string]any{"status": "error", "errorType": "bad_data", "error": err.Error()})
			return
		}
		defer query.Close()
		result := query.Exec(r.Context())
		if result.Err != nil {
			respond(w, http.StatusUnprocessableEntity, map[string]any{"status": "error", "errorType": "execution", "error": result.Err.Error()})
			return
		}
		warnings, infos := result.Warnings.AsStrings(r.FormValue("query"), 10, 10)
		respond(w, http.StatusOK, map[string]any{"status": "success", "warnings": warnings, "infos": infos, "data": map[string]any{
			"resultType": result.Value.Type(), "result": encode(result.Value),
		}})
	}))
	t.Cleanup(server.Close)
	p, err := source.NewPrometheus(source.PrometheusConfig{URL: server.URL, MaxSeries: e.cfg.MaxSeries})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func respond(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func pair(t int64, v string) [2]any {
	return [2]any{json.Number(strconv.FormatFloat(float64(t)/1000, 'f', -1, 64)), v}
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func encode(value parser.Value) any {
	switch value := value.(type) {
	case promql.Scalar:
		return pair(value.T, number(value.V))
	case promql.String:
		return pair(value.T, value.V)
	case promql.Vector:
		result := []any{}
		for _, s := range value {
			one := map[string]any{"metric": s.Metric}
			if s.H != nil {
				one["histogram"] = []any{s.T, s.H.String()}
			} else {
				one["value"] = pair(s.T, number(s.F))
			}
			result = append(result, one)
		}
		return result
	case promql.Matrix:
		result := []any{}
		for _, s := range value {
			one := map[string]any{"metric": s.Metric}
			var values, histograms []any
			for _, p := range s.Floats {
				values = append(values, pair(p.T, number(p.F)))
			}
			for _, p := range s.Histograms {
				histograms = append(histograms, []any{p.T, p.H.String()})
			}
			if values != nil {
				one["values"] = values
			}
			if histograms != nil {
				one["histograms"] = histograms
			}
			result = append(result, one)
		}
		return result
	}
	return nil
}

// show writes an answer so that two of them can be compared; the order of series is nobody's promise.
func show(a source.Answer) string {
	var b strings.Builder
	slices.SortFunc(a.Series, func(x, y source.Series) int { return labels.Compare(x.Labels, y.Labels) })
	for _, s := range a.Series {
		fmt.Fprintf(&b, "%s", s.Labels)
		for _, p := range s.Points {
			fmt.Fprintf(&b, " %s@%d", number(p.V), p.T-noon.UnixMilli())
		}
		b.WriteString("\n")
	}
	for _, w := range a.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

// What a source promises holds for both: each case is asked of the engine in this process, and of the same engine
// behind HTTP.
func TestBothSourcesKeepTheirPromises(t *testing.T) {
	e := open(t, Config{MaxSeries: 3})
	history := []source.Series{
		line(noon.Add(time.Second), time.Minute, ramp(60), "__name__", "requests_total", "tier", "paid", "text", "é \"q\"\n😀"),
		line(noon.Add(time.Second), time.Minute, ramp(30), "__name__", "requests_total", "tier", "free"),
	}
	for i := range 4 {
		history = append(history, line(noon.Add(time.Second), time.Minute, ramp(3), "__name__", "many", "n", strconv.Itoa(i)))
	}
	if err := e.Backfill(context.Background(), history); err != nil {
		t.Fatal(err)
	}
	withHistogram(t, e)
	sources := map[string]source.Source{"embedded": e, "prometheus": served(t, e)}

	instants := []struct {
		name, expr, want string
		reason           source.Reason
	}{
		{"a vector", `requests_total`, "{__name__=\"requests_total\", text=\"é \\\"q\\\"\\n😀\", tier=\"paid\"} 59@0\n{__name__=\"requests_total\", tier=\"free\"} 29@0\n", ""},
		{"a rate", `sum by (tier) (increase(requests_total[10m])) > 0`, "{tier=\"free\"} 10@0\n{tier=\"paid\"} 10@0\n", ""},
		{"nothing", `no_such_series`, "", ""},
		{"a scalar", `1.5e-7`, "{} 0.00000015@0\n", ""},
		{"not a number", `0 * max(requests_total) / 0`, "{} NaN@0\n", ""},
		{"infinite", `-max(requests_total) / 0`, "{} -Inf@0\n", ""},
		{"a warning", `quantile(2, requests_total)`, "{} +Inf@0\nwarning: PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)\n", ""},
		{"an info is not kept", `count(rate(many[10m]))`, "{} 4@0\n", ""},
		{"a native histogram", `native`, "", source.Query},
		{"a native histogram unwrapped", `histogram_count(native)`, "{} 3@0\n", ""},
		{"a range vector", `requests_total[5m]`, "", source.Malformed},
		{"a string", `"x"`, "", source.Malformed},
		{"a typo", `sum(requests_total`, "", source.Query},
		{"an expression that fails", `requests_total * on () requests_total`, "", source.Query},
		{"more series than allowed", `many`, "", source.Limit},
	}
	ranges := []struct {
		name, expr, want string
		reason           source.Reason
	}{
		{"a matrix", `requests_total{tier="free"}`, "{__name__=\"requests_total\", tier=\"free\"} 26@-180000 27@-120000 28@-60000 29@0\n", ""},
		{"points where there is a value alone", `requests_total{tier="free"} >= 28`, "{__name__=\"requests_total\", tier=\"free\"} 28@-60000 29@0\n", ""},
		{"a series that begins in the middle", `many{n="1"}`, "{__name__=\"many\", n=\"1\"} 0@-120000 1@-60000 2@0\n", ""},
		{"a scalar", `7`, "{} 7@-180000 7@-120000 7@-60000 7@0\n", ""},
		{"nothing", `no_such_series`, "", ""},
		{"native histograms", `native`, "", source.Query},
		{"a range vector", `requests_total[5m]`, "", source.Query},
		{"more series than allowed", `many`, "", source.Limit},
	}
	for kind, s := range sources {
		check := func(t *testing.T, got source.Answer, err error, want string, reason source.Reason) {
			t.Helper()
			if reason != "" {
				mustFail(t, err, reason)
			} else if err != nil {
				t.Error(err)
			}
			if show(got) != want {
				t.Errorf("got\n%swant\n%s", show(got), want)
			}
		}
		for _, test := range instants {
			t.Run(kind+" at an instant: "+test.name, func(t *testing.T) {
				got, err := s.Instant(context.Background(), test.expr, noon)
				check(t, got, err, test.want, test.reason)
			})
		}
		for _, test := range ranges {
			t.Run(kind+" over a range: "+test.name, func(t *testing.T) {
				got, err := s.Range(context.Background(), test.expr, noon.Add(-3*time.Minute), noon, time.Minute)
				check(t, got, err, test.want, test.reason)
			})
		}
		t.Run(kind+" refuses a range of no steps", func(t *testing.T) {
			_, err := s.Range(context.Background(), `1`, noon, noon, 0)
			mustFail(t, err, source.Query)
		})
		t.Run(kind+" stops when the caller does", func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, err := s.Instant(ctx, `requests_total`, noon)
			mustFail(t, err, source.Canceled)
		})
	}
}
