package online_test

import (
	"bytes"
	"errors"
	"flag"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/irdaemon/irdaemon/pkg/online"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/source/memory"
	"github.com/irdaemon/irdaemon/pkg/triggers"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestWhatAPersonReads(t *testing.T) {
	s := &asked{Source: memory.New(shop(t), minute, 0)}
	result, err := online.Run(t.Context(), online.Config{
		Source: s, Grid: triggers.Grid{Interval: minute}, From: begin, To: end, Runbooks: load(t, "testdata/set"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, w := range result.Warnings {
		b.WriteString(w.String() + "\n")
	}
	if err := result.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/set.golden"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// run asks a source about the week, or about less of it.
func run(t *testing.T, s source.Source, from, to time.Time, path string) (*online.Result, error) {
	t.Helper()
	return online.Run(t.Context(), online.Config{
		Source: s, Grid: triggers.Grid{Interval: minute}, From: from, To: to, Runbooks: load(t, path),
	})
}

func TestEveryExpressionIsAskedOnceInPartsThatTheSourceAllows(t *testing.T) {
	s := &asked{Source: memory.New(shop(t), minute, 0)}
	if _, err := run(t, s, begin, end, "testdata/set"); err != nil {
		t.Fatal(err)
	}
	if len(s.times) == 0 || s.points > 10_000 {
		t.Errorf("asked %d times, for up to %d points of a series", len(s.times), s.points)
	}
	for question, n := range s.times {
		if n > 1 {
			t.Errorf("asked %d times: %s", n, question)
		}
	}
}

func TestASourceThatDoesNotAnswerIsNoQuietWeek(t *testing.T) {
	down := &source.Error{Reason: source.Unreachable, Detail: "connection refused"}
	s := &asked{Source: memory.New(shop(t), minute, 0), fail: func(string) error { return down }}
	if result, err := run(t, s, begin, end, "testdata/set"); result != nil || !errors.Is(err, down) {
		t.Errorf("got %v and the error %v", result, err)
	}
}

func TestARefusedExpressionConcernsItsRunbookAlone(t *testing.T) {
	s := &asked{Source: memory.New(shop(t), minute, 0), fail: func(expr string) error {
		if strings.Contains(expr, "latency") {
			return &source.Error{Reason: source.Limit, Expr: expr, Detail: "more than 10000 series"}
		}
		return nil
	}}
	result, err := run(t, s, begin, begin.Add(day), "testdata/set")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range result.Runbooks {
		if refused := r.Name == "slow-answers"; refused != (r.Err != nil) {
			t.Errorf("%s: %v", r.Name, r.Err)
		}
	}
	var b bytes.Buffer
	if err := result.WriteText(&b); err != nil || !strings.Contains(b.String(), "not looked at: query") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestABaselineWithoutHistoryIsTold(t *testing.T) {
	result, err := run(t, memory.New(shop(t), minute, 0), time.Unix(0, 0).UTC().Add(6*time.Hour), time.Unix(0, 0).UTC().Add(12*time.Hour), "testdata/set")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, w := range result.Warnings {
		found = found || strings.Contains(w.String(), "unknown for 100% of the time: the source has nothing of the same time")
	}
	if !found {
		t.Errorf("got %v", result.Warnings)
	}
}

// A hold that noise breaks is one that the past week's noise broke too: what is reckoned and what was seen agree.
func TestWhatIsReckonedOfHoldsIsWhatHappened(t *testing.T) {
	result, err := run(t, memory.New(shop(t), minute, 0), begin, begin.Add(4*day), "testdata/set")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, r := range result.Runbooks {
		for _, b := range r.Recovery {
			if len(b.Noise) == 0 || b.Broken == nil {
				continue
			}
			compared++
			if math.Abs(*b.Broken-b.Noise[0].Chance) > 0.15 {
				t.Errorf("%s, %s: %.2f of the holds broke, %.2f was reckoned", r.Name, b.Name, *b.Broken, b.Noise[0].Chance)
			}
		}
	}
	if compared < 3 {
		t.Errorf("%d bands were compared", compared)
	}
}

func TestNothingFitsBeyondTheWidth(t *testing.T) {
	text, err := os.ReadFile("testdata/set.golden")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("What the source says"))
	for line := range strings.Lines(string(text)) {
		if len([]rune(strings.TrimSuffix(line, "\n"))) > 100 {
			t.Errorf("too wide: %s", line)
		}
	}
}

func TestATimeWithoutATickIsRefused(t *testing.T) {
	from := begin.Add(time.Second)
	if _, err := run(t, memory.New(nil, minute, 0), from, from.Add(time.Second), "testdata/set"); err == nil {
		t.Error("it was not")
	}
}
