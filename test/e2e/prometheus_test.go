//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// prometheusServer is a real Prometheus that scrapes an exporter every second.
type prometheusServer struct {
	*process
	t       testing.TB
	folder  string
	address string
	url     string
}

func startPrometheus(t testing.TB, exporter *httptest.Server) *prometheusServer {
	t.Helper()
	p := &prometheusServer{t: t, folder: t.TempDir(), address: freeAddress(t)}
	p.url = "http://" + p.address
	writeFile(t, filepath.Join(p.folder, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 900ms}
scrape_configs:
  - job_name: bot
    static_configs: [{targets: [%q]}]
`, strings.TrimPrefix(exporter.URL, "http://")))
	p.start()
	return p
}

// start starts it, or after kill or terminate starts it again with the same data and address.
func (p *prometheusServer) start() {
	p.t.Helper()
	p.process = startProcess(p.t, filepath.Join(p.folder, "log"), programs.prometheus,
		"--config.file="+filepath.Join(p.folder, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(p.folder, "data"),
		"--web.listen-address="+p.address,
		"--log.level=warn")
	p.waitUntilReady(client, p.url+"/-/ready")
}

// point is a value at a time.
type point struct {
	at    time.Time
	value float64
}

// history asks for an expression's one series at each whole second between two times: the points on which the daemon
// decides, its ticks being aligned. Seconds without a value are left out.
func (p *prometheusServer) history(expression string, from, to time.Time) ([]point, error) {
	query := url.Values{
		"query": {expression},
		"start": {strconv.FormatInt(from.Unix(), 10)},
		"end":   {strconv.FormatInt(to.Unix(), 10)},
		"step":  {"1"},
	}
	var answer struct {
		Data struct {
			Result []struct {
				Values [][2]json.RawMessage `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := getJSON(client, p.url+"/api/v1/query_range?"+query.Encode(), &answer); err != nil {
		return nil, err
	}
	if n := len(answer.Data.Result); n != 1 {
		return nil, fmt.Errorf("%s has %d series; want one", expression, n)
	}
	var points []point
	for _, pair := range answer.Data.Result[0].Values {
		seconds, err := strconv.ParseFloat(string(pair[0]), 64)
		if err != nil {
			return nil, err
		}
		value, err := strconv.ParseFloat(strings.Trim(string(pair[1]), `"`), 64)
		if err != nil {
			return nil, err
		}
		points = append(points, point{time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), value})
	}
	return points, nil
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
