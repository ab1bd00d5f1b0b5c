package evidence_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/irdaemon/irdaemon/pkg/evidence"
	"github.com/irdaemon/irdaemon/pkg/runbook"
	"github.com/irdaemon/irdaemon/pkg/source"
	"github.com/irdaemon/irdaemon/pkg/source/memory"
)

// slow answers expressions of a name late: heeding its context, or not at all.
type slow struct {
	*memory.Source
	name  string
	takes time.Duration
	deaf  bool
	at    time.Time // of this time alone; zero: of any
}

func (s slow) Instant(ctx context.Context, expr string, t time.Time) (source.Answer, error) {
	if strings.Contains(expr, s.name) && (s.at.IsZero() || s.at.Equal(t)) {
		given := ctx.Done()
		if s.deaf {
			given = nil
		}
		select {
		case <-time.After(s.takes):
		case <-given:
			return source.Answer{}, &source.Error{Reason: source.Timeout, Expr: expr, Detail: "timeout", Err: ctx.Err()}
		}
	}
	return s.Source.Instant(ctx, expr, t)
}

func TestAnItemThatHangsDelaysNoOther(t *testing.T) {
	items := []runbook.Evidence{{Signal: "p95"}, {Signal: "appeals"}, {Changes: time.Hour}, {Signal: "p95"}}
	for name, c := range map[string]struct {
		deaf bool
		last time.Duration
	}{
		"a source that heeds its context":         {false, 10 * time.Second},
		"a source that does not heed its context": {true, 11 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var told []string
				g := evidence.New(evidence.Config{
					Source:  slow{world(t, "appeals", level(1, 2), "p95", level(1, 2)), "p95", time.Hour, c.deaf, time.Time{}},
					Changes: logged(nil),
				})
				g.GatherAll(t.Context(), about(), items, func(n int, found evidence.Found) {
					told = append(told, fmt.Sprintf("%d after %s: %s%s", n, time.Since(began), found.Text, found.Err))
				})
				sortFirst(told, 2)
				why := "p95 latency is unknown: no answer within 10s"
				if c.deaf {
					why = "no answer within 10s"
				}
				same(t, "told", strings.Join(told, "\n"), fmt.Sprintf(`1 after 0s: appeals: 2, before impact 1
2 after 0s: no change on record in 1h (nothing reports prompt, retrieval_index, weights)
0 after %[1]s: %[2]s
3 after %[1]s: %[2]s`, c.last, why))
				time.Sleep(time.Hour) // what is deaf comes to its end
			})
		})
	}
}

// sortFirst puts the pairs of what was told at the same time in order.
func sortFirst(told []string, size int) {
	for n := 0; n+size <= len(told); n += size {
		if told[n] > told[n+1] {
			told[n], told[n+1] = told[n+1], told[n]
		}
	}
}

func TestWhatIsKnownNowIsToldThoughThePastHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := evidence.New(evidence.Config{Source: slow{world(t, "appeals", level(1, 2)), "appeals", time.Hour, false, minute(impact - 1)}})
		found := g.Gather(t.Context(), runbook.Evidence{Signal: "appeals"}, about())
		same(t, "text", found.Text, "appeals: 2")
		same(t, "error", found.Err, "what it was before impact is unknown: no answer within 10s")
	})
}

func TestACallerMayGiveUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := evidence.New(evidence.Config{HTTP: hanging{}})
	found := g.Gather(ctx, runbook.Evidence{HTTP: "https://status.example/x"}, about())
	same(t, "error", found.Text+found.Err, "status.example: given up before an answer came")
}

func TestWithoutATickItIsNow(t *testing.T) {
	a := about()
	a.At = time.Time{}
	g := evidence.New(evidence.Config{Source: world(t, "appeals", level(1, 2)), Now: func() time.Time { return minute(50) }})
	a.ImpactStartedAt = time.Time{}
	found := g.Gather(t.Context(), runbook.Evidence{Signal: "appeals"}, a)
	same(t, "text", found.Text+found.Err, "appeals: 1")
}
