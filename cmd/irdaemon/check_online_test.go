package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rangeServer answers range queries as Prometheus does: of a hundred requests a range four fail, and all are slow.
func rangeServer(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		number := func(key string) float64 {
			v, err := strconv.ParseFloat(r.FormValue(key), 64)
			if err != nil {
				t.Errorf("%s %q: %v", key, r.FormValue(key), err)
			}
			return v
		}
		var points []string
		start, end, step := number("start"), number("end"), number("step")
		if n := (end - start) / step; n >= 10_000 {
			t.Errorf("asked for %v points", n)
		}
		for at := start; at <= end; at += step {
			value := "100"
			if strings.Contains(r.FormValue("query"), "error") {
				value = "4"
			}
			if strings.Contains(r.FormValue("query"), "quantile") {
				value = "6"
			}
			points = append(points, fmt.Sprintf(`[%g,%q]`, at, value))
		}
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"service":"bot"},"values":[%s]}]}}`, strings.Join(points, ","))
	}))
	t.Cleanup(server.Close)
	return server
}

const onlineSignals = `signals:
  latency:
    title: p95 latency
    unit: seconds
    worse: up
    query: histogram_quantile(0.95, sum by (le, service) (rate(llm_request_duration_seconds_bucket[$range])))
  errors:
    title: Error rate
    unit: ratio
    worse: up
    ratio:
      numerator: sum by (service) (increase(llm_requests_total{outcome="error"}[$range]))
      denominator: sum by (service) (increase(llm_requests_total[$range]))
`

const onlineRunbook = `runbook: slow
title: Answers are slow
branch: other
trigger: {signal: latency, above: 5s, for: 10m, clears: {below: 4s}}
severity: {default: sev3}
owner: oncall
triage: [{check: "Is the provider slow?"}]
rollback: [{artifact: prompt, do: "Set the live prompt back to {{ .Previous }}."}]
communication: {internal: "{{ .Severity }} {{ .Title }}: {{ .Impact }}", customer: "Answers are slow."}
recovery:
  hold: 15m
  key: {signal: latency, below: 4s}
  safety: {signal: errors, below: 5%}
  business: {none: nothing measures it}
postmortem: {due: 5d}
`

func checked(args ...string) ran {
	var out, messages bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetErr(&messages)
	root.SetArgs(append([]string{"check"}, args...))
	err := root.Execute()
	return ran{out.String(), messages.String(), err}
}

// write puts a set down whose source has an address.
func write(t *testing.T, address string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"irdaemon.yaml": fmt.Sprintf("instance: test\nprometheus: {url: %q}\nowner: oncall\nsignals: [signals.yaml]\nrunbooks: [runbook.yaml]\n"+
			"roles: {oncall: {page: [hook]}}\nreceivers: {hook: {webhook: {url: \"http://127.0.0.1:9/\"}}}\n", address),
		"signals.yaml": onlineSignals, "runbook.yaml": onlineRunbook,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheckOnlineTellsWhatTheConditionsWouldHaveSaid(t *testing.T) {
	dir := write(t, rangeServer(t).URL)
	got := checked("--online", "--since", "1d", dir)
	for _, want := range []string{
		"latency above 5s for 10m: fired once, 100% of the time",
		"recovery, key: latency below 4s: in band 0% of the time",
		"recovery, safety: errors below 5%: in band 100% of the time; 0% of the holds of 15m would have broken",
		"noise alone breaks",
		"out of band for 100% of the time: an incident would not end",
	} {
		if !strings.Contains(strings.Join(strings.Fields(got.out), " "), want) {
			t.Errorf("no %q in\n%s", want, got.out)
		}
	}
	if got.code() != 0 {
		t.Errorf("warnings alone end with 0, not with %v", got.err)
	}
}

func TestCheckOnlineForAProgram(t *testing.T) {
	dir := write(t, rangeServer(t).URL)
	// The source's settings apart from the files: a runbook on its way into a repository that has none.
	got := checked("--online", "--since", "1h", "--format", "json", "--config", filepath.Join(dir, "irdaemon.yaml"),
		filepath.Join(dir, "signals.yaml"), filepath.Join(dir, "runbook.yaml"))
	var answer struct {
		Problems []struct{ Level, What string }
		Online   struct {
			Runbooks []struct {
				Runbook    string
				Trigger    struct{ Share float64 }
				Conditions []struct{ Condition string }
				Recovery   []struct {
					Band   string
					InBand float64 `json:"in_band"`
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(got.out), &answer); err != nil || got.err != nil {
		t.Fatalf("%v, %v\n%s", err, got.err, got.out)
	}
	r := answer.Online.Runbooks
	if len(r) != 1 || r[0].Runbook != "slow" || r[0].Trigger.Share != 1 || len(r[0].Conditions) != 1 || len(r[0].Recovery) != 2 || r[0].Recovery[1].InBand != 1 {
		t.Errorf("got %s", got.out)
	}
}

func TestCheckOnlineRefuses(t *testing.T) {
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`))
	}))
	t.Cleanup(refusing.Close)
	set, unanswered, refused := write(t, rangeServer(t).URL), write(t, down.URL), write(t, refusing.URL)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"a source that does not answer", []string{"--online", unanswered}, 1, "the source was not asked to the end"},
		{"a source that refuses a query", []string{"--online", refused}, 1, "too many samples"},
		{"files without a source", []string{"--online", filepath.Join(set, "signals.yaml"), filepath.Join(set, "runbook.yaml")}, 2, "--config irdaemon.yaml names it"},
		{"a time that is none", []string{"--online", "--since", "yesterday", set}, 2, "allowed is 7d, 36h"},
		{"a source for nothing", []string{"--config", filepath.Join(set, "irdaemon.yaml"), set}, 2, "--online, which is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := checked(c.args...)
			if text := fmt.Sprint(got.out, got.err); got.code() != c.code || !strings.Contains(text, c.want) {
				t.Errorf("code %d:\n%s\nwant %d and %q", got.code(), text, c.code, c.want)
			}
		})
	}
	if got := checked(unanswered); got.err != nil {
		t.Errorf("without --online nothing is asked, but: %v", got.err)
	}
}
