package unittest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/irdaemon/irdaemon/pkg/document"
	"github.com/irdaemon/irdaemon/pkg/unittest"
)

// BenchmarkHundredTests runs a hundred tests of six hours at 15 s: a ratio and a quantile, every second one with an
// incident from page to recovery. promtool's hundred take about 9 s on two cores.
func BenchmarkHundredTests(b *testing.B) {
	path := filepath.Join(b.TempDir(), "hundred.yaml")
	if err := os.WriteFile(path, []byte(hundred(b)), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		suite, report := unittest.Read([]string{path}, load)
		if err := report.Err(document.Error); err != nil {
			b.Fatal(err)
		}
		if n := unittest.Failed(run(b, suite, options())); n > 0 {
			b.Fatalf("%d tests failed", n)
		}
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "tests/s")
}

func hundred(b *testing.B) string {
	set, err := filepath.Abs("testdata/set")
	if err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "signals: [%s/signals.yaml]\nrunbooks: [%s/good-users-refused.yaml, %s/slow-answers.yaml]\ninterval: 15s\ntests:\n", set, set, set)
	for i := range 100 {
		refused, open, over := "0+10x1440", "[]", "[]"
		if i%2 == 1 {
			refused, open, over = "0+10x480 4860+60x240 19210+10x720", "[{runbook: good-users-refused, severity: sev2, paged: [ml-platform-oncall]}]", "[good-users-refused]"
		}
		fmt.Fprintf(&text, `
  - name: test %d
    input_series:
      - {series: 'llm_requests_total{service="a",tier="paid",outcome="refused"}', values: '%s'}
      - {series: 'llm_requests_total{service="a",tier="paid",outcome="ok"}', values: '0+240x1440'}
      - {series: 'llm_request_duration_seconds_bucket{service="a",le="1"}', values: '0+200x1440'}
      - {series: 'llm_request_duration_seconds_bucket{service="a",le="5"}', values: '0+240x1440'}
      - {series: 'llm_request_duration_seconds_bucket{service="a",le="20"}', values: '0+250x1440'}
      - {series: 'llm_request_duration_seconds_bucket{service="a",le="+Inf"}', values: '0+250x1440'}
    actions: [%s]
    expect:
      - {at: 2h, open: []}
      - {at: 2h20m, open: %s}
      - {at: 6h, open: [], resolved: %s}
`, i, refused, map[bool]string{true: "{at: 2h15m, acknowledge: alice}"}[i%2 == 1], open, over)
	}
	return strings.ReplaceAll(text.String(), "    actions: []\n", "")
}
